"""Requests made of the API's own description, good and bad, by three roles: what is answered is what it says.

Every operation is asked by an owner's, an operator's and a viewer's token: as its row in the table of rights says, and
with what the description makes up. Each role has a seed that stays, so that a failure is found again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from pytest_django import Settings

from orchestrator.tenants.models import Role, Tenant
from tests.tenants.rights.api_rows import API
from tests.tenants.rights.rows import Row
from tests.tenants.rights.world import World, make_world

pytestmark = pytest.mark.django_db
# Of each operation, beside those of its rows: enough to hold a description by.
EXAMPLES: Final[Mapping[Role, int]] = {Role.OWNER: 6, Role.OPERATOR: 3, Role.VIEWER: 3}
# What these take has many parts, and is made up more often.
DEEP: Final = {"runs_bulk": 30, "runs_export": 15, "workflows_import": 15, "workflows_run": 15, "runs_rerun": 15}


@contextmanager
def same_connection() -> Iterator[None]:
    """Let requests leave the test's connection open, as Django's own test client does around each of its own."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@contextmanager
def undone() -> Iterator[None]:
    """Take back what requests did: the next operation finds everything where it was."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@cache
def described() -> Any:
    """Return the API's description, which takes a moment to make."""
    schemathesis = pytest.importorskip("schemathesis")
    return schemathesis.openapi.from_wsgi("/api/schema/?format=json", WSGIHandler())


def checks() -> list[Any]:
    # What is described as well-formed may still be refused: a slug that is taken, a step that nobody knows.
    found = pytest.importorskip("schemathesis.specs.openapi.checks")
    return [
        pytest.importorskip("schemathesis.checks").not_a_server_error,
        found.status_code_conformance,
        found.content_type_conformance,
        found.response_schema_conformance,
        found.response_headers_conformance,
    ]


@pytest.fixture
def world(tenant: Tenant, settings: Settings) -> World:
    settings.ENV = dataclasses.replace(settings.ENV, base_urls={"slack": "http://127.0.0.1:9/api"})
    return make_world(tenant, "acme")


def rows_of(operation: Any) -> list[Row]:
    """Return the rows of an operation's path that know its method."""
    path = operation.path.removeprefix("/api/v1/")
    return [row for row in API if _path(row.route) == path and operation.method.upper() in row.least]


def _path(route: str) -> str:
    named = route.removeprefix("api/v1/").replace("<str:pk>", "{id}")
    return named.replace("<str:key>", "{key}").replace("<int:number>", "{number}").replace("<int:ref>", "{ref}")


def parameters(row: Row, world: World, role: Role) -> dict[str, str]:
    """Return the parameters of a row's path: an object of the world each."""
    of = {"workflows": "workflow", "runs": "run", "credentials": "credential", "tokens": "token", "members": "member"}
    of |= {"invitations": "invitation", "variables": "variable", "alert-channels": "alert_channel"}
    kind = row.route.removeprefix("api/v1/").partition("/")[0]
    wanted = row.of.get("pk") or of.get(kind, "")
    names = {**world.names, wanted: world.names.get(f"{wanted}{role}" if wanted.endswith("@") else wanted, "")}
    known = {"id": names[wanted], "key": row.of.get("key", "first"), "number": "1", "ref": world.names["ref"]}
    return {name: value for name, value in known.items() if f"{{{name}}}" in _path(row.route)}


@pytest.mark.parametrize("role", EXAMPLES)
def test_every_operation_answers_as_it_is_described(world: World, role: Role) -> None:
    headers = {"Authorization": f"Bearer {world.tokens[role]}", "Accept-Encoding": "identity"}
    with same_connection():
        operations = [result.ok() for result in described().get_all_operations()]
        assert len(operations) > 50
        for operation in operations:
            rows = rows_of(operation)
            assert rows, f"{operation.method} {operation.path} has no row in tests/tenants/rights/api_rows.py"
            for row in rows:
                with undone():
                    as_the_row_says(operation, row, world, role, headers)
            with undone():
                in_another_form(operation, rows[0], world, role, headers)
                as_made_up(operation, parameters(rows[0], world, role), headers, EXAMPLES[role])


def as_the_row_says(operation: Any, row: Row, world: World, role: Role, headers: Mapping[str, str]) -> None:
    body = world.fill(row.sent)
    sent = {} if body is None or operation.method.upper() in ("GET", "DELETE") else {"body": body}
    kind = {"media_type": "application/json"} if sent else {}
    query = dict(pair.split("=") for pair in row.query.split("&")) if row.query else {}
    case = operation.Case(path_parameters=parameters(row, world, role), query=query, **sent, **kind)
    answer = case.call_and_validate(headers=headers, checks=checks())
    assert answer.status_code < 300 or role is not Role.OWNER or answer.status_code == 409, (str(row), answer.text)


def in_another_form(operation: Any, row: Row, world: World, role: Role, headers: Mapping[str, str]) -> None:
    """Accept what is not answered, and send what is no JSON."""
    case = operation.Case(path_parameters=parameters(row, world, role))
    answer = case.call_and_validate(headers={**headers, "Accept": "text/csv"}, checks=checks())
    assert answer.status_code == 406, (str(row), answer.text)
    if operation.body:
        case = operation.Case(path_parameters=parameters(row, world, role), body={}, media_type="application/json")
        other = {**headers, "Content-Type": "text/plain"}
        answer = case.call_and_validate(headers=other, checks=checks())
        assert answer.status_code == 415 or (answer.status_code == 403 and role is not Role.OWNER), answer.text


def as_made_up(operation: Any, path: Mapping[str, str], headers: Mapping[str, str], examples: int) -> None:
    """Send what may be sent, and what may not, half of it to objects that are there."""
    schemathesis = pytest.importorskip("schemathesis")
    impossible = pytest.importorskip("schemathesis.errors").InvalidSchema
    name = operation.definition.raw.get("operationId", "")

    @settings(
        max_examples=max(examples, DEEP.get(name, 0) if examples == EXAMPLES[Role.OWNER] else 0),
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def check(data: Any) -> None:
        mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
        try:
            case = data.draw(operation.as_strategy(generation_mode=mode))
        except impossible:
            # A schema that was broken on purpose may allow nothing; one of ours allows something.
            if mode is not schemathesis.GenerationMode.NEGATIVE:
                raise
            reject()
        if path and data.draw(st.booleans()):
            case.path_parameters = dict(path)
        if case.query:
            case.query.pop("wait", None)
        case.call_and_validate(headers=dict(headers), checks=checks())

    check()

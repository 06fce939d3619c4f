"""The table of who may ask which address, held against the product: every route has a row, and every row is true.

A route without a row fails here, with what to add and where; rows are in ``tests/tenants/rights``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.admin import site
from orchestrator.tenants.access import ROLE_SCOPES, SCOPE_REACH
from orchestrator.tenants.models import Membership, Role, Scope
from tests.tenants.rights.api_rows import API
from tests.tenants.rights.asking import Answered, Caller, address, ask, expected, routes, signed_in
from tests.tenants.rights.other_rows import ADMINISTRATION, OPEN, TOOLS
from tests.tenants.rights.page_rows import PAGES
from tests.tenants.rights.rows import METHODS, Face, Row
from tests.tenants.rights.world import World, scoped_token

TABLE = (*PAGES, *API, *OPEN, *ADMINISTRATION)
ANYBODY = Caller(name="nobody signed in")


def _members(world: World, **more: Any) -> list[Caller]:
    return [signed_in(f"the {role}", user, role=role, **more) for role, user in world.people.items()]


def _own_elsewhere(ours: World, theirs: World) -> None:
    """Make our viewer an owner there: what somebody is in one tenant counts nothing in another."""
    Membership.unscoped.create(tenant=theirs.tenant, user=ours.people[Role.VIEWER], role=Role.OWNER)


def _tokens(world: World) -> Iterator[Caller]:
    """Yield the widest token of each role, and the owner's by scope."""
    for role, text in world.tokens.items():
        yield _token(f"the {role}'s token", text, role, ROLE_SCOPES[role])
    for scope in Scope:
        text = scoped_token(world, scope)
        yield _token(f"the owner's token to {scope}", text, Role.OWNER, SCOPE_REACH[scope])


def _token(name: str, text: str, role: Role | None, scopes: frozenset[Scope], *, is_elsewhere: bool = False) -> Caller:
    headers = {"Authorization": f"Bearer {text}"}
    return Caller(name=name, role=role, headers=headers, scopes=scopes, is_elsewhere=is_elsewhere)


def _as_expected(wanted: str, answered: Answered, face: Face) -> bool:
    match wanted:
        case "done":
            return answered.is_done
        case "refused":
            # What an administration does not list is not there.
            statuses = (403, 404) if face is Face.ADMIN else (403,)
            return answered.status in statuses and not answered.wrote
        case "not there":
            return answered.status == 404 and not answered.wrote
        case "unknown":
            return answered.status == 401 and not answered.wrote
        case "sign in":
            return answered.leads_to_sign_in and not answered.wrote
        case "open":
            return answered.status < 500 and answered.status not in (401, 403, 404, 405)
        case "open or not there":
            return answered.status < 500 and answered.status not in (401, 403, 405)
        case _:
            raise AssertionError(wanted)


def _is_true(rows: Sequence[Row], world: World, callers: Sequence[Caller]) -> None:
    """Ask every row by its methods for every caller, and fail with what is answered otherwise than the table says."""
    found = []
    for row in rows:
        for method in row.least:
            for caller in callers:
                where = address(row, world, role=caller.role)
                wanted, answered = expected(row, method, caller), ask(row, method, where, world, caller)
                if not _as_expected(wanted, answered, row.face):
                    found.append(f"{method} {row}: {caller.name} is to be {wanted!r}, and got {answered}")
    assert not found, "\n".join(found)


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    known, of_table = set(routes()), {row.route for row in TABLE}
    assert known - of_table == set(), "Add a line for each of these to the rows in tests/tenants/rights."
    assert of_table - known == set(), "These rows are of no route: take them out."
    keys = [(row.route, row.case) for row in TABLE]
    assert len(keys) == len(set(keys)), "Give each row of one route a case of its own."
    assert [str(row) for row in TABLE if not row.least] == []


@pytest.mark.django_db
def test_a_method_that_no_row_names_is_not_taken(ours: World) -> None:
    owner = signed_in("the owner", ours.people[Role.OWNER], role=Role.OWNER, headers={"X-Tenant": "acme"})
    taken: dict[str, set[str]] = {}
    for row in TABLE:
        taken.setdefault(row.route, set()).update(row.least)
    token = _token("the owner's token", ours.tokens[Role.OWNER], Role.OWNER, frozenset(Scope))
    found = []
    for row in {row.route: row for row in TABLE if row.face is not Face.ADMIN}.values():
        for method in METHODS:
            caller = token if row.route == "mcp" else ANYBODY if row.face is Face.OPEN else owner
            if method not in taken[row.route]:
                answered = ask(row, method, address(row, ours, role=Role.OWNER), ours, caller)
                if answered.status != 405 or answered.wrote:
                    found.append(f"{method} {row}: {answered}")
    assert not found, "\n".join(found)


@pytest.mark.django_db
def test_pages_answer_each_role_as_the_table_says(ours: World, theirs: World) -> None:
    _own_elsewhere(ours, theirs)
    callers = [*_members(ours), signed_in("a stranger", theirs.people[Role.OWNER]), ANYBODY]
    _is_true(PAGES, ours, callers)


@pytest.mark.django_db
def test_the_api_answers_each_session_as_the_table_says(ours: World, theirs: World) -> None:
    _own_elsewhere(ours, theirs)
    headers = {"X-Tenant": ours.tenant.slug}
    stranger = signed_in("a stranger", theirs.people[Role.OWNER], headers=headers)
    callers = [*_members(ours, headers=headers), stranger, ANYBODY]
    _is_true(API, ours, callers)


@pytest.mark.django_db
def test_the_api_answers_each_token_as_the_table_says(ours: World, theirs: World) -> None:
    strange = _token("a stranger's token", theirs.tokens[Role.OWNER], None, frozenset(Scope), is_elsewhere=True)
    broken = Caller(name="a token that is none", headers={"Authorization": "Bearer nonsense"})
    _is_true(API, ours, [*_tokens(ours), strange, broken])


@pytest.mark.django_db
def test_addresses_of_no_tenant_answer_as_the_table_says(ours: World, theirs: World) -> None:
    by_session = [row for row in OPEN if row.route != "mcp"]
    _is_true(by_session, ours, [*_members(ours), signed_in("a stranger", theirs.people[Role.OWNER]), ANYBODY])
    mcp = [row for row in OPEN if row.route == "mcp"]
    _is_true(mcp, ours, [*_tokens(ours), ANYBODY])


@pytest.mark.django_db
def test_tools_need_the_scope_that_the_table_says(ours: World) -> None:
    (mcp,) = (row for row in OPEN if row.route == "mcp")
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for caller in _tokens(ours):
        answered = ask(mcp, "POST", "/mcp", ours, caller, sent=listed)
        assert all(f'"{name}"' in answered.text for name in TOOLS)
        assert answered.text.count('"inputSchema"') == len(TOOLS)
        for name, least in TOOLS.items():
            given = {"run_id": "$run"} if name == "get_run" else {}
            call = {**listed, "method": "tools/call", "params": {"name": name, "arguments": given}}
            answered = ask(mcp, "POST", "/mcp", ours, caller, sent=call)
            row = dataclasses.replace(mcp, least={"POST": least})
            assert _as_expected(expected(row, "POST", caller), answered, row.face), (name, caller.name, answered)


@pytest.mark.django_db
def test_the_administration_answers_each_staff_as_the_table_says(ours: World, theirs: World) -> None:
    User.objects.filter(pk__in=[user.pk for each in (ours, theirs) for user in each.people.values()]).update(
        is_staff=True
    )
    root = User.objects.create_superuser("root", password="a good password")
    plain = User.objects.create_user("plain")
    callers = [
        *_members(ours, is_staff=True),
        signed_in("another tenant's staff", theirs.people[Role.OWNER], is_staff=True, is_elsewhere=True),
        signed_in("the superuser", root, is_staff=True),
        signed_in("who is no staff", plain),
        ANYBODY,
    ]
    _is_true(ADMINISTRATION, ours, callers)


def test_every_button_of_the_administration_has_its_row() -> None:
    known = {
        (f"admin/{model._meta.label_lower.replace('.', '/')}/<path:object_id>/do/<slug:name>/", button.name)
        for model, admin in site._registry.items()
        for button in getattr(admin, "buttons", ())
    }
    assert known == {(r.route, r.of["name"]) for r in ADMINISTRATION if "/do/" in r.route and r.of["name"] != "none"}

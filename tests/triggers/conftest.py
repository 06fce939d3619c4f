"""A published workflow whose webhook can be called, by both ways that a request takes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from django.test import Client, RequestFactory

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.addresses import give_address, trigger_address
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.wsgi import Handler, with_length
from runs.models import Run
from runs.selectors import run_document
from runs.triggers.accepting import CONTENT_TYPE, HEADERS, known
from runs.triggers.addresses import find_address
from runs.triggers.intake import intake
from runs.triggers.requests import MAX_BODY_BYTES
from runs.triggers.shortcut import Shortcut
from tests.runs.ground import make_workflow

Call = Callable[..., Any]


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant)


@pytest.fixture
def make_hook(workflow: Workflow) -> Callable[..., Trigger]:
    def make(live_config: dict[str, Any] | None, key: str = "hook", **more: Any) -> Trigger:
        trigger = Trigger(
            tenant=workflow.tenant, workflow=workflow, key=key, type="webhook", live_config=live_config, **more
        )
        give_address(trigger)
        trigger.save()
        return trigger

    return make


@pytest.fixture
def hook(make_hook: Callable[..., Trigger]) -> Trigger:
    """A live webhook that takes POST."""
    return make_hook({})


@pytest.fixture(autouse=True)
def _end_the_intake() -> Iterator[None]:
    """End the thread that inserts, whose connection would outlast the test's database."""
    yield
    intake.close()


def path(trigger: Trigger) -> str:
    return "/h/" + trigger_address(trigger)


class Answer:
    """What a WSGI application answered, read as the test client's responses are."""

    def __init__(self, application: Any, environ: dict[str, Any]) -> None:
        self.status_code, self.headers, self.cookies = 0, [("", "")], {}

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            self.status_code, self.headers = int(status[:3]), headers

        answered = application(environ, start_response)
        self.content = b"".join(answered)
        if hasattr(answered, "close"):
            answered.close()

    def __getitem__(self, name: str) -> str:
        (value,) = [value for key, value in self.headers if key.lower() == name.lower()]
        return value

    def __contains__(self, name: str) -> bool:
        return any(key.lower() == name.lower() for key, _ in self.headers)

    def json(self) -> Any:
        return json.loads(self.content)


class AnyDoor(dict[Any, Any]):
    """Hosts and schemes by which something was accepted already, all of them."""

    def get(self, _: Any, default: Any = None) -> list[tuple[str, str]]:
        return [*HEADERS.items(), ("Content-Type", CONTENT_TYPE)]


@cache
def handler() -> Handler:
    return Handler()


def served(
    application: Any, trigger: Trigger, body: Any = b"{}", content_type: str = "application/json", **more: Any
) -> Answer:
    """Call a webhook through a WSGI application: with a body, its content type, and headers."""
    method = more.pop("method", "POST")
    request = RequestFactory().generic(method, path(trigger) + more.pop("query", ""), body, content_type, **more)
    # The client's own refuses to be read beyond its end, where a connection that broke off gives less.
    return Answer(application, {**request.environ, "wsgi.input": io.BytesIO(body)})


@pytest.fixture(params=["the long way", "the short way"])
def call(request: pytest.FixtureRequest, client: Client) -> Call:
    """Return a function that calls a webhook: with a body, its content type, and headers.

    On the short way the address is known, as it is once a request was accepted.
    """

    def long(trigger: Trigger, body: Any = b"{}", content_type: str = "application/json", **more: Any) -> Any:
        method = more.pop("method", "POST")
        return client.generic(method, path(trigger) + more.pop("query", ""), body, content_type, **more)

    def short(trigger: Trigger, body: Any = b"{}", content_type: str = "application/json", **more: Any) -> Any:
        address = find_address(trigger_address(trigger))
        if address is not None:
            known.keep(address)
        return served(application, trigger, body, content_type, **more)

    if request.param == "the long way":
        return long
    shortcut = Shortcut(handler())
    shortcut._headers = AnyDoor()
    application = with_length(shortcut, most=MAX_BODY_BYTES)
    return short


def runs(trigger: Trigger) -> list[Run]:
    return list(Run.objects.for_tenant(trigger.tenant_id).order_by("id"))


def seen(trigger: Trigger) -> dict[str, Any]:
    """Return the trigger document of the only run."""
    (run,) = runs(trigger)
    run_document(run)
    if run.trigger_ref is None:
        return dict(run.trigger)
    from runs.selectors import payload_value

    return dict(payload_value(run, run.trigger_ref))  # type: ignore[arg-type]

"""A published workflow whose webhook can be called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.addresses import give_address, trigger_address
from orchestrator.workflows.models import Trigger, Workflow
from runs.models import Run
from runs.selectors import run_document
from runs.triggers.intake import intake
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


@pytest.fixture
def call(client: Client) -> Call:
    """Return a function that calls a webhook: with a body, its content type, and headers."""

    def called(trigger: Trigger, body: Any = b"{}", content_type: str = "application/json", **more: Any) -> Any:
        method = more.pop("method", "POST")
        return client.generic(method, path(trigger) + more.pop("query", ""), body, content_type, **more)

    return called


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

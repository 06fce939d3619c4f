"""What tests of the driver share: workflows in the database, and a driver in this very process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.tenants.models import Tenant
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs import services
from runs.bell import Ear
from runs.driver import Driver, Times, run_driver
from runs.models import Run, StepRun
from runs.states import RUN_TERMINAL

QUICK = Times(slice=20, idle=0.05, hand_over=2, stop=0.5)
ENDED = [status.value for status in RUN_TERMINAL]


def step(key: str, action: str = "data.set", *, credential: str | None = None, **config: Any) -> dict[str, Any]:
    """Return a step of a document; a ``data.set`` without inputs sets its own key."""
    if action == "data.set":
        config.setdefault("inputs", {"values": {"from": key}})
    return {"key": key, "action": action, "config": config, "credential": credential}


def make_workflow(
    tenant: Tenant, *steps: dict[str, Any], slug: str = "test", bindings: Mapping[str, int] | None = None, **more: Any
) -> Workflow:
    """Return a published workflow of these steps, without the checks of a publish."""
    document = {"name": slug.title(), "slug": slug, "steps": list(steps), **more}
    definition = WorkflowDefinition.model_validate(document)
    workflow = Workflow.unscoped.create(tenant=tenant, name=definition.name, slug=slug, enabled=True)
    version = WorkflowVersion.unscoped.create(
        tenant=tenant,
        workflow=workflow,
        number=1,
        definition=definition.as_document(),
        checksum=definition.checksum(),
        bindings=dict(bindings or {}),
    )
    workflow.published_version = version
    workflow.save()
    return workflow


def start(workflow: Workflow, payload: JSONValue = None, **more: Any) -> Run:
    """Return a queued run of the published version."""
    assert workflow.published_version is not None
    return services.run_start(
        tenant=workflow.tenant,
        workflow=workflow,
        version=workflow.published_version,
        trigger=services.manual_trigger(payload),
        trigger_type="manual",
        **more,
    )


def drive(times: Times = QUICK, *, ear: Ear | None = None) -> Driver:
    """Drive what is due, in this thread, until there is nothing left; return the driver."""
    driver = Driver(times, ear=ear)
    run_driver(driver)
    return driver


@contextmanager
def driving(
    times: Times = Times(slice=60, idle=60, hand_over=2, stop=0.5),  # noqa: B008
    *,
    ear: Ear | None = None,
) -> Iterator[Driver]:
    """Drive in a thread for the length of a ``with`` block."""
    driver = Driver(times, ear=ear)
    errors: list[BaseException] = []

    def main() -> None:
        try:
            run_driver(driver)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    try:
        yield driver
    finally:
        driver.request_stop()
        thread.join(timeout=20)
        assert not thread.is_alive(), "the driver does not stop"
        assert not errors, errors


def until(met: Callable[[], Any], *, seconds: float = 10.0) -> Any:
    """Wait until ``met`` returns something true, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := met():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def rows(run: Run, path: str | None = None) -> list[StepRun]:
    found = StepRun.objects.for_tenant(run.tenant_id).filter(run=run).order_by("id")
    return list(found if path is None else found.filter(path=path))


def statuses(run: Run) -> list[tuple[str, str]]:
    return [(row.path, row.status) for row in rows(run)]

"""Runs with loops for tests of their pages: the rows as a driver leaves them, made without driving anything."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from orchestrator.ids import new_id
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs.models import Payload, Run, StepRun
from runs.states import RUN_TERMINAL, RunStatus
from tests.runs import ground
from tests.runs.ground import make_workflow

# What became of an item: the statuses of its steps, in order; a dictionary has more of the row.
Fate = tuple[str | Mapping[str, Any], ...]
GOOD: Fate = ("succeeded", "succeeded")
BAD: Fate = ({"status": "failed", "error": {"kind": "permanent", "message": "It was refused."}},)


def step(key: str, action: str = "data.set", **config: Any) -> dict[str, Any]:
    """Return a step that is called by its key."""
    return {**ground.step(key, action, **config), "name": key}


def foreach(key: str = "each", *body: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    """Return a loop over ``item`` with ``send`` and ``tell`` in it."""
    inside = list(body) or [step("send"), step("tell")]
    loop = step(key, "flow.foreach", inputs={"items": "{{ trigger.body }}", **inputs})
    return {**loop, "name": "For each order", "lanes": {"body": inside}}


class Rows:
    """Makes the rows of one run; ids grow with each."""

    def __init__(self, run: Run) -> None:
        self.run, self.made = run, list[StepRun]()
        self.at: datetime = run.created_at

    def add(self, path: str, status: str = "succeeded", *, ms: int = 5, **more: Any) -> StepRun:
        """Add an attempt that began when the one before it ended."""
        loop, item = path.rpartition(".")[0], None
        if loop:
            loop, _bracket, index = loop.rpartition("[")
            item = int(index.rstrip("]"))
        ended = None if status in ("running", "waiting") else self.at + timedelta(milliseconds=ms)
        key = path.rpartition(".")[2]
        values = {"key": key, "name": key, "action": "data.set", "started_at": self.at, "finished_at": ended, **more}
        row = StepRun(
            pk=new_id(), tenant_id=self.run.tenant_id, run=self.run, path=path, loop=loop, item=item, status=status,
            **values,
        )  # fmt: skip
        self.at += timedelta(milliseconds=ms)
        self.made.append(row)
        return row

    def loop(self, path: str, items: Any, status: str = "succeeded", **more: Any) -> StepRun:
        """Add the loop's own row; ``items`` is the list it goes over."""
        return self.add(path, status, action="flow.foreach", inputs={"items": items}, **more)

    def item(self, loop: str, index: int, fate: Fate, keys: tuple[str, ...] = ("send", "tell")) -> None:
        """Add the rows of one iteration."""
        for key, given in zip(keys, fate, strict=False):
            row = {"status": given} if isinstance(given, str) else dict(given)
            self.add(f"{loop}[{index}].{key}", row.pop("status"), **row)

    def save(self) -> Run:
        StepRun.unscoped.bulk_create(self.made, batch_size=2_000)
        return self.run


def new_run(workflow: Workflow, status: str = "succeeded", **more: Any) -> Run:
    """Return a run in a status, without rows."""
    now = timezone.now()
    ended = RunStatus(status) in RUN_TERMINAL
    lease = now + timedelta(minutes=5) if status == "running" else None
    return Run.unscoped.create(
        tenant=workflow.tenant, workflow=workflow, version=workflow.published_version, trigger_type="manual",
        trigger={"type": "manual", "body": None}, status=status, wake_at=None, created_at=now, started_at=now,
        finished_at=now + timedelta(seconds=3) if ended else None, lease_expires_at=lease, **more,
    )  # fmt: skip


def loop_run(
    tenant: Tenant,
    count: int,
    fate: Callable[[int], Fate] = lambda index: GOOD,
    *,
    total: int | None = None,
    status: str = "succeeded",
    loop_status: str | None = None,
    stored: bool = False,
    slug: str = "orders",
    **more: Any,
) -> Run:
    """Return a run of ``find``, a loop of which ``count`` items of ``total`` began, and ``post`` once it succeeded.

    ``stored``: the list lies in a row of its own, as large ones do.
    """
    workflow = make_workflow(tenant, step("find"), foreach(), step("post"), slug=slug)
    run = new_run(workflow, status, **more)
    rows = Rows(run)
    rows.add("find")
    items = [{"id": 1_000 + index} for index in range(count if total is None else total)]
    own = rows.loop("each", items, loop_status or ("running" if status == "running" else status))
    if stored:
        data = json.dumps({"items": items}).encode()
        payload = Payload(tenant=tenant, run=run, size=len(data), data=zlib.compress(data))
        payload.save(force_insert=True)
        own.inputs, own.inputs_ref = None, payload.pk
    for index in range(count):
        rows.item("each", index, fate(index))
    if own.status == "succeeded":
        rows.add("post")
    return rows.save()

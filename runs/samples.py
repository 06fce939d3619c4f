"""Examples for who builds a workflow: the data that the builder shows and that tests of single steps read.

1. The trigger is that of the latest run, or the latest request that was kept as a sample, whichever came last.
2. Each step's output is its latest success among the last runs.
3. Where somebody chose an earlier run or sample instead, that comes first, until the draft is run as a whole again; of
   its steps only a later test counts more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.errors import Conflict, NotFound
from orchestrator.flow.names import TriggerType
from orchestrator.large import Large
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.workflows.drafts import draft_document
from orchestrator.workflows.models import Trigger, Workflow
from runs.models import Payload, Run, Sample, StepRun, TestData
from runs.outline import sample_paths, tree
from runs.selectors import trigger_of
from runs.states import RunKind, StepStatus
from runs.values import lean

RECEIVED_SHOWN: Final = 10
REQUESTS_TESTED: Final = 5
# What comes from outside, and with data.
_OUTSIDE: Final = [
    kind.value for kind in (TriggerType.WEBHOOK, TriggerType.FORM, TriggerType.POLLING, TriggerType.EVENT)
]
# How far back an output is looked for.
_RUNS_LOOKED_AT: Final = 20
_SHORT: Final = ("tenant_id", "run_id", "key", "status", "failure_kind", "started_at", "finished_at")


@dataclass(frozen=True, kw_only=True)
class Received:
    """A request that a trigger got: a sample, or what a run began with. One of the two ids is set."""

    run_id: int | None
    sample_id: int | None
    at: datetime
    status: str
    body: JSONValue


@dataclass(frozen=True, kw_only=True)
class Request:
    """A real request: one that was kept, or that started a run. ``name`` is like ``sample-5`` or ``run-7``."""

    name: str
    at: datetime
    trigger_type: str
    trigger_key: str
    trigger: dict[str, JSONValue]


def requests(workflow: Workflow, *, names: Collection[str] | None = None) -> list[Request]:
    """Return the last five real requests to a workflow, newest first, or those of the ``names`` that are there.

    Tests are none. What came in is there as it was kept: in a run without the secrets that this used, and without a
    body that is larger than one may be.
    """
    tenant = workflow.tenant_id
    kept = Sample.objects.for_tenant(tenant).filter(workflow=workflow).select_related("trigger").order_by("-id")
    began = Run.objects.for_tenant(tenant).filter(
        workflow=workflow, kind=RunKind.LIVE, trigger_type__in=_OUTSIDE, rerun_of__isnull=True
    )
    if names is not None:
        kept, began = kept.filter(pk__in=_ids(names, "sample")), began.filter(pk__in=_ids(names, "run"))
    short = began.only("tenant_id", "trigger_type", "trigger_key", "trigger", "trigger_ref", "created_at")
    found = [_of_sample(sample) for sample in kept[:REQUESTS_TESTED]]
    found += [_of_run(run) for run in short.order_by("-id")[:REQUESTS_TESTED]]
    return sorted(found, key=lambda each: int(each.name.partition("-")[2]), reverse=True)[:REQUESTS_TESTED]


def _ids(names: Collection[str], kind: str) -> list[int]:
    """Return the ids of one kind that are named; whatever is no name is as if it were not there."""
    pairs = [name.partition("-") for name in names]
    return [int(pk) for of, _dash, pk in pairs if of == kind and pk.isascii() and pk.isdigit() and len(pk) < 19]


def _of_sample(sample: Sample) -> Request:
    trigger = sample.trigger
    return Request(
        name=f"sample-{sample.pk}", at=sample.created_at, trigger_type=trigger.type, trigger_key=trigger.key,
        trigger=dict(sample.document),
    )  # fmt: skip


def _of_run(run: Run) -> Request:
    return Request(
        name=f"run-{run.pk}", at=run.created_at, trigger_type=run.trigger_type, trigger_key=run.trigger_key,
        trigger={name: _opened(value) for name, value in trigger_of(run).items()},
    )  # fmt: skip


@transaction.atomic
def data_choose(*, actor: Actor, workflow: Workflow, run: Run | None = None, sample: Sample | None = None) -> None:
    """Build with the data of an earlier run or a sample; without either with the latest again.

    Raises Conflict for a run of another workflow, NotFound for a sample that is gone by now.
    """
    require_operation(actor, "run.test")
    chosen = run or sample
    if chosen is not None and chosen.workflow_id != workflow.pk:
        raise Conflict(_("This run belongs to another workflow, so its data cannot be used here."))
    if chosen is not None:
        # Whoever chooses, or keeps a sample in the place of an old one, does so one after the other.
        rows = Workflow.objects.for_tenant(actor.tenant).filter(pk=workflow.pk)
        rows.select_for_update(no_key=True).values_list("pk").first()
    if sample is not None:
        sample = sample_of(workflow=workflow, pk=sample.pk)
    TestData.objects.for_tenant(actor.tenant).filter(workflow=workflow).delete()
    if chosen is not None:
        TestData(tenant=actor.tenant, workflow=workflow, run=run, sample=sample).save(force_insert=True)
    # Everybody who builds the workflow sees other data from now on.
    audit.record(actor=actor, action="workflow.data_chosen", target=workflow)


def data_chosen(workflow: Workflow) -> TestData | None:
    """Return what was chosen in place of the latest data, None where nothing was."""
    rows = TestData.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    found: TestData | None = rows.select_related("run", "run__version", "sample").first()
    return found


def received(trigger: Trigger, *, count: int = RECEIVED_SHOWN) -> list[Received]:
    """Return the last requests that a trigger got, newest first, whether or not they started a run."""
    samples = Sample.objects.for_tenant(trigger.tenant_id).filter(trigger=trigger).order_by("-id")[:count]
    runs = Run.objects.for_tenant(trigger.tenant_id).filter(workflow=trigger.workflow_id).exclude(kind=RunKind.STEP)
    # Of a workflow with several triggers: those among its latest.
    latest = list(runs.order_by("-id").values_list("pk", "trigger_key", "kind")[: count * 5])
    own = [pk for pk, key, kind in latest if key == trigger.key or kind == RunKind.TEST][:count]
    rows = runs.filter(pk__in=own).only("tenant_id", "status", "trigger", "trigger_ref", "created_at")
    found = [
        Received(run_id=None, sample_id=row.pk, at=row.created_at, status="", body=row.document.get("body"))
        for row in samples
    ]
    found += [
        Received(run_id=row.pk, sample_id=None, at=row.created_at, status=str(row.status), body=_short_body(row))
        for row in rows
    ]
    return sorted(found, key=lambda each: each.run_id or each.sample_id or 0, reverse=True)[:count]


def _short_body(run: Run) -> JSONValue:
    return run.trigger.get("body") if isinstance(run.trigger, dict) else None


def last_trigger(workflow: Workflow, *, chosen: TestData | None, packed: bool = False) -> dict[str, JSONValue] | None:
    """Return the trigger that the draft is built with, None before the first; ``chosen`` is what data_chosen gives.

    What is large in it is Large with ``packed``; else it is opened, and null where it is more than a body may have.
    """
    trigger = _last_trigger(workflow, chosen)
    return trigger if trigger is None or packed else {name: _opened(value) for name, value in trigger.items()}


def _last_trigger(workflow: Workflow, chosen: TestData | None) -> dict[str, JSONValue] | None:
    if chosen is not None:
        return trigger_of(chosen.run) if chosen.run else dict(chosen.sample.document if chosen.sample else {})
    runs = Run.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    run = runs.only("tenant_id", "trigger", "trigger_ref").order_by("-id").first()
    sample = Sample.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).order_by("-id").first()
    if sample is not None and (run is None or sample.pk > run.pk):
        return dict(sample.document)
    return trigger_of(run) if run else None


def _opened(value: Any) -> JSONValue:
    if not isinstance(value, Large):
        return value  # type: ignore[no-any-return]
    found: JSONValue = value.open() if value.size <= jsongate.MAX_BYTES else None
    return found


def last_outputs(
    workflow: Workflow,
    *,
    chosen: TestData | None,
    paths: Collection[str] | None = None,
    largest: int | None = None,
) -> dict[str, dict[str, JSONValue]]:
    """Return the output of each step that the draft is built with, as ``{key: {"output", "status", "run"}}``.

    ``paths`` are where to look, by default those of the draft's steps; outputs beyond ``largest`` bytes are left out.
    """
    rows = _last_rows(workflow, paths, chosen).filter(status=StepStatus.SUCCEEDED)
    # Two steps: the outputs of twenty runs may be large, and one of each key is wanted.
    triples = list(rows.values_list("key", "pk", "run_id", "run__kind"))
    triples.sort(key=lambda triple: (_rank(triple[2], triple[3], chosen), triple[1]))
    latest = {key: pk for key, pk, _run, _kind in triples}
    found = list(rows.filter(pk__in=latest.values()).only("run_id", "tenant_id", "key", "output", "output_ref"))
    payloads = Payload.objects.for_tenant(workflow.tenant_id).filter(
        run__in={row.run_id for row in found}, pk__in=[row.output_ref for row in found if row.output_ref is not None]
    )
    stored = (payloads if largest is None else payloads.filter(size__lte=largest)).in_bulk()
    return {
        row.key: {
            "output": row.output if row.output_ref is None else lean(stored[row.output_ref]),
            "status": StepStatus.SUCCEEDED.value,
            "run": str(row.run_id),
        }
        for row in found
        if row.output_ref is None or row.output_ref in stored
    }


def _rank(run_id: int, kind: str, chosen: TestData | None) -> int:
    """Return how much a run's outputs count beside others'."""
    if chosen is None or chosen.run_id is None:
        return 0
    if kind == RunKind.STEP and run_id > chosen.pk:
        return 2
    return 1 if run_id == chosen.run_id else 0


def last_attempts(workflow: Workflow, *, paths: Collection[str] | None = None) -> dict[str, StepRun]:
    """Return each step's latest attempt among the workflow's last runs, without its data: what an outline shows."""
    return {row.key: row for row in _last_rows(workflow, paths).only(*_SHORT)}


def last_attempt(
    workflow: Workflow, key: str, statuses: Collection[str], *, paths: Collection[str] | None = None
) -> StepRun | None:
    """Return the latest attempt of one step with one of these statuses, in full, among the workflow's last runs."""
    found: StepRun | None = _last_rows(workflow, paths).filter(key=key, status__in=statuses).last()
    return found


def _last_rows(workflow: Workflow, paths: Collection[str] | None, chosen: TestData | None = None) -> QuerySet[StepRun]:
    """Return attempts of the workflow's last runs at these paths, oldest first: of loops the first few items."""
    runs = Run.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).order_by("-id")
    ids = list(runs.values_list("pk", flat=True)[:_RUNS_LOOKED_AT])
    if chosen is not None and chosen.run_id is not None:
        ids.append(chosen.run_id)
    wanted = sample_paths(tree(draft_document(workflow))) if paths is None else list(paths)
    return StepRun.objects.for_tenant(workflow.tenant_id).filter(run__in=ids, path__in=wanted).order_by("id")


def sample_of(*, workflow: Workflow, pk: int) -> Sample:
    """Return a sample of a workflow. Raises NotFound."""
    found: Sample | None = Sample.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, pk=pk).first()
    if found is None:
        raise NotFound(_("This sample is not kept any more: only the last few of each trigger are."))
    return found

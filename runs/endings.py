"""What follows from the end of a run, in the transaction that ends it.

1. The run that called it is woken.
2. Runs that it called are cancelled, unless they have ended: nobody waits for them any more.
3. A live run that failed starts its workflow's error workflow, and those whose triggers hear of it.
4. A run that a limit held back takes its place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db.models import Case, F, Q, Value, When
from django.utils import timezone

from orchestrator.flow.names import TriggerType
from orchestrator.flow.tools import AGENT
from orchestrator.workflows.models import Trigger, Workflow, WorkflowVersion
from runs import limits, tracing
from runs.engine.classify import interrupted
from runs.engine.records import Failure
from runs.models import Run, StepRun
from runs.states import RUN_TERMINAL, FailureKind, RunKind, RunStatus, StepStatus

# Triggers that are told of one batch of failures.
MOST_LISTENING: Final = 200
# Steps that the engine runs itself: nothing of theirs can be lost.
_HELD_OPEN: Final = Q(action__startswith="flow.") | Q(action=AGENT)
_ALIVE: Final = [status.value for status in RunStatus if status not in RUN_TERMINAL]
_OPEN: Final = [StepStatus.RUNNING.value, StepStatus.WAITING.value]


def runs_ended(run_ids: Iterable[int], *, now: datetime) -> None:
    """Do what follows from the end of these runs; call it in the transaction that ended them."""
    columns = ("pk", "tenant_id", "workflow_id", "version_id", "parent_id", "status", "kind", "trigger_type", "error")
    ended = list(Run.unscoped.filter(pk__in=list(run_ids)).values(*columns))
    if not ended:
        return
    signal({row["parent_id"] for row in ended if row["parent_id"]}, now=now)
    cancel_called_runs([row["pk"] for row in ended], now=now)
    _start_error_workflows([row for row in ended if _is_reported(row)])
    limits.release(
        workflows={row["workflow_id"] for row in ended}, tenants={row["tenant_id"] for row in ended}, now=now
    )


def signal(run_ids: Iterable[int], *, now: datetime) -> None:
    """Have runs look at what was answered from outside: at once where they wait, else where they are driven."""
    wanted = sorted(run_ids)
    if wanted:
        waits = When(status=RunStatus.WAITING, then=Value(now))
        Run.unscoped.filter(pk__in=wanted, status__in=_ALIVE).update(
            signals=F("signals") + 1, wake_at=Case(waits, default=F("wake_at"))
        )


def cancel_called_runs(run_ids: Iterable[int], *, now: datetime) -> None:
    """Cancel what ended runs called and did not wait for, and what that called in turn."""
    children = Run.unscoped.filter(parent__in=list(run_ids), status__in=_ALIVE)
    alive = list(children.values_list("pk", "status"))
    if not alive:
        return
    driven = [pk for pk, status in alive if status == RunStatus.RUNNING]
    Run.unscoped.filter(pk__in=driven).update(cancel_requested_at=now, revision=F("revision") + 1)
    end_undriven([pk for pk, status in alive if status != RunStatus.RUNNING], RunStatus.CANCELLED, None, now=now)


def end_undriven(run_ids: Iterable[int], status: RunStatus, failure: Failure | None, *, now: datetime) -> int:
    """End queued and waiting runs, and what follows; return how many there were."""
    wanted = list(run_ids)
    rows = Run.unscoped.filter(pk__in=wanted, status__in=[RunStatus.QUEUED, RunStatus.WAITING])
    count = rows.update(
        status=status,
        failure_kind=failure.kind if failure else "",
        error={**failure.as_document(), "path": ""} if failure else None,
        finished_at=now,
        wake_at=None,
        waiting_for=None,
        revision=F("revision") + 1,
    )
    if count:
        ended = list(Run.unscoped.filter(pk__in=wanted, status=status, finished_at=now).values_list("pk", flat=True))
        end_open_steps(ended, now=now)
        runs_ended(ended, now=now)
        tracing.undriven_ended(ended, now=now)
    return count


def end_open_steps(run_ids: Iterable[int], *, now: datetime, lost: bool = False) -> None:
    """End what is still open in runs that have ended without a driver; ``lost``: their worker went away."""
    rows = StepRun.unscoped.filter(run__in=list(run_ids), status__in=_OPEN)
    if lost:
        rows.filter(status=StepStatus.RUNNING).exclude(_HELD_OPEN).update(
            status=StepStatus.LOST,
            failure_kind=FailureKind.OUTCOME_UNKNOWN,
            error=interrupted().as_document(),
            finished_at=now,
        )
    rows.update(status=StepStatus.CANCELLED, finished_at=now)


def _is_reported(row: Mapping[str, Any]) -> bool:
    """Whether an error workflow hears of this run: an error workflow's own failures would go round in circles."""
    if row["kind"] != RunKind.LIVE or row["trigger_type"] == TriggerType.ERROR:
        return False
    return bool(row["status"] == RunStatus.FAILED)


def _start_error_workflows(failed: Sequence[Mapping[str, Any]]) -> None:
    """Start what is told of these failures: by the failed workflow's setting, and by triggers of others."""
    failed = _outside_error_workflows(failed) if failed else ()
    if not failed:
        return
    rows = WorkflowVersion.unscoped.filter(pk__in={row["version_id"] for row in failed})
    slugs = {
        pk: (definition.get("settings") or {}).get("error_workflow")
        for pk, definition in rows.values_list("pk", "definition")
    }
    listening = _listening({row["tenant_id"] for row in failed})
    for row in failed:
        slug = slugs.get(row["version_id"])
        triggers = listening.get(row["tenant_id"], ())
        if slug or triggers:
            _tell(row, slug, triggers)


def _outside_error_workflows(failed: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the failures of runs that no error workflow called, at whatever depth: they would start it again."""
    above = {row["pk"]: row["parent_id"] for row in failed}
    inside: set[int] = set()
    while wanted := {parent for parent in above.values() if parent is not None}:
        parents = {
            pk: (parent, kind)
            for pk, parent, kind in Run.unscoped.filter(pk__in=wanted).values_list("pk", "parent_id", "trigger_type")
        }
        for pk, parent in above.items():
            next_up, kind = parents.get(parent, (None, "")) if parent is not None else (None, "")
            if kind == TriggerType.ERROR:
                inside.add(pk)
            above[pk] = None if pk in inside else next_up
    return [row for row in failed if row["pk"] not in inside]


def _listening(tenant_ids: Collection[int]) -> dict[int, list[Trigger]]:
    """Return the live triggers that hear of failures, by tenant; one query."""
    rows = Trigger.unscoped.filter(
        tenant__in=tenant_ids,
        type=TriggerType.ERROR.value,
        live_config__isnull=False,
        workflow__enabled=True,
        workflow__published_version__isnull=False,
    )
    found: dict[int, list[Trigger]] = defaultdict(list)
    for row in rows.select_related("workflow").order_by("pk")[:MOST_LISTENING]:
        found[row.tenant_id].append(row)
    return found


def _tell(row: Mapping[str, Any], slug: str | None, triggers: Sequence[Trigger]) -> None:
    """Insert a run of each error workflow that hears of a failed run; nothing where it cannot run."""
    workflows = Workflow.objects.for_tenant(row["tenant_id"])
    failed = workflows.filter(pk=row["workflow_id"]).values("pk", "name", "slug").first()
    if failed is None:
        return
    told: dict[int, tuple[Workflow, str]] = {}
    if slug:
        chosen = workflows.filter(slug=slug, enabled=True, published_version__isnull=False).first()
        if chosen is not None:
            told[chosen.pk] = (chosen, "")
    for trigger in triggers:
        listed = (trigger.live_config or {}).get("workflows")
        if listed is None or failed["slug"] in listed:
            told.setdefault(trigger.workflow_id, (trigger.workflow, trigger.key))
    told.pop(row["workflow_id"], None)
    Run.unscoped.bulk_create(
        [_error_run(row, failed, workflow, key) for workflow, key in told.values()], ignore_conflicts=True
    )


def _error_run(row: Mapping[str, Any], failed: Mapping[str, Any], workflow: Workflow, key: str) -> Run:
    trigger = {
        "type": TriggerType.ERROR.value,
        "key": key,
        "body": {
            "run": {"id": str(row["pk"])},
            "workflow": {"id": str(failed["pk"]), "name": failed["name"], "slug": failed["slug"]},
            "error": row["error"],
        },
        "headers": {},
        "query": {},
        "method": None,
        "received_at": timezone.now().isoformat(),
    }
    assert workflow.published_version_id is not None
    return Run(
        tenant_id=row["tenant_id"],
        workflow_id=workflow.pk,
        version_id=workflow.published_version_id,
        trigger_type=TriggerType.ERROR.value,
        trigger_key=key,
        trigger=trigger,
        # Once of each workflow for a failure, whoever asks for it.
        dedupe_key=f"error:{row['pk']}",
    )

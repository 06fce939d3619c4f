"""What follows from the end of a run, in the transaction that ends it.

1. The run that called it is woken.
2. Runs that it called are cancelled, unless they have ended: nobody waits for them any more.
3. A live run that failed starts its workflow's error workflow.
4. A run that a limit held back takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from django.db.models import Case, F, Value, When
from django.utils import timezone

from orchestrator.flow.names import TriggerType
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs import limits
from runs.engine.classify import interrupted
from runs.engine.records import Failure
from runs.models import Run, StepRun
from runs.states import RUN_TERMINAL, FailureKind, RunKind, RunStatus, StepStatus

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
    return count


def end_open_steps(run_ids: Iterable[int], *, now: datetime, lost: bool = False) -> None:
    """End what is still open in runs that have ended without a driver; ``lost``: their worker went away."""
    rows = StepRun.unscoped.filter(run__in=list(run_ids), status__in=_OPEN)
    if lost:
        rows.filter(status=StepStatus.RUNNING).exclude(action__startswith="flow.").update(
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


def _start_error_workflows(failed: list[dict[str, Any]]) -> None:
    if not failed:
        return
    rows = WorkflowVersion.unscoped.filter(pk__in={row["version_id"] for row in failed})
    slugs = {
        pk: (definition.get("settings") or {}).get("error_workflow")
        for pk, definition in rows.values_list("pk", "definition")
    }
    for row in failed:
        slug = slugs.get(row["version_id"])
        if slug:
            _start_error_workflow(row, slug)


def _start_error_workflow(row: Mapping[str, Any], slug: str) -> None:
    """Insert a run of the error workflow that is told of the failed run; nothing where it cannot run."""
    workflows = Workflow.objects.for_tenant(row["tenant_id"])
    found = workflows.filter(slug=slug, enabled=True, published_version__isnull=False).first()
    failed = workflows.filter(pk=row["workflow_id"]).values("pk", "name", "slug").first()
    if found is None or found.published_version_id is None or failed is None or found.pk == row["workflow_id"]:
        return
    trigger = {
        "type": TriggerType.ERROR.value,
        "key": "",
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
    Run.unscoped.bulk_create(
        [
            Run(
                tenant_id=row["tenant_id"],
                workflow_id=found.pk,
                version_id=found.published_version_id,
                trigger_type=TriggerType.ERROR.value,
                trigger=trigger,
                dedupe_key=f"error:{row['pk']}",
            )
        ],
        ignore_conflicts=True,
    )

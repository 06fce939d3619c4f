"""What alerts are told of: a few queries over all tenants, however many runs there are."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Exists, Max, Min, OuterRef, TextField
from django.db.models.functions import Cast

from orchestrator.alerts.kinds import Event
from orchestrator.alerts.models import Alert
from orchestrator.alerts.standing import Seen
from orchestrator.flow.names import TriggerType
from orchestrator.ids import first_id_at
from orchestrator.vault.models import Credential, Health
from orchestrator.workflows.models import Trigger, Workflow, WorkflowVersion
from runs.clock import kept_moment
from runs.models import Run
from runs.states import RunKind, RunStatus

# An end is committed after its time: later than the longest lease can be by nobody.
LATE: Final = timedelta(minutes=2)
# A run that succeeded of late may have been made so long before; so many of the newest are looked through.
_LONG_RUN: Final = timedelta(days=7)
_LOOKED_THROUGH: Final = (20, 2_000)
_NEEDING: Final = (Health.EXPIRING, Health.RECONNECT)
_GAP_KEPT: Final = timedelta(days=1)


def failures(tenants: Collection[int], since: datetime) -> Iterator[Seen]:
    """Yield the workflows of which live runs failed since then; one query of the index of failures."""
    rows = Run.unscoped.filter(
        status=RunStatus.FAILED, kind=RunKind.LIVE, finished_at__gt=since - LATE, tenant__in=tenants
    )
    grouped = (
        rows.order_by().values("tenant_id", "workflow_id").annotate(first=Min("finished_at"), at=Max("finished_at"))
    )
    for row in grouped:
        yield Seen(
            tenant_id=row["tenant_id"],
            event=Event.RUN_FAILED,
            subject=f"workflow:{row['workflow_id']}",
            workflow_id=row["workflow_id"],
            at=row["at"],
            first_at=row["first"],
        )


def recovered(now: datetime) -> set[int]:
    """Return the alerts of failing workflows that work again: a run made after the last failure succeeded.

    Two queries; what failed a moment ago is not asked about.
    """
    firing = Alert.unscoped.filter(firing=True, event=Event.RUN_FAILED)
    settled = [
        pk
        for pk, last_at, minutes in firing.values_list("pk", "last_at", "settle_minutes")
        if last_at is not None and now - last_at >= timedelta(minutes=minutes)
    ]
    if not settled:
        return set()
    good = Run.unscoped.filter(
        workflow=OuterRef("workflow"), kind=RunKind.LIVE, status=RunStatus.SUCCEEDED, pk__gt=OuterRef("after_id")
    )
    return set(Alert.unscoped.filter(Exists(good), pk__in=settled).values_list("pk", flat=True))


def returned(tenants: Collection[int], since: datetime) -> Iterator[Seen]:
    """Yield the workflows that went back to an earlier version by themselves since then."""
    rows = WorkflowVersion.unscoped.filter(tenant__in=tenants, returned_at__gt=since - LATE)
    found = rows.order_by("returned_at").values(
        "tenant_id", "workflow_id", "returned_at", "number", "replaced__number", "return_counts"
    )
    for row in found:
        counts = row["return_counts"] or {}
        yield Seen(
            tenant_id=row["tenant_id"],
            event=Event.RETURNED,
            subject=f"workflow:{row['workflow_id']}",
            workflow_id=row["workflow_id"],
            at=row["returned_at"],
            count=1,
            detail={
                "number": row["number"],
                "live": row["replaced__number"],
                "failed": counts.get("failed", 0),
                "runs": counts.get("runs", 0),
            },
        )


def silences(now: datetime) -> Iterator[Seen]:
    """Yield every tenant's workflows that are watched for silence, each with its last success; a query each."""
    rows = Workflow.unscoped.filter(enabled=True, published_version__isnull=False)
    # A text to the database, in which nothing is looked up but whether the word is there.
    marked = rows.annotate(text=Cast("settings", TextField())).filter(text__contains="silent_after")
    for tenant_id, pk, settings in marked.values_list("tenant_id", "pk", "settings"):
        minutes = (settings or {}).get("silent_after")
        if isinstance(minutes, int) and minutes > 0:
            yield Seen(
                tenant_id=tenant_id,
                event=Event.SILENT,
                subject=f"workflow:{pk}",
                workflow_id=pk,
                at=_last_success(tenant_id, pk, now - timedelta(minutes=minutes)),
                detail={"minutes": minutes},
            )


def _last_success(tenant_id: int, workflow_id: int, since: datetime) -> datetime | None:
    """Return the last success since then: of the newest few runs mostly, else of some more of them."""
    rows = Run.objects.for_tenant(tenant_id).filter(
        workflow=workflow_id, kind=RunKind.LIVE, pk__gte=first_id_at(since - _LONG_RUN)
    )
    ended = rows.order_by("-pk").values_list("status", "finished_at")
    for most in _LOOKED_THROUGH:
        # Read here: a database that sorts out what succeeded may look through all that the workflow ever ran.
        good = [at for status, at in ended[:most] if status == RunStatus.SUCCEEDED and at is not None and at > since]
        if good:
            return max(good)
    return None


def missed_slots(now: datetime) -> Iterator[Seen]:
    """Yield every tenant's schedules of which a time came of late and no run was made."""
    rows = Trigger.unscoped.filter(type=TriggerType.SCHEDULE.value, live_config__isnull=False)
    marked = rows.annotate(text=Cast("state", TextField())).filter(text__contains="noted_at")
    for tenant_id, pk, workflow_id, key, state in marked.values_list("tenant_id", "pk", "workflow_id", "key", "state"):
        gap: dict[str, Any] = (state or {}).get("last_gap") or {}
        at = kept_moment(gap.get("noted_at"))
        count = int(gap.get("missed") or 0) + int(gap.get("left_out") or 0)
        if at is not None and count and now - at < _GAP_KEPT:
            detail = {"missed": gap.get("missed") or 0, "left_out": gap.get("left_out") or 0, "key": key}
            yield Seen(
                tenant_id=tenant_id,
                event=Event.MISSED,
                subject=f"trigger:{pk}",
                workflow_id=workflow_id,
                at=at,
                count=count,
                detail=detail,
            )


def credentials(tenants: Collection[int]) -> Iterator[Seen]:
    """Yield the credentials that need somebody: they end soon, have ended, or are refused."""
    rows = Credential.unscoped.filter(tenant__in=tenants, health__in=_NEEDING)
    for tenant_id, pk, health, message in rows.values_list("tenant_id", "pk", "health", "health_message"):
        yield Seen(
            tenant_id=tenant_id,
            event=Event.CREDENTIAL,
            subject=f"credential:{pk}",
            credential_id=pk,
            at=None,
            detail={"health": health, "message": message},
        )


def credentials_well() -> set[int]:
    """Return the alerts of credentials that need nobody any more."""
    rows = Alert.unscoped.filter(firing=True, event=Event.CREDENTIAL)
    return set(rows.exclude(credential__health__in=_NEEDING).values_list("pk", flat=True))


def unwatched(watched: Collection[str]) -> list[int]:
    """Return the alerts of workflows that are not watched for silence any more: somebody decided so."""
    rows = Alert.unscoped.filter(event=Event.SILENT).values_list("pk", "subject")
    return [pk for pk, subject in rows if subject not in watched]

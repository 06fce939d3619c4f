"""Reads for lists of workflows: the last day by hour, typical times, last runs, and what keeps failing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from django.db.models import Count, F, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.ids import HOUR_OF_ID, first_id_at
from orchestrator.tenants.models import Tenant
from orchestrator.words import duration
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run
from runs.outline import outline
from runs.paths import key_of_path, without_items
from runs.states import RUN_TERMINAL, RunKind, RunStatus

HOURS: Final = 24
DAY: Final = timedelta(days=1)
# How many of the latest finished runs say what is typical: bounded, whatever the tenant's volume.
_SAMPLE: Final = 2_000
_FAILURES_LOOKED_AT: Final = 500
_RANGE_SAMPLE: Final = 50
_RANGE_LEAST: Final = 3


@dataclass(frozen=True, kw_only=True)
class Hour:
    """Runs started in one hour, and how many of them failed."""

    total: int = 0
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a workflow did of late. ``hours`` are the last 24, oldest first; ``typical_ms`` the median of its runs."""

    hours: tuple[Hour, ...] = (Hour(),) * HOURS
    typical_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Today:
    """The tenant's runs since midnight of its own time zone."""

    total: int
    succeeded: int
    failed: int
    running: int


@dataclass(frozen=True, kw_only=True)
class Failing:
    """A workflow whose latest finished run failed, with how many stopped for the same reason in the last day."""

    workflow_id: int
    workflow_name: str
    run_id: int
    count: int
    step: str
    message: str


def today(tenant: Tenant) -> Today:
    """Count the runs of today, in one query."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    counts = (
        _live(tenant)
        .filter(pk__gte=first_id_at(midnight))
        .aggregate(
            total=Count("pk"),
            succeeded=Count("pk", filter=Q(status=RunStatus.SUCCEEDED)),
            failed=Count("pk", filter=Q(status=RunStatus.FAILED)),
            running=Count("pk", filter=Q(status__in=[RunStatus.RUNNING, RunStatus.QUEUED])),
        )
    )
    return Today(**counts)


def with_last_run(tenant: Tenant, rows: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Return the workflows annotated with ``last_run_id``, ``last_run_status`` and ``last_run_at``.

    ``last_outcome`` is the status of the latest live run that succeeded or failed.
    """
    latest = _live(tenant).filter(workflow=OuterRef("pk")).order_by("-pk")
    finished = latest.filter(status__in=[RunStatus.SUCCEEDED, RunStatus.FAILED])
    return rows.annotate(
        last_run_id=Subquery(latest.values("pk")[:1]),
        last_run_status=Subquery(latest.values("status")[:1]),
        last_run_at=Subquery(latest.values("created_at")[:1]),
        last_outcome=Subquery(finished.values("status")[:1]),
    )


def activity(tenant: Tenant, workflow_ids: Sequence[int]) -> dict[int, Activity]:
    """Return the last day and the typical time of each workflow; two queries however many there are."""
    hours, typical = _hours(tenant, workflow_ids), _typical(tenant)
    return {pk: Activity(hours=hours[pk], typical_ms=typical.get(pk)) for pk in workflow_ids}


def _hours(tenant: Tenant, workflow_ids: Sequence[int]) -> dict[int, tuple[Hour, ...]]:
    last = first_id_at(timezone.now()) // HOUR_OF_ID
    first = max(0, last - HOURS + 1)
    counted: dict[tuple[int, int], Hour] = {}
    rows = (
        _live(tenant)
        .filter(pk__gte=first * HOUR_OF_ID, workflow__in=workflow_ids)
        .annotate(hour=F("pk") / HOUR_OF_ID)
        .order_by()
        .values("workflow_id", "hour")
        .annotate(total=Count("pk"), failed=Count("pk", filter=Q(status=RunStatus.FAILED)))
    )
    for row in rows:
        counted[row["workflow_id"], int(row["hour"])] = Hour(total=row["total"], failed=row["failed"])
    slots = range(last - HOURS + 1, last + 1)
    return {pk: tuple(counted.get((pk, slot), Hour()) for slot in slots) for pk in workflow_ids}


def _typical(tenant: Tenant) -> Mapping[int, float]:
    times: dict[int, list[float]] = defaultdict(list)
    rows = _live(tenant).filter(status=RunStatus.SUCCEEDED, started_at__isnull=False).order_by("-pk")
    for workflow_id, started, finished in rows.values_list("workflow_id", "started_at", "finished_at")[:_SAMPLE]:
        times[workflow_id].append(milliseconds(started, finished))
    return {workflow_id: median(values) for workflow_id, values in times.items()}


def typical_range(tenant: Tenant, workflow_id: int) -> str:
    """Return how long the workflow usually takes, as ``1.9 s to 2.4 s``; empty before three runs have succeeded."""
    rows = _live(tenant).filter(workflow=workflow_id, status=RunStatus.SUCCEEDED).order_by("-pk")
    times = sorted(milliseconds(*pair) for pair in rows.values_list("started_at", "finished_at")[:_RANGE_SAMPLE])
    if len(times) < _RANGE_LEAST:
        return ""
    low, high = (duration(times[len(times) * part // 4]) for part in (1, 3))
    return low if low == high else _("%(low)s to %(high)s") % {"low": low, "high": high}


def failing(tenant: Tenant) -> list[Failing]:
    """Return what failed in the last day and has not succeeded since, grouped by workflow and cause; three queries.

    ``step`` is the name of the step where the runs stopped.
    """
    since = first_id_at(timezone.now() - DAY)
    rows = _live(tenant).filter(pk__gte=since, status=RunStatus.FAILED).order_by("-pk")
    failed = rows.values("pk", "workflow_id", "workflow__name", "version_id", "error")[:_FAILURES_LOOKED_AT]
    good = _live(tenant).filter(pk__gte=since, status=RunStatus.SUCCEEDED).order_by().values("workflow_id")
    newest_good = dict(good.annotate(newest=Max("pk")).values_list("workflow_id", "newest"))
    groups: dict[tuple[int, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in failed:
        error = row["error"] or {}
        if row["pk"] > newest_good.get(row["workflow_id"], 0):
            # The same cause in another item of a loop is the same cause.
            place = without_items(str(error.get("path", "")))
            groups[row["workflow_id"], place, str(error.get("message", ""))].append(row)
    names = _step_names(tenant, {found[0]["version_id"] for found in groups.values()})
    return [
        Failing(
            workflow_id=workflow_id,
            workflow_name=found[0]["workflow__name"],
            run_id=found[0]["pk"],
            count=len(found),
            step=names.get((found[0]["version_id"], key_of_path(path)), path),
            message=message,
        )
        for (workflow_id, path, message), found in groups.items()
    ]


def _step_names(tenant: Tenant, version_ids: Iterable[int]) -> dict[tuple[int, str], str]:
    rows = WorkflowVersion.objects.for_tenant(tenant).filter(pk__in=version_ids)
    found = rows.values_list("pk", "definition")
    return {(pk, step.key): step.name for pk, definition in found for step in outline(definition)}


def milliseconds(start: datetime | None, end: datetime | None) -> float:
    """Return the time between two moments in milliseconds, never below zero: hosts' clocks differ."""
    if start is None or end is None:
        return 0.0
    return max(0.0, (end - start) / timedelta(milliseconds=1))


def in_progress(tenant: Tenant, workflow_id: int) -> int:
    """Return how many of a workflow's live runs have not ended."""
    return _live(tenant).filter(workflow=workflow_id).exclude(status__in=RUN_TERMINAL).count()


def _live(tenant: Tenant) -> QuerySet[Run]:
    return Run.objects.for_tenant(tenant).filter(kind=RunKind.LIVE)

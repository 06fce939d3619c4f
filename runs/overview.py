"""Reads for lists of workflows: the last day by hour, typical times, last runs, and what keeps failing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.ids import HOUR_OF_ID, first_id_at
from orchestrator.tenants.models import Tenant
from orchestrator.words import duration
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run
from runs.outline import outline
from runs.paths import key_of_path, without_items
from runs.states import RunKind, RunStatus

HOURS: Final = 24
DAY: Final = timedelta(days=1)
# Nothing here reads more than this of a tenant's runs at once, whatever its volume: what is beyond is said to be.
COUNTED: Final = 20_000
# How many of the latest runs say what is typical, and how a busy tenant's workflow did.
_SAMPLE: Final = 2_000
VERSION_SAMPLE: Final = 5_000
_NEWEST: Final = 250
FAILING_SHOWN: Final = 10
FAILURES_COUNTED: Final = 200
_STILL_FAILING: Final = timedelta(days=7)
_RANGE_SAMPLE: Final = 50
_RANGE_LEAST: Final = 3


@dataclass(frozen=True, kw_only=True)
class Hour:
    """Runs started in one hour, and how many of them failed; ``is_known`` is False for what was not counted."""

    total: int = 0
    failed: int = 0
    is_known: bool = True


@dataclass(frozen=True, kw_only=True)
class VersionRuns:
    """Runs of one version, and how many of them failed."""

    total: int = 0
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class RunsByVersion:
    """Runs by the id of their version; ``is_cut`` where older runs were not counted."""

    counts: Mapping[int, VersionRuns]
    is_cut: bool


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What a workflow did of late. ``hours`` are the last 24, oldest first; ``typical_ms`` the median of its runs."""

    hours: tuple[Hour, ...] = (Hour(),) * HOURS
    typical_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Today:
    """The tenant's runs since midnight of its own time zone, the last COUNTED of them."""

    total: int
    succeeded: int
    failed: int
    running: int

    @property
    def is_all(self) -> bool:
        return self.total < COUNTED


@dataclass(frozen=True, kw_only=True)
class Failing:
    """A workflow whose latest finished run failed, and how many stopped for the same reason since it last succeeded.

    ``count`` ends at FAILURES_COUNTED.
    """

    workflow_id: int
    workflow_name: str
    run_id: int
    count: int
    step: str
    message: str


def today(tenant: Tenant) -> Today:
    """Count the runs of today, in one query."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = _live(tenant).filter(pk__gte=first_id_at(midnight)).order_by("-pk")
    # Marked before the cut and added up after it: what is cut can be filtered no more.
    marks = {f"is_{word}": Case(When(status__in=of, then=1), default=0) for word, of in _TOLD.items()}
    cut = rows.annotate(**marks).values(*marks)[:COUNTED]
    counts = cut.aggregate(total=Count("*"), **{word: Sum(f"is_{word}") for word in _TOLD})
    return Today(**{word: count or 0 for word, count in counts.items()})


_TOLD: Final = {
    "succeeded": (RunStatus.SUCCEEDED,),
    "failed": (RunStatus.FAILED,),
    "running": (RunStatus.RUNNING, RunStatus.QUEUED),
}


def with_last_run(tenant: Tenant, rows: QuerySet[Workflow]) -> QuerySet[Any]:
    """Return the workflows annotated with ``last_run_id``, ``last_run_status`` and ``last_run_at``.

    ``last_outcome`` is the status of the latest live run that succeeded or failed; ``standing`` one word for the
    workflow, in which what asks for action comes first.
    """
    latest = _live(tenant).filter(workflow=OuterRef("pk")).order_by("-pk")
    finished = latest.filter(status__in=[RunStatus.SUCCEEDED, RunStatus.FAILED])
    return rows.annotate(
        last_run_id=Subquery(latest.values("pk")[:1]),
        last_run_status=Subquery(latest.values("status")[:1]),
        last_run_at=Subquery(latest.values("created_at")[:1]),
        last_outcome=Subquery(finished.values("status")[:1]),
    ).annotate(standing=_STANDING)


# A case for each word, in this order.
_STANDING: Final = Case(
    When(published_version__isnull=True, then=Value("draft")),
    When(enabled=True, last_outcome=RunStatus.FAILED, then=Value("failing")),
    When(enabled=False, then=Value("disabled")),
    When(last_run_status__in=[RunStatus.RUNNING, RunStatus.QUEUED], then=Value("running")),
    When(last_outcome__isnull=False, then=Value("healthy")),
    default=Value("published"),
)
STANDINGS: Final = ("failing", "running", "healthy", "published", "disabled", "draft")


def activity(tenant: Tenant, workflow_ids: Sequence[int]) -> dict[int, Activity]:
    """Return the last day and the typical time of each workflow.

    Three queries however many workflows there are; one for each of them where the tenant had more than COUNTED runs in
    the day, of which each workflow's newest are counted then.
    """
    last = first_id_at(timezone.now()) // HOUR_OF_ID
    first = max(0, last - HOURS + 1)
    if _is_busy(tenant, first * HOUR_OF_ID):
        hours = {pk: _newest_hours(tenant, pk, first, last) for pk in workflow_ids}
    else:
        hours = _hours(tenant, workflow_ids, first, last)
    typical = _typical(tenant)
    return {pk: Activity(hours=hours[pk], typical_ms=typical.get(pk)) for pk in workflow_ids}


def _is_busy(tenant: Tenant, since: int) -> bool:
    """Whether there are more runs than are counted, by the index alone."""
    ids = Run.objects.for_tenant(tenant).filter(pk__gte=since).order_by("-pk").values_list("pk", flat=True)
    return bool(ids[COUNTED : COUNTED + 1])


def _newest_hours(tenant: Tenant, workflow_id: int, first: int, last: int) -> tuple[Hour, ...]:
    """Return what the newest runs of one workflow say of the hours; those that they do not reach are not known."""
    rows = _live(tenant).filter(workflow=workflow_id, pk__gte=first * HOUR_OF_ID).order_by("-pk")
    found = list(rows.values_list("pk", "status")[:_NEWEST])
    total = Counter(pk // HOUR_OF_ID for pk, _status in found)
    failed = Counter(pk // HOUR_OF_ID for pk, status in found if status == RunStatus.FAILED)
    reached = found[-1][0] // HOUR_OF_ID if len(found) == _NEWEST else first
    slots = range(last - HOURS + 1, last + 1)
    return tuple(Hour(total=total[slot], failed=failed[slot], is_known=slot >= reached) for slot in slots)


def _hours(tenant: Tenant, workflow_ids: Sequence[int], first: int, last: int) -> dict[int, tuple[Hour, ...]]:
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
    """Return the median time of each workflow that succeeded among the tenant's newest runs."""
    times: dict[int, list[float]] = defaultdict(list)
    rows = _live(tenant).order_by("-pk").values_list("workflow_id", "status", "started_at", "finished_at")
    for workflow_id, status, started, finished in rows[:_SAMPLE]:
        if status == RunStatus.SUCCEEDED and started is not None:
            times[workflow_id].append(milliseconds(started, finished))
    return {workflow_id: median(values) for workflow_id, values in times.items()}


def typical_range(tenant: Tenant, workflow_id: int) -> str:
    """Return how long the workflow usually takes, as ``1.9 to 2.4 s``; empty before three runs have succeeded.

    The middle half of the last fifty that succeeded, looked for among its last two thousand runs.
    """
    latest = _live(tenant).filter(workflow=workflow_id).order_by("-pk").values("pk")[:_SAMPLE]
    rows = _live(tenant).filter(pk__in=latest, status=RunStatus.SUCCEEDED).order_by("-pk")
    times = sorted(milliseconds(*pair) for pair in rows.values_list("started_at", "finished_at")[:_RANGE_SAMPLE])
    if len(times) < _RANGE_LEAST:
        return ""
    low, high = (duration(times[len(times) * part // 4]) for part in (1, 3))
    if low == high:
        return low
    # Of one unit it is said once.
    number, _space, unit = low.partition(" ")
    said = number if unit in ("ms", "s") and high.partition(" ")[2] == unit else low
    return _("%(low)s to %(high)s") % {"low": said, "high": high}


def failing(tenant: Tenant) -> list[Failing]:
    """Return what fails and has not succeeded since, grouped by workflow and cause, the latest first.

    Two queries and one for each of at most FAILING_SHOWN workflows, whose newest runs are read by its own index.
    ``step`` is the name of the step where the runs stopped.
    """
    since = first_id_at(timezone.now() - _STILL_FAILING)
    rows = with_last_run(tenant, Workflow.objects.for_tenant(tenant)).filter(standing="failing", last_run_id__gte=since)
    workflows = list(rows.order_by("-last_run_id").values_list("pk", "name")[:FAILING_SHOWN])
    groups = {(pk, name, *cause): found for pk, name in workflows for cause, found in _causes(tenant, pk).items()}
    names = _step_names(tenant, {found[0].version_id for found in groups.values()})
    return [
        Failing(
            workflow_id=workflow_id,
            workflow_name=name,
            run_id=found[0].pk,
            count=len(found),
            step=names.get((found[0].version_id, key_of_path(path)), path),
            message=message,
        )
        for (workflow_id, name, path, message), found in groups.items()
    ]


def _causes(tenant: Tenant, workflow_id: int) -> dict[tuple[str, str], list[Run]]:
    """Return a workflow's runs that failed since it last succeeded, by path and message, newest first."""
    rows = _live(tenant).filter(workflow=workflow_id).order_by("-pk").only("status", "error", "version_id")
    causes: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in rows[:FAILURES_COUNTED]:
        if run.status == RunStatus.SUCCEEDED:
            break
        if run.status == RunStatus.FAILED:
            error = run.error or {}
            # The same cause in another item of a loop is the same cause.
            causes[without_items(str(error.get("path", ""))), str(error.get("message", ""))].append(run)
    return causes


def _step_names(tenant: Tenant, version_ids: Iterable[int]) -> dict[tuple[int, str], str]:
    rows = WorkflowVersion.objects.for_tenant(tenant).filter(pk__in=version_ids)
    found = rows.values_list("pk", "definition")
    return {(pk, step.key): step.name for pk, definition in found for step in outline(definition)}


def milliseconds(start: datetime | None, end: datetime | None) -> float:
    """Return the time between two moments in milliseconds, never below zero: hosts' clocks differ."""
    if start is None or end is None:
        return 0.0
    return max(0.0, (end - start) / timedelta(milliseconds=1))


def in_progress(tenant: Tenant, workflow_id: int) -> dict[int, int]:
    """Return how many of a workflow's live runs have not ended, by the number of their version; one query.

    Written by what each status leaves in a partial index, so that the runs that have ended are not looked through.
    """
    alive = (
        Q(lease_expires_at__isnull=False)
        | Q(wake_at__isnull=False)
        | Q(status=RunStatus.WAITING)
        | Q(status=RunStatus.QUEUED, wake_at__isnull=True)
    )
    rows = _live(tenant).filter(alive, workflow=workflow_id, version__number__isnull=False).order_by()
    return dict(rows.values_list("version__number").annotate(Count("pk")).order_by("version__number"))


def runs_by_version(tenant: Tenant, workflow_id: int) -> RunsByVersion:
    """Count a workflow's live runs and failures by version; one query, over the latest runs alone.

    They are counted here: a database that groups them may look through all runs to find those again.
    """
    latest = _live(tenant).filter(workflow=workflow_id).order_by("-pk")
    counted = Counter(latest.values_list("version_id", "status")[:VERSION_SAMPLE])
    totals: Counter[int] = Counter()
    for (version_id, _status), count in counted.items():
        totals[version_id] += count
    return RunsByVersion(
        counts={
            version_id: VersionRuns(total=total, failed=counted[version_id, RunStatus.FAILED.value])
            for version_id, total in totals.items()
        },
        is_cut=totals.total() >= VERSION_SAMPLE,
    )


def _live(tenant: Tenant) -> QuerySet[Run]:
    return Run.objects.for_tenant(tenant).filter(kind=RunKind.LIVE)

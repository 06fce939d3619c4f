"""Runs counted by spans of equal length: what the bars above the list of runs show, bounded whatever there is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from django.db.models import Count, F, Q
from django.utils import timezone

from orchestrator.ids import first_id_at, ids_in, moment_of
from orchestrator.tenants.models import Tenant
from runs.listing import Narrow, conditions, in_span, with_took
from runs.states import RunStatus

DAY: Final = timedelta(days=1)
MOST_BARS: Final = 96
# Each run that is counted is a row that is read: more of them take longer than a page may.
MOST_RUNS: Final = 10_000
_QUARTER: Final = timedelta(minutes=15)
_WIDTHS: Final = (
    timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), _QUARTER, timedelta(hours=1),
    timedelta(hours=3), timedelta(hours=6), timedelta(hours=12), DAY, timedelta(days=7), timedelta(days=30),
    timedelta(days=365), timedelta(days=3_650),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Bin:
    """The runs that began in one span, and what became of them."""

    start: datetime
    end: datetime
    total: int = 0
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Spans in order, the oldest first. ``cut`` when there were more runs than are counted: it shows the newest."""

    bins: tuple[Bin, ...]
    cut: bool

    @property
    def total(self) -> int:
        return sum(each.total for each in self.bins)

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.bins)


def histogram(tenant: Tenant, narrow: Narrow) -> Histogram:
    """Count the runs that match but for the text, over the chosen span or the last day; two queries."""
    now = timezone.now()
    until = min(narrow.until or now, now)
    since = max(narrow.since or until - DAY, moment_of(0))
    first = in_span(tenant, replace(narrow, since=since, until=until)).order_by("-pk").values_list("pk", flat=True)
    oldest = next(iter(first[MOST_RUNS : MOST_RUNS + 1]), None)
    if oldest is not None:
        since = moment_of(oldest) + timedelta(milliseconds=1)
    since = min(since, until)
    width = _width(until - since)
    return Histogram(bins=_bins(tenant, narrow, since, until, width), cut=oldest is not None)


def _width(span: timedelta) -> timedelta:
    # The last day is a moment longer by now.
    span -= timedelta(seconds=1)
    return next((width for width in _WIDTHS if span <= width * MOST_BARS), _WIDTHS[-1])


def _bins(tenant: Tenant, narrow: Narrow, since: datetime, until: datetime, width: timedelta) -> tuple[Bin, ...]:
    start = _aligned(since, width)
    edges = [start + width * index for index in range(int((until - start) / width) + 2)]
    edges = [edge for edge in edges if edge < until] + [until]
    counted = _counted(tenant, replace(narrow, since=since, until=until), start, width)
    return tuple(
        Bin(start=max(edge, since), end=end, **counted.get(index, {}))
        for index, (edge, end) in enumerate(pairwise(edges))
    )


def _aligned(moment: datetime, width: timedelta) -> datetime:
    """Return the last full span's start at or before a moment, counted from its own midnight."""
    local = timezone.localtime(moment)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    # In UTC from here on: the clocks of a place may jump.
    return max((midnight + int((local - midnight) / width) * width).astimezone(UTC), moment_of(0))


def _counted(tenant: Tenant, narrow: Narrow, start: datetime, width: timedelta) -> dict[int, dict[str, int]]:
    first, step = first_id_at(start), ids_in(width)
    rows = (
        with_took(in_span(tenant, narrow), narrow)
        .filter(conditions(tenant, narrow))
        .annotate(slot=(F("pk") - first) / step)
        .order_by()
        .values("slot")
        .annotate(
            total=Count("pk"),
            succeeded=Count("pk", filter=Q(status=RunStatus.SUCCEEDED)),
            failed=Count("pk", filter=Q(status=RunStatus.FAILED)),
        )
    )
    return {
        int(row["slot"]): {"total": row["total"], "succeeded": row["succeeded"], "failed": row["failed"]}
        for row in rows
    }

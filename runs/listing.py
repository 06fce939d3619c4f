"""Reads for the list of runs: what it is narrowed to, a page of it, and counts, bounded whatever there is.

A run's id says when it was made, so a span of time is a range of an index, by tenant or by workflow. No other condition
has one: for those, runs are looked at in chunks, newest first, until the page is full, enough were looked at, or the
time is up. Whoever asks is told how far that came, and can go on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import F, FloatField, Func, Max, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from orchestrator.ids import first_id_at
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import WorkflowVersion
from runs.models import Run
from runs.search import Text, matching, text_of
from runs.states import RunKind, RunStatus

PAGE_ROWS: Final = 50
DRAFT: Final = 0  # the version's number of what was run of a draft
# A statement costs something by itself, and a run may hold a megabyte: so the chunks grow while there is time.
_FIRST_CHUNK: Final = 100
_GROWTH: Final = 4
_LARGEST_CHUNK: Final = 5_000
_LARGE_COLUMNS: Final = ("trigger", "output", "seed", "version__definition", "version__bindings")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much is looked at for one answer: so many ``runs`` at the most, and for so many ``seconds``.

    ``least`` are looked at in any case, unless they take several times as long: a look at ten runs helps nobody.
    """

    runs: int
    seconds: float
    least: int = 0


PAGE_LIMITS: Final = Limits(runs=50_000, seconds=0.04, least=1_000)
COUNT_LIMITS: Final = Limits(runs=5_000, seconds=0.015)
_PATIENCE: Final = 6  # times the seconds


@dataclass(frozen=True, kw_only=True)
class Narrow:
    """What a list of runs is narrowed to. Times taken are in ms; ``version`` is a number, or DRAFT."""

    workflow: int | None = None
    statuses: tuple[str, ...] = ()
    trigger: str = ""
    version: int | None = None
    took_over: float | None = None
    took_under: float | None = None
    since: datetime | None = None
    until: datetime | None = None
    q: str = ""

    @property
    def is_indexed(self) -> bool:
        """Whether an index alone finds what matches."""
        took = self.took_over is not None or self.took_under is not None
        return not (self.statuses or self.trigger or self.version is not None or took or self.q)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A page of runs by id, newest first.

    ``more``: there is one beyond it, in the direction that was looked in. ``stopped_at`` is the last run looked at when
    the limits were reached before the page was full, after ``looked_at`` runs.
    """

    ids: tuple[int, ...]
    more: bool = False
    looked_at: int = 0
    stopped_at: int | None = None


class _Milliseconds(Func):
    """The time between two moments in ms, made by the database's own functions: Django's would call Python."""

    output_field = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "((julianday(%(expressions)s)) * 86400000.0)"
        return self.as_sql(compiler, connection, template=template, arg_joiner=") - julianday(", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "(EXTRACT(EPOCH FROM (%(expressions)s)) * 1000.0)"
        return self.as_sql(compiler, connection, template=template, arg_joiner=" - ", **context)


def in_span(tenant: Tenant, narrow: Narrow) -> QuerySet[Run]:
    """Return the runs that an index finds, tests of single steps among them: a column that no index has."""
    rows = Run.objects.for_tenant(tenant)
    if narrow.workflow is not None:
        rows = rows.filter(workflow=narrow.workflow)
    if narrow.since is not None:
        rows = rows.filter(pk__gte=first_id_at(narrow.since))
    if narrow.until is not None:
        rows = rows.filter(pk__lt=first_id_at(narrow.until))
    return rows


def conditions(tenant: Tenant, narrow: Narrow) -> Q:
    """Return what no index finds, but for the text. Tests of single steps are building, not what a workflow did."""
    wanted = ~Q(kind=RunKind.STEP)
    if narrow.statuses:
        wanted &= Q(status__in=narrow.statuses)
    if narrow.trigger:
        wanted &= Q(trigger_type=narrow.trigger)
    if narrow.version is not None:
        versions = WorkflowVersion.objects.for_tenant(tenant).filter(number=narrow.version or None)
        if narrow.workflow is not None:
            versions = versions.filter(workflow=narrow.workflow)
        wanted &= Q(version__in=versions.values("pk"))
    if narrow.took_over is not None:
        wanted &= Q(took__gt=narrow.took_over)
    if narrow.took_under is not None:
        wanted &= Q(took__lt=narrow.took_under)
    return wanted


def with_took(rows: QuerySet[Run], narrow: Narrow) -> QuerySet[Run]:
    """Make ``took`` known to ``conditions``: of what runs or waits, the time until now; nothing before the start."""
    if narrow.took_over is None and narrow.took_under is None:
        return rows
    begun = rows.filter(Q(finished_at__isnull=False) | Q(started_at__isnull=False))
    end, start = Coalesce(F("finished_at"), Value(timezone.now())), Coalesce(F("started_at"), F("created_at"))
    return begun.alias(took=_Milliseconds(end, start))


def look(
    tenant: Tenant,
    narrow: Narrow,
    *,
    before: int | None = None,
    after: int | None = None,
    most: int = PAGE_ROWS,
    limits: Limits = PAGE_LIMITS,
) -> Found:
    """Return the newest runs that match: below the id ``before``, or the next ones above ``after``."""
    upward = after is not None
    rows = in_span(tenant, narrow).order_by("pk" if upward else "-pk")
    text = text_of(tenant, narrow.q)
    if text is not None and text.id is not None and not upward and before is None:
        exact = list(_matches(tenant, narrow, rows.filter(pk=text.id)).values_list("pk", flat=True))
        if exact:
            return Found(ids=tuple(exact))
    cursor = after if upward else before
    if narrow.is_indexed:
        ids = list(_beyond(rows, cursor, upward).exclude(kind=RunKind.STEP).values_list("pk", flat=True)[: most + 1])
        return _page(ids, most)
    return _scan(lambda chunk, room: _hits(tenant, narrow, text, chunk, room), rows, cursor, upward, most, limits)


def _matches(tenant: Tenant, narrow: Narrow, rows: QuerySet[Run]) -> QuerySet[Run]:
    return with_took(rows, narrow).filter(conditions(tenant, narrow))


def _hits(tenant: Tenant, narrow: Narrow, text: Text | None, chunk: QuerySet[Run], room: int) -> list[int]:
    rows = _matches(tenant, narrow, chunk)
    return list(rows.values_list("pk", flat=True)[:room]) if text is None else matching(tenant, rows, text, room)


def _scan(
    hits: Callable[[QuerySet[Run], int], list[int]],
    rows: QuerySet[Run],
    cursor: int | None,
    upward: bool,
    most: int,
    limits: Limits,
) -> Found:
    """Look at chunks of runs until the page and one more are found, there is no other chunk, or a limit is reached."""
    found: list[int] = []
    looked_at, size, start = 0, _FIRST_CHUNK, time.monotonic()
    while True:
        began, chunk = time.monotonic(), _beyond(rows, cursor, upward)
        edge = next(iter(chunk.values_list("pk", flat=True)[size - 1 : size]), None)
        found += hits(chunk if edge is None else _up_to(chunk, edge, upward), most + 1 - len(found))
        looked_at += size
        if edge is None or len(found) > most:
            return _page(found, most)
        now = time.monotonic()
        fits = _fitting(size, spent=now - began, left=start + limits.seconds - now)
        if looked_at < limits.least and now < start + limits.seconds * _PATIENCE:
            fits = max(fits, limits.least - looked_at, _FIRST_CHUNK)
        if looked_at >= limits.runs or fits < _FIRST_CHUNK:
            ids = tuple(sorted(found, reverse=True))
            return Found(ids=ids, looked_at=looked_at, stopped_at=edge)
        cursor, size = edge, min(_GROWTH * size, _LARGEST_CHUNK, fits)


def _fitting(size: int, *, spent: float, left: float) -> int:
    """Return how many runs can be looked at in the time that is left, after so many took so long."""
    return int(size * max(0.0, left) / max(spent, 0.000_1))


def _beyond(rows: QuerySet[Run], cursor: int | None, upward: bool) -> QuerySet[Run]:
    if cursor is None:
        return rows
    return rows.filter(pk__gt=cursor) if upward else rows.filter(pk__lt=cursor)


def _up_to(rows: QuerySet[Run], edge: int, upward: bool) -> QuerySet[Run]:
    return rows.filter(pk__lte=edge) if upward else rows.filter(pk__gte=edge)


def _page(ids: Sequence[int], most: int) -> Found:
    return Found(ids=tuple(sorted(ids[:most], reverse=True)), more=len(ids) > most)


def listed(tenant: Tenant, ids: Sequence[int]) -> QuerySet[Run]:
    """Return these runs, newest first, as lines of a list need them."""
    rows = Run.objects.for_tenant(tenant).filter(pk__in=ids).select_related("version", "workflow")
    return rows.defer(*_LARGE_COLUMNS).order_by("-pk")


@dataclass(frozen=True, kw_only=True)
class Counted:
    """How many runs match; ``and_more`` when that is where counting stopped."""

    number: int
    and_more: bool


def count(tenant: Tenant, narrow: Narrow, *, most: int = 1_000) -> Counted:
    """Count the runs that match, up to ``most`` and within COUNT_LIMITS."""
    found = look(tenant, narrow, most=most, limits=COUNT_LIMITS)
    return Counted(number=len(found.ids), and_more=found.more or found.stopped_at is not None)


def newest(tenant: Tenant, narrow: Narrow) -> int:
    """Return the id of the newest run that may match, 0 when there is none."""
    return next(iter(in_span(tenant, narrow).order_by("-pk").values_list("pk", flat=True)[:1]), 0)


def revision_of(tenant: Tenant, ids: Sequence[int]) -> int:
    """Return a number that grows with every visible change of any of these runs."""
    found = Run.objects.for_tenant(tenant).filter(pk__in=ids).aggregate(sum=Sum("revision"), newest=Max("pk"))
    return found["sum"] or 0


def running(tenant: Tenant, workflow: int | None = None) -> int:
    """Count what runs now: only such runs have a lease, and these an index."""
    rows = Run.objects.for_tenant(tenant).filter(lease_expires_at__isnull=False, status=RunStatus.RUNNING)
    return (rows if workflow is None else rows.filter(workflow=workflow)).count()

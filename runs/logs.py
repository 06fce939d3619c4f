"""What the steps of a run wrote to their logs, as one stream in time order: read in pieces, however many there are.

Attempts are read in start order, a few megabytes at a time. A line is given once no attempt that is still to be read
can have an earlier one, so what is in memory is the logs of attempts that were under way at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from django.db.models import BigIntegerField, Case, F, Func, Q, QuerySet, Sum, TextField, When
from django.db.models.functions import Length

from orchestrator import jsongate
from runs.attempts import IN_ORDER, rows_split
from runs.models import Run, StepRun

# Attempts that are looked ahead, and the characters of logs that are read at once.
_AHEAD: Final = 1_000
_MOST_AHEAD: Final = 8_000
_AT_ONCE: Final = 4_000_000
# Characters of a log that is read together with its attempt.
_SMALL: Final = 1_000
# Lines that are held back for order at the most; beyond, the oldest are given as they are.
_HELD: Final = 100_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's log: when, how grave, what, and by which attempt of which step."""

    at: datetime
    level: str
    text: str
    path: str
    attempt: int


@dataclass(frozen=True, slots=True)
class _Head:
    """An attempt that has a log: as JSON where it is ``small``, else it is still to be read."""

    pk: int
    path: str
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    length: int
    small: str | None


# A line with its place in the order: its time, its attempt, and which of that attempt's lines it is.
_Placed = tuple[datetime, int, int, LogLine]


def log_lines(run: Run, *, path: str | None = None) -> Iterator[LogLine]:
    """Yield the lines of a run in time order; ``path`` narrows to a step with what it holds, or to one iteration.

    What has no time, or one outside of its attempt, counts as written when the line before it was.
    """
    heads = _heads(run, path)
    ahead = deque(islice(heads, _AHEAD))
    held: list[_Placed] = []
    while ahead:
        held += _read(run, _taken(ahead))
        held.sort(key=itemgetter(0, 1, 2))
        ahead.extend(islice(heads, _AHEAD - len(ahead)))
        least = min((head.started_at for head in ahead), default=None)
        ready = len(held) if least is None else bisect_left(held, least, key=itemgetter(0))
        ready = max(ready, len(held) - _HELD)
        yield from (line for *_place, line in held[:ready])
        del held[:ready]


def _taken(ahead: deque[_Head]) -> list[_Head]:
    """Take as many attempts as may be read at once, and at least one."""
    taken, length = [ahead.popleft()], 0
    length += taken[0].length
    while ahead and length + ahead[0].length <= _AT_ONCE and len(taken) < _AHEAD // 2:
        taken.append(ahead.popleft())
        length += taken[-1].length
    return taken


def _read(run: Run, heads: Sequence[_Head]) -> Iterator[_Placed]:
    """Yield the lines of some attempts."""
    # By their ids alone: with the run, a database may walk through all of its rows.
    large = StepRun.objects.for_tenant(run.tenant_id).filter(pk__in=[head.pk for head in heads if head.small is None])
    known = dict(large.order_by().values_list("pk", "logs"))
    for head in heads:
        yield from _placed(head, jsongate.parse(head.small) if head.small is not None else known.get(head.pk))


def _placed(head: _Head, logs: Any) -> Iterator[_Placed]:
    last = head.started_at
    for index, line in enumerate(logs if isinstance(logs, list) else ()):
        if isinstance(line, dict):
            last = _moment(line.get("at"), last, head.finished_at)
            level, text = str(line.get("level", "info")), str(line.get("text", ""))
            yield last, head.pk, index, LogLine(last, level, text, head.path, head.attempt)


def _moment(value: Any, last: datetime, until: datetime | None) -> datetime:
    """Return when a line was written: not before the one above it, nor after its attempt ended."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return last
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    if until is not None and found > until:
        found = until
    return max(found, last)


def _heads(run: Run, path: str | None) -> Iterator[_Head]:
    """Yield the attempts that have a log, by id: those that run once and those in loops, each by its own index."""
    few, many = rows_split(run, path)
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run, logs__isnull=False)
    once = iter(()) if few is None else _paged(rows.filter(few).annotate(place=IN_ORDER), "place")
    loops = iter(()) if many is None else _paged(rows.filter(many, item__isnull=False), "pk")
    return _merged(once, loops)


def _merged(first: Iterator[_Head], second: Iterator[_Head]) -> Iterator[_Head]:
    one, two = next(first, None), next(second, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one.pk <= two.pk):
            assert one is not None
            yield one
            one = next(first, None)
        else:
            yield two
            two = next(second, None)


def _paged(rows: QuerySet[StepRun], place: str) -> Iterator[_Head]:
    """Yield heads page by page: a cursor of the database would be gone with its transaction, or hold everything."""
    columns = ("pk", "path", "attempt", "started_at", "finished_at", "length", "small")
    small = Case(When(length__lte=_SMALL, then=F("logs")), default=None, output_field=TextField())
    rows = rows.annotate(length=Length("logs")).annotate(small=small).order_by(place)
    cursor, size = 0, _AHEAD
    while found := list(rows.filter(Q(**{f"{place}__gt": cursor})).values_list(*columns)[:size]):
        for row in found:
            yield _Head(*row)
        if len(found) < size:
            return
        # Larger ones as somebody goes on: where a database sorts for each page, that is done a few times.
        cursor, size = found[-1][0], min(2 * size, _MOST_AHEAD)


class _Entries(Func):
    """How many entries a list has that is kept as text; whatever else is kept has none."""

    output_field = BigIntegerField()
    template = "(CASE WHEN %(expressions)s LIKE '[%%%%' THEN json_array_length(%(expressions)s) ELSE 0 END)"

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        template = self.template.replace("length(%(expressions)s)", "length(%(expressions)s::json)")
        return super().as_sql(compiler, connection, template=template, **more)


def count_lines(run: Run, *, path: str | None = None) -> int:
    """Return how many lines a run has, counted by the database; two queries at the most."""
    few, many = rows_split(run, path)
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run, logs__isnull=False).order_by()
    found = [rows.filter(few)] if few is not None else []
    found += [rows.filter(many, item__isnull=False)] if many is not None else []
    return sum(each.aggregate(count=Sum(_Entries("logs")))["count"] or 0 for each in found)

"""How far the loops of a run are, told from few rows however many items there are.

An iteration that began is at work, failed, stopped or done. All but the done ones have a row that is neither succeeded
nor skipped, and those have an index of their own; so what is done follows from the number that began.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.utils import timezone

from orchestrator.fields import JSONTextField
from orchestrator.large import LARGE_BYTES, Node, Stored
from orchestrator.types import JSONValue
from runs.models import UNSETTLED, Payload, Run, StepRun
from runs.outline import StepOutline
from runs.states import FailureKind, StepStatus
from runs.values import PayloadSource, opened

_OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING)
_DONE: Final = (StepStatus.SUCCEEDED, StepStatus.SKIPPED)
_BAD: Final = (StepStatus.FAILED, StepStatus.LOST)
_KEPT: Final = 10_000
# Of a loop at work with no more iterations, those that came through are counted: one that is between two of its steps
# has no row that says so, and would be taken for done. Of more, one that is told too early tells nobody anything.
_COUNTED: Final = 1_000
# Lists that are looked into for one page, in bytes of JSON: how many items they have is asked of no more than these.
_BYTES_READ: Final = 12 * 1024 * 1024


class _Written(Value):
    """A constant of ours as part of the statement: SQLite takes no partial index for a value that is bound to it."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{StepStatus(self.value).value}'", ()


_UNSETTLED: Final = tuple(_Written(status) for status in UNSETTLED)
# What never changes again: how many iterations of a loop that ended were done, and how many items a stored list has.
_done: OrderedDict[int, int] = OrderedDict()
_counts: OrderedDict[int, int] = OrderedDict()


@dataclass(frozen=True, kw_only=True)
class LoopState:
    """How far a loop is. ``begun`` is one more than the last item that began; ``total`` is None where it is not known.

    ``given`` is how many items have an outcome that an earlier run gave, ``lines`` how many there is something to say
    of; ``values`` are the items themselves, where they are few.
    """

    status: str
    begun: int
    done: int
    failed: int = 0
    at_work: int = 0
    waiting: int = 0
    given: int = 0
    lines: int = 0
    total: int | None = None
    values: Sequence[JSONValue] = field(default=(), repr=False)

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN


def loop_states(
    run: Run, loops: Mapping[str, StepOutline], *, given: Collection[str] = frozenset()
) -> dict[str, LoopState]:
    """Return how far a run's loops are, by the loop's path, without those that have not begun.

    ``given`` are the paths that an earlier run gave. At most six queries, two as a rule, three while one is at work.
    """
    rows = list(_holders(run, loops))
    if not rows:
        return {}
    counts = _exceptions(run, {row["path"]: loops[row["path"]] for row in rows})
    stopped = [row for row in rows if row["status"] not in (*_OPEN, *_DONE)]
    done = _done_in(run, {row["pk"]: (row["path"], loops[row["path"]]) for row in stopped})
    small = [row for row in rows if row["status"] in _OPEN and (row["last"] or 0) < _COUNTED]
    done |= _count_done(run, {row["pk"]: (row["path"], loops[row["path"]]) for row in small})
    sizes = _sizes(run, [row["inputs_ref"] for row in rows if row["inputs_ref"] and row["status"] not in _DONE])
    return {
        row["path"]: _state(
            row,
            counts.get(row["path"], {}),
            given=given,
            done=done,
            sizes=sizes,
            is_agent=loops[row["path"]].is_agent,
        )
        for row in rows
    }


def _holders(run: Run, loops: Mapping[str, StepOutline]) -> Iterable[Mapping[str, Any]]:
    """Return the loops' own rows, with the last item that began and, where they are few, the items."""
    if not loops:
        return ()
    inside = _inside(run).filter(loop=OuterRef("path")).order_by("-item")
    return (
        StepRun.objects.for_tenant(run.tenant_id)
        .filter(run=run, path__in=list(loops), attempt=1)
        .annotate(
            last=Subquery(inside.values("item")[:1]),
            given=Case(When(inputs_ref__isnull=True, then=F("inputs")), default=None, output_field=JSONTextField()),
        )
        .values("pk", "path", "status", "inputs_ref", "last", "given")
    )


def _state(
    row: Mapping[str, Any],
    counts: Mapping[str, Any],
    *,
    given: Collection[str],
    done: Mapping[int, int],
    sizes: Mapping[int, int],
    is_agent: bool,
) -> LoopState:
    begun = 0 if row["last"] is None else row["last"] + 1
    ours = _given_items(row["path"], given)
    failed, at_work = counts.get("failed", 0), counts.get("at_work", 0)
    values = _items(row["given"]) or []
    total = len(values) if row["inputs_ref"] is None else sizes.get(row["inputs_ref"])
    if is_agent:
        # How many moves it takes shows at its end.
        total = begun if row["status"] not in _OPEN else None
    elif row["status"] in _DONE and row["inputs_ref"] is not None:
        # It went through all of them, so the list need not be read to know how long it is.
        total = max([begun, *(item + 1 for item in ours)])
    rest = max(0, begun - failed - at_work - counts.get("stopped", 0) - sum(item < begun for item in ours))
    came = done.get(row["pk"], rest)
    if row["status"] in _OPEN:
        # Those between two steps are at work too.
        at_work += max(0, rest - came)
    return LoopState(
        status=row["status"],
        begun=begun,
        done=came,
        failed=failed,
        at_work=at_work,
        waiting=counts.get("waiting", 0),
        given=len(ours),
        lines=max([begun, *(item + 1 for item in ours)]),
        total=total,
        values=values,
    )


def _given_items(path: str, given: Collection[str]) -> list[int]:
    start = f"{path}["
    return [
        int(known[len(start) : -1]) for known in given if known.startswith(start) and known[len(start) : -1].isdigit()
    ]


def _exceptions(run: Run, loops: Mapping[str, StepOutline]) -> dict[str, Mapping[str, Any]]:
    """Count the iterations that are at work, failed or were stopped, by the loop's path."""
    # Right in the body an iteration has one row at a time that is not settled; what that holds has others.
    direct = Q(key__in=[step.key for loop in loops.values() for step in loop.body])
    retried = Q(status__in=_BAD, retry_at__gt=timezone.now())
    failed = _failed(run, loops.values())
    rows = _inside(run).filter(loop__in=list(loops), status__in=_UNSETTLED).order_by().values("loop")
    counted = rows.annotate(
        failed=Count("pk", filter=failed),
        at_work=Count("pk", filter=direct & (Q(status__in=_OPEN) | retried)),
        waiting=Count("item", filter=Q(status=StepStatus.WAITING), distinct=True),
        stopped=Count("pk", filter=direct & Q(status=StepStatus.CANCELLED)),
    )
    return {row["loop"]: row for row in counted}


def _done_in(run: Run, loops: Mapping[int, tuple[str, StepOutline]]) -> dict[int, int]:
    """Count the iterations that came through, in loops that were stopped; by the id of the loop's row.

    What was stopped between two steps has no row that says so, so here all rows are counted, once in a process.
    """
    _keep(_done, _count_done(run, {pk: loop for pk, loop in loops.items() if pk not in _done}))
    return {pk: _done[pk] for pk in loops if pk in _done}


def _count_done(run: Run, loops: Mapping[int, tuple[str, StepOutline]]) -> dict[int, int]:
    """Count the iterations whose last step came through; by the id of the loop's row."""
    asked = {pk: loop for pk, loop in loops.items() if loop[1].body}
    if not asked:
        return {}
    # An agent runs one of its steps at each turn, after a question to a person perhaps.
    last = [last for _, step in asked.values() for last in _last_of(step)]
    came = Q(key__in=[step.key for step in last], status__in=_DONE)
    passed = [step.key for step in last if step.goes_on]
    if passed:
        came |= _settled(run, Q(key__in=passed))
    rows = _inside(run).filter(came, loop__in=[path for path, _ in asked.values()]).order_by().values("loop")
    counted = {row["loop"]: row["count"] for row in rows.annotate(count=Count("pk"))}
    return {pk: counted.get(path, 0) for pk, (path, _) in asked.items()}


def _last_of(loop: StepOutline) -> Sequence[StepOutline]:
    if not loop.is_agent:
        return loop.body[-1:]
    return [step for step in loop.body if step.action != "flow.approve"]


def failed_items(run: Run, path: str, loop: StepOutline, *, start: int, limit: int) -> list[int]:
    """Return the items from ``start`` on whose iteration failed."""
    rows = _inside(run).filter(_failed(run, [loop]), loop=path, item__gte=start, status__in=_UNSETTLED)
    items = rows.order_by("item").values_list("item", flat=True).distinct()[:limit]
    return [item for item in items if item is not None]


def _inside(run: Run) -> QuerySet[StepRun]:
    return StepRun.objects.for_tenant(run.tenant_id).filter(run=run, item__isnull=False)


def _failed(run: Run, loops: Iterable[StepOutline]) -> Q:
    """Return what finds the one row that failed an iteration: a step right in the body whose failure counts."""
    return _settled(run, Q(key__in=[step.key for loop in loops for step in loop.body if not step.goes_on]))


def _settled(run: Run, which: Q) -> Q:
    """Return what finds failures that no other attempt followed."""
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run)
    later = rows.filter(path=OuterRef("path"), attempt=OuterRef("attempt") + 1)
    # Any other failure that is tried again says so itself.
    followed = Q(failure_kind=FailureKind.OUTCOME_UNKNOWN) & Q(Exists(later))
    return which & Q(status__in=_BAD, retry_at__isnull=True) & ~followed


def _sizes(run: Run, refs: Sequence[int]) -> dict[int, int]:
    """Return how many items stored lists have. Each is read once in a process, as it never changes."""
    unknown = [ref for ref in refs if ref not in _counts]
    if unknown:
        stored = Payload.objects.for_tenant(run.tenant_id).filter(run=run, pk__in=unknown)
        wanted, left = [], _BYTES_READ
        for pk, size in stored.order_by("size").values_list("pk", "size"):
            left -= size
            if left >= 0:
                wanted.append(pk)
        _keep(_counts, _told(run, list(stored.filter(size__gt=LARGE_BYTES).values_list("pk", flat=True))))
        read = {payload.pk: _items(opened(payload)) for payload in stored.filter(pk__in=set(wanted) - set(_counts))}
        _keep(_counts, {pk: len(items) for pk, items in read.items() if items is not None})
    return {ref: _counts[ref] for ref in refs if ref in _counts}


def _told(run: Run, refs: Sequence[int]) -> dict[int, int]:
    """Return how many items lists have whose index tells it, so that the lists need not be read."""
    found = {}
    for ref in refs:
        stored = Stored(source=PayloadSource(tenant_id=run.tenant_id, run_id=run.pk, ref=ref))
        stored.learn()
        for part in stored.root.parts if stored.root is not None else ():
            if isinstance(part, Node) and part.key == "items" and part.kind == "[":
                found[ref] = part.count
    return found


def _items(inputs: Any) -> list[JSONValue] | None:
    items = inputs.get("items") if isinstance(inputs, dict) else None
    return items if isinstance(items, list) else None


def _keep(kept: OrderedDict[int, int], more: Mapping[int, int]) -> None:
    kept.update(more)
    while len(kept) > _KEPT:
        kept.popitem(last=False)

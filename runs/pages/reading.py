"""What a run's page reads: the steps that run once, and of each loop that is open one page of its items.

However many rows a run has, this is a handful of queries by index, and a bounded number of rows.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from django.db.models import Case, F, Q, QuerySet, When

from orchestrator.fields import JSONTextField
from runs import selectors
from runs.attempts import IN_ORDER
from runs.loops import LoopState, failed_items, loop_states
from runs.models import Run, StepRun
from runs.outline import CALL, DECIDES, TRIGGER, StepOutline, outside_loops, tree_of, walk
from runs.pages.address import Address
from runs.paths import is_item, item_path, items_around, key_of_path
from runs.states import RunKind, RunStatus, StepStatus

ATTEMPTS_READ: Final = 1_200
ITEMS_A_PAGE: Final = 50
_LEAST_ITEMS: Final = 10
# How many lines the steps of items may take that nobody asked for one by one.
UNFOLDED_LINES: Final = 30
_OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING)
_KEPT: Final = 200
# Of runs whose seed is stored apart: it never changes, and may be large.
_given: OrderedDict[int, Mapping[str, str]] = OrderedDict()


@dataclass(slots=True)
class Attempt:
    """One attempt of a step without its data, but with the lane that a step decided on: what a line is drawn from.

    Not the model, which takes three times as long to make: a page may read a thousand.
    """

    pk: int
    path: str
    loop: str
    item: int | None
    key: str
    action: str
    resolved_as: str
    attempt: int
    status: str
    error: Any
    retry_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    decided: Any


_READ: Final = tuple(field.name for field in fields(Attempt))
Attempts = Mapping[str, Sequence[Attempt]]


@dataclass(frozen=True, kw_only=True)
class ItemsPage:
    """The items of a loop that have a line; ``unfolded`` are those whose steps have lines too."""

    items: tuple[int, ...]
    start: int
    failed: bool
    previous: int | None
    next: int | None
    unfolded: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Everything a page shows of a run's steps. ``roots`` are the outermost ones, ``given`` statuses by path.

    ``attempts`` are by path, without their data, those of iterations also by loop and item (``items``). ``stopped`` is
    the path where the run failed.
    """

    run: Run
    address: Address
    roots: tuple[StepOutline, ...]
    steps: Mapping[str, StepOutline]
    attempts: Attempts
    items: Mapping[tuple[str, int], Sequence[Attempt]]
    given: Mapping[str, str]
    loops: Mapping[str, LoopState]
    pages: Mapping[str, ItemsPage]
    calls: Mapping[str, Run]
    selected: str
    stopped: str
    more: bool

    @property
    def step(self) -> StepOutline | None:
        """Return the step that is selected, or whose iteration is."""
        return self.steps.get(key_of_path(self.selected))

    @property
    def names(self) -> Mapping[str, str]:
        """Return what the steps are called, by key."""
        return {key: step.name for key, step in self.steps.items()}

    def indent(self, step: StepOutline) -> int:
        """Return how far a step's line is indented: lanes and items count, from where the timeline begins."""
        return _depth(step) - _depth(self.roots[0])


def _depth(step: StepOutline) -> int:
    return step.depth + len(step.loops)


def read(run: Run, address: Address) -> Reading:
    """Read what a page of a run shows; at most eleven queries, six for a run with a loop as a rule."""
    roots = tree_of(run.version)
    steps = {step.key: step for step in walk(roots)}
    once = _rows(run).filter(path__in=list(steps) if run.kind == RunKind.STEP else _keys_once(roots))
    rows = _attempts(once[: ATTEMPTS_READ + 1])
    attempts = by_path(rows[:ATTEMPTS_READ])
    roots = _roots(run, roots, steps)
    given = {} if run.kind == RunKind.STEP else given_of(run)
    stopped = str((run.error or {}).get("path") or "")
    selected = _selected(run, address.step, steps, attempts, stopped)
    opened = _opened(address, selected, steps)
    known = {step.key: step for step in outside_loops(roots) if step.is_loop and step.key in attempts}
    known |= {path: steps[key_of_path(path)] for path, _ in opened}
    loops = loop_states(run, known, given=given)
    opened = opened or _by_itself(known, loops)
    pages = {
        path: _page(run, address, path, steps[key_of_path(path)], loops[path], item)
        for path, item in opened
        if path in loops
    }
    inside = _inside(run, pages, selected, attempts)
    attempts = {**attempts, **by_path(inside)}
    if RunStatus(run.status).is_terminal:
        _nothing_follows(attempts)
    pages = {path: _unfolded(page, path, dict(opened)[path], attempts) for path, page in pages.items()}
    return Reading(
        run=run,
        address=address,
        roots=roots,
        steps=steps,
        attempts=attempts,
        items=_by_item(inside),
        given=given,
        loops=loops | loop_states(run, _nested(pages, steps, attempts, loops), given=given),
        pages=pages,
        calls=_calls(run, attempts),
        selected=selected,
        stopped=stopped,
        more=len(rows) > ATTEMPTS_READ,
    )


def _attempts(rows: QuerySet[StepRun]) -> list[Attempt]:
    return [Attempt(*values) for values in rows.values_list(*_READ)]


def _rows(run: Run) -> QuerySet[StepRun]:
    """Return what finds attempts, with the lane that a step decided on as ``decided``."""
    decided = Case(When(action__in=DECIDES, then=F("output")), default=None, output_field=JSONTextField())
    return selectors.step_rows(run).annotate(decided=decided)


def by_path(rows: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """Return attempts by the path of their step, in start order."""
    found: dict[str, list[Attempt]] = defaultdict(list)
    for row in rows:
        found[row.path].append(row)
    return dict(found)


def _nothing_follows(attempts: Attempts) -> None:
    """Have the last attempts of a run that has ended say that none follows: it may have ended between two."""
    for rows in attempts.values():
        rows[-1].retry_at = None


def _by_item(rows: Iterable[Attempt]) -> dict[tuple[str, int], list[Attempt]]:
    found: dict[tuple[str, int], list[Attempt]] = defaultdict(list)
    for row in rows:
        if row.item is not None:
            found[row.loop, row.item].append(row)
    return dict(found)


def _keys_once(roots: Sequence[StepOutline]) -> list[str]:
    return [step.key for step in outside_loops(roots)]


def _roots(run: Run, roots: tuple[StepOutline, ...], steps: Mapping[str, StepOutline]) -> tuple[StepOutline, ...]:
    """Return the steps that the timeline begins with: a test of one step shows that one."""
    if run.kind != RunKind.STEP:
        return roots
    tested = steps.get(str((run.seed or {}).get("only") or selectors.seed_of(run).get("only")))
    return (tested,) if tested else roots[:1]


def given_of(run: Run) -> Mapping[str, str]:
    """Return how the steps ended that an earlier run gave, by path; what is entered again is left out."""
    if not run.seed:
        return {}
    if run.pk in _given:
        return _given[run.pk]
    steps = selectors.seed_of(run).get("steps")
    found = {
        path: str(outcome.get("status"))
        for path, outcome in (steps if isinstance(steps, dict) else {}).items()
        if outcome.get("status") != StepStatus.RUNNING
    }
    if "ref" in run.seed:
        _given[run.pk] = found
        while len(_given) > _KEPT:
            _given.popitem(last=False)
    return found


def _selected(run: Run, asked: str, steps: Mapping[str, StepOutline], attempts: Attempts, stopped: str) -> str:
    """Return the path that is selected: what was asked for, where the run stopped, what is at work, or its last."""
    waits = str((run.waiting_for or {}).get("path") or "")
    for path in (asked, stopped, waits):
        if path == TRIGGER:
            return path
        step = steps.get(key_of_path(path)) if path else None
        if step is not None:
            return path if _fits(path, step) or path in attempts else _some_path(step, stopped, attempts)
    at_work = [path for path, rows in attempts.items() if rows[-1].status in _OPEN]
    return (at_work[-1:] or list(attempts)[-1:] or list(steps)[:1] or [TRIGGER])[0]


def _fits(path: str, step: StepOutline) -> bool:
    """Whether a path leads through exactly the loops that are around its step."""
    through = tuple(key_of_path(loop) for loop, _ in items_around(path))
    return through == (*step.loops, step.key) and step.is_loop if is_item(path) else through == step.loops


def _some_path(step: StepOutline, stopped: str, attempts: Attempts) -> str:
    """Return a path of a step that was asked for by its key alone: where it failed, else in the first items."""
    if step.key in attempts:
        return step.key
    if key_of_path(stopped) == step.key and not is_item(stopped):
        return stopped
    return ".".join([*(item_path(loop, 0) for loop in step.loops), step.key])


def _opened(address: Address, selected: str, steps: Mapping[str, StepOutline]) -> list[tuple[str, int | None]]:
    """Return the loops whose items are shown, outermost first, each with the item that has to be among them."""
    asked = steps.get(key_of_path(address.loop)) if address.loop else None
    if asked is not None and asked.is_loop and _fits(address.loop, asked):
        return [*items_around(address.loop), (address.loop, dict(items_around(selected)).get(address.loop))]
    around: list[tuple[str, int | None]] = list(items_around(selected))
    own = steps.get(key_of_path(selected))
    return [*around, (selected, None)] if own is not None and own.is_loop and not is_item(selected) else around


def _by_itself(known: Mapping[str, StepOutline], loops: Mapping[str, LoopState]) -> list[tuple[str, int | None]]:
    """Return the loop that is open although nobody asked: the one at work, else one with failures, else the first."""
    paths = [path for path in known if path in loops]
    paths.sort(key=lambda path: (not loops[path].is_open, not loops[path].failed))
    return [(path, None) for path in paths[:1]]


def _page(run: Run, address: Address, path: str, loop: StepOutline, state: LoopState, item: int | None) -> ItemsPage:
    size = min(ITEMS_A_PAGE, max(_LEAST_ITEMS, ATTEMPTS_READ // (2 * max(1, len(list(walk(loop.body)))))))
    asked = address.loop == path
    # Of many items, the failed ones are what somebody came for.
    many = not asked and item is None and state.failed > 0 and state.lines > size
    if many or (asked and address.failed):
        start = (address.start or 0) if asked else 0
        found = failed_items(run, path, loop, start=start, limit=size + 1)
        after = found[size] if len(found) > size else None
        return ItemsPage(items=tuple(found[:size]), start=start, failed=True, previous=0 if start else None, next=after)
    if asked and address.start is not None:
        start = min(address.start, max(0, state.lines - 1))
    else:
        # A loop at work is followed; one that has ended is read from the start.
        start = (item if item is not None else max(0, state.begun - 1) if state.is_open else 0) // size * size
    end = min(start + size, max(state.lines, (item or -1) + 1))
    return ItemsPage(
        items=tuple(range(start, end)),
        start=start,
        failed=False,
        previous=max(0, start - size) if start else None,
        next=end if end < state.lines else None,
    )


def _inside(run: Run, pages: Mapping[str, ItemsPage], selected: str, attempts: Attempts) -> list[Attempt]:
    """Read the rows of the items that are shown, and of what is selected, if it is another; one query."""
    wanted = Q()
    for path, page in pages.items():
        if page.items and not page.failed:
            wanted |= Q(loop=path, item__gte=page.items[0], item__lte=page.items[-1])
        elif page.items:
            wanted |= Q(loop=path, item__in=page.items)
    around = items_around(selected)
    if around and all(around[-1][1] not in page.items for path, page in pages.items() if path == around[-1][0]):
        wanted |= Q(loop=around[-1][0], item=around[-1][1])
    if not wanted:
        return []
    return _attempts(_rows(run).filter(wanted, item__isnull=False).order_by(IN_ORDER)[: 2 * ATTEMPTS_READ])


def _unfolded(page: ItemsPage, path: str, item: int | None, attempts: Attempts) -> ItemsPage:
    """Return the page with its unfolded items: the one that was asked for, then as many as there is room for."""
    lines: dict[int, int] = defaultdict(int)
    failed: set[int] = set()
    for rows in attempts.values():
        last = rows[-1]
        if last.loop == path and last.item is not None:
            lines[last.item] += 1
            if last.status in (StepStatus.FAILED, StepStatus.LOST) and last.retry_at is None:
                failed.add(last.item)
    found = {item} if item is not None else set()
    fits = sum(lines.get(each, 1) for each in page.items) <= UNFOLDED_LINES
    left = UNFOLDED_LINES
    for each in page.items:
        if fits or each in failed:
            left -= lines.get(each, 1)
            if left < 0:
                break
            found.add(each)
    return ItemsPage(
        items=page.items,
        start=page.start,
        failed=page.failed,
        previous=page.previous,
        next=page.next,
        unfolded=frozenset(found),
    )


def _nested(
    pages: Mapping[str, ItemsPage],
    steps: Mapping[str, StepOutline],
    attempts: Attempts,
    known: Mapping[str, LoopState],
) -> dict[str, StepOutline]:
    """Return the loops inside of items whose steps have lines."""
    found = {}
    for path, page in pages.items():
        for item in page.unfolded:
            prefix = f"{item_path(path, item)}."
            for step in outside_loops(steps[key_of_path(path)].body):
                inner = f"{prefix}{step.key}"
                if step.is_loop and inner in attempts and inner not in known:
                    found[inner] = step
    return found


def _calls(run: Run, attempts: Attempts) -> dict[str, Run]:
    """Return the runs that steps called, by the step's path."""
    paths = [path for path, rows in attempts.items() if rows[-1].action == CALL]
    if not paths:
        return {}
    rows = Run.objects.for_tenant(run.tenant_id).filter(parent=run, parent_path__in=paths).select_related("workflow")
    return {row.parent_path: row for row in rows.only("tenant_id", "status", "parent_path", "workflow__name")}

"""One line of a run's timeline for one step, one iteration or the trigger: its words, its bars and its dashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise, zip_longest
from typing import Any, Final
from urllib.parse import quote_plus

from django.utils.translation import gettext as _

from orchestrator.words import duration
from runs.loops import LoopState
from runs.outline import TRIGGER, WAITS, StepOutline, walk
from runs.overview import milliseconds
from runs.pages.axis import Axis, Block, Wait
from runs.pages.reading import Attempt, Reading
from runs.pages.words import RESOLVED_WORDS, ordinal, scalars, trigger_words
from runs.paths import item_path
from runs.states import StepStatus

BLOCKS_A_LINE: Final = 24
MAX_INDENT: Final = 5
_LABEL: Final = 40
_MANY: Final = 10_000  # so many items are told in percent where there is no room
_CSS: Final[Mapping[str, str]] = {
    StepStatus.SUCCEEDED: "ok",
    StepStatus.FAILED: "bad",
    StepStatus.LOST: "bad",
    StepStatus.RUNNING: "live",
    StepStatus.WAITING: "q",
    StepStatus.SKIPPED: "q",
    StepStatus.CANCELLED: "q",
}
_BAD: Final = (StepStatus.FAILED, StepStatus.LOST)
OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING)
_SPAN: Final = 12  # height of the line of a step that holds others


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is drawn of one step (or the trigger, or one iteration). ``number`` is empty for iterations."""

    path: str
    number: int | None
    name: str
    label: str
    tile: str
    indent: int
    status: str
    took: str
    running_since: datetime | None
    note: str
    note_x: float
    blocks: tuple[Block, ...]
    waits: tuple[Wait, ...]
    faded: bool
    selected: bool
    url: str
    aside: str
    resolved: str

    @property
    def dom_id(self) -> str:
        return dom_id(self.path)


def dom_id(path: str) -> str:
    """Return the id that a path's line has on the page."""
    return f"step-{path.replace('[', '-').replace(']', '').replace('.', '-').removeprefix('@')}"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything a line is drawn from."""

    reading: Reading
    axis: Axis
    now: datetime
    note_x: float

    def url(self, path: str) -> str:
        """Return the address with a path selected: there may be a thousand, which differ in that alone."""
        front, back = self._around
        return f"{front}{quote_plus(path)}{back}"

    @cached_property
    def _around(self) -> tuple[str, str]:
        address = self.reading.address
        front = f"{address.base}?step="
        return front, address.selecting("-").url.removeprefix(f"{front}-")

    def until(self, row: Attempt) -> datetime:
        """Return when an attempt ended, or where its bar ends meanwhile."""
        return row.finished_at or self.reading.run.finished_at or self.now


def trigger_line(scene: Scene) -> Line:
    run = scene.reading.run
    queued_until = run.started_at or run.finished_at or scene.now
    return _line(
        scene,
        TRIGGER,
        number=1,
        name=trigger_words(run.trigger_type),
        tile=run.trigger_type,
        status=StepStatus.SUCCEEDED,
        took=_("queued %(time)s") % {"time": duration(milliseconds(run.created_at, queued_until))},
        blocks=(scene.axis.block("q", run.created_at, queued_until, 17, 8),),
    )


def step_line(scene: Scene, step: StepOutline, path: str) -> Line:
    """Return the line of a step that ran, or that an earlier run gave."""
    attempts = scene.reading.attempts.get(path, ())
    last = attempts[-1] if attempts else None
    state = scene.reading.loops.get(path)
    note = _note(step, last)
    status = outcome(attempts) if attempts else scene.reading.given.get(path, "not_run")
    return _line(
        scene,
        path,
        number=step.number,
        name=step.name,
        tile=step.action,
        indent=scene.reading.indent(step),
        status=status,
        took=_took(scene, attempts, state),
        running_since=last.started_at if last and last.status == StepStatus.RUNNING and state is None else None,
        note=note,
        blocks=_loop_blocks(scene, attempts, state) if state else _blocks(scene, step, attempts),
        waits=_waits(scene, step, attempts),
        faded=status == StepStatus.SKIPPED,
        aside=_aside(note, attempts, state),
        resolved=_(RESOLVED_WORDS[last.resolved_as]) if last and last.resolved_as in RESOLVED_WORDS else "",
    )


def item_line(scene: Scene, loop: StepOutline, path: str, item: int) -> Line:
    """Return the line of one iteration: the bars of its steps, one after the other."""
    own = item_path(path, item)
    rows = item_rows(scene.reading, path, item)
    state = scene.reading.loops[path]
    status = item_status(scene.reading, loop, path, item)
    bars = [row for row in rows if row.status != StepStatus.SKIPPED and not _holds(loop, row)]
    note = _("taken over from the earlier run") if own in scene.reading.given and not rows else ""
    ends = [scene.until(row) for row in rows]
    return _line(
        scene,
        own,
        number=None,
        name=(_("Move %(number)s") if loop.is_agent else _("Item %(number)s")) % {"number": f"{item + 1:,}"},
        label=move_label(scene.reading, rows) if loop.is_agent else item_label(state, item),
        indent=scene.reading.indent(loop) + 1,
        status=status,
        took=duration(milliseconds(rows[0].started_at, max(ends))) if rows else "",
        running_since=rows[0].started_at if rows and status == StepStatus.RUNNING else None,
        note=note,
        blocks=tuple(
            scene.axis.block(_css(row), row.started_at, scene.until(row), 17, 8)
            for row in bars[-BLOCKS_A_LINE:]
            if row.action not in WAITS
        ),
        waits=tuple(
            Wait(x1=scene.axis.at(row.started_at), x2=scene.axis.at(scene.until(row)))
            for row in bars
            if row.action in WAITS
        ),
        faded=status == "not_run",
        aside=note,
    )


def _line(scene: Scene, path: str, **given: Any) -> Line:
    blank: dict[str, Any] = {
        "label": "", "tile": "", "indent": 0, "running_since": None, "note": "", "waits": (), "faded": False,
        "aside": "", "resolved": "",
    }  # fmt: skip
    values = {**blank, **given}
    return Line(
        **{**values, "indent": min(values["indent"], MAX_INDENT)},
        path=path,
        note_x=scene.note_x if values["note"] else 0.0,
        selected=scene.reading.selected == path,
        url=scene.url(path),
    )


def _holds(loop: StepOutline, row: Attempt) -> bool:
    """Whether a row is of a step that holds others, whose bars tell more."""
    return any(step.lanes and not step.is_loop for step in walk(loop.body) if step.key == row.key)


def item_rows(reading: Reading, path: str, item: int) -> Sequence[Attempt]:
    """Return the attempts of one iteration that were read, in start order."""
    return reading.items.get((path, item), ())


def item_status(reading: Reading, loop: StepOutline, path: str, item: int) -> str:
    """Return how an iteration stands: by the steps right in the loop's body."""
    own = item_path(path, item)
    if own in reading.given:
        return reading.given[own]
    outcomes = [outcome(reading.attempts.get(f"{own}.{step.key}", ())) for step in loop.body]
    came = outcomes if loop.is_agent else outcomes[-1:]
    ends = [status for step, status in zip(loop.body, outcomes, strict=True) if status in _BAD and not step.goes_on]
    waits = any(row.status == StepStatus.WAITING for row in item_rows(reading, path, item))
    if ends:
        return str(ends[0])
    if waits:
        return StepStatus.WAITING
    if all(status == "not_run" for status in outcomes):
        return "not_run"
    if StepStatus.CANCELLED in outcomes:
        return StepStatus.CANCELLED
    if any(status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED, *_BAD) for status in came):
        return StepStatus.SUCCEEDED
    return StepStatus.RUNNING if reading.loops[path].is_open else StepStatus.CANCELLED


def item_label(state: LoopState, item: int) -> str:
    """Return a few words that tell an item from the others, where the items are at hand."""
    value = state.values[item] if item < len(state.values) else None
    if isinstance(value, dict):
        return next(scalars(value), "")[:_LABEL]
    return str(value)[:_LABEL] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def move_label(reading: Reading, rows: Sequence[Attempt]) -> str:
    """Return what an agent did at a turn: the name of its model or of the tool."""
    step = reading.steps.get(rows[-1].key) if rows else None
    return step.name[:_LABEL] if step is not None else ""


def outcome(attempts: Sequence[Attempt]) -> str:
    """Return how a step stands after these attempts."""
    if not attempts:
        return "not_run"
    last = attempts[-1]
    # An attempt that will be tried again: the step is under way.
    return StepStatus.RUNNING if last.status in _BAD and last.retry_at else last.status


def tally_words(state: LoopState) -> str:
    """Return how far a loop is, as ``17 of 24 done, 1 failed``."""
    if state.total == 0:
        return _("The list is empty: there is nothing to do.")
    settled = state.done + state.failed + state.at_work + state.given
    left = 0 if state.is_open or state.total is None else state.total - settled
    counted = {"done": f"{state.done:,}", "all": f"{state.total or 0:,}"}
    words = [_("%(done)s of %(all)s done") % counted if state.total is not None else _("%(done)s done") % counted]
    parts = (
        (state.failed, _("%(count)s failed")),
        (state.waiting, _("%(count)s waiting")),
        (max(0, state.at_work - state.waiting), _("%(count)s at work")),
        (state.given, _("%(count)s taken over from the earlier run")),
        (max(0, left), _("%(count)s not finished")),
    )
    return ", ".join([*words, *(text % {"count": f"{count:,}"} for count, text in parts if count)])


def _took(scene: Scene, attempts: Sequence[Attempt], state: LoopState | None) -> str:
    if state is not None and state.is_open and state.total:
        ended = state.done + state.failed + state.given
        return f"{ended} / {state.total}" if state.total < _MANY else f"{100 * ended // state.total} %"
    if not attempts or attempts[-1].status == StepStatus.SKIPPED:
        return ""
    return duration(milliseconds(attempts[0].started_at, scene.until(attempts[-1])))


def _note(step: StepOutline, last: Attempt | None) -> str:
    """Return why a step has no bar, in words."""
    if last is None:
        return _("taken over from the earlier run")
    if last.status != StepStatus.SKIPPED:
        return ""
    return _("condition not met")


def _blocks(scene: Scene, step: StepOutline, attempts: Sequence[Attempt]) -> tuple[Block, ...]:
    shown = [row for row in attempts if row.status != StepStatus.SKIPPED][-BLOCKS_A_LINE:]
    if step.action in WAITS:
        # The wait itself is dashed; what came of it is a mark at its end.
        return tuple(
            scene.axis.block(_css(row), row.finished_at, row.finished_at)
            for row in shown
            if row.finished_at is not None
        )
    y, height = (19, 4) if step.lanes else (15, _SPAN)
    return tuple(scene.axis.block(_css(row), row.started_at, scene.until(row), y, height) for row in shown)


def _loop_blocks(scene: Scene, attempts: Sequence[Attempt], state: LoopState) -> tuple[Block, ...]:
    """Return a loop's bar of progress: as much of it is green, red and grey as items are done, failed and to come."""
    if not attempts:
        return ()
    row = attempts[-1]
    whole = scene.axis.block("q", row.started_at, scene.until(row), 18, 6)
    count = max(1, state.total or state.begun)
    parts, x = [], whole.x
    for css, share in (("ok", state.done + state.given), ("bad", state.failed), ("live", state.at_work)):
        width = min(round(whole.width * share / count, 2), round(whole.x + whole.width - x, 2))
        if share and width > 0:
            parts.append(Block(css=css, x=round(x, 2), width=width, y=18, height=6))
            x += width
    if row.status in _BAD and not state.failed and row.finished_at is not None:
        parts.append(scene.axis.block("bad", row.finished_at, row.finished_at, 18, 6))
    return (whole, *parts)


def _css(row: Attempt) -> str:
    """Return the colour of an attempt: amber for one that was tried again, red where the step stopped."""
    return "warn" if row.status in _BAD and row.retry_at else _CSS.get(row.status, "q")


def _waits(scene: Scene, step: StepOutline, attempts: Sequence[Attempt]) -> tuple[Wait, ...]:
    """Return the dashed lines: while a step waits, and between an attempt and the next, or now."""
    shown = attempts[-BLOCKS_A_LINE:]
    spans = [(row.started_at, scene.until(row)) for row in shown if step.action in WAITS or row.status == "waiting"]
    for row, later in zip_longest(shown, shown[1:]):
        until = later.started_at if later else (None if scene.reading.run.finished_at else scene.now)
        if row.retry_at and row.finished_at and until and until > row.finished_at:
            spans.append((row.finished_at, until))
    return tuple(Wait(x1=scene.axis.at(start), x2=scene.axis.at(end)) for start, end in spans)


def _aside(note: str, attempts: Sequence[Attempt], state: LoopState | None) -> str:
    """Return what the drawing says, for who cannot see it."""
    tries = _("on the %(ordinal)s try") % {"ordinal": ordinal(len(attempts))} if len(attempts) > 1 else ""
    return ", ".join(part for part in (tries, note, tally_words(state) if state else "") if part)


def working_words(scene: Scene) -> str:
    """Return how the run's time was spent."""
    reading = scene.reading
    working, waiting = 0.0, 0.0
    for path, rows in reading.attempts.items():
        step = reading.steps.get(rows[0].key)
        if rows[0].item is not None or step is None or (step.lanes and not step.is_loop):
            continue
        for row in rows:
            spent = milliseconds(row.started_at, scene.until(row)) if row.status != StepStatus.SKIPPED else 0.0
            if row.action in WAITS or row.status == StepStatus.WAITING:
                waiting += spent
            else:
                working += spent
        waiting += _between(reading.attempts[path])
    run = reading.run
    queued = milliseconds(run.created_at, run.started_at or run.finished_at or scene.now)
    words = [_("Working %(time)s") % {"time": duration(working)}]
    words += [_("waiting %(time)s") % {"time": duration(waiting)}] if waiting else []
    return " · ".join([*words, _("queued %(time)s") % {"time": duration(queued)}])


def _between(rows: Sequence[Attempt]) -> float:
    """Return the time between attempts, in ms."""
    return sum(milliseconds(row.finished_at, later.started_at) for row, later in pairwise(rows))


def busy_spans(reading: Reading, now: datetime) -> Iterable[tuple[datetime, datetime]]:
    """Yield the times in which a run did something."""
    run = reading.run
    yield run.created_at, run.started_at or run.finished_at or now
    for rows in reading.attempts.values():
        step = reading.steps.get(rows[0].key)
        holds = step is not None and step.lanes and not step.is_loop
        for row in rows:
            if not holds and row.action not in WAITS and row.status not in (StepStatus.WAITING, StepStatus.SKIPPED):
                yield row.started_at, row.finished_at or run.finished_at or now

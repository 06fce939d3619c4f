"""A run's steps over time, as rows with rectangles in percent: drawn on the server, so that no script lays them out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from orchestrator.words import duration
from runs.models import Run, StepRun
from runs.outline import TRIGGER, StepOutline
from runs.overview import milliseconds
from runs.pages.words import RESOLVED_WORDS, ordinal, trigger_words
from runs.states import RunKind, RunStatus, StepStatus

MOST_TICKS: Final = 5
_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
# The round steps between ticks, in ms.
_STEPS: Final = (
    *(factor * power for power in (1, 10, 100) for factor in (1, 2, 5)),
    *(count * _SECOND for count in (1, 2, 5, 10, 20, 30)),
    *(count * _MINUTE for count in (1, 2, 5, 10, 20, 30)),
    *(count * _HOUR for count in (1, 2, 4, 8, 12)),
    *(count * _DAY for count in (1, 2, 7, 30, 90, 365)),
)
BLOCKS_A_ROW: Final = 60
_LEAST_WIDTH: Final = 0.6  # percent: shorter ones could not be seen
_TOP, _HEIGHT = 15, 12
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


@dataclass(frozen=True, kw_only=True)
class Block:
    """An attempt (or the time in the queue) as a rectangle; ``x`` and ``width`` are percent of the axis."""

    css: str
    x: float
    width: float
    y: int = _TOP
    height: int = _HEIGHT


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A dashed line between two attempts, in percent."""

    x1: float
    x2: float


@dataclass(frozen=True, kw_only=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, kw_only=True)
class TimelineRow:
    """One step (or the trigger) of the timeline."""

    path: str
    dom_id: str
    number: int
    name: str
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


@dataclass(frozen=True, kw_only=True)
class Timeline:
    rows: tuple[TimelineRow, ...]
    ticks: tuple[Tick, ...]
    legend: tuple[tuple[str, str], ...]
    totals: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Maps moments to percent of the drawing."""

    start: datetime
    end: datetime

    @property
    def total_ms(self) -> float:
        return max(1.0, milliseconds(self.start, self.end))

    def at(self, moment: datetime) -> float:
        """Return where a moment lies, in percent."""
        share = milliseconds(self.start, moment) / self.total_ms
        return round(min(100.0, 100 * share), 2)

    def block(self, css: str, start: datetime, end: datetime, y: int = _TOP, height: int = _HEIGHT) -> Block:
        """Return the rectangle between two moments, wide enough to be seen and inside the drawing."""
        x = min(self.at(start), 100 - _LEAST_WIDTH)
        width = max(_LEAST_WIDTH, round(self.at(end) - x, 2))
        return Block(css=css, x=x, width=width, y=y, height=height)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything a row is drawn from."""

    run: Run
    axis: Axis
    now: datetime
    attempts: Mapping[str, Sequence[StepRun]]
    reused: Mapping[str, Any]
    selected: str
    base_url: str
    failed_key: str


def axis_of(run: Run, attempts: Sequence[StepRun], now: datetime) -> Axis:
    """Return the axis from the moment the run was accepted to its end, or to now."""
    ends = [moment for step in attempts for moment in (step.finished_at, step.started_at) if moment]
    end = run.finished_at or max([now, *ends]) if run.started_at else now
    return Axis(start=run.created_at, end=max([end, *ends]))


def by_key(attempts: Sequence[StepRun]) -> dict[str, list[StepRun]]:
    """Return the attempts of each step, items of loops together, in start order."""
    found: dict[str, list[StepRun]] = defaultdict(list)
    for step in attempts:
        found[step.key].append(step)
    return found


def timeline(scene: Scene, steps: Sequence[StepOutline]) -> Timeline:
    """Return the run's timeline: the trigger first, then every step of its version."""
    rows = [_trigger_row(scene), *(_step_row(scene, step, steps) for step in _shown(scene, steps))]
    return Timeline(
        rows=tuple(rows),
        ticks=_ticks(scene.axis),
        legend=_legend(rows),
        totals=_totals(scene),
    )


def _shown(scene: Scene, steps: Sequence[StepOutline]) -> list[StepOutline]:
    """Return the steps of a row each: a test of one step shows that one."""
    if scene.run.kind == RunKind.STEP:
        return [step for step in steps if step.key in scene.attempts] or list(steps[:1])
    return list(steps)


def _trigger_row(scene: Scene) -> TimelineRow:
    run, axis = scene.run, scene.axis
    queued_until = run.started_at or (run.finished_at or scene.now)
    blocks = (axis.block("q", run.created_at, queued_until, 17, 8),)
    took = _("queued %(time)s") % {"time": duration(milliseconds(run.created_at, queued_until))}
    return TimelineRow(
        path=TRIGGER,
        dom_id="step-trigger",
        number=1,
        name=trigger_words(run.trigger_type),
        tile=run.trigger_type,
        indent=0,
        status=StepStatus.SUCCEEDED,
        took=took,
        running_since=None,
        note="",
        note_x=0,
        blocks=blocks,
        waits=(),
        faded=False,
        selected=scene.selected == TRIGGER,
        url=select_url(scene.base_url, TRIGGER),
        aside="",
        resolved="",
    )


def _step_row(scene: Scene, step: StepOutline, steps: Sequence[StepOutline]) -> TimelineRow:
    attempts = scene.attempts.get(step.key, ())
    status = outcome(attempts, reused=step.key in scene.reused)
    took, note = _took(scene, attempts), _note(scene, step, attempts, steps)
    last = attempts[-1] if attempts else None
    path = last.path if last else step.key
    return TimelineRow(
        path=path,
        dom_id=f"step-{step.key}",
        number=step.number,
        name=step.name,
        tile=step.action,
        indent=step.indent,
        status=status,
        took=took,
        running_since=last.started_at if last and last.status == StepStatus.RUNNING else None,
        note=note,
        note_x=_note_x(scene),
        blocks=_blocks(scene, attempts),
        waits=_waits(scene, attempts),
        faded=not attempts or status == StepStatus.SKIPPED,
        selected=scene.selected == step.key,
        url=select_url(scene.base_url, step.key),
        aside=_aside(note, len(attempts)),
        resolved=_(RESOLVED_WORDS[last.resolved_as]) if last and last.resolved_as in RESOLVED_WORDS else "",
    )


def outcome(attempts: Sequence[StepRun], *, reused: bool = False) -> str:
    """Return one status for a step: what is at work first, then what failed for good."""
    if not attempts:
        return StepStatus.SUCCEEDED if reused else "not_run"
    final = [step for step in attempts if step.retry_at is None] or [attempts[-1]]
    for wanted in (StepStatus.RUNNING, StepStatus.WAITING, StepStatus.LOST, StepStatus.FAILED):
        if any(step.status == wanted for step in final):
            return wanted
    # Only attempts that will be tried again: the step is under way.
    return StepStatus.RUNNING if final[-1].retry_at and final[-1].status in _BAD else final[-1].status


def _took(scene: Scene, attempts: Sequence[StepRun]) -> str:
    items = {step.path for step in attempts}
    if len(items) > 1:
        return f"× {len(items)}"
    if not attempts or attempts[-1].status == StepStatus.SKIPPED:
        return ""
    return duration(milliseconds(attempts[0].started_at, attempts[-1].finished_at or scene.now))


def _note(scene: Scene, step: StepOutline, attempts: Sequence[StepRun], steps: Sequence[StepOutline]) -> str:
    """Return why a step has no bar, in words."""
    if attempts:
        return _("condition not met") if attempts[-1].status == StepStatus.SKIPPED else ""
    if step.key in scene.reused:
        return _("taken over from the earlier run")
    if scene.run.kind == RunKind.STEP:
        return _("not part of this test")
    notes = {
        RunStatus.FAILED: _("stopped before this step"),
        RunStatus.CANCELLED: _("cancelled before this step"),
        RunStatus.SUCCEEDED: _("other path taken"),
    }
    return notes.get(RunStatus(scene.run.status), "")


def _note_x(scene: Scene) -> float:
    """Return where a note stands: where the last step began, but with room for its words."""
    starts = [steps[0].started_at for steps in scene.attempts.values() if steps]
    return min(scene.axis.at(max(starts)), 50.0) if starts else 1.0


def _blocks(scene: Scene, attempts: Sequence[StepRun]) -> tuple[Block, ...]:
    shown = [step for step in attempts if step.status != StepStatus.SKIPPED][-BLOCKS_A_ROW:]
    return tuple(
        scene.axis.block(_css(step), step.started_at, step.finished_at or scene.run.finished_at or scene.now)
        for step in shown
    )


def _css(step: StepRun) -> str:
    """Return the colour of an attempt: amber for one that was tried again, red where the step stopped."""
    return "warn" if step.status in _BAD and step.retry_at else _CSS.get(step.status, "q")


def _waits(scene: Scene, attempts: Sequence[StepRun]) -> tuple[Wait, ...]:
    """Return the dashed lines between an attempt and the next, or the time that the next is due."""
    found = []
    for index, step in enumerate(attempts[-BLOCKS_A_ROW:]):
        rest = attempts[-BLOCKS_A_ROW:][index + 1 :]
        until = next((later.started_at for later in rest if later.path == step.path), None)
        until = until or (scene.now if scene.run.finished_at is None else None)
        if step.retry_at and step.finished_at and until and until > step.finished_at:
            found.append(Wait(x1=scene.axis.at(step.finished_at), x2=scene.axis.at(until)))
    return tuple(found)


def _aside(note: str, attempts: int) -> str:
    """Return what the drawing says, for who cannot see it."""
    tries = _("on the %(ordinal)s try") % {"ordinal": ordinal(attempts)} if attempts > 1 else ""
    return ", ".join(part for part in (tries, note) if part)


def _ticks(axis: Axis) -> tuple[Tick, ...]:
    """Return at most five round times, the first of them zero."""
    step = tick_step(axis.total_ms)
    count = min(MOST_TICKS, int(axis.total_ms / step) + 1)
    # None so near to the end that its label would leave the drawing.
    places = [index * step for index in range(count) if index * step < 0.93 * axis.total_ms]
    return tuple(Tick(x=round(100 * at / axis.total_ms, 2), label=_tick_label(at)) for at in places)


def tick_step(total_ms: float) -> float:
    """Return the least round step, in ms, that divides the axis into at most five parts."""
    return next((step for step in _STEPS if total_ms / step <= MOST_TICKS), _STEPS[-1])


def _tick_label(at: float) -> str:
    """Return ``0``, ``500 ms``, ``1.5 s``, ``20 s``, ``2 min``."""
    if not at:
        return "0"
    if 1_000 <= at < 60_000:
        return f"{at / 1_000:g} s"
    return duration(at)


def _legend(rows: Sequence[TimelineRow]) -> tuple[tuple[str, str], ...]:
    """Return the colours that the drawing uses, with their words."""
    used = {block.css for row in rows for block in row.blocks} | ({"w"} if any(row.waits for row in rows) else set())
    words = (
        ("ok", _("succeeded")),
        ("bad", _("failed")),
        ("warn", _("tried again")),
        ("live", _("running")),
        ("w", _("waiting to try again")),
        ("q", _("queued or waiting")),
    )
    return tuple((css, word) for css, word in words if css in used)


def _totals(scene: Scene) -> str:
    """Return how the run's time was spent."""
    steps = [step for found in scene.attempts.values() for step in found]
    working = sum(
        (milliseconds(step.started_at, step.finished_at or scene.now) for step in steps if step.status != "skipped"),
        0.0,
    )
    queued = milliseconds(scene.run.created_at, scene.run.started_at or scene.now)
    return _("Working %(working)s · queued %(queued)s") % {"working": duration(working), "queued": duration(queued)}


def select_url(base_url: str, path: str, **more: str | int) -> str:
    """Return the address of the run with a step selected."""
    return f"{base_url}?{urlencode({'step': path, **more})}"

"""The axis of a run's timeline: moments become percent, and long waits are cut so that short steps stay visible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from math import ceil, log
from typing import Final

from orchestrator.words import duration
from runs.overview import milliseconds

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
_LEAST_WIDTH: Final = 0.6  # percent: shorter ones could not be seen
_TOP, _HEIGHT = 15, 12
# Percent. A label nearer to the end would leave the drawing, one nearer to another or to a cut would lie over it.
_LAST_TICK, _TICKS_APART, _FROM_CUT = 93.0, 8.0, 3.0
# Only idle time that is longer than this is cut, to this share of what is left.
_CUT_OVER: Final = 60_000.0
_CUT_SHARE: Final = 0.08
_MOST_CUTS: Final = 6
# By so much at a time the axis of a live run grows, from a second on.
_GROWS: Final = 1.5

Span = tuple[datetime, datetime]


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
    """A dashed line, in percent."""

    x1: float
    x2: float


@dataclass(frozen=True, kw_only=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A time in which nothing happened, in ms from the start; ``kept`` is what it is drawn as long as."""

    start: float
    end: float
    kept: float


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Maps moments to percent of the drawing."""

    start: datetime
    end: datetime
    cuts: tuple[Cut, ...] = ()

    @cached_property
    def total_ms(self) -> float:
        """Return the length of what is drawn."""
        return max(1.0, self._drawn(milliseconds(self.start, self.end)))

    @property
    def breaks(self) -> tuple[float, ...]:
        """Return where time is cut, in percent."""
        return tuple(round(100 * (self._drawn(cut.start) + cut.kept / 2) / self.total_ms, 2) for cut in self.cuts)

    @property
    def roomy(self) -> Axis:
        """Return the axis with room after its end: it stays the same for a while as a run goes on."""
        steps = ceil(log(max(1.0, self.total_ms / _SECOND), _GROWS))
        return replace(self, end=self.end + timedelta(milliseconds=_SECOND * _GROWS**steps - self.total_ms))

    def at(self, moment: datetime) -> float:
        """Return where a moment lies, in percent."""
        return round(min(100.0, 100 * self._drawn(milliseconds(self.start, moment)) / self.total_ms), 2)

    def block(self, css: str, start: datetime, end: datetime, y: int = _TOP, height: int = _HEIGHT) -> Block:
        """Return the rectangle between two moments, wide enough to be seen and inside the drawing."""
        x = min(self.at(start), 100 - _LEAST_WIDTH)
        width = max(_LEAST_WIDTH, round(self.at(end) - x, 2))
        return Block(css=css, x=x, width=width, y=y, height=height)

    def ticks(self) -> tuple[Tick, ...]:
        """Return at most five times to write above the drawing, the first of them zero."""
        if self.cuts:
            # Round times would fall into what is left out: written is where each stretch begins.
            places = [0.0, *(cut.end for cut in self.cuts)][:MOST_TICKS]
        else:
            step = tick_step(self.total_ms)
            places = [index * step for index in range(min(MOST_TICKS, int(self.total_ms / step) + 1))]
        found: list[Tick] = []
        for at in places:
            x = round(100 * self._drawn(at) / self.total_ms, 2)
            if not found or (x < _LAST_TICK and self._has_room(x, found[-1].x)):
                found.append(Tick(x=x, label=_tick_label(at)))
        return tuple(found)

    def _has_room(self, x: float, before: float) -> bool:
        """Whether a label there lies over neither the one before it nor the mark of a cut."""
        return x - before >= _TICKS_APART and all(abs(x - mark) >= _FROM_CUT for mark in self.breaks)

    def _drawn(self, at: float) -> float:
        """Return how far from its start the drawing shows a time, both in ms."""
        for cut in reversed(self.cuts):
            if at > cut.end:
                at -= cut.end - cut.start - cut.kept
            elif at > cut.start:
                at = cut.start + cut.kept * (at - cut.start) / (cut.end - cut.start)
        return at


def axis_over(start: datetime, end: datetime, busy: Iterable[Span]) -> Axis:
    """Return the axis between two moments, with the time cut in which nothing was ``busy``."""
    gaps = _gaps(start, end, busy)
    left = milliseconds(start, end) - sum(gap_end - gap_start for gap_start, gap_end in gaps)
    kept = max(1.0, _CUT_SHARE * left)
    return Axis(
        start=start,
        end=end,
        cuts=tuple(
            Cut(start=gap_start, end=gap_end, kept=kept) for gap_start, gap_end in gaps if kept < gap_end - gap_start
        ),
    )


def _gaps(start: datetime, end: datetime, busy: Iterable[Span]) -> Sequence[tuple[float, float]]:
    """Return the longest times that are idle and long, in ms, in order."""
    spans = sorted((milliseconds(start, begin), milliseconds(start, until)) for begin, until in busy)
    found, at = [], 0.0
    for begin, until in [*spans, (milliseconds(start, end),) * 2]:
        if begin - at > _CUT_OVER:
            found.append((at, begin))
        at = max(at, until)
    return sorted(sorted(found, key=lambda gap: gap[0] - gap[1])[:_MOST_CUTS])


def tick_step(total_ms: float) -> float:
    """Return the least round step, in ms, that divides the axis into at most five parts."""
    return next((step for step in _STEPS if total_ms / step <= MOST_TICKS), _STEPS[-1])


def _tick_label(at: float) -> str:
    """Return ``0``, ``500 ms``, ``1.5 s``, ``20 s``, ``2 min``."""
    if not at:
        return "0"
    if 1_000 <= at < 60_000:
        return f"{at / 1_000:g} s" if at % 100 == 0 else duration(at)
    return duration(at).removesuffix(" 0 s")

"""When a driver looks for work. Asked in the thread that writes and claims; every commit of that thread claims too.

1. The driver that holds the bell looks when it is rung, when a run's time comes, and now and then in case a ring was
   lost: an idle system sleeps.
2. A driver beside it, called for work that the first left lying, looks every few milliseconds while it finds some,
   and takes the bell once it is free.
3. A look that found work which a claim did not get (another was faster) is repeated later each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from runs.bell import Ear
from runs.slots import Slots

SAFETY_SECONDS: Final = 0.5
# After a commit the next due time is unknown; while there are commits nobody need ask.
_SETTLED_SECONDS: Final = 0.005
# Beside the one with the bell: how often, by the seconds since something was found.
_BESIDE: Final = ((1.0, 0.01), (float("inf"), 0.05))
_TAKE_SECONDS: Final = 0.05
_FULL_SECONDS: Final = 0.05
_IN_VAIN: Final = (0.0, 0.005, 0.02, 0.05, 0.25)


class Work(Protocol):
    """Where work is looked for."""

    def due_in(self) -> float:
        """Return in how many seconds there is something to claim; infinity when nothing is known of."""


class Looks:
    """When one driver looks. Without an ``ear`` it is always beside."""

    def __init__(
        self, work: Work, slots: Slots, ear: Ear | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._work, self._slots, self._clock = work, slots, clock
        self.ear = ear
        self.has_bell = False
        self._take_at = 0.0
        self._found_at = clock()
        # When something is due, None when that has to be asked.
        self._due_at: float | None = None
        self._in_vain = 0

    def seconds(self) -> float:
        """Return how long to sleep, unless something is to be written or the bell is rung."""
        now = self._clock()
        self._mind_the_bell(now)
        if self._slots.room <= 0:
            return _FULL_SECONDS
        if self._in_vain:
            return _IN_VAIN[min(self._in_vain, len(_IN_VAIN) - 1)]
        if self._due_at is None:
            return _SETTLED_SECONDS
        return max(0.0, min(self._due_at - now, self._longest(now)))

    def is_due(self, *, rung: bool) -> bool:
        """Look, unless the bell was rung, which says it already; return whether a claim would find something."""
        if rung:
            return self._slots.room > 0
        seconds = self._work.due_in()
        self._due_at = self._clock() + seconds
        if seconds > 0:
            self._in_vain = 0
        return seconds <= 0

    def note(self, claimed: int, *, wrote: bool) -> None:
        """Take note of a commit: how many it claimed, and whether it changed runs."""
        now = self._clock()
        if claimed or wrote:
            self._due_at, self._in_vain = None, 0
            self._found_at = now if claimed else self._found_at
        elif self._due_at is not None and self._due_at <= now:
            self._in_vain += 1

    def leave(self) -> None:
        """Give the bell up."""
        self.has_bell = False
        if self.ear is not None:
            self.ear.leave()

    def _longest(self, now: float) -> float:
        if self.has_bell:
            return SAFETY_SECONDS
        since = now - self._found_at
        return next(seconds for limit, seconds in _BESIDE if since < limit)

    def _mind_the_bell(self, now: float) -> None:
        if self.ear is None:
            return
        if self._slots.is_closed:
            self.leave()
        elif now >= self._take_at:
            self.has_bell = self.ear.take()
            self._take_at = now + (SAFETY_SECONDS if self.has_bell else _TAKE_SECONDS)

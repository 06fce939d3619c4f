"""The ticker of a worker's leader: looks at the run rows, for work that nobody took and for processes that hang.

It also sees to it that a driver of this machine holds the bell, so that new work is heard of at once.

django-q2 can wedge for ever when one of its processes is killed: the dead one holds a queue's lock. So a driver must
be seen to begin or to beat while work is due; else the leader ends, and everything is started again.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import DatabaseError, connection

from runs import bell, doorbell, schedules, sweeper
from runs.clock import DatabaseClock
from runs.models import WorkerBeat
from runs.sweeper import Work

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 0.25
SWEEP_SECONDS: Final = 1.0
# While a driver hears the bell and nothing is due, ticks are rarer; while nothing is driven either, sweeps are.
CALM_SECONDS: Final = 1.0
CALM_SWEEP_SECONDS: Final = 5.0
# A slot whose workflow is just being published is looked at again this soon.
LEAST_PAUSE: Final = 0.02
# A driver that was called takes a while to begin, and its message may go to another machine.
CALL_SECONDS: Final = 1.0
WEDGED_SECONDS: Final = 10.0


class Ticker:
    """Ticks in a thread of the leader. ``beat`` tells the process above that we are not stuck."""

    def __init__(self, *, beat: Callable[[], None], wedged: Callable[[], None]) -> None:
        self._beat, self._wedged = beat, wedged
        self._clock = DatabaseClock()
        self._host = socket.gethostname()
        self._ringer = doorbell.Ringer()
        self._since: float | None = None
        self._seen: datetime | None = None
        self._swept_at = 0.0
        self._called_at = float("-inf")
        self._is_calm = False
        self._work = Work.DUE
        self._until_next: float | None = None

    def start(self) -> None:
        threading.Thread(target=self._main, name="ticker", daemon=True).start()

    def _main(self) -> None:
        while True:
            self._beat()
            try:
                self.tick(time.monotonic())
            except DatabaseError as error:
                # While the database is away nothing can be driven, so nothing is wedged either.
                log.warning("The database cannot be asked for work: %s", type(error).__name__)
                self._since = None
                self._ringer.close()
                self._is_calm = False
            except Exception:
                self._is_calm = False
                log.exception("A tick failed")
                connection.close()
            time.sleep(self._pause())

    def tick(self, now: float) -> None:
        """Look once: ring for what is due, sweep now and then, and give the alarm when nothing moves."""
        moment = self._clock.now()
        self._fire(moment)
        if now - self._swept_at >= (CALM_SWEEP_SECONDS if self._work is Work.NONE else SWEEP_SECONDS):
            self._swept_at = now
            sweeper.sweep()
        self._work = sweeper.state_of_work(moment)
        self._is_calm = self._work is not Work.DUE and self._is_somebody_waiting(now)
        if self._work is not Work.DUE:
            self._since = None
            return
        bell.ring(bell.WORK)
        self._ringer.send()
        seen = self._last_beat()
        if self._since is None or seen != self._seen:
            self._since, self._seen = now, seen
        elif now - self._since > WEDGED_SECONDS:
            log.critical("Work has been due for %s s and no driver moves", WEDGED_SECONDS)
            self._wedged()

    def _fire(self, moment: datetime) -> None:
        """Fire the schedules that are due, and see how long it is to the next."""
        try:
            at = schedules.next_at()
            if at is not None and at <= moment:
                schedules.fire(moment)
                at = schedules.next_at()
        except DatabaseError:
            raise
        except Exception:
            # One that cannot be fired must not keep drivers from being looked after.
            log.exception("Schedules could not be fired")
            at = None
        self._until_next = None if at is None else (at - moment).total_seconds()

    def _pause(self) -> float:
        """Return how long to sleep: to the next slot, if that comes before the next tick."""
        pause = CALM_SECONDS if self._is_calm else TICK_SECONDS
        return pause if self._until_next is None else min(pause, max(self._until_next, LEAST_PAUSE))

    def _is_somebody_waiting(self, now: float) -> bool:
        """Whether a driver of this machine holds the bell; else one is called, now and then."""
        if bell.is_held(bell.WORK):
            return True
        if now - self._called_at >= CALL_SECONDS:
            self._called_at = now
            self._ringer.send()
        return False

    def _last_beat(self) -> datetime | None:
        """Return when a driver of this group last told of itself."""
        mine = WorkerBeat.objects.filter(host=self._host).values_list("pid", "beat_at")
        return max((at for pid, at in mine if _is_in_this_group(pid)), default=None)


def _is_in_this_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == os.getpgrp()
    except ProcessLookupError:
        return False

"""A driver's heartbeat: leases prolonged, and what was asked of its runs from outside.

It beats in the loop and not in a thread: a loop that hangs must lose its leases, so that others take over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from runs.claims import Claimer, Watched
from runs.clock import DatabaseClock
from runs.drive import RunDrive
from runs.engine.ports import StopReason
from runs.models import WorkerBeat
from runs.writer import Job

WATCH_SECONDS: Final = 0.5
# In watches: leases of 15 s are prolonged every 4, the clock is compared every minute.
_RENEW_EVERY: Final = 8
_BEAT_EVERY: Final = 4
_CLOCK_EVERY: Final = 120


@dataclass(kw_only=True)
class Heartbeat:
    """Beats for one driver; ``put`` hands a job to the writer's thread."""

    driver: str
    host: str
    pid: int
    put: Callable[[Job], None]

    async def beat(self, active: Mapping[int, RunDrive], claimer: Claimer, clock: DatabaseClock) -> None:
        """Beat until cancelled."""
        count = 0
        while True:
            drives = dict(active)
            if count % _BEAT_EVERY == 0:
                self._ask(partial(self._note, clock, len(drives)))
            if drives and count % _RENEW_EVERY == _RENEW_EVERY - 1:
                self._ask(partial(claimer.renew, tuple(drives)))
            if drives:
                known = {run_id: run.claim.authority for run_id, run in drives.items()}
                self._ask(partial(claimer.watch, known), partial(_act, drives, active))
            if count % _CLOCK_EVERY == _CLOCK_EVERY - 1:
                self._ask(clock.synchronise)
            count += 1
            await asyncio.sleep(WATCH_SECONDS)

    def leave(self) -> None:
        """Take the driver off the list of those that live."""
        self._ask(lambda: WorkerBeat.objects.filter(pk=self.driver).delete())

    def _ask(self, work: Callable[[], Any], then: Callable[[Any], None] | None = None) -> None:
        def done(value: Any, error: BaseException | None) -> None:
            if error is None and then is not None:
                then(value)

        self.put(Job(work=work, done=done))

    def _note(self, clock: DatabaseClock, held: int) -> None:
        now = clock.now()
        if not WorkerBeat.objects.filter(pk=self.driver).update(beat_at=now, active_runs=held):
            WorkerBeat.objects.create(name=self.driver, host=self.host, pid=self.pid, beat_at=now, active_runs=held)


def _act(was: Mapping[int, RunDrive], active: Mapping[int, RunDrive], seen: Watched) -> None:
    """Stop what has to stop. A run that has ended meanwhile is not ours any more either, and means nothing."""
    for run_ids, reason, now in (
        (seen.lost, StopReason.LOST, True),
        (seen.cancelled, StopReason.CANCELLED, True),
        (seen.revoked, StopReason.REVOKED, False),
    ):
        for run_id in run_ids:
            run = was[run_id]
            if active.get(run_id) is run:
                run.stop(reason, now=now)
    for run_id, signals in seen.signals.items():
        if active.get(run_id) is was[run_id]:
            was[run_id].inform(signals)

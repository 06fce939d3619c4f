"""The driver: claims runs and drives many of them in one asyncio loop, inside one django-q2 task.

1. A thread of its own writes and claims (``writer``, ``claims``); readers query; the loop never touches the database.
2. Each claimed run is a task: read what is needed, interpret, write how it ends.
3. A heartbeat prolongs the leases and learns which runs were cancelled, taken over, or lost their authority. It beats
   in the loop, so that a loop that hangs loses its leases.
4. At the slice's end, or when asked to stop, runs are given back between two steps; a call under way is finished.
   After a slice, calls that take longer keep the driver going for another one.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings

from integrations import sandbox
from integrations.registry import registry
from runs.adapters import PooledClients, Readers, RegistryCatalog, VaultCredentials
from runs.claims import Claimed, Claimer
from runs.clock import DatabaseClock
from runs.drive import RunDrive, Shared
from runs.engine.ports import StopReason
from runs.heartbeat import Heartbeat
from runs.journal import RIDE_SECONDS, RunJournal
from runs.owners import new_owner
from runs.plans import Plans
from runs.slots import Slots
from runs.writer import Job, Writer
from runs.writes import Write

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 5.0
# How long calls under way may take at the slice's end, and when the process is asked to stop.
HAND_OVER_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0
STEP_THREADS: Final = 32
_TICK: Final = 0.02
# How often work is looked for, by the seconds since there was some.
_LOOKS: Final = ((1.0, 0.002), (5.0, 0.005), (float("inf"), 0.01))
_FULL_LOOK: Final = 0.05
# What the loop hands over at once: a commit costs about as much as a run.
WRITES_AT_ONCE: Final = 32

# Shared with the processes that are forked off this one; see `stop_everywhere`.
_stopping = mmap.mmap(-1, 1)
_drivers: set[Driver] = set()
_drivers_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long a driver drives, in seconds. ``hard`` is when it must have ended, whatever is under way."""

    slice: float
    idle: float = IDLE_SECONDS
    hard: float = float("inf")
    hand_over: float = HAND_OVER_SECONDS
    stop: float = STOP_SECONDS


def drive(*, slice_seconds: float | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
    """Claim and drive runs until there are none for ``idle_seconds``, or until the slice's end. Blocks."""
    if _stopping[0]:
        return
    seconds = float(slice_seconds or settings.DRIVER_SLICE_SECONDS)
    hard = max(seconds, float(str(settings.Q_CLUSTER.get("timeout") or seconds)) - STOP_SECONDS)
    run_driver(Driver(Times(slice=seconds, idle=idle_seconds, hard=hard)))


def request_stop() -> None:
    """Have every driver of this process give its runs back and end; safe from a signal handler."""
    for driver in tuple(_drivers):
        driver.request_stop()


def stop_everywhere() -> None:
    """Have every driver of this process and of those forked off it give its runs back, and none begin."""
    _stopping[0] = 1


def run_driver(driver: Driver) -> None:
    """Run a driver in a loop of its own until it ends."""
    registry.load()
    with _drivers_lock:
        _drivers.add(driver)
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(STEP_THREADS, thread_name_prefix="step")
    loop.set_default_executor(threads)
    try:
        with _stopped_by_sigterm(driver):
            loop.run_until_complete(driver.main())
    finally:
        with _drivers_lock:
            _drivers.discard(driver)
        # A step's thread that never returns must not keep the driver from ending.
        threads.shutdown(wait=False, cancel_futures=True)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextmanager
def _stopped_by_sigterm(driver: Driver) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: driver.request_stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Driver:
    """One driver; ``main`` returns once it drives nothing any more."""

    def __init__(self, times: Times, *, slots: Slots | None = None) -> None:
        self.owner = new_owner()
        self.times = times
        self.slots = slots or Slots()
        self._clock = DatabaseClock()
        self._active: dict[int, RunDrive] = {}
        self._riding: set[RunJournal] = set()
        self._outgoing: list[Write | Job] = []
        self._stop = False
        self._worked_at = time.monotonic()
        self._claimer = Claimer(owner=self.owner, slots=self.slots, clock=self._clock)
        self.writer = Writer(
            owner=self.owner,
            interval=self._look_interval,
            before=self._claimer.is_work_due,
            claim=self._claimer.claim,
            unclaim=self._claimer.undo,
            deliver=self._deliver,
        )

    def request_stop(self) -> None:
        self._stop = True

    async def main(self) -> None:
        """Drive until idle, until the slice's end, or until asked to stop."""
        self._loop = asyncio.get_running_loop()
        readers, clients = Readers(), PooledClients()
        self._shared = Shared(
            readers=readers,
            plans=Plans(),
            catalog=RegistryCatalog(),
            credentials=VaultCredentials(readers),
            clients=clients,
            clock=self._clock,
            slots=self.slots,
            limits=self._claimer.limits,
            owner=self.owner,
            put=self._put,
            rides=self._ride,
        )
        heart = Heartbeat(driver=self.owner, host=socket.gethostname(), pid=os.getpid(), put=self._put)
        try:
            await readers.read(self._clock.synchronise)
            self.writer.start()
            # Idle counts from the first look at the queue, which a busy machine may be late with.
            await self._round_trip()
            self._worked_at = time.monotonic()
            beating = asyncio.create_task(heart.beat(self._active, self._claimer, self._clock))
            await self._slices()
            beating.cancel()
            heart.leave()
        finally:
            if self.writer.is_alive:
                self._pass_on()
                await asyncio.to_thread(self.writer.close)
            await clients.pool.aclose()
            await sandbox.aclose()
            await asyncio.to_thread(readers.close)

    async def _slices(self) -> None:
        began = time.monotonic()
        while True:
            await self._until(lambda: self._stop or self._is_idle(), self.times.slice)
            if not self._stop and self._is_idle() and await self._closes_idle():
                return
            left = self.times.hard - (time.monotonic() - began)
            if await self._hand_over(min(left, self.times.stop if self._stop else self.times.hand_over)):
                return
            if self._stop or left <= self.times.slice:
                await self._cut()
                return
            # Calls that take longer go on, and so does everything else meanwhile.
            for run in self._active.values():
                run.keep()
            self.slots.reopen()

    async def _closes_idle(self) -> bool:
        """Take nothing more; return whether nothing was claimed just before that."""
        self.slots.close()
        await self._round_trip()
        if self._active:
            self.slots.reopen()
            return False
        return True

    async def _round_trip(self) -> None:
        """Wait until the writer has seen everything that came before."""
        seen = asyncio.Event()
        self._put(Job(work=lambda: None, done=lambda _, error: seen.set()))
        await seen.wait()

    async def _hand_over(self, seconds: float) -> bool:
        """Take nothing more and give runs back between two steps; return whether none is left."""
        self.slots.close()
        for run in list(self._active.values()):
            run.stop(StopReason.HAND_OVER, now=False)
        await self._until(lambda: not self._active, seconds)
        return not self._active

    async def _cut(self) -> None:
        """Give back what is in mid-call: the next driver decides whether it may be tried again."""
        for run in list(self._active.values()):
            run.stop(StopReason.HAND_OVER, now=True)
        await self._until(lambda: not self._active, STOP_SECONDS)

    async def _until(self, met: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not met() and time.monotonic() < end:
            if not self.writer.is_alive:
                raise RuntimeError("the journal's thread is gone")
            self._stop = self._stop or bool(_stopping[0])
            await asyncio.sleep(_TICK)

    def _is_idle(self) -> bool:
        return not self._active and time.monotonic() - self._worked_at > self.times.idle

    def _look_interval(self) -> float:
        """Return how long the writer waits for something to write before it looks for work; in its thread."""
        if self.slots.room <= 0:
            return _FULL_LOOK
        idle = time.monotonic() - self._worked_at
        return next(interval for limit, interval in _LOOKS if idle < limit)

    def _put(self, item: Write | Job) -> None:
        """Have the writer take an item together with whatever else this turn of the loop has for it."""
        if not self._outgoing:
            self._loop.call_soon(self._pass_on)
        self._outgoing.append(item)
        if len(self._outgoing) >= WRITES_AT_ONCE:
            self._pass_on()

    def _pass_on(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for item in outgoing:
            if isinstance(item, Write) and item.ending is not None and item.run_id in self._active:
                # Not before, or the next runs would be claimed one by one; they are by the commit that ends these.
                self._active[item.run_id].give_place()
            self.writer.put(item)

    def _deliver(self, results: list[Callable[[], None]], claimed: Sequence[Any]) -> None:
        self._loop.call_soon_threadsafe(self._received, results, claimed)

    def _received(self, results: list[Callable[[], None]], claimed: Sequence[Claimed]) -> None:
        for result in results:
            result()
        if claimed:
            # The heartbeat's own jobs are no work: with them a driver would never be idle.
            self._worked_at = time.monotonic()
        for claim in claimed:
            self._active[claim.run_id] = RunDrive(claim, self._shared, ended=self._ended)

    def _ended(self, run: RunDrive) -> None:
        # Claimed again in the very commit that parked it, the run has another drive by now.
        if self._active.get(run.claim.run_id) is run:
            del self._active[run.claim.run_id]
        self._worked_at = time.monotonic()

    def _ride(self, journal: RunJournal) -> None:
        if not self._riding:
            self._loop.call_later(RIDE_SECONDS, self._flush)
        self._riding.add(journal)

    def _flush(self) -> None:
        riding, self._riding = self._riding, set()
        for journal in riding:
            journal.flush()

"""The driver: claims runs and drives many of them in one asyncio loop, inside one django-q2 task.

1. A thread of its own writes and claims (``writer``, ``claims``); readers query; the loop never touches the database.
2. Each claimed run is a task: read what is needed, interpret, write how it ends.
3. One driver of a machine holds the bell and hears at once of new work; it stays while there is none (``looks``).
4. A heartbeat prolongs the leases and learns which runs were cancelled, taken over, or lost their authority. It beats
   in the loop, so that a loop that hangs loses its leases.
5. At the slice's end, or when asked to stop, runs are given back between two steps; a call under way is finished.
   After a slice, calls that take longer keep the driver going for another one.
"""

from __future__ import annotations

import asyncio
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
from functools import partial
from typing import Any, Final

from django.conf import settings

from integrations import sandbox
from integrations.registry import registry
from runs import bell, doorbell, tracing
from runs.adapters import PooledClients, Readers, RegistryCatalog
from runs.alerts import Alerts
from runs.checks import CredentialChecks
from runs.claims import Claimed, Claimer
from runs.clock import DatabaseClock
from runs.credentials import VaultCredentials
from runs.drive import RunDrive, Shared
from runs.engine.ports import StopReason
from runs.gates import Gates
from runs.heartbeat import Heartbeat
from runs.journal import RIDE_SECONDS, RunJournal
from runs.looks import Looks
from runs.overtime import prolong
from runs.owners import new_owner
from runs.plans import Plans
from runs.polls import Polls
from runs.slots import Slots
from runs.subscriptions import Subscriptions
from runs.writer import Job, Writer
from runs.writes import Write

# How long a driver without the bell stays when it finds nothing.
IDLE_SECONDS: Final = 5.0
# A driver with the bell calls its successor so long before the slice's end, so that somebody always hears it.
SUCCESSION_SECONDS: Final = 2.0
# How long calls under way may take at the slice's end, and when the process is asked to stop.
HAND_OVER_SECONDS: Final = 20.0
STOP_SECONDS: Final = 10.0
# How long an ending driver waits for tokens that were asked for, at most.
RENEWAL_SECONDS: Final = 5.0
STEP_THREADS: Final = 32
# What no event tells: that every process is to stop, and that time has passed.
_TICK: Final = 0.25
# What the loop hands over at once: a commit costs about as much as a run.
WRITES_AT_ONCE: Final = 32

# Shared with the processes that are forked off this one; see `stop_everywhere`.
_stopping = mmap.mmap(-1, 1)


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long a driver drives, in seconds. ``hard`` is when it must have ended, whatever is under way.

    ``prolong`` asks for that time once more, from now on, and returns whether it was given.
    """

    slice: float
    idle: float = IDLE_SECONDS
    hard: float = float("inf")
    prolong: Callable[[], bool] = lambda: False
    hand_over: float = HAND_OVER_SECONDS
    stop: float = STOP_SECONDS


def drive(*, slice_seconds: float | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
    """Claim and drive runs until the slice's end, or, without the bell, until there are none for ``idle_seconds``.

    Blocks.
    """
    if _stopping[0]:
        return
    seconds = float(slice_seconds or settings.DRIVER_SLICE_SECONDS)
    timeout = max(seconds, float(str(settings.Q_CLUSTER.get("timeout") or seconds)))
    times = Times(
        slice=seconds,
        idle=idle_seconds,
        hard=max(seconds, timeout - STOP_SECONDS),
        prolong=partial(prolong, timeout),
    )
    run_driver(Driver(times, ear=bell.Ear(bell.WORK)))


def stop_everywhere() -> None:
    """Have every driver of this process and of those forked off it give its runs back, and none begin."""
    _stopping[0] = 1


def run_driver(driver: Driver) -> None:
    """Run a driver in a loop of its own until it ends."""
    registry.load()
    loop = asyncio.new_event_loop()
    threads = ThreadPoolExecutor(STEP_THREADS, thread_name_prefix="step")
    loop.set_default_executor(threads)
    try:
        with _stopped_by_sigterm(driver):
            loop.run_until_complete(driver.main())
    finally:
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
    """One driver; ``main`` returns once it drives nothing any more. With an ``ear`` it takes the bell if it can."""

    def __init__(self, times: Times, *, slots: Slots | None = None, ear: bell.Ear | None = None) -> None:
        self.owner = new_owner()
        self.times = times
        self.slots = slots or Slots()
        self._clock = DatabaseClock()
        self._active: dict[int, RunDrive] = {}
        self._riding: set[RunJournal] = set()
        self._outgoing: list[Write | Job] = []
        self._stop = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._worked_at = time.monotonic()
        self._claimer = Claimer(owner=self.owner, slots=self.slots, clock=self._clock)
        self.looks = Looks(self._claimer, self.slots, ear)
        self.writer = Writer(
            owner=self.owner,
            looks=self.looks,
            claim=self._claimer.claim,
            unclaim=self._claimer.undo,
            deliver=self._deliver,
        )

    def request_stop(self) -> None:
        """Have it give its runs back and end; from any thread, or a signal handler."""
        self._stop = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    async def main(self) -> None:
        """Drive until the slice's end, until asked to stop, or until idle without the bell."""
        self._loop = asyncio.get_running_loop()
        readers, clients, spans = Readers(), PooledClients(), tracing.here()
        self._shared = Shared(
            readers=readers,
            plans=Plans(),
            catalog=RegistryCatalog(),
            credentials=VaultCredentials(readers, self._put),
            clients=clients,
            gates=Gates(readers, self._clock),
            clock=self._clock,
            slots=self.slots,
            limits=self._claimer.limits,
            owner=self.owner,
            put=self._put,
            rides=self._ride,
            spans=spans,
        )
        heart = Heartbeat(driver=self.owner, host=socket.gethostname(), pid=os.getpid(), put=self._put)
        try:
            await readers.read(self._clock.synchronise)
            self.writer.start()
            # Idle counts from the first look at the queue, which a busy machine may be late with.
            await self._round_trip()
            self._worked_at = time.monotonic()
            beating = asyncio.create_task(heart.beat(self._active, self._claimer, self._clock))
            checks = CredentialChecks(
                readers=readers,
                credentials=self._shared.credentials,
                put=self._put,
                is_first=lambda: self.looks.has_bell,
            )
            checking = asyncio.create_task(checks.watch())
            rounds = [
                made(
                    readers=readers,
                    credentials=self._shared.credentials,
                    clients=clients,
                    gates=self._shared.gates,
                    clock=self._clock,
                    put=self._put,
                    is_first=lambda: self.looks.has_bell,
                )
                for made in (Polls, Subscriptions)
            ]
            watching = [asyncio.create_task(each.watch()) for each in rounds]
            alerts = Alerts(
                readers=readers,
                credentials=self._shared.credentials,
                clients=clients,
                clock=self._clock,
                put=self._put,
                is_first=lambda: self.looks.has_bell,
            )
            alerting = asyncio.create_task(alerts.watch())
            await self._slices()
            beating.cancel()
            checking.cancel()
            alerting.cancel()
            alerts.close()
            for task, each in zip(watching, rounds, strict=True):
                task.cancel()
                each.close()
            heart.leave()
        finally:
            if self.writer.is_alive:
                self._pass_on()
                await self._shared.credentials.settle(RENEWAL_SECONDS)
                await asyncio.to_thread(self.writer.close)
            await clients.pool.aclose()
            await sandbox.aclose()
            await asyncio.to_thread(readers.close)
            if spans is not None:
                await asyncio.to_thread(spans.flush)

    async def _slices(self) -> None:
        began = time.monotonic()
        while True:
            if await self._slice():
                return
            left = self.times.hard - (time.monotonic() - began)
            if await self._hand_over(min(left, self.times.stop if self._stop else self.times.hand_over)):
                return
            if not self._stop and left <= self.times.slice and self.times.prolong():
                began, left = time.monotonic(), self.times.hard
            if self._stop or left <= self.times.slice:
                await self._cut()
                return
            # Calls that take longer go on, and so does everything else meanwhile.
            for run in self._active.values():
                run.keep()
            self._reopen()

    async def _slice(self) -> bool:
        """Drive for a slice, or until asked to stop; return whether it ended because there was nothing to do."""
        end = time.monotonic() + self.times.slice
        if await self._idles(end - SUCCESSION_SECONDS):
            return True
        if self.looks.has_bell and not self._stop:
            doorbell.call()
        return await self._idles(end)

    async def _idles(self, end: float) -> bool:
        """Drive until idle, or to an end; return whether it is idle, and takes nothing more."""
        while not self._stop and time.monotonic() < end:
            await self._until(lambda: self._stop or self._is_idle(), end - time.monotonic())
            if not self._stop and self._is_idle() and await self._closes_idle():
                return True
        return False

    async def _closes_idle(self) -> bool:
        """Take nothing more; return whether nothing was claimed just before that."""
        self._close()
        await self._round_trip()
        if self._active:
            self._reopen()
            return False
        return True

    def _close(self) -> None:
        """Take nothing more, and leave the bell to another."""
        self.slots.close()
        self.writer.wake()

    def _reopen(self) -> None:
        self.slots.reopen()
        self.writer.wake()

    async def _round_trip(self) -> None:
        """Wait until the writer has seen everything that came before."""
        seen = asyncio.Event()
        self._put(Job(work=lambda: None, done=lambda _, error: seen.set()))
        await seen.wait()

    async def _hand_over(self, seconds: float) -> bool:
        """Take nothing more and give runs back between two steps; return whether none is left."""
        self._close()
        # What was claimed just before has to be here, else nobody would give it back.
        await self._round_trip()
        had_runs = bool(self._active)
        for run in list(self._active.values()):
            run.stop(StopReason.HAND_OVER, now=False)
        await self._until(lambda: not self._active, seconds)
        if had_runs:
            doorbell.ring()
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
            await self._change(min(_TICK, self.times.idle, end - time.monotonic()))

    async def _change(self, seconds: float) -> None:
        """Wait until something has changed, for ``seconds`` at most."""
        self._changed.clear()
        timer = asyncio.get_running_loop().call_later(max(0.0, seconds), self._changed.set)
        await self._changed.wait()
        timer.cancel()

    def _is_idle(self) -> bool:
        if self._active or self.looks.has_bell:
            return False
        return time.monotonic() - self._worked_at > self.times.idle

    def _put(self, item: Write | Job) -> None:
        """Have the writer take an item together with whatever else this turn of the loop has for it."""
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._pass_on)
        self._outgoing.append(item)
        if len(self._outgoing) >= WRITES_AT_ONCE:
            self._pass_on()

    def _pass_on(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        for item in outgoing:
            if isinstance(item, Write) and item.ending is not None and item.run_id in self._active:
                # Not before, or the next runs would be claimed one by one; they are by the commit that ends these.
                self._active[item.run_id].give_place()
        self.writer.put(*outgoing)

    def _deliver(self, results: list[Callable[[], None]], claimed: Sequence[Any]) -> None:
        assert self._loop is not None
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
        if not self._active:
            self._changed.set()

    def _ride(self, journal: RunJournal) -> None:
        if not self._riding:
            asyncio.get_running_loop().call_later(RIDE_SECONDS, self._flush)
        self._riding.add(journal)

    def _flush(self) -> None:
        riding, self._riding = self._riding, set()
        for journal in riding:
            journal.flush()

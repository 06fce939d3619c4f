"""Runs that arrive over the web: inserted by one thread of the process, so that requests at once share a commit."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from runs import doorbell
from runs.models import Payload, Run
from runs.services import find_duplicate

log = logging.getLogger(__name__)

ARRIVALS_A_COMMIT: Final = 200
ACCEPT_SECONDS: Final = 20.0
# An idle thread gives its connection back: a pool has few.
_IDLE_SECONDS: Final = 10.0
_AWAY: Final = (OperationalError, InterfaceError)


class Unavailable(Exception):
    """The run could not be kept, or nobody can say whether it was: the sender has to send it again."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A run to insert with its large values; ``accepted`` gets the run that counts, an earlier one when it repeats."""

    run: Run
    payloads: Sequence[Payload] = ()
    accepted: Future[Run] = field(default_factory=Future)


class Intake:
    """The thread of one process, begun at the first arrival: never before a fork."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()
        self.commits = 0

    def accept(self, run: Run, payloads: Sequence[Payload]) -> Run:
        """Insert a run and return it once it is durable, or the first run with its dedupe key. Raises Unavailable."""
        self._ensure()
        arrival = Arrival(run=run, payloads=payloads)
        self._queue.put(arrival)
        try:
            return arrival.accepted.result(timeout=ACCEPT_SECONDS)
        except (TimeoutError, IntegrityError, *_AWAY) as error:
            # What was not begun must not be inserted after its sender was told to send it again.
            arrival.accepted.cancel()
            raise Unavailable from error

    def close(self) -> None:
        """Insert what waits and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _ensure(self) -> None:
        if self._thread is not None and self._pid == os.getpid() and self._thread.is_alive():
            return
        with self._lock:
            if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
                self._queue, self._pid = queue.SimpleQueue(), os.getpid()
                self._thread = threading.Thread(target=self._main, args=(self._queue,), name="intake", daemon=True)
                self._thread.start()

    def _main(self, arrivals: queue.SimpleQueue[Arrival | None]) -> None:
        try:
            while True:
                found, ends = _gather(arrivals)
                batch = [arrival for arrival in found if arrival.accepted.set_running_or_notify_cancel()]
                if batch:
                    self._insert(batch)
                elif not ends:
                    connection.close()
                if ends:
                    return
        finally:
            connection.close()

    def _insert(self, batch: Sequence[Arrival]) -> None:
        try:
            accepted = _insert_all(batch)
        except Exception as error:
            # One that the database refuses must not fail the others; a lost connection may have committed them.
            log.warning("A batch of %s arrivals was refused; each is tried by itself", len(batch), exc_info=True)
            is_away = isinstance(error, _AWAY)
            if is_away:
                connection.close()
            for arrival in batch:
                self._insert_alone(arrival, may_be_kept=is_away)
            return
        self._accepted(zip(batch, accepted, strict=True))

    def _insert_alone(self, arrival: Arrival, *, may_be_kept: bool) -> None:
        try:
            run = _kept(arrival.run) if may_be_kept else None
            run = run or _insert_all([arrival])[0]
        except Exception as error:
            arrival.accepted.set_exception(error)
            return
        self._accepted([(arrival, run)])

    def _accepted(self, pairs: Iterable[tuple[Arrival, Run]]) -> None:
        self.commits += 1
        try:
            doorbell.ring()
        except Exception:
            # The runs are kept, and a driver that looks for work by itself finds them.
            log.exception("The doorbell could not be rung")
        for arrival, run in pairs:
            arrival.accepted.set_result(run)


def _gather(arrivals: queue.SimpleQueue[Arrival | None]) -> tuple[list[Arrival], bool]:
    """Return what waits, and whether the thread is to end after it."""
    batch: list[Arrival] = []
    try:
        found = arrivals.get(timeout=_IDLE_SECONDS)
        while found is not None:
            batch.append(found)
            if len(batch) == ARRIVALS_A_COMMIT:
                return batch, False
            found = arrivals.get_nowait()
    except queue.Empty:
        return batch, False
    return batch, True


def _kept(run: Run) -> Run | None:
    """Return the row of a run whose commit was not heard of."""
    return Run.objects.for_tenant(run.tenant_id).filter(pk=run.pk).first()


def _insert_all(batch: Sequence[Arrival]) -> list[Run]:
    """Insert a batch in one transaction; return for each arrival the run that counts."""
    counted: list[Run] = []
    firsts: dict[tuple[int, str], Run] = {}
    new: list[Arrival] = []
    with transaction.atomic():
        for arrival in batch:
            run = arrival.run
            first = None
            if run.dedupe_key is not None:
                key = (run.workflow_id, run.dedupe_key)
                first = firsts.get(key) or find_duplicate(run)
                firsts[key] = first or run
            if first is None:
                new.append(arrival)
            counted.append(first or run)
        Run.unscoped.bulk_create([arrival.run for arrival in new])
        payloads = [payload for arrival in new for payload in arrival.payloads]
        if payloads:
            Payload.unscoped.bulk_create(payloads)
        doorbell.announce()
    return counted


intake = Intake()

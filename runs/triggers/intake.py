"""Runs that arrive over the web: inserted by one thread of the process, so that requests at once share a commit.

1. A request's thread hands over an Arrival and waits for it.
2. The thread takes whatever waits and opens one transaction. Where an arrival's address no longer leads to what it
   did, nothing is inserted for it; where its dedupe key was seen, the first run counts.
3. It inserts the rest in one statement, commits, rings the doorbell, and only then lets the requests answer.
4. If the database refuses the batch, each arrival is tried by itself, so that one cannot fail its neighbours.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from orchestrator.ids import new_id
from runs import doorbell
from runs.inserts import Inserter
from runs.models import Payload, Run
from runs.states import RunStatus
from runs.triggers.addresses import Address, Row, rows_now

log = logging.getLogger(__name__)

ARRIVALS_A_COMMIT: Final = 200
ACCEPT_SECONDS: Final = 20.0
# An idle thread gives its connection back: a pool has few.
_IDLE_SECONDS: Final = 10.0
_AWAY: Final = (OperationalError, InterfaceError)
_RUNS: Final = Inserter(
    Run,
    ("id", "tenant_id", "workflow_id", "version_id", "trigger_type", "trigger_key", "trigger", "trigger_ref",
     "dedupe_key", "wake_at", "created_at"),
)  # fmt: skip


class Unavailable(Exception):
    """The run could not be kept, or nobody can say whether it was: the sender has to send it again."""


class Moved(Exception):
    """The address no longer leads to what it did, and nothing was kept: look at it again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The run that counts for an arrival; an earlier one when the arrival repeats it."""

    run_id: int
    status: str
    is_new: bool


@dataclass(kw_only=True, slots=True, eq=False)
class Arrival:
    """A run to insert, not begun yet. ``trigger`` is its document as JSON, or ``payload`` holds that."""

    tenant_id: int
    workflow_id: int
    version_id: int
    trigger_type: str
    trigger_key: str
    trigger: str | None = None
    payload: Payload | None = None
    dedupe_key: str | None = None
    address: Address | None = None
    run_id: int = field(default_factory=new_id)
    outcome: Kept | Exception | None = None
    # Who takes the first may insert it or give it up; the second is let go when there is an outcome.
    begun: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Lock = field(default_factory=threading.Lock)

    def end(self, outcome: Kept | Exception) -> None:
        self.outcome = outcome
        self.ended.release()

    def row(self, moment: Any) -> tuple[Any, ...]:
        ref = None if self.payload is None else self.payload.pk
        return (
            self.run_id, self.tenant_id, self.workflow_id, self.version_id, self.trigger_type, self.trigger_key,
            self.trigger, ref, self.dedupe_key, moment, moment,
        )  # fmt: skip


class Intake:
    """The thread of one process, begun at the first arrival: never before a fork."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()
        self.commits = 0

    def accept(self, arrival: Arrival) -> Kept:
        """Insert a run and return once it is durable. Raises Unavailable, and Moved for an address that changed."""
        arrival.ended.acquire()
        self._ensure()
        self._queue.put(arrival)
        return self._outcome(arrival)

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Insert the runs of one request and return once all are durable. Raises as ``accept`` does for any of them.

        Some may be kept then: the sender, who sends the request again, is to be told apart by its dedupe keys.
        """
        self._ensure()
        for arrival in arrivals:
            arrival.ended.acquire()
            self._queue.put(arrival)
        return [self._outcome(arrival) for arrival in arrivals]

    def _outcome(self, arrival: Arrival) -> Kept:
        if not arrival.ended.acquire(timeout=ACCEPT_SECONDS):
            # What was not begun must not be inserted after its sender was told to send it again.
            arrival.begun.acquire(blocking=False)
            raise Unavailable
        outcome = arrival.outcome
        if isinstance(outcome, Kept):
            return outcome
        if isinstance(outcome, (IntegrityError, *_AWAY)):
            raise Unavailable from outcome
        assert outcome is not None
        raise outcome

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
                batch = [arrival for arrival in found if arrival.begun.acquire(blocking=False)]
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
            outcomes = _insert_all(batch)
        except Exception as error:
            # One that the database refuses must not fail the others; a lost connection may have committed them.
            log.warning("A batch of %s arrivals was refused; each is tried by itself", len(batch), exc_info=True)
            is_away = isinstance(error, _AWAY)
            if is_away:
                connection.close()
            for arrival in batch:
                self._insert_alone(arrival, may_be_kept=is_away)
            return
        self._accepted(batch, outcomes)

    def _insert_alone(self, arrival: Arrival, *, may_be_kept: bool) -> None:
        try:
            kept = _kept(arrival) if may_be_kept else None
            outcome = kept or _insert_all([arrival])[0]
        except Exception as error:
            arrival.end(error)
            return
        self._accepted([arrival], [outcome])

    def _accepted(self, batch: Sequence[Arrival], outcomes: Sequence[Kept | Moved]) -> None:
        self.commits += 1
        try:
            doorbell.ring()
        except Exception:
            # The runs are kept, and a driver that looks for work by itself finds them.
            log.exception("The doorbell could not be rung")
        for arrival, outcome in zip(batch, outcomes, strict=True):
            arrival.end(outcome)


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


def _kept(arrival: Arrival) -> Kept | None:
    """Return what became of a run whose commit was not heard of, if that kept it."""
    rows = Run.objects.for_tenant(arrival.tenant_id).filter(pk=arrival.run_id)
    status = rows.values_list("status", flat=True).first()
    return None if status is None else Kept(run_id=arrival.run_id, status=status, is_new=True)


def _insert_all(batch: Sequence[Arrival]) -> list[Kept | Moved]:
    """Insert a batch in one transaction; return for each arrival what counts."""
    with transaction.atomic():
        now = _rows_now(batch)
        firsts = _firsts(batch)
        outcomes: list[Kept | Moved] = []
        new: list[Arrival] = []
        for arrival in batch:
            key = (arrival.workflow_id, arrival.dedupe_key)
            if arrival.address is not None and now.get(arrival.address.digest) != arrival.address.row:
                outcomes.append(Moved())
            elif arrival.dedupe_key is not None and key in firsts:
                outcomes.append(firsts[key])
            else:
                new.append(arrival)
                kept = Kept(run_id=arrival.run_id, status=RunStatus.QUEUED.value, is_new=True)
                firsts[key] = Kept(run_id=kept.run_id, status=kept.status, is_new=False)
                outcomes.append(kept)
        _insert_new(new)
        doorbell.announce()
    return outcomes


def _rows_now(batch: Sequence[Arrival]) -> dict[str, Row]:
    digests = {arrival.address.digest for arrival in batch if arrival.address is not None}
    return rows_now(digests) if digests else {}


def _firsts(batch: Sequence[Arrival]) -> dict[tuple[int, str | None], Kept]:
    """Return the runs that were made with the dedupe keys of a batch, by workflow and key; one query."""
    keyed = [arrival for arrival in batch if arrival.dedupe_key is not None]
    if not keyed:
        return {}
    rows = Run.unscoped.filter(
        workflow_id__in={arrival.workflow_id for arrival in keyed},
        dedupe_key__in={arrival.dedupe_key for arrival in keyed},
    )
    return {
        (workflow_id, key): Kept(run_id=run_id, status=status, is_new=False)
        for workflow_id, key, run_id, status in rows.values_list("workflow_id", "dedupe_key", "pk", "status")
    }


def _insert_new(new: Sequence[Arrival]) -> None:
    if not new:
        return
    moment = _RUNS.prepared("created_at", timezone.now())
    _RUNS.insert([arrival.row(moment) for arrival in new])
    payloads = [arrival.payload for arrival in new if arrival.payload is not None]
    if payloads:
        Payload.unscoped.bulk_create(payloads)


intake = Intake()

"""The thread that writes for all runs of a driver: what waits commits together.

1. A run hands over a Write: new attempts, ended attempts and perhaps the run's own end.
2. The thread takes whatever is waiting, opens one transaction and reads which of these runs are still ours.
3. The writes of the others raise LeaseLost and leave nothing behind.
4. If the database refuses the batch, each write is tried by itself, so that one cannot fail its neighbours.
5. If the database is away, the batch waits for it and is written once it is back.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection, transaction

from runs.looks import Looks
from runs.mailbox import Mailbox
from runs.writes import Write, prepare, write_all

log = logging.getLogger(__name__)

WRITES_A_COMMIT: Final = 500
_AWAY: Final = (OperationalError, InterfaceError)
_BACKOFF_SECONDS: Final = (0.02, 0.1, 0.3, 1.0, 2.0)
# A driver that ends does not wait for ever: what was not written is found by who takes over its leases.
_TRIES_WHILE_CLOSING: Final = 10

Results = list[Callable[[], None]]


@dataclass(kw_only=True, eq=False)
class Job:
    """Something else for the writer's thread, in the same transaction as the writes that wait with it."""

    work: Callable[[], Any]
    done: Callable[[Any, BaseException | None], None]


async def written(put: Callable[[Job], None], work: Callable[[], Any]) -> Any:
    """Have the writer's thread do ``work``; return what it returned, or raise what it raised."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def done(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    put(Job(work=work, done=done))
    return await future


class Writer:
    """The thread. ``looks`` says when to look for work; ``claim`` takes it, inside the transaction."""

    def __init__(
        self,
        *,
        owner: str,
        looks: Looks,
        claim: Callable[[], Sequence[Any]],
        unclaim: Callable[[Sequence[Any]], None],
        deliver: Callable[[Results, Sequence[Any]], None],
    ) -> None:
        self._owner = owner
        self._looks, self._claim, self._unclaim, self._deliver = looks, claim, unclaim, deliver
        self._mailbox: Mailbox[Write | Job] = Mailbox()
        self._closing = False
        self._thread = threading.Thread(target=self._main, name="journal", daemon=True)
        self.commits = 0
        self.writes = 0

    def start(self) -> None:
        self._thread.start()

    def put(self, *items: Write | Job) -> None:
        self._mailbox.put(*items)

    def wake(self) -> None:
        """Have the thread see at once what has changed."""
        self._mailbox.wake()

    def close(self) -> None:
        """Write what waits, then end; blocks until then."""
        self._closing = True
        self._mailbox.wake()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _main(self) -> None:
        try:
            while True:
                rung = self._mailbox.wait(0 if self._closing else self._looks.seconds(), self._looks.ear)
                batch = self._mailbox.take(WRITES_A_COMMIT)
                if not batch and self._closing and self._mailbox.is_empty:
                    return
                self._step(batch, rung)
        except BaseException:
            # Without this thread nothing can be kept: the leases run out, and other drivers take over.
            log.exception("The journal's thread ended")
            raise
        finally:
            self._looks.leave()
            self._mailbox.close()
            connection.close()

    def _step(self, batch: list[Write | Job], rung: bool) -> None:
        """Commit a batch and claim; deliver the results to the loop in one call."""
        results: Results = []
        claimed: Sequence[Any] = ()
        try:
            if batch or (not self._closing and self._looks.is_due(rung=rung)):
                results, claimed = self._commit(batch)
                self._looks.note(len(claimed), wrote=any(isinstance(item, Write) for item in batch))
        except _AWAY as error:
            self._wait_for_database(batch, error)
            return
        except Exception:
            log.warning("A batch of %s writes was refused; each is tried by itself", len(batch), exc_info=True)
            results = [result for item in batch for result in self._commit_alone(item)]
            time.sleep(_BACKOFF_SECONDS[0])
        if results or claimed:
            self._deliver(results, claimed)

    def _commit(
        self, batch: Sequence[Write | Job], *, again: bool = False, claims: bool = True
    ) -> tuple[Results, Sequence[Any]]:
        claimed: Sequence[Any] = ()
        writes = [item for item in batch if isinstance(item, Write)]
        for write in writes:
            # Before the transaction, in which others wait for us.
            prepare(write)
        try:
            with transaction.atomic():
                results = write_all(self._owner, writes, again=again)
                results += [_result(job, job.work()) for job in batch if isinstance(job, Job)]
                if claims and not self._closing:
                    claimed = self._claim()
        except BaseException:
            self._unclaim(claimed)
            raise
        self.commits += 1
        self.writes += len(batch)
        return results, claimed

    def _commit_alone(self, item: Write | Job, *, again: bool = False) -> Results:
        try:
            return self._commit([item], again=again, claims=False)[0]
        except _AWAY as error:
            self._wait_for_database([item], error)
            return []
        except Exception as error:
            refused = error
            log.exception("A write was refused", extra=_named(item))
            if isinstance(item, Job):
                return [lambda: item.done(None, refused)]
            return [lambda: item.done(refused)]

    def _wait_for_database(self, batch: Sequence[Write | Job], error: Exception) -> None:
        """Write a batch as soon as the database is back. It may have been committed already: nothing is doubled."""
        log.warning("The database cannot be written (%s); waiting for it", type(error).__name__)
        for attempt in itertools.count():
            connection.close()
            time.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])
            try:
                results, _ = self._commit(batch, again=True, claims=False)
            except _AWAY:
                if self._closing and attempt >= _TRIES_WHILE_CLOSING:
                    return
                continue
            except Exception:
                results = [result for item in batch for result in self._commit_alone(item, again=True)]
            self._deliver(results, ())
            return


def _named(item: Write | Job) -> dict[str, str] | None:
    """Return the fields of a line about a run's write."""
    return {"run_id": str(item.run_id), "tenant_id": str(item.tenant_id)} if isinstance(item, Write) else None


def _result(job: Job, value: Any) -> Callable[[], None]:
    return lambda: job.done(value, None)

"""Rounds of the driver that holds the bell: what comes due for triggers is claimed and done, a few at once.

Not in the ticker, for the reasons that ``checks`` gives. Each claim is a task of its own; what it says is written by
the writer's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from django.db import DatabaseError

from runs.adapters import PooledClients, Readers
from runs.clock import DatabaseClock
from runs.credentials import VaultCredentials
from runs.gates import Gates
from runs.writer import Job, written

log = logging.getLogger(__name__)

# How soon what was just published is seen; one query by an index.
LOOK_SECONDS: Final = 2.0
LEAST_SECONDS: Final = 0.2
AT_ONCE: Final = 16


class Claimed(Protocol):
    """What a round claims: of whom it is, and whose it is in words for the log."""

    @property
    def tenant_id(self) -> int: ...

    @property
    def label(self) -> str: ...


ClaimT = TypeVar("ClaimT", bound=Claimed)


@dataclass(kw_only=True)
class Rounds(Generic[ClaimT]):
    """Rounds for one driver; ``is_first`` says whether it is the one of its machine that makes them."""

    readers: Readers
    credentials: VaultCredentials
    clients: PooledClients
    gates: Gates
    clock: DatabaseClock
    put: Callable[[Job], None]
    is_first: Callable[[], bool]

    def __post_init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], ClaimT] = {}

    def next_at(self) -> datetime | None:
        """Return when something is due; in a thread that may query."""
        raise NotImplementedError

    def claim(self, *, now: datetime, room: int, busy: Sequence[int]) -> list[ClaimT]:
        """Take what is due, at most ``room``; ``busy`` are the tenants of what is under way here. The writer calls."""
        raise NotImplementedError

    def release(self, claims: Sequence[ClaimT], *, now: datetime) -> None:
        """Give back what nobody goes on with. The writer calls."""
        raise NotImplementedError

    async def do(self, claim: ClaimT) -> None:
        """Do what was claimed, and have it written."""
        raise NotImplementedError

    async def watch(self) -> None:
        """Make rounds until cancelled."""
        pause = LEAST_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = LOOK_SECONDS
            if not self.is_first():
                continue
            try:
                pause = await self.look()
            except DatabaseError as error:
                log.warning("The database cannot be asked for triggers: %s", type(error).__name__)
            except Exception:
                log.exception("A round of triggers could not be made")

    async def look(self) -> float:
        """Begin what is due, as far as there is room; return the seconds until the next look."""
        now = self.clock.now()
        at = await self.readers.read(self.next_at)
        room = AT_ONCE - len(self._tasks)
        if at is None or room <= 0:
            return LOOK_SECONDS
        if at > now:
            return min(LOOK_SECONDS, max(LEAST_SECONDS, (at - now).total_seconds()))
        busy = [claim.tenant_id for claim in self._tasks.values()]
        claims: list[ClaimT] = await written(self.put, partial(self.claim, now=now, room=room, busy=busy))
        for claim in claims:
            task = asyncio.create_task(self.do(claim))
            self._tasks[task] = claim
            task.add_done_callback(self._ended)
        return LEAST_SECONDS if claims else LOOK_SECONDS

    async def settle(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def close(self) -> None:
        """Stop what is under way and give it back, for whoever makes the next round."""
        claims = list(self._tasks.values())
        for task in list(self._tasks):
            task.cancel()
        if claims:
            now = self.clock.now()
            self.put(Job(work=partial(self.release, claims, now=now), done=lambda _, error: None))

    def _ended(self, task: asyncio.Task[None]) -> None:
        claim = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease ends by itself.
            log.error("%s: %s", claim.label, type(error).__name__, extra={"tenant_id": str(claim.tenant_id)})

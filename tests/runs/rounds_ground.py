"""Rounds of triggers as a driver makes them, at a moment that a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from runs.adapters import PooledClients, Readers
from runs.clock import DatabaseClock
from runs.credentials import VaultCredentials
from runs.gates import Gates
from runs.rounds import Rounds

RoundsT = TypeVar("RoundsT", bound=Rounds[Any])


class _Clock(DatabaseClock):
    def __init__(self, at: datetime) -> None:
        super().__init__()
        self.at = at

    def now(self) -> datetime:
        return self.at


@asynccontextmanager
async def rounds(kind: type[RoundsT], now: datetime) -> AsyncIterator[RoundsT]:
    """Give rounds whose writer is a reader's thread; what they wrote is there at the end of the block."""
    readers, clients = Readers(), PooledClients()
    loop = asyncio.get_running_loop()
    writes: set[asyncio.Task[None]] = set()

    def put(job: Any) -> None:
        async def write() -> None:
            try:
                value = await readers.read(job.work)
            except Exception as error:
                job.done(None, error)
            else:
                job.done(value, None)

        task = loop.create_task(write())
        writes.add(task)
        task.add_done_callback(writes.discard)

    clock = _Clock(now)
    made = kind(
        readers=readers,
        credentials=VaultCredentials(readers, put),
        clients=clients,
        gates=Gates(readers, clock),
        clock=clock,
        put=put,
        is_first=lambda: True,
    )
    try:
        yield made
        await made.settle()
        while writes:
            await asyncio.wait(list(writes))
    finally:
        await clients.pool.aclose()
        await asyncio.to_thread(readers.close)

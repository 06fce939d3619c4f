"""How many bytes of large values a process handles at the same time: those beyond wait their turn. Pure.

What a task has taken it has until it gives it back or ends. A task that has some already gets more at once: two that
waited for each other would wait for ever.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from orchestrator.large.stored import Stored

# As much as the largest value has: one of those at a time, or several smaller ones.
BYTES_AT_ONCE: Final = 64 * 1024 * 1024
# How often what is written is in memory: packed, and twice on its way into the database.
_WRITTEN: Final = 3
# Smaller ones are not counted.
COUNTED_BYTES: Final = 4 * 1024 * 1024

# Tasks that have room: while there are none, nobody has any to give back.
TAKEN: Final[dict[asyncio.Task[object], int]] = {}
_rooms: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, _Room]] = WeakKeyDictionary()


class _Room:
    """The room of one loop."""

    def __init__(self) -> None:
        self.left = BYTES_AT_ONCE
        self.waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def wait(self, size: int) -> None:
        """Wait until there is room for ``size`` bytes, in the order of asking, and take it."""
        if not self.waiting and size <= self.left:
            self.left -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((turn, size))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(size)
            else:
                # It may be out of the queue already: who gave room at the same moment passed it over.
                with suppress(ValueError):
                    self.waiting.remove((turn, size))
                self.give(0)
            raise

    def give(self, size: int) -> None:
        self.left += size
        while self.waiting and self.waiting[0][1] <= self.left:
            turn, wanted = self.waiting.popleft()
            if not turn.done():
                self.left -= wanted
                turn.set_result(None)


async def take_room(size: int) -> None:
    """Wait until ``size`` more bytes of large values may be handled by this task."""
    if size < COUNTED_BYTES:
        return
    task = asyncio.current_task()
    assert task is not None
    size = min(size, BYTES_AT_ONCE)
    room = _room()
    if task in TAKEN:
        room.left -= size
        TAKEN[task] += size
        return
    await room.wait(size)
    TAKEN[task] = size
    task.add_done_callback(_give)


def give_room() -> None:
    """Give back what this task has taken."""
    task = asyncio.current_task()
    if task is not None and task in TAKEN:
        task.remove_done_callback(_give)
        _give(task)


def room_until_written(stored: Stored) -> None:
    """Count the bytes of a value that was packed until it is let go: they are in memory, and copied while written."""
    assert stored.data is not None
    size = min(_WRITTEN * len(stored.data), BYTES_AT_ONCE)
    if size < COUNTED_BYTES:
        return
    loop, room = asyncio.get_running_loop(), _room()
    room.left -= size

    def give() -> None:
        # From whatever thread lets go of it; a loop that has ended has no use for it.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(room.give, size)

    stored.on_let_go = weakref.finalize(stored, give)


def _give(task: asyncio.Task[object]) -> None:
    size = TAKEN.pop(task, 0)
    if size:
        _rooms[task.get_loop()].give(size)


def _room() -> _Room:
    return _rooms.setdefault(asyncio.get_running_loop(), _Room())

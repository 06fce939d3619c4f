"""What waits for one thread, and what wakes it: an item, a bell, or the time."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque
from typing import Final, Generic, TypeVar

from runs.bell import Ear

_T = TypeVar("_T")
_MOST_WOKEN: Final = 4096


class Mailbox(Generic[_T]):
    """Items from any thread for one that takes them; a bell that is rung wakes that one directly."""

    def __init__(self) -> None:
        self._items: deque[_T] = deque()
        self._sleeps = False
        # A pipe that is closed must not be written: its number may be another's by then.
        self._lock = threading.Lock()
        self._is_closed = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def put(self, *items: _T) -> None:
        """Add items, which are all there before any of them is taken."""
        self._items.extend(items)
        # Looked at after they are there; who goes to sleep looks for items after saying so.
        if self._sleeps and items:
            self.wake()

    def wake(self) -> None:
        """End the sleep of the thread, or the next one."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if not self._is_closed:
                os.write(self._writer, b"!")

    def wait(self, seconds: float, ear: Ear | None = None) -> bool:
        """Sleep until there is something, for ``seconds`` at most; return whether the bell was rung."""
        self._sleeps = True
        try:
            if not self._items and seconds > 0:
                self._sleep(seconds, ear)
        finally:
            self._sleeps = False
        return ear is not None and ear.hear()

    def _sleep(self, seconds: float, ear: Ear | None) -> None:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        if ear is not None and ear.fileno() >= 0:
            poll.register(ear.fileno(), select.POLLIN)
        if any(found == self._reader for found, _ in poll.poll(seconds * 1000)):
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, _MOST_WOKEN)

    def take(self, most: int) -> list[_T]:
        """Return what waits, oldest first."""
        found: list[_T] = []
        with contextlib.suppress(IndexError):
            while len(found) < most:
                found.append(self._items.popleft())
        return found

    @property
    def is_empty(self) -> bool:
        return not self._items

    def close(self) -> None:
        """Give the pipe back; nobody sleeps any more. What is put now is kept, and wakes nobody."""
        with self._lock:
            self._is_closed = True
            os.close(self._writer)
            os.close(self._reader)

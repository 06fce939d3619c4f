"""A small memory of one process: bounded, and forgetful after a while."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Kept(Generic[ValueT]):
    """Keeps at most ``size`` values for ``seconds`` each; what was not asked for the longest goes first."""

    def __init__(self, *, seconds: float, size: int) -> None:
        self._seconds, self._size = seconds, size
        self._rows: OrderedDict[Hashable, tuple[float, ValueT]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> ValueT | None:
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                return None
            if time.monotonic() - row[0] > self._seconds:
                del self._rows[key]
                return None
            self._rows.move_to_end(key)
            return row[1]

    def put(self, key: Hashable, value: ValueT) -> None:
        with self._lock:
            self._rows[key] = (time.monotonic(), value)
            self._rows.move_to_end(key)
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()

    def __len__(self) -> int:
        return len(self._rows)

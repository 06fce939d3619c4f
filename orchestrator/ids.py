"""Ids of rows: 63-bit integers that sort by time, tell nothing of a tenant's volume and need no database to make."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_RANDOM_BITS: Final = 22

_lock = threading.Lock()
_last = 0


def new_id() -> int:
    """Return a positive id: milliseconds since 2026 in the upper bits, random lower ones.

    Never the same twice in one process; two processes meet with one chance in four million for
    each pair of ids made in the same millisecond, which a primary key turns into an error.
    """
    global _last
    now = max(0, time.time_ns() // 1_000_000 - _EPOCH_MS)
    # Not from the operating system: that costs more than all the rest, and an id is no secret. Seeded anew in a fork.
    candidate = (now << _RANDOM_BITS) | random.getrandbits(_RANDOM_BITS)
    with _lock:
        _last = candidate if candidate > _last else _last + 1
        return _last


def first_id_at(moment: datetime) -> int:
    """Return the least id of a row made at ``moment`` or later: a range of time by the primary key's index."""
    return max(0, int(moment.timestamp() * 1_000) - _EPOCH_MS) << _RANDOM_BITS


def moment_of(number: int) -> datetime:
    """Return when a row was made, to the millisecond, by its id."""
    return datetime.fromtimestamp(_EPOCH_MS // 1_000, UTC) + timedelta(milliseconds=number >> _RANDOM_BITS)


def ids_in(span: timedelta) -> int:
    """Return how far apart two ids are that were made so long after one another."""
    return int(span / timedelta(milliseconds=1)) << _RANDOM_BITS


# Hours since the epoch of ids: integer division of an id by this, so that a database groups rows by hour without dates.
HOUR_OF_ID: Final = 3_600_000 << _RANDOM_BITS

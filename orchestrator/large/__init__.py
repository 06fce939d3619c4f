"""JSON values of many megabytes, which are never in memory as Python objects unless somebody needs all of one.

Fifty megabytes of JSON become three hundred or a thousand as dictionaries, lists and texts. So a value beyond
``LARGE_BYTES`` is cut into runs of neighbouring elements as it arrives (``packing``), each of which can be
decompressed by itself (``stored``), and an expression that reads one field of it has one run parsed (``value``).
"""

from __future__ import annotations

from typing import Final

from orchestrator.large.packing import RawJSON, pack
from orchestrator.large.room import TAKEN, give_room, room_until_written, take_room
from orchestrator.large.stored import Node, Source, Stored
from orchestrator.large.value import (
    ALIVE,
    MISSING,
    Large,
    TooManyValues,
    Unready,
    is_large,
    large_in,
    opened,
    ready,
    ready_now,
)

__all__ = [
    "ALIVE", "LARGE_BYTES", "MISSING", "TAKEN", "Large", "Node", "RawJSON", "Source", "Stored", "TooManyValues",
    "Unready", "give_room", "is_large", "large_in", "opened", "pack", "ready", "ready_now", "room_until_written",
    "take_room",
]  # fmt: skip

# Of JSON. A smaller one is at most some seventy megabytes of objects, whatever its shape, and about seven as a rule.
LARGE_BYTES: Final = 1024 * 1024

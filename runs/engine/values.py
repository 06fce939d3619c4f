"""The gate that values pass before they are kept, and the form in which a large one is stored. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.large import LARGE_BYTES, Large, pack

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

MAX_BYTES: Final = jsongate.MAX_VALUE_BYTES
# What lies in a row; anything larger has a compressed row of its own.
INLINE_BYTES: Final = 64 * 1024
# What is walked in the loop, an item counting as eight characters; anything larger goes to a thread, so that a hundred
# other runs do not wait for it.
_QUICK: Final = 64 * 1024
_ITEM: Final = 8
_FASTEST: Final = 1
_ANY: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Packed:
    """A value too large for its row: its JSON, ``size`` bytes of it, compressed by zlib."""

    value: JSONValue = field(repr=False)
    size: int
    data: bytes = field(repr=False)


def is_quick(value: Any) -> bool:
    """Whether a value is plain JSON data already, and so little of it that it may be walked in the loop."""
    return jsongate.room_beside(value, _QUICK, per_item=_ITEM, per_character=1) >= 0


def kept(value: Any, clean: Callable[[Any], Any]) -> tuple[JSONValue, Packed | None] | None:
    """Return a value as it is kept, checked and cleaned, and packed where its row has no place for it.

    None for a large one, which ``kept_large`` takes. Raises BadJSON. For a thread: a value that is quick needs no more
    than to be cleaned. Tuples become lists: in memory a value must be what is read back after a crash.
    """
    if jsongate.room_beside(value, LARGE_BYTES, per_character=1) >= 0:
        plain = value
    elif jsongate.room_beside(value, _ANY) >= 0:
        return None
    else:
        try:
            data = jsongate.dump_bytes(jsongate.check(value, max_items=LARGE_BYTES))
        except jsongate.BadJSON:
            # Holds a large value, or is wrong: packing it tells what, and where.
            return None
        if len(data) > LARGE_BYTES:
            return None
        plain = jsongate.parse(data)
    cleaned = clean(plain)
    return cleaned, encoded(cleaned)[1]


def kept_large(value: Any, clean: Callable[[Any], Any], *, most: int = MAX_BYTES) -> Large:
    """Return a large value as it is kept. Raises BadJSON, also for more than ``most`` bytes. For a thread."""
    return pack(value, clean, most=most)


def encoded(value: JSONValue) -> tuple[str | None, Packed | None]:
    """Return a value as the text for its row or, too large for that, packed. Raises BadJSON over MAX_BYTES."""
    data = jsongate.dump_bytes(value)
    if len(data) <= INLINE_BYTES:
        return data.decode(), None
    return None, Packed(value=value, size=len(data), data=compressed(data))


def compressed(data: bytes, *, most: int = MAX_BYTES) -> bytes:
    """Return JSON as it is stored in a row of its own. Raises BadJSON for more than ``most`` bytes."""
    if len(data) > most:
        raise jsongate.BadJSON(
            _("it has %(data)s bytes as JSON, at most %(most)s are kept")
            % {"data": f"{len(data):,}", "most": f"{most:,}"}
        )
    return zlib.compress(data, _FASTEST)

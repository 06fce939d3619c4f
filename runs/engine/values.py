"""The gate that values pass before they are kept, and the form in which a large one is stored. Pure."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from orchestrator import jsongate

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

MAX_BYTES: Final = 10 * 1024 * 1024
# What lies in a row; anything larger has a compressed row of its own.
INLINE_BYTES: Final = 64 * 1024
# What is walked in the loop, an item counting as eight characters; anything larger goes to a thread, so that a hundred
# other runs do not wait for it.
_QUICK: Final = 64 * 1024
_ITEM: Final = 8
# The worst a character or an item comes to as JSON: an integer of 1024 bits with its comma.
_WORST_BYTES: Final = 310
_FASTEST: Final = 1

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Packed:
    """A value too large for its row: its JSON, ``size`` bytes of it, compressed by zlib."""

    value: JSONValue = field(repr=False)
    size: int
    data: bytes = field(repr=False)


def gated(value: Any) -> JSONValue:
    """Return ``value`` as plain JSON data: the very same object where it is that. Raises BadJSON naming what is not.

    Tuples become lists: in memory a value must be what is read back after a crash.
    """
    plain = _plain(value)
    if jsongate.room_beside(plain, MAX_BYTES // _WORST_BYTES, per_character=1) < 0:
        _fitting(jsongate.dump_bytes(plain))
    return plain


async def kept(value: Any, clean: Callable[[Any], Any]) -> tuple[JSONValue, Packed | None]:
    """Return a value as it is kept, gated and cleaned, and packed where its row has no place for it. Raises BadJSON.

    One walk in the loop while it is small; anything larger goes to a thread.
    """
    if jsongate.room_beside(value, _QUICK, per_item=_ITEM, per_character=1) >= 0:
        return clean(value), None
    return await asyncio.to_thread(_kept, value, clean)


def _kept(value: Any, clean: Callable[[Any], Any]) -> tuple[JSONValue, Packed | None]:
    cleaned = clean(_plain(value))
    return cleaned, encoded(cleaned)[1]


def _plain(value: Any) -> JSONValue:
    if jsongate.room_beside(value, MAX_BYTES, per_character=1) >= 0:
        return value  # type: ignore[no-any-return]
    return jsongate.parse(_fitting(jsongate.dump_bytes(jsongate.check(value, max_items=MAX_BYTES))))


def encoded(value: JSONValue) -> tuple[str | None, Packed | None]:
    """Return a value as the text for its row or, too large for that, packed. Raises BadJSON over MAX_BYTES."""
    data = jsongate.dump_bytes(value)
    if len(data) <= INLINE_BYTES:
        return data.decode(), None
    return None, Packed(value=value, size=len(data), data=compressed(data))


def compressed(data: bytes) -> bytes:
    """Return JSON as it is stored in a row of its own. Raises BadJSON over MAX_BYTES."""
    return zlib.compress(_fitting(data), _FASTEST)


def _fitting(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise jsongate.BadJSON(f"it has {len(data):,} bytes as JSON, at most {MAX_BYTES:,} are kept")
    return data


async def off_loop(function: Callable[[Any], _T], value: Any) -> _T:
    """Return ``function(value)``, computed in a thread when the value is large."""
    if jsongate.room_beside(value, _QUICK, per_item=_ITEM, per_character=1) >= 0:
        return function(value)
    return await asyncio.to_thread(function, value)

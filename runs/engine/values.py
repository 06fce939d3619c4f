"""The gate that a step's output passes: plain JSON data within bounds of size and depth. Pure."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from orchestrator import jsongate

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

MAX_BYTES: Final = 10 * 1024 * 1024
# What is walked in the loop; anything larger goes to a thread, so that a hundred other runs do not wait for it.
_QUICK_ITEMS: Final = 2_000
# Of the worst text, six bytes a character, this is still less than a row takes.
_LITTLE_CHARACTERS: Final = 10_000

_T = TypeVar("_T")


class _Odd(Exception):
    """Not one of JSON's own types: the slow way decides."""


def gated(value: Any) -> JSONValue:
    """Return ``value`` as plain JSON data of its own. Raises jsongate.BadJSON naming the path of what is not.

    Tuples become lists: in memory a value must be what is read back after a crash.
    """
    try:
        plain = _plain(value, 0)
    except _Odd:
        plain = json.loads(jsongate.dumps(jsongate.check(value)))
    if not weighs_little(plain):
        size = len(jsongate.dumps(plain).encode())
        if size > MAX_BYTES:
            raise jsongate.BadJSON(f"it has {size:,} bytes as JSON, at most {MAX_BYTES:,} are kept")
    return plain


async def off_loop(function: Callable[[Any], _T], value: Any) -> _T:
    """Return ``function(value)``, computed in a thread when the value is large."""
    if _is_within(value, _QUICK_ITEMS, characters_an_item=100):
        return function(value)
    return await asyncio.to_thread(function, value)


def weighs_little(value: Any) -> bool:
    """Whether a value has surely less than 64 KB as JSON, told without writing it: most values of most runs have."""
    return _is_within(value, _LITTLE_CHARACTERS // 8, characters_an_item=8)


def _is_within(value: Any, budget: int, *, characters_an_item: int) -> bool:
    """Whether a value has at most ``budget`` items, texts counting by their length; stops counting beyond."""
    stack = [value]
    while stack:
        item = stack.pop()
        budget -= 1
        if isinstance(item, str):
            budget -= len(item) // characters_an_item
        elif isinstance(item, dict):
            budget -= len(item)
            if budget >= 0:
                budget -= sum(map(len, map(str, item))) // characters_an_item
                stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            budget -= len(item)
            if budget >= 0:
                stack.extend(item)
        if budget < 0:
            return False
    return True


def _plain(value: Any, depth: int) -> JSONValue:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value  # type: ignore[no-any-return]
    if kind is dict and depth < jsongate.MAX_DEPTH:
        made: dict[str, JSONValue] = {}
        for key, item in value.items():
            if type(key) is not str:
                raise _Odd
            made[key] = _plain(item, depth + 1)
        return made
    if (kind is list or kind is tuple) and depth < jsongate.MAX_DEPTH:
        return [_plain(item, depth + 1) for item in value]
    if (kind is int and -(2**63) < value < 2**63) or (kind is float and math.isfinite(value)):
        return value  # type: ignore[no-any-return]
    raise _Odd

"""The one gate for JSON that comes from outside: bounded in size, depth and keys, and free of what JSON lacks.

``json.loads`` takes NaN and Infinity, turns ``1e400`` into infinity and recurses as deep as the sender likes;
each of these breaks something later, in another place, for another tenant.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic_core import from_json

from integrations.words import gettext as _

if TYPE_CHECKING:
    from orchestrator.types import JSONValue


# Of a body from outside.
MAX_BYTES: Final = 10 * 1024 * 1024
# Of a value within a run: what a step, a call of another workflow or a run gives, and what goes into a step.
MAX_VALUE_BYTES: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_ITEMS: Final = 1_000_000
MAX_BITS: Final = 1_024
_MANY_DIGITS: Final = 300
_MOST: Final = 2**MAX_BITS
# A text with half a surrogate pair in it is no text at all to the quick parser.
_NOT_QUICKLY: Final = (ValueError, TypeError)
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class BadJSON(ValueError):
    """The text or value is not JSON that is taken here; the message says why."""


def loads(data: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> JSONValue:
    """Parse JSON from outside. Raises BadJSON on wrong UTF-8, syntax, NaN, Infinity, depth or size."""
    if len(data) > max_bytes:
        raise BadJSON(
            _("the JSON has %(count)s bytes, at most %(most)s are taken")
            % {"count": f"{len(data):,}", "most": f"{max_bytes:,}"}
        )
    try:
        value = from_json(data, allow_inf_nan=False, cache_strings="keys")
        if room_beside(value, MAX_ITEMS, max_depth=max_depth) >= 0:
            return value  # type: ignore[no-any-return]
    except _NOT_QUICKLY:
        pass
    return check(_loads_slowly(data, max_depth), max_depth=max_depth)


def _loads_slowly(data: bytes | str, max_depth: int) -> JSONValue:
    """Parse what the fast parser refuses, lone surrogates and a byte order mark among it, or say what is wrong."""
    try:
        # Decoded here: json.loads would guess UTF-16 and UTF-32 as well.
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadJSON(_("the text is not UTF-8")) from error
    _check_nesting(text, max_depth)
    try:
        return _DECODER.decode(text)  # type: ignore[no-any-return]
    except RecursionError as error:
        raise BadJSON(_("the JSON is nested deeper than %(most)s levels") % {"most": max_depth}) from error
    except BadJSON:
        raise
    except ValueError as error:
        raise BadJSON(_("not valid JSON: %(error)s") % {"error": error}) from error


def parse(data: bytes | str) -> JSONValue:
    """Return what ``dumps`` wrote, unchecked: for what is ours. Raises ValueError for a text that is no JSON."""
    try:
        return from_json(data, cache_strings="keys")  # type: ignore[no-any-return]
    except _NOT_QUICKLY:
        return json.loads(data)  # type: ignore[no-any-return]


def check(value: Any, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> JSONValue:
    """Return ``value`` if it is plain, finite, bounded JSON data, else raise BadJSON naming the path."""
    if room_beside(value, max_items, max_depth=max_depth) >= 0:
        return value  # type: ignore[no-any-return]
    budget = max_items
    stack: list[tuple[Any, int, str]] = [(value, 0, "$")]
    while stack:
        item, depth, path = stack.pop()
        budget -= 1
        if budget < 0:
            raise BadJSON(_("more than %(most)s values") % {"most": f"{max_items:,}"})
        if depth > max_depth:
            raise BadJSON(_("nested deeper than %(most)s levels") % {"most": max_depth})
        if item is None or isinstance(item, (bool, str)):
            continue
        if isinstance(item, int):
            if item.bit_length() > MAX_BITS:
                raise BadJSON(_("%(path)s is a number of more than 300 digits") % {"path": path})
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise BadJSON(_("%(path)s is %(item)s, which JSON cannot express") % {"path": path, "item": item})
        elif isinstance(item, dict):
            for key, child in item.items():
                if not isinstance(key, str):
                    raise BadJSON(
                        _("%(path)s has the key %(key).80r, which is not a text") % {"path": path, "key": key}
                    )
                stack.append((child, depth + 1, f"{path}.{key:.80}"))
        elif isinstance(item, (list, tuple)):
            stack.extend((child, depth + 1, f"{path}[{index}]") for index, child in enumerate(item))
        else:
            raise BadJSON(
                _("%(path)s is a %(name)s, which JSON cannot express") % {"path": path, "name": type(item).__name__}
            )
    return value  # type: ignore[no-any-return]


def room_beside(
    value: Any, budget: int, *, per_item: int = 1, per_character: int = 0, max_depth: int = MAX_DEPTH
) -> int:
    """Return what ``value`` leaves of ``budget``: negative when it is more, or holds anything but JSON's own types.

    A list that is a tuple, a text of a class of its own, NaN and a depth that is just the limit count as odd, too: who
    asks goes another, slower way then. One walk, which ends with the budget.
    """
    kind = type(value)
    if kind is dict or kind is list:
        return _room(value, budget - per_item, per_item, per_character, max_depth)
    return _room([value], budget, per_item, per_character, 1)


def _room(container: Any, room: int, per_item: int, per_character: int, depth: int) -> int:
    room -= len(container) * per_item
    if room < 0 or not depth:
        return -1
    if type(container) is dict:
        for key in container:
            if type(key) is not str:
                return -1
            room -= len(key) * per_character
        container = container.values()
    for item in container:
        kind = type(item)
        if kind is str:
            room -= len(item) * per_character
        elif kind is dict or kind is list:
            room = _room(item, room, per_item, per_character, depth - 1)
            if room < 0:
                return -1
        elif item is None or kind is bool or (kind is int and -_MOST < item < _MOST):
            continue
        elif kind is not float or not math.isfinite(item):
            return -1
    return room


def dumps(value: Any) -> str:
    """Serialise plain data compactly; lone surrogates are escaped, NaN and Infinity are refused with ValueError."""
    return dump_bytes(value).decode()


def dump_bytes(value: Any) -> bytes:
    """Return what ``dumps`` does in UTF-8, without a copy.

    orjson is some twenty times faster than the standard library but refuses integers over 64 bits and lone surrogates:
    those take the slow way. It turns NaN into null without a word: what has no null in it had no NaN.
    """
    try:
        data = orjson.dumps(value)
    except (TypeError, ValueError):
        return _slow(value)
    return _slow(value) if b"null" in data and not _is_finite(value) else data


def dumps_checked(value: Any) -> str:
    """Serialise what ``loads`` or ``check`` has passed, so that it needs no look for NaN and Infinity."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return _slow(value).decode()


def _slow(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _is_finite(value: Any) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
        elif isinstance(item, float) and not math.isfinite(item):
            return False
    return True


def _refuse_constant(name: str) -> Any:
    raise BadJSON(_("%(name)s is not JSON") % {"name": name})


def _whole(digits: str) -> int:
    # Cut first: int() itself refuses thousands of digits, with another error.
    if len(digits) > _MANY_DIGITS and (len(digits) > 2 * _MANY_DIGITS or int(digits).bit_length() > MAX_BITS):
        raise BadJSON(_("%(digits)s… is a number of more than 300 digits") % {"digits": digits[:20]})
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadJSON(_("%(digits).20s is too large a number") % {"digits": digits})
    return value


# One for all: making one costs more than reading a small text. It keeps nothing between two texts.
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_whole, parse_float=_finite)


def _check_nesting(text: str, max_depth: int) -> None:
    """Count brackets outside strings before parsing, so that a hostile depth never reaches the recursive parser."""
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        token = match[0]
        if token in "[{":
            depth += 1
            if depth > max_depth:
                raise BadJSON(_("nested deeper than %(most)s levels") % {"most": max_depth})
        elif token in "]}":
            depth -= 1

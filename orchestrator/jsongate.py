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

if TYPE_CHECKING:
    from orchestrator.types import JSONValue


MAX_BYTES: Final = 10 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_ITEMS: Final = 1_000_000
MAX_BITS: Final = 1_024
_MANY_DIGITS: Final = 300
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class BadJSON(ValueError):
    """The text or value is not JSON that is taken here; the message says why."""


def loads(data: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> JSONValue:
    """Parse JSON from outside. Raises BadJSON on wrong UTF-8, syntax, NaN, Infinity, depth or size."""
    if len(data) > max_bytes:
        raise BadJSON(f"the JSON has {len(data):,} bytes, at most {max_bytes:,} are taken")
    try:
        # Decoded here: json.loads would guess UTF-16 and UTF-32 as well.
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadJSON("the text is not UTF-8") from error
    _check_nesting(text, max_depth)
    try:
        value: JSONValue = _DECODER.decode(text)
    except RecursionError as error:
        raise BadJSON(f"the JSON is nested deeper than {max_depth} levels") from error
    except BadJSON:
        raise
    except ValueError as error:
        raise BadJSON(f"not valid JSON: {error}") from error
    # What was read is plain, and finite and not too deep by now; there are fewer values in it than characters.
    return value if len(text) <= MAX_ITEMS else check(value, max_depth=max_depth)


def check(value: Any, *, max_depth: int = MAX_DEPTH, max_items: int = MAX_ITEMS) -> JSONValue:
    """Return ``value`` if it is plain, finite, bounded JSON data, else raise BadJSON naming the path."""
    budget = max_items
    stack: list[tuple[Any, int, str]] = [(value, 0, "$")]
    while stack:
        item, depth, path = stack.pop()
        budget -= 1
        if budget < 0:
            raise BadJSON(f"more than {max_items:,} values")
        if depth > max_depth:
            raise BadJSON(f"nested deeper than {max_depth} levels")
        if item is None or isinstance(item, (bool, str)):
            continue
        if isinstance(item, int):
            if item.bit_length() > MAX_BITS:
                raise BadJSON(f"{path} is a number of more than 300 digits")
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise BadJSON(f"{path} is {item}, which JSON cannot express")
        elif isinstance(item, dict):
            for key, child in item.items():
                if not isinstance(key, str):
                    raise BadJSON(f"{path} has the key {key!r:.80}, which is not a text")
                stack.append((child, depth + 1, f"{path}.{key:.80}"))
        elif isinstance(item, (list, tuple)):
            stack.extend((child, depth + 1, f"{path}[{index}]") for index, child in enumerate(item))
        else:
            raise BadJSON(f"{path} is a {type(item).__name__}, which JSON cannot express")
    return value  # type: ignore[no-any-return]


def dumps(value: Any) -> str:
    """Serialise plain data compactly; lone surrogates are escaped, NaN and Infinity are refused with ValueError.

    orjson is some twenty times faster but refuses integers over 64 bits and lone surrogates: those go
    through the standard library.
    """
    try:
        return orjson.dumps(value).decode() if _orjson_safe(value) else _slow(value)
    except (TypeError, ValueError):
        return _slow(value)


def dumps_checked(value: Any) -> str:
    """Serialise what ``loads`` or ``check`` has passed, so that it needs no second look for NaN and Infinity."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return _slow(value)


def _slow(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _orjson_safe(value: Any) -> bool:
    """Whether orjson writes ``value`` faithfully: it turns NaN into null without a word."""
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
    raise BadJSON(f"{name} is not JSON")


def _whole(digits: str) -> int:
    # Cut first: int() itself refuses thousands of digits, with another error.
    if len(digits) > _MANY_DIGITS and (len(digits) > 2 * _MANY_DIGITS or int(digits).bit_length() > MAX_BITS):
        raise BadJSON(f"{digits[:20]}… is a number of more than 300 digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadJSON(f"{digits:.20} is too large a number")
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
                raise BadJSON(f"nested deeper than {max_depth} levels")
        elif token in "]}":
            depth -= 1

"""Values between JSON and the texts that PostgreSQL reads and writes. Pure.

What JSON cannot say exactly stays text: numeric, so that no digit is lost; dates, times and intervals; NaN and
infinity. Bytes become base64. An array of a type that is not built in, such as an enum's, stays as it is written.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from integrations.sdk import InputError, JSONValue
from integrations.words import gettext as _

_Read: TypeAlias = Callable[[str], JSONValue]

_JSON: Final = frozenset({114, 3802})
_WHOLE: Final = frozenset({20, 21, 23, 26})
_MOST_DIGITS: Final = 300
# Of the built-in types whose text is not the value: the type, and its array.
_BOOL, _BYTEA, _TIMESTAMP, _TIMESTAMPTZ = 16, 17, 1114, 1184
_FLOATS: Final = frozenset({700, 701})
# Arrays of built-in types by their number, from pg_type.dat: what their elements are.
ARRAYS: Final[Mapping[int, int]] = {
    1000: 16, 1001: 17, 1002: 18, 1003: 19, 1016: 20, 1005: 21, 1007: 23, 1009: 25, 1028: 26, 199: 114, 1021: 700,
    1022: 701, 791: 790, 1040: 829, 775: 774, 1041: 869, 651: 650, 1014: 1042, 1015: 1043, 1182: 1082, 1183: 1083,
    1115: 1114, 1185: 1184, 1187: 1186, 1270: 1266, 1561: 1560, 1563: 1562, 1231: 1700, 2951: 2950, 3807: 3802,
}  # fmt: skip
# Types that are no arrays, so that a list given for one of them is meant as JSON.
_PLAIN: Final = frozenset({*ARRAYS.values()})
_PART: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"]+)|([{},])', re.DOTALL)
_BOUNDS: Final = re.compile(r"(?:\[-?\d+:-?\d+\])+=")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def parameter(value: JSONValue, oid: int, place: int) -> bytes | None:
    """Return a value as the text of a parameter of a type, None for null. Raises InputError naming its place."""
    if value is None:
        return None
    text = _json(value) if oid in _JSON else _text(value, oid)
    if "\x00" in text:
        raise InputError(_("$%(place)s has a NUL character, which PostgreSQL does not take.") % {"place": place},
                         field="parameters")  # fmt: skip
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InputError(
            _("$%(place)s has characters that are no characters (lone surrogates).") % {"place": place},
            field="parameters",
        ) from None


def _text(value: JSONValue, oid: int) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float() if oid in _WHOLE and value.is_integer():
            return str(int(value))
        case list() if oid not in _PLAIN:
            return _array(value, ARRAYS.get(oid, 0))
        case dict() | list():
            return _json(value)
        case _:
            return str(value)


def _array(values: list[JSONValue], element: int) -> str:
    return "{" + ",".join(_element(value, element) for value in values) + "}"


def _element(value: JSONValue, element: int) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list) and element not in _JSON:
        return _array(value, element)
    text = _json(value) if element in _JSON else _text(value, element)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json(value: JSONValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def reader(oid: int) -> _Read:
    """Return what makes JSON of the text of a value of a type; a text that is not written like one stays as it is."""
    read = _READERS.get(ARRAYS.get(oid, oid), str)
    known: _Read = (lambda text: _read_array(text, read)) if oid in ARRAYS else read

    def reads(text: str) -> JSONValue:
        try:
            return known(text)
        except (ValueError, IndexError):
            # The SQL may choose how values are written, and the server says of itself what they are.
            return text

    return reads


def _read_float(text: str) -> JSONValue:
    number = float(text)
    return number if math.isfinite(number) else text


def _read_bytes(text: str) -> JSONValue:
    return base64.b64encode(bytes.fromhex(text.removeprefix("\\x"))).decode()


def _read_json(text: str) -> JSONValue:
    try:
        found: JSONValue = json.loads(text, parse_int=_whole, parse_float=_read_float)
    except (ValueError, RecursionError):
        return text
    return found


def _whole(digits: str) -> Any:
    return digits if len(digits) > _MOST_DIGITS else int(digits)


def _read_time(text: str) -> JSONValue:
    """Return a time in ISO 8601, in UTC where it has a zone; what no calendar of ours has stays as it is."""
    try:
        found = datetime.fromisoformat(text)
        return (found.astimezone(UTC) if found.tzinfo else found).isoformat()
    except (ValueError, OverflowError):
        return text


_READERS: Final[Mapping[int, _Read]] = {
    _BOOL: lambda text: text == "t",
    _BYTEA: _read_bytes,
    _TIMESTAMP: _read_time,
    _TIMESTAMPTZ: _read_time,
    **dict.fromkeys(_WHOLE, int),
    **dict.fromkeys(_FLOATS, _read_float),
    **dict.fromkeys(_JSON, _read_json),
}


def _read_array(text: str, read: _Read) -> JSONValue:
    """Return an array's text, like ``{1,NULL,"a,b"}``, as lists in lists."""
    bounds = _BOUNDS.match(text)
    stack: list[list[JSONValue]] = [[]]
    for quoted, plain, sign in _PART.findall(text[bounds.end() if bounds else 0 :]):
        if sign == "{":
            stack.append([])
        elif sign == "}":
            inner = stack.pop()
            stack[-1].append(inner)
        elif sign != ",":
            # In quotes it is a text, even one that says NULL.
            stack[-1].append(None if plain == "NULL" else read(plain or _ESCAPED.sub(r"\1", quoted)))
    return stack[0][0] if stack[0] else text

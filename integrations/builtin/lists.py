"""What the steps that shape lists share: a list as an input, an order over any JSON, and looking into items."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from integrations.words import gettext as _
from integrations.words import gettext_noop

_WORDS: Final[Mapping[type, str]] = {
    dict: gettext_noop("an object"),
    str: gettext_noop("a text"),
    bool: gettext_noop("true or false"),
    int: gettext_noop("a number"),
    float: gettext_noop("a number"),
    type(None): gettext_noop("null"),
}
_HINTS: Final[Mapping[type, str]] = {
    dict: gettext_noop(": give the list inside it"),
    str: gettext_noop(": parse_json() makes one of JSON"),
    type(None): gettext_noop(": default(…, []) gives an empty one"),
}
_PART: Final = re.compile(r"([^.\[\]]+)|\[(-?\d{1,9})\]")
_NULL: Final = 9

Rank: TypeAlias = tuple[int, Any]


def words_for(value: Any) -> str:
    """Return what a value is, in words: ``an object``."""
    return _(_WORDS.get(type(value), gettext_noop("a list")))


def _only_a_list(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return value
    hint = _(_HINTS[type(value)]) if type(value) in _HINTS else ""
    raise PydanticCustomError(
        "list_type", _("A list is needed, and this is {what}{hint}"), {"what": words_for(value), "hint": hint}
    )


# Its items are plain JSON already; to walk them once more would cost more than most steps over them.
Items: TypeAlias = Annotated[list[Any], BeforeValidator(_only_a_list)]


def rank(value: Any) -> Rank:
    """Return what orders any JSON value among others, and is equal only for equal values.

    Numbers come first, then texts by their characters, false and true, lists item by item, objects, and null last.
    """
    kind = type(value)
    if kind is str:
        return (1, value)
    if kind is int or kind is float:
        return (0, value)
    if value is None:
        return (_NULL, 0)
    if kind is bool:
        return (2, value)
    if isinstance(value, Mapping):
        return (4, tuple(sorted((key, rank(item)) for key, item in value.items())))
    return (3, tuple(map(rank, value)))


def is_null(ranked: Rank) -> bool:
    return ranked[0] == _NULL


def look_up(item: Any, path: str) -> Any:
    """Return what is at a name or dotted path (``customer.country``, ``lines[0].price``) in an item, else None.

    A key that is the whole path comes first: names may have dots in them.
    """
    if type(item) is dict and path in item:
        return item[path]
    value = item
    for name, index in _PART.findall(path):
        if name and isinstance(value, Mapping):
            value = value.get(name)
        elif index and isinstance(value, (list, tuple)) and -len(value) <= int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return value

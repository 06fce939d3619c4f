"""Where something lies in a JSON value: ``data.items``, ``results[0].rows``, ``data[-1].id``, ``meta["next page"]``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from integrations.sdk.types import JSONValue
from integrations.words import gettext as _

MAX_LENGTH: Final = 500
MAX_PARTS: Final = 32
MISSING: Final[Any] = object()
_PART: Final = re.compile(
    r"""\.?(?P<name>[^.\[\]"']+) | \[(?P<index>-?\d{1,9})\] | \[(?P<quote>["'])(?P<quoted>[^"']*)(?P=quote)\]""",
    re.VERBOSE,
)
Path = Sequence[str | int]


def parsed(text: str) -> tuple[str | int, ...]:
    """Return the keys and indexes of a path, none for an empty one or ``$``. Raises ValueError, which says why."""
    wanted = text.strip().removeprefix("$")
    parts: list[str | int] = []
    at = 0
    while at < len(wanted):
        found = _PART.match(wanted, at)
        if found is None or len(wanted) > MAX_LENGTH or len(parts) == MAX_PARTS:
            raise ValueError(
                _('%(path).80r is no path: it is written like data.items or meta["next"]') % {"path": text}
            )
        parts.append(int(found["index"]) if found["index"] else found["name"] or found["quoted"] or "")
        at = found.end()
    return tuple(parts)


def found_at(value: JSONValue, text: str) -> Any:
    """Return what lies at a path, MISSING where nothing does; a key that is the whole path comes first.

    Raises ValueError for what is no path.
    """
    if isinstance(value, dict) and text in value:
        return value[text]
    return descended(value, parsed(text))


def descended(value: Any, path: Path) -> Any:
    """Return what lies at a path, MISSING where nothing does."""
    for part in path:
        value = _child(value, part)
        if value is MISSING:
            break
    return value


def put_at(value: Any, path: Path, new: JSONValue) -> Any:
    """Return a copy of an object with another value at a path of names; objects on the way are made where none are."""
    if not path:
        return new
    held = value if isinstance(value, dict) else {}
    name = str(path[0])
    return {**held, name: put_at(held.get(name), path[1:], new)}


def _child(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(str(part), MISSING)
    if isinstance(value, list) and isinstance(part, int) and -len(value) <= part < len(value):
        return value[part]
    return MISSING

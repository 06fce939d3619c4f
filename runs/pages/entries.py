"""What a value of a run has in it: an entry by its path, a search for a text, a list of objects as a table. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator.jsontree import joined
from orchestrator.types import JSONValue
from runs.pages.address import Address
from runs.pages.differences import short
from runs.pages.values import AT_ONCE, Value

FOUND: Final = 100
TABLE_ROWS: Final = 50
TABLE_COLUMNS: Final = 8
_CELL: Final = 80
_PART: Final = re.compile(r'\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]')


@dataclass(frozen=True, kw_only=True)
class Table:
    """A list of objects: its first columns, the cells of its first rows, and how much of it is not shown."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more_rows: int
    more_columns: int


@dataclass(frozen=True, kw_only=True)
class Picked:
    """An entry that is looked at by itself: where it is, and its JSON to copy, or why that is not here."""

    path: str
    text: str
    missing: str
    table: Table | None
    table_url: str
    tree_url: str
    close_url: str


@dataclass(frozen=True, kw_only=True)
class Match:
    """An entry in which a text was found."""

    path: str
    text: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was found in the values that are open: the first hundred entries, and how many there are."""

    matches: tuple[Match, ...]
    count: int


def picked_of(values: tuple[Value, ...], address: Address) -> Picked | None:
    """Return the entry that the address asks for; None where it asks for none."""
    value = next((each for each in values if each.name == address.value and each.is_here and not each.missing), None)
    if value is None:
        return None
    plain = replace(address, table=False)
    found, is_there = entry_at(value.value, address.at)
    text = json.dumps(found, indent=2, ensure_ascii=False) if is_there else ""
    missing = "" if is_there else _("There is no such entry in this value.")
    if len(text) > AT_ONCE:
        text, missing = "", _("It is too long to be shown as text: choose an entry in it.")
    is_table = is_there and is_list_of_objects(found)
    return Picked(
        path=full_path(value, address.at),
        text=text,
        missing=missing,
        table=table_of(found) if is_table and address.table else None,
        table_url=replace(address, table=True).url if is_table else "",
        tree_url=plain.url,
        close_url=address.whole.url,
    )


def full_path(value: Value, path: str) -> str:
    """Return an entry's path as an expression reads it."""
    if not path or not value.root:
        return path or value.root or value.title
    return f"{value.root}{path}" if path.startswith("[") else f"{value.root}.{path}"


def entry_at(value: JSONValue, path: str) -> tuple[JSONValue, bool]:
    """Return the entry of a value at a path, and whether there is one."""
    at: Any = value
    for key in _keys(path):
        in_object = isinstance(at, dict) and isinstance(key, str) and key in at
        in_list = isinstance(at, list) and isinstance(key, int) and key < len(at)
        if not in_object and not in_list:
            return None, False
        at = at[key]
    return at, True


def _keys(path: str) -> Iterator[str | int | None]:
    """Yield the keys that a path leads through; None for what is no path."""
    at = 0
    while at < len(path):
        found = _PART.match(path, at)
        if found is None:
            yield None
            return
        name, index, quoted = found.groups()
        yield name if name is not None else int(index) if index is not None else _unquoted(quoted)
        at = found.end()


def _unquoted(text: str) -> str | None:
    try:
        return str(json.loads(text))
    except ValueError:
        return None


def is_list_of_objects(value: JSONValue) -> bool:
    """Whether a value is a list that has objects in it alone."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def table_of(value: Any) -> Table:
    """Return a list of objects as a table; its columns are all keys in the order in which they come up."""
    keys = list(dict.fromkeys(key for row in value for key in row))
    columns = keys[:TABLE_COLUMNS]
    rows = tuple(tuple(_cell(row[key]) if key in row else "" for key in columns) for row in value[:TABLE_ROWS])
    return Table(
        columns=tuple(columns),
        rows=rows,
        more_rows=max(0, len(value) - TABLE_ROWS),
        more_columns=max(0, len(keys) - TABLE_COLUMNS),
    )


def _cell(value: JSONValue) -> str:
    text = value if isinstance(value, str) else short(value)
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"


def search(values: tuple[Value, ...], address: Address) -> Search | None:
    """Return where a text is in the values that are open, in names and in what they hold; None without a text."""
    needle = address.find.casefold()
    if not needle:
        return None
    matches = (
        Match(path=full_path(value, path), text=short(found), url=_url(address, value, path))
        for value in values
        if value.is_here and not value.missing
        for path, found in _containing(value.value, "", "", needle)
    )
    first = tuple(islice(matches, FOUND))
    return Search(matches=first, count=len(first) + sum(1 for _rest in matches))


def _url(address: Address, value: Value, path: str) -> str:
    return replace(address, value=value.name, at=path, table=False).url


def _containing(value: JSONValue, path: str, key: str, needle: str) -> Iterator[tuple[str, JSONValue]]:
    """Yield the entries whose own name, or what they hold themselves, has the text in it."""
    is_leaf = not isinstance(value, dict | list)
    if needle in key.casefold() or (is_leaf and needle in _cell_text(value)):
        yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _containing(inner, joined(path, name), name, needle)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _containing(inner, joined(path, index), "", needle)


def _cell_text(value: JSONValue) -> str:
    return (value if isinstance(value, str) else json.dumps(value)).casefold()

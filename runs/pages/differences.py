"""What differs between two JSON values, path by path: bounded, so that a page stays light. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from orchestrator.jsontree import joined
from orchestrator.types import JSONValue

MOST: Final = 200
# Characters of a value that a line shows.
_TEXT: Final = 300


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference; ``before`` and ``after`` are JSON, cut where they are long, and empty for what is not there."""

    kind: Literal["added", "removed", "changed"]
    path: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The first 200 differences in the order of the values, and how many there are beyond these."""

    shown: tuple[Difference, ...] = ()
    more: int = 0


def differences(before: JSONValue, after: JSONValue) -> Differences:
    """Return what was added, removed and changed from one value to another; lists are compared place by place."""
    found = _walk(before, after, "")
    return Differences(shown=tuple(islice(found, MOST)), more=sum(1 for _rest in found))


def same(before: JSONValue, after: JSONValue) -> bool:
    """Whether two values are the same JSON; the order of an object's keys does not count."""
    return next(_walk(before, after, ""), None) is None


def _walk(before: JSONValue, after: JSONValue, path: str) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    # As JSON: to Python 1 and true are equal.
    elif type(before) is not type(after) or before != after:
        yield Difference(kind="changed", path=path, before=short(before), after=short(after))


def _objects(before: dict[str, JSONValue], after: dict[str, JSONValue], path: str) -> Iterator[Difference]:
    for key in _keys(before, after):
        place = joined(path, key)
        if key not in after:
            yield Difference(kind="removed", path=place, before=short(before[key]))
        elif key not in before:
            yield Difference(kind="added", path=place, after=short(after[key]))
        else:
            yield from _walk(before[key], after[key], place)


def _keys(before: dict[str, JSONValue], after: dict[str, JSONValue]) -> Iterable[str]:
    return dict.fromkeys([*before, *after])


def _lists(before: list[JSONValue], after: list[JSONValue], path: str) -> Iterator[Difference]:
    for index, (was, is_now) in enumerate(zip(before, after, strict=False)):
        yield from _walk(was, is_now, joined(path, index))
    common = min(len(before), len(after))
    for index, value in enumerate(before[common:], common):
        yield Difference(kind="removed", path=joined(path, index), before=short(value))
    for index, value in enumerate(after[common:], common):
        yield Difference(kind="added", path=joined(path, index), after=short(value))


def short(value: JSONValue) -> str:
    """Return a value as JSON that fits a line or a few."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"

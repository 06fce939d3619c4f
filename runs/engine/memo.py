"""What was made of an object, kept for as long as that object lives. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import ref

_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")


class Memo(Generic[_Thing, _Made]):
    """Calls ``make`` once for each object, told apart by identity: a definition takes long to compare, or to hash.

    What is made must not hold the object, or neither would ever be let go.
    """

    def __init__(self, make: Callable[[_Thing], _Made]) -> None:
        self._make = make
        # With what forgets it: that is called before anything else can get the object's id.
        self._kept: dict[int, tuple[_Made, ref[_Thing]]] = {}

    def __call__(self, thing: _Thing) -> _Made:
        key = id(thing)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = self._make(thing), ref(thing, lambda _: self._kept.pop(key, None))
        return kept[0]

    def __len__(self) -> int:
        return len(self._kept)

"""What was made of an object, kept for when the very same object comes again. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Thing = TypeVar("_Thing")
_Made = TypeVar("_Made")


class Memo(Generic[_Thing, _Made]):
    """Calls ``make`` once for each object, told apart by identity: a definition takes long to compare, or to hash.

    The object is kept with what was made of it, so that nothing else gets its id. At ``most`` all are forgotten.
    """

    def __init__(self, make: Callable[[_Thing], _Made], *, most: int) -> None:
        self._make, self._most = make, most
        self._kept: dict[int, tuple[_Thing, _Made]] = {}

    def __call__(self, thing: _Thing) -> _Made:
        kept = self._kept.get(id(thing))
        if kept is not None and kept[0] is thing:
            return kept[1]
        if len(self._kept) >= self._most:
            self._kept.clear()
        made = self._make(thing)
        self._kept[id(thing)] = thing, made
        return made

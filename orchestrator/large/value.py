"""A large value as expressions meet it: each look into it brings one field, and never all of it. Pure.

Reading blocks, and a loop drives many runs: so a look that needs what is not at hand raises Unready, which says how it
is brought, and ``ready`` has it brought by a thread and looks again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.large.stored import Node, Run, Source, Stored

MISSING: Final = object()
# Objects that one large value may be opened to: some four hundred megabytes, whatever they are.
MOST_VALUES: Final = 6_000_000
# What is kept of a value that was looked into: so many fields, each of so many characters and items.
_FIELDS_KEPT: Final = 256
_FIELD: Final = 4_096
_ITEM: Final = 8
_NAMES_TOLD: Final = 500
_WHOLE: Final = object()
# Without an index a value is one of up to this size as a rule; opened once, it stays.
_STAYS: Final = jsongate.MAX_BYTES
# The large values of this process: while there are none, nothing is looked for in others.
ALIVE: Final[set[int]] = set()

_T = TypeVar("_T")
_Held = dict[tuple[Any, Any], Any]
# What was brought for the evaluation under way.
_held: ContextVar[_Held | None] = ContextVar("held", default=None)


class Unready(Exception):
    """Something of a large value is needed that is not in memory. ``bring`` blocks; ``size`` is what it opens."""

    def __init__(self, bring: Callable[[], _Held], size: int = 0) -> None:
        super().__init__("a large value is not in memory")
        self.bring, self.size = bring, size


class TooManyValues(ValueError):
    """A value has too many parts to be opened as a whole; the message says how many."""


class Large:
    """A large value, or a large container inside of one."""

    __slots__ = ("__weakref__", "node", "stored")

    def __init__(self, stored: Stored, node: Node | None = None) -> None:
        self.stored, self.node = stored, node
        ALIVE.add(id(self))

    def __del__(self) -> None:
        ALIVE.discard(id(self))

    @classmethod
    def at(cls, source: Source) -> Large:
        """Return the value that is stored at ``source``; nothing of it is read yet."""
        return cls(Stored(source=source))

    def __repr__(self) -> str:
        return f"<a value of {self.stored.size:,} bytes>"

    @property
    def size(self) -> int:
        """Bytes of JSON; 0 while that is not known."""
        return self.stored.size if self.node is None else self.node.size

    @property
    def is_object(self) -> bool:
        """Whether it is an object; blocks."""
        self.stored.learn()
        node = self.node or self.stored.root
        return node is not None and node.kind == "{"

    def shape(self) -> Node | tuple[Any]:
        """Return how it is cut, or, in a tuple, the value itself where it is not. Raises Unready."""
        stored = self.stored
        if self.node is not None:
            return self.node
        if not stored.is_known:
            raise Unready(stored.learn)
        if stored.root is not None and stored.root.kind != '"':
            return stored.root
        return (self.whole(),)

    def part(self, key: str | int) -> Any:
        """Return what is at a key or an index, MISSING when there is nothing. Raises Unready.

        Large containers inside come as Large. Asked of a value that ``shape`` tells the cuts of.
        """
        node = self.shape()
        assert isinstance(node, Node)
        inside = _container(node, key)
        if inside is not None:
            return Large(self.stored, inside)
        place = (node, key)
        found = self.stored.fields.get(place, _WHOLE)
        if found is not _WHOLE:
            return found
        held = _held.get()
        if held is not None and place in held:
            return held[place]
        raise Unready(lambda: {place: self._found(key)}, _largest(node, key))

    def whole(self) -> Any:
        """Return the value as Python objects. Raises Unready."""
        stored = self.stored
        if stored.plain is not None and self.node is None:
            return stored.plain[0]
        if not stored.is_known:
            # How large it is has to be known first: it waits until there is room for so much.
            raise Unready(stored.learn)
        held, place = _held.get(), (self.node or stored, _WHOLE)
        if held is not None and place in held:
            return held[place]
        raise Unready(lambda: {place: self.open()}, self.size)

    def open(self) -> Any:
        """Return the value as Python objects; blocks. Raises TooManyValues, jsongate.BadJSON."""
        self.stored.learn()
        if self.stored.plain is not None and self.node is None:
            return self.stored.plain[0]
        count = self._count()
        if count > MOST_VALUES:
            raise TooManyValues(
                _("It holds %(count)s values, and at most %(most)s can be taken at once.")
                % {"count": f"{count:,}", "most": f"{MOST_VALUES:,}"}
            )
        text = self.stored.text(self.node)
        value = jsongate.parse(text)
        if self.node is None and self.stored.root is None and len(text) <= _STAYS:
            self.stored.plain = (value,)
        return value

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield the members of an object that is cut, large ones as Large; blocks."""
        self.stored.learn()
        node = self.node or self.stored.root
        for part in node.parts if node is not None else ():
            if not isinstance(part, Node):
                members: Any = jsongate.parse(b"{" + self.stored.run(part) + b"}")
                yield from members.items()
            elif part.key is not None:
                yield part.key, Large(self.stored, part)

    def names(self) -> list[str]:
        """Return some names of an object's members, for whoever did not find one."""
        node = self.shape()
        parts = node.parts if isinstance(node, Node) else ()
        found: list[str] = []
        for part in parts:
            if isinstance(part, Node):
                found += [part.key] if part.key is not None else []
            else:
                found += part.keys or []
        return found[:_NAMES_TOLD]

    def _count(self) -> int:
        """Return how many values it holds, those inside of others too: of a part of one about that."""
        root = self.stored.root
        if root is None or self.node is None or not root.size:
            return self.stored.values
        return self.stored.values * self.node.size // root.size

    def _found(self, key: str | int) -> Any:
        """Look for a part, and keep it if it is small; blocks."""
        node = self.shape()
        assert isinstance(node, Node)
        found = self._member(node, key) if isinstance(key, str) else self._item(node, key)
        is_small = jsongate.room_beside(found, _FIELD, per_item=_ITEM, per_character=1) >= 0
        if is_small or found is MISSING:
            fields = self.stored.fields
            if len(fields) >= _FIELDS_KEPT:
                fields.clear()
            fields[node, key] = found
        return found

    def _member(self, node: Node, key: str) -> Any:
        # From the end: of two members of one name the last one counts.
        for part in reversed(node.parts):
            if isinstance(part, Run) and (part.keys is None or key in part.keys):
                members: Any = jsongate.parse(b"{" + self.stored.run(part) + b"}")
                if key in members:
                    return members[key]
            elif isinstance(part, Node) and part.key == key:
                return Large(self.stored, part)
        return MISSING

    def _item(self, node: Node, index: int) -> Any:
        found = _part_at(node, index)
        if found is None:
            return MISSING
        part, place = found
        return Large(self.stored, part) if isinstance(part, Node) else self._of_run(part, place)

    def _of_run(self, run: Run, index: int) -> Any:
        items: Any = jsongate.parse(b"[" + self.stored.run(run) + b"]")
        return items[index]


def is_large(value: Any) -> bool:
    """Whether a value is large, or holds one that is."""
    return next(large_in(value), None) is not None


def _part_at(node: Node, index: int) -> tuple[Run | Node, int] | None:
    """Return the part of a list that has an item, and which item of it that is; None beyond the list."""
    left = index if index >= 0 else node.count + index
    if not 0 <= left < node.count:
        return None
    for part in node.parts:
        count = 1 if isinstance(part, Node) else part.count
        if left < count:
            return part, left
        left -= count
    return None


def _container(node: Node, key: str | int) -> Node | None:
    """Return the container at a key or an index, where the index alone tells that there is one."""
    if isinstance(key, int):
        found = _part_at(node, key)
        return found[0] if found is not None and isinstance(found[0], Node) else None
    for part in reversed(node.parts):
        if isinstance(part, Node):
            if part.key == key:
                return part
        elif part.keys is None or key in part.keys:
            return None
    return None


def _largest(node: Node, key: str | int) -> int:
    """Return the bytes of the largest run that is read to find a part: one long text is a run of its own."""
    if isinstance(key, int):
        found = _part_at(node, key)
        return found[0].size if found is not None else 0
    return max(
        (part.size for part in node.parts if isinstance(part, Run) and (part.keys is None or key in part.keys)),
        default=0,
    )


def large_in(value: Any) -> Iterator[Large]:
    """Yield the large values in a value."""
    if isinstance(value, Large):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from large_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from large_in(item)


def opened(value: Any) -> Any:
    """Return a value with every large one in it as Python objects: the same object if there is none. Raises Unready."""
    if isinstance(value, Large):
        return value.whole()
    if isinstance(value, Mapping) and is_large(value):
        return {key: opened(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and is_large(value):
        return [opened(item) for item in value]
    return value


def ready_now(evaluate: Callable[[], _T]) -> _T:
    """Return what ``evaluate`` returns; blocks for each value that it misses, one after the other."""
    held: _Held = {}
    token = _held.set(held)
    try:
        while True:
            try:
                return evaluate()
            except Unready as missing:
                held.update(missing.bring())
    finally:
        _held.reset(token)


async def ready(
    evaluate: Callable[[], _T], bring: Callable[[Unready], Awaitable[_Held]], missing: Unready | None = None
) -> _T:
    """Return what ``evaluate`` returns; what it misses is brought, one after the other, beginning with ``missing``."""
    held: _Held = {}
    token = _held.set(held)
    try:
        while True:
            if missing is not None:
                held.update(await bring(missing))
            try:
                return evaluate()
            except Unready as further:
                missing = further
    finally:
        _held.reset(token)

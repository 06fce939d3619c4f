"""How a large value is stored: its JSON as one zlib stream, and behind that where its runs begin. Pure.

Between two runs the stream is flushed in full, so that each is decompressed without what is before it. Who does not
know of the index reads the stream to its end and has the JSON.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from orchestrator import jsongate

_MAGIC: Final = b"\xffruns\x01"
_FOOTER: Final = len(_MAGIC) + 8
# What is read of the end at once: nearly every index fits.
_TAIL: Final = 64 * 1024
PIECE: Final = 256 * 1024
# What is read at once of what is stored: SQLite goes through all that comes before it.
_SLICE: Final = 4 * 1024 * 1024
_RAW: Final = -zlib.MAX_WBITS


@dataclass(slots=True, eq=False)
class Run:
    """Neighbouring elements of one container: ``count`` of them, ``size`` bytes of JSON from ``at`` on.

    ``z`` is where its stretch of the stream begins, of which the first ``skip`` bytes are brackets and commas before
    it. ``keys`` are those of an object's members, where they are few.
    """

    count: int
    at: int
    size: int
    z: int
    skip: int
    keys: list[str] | None = None


@dataclass(slots=True, eq=False)
class Node:
    """A container that was cut: ``{`` or ``[``, or ``"`` for a value that is none. ``key`` is its own in an object.

    Its JSON has ``size`` bytes from ``at`` on, and there are ``count`` elements.
    """

    kind: str
    key: str | None = None
    count: int = 0
    at: int = 0
    size: int = 0
    parts: list[Run | Node] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "key": self.key,
            "count": self.count,
            "at": self.at,
            "size": self.size,
            "parts": [
                part.document()
                if isinstance(part, Node)
                else [part.count, part.at, part.size, part.z, part.skip, part.keys]
                for part in self.parts
            ],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Node:
        parts: list[Run | Node] = [
            Run(*part) if isinstance(part, list) else Node.of(part) for part in document["parts"]
        ]
        return cls(**{**document, "parts": parts})

    def runs(self) -> Iterator[Run]:
        """Yield the runs of this container and of those inside of it, in order."""
        for part in self.parts:
            if isinstance(part, Node):
                yield from part.runs()
            else:
                yield part


def footer(root: Node, values: int) -> bytes:
    """Return what is put behind the stream."""
    index = zlib.compress(orjson.dumps([values, root.document()]), 1)
    return index + len(index).to_bytes(8, "big") + _MAGIC


class Source(Protocol):
    """Where the bytes of a stored value are read from; blocks. Raises LookupError when they are gone."""

    def read(self, start: int, length: int) -> bytes:
        """Return ``length`` bytes from ``start`` on, or from so far before the end where it is negative."""

    def whole(self) -> tuple[bytes, int]:
        """Return all of them, and how many bytes of JSON they stand for."""


class Stored:
    """A stored value: its bytes while they are in memory, else where they are read from.

    ``size`` is that of its JSON, ``values`` how many there are in it, those inside of others too.
    """

    def __init__(
        self,
        *,
        data: bytes | None = None,
        source: Source | None = None,
        size: int = 0,
        values: int = 0,
        root: Node | None = None,
    ) -> None:
        self.size, self.values, self.root = size, values, root
        self.is_known = root is not None
        # The value itself, where it has no index and is small enough to stay.
        self.plain: tuple[Any] | None = None
        # What was found in it before, by container and key.
        self.fields: dict[tuple[Any, Any], Any] = {}
        # Whoever counts its bytes is told.
        self.on_let_go: Callable[[], object] | None = None
        self._data, self._source, self._pins = data, source, 0

    @property
    def data(self) -> bytes | None:
        """The bytes, None once they were let go."""
        return self._data

    def let_go(self, source: Source) -> None:
        """Forget the bytes: from now on they are read from ``source``, as they are written there."""
        self._source = source
        if self.on_let_go is not None:
            self.on_let_go()
        if not self._pins:
            self._data = None

    @property
    def source(self) -> Source | None:
        """Where the bytes are read from, None while they are nowhere but here."""
        return self._source

    def pin(self, data: bytes) -> None:
        """Have the bytes in memory until ``unpin``, whatever is let go meanwhile."""
        self._data, self._pins = data, self._pins + 1

    def unpin(self) -> None:
        self._pins -= 1
        if self._source is not None and not self._pins:
            self._data = None

    def hold(self) -> bytes:
        """Return all bytes, from wherever they are; blocks."""
        if self._data is not None:
            return self._data
        assert self._source is not None
        data, self.size = self._source.whole()
        return data

    def learn(self) -> dict[Any, Any]:
        """Read the index, if there is one; blocks. Return nothing that would have to be kept."""
        if self.is_known:
            return {}
        end = self._read(-_TAIL, _TAIL)
        if end.endswith(_MAGIC):
            length = int.from_bytes(end[-_FOOTER : -len(_MAGIC)], "big")
            if length + _FOOTER > len(end):
                end = self._read(-length - _FOOTER, length + _FOOTER)
            self.values, root = orjson.loads(zlib.decompress(end[-length - _FOOTER : -_FOOTER]))
            self.root = Node.of(root)
            self.size = self.root.size
        self.is_known = True
        return {}

    def text(self, node: Node | None) -> bytes:
        """Return the JSON of a container, or of all. Raises jsongate.BadJSON when it is not what was written."""
        data = self.hold()
        if node is None or node is self.root:
            return _inflated(zlib.decompressobj(), data, 0, 0, self.size, exact=True)
        assert self.root is not None
        first = None
        for run in self.root.runs():
            if run.at - run.skip > node.at:
                break
            first = run
        if first is None:
            return _inflated(zlib.decompressobj(), data, 0, node.at, node.size)
        return _inflated(zlib.decompressobj(_RAW), data, first.z, node.at - (first.at - first.skip), node.size)

    def run(self, run: Run) -> bytes:
        """Return the JSON of a run: its elements with commas between them, without brackets."""
        room = run.skip + run.size
        if self._data is not None:
            return _inflated(zlib.decompressobj(_RAW), self._data, run.z, run.skip, run.size)
        # Compressed it is hardly ever more; where it is, the stream says that it needs more.
        data = self._read(run.z, room + room // 100 + 1_024)
        return _inflated(zlib.decompressobj(_RAW), data, 0, run.skip, run.size)

    def pieces(self) -> Iterator[bytes]:
        """Yield the JSON in pieces, without having more in memory; blocks. Raises BadJSON where it is damaged."""
        stream, start = zlib.decompressobj(), 0
        while not stream.eof:
            waiting = self._read(start, _SLICE)
            if not waiting:
                raise jsongate.BadJSON("the stored value is damaged")
            start += len(waiting)
            while waiting and not stream.eof:
                if piece := stream.decompress(waiting, PIECE):
                    yield piece
                waiting = stream.unconsumed_tail

    def _read(self, start: int, length: int) -> bytes:
        if self._data is not None:
            return self._data[start:] if start < 0 else self._data[start : start + length]
        assert self._source is not None
        return self._source.read(start, length)


def _inflated(stream: Any, data: bytes, start: int, skip: int, length: int, *, exact: bool = False) -> bytes:
    with memoryview(data) as view:
        text: bytes = stream.decompress(view[start:], skip + length + exact)
    if len(text) != skip + length:
        raise jsongate.BadJSON("the stored value is damaged")
    return text[skip:] if skip else text

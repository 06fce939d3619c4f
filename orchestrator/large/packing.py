"""From a large value, as Python objects or as JSON that just arrived, to what is stored of it. Pure.

Never more than a run of it is there as Python objects that were not there before: one pass checks, redacts, writes and
compresses. What JSON says in several ways is written in one, so that later readers need not look for the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.large.arriving import Arriving
from orchestrator.large.stored import Node, Run, Stored, footer
from orchestrator.large.value import Large

# Bytes of JSON that a run has, as a rule: what is parsed to read one field.
RUN_BYTES: Final = 128 * 1024
_MOST_OF_A_RUN: Final = 4 * RUN_BYTES
# Names of members that are written into the index; of an object with more, they are looked for in the runs.
_KEYS_NAMED: Final = 32
_KEY_CHARACTERS: Final = 100
_FIRST_GROUP: Final = 16
_ANY: Final = 1 << 60

Clean = Callable[[Any], Any]


class RawJSON:
    """JSON that arrived and was not looked at yet, for an output. ``refused`` makes the error for one that is none."""

    __slots__ = ("data", "refused")

    def __init__(self, data: bytes, refused: Callable[[jsongate.BadJSON], Exception] | None = None) -> None:
        self.data, self.refused = data, refused

    def __repr__(self) -> str:
        return f"<JSON of {len(self.data):,} bytes>"


def pack(value: Any, clean: Clean, *, most: int) -> Large:
    """Return a value with ``clean`` applied, packed. Raises BadJSON for no JSON, and over ``most`` bytes of it."""
    packer = Packer(clean, most)
    _Walk(packer).value(value, 0, "$", None)
    return Large(packer.finish())


class Packer:
    """Writes the stream: containers are opened and closed, and between that come runs of their elements."""

    def __init__(self, clean: Clean, most: int) -> None:
        self.clean, self._most = clean, most
        self._stream = zlib.compressobj(1)
        # So that the first run, too, has nothing before it.
        self._out = [self._stream.compress(b"") + self._stream.flush(zlib.Z_FULL_FLUSH)]
        self._z = len(self._out[0])
        self._waiting = bytearray()
        self._at = 0
        self._open: list[Node] = []
        self._root: Node | None = None
        self.values = 0

    def checked(self, values: Any, depth: int) -> Any:
        """Return elements as they are kept, and count what is in them. Raises BadJSON."""
        room = jsongate.room_beside(values, _ANY, max_depth=jsongate.MAX_DEPTH - depth)
        if room < 0:
            jsongate.check(values, max_depth=jsongate.MAX_DEPTH - depth, max_items=_ANY)
            # Tuples and the like, which nobody has by the million.
            room = _ANY - 1
        self.values += _ANY - room
        return self.clean(values)

    def begin(self, kind: str, key: str | None) -> None:
        """Open a container, or with ``"`` as its kind what stands for a value that is none."""
        if self._open:
            self._comma(key)
        node = Node(kind=kind, key=key, at=self._at + len(self._waiting))
        if self._open:
            self._open[-1].parts.append(node)
            self._open[-1].count += 1
        else:
            self._root = node
        self._open.append(node)
        if kind != '"':
            self._waiting += kind.encode()

    def end(self) -> None:
        node = self._open.pop()
        if node.kind != '"':
            self._waiting += b"}" if node.kind == "{" else b"]"
        node.size = self._at + len(self._waiting) - node.at

    def scalar(self, text: bytes, key: str | None) -> None:
        """Write a value that is no container, as JSON: a run of its own."""
        if self._open:
            name = b"" if key is None else jsongate.dump_bytes(key) + b":"
            self.run(text, 1, () if key is None else (key,), name=name)
            return
        self.begin('"', None)
        self.run(text, 1)
        self.end()

    def run(self, text: bytes | memoryview, count: int, keys: Iterable[str] = (), *, name: bytes = b"") -> None:
        """Write neighbouring elements, or members, as JSON without the brackets around them."""
        node = self._open[-1]
        if node.count:
            self._waiting += b","
        skip, size = len(self._waiting), len(name) + len(text)
        named = list(islice(keys, _KEYS_NAMED + 1))
        if len(named) > _KEYS_NAMED or any(len(key) > _KEY_CHARACTERS for key in named):
            named = []
        run = Run(count, self._at + skip, size, self._z, skip, named or None)
        node.parts.append(run)
        node.count += count
        self._waiting += name
        self._write(text)

    def finish(self) -> Stored:
        """Return what is stored. Raises BadJSON when it is too large."""
        assert self._root is not None
        self._write(b"")
        if self._at > self._most:
            raise jsongate.BadJSON(
                _("it has %(at)s bytes as JSON, at most %(most)s are kept")
                % {"at": f"{self._at:,}", "most": f"{self._most:,}"}
            )
        self._out += [self._stream.flush(), footer(self._root, self.values)]
        return Stored(data=b"".join(self._out), size=self._at, values=self.values, root=self._root)

    def _comma(self, key: str | None) -> None:
        if self._open[-1].count:
            self._waiting += b","
        if key is not None:
            self._waiting += jsongate.dump_bytes(key) + b":"

    def _write(self, text: bytes | memoryview) -> None:
        """Compress what waits and a run; what is too large is only counted, so that the error can say how large."""
        waiting = bytes(self._waiting)
        self._waiting.clear()
        self._at += len(waiting) + len(text)
        if self._at > self._most:
            self._out.clear()
            return
        packed = [
            self._stream.compress(waiting), self._stream.compress(text), self._stream.flush(zlib.Z_FULL_FLUSH)
        ]  # fmt: skip
        self._out += packed
        self._z += sum(map(len, packed))


class _Walk:
    """Goes through Python objects, a group of neighbours at a time."""

    def __init__(self, packer: Packer) -> None:
        self._packer = packer

    def value(self, value: Any, depth: int, path: str, key: str | None) -> None:
        """Write a value: what is already packed, a container that is cut, or anything else as a run of its own."""
        if isinstance(value, RawJSON):
            self._raw(value, depth, key)
        elif isinstance(value, Large):
            self._large(value, depth, path, key)
        elif isinstance(value, Mapping):
            self._container("{", value.items(), depth, path, key)
        elif isinstance(value, (list, tuple)):
            self._container("[", value, depth, path, key)
        else:
            self._packer.scalar(self._text(value, depth, path), key)

    def _container(self, kind: str, items: Iterable[Any], depth: int, path: str, key: str | None) -> None:
        if depth >= jsongate.MAX_DEPTH:
            raise jsongate.BadJSON(_("nested deeper than %(most)s levels") % {"most": jsongate.MAX_DEPTH})
        self._packer.begin(kind, key)
        left, at, size = iter(items), 0, _FIRST_GROUP
        while group := list(islice(left, size)):
            written = self._group(kind, group, depth, path, at)
            at += len(group)
            size = max(1, min(65_536, size * RUN_BYTES // max(1, written), size * 4))
        self._packer.end()

    def _group(self, kind: str, group: Sequence[Any], depth: int, path: str, at: int) -> int:
        """Write neighbours as one run, or in halves where they are too large for one; return their bytes."""
        text, keys = self._together(kind, group, depth)
        if text is not None and len(text) <= _MOST_OF_A_RUN:
            self._packer.run(memoryview(text)[1:-1], len(group), keys)
            return len(text)
        if len(group) > 1:
            half = len(group) // 2
            first = self._group(kind, group[:half], depth, path, at)
            return first + self._group(kind, group[half:], depth, path, at + half)
        self._single(kind, group[0], depth, path, at, text, keys)
        return _MOST_OF_A_RUN

    def _single(
        self, kind: str, element: Any, depth: int, path: str, at: int, text: bytes | None, keys: Iterable[str]
    ) -> None:
        """Write one element that is large, or of which something is wrong."""
        name, value = element if kind == "{" else (None, element)
        if kind == "{" and not isinstance(name, str):
            raise jsongate.BadJSON(
                _("%(path)s has the key %(name).80r, which is not a text") % {"path": path, "name": name}
            )
        place = f"{path}[{at}]" if name is None else f"{path}.{name:.80}"
        if isinstance(value, (RawJSON, Large, Mapping, list, tuple)):
            self.value(value, depth + 1, place, None if name is None else self._packer.clean(name))
        elif text is None:
            self._text(value, depth + 1, place)
            raise jsongate.BadJSON(_("%(place)s cannot be written as JSON") % {"place": place})
        else:
            self._packer.run(memoryview(text)[1:-1], 1, keys)

    def _together(self, kind: str, group: Sequence[Any], depth: int) -> tuple[bytes | None, Iterable[str]]:
        """Return neighbours as JSON, with their names; None where one is nothing that JSON knows by itself."""
        try:
            shaped: Any = dict(group) if kind == "{" else group
            cleaned = self._packer.checked(shaped, depth)
            return jsongate.dump_bytes(cleaned), cleaned if kind == "{" else ()
        except (jsongate.BadJSON, TypeError):
            return None, ()

    def _text(self, value: Any, depth: int, path: str) -> bytes:
        try:
            jsongate.check(value, max_depth=jsongate.MAX_DEPTH - depth)
        except jsongate.BadJSON as error:
            told = str(error)
            raise jsongate.BadJSON(path + told[1:] if told.startswith("$") else told) from None
        return jsongate.dump_bytes(self._packer.clean(value))

    def _raw(self, raw: RawJSON, depth: int, key: str | None) -> None:
        try:
            Arriving(raw.data, self._packer).value(depth, key)
        except jsongate.BadJSON as error:
            raise (raw.refused(error) if raw.refused else error) from None

    def _large(self, large: Large, depth: int, path: str, key: str | None) -> None:
        """Write what is packed already, run by run."""
        large.stored.learn()
        node = large.node or large.stored.root
        if node is None or node.kind == '"':
            self.value(jsongate.parse(large.stored.text(node)), depth, path, key)
            return
        self._node(large.stored, node, depth, key)

    def _node(self, stored: Stored, node: Node, depth: int, key: str | None) -> None:
        if depth >= jsongate.MAX_DEPTH:
            raise jsongate.BadJSON(_("nested deeper than %(most)s levels") % {"most": jsongate.MAX_DEPTH})
        self._packer.begin(node.kind, key)
        for part in node.parts:
            if isinstance(part, Node):
                self._node(stored, part, depth + 1, None if part.key is None else self._packer.clean(part.key))
            else:
                self._run(node, stored.run(part), depth, part)
        self._packer.end()

    def _run(self, node: Node, text: bytes, depth: int, part: Run) -> None:
        begin, end = (b"{", b"}") if node.kind == "{" else (b"[", b"]")
        values = jsongate.parse(begin + text + end)
        cleaned = self._packer.checked(values, depth)
        if cleaned is values:
            self._packer.run(text, part.count, part.keys or ())
        else:
            self._packer.run(jsongate.dump_bytes(cleaned)[1:-1], part.count)

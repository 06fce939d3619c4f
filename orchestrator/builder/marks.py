"""Two values as one marked text: what went, what came, and what stayed; expressions are chips."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final, Literal, TypeAlias

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.flow.secrets import hidden
from orchestrator.types import JSONValue

Kind: TypeAlias = Literal["same", "ins", "del"]
Numbers: TypeAlias = Mapping[str, int]

MAX_SHOWN: Final = 4_000
# A row of a text's comparison, and how many rows of it are shown.
_MAX_ROW: Final = 400
_MAX_ROWS: Final = 60
_AROUND: Final = 2
# Marks in one text: with more of them nobody sees what changed, and each is an element of the page.
_MAX_BITS: Final = 80
# Longer texts are shown as a whole before and a whole after: comparing takes the square of their length.
_MAX_WORDS: Final = 400
_MAX_LINES: Final = 400
# What all comparisons of a page may take, in pairs of words or lines.
_EFFORT: Final = 2_000_000
_EXPRESSION: Final = re.compile(r"(\{\{.*?\}\})", re.DOTALL)
_WORDS: Final = re.compile(r"\s+|[^\s\w]|\w+")
_REFERENCE: Final = re.compile(
    r"\{\{\s*(?:steps\.(\w+)\.output|(trigger)(?:\.body)?)((?:\.[A-Za-z_]\w*|\[(?:\d+|\"[^\"\\]*\")\])*)\s*\}\}"
)


@dataclass(frozen=True, kw_only=True)
class Bit:
    """A stretch of a value. A chip is an expression: ``source`` is the step it reads, if it is nothing more."""

    text: str
    kind: Kind = "same"
    chip: bool = False
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a long text; ``gap`` stands in the place of so many that stayed."""

    kind: Kind = "same"
    bits: tuple[Bit, ...] = ()
    gap: str = ""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A comparison: in one stretch, or line by line."""

    bits: tuple[Bit, ...] = ()
    rows: tuple[Row, ...] = ()

    @property
    def elements(self) -> int:
        """Return about how many elements of a page it takes."""
        return len(self.bits) + sum(1 + len(row.bits) for row in self.rows)


@dataclass(kw_only=True)
class Marker:
    """Compares the values of one page; chips say steps by their number, those that went as it was."""

    old: Numbers = field(default_factory=dict)
    new: Numbers = field(default_factory=dict)
    effort: int = _EFFORT

    def whole(self, value: JSONValue, kind: Kind = "same", name: str = "", most: int = MAX_SHOWN) -> tuple[Bit, ...]:
        """Return a value as it is, cut behind ``most`` characters; empty for what is empty."""
        return self._cut(_text(value, name), kind, most)

    def compared(self, before: JSONValue, after: JSONValue, name: str = "") -> Marked:
        """Return what became of a value; ``name`` is that of its field or member."""
        old, new = _text(before, name), _text(after, name)
        both_said = isinstance(before, str) and isinstance(after, str) and old and new
        if not both_said or old == new:
            # Alike although the values differ: one is a text and the other is not, or what differs is a secret.
            return self._one_after_the_other(old, new)
        if "\n" in old and "\n" in new:
            return self._lines(old, new)
        return self._words(old, new) or self._one_after_the_other(old, new)

    def _one_after_the_other(self, old: str, new: str) -> Marked:
        return Marked(bits=(*self._cut(old, "del"), *self._cut(new, "ins")))

    def _words(self, old: str, new: str) -> Marked | None:
        left, right = _tokens(old), _tokens(new)
        operations = self._operations(left, right, _MAX_WORDS)
        same = sum(b - a for operation, a, b, _c, _d in operations if operation == "equal")
        # Two texts that share little read better one after the other.
        if len(old) > MAX_SHOWN or len(new) > MAX_SHOWN or 2 * same < 0.3 * (len(left) + len(right)):
            return None
        bits: list[Bit] = []
        for operation, a, b, c, d in operations:
            if operation == "equal":
                bits += self._bits(right[c:d], "same")
            else:
                bits += [*self._bits(left[a:b], "del"), *self._bits(right[c:d], "ins")]
        return Marked(bits=tuple(bits)) if len(bits) <= _MAX_BITS else None

    def _lines(self, old: str, new: str) -> Marked:
        left, right = old.splitlines(), new.splitlines()
        rows: list[Row] = []
        operations = self._operations(left, right, _MAX_LINES)
        for place, (operation, a, b, c, d) in enumerate(operations):
            if operation == "equal":
                rows += self._context(right[c:d], is_first=place == 0, is_last=place == len(operations) - 1)
            else:
                rows += [*self._rows(left[a:b], "del"), *self._rows(right[c:d], "ins")]
        if len(rows) > _MAX_ROWS:
            rows = [*rows[:_MAX_ROWS], Row(gap=_("… and %d more lines of this") % (len(rows) - _MAX_ROWS))]
        return Marked(rows=tuple(rows))

    def _context(self, lines: Sequence[str], *, is_first: bool, is_last: bool) -> list[Row]:
        """Return lines that stayed, those far from any change as how many they are."""
        head, tail = (0 if is_first else _AROUND), (0 if is_last else _AROUND)
        left_out = len(lines) - head - tail
        if left_out < 2:
            return self._rows(lines, "same")
        gap = ngettext("… %d line as before", "… %d lines as before", left_out) % left_out
        return [
            *self._rows(lines[:head], "same"), Row(gap=gap), *self._rows(lines[len(lines) - tail :], "same")
        ]  # fmt: skip

    def _rows(self, lines: Iterable[str], kind: Kind) -> list[Row]:
        return [Row(kind=kind, bits=self._cut(line, kind, _MAX_ROW)) for line in lines]

    def _operations(self, old: Sequence[str], new: Sequence[str], most: int) -> list[tuple[str, int, int, int, int]]:
        """Return what leads from one sequence to the other; what is too long to compare is replaced."""
        head = _shared(old, new)
        tail = _shared(old[head:][::-1], new[head:][::-1])
        left, right = old[head : len(old) - tail], new[head : len(new) - tail]
        self.effort -= len(left) * len(right) if max(len(left), len(right)) <= most else 0
        inner: Sequence[tuple[str, int, int, int, int]]
        if max(len(left), len(right)) > most or self.effort < 0:
            inner = [("replace", 0, len(left), 0, len(right))]
        else:
            inner = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
        found = [(operation, a + head, b + head, c + head, d + head) for operation, a, b, c, d in inner]
        start = [("equal", 0, head, 0, head)] if head else []
        end = [("equal", len(old) - tail, len(old), len(new) - tail, len(new))] if tail else []
        return [*start, *found, *end]

    def _cut(self, text: str, kind: Kind, most: int = MAX_SHOWN) -> tuple[Bit, ...]:
        return tuple(self._bits(_tokens(text if len(text) <= most else f"{text[:most]}…"), kind))

    def _bits(self, tokens: Sequence[str], kind: Kind) -> list[Bit]:
        """Join neighbouring words again, so that a page has few marks; expressions become chips."""
        bits: list[Bit] = []
        plain = ""
        for token in tokens:
            if not token.startswith("{{"):
                plain += token
                continue
            if plain:
                bits.append(Bit(text=plain, kind=kind))
                plain = ""
            bits.append(self._chip(token, kind))
        bits += [Bit(text=plain, kind=kind)] if plain else []
        return bits if len(bits) <= _MAX_BITS else [Bit(text="".join(tokens), kind=kind)]

    def _chip(self, token: str, kind: Kind) -> Bit:
        found = _REFERENCE.fullmatch(token)
        if found is None:
            return Bit(text=token.removeprefix("{{").removesuffix("}}").strip() or "…", kind=kind, chip=True)
        step, root, path = found.groups()
        numbers = self.old if kind == "del" else self.new
        source = str(numbers.get(step, step) if step else numbers.get("trigger", root))
        return Bit(text=path.removeprefix(".") or _("all of it"), kind=kind, chip=True, source=source)


def _text(value: JSONValue, name: str = "") -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return hidden(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), name)


def _tokens(text: str) -> list[str]:
    """Cut a text into expressions, words and what is between them; together they are the text again."""
    tokens: list[str] = []
    # Behind the last end there is no expression: looking for one from every beginning would take very long.
    end = text.rfind("}}") + len("}}") if "}}" in text else 0
    for index, part in enumerate(_EXPRESSION.split(text[:end])):
        tokens += [part] if index % 2 else _WORDS.findall(part)
    return [*tokens, *_WORDS.findall(text[end:])]


def _shared(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many elements two sequences begin with alike."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))

"""How a text reads with data in it: its pieces, those that are data apart, and references to none. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.types import JSONValue


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of the text; ``is_value`` where it comes from data."""

    text: str
    is_value: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """One text; ``name`` is its key in a field of names and values, else empty."""

    name: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Near:
    """A reference to take instead of a broken one: what is shown of it, and what its button sends."""

    words: str
    choice: str


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A reference that leads to nothing, by its path, and why it does."""

    path: str
    why: str
    near: tuple[Near, ...]


def as_json(lines: Sequence[Line]) -> list[JSONValue]:
    """Return lines as a script takes them: ``[[name, [[text, is value], …]], …]``."""
    return [[line.name, [[part.text, part.is_value] for part in line.parts]] for line in lines]


def fit(text: str, most: int) -> str:
    """Return a text as a page can carry it: without NUL and halves of surrogate pairs, and cut where it is longer."""
    text = text[: most + 1].replace("\0", "").encode("utf-8", "replace").decode()
    return text if len(text) <= most else f"{text[:most]}…"

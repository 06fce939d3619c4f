"""How a text reads with data in it: its pieces, those that are data apart. Pure."""

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


def as_json(lines: Sequence[Line]) -> list[JSONValue]:
    """Return lines as a script takes them: ``[[name, [[text, is value], …]], …]``."""
    return [[line.name, [[part.text, part.is_value] for part in line.parts]] for line in lines]

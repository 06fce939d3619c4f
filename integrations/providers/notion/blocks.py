"""Text as Notion wants it: rich text of at most 2,000 UTF-16 units a piece, paragraphs, at most 100 blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

MAX_TEXT: Final = 2000
MAX_PIECES: Final = 100
MAX_BLOCKS: Final = 100
_DEEPEST: Final = 50


def units(text: str) -> int:
    """Return how many UTF-16 units a text has, which is what Notion counts."""
    return len(text) + sum(ord(character) > 0xFFFF for character in text)


def pieces(text: str) -> Iterator[str]:
    """Cut a text into pieces that Notion takes, between characters and never within one."""
    begin, taken = 0, 0
    for at, character in enumerate(text):
        width = 2 if ord(character) > 0xFFFF else 1
        if taken + width > MAX_TEXT:
            yield text[begin:at]
            begin, taken = at, 0
        taken += width
    if text[begin:]:
        yield text[begin:]


def rich_text(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": {"content": piece}} for piece in pieces(text)]


def paragraphs(text: str) -> list[dict[str, Any]]:
    """Return a paragraph for each line; empty lines are paragraphs without a text."""
    lines = text.splitlines()
    return [{"object": "block", "type": "paragraph", "paragraph": {"rich_text": rich_text(line)}} for line in lines]


def problems(value: object, path: str, depth: int = _DEEPEST) -> Iterator[str]:
    """Yield what Notion would refuse in blocks or properties that a person wrote: texts and lists that are too long."""
    if not depth:
        yield f"{path} is nested too deeply"
    elif isinstance(value, dict):
        for name, part in value.items():
            where = f"{path}.{name}"
            if name == "content" and isinstance(part, str) and units(part) > MAX_TEXT:
                yield f"{where} has {units(part):,} characters, Notion takes at most 2,000 a text"
            elif name == "children" and isinstance(part, list) and len(part) > MAX_BLOCKS:
                yield f"{where} has {len(part):,} blocks, Notion takes at most 100"
            elif name in ("rich_text", "title") and isinstance(part, list) and len(part) > MAX_PIECES:
                yield f"{where} has {len(part):,} pieces, Notion takes at most 100"
            else:
                yield from problems(part, where, depth - 1)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from problems(part, f"{path}[{index}]", depth - 1)

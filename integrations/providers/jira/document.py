"""Plain text as Atlassian's document format (ADF), which descriptions are written in."""

from __future__ import annotations

import re
from typing import Any, Final

# Of a text field, as Jira takes it.
MAX_TEXT: Final = 32_767
_BETWEEN: Final = re.compile(r"\n[ \t]*\n\s*")


def document(text: str) -> dict[str, Any] | None:
    """Return a document of a text: an empty line parts paragraphs, another line break stays one. None for no text."""
    lines = "\n".join(text.splitlines()).strip()
    paragraphs = [_paragraph(part) for part in _BETWEEN.split(lines) if part]
    return {"type": "doc", "version": 1, "content": paragraphs} if paragraphs else None


def _paragraph(text: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for line in text.split("\n"):
        content += [{"type": "hardBreak"}] if content else []
        # An empty text is none in a document.
        content += [{"type": "text", "text": line}] if line else []
    return {"type": "paragraph", "content": content}

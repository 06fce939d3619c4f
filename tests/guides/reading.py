"""What a guide asks of who follows it, read off the page as it is shown: commands, files and credentials, in order."""

from __future__ import annotations

import html
import re
from typing import Final

Step = tuple[str, str, str]

_COMMAND: Final = r'data-copy="(?P<command>[^"]+)"'
_FILE: Final = r'<pre id="[^"]+" tabindex="0" aria-label="(?P<file>[^"]+)">(?P<content>.*?)</pre>'
_CREDENTIAL: Final = r'href="(?P<credential>/w/[^"]+/credentials/new/\?provider=\w+)"'
_STEP: Final = re.compile("|".join((_COMMAND, _FILE, _CREDENTIAL)), re.DOTALL)


def steps(page: str) -> list[Step]:
    """Return each step as its kind, its name and, of a file, its content: ``command``, ``file``, ``credential``."""
    found: list[Step] = []
    for match in _STEP.finditer(page):
        for kind in ("command", "file", "credential"):
            if match[kind] is not None:
                content = re.sub(r"<[^>]+>", "", match["content"]) if kind == "file" else ""
                found.append((kind, html.unescape(match[kind]), html.unescape(content)))
    return found


def section(page: str, name: str) -> str:
    """Return the section of a page that a heading labels."""
    start = page.index(f'<section class="sec2" aria-labelledby="{name}">')
    following = page.find('<section class="sec2"', start + 1)
    return page[start : following if following >= 0 else len(page)]

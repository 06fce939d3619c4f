"""A line of the timeline as markup: a page has a hundred, a live one is asked for them three times a second.

Filled in here, not by a template, which takes five times as long for the same text.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from orchestrator.templatetags.ui import dot, tile
from runs.pages.axis import Block, Wait
from runs.pages.lines import Line


class Pen:
    """Draws the lines of one page, and each mark that they share once."""

    def __init__(self) -> None:
        self._dots: dict[str, str] = {}
        self._tiles: dict[str, str] = {}

    def line(self, line: Line, key: str = "") -> SafeString:
        """Return a line as a link with its drawing; ``key`` is what is pressed to come to it."""
        return SafeString(
            f'<a class="{_classes(line)}" id="{escape(line.dom_id)}" {_asks(line)}{_pressed(key)}'
            f'{_CURRENT if line.selected else ""}><span class="wn d{line.indent}">{self._dot(line.status)}'
            f'{self._tile(line.tile)}<span class="trunc">{_name(line)}</span>{_fallback(line)}</span>\n'
            f'<svg class="gx" aria-hidden="true">{"".join(_shapes(line))}</svg>{_aside(line)}'
            f'<span class="wd num">{_took(line)}</span></a>'
        )

    def _dot(self, status: str) -> str:
        if status not in self._dots:
            self._dots[status] = dot(status)
        return self._dots[status]

    def _tile(self, what: str) -> str:
        if what and what not in self._tiles:
            self._tiles[what] = tile(what, "m")
        return self._tiles.get(what, "")


_CURRENT = ' aria-current="true"'


def _classes(line: Line) -> str:
    return f"wr{' sel' * line.selected}{' skip2' * line.faded}{' itm' * (line.number is None)}"


def _asks(line: Line) -> str:
    url = escape(line.url)
    return f'href="{url}" hx-get="{url}" hx-swap="none" hx-replace-url="true"'


def _pressed(key: str) -> str:
    if not key:
        return ""
    words = _("Next step") if key == "j" else _("Previous step")
    return f' data-key="{key}" data-key-words="{escape(words)}"'


def _name(line: Line) -> str:
    number = f'<span class="mute num no">{line.number}</span>&nbsp; ' if line.number else ""
    label = f' <span class="mute no">· {escape(line.label)}</span>' if line.label else ""
    return f"{number}{escape(line.name)}{label}"


def _fallback(line: Line) -> str:
    if not line.resolved:
        return ""
    return f'<span class="tag hide" title="{escape(line.resolved)}">{escape(_("fallback"))}</span>'


def _shapes(line: Line) -> Iterator[str]:
    yield from map(_wait, line.waits)
    yield from map(_block, line.blocks)
    if line.note:
        yield f'<text x="{line.note_x}%" y="25">{escape(line.note)}</text>'


def _wait(wait: Wait) -> str:
    return f'<line class="w" x1="{wait.x1}%" x2="{wait.x2}%" y1="21" y2="21"/>'


def _block(block: Block) -> str:
    box = f'x="{block.x}%" y="{block.y}" width="{block.width}%" height="{block.height}"'
    return f'<rect class="{block.css}" {box} rx="3"/>'


def _aside(line: Line) -> str:
    return f'<span class="vh">, {escape(line.aside)},</span>' if line.aside else ""


def _took(line: Line) -> str:
    took = escape(line.took)
    if line.running_since is None:
        return took or "–"
    return f'<span data-since="{line.running_since.isoformat()}">{took}</span>'

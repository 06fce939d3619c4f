"""A JSON value as nested ``<details>``: readable without a script, bounded however large the value is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final
from urllib.parse import quote

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.types import JSONValue

MAX_DEPTH: Final = 24
MAX_ENTRIES: Final = 1_500  # in the whole tree: a page must stay light
MAX_SIBLINGS: Final = 200
LINE: Final = 120  # characters of a text that one line shows
MAX_TEXT: Final = 20_000

_EMPTY: Final = SafeString("")


class _Budget:
    """How many entries may still be drawn."""

    def __init__(self, entries: int) -> None:
        self.left = entries

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


def render(
    value: JSONValue, *, open_levels: int = 1, entries: int = MAX_ENTRIES, link: str = "", anchor: str = ""
) -> SafeString:
    """Return the tree of ``value``; the outer ``open_levels`` levels of an object or list are unfolded.

    With ``link`` each entry leads to that address with its path behind it, and then ``anchor``.
    """
    drawing = _Drawing(budget=_Budget(entries), link=link, anchor=anchor)
    if isinstance(value, dict | list) and value:
        body = _entries(value, open_levels - 1, (), drawing)
    else:
        body = _leaf(None, value)
    return format_html('<div class="js">{}</div>', body)


_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def joined(path: str, key: str | int) -> str:
    """Return the path of an entry as an expression writes it: ``body.items[3].name``, ``body["x-y"]``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _NAME.fullmatch(key):
        return f"{path}.{key}" if path else key
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


Keys = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    budget: _Budget
    link: str
    anchor: str

    def name(self, path: Keys) -> SafeString:
        """Return the name of an entry that holds no others, which is a link where entries can be chosen."""
        return self._link(path, path[-1]) if self.link else _name(path[-1])

    def whole(self, path: Keys, value: JSONValue) -> SafeString:
        """Return what leads to an entry that holds others: its name unfolds it, and so is no link."""
        if not self.link:
            return _EMPTY
        words = _("%(count)s, as a whole") % {"count": size_of(value)}
        return format_html('<div class="lf">{}</div>', self._link(path, words))

    def _link(self, path: Keys, words: str | int) -> SafeString:
        written = reduce(joined, path, "")
        address = f"{self.link}{quote(written.encode('utf-8', 'surrogatepass'), safe='')}{self.anchor}"
        return format_html('<a class="k" href="{}">{}</a>', address, words)


def _name(name: str | int) -> SafeString:
    return format_html('<span class="k">{}</span>', name)


def _entries(
    value: dict[str, JSONValue] | list[JSONValue], open_levels: int, path: Keys, drawing: _Drawing
) -> SafeString:
    pairs: Sequence[tuple[str | int, JSONValue]] = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    )
    return format_html_join("", "{}", ((part,) for part in _drawn(pairs, open_levels, path, drawing)))


def _drawn(
    pairs: Sequence[tuple[str | int, JSONValue]], open_levels: int, path: Keys, drawing: _Drawing
) -> Iterator[SafeString]:
    for index, (key, value) in enumerate(pairs):
        if index >= MAX_SIBLINGS or len(path) >= MAX_DEPTH or not drawing.budget.take():
            yield format_html('<div class="lf"><span class="m">{}</span></div>', _more(len(pairs) - index))
            return
        yield _entry((*path, key), value, open_levels, drawing)


def _entry(path: Keys, value: JSONValue, open_levels: int, drawing: _Drawing) -> SafeString:
    if isinstance(value, str) and _is_long(value):
        return _long_text(_name(path[-1]), value, drawing.whole(path, value))
    if not isinstance(value, dict | list) or not value:
        return _leaf(drawing.name(path), value)
    return format_html(
        '<details{}><summary>{}<span class="m">{}</span></summary><div class="kids">{}{}</div></details>',
        SafeString(" open") if open_levels > 0 else _EMPTY,
        _name(path[-1]),
        size_of(value),
        drawing.whole(path, value),
        _entries(value, open_levels - 1, path, drawing),
    )


def _leaf(name: SafeString | None, value: JSONValue) -> SafeString:
    name = _EMPTY if name is None else name
    if isinstance(value, str) and _is_long(value):
        return _long_text(name, value, _EMPTY)
    css, text = shown(value)
    return format_html('<div class="lf">{}<span class="v {}">{}</span></div>', name, css, text)


def _is_long(value: str) -> bool:
    return len(value) > LINE or "\n" in value


def _long_text(name: SafeString, value: str, link: SafeString) -> SafeString:
    """Return a text that does not fit a line: its beginning, and the whole of it below when unfolded."""
    first = value.split("\n", 1)[0][:LINE]
    whole = value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    return format_html(
        '<details><summary>{}<span class="v str">"{}…"</span></summary>{}<pre tabindex="0">{}</pre></details>',
        name,
        first,
        link,
        whole,
    )


def shown(value: JSONValue) -> tuple[str, str]:
    """Return a value in one line, after the class it is drawn with; of what holds others, how many."""
    if isinstance(value, str):
        return "str", json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "bo", "true" if value else "false"
    if isinstance(value, int | float):
        return "n", json.dumps(value)
    return "m", size_of(value)


def size_of(value: JSONValue) -> str:
    """Return how much a value holds, in words."""
    if isinstance(value, dict):
        return ngettext("%d field", "%d fields", len(value)) % len(value)
    if isinstance(value, str):
        return ngettext("%d character", "%d characters", len(value)) % len(value)
    if isinstance(value, list):
        return ngettext("list of %d", "list of %d", len(value)) % len(value)
    return "null"


def _more(count: int) -> str:
    return _("… %d more, not shown here") % count

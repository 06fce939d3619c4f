"""A JSON value as nested ``<details>``: readable without a script, bounded however large the value is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

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


def render(value: JSONValue, *, open_levels: int = 1, entries: int = MAX_ENTRIES) -> SafeString:
    """Return the tree of ``value``; the outer ``open_levels`` levels of an object or list are unfolded."""
    budget = _Budget(entries)
    if isinstance(value, dict | list) and value:
        body = _entries(value, open_levels - 1, 0, budget)
    else:
        body = _leaf(None, value)
    return format_html('<div class="js">{}</div>', body)


def _entries(
    value: dict[str, JSONValue] | list[JSONValue], open_levels: int, depth: int, budget: _Budget
) -> SafeString:
    pairs: Sequence[tuple[object, JSONValue]] = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    )
    return format_html_join("", "{}", ((part,) for part in _drawn(pairs, open_levels, depth, budget)))


def _drawn(
    pairs: Sequence[tuple[object, JSONValue]], open_levels: int, depth: int, budget: _Budget
) -> Iterator[SafeString]:
    for index, (key, value) in enumerate(pairs):
        if index >= MAX_SIBLINGS or depth >= MAX_DEPTH or not budget.take():
            yield format_html('<div class="lf"><span class="m">{}</span></div>', _more(len(pairs) - index))
            return
        yield _entry(str(key), value, open_levels, depth, budget)


def _entry(key: str, value: JSONValue, open_levels: int, depth: int, budget: _Budget) -> SafeString:
    if not isinstance(value, dict | list) or not value:
        return _leaf(key, value)
    return format_html(
        '<details{}><summary><span class="k">{}</span><span class="m">{}</span></summary>'
        '<div class="kids">{}</div></details>',
        SafeString(" open") if open_levels > 0 else _EMPTY,
        key,
        _count(value),
        _entries(value, open_levels - 1, depth + 1, budget),
    )


def _leaf(key: str | None, value: JSONValue) -> SafeString:
    name = _EMPTY if key is None else format_html('<span class="k">{}</span>', key)
    if isinstance(value, str) and (len(value) > LINE or "\n" in value):
        return _long_text(name, value)
    css, text = _shown(value)
    return format_html('<div class="lf">{}<span class="v {}">{}</span></div>', name, css, text)


def _long_text(name: SafeString, value: str) -> SafeString:
    """Return a text that does not fit a line: its beginning, and the whole of it below when unfolded."""
    first = value.split("\n", 1)[0][:LINE]
    whole = value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    return format_html(
        '<details><summary>{}<span class="v str">"{}…"</span></summary><pre tabindex="0">{}</pre></details>',
        name,
        first,
        whole,
    )


def _shown(value: JSONValue) -> tuple[str, str]:
    if isinstance(value, str):
        return "str", json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "bo", "true" if value else "false"
    if isinstance(value, int | float):
        return "n", json.dumps(value)
    return "m", _count(value)


def _count(value: JSONValue) -> str:
    if isinstance(value, dict):
        return ngettext("%d field", "%d fields", len(value)) % len(value)
    if isinstance(value, list):
        return ngettext("list of %d", "list of %d", len(value)) % len(value)
    return "null"


def _more(count: int) -> str:
    return _("… %d more, not shown here") % count

"""The data column: what earlier steps gave, each value with the expression that reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.types import JSONValue

MAX_DEPTH: Final = 8
MAX_SIBLINGS: Final = 60
MAX_ENTRIES: Final = 600
_LINE: Final = 80
# What a caller sent is what people look for first.
BODY: Final = "trigger.body"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A step, or the trigger, whose data can be used: drawn, or with why there is none yet."""

    number: int
    tile: str
    name: str
    fact: str
    tree: SafeString | None
    missing: str = ""
    open: bool = False


class _Budget:
    def __init__(self) -> None:
        self.left = MAX_ENTRIES

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


def tree(value: JSONValue, path: str) -> SafeString:
    """Return a value as nested ``<details>`` whose leaves are buttons that insert ``{{ path… }}``."""
    if not isinstance(value, dict | list) or not value:
        body = _leaf(_("value"), value, path)
    else:
        body = format_html_join("", "{}", ((part,) for part in _entries(value, path, 0, _Budget())))
    return format_html('<div class="js">{}</div>', body)


def loop(item: JSONValue = None) -> SafeString:
    """Return what a step inside a loop can use beside the steps' data, with an item as an example if there is one."""
    known = format_html_join("", "{}", ((part,) for part in _members(item, "item")))
    return format_html(
        '<div class="js">{}{}{}</div>',
        named("item", _("the element of this turn")),
        known,
        named("index", _("its number, from 0")),
    )


def _members(item: JSONValue, path: str) -> Iterator[SafeString]:
    if isinstance(item, dict | list) and item:
        yield from _entries(item, path, 0, _Budget())


def named(path: str, words: str) -> SafeString:
    """Return a button that inserts ``{{ path }}``, with what it is in words."""
    return format_html(
        '<button type="button" class="lf" data-insert="{{{{ {} }}}}" data-find="{}"><span class="k">{}</span>'
        '<span class="v m">{}</span><span class="insb">{}</span><code class="px">{{{{ {} }}}}</code></button>',
        path,
        f"{path} {words}".lower()[:200],
        path,
        words,
        _("Insert"),
        path,
    )


def run_facts(links: Iterable[tuple[str, str]]) -> SafeString:
    """Return what a run tells of itself; ``links`` are the steps that others answer, as key and name."""
    facts = [
        ("run.id", _("the run's number")),
        ("run.started_at", _("when it began")),
        ("workflow.name", _("the workflow's name")),
    ]
    facts += [(f"run.links.{key}", _("the address that answers “%(name)s”") % {"name": name}) for key, name in links]
    return format_html('<div class="js">{}</div>', format_html_join("", "{}", ((named(*fact),) for fact in facts)))


def member(path: str, key: str | int) -> str:
    """Return the path of a member, as expressions write it: ``a.b``, ``a["x-y"]``, ``a[0]``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if _NAME.fullmatch(key) else f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def _entries(
    value: Mapping[str, JSONValue] | list[JSONValue], path: str, depth: int, budget: _Budget
) -> Iterator[SafeString]:
    pairs: list[tuple[str | int, JSONValue]] = (
        list(enumerate(value)) if isinstance(value, list) else list(value.items())
    )
    for index, (key, inner) in enumerate(pairs):
        if index >= MAX_SIBLINGS or not budget.take():
            more = _("… %d more, not shown here") % (len(pairs) - index)
            yield format_html('<div class="lf"><span class="m">{}</span></div>', more)
            return
        yield _entry(str(key), inner, member(path, key), depth, budget)


def _entry(label: str, value: JSONValue, path: str, depth: int, budget: _Budget) -> SafeString:
    if not isinstance(value, dict | list) or not value or depth >= MAX_DEPTH:
        return _leaf(label, value, path)
    return format_html(
        '<details{}><summary><span class="k">{}</span><span class="m">{}</span></summary>'
        '<div class="kids">{}{}</div></details>',
        SafeString(" open") if path == BODY else "",
        label,
        _count(value),
        _leaf(_("all of it"), value, path),
        format_html_join("", "{}", ((part,) for part in _entries(value, path, depth + 1, budget))),
    )


def _leaf(label: str, value: JSONValue, path: str) -> SafeString:
    css, text = _shown(value)
    return format_html(
        '<button type="button" class="lf" data-insert="{{{{ {} }}}}" data-find="{}"><span class="k">{}</span>'
        '<span class="v {}">{}</span><span class="insb">{}</span><code class="px">{{{{ {} }}}}</code></button>',
        path,
        f"{label} {text}".lower()[:200],
        label,
        css,
        text,
        _("Insert"),
        path,
    )


def _shown(value: JSONValue) -> tuple[str, str]:
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return "str", text if len(text) <= _LINE else text[:_LINE] + "…"
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

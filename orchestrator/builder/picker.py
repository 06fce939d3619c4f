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

from orchestrator.jsontree import shown, size_of
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


class _Drawing:
    """How far a value is drawn, and whether its leaves are buttons."""

    def __init__(self, *, read_only: bool) -> None:
        self.left = MAX_ENTRIES
        self.read_only = read_only

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


def tree(value: JSONValue, path: str, *, read_only: bool = False) -> SafeString:
    """Return a value as nested ``<details>`` whose leaves are buttons that insert ``{{ path… }}``, or only text."""
    drawing = _Drawing(read_only=read_only)
    if not isinstance(value, dict | list) or not value:
        body = _leaf(_("value"), value, path, drawing)
    else:
        body = format_html_join("", "{}", ((part,) for part in _entries(value, path, 0, drawing)))
    return format_html('<div class="js">{}</div>', body)


def loop(item: JSONValue = None, *, read_only: bool = False) -> SafeString:
    """Return what a step inside a loop can use beside the steps' data, with an item as an example if there is one."""
    if read_only:
        return tree(item, "item", read_only=True)
    known = format_html_join("", "{}", ((part,) for part in _members(item, "item")))
    return format_html(
        '<div class="js">{}{}{}</div>',
        named("item", _("the element of this turn"), "" if item is None else kind_of(item)),
        known,
        named("index", _("its number, from 0"), "number"),
    )


def _members(item: JSONValue, path: str) -> Iterator[SafeString]:
    if isinstance(item, dict | list) and item:
        yield from _entries(item, path, 0, _Drawing(read_only=False))


def named(path: str, words: str, kind: str = "") -> SafeString:
    """Return a button that inserts ``{{ path }}``, with what it is in words; ``kind`` is as of kind_of, if known."""
    return format_html(
        '<button type="button" class="lf" data-insert="{{{{ {} }}}}" data-find="{}"{}><span class="k">{}</span>'
        '<span class="v m">{}</span><span class="insb">{}</span><code class="px">{{{{ {} }}}}</code></button>',
        path,
        f"{path} {words}".lower()[:200],
        _typed(kind),
        path,
        words,
        _("Insert"),
        path,
    )


def _typed(kind: str) -> SafeString:
    return format_html(' data-t="{}"', kind) if kind else SafeString("")


def kind_of(value: JSONValue) -> str:
    """Return a value's type by the words of its fields: text, number, boolean, list, object or null."""
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case dict():
            return "object"
    return "null"


def run_facts(links: Iterable[tuple[str, str]]) -> SafeString:
    """Return what a run tells of itself; ``links`` are the steps that others answer, as key and name."""
    facts = [
        ("run.id", _("the run's number")),
        ("run.url", _("the address of its page")),
        ("run.started_at", _("when it began")),
        ("workflow.name", _("the workflow's name")),
    ]
    facts += [(f"run.links.{key}", _("the address that answers “%(name)s”") % {"name": name}) for key, name in links]
    return format_html('<div class="js">{}</div>', format_html_join("", "{}", ((named(*fact),) for fact in facts)))


def formats() -> SafeString:
    """Return buttons that put a function around the value in a field: ``%`` is where the value goes."""
    choices = [
        ('default(%, "")', _("something else where it is missing")),
        ('format_date(%, "%d %B %Y")', _("a date in words")),
        ("upper(%)", _("in capitals")),
        ("lower(%)", _("in small letters")),
        ("trim(%)", _("without spaces around it")),
        ("number(%)", _("as a number")),
        ("round(%, 2)", _("with two decimals")),
        ("text(%)", _("as text")),
        ("json(%)", _("as JSON")),
        ('join(%, ", ")', _("a list, with commas")),
    ]
    rows = (
        (call, f"{call} {words}".lower(), call.partition("(")[0], words, call.replace("%", _("value"), 1))
        for call, words in choices
    )
    row = (
        '<button type="button" class="lf" data-wrap="{}" data-find="{}"><span class="k">{}</span>'
        '<span class="v m">{}</span><code class="px">{{{{ {} }}}}</code></button>'
    )
    return format_html('<div class="js">{}</div>', format_html_join("", row, rows))


def member(path: str, key: str | int) -> str:
    """Return the path of a member, as expressions write it: ``a.b``, ``a["x-y"]``, ``a[0]``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if _NAME.fullmatch(key) else f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def _entries(
    value: Mapping[str, JSONValue] | list[JSONValue], path: str, depth: int, drawing: _Drawing
) -> Iterator[SafeString]:
    pairs: list[tuple[str | int, JSONValue]] = (
        list(enumerate(value)) if isinstance(value, list) else list(value.items())
    )
    for index, (key, inner) in enumerate(pairs):
        if index >= MAX_SIBLINGS or not drawing.take():
            more = _("… %d more, not shown here") % (len(pairs) - index)
            yield format_html('<div class="lf"><span class="m">{}</span></div>', more)
            return
        yield _entry(str(key), inner, member(path, key), depth, drawing)


def _entry(label: str, value: JSONValue, path: str, depth: int, drawing: _Drawing) -> SafeString:
    if not isinstance(value, dict | list) or not value or depth >= MAX_DEPTH:
        return _leaf(label, value, path, drawing)
    return format_html(
        '<details{}><summary><span class="k">{}</span><span class="m">{}</span></summary>'
        '<div class="kids">{}{}</div></details>',
        SafeString(" open") if path == BODY else "",
        label,
        size_of(value),
        "" if drawing.read_only else _of_all(value, path, drawing),
        format_html_join("", "{}", ((part,) for part in _entries(value, path, depth + 1, drawing))),
    )


def _of_all(value: dict[str, JSONValue] | list[JSONValue], path: str, drawing: _Drawing) -> SafeString:
    """Return what a value can be used as as a whole."""
    return format_html(
        "{}{}{}",
        _leaf(_("all of it"), value, path, drawing),
        named(f"json({path})", _("as JSON"), "text"),
        _of_list(value, path) if isinstance(value, list) else "",
    )


def _of_list(value: list[JSONValue], path: str) -> SafeString:
    """Return what a list can be used as beside its items: in words, as nobody counts from nought."""
    parts = [
        named(f"first({path})", _("the first item"), kind_of(value[0])),
        named(f"count({path})", _("how many there are"), "number"),
    ]
    if not any(isinstance(item, dict | list) for item in value):
        parts.append(named(f'join({path}, ", ")', _("all of them, with commas"), "text"))
    parts.append(
        format_html(
            '<button class="lf" form="wrap-form" name="items" value="{{{{ {} }}}}"><span class="k">{}</span>'
            '<span class="v m">{}</span></button>',
            path,
            _("Each item"),
            _("puts this step into a loop"),
        )
    )
    return format_html_join("", "{}", ((part,) for part in parts))


def _leaf(label: str, value: JSONValue, path: str, drawing: _Drawing) -> SafeString:
    css, text = _shown(value)
    find = f"{label} {text}".lower()[:200]
    if drawing.read_only:
        row = '<div class="lf" data-find="{}"><span class="k">{}</span><span class="v {}">{}</span></div>'
        return format_html(row, find, label, css, text)
    return format_html(
        '<button type="button" class="lf" data-insert="{{{{ {} }}}}" data-find="{}"{}><span class="k">{}</span>'
        '<span class="v {}">{}</span><span class="insb">{}</span><code class="px">{{{{ {} }}}}</code></button>',
        path,
        find,
        _typed(kind_of(value)),
        label,
        css,
        text,
        _("Insert"),
        path,
    )


def _shown(value: JSONValue) -> tuple[str, str]:
    css, text = shown(value)
    return css, text[:_LINE] + "…" if css == "str" and len(text) > _LINE else text

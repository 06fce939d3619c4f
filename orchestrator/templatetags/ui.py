"""Tags that every page shares: icons, tiles, status pills, times, durations and JSON trees.

Everything a tag puts on a page is escaped; icons alone are markup, and they are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from integrations.registry import registry
from integrations.sdk import Action, Provider
from orchestrator import jsontree
from orchestrator.drawings import Drawing, drawing_of
from orchestrator.icons import ICONS
from orchestrator.types import JSONValue
from orchestrator.words import (
    STATUSES,
    UNKNOWN,
    ago,
    clock,
    duration,
    full_time,
    initials,
    short_id,
    size,
    status_word,
)

register = template.Library()
for _words in (ago, clock, duration, full_time, initials, short_id, size, status_word):
    register.filter(_words.__name__, _words)


TRIGGER_TILES: Final[Mapping[str, tuple[str, str]]] = {
    "webhook": ("hook", "hook"),
    "schedule": ("gray", "clock"),
    "form": ("logic", "form"),
    "polling": ("chat", "bolt"),
    "event": ("hook", "bolt"),
    "manual": ("gray", "play"),
    "api": ("gray", "code"),
    "error": ("gray", "alert"),
    "workflow": ("logic", "flow"),
}
# Drawings of providers that bring none of their own, by the tile's colour.
TILE_ICONS: Final[Mapping[str, str]] = {
    "hook": "hook",
    "http": "globe",
    "logic": "branch",
    "chat": "chat",
    "mail": "mail",
    "db": "db",
    "ai": "spark",
    "pay": "pay",
}


# Drawings of single actions, where one for all of a provider's would say too little.
ACTION_ICONS: Final[Mapping[str, str]] = {
    "flow.foreach": "loop",
    "flow.parallel": "list",
    "flow.wait": "clock",
    "flow.approve": "user",
    "flow.callback": "hook",
    "flow.stop": "stop",
}


@register.simple_tag
@cache
def page_icon(name: str = "icon.svg", is_patch: bool = False) -> SafeString:
    """Return the link to a page's icon, which comes with the page: it is smaller than the request for it would be.

    ``name`` is one of the files beside ``icon.svg``; with ``is_patch`` it takes the place of the page's.
    """
    drawing = (Path(settings.BASE_DIR) / "orchestrator/static" / name).read_text(encoding="utf-8")
    address = "data:image/svg+xml," + quote(drawing.strip().replace('"', "'"), safe=" =:/'(),")
    swap = mark_safe(' hx-swap-oob="true"') if is_patch else ""
    return format_html('<link id="icon" rel="icon" href="{}"{}>', address, swap)


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Return one of the product's drawings as an inline SVG, hidden from assistive technology."""
    # Both parts are constants of the product: the drawing by its table, the class from a template.
    return format_html(
        '<svg class="i {}" viewBox="0 0 16 16" aria-hidden="true">{}</svg>',
        css,
        mark_safe(ICONS.get(name, ICONS["dots"])),  # noqa: S308
    )


@register.simple_tag
def tile(what: Provider | Action | str | None, size: str = "") -> SafeString:
    """Return the coloured square of a provider, an action or a trigger; ``size`` is '', l, m or xs.

    A string is an action's key, a provider's key or a trigger's type; what has no drawing gets its first letter.
    """
    colour, inside = _tile_parts(what)
    return format_html('<span class="t {} {}" aria-hidden="true">{}</span>', size, colour, inside)


def _tile_parts(what: Provider | Action | str | None) -> tuple[str, SafeString | str]:
    """Return the tile's colour and what is in it."""
    if isinstance(what, str) and what in TRIGGER_TILES:
        colour, name = TRIGGER_TILES[what]
        return colour, icon(name)
    provider = _provider_of(what)
    if provider is None:
        return "gray", str(what or "?")[:1].upper()
    key = what.key if isinstance(what, Action) else str(what)
    if key in ACTION_ICONS:
        return provider.tile, icon(ACTION_ICONS[key])
    drawing = drawing_of(provider)
    if drawing is not None:
        return provider.tile, _svg(drawing)
    name = TILE_ICONS.get(provider.tile, "")
    return provider.tile, icon(name) if name else provider.name[:1].upper()


def _svg(drawing: Drawing) -> SafeString:
    # The inside holds shapes only: `drawings.parse` refuses everything else.
    return format_html(
        '<svg class="i {}" viewBox="{}" aria-hidden="true">{}</svg>',
        drawing.css,
        drawing.view_box,
        mark_safe(drawing.inner),  # noqa: S308
    )


def _provider_of(what: Provider | Action | str | None) -> Provider | None:
    if isinstance(what, Action):
        return what.provider
    if isinstance(what, str):
        return registry.provider(what.partition(".")[0])
    return what


@register.simple_tag
def status(value: str | None, word: str = "") -> SafeString:
    """Return a status as a pill: icon, word and colour."""
    face = STATUSES.get(str(value), UNKNOWN)
    return format_html(
        '<span class="st {}">{}{}</span>', face.css, icon(face.icon), word or (_(face.word) if face.word else value)
    )


@register.simple_tag
def dot(value: str | None) -> SafeString:
    """Return a status as a small round mark, with its word for assistive technology."""
    face = STATUSES.get(str(value), UNKNOWN)
    return format_html(
        '<span class="dt {}">{}</span><span class="vh">{}</span>', face.css, icon(face.icon), _(face.word or "Unknown")
    )


@register.simple_tag
def when(moment: datetime | None, style: str = "ago") -> SafeString:
    """Return a moment as ``<time>`` with UTC on hover; style ``ago``, ``clock`` (time today, else date) or ``full``."""
    if moment is None:
        return SafeString("")
    utc = moment.astimezone(UTC)
    text = {"ago": ago, "clock": clock, "full": full_time}[style](moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S} UTC", text
    )


@register.simple_tag
def json_tree(
    value: JSONValue, open_levels: int = 1, entries: int = jsontree.MAX_ENTRIES, link: str = "", anchor: str = ""
) -> SafeString:
    """Return a JSON value as nested ``<details>``, bounded in depth, entries and text; names may be links."""
    return jsontree.render(value, open_levels=open_levels, entries=entries, link=link, anchor=anchor)

"""Tags that every page shares: icons, tiles, status pills, times, durations and JSON trees.

Everything a tag puts on a page is escaped; icons alone are markup, and they are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.registry import registry
from integrations.sdk import Action, Provider
from orchestrator import jsontree
from orchestrator.drawings import Drawing, drawing_of
from orchestrator.icons import ICONS
from orchestrator.types import JSONValue

register = template.Library()


@dataclass(frozen=True)
class Face:
    """How a status looks: the pill's class, its icon and its word."""

    css: str
    icon: str
    word: str


STATUSES: Final[Mapping[str, Face]] = {
    # Runs and steps.
    "queued": Face("idle", "clock", noop("Queued")),
    "running": Face("live", "bolt", noop("Running")),
    "waiting": Face("warn", "pause", noop("Waiting")),
    "succeeded": Face("ok", "check", noop("Succeeded")),
    "failed": Face("bad", "x", noop("Failed")),
    "cancelled": Face("idle", "minus", noop("Cancelled")),
    "skipped": Face("idle", "minus", noop("Skipped")),
    "lost": Face("bad", "alert", noop("Lost")),
    "not_run": Face("idle", "minus", noop("Not run")),
    # Workflows.
    "healthy": Face("ok", "check", noop("Healthy")),
    "failing": Face("bad", "x", noop("Failing")),
    "draft": Face("idle", "minus", noop("Draft")),
    "published": Face("ok", "check", noop("Published")),
    "disabled": Face("idle", "pause", noop("Off")),
    # Credentials.
    "not_checked": Face("idle", "minus", noop("Not checked")),
    "working": Face("ok", "check", noop("Working")),
    "expiring": Face("warn", "clock", noop("Expiring")),
    "reconnect": Face("bad", "x", noop("Reconnect")),
    # Tests in the builder.
    "not_tested": Face("idle", "minus", noop("Not tested")),
    "attention": Face("warn", "alert", noop("Needs attention")),
}
UNKNOWN: Final = Face("idle", "minus", "")

TRIGGER_TILES: Final[Mapping[str, tuple[str, str]]] = {
    "webhook": ("hook", "hook"),
    "schedule": ("gray", "clock"),
    "form": ("logic", "form"),
    "polling": ("chat", "bolt"),
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


@register.filter
def status_word(value: str | None) -> str:
    """Return the word of a status."""
    face = STATUSES.get(str(value))
    return _(face.word) if face else str(value or "")


_STEPS: Final = (
    (timedelta(minutes=1), timedelta(seconds=1), "{} s"),
    (timedelta(hours=1), timedelta(minutes=1), "{} min"),
    (timedelta(hours=48), timedelta(hours=1), "{} h"),
    (timedelta(days=10_000), timedelta(days=1), "{} days"),
)


def span_words(span: timedelta) -> str:
    """Return a span in its largest unit: ``42 s``, ``12 min``, ``3 h``, ``9 days``."""
    for limit, unit, words in _STEPS:
        if span < limit:
            return words.format(int(span / unit))
    return _("long")


@register.filter
def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was, or how far ahead it is."""
    if moment is None:
        return ""
    span = timezone.now() - moment
    if abs(span) < timedelta(seconds=5):
        return _("just now")
    if span < timedelta():
        return _("in %(span)s") % {"span": span_words(-span)}
    return _("%(span)s ago") % {"span": span_words(span)}


@register.simple_tag
def when(moment: datetime | None, style: str = "ago") -> SafeString:
    """Return a moment as ``<time>`` with UTC on hover; style ``ago``, ``clock`` (time today, else date) or ``full``."""
    if moment is None:
        return SafeString("")
    utc = moment.astimezone(tz=None if moment.tzinfo is None else timezone.get_default_timezone())
    text = {"ago": ago, "clock": clock, "full": full_time}[style](moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), f"{utc:%Y-%m-%d %H:%M:%S} UTC", text
    )


@register.filter
def clock(moment: datetime | None) -> str:
    """Return the time of day for today, the date and time before that, in the time zone that is active."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    if local.date() == timezone.localdate():
        return f"{local:%H:%M:%S}"
    return f"{local.day} {local:%b %H:%M}"


@register.filter
def full_time(moment: datetime | None) -> str:
    """Return ``today 14:02:11 UTC`` or ``3 Mar 2026, 14:02:11 UTC``, in the time zone that is active."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    day = _("today") if local.date() == timezone.localdate() else f"{local.day} {local:%b %Y},"
    return f"{day} {local:%H:%M:%S %Z}"


_UNDER_A_MINUTE: Final = ((1_000, "{:.0f} ms", 1), (10_000, "{:.2f} s", 1_000), (60_000, "{:.1f} s", 1_000))


@register.filter
def duration(milliseconds: float | None) -> str:
    """Return milliseconds as ``12 ms``, ``6.42 s``, ``31.2 s``, ``2 min 4 s`` or ``3 h 5 min``."""
    if milliseconds is None:
        return ""
    for limit, words, unit in _UNDER_A_MINUTE:
        if milliseconds < limit:
            return words.format(milliseconds / unit)
    minutes, seconds = divmod(round(milliseconds / 1_000), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes) + [f"{seconds} s"] * (not hours)
    return " ".join(parts)


@register.filter
def short_id(value: int | str) -> str:
    """Return the last six digits of an id: enough to tell runs apart on a page."""
    return f"#{str(value)[-6:]}"


@register.filter
def size(count: int | None) -> str:
    """Return bytes in words: ``61 B``, ``20.4 KB``, ``3.1 MB``."""
    if count is None:
        return ""
    if count < 1_024:
        return f"{count} B"
    return f"{count / 1_024:.1f} KB" if count < 1_048_576 else f"{count / 1_048_576:.1f} MB"


@register.simple_tag
def json_tree(value: JSONValue, open_levels: int = 1) -> SafeString:
    """Return a JSON value as nested ``<details>``, bounded in depth, entries and text."""
    return jsontree.render(value, open_levels=open_levels)


@register.filter
def initials(name: str) -> str:
    """Return up to two letters for a person or a tenant."""
    words = [word for word in name.replace("-", " ").replace("_", " ").replace(".", " ").split() if word]
    return "".join(word[0] for word in words[:2]).upper() or "?"

"""Words for statuses, spans of time and sizes, the same on every page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, wraps
from typing import Any, Final, ParamSpec, TypeVar

from django.utils import timezone
from django.utils.dates import MONTHS_3
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.words import declared

_P = ParamSpec("_P")
_T = TypeVar("_T")


def kept_by_language(maxsize: int) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Keep what a function gives, as ``lru_cache`` does, for each language by itself: there are words in it."""

    def keep(make: Callable[_P, _T]) -> Callable[_P, _T]:
        @lru_cache(maxsize=maxsize)
        def made(language: str | None, *given: Any, **named: Any) -> _T:
            return make(*given, **named)

        @wraps(make)
        def found(*given: _P.args, **named: _P.kwargs) -> _T:
            return made(get_language(), *given, **named)  # type: ignore[arg-type]

        return found

    return keep


def called(own: str, declared_name: str) -> str:
    """Return what a step is called: its own name, or its action's where nobody gave it another.

    A new step is stored with the name that its action declares, which is read in everybody's own language.
    """
    return declared(declared_name) if own in ("", declared_name) else own


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


def _month(moment: datetime) -> str:
    return str(MONTHS_3[moment.month]).title()


def clock(moment: datetime | None) -> str:
    """Return the time of day for today, the date and time before that, in the time zone that is active."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    if local.date() == timezone.localdate():
        return f"{local:%H:%M:%S}"
    return f"{local.day} {_month(local)} {local:%H:%M}"


def full_time(moment: datetime | None) -> str:
    """Return ``today 14:02:11 UTC`` or ``3 Mar 2026, 14:02:11 UTC``, in the time zone that is active."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    day = _("today") if local.date() == timezone.localdate() else f"{local.day} {_month(local)} {local:%Y},"
    return f"{day} {local:%H:%M:%S %Z}"


_UNDER_A_MINUTE: Final = ((1_000, "{:.0f} ms", 1), (10_000, "{:.2f} s", 1_000), (60_000, "{:.1f} s", 1_000))


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


def short_id(value: int | str) -> str:
    """Return the last six digits of an id: enough to tell runs apart on a page."""
    return f"#{str(value)[-6:]}"


def size(count: int | None) -> str:
    """Return bytes in words: ``61 B``, ``20.4 KB``, ``3.1 MB``."""
    if count is None:
        return ""
    if count < 1_024:
        return f"{count} B"
    return f"{count / 1_024:.1f} KB" if count < 1_048_576 else f"{count / 1_048_576:.1f} MB"


def initials(name: str) -> str:
    """Return up to two letters for a person or a tenant."""
    words = [word for word in name.replace("-", " ").replace("_", " ").replace(".", " ").split() if word]
    return "".join(word[0] for word in words[:2]).upper() or "?"

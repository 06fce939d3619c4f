"""What the list of runs is narrowed to, read from its address; each filter is a chip with the address without it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext

from orchestrator.flow.names import TriggerType
from orchestrator.ids import moment_of
from orchestrator.tenants.access import get_for_tenant_or_404
from orchestrator.tenants.models import Tenant
from orchestrator.words import clock, status_word
from orchestrator.workflows.models import Workflow
from runs.listing import DRAFT, Counted, Narrow, count
from runs.pages.words import trigger_words
from runs.search import MAX_CHARACTERS
from runs.states import RunStatus

PRESETS: Final[Mapping[str, tuple[timedelta, str]]] = {
    "-1h": (timedelta(hours=1), noop("Last hour")),
    "-24h": (timedelta(hours=24), noop("Last 24 hours")),
    "-7d": (timedelta(days=7), noop("Last 7 days")),
}
TOOK: Final = (">1s", ">10s", ">1min", ">10min")
_TOOK: Final = re.compile(r"([<>]?)\s*(\d{1,9}(?:\.\d{1,3})?)\s*(ms|s|sec|m|min|h|d)?")
_UNITS: Final = {"ms": 1, "s": 1_000, "sec": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
# Ids tell times between these.
_FIRST: Final = moment_of(0)
_LAST: Final = datetime(2090, 1, 1, tzinfo=UTC)
_MOST_CHARACTERS: Final = 40
_MOST_VERSION: Final = 2**31 - 1

Pair = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Chip:
    """An active filter, and the address without it. ``names`` are what the address calls it."""

    label: str
    url: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A line of a filter's menu: ``url`` puts it on, or takes it away where it is on."""

    label: str
    url: str
    on: bool


@dataclass(frozen=True, kw_only=True)
class Filters:
    """``pairs`` are what the address says, as far as it was understood; ``told`` is what was not, in words."""

    narrow: Narrow
    workflow: Workflow | None
    pairs: tuple[Pair, ...]
    told: tuple[str, ...]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def first(self, name: str) -> str:
        return next(iter(self.values(name)), "")

    def query(self, *, without: Iterable[str | Pair] = (), add: Iterable[Pair] = ()) -> str:
        """Return the address's query: without a filter, or one value of it, and with others."""
        gone = set(without)
        kept = [pair for pair in self.pairs if pair[0] not in gone and pair not in gone]
        return urlencode([*kept, *add], safe=":")


def filters_of(tenant: Tenant, given: QueryDict) -> Filters:
    """Read the address. Raises NotFound for a workflow that is none of the tenant's; other nonsense is told."""
    number = whole(given.get("workflow", ""))
    workflow = get_for_tenant_or_404(Workflow, tenant, pk=number) if number else None
    pairs: list[Pair] = [("workflow", str(number))] if number else []
    narrow, told = Narrow(workflow=number), list[str]()
    for name, read in _READERS.items():
        text = _last(given, name)
        if not text:
            continue
        changes = read(text)
        if changes is None:
            told.append(_(_TOLD[name]) % {"text": text})
            continue
        narrow = replace(narrow, **changes)
        pairs.append((name, text))
    statuses = tuple(status.value for status in RunStatus if status.value in _several(given, "status"))
    if narrow.since and narrow.until and narrow.since >= narrow.until:
        told.append(_("The time to look from is not before the time to look to, so both were left out."))
        narrow = replace(narrow, since=None, until=None)
        pairs = [pair for pair in pairs if pair[0] not in ("from", "to")]
    pairs += [("status", status) for status in statuses]
    return Filters(narrow=replace(narrow, statuses=statuses), workflow=workflow, pairs=tuple(pairs), told=tuple(told))


def _last(given: QueryDict, name: str) -> str:
    """Return the last value that is not empty: a form may send what was chosen and, after it, what was typed."""
    most = MAX_CHARACTERS if name == "q" else _MOST_CHARACTERS
    texts = [text.replace("\0", "").strip()[:most] for text in given.getlist(name)]
    return next((text for text in reversed(texts) if text), "")


def _several(given: QueryDict, name: str) -> set[str]:
    return {part for text in given.getlist(name) for part in text.split(",")}


def whole(text: str) -> int | None:
    """Return a whole number from the address; anything else is as if it were not there."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _trigger(text: str) -> dict[str, Any] | None:
    return {"trigger": text} if text in list(TriggerType) else None


def _version(text: str) -> dict[str, Any] | None:
    if text == "draft":
        return {"version": DRAFT}
    number = whole(text.removeprefix("v"))
    return {"version": number} if number and number <= _MOST_VERSION else None


def _took(text: str) -> dict[str, Any] | None:
    match = _TOOK.fullmatch(text)
    if match is None:
        return None
    milliseconds = float(match[2]) * _UNITS[match[3] or "s"]
    return {"took_under" if match[1] == "<" else "took_over": milliseconds}


def _moment(text: str) -> datetime | None:
    """Return a moment: one of PRESETS, or an ISO time, that of the tenant's place unless it says another."""
    if text in PRESETS:
        return timezone.now() - PRESETS[text][0]
    try:
        # A plus sign in an address is a blank.
        found = parse_datetime(text.replace(" ", "+") if "T" in text else text)
        if found is None:
            return None
        aware = found if found.tzinfo else timezone.make_aware(found)
        return min(max(aware.astimezone(UTC), _FIRST), _LAST)
    except (ValueError, OverflowError):
        return None


def _since(text: str) -> dict[str, Any] | None:
    moment = _moment(text)
    return {"since": moment} if moment else None


def _until(text: str) -> dict[str, Any] | None:
    moment = _moment(text)
    return {"until": moment} if moment else None


def _text(text: str) -> dict[str, Any] | None:
    return {"q": text}


_READERS: Final[Mapping[str, Callable[[str], dict[str, Any] | None]]] = {
    "version": _version, "trigger": _trigger, "took": _took, "from": _since, "to": _until, "q": _text,
}  # fmt: skip
_TOLD: Final[Mapping[str, str]] = {
    "version": noop("“%(text)s” is no version: write a number like 12, or draft."),
    "trigger": noop("“%(text)s” is no kind of trigger."),
    "took": noop("“%(text)s” is no time taken: write it like >10s, <500ms or >2min."),
    "from": noop("“%(text)s” is no time to look from: write it like 2026-03-01T14:30."),
    "to": noop("“%(text)s” is no time to look to: write it like 2026-03-01T14:30."),
}


def chips(url: str, filters: Filters) -> list[Chip]:
    """Return the active filters. A span of time is one, also where the address says both of its ends."""
    narrow, made = filters.narrow, list[Chip]()

    def add(label: str, *names: str, value: str = "") -> None:
        gone = [(names[0], value)] if value else names
        made.append(Chip(label=label, url=_address(url, filters.query(without=gone)), names=names))

    if filters.workflow:
        add(filters.workflow.name, "workflow")
    if narrow.version is not None:
        add(_("Draft") if narrow.version == DRAFT else _("Version %(number)d") % {"number": narrow.version}, "version")
    if narrow.since or narrow.until:
        add(span_words(filters), "from", "to")
    for status in narrow.statuses:
        add(status_word(status), "status", value=status)
    if narrow.trigger:
        add(trigger_words(narrow.trigger), "trigger")
    if narrow.took_over is not None or narrow.took_under is not None:
        add(_("Took %(time)s") % {"time": took_words(filters.first("took"))}, "took")
    if narrow.q:
        add(f"“{narrow.q}”", "q")
    return made


# A filter's fields in Narrow when it is off.
_OFF: Final[Mapping[str, Mapping[str, Any]]] = {
    "workflow": {"workflow": None}, "version": {"version": None}, "from": {"since": None}, "to": {"until": None},
    "status": {"statuses": ()}, "trigger": {"trigger": ""}, "took": {"took_over": None, "took_under": None},
    "q": {"q": ""},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """A filter, how many runs would be there without it, in words, and the address of these."""

    label: str
    url: str
    words: str


def hidden(tenant: Tenant, url: str, filters: Filters, active: Iterable[Chip]) -> list[Hidden]:
    """Return for each filter how many runs it hides; the values of one filter hide together."""
    labels: dict[tuple[str, ...], list[str]] = {}
    for chip in active:
        labels.setdefault(chip.names, []).append(chip.label)
    found = []
    for names, texts in labels.items():
        off = {field: value for name in names for field, value in _OFF[name].items()}
        words = _hides(count(tenant, replace(filters.narrow, **off)))
        found.append(Hidden(label=", ".join(texts), url=_address(url, filters.query(without=names)), words=words))
    return found


def _hides(counted: Counted) -> str:
    if not counted.number:
        return _("hides none of the latest runs") if counted.and_more else _("hides no run by itself")
    number = f"{counted.number:,}+" if counted.and_more else f"{counted.number:,}"
    return ngettext("hides %(number)s run", "hides %(number)s runs", counted.number) % {"number": number}


def span_words(filters: Filters) -> str:
    """Return the chosen span of time: ``Last hour``, ``14:00:00 to 15:30:00``."""
    preset, narrow = PRESETS.get(filters.first("from")), filters.narrow
    if preset and not narrow.until:
        return _(preset[1])
    start, end = clock(narrow.since), clock(narrow.until)
    if not narrow.until:
        return _("Since %(start)s") % {"start": start}
    return _("%(start)s to %(end)s") % {"start": start, "end": end} if start else _("Until %(end)s") % {"end": end}


def took_words(text: str) -> str:
    """Return ``> 10 s`` for what an address writes as ``>10s``."""
    match = _TOOK.fullmatch(text)
    return f"{match[1] or '>'} {match[2]} {match[3] or 's'}" if match else text


def choices(url: str, filters: Filters, name: str) -> list[Choice]:
    """Return the lines of a filter's menu, those of ``status``, ``trigger``, ``took`` or ``from``."""
    return [_choice(url, filters, name, value, label) for value, label in _LINES[name]()]


_LINES: Final[Mapping[str, Any]] = {
    "status": lambda: [(status.value, status_word(status)) for status in RunStatus],
    "trigger": lambda: [(kind.value, trigger_words(kind)) for kind in TriggerType],
    "took": lambda: [(text, took_words(text)) for text in TOOK],
    "from": lambda: [(text, _(label)) for text, (_span, label) in PRESETS.items()],
}
# What goes when another value of the same filter comes; several statuses may be chosen.
_REPLACED: Final[Mapping[str, tuple[str, ...]]] = {
    "status": (), "trigger": ("trigger",), "took": ("took",), "from": ("from", "to"),
}  # fmt: skip


def _choice(url: str, filters: Filters, name: str, value: str, label: str) -> Choice:
    on = (name, value) in filters.pairs
    query = (
        filters.query(without=[(name, value)]) if on else filters.query(without=_REPLACED[name], add=[(name, value)])
    )
    return Choice(label=label, url=_address(url, query), on=on)


def _address(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url


def typed_time(moment: datetime | None, text: str) -> str:
    """Return what a field for a date and time shows of a filter: nothing for one of PRESETS."""
    if moment is None or text in PRESETS:
        return ""
    return f"{timezone.localtime(moment):%Y-%m-%dT%H:%M:%S}".removesuffix(":00")

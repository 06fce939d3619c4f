"""The bars above the list of runs: drawn here with percentages, each of them a link to the runs of its span."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from runs.histogram import DAY, MOST_RUNS, Bin, Histogram
from runs.pages.filters import Filters

_GAP: Final = 0.25  # of a bar's width, on its right
_LEAST: Final = 4.0  # percent of the height: one run among thousands is still seen
_LABELS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """One colour of a bar: ``o`` succeeded, ``f`` failed, ``n`` anything else. In percent, from above."""

    css: str
    y: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One span with runs in it; ``label`` is the sentence that it says."""

    url: str
    label: str
    x: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """``width`` is that of every bar in percent; ``labels`` stand below, evenly."""

    bars: tuple[Bar, ...]
    width: float
    labels: tuple[str, ...]
    sentence: str
    note: str


def bars(url: str, filters: Filters, found: Histogram) -> Bars | None:
    """Return what to draw, None where there is nothing to see."""
    if not found.total:
        return None
    step, most = 100 / len(found.bins), max(each.total for each in found.bins)
    drawn = tuple(
        Bar(url=_url(url, filters, each), label=_label(each), x=_percent(index * step), parts=_parts(each, most))
        for index, each in enumerate(found.bins)
        if each.total
    )
    return Bars(
        bars=drawn,
        width=_percent(step * (1 - _GAP)),
        labels=_labels(found.bins),
        sentence=_sentence(filters, found),
        note=_note(filters, found),
    )


def _percent(value: float) -> float:
    return round(value, 2)


def _parts(each: Bin, most: int) -> tuple[Part, ...]:
    """Return the bar's colours from below: what failed stands at the bottom, where it is seen at any height."""
    other = each.total - each.succeeded - each.failed
    found, floor = [], 100.0
    for css, number in (("f", each.failed), ("n", other), ("o", each.succeeded)):
        if number:
            height = max(_LEAST, 88 * number / most)
            floor -= height
            found.append(Part(css=css, y=_percent(floor), height=_percent(height)))
    return tuple(found)


def _url(url: str, filters: Filters, each: Bin) -> str:
    span = [("from", _iso(each.start)), ("to", _iso(each.end))]
    return f"{url}?{filters.query(without=('from', 'to'), add=span)}"


def _iso(moment: datetime) -> str:
    """Return a moment as an address has it, as short as it can be."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return text.removesuffix(".000").removesuffix(":00") + "Z"


def _label(each: Bin) -> str:
    """Return ``13:30 to 13:45: 12 runs, 1 failed``."""
    runs = ngettext("%(count)s run", "%(count)s runs", each.total) % {"count": f"{each.total:,}"}
    failed = _(", %(count)s failed") % {"count": f"{each.failed:,}"} if each.failed else ""
    span = {"start": _time(each.start), "end": _time(each.end)}
    return _("%(start)s to %(end)s") % span + f": {runs}{failed}"


def _time(moment: datetime) -> str:
    local = timezone.localtime(moment)
    exact = f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    return exact if local.date() == timezone.localdate() else f"{local.day} {local:%b} {exact}"


def _labels(bins: tuple[Bin, ...]) -> tuple[str, ...]:
    """Return a few times to stand below the bars, the last one at their end."""
    span = bins[-1].end - bins[0].start
    moments = [bins[0].start + span * part / (_LABELS - 1) for part in range(_LABELS)]
    is_now = timezone.now() - moments[-1] < timedelta(minutes=1)
    return (*(_time(moment.replace(second=0)) for moment in moments[:-1]), _("now") if is_now else _time(moments[-1]))


def _sentence(filters: Filters, found: Histogram) -> str:
    """Return ``1,284 runs in the last 24 hours, 31 failed``."""
    runs = ngettext("%(count)s run", "%(count)s runs", found.total) % {"count": f"{found.total:,}"}
    failed = _(", %(count)s failed") % {"count": f"{found.failed:,}"} if found.failed else ""
    if filters.narrow.since or filters.narrow.until or found.cut:
        start, end = _time(found.bins[0].start), _time(found.bins[-1].end)
        span = _(" from %(start)s to %(end)s") % {"start": start, "end": end}
    else:
        span = _(" in the last %(hours)d hours") % {"hours": DAY // timedelta(hours=1)}
    return runs + span + failed


def _note(filters: Filters, found: Histogram) -> str:
    """Return what the bars leave out, and what they do not."""
    told = {"most": f"{MOST_RUNS:,}", "start": _time(found.bins[0].start)}
    cut = _("More than %(most)s runs: these are the newest, since %(start)s. Choose a shorter time to see others.")
    searched = _("The bars count all of these runs, whatever is searched for.")
    return " ".join([*([cut % told] if found.cut else []), *([searched] if filters.narrow.q else [])])

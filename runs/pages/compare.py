"""The page that compares two runs of one workflow: both on one axis, and what differs in the step that is selected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.shell import page
from orchestrator.types import JSONValue
from orchestrator.words import clock, duration, short_id, status_word
from runs.models import Payload, Run, StepRun
from runs.outline import TRIGGER, outside_loops, tree
from runs.overview import milliseconds
from runs.pages.address import Address
from runs.pages.axis import Tick
from runs.pages.differences import MOST, Differences, differences, same
from runs.pages.finding import find_run
from runs.pages.lines import Line
from runs.pages.pairs import Pair, Sides, body_of, pairs_of, sides_of
from runs.pages.reading import ITEMS_A_PAGE, Reading, read
from runs.pages.values import AT_ONCE, with_small_values
from runs.paths import is_item, items_around
from runs.states import RunKind, RunStatus

PAIRS_A_PAGE: Final = 50
CHOICES: Final = 60
# How far back a run that succeeded is looked for.
_LOOKED_AT: Final = 500


@dataclass(frozen=True, kw_only=True)
class Head:
    """One of the two runs, above the comparison."""

    run: Run
    url: str
    version: str
    took: str
    started: datetime


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A run to compare with."""

    id: int
    words: str
    selected: bool


@dataclass(frozen=True, kw_only=True)
class Part:
    """What differs in a step's input, output or error; ``note`` says why there is nothing to list."""

    title: str
    found: Differences = field(default_factory=Differences)
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DetailSide:
    """How the selected step stands in one run; ``letter`` is what the page calls that run."""

    letter: str
    status: str
    took: str
    url: str


@dataclass(frozen=True, kw_only=True)
class Detail:
    """The step that is selected: how it stands in each run, and what differs."""

    name: str
    tile: str
    words: str
    sides: tuple[DetailSide, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything of the page; ``first`` leads to the first difference, ``next_url`` to the one after the selected."""

    left: Head
    right: Head
    pairs: tuple[Pair, ...]
    selected: str
    ticks: tuple[Tick, ...]
    breaks: tuple[float, ...]
    sentence: str
    detail: Detail
    previous_url: str
    next_url: str
    before_url: str
    after_url: str


@require_safe
@tenant_page()
def run_compare_with(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Lead to the comparison with the run that was chosen (``?with=``), else with the last one that succeeded."""
    run = get_for_tenant_or_404(Run, actor.tenant, pk=pk)
    chosen = request.GET.get("with", "")
    is_number = chosen.isascii() and chosen.isdigit() and len(chosen) < 19
    other = int(chosen) if is_number else _usual(actor, run)
    if other is None:
        messages.info(request, _("There is no other run of this workflow to compare with yet."))
        return redirect("run", actor.tenant.slug, pk)
    return redirect("run-compare", actor.tenant.slug, pk, other)


def _usual(actor: Actor, run: Run) -> int | None:
    """Return the last run before this one that succeeded, else any that did, else the run beside this one."""
    rows = _others(actor, run)
    earlier = list(rows.filter(pk__lt=run.pk).values_list("pk", "status")[:_LOOKED_AT])
    later = list(rows.filter(pk__gt=run.pk).values_list("pk", "status")[:_LOOKED_AT])
    good = [pk for pk, status in [*earlier, *later] if status == RunStatus.SUCCEEDED]
    beside = [pk for pk, _status in [*earlier[:1], *later[-1:]]]
    return next(iter([*good, *beside]), None)


def _others(actor: Actor, run: Run) -> QuerySet[Run]:
    rows = Run.objects.for_tenant(actor.tenant).filter(workflow=run.workflow_id).exclude(pk=run.pk)
    return rows.exclude(kind=RunKind.STEP).order_by("-pk")


@require_safe
@tenant_page()
def run_compare(request: HttpRequest, actor: Actor, pk: int, other: int) -> HttpResponse:
    """Show two runs of one workflow side by side; of two workflows, say so."""
    left, right = find_run(actor, pk), find_run(actor, other)
    context: dict[str, Any] = {"run": left, "other": right, "choices": _choices(actor, left, right)}
    if left.workflow_id != right.workflow_id:
        return page(request, actor, "runs/compare.html", context, nav="run-list", narrow=True, status=400)
    context["comparison"] = compared(actor, left, right, request.GET)
    return page(request, actor, "runs/compare.html", context, nav="run-list", narrow=True)


def _choices(actor: Actor, run: Run, other: Run) -> list[Choice]:
    fields = ("pk", "status", "created_at", "started_at", "finished_at")
    rows = list(_others(actor, run).values(*fields)[:CHOICES])
    if other.workflow_id == run.workflow_id and other.pk != run.pk and other.pk not in {row["pk"] for row in rows}:
        rows.append({name: getattr(other, name) for name in fields})
    return [Choice(id=row["pk"], words=_choice_words(row), selected=row["pk"] == other.pk) for row in rows]


def _choice_words(row: Mapping[str, Any]) -> str:
    took = duration(milliseconds(row["started_at"], row["finished_at"])) if row["finished_at"] else ""
    parts = (short_id(row["pk"]), status_word(row["status"]), clock(row["created_at"]), took)
    return " · ".join(part for part in parts if part)


def compared(actor: Actor, left: Run, right: Run, query: Mapping[str, str]) -> Comparison:
    """Return the comparison as its address asks for it; without a selected step, at the first difference."""
    base = reverse("run-compare", args=[actor.tenant.slug, left.pk, right.pk])
    asked = Address.read(base, query)
    address = _focused(asked, left, right)
    sides = sides_of(read(left, address), read(right, address), timezone.now())
    pairs = pairs_of(sides)
    different = [index for index, pair in enumerate(pairs) if pair.differs]
    known = {pair.path: index for index, pair in enumerate(pairs)}
    at = known.get(asked.step, different[0] if different else 0)
    last = (len(pairs) - 1) // PAIRS_A_PAGE
    shown = at // PAIRS_A_PAGE if asked.rows is None or asked.step else min(asked.rows, last)
    at_page = replace(address, step="")
    return Comparison(
        left=_head(actor, left),
        right=_head(actor, right),
        pairs=tuple(with_keys(pairs, at)[shown * PAIRS_A_PAGE : (shown + 1) * PAIRS_A_PAGE]),
        selected=pairs[at].path,
        ticks=sides.left.axis.ticks(),
        breaks=sides.left.axis.breaks,
        sentence=_sentence(pairs, different),
        detail=_detail(actor, sides, pairs[at]),
        previous_url=_url(address, pairs, [index for index in different if index < at][-1:]),
        next_url=_url(address, pairs, [index for index in different if index > at][:1]),
        before_url=replace(at_page, rows=shown - 1).url if shown else "",
        after_url=replace(at_page, rows=shown + 1).url if shown < last else "",
    )


def with_keys(pairs: Sequence[Pair], at: int) -> list[Pair]:
    """Return the pairs with the keys that lead from the selected one to those beside it."""
    keys = {at - 1: "k", at + 1: "j"}
    return [replace(pair, key=keys.get(index, "")) for index, pair in enumerate(pairs)]


def _focused(asked: Address, left: Run, right: Run) -> Address:
    """Return the address with the loop whose items are compared: both runs must show the same ones."""
    if asked.loop:
        return asked if asked.start is not None else replace(asked, start=0)
    stops = [str((run.error or {}).get("path") or "") for run in (left, right)]
    around = next((found for found in map(items_around, (asked.step, *stops)) if found), ())
    if around:
        loop, item = around[-1]
        return asked.opening(loop, item // ITEMS_A_PAGE * ITEMS_A_PAGE)
    first = next((step.key for step in outside_loops(tree(left.version.definition)) if step.is_loop), "")
    return asked.opening(first, 0) if first else asked


def _url(address: Address, pairs: Sequence[Pair], places: Sequence[int]) -> str:
    return address.selecting(pairs[places[0]].path).url if places else ""


def _head(actor: Actor, run: Run) -> Head:
    number = run.version.number
    started = run.started_at or run.created_at
    return Head(
        run=run,
        url=reverse("run", args=[actor.tenant.slug, run.pk]),
        version=_("v%(number)d") % {"number": number} if number else _("draft"),
        took=duration(milliseconds(started, run.finished_at)) if run.finished_at else "",
        started=started,
    )


def _sentence(pairs: Sequence[Pair], different: Sequence[int]) -> str:
    """Return where the two part ways."""
    if not different:
        return _("Nothing differs in what is shown here: the steps ended alike, with the same data.")
    first = pairs[different[0]]
    said = _("First difference: “%(name)s” (%(what)s).") % {"name": _name(first), "what": ", ".join(first.differs)}
    ends = (pairs[index] for index in different if {_("outcome"), _("not in both")} & set(pairs[index].differs))
    turned = next(ends, None)
    if turned is None or turned is first:
        return said
    return said + " " + _("The outcome differs from “%(name)s” on.") % {"name": _name(turned)}


def _name(pair: Pair) -> str:
    return pair.line.name


def _detail(actor: Actor, sides: Sides, pair: Pair) -> Detail:
    left, right = sides.readings
    return Detail(
        name=pair.line.name,
        tile=pair.line.tile or "flow.foreach",
        words="" if pair.path == TRIGGER else pair.path,
        sides=(_side(actor, "a", left.run, pair, pair.left), _side(actor, "b", right.run, pair, pair.right)),
        parts=tuple(_cut(_parts(left, right, pair.path))),
    )


def _cut(parts: Sequence[Part]) -> Iterator[Part]:
    """Yield the parts with no more differences in all of them than one may have."""
    left = MOST
    for part in parts:
        shown = part.found.shown[:left]
        left -= len(shown)
        more = part.found.more + len(part.found.shown) - len(shown)
        yield replace(part, found=Differences(shown=shown, more=more))


def _side(actor: Actor, letter: str, run: Run, pair: Pair, line: Line | None) -> DetailSide:
    base = reverse("run", args=[actor.tenant.slug, run.pk])
    return DetailSide(
        letter=letter,
        status=line.status if line else "not_run",
        took=line.took if line else "",
        url=Address(base=base, step=pair.path).url,
    )


def _parts(left: Reading, right: Reading, path: str) -> Sequence[Part]:
    """Return what differs in the data of a pair; the right run is what the left one is held against."""
    if path == TRIGGER:
        return [_trigger_part(left.run, right.run)]
    if is_item(path):
        return [Part(title=_("Data"), note=_("An item's data is that of its steps: choose one of them."))]
    rows = [_full(reading, path) for reading in (left, right)]
    if rows[0] is None or rows[1] is None:
        return [Part(title=_("Data"), note=_one_sided(left, right, path))]
    error = _part(_("Error"), _error(rows[1]), _error(rows[0])) if rows[0].error or rows[1].error else None
    data = [_column(left, right, rows, *each) for each in ((_("Input"), "inputs"), (_("Output"), "output"))]
    return [*([error] if error else []), *data]


def _one_sided(left: Reading, right: Reading, path: str) -> str:
    if any(path in reading.given for reading in (left, right)):
        return _("One of the two took this step over from an earlier run: there is no attempt to compare.")
    return _("Only one of the two runs came to this step.")


def _full(reading: Reading, path: str) -> Any:
    attempts = reading.attempts.get(path)
    if not attempts:
        return None
    rows = StepRun.objects.for_tenant(reading.run.tenant_id).filter(run=reading.run)
    return with_small_values(rows.defer("logs"), "").filter(pk=attempts[-1].pk).first()


def _error(row: StepRun) -> JSONValue:
    error = row.error or {}
    return {name: error[name] for name in ("kind", "message", "hint") if error.get(name)}


def _column(left: Reading, right: Reading, rows: Sequence[Any], title: str, column: str) -> Part:
    refs = [getattr(row, f"{column}_ref") for row in rows]
    lengths = [getattr(row, f"{column}_length") or 0 for row in rows]
    if any(ref is not None for ref in refs) or max(lengths) > AT_ONCE:
        alike = _alike(left.run, right.run, rows, column)
        return Part(title=title, note=_large_words(alike))
    return _part(title, *(getattr(row, f"small_{column}") for row in reversed(rows)))


def _alike(left: Run, right: Run, rows: Sequence[Any], column: str) -> bool:
    """Whether two large values are the same, as the database has them: neither is opened."""
    refs = [getattr(row, f"{column}_ref") for row in rows]
    if all(ref is not None for ref in refs):
        payloads = Payload.objects.for_tenant(left.tenant_id)
        first = payloads.filter(run=left, pk=refs[0]).values("data")
        return payloads.filter(run=right, pk=refs[1], data__in=first).exists()
    if any(ref is not None for ref in refs):
        return False
    steps = StepRun.objects.for_tenant(left.tenant_id)
    return steps.filter(pk=rows[0].pk, **{f"{column}__in": steps.filter(pk=rows[1].pk).values(column)}).exists()


def _large_words(alike: bool) -> str:
    if alike:
        return _("Large, and the same in both.")
    return _("Large values are not opened here, but they differ: look at each in its run.")


def _part(title: str, before: JSONValue, after: JSONValue) -> Part:
    found = differences(before, after)
    return Part(title=title, found=found, note="" if found.shown else _("The same in both."))


def _trigger_part(left: Run, right: Run) -> Part:
    title = _("Input")
    if left.trigger_ref is not None or right.trigger_ref is not None:
        return Part(title=title, note=_("Large values are not opened here: look at each in its run."))
    before, after = body_of(right), body_of(left)
    if max(len(str(before)), len(str(after))) > AT_ONCE:
        return Part(title=title, note=_large_words(same(before, after)))
    return _part(title, before, after)

"""What is selected of a run in full: a step's attempts, data, log and setup; an iteration's item and its steps."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from orchestrator.large import Large
from orchestrator.types import JSONValue
from orchestrator.words import short_id
from runs import selectors
from runs.models import StepRun
from runs.outline import TRIGGER, StepOutline, action_words
from runs.overview import milliseconds
from runs.pages.entries import Picked, Search, picked_of, search
from runs.pages.files import with_files
from runs.pages.lines import item_label, item_rows, item_status, move_label, outcome
from runs.pages.reading import Attempt, Reading
from runs.pages.timeline import Link
from runs.pages.values import Value, trigger_value, values_of, with_entries, with_small_values
from runs.pages.words import RESOLVED_WORDS, again_words, failure_words, place_words, trigger_words
from runs.paths import is_item, items_around, key_of_path
from runs.states import FailureKind, StepStatus
from runs.usage import usage_words

TABS: Final = ("attempts", "data", "log", "setup")
ATTEMPTS_SHOWN: Final = 50
LOG_LINES: Final = 500


@dataclass(frozen=True, kw_only=True)
class AttemptLine:
    """One attempt in the inspector's list, or one step of an iteration."""

    label: str
    status: str
    error: str
    took_ms: float | None
    running_since: datetime | None
    started_at: datetime
    after: str
    url: str
    selected: bool


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    offset: str
    level: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Tab:
    name: str
    label: str
    count: int | None
    url: str
    selected: bool
    key: str


@dataclass(frozen=True, kw_only=True)
class StepError:
    """An attempt's failure with its four parts; ``at`` leads to the step inside that failed."""

    kind: str
    message: str
    hint: str
    again: str
    at: Link | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a step is; ``percent`` is None where it is not known of how much."""

    percent: int | None
    words: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Inspector:
    """What is shown of what is selected. ``mark`` changes whenever anything in it does."""

    name: str
    tile: str
    words: str
    status: str
    tab: str
    tabs: tuple[Tab, ...]
    mark: str
    resolved: str = ""
    usage: str = ""
    attempts: tuple[AttemptLine, ...] = ()
    more_attempts: int = 0
    error: StepError | None = None
    called: Link | None = None
    values: tuple[Value, ...] = ()
    log: tuple[LogEntry, ...] = ()
    more_log: int = 0
    log_url: str = ""
    setup: JSONValue = None
    edit_url: str = ""
    picked: Picked | None = None
    search: Search | None = None
    fields: tuple[tuple[str, str], ...] = ()
    find: str = ""
    progress: Progress | None = None


def inspector(reading: Reading) -> Inspector:
    """Return the inspector of what is selected; four queries at the most."""
    found = _of_selected(reading)
    # Without tabs to choose from, or with the tab of the data, what is in the values can be looked at by itself.
    if found.tab != "data" and len(found.tabs) > 1:
        return replace(found, values=with_entries(found.values, reading.address, _output_root(reading)))
    address = replace(reading.address, tab="data")
    values = with_entries(found.values, address, _output_root(reading))
    return replace(
        found,
        values=values,
        picked=picked_of(values, address),
        search=search(values, address),
        fields=tuple(parse_qsl(replace(address.whole, step=reading.selected).query)),
        find=address.find,
        mark=f"{found.mark}-{address.value}-{address.at}-{address.find}-{address.table}",
    )


def _output_root(reading: Reading) -> str:
    return f"steps.{reading.step.key}.output" if reading.step is not None else ""


def _of_selected(reading: Reading) -> Inspector:
    step = reading.step
    if step is None or reading.selected == TRIGGER:
        return _of_trigger(reading)
    if is_item(reading.selected):
        return _of_item(reading, step)
    return _of_step(reading, step)


def _of_trigger(reading: Reading) -> Inspector:
    run = reading.run
    return Inspector(
        name=trigger_words(run.trigger_type),
        tile=run.trigger_type,
        words=_("Trigger") + (f" · {run.trigger_key}" if run.trigger_key else ""),
        status=StepStatus.SUCCEEDED,
        tab="data",
        tabs=(_tab(reading, "data", _("Data"), None, True),),
        values=(replace(trigger_value(run, reading.address), root="trigger"),),
        mark=f"trigger-{reading.address.show}",
    )


def _of_item(reading: Reading, loop: StepOutline) -> Inspector:
    """Return one iteration: the item it has, and its steps."""
    path, item = items_around(reading.selected)[-1]
    state = reading.loops.get(path)
    rows = [found for found in _outcomes(reading, loop, path, item) if found is not None]
    total = state.total if state else None
    name = (_("Move %(number)s") if loop.is_agent else _("Item %(number)s")) % {"number": f"{item + 1:,}"}
    moved = move_label(reading, item_rows(reading, path, item)) if loop.is_agent else ""
    label = moved or (item_label(state, item) if state else "")
    status = item_status(reading, loop, path, item) if state else "not_run"
    here = state is not None and item < len(state.values)
    return Inspector(
        name=_("%(name)s of %(all)s") % {"name": name, "all": f"{total:,}"} if total else name,
        tile=loop.action,
        words=" · ".join(part for part in (loop.name, label, reading.selected) if part),
        status=status,
        tab="data",
        tabs=(_tab(reading, "data", _("Data"), None, True),),
        attempts=tuple(_line(reading, row, reading.steps[row.key].name, selected=False) for row in rows),
        values=(Value(name="item", title=_("Item"), hint=_("what its steps read as item"), value=state.values[item]),)
        if state and here
        else (),
        mark=f"{reading.selected}-{status}-{len(item_rows(reading, path, item))}",
    )


def _outcomes(reading: Reading, loop: StepOutline, path: str, item: int) -> list[Attempt | None]:
    """Return the last attempt of each step right in the loop's body."""
    attempts = (reading.attempts.get(f"{path}[{item}].{step.key}", ()) for step in loop.body)
    return [rows[-1] if rows else None for rows in attempts]


def _of_step(reading: Reading, step: StepOutline) -> Inspector:
    run, address = reading.run, reading.address
    attempts = reading.attempts.get(reading.selected, ())
    chosen = _chosen(attempts, address.attempt)
    full = _full(reading, chosen)
    log = _log(full)
    tab = address.tab if address.tab in TABS else TABS[0]
    shown = attempts[-ATTEMPTS_SHOWN:]
    given = reading.given.get(reading.selected) if not attempts else None
    status = given or outcome(attempts)
    words = (action_words(step.action), step.credential, f"steps.{step.key}", *_place(reading))
    return Inspector(
        name=step.name,
        tile=step.action,
        words=" · ".join(part for part in words if part),
        status=status,
        resolved=_(RESOLVED_WORDS[full.resolved_as]) if full and full.resolved_as in RESOLVED_WORDS else "",
        usage=usage_words(full.usage) if full and full.usage else "",
        tab=tab,
        tabs=_tabs(reading, tab, len(attempts), len(log)),
        attempts=tuple(_attempt(reading, row, chosen) for row in shown),
        more_attempts=len(attempts) - len(shown),
        error=_error(reading, full),
        called=_called(reading),
        values=with_files(values_of(run, address, full), run, full) if full else _given_values(reading, given),
        log=tuple(log[:LOG_LINES]),
        more_log=max(0, len(log) - LOG_LINES),
        log_url=f"{reverse('run-log', args=[run.tenant.slug, run.pk])}?{urlencode({'step': reading.selected})}",
        setup=dict(step.config),
        progress=progress_of(full),
        edit_url=reverse("workflow-step", args=[run.tenant.slug, run.workflow_id, step.key]),
        mark="-".join(
            map(
                str,
                (
                    reading.selected,
                    len(attempts),
                    full and full.pk,
                    full and full.status,
                    zlib.crc32(repr(full and full.progress).encode()),
                    len(log),
                    address.show,
                ),
            )
        ),
    )


def progress_of(row: StepRun | None) -> Progress | None:
    """Return how far a step is that is under way, None where it does not tell."""
    told = row.progress if row is not None and row.status == StepStatus.RUNNING else None
    if not isinstance(told, dict):
        return None
    done, total = told.get("done") or 0, told.get("total")
    counted = {"done": f"{done:,}", "total": f"{total or 0:,}"}
    return Progress(
        percent=round(100 * max(0.0, min(1.0, done / total))) if total and total > 0 else None,
        words=_("%(done)s of %(total)s") % counted if total else f"{done:,}",
        text=str(told.get("text") or ""),
    )


def _place(reading: Reading) -> list[str]:
    """Return in which items of which loops, or moves of which agents, the selected step is."""
    around = [(reading.steps.get(key_of_path(path)), item) for path, item in items_around(reading.selected)]
    return [
        (_("move %(number)s") if loop and loop.is_agent else _("item %(number)s")) % {"number": f"{item + 1:,}"}
        for loop, item in around
    ]


def _chosen(attempts: Sequence[Attempt], number: int | None) -> Attempt | None:
    """Return the attempt to show: the one asked for, else the last."""
    last = attempts[-1] if attempts else None
    return next((row for row in attempts if row.attempt == number), last)


def _full(reading: Reading, chosen: Attempt | None) -> Any:
    """Return an attempt with its log, and its data where it is small or asked for."""
    if chosen is None:
        return None
    return with_small_values(selectors.step_rows(reading.run), reading.address.show).filter(pk=chosen.pk).first()


def _given_values(reading: Reading, given: str | None) -> tuple[Value, ...]:
    """Return what an earlier run gave; what is stored apart is looked for on request only."""
    if given is None:
        return ()
    title, hint = _("Output"), _("taken over from the earlier run")
    if "ref" in (reading.run.seed or {}) and reading.address.show != "output":
        url = replace(reading.address, show="output").url
        return (Value(name="output", title=title, hint=hint, is_here=False, show_url=url),)
    outcome_ = (selectors.seed_of(reading.run).get("steps") or {}).get(reading.selected) or {}
    output = outcome_.get("output")
    if isinstance(output, Large):
        return (
            Value(
                name="output",
                title=title,
                hint=hint,
                missing=_("It is too large to be shown here: see the earlier run."),
            ),
        )
    return (Value(name="output", title=title, hint=hint, value=output),)


def _tabs(reading: Reading, tab: str, attempts: int, log_lines: int) -> tuple[Tab, ...]:
    version = reading.run.version
    setup = _("Setup at v%(number)d") % {"number": version.number} if version.number else _("Setup")
    return (
        _tab(reading, "attempts", _("Attempts"), attempts, tab == "attempts"),
        _tab(reading, "data", _("Data"), None, tab == "data"),
        _tab(reading, "log", _("Log"), log_lines, tab == "log"),
        _tab(reading, "setup", setup, None, tab == "setup"),
    )


def _tab(reading: Reading, name: str, label: str, count: int | None, selected: bool) -> Tab:
    chosen = replace(reading.address.selecting(reading.selected), attempt=reading.address.attempt)
    key = str(TABS.index(name) + 1)
    return Tab(name=name, label=label, count=count, url=replace(chosen, tab=name).url, selected=selected, key=key)


def _attempt(reading: Reading, row: Attempt, chosen: Attempt | None) -> AttemptLine:
    label = _("Attempt %(number)d") % {"number": row.attempt}
    return _line(reading, row, label, attempt=row.attempt, selected=chosen is not None and chosen.pk == row.pk)


def _line(reading: Reading, row: Attempt, label: str, *, attempt: int | None = None, selected: bool) -> AttemptLine:
    address = replace(reading.address.selecting(row.path), attempt=attempt)
    return AttemptLine(
        label=label,
        status=row.status,
        error=failure_words(row.error) if row.error else "",
        took_ms=milliseconds(row.started_at, row.finished_at) if row.finished_at else None,
        running_since=None if row.finished_at else row.started_at,
        started_at=row.started_at,
        after=_after(row),
        url=address.url,
        selected=selected,
    )


def _after(row: Attempt) -> str:
    """Return what followed a failed attempt."""
    if row.retry_at and row.finished_at:
        seconds = milliseconds(row.finished_at, row.retry_at) / 1_000
        return _("then waited %(seconds).1f s") % {"seconds": seconds}
    if row.status == StepStatus.FAILED and row.attempt > 1:
        return _("gave up after %(count)d tries") % {"count": row.attempt}
    return ""


def _error(reading: Reading, row: StepRun | None) -> StepError | None:
    if row is None or not row.error:
        return None
    inside = str(row.error.get("path") or "")
    is_unknown = row.error.get("kind") == FailureKind.OUTCOME_UNKNOWN
    url = reading.address.selecting(inside).url
    return StepError(
        kind=str(row.error.get("kind", "")),
        message=failure_words(row.error),
        hint=str(row.error.get("hint") or ""),
        # A person stopped it, or another step did: there was no fault that could stay or pass.
        again="" if row.status == StepStatus.CANCELLED and not is_unknown else again_words(row.error),
        at=Link(text=place_words(inside, reading.names), url=url) if inside else None,
    )


def _called(reading: Reading) -> Link | None:
    called = reading.calls.get(reading.selected)
    if called is None:
        return None
    url = reverse("run", args=[reading.run.tenant.slug, called.pk])
    return Link(text=f"{called.workflow.name} {short_id(called.pk)}", url=url, leaves=True)


def _log(row: StepRun | None) -> list[LogEntry]:
    lines = row.logs if row is not None and isinstance(row.logs, list) else []
    return [_entry(row, line) for line in lines if row is not None and isinstance(line, dict)]


def _entry(row: StepRun, line: Mapping[str, Any]) -> LogEntry:
    try:
        moment = parse_datetime(str(line.get("at", "")))
    except ValueError:
        moment = None
    offset = milliseconds(row.started_at, moment) / 1_000 if moment and moment.tzinfo else None
    return LogEntry(
        offset="" if offset is None else f"{int(offset // 60):02}:{offset % 60:05.2f}",
        level=str(line.get("level", "info")),
        message=str(line.get("text", "")),
    )

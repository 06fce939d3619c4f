"""One step of a run in full: its attempts, the data that went in and came out, its log and its setup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from orchestrator.types import JSONValue
from runs import selectors
from runs.models import Payload, Run, StepRun
from runs.outline import TRIGGER, StepOutline, action_words
from runs.overview import milliseconds
from runs.pages.timeline import Scene, outcome, select_url
from runs.pages.words import RESOLVED_WORDS, again_words, failure_words, trigger_words
from runs.states import StepStatus

TABS: Final = ("data", "log", "setup")
ATTEMPTS_SHOWN: Final = 50
LOG_LINES: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Value:
    """A JSON value, or the address of one too large for the page."""

    title: str
    hint: str
    value: JSONValue
    size: int | None
    url: str
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class AttemptLine:
    """One attempt in the inspector's list."""

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


@dataclass(frozen=True, kw_only=True)
class StepError:
    """An attempt's failure with its four parts."""

    kind: str
    message: str
    hint: str
    again: str


@dataclass(frozen=True, kw_only=True)
class Inspector:
    """What is shown of the selected step. ``mark`` changes whenever anything in it does."""

    name: str
    tile: str
    words: str
    status: str
    resolved: str
    tab: str
    tabs: tuple[Tab, ...]
    attempts: tuple[AttemptLine, ...]
    more_attempts: int
    error: StepError | None
    values: tuple[Value, ...]
    log: tuple[LogEntry, ...]
    more_log: int
    setup: JSONValue
    edit_url: str
    mark: str


def inspector(scene: Scene, steps: Sequence[StepOutline], *, attempt: int | None, tab: str) -> Inspector:
    """Return the inspector of the scene's selected step; two queries at the most."""
    tab = tab if tab in TABS else TABS[0]
    step = next((step for step in steps if step.key == scene.selected), None)
    if step is None or scene.selected == TRIGGER:
        return _of_trigger(scene, tab)
    return _of_step(scene, step, attempt=attempt, tab=tab)


def _of_trigger(scene: Scene, tab: str) -> Inspector:
    run = scene.run
    tab = "data" if tab == "setup" else tab
    values = (
        _value(
            run, _("Trigger"), _("what started the run"), run.trigger, run.trigger_ref, _sizes(run, [run.trigger_ref])
        ),
    )
    return Inspector(
        name=trigger_words(run.trigger_type),
        tile=run.trigger_type,
        words=_("Trigger") + (f" · {run.trigger_key}" if run.trigger_key else ""),
        status=StepStatus.SUCCEEDED,
        resolved="",
        tab="data",
        tabs=(_tab(scene, "data", _("Data"), None, True),),
        attempts=(),
        more_attempts=0,
        error=None,
        values=values,
        log=(),
        more_log=0,
        setup=None,
        edit_url="",
        mark="trigger",
    )


def _of_step(scene: Scene, step: StepOutline, *, attempt: int | None, tab: str) -> Inspector:
    attempts = scene.attempts.get(step.key, ())
    chosen = _chosen(attempts, attempt)
    full = selectors.step_rows(scene.run).filter(pk=chosen.pk).first() if chosen else None
    reused = scene.reused.get(step.key)
    log = _log(full)
    shown = attempts[-ATTEMPTS_SHOWN:]
    return Inspector(
        name=step.name,
        tile=step.action,
        words=_joined(action_words(step.action), step.credential or None, f"steps.{step.key}"),
        status=outcome(attempts, reused=reused is not None),
        resolved=_(RESOLVED_WORDS[full.resolved_as]) if full and full.resolved_as in RESOLVED_WORDS else "",
        tab=tab,
        tabs=_tabs(scene, tab, len(log)),
        attempts=tuple(_line(scene, one, shown, chosen) for one in shown),
        more_attempts=len(attempts) - len(shown),
        error=_error(full),
        values=_values(scene.run, full, reused),
        log=tuple(log[:LOG_LINES]),
        more_log=max(0, len(log) - LOG_LINES),
        setup=dict(step.config),
        edit_url=reverse("workflow-step", args=[scene.run.tenant.slug, scene.run.workflow_id, step.key]),
        mark=f"{step.key}-{len(attempts)}-{full.pk if full else 0}-{full.status if full else ''}-{len(log)}",
    )


def _chosen(attempts: Sequence[StepRun], number: int | None) -> StepRun | None:
    """Return the attempt to show: the one asked for, else the last."""
    if number is not None and 1 <= number <= len(attempts):
        return attempts[number - 1]
    return attempts[-1] if attempts else None


def _tabs(scene: Scene, tab: str, log_lines: int) -> tuple[Tab, ...]:
    version = scene.run.version
    setup = _("Setup at v%(number)d") % {"number": version.number} if version.number else _("Setup")
    return (
        _tab(scene, "data", _("Data"), None, tab == "data"),
        _tab(scene, "log", _("Log"), log_lines, tab == "log"),
        _tab(scene, "setup", setup, None, tab == "setup"),
    )


def _tab(scene: Scene, name: str, label: str, count: int | None, selected: bool) -> Tab:
    url = select_url(scene.base_url, scene.selected, tab=name)
    return Tab(name=name, label=label, count=count, url=url, selected=selected)


def _line(scene: Scene, step: StepRun, attempts: Sequence[StepRun], chosen: StepRun | None) -> AttemptLine:
    position = scene.attempts[step.key].index(step) + 1
    label = _("Attempt %(number)d") % {"number": step.attempt}
    return AttemptLine(
        label=f"{step.path}, {label.lower()}" if step.path != step.key else label,
        status=step.status,
        error=failure_words(step.error) if step.error else "",
        took_ms=milliseconds(step.started_at, step.finished_at) if step.finished_at else None,
        running_since=None if step.finished_at else step.started_at,
        started_at=step.started_at,
        after=_after(step),
        url=select_url(scene.base_url, step.key, attempt=position),
        selected=chosen is not None and chosen.pk == step.pk,
    )


def _after(step: StepRun) -> str:
    """Return what followed a failed attempt."""
    if step.retry_at and step.finished_at:
        seconds = milliseconds(step.finished_at, step.retry_at) / 1_000
        return _("then waited %(seconds).1f s") % {"seconds": seconds}
    if step.status == StepStatus.FAILED and step.attempt > 1:
        return _("gave up after %(count)d tries") % {"count": step.attempt}
    return ""


def _error(step: StepRun | None) -> StepError | None:
    if step is None or not step.error:
        return None
    return StepError(
        kind=str(step.error.get("kind", "")),
        message=failure_words(step.error),
        hint=str(step.error.get("hint") or ""),
        again=again_words(step.error),
    )


def _values(run: Run, step: StepRun | None, reused: Mapping[str, Any] | None) -> tuple[Value, ...]:
    if step is None and reused is not None:
        hint = _("taken over from the earlier run")
        return (Value(title=_("Output"), hint=hint, value=reused.get("output"), size=None, url=""),)
    if step is None:
        return ()
    sizes = _sizes(run, [step.inputs_ref, step.output_ref])
    nothing = "" if step.status == StepStatus.SUCCEEDED else _("This attempt gave no output.")
    if step.status in (StepStatus.RUNNING, StepStatus.WAITING):
        nothing = _("Not finished yet.")
    return (
        _value(run, _("Input"), _("what the step received"), step.inputs, step.inputs_ref, sizes),
        _value(run, _("Output"), _("what later steps can use"), step.output, step.output_ref, sizes, missing=nothing),
    )


def _value(
    run: Run, title: str, hint: str, value: JSONValue, ref: int | None, sizes: Mapping[int, int], *, missing: str = ""
) -> Value:
    if ref is None:
        return Value(title=title, hint=hint, value=value, size=None, url="", missing=missing if value is None else "")
    url = reverse("run-value", args=[run.tenant.slug, run.pk, ref])
    return Value(title=title, hint=hint, value=None, size=sizes.get(ref), url=url)


def _sizes(run: Run, refs: Sequence[int | None]) -> dict[int, int]:
    wanted = [ref for ref in refs if ref is not None]
    if not wanted:
        return {}
    rows = Payload.objects.for_tenant(run.tenant_id).filter(run=run, pk__in=wanted)
    return dict(rows.values_list("pk", "size"))


def _log(step: StepRun | None) -> list[LogEntry]:
    lines = step.logs if step is not None and isinstance(step.logs, list) else []
    return [_entry(step, line) for line in lines if step is not None and isinstance(line, dict)]


def _entry(step: StepRun, line: Mapping[str, Any]) -> LogEntry:
    try:
        moment = parse_datetime(str(line.get("at", "")))
    except ValueError:
        moment = None
    offset = milliseconds(step.started_at, moment) / 1_000 if moment and moment.tzinfo else None
    return LogEntry(
        offset="" if offset is None else f"{int(offset // 60):02}:{offset % 60:05.2f}",
        level=str(line.get("level", "info")),
        message=str(line.get("message", "")),
    )


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)

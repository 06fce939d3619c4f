"""What the last test of a step gave, one part of it at a time: error, output, input or log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator.types import JSONValue
from orchestrator.words import duration
from runs import samples, selectors
from runs.models import StepRun
from runs.pages.words import RESOLVED_WORDS, again_words
from runs.states import StepStatus

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

LOG_LINES: Final = 200
_FAILED: Final = (StepStatus.FAILED, StepStatus.LOST)
_WORDS: Final[Mapping[str, str]] = {
    StepStatus.SUCCEEDED: noop("Test passed"),
    StepStatus.FAILED: noop("Test failed"),
    StepStatus.LOST: noop("Interrupted"),
}
_TABS: Final[Mapping[str, str]] = {
    "error": noop("Error"),
    "output": noop("Output"),
    "input": noop("Input"),
    "log": noop("Log"),
    "success": noop("Last success"),
    "failure": noop("Last failure"),
}


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One part of a result and the address that shows it; ``count`` is of log lines."""

    name: str
    words: str
    url: str
    current: bool
    count: int = 0


@dataclass(frozen=True, kw_only=True)
class Told:
    """How an attempt failed, in words."""

    message: str
    hint: str
    again: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """The last attempt of a step: where it stands, and the part of it that is shown.

    ``value`` is that part's JSON where ``has_value``, ``told`` an error, ``log`` lines. ``other`` is the attempt that a
    tab of an earlier success or failure shows.
    """

    status: str
    word: str
    took: str
    at: datetime
    resolved: str
    run_url: str
    tabs: tuple[Tab, ...]
    shown: str
    told: Told | None = None
    has_value: bool = False
    value: JSONValue = None
    is_large: bool = False
    log: tuple[str, ...] = ()
    other_at: datetime | None = None
    other_url: str = ""

    @property
    def is_running(self) -> bool:
        return self.status == StepStatus.RUNNING


def result_of(board: Board, key: str, *, wanted: str = "") -> Result | None:
    """Return the last attempt of a step with the part ``wanted`` of it; None before the first."""
    short = board.attempts.get(key)
    row = StepRun.objects.for_tenant(board.tenant).filter(pk=short.pk).first() if short else None
    if row is None:
        return None
    is_success = row.status == StepStatus.SUCCEEDED
    other_wanted = _FAILED if is_success else (StepStatus.SUCCEEDED,)
    other = samples.last_attempt(board.workflow, key, other_wanted, paths=board.sample_paths)
    names = _names(row, other)
    shown = wanted if wanted in names else next(iter(names), "")
    told_of = other if shown in ("success", "failure") else row
    assert told_of is not None
    status = str(row.status)
    return Result(
        status=status,
        word=_(_WORDS[status]) if status in _WORDS else "",
        took=duration(selectors.duration_ms(row.started_at, row.finished_at)),
        at=row.started_at,
        resolved=_(RESOLVED_WORDS[row.resolved_as]) if row.resolved_as in RESOLVED_WORDS else "",
        run_url=_run_url(board, row),
        tabs=tuple(_tab(board, row, name, shown) for name in names),
        shown=shown,
        told=told_by(told_of) if shown in ("error", "failure") else None,
        has_value=shown in ("output", "input", "success"),
        value=told_of.inputs if shown == "input" else told_of.output,
        is_large=(told_of.inputs_ref if shown == "input" else told_of.output_ref) is not None,
        log=_lines(row) if shown == "log" else (),
        other_at=told_of.started_at if told_of is not row else None,
        other_url=_run_url(board, told_of) if told_of is not row else "",
    )


def _names(row: StepRun, other: StepRun | None) -> list[str]:
    """Return the parts that there are, the one that answers most first."""
    is_success = row.status == StepStatus.SUCCEEDED
    there = {
        "error": bool(row.error) and not is_success,
        "output": is_success,
        "input": row.inputs is not None or row.inputs_ref is not None,
        "log": bool(row.logs),
        "success": other is not None and not is_success,
        "failure": other is not None and is_success,
    }
    return [name for name, is_there in there.items() if is_there]


def _tab(board: Board, row: StepRun, name: str, shown: str) -> Tab:
    return Tab(
        name=name,
        words=_(_TABS[name]),
        url=f"{board.url('workflow-step', row.key)}?{urlencode({'show': name})}",
        current=name == shown,
        count=len(row.logs or ()) if name == "log" else 0,
    )


def told_by(row: StepRun) -> Told:
    """Return how an attempt failed, in words."""
    error = row.error or {}
    return Told(
        message=str(error.get("message", "")),
        hint=str(error.get("hint", "")),
        again=again_words(row.error) if row.failure_kind else "",
    )


def _lines(row: StepRun) -> tuple[str, ...]:
    return tuple(str(line.get("text", "")) for line in (row.logs or [])[-LOG_LINES:])


def _run_url(board: Board, row: StepRun) -> str:
    return f"{reverse('run', args=[board.tenant.slug, row.run_id])}?{urlencode({'step': row.path})}"

"""What the two requests of a comparison were answered: the last test of either, side by side, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator.builder.board import Board
from orchestrator.builder.results import Told, told_by
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition, steps_replaced
from orchestrator.types import JSONValue
from orchestrator.words import duration
from runs import samples, selectors
from runs.models import Run, StepRun
from runs.outline import sample_paths, tree
from runs.pages.differences import Differences, differences
from runs.paths import key_of_path
from runs.states import RUN_TERMINAL, StepStatus

MAX_DIFFERENCES: Final = 40
_FAILED: Final = (StepStatus.FAILED, StepStatus.LOST)
_TERMINAL: Final = frozenset(status.value for status in RUN_TERMINAL)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The last test of one of the two; ``is_old`` says that something else was sent then."""

    status: str
    at: datetime
    took: str
    run_url: str
    is_old: bool
    told: Told | None
    has_value: bool
    value: JSONValue = None
    is_large: bool = False


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Both answers, and what differs between the output of the action and the body of the HTTP step's."""

    action: Answer | None
    http: Answer | None
    found: Differences | None
    note: str = ""


def answers_of(board: Board, step: StepDefinition, variant: StepDefinition | None) -> Answers:
    """Return what the last test of a step and of its ``variant`` in its place gave."""
    action = _answer(board, board.attempts.get(step.key), step)
    http = _answer(board, _attempt_of(board, step, variant), variant) if variant else None
    if action is None or http is None or not (action.has_value and http.has_value):
        return Answers(action=action, http=http, found=None)
    if action.is_large or http.is_large:
        note = _("Large answers are not held against each other here: open each in its run.")
        return Answers(action=action, http=http, found=None, note=note)
    body = http.value.get("body") if isinstance(http.value, Mapping) else http.value
    found = differences(body, action.value)
    more = found.more + len(found.shown[MAX_DIFFERENCES:])
    note = "" if found.shown else _("The action gives the very body of the answer.")
    return Answers(
        action=action, http=http, found=Differences(shown=found.shown[:MAX_DIFFERENCES], more=more), note=note
    )


def _attempt_of(board: Board, step: StepDefinition, variant: StepDefinition) -> StepRun | None:
    """Return the last test of a step that is not in the draft, but was run in the place of one."""
    steps = steps_replaced(board.definition.steps, step.key, variant) or ()
    paths = sample_paths(tree({"steps": [each.model_dump(mode="json") for each in steps]}))
    own = [path for path in paths if key_of_path(path) == variant.key]
    return samples.last_attempts(board.workflow, paths=own).get(variant.key)


def _answer(board: Board, short: StepRun | None, step: StepDefinition) -> Answer | None:
    if short is None:
        return None
    rows = StepRun.objects.for_tenant(board.tenant).filter(pk=short.pk)
    row = rows.defer("logs", "inputs").select_related("run__version").first()
    if row is None:
        return None
    status = str(row.status)
    return Answer(
        status=status,
        at=row.started_at,
        took=duration(selectors.duration_ms(row.started_at, row.finished_at)),
        run_url=f"{reverse('run', args=[board.tenant.slug, row.run_id])}?{urlencode({'step': row.path})}",
        is_old=not _is_same(row.run, step),
        told=told_by(row) if row.error and status in _FAILED else None,
        has_value=status == StepStatus.SUCCEEDED,
        value=row.output,
        is_large=row.output_ref is not None,
    )


def _is_same(run: Run, step: StepDefinition) -> bool:
    """Whether a run had a step as it is now: the same action with the same inputs and credential."""
    definition = WorkflowDefinition.model_validate(run.version.definition)
    then = next((each for _path, each in definition.walk() if each.key == step.key), None)
    return then is not None and _asked(then) == _asked(step)


def _asked(step: StepDefinition) -> tuple[object, ...]:
    return step.action, step.credential, step.config.inputs


def stopped(board: Board) -> str:
    """Return why the test that the address names never came to its step, empty where it did."""
    text = board.request.GET.get("testing", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return ""
    rows = Run.objects.for_tenant(board.tenant).filter(workflow=board.workflow, pk=int(text), status__in=_TERMINAL)
    run = rows.filter(steps=None).first()
    return str((run.error or {}).get("message", "")) if run else ""

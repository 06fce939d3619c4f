"""A lane moved into its own workflow, in the builder: what would move is shown first, or why it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from orchestrator.builder.board import Board, board_of
from orchestrator.builder.called import extract_url
from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.flow.definition import StepDefinition, walk_steps
from orchestrator.flow.extracting import Extracted
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows.extracting import MAX_NAME, lane_extract, lane_extraction
from runs.outline import lane_words

# What a page shows of a lane that may hold hundreds.
MAX_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class LaneChoice:
    """A lane that holds steps, to be chosen."""

    words: str
    count: int
    url: str


@dataclass(frozen=True, kw_only=True)
class Moving:
    """A lane that is about to move: ``steps`` are the titles of the first of ``count``, ``handed`` what the call hands.

    With ``reasons`` it cannot.
    """

    lane: str
    words: str
    name: str
    count: int
    steps: Sequence[str] = ()
    handed: Sequence[str] = ()
    reasons: Sequence[str] = ()

    @property
    def more(self) -> int:
        return self.count - len(self.steps)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def step_extract(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Show what of a step's ``lane`` would move, or its lanes to choose one; a POST moves it."""
    board = board_of(request, actor, pk)
    step = board.by_key.get(key)
    if step is None:
        raise NotFound(_("There is no step %(key)s in this workflow.") % {"key": key[:80]})
    given = request.POST if request.method == "POST" else request.GET
    holding = [name for name, inner in step.lanes.items() if inner]
    lane = given.get("lane", holding[0] if len(holding) == 1 else "")
    if lane not in holding:
        return _shown(board, step, choices=_choices(board, step, holding))
    if request.method == "POST":
        return _moved(board, step, lane)
    try:
        found = lane_extraction(board.workflow, key, lane)
    except Invalid as error:
        return _shown(board, step, moving=_moving(board, step, lane, refused=error))
    return _shown(board, step, moving=_moving(board, step, lane, found=found))


def _moved(board: Board, step: StepDefinition, lane: str) -> HttpResponse:
    """Move a lane, and lead to the call in its place."""
    request, name = board.request, _name(board, step, lane)
    revision = request.POST.get("revision", "")
    if_match = int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 19 else None
    try:
        made = lane_extract(
            actor=board.actor, workflow=board.workflow, key=step.key, lane=lane, name=name, if_match=if_match
        )
    except Conflict as error:
        messages.error(request, error.message)
        return redirect(extract_url(board, step, lane))
    except Invalid as error:
        return _shown(board, step, moving=_moving(board, step, lane, refused=error), status=400)
    count = _count(step, lane)
    said = ngettext(
        "%(count)d step moved into “%(name)s”. Publish that workflow first: until then the step that calls it fails. "
        "Undo brings the step back here.",
        "%(count)d steps moved into “%(name)s”. Publish that workflow first: until then the step that calls it fails. "
        "Undo brings the steps back here.",
        count,
    )
    messages.success(request, said % {"count": count, "name": made.name})
    return redirect(board.url("workflow-step", step.lanes[lane][-1].key))


def _choices(board: Board, step: StepDefinition, holding: Sequence[str]) -> list[LaneChoice]:
    return [
        LaneChoice(words=lane_words(step.action, name), count=_count(step, name), url=extract_url(board, step, name))
        for name in holding
    ]


def _count(step: StepDefinition, lane: str) -> int:
    return sum(1 for _path, _step in walk_steps(lane, step.lanes[lane]))


def _name(board: Board, step: StepDefinition, lane: str) -> str:
    """Return what the new workflow is called; a long name leaves room for the lane's."""
    words = lane_words(step.action, lane)
    return f"{board.workflow.name[: MAX_NAME - 3 - len(words)]} · {words}"


def _moving(
    board: Board,
    step: StepDefinition,
    lane: str,
    *,
    found: Extracted | None = None,
    refused: Invalid | None = None,
) -> Moving:
    reasons = dict.fromkeys(problem.message for problem in refused.problems) if refused else {}
    if refused and not reasons:
        reasons = {refused.message: None}
    return Moving(
        lane=lane,
        words=lane_words(step.action, lane),
        name=_name(board, step, lane),
        count=_count(step, lane),
        steps=[board.title(held) for _path, held in walk_steps(lane, step.lanes[lane])][:MAX_SHOWN],
        handed=_handed(found) if found else (),
        reasons=list(reasons)[:MAX_SHOWN],
    )


def _handed(found: Extracted) -> list[str]:
    """Return what the call hands over, as it is written."""
    payload = found.payload or {}
    steps = payload.get("steps")
    names = [f"steps.{key}" for key in steps] if isinstance(steps, dict) else []
    return [*(root for root in payload if root != "steps"), *names][:MAX_SHOWN]


def _shown(
    board: Board,
    step: StepDefinition,
    *,
    choices: Sequence[LaneChoice] = (),
    moving: Moving | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "workflow": board.workflow,
        "step": step,
        "title": board.title(step),
        "choices": choices,
        "moving": moving,
    }
    return page(
        board.request, board.actor, "builder/extract.html", context, nav="workflow-list", narrow=True, status=status
    )

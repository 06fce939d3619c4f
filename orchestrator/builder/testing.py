"""Tests of one step in the builder: what is asked before one, what is run before it, and waiting for its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from integrations.registry import registry
from orchestrator.builder.board import Board, board_of
from orchestrator.builder.data import place_of
from orchestrator.builder.panels import StepPanel
from orchestrator.errors import ServiceError
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.expressions import ExpressionError, compile_template, find_templates
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from runs import services
from runs.models import Run
from runs.patience import wait_for_end
from runs.samples import data_choose
from runs.states import RUN_TERMINAL

# How long a test may hold its request, so that its result is there at once, without a script too.
TEST_SECONDS: Final = 2.5
_TERMINAL: Final = frozenset(status.value for status in RUN_TERMINAL)
_SENDING: Final = ("create", "update", "delete")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked before a test: ``first`` whether to run the steps before it, ``send`` whether it may really act.

    ``words`` say why, and ``press`` is on the button; ``then`` is what that posts.
    """

    words: str
    press: str
    then: str


@require_POST
@tenant_page(Role.EDITOR)
def step_test(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Run one step of the draft with the stored data of those before it."""
    board = board_of(request, actor, pk)
    board.step(key)
    return test_step(board, key, "test")


def test_step(board: Board, key: str, then: str) -> HttpResponse:
    """Test a step: ``test``, after a question if one is due; ``send`` answers it, ``first`` runs what comes before."""
    query: dict[str, Any] = {"run": board.mended.pk} if board.mended else {}
    if then == "test" and question(board, key) is not None:
        return _there(board, key, {**query, "ask": "1"})
    try:
        if board.mended is not None:
            data_choose(actor=board.actor, workflow=board.workflow, run=board.mended)
        start = services.run_start_until if then == "first" else services.step_test
        started = start(actor=board.actor, workflow=board.workflow, key=key)
    except ServiceError as error:
        messages.error(board.request, error.message)
        return _there(board, key, query)
    if not has_ended(started):
        query["testing"] = started.pk
    elif then == "first" and started.refresh().error:
        messages.error(board.request, _("The steps before it were run, and one of them failed: %(why)s") % {
            "why": started.error.get("message", ""),
        })  # fmt: skip
    return _there(board, key, query)


def _there(board: Board, key: str, query: Mapping[str, Any]) -> HttpResponse:
    at = board.url("workflow-step", key)
    return redirect(f"{at}?{urlencode(query)}" if query else at)


def question(board: Board, key: str) -> Question | None:
    """Return what has to be asked before a test of a step, None when nothing has."""
    step = board.by_key[key]
    words = missing_before(board, step)
    if words:
        before = [each for each, _is_sure in (place_of(board.definition.steps, key) or _NOWHERE).before]
        sends = [board.numbers[each.key] for each in before if really_acts(each)]
        if sends:
            words += " " + _("Of the steps before it, %(numbers)s really acts.") % {"numbers": _listed(sends)}
        return Question(words=words, press=_("Run the steps before it"), then="first")
    if key not in board.attempts and really_acts(step):
        words = _("This test really does it: %(what)s. It is not asked again.") % {"what": board.title(step)}
        return Question(words=words, press=_("Do it"), then="send")
    return None


class _Nowhere:
    before: tuple[tuple[StepDefinition, bool], ...] = ()


_NOWHERE: Final = _Nowhere()


def missing_before(board: Board, step: StepDefinition) -> str:
    """Return in words which of the earlier steps that a step reads have given nothing yet, empty where all have."""
    place = place_of(board.definition.steps, step.key)
    before = {each.key for each, _is_sure in place.before} if place else set()
    _trigger, outputs = board.samples
    missing = sorted(board.numbers[key] for key in read_by(step) & before if key not in outputs)
    if not missing:
        return ""
    return _("It reads what step %(numbers)s gives, which has not run yet.") % {"numbers": _listed(missing)}


def read_by(step: StepDefinition) -> set[str]:
    """Return the keys of the steps whose data a step's inputs read."""
    found: set[str] = set()
    for _path, text in find_templates(step.config.inputs):
        try:
            references = compile_template(text).references
        except ExpressionError:
            continue
        found |= {str(reference.parts[0]) for reference in references if reference.root == "steps" and reference.parts}
    return found


def really_acts(step: StepDefinition) -> bool:
    """Whether a step changes something outside, as far as can be told before it runs."""
    action = registry.get(step.action)
    if action is None or action.effect not in _SENDING or step.config.skip:
        return False
    if action.reads_when is None:
        return True
    inputs: dict[str, Any] = dict(step.config.inputs)
    try:
        return not action.reads_when(action.input_schema.model_construct(**inputs))
    except Exception:
        # Inputs that are not filled in yet, or hold expressions: it may act.
        return True


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def has_ended(started: Run) -> bool:
    """Wait for a test's end, for a moment: most are over before a page could ask again."""
    return wait_for_end(started.tenant_id, started.pk, TEST_SECONDS)


def polling(board: Board, panel: StepPanel) -> dict[str, Any]:
    """Return where a test's result is asked for, the test that has not ended yet, and what is asked before one."""
    at = board.url("workflow-step", panel.key)
    testing = under_way(board)
    asks = "ask" in board.request.GET and testing is None and board.actor.may(Role.EDITOR)
    return {
        "testing": testing,
        "poll_url": f"{at}?{urlencode({'testing': testing.pk})}" if testing else at,
        "question": question(board, panel.key) if asks else None,
    }


def under_way(board: Board) -> Run | None:
    """Return the test that the address names while it has not ended: its result is not the last one's yet."""
    text = board.request.GET.get("testing", "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    rows = Run.objects.for_tenant(board.tenant).filter(workflow=board.workflow, pk=int(text))
    return rows.exclude(status__in=_TERMINAL).only("tenant_id", "status").first()

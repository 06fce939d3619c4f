"""The builder's views: one workflow's draft, looked at and changed one step or trigger at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from integrations.registry import registry
from orchestrator import jsongate
from orchestrator.builder import data, picker, step_form
from orchestrator.builder.arranging import after
from orchestrator.builder.board import BACKOFFS, METHODS, Board
from orchestrator.builder.panels import RULE_FIELDS, StepPanel, TriggerPanel
from orchestrator.builder.readable import as_json
from orchestrator.builder.step_facts import fingerprint, input_schema
from orchestrator.errors import Conflict, Invalid, ServiceError
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, require, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page
from orchestrator.types import JSONValue
from orchestrator.workflows import edits
from orchestrator.workflows.models import Workflow
from runs import services as run_services
from runs.models import Run
from runs.selectors import last_trigger
from runs.states import RUN_TERMINAL

# How long a test may hold its request, so that its result is there at once, without a script too.
TEST_SECONDS: Final = 2.5
_LOOK_SECONDS: Final = 0.03
_TERMINAL: Final = frozenset(status.value for status in RUN_TERMINAL)
MAX_TEXT: Final = 200_000


@require_safe
@tenant_page()
def workflow(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the draft with its first step open, or its trigger while there is no step."""
    board = _board(request, actor, pk)
    first = next(iter(board.by_key), None)
    if first is not None:
        return _page(board, step=board.step(first), chosen=False)
    if board.definition.triggers:
        return _page(board, trigger=board.trigger(board.definition.triggers[0].key), chosen=False)
    return _page(board, chosen=False)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def step(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Show a step's form, or save it; ``then=test`` tests it after that."""
    board = _board(request, actor, pk)
    if request.method == "POST":
        require(actor, Role.EDITOR)
        return _save(board, key)
    panel = board.step(key)
    if is_fragment(request):
        context = {"step": panel, "result": panel.result, "standing": board.standing(key), **_polling(board, panel)}
        return fragment(request, actor, "builder/_result.html", context)
    return _page(board, step=panel)


def _save(board: Board, key: str) -> HttpResponse:
    """Save what was posted; what cannot be read is shown again as it was typed."""
    request, stored = board.request, board.by_key[board.step(key).key]
    typed = _texts(request)
    try:
        typed["config"] = {"inputs": _inputs(request, stored.action)}
        typed["config"] = {**stored.config.model_dump(mode="json"), **typed["config"], **_rule(request, stored)}
        edits.step_update(
            actor=board.actor, workflow=board.workflow, key=key, changes=typed, if_match=_revision(board, stored)
        )
    except step_form.Unreadable as error:
        typed |= {"config": {"inputs": error.inputs}, "texts": error.texts, "rule": _rule_texts(request)}
        return _refused(board, key, typed, errors=error.messages, said=_("It was not saved."))
    except _WrongRule as error:
        typed["rule"] = _rule_texts(request)
        return _refused(board, key, typed, errors={error.field: str(error)}, said=_("It was not saved."))
    except Conflict:
        said = _(
            "Somebody changed this step meanwhile, so it was not saved. What you typed is still here: "
            "press Save to put it over theirs, or reload the page to see theirs."
        )
        typed["rule"] = _rule_texts(request)
        return _refused(board, key, typed, said=said, status=409)
    except Invalid as error:
        return _refused(board, key, typed, said=error.message)
    if request.headers.get("Accept") == "application/json":
        return _saved_json(board, key)
    if request.POST.get("then") == "test":
        return _test(board, key)
    return redirect("workflow-step", board.tenant.slug, board.workflow.pk, key)


def _saved_json(board: Board, key: str) -> HttpResponse:
    """Answer a script: the new revision, and what is still wrong at which field."""
    after = _board(board.request, board.actor, board.workflow.pk)
    panel = after.step(key)
    status, fact = after.standing(key)
    return JsonResponse(
        {
            "revision": after.workflow.revision,
            "seen": panel.seen,
            "title": panel.title,
            "status": status,
            "fact": fact,
            "rule": panel.rule,
            "reads": {field.name: as_json(field.reads) for field in (*panel.fields, *panel.folded)},
            "problems": {finding.field: finding.message for finding in reversed(panel.problems)},
            "summary": render_to_string("builder/_problems.html", {"step": panel}),
            **{name: after.header()[name] for name in ("changes", "blocking")},
        }
    )


def _refused(
    board: Board,
    key: str,
    typed: Mapping[str, Any],
    *,
    errors: Mapping[str, str] | None = None,
    said: str,
    status: int = 400,
) -> HttpResponse:
    if board.request.headers.get("Accept") == "application/json":
        revision = board.workflow.refresh().revision
        return JsonResponse({"message": said, "problems": dict(errors or {}), "revision": revision}, status=status)
    fresh = _board(board.request, board.actor, board.workflow.pk)
    return _page(fresh, step=fresh.step(key, posted=typed, errors=errors, said=said), status=status)


class _WrongRule(Exception):
    """A number of the failure rule that is none; ``field`` is its control's name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _texts(request: HttpRequest) -> dict[str, Any]:
    """Return the posted fields that any text suits."""
    post = request.POST
    found: dict[str, Any] = {name: _clean(post[name]).strip() for name in ("name", "notes") if name in post}
    if "credential" in post:
        found["credential"] = _clean(post["credential"]).strip() or None
    return found


def _inputs(request: HttpRequest, action: str) -> dict[str, JSONValue]:
    """Return the posted inputs. Raises Unreadable."""
    posted = {name: [_clean(text) for text in request.POST.getlist(name)] for name in request.POST}
    return step_form.parse(input_schema(registry.get(action)), posted)


def _rule(request: HttpRequest, stored: StepDefinition) -> dict[str, Any]:
    """Return what the step does when it fails, and when it is left out. Raises _WrongRule."""
    post = request.POST
    if "on_error" not in post:
        return {}
    retry = stored.config.retry.model_dump(mode="json") if stored.config.retry else None
    return {
        "retry": _retry(post, retry),
        "timeout": _number(post, "timeout", low=0.1, high=86_400),
        "on_error": "continue" if post.get("on_error") == "continue" else "fail",
        "run_if": _clean(post.get("run_if", "")).strip() or None,
    }


def _rule_texts(request: HttpRequest) -> dict[str, str]:
    """Return the failure rule as it was typed."""
    return {name: _clean(request.POST[name])[:200] for name in RULE_FIELDS if name in request.POST}


def _retry(post: Mapping[str, str], stored: Mapping[str, Any] | None) -> dict[str, Any] | None:
    attempts = _number(post, "retry_attempts", low=1, high=20)
    delay = _number(post, "retry_delay", low=0, high=86_400)
    backoff = post.get("retry_backoff", "")
    if attempts is None and delay is None and backoff not in BACKOFFS:
        return None
    # What was emptied goes back to its default; what the form does not show stays.
    found = {name: value for name, value in (stored or {}).items() if name not in ("max_attempts", "delay")}
    if attempts is not None:
        found["max_attempts"] = round(attempts)
    if delay is not None:
        found["delay"] = delay
        found["max_delay"] = max(delay, float(found.get("max_delay") or 60.0))
    if backoff in BACKOFFS:
        found["backoff"] = backoff
    return found


def _number(post: Mapping[str, str], name: str, *, low: float, high: float) -> float | None:
    text = post.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise _WrongRule(name, _("Enter a number from %(low)g to %(high)g.") % {"low": low, "high": high})
    return value


def _clean(text: str) -> str:
    """Return posted text without what no database keeps, cut where nobody types."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:MAX_TEXT]


def _revision(board: Board, stored: StepDefinition) -> int | None:
    """Return the revision that a save expects: the one just read, if the step is still as the form knew it.

    So a change elsewhere in the workflow stops nobody; one between that reading and the save still does.
    """
    text = board.request.POST.get("revision", "")
    if not (text.isdecimal() and len(text) < 19):
        return None
    return board.workflow.revision if board.request.POST.get("seen") == fingerprint(stored) else int(text)


@require_POST
@tenant_page(Role.EDITOR)
def step_test(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Run one step of the draft with the stored data of those before it."""
    board = _board(request, actor, pk)
    board.step(key)
    return _test(board, key)


def _test(board: Board, key: str) -> HttpResponse:
    try:
        started = run_services.step_test(actor=board.actor, workflow=board.workflow, key=key)
    except ServiceError as error:
        messages.error(board.request, error.message)
    else:
        if not _has_ended(started):
            at = reverse("workflow-step", args=[board.tenant.slug, board.workflow.pk, key])
            return redirect(f"{at}?{urlencode({'testing': started.pk})}")
    return redirect("workflow-step", board.tenant.slug, board.workflow.pk, key)


def _has_ended(started: Run) -> bool:
    """Wait for a test's end, for a moment: most are over before a page could ask again."""
    end = time.monotonic() + TEST_SECONDS
    rows = Run.objects.for_tenant(started.tenant_id).filter(pk=started.pk)
    while time.monotonic() < end:
        if rows.values_list("status", flat=True).first() in _TERMINAL:
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _testing(board: Board) -> Run | None:
    """Return the test that the address names while it has not ended: its result is not the last one's yet."""
    text = board.request.GET.get("testing", "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    rows = Run.objects.for_tenant(board.tenant).filter(workflow=board.workflow, pk=int(text))
    return rows.exclude(status__in=_TERMINAL).only("tenant_id", "status").first()


@require_POST
@tenant_page(Role.EDITOR)
def workflow_test(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Run the whole draft with a given body, or with the last one, and show the run."""
    board = _board(request, actor, pk)
    try:
        payload = _payload(board)
        started = run_services.run_start_by_actor(
            actor=actor, workflow=board.workflow, payload=payload, version="draft"
        )
    except jsongate.BadJSON as error:
        key = request.POST.get("trigger", "")
        said = _("This was not taken: %(why)s. It was not sent.") % {"why": error}
        if key and any(trigger.key == key for trigger in board.definition.triggers):
            typed = _clean(request.POST.get("payload", ""))
            return _page(board, trigger=board.trigger(key, error=said, sample=typed), status=400)
        messages.error(request, said)
        return redirect("workflow", board.tenant.slug, board.workflow.pk)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow", board.tenant.slug, board.workflow.pk)
    return redirect("run", actor.tenant.slug, started.pk)


def _payload(board: Board) -> JSONValue:
    """Return the posted body, else that of the last run. Raises BadJSON."""
    text = board.request.POST.get("payload")
    if text is None:
        return (last_trigger(board.workflow) or {}).get("body")
    return jsongate.loads(_clean(text).encode()) if text.strip() else None


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def trigger(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Show a trigger, or save which methods it takes."""
    board = _board(request, actor, pk)
    panel = board.trigger(key)
    if request.method != "POST":
        return _page(board, trigger=panel)
    require(actor, Role.EDITOR)
    stored = next(each for each in board.definition.triggers if each.key == key)
    if stored.type is not TriggerType.WEBHOOK:
        said = _("Nothing was saved: a trigger of this type takes no methods. Change it through the API.")
        return _page(board, trigger=board.trigger(key, error=said), status=400)
    chosen = [method for method in METHODS if method in request.POST.getlist("methods")]
    config: dict[str, Any] = {**stored.config, "methods": chosen or ["POST"]}
    try:
        edits.trigger_update(actor=actor, workflow=board.workflow, key=key, config=config)
    except ServiceError as error:
        return _page(board, trigger=board.trigger(key, error=error.message), status=400)
    return redirect("workflow-trigger", actor.tenant.slug, pk, key)


@require_POST
@tenant_page(Role.EDITOR)
def trigger_add(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Add a trigger of a type."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    kind = TriggerType.MANUAL if request.POST.get("type") == "manual" else TriggerType.WEBHOOK
    try:
        made = edits.trigger_add(actor=actor, workflow=found, type=kind)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, pk)
    return redirect("workflow-trigger", actor.tenant.slug, pk, made.key)


@require_POST
@tenant_page(Role.EDITOR)
def trigger_remove(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Take a trigger out of the draft."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    return after(request, actor, found, "", lambda: edits.trigger_remove(actor=actor, workflow=found, key=key))


def _board(request: HttpRequest, actor: Actor, pk: int) -> Board:
    return Board(request, actor, get_for_tenant_or_404(Workflow, actor.tenant, pk=pk))


def _polling(board: Board, panel: StepPanel) -> dict[str, Any]:
    """Return where a test's result is asked for, and the test that has not ended yet."""
    at = board.url("workflow-step", panel.key)
    testing = _testing(board)
    return {"testing": testing, "poll_url": f"{at}?{urlencode({'testing': testing.pk})}" if testing else at}


def _page(
    board: Board,
    *,
    step: StepPanel | None = None,
    trigger: TriggerPanel | None = None,
    chosen: bool = True,
    status: int = 200,
) -> HttpResponse:
    selected = step.key if step else ""
    context = {
        "workflow": board.workflow,
        "head": board.header(),
        "triggers": board.triggers(trigger.key if trigger else ""),
        "cards": board.cards(selected),
        "first_url": board.add_url(first="1"),
        "count": len(board.steps),
        "step": step,
        "result": step.result if step else None,
        "trigger": trigger,
        "sources": data.sources(board, step.key) if step else [],
        "run_facts": picker.run_facts(data.links(board, step.key)) if step else "",
        "numbers": json.dumps({**board.numbers, "trigger": 1}) if step else "",
        "chosen": chosen,
        **(_polling(board, step) if step else {}),
    }
    return page(
        board.request, board.actor, "builder/builder.html", context, nav="workflow-list", narrow=True, status=status
    )

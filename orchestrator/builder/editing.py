"""The builder's views: one workflow's draft, looked at and changed one step or trigger at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from pydantic import ValidationError

from integrations.registry import registry
from orchestrator.builder import data, fitting, folding, form_reading, picker
from orchestrator.builder.as_text import as_text, condition
from orchestrator.builder.board import BACKOFFS, Board, board_of
from orchestrator.builder.broken import put_instead
from orchestrator.builder.listening import using
from orchestrator.builder.outline import outline, tested
from orchestrator.builder.panels import RULE_FIELDS, StepPanel, TriggerPanel
from orchestrator.builder.readable import as_json
from orchestrator.builder.step_facts import fingerprint, input_schema
from orchestrator.builder.testing import polling, test_step
from orchestrator.builder.trigger_panel import trigger_panel
from orchestrator.errors import Conflict, Invalid, ServiceError
from orchestrator.flow.definition import StepDefinition
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, require, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page
from orchestrator.types import JSONValue
from orchestrator.workflows import edits
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.services import workflow_patch
from runs import services as run_services

MAX_THEIRS: Final = 300
MAX_TEXT: Final = 200_000


@require_safe
@tenant_page()
def workflow(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the draft with its first step open, or its trigger while there is no step."""
    board = board_of(request, actor, pk)
    first = next(iter(board.by_key), None)
    if first is not None:
        return builder_page(board, step=board.step(first), chosen=False)
    if board.definition.triggers:
        return builder_page(board, trigger=trigger_panel(board, board.definition.triggers[0].key), chosen=False)
    return builder_page(board, chosen=False)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def step(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Show a step's form, or save it; ``then=test`` tests it after that."""
    board = board_of(request, actor, pk)
    if request.method == "POST":
        require(actor, Role.EDITOR)
        return _save(board, key)
    panel = board.step(key)
    if is_fragment(request):
        context = {"step": panel, "result": panel.result, "standing": board.standing(key), "tested": tested(board)}
        return fragment(request, actor, "builder/_result.html", {**context, **polling(board, panel)})
    return builder_page(board, step=panel)


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
    except form_reading.Unreadable as error:
        typed |= {"config": {"inputs": error.inputs}, "texts": error.texts, "rule": _rule_texts(request)}
        return _refused(board, key, typed, errors=error.messages, said=_("It was not saved."))
    except _WrongRule as error:
        typed["rule"] = _rule_texts(request)
        return _refused(board, key, typed, errors={error.field: str(error)}, said=_("It was not saved."))
    except Conflict:
        # An answer that was lost on its way makes no conflict of the same save sent again.
        if not _is_stored(board, key, typed):
            return _told_apart(board, key, typed)
    except Invalid as error:
        return _refused(board, key, typed, said=error.message)
    if request.headers.get("Accept") == "application/json":
        return _saved_json(board, key)
    then = request.POST.get("then", "")
    if then in ("test", "send", "first"):
        return test_step(board_of(request, board.actor, board.workflow.pk), key, then)
    if then == "again" and board.mended is not None:
        return _again(board, key)
    at = board.url("workflow-step", key)
    _nothing, field = put_instead({}, request.POST.get("instead", ""))
    return redirect(f"{at}#field-{quote(field)}" if field else at)


def _is_stored(board: Board, key: str, typed: Mapping[str, Any]) -> bool:
    """Return whether a step is as it was typed already."""
    stored = board_of(board.request, board.actor, board.workflow.pk).by_key.get(key)
    if stored is None:
        return False
    try:
        wanted = StepDefinition.model_validate({**stored.model_dump(mode="json", exclude={"lanes"}), **typed})
    except ValidationError:
        return False
    return fingerprint(wanted) == fingerprint(stored)


def _told_apart(board: Board, key: str, typed: dict[str, Any]) -> HttpResponse:
    """Answer a save of what somebody else has changed: what they wrote stands at the fields."""
    said = _(
        "Somebody changed this step meanwhile, so it was not saved. What you typed is still here, and what they "
        "wrote stands below it: press Save to put yours over theirs, or reload the page to take theirs."
    )
    theirs = _theirs(board, key, typed)
    typed["rule"] = _rule_texts(board.request)
    return _refused(board, key, typed, errors=theirs, said=said, status=409)


def _theirs(board: Board, key: str, typed: Mapping[str, Any]) -> dict[str, str]:
    """Return what stands in the step now where something else was typed, in words, by field."""
    stored = board_of(board.request, board.actor, board.workflow.pk).by_key.get(key)
    if stored is None:
        return {}
    now: dict[str, Any] = {**stored.config.inputs, "credential": stored.credential}
    mine: dict[str, Any] = {**typed["config"]["inputs"], "credential": typed.get("credential", stored.credential)}
    return {
        name: _("They wrote: %(value)s") % {"value": _short(now.get(name))}
        for name in {**now, **mine}
        if now.get(name) != mine.get(name)
    }


def _short(value: Any) -> str:
    if value in (None, "", [], {}):
        return _("nothing")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_THEIRS else f"{text[:MAX_THEIRS]}…"


def _saved_json(board: Board, key: str) -> HttpResponse:
    """Answer a script: the new revision, and what is still wrong at which field."""
    after = board_of(board.request, board.actor, board.workflow.pk)
    panel = after.step(key)
    status, fact = after.standing(key)
    header = after.header()
    changed = ngettext("%(count)s change", "%(count)s changes", header["changes"]) % {"count": header["changes"]}
    return JsonResponse(
        {
            "revision": after.workflow.revision,
            "seen": panel.seen,
            "title": panel.title,
            "status": status,
            "fact": fact,
            "rule": panel.rule,
            "reads": {field.name: as_json(field.reads) for field in (*panel.fields, *panel.folded)},
            "broken": {
                field.name: render_to_string("builder/_broken.html", {"field": field})
                for field in (*panel.fields, *panel.folded)
                if field.broken
            },
            "problems": panel.told,
            "warned": sorted(panel.warned),
            "summary": render_to_string("builder/_problems.html", {"step": panel}),
            "changes": header["changes"],
            "changed": changed,
            "blocking": header["blocking"],
            "others": {
                at: render_to_string("builder/_people.html", {"others": names}) for at, names in after.others.items()
            },
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
    fresh = board_of(board.request, board.actor, board.workflow.pk)
    return builder_page(fresh, step=fresh.step(key, posted=typed, errors=errors, said=said), status=status)


class _WrongRule(Exception):
    """A number of the failure rule that is none; ``field`` is its control's name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _texts(request: HttpRequest) -> dict[str, Any]:
    """Return the posted fields that any text suits."""
    post = request.POST
    found: dict[str, Any] = {name: clean(post[name]).strip() for name in ("name", "notes") if name in post}
    if "credential" in post:
        found["credential"] = clean(post["credential"]).strip() or None
    return found


def _inputs(request: HttpRequest, action: str) -> dict[str, JSONValue]:
    """Return the posted inputs. Raises Unreadable."""
    texts = {name: [clean(text) for text in request.POST.getlist(name)] for name in request.POST}
    posted, _field = put_instead(texts, request.POST.get("instead", ""))
    return form_reading.parse(input_schema(registry.get(action)), posted)


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
        "run_if": clean(post.get("run_if", "")).strip() or None,
    }


def _rule_texts(request: HttpRequest) -> dict[str, str]:
    """Return the failure rule as it was typed."""
    return {name: clean(request.POST[name])[:200] for name in RULE_FIELDS if name in request.POST}


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


def clean(text: str) -> str:
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


def _again(board: Board, key: str) -> HttpResponse:
    """Run again from a step that was mended, with the draft as it is now, and show that run."""
    mending = board.mending(key)
    assert mending is not None
    try:
        started = run_services.run_rerun(actor=board.actor, run=mending.run, from_=mending.from_path, version="draft")
    except ServiceError as error:
        messages.error(board.request, error.message)
        at = board.url("workflow-step", key)
        return redirect(f"{at}?{urlencode({'run': mending.run.pk})}")
    return redirect("run", board.tenant.slug, started.pk)


@require_POST
@tenant_page(Role.EDITOR)
def workflow_rename(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Give the workflow another name, and show what was shown."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    name = clean(request.POST.get("name", "")).strip()
    try:
        workflow_patch(actor=actor, workflow=found, changes={"name": name})
    except ServiceError:
        messages.error(request, _("The name was not changed: it takes 1 to 200 characters."))
    back = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure()):
        return redirect(back)
    return redirect("workflow", actor.tenant.slug, pk)


def builder_page(
    board: Board,
    *,
    step: StepPanel | None = None,
    trigger: TriggerPanel | None = None,
    chosen: bool = True,
    status: int = 200,
) -> HttpResponse:
    asked = folding.chosen(board.request, board.url("workflow"))
    if asked is not None:
        return asked
    drawn = outline(board, step.key if step else "")
    may_edit = board.actor.may(Role.EDITOR)
    context = {
        "workflow": board.workflow,
        "head": board.header(),
        "triggers": board.triggers(trigger.key if trigger else ""),
        "cards": drawn.cards,
        "ways": drawn.ways,
        "tested": tested(board),
        "starts": board.starts,
        "first_url": board.add_url(first="1"),
        "count": len(board.steps),
        "step": step,
        "result": step.result if step else None,
        "trigger": trigger,
        "told": as_text(board, step) if step and not may_edit else (),
        "condition": condition(board, step) if step and not may_edit else (),
        "sources": data.sources(board, step.key) if step else [],
        "using": using(board, step.key) if step else None,
        "run_facts": picker.run_facts(data.links(board, step.key)) if step and may_edit else "",
        "kinds": fitting.kinds() if step and may_edit else {},
        "formats": picker.formats() if step and may_edit else "",
        "numbers": json.dumps({**board.numbers, "trigger": 1}) if step else "",
        "chosen": chosen,
        **(polling(board, step) if step else {}),
    }
    return page(
        board.request, board.actor, "builder/builder.html", context, nav="workflow-list", narrow=True, status=status
    )

"""The list of what a field of a step can be: in place under the field, or as a page of its own without a script."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from integrations.registry import registry
from integrations.sdk import Action
from orchestrator.builder import form_reading
from orchestrator.builder.agents import asking_action
from orchestrator.builder.board import Board, board_of
from orchestrator.builder.choices import MAX_CURSOR, MAX_VALUE, choices_of
from orchestrator.builder.editing import clean
from orchestrator.builder.step_facts import input_schema
from orchestrator.errors import Conflict, NotFound, ServiceError
from orchestrator.flow.definition import StepDefinition
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page
from orchestrator.types import JSONValue
from orchestrator.workflows import edits

MAX_QUERY = 200


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def step_options(request: HttpRequest, actor: Actor, pk: int, key: str, field: str) -> HttpResponse:
    """List what a field can be, one page of it; a POST puts the ``value`` that was chosen into the field."""
    board = board_of(request, actor, pk)
    step, action = _found(board, key, field)
    if request.method == "POST":
        return _chosen(board, step, field)
    context = _listed(board, step, action, field)
    if is_fragment(request):
        return fragment(request, actor, "builder/_choices.html", {**context, "in_place": True})
    return page(request, actor, "builder/choices.html", context, nav="workflow-list")


def _found(board: Board, key: str, field: str) -> tuple[StepDefinition, Action]:
    """Return a step and the action that lists the choices of the field, its own or its model's. Raises NotFound."""
    step = board.by_key.get(key)
    action = asking_action(step, registry.get(step.action)) if step else None
    if step is None or action is None or field not in action.options:
        raise NotFound(_("This step has no field with choices of that name."))
    return step, action


def _listed(board: Board, step: StepDefinition, action: Action, field: str) -> dict[str, Any]:
    get = board.request.GET
    query, cursor = clean(get.get("q", "")).strip()[:MAX_QUERY], clean(get.get("cursor", ""))[:MAX_CURSOR]
    found = choices_of(actor=board.actor, action=action, step=step, field=field, query=query, cursor=cursor)
    url = board.url("workflow-step-options", step.key, field)
    part = input_schema(action).get("properties", {}).get(field, {})
    return {
        "workflow": board.workflow,
        "title": board.title(step),
        "label": str(part.get("title") or field),
        "choices": found,
        "query": query,
        "cursor": cursor,
        "url": url,
        "again_url": _url(url, query, cursor),
        "first_url": _url(url, query, "") if cursor else "",
        "next_url": _url(url, query, found.next_cursor) if found.next_cursor else "",
        "back_url": f"{board.url('workflow-step', step.key)}#field-{field}",
    }


def _url(url: str, query: str, cursor: str) -> str:
    return f"{url}?{urlencode({'q': query, 'cursor': cursor})}"


def _chosen(board: Board, step: StepDefinition, field: str) -> HttpResponse:
    """Put what was chosen into the field, and lead back to it."""
    value = clean(board.request.POST.get("value", ""))[:MAX_VALUE].strip()
    try:
        _put(board, step, field, value)
    except form_reading.Unreadable:
        messages.error(board.request, _("It was not saved: the field does not take that."))
    except Conflict:
        messages.error(board.request, _("Somebody changed the workflow meanwhile, so it was not saved. Choose again."))
    except ServiceError as error:
        messages.error(board.request, error.message)
    return redirect(f"{board.url('workflow-step', step.key)}#field-{field}")


def _put(board: Board, step: StepDefinition, field: str, value: str) -> None:
    chosen = form_reading.parse(input_schema(registry.get(step.action)), {f"{form_reading.PREFIX}{field}": [value]})
    inputs: dict[str, JSONValue] = {**step.config.inputs, **chosen}
    changes = {"config": {**step.config.model_dump(mode="json"), "inputs": inputs}}
    edits.step_update(
        actor=board.actor, workflow=board.workflow, key=step.key, changes=changes, if_match=board.workflow.revision
    )

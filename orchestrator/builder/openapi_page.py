"""The form of an HTTP step filled in from an OpenAPI description: pasted or uploaded, looked through, one chosen.

1. The description comes with a file or as a text; what it describes is packed into the page that lists it.
2. A search and a choice send that back: nothing of it is kept here but the step that is filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orchestrator import jsongate
from orchestrator.builder import openapi
from orchestrator.builder.board import Board, board_of
from orchestrator.builder.editing import clean
from orchestrator.builder.openapi import NotOpenAPI, Operation
from orchestrator.builder.step_facts import HTTP_ACTION
from orchestrator.errors import NotFound, ServiceError
from orchestrator.flow.definition import StepDefinition
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import edits

MAX_SHOWN: Final = 40
MAX_QUERY: Final = 200
# What a description says anew; the other inputs of the step stay.
_REPLACED: Final = frozenset(
    {"method", "url", "query", "headers", "body", "form", "multipart", "raw", "raw_type", "file"}
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One operation to choose, by its place in the description."""

    at: int
    method: str
    path: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The operations that a search finds, the first of ``count``; ``packed`` are all, to be sent back."""

    packed: str
    query: str
    choices: list[Choice]
    count: int

    @property
    def more(self) -> int:
        return self.count - len(self.choices)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def step_openapi(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Ask for a description, list what it describes, or fill in the step from what was chosen."""
    board = board_of(request, actor, pk)
    step = board.by_key.get(key)
    if step is None or step.action != HTTP_ACTION:
        raise NotFound(_("There is no HTTP step of that key in this workflow."))
    if request.method != "POST":
        return _page(board, step)
    try:
        operations = _operations(request)
        chosen = request.POST.get("pick", "")
        if chosen:
            return _filled_in(board, step, _picked(operations, chosen))
        return _page(board, step, listed=_listed(operations, clean(request.POST.get("q", "")).strip()[:MAX_QUERY]))
    except NotOpenAPI as error:
        return _page(board, step, said=str(error), status=422)


def _operations(request: HttpRequest) -> list[Operation]:
    """Return what was described: by the page before, by a file, or by a text. Raises NotOpenAPI."""
    if "packed" in request.POST:
        return openapi.unpack(request.POST["packed"])
    file = request.FILES.get("file")
    data = file.read() if file is not None else request.POST.get("text", "").encode("utf-8", "replace")
    if not data.strip():
        most = jsongate.MAX_BYTES // 2**20
        raise NotOpenAPI(_("Choose a file of at most %(most)d MB, or paste its text.") % {"most": most})
    return openapi.read(bytes(data))


def _picked(operations: list[Operation], text: str) -> Operation:
    at = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else len(operations)
    if at >= len(operations):
        raise NotOpenAPI(_("The description has no such operation. Choose the file again."))
    return operations[at]


def _listed(operations: list[Operation], query: str) -> Listed:
    found = openapi.matching(operations, query)
    rows = [(at, operations[at]) for at in found[:MAX_SHOWN]]
    return Listed(
        packed=openapi.pack(operations),
        query=query,
        choices=[Choice(at=at, method=each.method, path=each.path, words=each.words) for at, each in rows],
        count=len(found),
    )


def _filled_in(board: Board, step: StepDefinition, chosen: Operation) -> HttpResponse:
    """Put the request into the step, and say what is left to do there."""
    kept = {name: value for name, value in step.config.inputs.items() if name not in _REPLACED}
    given = {name: value for name, value in chosen.inputs.items() if name in _REPLACED}
    config = {**step.config.model_dump(mode="json"), "inputs": {**kept, **given}}
    try:
        edits.step_update(
            actor=board.actor,
            workflow=board.workflow,
            key=step.key,
            changes={"config": config},
            if_match=board.workflow.revision,
        )
    except ServiceError as error:
        messages.error(board.request, error.message)
        return redirect(board.url("workflow-step-openapi", step.key))
    said = _("Filled in from “%(method)s %(path)s”. Undo brings back what stood there.")
    messages.success(board.request, said % {"method": chosen.method, "path": chosen.path})
    for line in _left_to_do(chosen, has_credential=step.credential is not None):
        messages.warning(board.request, line)
    return redirect(board.url("workflow-step", step.key))


def _left_to_do(chosen: Operation, *, has_credential: bool) -> list[str]:
    """Return what a person has to look at, in sentences."""
    found = []
    if "://" not in str(chosen.inputs.get("url", "")):
        found.append(_("The description names no server: put the address in front of the path."))
    if chosen.holes:
        names = ", ".join(f"{{{name}}}" for name in chosen.holes)
        found.append(_("Put values in place of %(names)s in the URL.") % {"names": names})
    if chosen.left_out:
        said = _("%(names)s was left out: secrets belong in a credential. Choose one in the form, or make it.")
        found.append(said % {"names": ", ".join(chosen.left_out)})
    if chosen.signed_in and not has_credential:
        said = _("It is signed in by %(kinds)s: choose a credential in the form, or make it.")
        found.append(said % {"kinds": _(" or ").join(chosen.signed_in)})
    if chosen.optional:
        found.append(_("Optional, and left out: %(names)s.") % {"names": ", ".join(chosen.optional)})
    if chosen.is_partial:
        found.append(_("A part of the request is described in another file, or is too large: fill that in by hand."))
    return found


def _page(
    board: Board, step: StepDefinition, *, listed: Listed | None = None, said: str = "", status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "workflow": board.workflow,
        "title": board.title(step),
        "url": board.url("workflow-step-openapi", step.key),
        "back_url": board.url("workflow-step", step.key),
        "listed": listed,
        "said": said,
    }
    return page(
        board.request, board.actor, "builder/openapi.html", context, nav="workflow-list", narrow=True, status=status
    )

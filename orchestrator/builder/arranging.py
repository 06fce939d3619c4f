"""Steps moved, copied, left out and removed in the builder, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from orchestrator.builder.changes import step_title
from orchestrator.builder.step_facts import lane_names
from orchestrator.errors import NotFound, ServiceError
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import copies, edits, places, services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_definition
from runs.outline import lane_words

MAX_ITEMS_TEXT: Final = 2_000
DEEPEST_SHOWN: Final = 5


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A place that a step can be moved to: its value in the form, and in words."""

    value: str
    words: str
    depth: int


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def step_move(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Move a step up or down within its lane (``direction``), or to any ``place``; a GET shows the places."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    if request.method != "POST":
        return _places(request, actor, found, key)
    place = request.POST.get("place", "")
    before = _blocking(actor, found)

    def move() -> None:
        if place:
            places.step_place(actor=actor, workflow=found, key=key, **_where(place))
        else:
            direction: Any = "up" if request.POST.get("direction") == "up" else "down"
            edits.step_move(actor=actor, workflow=found, key=key, direction=direction)
        _tell_what_broke(request, actor, found, before)

    return after(request, actor, found, key, move)


def _where(place: str) -> dict[str, Any]:
    """Return what a place's value says: ``after:key``, ``in:key:lane``, or anything else for the very first."""
    kind, _colon, rest = place.partition(":")
    if kind == "after":
        return {"after": rest[:63]}
    if kind == "in":
        parent, _colon, lane = rest.partition(":")
        return {"parent": parent[:63], "lane": lane[:63]}
    return {}


def _blocking(actor: Actor, workflow: Workflow) -> set[str]:
    return {problem.message for problem in services.check(workflow, actor=actor) if problem.severity == "error"}


def _tell_what_broke(request: HttpRequest, actor: Actor, workflow: Workflow, before: set[str]) -> None:
    """Say what stands in a publish's way since the move, as a reference to a step that runs later now."""
    new = sorted(_blocking(actor, workflow.refresh()) - before)
    if new:
        said = _("It was moved, and now: %(problem)s Undo takes the move back.")
        messages.warning(request, said % {"problem": new[0]})


def _places(request: HttpRequest, actor: Actor, workflow: Workflow, key: str) -> HttpResponse:
    definition = draft_definition(workflow)
    step = next((step for _path, step in definition.walk() if step.key == key), None)
    if step is None:
        raise NotFound(_("There is no step %(key)s in this workflow.") % {"key": key[:80]})
    context = {"workflow": workflow, "step": step, "name": _name(step), "spots": list(_spots(definition, key))}
    return page(request, actor, "builder/move.html", context, nav="workflow-list", narrow=True)


def _spots(definition: WorkflowDefinition, key: str) -> Iterator[Spot]:
    """Yield the places of a draft in order, but for those inside the step itself and where it is."""

    def inside(steps: Sequence[StepDefinition], first: Spot, depth: int) -> Iterator[Spot]:
        stays = steps[:1] and steps[0].key == key
        if not stays:
            yield first
        for index, step in enumerate(steps):
            if step.key == key:
                continue
            for lane in lane_names(step):
                words = _("First in %(lane)s of %(name)s") % {
                    "lane": lane_words(step.action, lane), "name": _name(step),
                }  # fmt: skip
                spot = Spot(value=f"in:{step.key}:{lane}", words=words, depth=min(depth + 1, DEEPEST_SHOWN))
                yield from inside(step.lanes.get(lane, ()), spot, depth + 1)
            if not (steps[index + 1 : index + 2] and steps[index + 1].key == key):
                yield Spot(
                    value=f"after:{step.key}",
                    words=_("After %(name)s") % {"name": _name(step)},
                    depth=min(depth, DEEPEST_SHOWN),
                )

    yield from inside(definition.steps, Spot(value="first", words=_("First of all"), depth=0), 0)


def _name(step: StepDefinition) -> str:
    return _("“%(name)s”") % {"name": step_title(step)}


@require_POST
@tenant_page(Role.EDITOR)
def step_skip(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Leave a step out of runs, or take it in again: whichever it is not."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    return after(request, actor, found, key, lambda: edits.step_skip(actor=actor, workflow=found, key=key))


@require_POST
@tenant_page(Role.EDITOR)
def step_wrap(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Put a step into a loop over a list."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    items = request.POST.get("items", "").replace("\0", "")[:MAX_ITEMS_TEXT]

    def wrap() -> None:
        places.step_wrap(actor=actor, workflow=found, key=key, items=items)
        messages.success(request, _("It runs once for each item now. What it reads of one stands under “This item”."))

    return after(request, actor, found, key, wrap)


@require_POST
@tenant_page(Role.EDITOR)
def step_remove(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Remove a step and what its lanes hold."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)

    def remove() -> None:
        edits.step_remove(actor=actor, workflow=found, key=key)
        messages.success(request, _("The step “%(key)s” was removed. Undo brings it back.") % {"key": key})

    return after(request, actor, found, "", remove)


@require_POST
@tenant_page(Role.EDITOR)
def step_duplicate(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Insert a copy behind a step and open it."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    try:
        made = copies.step_duplicate(actor=actor, workflow=found, key=key)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, pk)
    return redirect("workflow-step", actor.tenant.slug, pk, made.key)


def after(request: HttpRequest, actor: Actor, found: Workflow, key: str, act: Callable[[], Any]) -> HttpResponse:
    """Change the draft, and lead to the step ``key``, or to the workflow; what stood against it is said there."""
    try:
        act()
    except ServiceError as error:
        messages.error(request, error.message)
        key = ""
    parts: Sequence[Any] = (actor.tenant.slug, found.pk, *([key] if key else []))
    return redirect("workflow-step" if key else "workflow", *parts)

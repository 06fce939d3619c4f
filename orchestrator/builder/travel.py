"""Undo and redo in the builder: back to the step that it was about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_POST

from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.workflows import services
from orchestrator.workflows.models import Step, Workflow

# What is kept of a change, as words; the first one that it has says what it was.
_WORDS: Final[Mapping[str, str]] = {
    "step_added": noop("the step “%(what)s” added"),
    "step_changed": noop("the step “%(what)s” changed"),
    "step_removed": noop("the step “%(what)s” removed"),
    "step_moved": noop("the step “%(what)s” moved"),
    "step_skipped": noop("the step “%(what)s” left out"),
    "step_taken_in": noop("the step “%(what)s” taken in again"),
    "step_wrapped": noop("the step “%(what)s” put into a loop"),
    "lane_added": noop("the lane “%(what)s” added"),
    "lane_renamed": noop("the lane “%(what)s” renamed"),
    "lane_removed": noop("the lane “%(what)s” removed"),
    "lane_extracted": noop("the lane “%(what)s” moved into its own workflow"),
    "trigger_added": noop("the trigger “%(what)s” added"),
    "trigger_changed": noop("the trigger “%(what)s” changed"),
    "trigger_removed": noop("the trigger “%(what)s” removed"),
    "restored": noop("version %(what)s restored"),
    "replaced": noop("the whole draft replaced"),
    "changed": noop("the workflow changed"),
}


@require_POST
@tenant_page(Role.EDITOR)
def undo(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Make the draft what it was before its last change."""
    return _travelled(request, actor, pk, services.draft_undo, _("Undone: %(change)s."))


@require_POST
@tenant_page(Role.EDITOR)
def redo(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Make the change again that was undone last."""
    return _travelled(request, actor, pk, services.draft_redo, _("Made again: %(change)s."))


def _travelled(
    request: HttpRequest, actor: Actor, pk: int, travel: Callable[..., tuple[Workflow, Mapping[str, Any]]], said: str
) -> HttpResponse:
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    try:
        workflow, change = travel(actor=actor, workflow=workflow)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, pk)
    return _there(request, workflow, change, said)


def _there(request: HttpRequest, workflow: Workflow, change: Mapping[str, Any], said: str) -> HttpResponse:
    """Say what happened, and lead to the step that it was about if it is there."""
    messages.success(request, said % {"change": change_words(change)})
    key = next((change[name] for name in (*_WORDS, "step") if name.startswith("step") and name in change), "")
    steps = Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, key=key)
    if key and steps.exists():
        return redirect("workflow-step", workflow.tenant.slug, workflow.pk, key)
    return redirect("workflow", workflow.tenant.slug, workflow.pk)


def change_words(change: Mapping[str, Any]) -> str:
    """Return a change as the history keeps it, in words."""
    name = next((name for name in _WORDS if name in change), "changed")
    return _(_WORDS[name]) % {"what": change.get(name, "")}

"""Steps moved, copied and removed in the builder, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.workflows import copies, edits
from orchestrator.workflows.models import Workflow


@require_POST
@tenant_page(Role.EDITOR)
def step_move(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Move a step up or down within its lane."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    direction: Any = "up" if request.POST.get("direction") == "up" else "down"
    return after(
        request, actor, found, key, lambda: edits.step_move(actor=actor, workflow=found, key=key, direction=direction)
    )


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

"""The lanes of a step that people name themselves: added, renamed and removed, one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.workflows import lane_edits
from orchestrator.workflows.models import Workflow

_MOST: int = 200  # characters of a name that are looked at: what is longer is refused anyway


@require_POST
@tenant_page(Role.EDITOR)
def step_lanes(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Add, rename or remove a lane; one that holds steps is removed when the person has said so."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    at = reverse("workflow-step", args=[actor.tenant.slug, pk, key])
    try:
        _change(actor, workflow, key, request.POST)
    except ServiceError as error:
        if error.code == "lane_holds_steps":
            return redirect(f"{at}?{urlencode({'remove': request.POST.get('lane', '')[:_MOST]})}#lanes")
        messages.error(request, error.message)
    return redirect(f"{at}#lanes")


def _change(actor: Actor, workflow: Workflow, key: str, posted: Mapping[str, str]) -> None:
    lane, name = posted.get("lane", "")[:_MOST], posted.get("name", "")[:_MOST]
    match posted.get("do"):
        case "add":
            lane_edits.lane_add(actor=actor, workflow=workflow, key=key, lane=name)
        case "rename":
            lane_edits.lane_rename(actor=actor, workflow=workflow, key=key, lane=lane, name=name)
        case "remove":
            with_steps = posted.get("with_steps") == "1"
            lane_edits.lane_remove(actor=actor, workflow=workflow, key=key, lane=lane, with_steps=with_steps)

"""The menu of actions that a new step can be."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from integrations.registry import registry
from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def step_add(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the actions, or add a step of the chosen one behind ``after`` and open its form."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    if request.method == "POST":
        after = request.POST.get("after") or None
        try:
            step = services.step_add(actor=actor, workflow=workflow, action=request.POST.get("action", ""), after=after)
        except ServiceError as error:
            messages.error(request, error.message)
            return redirect("workflow", actor.tenant.slug, workflow.pk)
        return redirect("workflow-step", actor.tenant.slug, workflow.pk, step.key)
    context = {"workflow": workflow, "actions": registry.actions(), "after": request.GET.get("after", "")}
    return page(request, actor, "builder/add.html", context, nav="workflow-list", narrow=True)

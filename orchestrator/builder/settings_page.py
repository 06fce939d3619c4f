"""The settings of a workflow: its name and limits, on and off, and deleting it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, require, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def settings(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the settings, or change them."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    if request.method == "POST":
        require(actor, Role.EDITOR)
        changes = {key: request.POST[key] for key in ("name", "slug", "description") if key in request.POST}
        try:
            services.workflow_patch(actor=actor, workflow=workflow, changes=changes)
        except ServiceError as error:
            messages.error(request, error.message)
        else:
            messages.success(request, _("Saved."))
        return redirect("workflow-settings", actor.tenant.slug, workflow.pk)
    return page(request, actor, "builder/settings.html", {"workflow": workflow}, nav="workflow-list", narrow=True)

"""The page that makes a draft the live version."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def publish(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show what a publish would change and what stands in its way, or publish."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    note, status = request.POST.get("note", "")[:1000], 200
    if request.method == "POST":
        try:
            made = services.publish(actor=actor, workflow=workflow, note=note)
        except Invalid:
            status = 400
        else:
            messages.success(request, _("Version %(number)d is live.") % {"number": made.version.number})
            return redirect("workflow", actor.tenant.slug, workflow.pk)
    context = {"workflow": workflow, "problems": services.check(workflow), "note": note}
    return page(request, actor, "builder/publish.html", context, nav="workflow-list", narrow=True, status=status)

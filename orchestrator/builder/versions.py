"""The published versions of a workflow: which there are, what one changed, and going back to one."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion


@require_safe
@tenant_page()
def versions(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the published versions, newest first."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    rows = WorkflowVersion.objects.for_tenant(actor.tenant).filter(workflow=workflow, number__isnull=False)
    context = {"workflow": workflow, "rows": rows.select_related("author")}
    return page(request, actor, "builder/versions.html", context, nav="workflow-list", narrow=True)


@require_safe
@tenant_page()
def version(request: HttpRequest, actor: Actor, pk: int, number: int) -> HttpResponse:
    """Show one version's document and what it changed."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    found = get_for_tenant_or_404(WorkflowVersion, actor.tenant, workflow=workflow, number=number)
    context = {"workflow": workflow, "version": found}
    return page(request, actor, "builder/version.html", context, nav="workflow-list", narrow=True)


@require_POST
@tenant_page(Role.EDITOR)
def version_restore(request: HttpRequest, actor: Actor, pk: int, number: int) -> HttpResponse:
    """Make the draft what this version is; nothing is published."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    found = get_for_tenant_or_404(WorkflowVersion, actor.tenant, workflow=workflow, number=number)
    services.version_restore(actor=actor, workflow=workflow, version=found)
    messages.success(request, _("The draft is version %(number)d again. Publish it to go back.") % {"number": number})
    return redirect("workflow", actor.tenant.slug, workflow.pk)

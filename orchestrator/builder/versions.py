"""The published versions of a workflow: which there are, what one changed, and going back to one."""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.builder.changes import blocks, definition_of, document_blocks
from orchestrator.builder.publish import draft_changes
from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from orchestrator.workflows.selectors import draft_definition, published_versions

PAGE_ROWS: Final = 50


@require_safe
@tenant_page()
def versions(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the published versions, newest first, and what the draft has more."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    context = {
        "workflow": workflow,
        "paged": Paginator(published_versions(workflow), PAGE_ROWS).get_page(request.GET.get("page")),
        "changes": draft_changes(workflow, draft_definition(workflow)),
    }
    return page(request, actor, "builder/versions.html", context, nav="workflow-list", narrow=True)


@require_safe
@tenant_page()
def version(request: HttpRequest, actor: Actor, pk: int, number: int) -> HttpResponse:
    """Show what one version changed, and its document."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    found = _find(actor, workflow, number)
    before = WorkflowVersion.objects.for_tenant(actor.tenant).filter(workflow=workflow, number__lt=number).first()
    after = published_versions(workflow).filter(number__gt=number).order_by("number").first()
    definition = definition_of(found.definition)
    context = {
        "workflow": workflow,
        "version": found,
        "live": workflow.published_version_id == found.pk,
        "before": before,
        "after": after,
        "blocks": blocks(definition_of(before.definition), definition) if before else [],
        "document": document_blocks(definition),
    }
    return page(request, actor, "builder/version.html", context, nav="workflow-list", narrow=True)


@require_POST
@tenant_page(Role.EDITOR)
def version_restore(request: HttpRequest, actor: Actor, pk: int, number: int) -> HttpResponse:
    """Make the draft what this version is; nothing is published."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    found = _find(actor, workflow, number)
    try:
        services.version_restore(actor=actor, workflow=workflow, version=found)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow-version", actor.tenant.slug, workflow.pk, number)
    messages.success(
        request, _("The draft is what version %(number)d was. Publish it to make it live.") % {"number": number}
    )
    return redirect("workflow", actor.tenant.slug, workflow.pk)


def _find(actor: Actor, workflow: Workflow, number: int) -> WorkflowVersion:
    return get_for_tenant_or_404(WorkflowVersion, actor.tenant, workflow=workflow, number=number)

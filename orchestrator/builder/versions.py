"""The published versions of a workflow: which there are, what one changed, and going back to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.builder.changes import Blocks, blocks, definition_of, document_blocks
from orchestrator.builder.publish import as_number, draft_changes
from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from orchestrator.workflows.secret_inputs import kept_document
from orchestrator.workflows.selectors import draft_definition, next_version_number, published_versions
from runs.overview import VERSION_SAMPLE, RunsByVersion, VersionRuns, runs_by_version

PAGE_ROWS: Final = 50


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """One line of the list. ``returned`` says in words that it went back by itself, and why."""

    version: WorkflowVersion
    live: bool
    runs: VersionRuns
    failed_url: str
    returned: str
    watching: str


@require_safe
@tenant_page()
def versions(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the published versions, newest first, how they did, and what the draft has more."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    asked = [as_number(request.GET.get(name, "")) for name in ("from", "to")]
    if all(asked):
        return redirect("workflow-versions-compare", actor.tenant.slug, workflow.pk, *asked)
    paged = Paginator(published_versions(workflow), PAGE_ROWS).get_page(request.GET.get("page"))
    counted = runs_by_version(actor.tenant, workflow.pk)
    newest = next_version_number(workflow) - 1
    context = {
        "workflow": workflow,
        "paged": paged,
        "rows": [_row(workflow, row, counted) for row in paged],
        "is_cut": counted.is_cut,
        "sample": VERSION_SAMPLE,
        "newest": newest,
        "second": max(1, newest - 1),
        "changes": draft_changes(workflow, draft_definition(workflow)),
    }
    return page(request, actor, "builder/versions.html", context, nav="workflow-list", narrow=True)


def _row(workflow: Workflow, version: WorkflowVersion, counted: RunsByVersion) -> VersionRow:
    watch = {"failures": version.return_failures, "runs": version.return_runs}
    return VersionRow(
        version=version,
        live=version.pk == workflow.published_version_id,
        runs=counted.counts.get(version.pk, VersionRuns()),
        failed_url=f"{reverse('run-list', args=[workflow.tenant.slug])}?workflow={workflow.pk}&status=failed",
        returned=_returned(version),
        watching=_("Goes back if %(failures)d of %(runs)d runs fail") % watch if version.watched else "",
    )


def _returned(version: WorkflowVersion) -> str:
    if version.returned_at is None:
        return ""
    return _("Went back by itself: %(failed)d of %(runs)d runs failed") % (version.return_counts or {})


@require_safe
@tenant_page()
def compare(request: HttpRequest, actor: Actor, pk: int, older: int, newer: int) -> HttpResponse:
    """Show what changed from one version to another, whichever came first."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    old, new = (_find(actor, workflow, number) for number in (older, newer))
    context = {
        "workflow": workflow,
        "old": old,
        "new": new,
        "both": (old, new),
        "live": workflow.published_version_id,
        "changes": _between(old, new),
    }
    return page(request, actor, "builder/compare.html", context, nav="workflow-list", narrow=True)


def _between(old: WorkflowVersion, new: WorkflowVersion) -> Blocks:
    shared = old.bindings.keys() & new.bindings.keys()
    rebound = {name for name in shared if old.bindings[name] != new.bindings[name]}
    return blocks(definition_of(old.definition), definition_of(new.definition), rebound=rebound)


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
        "returned": _returned(found),
        "before": before,
        "after": after,
        "changes": _between(before, found) if before else None,
        "document": document_blocks(definition),
        "whole": kept_document(found.definition),
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
        request,
        _("The draft is what version %(number)d was. Undo brings back what it had; Publish makes it live.")
        % {"number": number},
    )
    return redirect("workflow", actor.tenant.slug, workflow.pk)


@require_POST
@tenant_page(Role.EDITOR)
def version_publish(request: HttpRequest, actor: Actor, pk: int, number: int) -> HttpResponse:
    """Make what this version is the next one, and live; the draft is left alone."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    found = _find(actor, workflow, number)
    try:
        services.version_publish(actor=actor, workflow=workflow, version=found)
    except ServiceError as error:
        first = f" {error.problems[0].message}" if error.problems else ""
        messages.error(request, f"{error.message}{first}")
        return redirect("workflow-version", actor.tenant.slug, workflow.pk, number)
    return redirect("workflow", actor.tenant.slug, workflow.pk)


def _find(actor: Actor, workflow: Workflow, number: int) -> WorkflowVersion:
    return get_for_tenant_or_404(WorkflowVersion, actor.tenant, workflow=workflow, number=number)

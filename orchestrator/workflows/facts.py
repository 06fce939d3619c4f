"""What the check of a workflow has to know of the tenant's others."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.flow.calls import called_slugs, facts_of, lists_workflows
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.facts import WorkflowFacts
from orchestrator.workflows.drafts import draft_definition
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import with_draft


def other_workflows(tenant_id: int, definition: WorkflowDefinition) -> dict[str, WorkflowFacts]:
    """Return the tenant's other workflows by slug, for the check of one; those that it reaches by calls in full.

    One query for all, and one for each level of calls (four where a draft that was never published is called); none
    for a workflow that speaks of no other.
    """
    calls = called_slugs(definition)
    if not (calls or definition.settings.error_workflow or lists_workflows(definition)):
        return {}
    others = Workflow.objects.for_tenant(tenant_id).exclude(slug=definition.slug).order_by("slug")
    found = {
        slug: WorkflowFacts(name=name, published=version is not None)
        for slug, name, version in others.values_list("slug", "name", "published_version_id")
    }
    known: set[str] = set()
    level = set(calls) & found.keys()
    while level:
        known |= level
        read = _read(tenant_id, level)
        found |= read
        level = {slug for facts in read.values() for slug in facts.calls if slug in found} - known
    return found


def _read(tenant_id: int, slugs: Collection[str]) -> dict[str, WorkflowFacts]:
    """Return these workflows in full: as published, or as drafted where nothing is."""
    rows = Workflow.objects.for_tenant(tenant_id).filter(slug__in=slugs)
    published = rows.filter(published_version__isnull=False).values_list("slug", "published_version__definition")
    read = {slug: facts_of(WorkflowDefinition.model_validate(document), published=True) for slug, document in published}
    if len(read) < len(slugs):
        drafts = with_draft(rows.filter(published_version__isnull=True))
        read |= {row.slug: facts_of(draft_definition(row), published=False) for row in drafts}
    return read

"""Reads of workflows: documents for the API, lists for pages, and who uses a credential."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Count, Max, Prefetch, Q, QuerySet

from orchestrator.flow.definition import WorkflowDefinition, WorkflowSettings
from orchestrator.flow.diff import diff
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.vault.models import Credential
from orchestrator.workflows.addresses import trigger_address, trigger_path
from orchestrator.workflows.drafts import draft_definition, draft_document
from orchestrator.workflows.models import Step, Trigger, Workflow, WorkflowVersion

__all__ = [
    "CredentialUsage",
    "credential_usages",
    "draft_definition",
    "draft_document",
    "next_version_number",
    "published_versions",
    "trigger_document",
    "usages_by_credential",
    "version_diff",
    "with_draft",
    "workflow_document",
    "workflow_list",
]


@dataclass(frozen=True, kw_only=True)
class CredentialUsage:
    """One step that uses a credential, in the draft or in the published version."""

    workflow_id: int
    workflow_slug: str
    workflow_name: str
    step_key: str


def workflow_list(tenant: Tenant) -> QuerySet[Workflow]:
    """Return the tenant's workflows by name, with ``step_count``, their version and triggers; three queries."""
    return (
        Workflow.objects.for_tenant(tenant)
        .select_related("published_version")
        .prefetch_related(Prefetch("triggers", Trigger.unscoped.filter(in_draft=True)))
        .annotate(step_count=Count("steps"))
        .order_by("name", "id")
    )


def with_draft(rows: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Return the rows with what ``workflow_document`` reads, in four queries however many rows there are."""
    return rows.select_related("published_version").prefetch_related(
        Prefetch("steps", Step.unscoped.select_related("credential")), "triggers"
    )


def workflow_document(workflow: Workflow) -> dict[str, Any]:
    """Return the draft in the API's shape: the document plus id, revision, version and times."""
    version = workflow.published_version
    return {
        "id": str(workflow.pk),
        **draft_document(workflow),
        "settings": WorkflowSettings.model_validate(workflow.settings or {}).model_dump(mode="json"),
        "revision": workflow.revision,
        "published_version": version.number if version else None,
        "enabled": workflow.enabled,
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
    }


def trigger_document(trigger: Trigger, *, actor: Actor) -> dict[str, Any]:
    """Return a trigger in the API's shape; its address only to those who may read it."""
    may_read = actor.may(MINIMUM_ROLE["trigger.address.read"])
    has_address = may_read and trigger.address_sealed is not None
    return {
        "key": trigger.key,
        "type": trigger.type,
        "url": trigger_path(trigger, trigger_address(trigger)) if has_address else None,
        "enabled": trigger.workflow.enabled and trigger.live_config is not None,
        "next_fire_at": trigger.next_fire_at,
        "config": trigger.config,
    }


def published_versions(workflow: Workflow) -> QuerySet[WorkflowVersion]:
    """Return a workflow's published versions, newest first, without their documents."""
    rows = WorkflowVersion.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, number__isnull=False)
    return rows.select_related("author").defer("definition", "bindings").order_by("-number")


def next_version_number(workflow: Workflow) -> int:
    """Return the number that the next publish takes."""
    rows = WorkflowVersion.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    return (rows.aggregate(last=Max("number"))["last"] or 0) + 1


def version_diff(old: WorkflowVersion, new: WorkflowVersion) -> list[dict[str, Any]]:
    """Return what changed from ``old`` to ``new``, field by field."""
    before, after = (WorkflowDefinition.model_validate(version.definition) for version in (old, new))
    return [asdict(change) for change in diff(before, after)]


def credential_usages(tenant: Tenant, credential: Credential) -> list[CredentialUsage]:
    """Return the steps that use this credential, by workflow."""
    return usages_by_credential(tenant, only=credential).get(credential.pk, [])


def usages_by_credential(tenant: Tenant, only: Credential | None = None) -> dict[int, list[CredentialUsage]]:
    """Return the steps that use each credential: those of drafts and of published versions, each once; two queries."""
    found: dict[int, dict[tuple[int, str], CredentialUsage]] = defaultdict(dict)
    for credential_id, usage in (*_draft_usages(tenant, only), *_published_usages(tenant, only)):
        found[credential_id][(usage.workflow_id, usage.step_key)] = usage
    return {
        credential_id: sorted(usages.values(), key=lambda usage: (usage.workflow_name, usage.step_key))
        for credential_id, usages in found.items()
    }


def _draft_usages(tenant: Tenant, only: Credential | None) -> Iterable[tuple[int, CredentialUsage]]:
    wanted = Q(credential=only) if only else Q(credential__isnull=False)
    for step in Step.objects.for_tenant(tenant).filter(wanted).select_related("workflow"):
        assert step.credential_id is not None
        yield step.credential_id, _usage(step.workflow, step.key)


def _published_usages(tenant: Tenant, only: Credential | None) -> Iterable[tuple[int, CredentialUsage]]:
    rows = Workflow.objects.for_tenant(tenant).filter(published_version__isnull=False)
    for workflow in rows.select_related("published_version"):
        version = workflow.published_version
        if version is None or not version.bindings:
            continue
        for _, step in WorkflowDefinition.model_validate(version.definition).walk():
            credential_id = version.bindings.get(step.credential or "")
            if credential_id is not None and (only is None or credential_id == only.pk):
                yield credential_id, _usage(workflow, step.key)


def _usage(workflow: Workflow, step_key: str) -> CredentialUsage:
    return CredentialUsage(
        workflow_id=workflow.pk, workflow_slug=workflow.slug, workflow_name=workflow.name, step_key=step_key
    )

"""Reads of workflows: documents for the API, lists for pages, and who uses a credential."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Final

from django.db.models import Count, F, Max, Prefetch, Q, QuerySet
from django.utils import timezone

from orchestrator.flow.definition import WorkflowDefinition, WorkflowSettings
from orchestrator.flow.diff import diff
from orchestrator.flow.names import TriggerType
from orchestrator.flow.secret_inputs import PROVIDER
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.vault.models import Credential
from orchestrator.workflows import secret_inputs
from orchestrator.workflows.addresses import trigger_address, trigger_path
from orchestrator.workflows.drafts import credential_ids, draft_definition, draft_document
from orchestrator.workflows.models import Step, Trigger, Workflow, WorkflowVersion
from orchestrator.workflows.trigger_credentials import named_in, triggers_with_credentials

__all__ = [
    "CredentialUsage",
    "auto_return_document",
    "credential_usages",
    "draft_definition",
    "draft_document",
    "next_version_number",
    "published_versions",
    "returned_versions",
    "trigger_document",
    "usages_by_credential",
    "version_diff",
    "with_draft",
    "workflow_document",
    "workflow_list",
    "workflows_by_credential",
]


# How long Home tells of a version that went back by itself, unless another one is published.
_TOLD_FOR: Final = timedelta(days=7)


# Where a credential is used that a trigger names.
TRIGGER: Final = "trigger"


@dataclass(frozen=True, kw_only=True)
class CredentialUsage:
    """One step that uses a credential, in the draft, in the published version, or in both.

    ``field`` is where in its form: ``credential``, or the name of a secret input; TRIGGER says that ``step_key`` is a
    trigger's.
    """

    workflow_id: int
    workflow_slug: str
    workflow_name: str
    step_key: str
    in_draft: bool = False
    in_published: bool = False
    field: str = "credential"


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
        # Of one that the provider calls it is only when the provider is told.
        "next_fire_at": None if trigger.type == TriggerType.EVENT else trigger.next_fire_at,
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


def auto_return_document(version: WorkflowVersion) -> dict[str, Any] | None:
    """Return after how many failures a version goes back by itself, and what became of that; None where it does not."""
    if version.return_failures is None:
        return None
    status = "returned" if version.returned_at else "watching" if version.watched else "over"
    return {
        "failures": version.return_failures,
        "runs": version.return_runs,
        "status": status,
        "returned_at": version.returned_at,
    }


def returned_versions(tenant: Tenant) -> QuerySet[WorkflowVersion]:
    """Return versions that went back by themselves of late, where what was before them is live still; newest first."""
    rows = WorkflowVersion.objects.for_tenant(tenant).filter(
        returned_at__gte=timezone.now() - _TOLD_FOR, workflow__published_version=F("replaced")
    )
    return (
        rows.select_related("workflow", "replaced")
        .defer("definition", "bindings", "replaced__definition", "replaced__bindings")
        .order_by("-returned_at")
    )


def version_diff(old: WorkflowVersion, new: WorkflowVersion) -> list[dict[str, Any]]:
    """Return what changed from ``old`` to ``new``, field by field."""
    before, after = (
        WorkflowDefinition.model_validate(secret_inputs.kept_document(version.definition)) for version in (old, new)
    )
    return [asdict(change) for change in diff(before, after)]


def credential_usages(tenant: Tenant, credential: Credential) -> list[CredentialUsage]:
    """Return the steps that use this credential, by workflow."""
    return usages_by_credential(tenant, only=credential).get(credential.pk, [])


def usages_by_credential(tenant: Tenant, only: Credential | None = None) -> dict[int, list[CredentialUsage]]:
    """Return the steps that use each credential: those of drafts and of published versions, each once.

    Four queries, and one more each where steps hold secrets and triggers name credentials.
    """
    found: dict[int, dict[tuple[int, str], CredentialUsage]] = defaultdict(dict)
    for credential_id, usage in (*_draft_usages(tenant, only), *_published_usages(tenant, only)):
        place = (usage.workflow_id, usage.step_key)
        before = found[credential_id].get(place)
        found[credential_id][place] = replace(before, in_published=usage.in_published) if before else usage
    return {
        credential_id: sorted(usages.values(), key=lambda usage: (usage.workflow_name, usage.step_key))
        for credential_id, usages in found.items()
    }


def _draft_usages(tenant: Tenant, only: Credential | None) -> Iterable[tuple[int, CredentialUsage]]:
    wanted = Q(credential=only) if only else Q(credential__isnull=False)
    for step in Step.objects.for_tenant(tenant).filter(wanted).select_related("workflow"):
        assert step.credential_id is not None
        yield step.credential_id, _usage(step.workflow, step.key, in_draft=True)
    yield from _trigger_usages(tenant, only)
    if only is not None and only.provider != PROVIDER:
        return
    holding = secret_inputs.steps_holding(tenant, only.name) if only else secret_inputs.steps_with_secrets(tenant)
    rows = list(holding.select_related("workflow"))
    ids = {only.name: only.pk} if only else credential_ids(tenant, (name for step in rows for name in step.secrets))
    for step in rows:
        for credential_id, field in _by_id(secret_inputs.held(step.action, step.config.get("inputs")), ids).items():
            yield credential_id, _usage(step.workflow, step.key, field=field, in_draft=True)


def _trigger_usages(tenant: Tenant, only: Credential | None) -> Iterable[tuple[int, CredentialUsage]]:
    rows = list(triggers_with_credentials(tenant, only.name if only else None).select_related("workflow"))
    names = [(row, named_in(row.config)) for row in rows]
    ids = {only.name: only.pk} if only else credential_ids(tenant, (name for _, name in names))
    for row, name in names:
        if name in ids:
            yield ids[name], _usage(row.workflow, row.key, field=TRIGGER, in_draft=True)


def _published_usages(tenant: Tenant, only: Credential | None) -> Iterable[tuple[int, CredentialUsage]]:
    rows = Workflow.objects.for_tenant(tenant).filter(published_version__isnull=False)
    for workflow in rows.select_related("published_version"):
        version = workflow.published_version
        bound = version.bindings.values() if version else ()
        if version is None or not bound or (only is not None and only.pk not in bound):
            continue
        definition = WorkflowDefinition.model_validate(version.definition)
        for trigger in definition.triggers:
            bound_id = version.bindings.get(named_in(trigger.config))
            if bound_id is not None and (only is None or bound_id == only.pk):
                yield bound_id, _usage(workflow, trigger.key, field=TRIGGER, in_published=True)
        for _, step in definition.walk():
            names = {**secret_inputs.held(step.action, step.config.inputs), "credential": step.credential or ""}
            for credential_id, field in _by_id(names, version.bindings).items():
                if only is None or credential_id == only.pk:
                    yield credential_id, _usage(workflow, step.key, field=field, in_published=True)


def _by_id(names: Mapping[str, str], ids: Mapping[str, int]) -> dict[int, str]:
    """Return the fields that name credentials, by the credentials' ids; of several the last."""
    return {ids[name]: field for field, name in names.items() if name in ids}


def _usage(workflow: Workflow, step_key: str, *, field: str = "credential", **where: bool) -> CredentialUsage:
    return CredentialUsage(
        workflow_id=workflow.pk,
        workflow_slug=workflow.slug,
        workflow_name=workflow.name,
        step_key=step_key,
        field=field,
        **where,
    )


def workflows_by_credential(tenant: Tenant) -> dict[int, int]:
    """Return how many workflows use each credential; four queries that read no document, five with secrets."""
    found: dict[int, set[int]] = defaultdict(set)
    drafts = Step.objects.for_tenant(tenant).filter(credential__isnull=False).order_by()
    for credential_id, workflow_id in drafts.values_list("credential_id", "workflow_id").distinct():
        found[credential_id].add(workflow_id)
    secrets = secret_inputs.steps_with_secrets(tenant).order_by().values_list("workflow_id", "secrets").distinct()
    triggers = triggers_with_credentials(tenant).order_by().values_list("workflow_id", "config")
    holding = [*secrets, *((workflow_id, [named_in(config)]) for workflow_id, config in triggers)]
    ids = credential_ids(tenant, (name for _, names in holding for name in names or ()))
    for workflow_id, names in holding:
        for name in ids.keys() & set(names or ()):
            found[ids[name]].add(workflow_id)
    published = Workflow.objects.for_tenant(tenant).filter(published_version__isnull=False).order_by()
    for workflow_id, bindings in published.values_list("pk", "published_version__bindings"):
        for credential_id in (bindings or {}).values():
            found[credential_id].add(workflow_id)
    return {credential_id: len(workflows) for credential_id, workflows in found.items()}

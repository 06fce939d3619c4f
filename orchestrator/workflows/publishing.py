"""From a draft to something that runs: the check, numbered versions, and snapshots for tests of a draft."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from pydantic import ValidationError

from integrations.registry import registry
from integrations.sdk import Action
from orchestrator.errors import Invalid, Problem
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.validation import ActionFacts, CredentialFacts, validate
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.models import Credential
from orchestrator.workflows.drafts import credential_ids, draft_definition
from orchestrator.workflows.facts import other_workflows
from orchestrator.workflows.models import Trigger, Variable, Workflow, WorkflowVersion
from orchestrator.workflows.selectors import next_version_number


@dataclass(frozen=True, kw_only=True)
class PublishResult:
    """What a publish made, and what it warned of."""

    version: WorkflowVersion
    warnings: tuple[Problem, ...]


class RegistryCatalog:
    """The registry, as validation sees it."""

    def action(self, key: str) -> ActionFacts | None:
        action = registry.get(key)
        return action_facts(action) if action else None

    def keys(self) -> Sequence[str]:
        return [action.key for action in registry.actions()]


def action_facts(action: Action) -> ActionFacts:
    """Return what validation needs of an action."""
    return ActionFacts(
        key=action.key,
        name=action.name,
        provider=action.provider.key,
        provider_name=action.provider.name,
        accepted_auth=frozenset(action.accepted_auth),
        auth_required=action.auth_required,
        input_schema=action.input_json_schema(),
        output_schema=action.output_json_schema(),
        check_inputs=lambda inputs: _input_problems(action, inputs),
        lanes=action.lanes,
        per_item=action.per_item,
    )


def check(workflow: Workflow) -> list[Problem]:
    """Return every problem and warning that a publish of the draft would answer."""
    return _check(draft_definition(workflow), workflow.tenant_id)


@transaction.atomic
def publish(*, actor: Actor, workflow: Workflow, note: str = "") -> PublishResult:
    """Make the draft the next numbered version, and let it run.

    The first publish enables the workflow; later ones leave that as it is. Raises Invalid with every problem.
    """
    require_operation(actor, "workflow.publish")
    # Locked: two publishes at once would take the same number.
    workflow = Workflow.objects.for_tenant(actor.tenant).select_for_update(of=("self",)).get(pk=workflow.pk)
    definition = draft_definition(workflow)
    problems = _check(definition, workflow.tenant_id)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise Invalid(
            f"{len(errors)} problem(s) to fix before this can be published.", problems=errors, code="unpublishable"
        )
    first = workflow.published_version_id is None
    version = _make_version(actor, workflow, definition, number=next_version_number(workflow), note=note)
    workflow.published_version = version
    workflow.enabled = workflow.enabled or first
    workflow.max_concurrent_runs = definition.settings.max_concurrent_runs
    workflow.on_limit = definition.settings.on_limit
    workflow.updated_at = timezone.now()
    workflow.save(update_fields=["published_version", "enabled", "max_concurrent_runs", "on_limit", "updated_at"])
    _take_live(workflow)
    audit.record(actor=actor, action="workflow.published", target=workflow, detail={"number": version.number})
    return PublishResult(version=version, warnings=tuple(p for p in problems if p.severity == "warning"))


@transaction.atomic
def draft_snapshot(*, actor: Actor, workflow: Workflow) -> WorkflowVersion:
    """Return an immutable copy of the draft as it is, to run it; the same draft is kept once."""
    definition = draft_definition(workflow)
    kept = WorkflowVersion.objects.for_tenant(workflow.tenant_id).filter(
        workflow=workflow, number__isnull=True, checksum=definition.checksum()
    )
    found = kept.first()
    if found is None:
        return _make_version(actor, workflow, definition, number=None)
    # The same text can be bound to another credential now: one that was deleted and made again.
    bindings = _bindings(workflow.tenant_id, definition)
    if found.bindings != bindings:
        found.bindings = bindings
        found.save(update_fields=["bindings"])
    return found


def _check(definition: WorkflowDefinition, tenant_id: int) -> list[Problem]:
    rows = Credential.objects.for_tenant(tenant_id).values_list("name", "provider", "auth_type")
    return validate(
        definition,
        catalog=RegistryCatalog(),
        credentials={name: CredentialFacts(provider=p, auth_type=t) for name, p, t in rows},
        variables=list(Variable.objects.for_tenant(tenant_id).values_list("key", flat=True)),
        workflows=other_workflows(tenant_id, definition),
    )


def _make_version(
    actor: Actor, workflow: Workflow, definition: WorkflowDefinition, *, number: int | None, note: str = ""
) -> WorkflowVersion:
    return WorkflowVersion.unscoped.create(
        tenant=actor.tenant,
        workflow=workflow,
        number=number,
        definition=definition.as_document(),
        checksum=definition.checksum(),
        bindings=_bindings(workflow.tenant_id, definition),
        author=actor.user,
        note=note,
    )


def _bindings(tenant_id: int, definition: WorkflowDefinition) -> dict[str, int]:
    return credential_ids(tenant_id, (step.credential for _, step in definition.walk()))


def _take_live(workflow: Workflow) -> None:
    """Make the draft's triggers the live ones; those that the draft dropped go now."""
    rows = Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    rows.filter(in_draft=False).delete()
    for trigger in rows:
        trigger.live_config = trigger.config
        trigger.save(update_fields=["live_config"])


def _input_problems(action: Action, inputs: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Run the action's model; return path, message and code of each finding."""
    try:
        action.input_schema.model_validate(dict(inputs))
    except ValidationError as error:
        return list(_findings(error))
    return []


def _findings(error: ValidationError) -> Iterable[tuple[str, str, str]]:
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        path = ""
        for part in found["loc"]:
            path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
        yield path, "Fill this in." if found["type"] == "missing" else found["msg"], found["type"]

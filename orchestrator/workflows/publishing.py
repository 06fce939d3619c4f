"""From a draft to something that runs: the check, numbered versions, and snapshots for tests of a draft."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import ValidationError

from integrations.findings import findings
from integrations.registry import Trigger as RegisteredTrigger
from integrations.registry import registry
from integrations.sdk import Action, PollingTrigger
from integrations.sdk.declaration import Declaration
from integrations.words import declared
from orchestrator.errors import Conflict, Invalid, NotFound, Problem
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition, steps_before, steps_replaced
from orchestrator.flow.facts import ActionFacts, CredentialFacts, TriggerFacts
from orchestrator.flow.names import TriggerType
from orchestrator.flow.validation import summary_problems, validate
from orchestrator.prices import model_price
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.models import Credential
from orchestrator.vault.operators import needs_credential
from orchestrator.vault.selectors import health_now
from orchestrator.vault.sharing import may_use, require_use
from orchestrator.workflows.drafts import credential_ids, draft_definition
from orchestrator.workflows.facts import other_workflows
from orchestrator.workflows.live import make_live
from orchestrator.workflows.models import Variable, Workflow, WorkflowVersion
from orchestrator.workflows.returning import AutoReturn, check_auto_return
from orchestrator.workflows.secret_inputs import credential_fields
from orchestrator.workflows.selectors import next_version_number
from orchestrator.workflows.trigger_credentials import named_in


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

    def trigger(self, key: str) -> TriggerFacts | None:
        trigger = registry.trigger(key)
        return trigger_facts(trigger) if trigger else None

    def trigger_keys(self) -> Sequence[str]:
        return [trigger.key for trigger in registry.triggers()]

    def has_price(self, model: str) -> bool:
        return model_price()(model) is not None


def action_facts(action: Action) -> ActionFacts:
    """Return what validation needs of an action."""
    return ActionFacts(
        key=action.key,
        name=declared(action.name),
        provider=action.provider.key,
        provider_name=declared(action.provider.name),
        accepted_auth=frozenset(action.accepted_auth),
        auth_required=needs_credential(action),
        input_schema=action.input_json_schema(),
        output_schema=action.output_json_schema(),
        check_inputs=lambda inputs: _input_problems(action, inputs),
        lanes=action.lanes,
        per_item=action.per_item,
        verbatim=action.verbatim,
        secrets=action.secret_inputs,
        scopes=action.scopes,
    )


def trigger_facts(trigger: RegisteredTrigger) -> TriggerFacts:
    """Return what validation needs of an integration's trigger."""
    return TriggerFacts(
        key=trigger.key,
        type=TriggerType.POLLING if isinstance(trigger, PollingTrigger) else TriggerType.EVENT,
        name=declared(trigger.name),
        provider=trigger.provider.key,
        provider_name=declared(trigger.provider.name),
        accepted_auth=frozenset(trigger.accepted_auth),
        auth_required=trigger.auth_required,
        output_schema=trigger.output_json_schema(),
        check_inputs=lambda inputs: _input_problems(trigger, inputs),
    )


def check(workflow: Workflow, *, actor: Actor) -> list[Problem]:
    """Return every problem and warning that a publish of the draft by ``actor`` would answer."""
    return _check(actor, draft_definition(workflow))


def summary_check(workflow: Workflow, paths: Sequence[str]) -> list[Problem]:
    """Return what would be wrong with these paths as the draft's summary, none of it about anything else."""
    definition = draft_definition(workflow)
    settings = definition.settings.model_copy(update={"summary": tuple(paths)})
    return summary_problems(definition.model_copy(update={"settings": settings}), catalog=RegistryCatalog())


@transaction.atomic
def publish(
    *,
    actor: Actor,
    workflow: Workflow,
    note: str = "",
    if_match: int | None = None,
    seen: str | None = None,
    number: int | None = None,
    auto_return: AutoReturn | None = None,
) -> PublishResult:
    """Make the draft the next numbered version, and let it run.

    The first publish enables the workflow; later ones leave that as it is. Raises Invalid with every problem, and
    Conflict when the draft's revision is not ``if_match``, its checksum not the one that was ``seen``, or the version
    would not get the ``number`` that the caller counts on: of a form that is sent twice, one publishes.
    """
    require_operation(actor, "workflow.publish")
    workflow = _locked(actor, workflow)
    if if_match is not None and if_match != workflow.revision:
        raise Conflict(
            _(
                "Somebody changed this workflow meanwhile: it is at revision %(revision)s, yours was "
                "%(if_match)s. Look at what changed, and publish again."
            )
            % {"revision": workflow.revision, "if_match": if_match},
            code="revision_conflict",
        )
    definition = draft_definition(workflow)
    if seen is not None and seen != definition.checksum():
        message = _("Somebody changed this workflow meanwhile. Look at what changed, and publish again.")
        raise Conflict(message, code="revision_conflict")
    if number is not None and number != next_version_number(workflow):
        message = _("Version %(number)s was published meanwhile. Look at what it changed, and publish again.") % {
            "number": number
        }
        raise Conflict(message, code="published_meanwhile")
    return _publish(actor, workflow, definition, note, auto_return)


@transaction.atomic
def version_publish(*, actor: Actor, workflow: Workflow, version: WorkflowVersion, note: str = "") -> PublishResult:
    """Make what a version is the next numbered version, and let it run; the draft is left alone.

    Raises Invalid with every problem that it has by now, and NotFound for another workflow's version.
    """
    require_operation(actor, "workflow.publish")
    workflow = _locked(actor, workflow)
    if version.workflow_id != workflow.pk or version.number is None:
        raise NotFound(_("This workflow has no such version."))
    definition = WorkflowDefinition.model_validate({**version.definition, "slug": workflow.slug})
    return _publish(actor, workflow, definition, note or f"Version {version.number} again", None)


def _locked(actor: Actor, workflow: Workflow) -> Workflow:
    # Two publishes at once would take the same number.
    rows = Workflow.objects.for_tenant(actor.tenant).select_for_update(of=("self",))
    return rows.select_related("published_version").get(pk=workflow.pk)


def _publish(
    actor: Actor, workflow: Workflow, definition: WorkflowDefinition, note: str, auto_return: AutoReturn | None
) -> PublishResult:
    problems = _check(actor, definition)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise Invalid(
            _("%(count)s problem(s) to fix before this can be published.") % {"count": len(errors)},
            problems=errors,
            code="unpublishable",
        )
    replaced = workflow.published_version
    check_auto_return(auto_return, replaced)
    more = {"replaced": replaced, **_watch(auto_return)}
    version = _make_version(actor, workflow, definition, number=next_version_number(workflow), note=note, **more)
    workflow.enabled = workflow.enabled or replaced is None
    make_live(workflow, version)
    audit.record(actor=actor, action="workflow.published", target=workflow, detail={"number": version.number})
    return PublishResult(version=version, warnings=tuple(p for p in problems if p.severity == "warning"))


def _watch(wanted: AutoReturn | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    return {"watched": True, "return_failures": wanted.failures, "return_runs": wanted.runs}


@transaction.atomic
def draft_snapshot(
    *, actor: Actor, workflow: Workflow, until: str = "", instead: tuple[str, StepDefinition] | None = None
) -> WorkflowVersion:
    """Return an immutable copy of the draft as it is, to run it; the same draft is kept once.

    ``until`` leaves out a step and what comes after it, ``instead`` puts another in the place of a step. Raises
    NotFound when there is no such step, and Forbidden when the draft uses a credential that is not shared with the
    actor.
    """
    definition = draft_definition(workflow)
    if until:
        definition = _with_steps(definition, until, steps_before(definition.steps, until))
        definition = definition.model_copy(update={"output": None})
    if instead is not None:
        definition = _with_steps(definition, instead[0], steps_replaced(definition.steps, *instead))
    kept = WorkflowVersion.objects.for_tenant(workflow.tenant_id).filter(
        workflow=workflow, number__isnull=True, checksum=definition.checksum()
    )
    found = kept.first()
    if found is None:
        return _make_version(actor, workflow, definition, number=None)
    # The same text can be bound to another credential now: one that was deleted and made again.
    bindings = _bound(actor, definition)
    if found.bindings != bindings:
        found.bindings = bindings
        found.save(update_fields=["bindings"])
    return found


def _with_steps(
    definition: WorkflowDefinition, key: str, steps: tuple[StepDefinition, ...] | None
) -> WorkflowDefinition:
    """Return a definition with these steps. Raises NotFound where they were not found for want of the step ``key``."""
    if steps is None:
        raise NotFound(_("This workflow has no step %(until).80r.") % {"until": key})
    return definition.model_copy(update={"steps": steps})


def _check(actor: Actor, definition: WorkflowDefinition) -> list[Problem]:
    tenant_id = actor.tenant.pk
    return validate(
        definition,
        catalog=RegistryCatalog(),
        credentials=_credentials(actor),
        variables=list(Variable.objects.for_tenant(tenant_id).values_list("key", flat=True)),
        workflows=other_workflows(tenant_id, definition),
    )


def _credentials(actor: Actor) -> dict[str, CredentialFacts]:
    rows = Credential.objects.for_tenant(actor.tenant).defer("sealed")
    return {
        row.name: CredentialFacts(
            provider=row.provider,
            auth_type=row.auth_type,
            health=health_now(row),
            is_shared=may_use(actor, row),
            scopes=frozenset(map(str, row.scopes or ())),
        )
        for row in rows
    }


def _make_version(
    actor: Actor,
    workflow: Workflow,
    definition: WorkflowDefinition,
    *,
    number: int | None,
    note: str = "",
    **more: Any,
) -> WorkflowVersion:
    return WorkflowVersion.unscoped.create(
        tenant=actor.tenant,
        workflow=workflow,
        number=number,
        definition=definition.as_document(),
        checksum=definition.checksum(),
        bindings=_bound(actor, definition),
        author=actor.user,
        note=note,
        **more,
    )


def _bound(actor: Actor, definition: WorkflowDefinition) -> dict[str, int]:
    """Return the credentials of what is made to run, by name. Raises Forbidden for one that the actor may not use."""
    found = _bindings(actor.tenant.pk, definition)
    require_use(actor, Credential.objects.for_tenant(actor.tenant).filter(pk__in=found.values()).defer("sealed"))
    return found


def _bindings(tenant_id: int, definition: WorkflowDefinition) -> dict[str, int]:
    of_steps = [name for _, step in definition.walk() for name in credential_fields(step).values()]
    return credential_ids(tenant_id, [*of_steps, *(named_in(trigger.config) for trigger in definition.triggers)])


def rebound_credentials(version: WorkflowVersion, definition: WorkflowDefinition) -> set[str]:
    """Return the names in ``definition`` that another credential has now than when the version was made."""
    now = _bindings(version.tenant_id, definition)
    return {name for name, pk in now.items() if version.bindings.get(name, pk) != pk}


def _input_problems(action: Declaration, inputs: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Run its model; return path, message and code of each finding."""
    try:
        action.input_schema.model_validate(dict(inputs))
    except ValidationError as error:
        return list(_findings(error))
    return []


def _findings(error: ValidationError) -> Iterable[tuple[str, str, str]]:
    for found in findings(error):
        path = ""
        for part in found["loc"]:
            path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
        yield path, _("Fill this in.") if found["type"] == "missing" else found["msg"], found["type"]

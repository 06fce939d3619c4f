"""Which credential fits a step, and another one in place of one in every draft that uses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from integrations.registry import registry
from integrations.sdk.errors import IntegrationError
from orchestrator.errors import Invalid, Problem
from orchestrator.flow.secret_inputs import NEVER_SENT, PROVIDER, is_value, reference
from orchestrator.flow.webhooks import PROVIDER as SIGNING
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.models import Credential
from orchestrator.workflows import secret_inputs, trigger_credentials
from orchestrator.workflows.edits import step_update
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Trigger, Workflow
from orchestrator.workflows.rows import find_step, rows_of
from orchestrator.workflows.trigger_credentials import named_in, triggers_with_credentials


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """In how many drafts a credential was replaced, and which workflows' published versions go on with it."""

    workflows: int
    live: tuple[Workflow, ...]


def fits(action_key: str, credential: Credential) -> bool:
    """Whether a step of this action can use the credential as its own; one that nothing registers takes any."""
    action = registry.get(action_key)
    if action is None:
        return True
    if not action.accepted_auth or credential.provider in NEVER_SENT:
        # A secret value says nothing of where it goes: it is chosen in a field, and put on no request.
        return False
    try:
        action.check_auth({"provider": credential.provider, "type": credential.auth_type})
    except IntegrationError:
        return False
    return True


def takes_secret(action_key: str, field: str, credential: Credential) -> bool:
    """Whether a field of a step of this action is a secret one, and the credential a secret for it."""
    action = registry.get(action_key)
    return action is not None and field in action.secret_inputs and is_value(credential.provider, credential.auth_type)


@transaction.atomic
def secret_choose(*, actor: Actor, workflow: Workflow, key: str, field: str, credential: Credential) -> Step:
    """Choose a secret in a field of a draft step. Raises NotFound where the step is gone."""
    workflow = lock_draft(actor, workflow, None)
    step = find_step(rows_of(workflow), key)
    inputs = {**step.config.get("inputs", {}), field: reference(credential.name)}
    return step_update(actor=actor, workflow=workflow, key=key, changes={"config": {**step.config, "inputs": inputs}})


def replacements(tenant: Tenant, credential: Credential) -> list[Credential]:
    """Return the tenant's other credentials that fit every draft step that uses this one; two queries."""
    steps = _steps_using(tenant, credential)
    if not steps and not _triggers_using(tenant, credential):
        return []
    actions = _actions(steps, credential)
    rows = Credential.objects.for_tenant(tenant).exclude(pk=credential.pk).defer("sealed").order_by("name")
    return [row for row in rows if _fits_all(actions, row, credential)]


def _steps_using(tenant: Tenant, credential: Credential) -> list[Step]:
    """Return the draft steps that use a credential as their own, or hold it in a field."""
    steps = list(Step.objects.for_tenant(tenant).filter(credential=credential))
    if credential.provider == PROVIDER:
        known = {step.pk for step in steps}
        holding = secret_inputs.steps_holding(tenant, credential.name)
        steps += [step for step in holding if step.pk not in known and secret_inputs.holds(step, credential.name)]
    return steps


def _triggers_using(tenant: Tenant, credential: Credential) -> list[Trigger]:
    rows = triggers_with_credentials(tenant, credential.name)
    return [row for row in rows if named_in(row.config) == credential.name]


def _actions(steps: Iterable[Step], credential: Credential) -> frozenset[str]:
    """Return the actions that use a credential as their own."""
    return frozenset(step.action for step in steps if step.credential_id == credential.pk)


def _fits_all(actions: Iterable[str], row: Credential, credential: Credential) -> bool:
    # Of the same provider: an HTTP step takes any, but its address is that of whom the old one was for.
    if credential.provider in (PROVIDER, SIGNING) and row.auth_type != credential.auth_type:
        return False
    return row.provider == credential.provider and all(fits(action, row) for action in actions)


@transaction.atomic
def credential_replace(*, actor: Actor, credential: Credential, by: Credential) -> Replaced:
    """Let every draft step that uses ``credential`` use ``by``: a change of each draft that can be undone.

    Published versions keep what they were bound to until the next publish. Raises Invalid where ``by`` does not fit.
    """
    require_operation(actor, "credential.edit")
    require_operation(actor, "workflow.edit")
    credential = get_for_tenant_or_404(Credential, actor.tenant, pk=credential.pk)
    by = get_for_tenant_or_404(Credential, actor.tenant, pk=by.pk)
    # In one order, so that two people who do so at once wait for each other instead of for ever.
    using: list[Step | Trigger] = [
        *_steps_using(actor.tenant, credential), *_triggers_using(actor.tenant, credential)
    ]  # fmt: skip
    workflow_ids = sorted({each.workflow_id for each in using})
    for workflow_id in workflow_ids:
        _replace_in(actor, workflow_id, credential, by)
    audit.record(
        actor=actor,
        action="credential.replaced",
        target=credential,
        detail={"by": by.name, "workflows": len(workflow_ids)},
    )
    return Replaced(
        workflows=len(workflow_ids),
        live=tuple(_still_live(actor.tenant, credential)),
    )


def _replace_in(actor: Actor, workflow_id: int, credential: Credential, by: Credential) -> None:
    workflow = lock_draft(actor, Workflow.objects.for_tenant(actor.tenant).get(pk=workflow_id), None)
    steps = [step for step in _steps_using(actor.tenant, credential) if step.workflow_id == workflow.pk]
    if by.pk == credential.pk or not _fits_all(_actions(steps, credential), by, credential):
        message = _("%(name)s does not fit the steps that use %(old)s.") % {"name": by.name, "old": credential.name}
        raise Invalid(message, problems=[Problem(path="by", message=message, code="unfit")])
    Step.objects.for_tenant(actor.tenant).filter(workflow=workflow, credential=credential).update(
        credential=by, credential_name=""
    )
    for step in steps:
        if secret_inputs.holds(step, credential.name):
            secret_inputs.give_another(step, credential.name, by.name)
    for trigger in _triggers_using(actor.tenant, credential):
        if trigger.workflow_id == workflow.pk:
            trigger_credentials.give_another(trigger, by.name)
    detail = {"changed": ["steps"], "credential_replaced": credential.name, "by": by.name}
    touch(actor, workflow, detail=detail)


def _still_live(tenant: Tenant, credential: Credential) -> Sequence[Workflow]:
    """Return the workflows whose published version is bound to the credential."""
    rows = Workflow.objects.for_tenant(tenant).filter(published_version__isnull=False).order_by("name", "id")
    rows = rows.select_related("published_version").defer("published_version__definition")
    return [row for row in rows if row.published_version and credential.pk in row.published_version.bindings.values()]

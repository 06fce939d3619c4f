"""Which secrets of the vault a tenant's steps hold in their inputs, and another name or secret in place of one.

A draft names them in its configs, as its document does; the column ``secrets`` only says where to look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from integrations.registry import registry
from orchestrator import jsongate
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.secret_inputs import REFERENCE, reference, referenced, without_values
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Step, Workflow


def held(action_key: str, inputs: Any) -> dict[str, str]:
    """Return the names of the credentials that a step's secret inputs hold, by input.

    Of a step whose action is not registered all that looks like one counts: it may be installed again.
    """
    action = registry.get(action_key)
    if not isinstance(inputs, Mapping) or (action is not None and not action.secret_inputs):
        return {}
    names = inputs if action is None else action.secret_inputs
    return {name: found for name in names if (found := referenced(inputs.get(name)))}


def credential_fields(step: StepDefinition) -> dict[str, str]:
    """Return the names of all credentials that a step uses, by the path within it: its own first."""
    own = {REFERENCE: step.credential} if step.credential else {}
    secrets = held(step.action, step.config.inputs)
    return {**own, **{f"config.inputs.{field}.{REFERENCE}": name for field, name in secrets.items()}}


def kept_config(action_key: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a step's config as it may be kept and shown: without values of secret inputs."""
    action = registry.get(action_key)
    inputs = config.get("inputs")
    if action is None or not action.secret_inputs or not isinstance(inputs, Mapping):
        return config
    return {**config, "inputs": without_values(inputs, action.secret_inputs)}


def kept_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a version's document as it may be shown: an input may have become a secret since it was published."""
    return {**document, "steps": [_kept_step(step) for step in document.get("steps", ())]}


def _kept_step(step: Mapping[str, Any]) -> dict[str, Any]:
    lanes = {name: [_kept_step(inner) for inner in steps] for name, steps in step.get("lanes", {}).items()}
    config = kept_config(str(step.get("action")), step.get("config", {}))
    return {**step, "config": config, **({"lanes": lanes} if lanes else {})}


def steps_with_secrets(tenant: Tenant | int) -> QuerySet[Step]:
    """Return the draft steps that hold any secret."""
    return Step.objects.for_tenant(tenant).filter(secrets__isnull=False)


def steps_holding(tenant: Tenant | int, name: str) -> QuerySet[Step]:
    """Return the draft steps that hold the secret of this name, or, as some databases compare, one in other case."""
    return steps_with_secrets(tenant).filter(secrets__contains=jsongate.dumps(name))


def holds(step: Step, name: str) -> bool:
    """Whether a draft step holds the secret of this name."""
    return name in (step.secrets or ())


def give_another(step: Step, name: str, other: str) -> None:
    """Put the secret ``other`` where a draft step holds ``name``, and save it."""
    inputs = step.config.get("inputs", {})
    changed = {field: reference(other) for field, found in held(step.action, inputs).items() if found == name}
    step.config = {**step.config, "inputs": {**inputs, **changed}}
    step.secrets = sorted({other if each == name else each for each in step.secrets})
    step.save(update_fields=["config", "secrets"])


def lock_holding(tenant: Tenant, name: str) -> None:
    """Lock the workflows whose drafts hold a secret, in one order; before its credential, as a save of a step does."""
    ids = {step.workflow_id for step in steps_holding(tenant, name).only("workflow_id")}
    if ids:
        list(Workflow.objects.for_tenant(tenant).filter(pk__in=ids).order_by("pk").select_for_update(of=("self",)))


def renamed(tenant: Tenant, before: str, after: str) -> None:
    """Let drafts follow the new name of a secret that they hold; a step's own credential follows by its key."""
    for step in steps_holding(tenant, before):
        if holds(step, before):
            give_another(step, before, after)

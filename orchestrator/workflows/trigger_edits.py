"""Single changes of a draft's triggers, as the builder makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from orchestrator.errors import NotFound
from orchestrator.flow.definition import TriggerDefinition
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.addresses import give_address
from orchestrator.workflows.drafts import drop_trigger, parsed_part
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.rows import free_key


@transaction.atomic
def trigger_add(
    *,
    actor: Actor,
    workflow: Workflow,
    type: TriggerType,  # noqa: A002  (the document calls it type)
    config: Mapping[str, Any] | None = None,
) -> Trigger:
    """Add a trigger; one of a type that is called from outside gets its address now."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, None)
    present = list(Trigger.objects.for_tenant(actor.tenant).filter(workflow=workflow))
    definition = parsed_part(
        TriggerDefinition,
        {"key": free_key(type.value, {row.key for row in present}), "type": type, "config": dict(config or {})},
    )
    trigger = Trigger(
        tenant=actor.tenant,
        workflow=workflow,
        key=definition.key,
        type=definition.type.value,
        config=definition.config,
        position=len(present),
    )
    give_address(trigger)
    trigger.save(force_insert=True)
    touch(actor, workflow, detail={"trigger_added": trigger.key})
    return trigger


@transaction.atomic
def trigger_update(*, actor: Actor, workflow: Workflow, key: str, config: Mapping[str, Any]) -> Trigger:
    """Replace a trigger's draft config; the live one changes with the next publish."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, None)
    trigger = _trigger(workflow, key)
    trigger.config = parsed_part(TriggerDefinition, {"key": key, "type": trigger.type, "config": dict(config)}).config
    trigger.save(update_fields=["config"])
    touch(actor, workflow, detail={"trigger_changed": key})
    return trigger


@transaction.atomic
def trigger_remove(*, actor: Actor, workflow: Workflow, key: str) -> None:
    """Take a trigger out of the draft; a live one starts runs until the next publish."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, None)
    drop_trigger(_trigger(workflow, key))
    touch(actor, workflow, detail={"trigger_removed": key})


def _trigger(workflow: Workflow, key: str) -> Trigger:
    rows = Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, key=key, in_draft=True)
    found = rows.first()
    if found is None:
        raise NotFound(_("There is no trigger %(key).80r in this draft. Somebody may have removed it.") % {"key": key})
    return found

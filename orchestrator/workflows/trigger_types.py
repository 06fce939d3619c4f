"""A trigger of another type in the place of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.trigger_edits import trigger_add, trigger_remove


@transaction.atomic
def trigger_swap(
    *,
    actor: Actor,
    workflow: Workflow,
    key: str,
    type: TriggerType,  # noqa: A002  (the document calls it type)
    config: Mapping[str, Any],
) -> Trigger:
    """Put a trigger of another type in the place of one; a live one starts runs until the next publish."""
    trigger_remove(actor=actor, workflow=workflow, key=key)
    return trigger_add(actor=actor, workflow=workflow, type=type, config=config)

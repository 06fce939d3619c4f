"""Which version of a workflow is live, and its triggers with it. The draft is left alone here.

Whoever calls these has locked the workflow's row.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone

from orchestrator.flow.definition import TriggerDefinition, WorkflowDefinition, WorkflowSettings
from orchestrator.workflows.addresses import give_address
from orchestrator.workflows.arming import arm
from orchestrator.workflows.models import Trigger, Workflow, WorkflowVersion


def make_live(workflow: Workflow, version: WorkflowVersion | None) -> None:
    """Let a version run from now on, None for none; runs in progress keep theirs."""
    definition = WorkflowDefinition.model_validate(version.definition) if version else None
    limits = definition.settings if definition else WorkflowSettings()
    workflow.published_version = version
    workflow.enabled = workflow.enabled and version is not None
    workflow.max_concurrent_runs, workflow.on_limit = limits.max_concurrent_runs, limits.on_limit
    workflow.updated_at = timezone.now()
    workflow.save(update_fields=["published_version", "enabled", "max_concurrent_runs", "on_limit", "updated_at"])
    _end_watches(workflow, version)
    _make_triggers_live(workflow, definition.triggers if definition else ())
    arm(workflow, timezone.now())


def _end_watches(workflow: Workflow, version: WorkflowVersion | None) -> None:
    """Let none but the live version go back by itself."""
    rows = WorkflowVersion.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, watched=True)
    (rows.exclude(pk=version.pk) if version else rows).update(watched=False)


def _make_triggers_live(workflow: Workflow, wanted: Iterable[TriggerDefinition]) -> None:
    """Make these triggers the live ones.

    One that is dropped keeps its row and its address, live no more, until the next version: whoever goes back to the
    version before finds its callers where they were.
    """
    rows = {row.key: row for row in Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)}
    for position, trigger in enumerate(wanted):
        row = rows.get(trigger.key)
        if row is not None and row.type != trigger.type.value:
            # The draft has another trigger of this key, which is not this version's.
            continue
        rows.pop(trigger.key, None)
        _make_live(row or _missing(workflow, trigger, position), trigger)
    for row in rows.values():
        if row.live_config is not None:
            row.live_config = None
            row.save(update_fields=["live_config"])
        elif not row.in_draft:
            row.delete()


def _make_live(row: Trigger, trigger: TriggerDefinition) -> None:
    if row.live_config != trigger.config:
        # It is another schedule now.
        row.next_fire_at = None
    row.live_config = trigger.config
    row.save(update_fields=["live_config", "next_fire_at"])


def _missing(workflow: Workflow, trigger: TriggerDefinition, position: int) -> Trigger:
    """Return a new row for a trigger of a version whose own row is gone: what was its address is nobody's now."""
    row = Trigger(
        tenant_id=workflow.tenant_id,
        workflow=workflow,
        key=trigger.key,
        type=trigger.type.value,
        config=trigger.config,
        in_draft=False,
        position=position,
    )
    give_address(row)
    row.save()
    return row

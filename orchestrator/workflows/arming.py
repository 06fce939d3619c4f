"""When the live triggers that fire by themselves do so next: set when a workflow is published or switched on."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from orchestrator.flow import polling, schedules
from orchestrator.flow.names import TriggerType
from orchestrator.workflows.models import Trigger, Workflow

log = logging.getLogger(__name__)

TIMED: Final = (TriggerType.SCHEDULE.value, TriggerType.POLLING.value)
_EVENT: Final = TriggerType.EVENT.value


def arm(workflow: Workflow, now: datetime) -> None:
    """Let a workflow's live schedules fire and its polls be made from now on, or none while it is switched off.

    One that has a next time keeps it: publishing something else moves no slot. Slots that are missed while a workflow
    is switched off are not made up for; a poll goes on from where the last one was.
    """
    for row in Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, type__in=TIMED):
        wanted = workflow.enabled and row.live_config is not None
        next_at = (row.next_fire_at or first_at(row, now)) if wanted else None
        if next_at != row.next_fire_at:
            row.next_fire_at = next_at
            row.save(update_fields=["next_fire_at"])
    # Live or not: whoever subscribes looks whether the provider knows what it should, and nothing that it should not.
    Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, type=_EVENT).update(next_fire_at=now)


def first_at(row: Trigger, now: datetime) -> datetime | None:
    """Return when a live trigger fires next, None where its config cannot be read.

    What is polled is so at once: what is there when somebody publishes is where it begins.
    """
    try:
        if row.type == TriggerType.POLLING.value:
            polling.config_of(row.live_config)
            return now
        return schedules.next_slot(schedules.config_of(row.live_config), now, offset=row.pk)
    except ValidationError:
        log.exception("The live trigger %s of the workflow %s cannot be read", row.key, row.workflow_id)
        return None

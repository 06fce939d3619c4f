"""Schedules: each slot that has come becomes one run, however many tickers look.

1. Due triggers are found by their partial index. Their workflows are locked first, as a publish does; one that is being
   published is left for the next look.
2. Under the lock the trigger is read again, its slots are handed out, and the next time is written with the runs in one
   transaction: a crash leaves both or neither.
3. A slot's dedupe key is its time, so that not even a restored backup runs one twice that it has on record.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Min, Q

from orchestrator.errors import Conflict
from orchestrator.flow import schedules
from orchestrator.flow.names import TriggerType
from orchestrator.flow.schedules import Due, ScheduleConfig
from orchestrator.tenants.access import system_actor
from orchestrator.workflows.models import Trigger, Workflow
from runs.models import Run
from runs.services import run_cancel
from runs.states import RUN_TERMINAL

log = logging.getLogger(__name__)

TRIGGERS_A_LOOK: Final = 200
MOST_CANCELLED: Final = 100
_TERMINAL: Final = [status.value for status in RUN_TERMINAL]


def next_at() -> datetime | None:
    """Return when the next schedule is due; one query by its index."""
    waiting = Trigger.unscoped.filter(type=TriggerType.SCHEDULE.value, next_fire_at__isnull=False)
    found: datetime | None = waiting.aggregate(at=Min("next_fire_at"))["at"]
    return found


def fire(now: datetime) -> int:
    """Start the runs of every slot that has come; return how many."""
    started = 0
    while True:
        looked, made = _look(now)
        started += made
        if looked < TRIGGERS_A_LOOK:
            return started


@transaction.atomic
def _look(now: datetime) -> tuple[int, int]:
    """Fire some due triggers; return how many were looked at and how many runs were started."""
    ready = Q(type=TriggerType.SCHEDULE.value, next_fire_at__lte=now)
    due = list(
        Trigger.unscoped.filter(ready).order_by("next_fire_at").values_list("pk", "workflow_id")[:TRIGGERS_A_LOOK]
    )
    if not due:
        return 0, 0
    workflows = Workflow.unscoped.filter(pk__in={workflow for _, workflow in due}).order_by("pk")
    held = {row.pk: row for row in workflows.select_for_update(skip_locked=True, no_key=True, of=("self",))}
    rows = Trigger.unscoped.filter(ready, pk__in=[pk for pk, _ in due], workflow__in=held).order_by("pk")
    runs: list[Run] = []
    looked = list(rows.select_for_update(of=("self",)))
    for trigger in looked:
        runs += _runs_of(held[trigger.workflow_id], trigger, now)
        trigger.save(update_fields=["next_fire_at", "state"])
    Run.unscoped.bulk_create(_new(runs))
    return (len(looked), len(runs)) if looked else (0, 0)


def _runs_of(workflow: Workflow, trigger: Trigger, now: datetime) -> list[Run]:
    """Return the runs of a trigger's slots, and set when it is due next."""
    first = trigger.next_fire_at
    assert first is not None
    if not workflow.enabled or workflow.published_version_id is None or trigger.live_config is None:
        trigger.next_fire_at = None
        return []
    try:
        config = schedules.config_of(trigger.live_config)
        found = schedules.due(config, first, now, offset=trigger.pk)
    except Exception:
        # A publish checked it; whatever it is by now, it must not keep the others from their time.
        log.exception(
            "The schedule %s of the workflow %s cannot be read, and is stopped",
            trigger.key,
            workflow.pk,
            extra={"tenant_id": str(workflow.tenant_id)},
        )
        trigger.next_fire_at = None
        return []
    trigger.next_fire_at = found.next_at
    slots = _without_overlap(workflow, trigger, config, found, now)
    return [_run(workflow, trigger, config, slot, now) for slot in slots]


def _without_overlap(
    workflow: Workflow, trigger: Trigger, config: ScheduleConfig, found: Due, now: datetime
) -> tuple[datetime, ...]:
    """Return the slots that may start beside what is still going, and note those that may not, or were missed."""
    left_out = 0
    slots = found.slots
    if slots and config.overlap != "allow":
        going = _going(workflow, trigger)
        if config.overlap == "skip" and going:
            left_out, slots = len(slots), ()
        elif config.overlap == "cancel_older":
            # Of several at once the newest is the one that counts.
            left_out, slots = len(slots) - 1, slots[-1:]
            for run in going:
                # One that has ended meanwhile needs none, and must keep nobody's slot from being fired.
                with suppress(Conflict):
                    run_cancel(actor=system_actor(workflow.tenant), run=run)
        elif len(slots) > 1:
            left_out, slots = len(slots) - 1, slots[:1]
    if left_out or found.missed:
        noted = {
            "missed": found.missed,
            "left_out": left_out,
            "at": found.next_at.isoformat(),
            "noted_at": now.isoformat(),
        }
        trigger.state = {**trigger.state, "last_gap": noted}
    return slots


def _going(workflow: Workflow, trigger: Trigger) -> list[Run]:
    rows = Run.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, trigger_key=trigger.key)
    alive = rows.exclude(status__in=_TERMINAL).order_by("-pk")
    return list(alive.only("pk", "tenant_id", "workflow_id", "status")[:MOST_CANCELLED])


def _run(workflow: Workflow, trigger: Trigger, config: ScheduleConfig, slot: datetime, now: datetime) -> Run:
    document: dict[str, Any] = {
        "type": TriggerType.SCHEDULE.value,
        "key": trigger.key,
        "body": {
            "scheduled_at": slot.astimezone(UTC).isoformat(),
            "local_time": slot.astimezone(config.zone).isoformat(),
            "timezone": config.timezone,
        },
        "headers": {},
        "query": {},
        "method": None,
        "received_at": now.isoformat(),
    }
    assert workflow.published_version_id is not None
    return Run(
        tenant_id=workflow.tenant_id,
        workflow_id=workflow.pk,
        version_id=workflow.published_version_id,
        trigger_type=TriggerType.SCHEDULE.value,
        trigger_key=trigger.key,
        trigger=document,
        dedupe_key=f"{trigger.key}:slot:{int(slot.timestamp())}",
        wake_at=now,
        created_at=now,
    )


def _new(runs: Iterable[Run]) -> Iterator[Run]:
    """Yield the runs whose slot has none yet."""
    runs = list(runs)
    keys = {run.dedupe_key for run in runs}
    known = Run.unscoped.filter(workflow__in={run.workflow_id for run in runs}, dedupe_key__in=keys)
    taken = set(known.values_list("workflow_id", "dedupe_key"))
    for run in runs:
        if (run.workflow_id, run.dedupe_key) not in taken:
            yield run

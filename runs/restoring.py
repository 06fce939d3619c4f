"""After a backup was restored: what was done since it was made is not on record, so nothing goes on by itself.

A run that was under way when the backup was made has most likely ended since, with effects that the restored database
knows nothing of. It is stopped, and a person runs it again from where it makes sense. Schedules and polls go on from
now: what came due since the backup was most likely done too. So were the messages that were to tell people of what was
wrong then: they stay unsent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction

from orchestrator.alerts.models import AlertLook
from orchestrator.alerts.restoring import alerts_settle
from orchestrator.errors import Conflict
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.arming import first_at
from orchestrator.workflows.models import Trigger
from runs.alert_looks import SLOW_EVERY
from runs.models import Run
from runs.poll_rows import SKIPS, STATE
from runs.services import run_cancel

BATCH: Final = 200


@dataclass(frozen=True, kw_only=True)
class Restored:
    """How many runs were stopped, how many schedules and polls go on from now, how many messages are not sent."""

    runs: int
    schedules: int
    polls: int
    messages: int


def settle(now: datetime) -> Restored:
    """Stop every run under way and let schedules and polls go on from ``now``; safe to repeat.

    Workers and web must not run meanwhile: they would take up what is to be stopped.
    """
    schedules = polls = runs = messages = 0
    for tenant in Tenant.objects.order_by("pk"):
        runs += _stop(tenant)
        messages += alerts_settle(tenant=tenant, now=now)
        rows = Trigger.objects.for_tenant(tenant).filter(next_fire_at__isnull=False)
        for trigger in rows.filter(type=TriggerType.SCHEDULE.value):
            trigger.next_fire_at = first_at(trigger, now)
            trigger.save(update_fields=["next_fire_at"])
            schedules += 1
        for trigger in rows.filter(type=TriggerType.POLLING.value):
            trigger.state = {**trigger.state, STATE: {**(trigger.state.get(STATE) or {}), SKIPS: True}}
            trigger.save(update_fields=["state"])
            polls += 1
    # Runs that had failed when the backup was made are no news; what stands is looked at once it was tried again.
    AlertLook.objects.update(looked_at=now, slow_at=now + SLOW_EVERY)
    return Restored(runs=runs, schedules=schedules, polls=polls, messages=messages)


def _stop(tenant: Tenant) -> int:
    """Stop a tenant's runs, a batch in a transaction; return how many."""
    open_runs = Run.objects.for_tenant(tenant).filter(finished_at__isnull=True, cancel_requested_at__isnull=True)
    stopped, actor = 0, system_actor(tenant)
    while batch := list(open_runs.select_related("tenant").order_by("pk")[:BATCH]):
        with transaction.atomic():
            for run in batch:
                # Its caller, stopped just now, may have taken it along.
                with suppress(Conflict):
                    run_cancel(actor=actor, run=run)
                    stopped += 1
    return stopped

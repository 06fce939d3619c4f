"""Polling triggers in the database: who asks next, and what a poll found as runs.

1. ``polls_claim`` hands out what is due by moving its time on: the time it is moved to is the lease. Whoever dies over
   a poll is followed by another one when that time has come.
2. The poll itself is network, and in no transaction.
3. ``poll_finish`` writes the new cursor, the runs of what is new and the next time in one transaction, and only where
   the trigger's time is still the claim's: what was published, switched off or claimed meanwhile makes it say nothing.
4. A run's dedupe key is its trigger's key and the item's id, so that what is given twice is run once.

The workflow is locked before its trigger, as a publish does; one that is being published is left for the next try.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.db import transaction
from django.db.models import Min, Q, QuerySet
from django.utils.translation import gettext as _

from integrations.registry import registry
from integrations.sdk.polling import MAX_ITEMS, Item
from orchestrator import jsongate
from orchestrator.errors import Conflict
from orchestrator.flow.names import TriggerType
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Trigger, Workflow
from runs import doorbell
from runs.clock import kept_moment
from runs.models import Payload, Run
from runs.sample_rows import sample_keep
from runs.values import large

DEFAULT_TIMEOUT: Final = 30.0
MOST_TIMEOUT: Final = 300.0
# How much longer than its poll a lease lasts: to open, to write.
_GRACE: Final = timedelta(seconds=30)
_LOOKED_AT: Final = 200
# Of one tenant at a time in one process, so that nobody's slow servers keep the others waiting.
OF_A_TENANT: Final = 4
# A first failure is tried again soon, and mostly works then.
FAILURES_TOLD: Final = 2
STATE: Final = "poll"
# Of a trigger's state: what the next polls find is remembered and starts no run.
SKIPS: Final = "skips"
# When its turn comes at a provider that takes only so many requests, which is its own then.
TURN: Final = "turn"
# Whether the last poll asked nothing, because others' requests came first.
WAITS: Final = "waits"
_POLLING: Final = TriggerType.POLLING.value


@dataclass(frozen=True, kw_only=True)
class PollClaim:
    """A trigger that this process polls until ``until``. ``state`` is what the polls before left."""

    trigger_id: int
    tenant_id: int
    workflow_id: int
    key: str
    until: datetime
    config: Mapping[str, Any]
    state: Mapping[str, Any]
    bindings: Mapping[str, int]
    egress_allow: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"The trigger {self.key} of the workflow {self.workflow_id}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is to be written after a poll; ``samples`` are items that start nothing and are kept to build with."""

    state: Mapping[str, Any]
    next_at: datetime
    runs: Sequence[Run] = ()
    payloads: Sequence[Payload] = ()
    samples: Sequence[Mapping[str, JSONValue]] = field(default=())


class Finish(StrEnum):
    DONE = "done"
    BUSY = "busy"  # the workflow is being published: try again
    OBSOLETE = "obsolete"  # the claim is not the trigger's any more, and nothing was written


def seconds_of(config: Mapping[str, Any]) -> float:
    """Return how long a poll may take."""
    trigger = registry.polling(str(config.get("trigger")))
    return min((trigger.timeout if trigger else None) or DEFAULT_TIMEOUT, MOST_TIMEOUT)


def polls_next_at() -> datetime | None:
    """Return when the next poll is due, over all tenants; one query."""
    waiting = Trigger.unscoped.filter(type=_POLLING, next_fire_at__isnull=False)
    found: datetime | None = waiting.aggregate(at=Min("next_fire_at"))["at"]
    return found


@transaction.atomic
def polls_claim(*, now: datetime, room: int, busy: Collection[int] = ()) -> list[PollClaim]:
    """Take triggers that are due, at most ``room``; ``busy`` are the tenants of the polls under way here, one each."""
    ready = Q(type=_POLLING, next_fire_at__lte=now)
    counts = Counter(busy)
    # Else thousands of one tenant's would stand before everybody else's.
    full = [tenant_id for tenant_id, count in counts.items() if count >= OF_A_TENANT]
    due = list(
        Trigger.unscoped.filter(ready)
        .exclude(tenant__in=full)
        .order_by("next_fire_at")
        .values_list("pk", "workflow_id", "tenant_id")[:_LOOKED_AT]
    )
    taken: list[tuple[int, int]] = []
    for pk, workflow_id, tenant_id in due:
        if len(taken) < room and counts[tenant_id] < OF_A_TENANT:
            counts[tenant_id] += 1
            taken.append((pk, workflow_id))
    if not taken:
        return []
    workflows = Workflow.unscoped.filter(pk__in={workflow for _pk, workflow in taken}).order_by("pk")
    locked = workflows.select_for_update(skip_locked=True, no_key=True, of=("self",))
    held = {row.pk: row for row in locked.select_related("tenant", "published_version")}
    rows = Trigger.unscoped.filter(ready, pk__in=[pk for pk, _ in taken], workflow__in=held).order_by("pk")
    claims = [_claimed(held[row.workflow_id], row, now) for row in rows.select_for_update(of=("self",))]
    return [claim for claim in claims if claim is not None]


def _claimed(workflow: Workflow, row: Trigger, now: datetime) -> PollClaim | None:
    if not workflow.enabled or workflow.published_version is None or row.live_config is None:
        row.next_fire_at = None
        row.save(update_fields=["next_fire_at"])
        return None
    until = now + timedelta(seconds=seconds_of(row.live_config)) + _GRACE
    before = row.state.get(STATE) or {}
    row.next_fire_at = until
    row.state = {**row.state, STATE: {**before, "since": now.isoformat()}}
    row.save(update_fields=["next_fire_at", "state"])
    return PollClaim(
        trigger_id=row.pk,
        tenant_id=row.tenant_id,
        workflow_id=row.workflow_id,
        key=row.key,
        until=until,
        config=row.live_config,
        state=before,
        bindings=workflow.published_version.bindings,
        egress_allow=tuple(workflow.tenant.egress_allow or ()),
    )


@transaction.atomic
def poll_finish(claim: PollClaim, outcome: Outcome) -> Finish:
    """Write what came of a poll: its runs, its samples, the cursor and the next time, all or nothing."""
    rows = Workflow.objects.for_tenant(claim.tenant_id).filter(pk=claim.workflow_id)
    workflow = rows.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
    if workflow is None:
        return Finish.BUSY if rows.exists() else Finish.OBSOLETE
    triggers = Trigger.objects.for_tenant(claim.tenant_id).filter(pk=claim.trigger_id, type=_POLLING)
    trigger = triggers.select_for_update(of=("self",)).first()
    if trigger is None or trigger.next_fire_at != claim.until or trigger.live_config != claim.config:
        return Finish.OBSOLETE
    if not workflow.enabled or workflow.published_version_id is None:
        return Finish.OBSOLETE
    _insert(workflow, workflow.published_version_id, outcome)
    for document in outcome.samples:
        sample_keep(trigger, document)
    trigger.next_fire_at = outcome.next_at
    trigger.state = {**trigger.state, STATE: dict(outcome.state)}
    trigger.save(update_fields=["next_fire_at", "state"])
    return Finish.DONE


def _insert(workflow: Workflow, version_id: int, outcome: Outcome) -> None:
    """Insert the runs that are not there yet."""
    known = known_keys(workflow.tenant_id, workflow.pk, [run.dedupe_key or "" for run in outcome.runs])
    new = [run for run in outcome.runs if run.dedupe_key not in known]
    if not new:
        return
    for run in new:
        run.version_id = version_id
    Run.unscoped.bulk_create(new)
    ids = {run.pk for run in new}
    Payload.unscoped.bulk_create([payload for payload in outcome.payloads if payload.run_id in ids])
    transaction.on_commit(doorbell.ring)


def known_keys(tenant_id: int, workflow_id: int, keys: Sequence[str]) -> set[str]:
    """Return those dedupe keys that a run of the workflow has; one query for each thousand."""
    found: set[str] = set()
    for start in range(0, len(keys), 1_000):
        rows = Run.objects.for_tenant(tenant_id).filter(
            workflow=workflow_id, dedupe_key__in=keys[start : start + 1_000]
        )
        found.update(key for key in rows.values_list("dedupe_key", flat=True) if key)
    return found


def polls_release(claims: Sequence[PollClaim], *, now: datetime) -> None:
    """Give claimed polls back at once, which nobody goes on with."""
    for claim in claims:
        rows = Trigger.objects.for_tenant(claim.tenant_id).filter(pk=claim.trigger_id, next_fire_at=claim.until)
        rows.update(next_fire_at=now)


@transaction.atomic
def poll_now(*, actor: Actor, trigger: Trigger, now: datetime) -> None:
    """Have a live trigger polled at once, instead of at its time. Raises Conflict where it is not polled at all."""
    require_operation(actor, "run.start")
    rows = Trigger.objects.for_tenant(actor.tenant).filter(pk=trigger.pk, type=_POLLING, next_fire_at__isnull=False)
    row = rows.select_for_update().first()
    if row is None:
        raise Conflict(_("This trigger is not live: publish the workflow and switch it on first."), code="not_live")
    if is_under_way(row, now):
        return
    row.next_fire_at = now
    row.save(update_fields=["next_fire_at"])
    audit.record(actor=actor, action="trigger.polled", target=row)


def polls_failing(tenant: Tenant, most: int) -> list[tuple[Trigger, Mapping[str, Any]]]:
    """Return a tenant's live triggers whose last polls failed, with the last failure; one query."""
    rows = Trigger.objects.for_tenant(tenant).filter(live_config__isnull=False).select_related("workflow")
    found = polls_failing_of(rows.order_by("pk"), _LOOKED_AT)
    return [(row, state["error"]) for row, state in found][:most]


def polls_failing_of(rows: QuerySet[Trigger], most: int | None) -> list[tuple[Trigger, Mapping[str, Any]]]:
    """Return those of some triggers whose last polls failed, with the state they left; one query of ``most`` rows."""
    due = rows.filter(type=_POLLING, next_fire_at__isnull=False, state__contains='"failures"')
    states = [(row, row.state.get(STATE) or {}) for row in due[:most]]
    return [(row, state) for row, state in states if _failures(state) >= FAILURES_TOLD and "error" in state]


def failing_since(state: Mapping[str, Any]) -> datetime | None:
    """Return when the first of the last polls failed; None where that is not known."""
    return kept_moment(state.get("failing_since"))


def _failures(state: Mapping[str, Any]) -> int:
    count = state.get("failures")
    return count if isinstance(count, int) else 0


def is_under_way(row: Trigger, now: datetime) -> bool:
    """Whether somebody polls a trigger just now."""
    state = row.state.get(STATE) or {}
    return bool(state.get("since")) and row.next_fire_at is not None and row.next_fire_at > now


def dedupe_key(trigger_key: str, item: str) -> str:
    """Return what makes an item the same as an earlier one of a trigger."""
    return f"{trigger_key}:item:{hashlib.sha256(item.encode('utf-8', 'surrogatepass')).hexdigest()}"


def document_of(trigger_key: str, body: JSONValue, now: datetime) -> dict[str, JSONValue]:
    """Return what a run sees as ``trigger``."""
    return {
        "type": _POLLING,
        "key": trigger_key,
        "body": body,
        "headers": {},
        "query": {},
        "method": None,
        "received_at": now.isoformat(),
    }


@dataclass(frozen=True, kw_only=True)
class Made:
    """The runs of what is new among items; ``rest`` are new ones beyond a poll's bound, ``refused`` too large ones."""

    runs: list[Run] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    rest: int = 0
    refused: int = 0


def runs_made(claim: PollClaim, items: Sequence[Item], now: datetime) -> Made:
    """Return runs for items that have none yet, not inserted; for a thread, with one query."""
    by_key = {dedupe_key(claim.key, item.id): item for item in items}
    known = known_keys(claim.tenant_id, claim.workflow_id, list(by_key))
    new = [(key, item) for key, item in by_key.items() if key not in known]
    runs: list[Run] = []
    payloads: list[Payload] = []
    refused = 0
    for key, item in new[:MAX_ITEMS]:
        run = Run(
            tenant_id=claim.tenant_id,
            workflow_id=claim.workflow_id,
            trigger_type=_POLLING,
            trigger_key=claim.key,
            dedupe_key=key,
            wake_at=now,
            created_at=now,
        )
        document = document_of(claim.key, item.data, now)
        try:
            payload = large(jsongate.dumps(jsongate.check(document)), tenant_id=claim.tenant_id, run_id=run.pk)
        except jsongate.BadJSON:
            refused += 1
            continue
        if payload is None:
            run.trigger = document
        else:
            run.trigger_ref = payload.pk
            payloads.append(payload)
        runs.append(run)
    return Made(runs=runs, payloads=payloads, rest=max(0, len(new) - MAX_ITEMS), refused=refused)

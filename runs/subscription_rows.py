"""Subscriptions in the database: what providers are to know of triggers, who tells them next, and what they said.

1. A publish, and whatever else makes a workflow live or not, only marks its triggers; it never waits for a provider.
2. ``subscriptions_plan`` compares: a live trigger without a subscription for what it says now gets a row, with a fresh
   secret; one that is for something else, or for nothing any more, is to end. Equal settings keep what is there.
3. ``subscriptions_claim`` hands out what is due by moving its time on: the time it is moved to is the lease.
4. The provider is told in no transaction.
5. ``subscription_finish`` writes what it said, only where the row's time is still the claim's. What was published or
   switched off meanwhile has made the row one that ends, and it ends knowing what the provider just said.

The secret is sealed before the provider hears of it, so its first request can be checked. Who dies after the provider
answered and before that is written leaves a subscription that no row names. The next try tells the provider the same
again, with the same idempotency key and address, and an ending one says by its empty id that the provider has to be
searched by address: so there is one too many at most until then, and only where a provider can do neither.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q
from pydantic import ValidationError

from integrations.registry import registry
from integrations.sdk.webhook import Subscription as Told
from orchestrator.flow.events import EventConfig, config_of
from orchestrator.flow.names import TriggerType
from orchestrator.vault.crypto import VaultError
from orchestrator.workflows.addresses import trigger_address, trigger_path
from orchestrator.workflows.models import Trigger, Workflow
from runs.clock import kept_moment
from runs.models import Subscription
from runs.states import SubscriptionStatus
from runs.subscription_secrets import Shared, new_secret, opened, seal

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT: Final = 20.0
MOST_TIMEOUT: Final = 120.0
# An ending one that cannot be ended is let go after so many tries, which take about nine hours.
MOST_ENDINGS: Final = 12
# Of one tenant at a time in one process, so that nobody's slow provider keeps the others waiting.
OF_A_TENANT: Final = 4
_GRACE: Final = timedelta(seconds=20)
_LOOKED_AT: Final = 100
_AWAY: Final = timedelta(minutes=1)
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EVENT: Final = TriggerType.EVENT.value
_ENDING: Final = SubscriptionStatus.ENDING.value
_MANUAL: Final = SubscriptionStatus.MANUAL.value


class Work(StrEnum):
    SUBSCRIBE = "subscribe"
    RENEW = "renew"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A subscription that this process talks to the provider about until ``until``.

    ``turn`` is one that was kept for it, at a provider that takes only so many requests.
    """

    pk: int
    tenant_id: int
    declared: str
    work: Work
    until: datetime
    inputs: Mapping[str, Any]
    credential_name: str
    credential_id: int | None
    told: Told = field(repr=False)
    shared: Shared | None = field(repr=False)
    failures: int
    told_at: datetime | None
    turn: datetime | None
    egress_allow: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"The subscription {self.pk} to {self.declared}"

    @property
    def address(self) -> str:
        """The whole address that the provider calls, empty where nobody knows it."""
        return f"{settings.BASE_URL}{self.shared.path}" if settings.BASE_URL and self.shared else ""

    @property
    def idempotency_key(self) -> str:
        """What is the same until the provider has answered: so a repeated call is known as one, and no later one is."""
        told = int(self.told_at.timestamp()) if self.told_at else 0
        return f"subscription-{self.pk}-{told}-{self.failures}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it: ``told`` where the provider agreed, ``gone`` where it knows nothing of it (any more).

    An ``error`` that is ours ``counts`` for nothing: the provider was not asked.
    """

    at: datetime
    next_at: datetime
    told: Told | None = None
    gone: bool = False
    error: Mapping[str, Any] | None = None
    counts: bool = True


def seconds_of(declared: str) -> float:
    """Return how long a provider may take to answer."""
    trigger = registry.webhook(declared)
    return min((trigger.timeout if trigger else None) or DEFAULT_TIMEOUT, MOST_TIMEOUT)


def purpose(config: EventConfig, credential_id: int | None, digest: str | None) -> str:
    """Return what tells whether a subscription is for what a trigger says now.

    Where a person tells the provider, inputs and credential are none of its business: they only filter, and the secret
    must stay what it is. Of the provider's own secret it is the credential that counts.
    """
    trigger = registry.webhook(config.trigger)
    own = [config.inputs, credential_id, settings.BASE_URL]
    if trigger is not None and trigger.subscribe is None:
        own = [credential_id] if trigger.has_their_secret else []
    text = json.dumps([config.trigger, digest, *own], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def subscriptions_next_at() -> datetime | None:
    """Return when something is next to be planned or told, over all tenants; three queries by an index each."""
    planned = Trigger.unscoped.filter(type=_EVENT, next_fire_at__isnull=False).aggregate(at=Min("next_fire_at"))["at"]
    due = Subscription.unscoped.filter(next_at__isnull=False).aggregate(at=Min("next_at"))["at"]
    left = _LONG_AGO if _left(None).exists() else None
    return min((each for each in (planned, due, left) if each is not None), default=None)


def _left(now: datetime | None) -> Any:
    """Return the subscriptions whose trigger is gone and that are not ending yet; nobody tells the provider of them."""
    idle = Q(since__isnull=True) if now is None else Q(since__isnull=True) | Q(next_at__lte=now)
    return Subscription.unscoped.filter(idle, trigger__isnull=True).exclude(status=_ENDING)


@transaction.atomic
def subscriptions_plan(*, now: datetime) -> None:
    """Make the rows say what providers are to know, of the triggers that were marked. Busy workflows wait."""
    _left(now).filter(status=_MANUAL).delete()
    _left(now).update(status=_ENDING, next_at=now, failures=0, error=None)
    ready = Q(type=_EVENT, next_fire_at__lte=now)
    due = dict(Trigger.unscoped.filter(ready).order_by("next_fire_at").values_list("pk", "workflow_id")[:_LOOKED_AT])
    if not due:
        return
    # The workflow before its trigger, as a publish does.
    workflows = Workflow.unscoped.filter(pk__in=set(due.values())).order_by("pk")
    locked = workflows.select_for_update(skip_locked=True, no_key=True, of=("self",))
    held = {row.pk: row for row in locked.select_related("published_version")}
    rows = Trigger.unscoped.filter(ready, pk__in=list(due), workflow__in=held).order_by("pk")
    for row in rows.select_for_update(of=("self",)):
        row.next_fire_at = None
        try:
            _planned(held[row.workflow_id], row, now)
        except VaultError as error:
            # One that cannot be opened, or any while there is no key, must not stand in the others' way.
            log.error("The address of the trigger %s cannot be opened: %s", row.pk, type(error).__name__)
            row.next_fire_at = now + _AWAY
        row.save(update_fields=["next_fire_at"])


def _planned(workflow: Workflow, row: Trigger, now: datetime) -> None:
    wanted = _wanted(workflow, row)
    live = workflow.enabled and wanted is not None
    there = Subscription.objects.for_tenant(row.tenant_id).filter(trigger=row).exclude(status=_ENDING)
    kept = False
    for each in there.order_by("pk").select_for_update(of=("self",)):
        is_manual = each.status == _MANUAL
        # What a person entered at the provider stays right, whoever switches on again or goes back.
        keeps = is_manual if wanted is None else each.of == wanted.of and (live or is_manual)
        kept = kept or (keeps and wanted is not None)
        if not keeps and is_manual:
            # Nobody but a person told the provider.
            each.delete()
        elif not keeps:
            _end(each, now)
        elif each.failures and each.since is None:
            # Somebody published again, perhaps because of just that.
            each.next_at = now
            each.save(update_fields=["next_at"])
    if live and wanted is not None and not kept:
        path = trigger_path(row, trigger_address(row))
        seal(wanted, Shared(secret=new_secret(), path=path))
        wanted.next_at = None if wanted.status == _MANUAL else now
        wanted.save(force_insert=True)


def _wanted(workflow: Workflow, row: Trigger) -> Subscription | None:
    """Return the row that a live trigger is to have, not saved; None for one that is not live or cannot be read."""
    version = workflow.published_version
    if version is None or row.live_config is None:
        return None
    try:
        config = config_of(row.live_config)
    except ValidationError:
        log.exception("The live trigger %s of the workflow %s cannot be read", row.key, workflow.pk)
        return None
    trigger = registry.webhook(config.trigger)
    credential_id = version.bindings.get(config.credential) if config.credential else None
    by_hand = trigger is not None and trigger.subscribe is None
    return Subscription(
        tenant_id=row.tenant_id,
        trigger=row,
        declared=config.trigger,
        inputs=config.inputs,
        credential_id=credential_id,
        credential_name=config.credential or "",
        of=purpose(config, credential_id, row.address_digest),
        status=_MANUAL if by_hand else SubscriptionStatus.PENDING.value,
    )


def _end(row: Subscription, now: datetime) -> None:
    """Let a subscription end; what somebody talks about just now is theirs until their lease is over."""
    row.status, row.failures, row.error = _ENDING, 0, None
    if row.since is None or row.next_at is None or row.next_at <= now:
        row.next_at = now
    row.save(update_fields=["status", "failures", "error", "next_at"])


@transaction.atomic
def subscriptions_claim(*, now: datetime, room: int, busy: Collection[int] = ()) -> list[Claim]:
    """Take subscriptions that are due, at most ``room``; ``busy`` are the tenants of those under way here, one each."""
    before = Subscription.unscoped.filter(trigger=OuterRef("trigger"), status=_ENDING, failures=0)
    # A provider that takes an address once has to forget the old one first, or to have been asked to.
    blocked = Q(status=SubscriptionStatus.PENDING.value) & Exists(before)
    ready = Q(next_at__lte=now)
    counts = Counter(busy)
    full = [tenant_id for tenant_id, count in counts.items() if count >= OF_A_TENANT]
    due = Subscription.unscoped.filter(ready).exclude(blocked).exclude(tenant__in=full).order_by("next_at")
    taken: list[int] = []
    for pk, tenant_id in due.values_list("pk", "tenant_id")[:_LOOKED_AT]:
        if len(taken) < room and counts[tenant_id] < OF_A_TENANT:
            counts[tenant_id] += 1
            taken.append(pk)
    if not taken:
        return []
    rows = Subscription.unscoped.filter(ready, pk__in=taken).order_by("pk").select_related("tenant")
    return [_claimed(row, now) for row in rows.select_for_update(skip_locked=True, of=("self",))]


def _claimed(row: Subscription, now: datetime) -> Claim:
    row.since, row.next_at = now, now + timedelta(seconds=seconds_of(row.declared)) + _GRACE
    row.save(update_fields=["since", "next_at"])
    shared = _opened(row)
    return Claim(
        pk=row.pk,
        tenant_id=row.tenant_id,
        declared=row.declared,
        work=_WORK[SubscriptionStatus(row.status)],
        until=row.next_at,
        inputs=row.inputs,
        credential_name=row.credential_name,
        credential_id=row.credential_id,
        told=Told(
            id=str(row.state.get("id") or ""),
            state=row.state.get("state"),
            expires_at=row.expires_at,
            address=f"{settings.BASE_URL or ''}{shared.path}" if shared else "",
        ),
        shared=shared,
        failures=row.failures,
        told_at=row.told_at,
        turn=kept_moment((row.error or {}).get("turn")),
        egress_allow=tuple(row.tenant.egress_allow or ()),
    )


def _opened(row: Subscription) -> Shared | None:
    try:
        return opened(row)
    except VaultError as error:
        log.error("The secret of the subscription %s cannot be opened: %s", row.pk, type(error).__name__)
        return None


_WORK: Final[Mapping[SubscriptionStatus, Work]] = {
    SubscriptionStatus.PENDING: Work.SUBSCRIBE,
    SubscriptionStatus.ACTIVE: Work.RENEW,
    SubscriptionStatus.ENDING: Work.UNSUBSCRIBE,
}


@transaction.atomic
def subscription_finish(claim: Claim, outcome: Outcome) -> None:
    """Write what a provider said, where the claim still counts."""
    rows = Subscription.objects.for_tenant(claim.tenant_id).filter(pk=claim.pk, next_at=claim.until)
    row = rows.select_for_update(of=("self",)).first()
    if row is None:
        return
    row.since = None
    if claim.work is not Work.UNSUBSCRIBE and row.status == _ENDING:
        # It was to be told while it is no longer wanted: what it knows now has to be untold.
        if outcome.told is not None:
            _remember(row, claim, outcome.told)
        row.next_at = outcome.at
        row.save()
        return
    if outcome.error is not None:
        since = (row.error or {}).get("since") if claim.failures else None
        row.error = {**outcome.error, "since": since or outcome.at.isoformat()}
        row.failures, row.next_at = claim.failures + outcome.counts, outcome.next_at
        if claim.work is Work.UNSUBSCRIBE and row.failures >= MOST_ENDINGS:
            log.warning("%s could not be ended and is let go: its calls are refused", claim.label)
            row.delete()
            return
        row.save()
        return
    if claim.work is Work.UNSUBSCRIBE:
        row.delete()
        return
    row.failures, row.error, row.next_at = 0, None, outcome.next_at
    if outcome.gone:
        row.status, row.state, row.expires_at = SubscriptionStatus.PENDING.value, {}, None
    else:
        row.status, row.told_at = SubscriptionStatus.ACTIVE.value, outcome.at
        if outcome.told is not None:
            _remember(row, claim, outcome.told)
    row.save()


def _remember(row: Subscription, claim: Claim, told: Told) -> None:
    row.state, row.expires_at = {"id": told.id, "state": told.state}, told.expires_at
    if told.secret and claim.shared is not None and told.secret != claim.shared.secret:
        seal(row, Shared(secret=told.secret, path=claim.shared.path))


def subscriptions_release(claims: Sequence[Claim], *, now: datetime) -> None:
    """Give claimed subscriptions back, which nobody goes on with: soon, for the provider may have been told."""
    for claim in claims:
        rows = Subscription.objects.for_tenant(claim.tenant_id).filter(pk=claim.pk, next_at=claim.until)
        rows.update(next_at=now, since=None)

"""Messages on their way: a row before they are sent, and sent at least once.

1. ``delivery_add`` inserts the row in the transaction that notes what a channel was told.
2. ``deliveries_claim`` hands out what is due, each to one process: whoever moves ``claimed_until`` has it.
3. Whoever claimed opens the target, sends outside of any transaction, and ``delivery_note`` keeps what came of it.
4. A process that dies in between leaves a claim that runs out, and the message is sent again: it may arrive twice, with
   the same id, and is never lost. What fails is tried again later each time, at last marked as failed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.models import AlertChannel, AlertDelivery
from orchestrator.alerts.refused import NotSent
from orchestrator.alerts.sending import Outgoing
from orchestrator.alerts.targets import target_open
from orchestrator.vault.crypto import UnknownKey, VaultError
from orchestrator.vault.renewal import fresh_credential
from orchestrator.vault.services import CredentialUnavailable, SecretsUnreadable, resolve_credential

# Longer than a message can take.
CLAIM: Final = timedelta(minutes=2)
# Between the tries; after the last of them it has failed.
PAUSES: Final = (
    timedelta(seconds=15), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=20), timedelta(hours=1),
    timedelta(hours=3),
)  # fmt: skip
AT_ONCE: Final = 16
OF_A_TENANT: Final = 3
_TENANTS_LOOKED_AT: Final = 200
_LOOKED_AT: Final = 200
KEPT: Final = timedelta(days=30)
_LONGEST_WAIT: Final = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A message that this process is to send; ``attempt`` counts from 1."""

    tenant_id: int
    delivery_id: int
    attempt: int


def delivery_add(*, channel: AlertChannel, document: Mapping[str, Any], now: datetime) -> AlertDelivery:
    """Put a message on its way; call it in the transaction that notes what was told."""
    return AlertDelivery.unscoped.create(
        tenant_id=channel.tenant_id, channel=channel, document=dict(document), next_try_at=now, created_at=now
    )


def deliveries_are_due(*, now: datetime) -> bool:
    """Whether any tenant's message is to be sent."""
    return AlertDelivery.unscoped.filter(_is_due(now)).exists()


@transaction.atomic
def deliveries_claim(*, now: datetime, room: int = AT_ONCE, busy: Mapping[int, int] | None = None) -> list[Claim]:
    """Take messages to send, ``room`` at most, one of a channel at a time and few of a tenant.

    ``busy`` says how many of each tenant this process is sending already. Tenants are drawn by lot, so that one whose
    channels hang does not keep the others waiting.
    """
    due = AlertDelivery.unscoped.filter(_is_due(now))
    tenants = list(due.order_by().values_list("tenant_id", flat=True).distinct()[:_TENANTS_LOOKED_AT])
    claims: list[Claim] = []
    for tenant_id in random.sample(tenants, len(tenants)):
        most = min(room - len(claims), OF_A_TENANT - (busy or {}).get(tenant_id, 0))
        claims += _claimed(tenant_id, now, most) if most > 0 else ()
    return claims


def _claimed(tenant_id: int, now: datetime, most: int) -> list[Claim]:
    rows = AlertDelivery.objects.for_tenant(tenant_id).filter(_is_due(now)).order_by("next_try_at", "pk")
    first: dict[int, tuple[int, int]] = {}
    for pk, channel_id, attempts in rows.values_list("pk", "channel_id", "attempts")[:_LOOKED_AT]:
        first.setdefault(channel_id, (pk, attempts))
    claims = []
    for pk, attempts in list(first.values())[:most]:
        taken = AlertDelivery.objects.for_tenant(tenant_id).filter(_is_due(now), pk=pk, attempts=attempts)
        # Counted before anything is sent: one that kills its process must not be sent for ever.
        if taken.update(claimed_until=now + CLAIM, attempts=F("attempts") + 1):
            claims.append(Claim(tenant_id=tenant_id, delivery_id=pk, attempt=attempts + 1))
    return claims


def _is_due(now: datetime) -> Q:
    return Q(next_try_at__lte=now) & (Q(claimed_until=None) | Q(claimed_until__lte=now))


def delivery_open(claim: Claim) -> Outgoing | NotSent | None:
    """Return what is to be sent, why it cannot be, or None where the channel is gone by now."""
    rows = AlertDelivery.objects.for_tenant(claim.tenant_id).select_related("channel", "tenant")
    found = rows.filter(pk=claim.delivery_id, status=AlertDelivery.Status.PENDING).first()
    if found is None:
        return None
    if claim.attempt > len(PAUSES) + 1:
        return NotSent(_("It was tried too often: its process ended each time."), permanent=True)
    if not found.channel.is_on:
        return NotSent(_("The channel was switched off before it was sent."), permanent=True)
    return outgoing_of(found)


def outgoing_of(delivery: AlertDelivery, *, renews: bool = False) -> Outgoing | NotSent:
    """Return a message with its opened target, or why there is none; ``channel`` and ``tenant`` are loaded.

    With ``renews`` a credential whose token ends has another one by then, which may take some seconds.
    """
    channel = delivery.channel
    kind = ChannelKind(channel.kind)
    target = credential = None
    try:
        if channel.sealed is not None:
            target = target_open(channel)
        elif kind is ChannelKind.SLACK:
            if channel.credential_id is None:
                return NotSent(_("Its credential was deleted. Choose another one."), permanent=True)
            credential = (
                fresh_credential(tenant=delivery.tenant, credential_id=channel.credential_id)
                if renews
                else resolve_credential(tenant_id=channel.tenant_id, credential_id=channel.credential_id)
            )
    except (VaultError, SecretsUnreadable) as error:
        # A key that is missing may be back for the next try.
        is_final = isinstance(error, VaultError) and not isinstance(error, UnknownKey)
        return NotSent(_("Its address or secret cannot be opened. Enter it again."), permanent=is_final)
    except CredentialUnavailable as error:
        return NotSent(str(error), permanent=True)
    return Outgoing(
        delivery_id=delivery.pk,
        kind=kind,
        document=delivery.document,
        at=delivery.created_at,
        is_test=delivery.is_test,
        egress_allow=tuple(delivery.tenant.egress_allow or ()),
        emails=tuple(channel.emails),
        target=target,
        credential=credential,
        slack_channel=channel.slack_channel,
    )


@transaction.atomic
def delivery_note(*, claim: Claim, failure: NotSent | None, now: datetime | None = None) -> None:
    """Keep what came of a try; one whose claim another process took over says nothing any more."""
    now = now or timezone.now()
    rows = AlertDelivery.objects.for_tenant(claim.tenant_id).filter(
        pk=claim.delivery_id, status=AlertDelivery.Status.PENDING, attempts=claim.attempt
    )
    if failure is None:
        rows.update(status=AlertDelivery.Status.SENT, next_try_at=None, claimed_until=None, finished_at=now, error="")
    elif failure.permanent or claim.attempt > len(PAUSES):
        rows.update(
            status=AlertDelivery.Status.FAILED,
            next_try_at=None,
            claimed_until=None,
            finished_at=now,
            error=_storable(failure.message),
        )
    else:
        pause = PAUSES[claim.attempt - 1]
        if failure.retry_after is not None:
            pause = min(max(pause, timedelta(seconds=failure.retry_after)), _LONGEST_WAIT)
        rows.update(next_try_at=now + pause, claimed_until=None, error=_storable(failure.message))


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:500]


def deliveries_prune(*, now: datetime) -> int:
    """Delete messages that ended long ago; return how many."""
    rows = AlertDelivery.unscoped.filter(finished_at__lt=now - KEPT)
    return rows.delete()[0]

"""How subscriptions go, for people: of one trigger, of a tenant's that need somebody, and tried again by a press."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.models import Trigger
from runs.clock import kept_moment
from runs.models import Subscription
from runs.states import SubscriptionStatus

# A first failure is tried again soon, and mostly works then.
FAILURES_TOLD: Final = 2


def subscription_of(trigger: Trigger) -> Subscription | None:
    """Return what the provider knows, or is to know, of a live trigger."""
    rows = Subscription.objects.for_tenant(trigger.tenant_id).filter(trigger=trigger)
    return rows.exclude(status=SubscriptionStatus.ENDING).order_by("-pk").first()


def subscriptions_needing_a_person(tenant: Tenant, now: datetime) -> QuerySet[Subscription]:
    """Return those by which nothing may come: refused, expired, without their credential, or sent what is not read."""
    rows = Subscription.objects.for_tenant(tenant).filter(needing_a_person(now))
    return rows.select_related("trigger__workflow").order_by("pk")


def needing_a_person(now: datetime) -> Q:
    """Return the condition of what ``subscriptions_needing_a_person`` says, over all tenants."""
    fails = Q(failures__gte=FAILURES_TOLD) | Q(status=SubscriptionStatus.ACTIVE, expires_at__lte=now)
    lacks = Q(credential__isnull=True) & ~Q(credential_name="")
    wanted = Q(trigger__isnull=False) & ~Q(status=SubscriptionStatus.ENDING)
    return wanted & (fails | lacks | Q(unread__isnull=False))


def told(error: object) -> str:
    """Return a failure that was kept with a trigger, of a poll or a subscription, as a person reads it."""
    parts = (error.get("message"), error.get("hint")) if isinstance(error, Mapping) else ()
    return " ".join(str(part) for part in parts if part)


def trouble_of(row: Subscription) -> tuple[str, str, datetime | None]:
    """Return what is wrong with one that needs a person: how, a key of ``TROUBLES``; why, for a person; since when.

    None is for what nobody knows the beginning of, and for what was lost with a single request.
    """
    if row.error is not None:
        return "subscribe", told(row.error), kept_moment(row.error.get("since"))
    if row.unread is not None:
        return "unread", str(row.unread.get("message")), None
    if row.credential_name and row.credential_id is None:
        return "credential", row.credential_name, None
    return "ended", "", row.expires_at


@transaction.atomic
def subscription_retry(*, actor: Actor, trigger: Trigger, now: datetime) -> None:
    """Have the provider told at once, instead of at its time. Raises Conflict where there is nothing to tell."""
    require_operation(actor, "run.start")
    rows = Subscription.objects.for_tenant(actor.tenant).filter(trigger=trigger, next_at__isnull=False)
    row = rows.exclude(status=SubscriptionStatus.ENDING).select_for_update(of=("self",)).order_by("-pk").first()
    if row is None:
        raise Conflict(_("This trigger is not live: publish the workflow and switch it on first."), code="not_live")
    if row.since is not None and row.next_at is not None and row.next_at > now:
        return
    row.next_at = now
    row.save(update_fields=["next_at"])
    audit.record(actor=actor, action="trigger.subscribed", target=trigger)

"""Looks for what alerts are told of, over all tenants: from the rows as they are, so that a run's end costs nothing.

1. One row says when the next look is due; whoever moves it looks, so that of several workers one does.
2. Facts are read outside of any transaction, over all tenants at once; without a channel anywhere, once a minute.
3. Each tenant that something concerns is written in a transaction of its own, its channels locked: what stands, what
   each channel was told, and the messages on their way. Of two looks the second finds everything told.
4. Only then does the row say how far the looks have come. One that was cut short is made again from there.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, transaction

from orchestrator.alerts.composing import alerts_tell
from orchestrator.alerts.deliveries import deliveries_prune
from orchestrator.alerts.models import Alert, AlertChannel, AlertLook
from orchestrator.alerts.standing import Seen, alerts_apply
from orchestrator.tenants.models import Tenant
from runs import alert_facts, alert_triggers
from runs.alert_causes import causes_of

log = logging.getLogger(__name__)

LOOK_EVERY: Final = timedelta(seconds=10)
# Silence, missed times, credentials and triggers.
SLOW_EVERY: Final = timedelta(minutes=1)
# After a long time without workers or channels, what failed before is no news.
_LONGEST: Final = timedelta(hours=6)
# What stands or ended of late may still have to be told.
_RECENT: Final = timedelta(days=1)
_THE_ROW: Final = 1


@dataclass(kw_only=True)
class _Facts:
    """What was found, by tenant."""

    seen: dict[int, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    well: set[int] = field(default_factory=set)

    def add(self, found: Iterable[Seen]) -> None:
        for each in found:
            self.seen[each.tenant_id].append(each)


def look(*, now: datetime) -> int:
    """Look once, if that is due; return how many messages were put on their way."""
    if AlertLook.objects.filter(pk=_THE_ROW, due_at__gt=now).exists():
        return 0
    tenants = set(AlertChannel.unscoped.filter(is_on=True).order_by().values_list("tenant_id", flat=True).distinct())
    row = _claimed(now, LOOK_EVERY if tenants else SLOW_EVERY)
    if row is None:
        return 0
    is_slow = row.slow_at <= now
    facts = _Facts()
    if tenants:
        _add_quick(facts, tenants, max(row.looked_at, now - _LONGEST), now)
    if is_slow:
        _add_slow(facts, tenants, now)
    made = sum(_look_at(tenant_id, facts, now) for tenant_id in sorted(facts.seen.keys() | _in_trouble(tenants, now)))
    AlertLook.objects.filter(pk=_THE_ROW, looked_at__lt=now).update(
        looked_at=now, **({"slow_at": now + SLOW_EVERY} if is_slow else {})
    )
    if is_slow:
        deliveries_prune(now=now)
    return made


def _claimed(now: datetime, pause: timedelta) -> AlertLook | None:
    """Return how far the looks have come if the next one is ours, else None."""
    row, _is_new = AlertLook.objects.get_or_create(
        pk=_THE_ROW, defaults={"due_at": now, "looked_at": now, "slow_at": now}
    )
    taken = AlertLook.objects.filter(pk=_THE_ROW, due_at__lte=now).update(due_at=now + pause)
    return row if taken else None


def _add_quick(facts: _Facts, tenants: set[int], since: datetime, now: datetime) -> None:
    facts.add(alert_facts.failures(tenants, since))
    facts.add(alert_facts.returned(tenants, since))
    facts.well |= alert_facts.recovered(now)


def _add_slow(facts: _Facts, tenants: set[int], now: datetime) -> None:
    """Add what changes slowly: silence and missed times of every tenant, since pages show them too.

    Pages show credentials and triggers that fail by themselves.
    """
    silences = list(alert_facts.silences(now))
    facts.add(silences)
    Alert.unscoped.filter(pk__in=alert_facts.unwatched({each.subject for each in silences})).delete()
    facts.add(alert_facts.missed_slots(now))
    if tenants:
        facts.add(alert_facts.credentials(tenants))
        facts.well |= alert_facts.credentials_well()
        facts.add(alert_triggers.failing(tenants, now))
        facts.well |= alert_triggers.well(now)
        Alert.unscoped.filter(pk__in=alert_triggers.gone()).delete()


def _in_trouble(tenants: set[int], now: datetime) -> set[int]:
    """Return the tenants with a channel of which something stands, or ended of late: it may have to be told."""
    if not tenants:
        return set()
    rows = Alert.unscoped.filter(tenant__in=tenants)
    of_late = rows.filter(fired_at__isnull=False, updated_at__gte=now - _RECENT)
    return {pk for found in (of_late, rows.filter(firing=True)) for pk in found.values_list("tenant_id", flat=True)}


def _look_at(tenant_id: int, facts: _Facts, now: datetime) -> int:
    """Write one tenant's part; what is wrong with it must not keep the others from being told."""
    try:
        with transaction.atomic():
            rows = AlertChannel.objects.for_tenant(tenant_id).filter(is_on=True).order_by("pk")
            channels = list(rows.select_for_update(of=("self",)).defer("sealed"))
            tenant = Tenant.objects.get(pk=tenant_id)
            alerts_apply(tenant_id=tenant_id, seen=facts.seen.get(tenant_id, ()), well=facts.well, now=now)
            return alerts_tell(tenant=tenant, channels=channels, now=now, causes_of=causes_of)
    except DatabaseError:
        raise
    except Exception:
        log.exception("The alerts of a tenant could not be looked at", extra={"tenant_id": str(tenant_id)})
        return 0

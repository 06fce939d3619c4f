"""Triggers of apps by which nothing comes, for alerts: polls that fail again and again, subscriptions that are not.

One that fails is told of after some minutes; whatever else of the tenant fails by then goes along, so that a provider
that is away, or a credential that ended, is one message.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet, Window
from django.db.models.functions import RowNumber

from integrations.registry import registry
from orchestrator.alerts.kinds import Event
from orchestrator.alerts.models import Alert
from orchestrator.alerts.standing import Seen
from orchestrator.flow.names import TriggerType
from orchestrator.workflows.models import Trigger
from runs.models import Subscription
from runs.poll_rows import failing_since, polls_failing_of
from runs.subscription_state import needing_a_person, told, trouble_of

# What fails for less long mostly works again by itself.
RIPE: Final = timedelta(minutes=5)
_LOOKED_AT: Final = 1_000
_KINDS: Final = (TriggerType.POLLING.value, TriggerType.EVENT.value)


@dataclass(frozen=True, kw_only=True)
class _Failing:
    """One trigger that fails; ``since`` None where nobody knows, or where each single time counts."""

    trigger: Trigger
    since: datetime | None
    how: str
    why: str


def failing(tenants: Collection[int], now: datetime) -> Iterator[Seen]:
    """Yield the live triggers that fail, of tenants one of whose has failed for long enough; two queries."""
    live = _live().filter(tenant__in=tenants)
    found = [*_polls(live, _LOOKED_AT), *_subscriptions(live, now, _LOOKED_AT)]
    ripe = {each.trigger.tenant_id for each in found if each.since is None or now - each.since >= RIPE}
    for each in found:
        row = each.trigger
        if row.tenant_id in ripe:
            yield Seen(
                tenant_id=row.tenant_id,
                event=Event.TRIGGER,
                subject=f"trigger:{row.pk}",
                workflow_id=row.workflow_id,
                at=now,
                first_at=each.since,
                detail={"key": row.key, "trigger": _name(row), "how": each.how, "why": each.why},
            )


def well(now: datetime) -> set[int]:
    """Return the alerts of triggers that work again, and have for a while; at most three queries."""
    settled = {
        pk: int(subject.partition(":")[2])
        for pk, subject, last_at, minutes in Alert.unscoped.filter(firing=True, event=Event.TRIGGER).values_list(
            "pk", "subject", "last_at", "settle_minutes"
        )
        if last_at is None or now - last_at >= timedelta(minutes=minutes)
    }
    if not settled:
        return set()
    live = _live().filter(pk__in=settled.values())
    still = {each.trigger.pk for each in (*_polls(live, None), *_subscriptions(live, now, None))}
    return {pk for pk, trigger_id in settled.items() if trigger_id not in still}


def gone() -> list[int]:
    """Return the alerts of triggers that are live no more: somebody decided so; two queries."""
    rows = dict(Alert.unscoped.filter(event=Event.TRIGGER).values_list("pk", "subject"))
    ids = {pk: int(subject.partition(":")[2]) for pk, subject in rows.items()}
    live = set(_live().filter(pk__in=ids.values()).values_list("pk", flat=True)) if ids else set()
    return [pk for pk, trigger_id in ids.items() if trigger_id not in live]


def _live() -> QuerySet[Trigger]:
    return Trigger.unscoped.filter(type__in=_KINDS, live_config__isnull=False, workflow__enabled=True)


def _polls(live: QuerySet[Trigger], most: int | None) -> Iterator[_Failing]:
    for row, state in polls_failing_of(_in_turn(live), most):
        yield _Failing(trigger=row, since=failing_since(state), how="poll", why=told(state["error"]))


def _subscriptions(live: QuerySet[Trigger], now: datetime, most: int | None) -> Iterator[_Failing]:
    rows = Subscription.unscoped.filter(needing_a_person(now), trigger__in=live.filter(type=TriggerType.EVENT.value))
    for row in _in_turn(rows.select_related("trigger"))[:most]:
        assert row.trigger is not None
        how, why, since = trouble_of(row)
        yield _Failing(trigger=row.trigger, since=since, how=how, why=why)


def _in_turn(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Order rows so that each tenant's first come before anybody's second: thousands of one hide no other's."""
    place = Window(RowNumber(), partition_by=["tenant_id"], order_by=["pk"])
    ordered: QuerySet[Any] = rows.annotate(place=place).order_by("place", "pk")
    return ordered


def _name(row: Trigger) -> str:
    declared = registry.trigger(str((row.live_config or {}).get("trigger")))
    return declared.name if declared else row.key

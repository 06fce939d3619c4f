"""From what stands to messages: one for each channel that is to be told something, noted with it as told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from integrations.words import declared
from orchestrator.alerts import telling
from orchestrator.alerts.deliveries import delivery_add
from orchestrator.alerts.kinds import TROUBLES, Event, Status
from orchestrator.alerts.messages import MOST_ITEMS, one_line
from orchestrator.alerts.models import Alert, AlertChannel, AlertDelivery, AlertTold
from orchestrator.alerts.services import alerts_url, tenant_names
from orchestrator.alerts.telling import Item, Listener, Standing, Told
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.workflows.models import Workflow

# What ended longer ago is told to nobody.
_LOOKED_AT: Final = timedelta(days=2)
_TROUBLE_CHARACTERS: Final = 400
_WITH_CAUSES: Final = frozenset({Status.FIRING, Status.STILL, Status.OVER})


@dataclass(frozen=True, kw_only=True)
class Causes:
    """How many runs of a workflow failed, and why: ``causes`` as in a message."""

    count: int
    causes: tuple[Mapping[str, Any], ...] = ()


# Of one tenant's workflows, the failures since a moment each.
CausesOf = Callable[[Tenant, Mapping[int, datetime]], Mapping[int, Causes]]


def alerts_tell(*, tenant: Tenant, channels: Sequence[AlertChannel], now: datetime, causes_of: CausesOf) -> int:
    """Put on their way the messages that are due of one tenant; return how many.

    Call it in a transaction that no other look at this tenant shares.
    """
    alerts = _to_tell(tenant, now)
    if not alerts:
        return 0
    standings = [_standing(alert) for alert in alerts.values()]
    told, sent = _told(tenant, alerts), _sent(tenant, now)
    made = 0
    for channel in channels:
        at = telling.next_message_at(sent[channel.pk])
        if at is not None and at > now:
            continue
        items = telling.due(listener_of(channel), standings, told[channel.pk], now)
        if items:
            document = _document(tenant, items, alerts, causes_of)
            delivery_add(channel=channel, document=document, now=now)
            _note(channel, items, now)
            made += 1
    return made


def alerts_take_as_told(*, tenant: Tenant, channels: Sequence[AlertChannel], now: datetime) -> None:
    """Note whatever is due of one tenant as told, and tell nobody; in a transaction, as ``alerts_tell``."""
    alerts = _to_tell(tenant, now)
    standings, told = [_standing(alert) for alert in alerts.values()], _told(tenant, alerts)
    for channel in channels:
        _note(channel, telling.due(listener_of(channel), standings, told[channel.pk], now), now)


def _to_tell(tenant: Tenant, now: datetime) -> dict[int, Alert]:
    rows = Alert.objects.for_tenant(tenant).filter(Q(firing=True) | Q(updated_at__gte=now - _LOOKED_AT))
    return {row.pk: row for row in rows.filter(fired_at__isnull=False)}


def listener_of(channel: AlertChannel) -> Listener:
    """Return what a channel hears of."""
    return Listener(
        events=frozenset(channel.heard),
        workflows=None if channel.workflows is None else frozenset(channel.workflows),
        quiet=timedelta(minutes=channel.quiet_minutes),
        since=channel.created_at,
    )


def _standing(alert: Alert) -> Standing:
    return Standing(
        alert_id=alert.pk,
        event=Event(alert.event),
        workflow_id=alert.workflow_id,
        firing=alert.firing,
        fired_at=alert.fired_at,
        last_at=alert.last_at,
        resolved_at=alert.resolved_at,
        count=alert.count,
    )


def _told(tenant: Tenant, alerts: Collection[int]) -> dict[int, dict[int, Told]]:
    found: dict[int, dict[int, Told]] = defaultdict(dict)
    for row in AlertTold.objects.for_tenant(tenant).filter(alert__in=list(alerts)):
        told = Told(at=row.at, firing=row.firing, fired_at=row.fired_at, count=row.count)
        found[row.channel_id][row.alert_id] = told
    return found


def _sent(tenant: Tenant, now: datetime) -> dict[int, list[datetime]]:
    """Return when each channel's messages of the last hour were made."""
    found: dict[int, list[datetime]] = defaultdict(list)
    rows = AlertDelivery.objects.for_tenant(tenant).filter(is_test=False, created_at__gt=now - telling.PACE_OVER)
    for channel_id, at in rows.values_list("channel_id", "created_at"):
        found[channel_id].append(at)
    return found


def _note(channel: AlertChannel, items: Sequence[Item], now: datetime) -> None:
    rows = [
        AlertTold(
            tenant_id=channel.tenant_id,
            channel=channel,
            alert_id=item.standing.alert_id,
            fired_at=item.standing.fired_at,
            firing=item.standing.firing,
            count=item.standing.count,
            at=now,
        )
        for item in items
    ]
    AlertTold.unscoped.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=("channel", "alert"),
        update_fields=("fired_at", "firing", "count", "at"),
    )


def _document(
    tenant: Tenant, items: Sequence[Item], alerts: Mapping[int, Alert], causes_of: CausesOf
) -> dict[str, Any]:
    listed = items[:MOST_ITEMS]
    ids = {item.standing.workflow_id for item in listed}
    workflows = Workflow.objects.for_tenant(tenant).only("name", "slug").in_bulk(ids - {None})
    credentials = (
        Credential.objects.for_tenant(tenant)
        .only("name")
        .in_bulk({alerts[item.standing.alert_id].credential_id for item in listed} - {None})
    )
    causes = causes_of(tenant, {_workflow(item): since for item in listed if (since := _since(item)) is not None})
    return {
        "tenant": tenant_names(tenant),
        "url": alerts_url(tenant),
        "items": [
            _item(tenant, item, alerts[item.standing.alert_id], workflows, credentials, causes) for item in listed
        ],
        "more": len(items) - len(listed),
    }


def _workflow(item: Item) -> int:
    assert item.standing.workflow_id is not None
    return item.standing.workflow_id


def _since(item: Item) -> datetime | None:
    """Return from when on failures are told, None where none are."""
    if item.standing.event is not Event.RUN_FAILED or item.status not in _WITH_CAUSES:
        return None
    return item.after if item.status is Status.STILL else item.standing.fired_at


def _item(
    tenant: Tenant,
    item: Item,
    alert: Alert,
    workflows: Mapping[int, Workflow],
    credentials: Mapping[int, Credential],
    causes: Mapping[int, Causes],
) -> dict[str, Any]:
    workflow = workflows.get(alert.workflow_id or 0)
    credential = credentials.get(alert.credential_id or 0)
    found = causes.get(alert.workflow_id or 0, Causes(count=0)) if _since(item) else Causes(count=alert.count)
    return {
        "event": item.standing.event.value,
        "status": item.status.value,
        "workflow": {"id": str(workflow.pk), "slug": workflow.slug, "name": workflow.name} if workflow else None,
        "credential": {"id": str(credential.pk), "name": credential.name} if credential else None,
        "trigger": alert.detail.get("key"),
        "since": alert.fired_at.isoformat() if alert.fired_at else None,
        "count": found.count,
        "causes": [dict(cause) for cause in found.causes],
        "text": _text(tenant, item, alert),
        "url": f"{settings.BASE_URL or ''}/w/{tenant.slug}/{_path(alert)}",
    }


def _path(alert: Alert) -> str:
    match Event(alert.event):
        case Event.RUN_FAILED:
            return f"runs/?workflow={alert.workflow_id}&status=failed"
        case Event.SILENT:
            return f"runs/?workflow={alert.workflow_id}"
        case Event.MISSED | Event.TRIGGER:
            return f"workflows/{alert.workflow_id}/triggers/{quote(str(alert.detail['key']))}/"
        case Event.RETURNED:
            return f"workflows/{alert.workflow_id}/versions/"
        case Event.CREDENTIAL:
            return f"credentials/{alert.credential_id}/"


def _text(tenant: Tenant, item: Item, alert: Alert) -> str:
    """Return what there is to say beside the sentence, empty for nothing."""
    detail, event = alert.detail, Event(alert.event)
    if event is Event.MISSED:
        words = _("At %(at)s: %(missed)d missed, %(left_out)d left out beside a run that was still going.")
        return words % {"at": _time(tenant, alert.last_at), "missed": detail["missed"], "left_out": detail["left_out"]}
    if event is Event.RETURNED:
        words = _("Version %(number)d went back to version %(live)s: %(failed)d of %(runs)d runs failed.")
        return words % {key: detail[key] for key in ("number", "live", "failed", "runs")}
    if event is Event.TRIGGER:
        return _trigger_text(tenant, item, alert)
    if event is Event.CREDENTIAL and item.standing.firing:
        return str(detail.get("message") or "")
    if event is Event.SILENT and item.standing.firing:
        return _("No run has succeeded since %(at)s.") % {"at": _time(tenant, alert.last_at)}
    words = _("Since %(at)s.") if item.standing.firing else _("It had begun at %(at)s.")
    return words % {"at": _time(tenant, alert.fired_at)}


def _trigger_text(tenant: Tenant, item: Item, alert: Alert) -> str:
    detail, at = alert.detail, _time(tenant, alert.fired_at)
    name = f"“{declared(detail['trigger'])}”"
    if not item.standing.firing:
        return _("%(trigger)s had begun to fail at %(at)s.") % {"trigger": name, "at": at}
    said = one_line(_(TROUBLES[detail["how"]]) % {"trigger": name, "why": detail["why"]})
    return " ".join((said[:_TROUBLE_CHARACTERS], _("Since %(at)s.") % {"at": at}))


def _time(tenant: Tenant, moment: datetime | None) -> str:
    return f"{moment.astimezone(ZoneInfo(tenant.time_zone)):%Y-%m-%d %H:%M %Z}" if moment else ""

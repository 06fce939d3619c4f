"""Reads for the pages of alerts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from orchestrator.alerts.kinds import OF_WORKFLOWS, Event
from orchestrator.alerts.models import Alert, AlertChannel, AlertDelivery
from orchestrator.tenants.models import Tenant

# A missed time is no news after it.
_SHOWN: Final = timedelta(days=1)


def channel_list(tenant: Tenant) -> QuerySet[Any]:
    """Return a tenant's channels by name, with ``last_status``, ``last_error``, ``last_at`` of their last message."""
    last = AlertDelivery.objects.for_tenant(tenant).filter(channel=OuterRef("pk")).order_by("-pk")
    return (
        AlertChannel.objects.for_tenant(tenant)
        .defer("sealed")
        .select_related("credential")
        .annotate(
            last_status=Subquery(last.values("status")[:1]),
            last_error=Subquery(last.values("error")[:1]),
            last_at=Subquery(last.values("created_at")[:1]),
        )
    )


def channels_failing(tenant: Tenant) -> list[Any]:
    """Return the channels that are on and whose last message did not arrive; one query."""
    return list(channel_list(tenant).filter(is_on=True, last_status=AlertDelivery.Status.FAILED))


def delivery_list(channel: AlertChannel) -> QuerySet[AlertDelivery]:
    """Return a channel's messages, newest first."""
    return AlertDelivery.objects.for_tenant(channel.tenant_id).filter(channel=channel).order_by("-pk")


def unheard(tenant: Tenant, *, limit: int) -> list[Alert]:
    """Return the workflows that are silent, and those that missed times of their schedule of late; one query."""
    rows = Alert.objects.for_tenant(tenant).filter(
        Q(event=Event.SILENT, firing=True) | Q(event=Event.MISSED, last_at__gte=timezone.now() - _SHOWN)
    )
    return list(rows.select_related("workflow").order_by("-last_at")[:limit])


def told_of(tenant: Tenant, workflow_id: int) -> list[str]:
    """Return the names of the channels that are on and hear of a workflow; one query."""
    rows = AlertChannel.objects.for_tenant(tenant).filter(is_on=True).defer("sealed")
    return [
        row.name
        for row in rows
        if OF_WORKFLOWS & set(row.heard) and (row.workflows is None or workflow_id in row.workflows)
    ]

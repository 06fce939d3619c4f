"""Channels, runs of any time, and a look at any time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import pytest

from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.models import AlertChannel, AlertDelivery, AlertLook
from orchestrator.alerts.services import channel_create
from orchestrator.ids import first_id_at
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs.alert_looks import LOOK_EVERY, look
from runs.models import Run

_further = count()
NOON: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def make_channel(tenant: Tenant) -> Callable[..., AlertChannel]:
    """Return a function that makes a channel of mail as of an hour before NOON."""

    def make(of: Tenant = tenant, kind: ChannelKind = ChannelKind.EMAIL, **values: Any) -> AlertChannel:
        if kind is ChannelKind.EMAIL:
            values.setdefault("emails", ["ada@example.com"])
        values.setdefault("name", "team")
        channel, _secret = channel_create(actor=system_actor(of), kind=kind, values=values)
        at = NOON - timedelta(hours=1)
        AlertChannel.unscoped.filter(pk=channel.pk).update(created_at=at)
        AlertLook.objects.update_or_create(pk=1, defaults={"due_at": at, "looked_at": at, "slow_at": at})
        return channel.refresh()

    return make


def runs(
    workflow: Workflow, status: str, at: datetime, number: int = 1, *, message: str = "boom", path: str = "send"
) -> None:
    """Make live runs that ended at a moment."""
    first = first_id_at(at) + next(_further) * 4_000
    error = {"kind": "permanent", "message": message, "path": path} if status == "failed" else None
    assert workflow.published_version_id is not None
    Run.unscoped.bulk_create(
        Run(
            pk=first + each,
            tenant_id=workflow.tenant_id,
            workflow=workflow,
            version_id=workflow.published_version_id,
            trigger_type="manual",
            status=status,
            error=error,
            wake_at=None,
            created_at=at,
            finished_at=at,
        )
        for each in range(number)
    )


def look_at(now: datetime) -> list[dict[str, Any]]:
    """Look at a moment, whatever was looked at before; return the documents of the messages that were made then."""
    AlertLook.objects.update(due_at=now, slow_at=now)
    look(now=now)
    return [row.document for row in AlertDelivery.unscoped.filter(created_at=now).order_by("pk")]


def look_through(start: datetime, end: datetime, every: timedelta = LOOK_EVERY) -> list[tuple[datetime, Any]]:
    """Look every so often from a moment to another; return the messages with when each was made."""
    found = []
    at = start
    while at <= end:
        found += [(at, document) for document in look_at(at)]
        at += every
    return found


def said(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a message says: status and name of each item."""
    named = [(item["workflow"] or item["credential"] or {}).get("name", "") for item in document["items"]]
    return list(zip([item["status"] for item in document["items"]], named, strict=True))

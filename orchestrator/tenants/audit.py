"""The audit log: one row for every change by a person or token, in the change's own transaction."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import models

from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import AuditEvent
from orchestrator.types import JSONValue


def record(*, actor: Actor, action: str, target: models.Model, detail: Mapping[str, JSONValue] | None = None) -> None:
    """Write what was done, like ``workflow.published``. ``detail`` must hold no secret."""
    AuditEvent.unscoped.create(
        tenant=actor.tenant,
        actor=actor.user,
        actor_label=actor.label[:200],
        action=action,
        target_type=target._meta.model_name or "",
        target_id=target.pk if isinstance(target.pk, int) else None,
        target_label=str(target)[:200],
        detail=dict(detail or {}),
    )

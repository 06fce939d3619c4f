"""Credentials that fare as a check or a run would have found out."""

from __future__ import annotations

from django.utils import timezone

from orchestrator.vault.models import Credential, Health


def found(credential: Credential, health: Health, message: str = "") -> None:
    """Have a credential be known to work or not."""
    rows = Credential.objects.for_tenant(credential.tenant_id).filter(pk=credential.pk)
    rows.update(health=health, health_message=message, health_checked_at=timezone.now())

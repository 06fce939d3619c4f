"""Reads of credentials: never the sealed column."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.functions import Lower

from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential, Health

NEEDS_A_PERSON = (Health.RECONNECT, Health.EXPIRING)


def credential_list(tenant: Tenant) -> QuerySet[Credential]:
    """Return the tenant's credentials by name, without what is sealed."""
    return Credential.objects.for_tenant(tenant).defer("sealed").order_by(Lower("name"), "id")


def credentials_needing_a_person(tenant: Tenant) -> list[Credential]:
    """Return those that no longer work or soon will not, worst first."""
    rows = credential_list(tenant).filter(health__in=NEEDS_A_PERSON)
    return sorted(rows, key=lambda row: (row.health != Health.RECONNECT, row.name))

"""Reads of credentials: never the sealed column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from django.conf import settings
from django.db.models import Case, Count, F, OrderBy, Q, QuerySet, Value, When
from django.db.models.functions import Lower
from django.utils import timezone

from orchestrator.tenants.models import Tenant
from orchestrator.vault import crypto
from orchestrator.vault.models import AuthType, Credential, Health

NEEDS_A_PERSON = (Health.RECONNECT, Health.EXPIRING)
# A filter of the page's address, beside the healths themselves.
NEEDING: Final = "needs"
_BY_NAME: Final = (Lower("name"), F("id"))
_WORST_FIRST: Final = Case(
    When(health=Health.RECONNECT, then=Value(0)),
    When(health=Health.EXPIRING, then=Value(1)),
    When(health=Health.NOT_CHECKED, then=Value(2)),
    default=Value(3),
)
_ORDERS: Final[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
    {
        "name": _BY_NAME,
        "health": (_WORST_FIRST, *_BY_NAME),
        "used": (OrderBy(F("last_used_at"), descending=True, nulls_last=True), *_BY_NAME),
    }
)
SORTS: Final = tuple(_ORDERS)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which credentials, in which order: a text in name or provider, a health or NEEDING, a provider, one of SORTS."""

    text: str = ""
    health: str = ""
    provider: str = ""
    sort: str = "name"


@dataclass(frozen=True, kw_only=True)
class Census:
    """How many credentials a tenant has: of each health, and of each provider."""

    count: int
    healths: Mapping[str, int]
    providers: Mapping[str, int]
    unreadable: int

    @property
    def needing(self) -> int:
        return sum(self.healths.get(health, 0) for health in NEEDS_A_PERSON)


def credential_list(tenant: Tenant) -> QuerySet[Credential]:
    """Return the tenant's credentials by name, without what is sealed."""
    return Credential.objects.for_tenant(tenant).defer("sealed").order_by(*_BY_NAME)


def credentials_wanted(tenant: Tenant, wanted: Wanted) -> QuerySet[Credential]:
    """Return those of the tenant's credentials that are wanted; what cannot be finds none."""
    rows = credential_list(tenant)
    if wanted.text:
        rows = rows.filter(Q(name__icontains=wanted.text) | Q(provider__icontains=wanted.text))
    if wanted.health:
        rows = rows.filter(health__in=NEEDS_A_PERSON if wanted.health == NEEDING else (wanted.health,))
    if wanted.provider:
        rows = rows.filter(provider=wanted.provider)
    return rows.order_by(*_ORDERS[wanted.sort])


def credentials_needing_a_person(tenant: Tenant, *, limit: int = 50) -> list[Credential]:
    """Return the first of those that no longer work or soon will not, worst first."""
    rows = credential_list(tenant).filter(health__in=NEEDS_A_PERSON)
    return list(rows.order_by(*_ORDERS["health"])[:limit])


def health_now(credential: Credential) -> Health:
    """Return the health that is known, or that a secret has ended since it was looked at; OAuth's renews itself."""
    ends = credential.expires_at
    if ends is not None and ends <= timezone.now() and credential.auth_type != AuthType.OAUTH2:
        return Health.RECONNECT
    return Health(credential.health)


def census(tenant: Tenant) -> Census:
    """Count a tenant's credentials; one query."""
    rows = Credential.objects.for_tenant(tenant).order_by().values_list("health", "provider", "key_id")
    healths: dict[str, int] = {}
    providers: dict[str, int] = {}
    count = unreadable = 0
    known = _known_keys()
    for health, provider, key_id, number in rows.annotate(Count("pk")):
        count += number
        healths[health] = healths.get(health, 0) + number
        providers[provider] = providers.get(provider, 0) + number
        unreadable += 0 if key_id in known else number
    return Census(count=count, healths=healths, providers=providers, unreadable=unreadable)


def is_readable(credential: Credential) -> bool:
    """Whether the key that a credential is sealed with is here."""
    return credential.key_id in _known_keys()


def _known_keys() -> frozenset[str]:
    return frozenset(crypto.key_id(key) for key in settings.VAULT_KEYS)

"""The providers that a credential can be made for, and what their kinds of credential are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from integrations.registry import registry
from integrations.sdk.auth import DEFAULT_KINDS
from integrations.words import declared
from orchestrator.tenants.models import Tenant
from orchestrator.vault.oauth_apps import sign_in_of
from orchestrator.vault.provider_settings import credential_types
from orchestrator.workflows.models import Step


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of credential that a provider offers."""

    provider: str
    auth_type: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A provider to choose, with its kinds of credential."""

    provider: str
    name: str
    description: str
    kinds: tuple[Kind, ...]


def offers() -> list[Offer]:
    """Return every provider that a credential can be made for, by name."""
    found: dict[str, list[Kind]] = {}
    for entry in credential_types():
        found.setdefault(entry["provider"], []).append(_kind(entry))
    return sorted((_offer(key, kinds) for key, kinds in found.items()), key=lambda offer: offer.name.lower())


def offers_for_nobody_yet(tenant: Tenant) -> tuple[Offer, ...]:
    """Return the six providers to begin with: those of the tenant's own steps, then those that can do most."""
    uses = Counter(
        action.partition(".")[0]
        for action in Step.objects.for_tenant(tenant).order_by().values_list("action", flat=True)
    )
    actions = Counter(action.provider.key for action in registry.actions())
    ranked = sorted(offers(), key=lambda offer: (-uses[offer.provider], -actions[offer.provider], offer.name.lower()))
    return tuple(ranked[:6])


def _kind(entry: Mapping[str, Any]) -> Kind:
    return Kind(
        provider=entry["provider"],
        auth_type=entry["auth_type"],
        title=kind_title(entry["provider"], entry["auth_type"]),
    )


def _offer(key: str, kinds: Sequence[Kind]) -> Offer:
    provider = registry.provider(key)
    return Offer(
        provider=key,
        name=declared(provider.name) if provider else key,
        description=declared(provider.description) if provider else "",
        kinds=tuple(kinds),
    )


def kind_title(provider_key: str, auth_type: str) -> str:
    """Return what a kind is called: the provider's own label, else the plain one."""
    if auth_type == "oauth2" and sign_in_of(provider_key, {}) is None:
        # The provider's label is a sign-in button's, and here there is none by itself.
        return _("Sign-in (OAuth 2)")
    provider = registry.provider(provider_key)
    return declared((provider.auth_kind(auth_type) if provider else DEFAULT_KINDS[auth_type]).title)

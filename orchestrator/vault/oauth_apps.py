"""Which app a credential signs in to, and where: what the provider declares, the operator gives, or a tenant sets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from integrations.registry import registry
from integrations.sdk.auth import OAuth2
from integrations.sdk.client import StepHttp
from integrations.sdk.oauth import Endpoints, Grant, OAuthApp
from integrations.words import declared
from orchestrator.egress import egress_policy
from orchestrator.vault.models import AuthType, Credential

CALLBACK: Final = "/oauth/callback/"
CALLBACK_OF_OWN: Final = "/oauth/callback/own/"
ASK_SECONDS: Final = 15.0
MAX_BYTES: Final = 256 * 1024
_DEFAULT_SKEW: Final = timedelta(minutes=2)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_AT_ONCE: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """How one credential is signed in. ``is_own``: its addresses are the tenant's, so they reach what its steps do."""

    provider: str
    name: str
    endpoints: Endpoints
    app: OAuthApp | None
    is_own: bool
    refresh_skew: timedelta = _DEFAULT_SKEW

    @property
    def asks_a_person(self) -> bool:
        return self.endpoints.grant == "authorization_code"


def sign_in_of(provider_key: str, given: Mapping[str, Any], values: Mapping[str, Any] | None = None) -> SignIn | None:
    """Return how credentials of a provider are signed in, None where that is not declared.

    ``given`` are a credential's settings; ``values`` its secret, whose own app, if any, is used.
    """
    provider = registry.provider(provider_key)
    kind = next((kind for kind in provider.auth if isinstance(kind, OAuth2)), None) if provider else None
    if provider is None or kind is None:
        return None
    found = _own(kind, given) if kind.configurable else _declared(provider_key, provider.oauth_family or "", kind)
    if found is None:
        return None
    app = _own_app(values or {})
    if app is None and not kind.configurable:
        # For the addresses that the operator knows of, never for those of a tenant.
        app = _operators_app(provider_key, provider.oauth_family)
    return SignIn(
        provider=provider_key,
        name=declared(provider.name),
        endpoints=found,
        app=app,
        is_own=kind.configurable,
        refresh_skew=kind.refresh_skew,
    )


def _declared(key: str, family: str, kind: OAuth2) -> Endpoints | None:
    """Return a provider's endpoints, or the operator's in their place."""
    environment = settings.ENV
    given = environment.oauth_token_urls
    replaced = given.get(key) or given.get(family)
    token_url = replaced or kind.token_url
    given = environment.oauth_authorize_urls
    authorize_url = given.get(key) or given.get(family) or kind.authorize_url
    if not token_url or not authorize_url:
        return None
    found = Endpoints(
        authorize_url=authorize_url,
        token_url=token_url,
        revoke_url=kind.revoke_url,
        scopes=kind.scopes,
        scope_separator=kind.scope_separator,
        pkce=kind.pkce,
        client_auth=kind.client_auth,
        token_request=kind.token_request,
        token_headers=kind.token_headers,
        authorize_params=kind.authorize_params,
        token_path=kind.token_path,
    )
    # Elsewhere the provider itself is replaced, and knows nothing of these tokens.
    return replace(found, revoke_url="") if replaced else found


def _own(kind: OAuth2, given: Mapping[str, Any]) -> Endpoints | None:
    token_url = str(given.get("token_url") or "")
    grant: Grant = "client_credentials" if given.get("grant") == "client_credentials" else "authorization_code"
    authorize_url = str(given.get("authorize_url") or "")
    if not token_url or (grant == "authorization_code" and not authorize_url):
        return None
    return Endpoints(
        authorize_url=authorize_url,
        token_url=token_url,
        revoke_url=str(given.get("revoke_url") or ""),
        scopes=tuple(str(given.get("scopes") or "").split()),
        pkce=kind.pkce,
        client_auth=given.get("client_auth") or kind.client_auth,
        grant=grant,
    )


def _own_app(values: Mapping[str, Any]) -> OAuthApp | None:
    client_id = values.get("client_id")
    return OAuthApp(id=str(client_id), secret=str(values.get("client_secret") or "")) if client_id else None


def _operators_app(key: str, family: str | None) -> OAuthApp | None:
    clients = settings.ENV.oauth_clients
    found = clients.get(key) or clients.get(family or "")
    return OAuthApp(id=found["client_id"], secret=found.get("client_secret", "")) if found else None


@dataclass(frozen=True, kw_only=True)
class Renewable:
    """What new tokens are asked for with. They are from ``due_at`` on; the present one is good until ``ends_at``."""

    sign_in: SignIn
    app: OAuthApp
    refresh_token: str = field(repr=False)
    due_at: datetime
    ends_at: datetime


def renewable_of(credential: Credential, values: Mapping[str, Any], *, ends_at: datetime | None) -> Renewable | None:
    """Return how a sign-in is renewed whose token ends then, None where it cannot be, or is none."""
    if credential.auth_type != AuthType.OAUTH2:
        return None
    sign_in = sign_in_of(credential.provider, credential.settings, values)
    refresh_token = str(values.get("refresh_token") or "")
    if sign_in is None or sign_in.app is None or (sign_in.asks_a_person and not refresh_token):
        return None
    due_at = _due_at(sign_in, credential.secret_set_at, ends_at) if ends_at else _NEVER
    if not values.get("access_token"):
        ends_at = due_at = _AT_ONCE
    return Renewable(
        sign_in=sign_in, app=sign_in.app, refresh_token=refresh_token, due_at=due_at, ends_at=ends_at or _NEVER
    )


def _due_at(sign_in: SignIn, begins_at: datetime, ends_at: datetime) -> datetime:
    """Return when a token is renewed: a while before its end, and one of a few minutes not before its half."""
    return ends_at - min(sign_in.refresh_skew, max(timedelta(), ends_at - begins_at) / 2)


@asynccontextmanager
async def token_client(
    sign_in: SignIn, *, egress_allow: Sequence[str], secrets: Sequence[str]
) -> AsyncIterator[StepHttp]:
    """Yield a client for the token endpoint, under the guard that a step's requests are under."""
    # Late: aiohttp is several megabytes, which a web process that signs nobody in need not hold.
    from integrations.sdk.http import HttpPool

    pool = HttpPool(egress_policy(fetches_tokens=not sign_in.is_own))
    try:
        yield pool.client(
            # A declared address is part of the product, and no tenant's list narrows it.
            egress_allow=tuple(egress_allow) if sign_in.is_own else (),
            deadline=timezone.now() + timedelta(seconds=ASK_SECONDS),
            max_bytes=MAX_BYTES,
            secrets=secrets,
        )
    finally:
        await pool.aclose()


def redirect_uri(request: HttpRequest, provider_key: str) -> str:
    """Return where a provider sends people back to: what an app there has to list.

    Where a tenant sets the addresses it is another one than the declared providers': else such a sign-in could lead
    somebody on to one of those, and take the code that comes back (mix-up, RFC 9700, 4.4).
    """
    provider = registry.provider(provider_key)
    is_own = provider is not None and any(isinstance(kind, OAuth2) and kind.configurable for kind in provider.auth)
    path = CALLBACK_OF_OWN if is_own else CALLBACK
    return settings.BASE_URL + path if settings.BASE_URL else request.build_absolute_uri(path)

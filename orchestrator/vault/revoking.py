"""A credential that is deleted is forgotten at its provider too, if that takes part: asked once, after the commit."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from integrations.sdk import oauth
from integrations.sdk.errors import IntegrationError
from orchestrator.tenants.access import Actor
from orchestrator.vault.models import AuthType, Credential
from orchestrator.vault.oauth_apps import SignIn, sign_in_of, token_client
from orchestrator.vault.services import CredentialUnavailable, opened_values

log = logging.getLogger(__name__)

SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """What a provider is asked to forget."""

    sign_in: SignIn
    token: str = field(repr=False)
    hint: str
    egress_allow: tuple[str, ...]


def revocation_of(actor: Actor, credential: Credential) -> Revocation | None:
    """Return what is to be asked once a credential is deleted, None where there is nothing to ask."""
    if credential.auth_type != AuthType.OAUTH2:
        return None
    try:
        values = opened_values(credential)
    except CredentialUnavailable:
        return None
    found = sign_in_of(credential.provider, credential.settings, values)
    # The refresh token takes the access tokens that came of it along (RFC 7009, 2.1).
    hint = "refresh_token" if values.get("refresh_token") else "access_token"
    token = str(values.get(hint) or "")
    if found is None or found.app is None or not found.endpoints.revoke_url or not token:
        return None
    return Revocation(sign_in=found, token=token, hint=hint, egress_allow=tuple(actor.tenant.egress_allow or ()))


def revoke(order: Revocation) -> bool:
    """Ask the provider, and return whether it did; it is not asked again."""
    try:
        asyncio.run(_ask(order))
    except (IntegrationError, TimeoutError) as error:
        log.warning("%s could not be asked to forget a token: %s", order.sign_in.provider, type(error).__name__)
        return False
    return True


async def _ask(order: Revocation) -> None:
    found = order.sign_in
    assert found.app is not None
    hidden = tuple(value for value in (order.token, found.app.secret) if value)
    async with asyncio.timeout(SECONDS), token_client(found, egress_allow=order.egress_allow, secrets=hidden) as http:
        await oauth.revoke(http, found.endpoints, found.app, token=order.token, hint=order.hint)

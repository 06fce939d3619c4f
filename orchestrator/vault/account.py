"""Asking a provider whose a credential is, through the test that its integration declares."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils import timezone

from integrations.registry import base_url_for, registry
from integrations.sdk.auth import Account, AuthContext, AuthView
from integrations.sdk.dialling import dialler
from orchestrator.egress import egress_policy

if TYPE_CHECKING:
    from integrations.sdk.auth import AuthTest
    from integrations.sdk.provider import Provider
    from orchestrator.vault.services import ResolvedCredential

CHECK_SECONDS: Final = 20


def declared_test(provider_key: str, auth_type: str) -> tuple[Provider, AuthTest] | None:
    """Return the provider and its test for this kind of credential, or None where it declares none."""
    provider = registry.provider(provider_key)
    test = provider.auth_test(auth_type) if provider else None
    return (provider, test) if provider and test else None


def ask_account(
    credential: ResolvedCredential, *, provider: Provider, test: AuthTest, egress_allow: Sequence[str]
) -> Account:
    """Run the provider's test with the credential; it reaches what a step of the tenant may reach.

    Raises IntegrationError as an action would, TimeoutError after CHECK_SECONDS.
    """
    return asyncio.run(ask(credential, provider=provider, test=test, egress_allow=egress_allow))


async def ask(
    credential: ResolvedCredential, *, provider: Provider, test: AuthTest, egress_allow: Sequence[str]
) -> Account:
    """Do what ``ask_account`` does, in the loop that runs."""
    # Late: aiohttp is several megabytes, which a web process without this button need not hold.
    from integrations.sdk.http import HttpPool

    root = base_url_for(provider, settings.ENV.base_urls, credential.settings)
    policy, deadline = egress_policy(), timezone.now() + timedelta(seconds=CHECK_SECONDS)
    pool = HttpPool(policy)
    try:
        http = pool.client(
            base_url=root,
            authorize=provider.authorizer(credential.auth, credential.settings),
            auth_hosts=provider.credential_hosts(root),
            egress_allow=tuple(egress_allow),
            deadline=deadline,
            secrets=credential.secrets,
        )
        dial = dialler(policy, egress_allow=tuple(egress_allow), deadline=deadline)
        context = AuthContext(auth=AuthView(credential.auth), http=http, settings=credential.settings, dial=dial)
        async with asyncio.timeout(CHECK_SECONDS):
            return await test(context)
    finally:
        await pool.aclose()

"""How often new tokens are asked for, and that none is lost when a driver ends."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from integrations.sdk.errors import Transient
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import checks, services
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.renewal import Standing, ask_of, renewal_claim
from orchestrator.vault.services import resolve_credential
from runs.adapters import Readers
from runs.credentials import VaultCredentials
from runs.driver import Times
from tests.runs.ground import drive, driving, make_workflow, start, step
from tests.vault.token_endpoint import TokenEndpoint, token_endpoint

pytestmark = pytest.mark.django_db(transaction=True)
OLD: Final = "old-token-canary"


@pytest.fixture
def endpoint(settings: Settings) -> Iterator[TokenEndpoint]:
    with token_endpoint() as found:
        settings.ENV = dataclasses.replace(
            django_settings.ENV, egress_allow=(found.host,), base_urls={"slack": f"{found.address}/api"}
        )
        yield found


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


def made(actor: Actor, endpoint: TokenEndpoint, *, left: timedelta) -> Credential:
    """A credential whose token is good for as long as that."""
    return services.credential_create(
        actor=actor,
        name="crm",
        provider="http",
        auth_type="oauth2",
        secret={
            "client_id": "app", "client_secret": "a-client-secret", "access_token": OLD, "refresh_token": "r-0000",
            "expires_at": (timezone.now() + left).isoformat(),
        },
        settings={"authorize_url": f"{endpoint.address}/authorize", "token_url": f"{endpoint.address}/token"},
    )  # fmt: skip


def asking(tenant: Tenant, endpoint: TokenEndpoint, credential: Credential, *, steps: int) -> Any:
    call = {"method": "GET", "url": f"{endpoint.address}/me"}
    made = [step(f"me{at}", "http.request", credential="crm", inputs=call, on_error="continue") for at in range(steps)]
    return make_workflow(tenant, *made, bindings={"crm": credential.pk})


def token_of(credential: Credential) -> str:
    return str(resolve_credential(tenant_id=credential.tenant_id, credential_id=credential.pk).auth["access_token"])


def test_a_token_of_a_minute_is_not_due_as_soon_as_it_is_there(
    actor: Actor, endpoint: TokenEndpoint, tenant: Tenant
) -> None:
    credential = made(actor, endpoint, left=timedelta(seconds=60))
    opened = resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)
    assert not opened.is_due(timezone.now())
    assert opened.is_due(timezone.now() + timedelta(seconds=45))


def test_an_api_that_takes_no_token_does_not_have_one_asked_for_each_time(
    actor: Actor, endpoint: TokenEndpoint, tenant: Tenant
) -> None:
    credential = made(actor, endpoint, left=timedelta(hours=1))
    endpoint.says({"access_token": "new-token", "expires_in": 3600})
    workflow = asking(tenant, endpoint, credential, steps=6)
    for _run in range(3):
        start(workflow)
    drive()
    assert endpoint.refused >= 18
    assert len(endpoint.asked) == 1


def test_a_driver_that_ends_keeps_the_tokens_it_asked_for(
    actor: Actor, endpoint: TokenEndpoint, tenant: Tenant
) -> None:
    credential = made(actor, endpoint, left=-timedelta(minutes=1))
    endpoint.says({"access_token": "new-token", "refresh_token": "r-0001", "expires_in": 3600})
    endpoint.gate.clear()
    start(asking(tenant, endpoint, credential, steps=1))
    with driving(Times(slice=60, idle=60, hand_over=0.2, stop=0.2)) as driver:
        until = time.monotonic() + 20
        while not endpoint.asked and time.monotonic() < until:
            time.sleep(0.02)
        driver.request_stop()
        time.sleep(1.5)
        endpoint.gate.set()
    assert token_of(credential) == "new-token"


def test_secrets_that_are_away_in_the_middle_of_a_step_do_not_begin_it_anew(
    actor: Actor, endpoint: TokenEndpoint, tenant: Tenant, settings: Settings
) -> None:
    credential = made(actor, endpoint, left=timedelta(hours=1))

    async def main() -> None:
        readers = Readers()
        try:
            opened = await VaultCredentials(readers, lambda job: None).open(
                tenant_id=tenant.pk, name="crm", credential_id=credential.pk
            )
            assert opened.renew is not None
            settings.VAULT_KEYS = (b"another key of thirty-two bytes!",)
            with pytest.raises(Transient, match="cannot be opened"):
                await opened.renew()
        finally:
            await asyncio.to_thread(readers.close)

    asyncio.run(main())


def test_a_claim_of_a_clock_that_was_wrong_is_none(actor: Actor, endpoint: TokenEndpoint, tenant: Tenant) -> None:
    credential = made(actor, endpoint, left=-timedelta(minutes=1))
    ask = ask_of(tenant.pk, resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk))
    now = timezone.now()
    assert renewal_claim(ask, now=now + timedelta(days=1)) is Standing.OURS
    assert renewal_claim(ask, now=now) is Standing.OURS
    assert renewal_claim(ask, now=now - timedelta(seconds=5)) is Standing.BUSY


def test_a_person_who_tests_what_is_due_hears_what_came_of_it(
    actor: Actor, endpoint: TokenEndpoint, settings: Settings
) -> None:
    settings.ENV = dataclasses.replace(
        django_settings.ENV,
        oauth_token_urls={"slack": f"{endpoint.address}/token"},
        oauth_clients={"slack": {"client_id": "app", "client_secret": "s"}},
    )
    credential = services.credential_create(
        actor=actor,
        name="slack",
        provider="slack",
        auth_type="oauth2",
        secret={
            "access_token": OLD, "refresh_token": "r-0000",
            "expires_at": (timezone.now() - timedelta(minutes=1)).isoformat(),
        },
    )  # fmt: skip
    body = {"access_token": "new-token", "authed_user": {"access_token": "new-token"}, "expires_in": 3600, "ok": True}
    endpoint.says({**body, "team": "Acme", "user": "bot", "user_id": "U1", "team_id": "T1", "url": "https://x"})
    checked = checks.credential_check(actor=actor, credential=credential)
    assert token_of(credential) == "new-token"
    assert (checked.health, checked.account) == (Health.WORKING, "bot in Acme")

"""A trigger whose token is refused early renews it and asks once more, as a step does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.utils import timezone
from pydantic import BaseModel
from pytest_django import Settings

from integrations.registry import registry
from integrations.sdk import (
    Account,
    AuthContext,
    JSONValue,
    OAuth2,
    Polled,
    Provider,
    RunContext,
    WebhookContext,
    WebhookRequest,
)
from integrations.sdk.polling import polling
from integrations.sdk.webhook import Subscription, webhook
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.services import resolve_credential
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger
from orchestrator.workflows.publishing import publish
from runs import models
from runs.polls import Polls
from runs.rounds import Rounds
from runs.subscriptions import Subscriptions
from tests.runs.rounds_ground import rounds
from tests.vault.token_endpoint import TokenEndpoint, token_endpoint

pytestmark = pytest.mark.django_db(transaction=True)
OLD: Final = "old-token-canary"
NEW: Final = "new-token-canary"


class Inputs(BaseModel):
    place: str = "north"


@pytest.fixture
def endpoint(settings: Settings) -> Iterator[TokenEndpoint]:
    settings.BASE_URL = "https://flows.example.com"
    with token_endpoint() as found:
        settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=(found.host,))
        found.says({"access_token": NEW, "refresh_token": "r-0001", "expires_in": 3600})
        with registry.temporarily(*_triggers(found)):
            yield found


def _triggers(endpoint: TokenEndpoint) -> tuple[Any, ...]:
    async def whose(ctx: AuthContext) -> Account:
        return Account(label="Ada")

    sign_in = OAuth2(authorize_url=f"{endpoint.address}/authorize", token_url=f"{endpoint.address}/token", test=whose)
    shop = Provider(key="shop", name="Shop", base_url=endpoint.address, auth=[sign_in])
    about: dict[str, Any] = {"provider": shop, "auth_type": "oauth2", "input_schema": Inputs}

    async def news(ctx: RunContext[Inputs], cursor: JSONValue) -> Polled:
        """Starts when there is news."""
        answer = (await ctx.http.get("news")).raise_for_status()
        # A provider that shows what it was asked with: nothing of it may be kept.
        return Polled(cursor=f"{answer.status_code} {NEW}" if ctx.inputs.place == "cursor" else answer.status_code)

    def parse(ctx: WebhookContext[Inputs], request: WebhookRequest) -> Any:
        """Starts when something is sold."""
        return request.json()

    async def subscribe(ctx: RunContext[Inputs], address: str, secret: str) -> Subscription:
        (await ctx.http.get("subscribe")).raise_for_status()
        return Subscription(id="h1")

    async def unsubscribe(ctx: RunContext[Inputs], subscription: Subscription) -> None:
        (await ctx.http.get("unsubscribe")).raise_for_status()

    sold = webhook(
        key="shop.sold", name="Sold", verify="github", subscribe=subscribe, unsubscribe=unsubscribe, **about
    )(parse)
    return polling(key="shop.news", name="News", **about)(news), sold


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


@pytest.fixture
def credential(actor: Actor, endpoint: TokenEndpoint) -> Credential:
    return vault.credential_create(
        actor=actor,
        name="crm",
        provider="shop",
        auth_type="oauth2",
        secret={
            "client_id": "app", "client_secret": "a-client-secret", "access_token": OLD, "refresh_token": "r-0000",
            "expires_at": (timezone.now() + timedelta(hours=1)).isoformat(),
        },
    )  # fmt: skip


def live(actor: Actor, kind: str, which: str, **inputs: str) -> Trigger:
    document = {
        "name": "News",
        "triggers": [
            {"key": "news", "type": kind, "config": {"trigger": which, "credential": "crm", "inputs": inputs}}
        ],
        "steps": [{"key": "a", "action": "data.set", "config": {"inputs": {"values": {"x": 1}}}}],
    }
    publish(actor=actor, workflow=services.workflow_create(actor=actor, document=document))
    return Trigger.objects.for_tenant(actor.tenant).get()


def once(kind: type[Rounds[Any]]) -> None:
    async def main() -> None:
        async with rounds(kind, timezone.now()) as made:
            await made.look()

    asyncio.run(main())


def kept(credential: Credential) -> tuple[str, str]:
    credential.refresh_from_db()
    opened = resolve_credential(tenant_id=credential.tenant_id, credential_id=credential.pk)
    return str(opened.auth["access_token"]), credential.health


def test_a_poll_whose_token_is_refused_renews_it_and_asks_again(
    actor: Actor, endpoint: TokenEndpoint, credential: Credential
) -> None:
    endpoint.takes = NEW
    trigger = live(actor, "polling", "shop.news")
    once(Polls)
    trigger.refresh_from_db()
    state = trigger.state["poll"]
    assert ("failures" not in state, state["cursor"]) == (True, 200), state
    assert (endpoint.refused, len(endpoint.asked)) == (1, 1)
    assert kept(credential) == (NEW, Health.WORKING)


def test_a_poll_that_is_refused_with_the_renewed_token_too_fails_and_says_so(
    actor: Actor, endpoint: TokenEndpoint, credential: Credential
) -> None:
    trigger = live(actor, "polling", "shop.news")
    once(Polls)
    trigger.refresh_from_db()
    assert (trigger.state["poll"]["failures"], trigger.state["poll"]["error"]["kind"]) == (1, "auth")
    assert (endpoint.refused, len(endpoint.asked)) == (2, 1)


def test_the_renewed_token_is_known_as_a_secret(actor: Actor, endpoint: TokenEndpoint, credential: Credential) -> None:
    endpoint.takes = NEW
    trigger = live(actor, "polling", "shop.news", place="cursor")
    once(Polls)
    trigger.refresh_from_db()
    assert "holds its credential's secret" in trigger.state["poll"]["error"]["message"]
    assert NEW not in str(trigger.state)


def test_a_subscription_whose_token_is_refused_renews_it_and_asks_again(
    actor: Actor, endpoint: TokenEndpoint, credential: Credential, tenant: Tenant
) -> None:
    endpoint.takes = NEW
    live(actor, "event", "shop.sold")
    once(Subscriptions)
    row = models.Subscription.objects.for_tenant(tenant).get()
    assert (row.status, row.failures, row.error) == ("active", 0, None)
    assert (endpoint.refused, len(endpoint.asked)) == (1, 1)
    assert kept(credential)[0] == NEW

"""What a step's form tells of its credential's scopes, and of what a step before it will give."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import Provider, RunContext, action
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential
from orchestrator.workflows import services
from tests.builder.ground import plain

pytestmark = pytest.mark.django_db


class Inputs(BaseModel):
    n: int = 0


class Weather(BaseModel):
    highest: int
    wind: dict[str, float]
    places: list[str]


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def page_of(browser: Client, actor: Actor, key: str, *steps: dict[str, Any]) -> str:
    document = {"name": "Tell", "slug": "tell", "steps": list(steps)}
    workflow = services.workflow_create(actor=actor, document=document)
    answer = browser.get(reverse("workflow-step", args=["acme", workflow.pk, key]))
    assert answer.status_code == 200
    return plain(answer.content.decode())


def test_the_form_says_what_the_credential_was_not_granted(browser: Client, actor: Actor) -> None:
    made = vault.credential_create(
        actor=actor, name="team", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-canary-1"}
    )
    Credential.objects.for_tenant(actor.tenant).filter(pk=made.pk).update(scopes=["channels:read"])
    step = {"key": "tell", "action": "slack.sendMessage", "credential": "team",
            "config": {"inputs": {"channel": "#a", "text": "hi"}}}  # fmt: skip
    assert "Connect “team” again to grant it chat:write." in page_of(browser, actor, "tell", step)


def test_what_a_step_declares_to_give_can_be_picked_before_it_ever_ran(browser: Client, actor: Actor) -> None:
    async def forecast(ctx: RunContext[Inputs]) -> Weather:
        """Ask for the weather."""
        raise AssertionError("not asked here")

    own = Provider(key="own", name="Own")
    declared = action(
        provider=own, key="own.forecast", name="Forecast", auth_type="none", input_schema=Inputs, output_schema=Weather
    )(forecast)
    with registry.temporarily(declared):
        text = page_of(
            browser,
            actor,
            "say",
            {"key": "ask", "action": "own.forecast", "config": {"inputs": {}}},
            {"key": "say", "action": "hello.world", "config": {"inputs": {"name": "x"}}},
        )
    assert "as declared" in text
    assert all(name in text for name in ("highest", "wind", "places"))

"""A step is connected by one press: a new sign-in where the operator has an app, the same one again where it ended."""

from __future__ import annotations

import dataclasses
import html
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.services import step_update, workflow_create
from tests.vault import healths

TELL = {"key": "tell", "action": "slack.sendMessage", "config": {"inputs": {"channel": "#a", "text": "b"}}}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return workflow_create(actor=actor, document={"name": "Tells", "steps": [TELL]})


@pytest.fixture
def operators_app(settings: Settings) -> None:
    """Have the operator set up an app of Slack's."""
    clients = {"slack": {"client_id": "4711", "client_secret": "an operators secret"}}
    settings.ENV = dataclasses.replace(settings.ENV, oauth_clients=clients)


def page(client: Client, workflow: Workflow) -> str:
    return client.get(f"/w/acme/workflows/{workflow.pk}/steps/tell/").content.decode()


def press(client: Client, text: str) -> str:
    """Post the form that the page's button belongs to; return the provider's address that this leads to."""
    assert '<button class="b sm a" form="connect">' in text
    (form,) = re.findall(r'<form id="connect" [^>]*>.*?</form>', text, re.DOTALL)
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))
    url = re.findall(r'action="([^"]+)"', form)[0]
    answer = client.post(url, {name: html.unescape(value) for name, value in fields.items()})
    assert answer.status_code == 200
    (address,) = re.findall(r'content="0;url=([^"]+)"', answer.content.decode())
    return html.unescape(address)


def test_a_press_makes_the_credential_and_leads_to_the_provider(
    client: Client, editor: User, workflow: Workflow, operators_app: None, tenant: Tenant
) -> None:
    client.force_login(editor)
    text = page(client, workflow)
    assert "Connect Slack" in text
    assert "an operators secret" not in text
    assert press(client, text).startswith("https://slack.com/oauth/v2/authorize?")
    made = Credential.objects.for_tenant(tenant).get()
    assert (made.name, made.provider, made.auth_type) == ("Slack", "slack", "oauth2")


def test_without_an_app_there_is_more_to_be_said_first(client: Client, editor: User, workflow: Workflow) -> None:
    client.force_login(editor)
    assert 'form="connect"' not in page(client, workflow)


def test_one_that_is_chosen_is_connected_again_once_it_ended(
    client: Client, editor: User, actor: Actor, workflow: Workflow, operators_app: None, tenant: Tenant
) -> None:
    made = credential_create(
        actor=actor,
        name="Team",
        provider="slack",
        auth_type="oauth2",
        secret={"access_token": "t", "refresh_token": "r"},
    )
    step_update(actor=actor, workflow=workflow, key="tell", changes={"credential": "Team"})
    client.force_login(editor)
    assert 'form="connect"' not in page(client, workflow)
    healths.found(made, Health.RECONNECT, "The token was revoked.")
    text = page(client, workflow)
    assert "Connect again" in text
    assert "Connect it again, or choose another." in text
    assert press(client, text).startswith("https://slack.com/oauth/v2/authorize?")
    assert [each.name for each in Credential.objects.for_tenant(tenant)] == ["Team"]
    assert Step.objects.for_tenant(tenant).get().credential == made


def test_one_that_was_not_granted_what_the_step_needs_is_connected_again(
    client: Client, editor: User, actor: Actor, workflow: Workflow, operators_app: None, tenant: Tenant
) -> None:
    secret = {"access_token": "t", "refresh_token": "r"}
    credential_create(actor=actor, name="Team", provider="slack", auth_type="oauth2", secret=secret)
    step_update(actor=actor, workflow=workflow, key="tell", changes={"credential": "Team"})
    client.force_login(editor)
    made = Credential.objects.for_tenant(tenant)
    made.update(scopes=["chat:write"])
    assert 'form="connect"' not in page(client, workflow)
    made.update(scopes=["channels:read"])
    text = page(client, workflow)
    assert "Connect again" in text
    assert press(client, text).startswith("https://slack.com/oauth/v2/authorize?")


def test_who_may_not_edit_is_offered_nothing(
    client: Client, viewer: User, workflow: Workflow, operators_app: None
) -> None:
    client.force_login(viewer)
    assert 'id="connect"' not in page(client, workflow)

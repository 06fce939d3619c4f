"""Triggers whose requests are signed with a secret of the provider's own, which a credential holds: Slack's."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, actor_for_user, system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.publishing import publish
from runs.models import Subscription
from runs.subscription_rows import subscriptions_plan
from tests.triggers.conftest import path, runs

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "0123456789abcdef0123456789abcdef"
MESSAGE = {"type": "message", "channel": "C012AB3CD", "user": "U061F7AUR", "text": "Hello", "ts": "1772443800.000100"}


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


@pytest.fixture
def make_secret(tenant: Tenant) -> Callable[..., Credential]:
    def make(name: str = "our-app", secret: str = SECRET, **more: Any) -> Credential:
        given = {"auth_type": "api_key", "secret": {"api_key": secret}, **more}
        return vault.credential_create(actor=system_actor(tenant), name=name, provider="slack", **given)

    return make


def made(actor: Actor, credential: str | None = "our-app", **inputs: Any) -> Workflow:
    config = {"trigger": "slack.newMessage", "inputs": inputs} | ({"credential": credential} if credential else {})
    document = {
        "name": "Answer", "slug": "answer", "triggers": [{"key": "new", "type": "event", "config": config}],
        "steps": [{"key": "keep", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}],
    }  # fmt: skip
    workflow = services.workflow_create(actor=actor, document=document)
    publish(actor=actor, workflow=workflow)
    subscriptions_plan(now=timezone.now())
    return workflow


def trigger_of(workflow: Workflow) -> Trigger:
    return Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow)


def tell(trigger: Trigger, body: Any, *, secret: str = SECRET, ago: int = 0, **more: Any) -> Any:
    text, at = json.dumps(body).encode(), str(int(time.time()) - ago)
    mac = hmac.new(secret.encode(), b"v0:" + at.encode() + b":" + text, hashlib.sha256).hexdigest()
    headers = {"HTTP_X_SLACK_SIGNATURE": f"v0={mac}", "HTTP_X_SLACK_REQUEST_TIMESTAMP": at, **more}
    return Client().generic("POST", path(trigger), text, "application/json", **headers)


def event(number: str = "Ev1", **more: Any) -> dict[str, Any]:
    return {"type": "event_callback", "event_id": number, "team_id": "T1", "event": {**MESSAGE, **more}}


def test_a_message_starts_one_run_however_often_it_is_told(
    actor: Actor, make_secret: Callable[..., Credential]
) -> None:
    make_secret()
    trigger = trigger_of(made(actor))
    hello = tell(trigger, {"type": "url_verification", "challenge": "3eZbrw1aB"})
    assert (hello.status_code, hello.json()) == (200, {"challenge": "3eZbrw1aB"})
    first = tell(trigger, event())
    again = tell(trigger, event(), HTTP_X_SLACK_RETRY_NUM="1")
    assert (first.status_code, again.status_code, again.json()["id"]) == (202, 200, first.json()["id"])
    (run,) = runs(trigger)
    assert (run.trigger["body"]["text"], run.trigger["body"]["channel"]) == ("Hello", "C012AB3CD")
    assert SECRET not in json.dumps(run.trigger)
    assert tell(trigger, event("Ev2", bot_id="B1")).json()["status"] == "ignored"


def test_who_has_not_the_apps_secret_is_refused(actor: Actor, make_secret: Callable[..., Credential]) -> None:
    make_secret()
    trigger = trigger_of(made(actor))
    for wrong in ({"secret": "f" * 32}, {"ago": 301}, {"HTTP_X_SLACK_SIGNATURE": "v0=00"}):
        answer = tell(trigger, {"type": "url_verification", "challenge": "x"}, **wrong)
        assert (answer.status_code, SECRET in answer.content.decode()) == (401, False)
    assert runs(trigger) == []


def test_a_new_secret_counts_at_once_and_another_credential_from_its_publish(
    actor: Actor, make_secret: Callable[..., Credential]
) -> None:
    credential = make_secret()
    workflow = made(actor)
    trigger = trigger_of(workflow)
    vault.credential_update(actor=actor, credential=credential, secret={"api_key": "a" * 32})
    assert tell(trigger, event("Ev1")).status_code == 401
    assert tell(trigger, event("Ev1"), secret="a" * 32).status_code == 202
    make_secret("another", "b" * 32)
    row = Subscription.objects.for_tenant(actor.tenant).get()
    config = {"trigger": "slack.newMessage", "inputs": {"channels": ["C012AB3CD"]}, "credential": "our-app"}
    for chosen, signs, is_same in (("our-app", "a" * 32, True), ("another", "b" * 32, False)):
        triggers = [{"key": "new", "type": "event", "config": {**config, "credential": chosen}}]
        services.workflow_patch(actor=actor, workflow=workflow, changes={"triggers": triggers})
        publish(actor=actor, workflow=workflow)
        subscriptions_plan(now=timezone.now())
        now = Subscription.objects.for_tenant(actor.tenant).get()
        assert ((now.pk == row.pk), now.status) == (is_same, "manual")
        assert tell(trigger, event(f"Ev{chosen}"), secret=signs).status_code == 202


def test_without_its_credential_nothing_is_believed_and_slack_sends_again(
    actor: Actor, make_secret: Callable[..., Credential], other_tenant: Tenant
) -> None:
    credential = make_secret()
    trigger = trigger_of(made(actor))
    vault.credential_create(
        actor=system_actor(other_tenant), name="our-app", provider="slack", auth_type="api_key",
        secret={"api_key": SECRET},
    )  # fmt: skip
    vault.credential_delete(actor=actor, credential=credential)
    answer = tell(trigger, event())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unverifiable")
    assert answer["Retry-After"]
    assert runs(trigger) == []


def test_it_is_not_published_without_a_signing_secret(actor: Actor) -> None:
    with pytest.raises(Invalid) as caught:
        made(actor, None)
    assert "Slack requires an API key. Choose a credential." in [problem.message for problem in caught.value.problems]


def test_the_panel_says_what_to_enter_where(actor: Actor, owner: User, make_secret: Callable[..., Credential]) -> None:
    make_secret()
    workflow = made(actor)
    client = Client()
    client.force_login(owner)
    text = unescape(client.get(reverse("workflow-trigger", args=["acme", workflow.pk, "new"])).text)
    assert "Enter this address at Slack. What comes is checked with the secret in the credential." in text
    assert "message.channels" in text
    assert path(trigger_of(workflow)) in text
    assert 'id="secret"' not in text
    assert SECRET not in text
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    text = unescape(client.get(reverse("workflow-trigger", args=["acme", workflow.pk, "new"])).text)
    assert "From when you publish, this address answers Slack" in text

"""The settings of a webhook in the builder: told as sentences, saved as config, refused at the field."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.vault.services import credential_create
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from tests.builder.ground import DOCUMENT, plain


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def page(actor: Actor, workflow: Workflow, client: Client) -> str:
    assert actor.user
    client.force_login(actor.user)
    return reverse("workflow-trigger", args=["acme", workflow.pk, "hook"])


def fields(html: str) -> dict[str, Any]:
    """Return what a browser would send of the form as it is shown."""
    form = html.partition('id="webhook-form"')[2].partition("</form>")[0]
    found: dict[str, Any] = dict(re.findall(r'<input class="[^"]*" id="[^"]*" name="([^"]+)" value="([^"]*)"', form))
    found |= dict(re.findall(r'<textarea [^>]*name="([^"]+)"[^>]*>([^<]*)</textarea>', form))
    for name, options in re.findall(r'<select [^>]*name="([^"]+)"[^>]*>(.*?)</select>', form):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        first = re.search(r'<option(?: value="([^"]*)")?>([^<]*)', options)
        match = chosen or first
        assert match
        found[name] = match[1] if match[1] is not None else match[2]
    found["methods"] = re.findall(r'name="methods" value="(\w+)" checked', form)
    return {name: value.replace("&#x27;", "'").replace("&quot;", '"') if isinstance(value, str) else value
            for name, value in found.items()}  # fmt: skip


def config() -> dict[str, Any]:
    return Trigger.unscoped.get(key="hook").config


def test_the_form_as_it_is_shown_changes_nothing(page: str, client: Client) -> None:
    assert client.post(page, fields(client.get(page).text)).status_code == 302
    assert config() == {}


def test_everything_is_saved_and_shown_again(page: str, client: Client, actor: Actor) -> None:
    credential_create(
        actor=actor, name="shop", provider="webhook", auth_type="api_key", secret={"api_key": "a secret"}
    )  # fmt: skip
    wanted = {
        "methods": ["POST", "PUT"], "preset": "hmac", "credential": "shop", "header": "X-Shop", "algorithm": "sha512",
        "encoding": "base64", "prefix": "sig=", "timestamp_header": "X-At", "tolerance": "60",
        "handshake": "challenge", "answer": "reply", "timeout": "12.5", "status": "201",
        "content_type": "application/json", "headers": "X-A: 1\r\n\r\nX-B: b: c", "body": '{"id": "{{ run.id }}"}',
        "dedupe": "{{ trigger.body.id }}", "filter": "trigger.body.type == 'paid'", "rate_limit": "60",
    }  # fmt: skip
    assert client.post(page, wanted).status_code == 302
    assert config() == {
        "methods": ["POST", "PUT"],
        "signature": {
            "preset": "hmac", "credential": "shop", "header": "X-Shop", "algorithm": "sha512", "encoding": "base64",
            "timestamp_header": "X-At", "prefix": "sig=", "tolerance": 60,
        },
        "handshake": {"query": "challenge"},
        "response": {
            "status": 201,
            "headers": {"Content-Type": "application/json", "X-A": "1", "X-B": "b: c"},
            "body": {"id": "{{ run.id }}"},
        },
        "timeout": 12.5,
        "dedupe": "{{ trigger.body.id }}",
        "filter": "trigger.body.type == 'paid'",
        "rate_limit": 60,
    }  # fmt: skip
    shown = client.get(page).text
    said = plain(shown)
    for sentence in (
        "Another sender that signs with HMAC, with the secret shop.",
        "Answers 201 with words of its own.",
        "Takes POST, PUT.",
        "Takes at most 60 requests a minute.",
        "Starts a run only if trigger.body.type ==",
        "told by {{ trigger.body.id }}",
    ):
        assert sentence in said
    assert "a secret" not in shown
    before = config()
    assert client.post(page, fields(shown)).status_code == 302
    assert config() == before


def test_what_is_taken_away_is_gone(page: str, client: Client) -> None:
    client.post(page, {"dedupe": "X-Id", "rate_limit": "5", "answer": "output", "timeout": "3", "filter": "true == x"})
    assert config()["dedupe"] == "X-Id"
    client.post(page, {"dedupe": "", "rate_limit": "", "answer": "accepted", "timeout": "", "filter": "", "preset": ""})
    assert config() == {"response": "accepted"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rate_limit": "many"}, "This is no number."),
        ({"rate_limit": "0"}, "greater than or equal to 1"),
        ({"timeout": "100"}, "less than or equal to 60"),
        ({"preset": "github", "credential": ""}, "Choose the secret"),
        ({"preset": "nonsense", "credential": "x"}, "Input should be"),
        ({"answer": "nonsense"}, "Input should be"),
        ({"answer": "reply", "status": "500"}, "less than or equal to 499"),
        ({"answer": "reply", "body": "{", "content_type": "application/json"}, "This is no JSON"),
        ({"answer": "reply", "headers": "no colon", "body": ""}, "as Name: value"),
        ({"answer": "reply", "headers": "ü: x", "body": ""}, "String should match"),
        ({"dedupe": "x" * 20_000}, "at most 10000 characters"),
    ],
)
def test_what_is_wrong_is_said_at_the_field_and_nothing_is_saved(
    given: dict[str, str], said: str, page: str, client: Client
) -> None:
    answer = client.post(page, {"filter": "kept == typed", **given})
    assert answer.status_code == 400
    assert said in answer.text
    assert "It was not saved." in answer.text
    assert 'value="kept == typed"' in answer.text
    assert config() == {}


def test_what_only_a_publish_refuses_is_saved_and_told(page: str, client: Client) -> None:
    client.post(page, {"answer": "reply", "content_type": "text/plain", "body": "x", "headers": "Set-Cookie: a=b"})
    text = client.get(page).text
    assert "may not set Set-Cookie" in text


def test_a_viewer_reads_the_sentences(page: str, viewer: User) -> None:
    client = Client()
    client.force_login(viewer)
    text = client.get(page).text
    assert "No signature is checked" in text
    assert 'id="webhook-form"' not in text
    assert client.post(page, {"dedupe": "X"}).status_code == 403

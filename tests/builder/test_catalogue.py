"""The catalogue: every provider and every action has a page, made from the registry; and who uses an action."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from integrations.registry import registry
from integrations.sdk import Action
from orchestrator.builder.catalogue import MOST
from orchestrator.builder.reference import action_url, repeat_words
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.services import workflow_create

HOSTILE = "<script>alert(1)</script>\u202e" + "w" * 160


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def uses(tenant: Tenant, user: User, count: int, name: str = "Uses it") -> None:
    steps = [{"key": "only", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}]
    for _ in range(count):
        workflow_create(actor=actor_for_user(user, tenant.slug), document={"name": name, "steps": steps})


def test_the_catalogue_leads_to_every_provider_and_every_action(browser: Client) -> None:
    text = browser.get(reverse("integrations", args=["acme"])).text
    found = set()
    for provider in {action.provider.key: action.provider for action in registry.actions()}.values():
        address = reverse("integration-provider", args=["acme", provider.key])
        assert f'href="{address}"' in text
        page = browser.get(address)
        assert page.status_code == 200
        found |= set(re.findall(rf'class="act" href="({address}[^"]+)"', page.text))
    assert len(found) == len(registry.actions())
    for address in found:
        assert browser.get(address).status_code == 200, address


def test_kinds_of_credentials_and_what_may_be_repeated_are_told_in_words(browser: Client) -> None:
    text = browser.get(reverse("integration-provider", args=["acme", "google_docs"])).text
    assert '<span class="tag">Sign in with Google</span>' in text
    assert "Ways to connect: Sign in with Google, Access token" in text
    assert '<span class="tag">' not in browser.get(reverse("integration-provider", args=["acme", "data"])).text
    text = browser.get(reverse("integration-action", args=["acme", "slack", "sendMessage"])).text
    assert "<dd>A sign-in (OAuth 2) or a bearer token</dd>" in text
    text = browser.get(reverse("integration-action", args=["acme", "ai", "agent"])).text
    assert "nothing leaves the run" not in text


@pytest.mark.parametrize("key", ["http.request", "hello.world", "flow.approve", "slack.sendMessage"])
def test_an_actions_page_has_the_builders_form_and_what_it_gives(browser: Client, tenant: Tenant, key: str) -> None:
    action = registry.get(key)
    assert action is not None
    text = browser.get(action_url(tenant, action)).text
    properties = action.input_json_schema()["properties"]
    assert re.findall(r'data-field="([^"]+)"', text) == list(properties)
    assert '<fieldset class="stack" disabled>' in text
    assert "Use data" not in text
    assert repeat_words(action) in text
    for name in (action.output_json_schema() or {}).get("properties", {}):
        assert f'<span class="mono">{name}</span>' in text
    assert ("OutcomeUnknown" in text) is action.http
    assert "InputError" in text


def test_a_search_finds_with_a_typo_the_best_first(browser: Client) -> None:
    def keys(query: str) -> list[str]:
        text = browser.get(reverse("integrations", args=["acme"]), {"q": query}).text
        return re.findall(r'<span class="mono mute brk">([^<]+)</span>', text)

    assert keys("slack sned")[0] == "slack.sendMessage"
    assert keys("http.request")[0] == "http.request"
    assert keys("zzzz") == []
    assert keys("\x00(") == []


def test_what_is_not_installed_has_no_page(browser: Client) -> None:
    for address in ("nothing/", "slack/nothing/", "SLACK/", "slack/sendMessage.more/", "slack/%00/", "hello/world%2F/"):
        assert browser.get(f"/w/acme/integrations/{address}").status_code == 404, address


def test_the_workflows_that_use_it_are_a_few_of_however_many(
    browser: Client, tenant: Tenant, editor: User, other_tenant: Tenant, stranger: User
) -> None:
    address = reverse("integration-action", args=["acme", "hello", "world"])
    uses(tenant, editor, 1, HOSTILE)
    uses(other_tenant, stranger, 2, "Theirs")
    with CaptureQueriesContext(connection) as few:
        text = browser.get(address).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "Theirs" not in text
    assert '<span class="cnt">1</span>' in text
    uses(tenant, editor, MOST + 3)
    with CaptureQueriesContext(connection) as many:
        text = browser.get(address).text
    assert len(many) == len(few) <= 8
    assert text.count("/steps/only/") == MOST
    assert f'<span class="cnt">{MOST + 4}</span>' in text
    assert f"The first {MOST} are shown." in text


def test_one_press_makes_a_workflow_with_that_step(browser: Client, tenant: Tenant, editor: User) -> None:
    secret = {"token": "xoxb-1"}
    actor = actor_for_user(editor, tenant.slug)
    credential_create(actor=actor, name="team", provider="slack", auth_type="bearer_token", secret=secret)
    answer = browser.post(reverse("workflow-new", args=["acme"]), {"action": "slack.sendMessage"})
    step = Step.objects.for_tenant(tenant).get()
    assert answer["Location"] == reverse("workflow-step", args=["acme", step.workflow_id, step.key])
    assert (step.action, step.credential and step.credential.name) == ("slack.sendMessage", "team")
    assert browser.get(answer["Location"]).status_code == 200


@pytest.mark.parametrize("action", ["nothing.here", "<script>", "\x00", "a" * 5_000])
def test_an_action_that_is_not_there_makes_nothing(browser: Client, tenant: Tenant, action: str) -> None:
    answer = browser.post(reverse("workflow-new", args=["acme"]), {"action": action}, follow=True)
    assert answer.status_code == 200
    assert "Nothing was made" in answer.text
    assert not Workflow.objects.for_tenant(tenant).exists()


def test_who_may_only_read_gets_no_button(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    text = client.get(reverse("integration-action", args=["acme", "slack", "sendMessage"])).text
    assert "Use it in a new workflow" not in text
    assert "New credential" not in client.get(reverse("integration-provider", args=["acme", "slack"])).text
    assert client.post(reverse("workflow-new", args=["acme"]), {"action": "hello.world"}).status_code == 403


def test_a_providers_page_shows_its_own_credentials(
    browser: Client, tenant: Tenant, editor: User, other_tenant: Tenant, stranger: User
) -> None:
    kind: Any = {"provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-1"}}
    credential_create(actor=actor_for_user(editor, tenant.slug), name="<script>alert(1)</script>" + "w" * 60, **kind)
    credential_create(actor=actor_for_user(stranger, other_tenant.slug), name="theirs", **kind)
    text = browser.get(reverse("integration-provider", args=["acme", "slack"])).text
    assert "&lt;script&gt;alert(1)" in text
    assert "theirs" not in text
    assert "xoxb-1" not in text
    openai = browser.get(reverse("integration-provider", args=["acme", "openai"])).text
    assert "No credential for OpenAI yet." in openai
    assert "&lt;script&gt;" not in openai


def many_actions(count: int) -> list[Action]:
    """Return that many actions, each of a provider of its own for every ten."""
    hello = registry.get("hello.world")
    assert hello is not None
    providers = [
        dataclasses.replace(hello.provider, key=f"many{number}", name=f"Many {number}", origin=f"many:{number}")
        for number in range(count // 10)
    ]
    return [
        dataclasses.replace(
            hello, key=f"{providers[number // 10].key}.world{number}", provider=providers[number // 10],
            name=f"Post message {number}", origin=f"many:{number}",
        )
        for number in range(count)
    ]  # fmt: skip


def test_hundreds_of_actions_are_pages(browser: Client) -> None:
    with registry.temporarily(*many_actions(800)):
        first = browser.get(reverse("integrations", args=["acme"])).text
        assert "Page 1 of 2" in first
        assert len(re.findall(r'<li class="card">', first)) == 60
        found = browser.get(reverse("integrations", args=["acme"]), {"q": "post message", "page": "2"}).text
        assert found.count('class="act"') == 60
        assert "?q=post%20message&amp;page=3" in found


def test_a_providers_level_and_the_rules_behind_it_are_shown(browser: Client) -> None:
    page = browser.get(reverse("integration-provider", args=["acme", "slack"])).text
    quality = page[page.index('<h2 id="quality">') :]
    assert ">Gold<" in quality
    assert "chat.postMessage takes no key" in quality
    assert quality.count("Kept</span>") == 7
    rss = browser.get(reverse("integration-provider", args=["acme", "rss"])).text
    assert ">Bronze<" in rss
    assert "Not kept" in rss
    assert 'id="quality"' not in browser.get(reverse("integration-provider", args=["acme", "flow"])).text
    assert "· Gold</span>" in browser.get(reverse("integrations", args=["acme"])).text

"""An agent in the builder: its form, its tools' forms, and what the menu offers as a tool."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from integrations.registry import registry
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import publishing, services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_document

LOOK: dict[str, Any] = {"key": "look", "name": "Look up", "action": "http.request", "config": {"inputs": {}}}
AGENT: dict[str, Any] = {
    "key": "agent",
    "name": "Helper",
    "action": "ai.agent",
    "config": {"inputs": {"model": "gpt-4o-mini", "prompt": "Answer {{ trigger.body.text }}"}},
    "lanes": {"tools": [LOOK]},
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    before = {"key": "before", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}
    document = {"name": "Help", "slug": "help", "steps": [before, AGENT]}
    return services.workflow_create(actor=actor, document=document)


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def shown(browser: Client, name: str, workflow: Workflow, *parts: str, query: str = "") -> str:
    answer = browser.get(reverse(name, args=["acme", workflow.pk, *parts]) + query)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_the_outline_holds_the_tools_and_the_menu_offers_what_a_model_can_call(
    browser: Client, workflow: Workflow
) -> None:
    text = shown(browser, "workflow", workflow)
    assert 'data-place="in:agent:tools"><b class="semi">Tools</b>' in text
    menu = shown(browser, "step-add", workflow, query="?parent=agent&lane=tools")
    offered = set(re.findall(r'<button class="op"[^>]*value="([^"]+)"', menu))
    assert {"http.request", "slack.sendMessage", "workflow.call", "code.python"} <= offered
    assert not {key for key in offered if key.startswith("flow.")} | offered & {"ai.agent"}
    assert shown(browser, "step-add", workflow, query="?after=look").count("flow.if") == 0
    assert "ai.agent" in shown(browser, "step-add", workflow, query="?after=before")


def test_a_tools_form_says_that_what_is_empty_is_the_models(browser: Client, workflow: Workflow) -> None:
    text = shown(browser, "workflow-step", workflow, "look")
    assert "A tool of “Helper”. What you fill in is fixed, and its model never sees it" in text
    assert "Empty: the model fills it in." in text
    assert "aria-required" not in text
    assert "A tool of" not in shown(browser, "workflow-step", workflow, "before")


def test_tools_are_not_moved_into_a_workflow_of_their_own(browser: Client, workflow: Workflow) -> None:
    assert "extract" not in shown(browser, "workflow-step", workflow, "agent")
    text = shown(browser, "workflow-step-extract", workflow, "agent", query="?lane=tools")
    assert "What steps.agent holds are tools of its model" in text


def test_what_a_tools_form_saves_is_fixed_and_the_rest_is_left_out(
    browser: Client, workflow: Workflow, actor: Actor
) -> None:
    address = reverse("workflow-step", args=["acme", workflow.pk, "look"])
    posted = {"in.url": "https://api.example.com/{{ trigger.body.id }}", "in.method": "GET", "on_error": "fail"}
    assert browser.post(address, {**posted, "revision": workflow.revision}).status_code == 302
    tool = draft_document(workflow.refresh())["steps"][1]["lanes"]["tools"][0]
    assert tool["config"]["inputs"] == {"url": "https://api.example.com/{{ trigger.body.id }}", "method": "GET"}
    problems = [(problem.path, problem.code) for problem in services.check(workflow, actor=actor)]
    assert problems == [("steps[1].credential", "credential_missing")]


def test_an_agent_takes_the_credentials_of_its_provider(browser: Client, workflow: Workflow, actor: Actor) -> None:
    for name, provider in (("mine", "openai"), ("claude", "anthropic"), ("chat", "slack")):
        kind, secret = ("bearer_token", {"token": "t-12345678"})
        vault.credential_create(actor=actor, name=name, provider=provider, auth_type=kind, secret=secret)
    text = shown(browser, "workflow-step", workflow, "agent")
    assert [name for name in ("mine", "claude", "chat") if f'<option value="{name}"' in text] == ["mine"]
    assert "provider=openai" in text
    services.step_update(actor=actor, workflow=workflow, key="agent", changes={"credential": "mine"})
    posted = {"name": "Helper", "config": {"inputs": {**AGENT["config"]["inputs"], "provider": "anthropic"}}}
    services.step_update(actor=actor, workflow=workflow, key="agent", changes=posted)
    text = shown(browser, "workflow-step", workflow, "agent")
    assert "mine (does not fit)" in text
    assert '<option value="claude"' in text
    assert "This credential is for openai, not anthropic." in text


def test_an_agent_with_its_tools_is_published_with_their_credentials(workflow: Workflow, actor: Actor) -> None:
    secret = {"token": "t-12345678"}
    made = vault.credential_create(actor=actor, name="mine", provider="openai", auth_type="bearer_token", secret=secret)
    services.step_update(actor=actor, workflow=workflow, key="agent", changes={"credential": "mine"})
    version = publishing.publish(actor=actor, workflow=workflow.refresh()).version
    assert version.bindings == {"mine": made.pk}
    found = registry.get("ai.agent")
    assert found is not None
    assert found.lanes == ("tools",)

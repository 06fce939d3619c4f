"""The menu of actions: what it finds, in which order, and what choosing one does."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from integrations.registry import registry
from orchestrator.builder.add_search import near, pieces, score, terms
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import services
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.selectors import draft_document

DOCUMENT: dict[str, Any] = {
    "name": "Leads",
    "slug": "leads",
    "steps": [
        {"key": "first", "name": "Look up", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}},
        {"key": "choose", "action": "flow.if", "lanes": {"then": [], "else": []}},
        {"key": "last", "action": "data.set", "config": {"inputs": {"values": {"b": 1}}}},
    ],
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def address(workflow: Workflow) -> str:
    return reverse("step-add", args=["acme", workflow.pk])


def connect(actor: Actor, name: str = "acme-slack") -> None:
    secret = {"access_token": "xoxb-a-token-of-the-tests"}
    vault.credential_create(actor=actor, name=name, provider="slack", auth_type="oauth2", secret=secret)


def rows(text: str) -> list[str]:
    """Return the keys of the rows that are shown, in order."""
    buttons = re.findall(r'<button class="op"[^>]*>', text)
    return [re.findall(r'value="([^"]+)"', button)[0] for button in buttons if " hidden" not in button]


def order(workflow: Workflow) -> list[str]:
    return [step["key"] for step in draft_document(workflow.refresh())["steps"]]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("send", "send", True),
        ("sned", "send", True),
        ("sen", "send", True),
        ("sendd", "send", True),
        ("sand", "send", True),
        ("sdne", "send", False),
        ("seenndd", "send", False),
        ("ab", "ba", True),
        ("", "a", True),
    ],
)
def test_words_are_near_with_one_letter_wrong(left: str, right: str, expected: bool) -> None:
    assert near(left, right) is expected
    assert near(right, left) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 0),
        ("send mes", 0),
        ("message send", 1),
        ("notify", 2),
        ("sned message", 3),
        ("notfy", 3),
        ("xyz", None),
        ("zz", None),
        ("send xyz", None),
    ],
)
def test_the_best_fit_comes_first(query: str, expected: int | None) -> None:
    assert score(terms(query), "send message", "send message slack post to a channel notify tell") == expected


def test_what_was_searched_is_marked_and_nothing_is_lost() -> None:
    found = pieces("Send (message) sEnd", ("send", "message"))
    assert "".join(piece.text for piece in found) == "Send (message) sEnd"
    assert [piece.text for piece in found if piece.hit] == ["Send", "message", "sEnd"]


def test_groups_stand_in_a_fixed_order_with_what_each_action_needs(
    browser: Client, workflow: Workflow, actor: Actor
) -> None:
    connect(actor)
    text = browser.get(address(workflow)).text
    headings = re.findall(r'<h2 class="gh"[^>]*>([^<]+)<', text)
    assert headings == ["Connected", "Needs a credential", "Built in"]
    assert "acme-slack connected" in text
    assert rows(text)[:2] == ["slack.listChannels", "slack.sendMessage"]
    assert rows(text).index("gmail.sendEmail") < rows(text).index("http.request")
    assert "As the first step" in browser.get(f"{address(workflow)}?first=1").text
    assert "After “Look up”" in browser.get(f"{address(workflow)}?after=first").text


@pytest.mark.parametrize(
    ("query", "expected"),
    [("curl", "http.request"), ("slcak", "slack.sendMessage"), ("RENAME", "data.set"), ("gmail", "gmail.sendEmail")],
)
def test_the_server_finds_by_synonym_provider_and_with_a_typo(
    browser: Client, workflow: Workflow, query: str, expected: str
) -> None:
    assert expected in rows(browser.get(address(workflow), {"q": query}).text)


def test_nothing_found_offers_http_and_says_how_to_build_it(browser: Client, workflow: Workflow) -> None:
    text = browser.get(address(workflow), {"q": "<b>nowhere</b>"}).text
    assert rows(text) == []
    assert "0 results" in text
    assert "<b>nowhere" not in text
    assert "&lt;b&gt;nowhere" in text
    assert re.search(r'name="action" value="http.request">.*?Call it with HTTP', text, re.DOTALL)
    assert reverse("developers", args=["acme"]) in text


def test_a_category_is_a_link_and_keeps_the_place_and_the_search(browser: Client, workflow: Workflow) -> None:
    text = browser.get(address(workflow), {"after": "first", "q": "send"}).text
    links = [html.unescape(link) for link in re.findall(r'<a href="([^"]+)" data-cat="Chat"', text)]
    assert links == [f"{address(workflow)}?after=first&q=send&category=Chat"]
    found = rows(browser.get(links[0]).text)
    assert "slack.sendMessage" in found
    chat = {action.key for action in registry.actions() if action.category == "Chat"}
    assert set(found) <= chat
    everything = rows(browser.get(address(workflow), {"category": "no such one"}).text)
    assert len(everything) > 3


def test_choosing_an_action_adds_it_there_and_opens_its_form(browser: Client, workflow: Workflow) -> None:
    answer = browser.post(address(workflow), {"action": "http.request", "after": "first"})
    assert answer.status_code == 302
    at = reverse("workflow-step", args=["acme", workflow.pk, "request"])
    assert answer["Location"] == f"{at}#field-url", "the first field that has to be filled in"
    assert order(workflow) == ["first", "request", "choose", "last"]
    browser.post(address(workflow), {"action": "hello.world", "after": ""})
    assert order(workflow)[0] == "world"


def test_a_lane_takes_a_first_step(browser: Client, workflow: Workflow) -> None:
    text = browser.get(address(workflow), {"parent": "choose", "lane": "else"}).text
    assert 'name="lane" value="else"' in text
    browser.post(address(workflow), {"action": "hello.world", "parent": "choose", "lane": "else"})
    step = Step.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key="world")
    assert (step.parent and step.parent.key, step.lane) == ("choose", "else")


@pytest.mark.parametrize(
    "data",
    [
        {"action": "hello.world", "parent": "choose", "lane": "no such lane"},
        {"action": "hello.world", "parent": "first", "lane": "then"},
        {"action": "hello.world", "after": "gone"},
        {"action": "hello.world", "after": "a\x00b"},
    ],
)
def test_a_place_that_is_not_there_adds_nothing_and_says_so(
    browser: Client, workflow: Workflow, data: dict[str, str]
) -> None:
    answer = browser.post(address(workflow), data, follow=True)
    assert answer.redirect_chain
    assert 'role="alert"' in answer.text
    assert Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).count() == 3


@pytest.mark.parametrize("action", ["", "no.such", "x" * 5_000, "\x00", "data.set\x00"])
def test_an_action_that_is_not_there_is_refused(browser: Client, workflow: Workflow, action: str) -> None:
    answer = browser.post(address(workflow), {"action": action, "after": "first"})
    assert answer.status_code == 400
    assert "Nothing was added" in answer.text
    assert 'name="after" value="first"' in answer.text
    assert order(workflow) == ["first", "choose", "last"]


def test_the_only_fitting_credential_is_chosen_and_two_are_left_to_the_person(
    browser: Client, workflow: Workflow, actor: Actor
) -> None:
    connect(actor)
    browser.post(address(workflow), {"action": "slack.sendMessage", "after": "last"})
    connect(actor, "other-slack")
    browser.post(address(workflow), {"action": "slack.sendMessage", "after": "last"})
    steps = Step.objects.for_tenant(actor.tenant).filter(workflow=workflow, action="slack.sendMessage").order_by("id")
    assert [step.credential.name if step.credential else None for step in steps] == ["acme-slack", None]


def test_another_tenants_credential_connects_nothing(
    browser: Client, workflow: Workflow, stranger: User, other_tenant: Tenant
) -> None:
    connect(actor_for_user(stranger, other_tenant.slug), "theirs")
    text = browser.get(address(workflow)).text
    assert "theirs" not in text
    assert "Connected</h2>" not in text


def test_the_preview_says_what_goes_in_and_what_comes_back(browser: Client, workflow: Workflow) -> None:
    answer = browser.get(address(workflow), {"about": "slack.sendMessage"}, headers={"HX-Request": "true"})
    assert "<html" not in answer.text
    for words in ("Channel", "optional", "Connect Slack", "Safe to repeat", "ts"):
        assert words in answer.text
    assert browser.get(address(workflow), {"about": "no.such"}).status_code == 404


def test_a_script_gets_the_menu_alone(browser: Client, workflow: Workflow) -> None:
    answer = browser.get(address(workflow), {"after": "first"}, headers={"HX-Request": "true"})
    assert "<html" not in answer.text
    assert "data-add-step" in answer.text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_edit_gets_no_menu(
    client: Client, workflow: Workflow, role: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(role))
    assert client.get(address(workflow)).status_code == 403
    assert client.post(address(workflow), {"action": "hello.world"}).status_code == 403
    assert order(workflow) == ["first", "choose", "last"]


def test_another_tenant_has_no_such_workflow(
    client: Client, workflow: Workflow, stranger: User, other_tenant: Tenant
) -> None:
    client.force_login(stranger)
    assert client.get(address(workflow)).status_code == 404
    theirs = reverse("step-add", args=[other_tenant.slug, workflow.pk])
    assert client.get(theirs).status_code == 404
    assert client.post(theirs, {"action": "hello.world"}).status_code == 404
    assert client.get(reverse("step-add", args=[other_tenant.slug, 10**30])).status_code == 404


@pytest.mark.parametrize("query", ["\x00", "(", "[a-", "\\", "💥" * 200, "a " * 300, "%00", "'\"><"])
def test_garbage_is_searched_like_anything(browser: Client, workflow: Workflow, query: str) -> None:
    given = {"q": query, "category": query, "after": query, "parent": query, "lane": query}
    assert browser.get(address(workflow), given).status_code == 200


@pytest.mark.skipif(shutil.which("node") is None, reason="node checks that the script parses")
def test_the_script_parses(tmp_path: Path) -> None:
    source = Path("orchestrator/static/add-step.js").read_text(encoding="utf-8")
    module = tmp_path / "add-step.mjs"
    module.write_text(source, encoding="utf-8")
    subprocess.run(["node", "--check", str(module)], check=True)

"""Search: what it finds of each kind, who sees what, how much it asks of the database, and that it takes anything."""

from __future__ import annotations

import html
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from integrations.registry import registry
from orchestrator.builder.add_search import MIN_FUZZY, kept, near
from orchestrator.builder.search_rows import MOST
from orchestrator.ids import new_id
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.services import workflow_create
from runs.models import Run
from tests.builder.test_catalogue import many_actions
from tests.runs.ground import make_workflow, step
from tests.runs.loops_ground import new_run

FRAGMENT = {"HX-Request": "true"}
# Session, person, membership, and for each kind that is in the database what is as typed and what may have a typo.
MOST_QUERIES = 11
HOSTILE = "<script>alert(1)</script>\u202e\"' " + "w" * 120


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def ask(browser: Client, query: str | None = None, tenant: str = "acme") -> str:
    given = {} if query is None else {"q": query}
    answer = browser.get(reverse("search", args=[tenant]), given, headers=FRAGMENT)
    assert answer.status_code == 200
    return answer.text


def found(text: str) -> dict[str, list[str]]:
    """Return the names of the rows by the heading of their group."""
    groups = re.split(r'<h2 class="gh" id="found-', text)[1:]
    return {
        group.partition('"')[0]: [
            html.unescape(re.sub(r"<[^>]+>", "", name)) for name in re.findall(r'<b class="trunc">(.*?)</b>', group)
        ]
        for group in groups
    }


@pytest.fixture
def leads(tenant: Tenant, editor: User) -> Workflow:
    steps = [
        {"key": "company", "name": "Look up the company", "action": "http.request", "config": {}},
        {"key": "tell", "name": "Tell sales", "action": "slack.sendMessage", "config": {}},
    ]
    return workflow_create(
        actor=actor_for_user(editor, tenant.slug), document={"name": "Qualify leads", "steps": steps}
    )


@pytest.mark.parametrize("query", ["qualify", "QUALIFY", "leads qual", "qulaify", "quallify", "qualfy", "leads"])
def test_a_workflow_is_found_by_its_name_with_a_typo_too(browser: Client, leads: Workflow, query: str) -> None:
    text = ask(browser, query)
    assert found(text)["workflows"] == ["Qualify leads"]
    assert f'href="{reverse("workflow", args=["acme", leads.pk])}"' in text


@pytest.mark.parametrize(
    "query", ["sales", "tell", "slack.sendMessage", "sendmessage sales", "sale", "tell leads", "slaes"]
)
def test_a_step_is_found_by_name_key_and_action(browser: Client, leads: Workflow, query: str) -> None:
    text = ask(browser, query)
    assert found(text)["steps"] == ["Tell sales"]
    assert f'href="{reverse("workflow-step", args=["acme", leads.pk, "tell"])}"' in text


def test_the_name_of_a_workflow_alone_shows_none_of_its_steps(browser: Client, leads: Workflow) -> None:
    assert "steps" not in found(ask(browser, "qualify"))


def test_a_run_is_found_by_its_number_whole_or_by_its_end(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("a"), slug="orders"), "failed")
    new_run(run.workflow)
    for query in (str(run.pk), str(run.pk)[-6:], f"#{str(run.pk)[-6:]}"):
        text = ask(browser, query)
        assert found(text)["runs"] == [f"#{str(run.pk)[-6:]} Orders"]
        assert f'href="{reverse("run", args=["acme", run.pk])}"' in text
    for query in ("1", "99", "9" * 30, "-5", "٣٤٥٦", str(2**63)):
        assert "runs" not in found(ask(browser, query))


def test_a_credential_is_found_without_anything_of_its_secret(browser: Client, tenant: Tenant, editor: User) -> None:
    actor = actor_for_user(editor, tenant.slug)
    secret = {"token": "xoxb-secret-1"}
    credential_create(actor=actor, name="sales-team", provider="slack", auth_type="bearer_token", secret=secret)
    for query in ("sales", "slack", "slaes-team"):
        text = ask(browser, query)
        assert found(text)["credentials"] == ["sales-team"]
        assert "xoxb" not in text
    assert found(ask(browser, "xoxb")) == {}


def test_an_action_is_found_by_its_synonyms_and_leads_to_its_page(browser: Client, tenant: Tenant) -> None:
    text = ask(browser, "slack sned")
    assert found(text)["actions"][0] == "Send message"
    assert f'href="{reverse("integration-action", args=["acme", "slack", "sendMessage"])}"' in text


def test_commands_follow_the_role(client: Client, viewer: User, operator: User, editor: User) -> None:
    for user, may in ((viewer, False), (operator, False), (editor, True)):
        client.force_login(user)
        text = ask(client, "new")
        assert ("New workflow" in found(text).get("commands", [])) is may
        assert ("New credential" in found(text).get("commands", [])) is may
        # The form that the command sends is part of the whole menu.
        assert ('id="search-new"' in ask(client)) is may
        assert "Go to Runs" in found(ask(client, "runs"))["commands"]


def test_an_empty_search_shows_where_one_can_go(browser: Client, leads: Workflow) -> None:
    groups = found(ask(browser))
    assert groups["workflows"] == ["Qualify leads"]
    assert "Go to Home" in groups["commands"]
    assert set(groups) == {"workflows", "commands"}


def test_without_a_script_it_is_a_page_with_the_same_rows(browser: Client, leads: Workflow) -> None:
    answer = browser.get(reverse("search", args=["acme"]), {"q": "qualify"})
    assert "<h1" in answer.text
    assert found(answer.text) == found(ask(browser, "qualify"))
    assert 'value="qualify"' in answer.text
    assert "HX-Request" in answer["Vary"]
    # The page is the search: the entry beside it opens no second one over it.
    assert "data-layer" not in answer.text
    assert "data-layer" in browser.get(reverse("workflow-list", args=["acme"])).text


@pytest.mark.parametrize(
    "query", ["", "(", "\x00", "%", "_", "💥", "'; --", "<script>", "#", "a" * 5_000, "a " * 90, "\ud800"]
)
def test_it_takes_anything(browser: Client, leads: Workflow, query: str) -> None:
    text = ask(browser, query.encode("utf-8", "replace").decode())
    assert "<script>" not in text
    if query in ("%", "_", "(", "#"):
        assert "workflows" not in found(text)


def test_hostile_names_are_shown_as_text(browser: Client, tenant: Tenant, editor: User) -> None:
    steps = [{"key": "only", "name": HOSTILE, "action": "nothing.here", "config": {}}]
    workflow_create(actor=actor_for_user(editor, tenant.slug), document={"name": HOSTILE, "steps": steps})
    text = ask(browser, "alert")
    assert found(text)["workflows"] == [HOSTILE]
    assert found(text)["steps"] == [HOSTILE]
    assert "<script>" not in text


def test_nothing_of_another_tenant_is_found(
    browser: Client, leads: Workflow, tenant: Tenant, stranger: User, other_tenant: Tenant
) -> None:
    run = new_run(make_workflow(tenant, step("a"), slug="orders"))
    client = Client()
    client.force_login(stranger)
    for query in ("qualify", "qulaify", "sales", "tell", str(run.pk), str(run.pk)[-6:]):
        groups = found(ask(client, query, "globex"))
        assert not {"workflows", "steps", "runs", "credentials"} & set(groups)
    assert client.get(reverse("search", args=["acme"])).status_code == 404


@pytest.mark.parametrize("left", ["send", "message", "abcde", "qualify"])
def test_every_word_that_is_near_has_a_part_that_was_kept(left: str) -> None:
    letters = "abcdefgsnq"
    near_ones = {left[:at] + left[at + 1 :] for at in range(len(left))}
    near_ones |= {left[:at] + letter + left[at:] for at in range(len(left) + 1) for letter in letters}
    near_ones |= {left[:at] + letter + left[at + 1 :] for at in range(len(left)) for letter in letters}
    near_ones |= {left[:at] + left[at + 1] + left[at] + left[at + 2 :] for at in range(len(left) - 1)}
    for word in near_ones:
        assert near(left, word)
        assert len(left) < MIN_FUZZY or any(part in word for part in kept(left)), word


def fill(tenant: Tenant, workflows: int, steps: int) -> None:
    made = [
        Workflow(pk=new_id(), tenant=tenant, name=f"Process invoices {number}", slug=f"p{number}")
        for number in range(workflows)
    ]
    Workflow.unscoped.bulk_create(made)
    Step.unscoped.bulk_create(
        Step(
            pk=new_id(), tenant=tenant, workflow=workflow, key=f"step_{number}", name=f"Copy the invoice {number}",
            action="http.request", position=number,
        )
        for workflow in made
        for number in range(steps)
    )  # fmt: skip


def test_a_large_tenant_is_searched_by_few_queries_and_answers_few_rows(
    browser: Client, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tenant, 300, 20)
    workflow = make_workflow(tenant, step("a"), slug="many")
    run = new_run(workflow)
    values: dict[str, Any] = {field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields}
    Run.unscoped.bulk_create((Run(**{**values, "id": new_id()}) for _ in range(3_000)), batch_size=500)
    lines = []
    with registry.temporarily(*many_actions(600)):
        ask(browser, "invoice")
        for query in ("invoice", "invioce", "process copy", "post mesage 59", "zzzzzz", str(run.pk)[-4:], "a", "i n v"):
            with CaptureQueriesContext(connection) as queries:
                began = time.process_time()
                text = ask(browser, query)
                took = (time.process_time() - began) * 1_000
            assert len(queries) <= MOST_QUERIES, query
            assert all(len(rows) <= MOST or group == "commands" for group, rows in found(text).items())
            assert len(text) < 20_000
            lines.append(
                f"{query!r}: {took:.0f} ms of CPU, {len(queries)} queries, {sum(map(len, found(text).values()))} rows"
            )
        assert len(found(ask(browser, "invioce"))["steps"]) == MOST
        assert len(found(ask(browser, "invioce"))["workflows"]) == MOST
        assert found(ask(browser, "post mesage 59"))["actions"][0].endswith("59")
    with capsys.disabled():
        print("\nsearch in 300 workflows of 20 steps, 600 actions:", *lines, sep="\n  ")

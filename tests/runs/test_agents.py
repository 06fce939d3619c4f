"""An agent in a run: over real HTTP to a scripted model, with its rows in the database and on the run's page."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from integrations.sdk.prices import AS_OF
from orchestrator.tenants.access import actor_for_user, system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.variables import variable_create, variable_update
from runs import answers, services
from runs.models import Payload, Run
from runs.pages.run import RunPage
from runs.selectors import run_document
from runs.values import opened
from tests.models import MESSAGES_PATH, PATH, call, completions, messages
from tests.runs.ground import drive, make_workflow, rows, start, statuses, step
from tests.upstream import Answered, Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "sk-very-secret-key"
SCRIPT = ([call("look", 1, body={"a": 1}), call("send", 2, body={"to": "ada"})], "It is done.")


@pytest.fixture
def called(settings: Any) -> Iterator[Upstream]:
    with upstream() as found:
        host = found.address.removeprefix("http://")
        settings.ENV = dataclasses.replace(
            django_settings.ENV,
            egress_allow=(host,),
            base_urls={"openai": f"{found.address}/v1", "anthropic": found.address},
        )
        yield found


def credential(tenant: Tenant, provider: str = "openai") -> int:
    actor = system_actor(tenant)
    secret = {"api_key": SECRET}
    made = vault.credential_create(actor=actor, name="key", provider=provider, auth_type="api_key", secret=secret)
    return int(made.pk)


def agent(called: Upstream, **inputs: Any) -> dict[str, Any]:
    def tool(key: str, method: str) -> dict[str, Any]:
        return step(key, "http.request", inputs={"method": method, "url": f"{called.address}/{key}"})

    given = {"model": "gpt-4o-mini", "prompt": "Do it.", **inputs}
    tools = [tool("look", "POST"), tool("send", "PUT")]
    return {**step("agent", "ai.agent", credential="key", inputs=given), "lanes": {"tools": tools}}


def run_of(tenant: Tenant, *steps: dict[str, Any], provider: str = "openai") -> Run:
    workflow: Workflow = make_workflow(
        tenant, *steps, bindings={"key": credential(tenant, provider)}, output="{{ steps.agent.output }}"
    )
    run = start(workflow)
    drive()
    run.refresh_from_db()
    return run


def test_a_model_of_openai_uses_tools_and_each_use_has_a_row(tenant: Tenant, called: Upstream) -> None:
    called.answers[PATH] = completions(SCRIPT)
    run = run_of(tenant, agent(called))
    assert (run.status, run.output["text"]) == ("succeeded", "It is done.")
    assert statuses(run) == [
        (path, "succeeded")
        for path in ("agent", "agent[0].agent_model", "agent[1].look", "agent[2].send", "agent[3].agent_model")
    ]
    assert called.count() == {PATH: 2, "/look": 1, "/send": 1}
    first, second = (each.json() for each in called.calls if each.path == PATH)
    assert [tool["function"]["name"] for tool in first["tools"]] == ["look", "send"]
    assert "url" not in first["tools"][0]["function"]["parameters"]["properties"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool", "tool"]
    usage = {row.path: row.usage for row in rows(run) if row.usage}
    assert usage.keys() == {"agent[0].agent_model", "agent[3].agent_model"}
    assert usage["agent[0].agent_model"] == {
        "model": "gpt-4o-mini", "input_tokens": 100, "output_tokens": 10, "cached_tokens": 0, "cost": 0.000021,
        "price_as_of": AS_OF.isoformat(),
    }  # fmt: skip
    assert run_document(run)["usage"] == {
        "answers": 2, "input_tokens": 200, "output_tokens": 20, "cached_tokens": 0, "cost": 0.000042,
        "price_as_of": AS_OF.isoformat(), "unpriced": [], "models": ["gpt-4o-mini"], "complete": True,
    }  # fmt: skip
    assert all(SECRET not in repr((row.inputs, row.output, row.error)) for row in rows(run))


def test_a_model_of_anthropic_uses_tools(tenant: Tenant, called: Upstream) -> None:
    called.answers[MESSAGES_PATH] = messages(SCRIPT)
    run = run_of(tenant, agent(called, provider="anthropic", model="claude-haiku-4-5"), provider="anthropic")
    assert (run.status, run.output["text"]) == ("succeeded", "It is done.")
    usage = run.output["usage"]
    assert (usage["input_tokens"], usage["cached_tokens"], usage["cost"]) == (200, 80, 0.000228)
    told = [each.json() for each in called.calls if each.path == MESSAGES_PATH][1]["messages"]
    assert told[1]["content"][0] == {"type": "tool_use", "id": "call_1", "name": "look", "input": {"body": {"a": 1}}}
    assert [block["tool_use_id"] for block in told[2]["content"]] == ["call_1", "call_2"]


def test_any_endpoint_like_openais_can_be_asked_without_a_credential(tenant: Tenant, called: Upstream) -> None:
    called.answers[PATH] = completions(SCRIPT)
    step = {**agent(called, provider="endpoint", endpoint=f"{called.address}/v1/", model="mine"), "credential": None}
    run = run_of(tenant, step)
    assert (run.status, run.output["usage"]["cost"]) == ("succeeded", None)
    assert "authorization" not in called.calls[0].headers
    usage = run_document(run)["usage"]
    assert (usage["cost"], usage["unpriced"]) == (None, ["mine"])


def test_the_operators_own_price_comes_first(tenant: Tenant, called: Upstream, settings: Any) -> None:
    prices = {"gpt-4o-mini": {"input": 1.0, "output": 2.0}}
    settings.ENV = dataclasses.replace(settings.ENV, model_prices=prices)
    called.answers[PATH] = completions(["Hello."])
    run = run_of(tenant, agent(called, max_cost=1))
    assert run.output["usage"]["cost"] == 0.00012
    assert rows(run)[1].usage["price_as_of"] == "operator"


def test_an_endpoint_that_repeats_the_key_as_its_models_name_puts_it_on_no_record(
    tenant: Tenant, called: Upstream
) -> None:
    model = "x" * 195 + SECRET
    called.answers[PATH] = {"model": model, "choices": [{"finish_reason": "stop", "message": {"content": "Hello."}}]}
    run = run_of(tenant, agent(called))
    assert run.status == "succeeded"
    assert SECRET[:5] not in repr([(row.output, row.usage) for row in rows(run)])
    assert SECRET[:5] not in repr(run_document(run)["usage"])


def test_what_cannot_be_sent_as_text_is_replaced_for_the_model(tenant: Tenant, called: Upstream) -> None:
    """A page may hold half of an emoji, and so may a model's answer that was cut: the conversation goes on."""
    half = "half \ud83d"
    called.answers["/look"] = {"text": half}
    said = {"content": half, "tool_calls": [{"id": "c", "function": {"name": "look", "arguments": '{"body": 1}'}}]}
    first = json.dumps({"choices": [{"finish_reason": "tool_calls", "message": said}]}).encode()
    called.answers[PATH] = completions([Answered(body=first, content_type="application/json"), "It is done."])
    run = run_of(tenant, agent(called))
    assert run.status == "succeeded", run.error
    told = called.calls[-1].json()["messages"]
    assert told[1]["content"] == "half ?"
    assert '"text": "half ?"' in told[2]["content"]


def test_html_from_a_proxy_fails_the_agent_clearly(tenant: Tenant, called: Upstream) -> None:
    called.answers[PATH] = completions([Answered(body=b"<html>Sign in to the guest network</html>")])
    run = run_of(tenant, agent(called))
    assert run.status == "failed"
    assert run.error["path"] == "agent[0].agent_model"
    assert "JSON" in run.error["message"]
    assert called.count()[PATH] == 1


def test_no_other_step_stands_for_the_question_to_a_person(tenant: Tenant, called: Upstream) -> None:
    """A person answers at its key: a step of the same would be found in its place, and the run wait for ever."""
    called.answers[PATH] = completions(SCRIPT)
    run = run_of(tenant, agent(called, approval="always"), step("agent_approval"))
    assert (run.status, run.error["kind"]) == ("failed", "input")
    assert "give it a shorter one, or other steps others" in run.error["message"]
    assert called.count() == {}


def test_an_approval_parks_the_run_and_is_answered_by_who_is_asked(
    tenant: Tenant, called: Upstream, owner: User
) -> None:
    called.answers[PATH] = completions(SCRIPT)
    run = run_of(tenant, agent(called, approval="writes", approvers=["owner"]))
    assert run.status == "waiting"
    assert run.waiting_for["kind"] == "approval"
    asked = {row.path: row.inputs for row in rows(run) if row.status == "waiting"}
    assert asked.keys() == {"agent[1].agent_approval", "agent[2].agent_approval"}
    assert f'"url": "{called.address}/send"' in asked["agent[2].agent_approval"]["message"]
    assert asked["agent[2].agent_approval"]["approvers"] == ["owner"]
    actor = actor_for_user(owner, tenant.slug)
    answers.run_resolve(actor=actor, run=run, path="agent[1].agent_approval", decision="rejected", comment="No.")
    answers.run_resolve(actor=actor, run=run, path="agent[2].agent_approval", decision="approved")
    drive()
    run.refresh_from_db()
    assert run.status == "succeeded"
    assert called.count() == {PATH: 2, "/send": 1}


def test_what_was_approved_is_sent_however_large_it_is_and_whatever_the_variables_are_by_then(
    tenant: Tenant, called: Upstream, owner: User, browser: Client
) -> None:
    """More than a row has place for, and more than is ever one object: both are read back part by part."""
    actor = actor_for_user(owner, tenant.slug)
    who = variable_create(actor=actor, key="who", value="ada")
    texts = {"row": "x" * 100, "apart": "x" * 80_000, "cut": "x" * 1_300_000}

    def tool(key: str) -> dict[str, Any]:
        given = {"to": "{{ vars.who }}", "at": "{{ now() }}", "text": f"{{{{ trigger.body.{key} }}}}"}
        if key == "cut":
            return step(key, inputs={"values": given})
        return step(key, "http.request", inputs={"method": "POST", "url": f"{called.address}/{key}", "body": given})

    given = {"model": "gpt-4o-mini", "prompt": "Do it.", "approval": "always"}
    called.answers[PATH] = completions(([call(key, at) for at, key in enumerate(texts)], "It is done."))
    document = {**step("agent", "ai.agent", credential="key", inputs=given), "lanes": {"tools": [*map(tool, texts)]}}
    run = start(make_workflow(tenant, document, bindings={"key": credential(tenant)}), texts)
    drive()
    asked = {row.path: row.inputs["message"] for row in rows(run) if row.status == "waiting"}
    assert len(asked) == 3
    assert ["ada" in question for question in asked.values()] == [True, True, False]
    assert re.search(r'"values": "\(1,300,\d{3} bytes, which is too much to show\)"', asked["agent[3].agent_approval"])
    for path in asked:
        answers.run_resolve(actor=actor, run=run, path=path, decision="approved")
    variable_update(actor=actor, variable=who, value="thief")
    drive()
    run.refresh_from_db()
    assert run.status == "succeeded", run.error
    sent = {each.path[1:]: each.json() for each in called.calls if each.path != PATH}
    sent["cut"] = opened(Payload.objects.for_tenant(tenant).get(pk=rows(run, "agent[3].cut")[0].output_ref))
    assert {key: (found["to"], found["text"] == texts[key]) for key, found in sent.items()} == dict.fromkeys(
        texts, ("ada", True)
    )
    assert f'"at": "{sent["row"]["at"]}"' in asked["agent[1].agent_approval"]
    page: RunPage = browser.get(reverse("run", args=["acme", run.pk]) + "?step=agent").context["page"]
    assert [row.line.name for row in page.timeline.rows if row.line and row.line.path.startswith("agent[1].")] == [
        "What is asked about", "Ask for approval", "Send a request"
    ]  # fmt: skip
    shown = browser.get(reverse("run", args=["acme", run.pk]) + "?step=agent[1].agent_proposed")
    assert sent["row"]["at"] in shown.content.decode()


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def test_the_runs_page_shows_the_moves_as_rows_below_the_agent(
    tenant: Tenant, called: Upstream, browser: Client
) -> None:
    called.answers[PATH] = completions(SCRIPT)
    run = run_of(tenant, agent(called))
    answer = browser.get(reverse("run", args=["acme", run.pk]) + "?step=agent")
    assert answer.status_code == 200
    page: RunPage = answer.context["page"]
    shown = [(row.line.path, row.line.name, row.line.label) for row in page.timeline.rows if row.line]
    assert shown[2:6] == [
        ("agent[0]", "Move 1", "gpt-4o-mini"),
        ("agent[0].agent_model", "gpt-4o-mini", ""),
        ("agent[1]", "Move 2", "Send a request"),
        ("agent[1].look", "Send a request", ""),
    ]
    assert "4 of 4 done" in [row.words for row in page.timeline.rows]
    assert {fact.label: fact.text for fact in page.facts}[
        "Models"
    ] == f"220 tokens, 0.000042 US dollars, prices of {AS_OF}"
    text = browser.get(reverse("run", args=["acme", run.pk]) + "?step=agent[0].agent_model").content.decode()
    assert f"110 tokens, 0.000021 US dollars, prices of {AS_OF}" in text
    assert "steps.agent_model · move 1<" in text
    assert browser.get(reverse("run", args=["acme", run.pk]) + "?step=agent[1].look").status_code == 200
    assert "Move 2 of 4" in browser.get(reverse("run", args=["acme", run.pk]) + "?step=agent[1]").content.decode()


def test_a_run_starts_again_from_the_agent_wherever_in_it_one_points(tenant: Tenant, called: Upstream) -> None:
    called.answers[PATH] = completions([[call("look", 1)], Answered(body=b"<html>")])
    run = run_of(tenant, step("before"), agent(called))
    assert run.error["path"] == "agent[2].agent_model"
    called.answers[PATH] = completions(SCRIPT)
    again = services.run_rerun(actor=system_actor(tenant), run=run, from_="agent[2].agent_model")
    drive()
    again.refresh_from_db()
    assert again.status == "succeeded"
    assert statuses(again)[:2] == [("agent", "succeeded"), ("agent[0].agent_model", "succeeded")]


def test_the_bar_of_an_agent_that_fails_at_its_limit_ends_red(
    tenant: Tenant, called: Upstream, browser: Client
) -> None:
    called.answers[PATH] = completions(SCRIPT)
    run = run_of(tenant, agent(called, max_tool_calls=1))
    page: RunPage = browser.get(reverse("run", args=["acme", run.pk])).context["page"]
    ends = {row.line.path: [block.css for block in row.line.blocks][-1:] for row in page.timeline.rows if row.line}
    assert [path for path, css in ends.items() if css == ["bad"]] == ["agent"]

"""A reference that leads to nothing is told at its field, with what is near it to take instead."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.builder.broken import put_instead
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Step, Workflow
from runs.services import run_start_by_actor
from tests.runs.ground import drive

GIVES = {"company": {"size": 12, "name": "Northwind"}, "people": [1, 2], "none": None}


def step(key: str, values: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, "action": "data.set", "config": {"inputs": {"values": values}}}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor, transactional_db: None) -> Workflow:
    """A workflow whose first step has run; the second reads from it."""
    document = {
        "name": "Leads",
        "slug": "leads",
        "triggers": [{"key": "hand", "type": "manual", "config": {}}],
        "steps": [step("first", GIVES), step("second", {"a": "x"})],
    }
    made = services.workflow_create(actor=actor, document=document)
    run_start_by_actor(actor=actor, workflow=made, payload={}, version="draft")
    drive()
    return made


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def address() -> str:
    return reverse("workflow-step", args=["acme", Workflow.unscoped.get().pk, "second"])


def write(text: str, **more: str) -> None:
    row = Step.unscoped.get(key="second")
    row.config = {**row.config, "inputs": {"values": {"a": text, **more}}}
    row.save()


def told(builder: Client) -> list[tuple[str, str, list[str]]]:
    """Return what the page says of broken references: the path, the words, and what is offered."""
    page = builder.get(address()).content.decode()
    found = []
    for path, line in re.findall(r'data-gone="([^"]*)"[^>]*>(.*?)</p>', page, re.S):
        offered = re.findall(r'name="instead" value="[^"]*">([^<]*)<', line)
        words = re.sub(r"<[^>]+>", "", re.sub(r"<button.*", "", line, flags=re.S)).strip()
        found.append((html.unescape(path), html.unescape(words), [html.unescape(each) for each in offered]))
    return found


def choices(builder: Client) -> list[str]:
    page = builder.get(address()).content.decode()
    return [html.unescape(each) for each in re.findall(r'name="instead" value="([^"]*)"', page)]


@pytest.mark.parametrize(
    ("reference", "why", "near"),
    [
        ("steps.first.output.compny.size", "Step 2 no longer gives compny.size. Use instead:", "company.size"),
        ("steps.first.output.size", "Step 2 no longer gives size. Use instead:", "company.size"),
        ("steps.first.output.company.nam", "Step 2 no longer gives company.nam. Use instead:", "company.name"),
        ("steps.first.output.zzzzzz", "Step 2 no longer gives zzzzzz.", ""),
        ("upper(steps.first.output.nane)", "Step 2 no longer gives nane. Use instead:", "company.name"),
    ],
)
def test_what_a_step_no_longer_gives_is_told(
    builder: Client, workflow: Workflow, reference: str, why: str, near: str
) -> None:
    write(f"Is {{{{ {reference} }}}}?")
    ((_path, words, offered),) = told(builder)
    assert words == why
    assert (near in offered) if near else offered == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ steps.first.output.company.size }}",
        "{{ steps.first.output }}",
        "{{ steps.first.output.people[7] }}",
        "{{ steps.first.output.none.anything }}",
        "{{ default(steps.first.output.other, 1) }}",
        "{{ trigger.body.whatever }}",
        "{{ steps.first.",
        "steps.first.output.gone",
        "{{ 1 + }}",
    ],
)
def test_what_may_well_be_there_is_not(builder: Client, workflow: Workflow, text: str) -> None:
    write(text)
    assert told(builder) == []


def test_a_step_that_is_not_there_offers_those_that_are(builder: Client, workflow: Workflow) -> None:
    write("{{ steps.frist.output.company.size }} {{ steps.second.output.a }}")
    first, second = told(builder)
    assert first[0] == "steps.frist.output.company.size"
    assert first[1:] == ("No step “frist” comes before this one. Use instead:", ["first.company.size"])
    assert second[2] == []


def test_a_press_puts_it_in_place_and_comes_back_to_the_field(builder: Client, workflow: Workflow) -> None:
    write("{{ upper(steps.first.output.size) }} {{ steps.first.output.size }}", b="steps.first.output.size")
    choice = next(each for each in choices(builder) if "company.size" in each)
    page = builder.get(address()).content.decode()
    values = dict(re.findall(r'name="(in\.values\.[kv]\d)" value="([^"]*)"', page))
    posted = {name: html.unescape(text) for name, text in values.items()}
    answer = builder.post(address(), {**posted, "instead": choice})
    assert answer["Location"] == f"{address()}#field-values"
    stored = Step.unscoped.get(key="second").config["inputs"]["values"]
    path = "steps.first.output.company.size"
    assert stored == {"a": f"{{{{ upper({path}) }}}} {{{{ {path} }}}}", "b": "steps.first.output.size"}
    assert told(builder) == []


def test_a_save_by_script_says_what_is_broken_now(builder: Client, workflow: Workflow) -> None:
    posted = {"in.values.k0": "a", "in.values.v0": "{{ steps.first.output.size }}"}
    answer = builder.post(address(), posted, headers={"accept": "application/json"}).json()
    assert list(answer["broken"]) == ["values"]
    assert "Step 2 no longer gives size." in answer["broken"]["values"]
    posted["in.values.v0"] = "fine"
    assert builder.post(address(), posted, headers={"accept": "application/json"}).json()["broken"] == {}


@pytest.mark.parametrize(
    "choice",
    ["", "[", "[]", "[1, 2, 3]", '["a"]', '["", "x", "values"]', '["a", "b", "\\ud800"]', '["a", "\\u0000", "values"]',
     '{"a": 1}', "[" * 5_000, '["a", "b", "c", "d"]', "null", "💥"],
)  # fmt: skip
def test_garbage_changes_nothing(choice: str) -> None:
    assert put_instead({"in.values.v0": ["{{ a }}"]}, choice) == ({"in.values.v0": ["{{ a }}"]}, "")


def test_only_whole_references_of_that_field_change() -> None:
    choice = json.dumps(["steps.a.output.x", "steps.a.output.y", "text"])
    posted = {
        "in.text": ["{{ steps.a.output.x }} {{ steps.a.output.xy }} {{ steps.a.output.x.z }} steps.a.output.x"],
        "in.text2": ["{{ steps.a.output.x }}"],
        "in.text.v0": ["{{ upper(steps.a.output.x) }}"],
    }
    mended, field = put_instead(posted, choice)
    assert field == "text"
    assert mended == {
        "in.text": ["{{ steps.a.output.y }} {{ steps.a.output.xy }} {{ steps.a.output.x.z }} steps.a.output.x"],
        "in.text2": ["{{ steps.a.output.x }}"],
        "in.text.v0": ["{{ upper(steps.a.output.y) }}"],
    }


def test_looking_takes_no_query_of_its_own(builder: Client, workflow: Workflow) -> None:
    write("{{ steps.first.output.company.size }}")
    builder.get(address())
    with CaptureQueriesContext(connection) as right:
        builder.get(address())
    write(" ".join(f"{{{{ steps.first.output.a{number} }}}}" for number in range(30)))
    with CaptureQueriesContext(connection) as wrong:
        assert len(told(builder)) <= 6
    assert len(wrong) == len(right)

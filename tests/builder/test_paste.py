"""A step is copied as JSON and put in where somebody pastes it, in this workflow or another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.flow.definition import MAX_DEPTH, MAX_STEPS
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import copies, services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_document
from tests.runs.ground import step

pytestmark = pytest.mark.django_db
INNER = {**step("tell", inputs={"values": {"of": "{{ steps.look.output['from'] }}"}}), "credential": "team"}
LOOP = {**step("each", "flow.foreach", inputs={"items": [1, 2]}), "lanes": {"body": [step("look"), INNER]}}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document={"name": "Paste", "steps": [step("first"), LOOP]})


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def document(workflow: Workflow) -> list[Any]:
    found: list[Any] = draft_document(workflow.refresh())["steps"]
    return found


def paste(actor: Actor, workflow: Workflow, what: Mapping[str, Any], **spot: Any) -> str:
    return copies.step_paste(actor=actor, workflow=workflow, text=json.dumps(what), **spot).key


def test_what_the_form_offers_to_copy_is_put_in_whole_by_the_menu(builder: Client, workflow: Workflow) -> None:
    html = builder.get(reverse("workflow-step", args=["acme", workflow.pk, "each"]))
    copied = html.context["step"].copied
    answer = builder.post(reverse("step-add", args=["acme", workflow.pk]), {"curl": copied, "after": "first"})
    assert answer.headers["Location"] == reverse("workflow-step", args=["acme", workflow.pk, "each_2"])
    first, made, old = document(workflow)
    assert (first["key"], made["key"], old["key"]) == ("first", "each_2", "each")
    look, tell = made["lanes"]["body"]
    assert (look["key"], tell["key"], tell["credential"]) == ("look_2", "tell_2", "team")
    assert tell["config"]["inputs"]["values"] == {"of": "{{ steps.look_2.output['from'] }}"}
    assert old["lanes"]["body"][1]["config"]["inputs"]["values"] == {"of": "{{ steps.look.output['from'] }}"}


def test_keys_that_are_free_stay_as_they_are(actor: Actor, workflow: Workflow) -> None:
    assert paste(actor, workflow, step("fresh"), parent="each", lane="body") == "fresh"
    assert [each["key"] for each in document(workflow)[1]["lanes"]["body"]] == ["fresh", "look", "tell"]


def test_a_key_made_new_is_not_one_that_the_pasted_step_brings_itself(actor: Actor, workflow: Workflow) -> None:
    inner = {**step("each_2", inputs={"values": {"of": "{{ steps.each.output }}"}})}
    made = paste(actor, workflow, {**step("each", "flow.foreach", inputs={"items": [1]}), "lanes": {"body": [inner]}})
    assert made == "each_2"
    rows = {row.key: row for row in workflow.steps.all()}
    assert len(rows) == 6
    assert rows["each_3"].parent_id == rows["each_2"].pk
    assert rows["each_3"].config["inputs"]["values"] == {"of": "{{ steps.each_2.output }}"}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"key": "x"}', '{"key": "X", "action": "data.set"}', '{"action": 5, "key": "a"}',
        '{"key": "a", "action": "data.set", "evil": 1}', "{" * 5_000,
        '{"key": "a", "action": "data.set", "name": "\\u0000"}',
        '{"key": "a", "action": "data.set", "config": {"timeout": -1}}',
    ],
)  # fmt: skip
def test_what_is_no_step_is_told_and_adds_nothing(builder: Client, actor: Actor, workflow: Workflow, text: str) -> None:
    with pytest.raises(Invalid):
        copies.step_paste(actor=actor, workflow=workflow, text=text)
    answer = builder.post(reverse("step-add", args=["acme", workflow.pk]), {"curl": text, "first": "1"})
    assert answer.status_code == 400
    assert "Nothing was added." in answer.content.decode()
    assert len(document(workflow)) == 2


def test_the_same_key_twice_is_no_step(actor: Actor, workflow: Workflow) -> None:
    with pytest.raises(Invalid, match="same key"):
        paste(actor, workflow, {**LOOP, "lanes": {"body": [step("twin"), step("twin")]}})


def test_a_paste_makes_no_workflow_too_large_or_too_deep(actor: Actor, workflow: Workflow) -> None:
    many = {**LOOP, "lanes": {"body": [step(f"s{number}") for number in range(MAX_STEPS)]}}
    with pytest.raises(Invalid, match="at most"):
        paste(actor, workflow, many)
    deep: dict[str, Any] = step("leaf")
    for level in range(MAX_DEPTH):
        deep = {**step(f"l{level}", "flow.foreach", inputs={"items": []}), "lanes": {"body": [deep]}}
    paste(actor, workflow, deep)
    with pytest.raises(Invalid, match="nest at most"):
        paste(actor, workflow, deep, parent="each", lane="body")
    assert len(document(workflow)) == 3


def test_a_place_that_is_not_there_and_another_revision_are_refused(actor: Actor, workflow: Workflow) -> None:
    with pytest.raises(NotFound):
        paste(actor, workflow, step("a"), after="nobody")
    with pytest.raises(Conflict):
        paste(actor, workflow, step("a"), if_match=workflow.revision + 7)


def test_a_paste_is_undone_in_one(actor: Actor, workflow: Workflow) -> None:
    before = document(workflow)
    paste(actor, workflow, LOOP, after="first")
    pasted = document(workflow)
    services.draft_undo(actor=actor, workflow=workflow.refresh())
    assert document(workflow) == before
    services.draft_redo(actor=actor, workflow=workflow.refresh())
    assert document(workflow) == pasted


def test_a_step_that_is_long_is_not_carried_along(builder: Client, actor: Actor, workflow: Workflow) -> None:
    made = services.workflow_create(
        actor=actor, document={"name": "Long", "steps": [step("long", inputs={"values": {"x": "y" * 10_000}})]}
    )
    page = builder.get(reverse("workflow-step", args=["acme", made.pk, "long"]))
    assert page.context["step"].copied == ""
    assert "Copy as JSON" not in page.content.decode()

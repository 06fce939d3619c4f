"""Lanes in the builder: drawn with their names, changed in the step's form, and the data that can be read in them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.builder import testing
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.selectors import draft_document
from runs import samples
from runs.models import StepRun
from runs.services import run_start_by_actor, step_test
from tests.runs.ground import drive

pytestmark = pytest.mark.django_db


def leaf(key: str, **values: Any) -> dict[str, Any]:
    return {"key": key, "name": key, "action": "data.set", "config": {"inputs": {"values": values or {"from": key}}}}


def holder(key: str, action: str, inputs: dict[str, Any], **lanes: list[dict[str, Any]]) -> dict[str, Any]:
    return {"key": key, "name": key, "action": action, "config": {"inputs": inputs}, "lanes": lanes}


def ask(key: str) -> dict[str, Any]:
    return {"key": key, "name": key, "action": "flow.approve", "config": {"inputs": {"message": "ok?"}}}


STEPS = [
    leaf("first"),
    holder("big", "flow.if", {"condition": "{{ true }}"}, then=[leaf("tell")], **{"else": []}),
    holder(
        "each", "flow.foreach", {"items": [{"mail": "a@example.com"}, {"mail": "b@example.com"}]},
        body=[
            leaf("inside", of="{{ item.mail }}"),
            holder("plan", "flow.switch", {"value": "gold"}, gold=[leaf("call"), leaf("here")], default=[leaf("note")]),
            ask("sign"),
        ],
    ),
    holder("both", "flow.parallel", {}, left=[leaf("score")], right=[leaf("enrich")]),
    ask("boss"),
    leaf("last"),
]  # fmt: skip


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    document = {"name": "Lanes", "slug": "lanes", "triggers": [{"key": "hand", "type": "manual"}], "steps": STEPS}
    return services.workflow_create(actor=actor, document=document)


@pytest.fixture
def builder(client: Client, editor: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(testing, "TEST_SECONDS", 0)
    client.force_login(editor)
    return client


def at(workflow: Workflow, key: str, name: str = "workflow-step") -> str:
    return reverse(name, args=["acme", workflow.pk, key])


def lanes(workflow: Workflow, key: str) -> list[str]:
    return Step.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key=key).lanes


def change(builder: Client, workflow: Workflow, key: str, **posted: str) -> Any:
    return builder.post(at(workflow, key, "workflow-step-lanes"), posted, follow=True)


# The outline.


def test_every_lane_is_drawn_with_its_name_and_a_way_to_insert(builder: Client, workflow: Workflow) -> None:
    html = builder.get(at(workflow, "first")).content.decode()
    for lane, of in (
        ("Then", "big"), ("Else", "big"), ("For each item", "each"), ("gold", "plan"), ("Anything else", "plan"),
        ("left", "both"), ("right", "both"),
    ):  # fmt: skip
        assert f'<b class="semi">{lane}</b>' in html
        assert f'aria-label="Insert a step first in {lane} of {of}"' in html
    assert "parent=big&amp;lane=else" in html, "an empty lane too"
    assert html.count("after the loop") == 1
    assert html.count("after all lanes") == 3


def test_a_lane_that_the_document_left_out_is_drawn_and_takes_steps(builder: Client, actor: Actor) -> None:
    step = {"key": "big", "action": "flow.if", "config": {"inputs": {"condition": True}}}
    made = services.workflow_create(actor=actor, document={"name": "Bare", "slug": "bare", "steps": [step]})
    html = builder.get(at(made, "big")).content.decode()
    assert 'aria-label="Insert a step first in Else of If"' in html
    add = reverse("step-add", args=["acme", made.pk])
    assert "first in Else" in builder.get(add, {"parent": "big", "lane": "else"}).content.decode()
    builder.post(add, {"action": "data.set", "parent": "big", "lane": "else", "after": ""})
    assert [step["key"] for step in draft_document(made.refresh())["steps"][0]["lanes"]["else"]] == ["set"]


@pytest.mark.parametrize(
    ("action", "found"),
    [("flow.switch", ["case", "default"]), ("flow.parallel", ["one", "two"]), ("flow.if", ["then", "else"])],
)
def test_a_step_added_through_the_menu_has_its_lanes(
    builder: Client, workflow: Workflow, action: str, found: list[str]
) -> None:
    answer = builder.post(reverse("step-add", args=["acme", workflow.pk]), {"action": action, "after": "first"})
    key = answer.headers["Location"].partition("#")[0].rstrip("/").rpartition("/")[2]
    assert lanes(workflow, key) == found
    assert builder.get(answer.headers["Location"]).status_code == 200


# Changing lanes.


def test_a_lane_is_added_renamed_and_removed_in_the_steps_form(builder: Client, workflow: Workflow) -> None:
    answer = change(builder, workflow, "both", do="add", name="third")
    assert answer.redirect_chain[-1][0] == f"{at(workflow, 'both')}#lanes"
    assert lanes(workflow, "both") == ["left", "right", "third"]
    change(builder, workflow, "both", do="rename", lane="left", name="the left one")
    assert lanes(workflow, "both") == ["the left one", "right", "third"]
    change(builder, workflow, "both", do="remove", lane="third")
    assert lanes(workflow, "both") == ["the left one", "right"]


def test_a_lane_with_steps_is_removed_after_asking(builder: Client, workflow: Workflow) -> None:
    answer = change(builder, workflow, "plan", do="remove", lane="gold")
    html = answer.content.decode()
    assert "“gold” holds 2 steps, which would go with it." in html
    assert lanes(workflow, "plan") == ["gold", "default"]
    asks = html.partition("which would go")[2].partition("</form>")[0]
    hidden = dict(re.findall(r'<input type="hidden" name="(do|lane)" value="([^"]+)"', asks))
    change(builder, workflow, "plan", with_steps="1", **hidden)
    assert lanes(workflow, "plan") == ["default"]
    assert not Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, key="call").exists()


def test_a_switch_offers_the_lane_for_anything_else_while_it_has_none(builder: Client, workflow: Workflow) -> None:
    page = at(workflow, "plan")
    assert "Add “Anything else”" not in builder.get(page).content.decode()
    change(builder, workflow, "plan", do="remove", lane="default", with_steps="1")
    html = builder.get(page).content.decode()
    assert re.search(r'<button class="b sm" name="name" value="default">', html)
    change(builder, workflow, "plan", do="add", name="default")
    assert lanes(workflow, "plan") == ["gold", "default"]


def test_what_is_refused_is_said_on_the_page(builder: Client, workflow: Workflow) -> None:
    for posted, said in (
        ({"do": "add", "name": "left"}, "already"),
        ({"do": "add", "name": " "}, "1 to 63 characters"),
        ({"do": "rename", "lane": "left", "name": "right"}, "already"),
        ({"do": "remove", "lane": "nobody"}, "has no lane"),
    ):
        assert said in change(builder, workflow, "both", **posted).content.decode()
    assert lanes(workflow, "both") == ["left", "right"]
    assert change(builder, workflow, "both", do="nonsense").status_code == 200
    assert "cannot be changed" in change(builder, workflow, "big", do="add", name="more").content.decode()


def test_a_lane_that_a_step_should_not_have_can_be_taken_away(builder: Client, actor: Actor) -> None:
    step = holder("big", "flow.if", {"condition": True}, then=[], odd=[leaf("x")])
    made = services.workflow_create(actor=actor, document={"name": "Odd", "slug": "odd", "steps": [step]})
    html = builder.get(at(made, "big")).content.decode()
    assert "what is in them never runs" in html
    assert "Add a lane" not in html
    change(builder, made, "big", do="remove", lane="odd", with_steps="1")
    assert lanes(made, "big") == ["then"]
    assert 'id="lanes"' not in builder.get(at(made, "big")).content.decode()


def test_only_editors_and_only_by_post(client: Client, workflow: Workflow, operator: User, stranger: User) -> None:
    address = at(workflow, "both", "workflow-step-lanes")
    client.force_login(operator)
    assert client.post(address, {"do": "add", "name": "more"}).status_code == 403
    html = client.get(at(workflow, "both")).content.decode()
    assert "left" in html
    assert "Add a lane" not in html
    client.force_login(stranger)
    assert client.post(address, {"do": "add", "name": "more"}).status_code == 404
    assert client.get(address).status_code in (404, 405)
    assert lanes(workflow, "both") == ["left", "right"]


def test_names_of_lanes_are_text(builder: Client, workflow: Workflow) -> None:
    nasty = "<script>alert(1)</script>"
    change(builder, workflow, "both", do="add", name=nasty)
    html = builder.get(at(workflow, "both")).content.decode()
    assert nasty not in html
    assert "&lt;script&gt;" in html


# Data.


def offered(builder: Client, workflow: Workflow, key: str) -> list[str]:
    return [source.name for source in builder.get(at(workflow, key)).context["sources"]][1:]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("first", []),
        ("tell", ["first"]),
        ("inside", ["first", "big", "tell", "This item"]),
        ("here", ["first", "big", "tell", "inside", "call", "This item"]),
        ("note", ["first", "big", "tell", "inside", "This item"]),
        ("sign", ["first", "big", "tell", "inside", "plan", "call", "here", "note", "This item"]),
        ("score", ["first", "big", "tell", "each"]),
        ("enrich", ["first", "big", "tell", "each"]),
        ("last", ["first", "big", "tell", "each", "both", "score", "enrich", "boss"]),
    ],
)
def test_a_step_is_offered_what_ran_before_it(builder: Client, workflow: Workflow, key: str, found: list[str]) -> None:
    """Of a loop its output alone outside of it; of other lanes what stands before them, marked as perhaps null."""
    assert offered(builder, workflow, key) == found


def test_what_may_not_have_run_is_marked(builder: Client, workflow: Workflow) -> None:
    facts = {source.name: source.fact for source in builder.get(at(workflow, "last")).context["sources"]}
    assert "may be null" in facts["tell"]
    assert "may be null" not in facts["each"]


@pytest.mark.parametrize(
    ("key", "links"),
    [("first", ["boss"]), ("inside", ["sign", "boss"]), ("here", ["sign", "boss"]), ("last", ["boss"])],
)
def test_addresses_of_steps_that_others_answer_are_offered(
    builder: Client, workflow: Workflow, key: str, links: list[str]
) -> None:
    html = builder.get(at(workflow, key)).content.decode()
    assert re.findall(r'data-insert="\{\{ run\.links\.(\w+) \}\}"', html) == links
    assert 'data-insert="{{ run.id }}"' in html


@pytest.mark.django_db(transaction=True)
def test_data_of_a_run_is_shown_inside_and_outside_of_loops(builder: Client, actor: Actor, workflow: Workflow) -> None:
    run_start_by_actor(actor=actor, workflow=workflow, payload={}, version="draft")
    drive()
    html = builder.get(at(workflow, "here")).content.decode()
    assert "{{ item.mail }}" in html, "an item of the last run is the example"
    assert "{{ steps.inside.output.of }}" in html
    after = builder.get(at(workflow, "last")).content.decode()
    assert "{{ steps.tell.output.from }}" in after
    assert "steps.inside.output" not in after


@pytest.mark.django_db(transaction=True)
def test_a_step_inside_a_loop_is_tested_with_the_first_item_and_the_page_says_so(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    page = at(workflow, "inside")
    assert "Of “each” it takes the first item." in builder.get(page).content.decode()
    step_test(actor=actor, workflow=workflow, key="inside")
    drive()
    html = builder.get(page).content.decode()
    assert "Test passed" in html
    assert "a@example.com" in html
    assert "A test takes the first item of “each”." in html


def test_the_last_outputs_are_looked_for_in_the_first_items_alone(tenant: Tenant, workflow: Workflow) -> None:
    """A hundred thousand items are not read to find one example."""
    with CaptureQueriesContext(connection) as queries:
        samples.last_outputs(workflow, chosen=None)
        samples.last_attempts(workflow)
    asked = [query["sql"] for query in queries if "runs_steprun" in query["sql"]]
    assert all('"path" IN (' in sql for sql in asked)


@pytest.mark.django_db(transaction=True)
def test_examples_come_from_few_rows(
    builder: Client, actor: Actor, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = draft_document(workflow.refresh())
    document["steps"][2]["config"]["inputs"]["items"] = [{"mail": f"{number}@example.com"} for number in range(300)]
    document["steps"][2]["lanes"]["body"] = [leaf("inside", of="{{ item.mail }}")]
    document["steps"].pop(4)
    services.workflow_replace(actor=actor, workflow=workflow, document=document)
    run = run_start_by_actor(actor=actor, workflow=workflow, payload={}, version="draft")
    drive()
    assert run.refresh().status == "succeeded"
    made = 0
    original = StepRun.from_db.__func__  # type: ignore[attr-defined]

    def count(cls: Any, *args: Any) -> Any:
        nonlocal made
        made += 1
        return original(cls, *args)

    monkeypatch.setattr(StepRun, "from_db", classmethod(count))
    html = builder.get(at(workflow, "inside")).content.decode()
    assert "0@example.com" in html
    assert made < 60


def test_the_pages_queries_do_not_grow_with_lanes(builder: Client, actor: Actor, workflow: Workflow) -> None:
    def queries(made: Workflow, key: str) -> int:
        builder.get(at(made, key))
        with CaptureQueriesContext(connection) as caught:
            builder.get(at(made, key))
        return len(caught)

    many = [
        holder(f"if{n}", "flow.if", {"condition": True}, then=[leaf(f"a{n}")], **{"else": [leaf(f"b{n}")]})
        for n in range(20)
    ]
    wide = services.workflow_create(actor=actor, document={"name": "Wide", "slug": "wide", "steps": many})
    # One of them is for who else is there, as the draft was changed just now.
    assert queries(wide, "b19") == queries(workflow, "last") <= 18

"""Steps moved to any place, left out of runs and put into loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.errors import Invalid, NotFound
from orchestrator.flow.definition import MAX_DEPTH
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import places, services
from orchestrator.workflows.edits import step_skip
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.publishing import publish
from orchestrator.workflows.selectors import draft_document
from runs.models import Run
from runs.services import run_start_by_actor
from tests.runs.ground import drive, step

pytestmark = pytest.mark.django_db


def holding(key: str, action: str, **lanes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    inputs = {"flow.if": {"condition": "{{ true }}"}, "flow.foreach": {"items": [1, 2]}}.get(action, {})
    return {**step(key, action, inputs=inputs), "lanes": lanes}


STEPS = [
    step("a"),
    holding("check", "flow.if", then=[step("b")], **{"else": [step("c")]}),
    step("d", inputs={"values": {"of": "{{ steps.a.output['from'] }}"}}),
]


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document={"name": "Order", "steps": STEPS})


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def address(name: str, workflow: Workflow, *parts: str) -> str:
    return reverse(name, args=["acme", workflow.pk, *parts])


def shape(workflow: Workflow) -> list[Any]:
    """Return a draft's keys, a step with lanes as its key and their keys: ``["a", ["if", ["b"], ["c"]]]``."""

    def of(steps: Sequence[Mapping[str, Any]]) -> list[Any]:
        return [
            [each["key"], *(of(lane) for lane in each["lanes"].values())] if each.get("lanes") else each["key"]
            for each in steps
        ]

    return of(draft_document(workflow.refresh())["steps"])


@pytest.mark.parametrize(
    ("key", "place", "expected"),
    [
        ("d", "first", ["d", "a", ["check", ["b"], ["c"]]]),
        ("d", "after:a", ["a", "d", ["check", ["b"], ["c"]]]),
        ("a", "after:d", [["check", ["b"], ["c"]], "d", "a"]),
        ("a", "in:check:then", [["check", ["a", "b"], ["c"]], "d"]),
        ("b", "after:c", ["a", ["check", [], ["c", "b"]], "d"]),
        ("c", "after:check", ["a", ["check", ["b"], []], "c", "d"]),
        ("check", "after:d", ["a", "d", ["check", ["b"], ["c"]]]),
        ("a", "first", ["a", ["check", ["b"], ["c"]], "d"]),
        ("b", "after:b", None),
        ("check", "in:check:then", None),
        ("check", "after:b", None),
        ("a", "after:nobody", None),
        ("a", "in:check:sideways", None),
        ("a", "in:d:then", None),
        ("a", "in:", ["a", ["check", ["b"], ["c"]], "d"]),
    ],
)
def test_a_step_moves_to_any_place_but_into_itself(
    builder: Client, workflow: Workflow, key: str, place: str, expected: list[Any] | None
) -> None:
    before = shape(workflow)
    answer = builder.post(address("workflow-step-move", workflow, key), {"place": place})
    assert answer.status_code == 302
    assert shape(workflow) == (expected or before)


def test_a_move_is_undone_in_one(builder: Client, actor: Actor, workflow: Workflow) -> None:
    before = shape(workflow)
    builder.post(address("workflow-step-move", workflow, "check"), {"place": "first"})
    services.draft_undo(actor=actor, workflow=workflow.refresh())
    assert shape(workflow) == before


def test_a_move_that_breaks_a_reference_says_which(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(address("workflow-step-move", workflow, "d"), {"place": "first"}, follow=True)
    html = answer.content.decode()
    assert "It was moved, and now:" in html
    assert "steps.a" in html
    answer = builder.post(address("workflow-step-move", workflow, "d"), {"place": "after:check"}, follow=True)
    assert "It was moved, and now:" not in answer.content.decode()


def test_the_places_are_all_but_those_inside_the_step_and_where_it_is(builder: Client, workflow: Workflow) -> None:
    def values(key: str) -> list[str]:
        return [spot.value for spot in builder.get(address("workflow-step-move", workflow, key)).context["spots"]]

    assert values("check") == ["first", "after:d"]
    assert values("d") == ["first", "after:a", "in:check:then", "after:b", "in:check:else", "after:c"]
    assert values("b") == ["first", "after:a", "in:check:else", "after:c", "after:check", "after:d"]
    for place in values("b"):
        builder.post(address("workflow-step-move", workflow, "b"), {"place": place})
        assert "b" in str(shape(workflow))


def test_the_places_of_a_step_that_is_not_there_are_not_found(builder: Client, workflow: Workflow) -> None:
    assert builder.get(address("workflow-step-move", workflow, "nobody")).status_code == 404


def test_a_step_is_not_moved_deeper_than_lanes_nest(actor: Actor) -> None:
    inner = [step("leaf")]
    for level in range(MAX_DEPTH):
        inner = [holding(f"l{level}", "flow.if", then=inner, **{"else": []})]
    steps = [*inner, holding("pair", "flow.if", then=[step("held")], **{"else": []})]
    made = services.workflow_create(actor=actor, document={"name": "Deep", "steps": steps})
    with pytest.raises(Invalid, match="nest at most"):
        places.step_place(actor=actor, workflow=made, key="pair", after="leaf")
    with pytest.raises(Invalid, match="nest at most"):
        places.step_wrap(actor=actor, workflow=made, key="leaf", items="{{ [] }}")
    places.step_place(actor=actor, workflow=made, key="held", after="leaf")
    with pytest.raises(NotFound):
        places.step_place(actor=actor, workflow=made, key="held", parent="nobody", lane="then")


def test_a_step_is_put_into_a_loop_in_its_place(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(address("workflow-step-wrap", workflow, "b"), {"items": "{{ trigger.body.orders }}"})
    assert answer.headers["Location"] == address("workflow-step", workflow, "b")
    assert shape(workflow) == ["a", ["check", [["each", ["b"]]], ["c"]], "d"]
    loop = draft_document(workflow.refresh())["steps"][1]["lanes"]["then"][0]
    assert (loop["action"], loop["config"]["inputs"]) == ("flow.foreach", {"items": "{{ trigger.body.orders }}"})
    html = builder.get(address("workflow-step", workflow, "b")).content.decode()
    assert "This item" in html


def test_a_list_in_the_data_offers_its_uses_in_words(builder: Client, actor: Actor, workflow: Workflow) -> None:
    payload = {"tags": ["x", "y"], "orders": [{"id": 1}]}
    run_start_by_actor(actor=actor, workflow=workflow, payload=payload, version="draft")
    html = builder.get(address("workflow-step", workflow, "d")).content.decode()
    for expression in (
        "first(trigger.body.tags)",
        "count(trigger.body.tags)",
        "join(trigger.body.tags, &quot;, &quot;)",
    ):
        assert f'data-insert="{{{{ {expression} }}}}"' in html
    assert "join(trigger.body.orders" not in html
    assert 'name="items" value="{{ trigger.body.orders }}"' in html


@pytest.mark.django_db(transaction=True)
def test_a_step_that_is_left_out_is_skipped_with_what_it_holds(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    builder.post(address("workflow-step-skip", workflow, "check"))
    html = builder.get(address("workflow-step", workflow, "check")).content.decode()
    assert "This step is left out of runs." in html
    run = run_start_by_actor(actor=actor, workflow=workflow, payload={}, version="draft")
    drive()
    assert [(row.key, row.status) for row in run.steps.order_by("id")] == [
        ("a", "succeeded"), ("check", "skipped"), ("d", "succeeded"),
    ]  # fmt: skip
    builder.post(address("workflow-step-skip", workflow, "check"))
    again = run_start_by_actor(actor=actor, workflow=workflow.refresh(), payload={}, version="draft")
    drive()
    assert Run.unscoped.get(pk=again.pk).steps.count() == 4


def test_what_is_wrong_with_a_step_that_is_left_out_stops_no_publish(actor: Actor) -> None:
    bad = {**step("bad", "slack.sendMessage"), "credential": "nobody"}
    steps = [bad, step("after", inputs={"values": {"of": "{{ steps.bad.output.ts }}"}})]
    made = services.workflow_create(actor=actor, document={"name": "Bad", "steps": steps})
    assert any(problem.severity == "error" for problem in services.check(made, actor=actor))
    step_skip(actor=actor, workflow=made, key="bad")
    found = services.check(made.refresh(), actor=actor)
    assert [problem.code for problem in found if problem.path.startswith("steps[0]")] == ["skipped"]
    assert not any(problem.severity == "error" for problem in found)
    assert any("null" in problem.message for problem in found if problem.path.startswith("steps[1]"))
    publish(actor=actor, workflow=made)


def test_a_viewer_moves_nothing(client: Client, viewer: User, workflow: Workflow) -> None:
    client.force_login(viewer)
    for name in ("workflow-step-move", "workflow-step-skip", "workflow-step-wrap"):
        assert client.post(address(name, workflow, "a"), {"place": "after:d", "items": "x"}).status_code == 403


@pytest.mark.parametrize("items", ["", "\0", "{{", "x" * 100_000, "<script>"])
def test_garbage_for_a_loop_is_kept_for_the_form_to_tell(builder: Client, workflow: Workflow, items: str) -> None:
    assert builder.post(address("workflow-step-wrap", workflow, "a"), {"items": items}).status_code == 302
    assert builder.get(address("workflow-step", workflow, "each")).status_code == 200

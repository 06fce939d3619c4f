"""Lanes of a draft: those that a step begins with, and those that people add, rename and remove."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import Conflict, Forbidden, Invalid, NotFound
from orchestrator.flow.definition import MAX_DEPTH
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.workflows import edits, lane_edits, selectors, services
from orchestrator.workflows.models import Workflow

LEAF: dict[str, Any] = {"action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}


def leaf(key: str) -> dict[str, Any]:
    return {"key": key, **LEAF}


STEPS = [
    {
        "key": "plan", "action": "flow.switch", "config": {"inputs": {"value": "gold"}},
        "lanes": {"gold": [leaf("call"), {"key": "if", "action": "flow.if", "lanes": {"then": [leaf("deep")]}}],
                  "silver": [], "default": []},
    },
    {"key": "both", "action": "flow.parallel", "config": {}, "lanes": {"left": [leaf("l")], "right": []}},
    {"key": "odd", "action": "flow.if", "config": {}, "lanes": {"then": [], "gone": [leaf("x")]}},
]  # fmt: skip


@pytest.fixture
def actor(tenant: Tenant, editor: object) -> Actor:
    return actor_for_user(editor, tenant.slug)  # type: ignore[arg-type]


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document={"name": "Lanes", "slug": "lanes", "steps": STEPS})


def lanes(workflow: Workflow, key: str) -> dict[str, list[str]]:
    definition = selectors.draft_definition(workflow.refresh())
    step = next(step for _, step in definition.walk() if step.key == key)
    return {name: [inner.key for inner in steps] for name, steps in step.lanes.items()}


@pytest.mark.parametrize(
    ("action", "found"),
    [
        ("flow.if", ["then", "else"]),
        ("flow.foreach", ["body"]),
        ("flow.switch", ["case", "default"]),
        ("flow.parallel", ["one", "two"]),
        ("data.set", []),
        ("weather.today", []),
    ],
)
def test_a_new_step_begins_with_lanes_that_steps_can_be_put_into(
    actor: Actor, workflow: Workflow, action: str, found: list[str]
) -> None:
    step = edits.step_add(actor=actor, workflow=workflow, action=action)
    assert list(lanes(workflow, step.key)) == found
    if found:
        inner = edits.step_add(actor=actor, workflow=workflow, action="data.set", parent=step.key, lane=found[-1])
        assert lanes(workflow, step.key)[found[-1]] == [inner.key]


def test_a_lane_that_an_action_always_has_is_there_although_the_document_left_it_out(
    actor: Actor, workflow: Workflow
) -> None:
    made = edits.step_add(actor=actor, workflow=workflow, action="data.set", parent="if", lane="else")
    assert lanes(workflow, "if") == {"then": ["deep"], "else": [made.key]}
    with pytest.raises(NotFound, match="has no lane"):
        edits.step_add(actor=actor, workflow=workflow, action="data.set", parent="if", lane="other")


def test_lanes_nest_only_so_deep(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document={"name": "Deep", "slug": "deep", "steps": []})
    parent: str | None = None
    for _level in range(MAX_DEPTH + 1):
        step = edits.step_add(actor=actor, workflow=workflow, action="flow.foreach", parent=parent, lane="body")
        parent = step.key
    with pytest.raises(Invalid, match="levels deep"):
        edits.step_add(actor=actor, workflow=workflow, action="data.set", parent=parent, lane="body")
    document = selectors.draft_document(workflow.refresh())
    services.workflow_replace(actor=actor, workflow=workflow, document=document)


def test_a_lane_is_added_last_but_before_the_default(actor: Actor, workflow: Workflow) -> None:
    lane_edits.lane_add(actor=actor, workflow=workflow, key="plan", lane=" bronze ")
    assert list(lanes(workflow, "plan")) == ["gold", "silver", "bronze", "default"]
    lane_edits.lane_add(actor=actor, workflow=workflow, key="both", lane="default")
    lane_edits.lane_add(actor=actor, workflow=workflow, key="both", lane="Ünïcode — {{ x }}")
    assert list(lanes(workflow, "both")) == ["left", "right", "default", "Ünïcode — {{ x }}"]


def test_a_renamed_lane_keeps_its_place_and_its_steps(actor: Actor, workflow: Workflow) -> None:
    lane_edits.lane_rename(actor=actor, workflow=workflow, key="plan", lane="gold", name="platinum")
    assert lanes(workflow, "plan") == {"platinum": ["call", "if"], "silver": [], "default": []}
    assert lanes(workflow, "if") == {"then": ["deep"]}
    revision = workflow.refresh().revision
    lane_edits.lane_rename(actor=actor, workflow=workflow, key="plan", lane="platinum", name=" platinum ")
    assert workflow.refresh().revision == revision, "nothing was changed"


def test_an_empty_lane_goes_at_once_and_one_with_steps_when_it_is_said(actor: Actor, workflow: Workflow) -> None:
    lane_edits.lane_remove(actor=actor, workflow=workflow, key="plan", lane="silver")
    with pytest.raises(Conflict, match=r"holds 3 step\(s\)") as refused:
        lane_edits.lane_remove(actor=actor, workflow=workflow, key="plan", lane="gold")
    assert refused.value.code == "lane_holds_steps"
    assert lanes(workflow, "plan") == {"gold": ["call", "if"], "default": []}
    lane_edits.lane_remove(actor=actor, workflow=workflow, key="plan", lane="gold", with_steps=True)
    assert lanes(workflow, "plan") == {"default": []}
    keys = {step.key for _, step in selectors.draft_definition(workflow.refresh()).walk()}
    assert keys == {"plan", "both", "l", "odd", "x"}


def test_a_lane_that_a_step_should_not_have_can_be_removed_and_its_own_stay(actor: Actor, workflow: Workflow) -> None:
    lane_edits.lane_remove(actor=actor, workflow=workflow, key="odd", lane="gone", with_steps=True)
    assert lanes(workflow, "odd") == {"then": []}
    with pytest.raises(Invalid, match="stays"):
        lane_edits.lane_remove(actor=actor, workflow=workflow, key="odd", lane="then")
    for refused in (
        lambda: lane_edits.lane_add(actor=actor, workflow=workflow, key="odd", lane="more"),
        lambda: lane_edits.lane_rename(actor=actor, workflow=workflow, key="odd", lane="then", name="more"),
        lambda: lane_edits.lane_add(actor=actor, workflow=workflow, key="call", lane="more"),
    ):
        with pytest.raises(Invalid, match="cannot be changed"):
            refused()


@pytest.mark.parametrize("name", ["", "  ", "gold", "x" * 64, "a\0b", "\ud800"])
def test_a_name_that_is_none_or_taken_is_refused(actor: Actor, workflow: Workflow, name: str) -> None:
    before = lanes(workflow, "plan")
    with pytest.raises(Invalid):
        lane_edits.lane_add(actor=actor, workflow=workflow, key="plan", lane=name)
    with pytest.raises(Invalid):
        lane_edits.lane_rename(actor=actor, workflow=workflow, key="plan", lane="silver", name=name)
    assert lanes(workflow, "plan") == before


def test_a_step_has_only_so_many_lanes(actor: Actor, workflow: Workflow) -> None:
    for number in range(lane_edits.MAX_LANES - 2):
        lane_edits.lane_add(actor=actor, workflow=workflow, key="both", lane=f"lane {number}")
    with pytest.raises(Invalid, match="at most"):
        lane_edits.lane_add(actor=actor, workflow=workflow, key="both", lane="one more")


def test_what_is_not_there_is_told(actor: Actor, workflow: Workflow) -> None:
    with pytest.raises(NotFound):
        lane_edits.lane_add(actor=actor, workflow=workflow, key="nobody", lane="a")
    with pytest.raises(NotFound):
        lane_edits.lane_rename(actor=actor, workflow=workflow, key="plan", lane="nobody", name="a")
    with pytest.raises(NotFound):
        lane_edits.lane_remove(actor=actor, workflow=workflow, key="plan", lane="nobody")


def test_every_change_counts_a_revision_and_is_in_the_audit_log(actor: Actor, workflow: Workflow) -> None:
    lane_edits.lane_add(actor=actor, workflow=workflow, key="plan", lane="bronze", if_match=1)
    lane_edits.lane_rename(actor=actor, workflow=workflow, key="plan", lane="bronze", name="tin", if_match=2)
    lane_edits.lane_remove(actor=actor, workflow=workflow, key="plan", lane="tin", if_match=3)
    with pytest.raises(Conflict):
        lane_edits.lane_add(actor=actor, workflow=workflow, key="plan", lane="late", if_match=3)
    events = AuditEvent.objects.for_tenant(actor.tenant).filter(action="workflow.changed").order_by("pk")
    assert [event.detail for event in events] == [
        {"lane_added": "bronze", "step": "plan"},
        {"lane_renamed": "bronze", "to": "tin", "step": "plan"},
        {"lane_removed": "tin", "step": "plan", "steps": 0},
    ]


def test_only_editors_change_lanes(tenant: Tenant, operator: object, actor: Actor, workflow: Workflow) -> None:
    other = actor_for_user(operator, tenant.slug)  # type: ignore[arg-type]
    for refused in (
        lambda: lane_edits.lane_add(actor=other, workflow=workflow, key="plan", lane="a"),
        lambda: lane_edits.lane_rename(actor=other, workflow=workflow, key="plan", lane="gold", name="a"),
        lambda: lane_edits.lane_remove(actor=other, workflow=workflow, key="plan", lane="silver"),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_another_tenants_workflow_is_not_there(actor: Actor, workflow: Workflow, stranger: object) -> None:
    other = actor_for_user(stranger, "globex")  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        lane_edits.lane_add(actor=other, workflow=workflow, key="plan", lane="a")

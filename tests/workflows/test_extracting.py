"""A lane moved into a workflow of its own: the draft and the new one, undo, and what both give when they run."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.errors import Conflict, Forbidden, Invalid, NotFound
from orchestrator.flow.calls import MAX_DEPTH
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.workflows import services
from orchestrator.workflows.extracting import lane_extract, lane_extraction
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_document


def leaf(key: str, value: Any = "x", **config: Any) -> dict[str, Any]:
    return {"key": key, "action": "data.set", "config": {"inputs": {"values": {"v": value}}, **config}}


def holding(key: str, action: str, inputs: dict[str, Any], **lanes: Any) -> dict[str, Any]:
    return {"key": key, "action": action, "config": {"inputs": inputs}, "lanes": lanes}


TOLD = leaf("told", "{{ steps.first.output.v }} {{ trigger.body.n }} {{ item }} {{ index }} {{ workflow.slug }}")
LAST = leaf("last", ["{{ steps.told.output.v }}", "{{ item }}"], on_error="continue")
CHECK = holding("check", "flow.if", {"condition": "{{ item > 1 }}"}, then=[TOLD, LAST], **{"else": [leaf("no")]})
EACH = holding("each", "flow.foreach", {"items": [1, 2, 3]}, body=[CHECK, leaf("end", "{{ steps.last.output }}")])
DOCUMENT = {
    "name": "Leads",
    "slug": "leads",
    "triggers": [{"key": "hand", "type": "manual"}],
    "steps": [leaf("first", "1st"), EACH],
    "output": "{{ steps.each.output }}",
    "settings": {"timeout": 99, "retention_days": 5, "max_concurrent_runs": 1},
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


def document_of(workflow: Workflow) -> dict[str, Any]:
    return draft_document(Workflow.objects.for_tenant(workflow.tenant_id).get(pk=workflow.pk))


def then(actor: Actor, workflow: Workflow, **more: Any) -> Workflow:
    return lane_extract(actor=actor, workflow=workflow, key="check", lane="then", name="Leads · Then", **more)


def test_the_steps_are_a_draft_that_the_workflow_alone_may_call(actor: Actor, workflow: Workflow) -> None:
    services.workflow_create(actor=actor, document={"name": "Taken", "slug": "leads-then"})
    made = then(actor, workflow)
    document = document_of(made)
    assert (made.name, made.slug, made.published_version) == ("Leads · Then", "leads-then-2", None)
    assert document["triggers"] == [{"key": "workflow", "type": "workflow", "config": {"callers": ["leads"]}}]
    assert [step["key"] for step in document["steps"]] == ["told", "last"]
    assert document["steps"][1]["config"]["on_error"] == "continue"
    assert document["output"] == "{{ steps.last.output }}"
    assert document["settings"] == {"timeout": 99, "retention_days": 5}


def test_one_call_stands_in_the_place_of_the_lane(actor: Actor, workflow: Workflow) -> None:
    made = then(actor, workflow)
    body = document_of(workflow)["steps"][1]["lanes"]["body"]
    (call,) = body[0]["lanes"]["then"]
    assert (call["key"], call["action"]) == ("last", "workflow.call")
    assert call["config"]["inputs"] == {
        "workflow": made.slug,
        "payload": {
            "trigger": "{{ trigger }}",
            "steps": {"first": {"output": "{{ steps.first.output }}"}},
            "item": "{{ item }}",
            "index": "{{ index }}",
            "workflow": {"slug": "{{ workflow.slug }}"},
        },
    }
    assert [step["key"] for step in body[0]["lanes"]["else"]] == ["no"]
    assert body[1]["config"]["inputs"]["values"] == {"v": "{{ steps.last.output }}"}


def test_undo_brings_the_steps_back_and_the_new_workflow_stays(actor: Actor, workflow: Workflow) -> None:
    before = document_of(workflow)
    made = then(actor, workflow)
    after = document_of(workflow)
    _draft, change = services.draft_undo(actor=actor, workflow=workflow)
    assert change == {"lane_extracted": "then", "step": "check", "workflow": made.slug, "call": "last"}
    assert document_of(workflow) == before
    assert Workflow.objects.for_tenant(actor.tenant).filter(pk=made.pk).exists()
    services.draft_redo(actor=actor, workflow=workflow)
    assert document_of(workflow) == after


def test_it_is_written_to_the_audit_log(actor: Actor, workflow: Workflow) -> None:
    made = then(actor, workflow)
    events = AuditEvent.objects.for_tenant(actor.tenant).order_by("-id")[:2]
    assert [(event.action, event.target_id) for event in events] == [
        ("workflow.changed", workflow.pk),
        ("workflow.created", made.pk),
    ]
    assert events[0].detail["lane_extracted"] == "then"


def test_credentials_notes_and_what_is_left_out_go_along(actor: Actor) -> None:
    step = {**leaf("a", skip=True), "credential": "acme-slack", "notes": "Why", "name": "Tell them"}
    check = holding("check", "flow.if", {"condition": True}, then=[step, leaf("b")])
    workflow = services.workflow_create(actor=actor, document={"name": "Leads", "slug": "leads", "steps": [check]})
    (first, _last) = document_of(then(actor, workflow))["steps"]
    assert first == {**step, "config": {**step["config"], "skip": True}}


def test_a_revision_that_is_not_the_present_one_changes_nothing(actor: Actor, workflow: Workflow) -> None:
    before = document_of(workflow)
    with pytest.raises(Conflict):
        then(actor, workflow, if_match=workflow.revision + 1)
    assert document_of(workflow) == before
    then(actor, workflow, if_match=workflow.revision)


def test_what_is_refused_leaves_everything_as_it_was(actor: Actor, workflow: Workflow) -> None:
    changes = {"output": "{{ steps.told.output }}"}
    services.workflow_patch(actor=actor, workflow=workflow, changes=changes)
    before, count = document_of(workflow), Workflow.objects.for_tenant(actor.tenant).count()
    with pytest.raises(Invalid, match=r"output reads steps\.told, and only what steps\.last gives"):
        then(actor, workflow)
    assert document_of(workflow) == before
    assert Workflow.objects.for_tenant(actor.tenant).count() == count


def test_who_may_not_edit_and_who_is_of_another_tenant_cannot(
    actor: Actor, workflow: Workflow, viewer: User, other_tenant: Tenant, make_member: Any
) -> None:
    with pytest.raises(Forbidden):
        then(actor_for_user(viewer, "acme"), workflow)
    with pytest.raises(NotFound):
        then(actor_for_user(make_member(other_tenant, "editor"), "globex"), workflow)


def calling(actor: Actor, slug: str, called: str) -> Workflow:
    call = {"key": "call", "action": "workflow.call", "config": {"inputs": {"workflow": called}}}
    check = holding("check", "flow.if", {"condition": True}, then=[call])
    return services.workflow_create(actor=actor, document={"name": slug, "slug": slug, "steps": [check]})


def test_calls_above_and_below_count_towards_the_limit(actor: Actor) -> None:
    for number in range(MAX_DEPTH):
        calling(actor, f"w{number}", f"w{number + 1}")
    middle = Workflow.objects.for_tenant(actor.tenant).get(slug="w4")
    with pytest.raises(Invalid, match=f"call each other {MAX_DEPTH + 1} deep then"):
        lane_extraction(middle, "check", "then")
    Workflow.objects.for_tenant(actor.tenant).get(slug="w0").delete()
    lane_extraction(middle, "check", "then")


def test_drafts_that_call_each_other_in_a_circle_are_no_endless_look(actor: Actor) -> None:
    one, _two = calling(actor, "one", "two"), calling(actor, "two", "one")
    calling(actor, "three", "three")
    lane_extraction(one, "check", "then")


def test_publishing_the_caller_warns_until_the_called_one_is_published(actor: Actor, workflow: Workflow) -> None:
    made = then(actor, workflow)

    def codes() -> list[str]:
        return [problem.code for problem in services.check(workflow.refresh(), actor=actor)]

    assert "unpublished" in codes()
    services.publish(actor=actor, workflow=made)
    assert "unpublished" not in codes()

"""Undo and redo of a draft."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.errors import Conflict, Forbidden
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import edits, history, lane_edits, services, trigger_edits
from orchestrator.workflows.drafts import draft_document
from orchestrator.workflows.models import DraftState, Workflow


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    steps = [{"key": key, "action": "data.set", "config": {"inputs": {"values": {"n": 1}}}} for key in ("a", "b")]
    document = {"name": "Orders", "steps": steps}
    return services.workflow_create(actor=actor, document=document)


def keys(workflow: Workflow) -> list[str]:
    return [step["key"] for step in document(workflow)["steps"]]


def document(workflow: Workflow) -> dict[str, Any]:
    return draft_document(Workflow.objects.for_tenant(workflow.tenant_id).get(pk=workflow.pk))


def undo(actor: Actor, workflow: Workflow) -> Workflow:
    return services.draft_undo(actor=actor, workflow=workflow)[0]


def redo(actor: Actor, workflow: Workflow) -> Workflow:
    return services.draft_redo(actor=actor, workflow=workflow)[0]


def test_every_kind_of_change_goes_back_and_forth(actor: Actor, workflow: Workflow) -> None:
    first = document(workflow)
    switch = edits.step_add(actor=actor, workflow=workflow, action="flow.switch", after="a").key
    seen = [first, document(workflow)]
    for change in (
        lambda: edits.step_move(actor=actor, workflow=workflow, key="b", direction="up"),
        lambda: lane_edits.lane_add(actor=actor, workflow=workflow, key=switch, lane="big"),
        lambda: edits.step_add(actor=actor, workflow=workflow, action="data.set", parent=switch, lane="big"),
        lambda: lane_edits.lane_rename(actor=actor, workflow=workflow, key=switch, lane="big", name="large"),
        lambda: edits.step_update(actor=actor, workflow=workflow, key="a", changes={"name": "First"}),
        lambda: trigger_edits.trigger_add(actor=actor, workflow=workflow, type=TriggerType.WEBHOOK),
        lambda: services.workflow_patch(actor=actor, workflow=workflow, changes={"name": "Other"}),
        lambda: edits.step_remove(actor=actor, workflow=workflow, key=switch),
    ):
        change()
        seen.append(document(workflow))
    assert len({str(each) for each in seen}) == len(seen)
    for before in reversed(seen[:-1]):
        undo(actor, workflow)
        assert document(workflow) == before
    with pytest.raises(Conflict, match="Nothing of this draft can be undone"):
        undo(actor, workflow)
    for after in seen[1:]:
        redo(actor, workflow)
        assert document(workflow) == after
    with pytest.raises(Conflict, match="Nothing of this draft can be made again"):
        redo(actor, workflow)


def test_a_change_takes_the_place_of_what_was_undone(actor: Actor, workflow: Workflow) -> None:
    edits.step_remove(actor=actor, workflow=workflow, key="b")
    undo(actor, workflow)
    edits.step_remove(actor=actor, workflow=workflow, key="a")
    assert keys(workflow) == ["b"]
    with pytest.raises(Conflict):
        redo(actor, workflow)
    undo(actor, workflow)
    assert keys(workflow) == ["a", "b"]


def test_a_webhook_keeps_its_address(actor: Actor, workflow: Workflow) -> None:
    trigger = trigger_edits.trigger_add(actor=actor, workflow=workflow, type=TriggerType.WEBHOOK)
    services.publish(actor=actor, workflow=workflow)
    address = services.trigger_address(trigger)
    trigger_edits.trigger_remove(actor=actor, workflow=workflow, key=trigger.key)
    undo(actor, workflow)
    again = workflow.triggers.get(key=trigger.key)
    assert again.in_draft
    assert services.trigger_address(again) == address


def test_what_is_typed_into_one_step_is_undone_as_one(
    actor: Actor, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("F", "Fi", "First"):
        edits.step_update(actor=actor, workflow=workflow, key="a", changes={"name": name})
    edits.step_update(actor=actor, workflow=workflow, key="b", changes={"name": "Second"})
    monkeypatch.setattr(history, "PAUSE", history.PAUSE * 0)
    edits.step_update(actor=actor, workflow=workflow, key="b", changes={"name": "2nd"})
    names = []
    for _ in range(3):
        undo(actor, workflow)
        names.append([step["name"] for step in document(workflow)["steps"]])
    assert names == [["First", "Second"], ["First", ""], ["", ""]]


def test_a_change_after_an_undo_is_a_state_of_its_own(actor: Actor, workflow: Workflow) -> None:
    edits.step_update(actor=actor, workflow=workflow, key="a", changes={"name": "First"})
    edits.step_move(actor=actor, workflow=workflow, key="a", direction="down")
    undo(actor, workflow)
    edits.step_update(actor=actor, workflow=workflow, key="a", changes={"name": "Again"})
    undo(actor, workflow)
    assert [step["name"] for step in document(workflow)["steps"]] == ["First", ""]


def test_a_slug_that_another_workflow_took_stops_nobody(actor: Actor, workflow: Workflow) -> None:
    services.workflow_patch(actor=actor, workflow=workflow, changes={"slug": "elsewhere", "name": "Moved"})
    services.workflow_create(actor=actor, document={"name": "Other", "slug": workflow.slug})
    undo(actor, workflow)
    found = document(workflow)
    assert (found["name"], found["slug"]) == ("Orders", "elsewhere")


def test_so_many_states_are_kept(actor: Actor, workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "STATES_KEPT", 3)
    for _ in range(5):
        edits.step_move(actor=actor, workflow=workflow, key="a", direction="down")
        edits.step_move(actor=actor, workflow=workflow, key="a", direction="up")
    assert DraftState.unscoped.filter(workflow=workflow).count() == 3
    undo(actor, workflow)
    undo(actor, workflow)
    with pytest.raises(Conflict):
        undo(actor, workflow)
    assert keys(workflow) == ["a", "b"]


def test_a_change_that_comes_to_nothing_is_no_state(actor: Actor, workflow: Workflow) -> None:
    edits.step_move(actor=actor, workflow=workflow, key="a", direction="up")
    workflow.refresh_from_db()
    assert history.reach(workflow) == history.Reach(undo=False, redo=False)
    edits.step_update(actor=actor, workflow=workflow, key="a", changes={"name": ""})
    workflow.refresh_from_db()
    assert history.reach(workflow) == history.Reach(undo=False, redo=False), "saved as it was"
    edits.step_move(actor=actor, workflow=workflow, key="a", direction="down")
    workflow.refresh_from_db()
    assert history.reach(workflow) == history.Reach(undo=True, redo=False)


def test_it_is_an_editors_and_a_race_is_told(tenant: Tenant, viewer: User, actor: Actor, workflow: Workflow) -> None:
    edits.step_remove(actor=actor, workflow=workflow, key="b")
    with pytest.raises(Forbidden):
        services.draft_undo(actor=actor_for_user(viewer, tenant.slug), workflow=workflow)
    with pytest.raises(Conflict, match="Somebody changed this workflow"):
        services.draft_undo(actor=actor, workflow=workflow, if_match=1)
    assert keys(workflow) == ["a"]


def test_the_builder_says_what_was_undone(
    client: Client, tenant: Tenant, editor: User, actor: Actor, workflow: Workflow
) -> None:
    edits.step_remove(actor=actor, workflow=workflow, key="b")
    client.force_login(editor)
    at = [tenant.slug, workflow.pk]
    page = client.post(reverse("workflow-undo", args=at), follow=True)
    assert page.redirect_chain[-1][0] == reverse("workflow-step", args=[*at, "b"])
    assert "Undone: the step “b” removed." in page.content.decode()
    page = client.post(reverse("workflow-redo", args=at), follow=True)
    assert "Made again: the step “b” removed." in page.content.decode()
    page = client.post(reverse("workflow-redo", args=at), follow=True)
    assert "Nothing of this draft can be made again" in page.content.decode()
    assert keys(workflow) == ["a"]

"""Copies of steps within a draft."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from orchestrator.errors import Forbidden, Invalid, NotFound
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import copies, services
from orchestrator.workflows.drafts import draft_document
from orchestrator.workflows.models import Workflow


def set_step(key: str, value: str = "x") -> dict[str, object]:
    return {"key": key, "action": "data.set", "notes": f"of {key}", "config": {"inputs": {"values": {"v": value}}}}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    inner = [set_step("one", "{{ steps.before.output.v }}"), set_step("two", "{{ steps.one.output.v + steps.ones.x }}")]
    lanes = {"then": inner, "else": []}
    choice = {"key": "choice", "action": "flow.if", "config": {"inputs": {"condition": "{{ true }}"}}, "lanes": lanes}
    document = {"name": "Copied", "steps": [set_step("before"), choice, set_step("after")]}
    return services.workflow_create(actor=actor, document=document)


def test_a_step_is_copied_with_its_lanes_and_reads_its_own(actor: Actor, workflow: Workflow) -> None:
    made = copies.step_duplicate(actor=actor, workflow=workflow, key="choice")
    steps = draft_document(Workflow.objects.for_tenant(actor.tenant).get(pk=workflow.pk))["steps"]
    assert [step["key"] for step in steps] == ["before", "choice", made.key, "after"]
    copied = steps[2]
    assert copied["config"] == steps[1]["config"]
    assert [step["key"] for step in copied["lanes"]["then"]] == ["one_2", "two_2"]
    assert copied["lanes"]["else"] == []
    values = [step["config"]["inputs"]["values"]["v"] for step in copied["lanes"]["then"]]
    assert values == ["{{ steps.before.output.v }}", "{{ steps.one_2.output.v + steps.ones.x }}"]
    assert copied["lanes"]["then"][0]["notes"] == "of one"
    again = copies.step_duplicate(actor=actor, workflow=workflow, key="one_2")
    assert (again.key, again.lane, again.position) == ("one_3", "then", 1)


def test_a_field_that_is_called_steps_is_no_reference_to_a_step(actor: Actor) -> None:
    text = "{{ trigger.body.steps.one + steps.one.output.v }}"
    inner = [set_step("one"), set_step("two", text)]
    choice = {"key": "choice", "action": "flow.if", "config": {}, "lanes": {"then": inner, "else": []}}
    workflow = services.workflow_create(actor=actor, document={"name": "Fields", "steps": [choice]})
    services.step_duplicate(actor=actor, workflow=workflow, key="choice")
    steps = draft_document(Workflow.objects.for_tenant(actor.tenant).get(pk=workflow.pk))["steps"]
    read = steps[1]["lanes"]["then"][1]["config"]["inputs"]["values"]["v"]
    assert read == "{{ trigger.body.steps.one + steps.one_2.output.v }}"


def test_what_cannot_be_copied_is_told(
    actor: Actor, tenant: Tenant, viewer: User, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFound, match="There is no step 'gone'"):
        copies.step_duplicate(actor=actor, workflow=workflow, key="gone")
    with pytest.raises(Forbidden):
        copies.step_duplicate(actor=actor_for_user(viewer, tenant.slug), workflow=workflow, key="one")
    monkeypatch.setattr(copies, "MAX_STEPS", 7)
    with pytest.raises(Invalid, match="at most 7 steps"):
        copies.step_duplicate(actor=actor, workflow=workflow, key="choice")
    copies.step_duplicate(actor=actor, workflow=workflow, key="after")

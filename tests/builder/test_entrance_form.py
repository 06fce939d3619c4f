"""The forms of triggers that speak of other workflows: who may call, and whose failures start this one."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from tests.builder.ground import DOCUMENT

pytestmark = pytest.mark.django_db


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


@pytest.fixture
def client(owner: User) -> Client:
    found = Client()
    found.force_login(owner)
    return found


def make(actor: Actor, kind: str, **config: Any) -> Workflow:
    for slug in ("billing", "shipping"):
        services.workflow_create(actor=actor, document={**DOCUMENT, "slug": slug, "name": slug.title()})
    trigger = {"key": "way", "type": kind, "config": config}
    return services.workflow_create(actor=actor, document={**DOCUMENT, "triggers": [trigger]})


def at(workflow: Workflow) -> str:
    return reverse("workflow-trigger", args=["acme", workflow.pk, "way"])


def config(workflow: Workflow) -> dict[str, Any]:
    found: dict[str, Any] = Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key="way").config
    return found


def test_whose_failures_start_a_workflow_is_ticked(client: Client, actor: Actor) -> None:
    workflow = make(actor, "error")
    page = client.get(at(workflow)).text
    assert "When a run of any other workflow fails" in page
    # Every other workflow, and not the one itself.
    assert page.count('name="workflow" value=') == 2
    assert client.post(at(workflow), {"workflow": ["billing"]}).status_code == 302
    assert config(workflow) == {"workflows": ["billing"]}
    page = client.get(at(workflow)).text
    assert "When a run of 1 workflow fails" in page
    assert 'value="billing" checked' in page
    client.post(at(workflow), {})
    assert config(workflow) == {}


def test_who_may_call_a_workflow_and_with_what_is_said(client: Client, actor: Actor) -> None:
    workflow = make(actor, "workflow", callers=["billing", "gone"])
    page = client.get(at(workflow)).text
    assert "2 workflows may call it" in page
    assert "gone (does not exist)" in page
    given = {"workflow": ["shipping"], "input": '{"type": "object"}', "output": ""}
    assert client.post(at(workflow), given).status_code == 302
    assert config(workflow) == {"callers": ["shipping"], "input": {"type": "object"}}
    assert "&quot;type&quot;: &quot;object&quot;" in client.get(at(workflow)).text


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "This was not taken"), ("[1]", "A JSON schema is an object"), ("\x00{}", "This was not taken")],
)
def test_what_is_no_schema_is_said_at_its_field_and_what_was_typed_stays(
    text: str, said: str, client: Client, actor: Actor
) -> None:
    workflow = make(actor, "workflow")
    answer = client.post(at(workflow), {"workflow": ["shipping"], "output": text})
    assert answer.status_code == 400
    assert said in answer.text
    assert 'value="shipping" checked' in answer.text
    assert config(workflow) == {}


def test_a_door_that_lets_nobody_in_is_not_opened_by_a_save(client: Client, actor: Actor) -> None:
    workflow = make(actor, "workflow", callers=[])
    client.post(at(workflow), {"input": ""})
    assert config(workflow) == {"callers": []}


def test_both_are_added_beside_others(client: Client, actor: Actor) -> None:
    workflow = make(actor, "manual")
    for kind in ("error", "workflow"):
        address = reverse("workflow-trigger-add", args=["acme", workflow.pk])
        answer = client.post(address, {"type": kind}, follow=True)
        assert 'id="entrance-form"' in answer.text


def test_a_viewer_reads_what_is_said(client: Client, actor: Actor, viewer: User) -> None:
    workflow = make(actor, "error", workflows=["billing"])
    looks = Client()
    looks.force_login(viewer)
    page = looks.get(at(workflow)).text
    assert "When a run of 1 workflow fails" in page
    assert "entrance-form" not in page
    assert looks.post(at(workflow), {}).status_code == 403

"""A workflow as a file: no secret in it, the same bytes again, and back into a draft that nothing starts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.errors import Forbidden, Invalid
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import DraftState, Trigger, Workflow
from orchestrator.workflows.portable import Given, read_document, workflow_export, workflow_import, workflows_import
from orchestrator.workflows.services import publish, workflow_create
from runs.models import Run

pytestmark = pytest.mark.django_db
SECRET = "xoxb-0123456789-abcdefghij"

DOCUMENT: dict[str, Any] = {
    "name": "Größe",
    "slug": "size",
    "triggers": [
        {"key": "hook", "type": "webhook", "config": {"response": "output", "methods": ["POST"], "timeout": 5}},
        {"key": "call", "type": "workflow", "config": {"input": {"type": "object", "properties": {"z": {}, "a": {}}}}},
    ],
    "steps": [
        {
            "key": "which",
            "action": "flow.switch",
            "config": {"inputs": {"value": "{{ trigger.body.kind }}"}},
            "lanes": {
                "zebra": [{"key": "z", "action": "data.set", "config": {"inputs": {"values": {"b": 1, "a": None}}}}],
                "ape": [],
                "default": [],
            },
        },
        {
            "key": "tell",
            "name": "Tell",
            "action": "slack.sendMessage",
            "credential": "team",
            "config": {
                "inputs": {"text": "Hi", "channel": "#a"},
                "timeout": 30,
                "retry": {"max_attempts": 3, "delay": 2},
                "on_error": "fail",
            },
        },
    ],
    "output": {"z": 1, "a": [None, True]},
    "settings": {"timeout": 3600, "retention_days": 7},
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def elsewhere(other_tenant: Tenant, stranger: User) -> Actor:
    return actor_for_user(stranger, other_tenant.slug)


def test_the_file_leaves_out_defaults_sorts_keys_and_ends_with_a_line(actor: Actor) -> None:
    text = workflow_export(workflow_create(actor=actor, document=DOCUMENT)).text
    assert text.endswith("}\n")
    assert "Größe" in text
    document = json.loads(text)
    assert list(document) == ["name", "output", "settings", "slug", "steps", "triggers"]
    assert document["settings"] == {"retention_days": 7}
    tell = document["steps"][1]
    assert list(tell) == ["action", "config", "credential", "key", "name"]
    assert tell["config"] == {
        "inputs": {"channel": "#a", "text": "Hi"}, "retry": {"delay": 2.0}, "timeout": 30.0,
    }  # fmt: skip
    assert list(tell["config"]["inputs"]) == ["channel", "text"]
    # The order of lanes, and of what a form shows, is part of the workflow.
    assert list(document["steps"][0]["lanes"]) == ["zebra", "ape", "default"]
    assert list(document["triggers"][1]["config"]["input"]["properties"]) == ["z", "a"]
    assert list(document["output"]) == ["z", "a"]


def test_what_was_taken_in_gives_the_same_bytes(actor: Actor, elsewhere: Actor) -> None:
    first = workflow_export(workflow_create(actor=actor, document=DOCUMENT)).text
    taken = workflow_import(actor=elsewhere, document=read_document(first.encode())).workflow
    assert taken is not None
    assert workflow_export(taken).text == first
    assert workflow_export(Workflow.objects.for_tenant(elsewhere.tenant).get()).text == first


def test_what_is_taken_in_is_off_and_starts_nothing(actor: Actor) -> None:
    taken = workflow_import(actor=actor, document=DOCUMENT).workflow
    assert taken is not None
    taken.refresh_from_db()
    assert (taken.enabled, taken.published_version_id) == (False, None)
    assert not Trigger.objects.for_tenant(actor.tenant).filter(live_config__isnull=False).exists()
    assert not Run.objects.for_tenant(actor.tenant).exists()


def test_no_secret_is_in_the_file(actor: Actor) -> None:
    credential_create(
        actor=actor, name="team", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-of-the-vault-1"}
    )
    step = {
        "key": "ask", "action": "http.request",
        "config": {"inputs": {"url": "https://x.test", "headers": {"Authorization": f"Bearer {SECRET}", "A": "b"}}},
    }  # fmt: skip
    workflow = workflow_create(actor=actor, document={**DOCUMENT, "steps": [*DOCUMENT["steps"], step]})
    exported = workflow_export(workflow)
    assert SECRET not in exported.text
    assert "of-the-vault" not in exported.text
    assert json.loads(exported.text)["steps"][1]["credential"] == "team"
    assert exported.hidden == ("steps[2].config.inputs.headers.Authorization",)


def test_a_draft_may_be_wrong_and_is_told_what_a_publish_would_refuse(actor: Actor) -> None:
    taken = workflow_import(actor=actor, document=DOCUMENT)
    assert taken.workflow is not None
    assert "steps[1].credential" in [problem.path for problem in taken.problems]


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], ""), (None, ""), ({}, "name"), ({**DOCUMENT, "id": "7"}, "id"), ({**DOCUMENT, "steps": [{"key": "A b"}]},
        "steps[0].key"), ({**DOCUMENT, "slug": "Not a slug"}, "slug"), ({**DOCUMENT, "settings": {"timeout": "x"}},
        "settings.timeout"), ({"slug": "x"}, "name"),
    ],
)  # fmt: skip
def test_what_has_the_wrong_shape_is_refused_with_the_path(actor: Actor, document: Any, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        workflow_import(actor=actor, document=document)
    assert path in [problem.path for problem in refused.value.problems]
    assert not Workflow.objects.for_tenant(actor.tenant).exists()


def test_a_slug_that_is_taken_is_told_and_replaces_only_when_asked(actor: Actor) -> None:
    document = {**DOCUMENT, "steps": [DOCUMENT["steps"][0]]}
    workflow = workflow_create(actor=actor, document=document)
    publish(actor=actor, workflow=workflow)
    with pytest.raises(Invalid) as refused:
        workflow_import(actor=actor, document=document)
    assert [problem.path for problem in refused.value.problems] == ["slug"]
    workflow_import(actor=actor, document={**document, "name": "Other"}, replace=True)
    workflow.refresh_from_db()
    # What is live goes on as it was.
    assert (workflow.name, workflow.enabled) == ("Other", True)
    assert workflow.published_version is not None
    assert workflow.published_version.definition["name"] == "Größe"
    assert DraftState.objects.for_tenant(actor.tenant).filter(workflow=workflow).exists()
    workflow_import(actor=actor, document={**document, "slug": "else"}, into=workflow)
    workflow.refresh_from_db()
    assert workflow.slug == "size"


def test_a_check_writes_nothing(actor: Actor) -> None:
    found = workflow_import(actor=actor, document=DOCUMENT, dry_run=True)
    assert found.problems
    assert workflow_import(actor=actor, document={"name": 5}, dry_run=True).problems
    for model in (Workflow, Trigger, DraftState):
        assert not model.objects.for_tenant(actor.tenant).exists()


def test_several_are_taken_in_together_or_not_at_all_and_may_call_one_another(actor: Actor) -> None:
    def calling(slug: str, other: str) -> Given:
        call = {"key": "call", "action": "workflow.call", "config": {"inputs": {"workflow": other}}}
        trigger = {"key": "t", "type": "workflow", "config": {}}
        return Given(name=slug, document={"name": slug, "slug": slug, "triggers": [trigger], "steps": [call]})

    plain = Given(name="b", document={"name": "b", "slug": "b", "triggers": [], "steps": []})
    found = workflows_import(actor=actor, given=[calling("a", "b"), plain], dry_run=True)
    assert "workflow" not in " ".join(problem.path for problem in found[0].problems)
    alone = workflows_import(actor=actor, given=[calling("a", "b")], dry_run=True)
    assert alone[0].problems
    wrong = Given(name="c", document={"name": "c", "steps": 5})
    found = workflows_import(actor=actor, given=[plain, wrong])
    assert [each.workflow is None for each in found] == [False, True]
    assert not Workflow.objects.for_tenant(actor.tenant).exists()


def test_who_may_not_edit_may_not_take_in(tenant: Tenant, operator: User) -> None:
    with pytest.raises(Forbidden):
        workflow_import(actor=actor_for_user(operator, tenant.slug), document=DOCUMENT)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_told(data: bytes) -> None:
    with pytest.raises(Invalid, match="not a workflow's file"):
        read_document(data)


def test_a_trigger_that_a_provider_calls_goes_along_and_names_its_credential(actor: Actor, elsewhere: Actor) -> None:
    config = {
        "trigger": "github.newEvent",
        "inputs": {"repository": "octocat/hello-world", "events": ["issues"]},
        "credential": "hub",
    }
    credential_create(
        actor=actor, name="hub", provider="github", auth_type="bearer_token", secret={"token": "ghp_canary_0123456789"}
    )
    triggers = [{"key": "hub", "type": "event", "config": config}]
    document = {"name": "Hub", "triggers": triggers, "steps": []}
    exported = workflow_export(workflow_create(actor=actor, document=document))
    assert "ghp_canary" not in exported.text
    taken = workflow_import(actor=elsewhere, document=read_document(exported.text))
    row = Trigger.objects.for_tenant(elsewhere.tenant).get()
    assert (row.type, row.config) == ("event", config)
    assert row.address_digest
    assert any("no credential 'hub'" in problem.message for problem in taken.problems)

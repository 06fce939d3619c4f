"""Who may not edit sees the builder's same page with text in the place of its controls."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import edits, services
from orchestrator.workflows.models import Workflow
from runs.models import Run, StepRun
from tests.builder.ground import plain, put_run

pytestmark = pytest.mark.django_db

STEPS: list[dict[str, Any]] = [
    {"key": "one", "name": "One", "action": "data.set", "config": {"inputs": {"values": {"a": "1"}}}},
    {
        "key": "call",
        "action": "http.request",
        "credential": "theirs",
        "notes": "Asks\nthe others",
        "config": {
            "inputs": {
                "url": "https://example.com/{{ steps.one.output.a }}",
                "method": "POST",
                "headers": {"X-Who": "{{ trigger.body.who }}", "Authorization": "Bearer abcdefghijklmnop"},
            },
            "run_if": "{{ trigger.body.who }}",
        },
    },
    {
        "key": "each",
        "action": "flow.foreach",
        "config": {"inputs": {"items": [1, 2]}},
        "lanes": {"body": [{"key": "inner", "action": "code.python", "config": {"inputs": {"code": "x = '<b>'"}}}]},
    },
    {"key": "bare", "action": "slack.sendMessage", "config": {"inputs": {}}},
]


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    vault.credential_create(
        actor=actor, name="theirs", provider="http", auth_type="bearer_token", secret={"token": "a token"}
    )
    triggers = [{"key": "hook", "type": "webhook", "config": {}}]
    return services.workflow_create(
        actor=actor, document={"name": "Looked at", "slug": "looked", "triggers": triggers, "steps": STEPS}
    )


@pytest.fixture(params=["viewer", "operator"])
def reader(request: pytest.FixtureRequest, client: Client) -> Client:
    client.force_login(request.getfixturevalue(request.param))
    return client


def page(client: Client, workflow: Workflow, key: str) -> str:
    return client.get(reverse("workflow-step", args=["acme", workflow.pk, key])).content.decode()


def main(text: str) -> str:
    """Return what is between the page's top and its rail."""
    found = re.search(r"<main.*?</main>", text, re.DOTALL)
    assert found
    return found[0]


@pytest.mark.parametrize("key", ["one", "call", "each", "inner", "bare"])
def test_nothing_can_be_filled_in_or_pressed(reader: Client, workflow: Workflow, key: str) -> None:
    text = main(page(reader, workflow, key))
    controls = re.findall(r"<(?:input|select|textarea|button|form|fieldset)\b[^>]*>", text)
    assert [each for each in controls if 'type="search"' not in each] == []
    assert "data-insert" not in text
    assert 'href="#data"' not in text


def test_what_is_set_stands_there_with_its_chips(reader: Client, workflow: Workflow) -> None:
    text = main(page(reader, workflow, "call"))
    said = plain(text)
    assert 'https://example.com/<span class="tok"><i>2</i>a</span>' in text
    assert "X-Who 1 who" in said
    assert "POST" in said
    assert "theirs" in said
    assert "Run only if 1 who" in said
    assert "Notes Asks the others" in said
    assert "If it fails Tries up to 3 times" in said
    assert "abcdefghijklmnop" not in text, "what looks like a secret is not shown to those who cannot change it"


def test_code_is_text_and_what_is_missing_is_said(reader: Client, workflow: Workflow) -> None:
    assert "x = &#x27;&lt;b&gt;&#x27;" in page(reader, workflow, "inner")
    said = plain(main(page(reader, workflow, "bare")))
    assert "Channel Not set" in said
    assert "Credential None" in said


def test_long_code_is_there_to_its_end(reader: Client, workflow: Workflow, actor: Actor) -> None:
    code = "\n".join(f"row_{number} = 1" for number in range(900))
    edits.step_update(actor=actor, workflow=workflow, key="inner", changes={"config": {"inputs": {"code": code}}})
    assert "row_899 = 1" in page(reader, workflow, "inner")


def test_data_of_earlier_steps_is_read_only(reader: Client, actor: Actor, tenant: Tenant) -> None:
    steps = [STEPS[0], {**STEPS[0], "key": "two"}]
    made = services.workflow_create(
        actor=actor,
        document={"name": "Data", "slug": "data", "triggers": [{"key": "hand", "type": "manual"}], "steps": steps},
    )
    version = services.publish(actor=actor, workflow=made).version
    put_run(version, "succeeded", kind="step")
    StepRun.unscoped.create(
        tenant=tenant, run=Run.unscoped.filter(version=version).latest("pk"), path="one", key="one",
        action="data.set", status="succeeded", started_at=timezone.now(), output={"rows": ["b"], "city": "Oslo"},
    )  # fmt: skip
    text = main(page(reader, made, "two"))
    assert '<div class="lf" data-find="city &quot;oslo&quot;"><span class="k">city</span>' in text
    assert '<summary><span class="k">rows</span>' in text
    assert "all of it" not in text
    for inserting in ("as JSON", "Format a value", "This run", "Each item", "Use a past run"):
        assert inserting not in text


def test_an_editors_page_has_its_controls(client: Client, workflow: Workflow, editor: User) -> None:
    client.force_login(editor)
    text = main(page(client, workflow, "call"))
    for control in ('id="step-form"', "data-insert", "data-save", 'id="field-url"', "Format a value"):
        assert control in text
    assert "fieldset disabled" not in text

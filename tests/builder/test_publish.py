"""The publish page: what will change, what stands in the way and where to put it right."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.builder.changes import Bit, compared
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run

DOCUMENT: dict[str, Any] = {
    "name": "Leads",
    "slug": "leads",
    "triggers": [{"key": "hook", "type": "webhook", "config": {}}],
    "steps": [
        {
            "key": "greet",
            "name": "Say hello",
            "action": "hello.world",
            "config": {"inputs": {"name": "Dear {{ trigger.body.name }}"}},
        },
        {"key": "keep", "name": "Keep it", "action": "data.set", "config": {"inputs": {"values": {"a": "1"}}}},
    ],
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def address(workflow: Workflow) -> str:
    return reverse("workflow-publish", args=["acme", workflow.pk])


def versions(workflow: Workflow) -> int:
    rows = WorkflowVersion.objects.for_tenant(workflow.tenant_id)
    return rows.filter(workflow=workflow, number__isnull=False).count()


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_first_publish_makes_version_one_live_with_its_note(browser: Client, workflow: Workflow) -> None:
    assert "Publish version 1" in browser.get(address(workflow)).text
    answer = browser.post(address(workflow), {"note": " First try\x00 "}, follow=True)
    assert answer.redirect_chain[0][0] == reverse("workflow", args=["acme", workflow.pk])
    assert "Version 1 is live." in answer.text
    version = WorkflowVersion.objects.for_tenant(workflow.tenant_id).get(workflow=workflow)
    assert (version.number, version.note, version.author and version.author.username) == (
        1, "First try", "editor-of-acme"
    )  # fmt: skip


def test_a_note_too_long_is_cut_to_what_fits(browser: Client, workflow: Workflow) -> None:
    assert browser.post(address(workflow), {"note": "x" * 5_000}).status_code == 302
    assert len(WorkflowVersion.objects.for_tenant(workflow.tenant_id).get(workflow=workflow).note) == 1_000


def test_changes_are_shown_by_step_and_field(browser: Client, workflow: Workflow, actor: Actor) -> None:
    services.publish(actor=actor, workflow=workflow)
    changed = {
        **DOCUMENT,
        "steps": [
            {**DOCUMENT["steps"][0], "config": {"inputs": {"name": "Dearest {{ trigger.body.name }}"}}},
            {
                "key": "call",
                "name": "Call them",
                "action": "http.request",
                "config": {"inputs": {"url": "https://a.b"}},
            },
        ],
    }
    services.workflow_replace(actor=actor, workflow=workflow, document=changed)
    text = browser.get(address(workflow)).text
    said = plain(text)
    assert "3 changes since version 1" in said
    assert "2 Say hello changed" in said
    assert re.search(r"<del>Dear</del><ins>Dearest</ins> ", text)
    assert '<span class="tok"><i>trigger</i>body.name</span>' in text
    assert "3 Call them new HTTP · Send a request · 1 field set" in said
    assert "<del>Keep it</del>" in text


def test_problems_and_warnings_lead_to_their_fields(browser: Client, actor: Actor) -> None:
    document = {
        **DOCUMENT,
        "steps": [
            {"key": "post", "name": "Tell sales", "action": "slack.sendMessage", "config": {"inputs": {}}},
            {
                "key": "big",
                "action": "flow.if",
                "lanes": {"then": [{"key": "in", "action": "hello.world", "config": {"run_if": "{{ 1 + }}"}}]},
            },
        ],
    }
    workflow = services.workflow_create(actor=actor, document=document)
    text = browser.get(address(workflow)).text
    links = re.findall(r'<li><a href="([^"]+)"', text)

    def step(key: str, field: str) -> str:
        return f"{reverse('workflow-step', args=['acme', workflow.pk, key])}#field-{field}"

    assert step("post", "channel") in links
    assert step("post", "credential") in links
    assert step("in", "run_if") in links
    assert reverse("workflow-trigger", args=["acme", workflow.pk, "hook"]) in links
    words = re.findall(r'<span class="st (bad|warn)">', text)
    assert words == sorted(words)
    assert "warn" in words
    assert re.search(r'<button class="b p" disabled[^>]*>Publish', text)


def test_a_refused_publish_shows_the_problems_again_and_keeps_the_note(browser: Client, actor: Actor) -> None:
    document = {
        **DOCUMENT,
        "steps": [{"key": "a", "action": "hello.world", "config": {"inputs": {"name": "{{ no }}"}}}],
    }
    workflow = services.workflow_create(actor=actor, document=document)
    answer = browser.post(address(workflow), {"note": "Try <b>it</b>"})
    assert answer.status_code == 400
    assert "1 problem to fix" in answer.text
    assert "Try &lt;b&gt;it&lt;/b&gt;</textarea>" in answer.text
    assert versions(workflow) == 0


def test_an_empty_draft_cannot_be_published_and_says_why(browser: Client, actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, name="Empty")
    assert "There is no step yet" in browser.get(address(workflow)).text
    assert browser.post(address(workflow)).status_code == 400


def test_runs_in_progress_are_told(browser: Client, workflow: Workflow, actor: Actor) -> None:
    version = services.publish(actor=actor, workflow=workflow).version
    for status, ended in (("queued", None), ("waiting", None), ("succeeded", version.created_at)):
        Run.unscoped.create(
            tenant=actor.tenant,
            workflow=workflow,
            version=version,
            trigger_type="manual",
            status=status,
            wake_at=None if ended else version.created_at,
            finished_at=ended,
        )
    assert "The 2 runs in progress finish on the version they began with" in browser.get(address(workflow)).text


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_edit_publishes_nothing(
    client: Client, workflow: Workflow, role: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(role))
    assert client.get(address(workflow)).status_code == 403
    assert client.post(address(workflow)).status_code == 403
    assert versions(workflow) == 0


def test_another_tenant_has_no_such_workflow(client: Client, workflow: Workflow, stranger: User) -> None:
    client.force_login(stranger)
    assert client.post(address(workflow)).status_code == 404
    assert client.post(reverse("workflow-publish", args=["globex", workflow.pk])).status_code == 404
    assert versions(workflow) == 0


def test_texts_are_compared_by_words_and_chips() -> None:
    bits = compared("New lead {{ steps.a.output.name }} now", "New lead {{ steps.b.output.name }} now")
    assert bits == (
        Bit(text="New lead "),
        Bit(text="name", kind="del", chip=True, source="a"),
        Bit(text="name", kind="ins", chip=True, source="b"),
        Bit(text=" now"),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "a"),
        ("a", None),
        ({"a": 1}, [1]),
        (3600.0, 60),
        ("", {}),
        ("word " * 5_000, "other " * 5_000),
        (True, False),
    ],
)
def test_values_of_any_kind_compare(before: Any, after: Any) -> None:
    bits = compared(before, after)
    assert all(bit.text for bit in bits)
    assert len("".join(bit.text for bit in bits)) < 10_000

"""Published versions: the list, one version beside the one before it, and going back to one."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_document

DOCUMENT: dict[str, Any] = {
    "name": "Leads",
    "slug": "leads",
    "triggers": [{"key": "go", "type": "manual", "config": {}}],
    "steps": [{"key": "greet", "name": "Say hello", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}],
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    """Return a workflow with two versions, the second one live, and a draft that is further on."""
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    services.publish(actor=actor, workflow=workflow, note="<i>One</i>")
    rename(actor, workflow, "Grace")
    services.publish(actor=actor, workflow=workflow, note="Two")
    rename(actor, workflow, "Katherine")
    return workflow.refresh()


def rename(actor: Actor, workflow: Workflow, name: str) -> None:
    services.step_update(actor=actor, workflow=workflow, key="greet", changes={"config": {"inputs": {"name": name}}})


def address(name: str, workflow: Workflow, *parts: int, tenant: str = "acme") -> str:
    return reverse(name, args=[tenant, workflow.pk, *parts])


def test_versions_are_listed_newest_first_with_the_live_one_marked(
    client: Client, workflow: Workflow, viewer: User
) -> None:
    client.force_login(viewer)
    text = client.get(address("workflow-versions", workflow)).text
    assert re.findall(r'class="nm num"[^>]*>([^<]+)<', text) == ["Version 2", "Version 1"]
    assert text.count("Live</span>") == 1
    assert text.index("Live</span>") < text.index("Version 1")
    assert "&lt;i&gt;One&lt;/i&gt;" in text
    assert "editor-of-acme" in text
    assert "The draft has 1 change that version 2 has not." in text
    assert "Look and publish" not in text


def test_an_unpublished_workflow_says_so(client: Client, actor: Actor, editor: User) -> None:
    client.force_login(editor)
    fresh = services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "fresh"})
    assert "No version yet" in client.get(address("workflow-versions", fresh)).text


def test_a_version_is_shown_beside_the_one_before_it(client: Client, workflow: Workflow, viewer: User) -> None:
    client.force_login(viewer)
    text = client.get(address("workflow-version", workflow, 2)).text
    assert "<del>Ada</del><ins>Grace</ins>" in text
    assert "Katherine" not in text
    assert "Restore into the draft" not in text
    first = client.get(address("workflow-version", workflow, 1)).text
    assert "There is none before it" in first
    assert "<del>" not in first


def test_restoring_makes_the_draft_what_it_was_and_publishes_nothing(
    client: Client, workflow: Workflow, editor: User
) -> None:
    client.force_login(editor)
    assert "Restore into the draft" in client.get(address("workflow-version", workflow, 1)).text
    answer = client.post(address("workflow-version-restore", workflow, 1), follow=True)
    assert "The draft is what version 1 was." in answer.text
    fresh = workflow.refresh()
    assert draft_document(fresh)["steps"][0]["config"] == {"inputs": {"name": "Ada"}}
    assert fresh.published_version is not None
    assert fresh.published_version.number == 2


def test_restoring_takes_a_post(client: Client, workflow: Workflow, editor: User) -> None:
    client.force_login(editor)
    assert client.get(address("workflow-version-restore", workflow, 1)).status_code == 405
    assert draft_document(workflow.refresh())["steps"][0]["config"] == {"inputs": {"name": "Katherine"}}


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_edit_restores_nothing(
    client: Client, workflow: Workflow, role: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(role))
    assert client.post(address("workflow-version-restore", workflow, 1)).status_code == 403
    assert draft_document(workflow.refresh())["steps"][0]["config"] == {"inputs": {"name": "Katherine"}}


@pytest.mark.parametrize("name", ["workflow-version", "workflow-version-restore"])
def test_a_version_that_is_not_there_is_a_404(client: Client, workflow: Workflow, editor: User, name: str) -> None:
    client.force_login(editor)
    for number in (0, 3, 10**30):
        assert client.post(address("workflow-version-restore", workflow, number)).status_code == 404
        assert client.get(address("workflow-version", workflow, number)).status_code == 404


def test_another_workflows_or_tenants_version_is_not_this_ones(
    client: Client, workflow: Workflow, actor: Actor, editor: User, stranger: User, other_tenant: Tenant
) -> None:
    client.force_login(editor)
    other = services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "other"})
    assert client.get(address("workflow-version", other, 1)).status_code == 404
    client.force_login(stranger)
    for name, parts in (("workflow-versions", ()), ("workflow-version", (1,))):
        assert client.get(address(name, workflow, *parts)).status_code == 404
        assert client.get(address(name, workflow, *parts, tenant=other_tenant.slug)).status_code == 404
    assert client.post(address("workflow-version-restore", workflow, 1, tenant="globex")).status_code == 404


def test_the_list_reads_no_documents_and_its_queries_do_not_grow(
    client: Client, workflow: Workflow, actor: Actor, viewer: User
) -> None:
    client.force_login(viewer)
    url = address("workflow-versions", workflow)
    client.get(url)
    with CaptureQueriesContext(
        connection,
    ) as before:
        client.get(url)
    for name in ("Mary", "Joan", "Annie"):
        rename(actor, workflow, name)
        services.publish(actor=actor, workflow=workflow)
    with CaptureQueriesContext(connection) as after:
        assert "Version 5" in client.get(url).text
    assert len(after) == len(before)


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 40, ""])
def test_a_page_that_is_none_is_the_nearest(client: Client, workflow: Workflow, viewer: User, page: str) -> None:
    client.force_login(viewer)
    assert client.get(address("workflow-versions", workflow), {"page": page}).status_code == 200

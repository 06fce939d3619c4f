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
from orchestrator.workflows.models import Workflow, WorkflowVersion
from orchestrator.workflows.selectors import draft_document
from runs import overview
from runs.models import Run

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
    assert re.findall(r'class="nm num nw"[^>]*>([^<]+)<', text) == ["Version 2", "Version 1"]
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
    assert client.post(address("workflow-version-publish", workflow, 1)).status_code == 403
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
    for name, parts in (
        ("workflow-versions", ()),
        ("workflow-version", (1,)),
        ("workflow-versions-compare", (1, 2)),
    ):
        assert client.get(address(name, workflow, *parts)).status_code == 404
        assert client.get(address(name, workflow, *parts, tenant=other_tenant.slug)).status_code == 404
    for name in ("workflow-version-restore", "workflow-version-publish"):
        for tenant in ("acme", "globex"):
            assert client.post(address(name, workflow, 1, tenant=tenant)).status_code == 404


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
    assert len(after) == len(before) <= 16


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 40, ""])
def test_a_page_that_is_none_is_the_nearest(client: Client, workflow: Workflow, viewer: User, page: str) -> None:
    client.force_login(viewer)
    assert client.get(address("workflow-versions", workflow), {"page": page}).status_code == 200


def runs_of(workflow: Workflow, number: int, *statuses: str, kind: str = "live") -> None:
    version = WorkflowVersion.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, number=number)
    for status in statuses:
        Run.unscoped.create(
            tenant=version.tenant,
            workflow=workflow,
            version=version,
            trigger_type="manual",
            kind=kind,
            status=status,
            wake_at=None,
            finished_at=version.created_at,
        )


def told(text: str) -> list[str]:
    rows = re.findall(r"<tr class=\"go\">.*?</tr>", text)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]


def test_each_version_says_how_its_runs_went(client: Client, workflow: Workflow, viewer: User) -> None:
    client.force_login(viewer)
    runs_of(workflow, 1, "failed")
    runs_of(workflow, 2, "succeeded", "succeeded", "failed", "cancelled")
    runs_of(workflow, 2, "failed", kind="test")
    rows = told(client.get(address("workflow-versions", workflow)).text)
    assert rows[0].startswith("Version 2 Live Two editor-of-acme 4 · 1 failed")
    assert rows[1].startswith("Version 1 &lt;i&gt;One&lt;/i&gt; editor-of-acme 1 · 1 failed")


def test_only_the_latest_runs_are_counted_and_it_says_so(
    client: Client, workflow: Workflow, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "VERSION_SAMPLE", 3)
    client.force_login(viewer)
    runs_of(workflow, 1, "failed", "failed")
    assert "Of the last" not in client.get(address("workflow-versions", workflow)).text
    runs_of(workflow, 2, "succeeded", "succeeded")
    text = client.get(address("workflow-versions", workflow)).text
    assert "Of the last" in text
    assert "1 · 1 failed" in told(text)[1]


def test_a_version_that_goes_or_went_back_by_itself_says_so(
    client: Client, workflow: Workflow, actor: Actor, viewer: User
) -> None:
    client.force_login(viewer)
    wanted = services.AutoReturn(failures=1, runs=5)
    version = services.publish(actor=actor, workflow=workflow, auto_return=wanted).version
    assert "Goes back if 1 of 5 runs fail" in client.get(address("workflow-versions", workflow)).text
    home = reverse("home", args=["acme"])
    assert "Went back" not in client.get(home).text
    services.version_return(version=version, failed=1, runs=2)
    assert "Went back by itself: 1 of 2 runs failed" in told(client.get(address("workflow-versions", workflow)).text)[0]
    assert "Went back by itself: 1 of 2 runs failed" in client.get(address("workflow-version", workflow, 3)).text
    text = client.get(home).text
    assert "Version 3 went back to version 2 by itself: 1 of 2 runs failed." in text
    assert address("workflow-versions-compare", workflow, 2, 3) in text
    # Until somebody publishes what mends it.
    services.publish(actor=actor, workflow=workflow)
    assert "went back to version" not in client.get(home).text


def test_any_two_versions_are_compared(client: Client, workflow: Workflow, actor: Actor, viewer: User) -> None:
    services.publish(actor=actor, workflow=workflow)
    client.force_login(viewer)
    asked = client.get(address("workflow-versions", workflow), {"from": "1", "to": "3"})
    assert asked.headers["Location"] == f"/w/acme/workflows/{workflow.pk}/versions/1...3/"
    text = client.get(asked.headers["Location"]).text
    assert "From version 1 to version 3" in text
    assert "<del>Ada</del><ins>Katherine</ins>" in text
    assert "&lt;i&gt;One&lt;/i&gt;" in text
    back = client.get(address("workflow-versions-compare", workflow, 3, 1)).text
    assert "<del>Katherine</del><ins>Ada</ins>" in back
    assert "the two are the same" in client.get(address("workflow-versions-compare", workflow, 2, 2)).text
    for one, other in ((0, 1), (1, 9), (10**30, 1)):
        assert client.get(address("workflow-versions-compare", workflow, one, other)).status_code == 404


@pytest.mark.parametrize("asked", [{"from": "x", "to": "2"}, {"from": "", "to": ""}, {"from": "-1", "to": "9" * 40}])
def test_what_cannot_be_compared_shows_the_list(
    client: Client, workflow: Workflow, viewer: User, asked: dict[str, str]
) -> None:
    client.force_login(viewer)
    assert client.get(address("workflow-versions", workflow), asked).status_code == 200


def test_a_version_is_published_again_and_the_draft_is_left_alone(
    client: Client, workflow: Workflow, editor: User
) -> None:
    client.force_login(editor)
    assert "Publish this again" in client.get(address("workflow-version", workflow, 1)).text
    assert "Publish this again" not in client.get(address("workflow-version", workflow, 2)).text
    page = client.post(address("workflow-version-publish", workflow, 1), follow=True)
    assert "Version 3 is live." in page.text
    fresh = workflow.refresh()
    assert fresh.published_version is not None
    assert fresh.published_version.definition["steps"][0]["config"]["inputs"] == {"name": "Ada"}
    assert draft_document(fresh)["steps"][0]["config"] == {"inputs": {"name": "Katherine"}}
    assert "Version 1 again" in client.get(address("workflow-versions", workflow)).text


def test_what_cannot_be_published_again_says_why(client: Client, workflow: Workflow, editor: User) -> None:
    client.force_login(editor)
    old = WorkflowVersion.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, number=1)
    old.definition["steps"][0]["action"] = "gone.away"
    WorkflowVersion.unscoped.filter(pk=old.pk).update(definition=old.definition)
    page = client.post(address("workflow-version-publish", workflow, 1), follow=True)
    assert "gone.away is not registered" in page.text
    assert workflow.refresh().published_version_id == workflow.published_version_id


def test_restoring_can_be_undone(client: Client, workflow: Workflow, editor: User) -> None:
    client.force_login(editor)
    page = client.post(address("workflow-version-restore", workflow, 1), follow=True)
    assert "Undo brings back what it had" in page.text
    client.post(reverse("workflow-undo", args=["acme", workflow.pk]))
    assert draft_document(workflow.refresh())["steps"][0]["config"] == {"inputs": {"name": "Katherine"}}

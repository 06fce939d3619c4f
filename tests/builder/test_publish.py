"""The publish page: what will change, what stands in the way and where to put it right."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from tests.builder.ground import DOCUMENT, address, change, field, plain, put_attempt, put_run


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


def versions(workflow: Workflow) -> int:
    rows = WorkflowVersion.objects.for_tenant(workflow.tenant_id)
    return rows.filter(workflow=workflow, number__isnull=False).count()


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
    assert '<span class="tok"><i>1</i>name</span>' in text
    assert "3 Call them new HTTP · Send a request · 1 field set URL https://a.b" in said
    assert "Keep it removed was step 3" in said
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
    assert re.search(r'<button class="b p"[^>]* disabled[^>]*>Publish', text)


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
    first = services.publish(actor=actor, workflow=workflow).version
    assert "in progress" not in browser.get(address(workflow)).text
    put_run(first, "queued", wake_at=None)
    for status in ("succeeded", "failed", "cancelled"):
        put_run(first, status)
    assert "The run in progress finishes on version 1." in browser.get(address(workflow)).text
    for status in ("queued", "running", "waiting"):
        put_run(first, status)
    put_run(first, "waiting", wake_at=None)
    put_run(first, "queued", kind="test")
    assert "The 5 runs in progress finish on version 1." in browser.get(address(workflow)).text
    second = services.publish(actor=actor, workflow=workflow).version
    put_run(second, "running")
    assert (
        "The 6 runs in progress finish on the versions they began with: 5 on version 1, 1 on version 2."
        in browser.get(address(workflow)).text
    )


def test_a_stale_page_publishes_nothing_and_says_what_changed(
    browser: Client, workflow: Workflow, actor: Actor, owner: User
) -> None:
    change(actor, workflow, "Ada")
    text = browser.get(address(workflow)).text
    seen = {name: field(text, name) for name in ("seen", "state")}
    change(actor_for_user(owner, "acme"), workflow, "<b>Grace</b>")
    answer = browser.post(address(workflow), {**seen, "note": "Mine"})
    assert answer.status_code == 409
    assert "Not published: owner-of-acme changed the draft while this page was open" in plain(answer.text)
    assert re.search(r"<del>Ada</del><ins>&lt;b&gt;Grace&lt;/b&gt;</ins>", answer.text)
    assert "Mine</textarea>" in answer.text
    assert versions(workflow) == 0
    # The page that was answered has been seen: it publishes.
    again = {name: field(answer.text, name) for name in ("seen", "state")}
    assert browser.post(address(workflow), again).status_code == 302


def test_more_of_the_same_change_is_told_in_words(browser: Client, workflow: Workflow, actor: Actor) -> None:
    change(actor, workflow, "Ada")
    text = browser.get(address(workflow)).text
    change(actor, workflow, "Grace")
    answer = browser.post(address(workflow), {name: field(text, name) for name in ("seen", "state")})
    assert answer.status_code == 409
    assert "The last change: the step “greet” changed." in plain(answer.text)


def test_a_form_that_is_sent_twice_publishes_once(browser: Client, workflow: Workflow) -> None:
    text = browser.get(address(workflow)).text
    sent = {name: field(text, name) for name in ("seen", "state", "number")}
    assert [browser.post(address(workflow), sent).status_code for _ in range(3)] == [302] * 3
    assert versions(workflow) == 1


def test_a_publish_that_somebody_else_made_meanwhile_is_told(browser: Client, workflow: Workflow, owner: User) -> None:
    text = browser.get(address(workflow)).text
    services.publish(actor=actor_for_user(owner, "acme"), workflow=workflow)
    answer = browser.post(address(workflow), {name: field(text, name) for name in ("seen", "state", "number")})
    assert answer.status_code == 409
    said = plain(answer.text)
    assert "Not published: version 1 was published while this page was open" in said
    assert "By owner-of-acme." in said
    # What is answered takes no Enter that was meant for the page before.
    assert "autofocus" not in answer.text
    assert versions(workflow) == 1


def test_a_save_that_changed_nothing_makes_no_page_stale(browser: Client, workflow: Workflow, actor: Actor) -> None:
    change(actor, workflow, "Ada")
    text = browser.get(address(workflow)).text
    change(actor, workflow, "Ada")
    answer = browser.post(address(workflow), {name: field(text, name) for name in ("seen", "state")})
    assert answer.status_code == 302


@pytest.mark.parametrize(
    "garbage",
    [
        {"state": "x", "note": "a"},
        {"number": "x"},
        {"number": "9" * 40, "seen": ""},
        {"state": "9" * 40, "seen": "\x00"},
        {"goes_back": "on", "failures": "", "runs": "-1"},
        {"goes_back": "on", "failures": "٣", "runs": "1e3"},
        {"goes_back": "on", "failures": "9" * 50, "runs": "<b>"},
    ],
)
def test_garbage_in_the_form_is_never_an_error_of_ours(
    browser: Client, workflow: Workflow, actor: Actor, garbage: dict[str, str]
) -> None:
    services.publish(actor=actor, workflow=workflow)
    assert browser.post(address(workflow), garbage).status_code in (302, 400, 409)


def test_a_publish_may_go_back_by_itself(browser: Client, workflow: Workflow, actor: Actor) -> None:
    assert "goes_back" not in browser.get(address(workflow)).text
    services.publish(actor=actor, workflow=workflow)
    text = browser.get(address(workflow)).text
    assert "Go back to version 1 by itself if" in text
    assert 'name="goes_back" checked' not in text
    refused = browser.post(address(workflow), {"goes_back": "on", "failures": "9", "runs": "5"})
    assert refused.status_code == 400
    assert "no more than the runs that are watched" in refused.text
    assert 'name="goes_back" checked' in refused.text
    assert browser.post(address(workflow), {"goes_back": "on", "failures": "2", "runs": "5"}).status_code == 302
    made = WorkflowVersion.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, number=2)
    assert (made.watched, made.return_failures, made.return_runs) == (True, 2, 5)


def test_the_builder_says_what_is_live_and_undoes_it(browser: Client, workflow: Workflow, actor: Actor) -> None:
    services.publish(actor=actor, workflow=workflow)
    change(actor, workflow, "Ada")
    page = browser.post(address(workflow), {}, follow=True)
    assert "Version 2 is live." in plain(page.text)
    assert f'href="/w/acme/runs/?workflow={workflow.pk}">View runs' in page.text
    undo = reverse("workflow-publish-undo", args=["acme", workflow.pk])
    assert browser.get(undo).status_code == 405
    after = browser.post(undo, {"number": field(page.text, "number")}, follow=True)
    assert "Version 1 is live again. The draft is as you left it." in plain(after.text)
    for number in ("2", "x", "", "9" * 50):
        again = browser.post(undo, {"number": number}, follow=True)
        assert "is not live any more" in plain(again.text)


def test_only_who_published_sees_the_undo_and_only_for_a_while(
    client: Client, browser: Client, workflow: Workflow, actor: Actor, owner: User
) -> None:
    services.publish(actor=actor, workflow=workflow)
    builder = reverse("workflow", args=["acme", workflow.pk])
    undo = reverse("workflow-publish-undo", args=["acme", workflow.pk])
    assert undo in browser.get(builder, follow=True).text
    made = timezone.now() - timedelta(seconds=31)
    WorkflowVersion.unscoped.filter(workflow=workflow).update(created_at=made)
    assert undo not in browser.get(builder, follow=True).text
    WorkflowVersion.unscoped.filter(workflow=workflow).update(created_at=timezone.now())
    client.force_login(owner)
    assert undo not in client.get(builder, follow=True).text


def test_a_credential_that_no_longer_works_stands_in_the_way(browser: Client, actor: Actor) -> None:
    secret = {"token": "a-token-of-this-test"}
    credential = vault.credential_create(
        actor=actor, name="team", provider="slack", auth_type="bearer_token", secret=secret
    )
    steps = [
        {"key": "a", "action": "slack.sendMessage", "credential": "team",
         "config": {"inputs": {"channel": "#a", "text": "b"}}}
    ]  # fmt: skip
    workflow = services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "chat", "steps": steps})
    assert "no longer works" not in browser.get(address(workflow)).text
    Credential.objects.for_tenant(actor.tenant).filter(pk=credential.pk).update(
        expires_at=timezone.now() - timedelta(seconds=1)
    )
    answer = browser.post(address(workflow))
    assert answer.status_code == 400
    assert "no longer works" in answer.text
    assert f"{reverse('workflow-step', args=['acme', workflow.pk, 'a'])}#field-credential" in answer.text


def test_the_page_stays_light_whatever_a_draft_holds(browser: Client, actor: Actor) -> None:
    def steps(text: str) -> list[dict[str, Any]]:
        many = " ".join(f"{text} {{{{ trigger.body.x{n} }}}} <b>" for n in range(60))
        inputs = {"url": many, "headers": {f"h{n}": f"{text}{n}" for n in range(20)}, "body": f"{many}\n{text}\n{many}"}
        return [
            {"key": f"s{n}", "name": f"<i>{text * 40}</i>", "action": "http.request", "credential": "none",
             "config": {"inputs": {**inputs, "wrong": 1}}}
            for n in range(150)
        ]  # fmt: skip

    workflow = services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "large", "steps": steps("old")})
    old = services.draft_snapshot(actor=actor, workflow=workflow)
    WorkflowVersion.unscoped.filter(pk=old.pk).update(number=1)
    Workflow.unscoped.filter(pk=workflow.pk).update(published_version=old)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"steps": steps("new")[:140]})
    page = browser.get(address(workflow))
    assert "… and" in page.text
    assert "<i>old" not in page.text
    assert page.text.count("<") / 2 < 3_000
    assert len(gzip.compress(page.content)) <= 25 * 1024


def test_the_page_takes_the_same_queries_however_much_it_shows(
    browser: Client, workflow: Workflow, actor: Actor
) -> None:
    first = services.publish(actor=actor, workflow=workflow).version
    tested = services.draft_snapshot(actor=actor, workflow=workflow)
    put_attempt(tested, "failed")
    change(actor, workflow, "Ada")
    browser.get(address(workflow))
    with CaptureQueriesContext(connection) as few:
        browser.get(address(workflow))
    steps = [*DOCUMENT["steps"], *({**DOCUMENT["steps"][1], "key": f"s{n}"} for n in range(50))]
    services.workflow_patch(actor=actor, workflow=workflow, changes={"steps": steps})
    for _ in range(5):
        put_run(first, "running")
        put_attempt(tested, "failed")
    with CaptureQueriesContext(connection) as many:
        browser.get(address(workflow))
    assert len(many) == len(few) <= 24


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_edit_publishes_nothing(
    client: Client, workflow: Workflow, role: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(role))
    assert client.get(address(workflow)).status_code == 403
    assert client.post(address(workflow)).status_code == 403
    assert client.post(reverse("workflow-publish-undo", args=["acme", workflow.pk])).status_code == 403
    assert versions(workflow) == 0


def test_another_tenant_has_no_such_workflow(client: Client, workflow: Workflow, stranger: User) -> None:
    client.force_login(stranger)
    assert client.post(address(workflow)).status_code == 404
    for name in ("workflow-publish", "workflow-publish-undo"):
        for tenant in ("acme", "globex"):
            assert client.post(reverse(name, args=[tenant, workflow.pk])).status_code == 404
    assert versions(workflow) == 0

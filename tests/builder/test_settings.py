"""A workflow's settings: its name and limits, on and off, and deleting it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from orchestrator.workflows.selectors import draft_definition
from runs.models import Run

DOCUMENT: dict[str, Any] = {
    "name": "Leads",
    "slug": "leads",
    "description": "For sales",
    "triggers": [{"key": "go", "type": "manual", "config": {}}],
    "steps": [{"key": "greet", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}],
    "settings": {"timeout": 600, "max_concurrent_runs": 3},
}
POSTED = {
    "do": "save", "name": "Leads", "slug": "leads", "description": "For sales", "timeout": "600", "retention_days": "",
}  # fmt: skip


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


def address(workflow: Workflow, tenant: str = "acme") -> str:
    return reverse("workflow-settings", args=[tenant, workflow.pk])


def exists(workflow: Workflow) -> bool:
    return Workflow.unscoped.filter(pk=workflow.pk).exists()


def test_what_is_saved_is_in_the_draft_and_the_rest_of_it_stays(browser: Client, workflow: Workflow) -> None:
    text = browser.get(address(workflow)).text
    assert 'value="600"' in text
    changed = {
        "name": "New leads ",
        "slug": "new-leads",
        "description": "a\r\nb\x00",
        "timeout": "90.5",
        "retention_days": "30",
    }
    answer = browser.post(address(workflow), {"do": "save", "retention_days": "30", **changed}, follow=True)
    assert "Saved." in answer.text
    saved = draft_definition(workflow.refresh())
    assert (saved.name, saved.slug, saved.description) == ("New leads", "new-leads", "a\nb")
    assert saved.settings.model_dump() == {
        "timeout": 90.5, "max_concurrent_runs": 3, "on_limit": "queue", "error_workflow": None, "retention_days": 30
    }  # fmt: skip
    assert [step.key for step in saved.steps] == ["greet"]


def test_an_empty_limit_is_none(browser: Client, workflow: Workflow) -> None:
    browser.post(address(workflow), {**POSTED, "timeout": ""})
    assert draft_definition(workflow.refresh()).settings.timeout is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("summary", "no path"), ("summary", "trigger"), ("summary", "vars.key"), ("summary", "steps.gone.output"),
        ("summary", "trigger.bodi.name"), ("summary", "steps.greet.error"), ("summary", "a\nb\nc\nd"),
        ("summary", "trigger.body." + "x" * 200), ("summary", "{{ trigger.body.a }} and {{ trigger.body.b }}"),
        ("name", ""), ("name", "   "), ("name", "x" * 201), ("slug", ""), ("slug", "Not A Slug"), ("slug", "../x"),
        ("timeout", "soon"), ("timeout", "0"), ("timeout", "-1"), ("timeout", "nan"), ("timeout", "inf"),
        ("timeout", "1e400"), ("timeout", "99999999"), ("retention_days", "1.5"), ("retention_days", "0"),
        ("retention_days", "1e999"), ("max_concurrent_runs", "0"), ("max_concurrent_runs", "2.5"),
        ("description", "x" * 10_001),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_its_field_and_kept_as_typed(
    browser: Client, workflow: Workflow, field: str, value: str
) -> None:
    answer = browser.post(address(workflow), {**POSTED, field: value})
    assert answer.status_code == 422
    assert f'href="#set-{field}"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    if 0 < len(value) < 300:
        assert f'value="{value}"' in answer.text or f">{value}</textarea>" in answer.text
    assert draft_definition(workflow.refresh()).settings.timeout == 600
    assert workflow.refresh().slug == "leads"


def test_runs_at_once_and_the_workflow_for_failures_are_chosen(
    browser: Client, workflow: Workflow, actor: Actor, viewer: User
) -> None:
    services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "alarm", "name": "Sound <the> alarm"})
    text = browser.get(address(workflow)).text
    assert '<option value="queue" selected>The new run waits for its turn</option>' in text
    assert '<option value="alarm">Sound &lt;the&gt; alarm</option>' in text
    assert '<option value="leads"' not in text
    chosen = {"max_concurrent_runs": "1", "on_limit": "cancel_older", "error_workflow": "alarm"}
    browser.post(address(workflow), {**POSTED, **chosen})
    saved = draft_definition(workflow.refresh()).settings
    assert (saved.max_concurrent_runs, saved.on_limit, saved.error_workflow) == (1, "cancel_older", "alarm")
    reader = Client()
    reader.force_login(viewer)
    assert "The oldest run is stopped, and the new one starts" in reader.get(address(workflow)).text
    browser.post(address(workflow), {**POSTED, "on_limit": "skip", "error_workflow": ""})
    saved = draft_definition(workflow.refresh()).settings
    assert (saved.on_limit, saved.error_workflow) == ("skip", None)


@pytest.mark.parametrize(("field", "value"), [("on_limit", ""), ("on_limit", "panic"), ("error_workflow", "nobody")])
def test_what_is_not_offered_is_refused(browser: Client, workflow: Workflow, field: str, value: str) -> None:
    answer = browser.post(address(workflow), {**POSTED, field: value})
    assert answer.status_code == 422
    assert f'href="#set-{field}"' in answer.text
    assert draft_definition(workflow.refresh()).settings.on_limit == "queue"


def test_a_workflow_for_failures_that_is_gone_is_seen_and_stays(browser: Client, actor: Actor) -> None:
    document = {**DOCUMENT, "slug": "orphan", "settings": {"error_workflow": "gone"}}
    orphan = services.workflow_create(actor=actor, document=document)
    assert '<option value="gone" selected>gone (does not exist)</option>' in browser.get(address(orphan)).text
    browser.post(address(orphan), {**POSTED, "slug": "orphan", "error_workflow": "gone"})
    assert draft_definition(orphan.refresh()).settings.error_workflow == "gone"


def test_a_slug_that_is_taken_is_refused(browser: Client, workflow: Workflow, actor: Actor) -> None:
    services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "other"})
    answer = browser.post(address(workflow), {**POSTED, "slug": "other"})
    assert answer.status_code == 422
    assert "Another workflow of this tenant has the slug" in answer.text


def test_it_is_switched_off_and_on(browser: Client, workflow: Workflow, actor: Actor) -> None:
    services.publish(actor=actor, workflow=workflow)
    assert "Switch it off" in browser.get(address(workflow)).text
    assert "It is off" in browser.post(address(workflow), {"do": "off"}, follow=True).text
    assert not workflow.refresh().enabled
    assert "It is on" in browser.post(address(workflow), {"do": "on"}, follow=True).text
    assert workflow.refresh().enabled


def test_an_unpublished_one_cannot_be_switched_on(browser: Client, workflow: Workflow) -> None:
    assert "Switch it" not in browser.get(address(workflow)).text
    assert "no published version yet" in browser.post(address(workflow), {"do": "on"}, follow=True).text
    assert not workflow.refresh().enabled


@pytest.mark.parametrize("typed", ["", "Leads", "lead", "leads2"])
def test_deleting_takes_the_name_typed_in(browser: Client, workflow: Workflow, typed: str) -> None:
    answer = browser.post(address(workflow), {"do": "delete", "confirm": typed})
    assert answer.status_code == 422
    assert "It was not deleted." in answer.text
    assert exists(workflow)


def test_deleting_takes_versions_and_runs_along(browser: Client, workflow: Workflow, actor: Actor) -> None:
    version = services.publish(actor=actor, workflow=workflow).version
    Run.unscoped.create(
        tenant=actor.tenant,
        workflow=workflow,
        version=version,
        trigger_type="manual",
        status="succeeded",
        wake_at=None,
        finished_at=version.created_at,
    )
    answer = browser.post(address(workflow), {"do": "delete", "confirm": " leads "}, follow=True)
    assert answer.redirect_chain == [(reverse("workflow-list", args=["acme"]), 302)]
    assert "Deleted “Leads” with its versions and runs." in answer.text
    assert not exists(workflow)
    assert not WorkflowVersion.unscoped.filter(pk=version.pk).exists()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_edit_reads_and_changes_nothing(
    client: Client, workflow: Workflow, role: str, request: pytest.FixtureRequest
) -> None:
    client.force_login(request.getfixturevalue(role))
    text = client.get(address(workflow)).text
    assert "For sales" in text
    assert "<textarea" not in text
    assert "Delete this workflow" not in text
    for data in ({**POSTED, "name": "Other"}, {"do": "on"}, {"do": "off"}, {"do": "delete", "confirm": "leads"}, {}):
        assert client.post(address(workflow), data).status_code == 403
    assert workflow.refresh().name == "Leads"


def test_another_tenant_has_no_such_workflow(client: Client, workflow: Workflow, stranger: User) -> None:
    client.force_login(stranger)
    for tenant in ("acme", "globex"):
        assert client.get(address(workflow, tenant)).status_code == 404
        assert client.post(address(workflow, tenant), {"do": "delete", "confirm": "leads"}).status_code == 404
    assert exists(workflow)


def test_an_empty_post_changes_nothing(browser: Client, workflow: Workflow) -> None:
    before = draft_definition(workflow)
    assert browser.post(address(workflow), {}).status_code == 302
    assert draft_definition(workflow.refresh()) == before


def test_the_data_in_the_list_of_runs_is_chosen(browser: Client, workflow: Workflow, viewer: User) -> None:
    typed = " {{ trigger.body.email }}\r\n\r\nsteps.greet.output.greeting\ntrigger.body.email"
    assert browser.post(address(workflow), {**POSTED, "summary": typed}).status_code == 302
    paths = ["trigger.body.email", "steps.greet.output.greeting"]
    assert workflow.refresh().settings["summary"] == paths
    assert "\n".join(paths) + "</textarea>" in browser.get(address(workflow)).text
    browser.post(address(workflow), POSTED)
    assert workflow.refresh().settings["summary"] == paths, "a form without the field says nothing of it"
    browser.force_login(viewer)
    assert "trigger.body.email<br>steps.greet.output.greeting" in browser.get(address(workflow)).text


def test_a_workflow_without_a_summary_is_the_document_that_it_was(browser: Client, workflow: Workflow) -> None:
    before = draft_definition(workflow.refresh()).checksum()
    browser.post(address(workflow), {**POSTED, "summary": "trigger.body"})
    assert draft_definition(workflow.refresh()).checksum() != before
    browser.post(address(workflow), {**POSTED, "summary": ""})
    settings = draft_definition(workflow.refresh()).as_document()["settings"]
    assert "summary" not in settings
    assert draft_definition(workflow.refresh()).checksum() == before


def test_a_path_to_a_step_that_is_gone_is_a_warning_of_a_publish(
    browser: Client, workflow: Workflow, actor: Actor
) -> None:
    browser.post(address(workflow), {**POSTED, "summary": "steps.greet.output.greeting\ntrigger.body"})
    steps = [{"key": "other", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}]
    services.workflow_patch(actor=actor, workflow=workflow.refresh(), changes={"steps": steps})
    (problem,) = services.publish(actor=actor, workflow=workflow.refresh()).warnings
    assert (problem.path, problem.severity) == ("settings.summary", "warning")
    assert "steps.greet does not exist" in problem.message


@pytest.mark.parametrize(
    ("number", "unit", "minutes"),
    [("30", "minutes", 30), ("26", "hours", 1_560), ("2", "days", 2_880), ("", "hours", None), (" 5 ", "minutes", 5)],
)
def test_how_long_silence_may_last_is_kept_in_minutes_and_shown_as_entered(
    browser: Client, workflow: Workflow, number: str, unit: str, minutes: int | None
) -> None:
    posted = {**POSTED, "silent_after": number, "silent_unit": unit}
    assert browser.post(address(workflow), posted).status_code == 302
    settings = workflow.refresh().settings
    assert settings.get("silent_after") == minutes
    text = browser.get(address(workflow)).text
    if minutes is not None:
        assert f'name="silent_after" value="{number.strip()}"' in text
        assert f'<option value="{unit}" selected>' in text
    assert browser.post(address(workflow), POSTED).status_code == 302
    assert workflow.refresh().settings == settings, "a form without the field says nothing of it"


@pytest.mark.parametrize(
    ("number", "unit"),
    [
        ("4", "minutes"), ("367", "days"), ("1.5", "hours"), ("-1", "days"), ("٣", "hours"), ("soon", "hours"),
        ("9" * 40, "days"), ("1", "weeks"),
    ],
)  # fmt: skip
def test_a_silence_that_is_no_time_is_refused(browser: Client, workflow: Workflow, number: str, unit: str) -> None:
    answer = browser.post(address(workflow), {**POSTED, "silent_after": number, "silent_unit": unit})
    assert answer.status_code == 422
    assert "at least 5 minutes" in answer.text
    assert "silent_after" not in workflow.refresh().settings


def test_a_document_without_a_silence_is_what_it_was() -> None:
    from orchestrator.flow.definition import WorkflowDefinition

    plain = WorkflowDefinition.model_validate({"name": "A", "slug": "a"})
    assert "silent_after" not in plain.as_document()["settings"]
    given = WorkflowDefinition.model_validate({"name": "A", "slug": "a", "settings": {"silent_after": 60}})
    assert given.as_document()["settings"]["silent_after"] == 60

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from orchestrator.tenants.models import AuditEvent
from orchestrator.workflows import services
from orchestrator.workflows.drafts import draft_document
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run
from tests.admin.conftest import World, sent, url

NO_TRIGGERS = {"triggers-TOTAL_FORMS": "0", "triggers-INITIAL_FORMS": "0"}


def events(world: World) -> list[str]:
    rows = AuditEvent.objects.for_tenant(world.tenant).filter(target_type="workflow").order_by("id")
    return list(rows.values_list("action", flat=True))


def steps(world: World) -> list[dict]:
    return draft_document(world.workflow.refresh())["steps"]


def test_a_page_sent_back_as_it_is_changes_nothing(staff: Client, ours: World) -> None:
    before, audited = draft_document(ours.workflow.refresh()), events(ours)
    data = sent(staff.get(url(ours.workflow, "change")))
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    assert draft_document(ours.workflow.refresh()) == before
    assert ours.workflow.revision == 1
    assert events(ours) == audited


def test_a_step_changed_in_its_row_is_saved_by_the_services(staff: Client, ours: World) -> None:
    data = sent(staff.get(url(ours.workflow, "change")))
    data["steps-0-name"] = "Set it"
    data["steps-0-config"] = '{"inputs": {"values": {"a": 2}}}'
    data["steps-1-credential"] = ""
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    first, second = steps(ours)
    assert (first["name"], first["config"]) == ("Set it", {"inputs": {"values": {"a": 2}}})
    assert "credential" not in second
    assert ours.workflow.revision == 2
    event = AuditEvent.objects.for_tenant(ours.tenant).latest("pk")
    assert (event.action, event.actor_label, event.detail) == (
        "workflow.changed",
        "staff-admin-acme",
        {"changed": ["steps"]},
    )


def test_steps_are_added_moved_and_removed(staff: Client, ours: World) -> None:
    data = sent(staff.get(url(ours.workflow, "change")))
    new = {"key": "check", "action": "flow.if", "order": "0.5", "config": '{"inputs": {"condition": "{{ true }}"}}'}
    data |= {f"steps-2-{name}": value for name, value in new.items()}
    data |= {"steps-0-inside": "check.then", "steps-1-DELETE": "on"}
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    (check,) = steps(ours)
    assert check["key"] == "check"
    assert [step["key"] for step in check["lanes"]["then"]] == ["first"]
    # Removing the holder removes what it holds.
    data = sent(staff.get(url(ours.workflow, "change")))
    assert data["steps-1-inside"] == "check.then"
    data["steps-0-DELETE"] = "on"
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    assert steps(ours) == []


def test_a_holder_that_gets_another_key_keeps_what_it_holds(staff: Client, ours: World) -> None:
    document = {"steps": [{"key": "a", "action": "flow.if", "lanes": {"then": [{"key": "b", "action": "x.y"}]}}]}
    services.workflow_patch(actor=ours.actor, workflow=ours.workflow, changes=document)
    data = sent(staff.get(url(ours.workflow, "change")))
    data["steps-0-key"] = "renamed"
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    (holder,) = steps(ours)
    assert (holder["key"], holder["lanes"]["then"][0]["key"]) == ("renamed", "b")


def test_lanes_stay_as_they_are_empty_ones_too(staff: Client, ours: World) -> None:
    leaf = {"key": "b", "action": "x.y"}
    lanes = {
        "gold": [leaf],
        "silver": [],
        "default": [{"key": "each", "action": "flow.foreach", "lanes": {"body": []}}],
    }
    document = {"steps": [{"key": "plan", "action": "flow.switch", "lanes": lanes}]}
    services.workflow_patch(actor=ours.actor, workflow=ours.workflow, changes=document)
    data = sent(staff.get(url(ours.workflow, "change")))
    assert (data["steps-1-inside"], data["steps-2-inside"]) == ("plan.gold", "plan.default")
    data |= {"steps-1-name": "Renamed", "steps-1-inside": "each.body"}
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    (plan,) = steps(ours)
    assert list(plan["lanes"]) == ["gold", "silver", "default"]
    (each,) = plan["lanes"]["default"]
    assert [(step["key"], step["name"]) for step in each["lanes"]["body"]] == [("b", "Renamed")]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("steps-0-inside", "first.then", "names no step and lane"),
        ("steps-0-inside", "nowhere.then", "names no step and lane"),
        ("steps-0-inside", "call", "names no step and lane"),
        ("steps-0-key", "call", "Another one has this key"),
        ("steps-0-key", "Not A Key", "steps[0].key"),
        ("steps-0-action", "", "Choose an action"),
        ("steps-0-config", "[1]", "Write a JSON object"),
        ("steps-0-config", '{"retries": 3}', "steps[0].config.retries"),
        ("steps-0-config", '{"inputs": NaN}', "NaN is not JSON"),
        ("steps-0-order", "nan", "Enter a number"),
        ("slug", "Not a slug", "should match pattern"),
        ("settings", '{"timeout": -1}', "timeout"),
    ],
)
def test_what_is_refused_is_an_error_of_the_form_and_what_was_sent_stays(
    staff: Client, ours: World, field: str, value: str, message: str
) -> None:
    before = draft_document(ours.workflow.refresh())
    data = sent(staff.get(url(ours.workflow, "change"))) | {"description": "kept words", field: value}
    response = staff.post(url(ours.workflow, "change"), data)
    assert response.status_code == 200
    text = response.content.decode()
    assert message in text
    assert "kept words" in text
    assert draft_document(ours.workflow.refresh()) == before


def test_two_people_who_change_a_draft_at_once_are_told(staff: Client, ours: World) -> None:
    data = sent(staff.get(url(ours.workflow, "change")))
    services.workflow_patch(actor=ours.actor, workflow=ours.workflow, changes={"name": "Theirs"})
    response = staff.post(url(ours.workflow, "change"), {**data, "name": "Mine"})
    assert "Somebody changed this workflow meanwhile" in response.content.decode()
    assert ours.workflow.refresh().name == "Theirs"


def test_actions_are_chosen_by_provider_and_an_unknown_key_stays(staff: Client, ours: World) -> None:
    data = sent(staff.get(url(ours.workflow, "change")))
    data |= {"steps-0-action": "", "steps-0-other_action": "acme.doThing"}
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    page = staff.get(url(ours.workflow, "change"))
    assert '<optgroup label="Slack">' in page.content.decode()
    assert '<option value="acme.doThing" selected>' in page.content.decode()
    staff.post(url(ours.workflow, "change"), {**sent(page), "name": "Renamed"})
    assert steps(ours)[0]["action"] == "acme.doThing"


def test_a_credential_that_is_missing_keeps_its_name(staff: Client, ours: World) -> None:
    document = {"steps": [{"key": "a", "action": "http.request", "credential": "gone"}]}
    services.workflow_patch(actor=ours.actor, workflow=ours.workflow, changes=document)
    data = sent(staff.get(url(ours.workflow, "change"))) | {"steps-0-name": "Changed"}
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    assert steps(ours)[0]["credential"] == "gone"


def test_triggers_are_changed_beside_the_steps(staff: Client, ours: World) -> None:
    data = sent(staff.get(url(ours.workflow, "change")))
    data |= {"triggers-1-key": "nightly", "triggers-1-type": "schedule", "triggers-1-config": '{"cron": "0 3 * * *"}'}
    assert staff.post(url(ours.workflow, "change"), data).status_code == 302
    assert [row["key"] for row in draft_document(ours.workflow.refresh())["triggers"]] == ["hook", "nightly"]


def test_a_workflow_is_made_with_its_steps(staff: Client, ours: World) -> None:
    data = {"tenant": ours.tenant.pk, "name": "Brand new", "settings": "", "output": '"{{ steps.a.output }}"'}
    data |= {"steps-TOTAL_FORMS": "1", "steps-INITIAL_FORMS": "0", **NO_TRIGGERS}
    data |= {"steps-0-key": "a", "steps-0-action": "data.set", "steps-0-config": '{"inputs": {"values": {}}}'}
    response = staff.post(url(ours.workflow, "add"), data, follow=True)
    made = Workflow.objects.for_tenant(ours.tenant).get(name="Brand new")
    assert (made.slug, made.output) == ("brand-new", "{{ steps.a.output }}")
    assert [step.key for step in made.steps.all()] == ["a"]
    assert f"/admin/workflows/workflow/{made.pk}/change/" in response.content.decode()


def test_publish_makes_a_version_and_says_what_is_wrong(staff: Client, ours: World) -> None:
    response = staff.post(url(ours.workflow, "do", "publish"), follow=True)
    assert "Published as version 2." in response.content.decode()
    services.workflow_patch(
        actor=ours.actor, workflow=ours.workflow, changes={"steps": [{"key": "a", "action": "data.set"}]}
    )
    response = staff.post(url(ours.workflow, "do", "publish"), follow=True)
    assert "steps[0].config.inputs.values" in response.content.decode()
    assert WorkflowVersion.objects.for_tenant(ours.tenant).filter(number__isnull=False).count() == 2
    assert events(ours).count("workflow.published") == 2


def test_run_now_queues_a_run(staff: Client, ours: World) -> None:
    response = staff.post(url(ours.workflow, "do", "run-now"))
    run = Run.objects.for_tenant(ours.tenant).latest("pk")
    assert run.pk != ours.run.pk
    assert response.headers["Location"] == url(run, "change")
    assert (run.status, run.started_by.username if run.started_by else "") == ("queued", "staff-admin-acme")


def test_actions_of_the_list_publish_and_run_several(staff: Client, ours: World) -> None:
    other = services.workflow_create(
        actor=ours.actor,
        document={
            "name": "Never published",
            "steps": [{"key": "a", "action": "data.set", "config": {"inputs": {"values": {}}}}],
        },
    )
    chosen = {"_selected_action": [str(ours.workflow.pk), str(other.pk)]}
    response = staff.post(url(ours.workflow), {"action": "run-now", **chosen}, follow=True)
    text = response.content.decode()
    assert "Run now: done for 1." in text
    assert "Never published: This workflow is not published yet" in text
    response = staff.post(url(ours.workflow), {"action": "publish", **chosen}, follow=True)
    assert "Publish: done for 2." in response.content.decode()


def test_switching_off_and_on(staff: Client, ours: World) -> None:
    staff.post(url(ours.workflow, "do", "disable"))
    assert not ours.workflow.refresh().enabled
    staff.post(url(ours.workflow, "do", "enable"))
    assert ours.workflow.refresh().enabled


def test_a_button_works_by_post_alone(staff: Client, ours: World) -> None:
    assert staff.get(url(ours.workflow, "do", "run-now")).status_code == 403
    forged = Client(enforce_csrf_checks=True)
    forged.cookies = staff.cookies
    assert forged.post(url(ours.workflow, "do", "run-now")).status_code == 403
    assert Run.objects.for_tenant(ours.tenant).count() == 1


def test_a_workflow_is_deleted_by_the_service(staff: Client, ours: World) -> None:
    assert staff.post(url(ours.workflow, "delete"), {"post": "yes"}).status_code == 302
    assert not Workflow.objects.for_tenant(ours.tenant).exists()
    assert events(ours)[-1] == "workflow.deleted"


def test_a_version_shows_its_document_and_takes_no_change(staff: Client, ours: World) -> None:
    page = staff.get(url(ours.version, "change")).content.decode()
    assert "https://api.example.com" in page
    assert 'name="_save"' not in page
    assert staff.post(url(ours.version, "change"), {"note": "x"}).status_code == 403


def test_a_version_says_whether_it_goes_back_by_itself(staff: Client, ours: World) -> None:
    page = staff.get(url(ours.version, "change")).content.decode()
    assert "Goes back by itself" in page
    assert "failures in" not in page
    type(ours.version).unscoped.filter(pk=ours.version.pk).update(
        return_failures=2, return_runs=7, returned_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    )
    page = staff.get(url(ours.version, "change")).content.decode()
    assert "2 failures in 7 runs: returned (2026-01-02 03:04 UTC)" in page


def test_a_long_draft_is_shown_and_not_changed_here(
    staff: Client, ours: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.workflows.admin.MAX_STEPS_HERE", 1)
    page = staff.get(url(ours.workflow, "change"))
    assert "steps-0-key" not in page.content.decode()
    data = {name: value for name, value in sent(page).items() if not name.startswith("steps-0")}
    assert staff.post(url(ours.workflow, "change"), {**data, "name": "Long"}).status_code == 302
    assert ours.workflow.refresh().name == "Long"
    assert [step["key"] for step in steps(ours)] == ["first", "call"]

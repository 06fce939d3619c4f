"""What is seen becomes few messages: once when it begins, seldom while it lasts, once when it is well again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrator.alerts import messages
from orchestrator.alerts.models import Alert, AlertChannel, AlertDelivery, AlertLook
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Trigger, Workflow, WorkflowVersion
from runs.alert_looks import look
from runs.models import Run
from tests.alerts.conftest import NOON, look_at, look_through, runs, said
from tests.runs.ground import make_workflow

pytestmark = pytest.mark.django_db
Make = Callable[..., AlertChannel]
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, slug="orders")


def test_one_failure_is_told_once_with_its_cause_and_a_link(
    make_channel: Make, workflow: Workflow, settings: Any
) -> None:
    settings.BASE_URL = "https://flows.example.com"
    make_channel()
    runs(workflow, "failed", NOON, message="the shop said no")
    (document,) = look_at(NOON + SECOND)
    assert said(document) == [("firing", "Orders")]
    item = document["items"][0]
    cause = item["causes"][0]
    assert (item["event"], item["count"], cause["message"], cause["step"]) == (
        "run_failed",
        1,
        "the shop said no",
        "send",
    )
    assert cause["url"].startswith("https://flows.example.com/w/acme/runs/")
    assert item["url"] == f"https://flows.example.com/w/acme/runs/?workflow={workflow.pk}&status=failed"
    assert messages.subject(document) == "[Acme] Orders is failing (1 run)"
    assert look_through(NOON + 2 * SECOND, NOON + 3 * MINUTE) == []


def test_a_workflow_that_works_again_is_told_of_once(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    runs(workflow, "failed", NOON)
    look_at(NOON + SECOND)
    runs(workflow, "succeeded", NOON + MINUTE)
    told = look_through(NOON + MINUTE, NOON + 30 * MINUTE, MINUTE)
    assert [said(document) for _at, document in told] == [[("resolved", "Orders")]]
    assert told[0][0] >= NOON + 5 * MINUTE, "it has to stay well for a while"
    assert "It had begun at 2026-06-01 12:00 UTC." in messages.text(told[0][1])


def test_a_success_from_before_the_failure_does_not_count(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    runs(workflow, "succeeded", NOON - MINUTE)
    runs(workflow, "failed", NOON)
    assert len(look_through(NOON + SECOND, NOON + 30 * MINUTE, MINUTE)) == 1
    assert Alert.objects.for_tenant(workflow.tenant).get().firing


def test_while_it_goes_on_failing_a_summary_comes_once_an_hour(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    for minute in range(150):
        runs(workflow, "failed", NOON + minute * MINUTE, message="boom" if minute % 3 else "bang")
        if minute % 2 == 0:
            look_at(NOON + minute * MINUTE + SECOND)
    rows = AlertDelivery.objects.for_tenant(workflow.tenant).order_by("pk")
    documents = [row.document for row in rows]
    assert [said(document)[0][0] for document in documents] == ["firing", "still_firing", "still_firing"]
    causes = documents[1]["items"][0]["causes"]
    assert [(cause["message"], cause["count"]) for cause in causes] == [("boom", 40), ("bang", 20)]
    assert documents[1]["items"][0]["count"] == 60


def test_the_quiet_time_is_the_channels(make_channel: Make, workflow: Workflow) -> None:
    make_channel(name="often", quiet_minutes=10)
    make_channel(name="seldom", quiet_minutes=600)
    for minute in range(60):
        runs(workflow, "failed", NOON + minute * MINUTE)
        look_at(NOON + minute * MINUTE + SECOND)
    by_channel = {
        name: AlertDelivery.objects.for_tenant(workflow.tenant).filter(channel__name=name).count()
        for name in ("often", "seldom")
    }
    assert by_channel["seldom"] == 1
    assert 4 <= by_channel["often"] <= 6


def test_what_comes_and_goes_becomes_quiet(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    # Fails every ten minutes, works in between.
    for minute in range(240):
        runs(workflow, "succeeded" if minute % 10 else "failed", NOON + minute * MINUTE)
        look_at(NOON + minute * MINUTE + SECOND)
    told = [said(row.document)[0][0] for row in AlertDelivery.objects.for_tenant(workflow.tenant).order_by("pk")]
    assert told[:3] == ["firing", "resolved", "firing"]
    assert set(told[3:]) == {"still_firing"}
    assert len(told) <= 7


def test_a_storm_in_ten_workflows_is_a_handful_of_messages(make_channel: Make, tenant: Tenant) -> None:
    make_channel()
    workflows = [make_workflow(tenant, slug=f"flow-{number}") for number in range(10)]
    made = []
    # 10,000 failures within ten minutes, one workflow after the other beginning to fail.
    for minute in range(10):
        for workflow in workflows[: minute + 1]:
            runs(workflow, "failed", NOON + minute * MINUTE, 1_000 // (10 - minute) if minute < 9 else 100)
        made += look_through(NOON + minute * MINUTE + SECOND, NOON + minute * MINUTE + 51 * SECOND, 25 * SECOND)
    runs(workflows[0], "failed", NOON + 10 * MINUTE, 2_000)
    made += look_through(NOON + 10 * MINUTE, NOON + 40 * MINUTE, MINUTE)
    assert len(made) <= 6
    fired = {name for _at, document in made for status, name in said(document) if status == "firing"}
    assert len(fired) == 10, "each workflow is told of"


def test_ten_thousand_failures_at_once_are_one_message(
    make_channel: Make, tenant: Tenant, django_assert_max_num_queries: Any
) -> None:
    make_channel()
    workflows = [make_workflow(tenant, slug=f"flow-{number}") for number in range(10)]
    for workflow in workflows:
        runs(workflow, "failed", NOON, 1_000)
    AlertLook.objects.update(due_at=NOON, slow_at=NOON + HOUR)
    # Three for each workflow that is told of; the number of runs is not in it.
    with django_assert_max_num_queries(10 * 4 + 25):
        assert look(now=NOON + SECOND) == 1
    (delivery,) = AlertDelivery.objects.for_tenant(tenant)
    assert [item["count"] for item in delivery.document["items"]] == [1_000] * 10
    assert messages.text(delivery.document).count("Of the newest 100:\n  100 × at “send”: boom") == 10
    assert messages.subject(delivery.document).endswith("(1,000 runs), and 9 more things")
    AlertLook.objects.update(due_at=NOON)
    with django_assert_max_num_queries(20):
        assert look(now=NOON + 2 * SECOND) == 0


def test_more_workflows_than_a_message_lists_are_counted(make_channel: Make, tenant: Tenant) -> None:
    make_channel()
    for number in range(55):
        runs(make_workflow(tenant, slug=f"flow-{number}"), "failed", NOON)
    (document,) = look_at(NOON + SECOND)
    assert (len(document["items"]), document["more"]) == (50, 5)
    assert "5 more are not listed here." in messages.text(document)
    assert look_at(NOON + 2 * MINUTE) == []


def test_what_failed_and_was_mended_before_anybody_was_told_is_told_as_over(
    make_channel: Make, workflow: Workflow
) -> None:
    make_channel()
    runs(workflow, "failed", NOON)
    look_at(NOON + SECOND)
    other = make_workflow(workflow.tenant, slug="other")
    for number in range(6):
        AlertDelivery.unscoped.create(
            tenant=workflow.tenant, channel=AlertChannel.unscoped.get(), document={}, status="sent",
            created_at=NOON + 2 * SECOND + number * timedelta(milliseconds=1), finished_at=NOON,
        )  # fmt: skip
    runs(other, "failed", NOON + MINUTE)
    runs(other, "succeeded", NOON + 2 * MINUTE)
    made = look_through(NOON + MINUTE, NOON + 20 * MINUTE, MINUTE)
    assert [said(document) for _at, document in made] == [[("over", "Other")]]
    assert made[0][1]["items"][0]["count"] == 1


def test_a_run_that_is_written_down_late_is_seen(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    look_at(NOON)
    runs(workflow, "failed", NOON - MINUTE)
    assert len(look_at(NOON + SECOND)) == 1
    assert look_at(NOON + MINUTE) == []


def test_tests_stopped_runs_and_successes_are_no_failures(make_channel: Make, workflow: Workflow) -> None:

    make_channel()
    runs(workflow, "cancelled", NOON)
    runs(workflow, "failed", NOON + SECOND)
    Run.unscoped.filter(status="failed").update(kind="test")
    assert look_through(NOON, NOON + MINUTE) == []


def test_a_channel_hears_of_its_events_and_workflows_alone(make_channel: Make, workflow: Workflow) -> None:
    other = make_workflow(workflow.tenant, slug="other")
    make_channel(name="other", workflows=[str(other.pk)])
    make_channel(name="credentials", events=["credential"])
    make_channel(name="off", is_on=False)
    runs(workflow, "failed", NOON)
    assert look_at(NOON + SECOND) == []
    runs(other, "failed", NOON + SECOND)
    look_at(NOON + 2 * SECOND)
    assert [row.channel.name for row in AlertDelivery.objects.for_tenant(workflow.tenant)] == ["other"]


def test_a_new_channel_hears_nothing_of_what_was_before_it(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    runs(workflow, "failed", NOON)
    look_at(NOON + SECOND)
    late = make_channel(name="late")
    AlertChannel.unscoped.filter(pk=late.pk).update(created_at=NOON + MINUTE)
    assert look_at(NOON + 2 * MINUTE) == []
    runs(workflow, "failed", NOON + 3 * MINUTE)
    look_at(NOON + 4 * MINUTE)
    assert late.deliveries.count() == 1


def test_tenants_hear_of_their_own(
    make_channel: Make, workflow: Workflow, other_tenant: Tenant, stranger: User
) -> None:
    make_channel()
    make_channel(of=other_tenant, name="theirs")
    runs(workflow, "failed", NOON)
    runs(make_workflow(other_tenant, slug="secret-plan"), "failed", NOON)
    look_at(NOON + SECOND)
    for tenant, own, others in ((workflow.tenant, "Orders", "Secret-Plan"), (other_tenant, "Secret-Plan", "Orders")):
        (delivery,) = AlertDelivery.objects.for_tenant(tenant)
        assert own in messages.text(delivery.document)
        assert others not in messages.text(delivery.document)


def test_without_a_channel_nobody_looks_but_once_a_minute(workflow: Workflow, django_assert_num_queries: Any) -> None:
    runs(workflow, "failed", NOON)
    assert look(now=NOON) == 0
    with django_assert_num_queries(1):
        assert look(now=NOON + 59 * SECOND) == 0
    # Silence and missed times, which pages show.
    with django_assert_num_queries(9):
        assert look(now=NOON + MINUTE) == 0
    assert not Alert.unscoped.exists()


def test_silence_and_missed_times_are_shown_without_a_channel(
    workflow: Workflow, owner: User, client: Any, other_tenant: Tenant, stranger: User
) -> None:
    Workflow.unscoped.filter(pk=workflow.pk).update(settings={"silent_after": 30})
    daily = make_workflow(workflow.tenant, slug="daily")
    now = timezone.now()
    noted = {"missed": 2, "left_out": 1, "at": now.isoformat(), "noted_at": now.isoformat()}
    Trigger.unscoped.create(
        tenant=workflow.tenant, workflow=daily, key="nine", type="schedule", live_config={"cron": "0 9 * * *"},
        state={"last_gap": noted},
    )  # fmt: skip
    look_at(now - HOUR)
    look_at(now)
    client.force_login(owner)
    text = client.get("/w/acme/").text
    assert "No run has succeeded since" in text
    assert "3 times of its schedule made no run" in text
    for address in (f"/w/acme/runs/?workflow={workflow.pk}", f"/w/acme/workflows/{daily.pk}/triggers/nine/"):
        assert f'href="{address}"' in text
        assert client.get(address).status_code == 200
    client.force_login(stranger)
    assert "made no run" not in client.get("/w/globex/").text


def test_of_two_looks_at_a_time_one_looks(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    runs(workflow, "failed", NOON)
    assert look(now=NOON + SECOND) == 1
    assert look(now=NOON + SECOND) == 0
    assert AlertDelivery.objects.for_tenant(workflow.tenant).count() == 1


def test_a_look_that_was_cut_short_is_made_again_and_tells_nothing_twice(
    make_channel: Make, workflow: Workflow, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import alert_looks

    make_channel()
    make_channel(of=other_tenant, name="theirs")
    runs(workflow, "failed", NOON)
    runs(make_workflow(other_tenant), "failed", NOON)
    kept, seen = alert_looks.alerts_tell, []

    def dies(**given: Any) -> int:
        seen.append(given["tenant"])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return kept(**given)

    monkeypatch.setattr(alert_looks, "alerts_tell", dies)
    with pytest.raises(KeyboardInterrupt):
        look(now=NOON + SECOND)
    assert AlertDelivery.unscoped.count() == 1
    monkeypatch.setattr(alert_looks, "alerts_tell", kept)
    look(now=NOON + MINUTE)
    assert sorted(AlertDelivery.unscoped.values_list("tenant__slug", flat=True)) == ["acme", "globex"]


def test_a_silent_workflow_is_told_of_and_told_of_when_it_is_not_any_more(
    make_channel: Make, workflow: Workflow
) -> None:
    make_channel()
    Workflow.unscoped.filter(pk=workflow.pk).update(settings={"silent_after": 30})
    made = look_through(NOON, NOON + 70 * MINUTE, MINUTE)
    assert [(at, said(document)) for at, document in made] == [(NOON + 30 * MINUTE, [("firing", "Orders")])]
    assert "No run has succeeded since 2026-06-01 12:00 UTC." in messages.text(made[0][1])
    runs(workflow, "failed", NOON + 80 * MINUTE)
    runs(workflow, "succeeded", NOON + 81 * MINUTE)
    (after,) = look_at(NOON + 82 * MINUTE)
    assert ("resolved", "Orders") in said(after)


def test_a_workflow_that_succeeds_in_time_or_is_off_is_not_silent(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    Workflow.unscoped.filter(pk=workflow.pk).update(settings={"silent_after": 30})
    for minute in range(0, 120, 20):
        runs(workflow, "succeeded", NOON + minute * MINUTE)
        assert look_at(NOON + minute * MINUTE + SECOND) == []
    Workflow.unscoped.filter(pk=workflow.pk).update(enabled=False)
    assert look_through(NOON + 120 * MINUTE, NOON + 300 * MINUTE, 10 * MINUTE) == []
    Workflow.unscoped.filter(pk=workflow.pk).update(enabled=True)
    assert look_at(NOON + 301 * MINUTE) == [], "it is watched anew from when it is on"


def test_a_missed_time_of_a_schedule_is_told_once_a_quiet_time(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    trigger = Trigger.unscoped.create(
        tenant=workflow.tenant, workflow=workflow, key="daily", type="schedule", live_config={"cron": "0 9 * * *"}
    )

    def gap(minute: int) -> None:
        at = NOON + minute * MINUTE
        noted = {"missed": 2, "left_out": 1, "at": at.isoformat(), "noted_at": at.isoformat()}
        Trigger.unscoped.filter(pk=trigger.pk).update(state={"last_gap": noted})

    gap(0)
    (document,) = look_at(NOON + SECOND)
    assert said(document) == [("happened", "Orders")]
    assert "2 missed, 1 left out" in messages.text(document)
    assert document["items"][0]["url"].endswith(f"/w/acme/workflows/{workflow.pk}/triggers/daily/")
    for minute in (10, 20, 30):
        gap(minute)
        assert look_at(NOON + minute * MINUTE + SECOND) == []
    (later,) = look_at(NOON + 61 * MINUTE)
    assert later["items"][0]["count"] == 12


def test_a_credential_is_told_of_as_it_gets_worse_and_when_it_is_well(make_channel: Make, tenant: Tenant) -> None:
    make_channel()
    made = credential_create(
        actor=system_actor(tenant), name="shop", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-9"}
    )

    def is_now(health: Health, minute: int, message: str = "") -> Any:
        Credential.unscoped.filter(pk=made.pk).update(health=health, health_message=message)
        return [(*said(document)[0], messages.text(document)) for document in look_at(NOON + minute * MINUTE)]

    assert is_now(Health.WORKING, 0) == []
    ((status, name, text),) = is_now(Health.EXPIRING, 5, "It expires within a week.")
    assert (status, name) == ("firing", "shop")
    assert "It expires within a week." in text
    assert is_now(Health.EXPIRING, 6) == []
    assert is_now(Health.RECONNECT, 20)[0][0] == "firing"
    assert is_now(Health.RECONNECT, 200) == []
    assert is_now(Health.WORKING, 201)[0][0] == "resolved"
    assert "xoxb-9" not in str([row.document for row in AlertDelivery.unscoped.all()])


def test_a_version_that_went_back_is_told_once(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    first = workflow.published_version
    assert first is not None
    WorkflowVersion.unscoped.create(
        tenant=workflow.tenant, workflow=workflow, number=2, definition=first.definition, checksum="x",
        replaced=first, returned_at=NOON, return_counts={"failed": 5, "runs": 9},
    )  # fmt: skip
    (document,) = look_at(NOON + SECOND)
    assert said(document) == [("happened", "Orders")]
    assert "Version 2 went back to version 1: 5 of 9 runs failed." in messages.text(document)
    assert look_through(NOON + 2 * SECOND, NOON + 2 * MINUTE) == []


def test_links_lead_to_pages_that_are_there(make_channel: Make, workflow: Workflow, owner: User, client: Any) -> None:
    make_channel()
    runs(workflow, "failed", NOON)
    (document,) = look_at(NOON + SECOND)
    client.force_login(owner)
    item = document["items"][0]
    for address in (item["url"], item["causes"][0]["url"], document["url"]):
        assert client.get(address).status_code == 200, address

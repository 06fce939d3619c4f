"""Schedules on the database: one run a slot whoever looks, policies, and many at once."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.publishing import publish
from runs import schedules
from runs.models import Run
from runs.restoring import settle
from runs.services import run_cancel
from tests.runs.ground import make_workflow

DAILY = {"cron": "0 9 * * *", "timezone": "Europe/Paris"}


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


def scheduled(tenant: Tenant, at: datetime | None, *, slug: str = "test", **config: Any) -> Trigger:
    """Return the live schedule of a published workflow that is next due at a time."""
    workflow = make_workflow(tenant, slug=slug)
    given = config or DAILY
    return Trigger.unscoped.create(
        tenant=tenant, workflow=workflow, key="daily", type="schedule", config=given, live_config=given, next_fire_at=at
    )  # fmt: skip


def runs(trigger: Trigger) -> list[Run]:
    return list(Run.objects.for_tenant(trigger.tenant_id).filter(workflow=trigger.workflow_id).order_by("pk"))


def next_of(trigger: Trigger) -> datetime | None:
    return Trigger.unscoped.get(pk=trigger.pk).next_fire_at


NINE = datetime.fromisoformat("2026-05-04T07:00:00+00:00")


@pytest.mark.django_db
def test_a_slot_becomes_one_run_that_sees_its_time(tenant: Tenant) -> None:
    trigger = scheduled(tenant, NINE)
    now = NINE + timedelta(seconds=0.2)
    assert schedules.fire(NINE - timedelta(seconds=1)) == 0
    assert [schedules.fire(now), schedules.fire(now)] == [1, 0]
    (run,) = runs(trigger)
    assert (run.trigger_type, run.trigger_key, run.status, run.wake_at) == ("schedule", "daily", "queued", now)
    assert run.version_id == trigger.workflow.published_version_id
    assert run.trigger["body"] == {
        "scheduled_at": "2026-05-04T07:00:00+00:00",
        "local_time": "2026-05-04T09:00:00+02:00",
        "timezone": "Europe/Paris",
    }
    assert next_of(trigger) == NINE + timedelta(days=1)


@pytest.mark.django_db
def test_a_slot_that_is_on_record_does_not_run_again(tenant: Tenant) -> None:
    trigger = scheduled(tenant, NINE)
    schedules.fire(NINE)
    # As after a clock that jumped back, or a time that was restored from a backup.
    Trigger.unscoped.filter(pk=trigger.pk).update(next_fire_at=NINE)
    assert schedules.fire(NINE + timedelta(minutes=1)) == 1
    assert len(runs(trigger)) == 1
    assert next_of(trigger) == NINE + timedelta(days=1)


@pytest.mark.django_db
@pytest.mark.parametrize(("missed", "expected"), [("skip", 0), ("run_once", 1), ("run_all", 4)])
def test_what_was_missed_follows_the_policy_and_is_noted(missed: str, expected: int, tenant: Tenant) -> None:
    trigger = scheduled(tenant, NINE, **DAILY, missed=missed)
    schedules.fire(NINE + timedelta(days=3, hours=2))
    assert len(runs(trigger)) == expected
    gap = Trigger.unscoped.get(pk=trigger.pk).state.get("last_gap", {})
    assert gap.get("missed", 0) == {"skip": 4, "run_once": 3, "run_all": 0}[missed]


@pytest.mark.django_db
def test_after_a_restored_backup_no_slot_is_made_up_for(tenant: Tenant) -> None:
    trigger = scheduled(tenant, NINE, **DAILY, missed="run_all")
    now = NINE + timedelta(days=3, hours=2)
    assert settle(now).schedules == 1
    assert (schedules.fire(now), next_of(trigger)) == (0, NINE + timedelta(days=4))
    assert schedules.fire(NINE + timedelta(days=4)) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("overlap", "after"), [("allow", 2), ("skip", 1), ("cancel_older", 2)])
def test_a_slot_meets_the_run_before(overlap: str, after: int, tenant: Tenant) -> None:
    trigger = scheduled(tenant, NINE, **DAILY, overlap=overlap)
    schedules.fire(NINE)
    schedules.fire(NINE + timedelta(days=1))
    found = runs(trigger)
    assert len(found) == after
    assert found[0].status == ("cancelled" if overlap == "cancel_older" else "queued")
    if overlap == "skip":
        assert Trigger.unscoped.get(pk=trigger.pk).state["last_gap"]["left_out"] == 1
        Run.unscoped.update(status="succeeded", finished_at=NINE, wake_at=None)
        schedules.fire(NINE + timedelta(days=2))
        assert len(runs(trigger)) == 2


@pytest.mark.django_db
def test_a_run_that_ends_before_it_is_stopped_keeps_nobodys_slot(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = scheduled(tenant, NINE, **DAILY, overlap="cancel_older")
    schedules.fire(NINE)
    other = scheduled(tenant, NINE + timedelta(days=1), slug="other")

    def ended_first(**given: Any) -> Run:
        Run.unscoped.filter(pk=given["run"].pk).update(status="succeeded", finished_at=NINE, wake_at=None)
        return run_cancel(**given)

    monkeypatch.setattr(schedules, "run_cancel", ended_first)
    schedules.fire(NINE + timedelta(days=1))
    assert [run.status for run in runs(trigger)] == ["succeeded", "queued"]
    assert len(runs(other)) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("why", ["switched off", "not live", "unpublished", "unreadable"])
def test_what_must_not_fire_does_not_and_stands_in_nobodys_way(why: str, tenant: Tenant) -> None:
    trigger, other = scheduled(tenant, NINE), scheduled(tenant, NINE, slug="other")
    workflows, rows = Workflow.unscoped.filter(slug="test"), Trigger.unscoped.filter(pk=trigger.pk)
    if why == "switched off":
        workflows.update(enabled=False)
    elif why == "not live":
        rows.update(live_config=None)
    elif why == "unpublished":
        workflows.update(published_version=None)
    else:
        rows.update(live_config={"cron": "nonsense"})
    schedules.fire(NINE)
    assert runs(trigger) == []
    assert len(runs(other)) == 1
    assert next_of(trigger) is None


@pytest.mark.django_db
def test_five_hundred_at_once_start_within_two_seconds(tenant: Tenant) -> None:
    workflow = make_workflow(tenant)
    Trigger.unscoped.bulk_create(
        Trigger(
            tenant=tenant, workflow=workflow, key=f"t{number}", type="schedule", live_config=DAILY, next_fire_at=NINE
        )
        for number in range(500)
    )  # fmt: skip
    started = time.monotonic()
    assert schedules.fire(NINE) == 500
    took = time.monotonic() - started
    assert Run.unscoped.count() == 500
    assert not Trigger.unscoped.filter(next_fire_at__lte=NINE).exists()
    # No limit on a busy machine, only that it is not done one by one over minutes.
    assert took < 20


# Arming.


def document(**config: Any) -> dict[str, Any]:
    return {
        "name": "Report",
        "slug": "report",
        "triggers": [{"key": "daily", "type": "schedule", "config": config or DAILY}],
        "steps": [{"key": "keep", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}],
    }


def stored() -> Trigger:
    return Trigger.unscoped.get(key="daily")


@pytest.mark.django_db
def test_publishing_and_switching_decide_when_it_is_due(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document=document())
    assert stored().next_fire_at is None
    publish(actor=actor, workflow=workflow)
    first = stored().next_fire_at
    assert first is not None
    assert timezone.now() < first <= timezone.now() + timedelta(days=1)
    # Publishing something else moves no slot; another schedule does.
    Trigger.unscoped.update(next_fire_at=first - timedelta(hours=1))
    services.workflow_patch(actor=actor, workflow=workflow, changes={"description": "other"})
    publish(actor=actor, workflow=workflow)
    assert stored().next_fire_at == first - timedelta(hours=1)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"triggers": document(every=60)["triggers"]})
    publish(actor=actor, workflow=workflow)
    soon = stored().next_fire_at
    assert soon is not None
    assert soon <= timezone.now() + timedelta(seconds=61)
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    assert stored().next_fire_at is None
    # Away from the slots of the past: what was missed while it was off is not made up for.
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=True)
    again = stored().next_fire_at
    assert again is not None
    assert again > timezone.now()


@pytest.mark.django_db
def test_a_schedule_that_is_taken_out_fires_no_more(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document=document())
    publish(actor=actor, workflow=workflow)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"triggers": []})
    assert stored().next_fire_at is not None
    publish(actor=actor, workflow=workflow)
    assert stored().next_fire_at is None
    assert schedules.next_at() is None

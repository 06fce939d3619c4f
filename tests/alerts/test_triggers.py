"""A trigger of an app by which nothing comes is told of: once for a storm, once when it works again, and no more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from orchestrator.alerts import messages
from orchestrator.alerts.kinds import ChannelKind, Event
from orchestrator.alerts.models import Alert, AlertChannel
from orchestrator.alerts.selectors import channel_list
from orchestrator.alerts.services import channel_update
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Trigger, Workflow
from runs import alert_triggers
from runs.models import Subscription
from tests.alerts.conftest import NOON, look_at, look_through, said
from tests.runs.ground import make_workflow

pytestmark = pytest.mark.django_db
Make = Callable[..., AlertChannel]
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def live(workflow: Workflow, kind: str = "polling", which: str = "rss.newItem", key: str = "news") -> Trigger:
    return Trigger.unscoped.create(
        tenant=workflow.tenant, workflow=workflow, key=key, type=kind, live_config={"trigger": which},
        next_fire_at=NOON if kind == "polling" else None,
    )  # fmt: skip


def fails(trigger: Trigger, since: datetime = NOON, *, failures: int = 3, why: str = "Nobody answers.") -> None:
    error = {"kind": "transient", "message": why, "hint": "It is asked again later."}
    state = {"failures": failures, "failing_since": since.isoformat(), "error": error}
    Trigger.unscoped.filter(pk=trigger.pk).update(state={"poll": state})


def works(trigger: Trigger) -> None:
    Trigger.unscoped.filter(pk=trigger.pk).update(state={"poll": {"found": 0}})


def subscribed(trigger: Trigger, **more: Any) -> Subscription:
    given = {"declared": "github.newEvent", "of": "x", "status": "pending", **more}
    return Subscription.unscoped.create(tenant=trigger.tenant, trigger=trigger, **given)


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, slug="orders")


def test_a_poll_that_fails_for_some_minutes_is_told_of_and_told_of_when_it_works_again(
    make_channel: Make, workflow: Workflow, owner: User, client: Any
) -> None:
    make_channel()
    trigger = live(workflow)
    fails(trigger)
    assert look_through(NOON, NOON + 4 * MINUTE, MINUTE) == []
    (document,) = look_at(NOON + 5 * MINUTE)
    assert said(document) == [("firing", "Orders")]
    item = document["items"][0]
    assert (item["event"], item["trigger"]) == ("trigger_failing", "news")
    assert item["text"] == (
        "“New item in a feed” cannot be asked: Nobody answers. It is asked again later. Since 2026-06-01 12:00 UTC."
    )
    assert messages.subject(document) == "[Acme] A trigger of Orders fails"
    client.force_login(owner)
    assert client.get(item["url"]).status_code == 200
    assert look_through(NOON + 6 * MINUTE, NOON + 120 * MINUTE, MINUTE) == [], "it is told once"
    works(trigger)
    told = look_through(NOON + 121 * MINUTE, NOON + 140 * MINUTE, MINUTE)
    assert [said(document) for _at, document in told] == [[("resolved", "Orders")]]
    assert told[0][0] >= NOON + 125 * MINUTE, "it has to stay well for a while"
    assert "“New item in a feed” had begun to fail at 2026-06-01 12:00 UTC." in messages.text(told[0][1])


def test_a_first_failure_is_no_news(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    fails(live(workflow), failures=1)
    assert look_through(NOON, NOON + 20 * MINUTE, MINUTE) == []


def test_a_storm_is_one_message(make_channel: Make, tenant: Tenant, other_tenant: Tenant) -> None:
    """Of thirty triggers that begin to fail within three minutes all are told of with the first."""
    make_channel()
    make_channel(of=other_tenant, name="theirs")
    for number in range(30):
        workflow = make_workflow(tenant, slug=f"flow-{number}")
        if number % 2:
            fails(live(workflow), NOON + 6 * number * SECOND)
        else:
            since = (NOON + 6 * number * SECOND).isoformat()
            error = {"kind": "auth", "message": "The token was revoked.", "hint": "", "since": since}
            subscribed(live(workflow, "event", "github.newEvent"), failures=4, error=error)
    told = look_through(NOON, NOON + 60 * MINUTE, MINUTE)
    assert [(at, len(document["items"])) for at, document in told] == [(NOON + 5 * MINUTE, 30)]


def test_thousands_of_one_tenant_hide_no_others(
    make_channel: Make, tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_triggers, "_LOOKED_AT", 4)
    for number in range(5):
        workflow = make_workflow(tenant, slug=f"flow-{number}")
        fails(live(workflow))
        subscribed(live(workflow, "event", "github.newEvent", key="sold"), failures=4, error={"message": "No."})
    make_channel(of=other_tenant, name="theirs")
    make_channel()
    workflow = make_workflow(other_tenant, slug="theirs")
    fails(live(workflow))
    subscribed(live(workflow, "event", "github.newEvent", key="sold"), failures=4, error={"message": "No."})
    told = {document["tenant"]["slug"]: len(document["items"]) for document in look_at(NOON + 6 * MINUTE)}
    assert told == {tenant.slug: 6, other_tenant.slug: 2}


@pytest.mark.parametrize(
    ("row", "said_of_it"),
    [
        ({"failures": 2, "error": {"message": "No.", "since": NOON.isoformat()}}, "is not subscribed: No."),
        ({"status": "active", "expires_at": NOON}, "The subscription of “New event” has ended."),
        ({"credential_name": "ours"}, "lost its credential ours."),
        ({"status": "manual", "unread": {"at": "x", "message": "No JSON."}}, "cannot read what comes: No JSON."),
    ],
)
def test_a_subscription_by_which_nothing_comes_is_told_of(
    row: dict[str, Any], said_of_it: str, make_channel: Make, workflow: Workflow
) -> None:
    make_channel()
    made = subscribed(live(workflow, "event", "github.newEvent"), **row)
    (document,) = look_at(NOON + 6 * MINUTE)
    assert said_of_it in document["items"][0]["text"]
    well = {"status": "active", "failures": 0, "error": None, "expires_at": None, "unread": None, "credential_name": ""}
    Subscription.unscoped.filter(pk=made.pk).update(**well)
    (after,) = look_at(NOON + 20 * MINUTE)
    assert said(after) == [("resolved", "Orders")]


def test_what_comes_and_goes_has_to_stay_well_for_longer(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    trigger = live(workflow)
    told = []
    for round_of in range(6):
        began = NOON + round_of * 20 * MINUTE
        fails(trigger, began)
        told += look_through(began, began + 6 * MINUTE, MINUTE)
        works(trigger)
        told += look_through(began + 7 * MINUTE, began + 19 * MINUTE, MINUTE)
    assert [said(document)[0][0] for _at, document in told] == ["firing", "resolved", "firing"]


@pytest.mark.parametrize("ends", [{"enabled": False}, None])
def test_a_trigger_that_somebody_takes_away_is_forgotten_and_did_not_work_again(
    ends: dict[str, Any] | None, make_channel: Make, workflow: Workflow
) -> None:
    make_channel()
    trigger = live(workflow)
    fails(trigger)
    assert len(look_at(NOON + 5 * MINUTE)) == 1
    if ends:
        Workflow.unscoped.filter(pk=workflow.pk).update(**ends)
    else:
        trigger.delete()
    assert look_through(NOON + 6 * MINUTE, NOON + 90 * MINUTE, 5 * MINUTE) == []
    assert not Alert.objects.for_tenant(workflow.tenant).exists()


def test_nobody_hears_of_another_tenants_triggers(make_channel: Make, workflow: Workflow, other_tenant: Tenant) -> None:
    make_channel(of=other_tenant, name="theirs")
    fails(live(workflow))
    assert look_through(NOON, NOON + 10 * MINUTE, MINUTE) == []


def test_a_channel_from_before_that_heard_of_everything_hears_of_triggers_too(
    make_channel: Make, workflow: Workflow
) -> None:
    before = [event.value for event in Event if event is not Event.TRIGGER]
    all_of_it, some = make_channel(name="all"), make_channel(name="some")
    AlertChannel.unscoped.filter(pk=all_of_it.pk).update(events=before, events_known=5)
    AlertChannel.unscoped.filter(pk=some.pk).update(events=before[:4], events_known=5)
    fails(live(workflow))
    assert len(look_at(NOON + 5 * MINUTE)) == 1
    assert all_of_it.deliveries.count() == 1
    # Who does not want it says so, and that stays.
    changed = channel_update(
        actor=system_actor(workflow.tenant), channel=all_of_it.refresh(), changes={"events": before}
    )
    assert changed.refresh().heard == [Event(event) for event in before]
    assert {row.name: len(row.heard) for row in channel_list(workflow.tenant)} == {"all": 5, "some": 4}


def test_a_channel_that_a_release_before_made_hears_of_everything(tenant: Tenant) -> None:
    row = AlertChannel(tenant=tenant, name="old", kind=ChannelKind.EMAIL, emails=["a@example.com"])
    row.events = [event.value for event in Event if event is not Event.TRIGGER]
    columns = {field.column: field for field in AlertChannel._meta.concrete_fields if field.name != "events_known"}
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in columns.values()]
    with connection.cursor() as cursor:
        names, places = ", ".join(columns), ", ".join(["%s"] * len(columns))
        cursor.execute(f"INSERT INTO alerts_alertchannel ({names}) VALUES ({places})", values)  # noqa: S608
    assert AlertChannel.objects.for_tenant(tenant).get().heard == list(Event)

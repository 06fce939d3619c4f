"""After a backup was restored nobody hears a second time of what was to be told when it was made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.alerts.deliveries import deliveries_are_due, deliveries_claim
from orchestrator.alerts.models import Alert, AlertChannel, AlertDelivery
from orchestrator.alerts.selectors import channels_failing
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs.alert_looks import look
from runs.restoring import settle
from tests.alerts.conftest import NOON, look_at, look_through, runs, said
from tests.runs.ground import make_workflow

pytestmark = pytest.mark.django_db
Make = Callable[..., AlertChannel]
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, slug="orders")


def test_a_message_on_its_way_is_not_sent_and_says_why(
    make_channel: Make, workflow: Workflow, owner: User, client: Any
) -> None:
    channel = make_channel()
    runs(workflow, "failed", NOON)
    look_at(NOON + SECOND)
    deliveries_claim(now=NOON + SECOND)
    assert settle(NOON + HOUR).messages == 1
    assert not deliveries_are_due(now=NOON + 5 * HOUR)
    row = AlertDelivery.objects.for_tenant(workflow.tenant).get()
    assert (row.status, row.finished_at) == ("skipped", NOON + HOUR)
    client.force_login(owner)
    page = client.get(f"/w/acme/settings/alerts/{channel.pk}/").text
    assert "Not sent" in page
    assert "restored from a backup" in page
    assert client.get("/w/acme/settings/alerts/").status_code == 200
    assert channels_failing(workflow.tenant) == [], "it is no fault of the channel"
    assert settle(NOON + HOUR).messages == 0


def test_what_stood_and_was_not_told_yet_counts_as_told(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    runs(make_workflow(workflow.tenant, slug="first"), "failed", NOON)
    look_at(NOON + SECOND)
    # Within a minute of the first message a second one waits.
    runs(workflow, "failed", NOON + 10 * SECOND)
    assert look_at(NOON + 11 * SECOND) == []
    settle(NOON + HOUR)
    assert look_through(NOON + HOUR, NOON + HOUR + 3 * MINUTE) == []
    runs(workflow, "succeeded", NOON + HOUR + 4 * MINUTE)
    told = look_through(NOON + HOUR + 4 * MINUTE, NOON + HOUR + 6 * MINUTE, MINUTE)
    assert [said(document) for _at, document in told] == [[("resolved", "Orders")]]


def test_a_failure_that_nobody_had_looked_at_is_no_news_and_the_next_one_is(
    make_channel: Make, workflow: Workflow
) -> None:
    make_channel()
    look_at(NOON)
    runs(workflow, "failed", NOON + SECOND)
    settle(NOON + HOUR)
    assert look(now=NOON + HOUR + 30 * SECOND) == 0
    runs(workflow, "failed", NOON + HOUR + MINUTE)
    assert look(now=NOON + HOUR + 2 * MINUTE) == 1


def test_nobody_seems_silent_for_want_of_what_is_not_on_record(make_channel: Make, workflow: Workflow) -> None:
    make_channel()
    Workflow.unscoped.filter(pk=workflow.pk).update(settings={"silent_after": 30})
    runs(workflow, "succeeded", NOON)
    look_at(NOON + SECOND)
    settle(NOON + 5 * HOUR)
    assert look_at(NOON + 5 * HOUR + MINUTE) == []
    assert not Alert.objects.for_tenant(workflow.tenant).get().firing
    assert len(look_at(NOON + 5 * HOUR + 31 * MINUTE)) == 1, "it is watched from now on"

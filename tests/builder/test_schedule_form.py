"""The form of a schedule: choices become cron and back, and mistakes are said at the field."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from orchestrator.builder import schedule_form
from orchestrator.builder.schedule_form import Wrong, config_from, sentence
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from tests.builder.ground import DOCUMENT, plain


def posted(**given: str) -> QueryDict:
    query = QueryDict(mutable=True)
    query.update(given)
    return query


ZONE = {"timezone": "Europe/Paris"}


@pytest.mark.parametrize(
    ("given", "config", "said"),
    [
        ({"kind": "minutes", "number": "5"}, {"every": 300}, "Every 5 min"),
        ({"kind": "hours", "number": "2"}, {"every": 7_200}, "Every 2 h"),
        ({"kind": "seconds", "number": "90"}, {"every": 90}, "Every 90 s"),
        ({"kind": "day", "time": "9:05"}, {"cron": "5 9 * * *"}, "Every day at 09:05, Europe/Paris"),
        ({"kind": "weekdays", "time": "18:30"}, {"cron": "30 18 * * 1-5"}, "Monday to Friday at 18:30, Europe/Paris"),
        ({"kind": "week", "time": "08:00", "day": "3"}, {"cron": "0 8 * * 3"},
         "Every Wednesday at 08:00, Europe/Paris"),
        ({"kind": "month", "time": "00:00", "date": "1"}, {"cron": "0 0 1 * *"},
         "On day 1 of every month at 00:00, Europe/Paris"),
        ({"kind": "cron", "cron": "*/10 8-18 * * *"}, {"cron": "*/10 8-18 * * *"}, "By */10 8-18 * * *, Europe/Paris"),
    ],
)  # fmt: skip
def test_choices_become_a_config_and_are_chosen_again(given: dict[str, str], config: dict[str, Any], said: str) -> None:
    found = config_from(posted(**given, **ZONE, missed="skip", overlap="allow"), {})
    assert found == {**config, **ZONE, "missed": "skip", "overlap": "allow"}
    assert sentence(found) == said
    form = schedule_form.schedule_form(found, offset=0)
    assert len(form.next) == schedule_form.SHOWN
    again = config_from(posted(**form.values), {})
    assert again == found


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "kind"),
        ({"kind": "fortnight"}, "kind"),
        ({"kind": "minutes", "number": "0"}, "number"),
        ({"kind": "minutes", "number": "5.5"}, "number"),
        ({"kind": "hours", "number": "999999999"}, "number"),
        ({"kind": "day", "time": "25:00"}, "time"),
        ({"kind": "day", "time": "nine"}, "time"),
        ({"kind": "week", "time": "09:00", "day": "8"}, "day"),
        ({"kind": "month", "time": "09:00", "date": "32"}, "cron"),
        ({"kind": "cron", "cron": "0 0 30 2 *"}, "cron"),
        ({"kind": "cron", "cron": "x" * 500}, "cron"),
        ({"kind": "day", "time": "09:00", "timezone": "Mars/Olympus"}, "timezone"),
        ({"kind": "day", "time": "09:00", "missed": "perhaps"}, "missed"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(given: dict[str, str], field: str) -> None:
    with pytest.raises(Wrong) as wrong:
        config_from(posted(**given), {})
    assert field in wrong.value.errors


@pytest.mark.parametrize("config", [{}, {"cron": 5}, {"every": "x"}, {"cron": "* *", "timezone": []}])
def test_a_drafts_config_may_be_anything(config: dict[str, Any]) -> None:
    form = schedule_form.schedule_form(config, offset=0)
    assert form.next == ()
    assert form.said


# In the builder.


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def workflow(actor: Actor, client: Client) -> Workflow:
    assert actor.user
    client.force_login(actor.user)
    return services.workflow_create(actor=actor, document=DOCUMENT)


def test_a_schedule_is_added_in_the_tenants_zone_and_saved(
    client: Client, workflow: Workflow, tenant: Tenant, viewer: User
) -> None:
    Tenant.objects.update(time_zone="America/New_York")
    client.post(reverse("workflow-trigger-add", args=["acme", workflow.pk]), {"type": "schedule"})
    trigger = Trigger.unscoped.get(type="schedule")
    assert trigger.config == {"cron": "0 9 * * *", "timezone": "America/New_York"}
    page = reverse("workflow-trigger", args=["acme", workflow.pk, trigger.key])
    html = client.get(page).content
    # Every time zone that there is stands in it.
    assert len(gzip.compress(html)) <= 25_000
    text = plain(html.decode())
    assert "Every day at 09:00, America/New_York" in text
    assert "Nothing is started before you publish." in text
    given = {"kind": "weekdays", "time": "07:15", "timezone": "Asia/Tokyo", "missed": "run_all", "overlap": "skip"}
    assert client.post(page, given).status_code == 302
    trigger.refresh_from_db()
    assert trigger.config == {
        "cron": "15 7 * * 1-5", "timezone": "Asia/Tokyo", "missed": "run_all", "overlap": "skip"
    }  # fmt: skip
    refused = client.post(page, {**given, "time": "99:99"})
    assert (refused.status_code, "Use a time like 09:30." in refused.text) == (400, True)
    assert 'value="99:99"' in refused.text
    assert '<a class="lk" href="#hook-time">Use a time like 09:30.</a>' in refused.text
    Trigger.unscoped.filter(pk=trigger.pk).update(state={"last_gap": {"missed": 3, "left_out": 1}})
    text = plain(client.get(page).text)
    assert "3 times were missed while nothing ran. 1 time was left out" in text
    client.force_login(viewer)
    assert "schedule-form" not in client.get(page).text


def test_home_starts_a_workflow_at_set_times(client: Client, workflow: Workflow) -> None:
    assert 'name="trigger" value="schedule"' in client.get(reverse("home", args=["acme"])).text
    client.post(reverse("workflow-new", args=["acme"]), {"trigger": "schedule"})
    assert Trigger.unscoped.filter(type="schedule", config={"cron": "0 9 * * *", "timezone": "UTC"}).exists()

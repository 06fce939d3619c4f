"""Settings → Alerts: channels are made, tried, changed and deleted without scripts; others read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from orchestrator.alerts.models import AlertChannel, AlertDelivery
from orchestrator.tenants.models import Role, Tenant
from tests.alerts.test_telling import document, item
from tests.runs.ground import make_workflow

pytestmark = pytest.mark.django_db
PAGE = "/w/acme/settings/alerts/"
EVENTS = ["run_failed", "workflow_silent"]
MAIL = {"kind": "email", "name": "On call", "emails": "ada@example.com\r\nbo@example.com", "events": EVENTS,
        "which": "all", "quiet_minutes": "60", "is_on": "on"}  # fmt: skip
HOOK = {**MAIL, "kind": "webhook", "name": "Pager", "url": "https://hooks.example.com/canary"}


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(tenant: Tenant, make_member: Callable[..., User]) -> Client:
    return signed_in(make_member(tenant, Role.ADMIN))


def only(tenant: Tenant) -> AlertChannel:
    return AlertChannel.objects.for_tenant(tenant).get()


def test_a_channel_is_made_tried_changed_and_deleted(admin: Client, tenant: Tenant, settings: Settings) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    assert f'href="{PAGE}new/?kind=email"' in admin.get(PAGE).text
    assert 'name="emails"' in admin.get(f"{PAGE}new/?kind=email").text
    made = admin.post(f"{PAGE}new/", MAIL, follow=True)
    assert "The channel is made." in made.text
    channel = only(tenant)
    assert (channel.emails, channel.events) == (["ada@example.com", "bo@example.com"], EVENTS)
    tried = admin.post(f"{PAGE}{channel.pk}/test/", follow=True)
    assert "The test message was taken." in tried.text
    assert "A test message: alerts arrive here" in tried.text
    workflow = make_workflow(tenant, slug="orders")
    changed = {**MAIL, "name": "Night shift", "which": "chosen", "workflows": [str(workflow.pk)], "is_on": ""}
    assert "Saved." in admin.post(f"{PAGE}{channel.pk}/", changed, follow=True).text
    channel = channel.refresh()
    assert (channel.name, channel.workflows, channel.is_on) == ("Night shift", [workflow.pk], False)
    assert "Off" in admin.get(PAGE).text
    assert "Deleted “Night shift”." in admin.post(f"{PAGE}{channel.pk}/delete/", follow=True).text
    assert "Nobody is told yet" in admin.get(PAGE).text


def test_a_webhooks_secret_is_shown_once_and_its_address_never(admin: Client, tenant: Tenant) -> None:
    made = admin.post(f"{PAGE}new/", HOOK)
    assert made.status_code == 201
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", made.text)
    assert found is not None
    channel = only(tenant)
    for address in (PAGE, f"{PAGE}{channel.pk}/"):
        text = admin.get(address).text
        assert "whsec_" not in text
        assert "canary" not in text
        assert "https://hooks.example.com" in text
    renewed = admin.post(f"{PAGE}{channel.pk}/secret/")
    assert renewed.status_code == 201
    assert "whsec_" in renewed.text
    assert found[0] not in renewed.text
    unchanged = admin.post(f"{PAGE}{channel.pk}/", {**HOOK, "url": ""}, follow=True)
    assert "Saved." in unchanged.text
    assert only(tenant).host == "https://hooks.example.com"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "1 to 100 visible characters"),
        ("emails", "not an address", "is no mail address"),
        ("emails", "", "Enter 1 to 20 addresses"),
        ("events", [], "Choose at least one of"),
        ("quiet_minutes", "soon", "Use 5 to 10080 minutes."),
        ("quiet_minutes", "٣", "Use 5 to 10080 minutes."),
        ("which", "chosen", "Choose at least one workflow"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_entered_stays(
    admin: Client, tenant: Tenant, field: str, value: Any, said: str
) -> None:
    answer = admin.post(f"{PAGE}new/", {**MAIL, field: value})
    assert answer.status_code == 400
    assert said in answer.text
    assert 'value="On call"' in answer.text or field == "name"
    assert not AlertChannel.objects.for_tenant(tenant).exists()


def test_garbage_is_told_or_led_back(admin: Client, tenant: Tenant) -> None:
    assert admin.get(f"{PAGE}new/").status_code == 302
    assert admin.get(f"{PAGE}new/?kind=pigeon").status_code == 302
    assert admin.post(f"{PAGE}new/", {}).status_code == 302
    assert admin.post(f"{PAGE}new/", {"kind": "slack"}).status_code == 400
    for value in ("\x00", "\ud800".encode("utf-8", "replace").decode(), "x" * 50_000, "<script>"):
        assert admin.post(f"{PAGE}new/", {**HOOK, "name": value}).status_code in (201, 400)
        assert admin.post(f"{PAGE}new/", {**HOOK, "url": value}).status_code in (201, 400)
        assert admin.post(f"{PAGE}new/", {**HOOK, "which": "chosen", "workflows": [value]}).status_code == 400
    assert "<script>" not in admin.get(PAGE).text.replace("<script src", "")


def test_a_test_that_fails_says_why(admin: Client, tenant: Tenant) -> None:
    admin.post(f"{PAGE}new/", {**HOOK, "url": "http://127.0.0.1:9/x"})
    answer = admin.post(f"{PAGE}{only(tenant).pk}/test/", follow=True)
    assert "The test message did not arrive" in answer.text
    assert "may not reach" in answer.text


def test_without_a_mail_server_or_an_address_it_says_what_to_set(
    admin: Client, tenant: Tenant, settings: Settings
) -> None:
    settings.EMAIL_HOST, settings.BASE_URL = "", None
    admin.post(f"{PAGE}new/", MAIL)
    text = admin.get(PAGE).text
    assert "an operator sets EMAIL_URL" in text
    assert "an operator has to set BASE_URL" in text
    assert "No mail server" in text
    settings.EMAIL_HOST, settings.BASE_URL = "mail.example.com", "https://flows.example.com"
    text = admin.get(PAGE).text
    assert "EMAIL_URL" not in text
    assert "BASE_URL" not in text


def test_members_read_who_is_told_and_change_nothing(admin: Client, tenant: Tenant, editor: User) -> None:
    admin.post(f"{PAGE}new/", MAIL)
    client, channel = signed_in(editor), only(tenant)
    text = client.get(PAGE).text
    assert "On call" in text
    assert "new/?kind" not in text
    for address in ("new/", f"{channel.pk}/", f"{channel.pk}/test/", f"{channel.pk}/delete/", f"{channel.pk}/secret/"):
        assert client.post(PAGE + address, MAIL).status_code == 403
    assert only(tenant).name == "On call"


def test_a_channel_that_reaches_nobody_needs_somebody(
    admin: Client, tenant: Tenant, editor: User, other_tenant: Tenant
) -> None:
    admin.post(f"{PAGE}new/", MAIL)
    channel, now = only(tenant), timezone.now()
    made = AlertDelivery.unscoped.create(
        tenant=tenant, channel=channel, document=document(item()), status="failed", finished_at=now, error="Refused."
    )
    home = admin.get("/w/acme/").text
    assert "The last alert did not arrive: Refused." in home
    assert f'href="{PAGE}{channel.pk}/"' in home
    assert "The last alert did not arrive" not in signed_in(editor).get("/w/acme/").text
    assert "Refused." in admin.get(PAGE).text
    AlertDelivery.unscoped.filter(pk=made.pk).update(status="sent")
    assert "The last alert did not arrive" not in admin.get("/w/acme/").text


def test_a_workflows_settings_say_who_hears_of_it(admin: Client, tenant: Tenant) -> None:
    workflow, other = make_workflow(tenant, slug="orders"), make_workflow(tenant, slug="other")
    address = f"/w/acme/workflows/{workflow.pk}/settings/"
    assert "Nobody is told when something is wrong with it." in admin.get(address).text
    admin.post(f"{PAGE}new/", MAIL)
    admin.post(f"{PAGE}new/", {**MAIL, "name": "Elsewhere", "which": "chosen", "workflows": [str(other.pk)]})
    admin.post(f"{PAGE}new/", {**MAIL, "name": "Keys", "events": ["credential"]})
    assert "wrong with it: On call.</p>" in admin.get(address).text


def test_the_pages_ask_as_often_however_many_there_are(
    admin: Client, tenant: Tenant, django_assert_num_queries: Any
) -> None:
    def fill(name: str) -> None:
        admin.post(f"{PAGE}new/", {**MAIL, "name": name})
        channel = AlertChannel.objects.for_tenant(tenant).get(name=name)
        for _ in range(3):
            AlertDelivery.unscoped.create(
                tenant=tenant, channel=channel, document=document(item()), next_try_at=timezone.now()
            )
        make_workflow(tenant, slug=name)

    fill("one")
    admin.get(PAGE)
    with django_assert_num_queries(5):
        admin.get(PAGE)
    with django_assert_num_queries(8):
        admin.get(f"{PAGE}{only(tenant).pk}/")
    for name in ("two", "three"):
        fill(name)
    with django_assert_num_queries(5):
        admin.get(PAGE)
    with django_assert_num_queries(8):
        admin.get(f"{PAGE}{AlertChannel.objects.for_tenant(tenant).get(name='two').pk}/")

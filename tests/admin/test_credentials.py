from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from orchestrator.tenants.models import AuditEvent
from orchestrator.vault.models import Credential
from orchestrator.vault.services import resolve_credential
from tests.admin.conftest import CANARY, World, sent, url


def opened(world: World, name: str) -> dict[str, Any]:
    return dict(resolve_credential(tenant_id=world.tenant.pk, name=name).auth)


def last_event(world: World) -> AuditEvent:
    return AuditEvent.objects.for_tenant(world.tenant).latest("pk")


def test_the_fields_of_the_chosen_kind_are_shown_and_save_the_secret(staff: Client, ours: World) -> None:
    response = staff.post(
        url(Credential, "add"), {"_fields": "1", "kind": "http:api_key", "name": "weather", "tenant": ours.tenant.pk}
    )
    page = staff.get(response.headers["Location"])
    data = sent(page)
    assert (data["name"], data["provider"], data["auth_type"]) == ("weather", "http", "api_key")
    data |= {"secret-api_key": "a-new-key", "settings-header": "X-Key", "settings-hosts": "api.example.com\n"}
    assert staff.post(response.headers["Location"], data).status_code == 302
    made = Credential.objects.for_tenant(ours.tenant).get(name="weather")
    assert made.settings == {"header": "X-Key", "hosts": ["api.example.com"]}
    assert opened(ours, "weather")["api_key"] == "a-new-key"
    assert (last_event(ours).action, last_event(ours).actor_label) == ("credential.created", "staff-admin-acme")


def test_a_secret_is_taken_as_json_too(staff: Client, ours: World) -> None:
    data = {"tenant": ours.tenant.pk, "name": "chat", "kind": "slack:bearer_token", "secret": '{"token": "xoxb-1"}'}
    assert staff.post(url(Credential, "add"), data).status_code == 302
    assert opened(ours, "chat")["token"] == "xoxb-1"
    # A provider that nothing has installed.
    data = {"tenant": ours.tenant.pk, "name": "other", "provider": "acme", "auth_type": "basic"}
    data["secret"] = '{"username": "u", "password": "p"}'
    assert staff.post(url(Credential, "add"), data).status_code == 302
    assert opened(ours, "other")["username"] == "u"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"secret": '{"token": 5}'}, "valid string"),
        ({"secret": '{"tokn": "' + CANARY + '-again"}'}, "secret"),
        ({"secret": "not json " + CANARY}, "Not valid JSON"),
        ({"secret": ""}, "Field required"),
        ({"name": "acme key"}, "Another credential has this name"),
        ({"provider": "No Provider"}, "is not a provider"),
        ({"provider": "", "auth_type": ""}, "Choose a kind."),
        ({"settings": '{"hosts": ["not a host"]}'}, "is not a host name"),
        ({"expires_at": "tomorrow"}, "Enter a valid date/time."),
    ],
)
def test_a_refusal_is_an_error_of_the_form_that_repeats_no_secret(
    staff: Client, ours: World, changes: dict[str, str], message: str
) -> None:
    data = {"tenant": ours.tenant.pk, "name": "new", "provider": "http", "auth_type": "bearer_token"}
    response = staff.post(url(Credential, "add"), {**data, "secret": '{"token": "' + CANARY + '"}', **changes})
    text = response.content.decode()
    assert response.status_code == 200
    assert message in text
    assert CANARY not in text
    assert not Credential.objects.for_tenant(ours.tenant).filter(name="new").exists()


def test_a_secret_that_is_left_empty_stays(staff: Client, ours: World) -> None:
    data = sent(staff.get(url(ours.credential, "change")))
    assert staff.post(url(ours.credential, "change"), data).status_code == 302
    assert last_event(ours).action != "credential.changed"
    assert staff.post(url(ours.credential, "change"), {**data, "name": "renamed"}).status_code == 302
    assert opened(ours, "renamed")["token"] == CANARY
    assert last_event(ours).detail == {"changed": ["name"]}
    assert staff.post(url(ours.credential, "change"), {**data, "secret-token": "another"}).status_code == 302
    assert opened(ours, "acme key")["token"] == "another"


def test_a_secret_is_entered_once(staff: Client, ours: World) -> None:
    data = {**sent(staff.get(url(ours.credential, "change"))), "secret-token": "a", "secret": '{"token": "b"}'}
    response = staff.post(url(ours.credential, "change"), data)
    assert "Enter the secret once" in response.content.decode()


def test_one_in_use_is_deleted_after_a_second_confirmation_alone(staff: Client, ours: World) -> None:
    page = url(ours.credential, "delete")
    response = staff.post(page, {"post": "yes"})
    assert response.headers["Location"] == f"{page}?force=1"
    text = staff.get(response.headers["Location"]).content.decode()
    assert "is used by 1 step" in text
    assert Credential.objects.for_tenant(ours.tenant).exists()
    assert staff.post(f"{page}?force=1", {"post": "yes"}).status_code == 302
    assert not Credential.objects.for_tenant(ours.tenant).exists()
    assert last_event(ours).action == "credential.deleted"


def test_the_list_deletes_all_or_none(staff: Client, ours: World) -> None:
    free = {"tenant": ours.tenant.pk, "name": "free", "kind": "http:bearer_token", "secret": '{"token": "t"}'}
    staff.post(url(Credential, "add"), free)
    rows = Credential.objects.for_tenant(ours.tenant)
    data = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    response = staff.post(url(Credential), data, follow=True)
    assert "is used by 1 step" in response.content.decode()
    assert "Successfully deleted" not in response.content.decode()
    assert rows.count() == 2
    data["_selected_action"] = [row.pk for row in rows if row.name == "free"]
    staff.post(url(Credential), data)
    assert [row.name for row in rows.all()] == ["acme key"]

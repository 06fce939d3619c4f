"""Settings → General: admins change the tenant, others read it, and what is wrong is said at its field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.tenants.models import AuditEvent, Role, Tenant

SETTINGS = "/w/acme/settings/"
POSTED = {
    "name": "Acme Ltd", "time_zone": "Europe/Berlin", "max_concurrent_runs": "5", "runs_per_minute": "",
    "retention_days": "30", "egress_allow": "api.example.com\r\n\r\n *.example.org \r\napi.example.com",
}  # fmt: skip


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(tenant: Tenant, make_member: Callable[..., User]) -> Client:
    return signed_in(make_member(tenant, Role.ADMIN))


def test_an_admin_changes_the_tenant_and_the_audit_log_names_what(admin: Client, tenant: Tenant) -> None:
    answer = admin.post(SETTINGS, POSTED, follow=True)
    assert "Saved." in answer.text
    tenant.refresh_from_db()
    assert (tenant.name, tenant.time_zone, tenant.max_concurrent_runs) == ("Acme Ltd", "Europe/Berlin", 5)
    assert (tenant.runs_per_minute, tenant.retention_days) == (None, 30)
    assert tenant.egress_allow == ["api.example.com", "*.example.org"]
    event = AuditEvent.objects.for_tenant(tenant).get()
    changed = ["egress_allow", "max_concurrent_runs", "name", "retention_days", "time_zone"]
    assert (event.action, event.detail) == ("tenant.changed", {"changed": changed})
    assert "<option selected>Europe/Berlin</option>" in answer.text
    admin.post(SETTINGS, {**POSTED, "max_concurrent_runs": ""})
    tenant.refresh_from_db()
    assert tenant.max_concurrent_runs is None


def test_what_stays_as_it_is_is_no_change(admin: Client, tenant: Tenant) -> None:
    for _ in range(2):
        assert admin.post(SETTINGS, POSTED).status_code == 302
    assert AuditEvent.objects.for_tenant(tenant).count() == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "cannot be blank"),
        ("name", " ", "cannot be blank"),
        ("name", "a\x00b", "visible characters"),
        ("name", "x" * 201, "at most 200"),
        ("time_zone", "Mars/Olympus", "Use a name like Europe/Berlin."),
        ("time_zone", "../../etc/passwd", "Use a name like Europe/Berlin."),
        ("max_concurrent_runs", "0", "whole number from 1"),
        ("max_concurrent_runs", "-1", "whole number from 1"),
        ("runs_per_minute", "1.5", "whole number from 1"),
        ("runs_per_minute", "٣", "whole number from 1"),
        ("retention_days", "9" * 40, "whole number from 1"),
        ("egress_allow", "https://a.example.com/path", "is no host"),
        ("egress_allow", "a.example.com:http", "is no host"),
        ("egress_allow", "a b", "is no host"),
        ("egress_allow", "ftp://a.example.com", "is no host"),
        ("egress_allow", "[::1", "is no host"),
        ("egress_allow", "*", "is no host"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_saved(
    admin: Client, tenant: Tenant, field: str, value: str, said: str
) -> None:
    answer = admin.post(SETTINGS, {**POSTED, field: value})
    assert answer.status_code == 400
    assert said in answer.text
    assert f'<a class="lk" href="#set-{field}">' in answer.text
    assert 'value="Acme Ltd"' in answer.text or field == "name"
    tenant.refresh_from_db()
    assert tenant.name == "Acme"


def test_others_read_and_change_nothing(editor: User, tenant: Tenant) -> None:
    client = signed_in(editor)
    text = client.get(SETTINGS).text
    assert 'name="time_zone"' not in text
    assert "Every public host" in text
    assert client.post(SETTINGS, POSTED).status_code == 403
    tenant.refresh_from_db()
    assert tenant.name == "Acme"


def test_nothing_posted_changes_nothing(admin: Client, tenant: Tenant) -> None:
    assert admin.post(SETTINGS, {}).status_code == 302
    assert not AuditEvent.objects.for_tenant(tenant).exists()


def test_a_kept_time_zone_that_is_not_offered_stays(admin: Client, tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Etc/GMT+3")
    assert "<option selected>Etc/GMT+3</option>" in admin.get(SETTINGS).text


def test_the_shell_leads_to_the_settings(viewer: User, django_assert_max_num_queries: Any) -> None:
    client = signed_in(viewer)
    assert f'href="{SETTINGS}"' in client.get("/w/acme/runs/").text
    with django_assert_max_num_queries(5):
        assert 'aria-current="page"' in client.get(SETTINGS).text

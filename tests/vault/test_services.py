from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from orchestrator.errors import Forbidden, Invalid, NotFound
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Role, Tenant
from orchestrator.vault import checks, services
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.provider_settings import credential_types
from orchestrator.vault.services import CredentialUnavailable, resolve_credential
from tests.vault import healths

SECRET = "sk-live-canary-4711"


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def make(actor: Actor) -> Callable[..., Credential]:
    """Return a function that makes a credential, by default an API key of provider http."""

    def make(**changes: Any) -> Credential:
        given: dict[str, Any] = {
            "name": "key",
            "provider": "http",
            "auth_type": "api_key",
            "secret": {"api_key": SECRET},
        }
        return services.credential_create(actor=actor, **{**given, **changes})

    return make


def problems(call: Callable[[], object]) -> list[str]:
    with pytest.raises(Invalid) as caught:
        call()
    return [problem.path for problem in caught.value.problems]


def test_a_saved_credential_opens_for_its_tenant(make: Callable[..., Credential], tenant: Tenant) -> None:
    credential = make(settings={"header": "X-Key", "hosts": ["API.example.com", "*.example.org:8443"]})
    resolved = resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)
    assert dict(resolved.auth) == {"provider": "http", "type": "api_key", "api_key": SECRET}
    assert resolved.settings == {"header": "X-Key", "hosts": ["api.example.com", "*.example.org:8443"]}
    assert resolved.secrets == (SECRET,)
    assert resolve_credential(tenant_id=tenant.pk, name="key").credential_id == credential.pk


def test_a_credential_of_another_tenant_does_not_exist(
    make: Callable[..., Credential], other_tenant: Tenant, stranger: User
) -> None:
    credential = make()
    for lookup in ({"credential_id": credential.pk}, {"name": "key"}, {}):
        with pytest.raises(CredentialUnavailable, match="no longer exists"):
            resolve_credential(tenant_id=other_tenant.pk, **lookup)  # type: ignore[arg-type]
    theirs = actor_for_user(stranger, "globex")
    for change in (
        lambda: services.credential_update(actor=theirs, credential=credential, name="mine"),
        lambda: services.credential_delete(actor=theirs, credential=credential),
        lambda: checks.credential_check(actor=theirs, credential=credential),
    ):
        with pytest.raises(NotFound):
            change()


def test_a_sealed_column_moved_to_another_row_does_not_open(make: Callable[..., Credential], tenant: Tenant) -> None:
    mine, other = make(), make(name="other", secret={"api_key": "another-secret"})
    Credential.unscoped.filter(pk=mine.pk).update(sealed=other.sealed)
    with pytest.raises(CredentialUnavailable, match=r"cannot be opened \(Tampered\)"):
        resolve_credential(tenant_id=tenant.pk, credential_id=mine.pk)


def test_the_worker_checks_the_secret_again(make: Callable[..., Credential], tenant: Tenant) -> None:
    credential = make()
    Credential.unscoped.filter(pk=credential.pk).update(auth_type="basic")
    with pytest.raises(CredentialUnavailable, match="cannot be opened") as caught:
        resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)
    assert SECRET not in str(caught.value)


def test_an_expired_credential_is_not_used(make: Callable[..., Credential], tenant: Tenant) -> None:
    make(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(CredentialUnavailable, match="has expired"):
        resolve_credential(tenant_id=tenant.pk, name="key")


def test_a_sign_in_past_its_time_is_left_to_the_provider(make: Callable[..., Credential], tenant: Tenant) -> None:
    credential = make(
        auth_type="oauth2", secret={"access_token": SECRET, "expires_at": "2020-01-01T00:00:00"}, settings={}
    )
    assert credential.expires_at == datetime(2020, 1, 1, tzinfo=UTC)
    assert resolve_credential(tenant_id=tenant.pk, name="key").auth["access_token"] == SECRET


def test_the_use_of_a_credential_is_noted_at_most_once_a_minute(
    make: Callable[..., Credential], tenant: Tenant, django_assert_num_queries: Any
) -> None:
    credential = make()
    resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)
    assert credential.refresh().last_used_at is not None
    with django_assert_num_queries(1):
        resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)


def test_no_secret_is_in_a_repr_a_row_or_the_audit_log(
    make: Callable[..., Credential], actor: Actor, tenant: Tenant
) -> None:
    credential = make()
    services.credential_update(actor=actor, credential=credential, secret={"api_key": SECRET + "-2"})
    services.credential_delete(actor=actor, credential=make(name="second"))
    resolved = resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)
    stored = [list(Credential.unscoped.values()), list(AuditEvent.unscoped.values())]
    for shown in (repr(resolved), repr(credential), str(credential), repr(stored), json.dumps(stored, default=str)):
        assert SECRET not in shown
    assert [event.action for event in AuditEvent.objects.for_tenant(tenant).order_by("id")] == [
        "credential.created",
        "credential.changed",
        "credential.created",
        "credential.deleted",
    ]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_may_not_edit_may_not_touch_credentials(
    make: Callable[..., Credential], tenant: Tenant, make_member: Callable[..., User], role: Role
) -> None:
    credential = make()
    low = actor_for_user(make_member(tenant, role), "acme")
    for change in (
        lambda: services.credential_create(actor=low, name="x", provider="http", auth_type="api_key", secret={}),
        lambda: services.credential_update(actor=low, credential=credential, name="mine"),
        lambda: services.credential_delete(actor=low, credential=credential),
        lambda: checks.credential_check(actor=low, credential=credential),
    ):
        with pytest.raises(Forbidden, match="role editor"):
            change()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"provider": "Not A Key"}, "provider"),
        ({"provider": "x" * 64}, "provider"),
        ({"auth_type": "none"}, "auth_type"),
        ({"secret": {"token": "x"}}, "secret.api_key"),
        ({"settings": {"colour": "red"}}, "settings.colour"),
        ({"settings": {"header": "Host"}}, "settings.header"),
        ({"settings": {"header": "X Y"}}, "settings.header"),
        ({"settings": {"header": "X-Key", "query": "key"}}, "settings"),
        ({"settings": {"hosts": "api.example.com"}}, "settings.hosts"),
        ({"settings": {"hosts": ["ok.example", "https://x/"]}}, "settings.hosts[1]"),
        ({"auth_type": "bearer_token", "secret": {"token": "t"}, "settings": {"header": "X"}}, "settings.header"),
        ({"provider": "slack", "settings": {"hosts": ["x.example"]}}, "settings.hosts"),
        (
            {"provider": "email", "auth_type": "basic", "secret": {"username": "u", "password": "p"}},
            "settings.host",
        ),
    ],
)
def test_a_wrong_field_is_named_by_its_path(
    make: Callable[..., Credential], changes: dict[str, Any], path: str
) -> None:
    assert path in problems(lambda: make(**changes))
    assert not Credential.unscoped.exists()


def test_a_provider_that_is_not_installed_yet_is_taken(make: Callable[..., Credential]) -> None:
    assert make(provider="my_own_shop").provider == "my_own_shop"


def test_a_mail_credential_names_its_server(make: Callable[..., Credential]) -> None:
    credential = make(
        provider="email",
        auth_type="basic",
        secret={"username": "u", "password": "p"},
        settings={"host": "smtp.example.com", "port": 465, "security": "tls"},
    )
    assert credential.settings == {"host": "smtp.example.com", "port": 465, "security": "tls"}


def test_a_mail_credential_may_name_a_server_for_each_direction(make: Callable[..., Credential]) -> None:
    settings = {"host": "imap.example.com", "port": 993, "security": "tls", "smtp_host": "smtp.example.com"}
    secret = {"username": "u", "password": "p"}
    assert make(provider="email", auth_type="basic", secret=secret, settings=settings).settings == settings


def test_a_database_credential_names_its_server_and_database(make: Callable[..., Credential]) -> None:
    given: dict[str, Any] = {"provider": "postgres", "auth_type": "basic", "secret": {"username": "u", "password": ""}}
    settings = {"host": "db.example.com", "database": "shop"}
    assert make(name="db", **given, settings={**settings, "port": 5432, "tls": "verify-full"}).settings == settings
    for name, wrong in (("host", "a,b"), ("host", "db:1"), ("tls", "prefer"), ("database", ""), ("database", "a\nb")):
        assert f"settings.{name}" in problems(lambda: make(**given, settings={**settings, name: wrong}))  # noqa: B023


def test_a_name_is_taken_once_in_a_tenant(make: Callable[..., Credential], actor: Actor) -> None:
    make()
    assert problems(make) == ["name"]
    other = make(name="other")
    assert problems(lambda: services.credential_update(actor=actor, credential=other, name="key")) == ["name"]


def test_a_new_secret_makes_the_health_unknown_again(
    make: Callable[..., Credential], actor: Actor, tenant: Tenant
) -> None:
    credential = make(expires_at=timezone.now() + timedelta(days=1))
    healths.found(credential, Health.RECONNECT, "Refused.")
    changed = services.credential_update(actor=actor, credential=credential, secret={"api_key": "new-secret"})
    assert (changed.health, changed.health_message, changed.expires_at) == (Health.NOT_CHECKED, "", None)
    assert resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk).auth["api_key"] == "new-secret"


def test_other_changes_leave_the_secret(make: Callable[..., Credential], actor: Actor, tenant: Tenant) -> None:
    credential = make()
    services.credential_update(actor=actor, credential=credential, name="renamed", settings={"query": "key"})
    resolved = resolve_credential(tenant_id=tenant.pk, name="renamed")
    assert (resolved.auth["api_key"], resolved.settings) == (SECRET, {"query": "key"})


@pytest.mark.parametrize(
    ("before", "after", "further"),
    [
        ([], ["a.example"], False),
        (["a.example", "b.example"], ["a.example"], False),
        (["a.example"], ["a.example", "evil.example"], True),
        (["a.example"], ["evil.example"], True),
        (["a.example"], [], True),
    ],
)
def test_a_pinned_credential_reaches_further_hosts_only_with_its_secret_entered_again(
    make: Callable[..., Credential], actor: Actor, before: list[str], after: list[str], further: bool
) -> None:
    credential = make(settings={"hosts": before})
    change: dict[str, Any] = {"actor": actor, "credential": credential, "settings": {"hosts": after}}
    if further:
        assert problems(lambda: services.credential_update(**change)) == ["secret"]
        change["secret"] = {"api_key": SECRET}
    assert services.credential_update(**change).settings == ({"hosts": after} if after else {})


@pytest.mark.parametrize(
    ("change", "further"),
    [
        ({}, False),
        ({"security": "none"}, True),
        ({"port": 25}, True),
        ({"security": "tls"}, False),
        ({"smtp_host": "evil.example.com"}, True),
        ({"smtp_security": "none"}, True),
    ],
)
def test_a_mail_password_is_sent_less_safely_only_with_it_entered_again(
    make: Callable[..., Credential], actor: Actor, change: dict[str, Any], further: bool
) -> None:
    settings = {"host": "smtp.example.com"}
    secret = {"username": "ada", "password": SECRET}
    credential = make(provider="email", auth_type="basic", settings=settings, secret=secret)
    asked: dict[str, Any] = {"actor": actor, "credential": credential, "settings": {**settings, **change}}
    if further:
        assert problems(lambda: services.credential_update(**asked)) == ["secret"]
        asked["secret"] = secret
    assert services.credential_update(**asked).settings == {**settings, **change}


@pytest.mark.parametrize(
    ("change", "further"),
    [({"tls": "disable"}, True), ({"tls": "verify-full"}, False), ({"host": "x"}, True), ({"database": "y"}, False)],
)
def test_a_database_password_is_sent_less_safely_only_with_it_entered_again(
    make: Callable[..., Credential], actor: Actor, change: dict[str, Any], further: bool
) -> None:
    settings = {"host": "db.example.com", "database": "shop", "tls": "require"}
    secret = {"username": "ada", "password": SECRET}
    credential = make(provider="postgres", auth_type="basic", settings=settings, secret=secret)
    asked: dict[str, Any] = {"actor": actor, "credential": credential, "settings": {**settings, **change}}
    if further:
        assert problems(lambda: services.credential_update(**asked)) == ["secret"]
    else:
        services.credential_update(**asked)


def test_credentials_about_to_end_and_ended_are_marked(make: Callable[..., Credential]) -> None:
    now = timezone.now()
    rows = {
        "ended": make(name="ended", expires_at=now - timedelta(hours=1)),
        "ending": make(name="ending", expires_at=now + timedelta(days=2)),
        "good": make(name="good", expires_at=now + timedelta(days=30)),
        "endless": make(name="endless"),
    }
    assert checks.credentials_mark_expiring(now=now) == 2
    assert checks.credentials_mark_expiring(now=now) == 0
    assert {name: row.refresh().health for name, row in rows.items()} == {
        "ended": Health.RECONNECT,
        "ending": Health.EXPIRING,
        "good": Health.NOT_CHECKED,
        "endless": Health.NOT_CHECKED,
    }


def test_a_lost_key_is_told_without_the_secret(
    make: Callable[..., Credential], tenant: Tenant, settings: Settings
) -> None:
    make()
    settings.VAULT_KEYS = (b"x" * 32,)
    with pytest.raises(CredentialUnavailable, match="UnknownKey"):
        resolve_credential(tenant_id=tenant.pk, name="key")


def test_every_kind_that_a_person_can_save_has_a_form() -> None:
    kinds = {(kind["provider"], kind["auth_type"]): kind for kind in credential_types()}
    slack = kinds["slack", "bearer_token"]["secret_schema"]
    assert slack["required"] == ["token"]
    assert slack["properties"]["token"]["secret"] is True
    assert {auth_type for _, auth_type in kinds} <= {"oauth2", "api_key", "bearer_token", "basic"}

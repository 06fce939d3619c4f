"""Channels: made and changed by admins, on the audit log, with every wrong value told at its field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from pytest_django import Settings

from orchestrator.alerts import services
from orchestrator.alerts.kinds import ChannelKind, Event
from orchestrator.alerts.models import AlertChannel, AlertDelivery
from orchestrator.alerts.targets import target_open
from orchestrator.errors import Conflict, Forbidden, Invalid, Limited
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Role, Tenant
from orchestrator.vault.rotation import key_use, rotate
from orchestrator.vault.services import credential_create
from tests.runs.ground import make_workflow
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.django_db
EMAIL, WEBHOOK, SLACK = ChannelKind.EMAIL, ChannelKind.WEBHOOK, ChannelKind.SLACK
URL = "https://hooks.example.com/services/T0canary?token=canary"


@pytest.fixture
def actor(owner: User, tenant: Tenant) -> Actor:
    return actor_for_user(owner, tenant.slug)


@pytest.fixture
def called(settings: Settings) -> Iterator[Upstream]:
    with upstream() as found:
        settings.ENV = dataclasses.replace(settings.ENV, egress_allow=(found.address.removeprefix("http://"),))
        yield found


def make(actor: Actor, kind: ChannelKind = EMAIL, **values: Any) -> tuple[AlertChannel, str]:
    given = {EMAIL: {"emails": ["ada@example.com"]}, WEBHOOK: {"url": URL}, SLACK: {"url": URL}}[kind]
    return services.channel_create(actor=actor, kind=kind, values={"name": kind.value, **given, **values})


def done(tenant: Tenant) -> list[tuple[str, Any]]:
    rows = AuditEvent.objects.for_tenant(tenant).filter(action__startswith="alert_channel").order_by("pk")
    return list(rows.values_list("action", "detail"))


def test_a_channel_of_each_kind_is_made_and_logged(actor: Actor, tenant: Tenant) -> None:
    mail_channel, none = make(actor)
    hook, secret = make(actor, WEBHOOK)
    chat, no_secret = make(actor, SLACK)
    assert (none, no_secret, secret.startswith("whsec_")) == ("", "", True)
    assert mail_channel.events == [event.value for event in Event]
    assert (hook.host, chat.host) == ("https://hooks.example.com",) * 2
    assert (target_open(hook).url, target_open(hook).secret) == (URL, secret)
    assert [action for action, _detail in done(tenant)] == ["alert_channel.created"] * 3
    assert "canary" not in str(done(tenant))


def test_what_is_changed_is_named_and_what_stays_is_no_change(actor: Actor, tenant: Tenant) -> None:
    channel, secret = make(actor, WEBHOOK)
    same = {"name": "webhook", "events": list(channel.events), "workflows": None, "quiet_minutes": 60, "is_on": True}
    services.channel_update(actor=actor, channel=channel, changes=same)
    services.channel_update(actor=actor, channel=channel, changes={"quiet_minutes": 10, "url": "https://x.example/y"})
    assert done(tenant)[1:] == [("alert_channel.changed", {"changed": ["quiet_minutes", "url"]})]
    found = channel.refresh()
    assert (found.host, target_open(found).secret) == ("https://x.example", secret)
    renewed = services.channel_renew_secret(actor=actor, channel=found)
    assert renewed != secret
    assert target_open(found.refresh()).secret == renewed
    services.channel_delete(actor=actor, channel=found)
    assert [action for action, _detail in done(tenant)[2:]] == ["alert_channel.secret_renewed", "alert_channel.deleted"]
    assert not AlertChannel.objects.for_tenant(tenant).exists()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (EMAIL, "name", ""), (EMAIL, "name", "x" * 101), (EMAIL, "name", "a\nb"), (EMAIL, "name", None),
        (EMAIL, "emails", []), (EMAIL, "emails", ["no address"]), (EMAIL, "emails", ["a@b.c\nBcc: d@e.f"]),
        (EMAIL, "emails", ["ü@example.com"]), (EMAIL, "emails", [f"x{n}@b.example" for n in range(21)]),
        (EMAIL, "events", []), (EMAIL, "events", ["everything"]), (EMAIL, "events", "run_failed"),
        (EMAIL, "workflows", []), (EMAIL, "workflows", ["1"]), (EMAIL, "workflows", ["x"]),
        (EMAIL, "workflows", ["9" * 19]), (EMAIL, "workflows", [1]),
        (EMAIL, "quiet_minutes", 4), (EMAIL, "quiet_minutes", 10_081), (EMAIL, "quiet_minutes", True),
        (EMAIL, "quiet_minutes", "60"), (EMAIL, "is_on", "on"), (EMAIL, "url", URL),
        (WEBHOOK, "url", ""), (WEBHOOK, "url", "ftp://x.example"), (WEBHOOK, "url", "https://"),
        (WEBHOOK, "url", "https://user:pass@x.example"), (WEBHOOK, "url", "https://x.example/#a"),
        (WEBHOOK, "url", "https://x.example/\r\nHost: y"), (WEBHOOK, "url", "https://x.example:port"),
        (WEBHOOK, "url", "https://x.example/" + "a" * 2_000), (WEBHOOK, "emails", ["a@b.example"]),
        (SLACK, "url", "javascript:alert(1)"), (SLACK, "credential", "nobody's"), (SLACK, "slack_channel", "a\nb"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_field(
    actor: Actor, tenant: Tenant, kind: ChannelKind, field: str, value: Any
) -> None:
    with pytest.raises(Invalid) as caught:
        make(actor, kind, **{field: value})
    assert [problem.path for problem in caught.value.problems] == [field]
    assert not AlertChannel.objects.for_tenant(tenant).exists()


def test_a_name_counts_once_and_channels_are_so_many(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    make(actor)
    with pytest.raises(Invalid, match="Another channel has this name"):
        make(actor)
    monkeypatch.setattr(services, "MOST_CHANNELS", 1)
    with pytest.raises(Invalid, match="at most 1 channels"):
        make(actor, name="second")


def test_slack_takes_a_credential_and_a_channel_in_place_of_an_address(actor: Actor, tenant: Tenant) -> None:
    credential_create(actor=actor, name="team", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-1"})
    with pytest.raises(Invalid, match="Slack webhook, or choose"):
        services.channel_create(actor=actor, kind=SLACK, values={"name": "chat"})
    with pytest.raises(Invalid, match="Enter a channel"):
        services.channel_create(actor=actor, kind=SLACK, values={"name": "chat", "credential": "team"})
    made, _none = services.channel_create(
        actor=actor, kind=SLACK, values={"name": "chat", "credential": "team", "slack_channel": "#a"}
    )
    assert (made.host, made.sealed) == ("", None)
    credential_create(actor=actor, name="signs", provider="slack", auth_type="api_key", secret={"api_key": "0" * 32})
    with pytest.raises(Invalid, match="Choose a Slack credential"):
        services.channel_update(actor=actor, channel=made, changes={"credential": "signs"})
    services.channel_update(actor=actor, channel=made, changes={"url": URL})
    found = made.refresh()
    assert (found.credential, found.slack_channel, found.host) == (None, "", "https://hooks.example.com")


def test_workflows_and_credentials_of_another_tenant_are_not_there(
    actor: Actor, other_tenant: Tenant, stranger: User
) -> None:
    theirs = make_workflow(other_tenant)
    credential_create(
        actor=actor_for_user(stranger, other_tenant.slug), name="theirs", provider="slack", auth_type="bearer_token",
        secret={"token": "xoxb-1"},
    )  # fmt: skip
    with pytest.raises(Invalid, match="does not exist in this tenant"):
        make(actor, workflows=[str(theirs.pk)])
    with pytest.raises(Invalid, match="Slack credential of this tenant"):
        services.channel_create(actor=actor, kind=SLACK, values={"name": "x", "credential": "theirs"})


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.EDITOR])
def test_only_owners_and_admins_change_channels(
    actor: Actor, tenant: Tenant, make_member: Callable[..., User], role: Role
) -> None:
    channel, _none = make(actor)
    other = actor_for_user(make_member(tenant, role), tenant.slug)
    for change in (
        lambda: make(other, name="x"),
        lambda: services.channel_update(actor=other, channel=channel, changes={"name": "x"}),
        lambda: services.channel_delete(actor=other, channel=channel),
        lambda: services.channel_renew_secret(actor=other, channel=channel),
        lambda: services.channel_test(actor=other, channel=channel),
    ):
        with pytest.raises(Forbidden):
            change()


def test_a_test_is_sent_at_once_and_what_came_of_it_is_kept(actor: Actor, settings: Settings, called: Upstream) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    found = services.channel_test(actor=actor, channel=make(actor)[0])
    assert (found.status, found.is_test) == ("sent", True)
    assert mail.outbox[0].to == ["ada@example.com"]
    hook, _secret = make(actor, WEBHOOK, url=f"{called.address}/x?away=1")
    found = services.channel_test(actor=actor, channel=hook)
    assert (found.status, found.error, found.next_try_at) == ("failed", "It was answered with status 503.", None)
    assert services.channel_test(actor=actor, channel=hook).status == "sent"
    assert called.calls[0].json()["type"] == "alert.test"


def test_tests_are_so_many_an_hour(actor: Actor, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "MOST_TESTS", 2)
    channel, _none = make(actor)
    for _ in range(2):
        services.channel_test(actor=actor, channel=channel)
    with pytest.raises(Limited):
        services.channel_test(actor=actor, channel=channel)
    assert AlertDelivery.objects.for_tenant(tenant).count() == 2


def test_only_a_webhook_has_a_secret(actor: Actor) -> None:
    with pytest.raises(Conflict):
        services.channel_renew_secret(actor=actor, channel=make(actor)[0])


def test_a_rotation_of_keys_reaches_channels(actor: Actor, settings: Settings) -> None:
    hook, secret = make(actor, WEBHOOK)
    settings.VAULT_KEYS = (b"another key of thirty-two bytes!", *settings.VAULT_KEYS)
    assert not [progress for progress in rotate() if progress.failed]
    settings.VAULT_KEYS = settings.VAULT_KEYS[:1]
    assert target_open(hook.refresh()).secret == secret
    assert [use.values for use in key_use() if use.column == "alert_channel" and use.first] == [1]

"""Commands for people, tenants, tokens and keys, as a person on the terminal meets them."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from orchestrator.tenants.access import actor_for_token, actor_for_user
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Role, Scope, SecondFactor, Tenant
from orchestrator.vault import services
from orchestrator.vault.models import Credential

Say = Callable[..., str]


@pytest.fixture
def say(db: None, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Return a function that runs a command line and gives what it wrote to standard output."""

    def run(*words: str, stdin: str = "") -> str:
        out = io.StringIO()
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        call_command(*words, stdout=out, stderr=io.StringIO())
        return out.getvalue()

    return run


def refusal(say: Say, *words: str, stdin: str = "") -> str:
    with pytest.raises(CommandError) as caught:
        say(*words, stdin=stdin)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_tenant_user_and_member_are_made_and_made_again(say: Say) -> None:
    for _ in range(2):
        say("user", "create", "mia", "--password-stdin", "--staff", stdin="correct horse battery\n")
        say("tenant", "create", "acme", "--name", "Acme Ltd", "--owner", "mia")
        say("user", "create", "bob", "--password-stdin", stdin="correct horse battery")
        say("member", "add", "--tenant", "acme", "--user", "bob", "--role", "operator")
    acme = Tenant.objects.get()
    assert (acme.slug, acme.name) == ("acme", "Acme Ltd")
    roles = Membership.objects.for_tenant(acme).values_list("user__username", "role", "user__is_staff")
    assert set(roles) == {("mia", "owner", True), ("bob", "operator", False)}
    assert User.objects.get(username="mia").check_password("correct horse battery")
    assert [event.actor_label for event in AuditEvent.objects.for_tenant(acme)] == ["system"] * 3


def test_a_role_is_changed_by_adding_again(say: Say, tenant: Tenant, editor: User) -> None:
    said = say("member", "add", "--tenant", "acme", "--user", editor.username, "--role", "viewer")
    assert said == "editor-of-acme is viewer of acme.\n"
    assert actor_for_user(editor, "acme").role == Role.VIEWER


def test_a_token_stands_alone_on_the_last_line(say: Say, tenant: Tenant, owner: User) -> None:
    plain = say("token", "create", "--tenant", "acme", "--user", owner.username).splitlines()[-1]
    actor = actor_for_token(plain)
    assert actor is not None
    assert (actor.user, actor.tenant, actor.scopes) == (owner, tenant, set(Scope))


@pytest.mark.parametrize(
    "given", [("--scope", "read", "run"), ("--scope", "read,run"), ("--scope", "read", "--scope=run")]
)
def test_a_token_gets_the_scopes_that_are_named(say: Say, tenant: Tenant, owner: User, given: tuple[str, ...]) -> None:
    say("token", "create", "--tenant", "acme", "--user", owner.username, "--days", "3", *given)
    token = ApiToken.unscoped.get()
    assert token.scopes == ["read", "run"]
    assert token.expires_at is not None
    assert timedelta(days=2) < token.expires_at - timezone.now() <= timedelta(days=3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tenant create Acme!", "not a slug"),
        ("tenant create new --owner nobody", "There is no user 'nobody': make one"),
        ("member add --tenant nowhere --user viewer-of-acme --role viewer", "There is no tenant 'nowhere'"),
        ("member add --tenant acme --user nobody --role viewer", "There is no user 'nobody'"),
        ("member add --tenant acme --user viewer-of-acme --role king", "invalid choice: 'king'"),
        ("token create --tenant nowhere --user viewer-of-acme", "There is no tenant 'nowhere'"),
        ("token create --tenant acme --user nobody", "There is no user 'nobody'"),
        ("token create --tenant acme --user viewer-of-acme --scope fly", "'fly' is not a scope"),
        ("token create --tenant acme --user viewer-of-acme --scope write", "does not reach the scope write"),
        ("token create --tenant acme --user viewer-of-acme --days 0", "not a positive whole number"),
        ("token create --tenant globex --user viewer-of-acme", "you do not belong to it"),
        ("user create mia --password-stdin", "No password came on standard input"),
        ("user create mia", "--password-stdin"),
        ("token", "OPERATION"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    say: Say, viewer: User, other_tenant: Tenant, line: str, message: str
) -> None:
    assert message in refusal(say, *line.split())
    assert not ApiToken.unscoped.exists()


def test_somebody_switched_off_gets_no_token(say: Say, tenant: Tenant, owner: User) -> None:
    User.objects.update(is_active=False)
    assert "switched off" in refusal(say, "token", "create", "--tenant", "acme", "--user", owner.username)


def test_keys_are_shown_and_moved(say: Say, tenant: Tenant, owner: User, settings: Settings) -> None:
    settings.VAULT_KEYS = (b"1" * 32,)
    credential = services.credential_create(
        actor=actor_for_user(owner, "acme"),
        name="c",
        provider="http",
        auth_type="bearer_token",
        secret={"token": "canary"},
    )
    assert f"{credential.key_id}  credential          1  first: seals new values" in say("vault", "status")
    settings.VAULT_KEYS = (b"2" * 32, b"1" * 32)
    assert f"{credential.key_id}  credential          1  opens old values" in say("vault", "status")
    assert "1 values were moved" in say("vault", "rotate", "--batch", "1")
    assert f"{credential.key_id}  credential          0  unused" in say("vault", "status")
    settings.VAULT_KEYS = (b"1" * 32,)
    assert "not in VAULT_KEYS" in refusal(say, "vault", "status")


def test_a_value_that_cannot_be_opened_ends_the_rotation_with_a_sentence(
    say: Say, tenant: Tenant, owner: User, settings: Settings
) -> None:
    settings.VAULT_KEYS = (b"1" * 32,)
    services.credential_create(
        actor=actor_for_user(owner, "acme"), name="c", provider="http", auth_type="bearer_token", secret={"token": "t"}
    )
    Credential.unscoped.update(sealed=b"\x01broken")
    settings.VAULT_KEYS = (b"2" * 32, b"1" * 32)
    assert "1 values could not be opened" in refusal(say, "vault", "rotate")


def test_a_rotation_without_keys_says_so(say: Say, settings: Settings) -> None:
    settings.VAULT_KEYS = ()
    assert "VAULT_KEYS is not set" in refusal(say, "vault", "rotate")


def test_a_lost_second_factor_is_reset_on_the_terminal(say: Say, tenant: Tenant, viewer: User) -> None:
    assert "has no second factor" in say("user", "reset-factor", viewer.username)
    SecondFactor.objects.create(user=viewer, sealed=b"lost", key_id="x", confirmed_at=timezone.now())
    assert "is off" in say("user", "reset-factor", viewer.username)
    assert not SecondFactor.objects.exists()
    event = AuditEvent.objects.for_tenant(tenant).get()
    assert (event.actor_label, event.action, event.target_label) == ("system", "factor.reset", viewer.username)
    assert "nobody" in refusal(say, "user", "reset-factor", "nobody")

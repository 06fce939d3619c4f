"""Invitations by link: shown once, accepted once, and void with the rights of who made them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator.errors import Conflict, Forbidden, Invalid, NotFound
from orchestrator.tenants import invitations, services
from orchestrator.tenants.access import Actor, actor_for_token, actor_for_user, system_actor
from orchestrator.tenants.invitations import (
    MOST_OPEN,
    invitation_accept,
    invitation_create,
    invitation_list,
    invitation_revoke,
    with_states,
)
from orchestrator.tenants.models import AuditEvent, Invitation, Membership, Role, Scope, SignInFailure, Tenant

PAGE = "/w/acme/settings/invitations/"
ACCOUNT = {"do": "account", "username": "priya", "password": "correct horse battery", "again": "correct horse battery"}


@pytest.fixture
def admin(tenant: Tenant, make_member: Callable[..., User]) -> User:
    return make_member(tenant, Role.ADMIN)


@pytest.fixture
def acting(admin: User) -> Actor:
    return actor_for_user(admin, "acme")


@pytest.fixture
def newcomer(db: None) -> User:
    return User.objects.create_user("newcomer", password="a good password")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def state(invitation: Invitation) -> str:
    rows = Invitation.unscoped.select_related("invited_by").filter(pk=invitation.pk)
    return with_states(invitation.tenant, rows)[0].state.value


def role_of(user: User, slug: str = "acme") -> str | None:
    return Membership.unscoped.filter(user=user, tenant__slug=slug).values_list("role", flat=True).first()


def test_the_link_is_shown_once_and_kept_as_its_hash(admin: User) -> None:
    client = signed_in(admin)
    answer = client.post(PAGE, {"role": "editor", "note": "priya@example.com"})
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    found = re.search(r'id="link">http://testserver/join/([\w-]{43})/</code>', answer.text)
    assert found
    assert all(found.group(1) not in str(value) for value in Invitation.unscoped.values().get().values())
    later = client.get(PAGE).text
    assert found.group(1) not in later
    assert "priya@example.com" in later
    assert "Open" in later


def test_who_is_signed_in_sees_what_it_is_and_accepts_by_a_post_alone(acting: Actor, newcomer: User) -> None:
    invitation, plain = invitation_create(actor=acting, role=Role.EDITOR)
    client = signed_in(newcomer)
    for _ in range(2):
        text = client.get(f"/join/{plain}/").text
        assert "Join Acme" in text
        assert "admin-of-acme invites you, with the role Editor." in text
        assert "Join as newcomer" in text
    assert role_of(newcomer) is None
    answer = client.post(f"/join/{plain}/", {"do": "accept"}, follow=True)
    assert answer.redirect_chain[0][0] == "/w/acme/"
    assert "Welcome to Acme." in answer.text
    assert role_of(newcomer) == Role.EDITOR
    assert state(invitation) == "accepted"
    events = AuditEvent.objects.for_tenant(invitation.tenant).order_by("id")
    assert [(event.actor_label, event.action) for event in events] == [
        ("admin-of-acme", "invitation.created"),
        ("admin-of-acme", "member.set"),
        ("newcomer", "invitation.accepted"),
    ]


def test_who_has_no_account_makes_one_and_is_signed_in(acting: Actor) -> None:
    _invitation, plain = invitation_create(actor=acting, role=Role.OPERATOR)
    client = Client()
    text = client.get(f"/join/{plain}/").text
    assert "Make an account" in text
    assert f"/sign-in/?next=/join/{plain}/" in text
    answer = client.post(f"/join/{plain}/", ACCOUNT, follow=True)
    assert answer.redirect_chain[-1][0] == "/w/acme/"
    user = User.objects.get(username="priya")
    assert (role_of(user), user.is_staff, user.is_superuser) == (Role.OPERATOR, False, False)
    assert user.check_password("correct horse battery")
    assert user.last_login is not None
    assert Client().post(f"/join/{plain}/", {**ACCOUNT, "username": "another"}).status_code == 410
    assert not User.objects.filter(username="another").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"username": ""}, "cannot be blank"),
        ({"username": "a b"}, "Enter a valid username"),
        ({"username": "a\x00b"}, "Use letters, digits"),
        ({"username": "x" * 500}, "at most 150"),
        ({"username": "admin-of-acme"}, "Somebody has this name already."),
        ({"password": "12345678", "again": "12345678"}, "too common"),
        ({"password": "short", "again": "short"}, "too short"),
        ({"password": "priya12345", "username": "priya12345", "again": "priya12345"}, "too similar"),
        ({"again": "something else"}, "The two passwords differ."),
        ({"password": "", "again": ""}, "too short"),
    ],
)
def test_what_is_wrong_with_an_account_is_said_and_the_link_stays_open(
    acting: Actor, given: dict[str, str], said: str
) -> None:
    invitation, plain = invitation_create(actor=acting, role=Role.VIEWER)
    users = User.objects.count()
    answer = Client().post(f"/join/{plain}/", {**ACCOUNT, **given})
    assert answer.status_code == 400
    assert said in answer.text
    assert "correct horse" not in answer.text
    assert (User.objects.count(), state(invitation)) == (users, "open")


def test_nobody_is_signed_in_as_somebody_whose_name_they_typed(acting: Actor, admin: User) -> None:
    _invitation, plain = invitation_create(actor=acting, role=Role.VIEWER)
    client = Client()
    client.post(f"/join/{plain}/", {**ACCOUNT, "username": "admin-of-acme"})
    assert "_auth_user_id" not in client.session


def test_asking_for_names_is_slowed_down_as_signing_in_is(acting: Actor) -> None:
    _invitation, plain = invitation_create(actor=acting, role=Role.VIEWER)
    client = Client()
    for _ in range(5):
        assert client.post(f"/join/{plain}/", {**ACCOUNT, "username": "admin-of-acme"}).status_code == 400
    answer = client.post(f"/join/{plain}/", ACCOUNT)
    assert "Too many tries." in answer.text
    assert not User.objects.filter(username="priya").exists()
    SignInFailure.objects.update(last_at=timezone.now() - timedelta(minutes=1))
    assert client.post(f"/join/{plain}/", ACCOUNT).status_code == 302


def test_an_unknown_link_is_not_there(client: Client, db: None) -> None:
    for token in ("nothing", "x" * 500, "%00", "é"):
        assert client.get(f"/join/{token}/").status_code == 404
        assert client.post(f"/join/{token}/", ACCOUNT).status_code == 404
    assert not User.objects.exists()


def end(invitation: Invitation, how: str, owner: User, admin: User) -> None:
    boss = actor_for_user(owner, "acme")
    match how:
        case "revoked":
            invitation_revoke(actor=boss, invitation=invitation)
        case "expired":
            Invitation.unscoped.filter(pk=invitation.pk).update(expires_at=timezone.now())
        case "demoted":
            services.member_add(actor=boss, user=admin, role=Role.EDITOR)
        case "removed":
            membership = Membership.objects.for_tenant(invitation.tenant).get(user=admin)
            services.member_remove(actor=boss, membership=membership)
        case "inactive":
            User.objects.filter(pk=admin.pk).update(is_active=False)


@pytest.mark.parametrize(
    ("how", "said", "code"),
    [
        ("revoked", "It was taken back.", "revoked"),
        ("expired", "Its 7 days are over.", "expired"),
        ("demoted", "may not invite people any more", "void"),
        ("removed", "may not invite people any more", "void"),
        ("inactive", "may not invite people any more", "void"),
    ],
)
def test_what_has_ended_lets_nobody_in_and_says_why(
    acting: Actor, owner: User, admin: User, newcomer: User, how: str, said: str, code: str
) -> None:
    invitation, plain = invitation_create(actor=acting, role=Role.VIEWER)
    end(invitation, how, owner, admin)
    assert state(invitation) == code
    for client in (Client(), signed_in(newcomer)):
        for answer in (client.get(f"/join/{plain}/"), client.post(f"/join/{plain}/", ACCOUNT)):
            assert answer.status_code == 410
            assert said in answer.text
            assert "Acme" not in answer.text
    with pytest.raises(Conflict) as refused:
        invitation_accept(user=newcomer, plain=plain)
    assert refused.value.code == code
    assert role_of(newcomer) is None
    assert not User.objects.filter(username="priya").exists()


def test_an_owners_invitation_of_an_owner_is_void_once_they_are_less(
    owner: User, admin: User, newcomer: User, editor: User
) -> None:
    boss = actor_for_user(owner, "acme")
    invitation, plain = invitation_create(actor=boss, role=Role.OWNER)
    services.member_add(actor=boss, user=editor, role=Role.OWNER)
    services.member_add(actor=boss, user=owner, role=Role.ADMIN)
    assert state(invitation) == "void"
    with pytest.raises(Conflict):
        invitation_accept(user=newcomer, plain=plain)


def test_an_invitation_goes_with_the_token_that_made_it(owner: User, newcomer: User) -> None:
    token, secret = services.token_create(actor=actor_for_user(owner, "acme"), name="ci", scopes=[Scope.ADMIN])
    by_token = actor_for_token(secret)
    assert by_token is not None
    _invitation, plain = invitation_create(actor=by_token, role=Role.VIEWER)
    services.token_revoke(actor=actor_for_user(owner, "acme"), token=token)
    with pytest.raises(NotFound):
        invitation_accept(user=newcomer, plain=plain)


def test_an_invitation_is_used_once(acting: Actor, newcomer: User, stranger: User) -> None:
    _invitation, plain = invitation_create(actor=acting, role=Role.VIEWER)
    invitation_accept(user=newcomer, plain=plain)
    with pytest.raises(Conflict) as refused:
        invitation_accept(user=stranger, plain=plain)
    assert refused.value.code == "accepted"
    assert "It was used already" in signed_in(stranger).get(f"/join/{plain}/").text


def test_one_that_is_taken_back_while_it_is_accepted_lets_nobody_in(
    acting: Actor, newcomer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    invitation, plain = invitation_create(actor=acting, role=Role.VIEWER)

    def taken_back_first(**given: Any) -> Membership:
        invitation_revoke(actor=acting, invitation=invitation)
        return services.member_add(**given)

    monkeypatch.setattr(invitations, "member_add", taken_back_first)
    with pytest.raises(Conflict) as refused:
        invitation_accept(user=newcomer, plain=plain)
    assert refused.value.code == "revoked"
    assert not Membership.objects.for_tenant(acting.tenant).filter(user=newcomer).exists()


def test_a_member_is_told_that_they_are_one_and_the_link_stays_open(acting: Actor, viewer: User) -> None:
    invitation, plain = invitation_create(actor=acting, role=Role.ADMIN)
    for method in ("get", "post"):
        answer = getattr(signed_in(viewer), method)(f"/join/{plain}/")
        assert "You are a member already" in answer.text
    with pytest.raises(Conflict, match="member of this tenant already"):
        invitation_accept(user=viewer, plain=plain)
    assert (role_of(viewer), state(invitation)) == (Role.VIEWER, "open")


def test_only_admins_invite_and_only_owners_invite_owners(
    acting: Actor, editor: User, owner: User, tenant: Tenant
) -> None:
    with pytest.raises(Forbidden):
        invitation_create(actor=actor_for_user(editor, "acme"), role=Role.VIEWER)
    with pytest.raises(Forbidden, match="role owner"):
        invitation_create(actor=acting, role=Role.OWNER)
    with pytest.raises(Invalid, match="made by a person"):
        invitation_create(actor=system_actor(tenant), role=Role.VIEWER)
    invitation, _plain = invitation_create(actor=actor_for_user(owner, "acme"), role=Role.OWNER)
    with pytest.raises(Forbidden):
        invitation_revoke(actor=actor_for_user(editor, "acme"), invitation=invitation)
    client = signed_in(editor)
    assert client.get(PAGE).status_code == client.post(PAGE, {"role": "viewer"}).status_code == 403
    assert client.post(f"{PAGE}{invitation.pk}/revoke/").status_code == 403
    assert "Invitations" not in client.get("/w/acme/settings/").text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"role": ""}, "Choose what they may do."),
        ({"role": "king"}, "Choose what they may do."),
        ({"role": "viewer", "note": "a\x00b"}, "Use at most 254 visible characters."),
        ({"role": "viewer", "note": "x" * 400}, "Use at most 254 visible characters."),
    ],
)
def test_what_is_wrong_with_an_invitation_is_said_at_the_form(admin: User, given: dict[str, str], said: str) -> None:
    answer = signed_in(admin).post(PAGE, given)
    assert (answer.status_code, said in answer.text) == (400, True)
    assert not Invitation.unscoped.exists()


def test_an_invitation_is_revoked_on_the_page_once(acting: Actor, admin: User, newcomer: User) -> None:
    invitation, _plain = invitation_create(actor=acting, role=Role.VIEWER, note="priya")
    client = signed_in(admin)
    for _ in range(2):
        answer = client.post(f"{PAGE}{invitation.pk}/revoke/", follow=True)
        assert "its link leads nowhere now" in answer.text
    actions = AuditEvent.objects.for_tenant(invitation.tenant).values_list("action", flat=True)
    assert list(actions).count("invitation.revoked") == 1
    used, plain = invitation_create(actor=acting, role=Role.VIEWER)
    invitation_accept(user=newcomer, plain=plain)
    assert "was accepted already" in client.post(f"{PAGE}{used.pk}/revoke/", follow=True).text
    assert state(used) == "accepted"


def test_so_many_are_open_at_once_and_old_ones_are_forgotten(acting: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_OPEN == 200
    monkeypatch.setattr("orchestrator.tenants.invitations.MOST_OPEN", 2)
    first, _plain = invitation_create(actor=acting, role=Role.VIEWER)
    invitation_create(actor=acting, role=Role.VIEWER)
    with pytest.raises(Conflict, match="Revoke some"):
        invitation_create(actor=acting, role=Role.VIEWER)
    Invitation.unscoped.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(days=91))
    invitation_create(actor=acting, role=Role.VIEWER)
    assert not Invitation.unscoped.filter(pk=first.pk).exists()


def test_the_page_takes_as_many_queries_for_many(acting: Actor, owner: User, admin: User) -> None:
    client = signed_in(admin)

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get(PAGE)
        return len(found)

    invitation_create(actor=acting, role=Role.VIEWER)
    with_one = queries()
    for _ in range(4):
        invitation_create(actor=acting, role=Role.VIEWER)
        invitation_create(actor=actor_for_user(owner, "acme"), role=Role.VIEWER)
    assert queries() == with_one <= 8
    assert invitation_list(acting.tenant).count() == 9


def test_a_signed_out_person_comes_back_to_the_link(acting: Actor, newcomer: User) -> None:
    _invitation, plain = invitation_create(actor=acting, role=Role.VIEWER)
    client = signed_in(newcomer)
    answer: Any = client.post("/sign-out/", {"next": f"/join/{plain}/"})
    assert (answer.status_code, answer["Location"]) == (302, f"/join/{plain}/")
    answer = client.post(
        f"/sign-in/?next=/join/{plain}/",
        {"username": "newcomer", "password": "a good password", "next": f"/join/{plain}/"},
    )
    assert answer["Location"] == f"/join/{plain}/"

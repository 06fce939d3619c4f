"""Whom a provider's word opens what: links, new accounts, roles by group, and nothing in any other tenant."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from orchestrator.errors import Invalid
from orchestrator.tenants import services
from orchestrator.tenants.access import actor_for_user, system_actor
from orchestrator.tenants.invitations import invitation_create
from orchestrator.tenants.models import AuditEvent, Membership, Role, SignOnLink, SingleSignOn, Tenant
from orchestrator.tenants.sign_on_people import person_in, sign_on
from tests.oidc_provider import Provider
from tests.tenants.sso.conftest import ADA, PASSWORD, Browser, by_password, linked, made_by, set_up

pytestmark = pytest.mark.django_db


def role_of(user: User, slug: str = "acme") -> str | None:
    return Membership.unscoped.filter(user=user, tenant__slug=slug).values_list("role", flat=True).first()


def events(tenant: Tenant) -> list[str]:
    return list(AuditEvent.objects.for_tenant(tenant).order_by("id").values_list("action", flat=True))


def test_somebody_new_gets_an_account_without_a_password(
    acme: SingleSignOn, provider: Provider, browser: Browser, tenant: Tenant
) -> None:
    assert browser.through(provider)["Location"] == "/w/acme/"
    user = browser.user
    assert user
    assert (user.get_username(), user.email, user.get_full_name()) == ("ada", "ada@acme.test", "Ada Byron")
    assert (user.has_usable_password(), user.is_staff, role_of(user)) == (False, False, Role.VIEWER)
    assert events(tenant) == ["sso.set", "member.set", "sso.account_made", "sso.signed_in"]
    account = browser.client.get("/account/").text
    assert "by the single sign-on of Acme" in account
    assert "single sign-on alone signs you in" in account
    assert 'name="current"' not in account
    assert Browser(client=Client()).through(provider).status_code == 302
    assert User.objects.filter(username__startswith="ada").count() == 1


def test_names_that_others_have_are_left_to_them(acme: SingleSignOn, provider: Provider) -> None:
    User.objects.create_user("Ada", password=PASSWORD)
    provider.people["sub-eve"] = {"preferred_username": "  eve\u202e <b>\x00 ", "name": 7, "email": "not an address"}
    assert made_by(provider).get_username() == "ada-2"
    provider.subject = "sub-eve"
    eve = made_by(provider)
    assert (eve.get_username(), eve.email, eve.get_full_name()) == ("eve-b", "", "")
    provider.subject = "sub-nameless"
    assert made_by(provider).get_username() == "person"


def test_an_address_opens_no_account(
    acme: SingleSignOn, provider: Provider, browser: Browser, editor: User, tenant: Tenant
) -> None:
    editor.email = "ADA@acme.test"
    editor.save()
    answer = browser.through(provider)
    assert (answer.status_code, browser.user) == (403, None)
    assert "an address alone opens no account" in answer.text
    assert reverse("sign-in") in answer.text
    assert not SignOnLink.unscoped.exists()
    assert events(tenant)[-1] == "sso.refused"
    # A stranger to the tenant with that address is somebody else.
    Membership.unscoped.filter(user=editor).delete()
    assert browser.through(provider).status_code == 302
    assert browser.user != editor


def test_a_person_links_their_account_with_their_password_and_their_own_word(
    acme: SingleSignOn, provider: Provider, editor: User, tenant: Tenant
) -> None:
    this = by_password(editor)
    wrong = this.client.post("/account/sso/", {"do": "begin", "for": "acme", "password": "wrong"})
    assert (wrong.status_code, "This is not your password" in wrong.text) == (400, True)
    # Without the password the link is not even begun.
    assert this.client.get("/sso/acme/?link=1")["Location"] == "/account/?link=acme#sso"
    begun = this.client.post("/account/sso/", {"do": "begin", "for": "acme", "password": PASSWORD})
    assert begun["Location"].startswith("/sso/acme/?link=1")
    asks = this.through(provider, query="?link=1")
    assert "knows you as ada@acme.test" in asks.text
    assert not SignOnLink.unscoped.exists()
    done = this.client.post("/account/sso/", {"do": "confirm"}, follow=True)
    assert "Your account is linked" in done.text
    assert this.client.post("/account/sso/", {"do": "confirm"}).status_code == 409
    other = Browser(client=Client())
    assert other.through(provider).status_code == 302
    assert other.user == editor
    assert role_of(editor) == Role.EDITOR
    assert [name for name in events(tenant) if name.startswith("sso")] == ["sso.set", "sso.linked", "sso.signed_in"]


def test_a_link_begun_by_one_person_is_not_made_for_another(
    acme: SingleSignOn, provider: Provider, editor: User, viewer: User
) -> None:
    this = by_password(editor)
    this.client.post("/account/sso/", {"do": "begin", "for": "acme", "password": PASSWORD})
    back = this.go(provider, query="?link=1")
    this.client.post("/sign-out/")
    this.client.post("/sign-in/", {"username": viewer.get_username(), "password": PASSWORD})
    assert this.client.get(back).status_code == 400
    assert this.client.post("/account/sso/", {"do": "confirm"}).status_code == 409
    assert not SignOnLink.unscoped.exists()


def test_one_subject_is_one_person_and_one_person_one_subject(
    acme: SingleSignOn, provider: Provider, editor: User, viewer: User
) -> None:
    linked(by_password(editor), provider)
    this = by_password(viewer)
    this.client.post("/account/sso/", {"do": "begin", "for": "acme", "password": PASSWORD})
    this.through(provider, query="?link=1")
    taken = this.client.post("/account/sso/", {"do": "confirm"})
    assert (taken.status_code, "linked with another account already" in taken.text) == (409, True)
    assert SignOnLink.unscoped.get().user == editor


def test_who_is_signed_in_and_not_linked_is_told_so(acme: SingleSignOn, provider: Provider, editor: User) -> None:
    this = by_password(editor)
    answer = this.through(provider)
    assert (answer.status_code, "is not linked with ada@acme.test yet" in answer.text) == (403, True)
    assert "/account/?link=acme#sso" in answer.text
    assert User.objects.count() == 2


def test_unlinking_takes_the_password_and_ends_that_way_in(
    acme: SingleSignOn, provider: Provider, editor: User
) -> None:
    this = by_password(editor)
    linked(this, provider)
    link = SignOnLink.unscoped.get()
    data = {"do": "unlink", "link": str(link.pk)}
    assert this.client.post("/account/sso/", data).status_code == 400
    assert by_password_of_stranger(this, link).status_code == 404
    assert this.client.post("/account/sso/", {**data, "password": PASSWORD}).status_code == 302
    other = Browser(client=Client())
    other.through(provider)
    assert other.user != editor


def by_password_of_stranger(_browser: Browser, link: SignOnLink) -> Any:
    stranger = by_password(User.objects.create_user("someone", password=PASSWORD))
    return stranger.client.post("/account/sso/", {"do": "unlink", "link": str(link.pk), "password": PASSWORD})


def test_a_removed_member_stays_removed_until_invited_again(
    acme: SingleSignOn, provider: Provider, browser: Browser, owner: User, tenant: Tenant
) -> None:
    user = made_by(provider)
    acting = actor_for_user(owner, "acme")
    services.member_remove(actor=acting, membership=Membership.objects.for_tenant(tenant).get(user=user))
    answer = browser.through(provider)
    assert (answer.status_code, browser.user) == (403, None)
    assert "are no longer. Ask one of its admins for an invitation." in answer.text
    invitation_create(actor=acting, role=Role.OPERATOR, note="Ada@acme.test")
    assert browser.through(provider).status_code == 302
    assert (browser.user, role_of(user)) == (user, Role.OPERATOR)


def test_a_removed_member_stays_removed_when_the_provider_is_set_up_anew(
    acme: SingleSignOn, provider: Provider, browser: Browser, owner: User, tenant: Tenant
) -> None:
    user = made_by(provider)
    acting = actor_for_user(owner, "acme")
    services.member_remove(actor=acting, membership=Membership.objects.for_tenant(tenant).get(user=user))
    by_password(owner).client.post("/w/acme/settings/sso/remove/")
    assert not SingleSignOn.unscoped.exists()
    set_up(owner, "acme", provider)
    assert browser.through(provider).status_code == 403


@pytest.mark.parametrize("change", ["is_active", "is_superuser"])
def test_disabled_people_and_operators_are_not_signed_in(
    change: str, acme: SingleSignOn, provider: Provider, browser: Browser
) -> None:
    user = made_by(provider)
    setattr(user, change, change == "is_superuser")
    user.save()
    assert browser.through(provider).status_code == 403
    assert browser.user is None


def test_nobody_new_comes_in_where_the_tenant_lets_nobody_in(
    set_acme: Callable[..., SingleSignOn], provider: Provider, browser: Browser
) -> None:
    set_acme(new_role="")
    answer = browser.through(provider)
    assert (answer.status_code, "Ask one of its admins for an invitation" in answer.text) == (403, True)
    assert not User.objects.filter(username="ada").exists()


def test_an_invitation_lets_somebody_new_in(
    set_acme: Callable[..., SingleSignOn], provider: Provider, browser: Browser, owner: User
) -> None:
    set_acme(new_role="", domains=("else.test",))
    _invitation, plain = invitation_create(actor=actor_for_user(owner, "acme"), role=Role.EDITOR)
    text = browser.client.get(f"/join/{plain}/").text
    assert f"/sso/acme/?invitation={plain}" in text
    assert browser.through(provider, query=f"?invitation={plain}").status_code == 302
    assert browser.user
    assert role_of(browser.user) == Role.EDITOR
    provider.subject = "sub-eve"
    used = Browser(client=Client())
    assert used.through(provider, query=f"?invitation={plain}").status_code == 403


def test_another_tenants_invitation_is_none(
    set_acme: Callable[..., SingleSignOn], provider: Provider, browser: Browser, stranger: User
) -> None:
    set_acme(new_role="")
    acting = actor_for_user(stranger, "globex")
    _invitation, plain = invitation_create(actor=acting, role=Role.EDITOR, note="ada@acme.test")
    assert browser.through(provider, query=f"?invitation={plain}").status_code == 403


@pytest.mark.parametrize(
    ("claims", "trusts", "status"),
    [
        ({"email": "ada@acme.test", "email_verified": True}, False, 302),
        ({"email": "ada@ACME.test", "email_verified": "true"}, False, 302),
        ({"email": "ada@acme.test", "email_verified": False}, True, 403),
        ({"email": "ada@acme.test"}, False, 403),
        ({"email": "ada@acme.test"}, True, 302),
        ({"email": "ada@sub.acme.test", "email_verified": True}, False, 403),
        ({"email": "ada@notacme.test", "email_verified": True}, False, 403),
        ({"email": "x@acme.test@evil.test", "email_verified": True}, False, 403),
        ({"email": ["ada@acme.test"], "email_verified": True}, False, 403),
        ({}, True, 403),
    ],
)
def test_new_people_need_a_verified_address_of_a_claimed_domain(
    claims: dict[str, Any],
    trusts: bool,
    status: int,
    set_acme: Callable[..., SingleSignOn],
    provider: Provider,
    browser: Browser,
) -> None:
    set_acme(domains=("acme.test",), trusts_email=trusts)
    provider.people["sub-ada"] = claims
    answer = browser.through(provider)
    assert answer.status_code == status
    assert bool(browser.user) == (status == 302)


def test_groups_give_the_role_at_each_sign_in_and_never_touch_owners(
    set_acme: Callable[..., SingleSignOn], provider: Provider, tenant: Tenant
) -> None:
    set_acme(group_claim="groups", group_roles={"staff": "editor", "it": "admin"}, new_role="")
    provider.people["sub-ada"] = {**ADA, "groups": ["staff", "it", 7, None]}
    user = made_by(provider)
    assert role_of(user) == Role.ADMIN
    for groups, role in ((["staff"], Role.EDITOR), ("it", Role.ADMIN), (["none"], Role.ADMIN), ({"it": 1}, Role.ADMIN)):
        provider.people["sub-ada"]["groups"] = groups
        Browser(client=Client()).through(provider)
        assert role_of(user) == role, groups
    set_acme(group_claim="groups", group_roles={"staff": "editor"}, new_role="viewer")
    Browser(client=Client()).through(provider)
    assert role_of(user) == Role.VIEWER
    services.member_add(actor=system_actor(tenant), user=user, role=Role.OWNER)
    Browser(client=Client()).through(provider)
    assert role_of(user) == Role.OWNER


def test_who_is_in_no_group_does_not_come_in_where_groups_alone_let_in(
    set_acme: Callable[..., SingleSignOn], provider: Provider, browser: Browser
) -> None:
    set_acme(group_claim="groups", group_roles={"staff": "editor"}, new_role="")
    assert browser.through(provider).status_code == 403


# One tenant's provider and another tenant's people.


@pytest.fixture
def globex(stranger: User, other_provider: Provider) -> SingleSignOn:
    return set_up(stranger, "globex", other_provider)


def test_another_tenants_provider_signs_nobody_in_here(
    acme: SingleSignOn, globex: SingleSignOn, provider: Provider, other_provider: Provider
) -> None:
    ada = made_by(provider)
    # The same subject and the same verified address, of another provider.
    impostor = Browser(client=Client())
    assert impostor.through(other_provider, "globex").status_code == 302
    assert impostor.user
    assert impostor.user != ada
    assert (role_of(impostor.user), role_of(impostor.user, "globex")) == (None, Role.VIEWER)
    assert not impostor.opens("acme")


def test_an_answer_for_one_tenant_is_none_for_another(
    acme: SingleSignOn, globex: SingleSignOn, provider: Provider, other_provider: Provider, browser: Browser
) -> None:
    back = browser.go(other_provider, "globex")
    answer = browser.client.get(back.replace("/sso/globex/", "/sso/acme/"))
    assert (answer.status_code, browser.user) == (400, None)


def test_a_tenant_that_names_anothers_issuer_gets_none_of_its_people(
    acme: SingleSignOn, provider: Provider, stranger: User
) -> None:
    ada = made_by(provider)
    set_up(stranger, "globex", provider)
    there = made_by(provider, "globex")
    assert there != ada
    assert role_of(there) is None


def test_a_provider_that_lies_about_its_issuer_is_not_kept(
    acme: SingleSignOn, provider: Provider, stranger: User, other_provider: Provider
) -> None:
    other_provider.metadata["issuer"] = provider.address
    with pytest.raises(Invalid):
        set_up(stranger, "globex", other_provider)


def test_a_linked_provider_opens_its_own_tenant_alone(
    acme: SingleSignOn, globex: SingleSignOn, other_provider: Provider, editor: User, other_tenant: Tenant
) -> None:
    """Who runs globex's provider can sign in as anybody linked there, and must not come into acme by that."""
    Membership.unscoped.create(tenant=other_tenant, user=editor, role=Role.VIEWER)
    User.objects.filter(pk=editor.pk).update(is_staff=True)
    own = by_password(editor)
    linked(own, other_provider, "globex")
    assert own.opens("acme")
    theirs = Browser(client=Client())
    assert theirs.through(other_provider, "globex").status_code == 302
    assert (theirs.user, theirs.opens("globex"), theirs.opens("acme")) == (editor, True, False)
    leads = theirs.client.get("/w/acme/settings/members/")
    assert leads["Location"] == "/sso/acme/?next=%2Fw%2Facme%2Fsettings%2Fmembers%2F"
    assert theirs.client.get("/api/v1/workflows/", headers={"X-Tenant": "acme"}).status_code == 403
    assert theirs.client.get("/api/v1/workflows/", headers={"X-Tenant": "globex"}).status_code == 200
    assert theirs.client.get("/")["Location"] == "/w/globex/"
    assert "Acme" not in theirs.client.get("/w/globex/settings/members/").text
    assert theirs.client.get("/admin/tenants/membership/").status_code == 302
    # Nor can they link another provider's person to that account, to come in by it.
    assert theirs.client.post("/account/sso/", {"do": "begin", "for": "acme"}).status_code == 400


def test_not_even_an_account_that_a_provider_made_opens_another_tenant(
    acme: SingleSignOn, provider: Provider, other_tenant: Tenant, stranger: User
) -> None:
    user = made_by(provider)
    this = Browser(client=Client())
    this.through(provider)
    _invitation, plain = invitation_create(actor=actor_for_user(stranger, "globex"), role=Role.VIEWER)
    for method in (this.client.get, this.client.post):
        answer = method(f"/join/{plain}/")
        assert (answer.status_code, "it opens that tenant alone" in answer.text) == (403, True)
    assert role_of(user, "globex") is None
    Membership.unscoped.create(tenant=other_tenant, user=user, role=Role.VIEWER)
    assert not this.opens("globex")
    said = this.client.get("/w/globex/", follow=True)
    assert (said.status_code, "it opens that tenant alone" in said.text) == (403, True)
    # It has no password that could prove whose it is.
    assert this.client.post("/account/sso/", {"do": "begin", "for": "globex"}).status_code == 409


def test_accounts_that_a_provider_made_move_with_the_tenant_to_its_next_one(
    acme: SingleSignOn, provider: Provider, other_provider: Provider, owner: User
) -> None:
    user = made_by(provider)
    provider.subject = "sub-of-the-next-ada"
    provider.people[provider.subject] = dict(ADA)
    reused = Browser(client=Client())
    answer = reused.through(provider)
    assert (answer.status_code, "Ask one of its admins to remove that member" in answer.text) == (403, True)
    set_up(owner, "acme", other_provider)
    other_provider.people["sub-ada"]["email_verified"] = False
    unverified = Browser(client=Client())
    unverified.through(other_provider)
    assert unverified.user != user
    other_provider.subject = "sub-ada-there"
    other_provider.people["sub-ada-there"] = dict(ADA)
    assert made_by(other_provider) == user


def test_a_person_in_both_adds_the_second_tenant_to_their_session(
    acme: SingleSignOn,
    globex: SingleSignOn,
    provider: Provider,
    other_provider: Provider,
    editor: User,
    other_tenant: Tenant,
) -> None:
    Membership.unscoped.create(tenant=other_tenant, user=editor, role=Role.VIEWER)
    own = by_password(editor)
    linked(own, provider)
    linked(own, other_provider, "globex")
    this = Browser(client=Client())
    this.through(provider)
    key = this.client.session.session_key
    assert (this.opens("acme"), this.opens("globex")) == (True, False)
    assert this.through(other_provider, "globex").status_code == 302
    assert (this.user, this.opens("acme"), this.opens("globex")) == (editor, True, True)
    assert this.client.session.session_key != key


@pytest.mark.django_db(transaction=True)
def test_two_first_sign_ins_at_once_make_one_account(acme: SingleSignOn) -> None:
    person = person_in({"sub": "sub-ada", **ADA}, acme)

    def once(_number: int) -> int:
        try:
            return sign_on(found=acme, person=person, present=None).user_id
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(once, range(4)))) == 1
    assert User.objects.filter(username__startswith="ada").count() == 1

"""Settings → Members: roles are changed and people removed by those who may, and an owner always stays."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Role, Scope, Tenant
from orchestrator.tenants.services import token_create

MEMBERS = "/w/acme/settings/members/"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def member(user: User) -> Membership:
    return Membership.unscoped.get(user=user)


def role_of(user: User) -> str:
    return member(user).role


def offered(text: str, name: str) -> list[str]:
    form = re.search(rf"the role of {name}: change it(.*?)</form>", text)
    return re.findall(r'name="role" value="(\w+)"', form.group(1)) if form else []


@pytest.fixture
def admin(tenant: Tenant, make_member: Callable[..., User]) -> User:
    return make_member(tenant, Role.ADMIN)


def test_an_admin_changes_a_role_and_removes_a_member(admin: User, editor: User, tenant: Tenant) -> None:
    client = signed_in(admin)
    token_create(actor=actor_for_user(editor, "acme"), name="Mine", scopes=[Scope.READ])
    answer = client.post(f"{MEMBERS}{member(editor).pk}/role/", {"role": "viewer"}, follow=True)
    assert "editor-of-acme has the role Viewer now." in answer.text
    assert role_of(editor) == Role.VIEWER
    answer = client.post(f"{MEMBERS}{member(editor).pk}/remove/", follow=True)
    assert "editor-of-acme is no longer a member." in answer.text
    assert not Membership.unscoped.filter(user=editor).exists()
    assert not ApiToken.unscoped.exists()
    done = list(AuditEvent.objects.for_tenant(tenant).order_by("id").values_list("action", flat=True))
    assert done == ["token.created", "member.set", "member.removed"]


def test_only_owners_are_offered_to_make_owners_and_to_change_them(admin: User, owner: User, editor: User) -> None:
    of_admin, of_owner = signed_in(admin).get(MEMBERS).text, signed_in(owner).get(MEMBERS).text
    assert offered(of_admin, "editor-of-acme") == ["viewer", "operator", "editor", "admin"]
    assert offered(of_admin, "owner-of-acme") == []
    assert offered(of_owner, "editor-of-acme") == offered(of_owner, "owner-of-acme") == Role.values
    assert signed_in(admin).post(f"{MEMBERS}{member(editor).pk}/role/", {"role": "owner"}).status_code == 403
    assert signed_in(admin).post(f"{MEMBERS}{member(owner).pk}/remove/").status_code == 403
    assert role_of(editor) == Role.EDITOR


def test_the_last_owner_stays_an_owner(owner: User, editor: User) -> None:
    client = signed_in(owner)
    for address, data in (("role/", {"role": "admin"}), ("remove/", {})):
        answer = client.post(f"{MEMBERS}{member(owner).pk}/{address}", data, follow=True)
        assert "Make somebody else an owner first." in answer.text
    assert role_of(owner) == Role.OWNER
    client.post(f"{MEMBERS}{member(editor).pk}/role/", {"role": "owner"})
    client.post(f"{MEMBERS}{member(owner).pk}/role/", {"role": "viewer"})
    assert (role_of(owner), role_of(editor)) == (Role.VIEWER, Role.OWNER)


@pytest.mark.parametrize("role", ["", "king", "OWNER", "x" * 5000, "\x00"])
def test_a_role_that_is_none_changes_nothing(owner: User, editor: User, role: str) -> None:
    answer = signed_in(owner).post(f"{MEMBERS}{member(editor).pk}/role/", {"role": role}, follow=True)
    assert "choose a role that is offered" in answer.text
    assert role_of(editor) == Role.EDITOR


def test_others_see_the_members_and_change_none(viewer: User, editor: User) -> None:
    client = signed_in(viewer)
    text = client.get(MEMBERS).text
    assert "editor-of-acme" in text
    assert offered(text, "editor-of-acme") == []
    assert "/remove/" not in text.replace(f"{member(viewer).pk}/remove/", "")
    assert client.post(f"{MEMBERS}{member(editor).pk}/role/", {"role": "admin"}).status_code == 403
    assert client.post(f"{MEMBERS}{member(editor).pk}/remove/").status_code == 403
    assert role_of(editor) == Role.EDITOR


def test_anybody_leaves_by_themselves(viewer: User, owner: User, tenant: Tenant, other_tenant: Tenant) -> None:
    Membership.unscoped.create(tenant=other_tenant, user=viewer, role=Role.VIEWER)
    mine = Membership.objects.for_tenant(tenant).get(user=viewer)
    answer = signed_in(viewer).post(f"{MEMBERS}{mine.pk}/remove/", follow=True)
    assert "You have left Acme." in answer.text
    assert answer.redirect_chain[-1][0] == "/w/globex/"


def test_each_role_is_told_in_words(viewer: User) -> None:
    text = signed_in(viewer).get(MEMBERS).text
    assert len(set(re.findall(r"<dt>(\w+)</dt><dd>[^<]{20,}</dd>", text))) == len(Role)


def test_the_list_has_pages_and_takes_as_many_queries_for_many(
    owner: User, tenant: Tenant, make_member: Callable[..., User]
) -> None:
    client = signed_in(owner)

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get(MEMBERS)
        return len(found)

    with_one = queries()
    users = User.objects.bulk_create([User(username=f"person-{number:03}") for number in range(60)])
    Membership.unscoped.bulk_create([Membership(tenant=tenant, user=user, role=Role.VIEWER) for user in users])
    assert queries() == with_one <= 8
    second = client.get(f"{MEMBERS}?page=2").text
    assert "person-059" in second
    assert "person-000" not in second
    assert client.get(f"{MEMBERS}?page=nothing").status_code == 200

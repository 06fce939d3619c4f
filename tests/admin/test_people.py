from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.tenants.access import actor_for_token
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Role, Tenant
from tests.admin.conftest import World, sent, url


def last_event(tenant: Tenant) -> AuditEvent:
    return AuditEvent.objects.for_tenant(tenant).latest("pk")


def test_a_member_is_added_by_name_changed_and_removed(staff: Client, ours: World, theirs: World) -> None:
    User.objects.create_user("newcomer")
    data = {"tenant": ours.tenant.pk, "username": "newcomer", "role": "editor"}
    assert staff.post(url(Membership, "add"), data).status_code == 302
    made = Membership.objects.for_tenant(ours.tenant).get(user__username="newcomer")
    assert last_event(ours.tenant).detail == {"user": "newcomer", "role": "editor", "before": None}
    assert staff.post(url(made, "change"), {"role": "viewer"}).status_code == 302
    assert made.refresh().role == Role.VIEWER
    assert staff.post(url(made, "delete"), {"post": "yes"}).status_code == 302
    assert last_event(ours.tenant).action == "member.removed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"username": "nobody"}, "There is no user of this name"),
        ({"role": "owner"}, "This needs the role owner"),
        ({"role": "emperor"}, "Select a valid choice"),
        ({"tenant": "abc"}, "Select a valid choice"),
    ],
)
def test_what_is_refused_about_a_member_is_an_error_of_the_form(
    staff: Client, ours: World, changes: dict[str, str], message: str
) -> None:
    User.objects.create_user("newcomer")
    data = {"tenant": ours.tenant.pk, "username": "newcomer", "role": "editor", **changes}
    response = staff.post(url(Membership, "add"), data)
    assert response.status_code == 200
    assert message in response.content.decode()
    assert not Membership.objects.for_tenant(ours.tenant).filter(user__username="newcomer").exists()


def test_the_last_owner_cannot_be_removed(root: Client, ours: World) -> None:
    only = Membership.objects.for_tenant(ours.tenant).get(role=Role.OWNER)
    response = root.post(url(only, "delete"), {"post": "yes"}, follow=True)
    assert "without an owner" in response.content.decode()
    assert only.refresh().role == Role.OWNER


def test_no_list_of_everybody_is_offered(staff: Client, ours: World, theirs: World) -> None:
    page = staff.get(url(Membership, "add")).content.decode()
    assert theirs.actor.user is not None
    assert theirs.actor.user.username not in page


def test_a_token_is_shown_once(staff: Client, ours: World) -> None:
    data = {"tenant": ours.tenant.pk, "name": "ci", "scopes": ["run"], "expires_at": ""}
    response = staff.post(url(ApiToken, "add"), data)
    found = re.search(r"orc_[\w-]{43}", response.content.decode())
    assert found is not None
    assert "no-store" in response.headers["Cache-Control"]
    assert not response.cookies.get("messages")
    actor = actor_for_token(found[0])
    assert actor is not None
    assert (actor.tenant, actor.user.username if actor.user else "") == (ours.tenant, "staff-admin-acme")
    made = ApiToken.objects.for_tenant(ours.tenant).get(name="ci")
    for page in (url(made), url(made, "change"), "/admin/"):
        assert found[0] not in staff.get(page).content.decode()
    assert staff.post(url(made, "change"), {"name": "x"}).status_code == 403
    assert staff.post(url(made, "delete"), {"post": "yes"}).status_code == 302
    assert actor_for_token(found[0]) is None


def test_an_editor_sees_their_own_tokens_and_makes_none_beyond_their_role(
    tenant: Tenant, ours: World, staff_of: Callable[..., Client]
) -> None:
    editor = staff_of(tenant, Role.EDITOR)
    assert str(ours.token.pk) not in editor.get(url(ApiToken)).content.decode()
    assert editor.post(url(ours.token, "delete"), {"post": "yes"}).status_code == 404
    data = {"tenant": tenant.pk, "name": "more", "scopes": ["admin"], "expires_at": ""}
    assert "does not reach the scope admin" in editor.post(url(ApiToken, "add"), data).content.decode()
    assert ours.token.refresh().name == "acme token"


def test_a_tenants_admin_changes_it_and_a_superuser_makes_one(staff: Client, root: Client, ours: World) -> None:
    data = sent(staff.get(url(ours.tenant, "change")))
    data |= {"time_zone": "Europe/Berlin", "max_concurrent_runs": "5", "egress_allow": '["api.example.com"]'}
    assert staff.post(url(ours.tenant, "change"), data).status_code == 302
    changed = ours.tenant.refresh()
    assert (changed.time_zone, changed.max_concurrent_runs, changed.egress_allow) == (
        "Europe/Berlin",
        5,
        ["api.example.com"],
    )
    assert last_event(ours.tenant).detail == {"changed": ["egress_allow", "max_concurrent_runs", "time_zone"]}
    assert "Europe/Berlin" in staff.post(url(ours.tenant, "change"), {**data, "time_zone": "Mars"}).content.decode()
    assert staff.get(url(Tenant, "add")).status_code == 403
    new = {"slug": "initech", "name": "Initech", "time_zone": "UTC", "egress_allow": ""}
    assert root.post(url(Tenant, "add"), new).status_code == 302
    assert Tenant.objects.get(slug="initech").name == "Initech"
    assert "Another tenant has this slug" in root.post(url(Tenant, "add"), new).content.decode()
    assert "Enter a valid" in root.post(url(Tenant, "add"), {**new, "slug": "In It"}).content.decode()


def test_a_superuser_makes_and_changes_users(root: Client, ours: World) -> None:
    data = {"username": "new", "password": "a good pass phrase", "email": "", "is_active": "on", "is_staff": "on"}
    assert root.post(url(User, "add"), data).status_code == 302
    made = User.objects.get(username="new")
    assert (made.is_staff, made.is_superuser, made.check_password("a good pass phrase")) == (True, False, True)
    assert "too common" in root.post(url(made, "change"), {"password": "password", "is_active": "on"}).content.decode()
    user = ours.actor.user
    assert user is not None
    assert root.post(url(user, "change"), {"email": "me@example.com", "password": ""}).status_code == 302
    user.refresh_from_db()
    assert (user.email, user.is_active) == ("me@example.com", False)
    event = last_event(ours.tenant)
    assert (event.action, event.actor_label, event.detail) == (
        "user.changed",
        "root",
        {"changed": ["email", "is_active"]},
    )
    assert root.get(url(user, "delete")).status_code == 403
    myself = User.objects.get(username="root")
    response = root.post(url(myself, "change"), {"email": "", "is_active": "on"})
    assert "You cannot take your own rights away" in response.content.decode()


def test_the_permissions_page_of_users_is_not_there(root: Client, ours: World) -> None:
    assert ours.actor.user is not None
    page = root.get(url(ours.actor.user, "change")).content.decode()
    assert "user_permissions" not in page
    assert "groups" not in page


def test_ones_own_password_is_changed_and_noted(staff: Client, ours: World) -> None:
    data = {
        "old_password": "a good password",
        "new_password1": "another pass phrase",
        "new_password2": "another pass phrase",
    }
    response = staff.post("/admin/password_change/", data)
    assert response.status_code == 302
    assert staff.get("/admin/").status_code == 200
    assert User.objects.get(username="staff-admin-acme").check_password("another pass phrase")
    assert last_event(ours.tenant).detail == {"changed": ["password"]}


def test_signing_out_ends_at_the_sign_in_page(staff: Client, ours: World) -> None:
    assert staff.post("/admin/logout/").headers["Location"] == "/sign-in/"
    assert staff.get("/admin/").status_code == 302

"""Members over the API: added, changed, removed; by whom, and what stops with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.tenants.models import AuditEvent, Membership, Role, Scope, Tenant
from tests.api.conftest import Caller, MakeCaller

pytestmark = pytest.mark.django_db


@pytest.fixture
def newcomer(db: None) -> User:
    return User.objects.create_user("newcomer", password="a good password")


def member_of(api: Caller, user: User) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in api.ok("GET", "members/")["results"] if row["user"] == user.username)
    return found


def problem_paths(response: Any) -> list[str]:
    return [problem["path"] for problem in json.loads(response.content)["error"]["problems"]]


def test_a_person_is_added_changed_and_removed(api: Caller, newcomer: User, tenant: Tenant) -> None:
    response = api("POST", "members/", {"user": newcomer.username, "role": "viewer"})
    assert response.status_code == 201
    made = json.loads(response.content)
    assert set(made) == {"id", "user", "role", "created_at"}
    assert (made["user"], made["role"]) == ("newcomer", "viewer")
    assert made in api.ok("GET", "members/")["results"]
    assert api.ok("GET", f"members/{made['id']}/") == made
    assert api.ok("PATCH", f"members/{made['id']}/", {"role": "editor"}) == {**made, "role": "editor"}
    assert Membership.objects.for_tenant(tenant).get(user=newcomer).role == Role.EDITOR
    assert api("DELETE", f"members/{made['id']}/").status_code == 204
    assert not Membership.objects.for_tenant(tenant).filter(user=newcomer).exists()
    assert api("DELETE", f"members/{made['id']}/").status_code == 404
    actions = list(AuditEvent.objects.for_tenant(tenant).order_by("id").values_list("action", flat=True))
    assert actions[-3:] == ["member.set", "member.set", "member.removed"]


def test_who_is_there_already_gets_the_role(api: Caller, viewer: User) -> None:
    before = member_of(api, viewer)
    response = api("POST", "members/", {"user": viewer.username, "role": "operator"})
    assert response.status_code == 200
    assert json.loads(response.content) == {**before, "role": "operator"}


def test_an_unknown_or_inactive_person_and_a_role_that_is_none_are_told(api: Caller, newcomer: User) -> None:
    for name in ("nobody", "new\0comer", "Newcomer"):
        assert problem_paths(api("POST", "members/", {"user": name, "role": "viewer"})) == ["user"], name
    assert problem_paths(api("POST", "members/", {"user": newcomer.username, "role": "king"})) == ["role"]
    User.objects.filter(pk=newcomer.pk).update(is_active=False)
    assert problem_paths(api("POST", "members/", {"user": newcomer.username, "role": "viewer"})) == ["user"]


def test_only_admins_change_members_and_only_owners_change_owners(
    api: Caller, caller_for: MakeCaller, editor: User, viewer: User, newcomer: User, tenant: Tenant
) -> None:
    theirs = member_of(api, viewer)["id"]
    first = next(row for row in api.ok("GET", "members/")["results"] if row["role"] == "owner")
    call = caller_for(editor)
    assert call("GET", "members/").status_code == 200
    assert call("POST", "members/", {"user": newcomer.username, "role": "viewer"}).status_code == 403
    assert call("PATCH", f"members/{theirs}/", {"role": "owner"}).status_code == 403
    assert call("DELETE", f"members/{theirs}/").status_code == 403
    Membership.objects.for_tenant(tenant).filter(user=editor).update(role=Role.ADMIN)
    admin = caller_for(editor)
    assert admin("PATCH", f"members/{theirs}/", {"role": "operator"}).status_code == 200
    assert admin("PATCH", f"members/{theirs}/", {"role": "owner"}).status_code == 403
    assert admin("PATCH", f"members/{first['id']}/", {"role": "viewer"}).status_code == 403
    assert admin("DELETE", f"members/{first['id']}/").status_code == 403


def test_the_last_owner_stays(api: Caller, owner: User) -> None:
    mine = member_of(api, owner)["id"]
    for refused in (api("PATCH", f"members/{mine}/", {"role": "admin"}), api("DELETE", f"members/{mine}/")):
        assert refused.status_code == 409
        assert json.loads(refused.content)["error"]["code"] == "last_owner"


def test_a_token_of_a_removed_or_demoted_member_stops_at_once(
    api: Caller, caller_for: MakeCaller, editor: User
) -> None:
    call, mine = caller_for(editor), member_of(api, editor)["id"]
    assert call("POST", "workflows/", {"name": "One"}).status_code == 201
    api.ok("PATCH", f"members/{mine}/", {"role": "viewer"})
    assert call("POST", "workflows/", {"name": "Two"}).status_code == 403
    assert call("GET", "workflows/").status_code == 200
    api("DELETE", f"members/{mine}/")
    assert call("GET", "workflows/").status_code == 401


def test_a_person_may_leave_by_their_session_and_not_by_a_token(
    api: Caller, caller_for: MakeCaller, viewer: User, operator: User, tenant: Tenant
) -> None:
    mine, other = member_of(api, viewer)["id"], member_of(api, operator)["id"]
    assert caller_for(viewer)("DELETE", f"members/{mine}/").status_code == 403
    client = Client()
    client.force_login(viewer)
    headers = {"X-Tenant": tenant.slug}
    assert client.delete(f"/api/v1/members/{other}/", headers=headers).status_code == 403
    assert client.delete(f"/api/v1/members/{mine}/", headers=headers).status_code == 204
    assert client.get("/api/v1/members/", headers=headers).status_code == 404


def test_a_token_for_members_needs_the_scope_admin(caller_for: MakeCaller, owner: User, newcomer: User) -> None:
    body = {"user": newcomer.username, "role": "viewer"}
    assert caller_for(owner, Scope.WRITE)("POST", "members/", body).status_code == 403
    assert caller_for(owner, Scope.ADMIN)("POST", "members/", body).status_code == 201

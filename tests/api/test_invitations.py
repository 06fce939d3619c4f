"""Invitations over the API: the link is answered once, and each is listed with what it is now."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.invitations import invitation_accept
from orchestrator.tenants.models import Invitation, Scope
from tests.api.conftest import Caller, MakeCaller

pytestmark = pytest.mark.django_db


def made(api: Caller, **body: Any) -> dict[str, Any]:
    response = api("POST", "invitations/", body)
    assert response.status_code == 201, response.content
    document: dict[str, Any] = json.loads(response.content)
    return document


def test_an_invitation_is_made_listed_and_revoked(api: Caller) -> None:
    document = made(api, role="editor", note="priya@example.com")
    assert set(document) == {
        "id", "role", "note", "status", "invited_by", "accepted_by", "created_at", "expires_at", "url",
    }  # fmt: skip
    assert document["url"].startswith("http://testserver/join/")
    assert (document["status"], document["accepted_by"]) == ("open", None)
    listed = api.ok("GET", "invitations/")["results"]
    assert [row["id"] for row in listed] == [document["id"]]
    assert "url" not in listed[0]
    assert api("DELETE", f"invitations/{document['id']}/").status_code == 204
    assert api.ok("GET", f"invitations/{document['id']}/")["status"] == "revoked"


def test_an_accepted_one_names_who_came_and_is_not_revoked(api: Caller) -> None:
    document = made(api, role="viewer")
    user = User.objects.create_user("newcomer", password="a good password")
    invitation_accept(user=user, plain=document["url"].rstrip("/").rpartition("/")[2])
    found = api.ok("GET", f"invitations/{document['id']}/")
    assert (found["status"], found["accepted_by"]) == ("accepted", "newcomer")
    assert api("DELETE", f"invitations/{document['id']}/").status_code == 409


def test_the_same_key_makes_one_invitation(api: Caller) -> None:
    answers = [api("POST", "invitations/", {"role": "viewer"}, **{"Idempotency-Key": "a"}) for _ in range(2)]
    assert json.loads(answers[0].content) == json.loads(answers[1].content)
    assert Invitation.unscoped.count() == 1


def test_wrong_bodies_are_told(api: Caller) -> None:
    for body in ({}, {"role": "king"}, {"role": "viewer", "note": "x" * 255}, {"role": "viewer", "email": "a@b.c"}):
        assert api("POST", "invitations/", body).status_code == 400, body
    assert not Invitation.unscoped.exists()


def test_only_admins_come_near_invitations(caller_for: MakeCaller, api: Caller, viewer: User, editor: User) -> None:
    document = made(api, role="viewer")
    for caller in (caller_for(viewer), caller_for(editor)):
        assert caller("GET", "invitations/").status_code == 403
        assert caller("POST", "invitations/", {"role": "viewer"}).status_code == 403
        assert caller("DELETE", f"invitations/{document['id']}/").status_code == 403


def test_a_token_needs_the_scope_admin(caller_for: MakeCaller, owner: User) -> None:
    caller = caller_for(owner, Scope.WRITE)
    assert caller("GET", "invitations/").status_code == 403
    assert caller("POST", "invitations/", {"role": "viewer"}).status_code == 403

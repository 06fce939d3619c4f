"""The page of API keys: a key is shown once, acts for its maker, ends, and is revoked."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import ApiToken, Role, Scope, Tenant
from orchestrator.tenants.services import token_create

KEYS = "/w/acme/developers/keys/"


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def plain_of(text: str) -> str:
    found = re.search(r'id="plain">([^<]+)</code>', text)
    assert found
    return found.group(1)


def names(text: str) -> list[str]:
    return re.findall(r'<td><div class="nm brk">([^<]*)</div>', text)


def test_a_key_is_shown_once_and_works(editor: User) -> None:
    client = signed_in(editor)
    made = client.post(KEYS, {"name": "Export", "scope": "run", "lasts": "30"})
    assert made.status_code == 201
    assert "no-store" in made["Cache-Control"]
    plain = plain_of(made.text)
    token = ApiToken.unscoped.get()
    assert token.scopes == ["read", "run"]
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert Client().get("/api/v1/workflows/", headers={"authorization": f"Bearer {plain}"}).status_code == 200
    later = client.get(KEYS).text
    assert plain not in later
    assert names(later) == ["Export"]
    assert "In 30 days" in later


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({}, 400, "Choose what it may do."),
        ({"name": "", "scope": "read", "lasts": ""}, 400, "Use 1 to 200 visible characters."),
        ({"name": "a\x00b", "scope": "read", "lasts": ""}, 400, "Use 1 to 200 visible characters."),
        ({"name": "x" * 400, "scope": "read", "lasts": ""}, 400, "Use 1 to 200 visible characters."),
        ({"name": "a", "scope": "everything", "lasts": ""}, 400, "Choose what it may do."),
        ({"name": "a", "scope": "read", "lasts": "-1"}, 400, "Choose how long it lasts."),
        ({"name": "a", "scope": "admin", "lasts": "30"}, 403, "does not reach the scope"),
    ],
)
def test_what_is_wrong_is_said_at_the_form(editor: User, given: dict[str, str], status: int, said: str) -> None:
    answer = signed_in(editor).post(KEYS, given)
    assert answer.status_code == status
    assert said in answer.text
    assert not ApiToken.unscoped.exists()


def test_a_viewer_is_offered_reading_alone(viewer: User) -> None:
    text = signed_in(viewer).get(KEYS).text
    assert re.findall(r'name="scope" value="(\w+)"', text) == ["read"]


def test_each_sees_and_revokes_their_own_and_admins_everybodys(
    tenant: Tenant, owner: User, editor: User, make_member: Callable[..., User]
) -> None:
    token, _plain = token_create(actor=actor_for_user(owner, "acme"), name="Boss", scopes=[Scope.READ])
    mine, plain = token_create(actor=actor_for_user(editor, "acme"), name="Mine", scopes=[Scope.READ])
    client = signed_in(editor)
    assert names(client.get(KEYS).text) == ["Mine"]
    assert client.post(reverse("api-key-revoke", args=["acme", token.pk])).status_code == 403
    admin = signed_in(make_member(tenant, Role.ADMIN))
    assert names(admin.get(KEYS).text) == ["Mine", "Boss"]
    assert admin.post(reverse("api-key-revoke", args=["acme", mine.pk]), follow=True).status_code == 200
    assert Client().get("/api/v1/workflows/", headers={"authorization": f"Bearer {plain}"}).status_code == 401
    assert client.post(reverse("api-key-revoke", args=["acme", mine.pk])).status_code == 404
    assert ApiToken.unscoped.filter(pk=token.pk).exists()


def test_an_ended_key_says_so(editor: User) -> None:
    token, _plain = token_create(actor=actor_for_user(editor, "acme"), name="Old", scopes=[Scope.READ])
    ApiToken.unscoped.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(days=1))
    assert "Ended" in signed_in(editor).get(KEYS).text


def test_the_page_takes_as_many_queries_for_many_keys(owner: User) -> None:
    client, actor = signed_in(owner), actor_for_user(owner, "acme")

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get(KEYS)
        return len(found)

    token_create(actor=actor, name="One", scopes=[Scope.READ])
    with_one = queries()
    for number in range(8):
        token_create(actor=actor, name=f"More {number}", scopes=[Scope.READ])
    assert queries() == with_one <= 7

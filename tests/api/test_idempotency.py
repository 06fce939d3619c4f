"""``Idempotency-Key``: one answer for a key, a person and a day; another body is told."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrator.api.idempotency import KEPT_FOR, forget_old_answers
from orchestrator.api.models import IdempotencyRecord
from orchestrator.tenants.models import Membership, Role, Tenant
from tests.api.conftest import Caller, MakeCaller, document

pytestmark = pytest.mark.django_db
TOKEN = {"name": "ci", "scopes": ["read"]}


def test_every_post_that_makes_something_makes_it_once(api: Caller, viewer: User) -> None:
    workflow = api.ok("POST", "workflows/", document())["id"]
    posts = [
        ("workflows/", document("Second"), document("Third")),
        (f"workflows/{workflow}/publish/", {"note": "a"}, {"note": "b"}),
        (f"workflows/{workflow}/runs/", {"payload": 1}, {"payload": 2}),
        (f"workflows/{workflow}/steps/greet/test/", {"payload": 1}, {"payload": 2}),
        (
            "credentials/",
            {"name": "a", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "x"}},
            {"name": "a", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "y"}},
        ),
        ("tokens/", TOKEN, {**TOKEN, "name": "other"}),
        ("variables/", {"key": "a", "value": 1}, {"key": "b", "value": 1}),
        ("workflows/import/", document("In"), document("In too")),
        ("members/", {"user": viewer.username, "role": "editor"}, {"user": viewer.username, "role": "admin"}),
    ]
    for path, body, other in posts:
        first = api("POST", path, body, Idempotency_Key="one")
        again = api("POST", path, body, Idempotency_Key="one")
        assert first.status_code < 300, (path, first.content)
        assert (again.status_code, again.content) == (first.status_code, first.content), path
        refused = api("POST", path, other, Idempotency_Key="one")
        assert refused.status_code == 409, path
        assert json.loads(refused.content)["error"]["code"] == "idempotency_key_reused"
        assert api("POST", path, other, Idempotency_Key="two").content != first.content, path


def test_a_refusal_is_not_kept(api: Caller) -> None:
    path = f"workflows/{api.ok('POST', 'workflows/', document())['id']}"
    assert api("POST", f"{path}/runs/", {}, Idempotency_Key="k").status_code == 409
    api.ok("POST", f"{path}/publish/", {})
    assert api("POST", f"{path}/runs/", {}, Idempotency_Key="k").status_code == 202


def test_an_answer_belongs_to_the_person_who_got_it(
    api: Caller, caller_for: MakeCaller, editor: User, owner: User, tenant: Tenant
) -> None:
    Membership.objects.for_tenant(tenant).filter(user=editor).update(role=Role.ADMIN)
    mine = api.ok("POST", "tokens/", TOKEN, Idempotency_Key="k")
    theirs = caller_for(editor).ok("POST", "tokens/", TOKEN, Idempotency_Key="k")
    assert (mine["user"], theirs["user"]) == (owner.username, editor.username)
    assert mine["token"] != theirs["token"]
    assert caller_for(owner).ok("POST", "tokens/", TOKEN, Idempotency_Key="k") == mine


def test_a_kept_answer_cannot_be_read_in_the_database(api: Caller, tenant: Tenant) -> None:
    made = api.ok("POST", "tokens/", TOKEN, Idempotency_Key="k")
    record = IdempotencyRecord.objects.for_tenant(tenant).get()
    assert made["token"].encode() not in bytes(record.answer_sealed or b"")
    assert record.answer_sealed


@pytest.mark.parametrize("pruned", [False, True])
def test_a_key_is_free_again_after_a_day(api: Caller, tenant: Tenant, pruned: bool) -> None:
    first = api.ok("POST", "workflows/", document(), Idempotency_Key="k")
    old = timezone.now() - KEPT_FOR - timedelta(seconds=1)
    IdempotencyRecord.objects.for_tenant(tenant).update(created_at=old)
    if pruned:
        assert forget_old_answers() == 1
    second = api.ok("POST", "workflows/", document("Another"), Idempotency_Key="k")
    assert second["id"] != first["id"]
    assert api.ok("POST", "workflows/", document("Another"), Idempotency_Key="k") == second


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b", "é", "\x7f"])
def test_a_key_that_cannot_be_kept_is_told(api: Caller, key: str) -> None:
    refused = api("POST", "workflows/", document(), Idempotency_Key=key)
    assert refused.status_code == 400
    assert json.loads(refused.content)["error"]["code"] == "idempotency_key_invalid"
    assert api.ok("GET", "workflows/")["results"] == []

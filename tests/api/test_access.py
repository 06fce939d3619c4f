"""Who may call: tokens and their scopes, sessions with their tenant, what is revoked; and credentials stay secret."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orchestrator.tenants.models import ApiToken, Membership, Scope, Tenant
from tests.api.conftest import Caller, MakeCaller, document

pytestmark = pytest.mark.django_db
SECRET = "xoxb-a-secret-of-the-api"


@pytest.mark.parametrize(
    ("scope", "allowed", "refused"),
    [
        (Scope.READ, [("GET", "workflows/")], [("POST", "workflows/"), ("POST", "tokens/")]),
        (Scope.WRITE, [("POST", "workflows/")], []),
    ],
)
def test_a_scope_opens_what_it_says(
    caller_for: MakeCaller, owner: User, scope: Scope, allowed: list[tuple[str, str]], refused: list[tuple[str, str]]
) -> None:
    call = caller_for(owner, scope)
    for method, path in allowed:
        assert call(method, path, document() if method == "POST" else None).status_code < 300
    for method, path in refused:
        assert call(method, path, {"name": "x", "scopes": ["read"]}).status_code == 403


def test_roles_bound_what_a_token_does(caller_for: MakeCaller, viewer: User, operator: User, api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())["id"]
    api.ok("POST", f"workflows/{made}/publish/", {})
    assert caller_for(viewer)("POST", "workflows/", document()).status_code == 403
    assert caller_for(viewer)("POST", f"workflows/{made}/runs/", {}).status_code == 403
    assert caller_for(operator)("POST", f"workflows/{made}/runs/", {}).status_code == 202
    assert caller_for(operator)("PATCH", f"workflows/{made}/", {"name": "x"}).status_code == 403


def test_no_token_a_wrong_one_and_a_revoked_one_are_401(api: Caller, tenant: Tenant) -> None:
    for header in ({}, {"Authorization": "Bearer nothing"}, {"Authorization": "Basic YTpi"}):
        response = Client().get("/api/v1/workflows/", headers=header)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        assert response.json()["error"]["code"]
    ApiToken.objects.for_tenant(tenant).delete()
    assert api("GET", "workflows/").status_code == 401


def test_a_member_who_is_gone_is_out_at_once(api: Caller, owner: User, tenant: Tenant) -> None:
    assert api("GET", "workflows/").status_code == 200
    Membership.objects.for_tenant(tenant).filter(user=owner).delete()
    assert api("GET", "workflows/").status_code == 401


def test_a_token_is_made_once_shown_once_and_revoked(api: Caller) -> None:
    made = api.ok("POST", "tokens/", {"name": "ci", "scopes": ["read"]})
    assert Caller(token=made["token"])("GET", "workflows/").status_code == 200
    assert made["token"] not in json.dumps(api.ok("GET", "tokens/"))
    assert api("DELETE", f"tokens/{made['id']}/").status_code == 204
    assert Caller(token=made["token"])("GET", "workflows/").status_code == 401


def test_a_session_names_its_tenant_and_writes_with_csrf(owner: User, tenant: Tenant, other_tenant: Tenant) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.get("/api/v1/workflows/").status_code == 401
    assert client.get("/api/v1/workflows/", headers={"X-Tenant": tenant.slug}).status_code == 200
    assert client.get("/api/v1/workflows/", headers={"X-Tenant": other_tenant.slug}).status_code == 404

    def post(**headers: str) -> int:
        sent = {"X-Tenant": tenant.slug, **{name.replace("_", "-"): value for name, value in headers.items()}}
        response = client.post(
            "/api/v1/workflows/", json.dumps(document()), content_type="application/json", headers=sent
        )
        assert response.status_code == 201 or set(response.json()["error"]) == {"code", "message", "problems"}
        return response.status_code

    assert post() == 403
    client.get("/")
    client.cookies["csrftoken"] = "a" * 32
    assert post(X_CSRFToken="b" * 32) == 403
    assert post(X_CSRFToken="a" * 32) == 201


def test_a_session_reaches_as_far_as_its_role(viewer: User, editor: User, owner: User, tenant: Tenant) -> None:
    def ask(user: User, method: str, path: str, body: object = None) -> int:
        client = Client()
        client.force_login(user)
        options = {"data": json.dumps(body), "content_type": "application/json"} if method != "get" else {}
        response = getattr(client, method)(f"/api/v1/{path}", headers={"X-Tenant": tenant.slug}, **options)
        return int(response.status_code)

    assert [ask(user, "post", "workflows/", document()) for user in (viewer, editor, owner)] == [403, 201, 201]
    assert [ask(user, "get", "audit/") for user in (viewer, editor, owner)] == [403, 403, 200]
    own = {"name": "mine", "scopes": ["read"]}
    assert [ask(user, "post", "tokens/", own) for user in (viewer, editor, owner)] == [201, 201, 201]
    assert ask(viewer, "post", "tokens/", {"name": "more", "scopes": ["write"]}) == 403
    assert ask(viewer, "delete", "members/1/") == 404


def test_tokens_are_listed_to_their_person_and_to_who_may_revoke_them(
    caller_for: MakeCaller, viewer: User, owner: User, api: Caller, tenant: Tenant
) -> None:
    caller_for(viewer)
    rows = api.ok("GET", "tokens/")["results"]
    assert {row["user"] for row in rows} == {viewer.username, owner.username}
    client = Client()
    client.force_login(viewer)
    mine = client.get("/api/v1/tokens/", headers={"X-Tenant": tenant.slug}).json()["results"]
    assert {row["user"] for row in mine} == {viewer.username}
    others = [row["id"] for row in rows if row["user"] == owner.username]
    assert client.delete(f"/api/v1/tokens/{others[0]}/", headers={"X-Tenant": tenant.slug}).status_code == 403
    assert client.delete(f"/api/v1/tokens/{mine[0]['id']}/", headers={"X-Tenant": tenant.slug}).status_code == 204


def test_an_expired_token_and_one_of_an_inactive_person_are_401(api: Caller, owner: User, tenant: Tenant) -> None:
    ApiToken.objects.for_tenant(tenant).update(expires_at=timezone.now())
    assert api("GET", "workflows/").status_code == 401
    ApiToken.objects.for_tenant(tenant).update(expires_at=None)
    assert api("GET", "workflows/").status_code == 200
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert api("GET", "workflows/").status_code == 401


def test_a_secret_goes_in_and_never_comes_out(api: Caller) -> None:
    given = {"name": "team", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": SECRET}}
    response = api("POST", "credentials/", given)
    assert response.status_code == 201
    made = json.loads(response.content)
    expected = {
        "id", "name", "provider", "auth_type", "settings", "health", "health_message", "expires_at", "last_used_at",
        "used_by",
    }  # fmt: skip
    assert expected <= set(made)
    assert "secret" not in made
    changed = api("PATCH", f"credentials/{made['id']}/", {"name": "other"})
    listed = api("GET", "credentials/")
    read = api("GET", f"credentials/{made['id']}/")
    for answer in (response, changed, listed, read):
        assert SECRET not in answer.content.decode()
    wrong = api("POST", "credentials/", {**given, "name": "b", "secret": {"password": SECRET}})
    assert wrong.status_code == 400
    assert SECRET not in wrong.content.decode()


def test_a_credential_in_use_is_kept_unless_forced(api: Caller) -> None:
    made = api.ok(
        "POST",
        "credentials/",
        {"name": "team", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": SECRET}},
    )
    step = {
        "key": "tell",
        "action": "slack.sendMessage",
        "credential": "team",
        "config": {"inputs": {"channel": "#a", "text": "b"}},
    }
    api.ok("POST", "workflows/", document(steps=[step], output=None))
    refused = api("DELETE", f"credentials/{made['id']}/")
    assert refused.status_code == 409
    assert api("DELETE", f"credentials/{made['id']}/?force=1").status_code == 204


def test_the_registry_is_readable(api: Caller) -> None:
    rows = api.ok("GET", "integrations/?kind=action")["results"]
    slack = next(row for row in rows if row["key"] == "slack.sendMessage")
    expected = {
        "key", "name", "provider", "auth_type", "description", "category", "icon", "input_schema", "output_schema",
        "sample", "idempotent",
    }  # fmt: skip
    assert expected <= set(slack)
    assert api.ok("GET", "integrations/slack.sendMessage/") == slack
    assert api("GET", "integrations/no.such/").status_code == 404
    triggers = {row["key"]: row for row in api.ok("GET", "integrations/?kind=trigger")["results"]}
    assert {"rss.newItem", "email.newMessage"} <= set(triggers)
    assert not triggers.keys() & {row["key"] for row in rows}
    assert expected | {"kind", "trigger_type"} == set(triggers["rss.newItem"])
    assert triggers["rss.newItem"]["kind"] == "trigger"
    # The type of the workflows' triggers that may name it.
    types = [triggers[key]["trigger_type"] for key in ("rss.newItem", "github.newEvent")]
    assert (slack["trigger_type"], types) == (None, ["polling", "event"])
    assert api.ok("GET", "integrations/rss.newItem/") == triggers["rss.newItem"]
    kinds = api.ok("GET", "credential-types/")
    assert any(entry["provider"] == "slack" for entry in kinds["results"])


def test_the_description_names_every_route_and_the_errors() -> None:
    document = Client().get("/api/schema/?format=json").json()
    assert document["openapi"].startswith("3.1")
    for path in ("/api/v1/workflows/{id}/publish/", "/api/v1/runs/{id}/rerun/", "/api/v1/credentials/"):
        assert path in document["paths"], sorted(document["paths"])
    operation = document["paths"]["/api/v1/workflows/{id}/"]["patch"]
    assert {"200", "400", "401", "403", "404", "409"} <= set(operation["responses"])
    page = Client().get("/api/docs/")
    assert page.status_code == 200
    assert "'unsafe-inline'" not in page.headers["Content-Security-Policy"].partition("style-src")[0]

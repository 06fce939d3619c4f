"""What a token endpoint may answer: none of it breaks a page, a write or a text."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import renewal, services
from orchestrator.vault.models import Credential
from orchestrator.vault.services import CredentialUnavailable, resolve_credential
from tests.vault.token_endpoint import TokenEndpoint, token_endpoint

pytestmark = pytest.mark.django_db
SECRET: Final = "a client secret canary 4242"
REFRESH: Final = "a-refresh-token-canary"


@pytest.fixture
def endpoint(settings: Settings) -> Iterator[TokenEndpoint]:
    with token_endpoint() as found:
        settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=(found.host,))
        yield found


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def credential(actor: Actor, endpoint: TokenEndpoint) -> Credential:
    """A credential whose token has ended."""
    return services.credential_create(
        actor=actor,
        name="crm",
        provider="http",
        auth_type="oauth2",
        secret={
            "client_id": "app", "client_secret": SECRET, "access_token": "old-token", "refresh_token": REFRESH,
            "expires_at": (timezone.now() - timedelta(minutes=1)).isoformat(),
        },
        settings={"authorize_url": f"{endpoint.address}/authorize", "token_url": f"{endpoint.address}/token"},
    )  # fmt: skip


def came_back(client: Client, credential: Credential) -> Any:
    """Press Connect, come back with a code, and return the page that follows."""
    page = client.post(f"/w/acme/credentials/{credential.pk}/connect/").content.decode()
    state = httpx.URL(html.unescape(page.partition("0;url=")[2].partition('"')[0])).params["state"]
    return client.get("/oauth/callback/own/", {"state": state, "code": "c"}, follow=True)


ODD: Final[list[tuple[int, Any, str]]] = [
    (400, {"error": "invalid_grant", "error_description": "a\x00b"}, "application/json"),
    (400, {"error": "invalid_grant", "error_description": "a\ud800b"}, "application/json"),
    (400, {"error": "\ud800\x00"}, "application/json"),
    (200, {"error": {"message": "\x00\udfff"}}, "application/json"),
    (200, {"error": ["x"] * 9_000}, "application/json"),
    (200, {"ok": False}, "application/json"),
    (200, {"access_token": "a\ud800"}, "application/json"),
    (200, {"access_token": "a\x00"}, "application/json"),
    (200, {"access_token": 7}, "application/json"),
    (200, {"access_token": ["a"]}, "application/json"),
    (200, {"access_token": "x" * 20_000}, "application/json"),
    (200, [1, 2], "application/json"),
    (200, b"[" * 100_000, "application/json"),
    (200, b"7", "application/json"),
    (200, b"", "application/json"),
    (200, b"<html>", "text/html"),
    (200, b"access_token=%00", "text/plain"),
    (200, b"a=b", "text/plain; charset=hex"),
    (200, b"a=b", "text/plain; charset=undefined"),
    (200, b"a=b", "text/plain; charset=rot13"),
    (200, b"\xff\xfe", "application/x-www-form-urlencoded; charset=idna"),
    (302, b"", "text/html"),
    (500, b"<h1>", "text/html"),
    (200, b"x" * 400_000, "application/json"),
]


@pytest.mark.parametrize(("status", "body", "kind"), ODD)
def test_an_odd_answer_to_a_renewal_is_told(
    status: int, body: Any, kind: str, credential: Credential, endpoint: TokenEndpoint, tenant: Tenant, client: Client,
    editor: User,
) -> None:  # fmt: skip
    endpoint.says(body, status=status, kind=kind)
    with pytest.raises(CredentialUnavailable) as told:
        renewal.fresh_credential(tenant=tenant, credential_id=credential.pk)
    assert SECRET not in str(told.value)
    credential.refresh_from_db()
    assert credential.renewing_until is None
    client.force_login(editor)
    assert client.get(f"/w/acme/credentials/{credential.pk}/").status_code == 200


@pytest.mark.parametrize(("status", "body", "kind"), ODD)
def test_an_odd_answer_to_a_code_is_told(
    status: int, body: Any, kind: str, credential: Credential, endpoint: TokenEndpoint, client: Client, editor: User
) -> None:
    client.force_login(editor)
    endpoint.says(body, status=status, kind=kind)
    answer = came_back(client, credential)
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()
    assert token_of(credential) == "old-token"


def token_of(credential: Credential) -> str:
    opened = resolve_credential(tenant_id=credential.tenant_id, credential_id=credential.pk)
    return str(opened.auth["access_token"])


@pytest.mark.parametrize("seconds", [-1, 0, "x", "nan", "inf", "1e400", None, [], {}, 10**400, 1e300, "٣٦٠٠"])
def test_an_odd_span_is_no_end(seconds: Any, credential: Credential, endpoint: TokenEndpoint, tenant: Tenant) -> None:
    endpoint.says({"access_token": "new-token", "expires_in": seconds})
    assert renewal.fresh_credential(tenant=tenant, credential_id=credential.pk).auth["access_token"] == "new-token"


@pytest.mark.parametrize("scope", [["a\ud800", "b\x00"], "a\ud800 b\x00", [{"a": 1}], ["x" * 900] * 200, 7])
def test_odd_scopes_can_be_shown(
    scope: Any, credential: Credential, endpoint: TokenEndpoint, tenant: Tenant, client: Client, editor: User
) -> None:
    endpoint.says({"access_token": "new-token", "scope": scope})
    renewal.fresh_credential(tenant=tenant, credential_id=credential.pk)
    client.force_login(editor)
    assert client.get(f"/w/acme/credentials/{credential.pk}/").status_code == 200


@pytest.mark.parametrize("before", [270, 279, 288, 296, 300])
def test_a_secret_that_is_echoed_is_cut_nowhere(
    before: int, credential: Credential, endpoint: TokenEndpoint, tenant: Tenant
) -> None:
    endpoint.says({"error": "invalid_grant", "error_description": "." * before + REFRESH}, status=400)
    with pytest.raises(CredentialUnavailable) as told:
        renewal.fresh_credential(tenant=tenant, credential_id=credential.pk)
    assert REFRESH[:4] not in str(told.value)


def test_a_new_sign_in_is_not_renewed_with_the_refresh_token_of_another_person(
    credential: Credential, endpoint: TokenEndpoint, tenant: Tenant, client: Client, editor: User
) -> None:
    client.force_login(editor)
    endpoint.says({"access_token": "of-the-second-person", "expires_in": 3600})
    came_back(client, credential)
    opened = resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)
    assert (opened.auth["access_token"], opened.renewable) == ("of-the-second-person", None)
    assert REFRESH not in opened.secrets


def test_an_operators_app_is_sent_to_no_address_of_a_tenant(
    actor: Actor, endpoint: TokenEndpoint, settings: Settings
) -> None:
    operators = {"http": {"client_id": "operator", "client_secret": "an operators secret"}}
    settings.ENV = dataclasses.replace(settings.ENV, oauth_clients=operators)
    with pytest.raises(Invalid, match="client id"):
        services.credential_create(
            actor=actor,
            name="theirs",
            provider="http",
            auth_type="oauth2",
            secret={},
            settings={"token_url": f"{endpoint.address}/token", "grant": "client_credentials"},
        )


def test_a_tenants_address_is_not_where_the_operator_has_tokens_fetched_alone(
    credential: Credential, endpoint: TokenEndpoint, tenant: Tenant, settings: Settings
) -> None:
    settings.ENV = dataclasses.replace(
        settings.ENV, egress_allow=(), oauth_token_urls={"slack": f"{endpoint.address}/token"}
    )
    with pytest.raises(CredentialUnavailable, match="may not reach"):
        renewal.fresh_credential(tenant=tenant, credential_id=credential.pk)
    assert endpoint.asked == []

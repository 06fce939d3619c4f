"""Connecting a credential at a real provider: the way there and back, and what must not be possible on it."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from orchestrator.tenants import services as people
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Membership, Role, Scope, Tenant
from orchestrator.vault import services, sign_ins
from orchestrator.vault.models import Credential, Health, SignInAttempt
from orchestrator.vault.services import CredentialUnavailable, resolve_credential
from orchestrator.workflows.models import Step
from orchestrator.workflows.services import workflow_create
from tests.oauth_server import CLIENT, Provider, oauth_server

pytestmark = pytest.mark.django_db
BACK: Final = "http://testserver/oauth/callback/own/"
HOSTILE: Final = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with oauth_server(BACK) as found:
        yield found


@pytest.fixture(autouse=True)
def _reach(provider: Provider, settings: Settings) -> None:
    settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=(provider.host,))


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


def addresses(provider: Provider, **more: str) -> dict[str, str]:
    root = f"{provider.address}/o"
    return {
        "authorize_url": f"{root}/authorize/", "token_url": f"{root}/token/", "revoke_url": f"{root}/revoke/",
        "scopes": "read write", **more,
    }  # fmt: skip


def made(actor: Actor, provider: Provider, **more: Any) -> Credential:
    given: dict[str, Any] = {"secret": dict(CLIENT), "settings": addresses(provider), **more}
    return services.credential_create(actor=actor, name="crm", provider="http", auth_type="oauth2", **given)


@pytest.fixture
def credential(actor: Actor, provider: Provider) -> Credential:
    return made(actor, provider)


def began(client: Client, credential: Credential, **data: str) -> str:
    """Press Connect; return the provider's address that the page goes on to."""
    answer = client.post(f"/w/acme/credentials/{credential.pk}/connect/", data)
    assert answer.status_code == 200, answer.content
    text = answer.content.decode()
    (address,) = re.findall(r'http-equiv="refresh" content="0;url=([^"]+)"', text)
    assert f'href="{address}"' in text
    return html.unescape(address)


@pytest.fixture
def person(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def said(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def led_on(person: Client, back: Mapping[str, Any]) -> str:
    """Come back from the provider; return the address to which that leads, past the page between."""
    answer = person.get("/oauth/callback/own/", back)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/oauth/done/?to=")
    text = said(person, answer["Location"])
    (address,) = re.findall(r'data-done="([^"]+)"', text)
    assert f'content="1;url={address}"' in text
    return html.unescape(address)


def test_a_person_goes_to_the_provider_and_comes_back_connected(
    person: Client, credential: Credential, provider: Provider, editor: User, tenant: Tenant
) -> None:
    assert (credential.health, credential.next_check_at) == (Health.RECONNECT, None)
    assert "Not connected yet" in said(person, f"/w/acme/credentials/{credential.pk}/")
    with pytest.raises(CredentialUnavailable, match="not connected yet"):
        resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)

    address = began(person, credential)
    sent = httpx.URL(address).params
    assert (sent["scope"], sent["code_challenge_method"], sent["redirect_uri"]) == ("read write", "S256", BACK)
    assert CLIENT["client_secret"] not in address
    assert led_on(person, provider.code(address)) == f"/w/acme/credentials/{credential.pk}/"

    credential.refresh_from_db()
    assert (credential.health, credential.scopes, credential.secret_set_by) == ("working", ["read", "write"], editor)
    opened = resolve_credential(tenant_id=tenant.pk, credential_id=credential.pk)
    me = httpx.get(f"{provider.address}/me", headers={"Authorization": f"Bearer {opened.auth['access_token']}"})
    assert me.json()["login"] == "ada"
    assert opened.renewable is not None
    assert not opened.is_due(timezone.now() + timedelta(minutes=50))
    assert opened.is_due(timezone.now() + timedelta(minutes=59))
    assert not SignInAttempt.objects.for_tenant(tenant).exists()
    events = AuditEvent.objects.for_tenant(tenant).values_list("action", flat=True)
    assert {"credential.connecting", "credential.connected"} <= set(events)


def test_from_a_step_one_comes_back_to_it_with_the_credential_chosen(
    person: Client, actor: Actor, provider: Provider, tenant: Tenant
) -> None:
    call = {"key": "call", "action": "http.request", "config": {"inputs": {"url": "https://example.com"}}}
    made = workflow_create(actor=actor, document={"name": "Calls", "steps": [call]})
    back = f"/w/acme/workflows/{made.pk}/steps/call/"
    form = {"provider": "http", "auth_type": "oauth2", "name": "crm", "connect": "1", "next": back}
    form |= {f"secret-{name}": value for name, value in CLIENT.items()}
    form |= {f"settings-{name}": value for name, value in addresses(provider).items()}
    page = person.post("/w/acme/credentials/new/", form)
    assert page.status_code == 200
    (address,) = re.findall(r'content="0;url=([^"]+)"', page.content.decode())
    assert led_on(person, provider.code(html.unescape(address))) == f"{back}#field-credential"
    chosen = Step.objects.for_tenant(tenant).get().credential
    assert chosen is not None
    assert chosen.name == "crm"


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "/w/globex/", "/w/acme/../../x"])
def test_nobody_is_led_elsewhere(back: str, person: Client, credential: Credential, provider: Provider) -> None:
    address = began(person, credential, next=back)
    assert led_on(person, provider.code(address)) == f"/w/acme/credentials/{credential.pk}/"


@pytest.mark.parametrize(
    "address", ["", "/", "/sign-out/", "https://evil.example/w/", "//evil.example/w/", "/\\evil.example"]
)
def test_the_way_back_leads_to_a_page_of_a_tenant_alone(address: str, person: Client) -> None:
    answer = person.get("/oauth/done/", {"to": address})
    assert answer.status_code == 404
    assert "evil" not in answer.content.decode()


def test_a_code_of_a_declared_providers_goes_to_no_address_of_a_tenants(
    person: Client, credential: Credential, provider: Provider
) -> None:
    """Whoever sets the addresses could lead somebody on to another provider, which sends them back to its own path."""
    before = provider.asked()
    back = provider.code(began(person, credential))
    assert person.get("/oauth/callback/", back).status_code == 404
    assert provider.asked() == before
    assert person.get("/oauth/callback/own/", back).status_code == 302


def test_a_state_counts_once(person: Client, credential: Credential, provider: Provider) -> None:
    back = provider.code(began(person, credential))
    assert person.get("/oauth/callback/own/", back).status_code == 302
    answer = person.get("/oauth/callback/own/", back)
    assert answer.status_code == 404
    assert "This sign-in is over" in answer.content.decode()


def test_only_who_began_it_in_the_session_in_which_they_did_comes_back(
    person: Client, credential: Credential, provider: Provider, editor: User, owner: User, stranger: User
) -> None:
    back = provider.code(began(person, credential))
    for other in (owner, stranger, editor):
        # Somebody else, and the same person in another browser.
        client = Client()
        client.force_login(other)
        answer = client.get("/oauth/callback/own/", back)
        assert answer.status_code == 404, other
        assert "another browser" in answer.content.decode()
    assert Client().get("/oauth/callback/own/", back)["Location"].startswith("/sign-in/?next=/oauth/callback/own/")
    # It was not used up by any of them.
    assert person.get("/oauth/callback/own/", back).status_code == 302
    assert Credential.objects.for_tenant(credential.tenant_id).get().health == Health.WORKING


def test_a_sign_in_of_more_than_ten_minutes_is_over(person: Client, credential: Credential, provider: Provider) -> None:
    back = provider.code(began(person, credential))
    SignInAttempt.unscoped.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert person.get("/oauth/callback/own/", back).status_code == 404


def test_the_last_ten_of_a_person_are_kept(person: Client, credential: Credential, tenant: Tenant) -> None:
    for _time in range(sign_ins.MOST_OPEN + 3):
        began(person, credential)
    assert SignInAttempt.objects.for_tenant(tenant).count() == sign_ins.MOST_OPEN


@pytest.mark.parametrize("state", ["", "x", "\x00", "a" * 9_000, "ü"])
def test_a_state_that_is_none_is_told(state: str, person: Client) -> None:
    answer = person.get("/oauth/callback/own/", {"state": state, "code": "c"})
    assert answer.status_code == 404
    assert "Press Connect once more" in answer.content.decode()


def test_a_code_that_the_provider_does_not_know_is_told(person: Client, credential: Credential) -> None:
    state = httpx.URL(began(person, credential)).params["state"]
    text = html.unescape(said(person, led_on(person, {"state": state, "code": "made up"})))
    assert "HTTP gave no tokens" in text
    assert "invalid_grant" in text
    assert CLIENT["client_secret"] not in text
    assert Credential.objects.for_tenant(credential.tenant_id).get().health == Health.RECONNECT


@pytest.mark.parametrize("code", ["", "x" * 5_000, "a\nb"])
def test_a_code_that_is_none_is_not_sent(code: str, person: Client, credential: Credential, provider: Provider) -> None:
    state, before = httpx.URL(began(person, credential)).params["state"], provider.asked()
    assert "sent no code" in said(person, led_on(person, {"state": state, "code": code}))
    assert provider.asked() == before


def test_a_code_is_worth_nothing_without_its_verifier(
    person: Client, credential: Credential, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = provider.code(began(person, credential))
    monkeypatch.setattr(sign_ins, "_verifier", lambda state: "another" * 8)
    assert "invalid_grant" in said(person, led_on(person, back))


def test_what_the_provider_says_instead_is_shown_as_text(person: Client, credential: Credential) -> None:
    for error, shown in (("access_denied", "declined"), (HOSTILE, "&lt;script&gt;")):
        state = httpx.URL(began(person, credential)).params["state"]
        given = {"state": state, "error": error, "error_description": HOSTILE}
        text = said(person, led_on(person, given))
        assert shown in text
        assert HOSTILE not in text


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.OPERATOR, 403), (None, 404)])
def test_who_may_not_edit_credentials_connects_none(
    role: Role | None, status: int, client: Client, credential: Credential, viewer: User, operator: User, stranger: User
) -> None:
    client.force_login({Role.VIEWER: viewer, Role.OPERATOR: operator, None: stranger}[role])
    assert client.post(f"/w/acme/credentials/{credential.pk}/connect/").status_code == status
    assert client.get(f"/w/acme/credentials/{credential.pk}/connect/").status_code in (404, 405)


def test_who_is_no_editor_any_more_when_they_come_back_connects_nothing(
    person: Client, credential: Credential, provider: Provider, editor: User, tenant: Tenant
) -> None:
    back = provider.code(began(person, credential))
    Membership.objects.for_tenant(tenant).filter(user=editor).update(role=Role.VIEWER)
    person.get("/oauth/callback/own/", back)
    assert Credential.objects.for_tenant(tenant).get().health == Health.RECONNECT


def test_a_token_begins_it_and_its_person_comes_back_in_a_browser(
    person: Client, credential: Credential, provider: Provider, actor: Actor
) -> None:
    _token, plain = people.token_create(actor=actor, name="t", scopes=[Scope.WRITE])
    headers = {"Authorization": f"Bearer {plain}"}
    answer = Client(headers=headers).post(f"/api/v1/credentials/{credential.pk}/connect/")
    assert answer.status_code == 200, answer.content
    assert person.get("/oauth/callback/own/", provider.code(answer.json()["authorize_url"])).status_code == 302
    assert Credential.objects.for_tenant(credential.tenant_id).get().health == Health.WORKING
    key = services.credential_create(
        actor=actor, name="key", provider="http", auth_type="api_key", secret={"api_key": "k"}
    )
    answer = Client(headers=headers).post(f"/api/v1/credentials/{key.pk}/connect/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_sign_in")


def test_what_nobody_could_sign_in_to_is_refused_when_it_is_saved(actor: Actor, provider: Provider) -> None:
    from orchestrator.errors import Invalid

    for more, path in (
        ({"settings": {}}, "secret.access_token"),
        ({"secret": {}}, "secret.client_id"),
        ({"settings": {**addresses(provider), "token_url": "file:///etc/passwd"}}, "settings.token_url"),
        ({"settings": {**addresses(provider), "token_url": "https://u:p@example.com/"}}, "settings.token_url"),
        ({"settings": {**addresses(provider), "grant": "password"}}, "settings.grant"),
    ):
        with pytest.raises(Invalid) as refused:
            made(actor, provider, **more)
        assert [problem.path for problem in refused.value.problems] == [path]
    assert not Credential.objects.for_tenant(actor.tenant).exists()


@pytest.mark.parametrize("name", ["token_url", "authorize_url", "revoke_url"])
def test_an_address_is_changed_with_the_secret_alone(
    name: str, actor: Actor, credential: Credential, provider: Provider
) -> None:
    from orchestrator.errors import Invalid

    elsewhere = addresses(provider, **{name: "https://evil.example/token"})
    with pytest.raises(Invalid, match="enter its secret again"):
        services.credential_update(actor=actor, credential=credential, settings=elsewhere)
    services.credential_update(actor=actor, credential=credential, settings=elsewhere, secret=dict(CLIENT))


def test_a_deleted_credential_is_forgotten_at_the_provider(
    person: Client, credential: Credential, provider: Provider
) -> None:
    person.get("/oauth/callback/own/", provider.code(began(person, credential)))
    before = provider.control("tokens")
    answer = person.post(f"/w/acme/credentials/{credential.pk}/delete/", follow=True)
    assert "could not be told" not in answer.content.decode()
    after = provider.control("tokens")
    assert after["refresh"] == before["refresh"] - 1


def test_a_provider_that_is_away_keeps_no_credential(
    person: Client, credential: Credential, provider: Provider, actor: Actor
) -> None:
    person.get("/oauth/callback/own/", provider.code(began(person, credential)))
    gone = addresses(provider, revoke_url="http://127.0.0.1:1/revoke/")
    credential = services.credential_update(
        actor=actor, credential=credential, settings=gone, secret={**CLIENT, "access_token": "a", "refresh_token": "r"}
    )
    answer = person.post(f"/w/acme/credentials/{credential.pk}/delete/", follow=True)
    assert "could not be told" in answer.content.decode()
    assert not Credential.objects.for_tenant(actor.tenant).exists()

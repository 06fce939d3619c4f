"""Providers whose customers have an address of their own each: where it is filled in, and what is sent there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel
from pytest_django import Settings

from integrations.registry import base_url_for, http_options, registry
from integrations.sdk import Account, Action, AuthContext, AuthError, Basic, DeclarationError, Provider, Site, action
from integrations.sdk.testing import check_account, run_action
from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.vault import services
from orchestrator.vault.models import Credential
from orchestrator.vault.provider_settings import credential_types

AUTH = {"provider": "desk", "type": "basic", "username": "ada", "password": "canary"}
SECRET = {"username": "ada", "password": "canary"}


async def account(ctx: AuthContext) -> Account:
    answer = (await ctx.http.get("me")).json_object()
    return Account(label=f"{answer['name']} at {ctx.settings['site']}")


class Nothing(BaseModel):
    pass


desk = Provider(
    key="desk", name="Desk", auth=[Basic(test=account)], site=Site(label="Your desk", help="Like acme.example.")
)


@action(provider=desk, key="desk.ping", name="Ping", auth_type="basic", input_schema=Nothing)
async def ping(ctx: Any) -> Any:
    """Ask whether the desk is there."""
    return (await ctx.http.get("ping")).json()


@pytest.fixture(autouse=True)
def desks() -> Iterator[Action]:
    with registry.temporarily(ping):
        yield ping


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


def made(actor: Actor, **settings: Any) -> Credential:
    return services.credential_create(
        actor=actor, name="desk", provider="desk", auth_type="basic", secret=SECRET, settings=settings
    )


@pytest.mark.parametrize(
    ("entered", "kept"),
    [
        ("https://acme.example", "https://acme.example"),
        (" acme.example/ ", "https://acme.example"),
        ("HTTPS://Acme.Example:8443/Desk/", "https://acme.example:8443/Desk"),
    ],
)
def test_a_site_is_kept_as_an_address_over_https(actor: Actor, entered: str, kept: str) -> None:
    assert made(actor, site=entered).settings == {"site": kept}


@pytest.mark.parametrize(
    "site",
    ["", "http://acme.example", "https://ada:pw@acme.example", "https://acme.example/?a=1", "https://acme.example/#x",
     "ftp://acme.example", "acme example", "https://", "x" * 501],
)  # fmt: skip
def test_what_is_no_address_over_https_is_refused(actor: Actor, site: str) -> None:
    with pytest.raises(Invalid) as caught:
        made(actor, site=site)
    assert [problem.path for problem in caught.value.problems] == ["settings.site"]


def test_it_must_be_filled_in_unless_the_operator_says_where_the_provider_is(actor: Actor, settings: Settings) -> None:
    with pytest.raises(Invalid):
        made(actor)
    settings.ENV = replace(settings.ENV, base_urls={"desk": "http://127.0.0.1:9001/desk"})
    assert made(actor).settings == {}


def test_the_form_asks_for_it_in_the_providers_words() -> None:
    (entry,) = (each for each in credential_types() if each["provider"] == "desk")
    schema = entry["settings_schema"]
    assert schema["required"] == ["site"]
    assert schema["properties"]["site"]["title"] == "Your desk"
    assert schema["properties"]["site"]["description"] == "Like acme.example."


def test_a_page_asks_for_it_keeps_it_and_says_what_is_wrong_with_it(client: Client, editor: User) -> None:
    client.force_login(editor)
    new = reverse("credential-new", args=["acme"])
    page = client.get(new, {"provider": "desk", "auth_type": "basic"}).content.decode()
    assert "Your desk" in page
    given = {
        "provider": "desk", "auth_type": "basic", "name": "mine", "secret-username": "ada", "secret-password": "canary",
    }  # fmt: skip
    for more in ({}, {"try": "1"}, {"settings-site": "http://acme.example"}, {"settings-site": "x y", "try": "1"}):
        refused = client.post(new, {**given, **more})
        assert refused.status_code == 422, more
        assert "canary" not in refused.content.decode()
    assert not Credential.unscoped.exists()
    assert client.post(new, {**given, "settings-site": "acme.example/"}).status_code == 302
    (credential,) = Credential.unscoped.all()
    assert credential.settings == {"site": "https://acme.example"}


def test_a_credential_that_lost_its_site_is_told_so_when_it_is_checked(actor: Actor, client: Client) -> None:
    credential = made(actor, site="https://acme.example")
    Credential.unscoped.filter(pk=credential.pk).update(settings={})
    client.force_login(actor.user)
    said = client.post(f"/api/v1/credentials/{credential.pk}/test/", headers={"X-Tenant": "acme"})
    assert said.status_code == 200, said.content
    assert "does not say where Desk is" in said.content.decode()


def test_a_password_goes_to_another_site_only_when_it_is_entered_again(actor: Actor) -> None:
    credential = made(actor, site="https://acme.example")
    moved = {"site": "https://evil.example"}
    with pytest.raises(Invalid) as caught:
        services.credential_update(actor=actor, credential=credential, settings=moved)
    assert [problem.path for problem in caught.value.problems] == ["secret"]
    changed = services.credential_update(actor=actor, credential=credential, settings=moved, secret=SECRET)
    assert changed.settings == moved


def test_a_step_calls_the_site_of_its_credential_and_the_password_goes_nowhere_else() -> None:
    site = {"site": "https://acme.example/desk"}
    options = http_options(ping, AUTH, site, {})
    assert (options["base_url"], options["auth_hosts"]) == ("https://acme.example/desk", ("https://acme.example",))
    result = run_action(ping, {}, auth=AUTH, settings=site, http=[httpx.Response(200, json={})])
    assert str(result.request.url) == "https://acme.example/desk/ping"
    anywhere = registry.get("http.request")
    assert anywhere
    assert http_options(anywhere, AUTH, site, {})["auth_hosts"] == ("https://acme.example",)


def test_the_operators_root_is_called_in_its_place() -> None:
    root = {"desk": "http://127.0.0.1:9001/desk/"}
    assert base_url_for(desk, root, {"site": "https://acme.example"}) == "http://127.0.0.1:9001/desk"
    assert http_options(ping, AUTH, {}, root)["auth_hosts"] == ("http://127.0.0.1:9001",)


def test_a_credential_without_a_site_says_what_to_fill_in() -> None:
    with pytest.raises(AuthError, match="where Desk is") as caught:
        http_options(ping, AUTH, {}, {})
    assert "Your desk" in caught.value.hint


def test_the_check_of_a_credential_asks_its_site() -> None:
    site = {"site": "https://acme.example"}
    found, (request,) = check_account(desk, AUTH, [httpx.Response(200, json={"name": "Ada"})], settings=site)
    assert found.label == "Ada at https://acme.example"
    assert str(request.url) == "https://acme.example/me"


def test_a_provider_has_a_root_or_sites() -> None:
    with pytest.raises(DeclarationError, match="no base_url"):
        Provider(key="desk", name="Desk", base_url="https://x.example", site=Site())

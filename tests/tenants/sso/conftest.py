"""A tenant with a provider on this machine, and people who sign in through it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.tenants import oidc
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import SingleSignOn, Tenant
from orchestrator.tenants.single_sign_on import Wanted, single_sign_on_set
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider, oidc_provider

ADA: Final = {"email": "ada@acme.test", "email_verified": True, "name": "Ada Byron", "preferred_username": "ada"}
PASSWORD: Final = "a good password"


@pytest.fixture(autouse=True)
def _nothing_known(settings: Any) -> Iterator[None]:
    """Let this machine be reached, and no test find what another one was told of a provider."""
    settings.ENV = replace(settings.ENV, egress_allow=("127.0.0.0/8",))
    oidc._known.clear()
    yield
    oidc._known.clear()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with oidc_provider() as made:
        made.people["sub-ada"] = dict(ADA)
        yield made


@pytest.fixture
def other_provider() -> Iterator[Provider]:
    with oidc_provider() as made:
        made.people["sub-ada"] = dict(ADA)
        yield made


def set_up(user: User, slug: str, provider: Provider, **wanted: Any) -> SingleSignOn:
    """Let an owner set a tenant's provider."""
    entered: dict[str, Any] = {
        "issuer": provider.address, "client_id": CLIENT_ID, "secret": CLIENT_SECRET, "new_role": "viewer",
        "group_roles": {}, **wanted,
    }  # fmt: skip
    return single_sign_on_set(actor=actor_for_user(user, slug), wanted=Wanted(**entered))


@pytest.fixture
def set_acme(owner: User, provider: Provider) -> Callable[..., SingleSignOn]:
    return lambda **wanted: set_up(owner, "acme", provider, **wanted)


@pytest.fixture
def acme(set_acme: Callable[..., SingleSignOn]) -> SingleSignOn:
    return set_acme()


@dataclass(kw_only=True)
class Browser:
    """A browser, and where a tenant's provider sent it back to."""

    client: Client
    back: str = ""

    def go(self, provider: Provider, slug: str = "acme", query: str = "") -> str:
        """Go to the provider and sign in there; return the address of ours that it sends the browser to."""
        answer = self.client.get(f"/sso/{slug}/{query}")
        assert answer.status_code == 200, answer.text
        found = re.search(rf'href="({re.escape(provider.address)}/authorize[^"]*)"', answer.text)
        assert found
        self.back = provider.code_for(html.unescape(found.group(1)))
        return self.back

    def through(self, provider: Provider, slug: str = "acme", query: str = "") -> Any:
        """Go to the provider and back; return the last answer."""
        return self.client.get(self.go(provider, slug, query))

    @property
    def user(self) -> User | None:
        key = self.client.session.get("_auth_user_id")
        return User.objects.get(pk=key) if key else None

    def opens(self, slug: str) -> bool:
        return self.client.get(f"/w/{slug}/settings/members/").status_code == 200


@pytest.fixture
def browser(db: None) -> Browser:
    return Browser(client=Client())


def by_password(user: User) -> Browser:
    """Return a browser in which a person has signed in with their password."""
    client = Client()
    answer = client.post("/sign-in/", {"username": user.get_username(), "password": PASSWORD})
    assert answer.status_code == 302
    return Browser(client=client)


def linked(browser: Browser, provider: Provider, slug: str = "acme") -> None:
    """Link the account of a signed-in browser with a tenant's provider."""
    browser.client.post("/account/sso/", {"do": "begin", "for": slug, "password": PASSWORD})
    assert "Is this you?" in browser.through(provider, slug, "?link=1").text
    assert browser.client.post("/account/sso/", {"do": "confirm"}).status_code == 302


def made_by(provider: Provider, slug: str = "acme") -> User:
    """Let somebody sign in for the first time; return their account."""
    browser = Browser(client=Client())
    assert browser.through(provider, slug).status_code == 302
    assert browser.user
    return browser.user


__all__ = ["ADA", "PASSWORD", "Browser", "Tenant", "by_password", "linked", "made_by", "set_up"]

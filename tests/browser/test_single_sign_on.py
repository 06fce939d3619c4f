"""Single sign-on in a browser, from the settings to the first page of somebody new, with another site in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider, oidc_provider
from tests.product import PASSWORD, Product, product

pytestmark = pytest.mark.browser
ADA: Final = {"email": "ada@acme.test", "email_verified": True, "name": "Ada Byron", "preferred_username": "ada"}
VIEWS: Final[list[tuple[Any, int]]] = [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)]


@dataclass(frozen=True, kw_only=True)
class World:
    """A product that may reach a provider on this machine, and a browser."""

    found: Product
    provider: Provider
    browser: Browser


@pytest.fixture(scope="module")
def world(browser: Browser) -> Iterator[World]:
    with oidc_provider() as provider:
        provider.people["sub-ada"] = dict(ADA)
        with product(EGRESS_ALLOW=provider.address.removeprefix("http://")) as found:
            found.up()
            yield World(found=found, provider=provider, browser=browser)


def looked_at(page: Page) -> list[str]:
    """Return what axe finds on the page as it stands, in every theme and width."""
    findings = []
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        findings += axe_findings(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.set_viewport_size({"width": 1440, "height": 900})
    return findings


def test_from_the_settings_to_the_first_page_of_somebody_new(world: World) -> None:
    address, provider = world.found.address, world.provider
    with opened(world.browser, quiet=False, reduced_motion="reduce") as page:
        sign_in(page, address, PASSWORD)
        page.goto(f"{address}/w/demo/settings/sso/")
        assert looked_at(page) == []
        page.get_by_label("Issuer").fill("http://login.example.com")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("It must begin with https://").first.wait_for()
        assert looked_at(page) == []
        page.get_by_label("Issuer").fill(provider.address)
        page.get_by_label("Client ID").fill(CLIENT_ID)
        page.get_by_label("Client secret").fill(CLIENT_SECRET)
        page.get_by_label("E-mail domains").fill("acme.test")
        page.get_by_label("New people").select_option("viewer")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved: the provider answers.").wait_for()
        assert looked_at(page) == []
    with opened(world.browser, java_script_enabled=False) as page:
        _comes_in(world, page)
        page.goto(f"{address}/account/")
        assert "by the single sign-on of" in page.inner_text("body")
    with opened(world.browser, quiet=False, reduced_motion="reduce") as page:
        _comes_in(world, page, look=True)
        page.goto(f"{address}/account/")
        assert looked_at(page) == []


def _comes_in(world: World, page: Page, *, look: bool = False) -> None:
    """Type an address on the sign-in page, go to the provider and come back as who one is there."""
    page.goto(f"{world.found.address}/sign-in/?next=/w/demo/runs/")
    page.get_by_label("User name").fill("ada@acme.test")
    page.get_by_role("button", name="Single sign-on").click()
    page.wait_for_url(f"{world.found.address}/sso/demo/**")
    assert not look or looked_at(page) == []
    page.get_by_role("link", name="Go on to 127.0.0.1").click()
    page.wait_for_url(f"{world.provider.address}/authorize**")
    page.get_by_role("link", name="I am Ada").click()
    page.wait_for_url(f"{world.found.address}/w/demo/runs/")


def test_an_account_with_a_password_is_linked(world: World) -> None:
    address = world.found.address
    world.found.manage("user", "create", "noor", "--password-stdin", input=PASSWORD)
    world.found.manage("member", "add", "--tenant", "demo", "--user", "noor", "--role", "editor")
    world.provider.subject = "sub-noor"
    world.provider.people["sub-noor"] = {**ADA, "email": "noor@acme.test"}
    with opened(world.browser, quiet=False, reduced_motion="reduce") as page:
        sign_in(page, address, PASSWORD, name="noor")
        page.goto(f"{address}/sso/demo/")
        page.get_by_role("link", name="Go on to 127.0.0.1").click()
        page.get_by_role("link", name="I am Ada").click()
        page.get_by_text("is not linked with noor@acme.test yet").wait_for()
        assert looked_at(page) == []
        page.get_by_role("link", name="Link your account").click()
        assert looked_at(page) == []
        page.locator("#sso-password").fill(PASSWORD)
        page.get_by_role("button", name="Link my account").click()
        assert looked_at(page) == []
        page.get_by_role("link", name="Go on to 127.0.0.1").click()
        page.get_by_role("link", name="I am Ada").click()
        page.get_by_role("heading", name="Is this you?").wait_for()
        assert looked_at(page) == []
        page.get_by_role("button", name="Yes, link it").click()
        page.get_by_text("Your account is linked").wait_for()
        page.get_by_text("Unlink", exact=True).click()
        assert looked_at(page) == []
        page.goto(f"{address}/sso/nothing/")
        assert looked_at(page) == []
        page.goto(f"{address}/sso/")
        assert looked_at(page) == []

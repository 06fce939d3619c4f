"""A person connects a credential at a real provider, uses it until its tokens end and beyond, and connects it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.oauth_server import CLIENT, PERSON, Provider, oauth_server
from tests.product import PASSWORD, Product, product, step, wait_for, workflow

pytestmark = pytest.mark.browser

VIEWS = [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)]


@dataclass(frozen=True, kw_only=True)
class World:
    found: Product
    provider: Provider
    made: str


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with product() as found, oauth_server(f"{found.address}/oauth/callback/own/") as provider:
        found.environment["EGRESS_ALLOW"] = provider.host
        found.up()
        call = step("me", "http.request", {"url": f"{provider.address}/me"}, retry={"max_attempts": 1})
        made = found.publish(workflow("Who am I", [{**call, "credential": None}]))
        yield World(found=found, provider=provider, made=made)


def ask(world: World) -> Any:
    """Run the workflow that asks the provider who one is; return the run."""
    run = world.found.api("POST", f"workflows/{world.made}/runs/?wait=20", json={"payload": {}})
    return wait_for(
        lambda: (found := world.found.api("GET", f"runs/{run['id']}/"))["finished_at"] and found,
        seconds=30,
        what="the run to end",
    )


def _stopped(world: World) -> bool:
    stopped = ask(world)
    assert (stopped["status"], stopped["error"]["kind"]) == ("failed", "auth")
    return True


def _health(found: Product, name: str) -> str:
    rows = found.api("GET", "credentials/")["results"]
    return next(str(row["health"]) for row in rows if row["name"] == name)


def agree(page: Page, *, signed_in: bool) -> None:
    """Do at the provider what a person does there."""
    if not signed_in:
        page.get_by_label("User").fill(PERSON[0])
        page.get_by_label("Password").fill(PERSON[1])
        page.get_by_role("button", name="Sign in at the provider").click()
    page.get_by_role("button", name="Authorize").click()


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
def test_from_the_form_to_a_sign_in_that_ended_and_back(browser: Browser, world: World, script: bool) -> None:
    found, provider = world.found, world.provider
    name = f"who-{script}".lower()
    with opened(browser, quiet=False, java_script_enabled=script) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/credentials/new/?provider=http&auth_type=oauth2")
        expect(page.get_by_label("Redirect URL")).to_have_value(f"{found.address}/oauth/callback/own/")
        page.get_by_label("Client id").fill(CLIENT["client_id"])
        page.get_by_label("Client secret", exact=True).fill(CLIENT["client_secret"])
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_label("Authorize URL").fill(f"{provider.address}/o/authorize/")
        page.get_by_label("Token URL").fill(f"{provider.address}/o/token/")
        page.get_by_label("Scopes").fill("read")
        page.get_by_role("button", name="Save and connect").click()
        agree(page, signed_in=False)
        page.wait_for_url(f"{found.address}/w/demo/credentials/*/")
        drawer = page.get_by_role("complementary", name=name)
        expect(drawer).to_contain_text("Working")
        expect(drawer).to_contain_text("Connected by admin")

        steps = found.api("GET", f"workflows/{world.made}/")["steps"]
        found.api("PATCH", f"workflows/{world.made}/", json={"steps": [{**steps[0], "credential": name}]})
        found.api("POST", f"workflows/{world.made}/publish/", json={})
        assert ask(world)["status"] == "succeeded"
        before = provider.asked()["refresh_token 200"]
        provider.control("end")
        runs = [found.api("POST", f"workflows/{world.made}/runs/", json={"payload": {}})["id"] for _ in range(10)]
        for run in runs:
            wait_for(
                lambda run=run: found.api("GET", f"runs/{run}/")["status"] == "succeeded",
                seconds=30,
                what=lambda run=run: str(found.api("GET", f"runs/{run}/")),
            )
        assert provider.asked()["refresh_token 200"] == before + 1, "ten at once renew it once"

        provider.control("take_back")
        # A secret that is refused just after it was renewed for that is not renewed again at once.
        wait_for(lambda: _health(found, name) == "reconnect" or not _stopped(world), seconds=30, what="to be told")
        page.reload()
        expect(drawer).to_contain_text("Reconnect")
        expect(drawer).to_contain_text("ended the sign-in: connect it again")
        if script:
            for scheme, width in VIEWS:
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.set_viewport_size({"width": width, "height": 900})
                assert axe_findings(page) == [], (scheme, width)
        if script:
            # From the step that uses it, in a window of its own, which is gone once the step shows what came of it.
            page.goto(f"{found.address}/w/demo/workflows/{world.made}/steps/me/")
            # Another page of the same browser, which began a sign-in and left it, stays where it is.
            other = page.context.new_page()
            other.goto(f"{found.address}/w/demo/workflows/{world.made}/steps/me/")
            with other.expect_popup() as left:
                other.get_by_role("button", name="Connect again").click()
            left.value.close()
            other.evaluate("window.stays = true")
            with page.expect_popup() as opening:
                page.get_by_role("button", name="Connect again").click()
            agree(opening.value, signed_in=True)
            if not opening.value.is_closed():
                opening.value.wait_for_event("close", timeout=10_000)
            page.wait_for_url("**/steps/me/#field-credential")
            assert other.evaluate("window.stays")
            other.close()
            expect(page.get_by_role("button", name="Connect again")).to_have_count(0)
            expect(page.locator("#field-credential")).to_have_value(name)
        else:
            drawer.get_by_role("button", name="Connect again").click()
            agree(page, signed_in=True)
            page.wait_for_url(f"{found.address}/w/demo/credentials/*/")
            expect(drawer).to_contain_text("Working")
        expect(page.get_by_text(f"Saved “{name}”").first).to_be_visible()
        assert ask(world)["status"] == "succeeded"


def test_the_form_is_looked_at(browser: Browser, world: World) -> None:
    with opened(browser, quiet=False) as page:
        sign_in(page, world.found.address, PASSWORD)
        page.goto(f"{world.found.address}/w/demo/credentials/new/?provider=http&auth_type=oauth2")
        for scheme, width in VIEWS:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            assert axe_findings(page) == [], (scheme, width)
        page.set_viewport_size({"width": 320, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        page.get_by_role("button", name="Save and connect").click()
        expect(
            page.get_by_text("Enter a token: there is nothing here that could sign in for one.").first
        ).to_be_visible()

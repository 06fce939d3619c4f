"""A credential in a browser: tested before it is saved, made from a step, replaced, and all of it without a script."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, product, step, wait_for, workflow
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.browser
WORKS: Final = {"ok": True, "team": "Acme", "user": "bot", "user_id": "U1", "team_id": "T1", "url": "https://x"}
REFUSED: Final = {"ok": False, "error": "invalid_auth"}
VAULT: Final = "/w/demo/credentials/"
NEW: Final = f"{VAULT}new/?provider=slack&auth_type=bearer_token"


@dataclass(frozen=True, kw_only=True)
class World:
    """A product whose Slack is ours, and a browser that is signed in to it."""

    found: Product
    slack: Upstream
    page: Page

    def plain(self) -> Page:
        """Return a page without a script, signed in."""
        browser = self.page.context.browser
        assert browser is not None
        cookies: Any = self.page.context.cookies()
        context = browser.new_context(java_script_enabled=False)
        context.add_cookies(cookies)
        return context.new_page()


@pytest.fixture(scope="module")
def world(browser: Browser) -> Iterator[World]:
    with upstream() as slack:
        roots = json.dumps({"slack": slack.address})
        host = slack.address.removeprefix("http://")
        with product(EGRESS_ALLOW=host, INTEGRATIONS_BASE_URLS=roots) as found:
            slack.answers["/auth.test"] = WORKS
            found.up()
            with opened(browser, quiet=False, reduced_motion="reduce") as page:
                sign_in(page, found.address, PASSWORD)
                yield World(found=found, slack=slack, page=page)


def looked_at(page: Page) -> list[str]:
    """Return what axe finds on the page as it stands, in every theme and width."""
    found = []
    for scheme, width in (("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        found += axe_findings(page)
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.set_viewport_size({"width": 1440, "height": 900})
    return found


def test_a_test_keeps_what_was_typed_and_names_the_account(world: World) -> None:
    page = world.page
    page.goto(world.found.address + NEW)
    page.locator("#f-secret-token").fill("xoxb-typed-once")
    for answer, words in ((REFUSED, "Slack refuses it."), (WORKS, "It works.")):
        world.slack.answers["/auth.test"] = answer
        page.get_by_role("button", name="Test", exact=True).click()
        page.get_by_text(words).wait_for()
        assert looked_at(page) == []
        assert page.locator("#f-secret-token").input_value() == "xoxb-typed-once"
    assert page.get_by_label("Name", exact=True).input_value() == "bot in Acme"
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Saved “bot in Acme”. It works.").wait_for()
    assert "xoxb-typed-once" not in page.content()
    assert looked_at(page) == []


def test_one_made_from_a_step_is_chosen_when_one_is_back(world: World) -> None:
    page = world.page
    tell = step("tell", "slack.sendMessage", {"channel": "#a", "text": "b"})
    made = world.found.api("POST", "workflows/", json=workflow("Tells", [tell]))["id"]
    page.goto(f"{world.found.address}/w/demo/workflows/{made}/steps/tell/")
    page.get_by_role("link", name="New", exact=True).click()
    page.get_by_role("link", name="Bot token").click()
    page.locator("#f-secret-token").fill("xoxb-2")
    page.get_by_label("Name", exact=True).fill("from a step")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url(f"**/workflows/{made}/steps/tell/#field-credential")
    assert page.locator("#field-credential").input_value() == "from a step"
    assert page.locator("#step-form .st.ok").inner_text() == "Working"
    assert looked_at(page) == []


def test_a_key_that_is_gone_is_told_in_words(world: World) -> None:
    spare = {"name": "unread", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-6"}}
    made = world.found.api("POST", "credentials/", json=spare)["id"]
    database = next(world.found.folder.glob("*.sqlite3"))
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        connection.execute("UPDATE vault_credential SET key_id = 'f00f00f00f00f00f' WHERE id = ?", (int(made),))
    for path in ("", f"{made}/"):
        world.page.goto(f"{world.found.address}{VAULT}{path}")
        world.page.get_by_text("Secrets cannot be read right now. Runs wait, nothing is lost.").first.wait_for()
        assert looked_at(world.page) == []
    world.found.api("DELETE", f"credentials/{made}/")


def test_a_warning_stays_one_while_a_field_beside_it_is_wrong(world: World) -> None:
    page, found = world.page, world.found
    world.slack.answers["/auth.test"] = WORKS
    ends = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    soon = {"name": "soon", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-soon"}}
    made = found.api("POST", "credentials/", json={**soon, "expires_at": ends})["id"]
    wait_for(lambda: found.api("GET", f"credentials/{made}/")["health"] == "expiring", seconds=30, what="a check")
    told = {**step("tell", "slack.sendMessage", {"channel": "#a", "text": "b"}), "credential": "soon"}
    flow = found.api("POST", "workflows/", json=workflow("Ends soon", [told]))["id"]
    page.goto(f"{found.address}/w/demo/workflows/{flow}/steps/tell/")
    warning, credential = page.locator("[data-error=credential]"), page.locator("#field-credential")
    for channel, is_wrong in (("", True), ("#b", False)):
        page.get_by_role("textbox", name="Channel").fill(channel)
        page.get_by_role("textbox", name="Channel").blur()
        expect(page.locator("[data-error=channel]")).to_be_visible(visible=is_wrong)
        expect(page.locator("[data-error=channel]")).not_to_have_class(re.compile("mild"))
        expect(warning).to_have_class(re.compile("mild"))
        expect(credential).not_to_have_attribute("aria-invalid", "true")
    found.api("DELETE", f"workflows/{flow}/")
    found.api("DELETE", f"credentials/{made}/")


def test_without_a_script_it_is_tested_saved_replaced_and_deleted(world: World) -> None:
    page = world.plain()
    address = world.found.address
    page.goto(address + NEW)
    page.locator("#f-secret-token").fill("xoxb-3")
    page.get_by_role("button", name="Test", exact=True).click()
    assert "It works." in page.locator("#tried").inner_text()
    assert page.get_by_label("Name", exact=True).input_value().startswith("bot in Acme")
    assert page.locator("#f-secret-token").input_value() == ""
    page.locator("#f-secret-token").fill("xoxb-3")
    page.get_by_label("Name", exact=True).fill("plain")
    page.get_by_role("button", name="Save", exact=True).click()
    assert "Saved “plain”. It works." in page.inner_text("body")
    spare = {"name": "spare", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-4"}}
    world.found.api("POST", "credentials/", json=spare)
    tell = {**step("tell", "slack.sendMessage", {"channel": "#a", "text": "b"}), "credential": "plain"}
    made = world.found.api("POST", "workflows/", json=workflow("Plain", [tell]))["id"]
    page.reload()
    page.get_by_role("link", name="Delete…").click()
    assert "Plain" in page.inner_text("aside")
    page.get_by_label("Let them use another one first").select_option(label="spare")
    page.get_by_role("button", name="Replace in 1 workflow").click()
    assert "Replaced by “spare” in 1 workflow." in page.inner_text("body")
    assert world.found.api("GET", f"workflows/{made}/")["steps"][0]["credential"] == "spare"
    page.get_by_role("button", name="Delete plain").click()
    assert "Deleted “plain”." in page.inner_text("body")
    page.context.close()


def test_what_is_saved_by_the_api_is_checked_by_a_worker(world: World) -> None:
    world.slack.answers["/auth.test"] = REFUSED
    late = {"name": "late", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-5"}}
    made = world.found.api("POST", "credentials/", json=late)["id"]

    def health() -> str:
        return str(world.found.api("GET", f"credentials/{made}/")["health"])

    assert health() == "not_checked"
    wait_for(lambda: health() == "reconnect", seconds=60, what="a worker to check it", every=0.5)
    world.page.goto(f"{world.found.address}{VAULT}{made}/")
    assert "Refused by its provider" in world.page.inner_text("aside")
    assert looked_at(world.page) == []

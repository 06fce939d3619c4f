"""Choosing what a field is from a list that the provider gives: by pointer, by keyboard, and without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, product, step, workflow
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.browser
HOSTILE: Final = "\"><script>document.title='owned'</script>\u202e" + "x" * 400
LISTED: Final = "/conversations.list"


def channel(number: str, name: str, *, private: bool = False) -> dict[str, Any]:
    return {"id": number, "name": name, "is_private": private}


FIRST: Final = {
    "ok": True,
    "channels": [channel("C1", "general"), channel("C2", "sales", private=True), channel("C3", HOSTILE)],
    "response_metadata": {"next_cursor": "more"},
}
REFUSED: Final = {"ok": False, "error": "missing_scope", "needed": "channels:read", "token": "xoxb-canary"}


@dataclass(frozen=True, kw_only=True)
class World:
    """A product whose Slack is ours, and a browser that is signed in to it."""

    found: Product
    slack: Upstream
    page: Page

    def step(self, name: str, channel: str = "#a") -> str:
        """Return the address of a new workflow's step that tells a channel something."""
        tell = {**step("tell", "slack.sendMessage", {"channel": channel, "text": "b"}), "credential": "bot"}
        made = self.found.api("POST", "workflows/", json=workflow(name, [tell]))["id"]
        return f"{self.found.address}/w/demo/workflows/{made}/steps/tell/"

    def stored(self, address: str) -> Any:
        made = address.split("/")[-4]
        return self.found.api("GET", f"workflows/{made}/")["steps"][0]["config"]["inputs"]["channel"]


@pytest.fixture(scope="module")
def running(browser: Browser) -> Iterator[World]:
    with upstream() as slack:
        roots = json.dumps({"slack": slack.address})
        host = slack.address.removeprefix("http://")
        with product(EGRESS_ALLOW=host, INTEGRATIONS_BASE_URLS=roots) as found:
            slack.answers["/auth.test"] = {"ok": True, "team": "Acme", "user": "bot"}
            found.up()
            secret = {"token": "xoxb-canary"}
            bot = {"name": "bot", "provider": "slack", "auth_type": "bearer_token", "secret": secret}
            found.api("POST", "credentials/", json=bot)
            with opened(browser, quiet=False, reduced_motion="reduce") as page:
                sign_in(page, found.address, PASSWORD)
                yield World(found=found, slack=slack, page=page)


@pytest.fixture
def world(running: World) -> World:
    running.slack.answers[LISTED] = FIRST
    running.page.set_viewport_size({"width": 1440, "height": 900})
    return running


@pytest.fixture
def fresh(world: World) -> World:
    """The world with another secret, so that nothing that was listed before is known."""
    number = len(world.slack.calls)
    credential = next(each for each in world.found.api("GET", "credentials/")["results"] if each["name"] == "bot")
    changed = {"secret": {"token": f"xoxb-canary-{number}"}}
    world.found.api("PATCH", f"credentials/{credential['id']}/", json=changed)
    return world


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


def field(page: Page) -> Locator:
    return page.locator('[data-field="channel"]')


def test_a_press_puts_the_choice_in_place_of_what_stood_there(fresh: World) -> None:
    page, address = fresh.page, fresh.step("Pointer", "#old {{ run.id }}")
    page.goto(address)
    field(page).get_by_role("link", name="Choose").click()
    expect(field(page).get_by_role("status")).to_have_text("3 choices, and there are more")
    assert page.title().startswith("Pointer")
    assert looked_at(page) == []
    field(page).get_by_role("button", name="#sales").click()
    assert page.locator('[name="in.channel"]').input_value() == "C2"
    expect(field(page).locator(".optl")).to_have_count(0)
    expect(page.locator("#saved")).to_have_text("Saved")
    expect(page.locator('[data-reads="channel"]')).to_have_text("Reads as #sales")
    assert fresh.stored(address) == "C2"
    page.reload()
    expect(page.locator('[data-reads="channel"]')).to_have_text("Reads as #sales")
    # It is text as any other: typed over, and with data in it.
    page.get_by_role("textbox", name="Channel").fill("#typed")
    expect(page.locator('[data-reads="channel"]')).to_be_hidden()
    expect(page.locator("#saved")).to_have_text("Saved")
    assert fresh.stored(address) == "#typed"


def test_the_keyboard_searches_pages_chooses_and_closes(fresh: World) -> None:
    page, address = fresh.page, fresh.step("Keyboard")
    page.goto(address)
    revision = page.locator('[name="revision"]').input_value()
    field(page).get_by_role("link", name="Choose").focus()
    page.keyboard.press("Enter")
    search = page.get_by_role("searchbox", name="Search the choices of Channel")
    expect(search).to_be_focused()
    page.keyboard.type("SALES")
    expect(field(page).get_by_role("status")).to_have_text("1 choice, and there are more")
    # Enter in the search neither leaves the page nor saves the step.
    page.keyboard.press("Enter")
    expect(search).to_be_focused()
    assert page.locator('[name="revision"]').input_value() == revision
    page.keyboard.press("Tab")
    expect(field(page).get_by_role("button", name="Close")).to_be_focused()
    fresh.slack.answers[LISTED] = {"ok": True, "channels": [channel("C7", "sales-eu")]}
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(field(page).get_by_role("link", name="Next page")).to_be_focused()
    page.keyboard.press("Enter")
    choice = field(page).get_by_role("button", name="#sales-eu")
    expect(choice).to_be_focused()
    assert looked_at(page) == []
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Channel")).to_be_focused()
    expect(page.locator("#saved")).to_have_text("Saved")
    assert fresh.stored(address) == "C7"
    field(page).get_by_role("link", name="Choose").press("Enter")
    expect(search).to_be_focused()
    field(page).get_by_role("button", name="Close").press("Enter")
    expect(page.get_by_role("textbox", name="Channel")).to_be_focused()
    expect(field(page).locator(".optl")).to_have_count(0)
    assert page.locator('[name="in.channel"]').input_value() == "C7"


def test_a_refusal_is_said_in_place_without_the_secret(fresh: World) -> None:
    page, address = fresh.page, fresh.step("Refused")
    fresh.slack.answers[LISTED] = REFUSED
    page.goto(address)
    field(page).get_by_role("link", name="Choose").click()
    told = field(page).get_by_role("alert")
    expect(told).to_contain_text("Slack refused the call: missing_scope (needs channels:read).")
    expect(told).to_contain_text("Trying again alone does not help. Add the scope to the Slack app")
    assert "xoxb-canary" not in page.content()
    assert looked_at(page) == []
    fresh.slack.answers[LISTED] = {"ok": False, "error": "service_unavailable"}
    field(page).get_by_role("link", name="Choose").click()
    field(page).get_by_role("link", name="Try again").wait_for()
    fresh.slack.answers[LISTED] = FIRST
    field(page).get_by_role("link", name="Try again").click()
    field(page).get_by_role("button", name="#general").wait_for()


def test_without_a_script_it_is_a_page_of_its_own(fresh: World) -> None:
    browser, address = fresh.page.context.browser, fresh.step("Plain")
    assert browser is not None
    cookies: Any = fresh.page.context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(address)
    field(page).get_by_role("link", name="Choose").click()
    expect(page.locator("h1")).to_have_text("Choose: Channel")
    page.get_by_role("searchbox").fill("sales")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("listitem").filter(has_text="#")).to_have_count(1)
    fresh.slack.answers[LISTED] = {"ok": True, "channels": [channel("C7", "sales-eu")]}
    page.get_by_role("link", name="Next page").click()
    page.get_by_role("link", name="First page").click()
    page.get_by_role("link", name="Next page").click()
    page.get_by_role("button", name="#sales-eu").click()
    expect(page).to_have_url(f"{address}#field-channel")
    assert page.locator("#field-channel").input_value() == "C7"
    assert fresh.stored(address) == "C7"
    context.close()


def test_the_page_of_its_own_is_looked_at_too(fresh: World) -> None:
    page, address = fresh.page, fresh.step("Whole")
    for answer in (FIRST, REFUSED):
        fresh.slack.answers[LISTED] = answer
        page.goto(f"{address}options/channel/?q={'' if answer is FIRST else 'x'}")
        assert looked_at(page) == []
        assert page.title().startswith("Choose: Channel")

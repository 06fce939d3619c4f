"""The three journeys that the product is measured by: a first run, build and publish, find and mend a failure.

Each with a pointer, counted in clicks, and with the keyboard alone; A and B without a script too. Typing is not counted
in clicks, as in the figures of others; times are of the machine that the test runs on, with no pause between actions.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import opened, sign_in
from tests.product import PASSWORD, Product, product, step, wait_for, workflow
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.browser

COMPANY: Final = {"name": "Northwind", "employees": 812}
MAX_TABS: Final = 120


@pytest.fixture(scope="module")
def called() -> Iterator[Upstream]:
    with upstream() as found:
        found.answers["/companies/northwind"] = COMPANY
        yield found


@pytest.fixture(scope="module")
def found(called: Upstream) -> Iterator[Product]:
    with product(EGRESS_ALLOW=called.address.removeprefix("http://")) as made:
        made.up()
        yield made


@dataclass
class Hands:
    """Somebody who uses a page: with a pointer, or with the keyboard alone. Counts clicks, or presses of Enter."""

    page: Page
    pointer: bool
    clicks: int = 0

    def press(self, target: Locator) -> None:
        self.clicks += 1
        if self.pointer:
            target.click()
            return
        self._reach(target)
        self.page.keyboard.press("Enter")

    def fill(self, target: Locator, text: str) -> None:
        """Type into a field, which takes a click unless the page has put the focus there when it is ready."""
        expect(target).to_be_visible()
        self.page.wait_for_load_state("load")
        if not _has_focus(target):
            if self.pointer:
                self.clicks += 1
                target.click()
            else:
                self._reach(target)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def _reach(self, target: Locator) -> None:
        """Go to an element by Tab, as nobody can who has no pointer and no script to help."""
        expect(target).to_be_visible()
        for _ in range(MAX_TABS):
            if _has_focus(target):
                return
            self.page.keyboard.press("Tab")
        pytest.fail(f"{target} is not reached by the keyboard")


def _has_focus(target: Locator) -> bool:
    return bool(target.evaluate("element => element === document.activeElement"))


def hands(page: Page, found: Product, *, pointer: bool) -> Hands:
    sign_in(page, found.address, PASSWORD)
    page.goto(f"{found.address}/w/demo/")
    return Hands(page, pointer)


WAYS = pytest.mark.parametrize(
    ("pointer", "script"),
    [(True, True), (False, True), (True, False)],
    ids=["pointer", "keyboard alone", "without a script"],
)


@WAYS
def test_a_the_first_successful_run(browser: Browser, found: Product, pointer: bool, script: bool) -> None:
    with opened(browser, java_script_enabled=script) as page:
        who = hands(page, found, pointer=pointer)
        began = time.monotonic()
        who.press(page.get_by_role("button", name="When a request arrives"))
        who.press(page.get_by_role("button", name="Send a sample"))
        expect(page.locator("#received")).to_contain_text("Succeeded")
        assert who.clicks <= 2
        assert time.monotonic() - began <= 10


@WAYS
def test_b_a_workflow_is_built_tested_and_published(
    browser: Browser, found: Product, called: Upstream, pointer: bool, script: bool
) -> None:
    with opened(browser, java_script_enabled=script) as page:
        who = hands(page, found, pointer=pointer)
        began = time.monotonic()
        who.press(page.get_by_role("button", name="When a request arrives"))
        who.press(page.get_by_role("button", name="Send a sample"))
        expect(page.locator("#received")).to_contain_text("Succeeded")
        who.press(page.get_by_role("button", name="Call an API"))
        who.fill(page.get_by_label("URL"), f"{called.address}/companies/northwind")
        who.press(page.get_by_role("button", name="Test step"))
        result = page.get_by_role("region", name="Last test of this step")
        expect(result).to_contain_text("Test passed")
        expect(result).to_contain_text("Northwind")

        _add_values(who, script=script)
        who.press(page.get_by_role("button", name="Test step"))
        expect(result).to_contain_text("Test passed")
        expect(result).to_contain_text("Northwind")
        if pointer and script:
            assert who.clicks <= 8
        assert time.monotonic() - began <= 45

        who.press(page.get_by_role("link", name=re.compile("^Publish")))
        who.press(page.get_by_role("button", name=re.compile("^Publish")))
        expect(page.get_by_text("Version 1 is live.")).to_be_visible()
        if pointer and script:
            assert who.clicks <= 12
        assert time.monotonic() - began <= 60


def _add_values(who: Hands, *, script: bool) -> None:
    """Add the second step behind the first, and set one value from what that gave."""
    page = who.page
    who.press(page.get_by_role("link", name="Insert a step after 2"))
    who.fill(page.get_by_label("Search actions"), "set values")
    if script:
        expect(page.locator("button.op:visible", has_text="Set values").first).to_be_visible()
        page.keyboard.press("Enter")
    else:
        who.press(page.get_by_role("button", name="Search", exact=True))
        who.press(page.locator("button.op:visible", has_text="Set values").first)
    page.wait_for_url("**/steps/*/**")
    who.fill(page.get_by_label("Values, name 1"), "company")
    if not script:
        who.fill(page.get_by_label("Values, value 1"), "{{ steps.request.output.body.name }}")
        return
    page.keyboard.press("Tab")
    leaf = page.locator("button[data-insert='{{ steps.request.output.body.name }}']")
    if who.pointer:
        page.get_by_text("body", exact=True).last.click()
        who.clicks += 1
    else:
        page.keyboard.type("{{ steps.request.output.body.name }}")
        return
    who.press(leaf)


@WAYS
def test_c_a_failure_is_found_in_the_list_mended_and_run_again(
    browser: Browser, found: Product, called: Upstream, pointer: bool, script: bool
) -> None:
    made = _failing(found, called)
    with opened(browser, java_script_enabled=script) as page:
        who = hands(page, found, pointer=pointer)
        page.goto(f"{found.address}/w/demo/runs/?workflow={made}")
        row = page.locator("table tbody tr").first
        expect(row).to_contain_text("Stopped at")
        expect(row).to_contain_text("503")
        who.press(row.get_by_role("link").first)
        expect(page.locator("#run-head")).to_contain_text("Stopped at")
        who.press(page.get_by_role("link", name="Fix in builder"))
        field = page.get_by_label("URL")
        expect(field).to_be_visible()
        who.fill(field, f"{called.address}/companies/northwind")
        who.press(page.get_by_role("button", name="Run again from here"))
        page.wait_for_url("**/runs/**")
        _until_it_succeeded(page, script=script)
        assert who.clicks <= 4


def _failing(found: Product, called: Upstream) -> str:
    """Publish a workflow whose second step asks for what is not there, and run it once."""
    away = f"{called.address}/companies/gone?away=1000"
    steps = [
        step("first", "data.set", {"values": {"a": 1}}),
        step("ask", "http.request", {"url": away}, retry={"max_attempts": 1}),
    ]
    made = found.publish(workflow("Failing", steps))
    run = found.api("POST", f"workflows/{made}/runs/", json={"payload": {}})["id"]
    wait_for(lambda: found.api("GET", f"runs/{run}/")["finished_at"], seconds=30, what="the run to end")
    return made


def _until_it_succeeded(page: Page, *, script: bool) -> None:
    if not script:
        for _ in range(40):
            if page.locator("#run-head", has_text="Succeeded").count():
                break
            page.wait_for_timeout(250)
            page.reload()
    expect(page.locator("#run-head")).to_contain_text("Succeeded")

"""Cards are dragged to places and left out by a key; what a drag does has a page of its own for who cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, workflow

pytestmark = pytest.mark.browser


def keys(found: Product, number: str) -> list[Any]:
    """Return the draft's keys, those in a lane as a list behind the step that holds them."""
    names: list[Any] = []
    for each in found.api("GET", f"workflows/{number}/")["steps"]:
        names.append(each["key"])
        names += [[inner["key"] for inner in lane] for lane in (each.get("lanes") or {}).values() if lane]
    return names


@pytest.fixture
def number(found: Product) -> str:
    steps = [
        step("one", "data.set", {"values": {"a": 1}}),
        {**step("check", "flow.if", {"condition": "{{ true }}"}), "lanes": {"then": [], "else": []}},
        step("two", "data.set", {"values": {"a": 1}}),
    ]
    return str(found.api("POST", "workflows/", json=workflow("arranged", steps))["id"])


@pytest.fixture
def page(browser: Browser, found: Product, number: str) -> Iterator[Page]:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/one/")
        yield page


def test_a_card_is_dragged_to_a_place_and_into_a_lane(page: Page, found: Product, number: str) -> None:
    page.drag_and_drop("[data-card=two]", "[data-place=first]")
    page.wait_for_url("**/steps/two/")
    assert keys(found, number) == ["two", "one", "check"]
    page.drag_and_drop("[data-card=one]", "[data-place='in:check:else']")
    page.wait_for_url("**/steps/one/")
    assert keys(found, number) == ["two", "check", ["one"]]
    page.drag_and_drop("[data-card=one]", "h2")
    assert page.locator(".drags").count() == 0
    assert keys(found, number) == ["two", "check", ["one"]]


def test_the_same_by_the_menu_with_the_keyboard_alone(page: Page, found: Product, number: str) -> None:
    menu = page.get_by_label("More: move, duplicate, remove")
    menu.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Move to…").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/move/")
    assert axe_findings(page) == []
    page.get_by_role("button", name="First in Then of").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/steps/one/")
    assert keys(found, number) == ["check", ["one"], "two"]


def test_a_step_is_left_out_and_taken_in_by_a_key(page: Page, found: Product, number: str) -> None:
    page.keyboard.press("x")
    expect(page.get_by_text("This step is left out of runs.")).to_be_visible()
    expect(page.locator(".stp.off")).to_have_count(1)
    assert axe_findings(page) == []
    assert found.api("GET", f"workflows/{number}/")["steps"][0]["config"]["skip"] is True
    page.keyboard.press("x")
    expect(page.locator(".stp.off")).to_have_count(0)

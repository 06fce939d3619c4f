"""Keys: what works is told by `?`, single keys leave fields alone and can be turned off."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, workflow

pytestmark = pytest.mark.browser

STEPS = [step(key, "data.set", {"values": {"n": 1}}) for key in ("first", "second", "third")]


@pytest.fixture
def page(browser: Browser, found: Product) -> Iterator[Page]:
    number = found.api("POST", "workflows/", json=workflow("Keys", STEPS))["id"]
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/second/")
        yield page


def key_of(page: Page) -> str:
    """Return the key of the step that is open."""
    return page.url.rstrip("/").rpartition("/")[2]


def keys_of(page: Page) -> list[str]:
    """Return the keys of the outline's steps, in their order."""
    return page.locator("[data-title]").evaluate_all("titles => titles.map((title) => title.dataset.title)")


def press(page: Page, key: str) -> None:
    """Press a key that leads to another page, and wait for that."""
    with page.expect_navigation():
        page.keyboard.press(key)


def test_steps_are_walked_moved_copied_and_removed_by_key(page: Page) -> None:
    press(page, "j")
    assert key_of(page) == "third"
    press(page, "k")
    assert key_of(page) == "second"
    press(page, "Alt+ArrowUp")
    assert keys_of(page) == ["second", "first", "third"]
    press(page, "Control+d")
    assert key_of(page) == "second_2"
    assert keys_of(page) == ["second", "second_2", "first", "third"]
    press(page, "Backspace")
    expect(page.get_by_text("The step “second_2” was removed. Undo brings it back.")).to_be_visible()
    press(page, "Control+z")
    assert keys_of(page) == ["second", "second_2", "first", "third"]
    press(page, "Control+Shift+Z")
    assert keys_of(page) == ["second", "first", "third"]


def test_a_step_is_added_tested_and_published_by_key(page: Page) -> None:
    press(page, "a")
    expect(page).to_have_url(re.compile(r"/add/\?after=second$"))
    page.go_back()
    page.get_by_label("Name of the step").focus()
    press(page, "Control+Shift+Enter")
    expect(page.get_by_role("region", name="Last test of this step")).to_contain_text("Test passed")
    page.get_by_label("Name of the step").focus()
    press(page, "Control+Shift+P")
    expect(page).to_have_url(re.compile(r"/publish/$"))


def test_g_and_a_letter_goes_to_a_page(page: Page) -> None:
    page.keyboard.press("g")
    press(page, "r")
    expect(page).to_have_url(re.compile(r"/runs/$"))
    page.keyboard.press("g")
    press(page, "w")
    expect(page).to_have_url(re.compile(r"/workflows/$"))


def test_a_run_is_left_and_run_again_by_key(page: Page, found: Product) -> None:
    number = found.api("POST", "workflows/", json=workflow("Again", STEPS))["id"]
    runs = [found.api("POST", f"workflows/{number}/runs/", json={"version": "draft"})["id"] for _ in range(2)]
    page.goto(f"{found.address}/w/demo/runs/{runs[1]}/")
    press(page, "[")
    expect(page).to_have_url(re.compile(rf"/runs/{runs[0]}/"))
    press(page, "]")
    expect(page).to_have_url(re.compile(rf"/runs/{runs[1]}/"))
    expect(page.locator("#run-again")).to_be_visible()
    press(page, "r")
    assert not any(run in page.url for run in runs)
    page.goto(f"{found.address}/w/demo/runs/")
    page.keyboard.press("/")
    expect(page.get_by_label("Search runs")).to_be_focused()


def test_a_letter_in_a_field_is_a_letter(page: Page) -> None:
    name = page.get_by_label("Name of the step")
    name.press_sequentially("jack? g h")
    expect(name).to_have_value("jack? g h")
    value = page.get_by_label("Values, value 1")
    value.press_sequentially("ajk")
    assert key_of(page) == "second"
    expect(value).to_contain_text("ajk")
    expect(page.locator("#saved")).to_have_text("Saved")


def test_help_lists_the_keys_and_turns_single_ones_off(page: Page) -> None:
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys on this page")
    expect(dialog).to_contain_text("Next step")
    expect(dialog).to_contain_text("Duplicate")
    # As the button shows itself, and not what is hidden in it.
    assert re.search(r"Publish( \d+ changes)?$", dialog.locator("div", has_text="Publish").last.inner_text())
    assert axe_findings(page) == []
    dialog.get_by_role("button", name="Turn single keys off").click()
    expect(dialog).to_be_hidden()
    page.keyboard.press("j")
    page.wait_for_timeout(200)
    assert key_of(page) == "second"
    press(page, "Alt+ArrowUp")
    page.keyboard.press("?")
    dialog.get_by_role("button", name="Turn single keys on").click()
    press(page, "k" if page.locator("[data-key=k]").count() else "j")

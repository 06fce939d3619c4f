"""The search that opens over any page, by key: what it finds, how it is left, and what one presses from anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, workflow

pytestmark = pytest.mark.browser

STEPS = [step("first", "data.set", {"values": {"n": 1}}), step("tell_sales", "data.set", {"values": {"n": 1}})]


@pytest.fixture(scope="module")
def number(found: Product) -> str:
    return str(found.api("POST", "workflows/", json=workflow("Qualify leads", STEPS))["id"])


@pytest.fixture
def page(browser: Browser, found: Product, number: str) -> Iterator[Page]:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/first/")
        yield page


def options(page: Page, **which: Any) -> Locator:
    """Return the rows of the open search; the page under it may have options of its own."""
    return page.get_by_role("dialog", name="Search").get_by_role("option", **which)


def open_search(page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()
    expect(page.get_by_role("combobox", name="Search everything")).to_be_focused()


def test_it_opens_from_a_field_finds_as_one_types_and_goes_there(page: Page, number: str) -> None:
    page.get_by_label("Name of the step").focus()
    open_search(page)
    field = page.get_by_role("combobox", name="Search everything")
    expect(options(page, name="Qualify leads")).to_be_visible()
    field.press_sequentially("qulaify")
    expect(options(page)).to_have_count(1)
    expect(page.locator("[data-count]")).to_have_text("1 result")
    assert field.get_attribute("aria-activedescendant") == options(page).get_attribute("id")
    expect(options(page, selected=True)).to_contain_text("Qualify leads")
    field.fill("tell_sales")
    expect(options(page, selected=True)).to_contain_text("tell_sales")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/workflows/{number}/steps/tell_sales/$"))


def test_arrows_move_through_all_groups_and_round(page: Page) -> None:
    open_search(page)
    page.keyboard.type("qualify")
    rows = options(page)
    expect(rows).to_have_count(1)
    page.get_by_role("combobox", name="Search everything").fill("set")
    expect(rows.nth(2)).to_be_visible()
    expect(rows.first).to_have_attribute("aria-selected", "true")
    count = rows.count()
    assert count > 2
    page.keyboard.press("ArrowUp")
    expect(rows.nth(count - 1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(rows.first).to_have_attribute("aria-selected", "true")
    rows.nth(1).hover()
    expect(rows.nth(1)).to_have_attribute("aria-selected", "true")


def test_it_is_left_by_escape_and_by_its_key_and_gives_the_focus_back(page: Page) -> None:
    name = page.get_by_label("Name of the step")
    dialog = page.get_by_role("dialog", name="Search")
    for leave in ("Escape", "Control+k"):
        name.focus()
        open_search(page)
        page.keyboard.press(leave)
        expect(dialog).to_be_hidden()
        expect(name).to_be_focused()
    # With words in the field too: they are no reason to stay.
    open_search(page)
    page.keyboard.type("qualify")
    page.keyboard.press("Escape")
    if dialog.is_visible():
        page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(name).to_be_focused()


def test_keys_of_the_page_do_not_act_under_an_open_search(page: Page) -> None:
    open_search(page)
    address = page.url
    page.keyboard.type("jk")
    for key in ("Control+Shift+P", "Alt+ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_timeout(200)
    assert page.url == address
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()


def test_nothing_found_is_said(page: Page) -> None:
    open_search(page)
    page.keyboard.type("zzzz <b>")
    expect(page.locator("[data-count]")).to_have_text("0 results")
    expect(page.locator("[data-none]")).to_contain_text("zzzz <b>")
    assert page.get_by_role("combobox", name="Search everything").get_attribute("aria-activedescendant") is None
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()


def test_a_command_makes_a_workflow(page: Page) -> None:
    open_search(page)
    page.keyboard.type("new workflow that")
    expect(options(page)).to_have_count(1)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="When somebody presses Run")).to_be_visible()


def test_a_slash_opens_it_where_the_page_has_no_search_of_its_own(page: Page, found: Product) -> None:
    page.goto(f"{found.address}/w/demo/")
    page.keyboard.press("/")
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()
    for path, label in (("workflows", "Search workflows"), ("runs", "Search runs"), ("integrations", "Search actions")):
        page.goto(f"{found.address}/w/demo/{path}/")
        page.keyboard.press("/")
        expect(page.get_by_label(label)).to_be_focused()


def test_c_makes_a_workflow_from_anywhere(page: Page, found: Product) -> None:
    page.goto(f"{found.address}/w/demo/credentials/")
    with page.expect_navigation():
        page.keyboard.press("c")
    expect(page.get_by_role("heading", name="When a request arrives")).to_be_visible()


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("h", ""),
        ("w", "workflows/"),
        ("r", "runs/"),
        ("c", "credentials/"),
        ("i", "integrations/"),
        ("d", "developers/"),
    ],
)
def test_g_and_a_letter_goes_to_every_page(page: Page, found: Product, key: str, path: str) -> None:
    page.keyboard.press("g")
    with page.expect_navigation():
        page.keyboard.press(key)
    assert page.url == f"{found.address}/w/demo/{path}"


def test_help_tells_of_search_and_of_a_new_workflow(page: Page) -> None:
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys on this page")
    for line in ("Search", "New workflow", "Developers"):
        expect(dialog.locator("dd", has_text=re.compile(f"^{line}$"))).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390, 320])
def test_axe_finds_nothing_in_it_and_nothing_scrolls_sideways(page: Page, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 640})
    # Where there are no keys the entry is pressed.
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()
    assert axe_findings(page) == []
    page.keyboard.type("set")
    expect(options(page).first).to_contain_text("set", ignore_case=True)
    assert axe_findings(page) == []
    box = page.get_by_role("dialog", name="Search").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_bar_of_a_small_telephone_has_targets_that_a_thumb_hits(page: Page, found: Product) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"{found.address}/w/demo/")
    boxes = [link.bounding_box() for link in page.locator(".rail > .nav").all() if link.is_visible()]
    assert len(boxes) == 6
    for box in boxes:
        assert box is not None
        assert min(box["width"], box["height"]) >= 43
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 320
    page.get_by_text("Account:").locator("xpath=..").click()
    expect(page.get_by_role("link", name="Developers", exact=True)).to_be_visible()


def test_without_a_script_the_entry_leads_to_a_page(browser: Browser, found: Product, number: str) -> None:
    with opened(browser, java_script_enabled=False) as page:
        sign_in(page, found.address, PASSWORD)
        page.get_by_role("link", name="Search", exact=True).click()
        expect(page).to_have_url(f"{found.address}/w/demo/search/")
        page.get_by_label("Search everything").fill("qulaify")
        page.get_by_role("button", name="Search", exact=True).click()
        page.get_by_role("link", name="Qualify leads").click()
        expect(page).to_have_url(re.compile(rf"/workflows/{number}/"))

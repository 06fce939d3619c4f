"""Data is inserted where one types: `{{`, or a slash that begins a word, lists it at the field."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, wait_for, workflow

pytestmark = pytest.mark.browser

STEPS = [
    step("first", "data.set", {"values": {"city": "Oslo", "people": 700_000}}),
    step("second", "slack.sendMessage", {"channel": "#a", "text": "Hello"}),
]


@pytest.fixture(scope="module")
def number(found: Product) -> str:
    made = str(found.api("POST", "workflows/", json=workflow("picker", STEPS))["id"])
    run = found.api("POST", f"workflows/{made}/runs/", json={"version": "draft", "payload": {"name": "Ada"}})
    wait_for(lambda: found.api("GET", f"runs/{run['id']}/")["finished_at"], seconds=30, what="the run to end")
    return made


@pytest.fixture
def page(browser: Browser, found: Product, number: str) -> Iterator[Page]:
    # axe writes styles of its own, which the policy refuses.
    with opened(browser, quiet=False, reduced_motion="reduce") as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/second/")
        yield page


def message(page: Page) -> Locator:
    return page.locator("#field-text")


def stored(page: Page) -> str:
    return page.locator('[name="in.text"]').input_value()


def options(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Insert data").get_by_role("option")


def active(page: Page) -> str:
    """Return the text of the option that the field says is the active one; it is the selected one, too."""
    found = options(page).and_(page.locator("[aria-selected=true]"))
    assert found.get_attribute("id") == message(page).get_attribute("aria-activedescendant")
    return found.inner_text()


def test_braces_list_the_data_and_enter_inserts_it(page: Page) -> None:
    field = message(page)
    field.fill("In ")
    field.press("End")
    page.keyboard.type("{{")
    expect(options(page).first).to_be_visible()
    assert options(page).count() > 5
    expect(field).to_have_attribute("role", "combobox")
    expect(field).to_have_attribute("aria-expanded", "true")
    assert axe_findings(page) == []
    page.keyboard.type(" peop")
    expect(options(page)).to_have_count(1)
    assert "people" in active(page)
    assert "Set values" in active(page)
    page.keyboard.press("Enter")
    expect(options(page)).to_have_count(0)
    assert stored(page) == "In {{ steps.first.output.people }}"
    expect(field).to_have_attribute("role", "textbox")
    page.keyboard.type(" now")
    assert stored(page) == "In {{ steps.first.output.people }} now"
    expect(page.locator("#saved")).to_have_text("Saved")


def test_what_does_not_suit_the_field_says_so_and_can_be_taken_all_the_same(page: Page) -> None:
    message(page).fill("")
    page.keyboard.type("{{ trigger.body")
    expect(options(page).first).to_have_attribute("title", "a group of fields; Message takes text")
    assert axe_findings(page) == []
    page.keyboard.press("Enter")
    assert stored(page) == "{{ trigger.body }}"


def test_arrows_walk_through_the_list_and_around(page: Page) -> None:
    message(page).fill("")
    page.keyboard.type("/")
    last = options(page).last.inner_text()
    first = active(page)
    page.keyboard.press("ArrowUp")
    assert active(page) == last
    page.keyboard.press("ArrowDown")
    assert active(page) == first
    page.keyboard.type("city")
    page.keyboard.press("Enter")
    assert stored(page) == "{{ steps.first.output.city }}"


def test_escape_leaves_what_was_typed(page: Page) -> None:
    message(page).fill("")
    page.keyboard.type("a /ci")
    expect(options(page)).to_have_count(1)
    page.keyboard.press("Escape")
    expect(options(page)).to_have_count(0)
    page.keyboard.press("End")
    page.keyboard.type(" or b")
    assert stored(page) == "a /ci or b"
    expect(page.locator("#saved")).to_have_text("Saved")


def test_a_name_that_is_no_data_closes_the_list_and_stays(page: Page) -> None:
    message(page).fill("")
    page.keyboard.type("{{ zzz")
    expect(options(page)).to_have_count(0)
    assert stored(page) == "{{ zzz"


@pytest.mark.parametrize("text", ["https://example.com/city", "and/or", "7/8", "a/city"])
def test_an_address_is_typed_as_ever(page: Page, text: str) -> None:
    message(page).fill("")
    for letter in text:
        page.keyboard.type(letter)
        assert options(page).count() == 0
    assert stored(page) == text


def test_a_press_inserts_and_leaving_the_field_closes_the_list(page: Page) -> None:
    message(page).fill("")
    page.keyboard.type("{{")
    options(page).filter(has_text="city").click()
    assert stored(page) == "{{ steps.first.output.city }}"
    page.keyboard.type(" {{")
    expect(options(page).first).to_be_visible()
    page.get_by_label("Name of the step").focus()
    expect(options(page)).to_have_count(0)
    assert stored(page) == "{{ steps.first.output.city }} {{"


def test_the_list_fits_a_telephone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    message(page).fill("")
    page.keyboard.type("{{")
    box = page.get_by_role("listbox", name="Insert data").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert all(each["height"] >= 44 for option in options(page).all() if (each := option.bounding_box()))
    assert axe_findings(page) == []

"""Chip fields: references stand in the text as chips, and what is stored is the text with its braces."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, wait_for, workflow

pytestmark = pytest.mark.browser

STEPS = [
    step("first", "data.set", {"values": {"city": "Oslo", "people": 700_000}}),
    step("second", "http.request", {"url": "https://example.com/{{ steps.first.output.city }}", "method": "POST"}),
    step("third", "data.set", {"values": {"text": "In {{ steps.first.output.city }}: {{ upper(trigger.body.name) }}"}}),
]


@pytest.fixture(scope="module")
def number(found: Product) -> str:
    """A workflow whose first step was run with a trigger, so that there is data to read."""
    made = str(found.api("POST", "workflows/", json=workflow("chips", STEPS))["id"])
    run = found.api("POST", f"workflows/{made}/runs/", json={"version": "draft", "payload": {"name": "Ada"}})
    wait_for(lambda: found.api("GET", f"runs/{run['id']}/")["finished_at"], seconds=30, what="the run to end")
    return made


@pytest.fixture
def page(browser: Browser, found: Product, number: str) -> Iterator[Page]:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/second/")
        yield page


def stored(page: Page, name: str = "in.url") -> str:
    """Return what the form would send of a field."""
    return page.locator(f'[name="{name}"]').input_value()


def chips(field: Locator) -> list[str]:
    return field.locator(".tok").all_text_contents()


def test_a_reference_is_a_chip_and_reads_as_its_value(page: Page) -> None:
    field = page.get_by_label("URL")
    assert chips(field) == ["3city"]
    assert stored(page) == "https://example.com/{{ steps.first.output.city }}"
    expect(page.locator('[data-reads="url"]')).to_have_text("Reads as https://example.com/Oslo")


def test_a_press_in_the_data_column_puts_a_chip_where_the_caret_is(page: Page) -> None:
    field = page.get_by_label("URL")
    field.click()
    field.press("Home")
    page.keyboard.type("a")
    page.get_by_role("button", name="people").click()
    page.keyboard.type("b")
    assert chips(field) == ["3people", "3city"]
    wanted = "a{{ steps.first.output.people }}bhttps://example.com/{{ steps.first.output.city }}"
    assert stored(page) == wanted
    expect(page.locator("#saved")).to_have_text("Saved")
    expect(page.locator('[data-reads="url"]')).to_have_text("Reads as a700000bhttps://example.com/Oslo")
    page.reload()
    assert stored(page) == wanted
    assert chips(page.get_by_label("URL")) == ["3people", "3city"]
    page.get_by_label("URL").fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")


def test_a_format_goes_around_the_chip_before_the_caret_and_formats_nest(page: Page) -> None:
    field = page.get_by_label("URL")
    field.click()
    field.press("End")
    page.locator("[data-formats] summary").click()
    page.locator('[data-wrap="upper(%)"]').click()
    assert chips(field) == ["3city · upper"]
    page.locator("""[data-wrap='default(%, "")']""").click()
    assert chips(field) == ["3city · upper · default"]
    assert stored(page) == 'https://example.com/{{ default(upper(steps.first.output.city), "") }}'
    expect(page.locator("#saved")).to_have_text("Saved")
    expect(page.locator('[data-reads="url"]')).to_have_text("Reads as https://example.com/OSLO")
    page.reload()
    assert chips(page.get_by_label("URL")) == ["3city · upper · default"]
    page.get_by_label("URL").fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")


@pytest.mark.parametrize("text", ["{{ upper(a) + lower(b) }}", "{{ f(g(h)) }}", "{{ (1) }}", "{{ x(", "{{ join( }}"])
def test_what_is_no_simple_call_stays_as_it_is_written(page: Page, text: str) -> None:
    field = page.get_by_label("URL")
    field.fill(text)
    assert stored(page) == text
    assert all(chip == text[2:-2].strip() for chip in chips(field))
    field.fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")


def test_who_presses_a_chip_writes_beside_it(page: Page) -> None:
    field = page.get_by_label("URL")
    chip = field.locator(".tok")
    chip.click(position={"x": 3, "y": 8})
    page.keyboard.type("a")
    chip.click(position={"x": chip.evaluate("chip => chip.getBoundingClientRect().width") - 3, "y": 8})
    page.keyboard.type("b")
    assert stored(page) == "https://example.com/a{{ steps.first.output.city }}b"
    field.fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")


def test_a_typed_or_pasted_reference_becomes_a_chip_and_goes_in_two_steps(page: Page) -> None:
    field = page.get_by_label("URL")
    field.fill("")
    field.press_sequentially("x{{ steps.first.output.city }}y")
    assert chips(field) == ["3city"]
    assert stored(page) == "x{{ steps.first.output.city }}y"
    field.press("Backspace")
    field.press("Backspace")
    assert stored(page) == "x{{ steps.first.output.city }}", "the first press only selects"
    assert field.locator(".tok.picked").count() == 1
    field.press("Backspace")
    assert stored(page) == "x"
    field.press("Enter")
    page.keyboard.type("z")
    assert stored(page) == "xz", "a field of one line has one line"
    page.get_by_label("URL").fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")


def test_a_field_can_be_edited_as_text(page: Page) -> None:
    page.locator('[data-field="url"]').get_by_role("button", name="Edit as text").click()
    field = page.get_by_label("URL")
    expect(field).to_have_value("https://example.com/{{ steps.first.output.city }}")
    field.fill("{{ nothing.there }} {{ steps.gone.output }}")
    page.locator('[data-field="url"]').get_by_role("button", name="Edit as text").click()
    assert chips(page.get_by_label("URL")) == ["nothing.there", "?everything"]
    expect(page.locator(".tok.gone")).to_have_count(1)
    page.get_by_label("URL").fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")


def test_names_and_values_take_chips_too(page: Page) -> None:
    page.goto(page.url.replace("/second/", "/third/"))
    value = page.get_by_label("Values, value 1")
    assert chips(value) == ["3city", "1name · upper"]
    expect(page.locator('[data-reads="values"]')).to_have_text("Reads as text In Oslo: ADA")
    last = page.get_by_label("Values, value 3")
    page.get_by_label("Values, name 3").fill("more")
    last.click()
    page.get_by_label("Search names and values").fill("people")
    page.get_by_role("button", name="people").click()
    assert chips(last) == ["3people"]
    expect(page.get_by_label("Values, value 4")).to_be_visible()
    page.get_by_label("Values, value 4").fill("{{ steps.first.output.city }}")
    assert chips(page.get_by_label("Values, value 4")) == ["3city"]


def test_hostile_data_is_text(page: Page, found: Product, number: str) -> None:
    hostile = '<img src=x onerror="document.title=1">'
    run = found.api("POST", f"workflows/{number}/runs/", json={"version": "draft", "payload": {"name": hostile}})
    wait_for(lambda: found.api("GET", f"runs/{run['id']}/")["finished_at"], seconds=30, what="the run to end")
    page.goto(page.url.replace("/second/", "/third/"))
    page.get_by_label("Values, value 1").fill(f"{hostile}{{{{ trigger.body.name }}}}")
    expect(page.locator("#saved")).to_have_text("Saved")
    expect(page.locator('[data-reads="values"]')).to_contain_text(f"{hostile}{hostile}")
    assert page.locator(".pf img").count() == 0


def test_without_a_script_the_text_is_the_field(browser: Browser, found: Product, number: str) -> None:
    with opened(browser, java_script_enabled=False) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/second/")
        expect(page.get_by_label("URL")).to_have_value("https://example.com/{{ steps.first.output.city }}")
        expect(page.locator('[data-reads="url"]')).to_have_text("Reads as https://example.com/Oslo")


def test_axe_finds_nothing_in_a_form_with_chips(page: Page) -> None:
    assert axe_findings(page) == []


def test_the_data_column_is_reached_from_a_field_by_key(page: Page) -> None:
    page.get_by_label("URL").click()
    page.keyboard.press("Control+Space")
    expect(page.get_by_label("Search names and values")).to_be_focused()
    page.keyboard.type("people")
    page.keyboard.press("Enter")
    assert "3people" in chips(page.get_by_label("URL"))
    page.get_by_label("URL").fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")


def test_a_reference_to_nothing_is_red_says_why_and_is_mended_by_a_press(page: Page) -> None:
    field = page.get_by_label("URL")
    field.fill("https://example.com/{{ upper(steps.first.output.ctiy) }}")
    expect(page.locator("#saved")).to_have_text("Saved")
    red = field.locator(".tok.gone")
    expect(red).to_have_text("3ctiy · upper")
    expect(red).to_have_attribute("title", "Step 3 no longer gives ctiy.")
    line = page.locator('[data-broken="url"]')
    expect(line).to_contain_text("Step 3 no longer gives ctiy.")
    assert axe_findings(page) == []
    page.reload()
    expect(page.get_by_label("URL").locator(".tok.gone")).to_have_count(1)
    line.get_by_role("button", name="city").press("Enter")
    expect(page.get_by_label("URL").locator(".tok")).to_have_text("3city · upper")
    expect(page.get_by_label("URL")).to_be_focused()
    assert stored(page) == "https://example.com/{{ upper(steps.first.output.city) }}"
    expect(page.locator(".tok.gone")).to_have_count(0)
    expect(line).to_be_empty()
    page.get_by_label("URL").fill("https://example.com/{{ steps.first.output.city }}")
    expect(page.locator("#saved")).to_have_text("Saved")

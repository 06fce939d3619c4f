"""The builder's form saves by itself, never loses what was typed, and never conflicts with itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, workflow

pytestmark = pytest.mark.browser

STEPS = [
    step("first", "data.set", {"values": {"city": "Oslo"}}),
    step("second", "data.set", {"values": {"text": "hello"}}),
]


def made(found: Product, page: Page, name: str) -> str:
    """Make a workflow, sign in, and return the address of its builder."""
    number = found.api("POST", "workflows/", json=workflow(name, STEPS))["id"]
    sign_in(page, found.address, PASSWORD)
    return f"{found.address}/w/demo/workflows/{number}/"


def name_of_the_step(page: Page) -> str:
    page.reload()
    return page.get_by_label("Name of the step").input_value()


def test_what_is_typed_is_saved_and_a_test_at_once_is_of_it(browser: Browser, found: Product) -> None:
    with opened(browser) as page:
        page.goto(made(found, page, "saving") + "steps/second/")
        page.get_by_label("Name of the step").fill("Say hello")
        expect(page.locator("#saved")).to_have_text("Saved")
        assert name_of_the_step(page) == "Say hello"
        for turn in range(3):
            page.get_by_label("Name of the step").fill(f"Turn {turn}")
            page.get_by_role("button", name="Test step").click()
            expect(page.locator("#panel-title")).to_have_text(f"Turn {turn}")
            expect(page.get_by_role("region", name="Last test of this step")).to_contain_text("Test passed")
            assert name_of_the_step(page) == f"Turn {turn}"


def test_a_value_is_inserted_where_the_caret_is(browser: Browser, found: Product) -> None:
    with opened(browser) as page:
        at = made(found, page, "inserting")
        page.goto(at + "steps/first/")
        page.get_by_role("button", name="Test step").click()
        expect(page.get_by_role("region", name="Last test of this step")).to_contain_text("Test passed")
        page.goto(at + "steps/second/")
        value = page.get_by_label("Values, value 1")
        value.focus()
        value.evaluate("field => getSelection().collapse(field.firstChild, 2)")
        page.locator("[data-insert='{{ steps.first.output.city }}']").click()
        expect(page.locator('[name="in.values.v0"]')).to_have_value("he{{ steps.first.output.city }}llo")
        expect(page.locator("#saved")).to_have_text("Saved")


def test_another_persons_change_of_the_step_is_told_and_of_another_step_is_not(
    browser: Browser, found: Product
) -> None:
    with opened(browser) as page, opened(browser) as other:
        at = made(found, page, "conflict")
        sign_in(other, found.address, PASSWORD)
        page.goto(at + "steps/second/")
        other.goto(at + "steps/first/")
        other.get_by_label("Name of the step").fill("Another step")
        expect(other.locator("#saved")).to_have_text("Saved")
        page.get_by_label("Name of the step").fill("Mine")
        expect(page.locator("#saved")).to_have_text("Saved")

        other.goto(at + "steps/second/")
        other.get_by_label("Name of the step").fill("Theirs")
        expect(other.locator("#saved")).to_have_text("Saved")
        page.get_by_label("Name of the step").fill("Mine again")
        expect(page.locator("#refused")).to_contain_text("Somebody changed this step meanwhile")
        assert axe_findings(page) == []
        assert name_of_the_step(other) == "Theirs"
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_load_state()
        assert name_of_the_step(other) == "Mine again"


def test_what_was_typed_is_undone_and_made_again_by_key(browser: Browser, found: Product) -> None:
    with opened(browser) as page:
        page.goto(made(found, page, "undoing") + "steps/second/")
        undo, redo = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
        expect(undo).to_be_disabled()
        page.get_by_label("Name of the step").fill("Say hello")
        expect(page.locator("#saved")).to_have_text("Saved")
        expect(undo).to_be_enabled()
        page.locator("#panel-title").click()
        page.keyboard.press("Control+z")
        expect(page.get_by_text("Undone: the step “second” changed.")).to_be_visible()
        expect(page.get_by_label("Name of the step")).to_have_value("")
        expect(undo).to_be_disabled()
        page.keyboard.press("Control+Shift+z")
        expect(page.get_by_text("Made again: the step “second” changed.")).to_be_visible()
        expect(page.get_by_label("Name of the step")).to_have_value("Say hello")
        expect(redo).to_be_disabled()
        undo.click()
        expect(page.get_by_label("Name of the step")).to_have_value("")


def test_a_field_appears_with_the_one_that_it_depends_on_and_the_name_changes_in_place(
    browser: Browser, found: Product
) -> None:
    steps = [step("tell", "slack.sendMessage", {"channel": "#a", "text": "hi"})]
    number = found.api("POST", "workflows/", json=workflow("depends", steps))["id"]
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/tell/")
        page.locator("details.fold > summary").click()
        thread = page.locator('[data-field="thread_ts"] [role=textbox]')
        follower = page.locator('[data-field="reply_broadcast"]')
        expect(follower).to_be_hidden()
        thread.fill("1700000000.0001")
        expect(follower).to_be_visible()
        thread.fill("")
        expect(follower).to_be_hidden()
        expect(page.locator("#saved")).to_have_text("Saved")
        name = page.get_by_label("Name of the workflow")
        name.fill("Another name")
        name.press("Enter")
        expect(page).to_have_title("Another name · Orchestrator")
        expect(page.locator("#panel-title")).to_have_text("Send message")
        assert found.api("GET", f"workflows/{number}/")["name"] == "Another name"

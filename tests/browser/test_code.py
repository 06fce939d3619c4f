"""Code steps are written in an editor; without a script its text field is there, and saving is the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, workflow

pytestmark = pytest.mark.browser

CODE = "def main(input):\n    return {'n': 1}\n"


@pytest.fixture(scope="module")
def number(found: Product) -> str:
    steps = [step("run", "code.python", {"code": CODE}), step("plain", "data.set", {"values": {"a": 1}})]
    return str(found.api("POST", "workflows/", json=workflow("code", steps))["id"])


@pytest.fixture
def page(browser: Browser, found: Product, number: str) -> Iterator[Page]:
    """A page whose console and content security policy have nothing to say."""
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/run/")
        yield page


def stored(found: Product, number: str) -> str:
    return str(found.api("GET", f"workflows/{number}/")["steps"][0]["config"]["inputs"]["code"])


def test_code_is_highlighted_edited_saved_and_run(page: Page, found: Product, number: str) -> None:
    editor = page.get_by_role("textbox", name="Code")
    expect(editor.locator(".tk-k").first).to_have_text("def")
    assert axe_findings(page) == []
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.type("# <b>done</b> {{ not data }}")
    expect(page.locator("#saved")).to_have_text("Saved")
    assert stored(found, number) == CODE + "# <b>done</b> {{ not data }}"
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(page.locator("#saved")).to_have_text("Saved")
    page.keyboard.press("Control+a")
    page.keyboard.type("nothing")
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    editor.fill(CODE.replace("1", "41 + 1"))
    page.get_by_role("button", name="Test step").click()
    expect(page.locator("#result")).to_contain_text("42")


def test_the_keyboard_gets_out_of_the_editor_and_enter_indents_in_it(page: Page) -> None:
    editor = page.get_by_role("textbox", name="Code")
    editor.fill("")
    editor.click()
    page.keyboard.type("def main(input):")
    page.keyboard.press("Enter")
    page.keyboard.type("return 1")
    assert page.locator("textarea[data-language]").input_value() == "def main(input):\n    return 1"
    page.keyboard.press("Tab")
    assert not editor.evaluate("element => element === document.activeElement")
    assert page.locator("textarea[data-language]").input_value() == "def main(input):\n    return 1"


def test_the_editor_is_loaded_where_there_is_code_alone(page: Page, found: Product, number: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{found.address}/w/demo/workflows/{number}/steps/plain/")
    assert not [url for url in asked if "codemirror" in url]
    asked.clear()
    page.goto(f"{found.address}/w/demo/workflows/{number}/steps/run/")
    assert len([url for url in asked if "codemirror" in url]) == 1
    assert len(asked) <= 7, "six, and the editor"


def test_without_a_script_the_field_is_the_code(browser: Browser, found: Product, number: str) -> None:
    with opened(browser, java_script_enabled=False) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/run/")
        page.get_by_label("Code", exact=True).fill("def main(input):\n    return 7")
        page.get_by_role("button", name="Save", exact=True).click()
        assert stored(found, number) == "def main(input):\n    return 7"

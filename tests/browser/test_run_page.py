"""The run's page in a browser: its keys, comparing, the log, and what is written by others never runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import opened, sign_in
from tests.product import PASSWORD, Product, step, wait_for, workflow

pytestmark = pytest.mark.browser

NASTY = '"\'><img src=x onerror="window.hit=1"><script>window.hit=2</script>'
ECHO = """
def main(input):
    print(input['text'])
    if input.get('bad'):
        raise ValueError(input['text'])
    return input
"""


def run_of(found: Product, number: str, payload: Any) -> str:
    """Return a run that has ended."""
    run: str = found.api("POST", f"workflows/{number}/runs/", json={"payload": payload})["id"]
    wait_for(lambda: found.api("GET", f"runs/{run}/")["finished_at"], seconds=30, what="a run to end")
    return run


@pytest.fixture(scope="module")
def nasty(found: Product) -> tuple[str, str]:
    """Return a run that succeeded and one that failed, with markup in everything that people or steps can write."""
    code = {"code": ECHO, "input": {"text": "{{ trigger.body.text }}", "bad": "{{ trigger.body.bad }}"}}
    steps = [
        {**step("first", "data.set", {"values": {NASTY: NASTY, "list": [{NASTY: NASTY}, {"a": 1}]}}), "name": NASTY},
        {**step("echo", "code.python", code, retry={"max_attempts": 1}), "name": NASTY},
        {**step("last", "data.set", {"values": {}}), "name": NASTY},
    ]
    number = found.publish(workflow(NASTY[:100], steps))
    good = run_of(found, number, {"text": NASTY, "bad": False, NASTY: NASTY})
    return good, run_of(found, number, {"text": NASTY, "bad": True, NASTY: NASTY})


@pytest.fixture
def page(browser: Browser, found: Product) -> Iterator[Page]:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        yield page


def press(page: Page, key: str, url: str) -> None:
    page.keyboard.press(key)
    expect(page).to_have_url(re.compile(url))


def test_nothing_that_others_wrote_runs_on_any_page_of_a_run(
    page: Page, found: Product, nasty: tuple[str, str]
) -> None:
    good, bad = nasty
    asked = (
        *(f"{run}/{more}" for run in nasty for more in (
            "", "?step=first", "?step=@trigger", "?step=first&tab=data", "?step=echo&tab=log", "?step=echo&tab=setup",
            "?step=first&tab=data&value=output&at=list&as=table#picked", "?step=first&tab=data&find=img",
            "log/", "log/?find=onerror", "?step=echo&tab=data&value=input",
        )),
        f"{bad}/compare/{good}/", f"{bad}/compare/{good}/?step=@trigger", f"{bad}/compare/{good}/?step=echo",
    )  # fmt: skip
    for address in asked:
        page.goto(f"{found.address}/w/demo/runs/{address}")
        page.wait_for_timeout(50)
        assert page.evaluate("window.hit") is None, address
        assert page.locator("img").count() == 0, address
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
    expect(page.get_by_text("onerror").first).to_be_visible()


def test_steps_tabs_and_neighbours_are_walked_by_key(page: Page, found: Product) -> None:
    steps = [step(key, "data.set", {"values": {"n": 1}}) for key in ("first", "second", "third")]
    number = found.publish(workflow("Walked", steps))
    runs = [run_of(found, number, {"n": each}) for each in range(2)]
    page.goto(f"{found.address}/w/demo/runs/{runs[1]}/?step=first")
    press(page, "j", "step=second")
    expect(page.locator("#step-second")).to_have_attribute("aria-current", "true")
    press(page, "j", "step=third")
    press(page, "k", "step=second")
    for key, tab in (("2", "data"), ("3", "log"), ("4", "setup"), ("1", "attempts")):
        press(page, key, f"tab={tab}")
        expect(page.locator(f"#tab-{tab}")).to_have_attribute("aria-current", "true")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys on this page")
    for words in ("Next step", "Previous step", "Compare", "Run again", "Older", "Data"):
        expect(dialog).to_contain_text(words)
    page.keyboard.press("Escape")
    press(page, "d", f"/runs/{runs[1]}/compare/{runs[0]}/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Compare")
    press(page, "j", "step=first")


def test_a_failed_step_is_run_again_from_here_and_mended_by_key(page: Page, found: Product) -> None:
    steps = [step("get", "http.request", {"url": "{{ trigger.body.url }}"}, retry={"max_attempts": 1})]
    number = found.publish(workflow("Mended", steps))
    run = run_of(found, number, {"url": "no address"})
    assert found.api("GET", f"runs/{run}/")["error"]["field"] == "url"
    page.goto(f"{found.address}/w/demo/runs/{run}/")
    expect(page).to_have_title(re.compile("^✕ Stopped at"))
    press(page, "e", rf"/steps/get/\?run={run}#field-url$")
    page.goto(f"{found.address}/w/demo/runs/{run}/")
    page.keyboard.press("Shift+R")
    expect(page).not_to_have_url(re.compile(run))
    expect(page).to_have_url(re.compile(r"/runs/\d+/"))


def test_an_entry_is_copied_with_its_path(page: Page, found: Product) -> None:
    number = found.publish(workflow("Copied", [step("set", "data.set", {"values": {"a": {"b": [1, "two"]}}})]))
    run = run_of(found, number, {})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{found.address}/w/demo/runs/{run}/?step=set&tab=data")
    output = page.locator("details.sec", has_text="what later steps can use")
    output.locator("summary", has_text="list of 2").click()
    output.get_by_role("link", name="list of 2, as a whole").click()
    page.get_by_role("button", name="Copy path").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "steps.set.output.a.b"
    page.get_by_role("button", name="Copy value").click()
    page.wait_for_timeout(100)
    assert page.evaluate("navigator.clipboard.readText()") == '[\n  1,\n  "two"\n]'
    page.get_by_label("Find in the data").fill("two")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("link", name="steps.set.output.a.b[1]")).to_be_visible()


def test_comparing_and_the_log_work_without_a_script(browser: Browser, found: Product, nasty: tuple[str, str]) -> None:
    good, bad = nasty
    with opened(browser, java_script_enabled=False) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/{bad}/")
        page.get_by_role("link", name="Compare").click()
        expect(page).to_have_url(re.compile(rf"/runs/{bad}/compare/{good}/"))
        page.locator(".wr").last.click()
        expect(page.locator(".wr[aria-current=true]")).to_have_count(1)
        page.goto(f"{found.address}/w/demo/runs/{good}/")
        page.get_by_role("link", name="Log", exact=True).click()
        page.get_by_label("Find in all lines").fill("ONERROR")
        page.get_by_role("button", name="Find").click()
        expect(page.get_by_role("status").filter(has_text="Match 1 of 1")).to_be_visible()

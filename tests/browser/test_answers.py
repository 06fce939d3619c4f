"""A person answers: at the link with scripts switched off, and on the run's page, which then goes on by itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import opened, sign_in
from tests.product import PASSWORD, Product, step, wait_for, workflow

pytestmark = pytest.mark.browser
FORM = {
    "type": "object",
    "properties": {"amount": {"type": "number", "title": "Amount"}, "sure": {"type": "boolean", "title": "Sure"}},
    "required": ["amount"],
}


def asking(found: Product, **inputs: Any) -> tuple[str, str]:
    """Return a run that asks, and the address of its question."""
    steps = [
        step("link", "data.set", {"values": {"url": "{{ run.links.ok }}"}}),
        step("ok", "flow.approve", {"message": "Refund order 17?", **inputs}),
    ]
    made = found.publish(workflow("Asks", steps, output="{{ steps.ok.output }}"))
    run = found.api("POST", f"workflows/{made}/runs/", json={})["id"]
    wait_for(lambda: found.api("GET", f"runs/{run}/")["status"] == "waiting", seconds=30, what="the question")
    return run, found.api("GET", f"runs/{run}/")["steps"][0]["output"]["url"]


def ended(found: Product, run: str) -> Any:
    wait_for(lambda: found.api("GET", f"runs/{run}/")["status"] != "waiting", seconds=20, what="the run to go on")
    wait_for(lambda: found.api("GET", f"runs/{run}/")["finished_at"], seconds=20, what="the run to end")
    return found.api("GET", f"runs/{run}/")["output"]


def test_somebody_with_the_link_answers_without_any_script(found: Product, browser: Browser) -> None:
    run, link = asking(found, form=FORM)
    with opened(browser, java_script_enabled=False, viewport={"width": 390, "height": 800}) as page:
        page.goto(link)
        page.get_by_label("Amount").fill("much")
        # Enter in a field decides nothing: a decision takes a press of its own.
        page.get_by_label("Amount").press("Enter")
        page.wait_for_timeout(300)
        expect(page.get_by_role("heading", level=1)).to_have_text("Your decision is asked for")
        page.get_by_label("Comment").fill("Fine with me")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_text("a number is needed")).to_be_visible()
        expect(page.get_by_label("Comment")).to_have_value("Fine with me")
        page.get_by_label("Amount").fill("80")
        page.get_by_label("Sure").check()
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Thank you, your answer is in")
        page.reload()
        expect(page.get_by_text("Approved by somebody who had the link")).to_be_visible()
    assert ended(found, run) == {
        "decision": "approved", "form": {"amount": 80, "sure": True}, "comment": "Fine with me", "by": None
    }  # fmt: skip


def test_who_is_asked_signs_in_and_comes_back_to_the_question(found: Product, browser: Browser) -> None:
    run, link = asking(found, approvers=["admin"])
    with opened(browser) as page:
        page.goto(link)
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Reject").click()
        expect(page.get_by_text("Rejected by admin")).to_be_visible()
    assert ended(found, run)["by"] == "admin"


def test_an_answer_on_the_runs_page_is_kept_while_one_looks_around_and_the_page_goes_on(
    found: Product, browser: Browser
) -> None:
    run, _ = asking(found)
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/{run}/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for an approval: Refund order 17?")
        page.get_by_label("Comment").fill("half a")
        page.locator("#step-link").click()
        expect(page.locator("#inspector-title")).to_have_text(re.compile("Set"))
        page.wait_for_timeout(1_000)
        expect(page.get_by_label("Comment")).to_have_value("half a")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("^Finished in"), timeout=15_000)
        expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert ended(found, run)["comment"] == "half a"

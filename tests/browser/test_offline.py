"""Without a connection nothing that was typed is lost: it is kept in the browser, and saved once there is one again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, workflow

pytestmark = pytest.mark.browser

STEPS = [
    step("first", "data.set", {"values": {"city": "Oslo"}}),
    step("second", "http.request", {"url": "https://example.com/a", "method": "POST"}),
]


@pytest.fixture
def number(found: Product) -> str:
    return str(found.api("POST", "workflows/", json=workflow("offline", STEPS))["id"])


@pytest.fixture
def page(browser: Browser, found: Product, number: str) -> Iterator[Page]:
    # A request that finds no server is an error on the console.
    with opened(browser, reduced_motion="reduce", quiet=False) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/workflows/{number}/steps/first/")
        yield page


def kept(page: Page) -> dict[str, Any]:
    """Return the drafts that the browser keeps, by name."""
    found = page.evaluate("Object.entries(localStorage).filter(([name]) => name.startsWith('draft '))")
    return {name: json.loads(text) for name, text in found}


def type_in_vain(page: Page) -> None:
    page.context.set_offline(True)
    page.get_by_label("Name of the step").fill("Where it is")
    page.get_by_label("Values, name 2").fill("people")
    page.get_by_label("Values, value 2").fill("{{ trigger.body.people }} there")
    page.get_by_label("Values, value 3").fill("more")
    expect(page.locator("#saved")).to_have_text("Not saved, trying again")


def stored(found: Product, number: str) -> dict[str, Any]:
    first: dict[str, Any] = found.api("GET", f"workflows/{number}/")["steps"][0]
    return first


def test_what_cannot_be_sent_is_kept_and_saved_by_itself(page: Page, found: Product, number: str) -> None:
    publish = page.locator("[data-publish]")
    type_in_vain(page)
    expect(page.locator("#refused")).to_contain_text("Until then this cannot be published.")
    expect(publish).to_be_disabled()
    expect(publish).to_have_attribute("aria-describedby", "refused")
    assert axe_findings(page) == []
    page.get_by_label("Name of the step").fill("Where they are")
    ((name, (seen, values)),) = kept(page).items()
    assert name.endswith(f" {number} first {found.api('GET', f'workflows/{number}/')['revision']}")
    assert seen
    assert dict(values)["name"] == "Where they are"
    assert "csrfmiddlewaretoken" not in dict(values)
    page.context.set_offline(False)
    expect(page.locator("#saved")).to_have_text("Saved")
    expect(page.locator("#refused")).to_be_hidden()
    expect(publish).to_be_enabled()
    assert publish.get_attribute("href")
    assert kept(page) == {}
    assert stored(found, number)["name"] == "Where they are"


def test_a_page_that_is_loaded_again_brings_it_back_and_saves_it(page: Page, found: Product, number: str) -> None:
    type_in_vain(page)
    at, context = page.url, page.context
    # Closed before the connection is there again: it would save by itself.
    page.close()
    context.set_offline(False)
    assert stored(found, number)["name"] == ""
    page = context.new_page()
    page.goto(at)
    expect(page.locator("#saved")).to_have_text("Saved")
    expect(page.get_by_label("Name of the step")).to_have_value("Where it is")
    expect(page.get_by_label("Values, value 2").locator(".tok")).to_have_count(1)
    now = stored(found, number)
    assert now["name"] == "Where it is"
    assert now["config"]["inputs"]["values"]["people"] == "{{ trigger.body.people }} there"
    assert kept(page) == {}


def test_what_somebody_else_wrote_meanwhile_is_told(page: Page, found: Product, number: str) -> None:
    type_in_vain(page)
    document = found.api("GET", f"workflows/{number}/")
    document["steps"][0]["name"] = "Theirs"
    found.api("PATCH", f"workflows/{number}/", json={"steps": document["steps"]})
    at = page.url
    page.goto("about:blank")
    page.context.set_offline(False)
    page.goto(at)
    expect(page.locator("#refused")).to_contain_text("Somebody changed this step meanwhile")
    expect(page.get_by_label("Name of the step")).to_have_value("Where it is")
    assert stored(found, number)["name"] == "Theirs"
    assert kept(page) == {}, "loading the page again takes theirs"


def test_an_answer_that_was_lost_makes_no_conflict(page: Page, found: Product, number: str) -> None:
    lost: list[int] = []

    def lose(route: Any) -> None:
        if not lost:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    page.route("**/steps/first/", lose)
    page.get_by_label("Name of the step").fill("Sent twice")
    expect(page.locator("#saved")).to_have_text("Not saved, trying again")
    expect(page.locator("#saved")).to_have_text("Saved")
    assert lost == [200]
    assert stored(found, number)["name"] == "Sent twice"


def test_secrets_are_not_kept_and_nothing_is_after_signing_out(page: Page) -> None:
    page.locator("#step-form fieldset").evaluate(
        """form => form.insertAdjacentHTML("beforeend", '<input type="password" name="in.token" value="hush">')"""
    )
    type_in_vain(page)
    assert len(kept(page)) == 1
    assert "hush" not in json.dumps(kept(page))
    page.evaluate("localStorage.setItem('draft of another', 'x')")
    at = page.url
    page.goto("about:blank")
    page.context.set_offline(False)
    page.goto(at.split("/workflows/")[0] + "/runs/")
    assert len(kept_names(page)) == 2
    page.locator("summary.nav").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/**")
    assert kept_names(page) == []


def kept_names(page: Page) -> list[str]:
    found: list[str] = page.evaluate("Object.keys(localStorage).filter((name) => name.startsWith('draft '))")
    return found

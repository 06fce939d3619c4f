"""A live run's page keeps what runs in view until somebody goes elsewhere, and its window's icon says how it fares."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, workflow
from tests.runs.ground import until
from tests.upstream import Upstream

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def number(found: Product, called: Upstream) -> str:
    """A workflow of thirty steps that take a while each; its id."""
    slow = {"url": f"{called.address}/?slow=0.4"}
    return found.publish(workflow("Long", [step(f"s{at}", "http.request", slow) for at in range(30)]))


def watch(page: Page, found: Product, number: str) -> str:
    """Open a run that has just begun; return its id."""
    run = str(found.api("POST", f"workflows/{number}/runs/", json={"payload": {}})["id"])
    sign_in(page, found.address, PASSWORD)
    page.goto(f"{found.address}/w/demo/runs/{run}/?step=trigger")
    return run


def stop(page: Page) -> None:
    """Stop the run."""
    page.locator("#stop-run").click()
    page.wait_for_load_state()


def turn_to_the_top(page: Page) -> None:
    """Turn the wheel until the page is at its top, as one does: a row that comes while it moves takes it along."""

    def at_top() -> bool:
        page.mouse.wheel(0, -2_000)
        page.wait_for_timeout(200)
        return bool(page.evaluate("scrollY === 0"))

    until(at_top)


_IN_VIEW = """() => { const all = [...document.querySelectorAll("#timeline [data-since]")];
  const now = all.pop()?.getBoundingClientRect();
  return now && now.top >= 0 && now.bottom <= innerHeight; }"""
_ICON = "document.querySelector('link[rel=icon]').href"


def test_what_runs_stays_in_view_until_somebody_moves_the_page(browser: Browser, found: Product, number: str) -> None:
    with opened(browser, viewport={"width": 1440, "height": 500}) as page:
        watch(page, found, number)
        follow = page.get_by_label("Follow")
        expect(follow).to_be_checked()
        page.locator("#step-s9").wait_for(timeout=30_000)
        page.wait_for_function(_IN_VIEW)
        assert page.evaluate("scrollY") > 0
        expect(follow).to_be_checked()
        page.mouse.move(600, 300)
        turn_to_the_top(page)
        expect(follow).not_to_be_checked()
        page.locator("#step-s12").wait_for(timeout=30_000)
        assert page.evaluate("scrollY") == 0, "the page stays where somebody put it"
        follow.focus()
        page.keyboard.press("Space")
        expect(follow).to_be_checked()
        page.wait_for_function(_IN_VIEW)
        page.locator("#step-s15").wait_for(timeout=30_000)
        page.keyboard.press("PageUp")
        expect(follow).not_to_be_checked()
        page.wait_for_timeout(500)  # a browser may take its time to move by a page
        at = page.evaluate("scrollY")
        page.locator("#step-s17").wait_for(timeout=30_000)
        expect(follow).not_to_be_checked()
        assert page.evaluate("scrollY") == at, "the switch outlives what is drawn anew"
        stop(page)
        expect(page.get_by_label("Follow")).to_have_count(0)


def test_the_icon_follows_the_run_within_six_requests(browser: Browser, found: Product, number: str) -> None:
    with opened(browser) as page:
        asked: list[str] = []
        run = str(found.api("POST", f"workflows/{number}/runs/", json={"payload": {}})["id"])
        sign_in(page, found.address, PASSWORD)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{found.address}/w/demo/runs/{run}/")
        first = [url for url in asked if "/changes/" not in url]
        assert len(first) <= 6, first
        live = page.evaluate(_ICON)
        assert "%232649cf" in live
        found.api("POST", f"runs/{run}/cancel/")
        expect(page).to_have_title(re.compile("^–"), timeout=15_000)
        assert page.evaluate(_ICON) != live
        assert page.locator("link[rel=icon]").count() == 1


def test_a_press_on_a_row_changes_the_mark_and_the_inspector_alone(
    browser: Browser, found: Product, number: str
) -> None:
    with opened(browser) as page:
        watch(page, found, number)
        page.locator("#step-s3").wait_for(timeout=30_000)
        stop(page)
        expect(page).to_have_title(re.compile("^–"), timeout=15_000)
        page.evaluate("document.getElementById('timeline').dataset.kept = '1'")
        before = page.evaluate("history.length")
        with page.expect_response(lambda answer: "step=s2" in answer.url) as waits:
            page.locator("#step-s2").click()
        assert b'id="timeline"' not in waits.value.body()
        expect(page.locator("#timeline .wr.sel")).to_have_attribute("id", "step-s2")
        assert page.url.endswith("?step=s2"), "nothing of what the page says that it shows is in the address"
        page.keyboard.press("j")
        expect(page.locator("#timeline .wr.sel")).to_have_attribute("id", "step-s3")
        for at in ("s2", "s1"):
            page.keyboard.press("k")
            expect(page.locator("#timeline .wr.sel")).to_have_attribute("id", f"step-{at}")
        assert page.evaluate("[history.length, document.getElementById('timeline').dataset.kept]") == [before, "1"]
        patched = page.locator("#timeline-rows").inner_html()
        page.reload()
        assert page.locator("#timeline-rows").inner_html() == patched


def test_the_switch_is_looked_at(browser: Browser, found: Product, number: str) -> None:
    with opened(browser, quiet=False, reduced_motion="reduce") as page:
        watch(page, found, number)
        for scheme, width in (("light", 1440), ("dark", 390)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            expect(page.get_by_label("Follow")).to_be_visible()
            assert axe_findings(page) == [], (scheme, width)
            assert page.locator("#timeline-title").evaluate("title => title.offsetHeight") < 30, "in one line"
        stop(page)


def test_without_a_script_nothing_is_followed(browser: Browser, found: Product, number: str) -> None:
    with opened(browser, java_script_enabled=False) as page:
        watch(page, found, number)
        expect(page.locator("#follow")).to_be_hidden()
        stop(page)

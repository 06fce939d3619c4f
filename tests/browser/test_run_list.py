"""The list of runs in a browser: walked by key, chosen from, narrowed by its bars, and keeping up without moving."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, Product, step, wait_for, workflow

pytestmark = pytest.mark.browser

VIEWS = [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)]
_CODE = "def main(input):\n    if input['n'] % 4 == 0:\n        raise ValueError('not_in_channel')\n    return input"


@pytest.fixture(scope="module")
def made(found: Product) -> str:
    """A workflow with twelve runs of which three failed; the id of the workflow."""
    number = found.publish(workflow("Listed", [step("only", "code.python", {"code": _CODE, "input": _INPUT})]))
    for each in range(1, 13):
        begin(found, number, each)
    return number


_INPUT = {"n": "{{ trigger.body.n }}"}


def begin(found: Product, number: str, n: int) -> str:
    """Start a run and wait until it has ended; return its id."""
    body = {"payload": {"n": n, "name": f"Ada {n}"}}
    return str(found.api("POST", f"workflows/{number}/runs/?wait=20", json=body)["id"])


@pytest.fixture
def page(browser: Browser, found: Product, made: str) -> Iterator[Page]:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/?workflow={made}")
        yield page


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def rows(page: Page) -> list[str]:
    """Return the ids of the links to runs, from above."""
    return page.locator("tr.go a.nm").evaluate_all("links => links.map((link) => link.id)")  # type: ignore[no-any-return]


def test_rows_are_walked_chosen_and_opened_by_key(page: Page) -> None:
    listed = rows(page)
    for key, at in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        assert focused(page) == listed[at]
    bar = page.get_by_role("group", name="The chosen runs")
    expect(bar).to_be_hidden()
    page.keyboard.press("Space")
    assert page.evaluate("scrollY") == 0, "the page does not move"
    expect(page.locator("tr.go input:checked")).to_have_count(1)
    assert page.locator("tr.go input").nth(1).is_checked()
    expect(bar).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    expect(page.locator("tr.go input:checked")).to_have_count(1)
    page.locator("tr.go input").nth(3).click()
    page.keyboard.press("j")
    assert focused(page) == listed[4], "a box that was pressed leaves the keys alone"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"/runs/{listed[4].removeprefix('run-')}/"))


def test_filters_and_search_are_a_key_away(page: Page) -> None:
    page.keyboard.press("f")
    expect(page.get_by_role("link", name="Cancelled")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert "status=" in str(page.evaluate("document.activeElement.href"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Cancelled")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_label("Search runs")).to_be_focused()
    page.keyboard.type("jack f ")
    expect(page.get_by_label("Search runs")).to_have_value("jack f ")
    page.get_by_label("Search runs").fill("ADA 7")
    page.keyboard.press("Enter")
    expect(page.locator("tr.go")).to_have_count(1)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys on this page")
    for text in ("Next run", "Previous run", "Choose it", "Run again", "Search runs", "Status"):
        expect(dialog).to_contain_text(text)


def test_the_run_in_focus_is_run_again_by_key(page: Page, found: Product, made: str) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(page.get_by_text("1 run was started again.")).to_be_visible()
    assert "happens again" in asked[0]
    assert f"workflow={made}" in page.url


def test_a_bar_narrows_the_list_by_key(page: Page) -> None:
    page.locator("svg.hg a").first.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("from=.*&to="))
    expect(page.locator("tr.go").first).to_be_visible()
    page.get_by_role("link", name=re.compile("Remove this filter")).last.click()
    expect(page).not_to_have_url(re.compile("from="))


def test_new_runs_come_on_top_and_focus_stays(page: Page, found: Product, made: str) -> None:
    page.keyboard.press("j")
    page.keyboard.press("j")
    at, listed = focused(page), rows(page)
    new = begin(found, made, 1)
    expect(page.locator(f"#run-{new}")).to_be_visible(timeout=10_000)
    assert rows(page)[1:3] == listed[:2]
    assert focused(page) == at


def test_while_a_run_is_chosen_new_ones_are_told(page: Page, found: Product, made: str) -> None:
    listed = rows(page)
    page.locator("tr.go input").nth(1).check()
    new = begin(found, made, 2)
    told = page.get_by_role("link", name="1 new")
    expect(told).to_be_visible(timeout=10_000)
    assert rows(page) == listed
    assert page.locator("tr.go input").nth(1).is_checked()
    assert axe_findings(page) == []
    told.click()
    expect(page.locator(f"#run-{new}")).to_be_visible()


def test_who_has_gone_down_the_list_is_told_too(page: Page, found: Product, made: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 500})
    page.evaluate("scrollTo(0, 300)")
    listed = rows(page)
    begin(found, made, 3)
    expect(page.get_by_role("link", name="1 new")).to_be_attached(timeout=10_000)
    assert rows(page) == listed


def test_a_list_that_cannot_be_asked_for_stays_and_says_since_when(browser: Browser, found: Product, made: str) -> None:
    with opened(browser, quiet=False) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/?workflow={made}")
        listed, live = rows(page), page.locator("#live")
        expect(live).to_have_text("Live, none running")
        page.route(re.compile("seen="), lambda route: route.abort())
        expect(live).to_contain_text("Not reachable since", timeout=10_000)
        assert rows(page) == listed
        page.unroute(re.compile("seen="))
        expect(live).to_have_text("Live, none running", timeout=10_000)


def test_it_all_works_without_a_script(browser: Browser, found: Product, made: str) -> None:
    with opened(browser, java_script_enabled=False) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/?workflow={made}")
        page.locator("summary", has_text="Status").click()
        page.get_by_role("link", name="Failed", exact=True).click()
        page.wait_for_url(re.compile("status=failed"))
        count = page.locator("tr.go").count()
        assert count >= 3
        page.locator("summary", has_text="Took").click()
        page.get_by_label("Time taken").fill("<1h")
        page.locator("details[open]").get_by_role("button", name="Show").click()
        page.wait_for_url(re.compile("took="))
        assert page.url.count("status=failed") == 1
        assert page.locator("tr.go").count() == count
        page.locator("tr.go input").first.check()
        with page.expect_download() as waits:
            page.get_by_role("button", name="Export").click()
        lines = Path(waits.value.path()).read_text().splitlines()
        assert [json.loads(line)["status"] for line in lines] == ["failed"]
        page.get_by_role("button", name="Run again").click()
        expect(page.get_by_text("1 run was started again.")).to_be_visible()
        assert "took=" in page.url


def test_states_of_the_list_are_looked_at(page: Page, found: Product, made: str) -> None:
    found.manage("tenant", "create", "quiet", "--name", "Quiet", "--owner", "admin")
    waits = found.publish(workflow("Waits", [step("ask", "flow.approve", {"message": "Well?", "approvers": ["ada"]})]))
    run = found.api("POST", f"workflows/{waits}/runs/", json={"payload": {"who": "Ada"}})["id"]
    wait_for(lambda: found.api("GET", f"runs/{run}/")["status"] == "waiting", seconds=20, what="a question")
    # As many squares as a row shows.
    long = found.publish(workflow("Long", [step(f"s{at}", "data.set", {"values": {}}) for at in range(30)]))
    found.api("POST", f"workflows/{long}/runs/?wait=20", json={"payload": {}})
    states = {
        "empty": "/w/quiet/runs/",
        "empty for the filters": "/w/demo/runs/?status=cancelled&from=-1h&q=zz",
        "typical": "/w/demo/runs/",
        "with what is not understood": "/w/demo/runs/?took=long&from=never",
    }
    for name, address in states.items():
        page.goto(found.address + address)
        if name == "typical":
            page.locator("tr.go", has_text="For ada to answer").locator("input").check()
        for scheme, width in VIEWS:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            # At the end of the page nothing lies half under what floats over it.
            page.evaluate("scrollTo(0, document.body.scrollHeight)")
            assert axe_findings(page) == [], (name, scheme, width)
        for width in (320, 730, 1000, 1130):
            page.set_viewport_size({"width": width, "height": 900})
            over = "card => card.scrollWidth - card.clientWidth"
            assert page.locator("#runs > section").evaluate(over) <= 0, (name, width, "cut off")
        page.set_viewport_size({"width": 390, "height": 900})
        page.evaluate("scrollTo(0, 0)")
        for menu in page.locator("summary.fc").all():
            menu.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            # Over rows it is the rows that are found wanting, for what the menu leaves of them.
            assert page.locator("tr.go").count() or axe_findings(page) == [], (name, menu.inner_text())
        assert page.locator("*").count() <= 3_000


@pytest.mark.parametrize("script", [True, False])
def test_filters_are_kept_under_a_name(browser: Browser, found: Product, made: str, script: bool) -> None:
    with opened(browser, java_script_enabled=script) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/?workflow={made}&status=failed")
        views, name = page.get_by_role("navigation", name="Saved views"), f"Stopped, {script}"
        views.locator("summary").click()
        page.get_by_label("Name of the view").fill(name)
        page.keyboard.press("Enter")
        expect(views.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
        views.get_by_role("link", name="All runs").click()
        expect(page.locator("a.fc", has_text="Failed")).to_have_count(0)
        views.get_by_role("link", name=name).click()
        expect(page.locator("a.fc", has_text="Failed")).to_have_count(1)
        views.locator("summary").click()
        if script:
            for scheme, width in VIEWS:
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.set_viewport_size({"width": width, "height": 900})
                assert axe_findings(page) == [], (scheme, width)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_label("Name of the view").fill(f"{name}, renamed")
        page.get_by_role("button", name="Rename").click()
        expect(views.get_by_role("link", name=f"{name}, renamed")).to_be_visible()
        views.locator("summary").click()
        page.get_by_role("button", name="Delete this view").click()
        expect(page.get_by_text("was deleted. Its runs stay.")).to_be_visible()
        expect(views.get_by_role("link", name=name)).to_have_count(0)

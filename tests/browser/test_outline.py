"""The outline and the data column in a browser: what is folded, what does not suit a field, the sheet, and others."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in
from tests.product import PASSWORD, ROOT, Product, step, workflow

pytestmark = pytest.mark.browser

_VALUES = {"city": "Oslo", "seats": 12, "rows": ["a", "b"], "who": {"name": "Ada"}}
_CHOICE = {
    **step("big", "flow.if", {"condition": "{{ true }}"}),
    "lanes": {"then": [step("inner", "data.set", {"values": {"a": 1}})], "else": []},
}
STEPS = [step("first", "data.set", {"values": _VALUES}), _CHOICE, step("tell", "slack.sendMessage", {"channel": "#a"})]
MESSAGE = '[data-field="text"] [role=textbox]'


def leaf(page: Page, path: str) -> Any:
    return page.locator(f"[data-picker] [data-insert='{{{{ steps.first.output.{path} }}}}']")


@pytest.fixture(scope="module")
def at(browser: Browser, found: Product) -> str:
    """Return the address of a workflow whose first step was tried."""
    number = found.api("POST", "workflows/", json=workflow("Outline", STEPS))["id"]
    address = f"{found.address}/w/demo/workflows/{number}/"
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{address}steps/first/")
        page.get_by_role("button", name="Test step").click()
        expect(page.get_by_role("region", name="Last test of this step")).to_contain_text("Test passed")
        expect(page.locator("#last-test")).to_contain_text("last test")
    return address


def test_what_is_folded_stays_so_from_step_to_step(browser: Browser, found: Product, at: str) -> None:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{at}steps/first/")
        inner = page.get_by_role("link", name="Data · Set values").and_(page.locator("[data-card=inner]"))
        expect(inner).to_be_visible()
        page.locator("summary.lh", has_text="Then").press("Enter")
        expect(inner).to_be_hidden()
        page.locator("[data-card=tell]").click()
        page.wait_for_url("**/steps/tell/")
        expect(inner).to_be_hidden()
        expect(page.locator("summary.lh", has_text="Then")).to_contain_text("1 step")
        assert axe_findings(page) == []
        page.locator("summary", has_text="Lanes of").press("Enter")
        expect(page.locator("summary.lh").first).to_be_hidden()
        # A script keeps it for the next page, a moment after the press.
        page.wait_for_function("/lanes=0-[^-;]+-/.test(document.cookie)")
        page.reload()
        expect(page.locator("summary.lh").first).to_be_hidden()
        page.get_by_role("link", name="Expand all").click()
        expect(inner).to_be_visible()
        page.get_by_role("link", name="Collapse all").click()
        expect(inner).to_be_hidden()
        page.goto(f"{at}steps/inner/")
        expect(inner).to_be_visible()


def test_what_does_not_suit_the_field_is_dimmed_says_why_and_is_inserted_all_the_same(
    browser: Browser, found: Product, at: str
) -> None:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{at}steps/tell/")
        for source in page.locator("[data-picker] details").all():
            source.evaluate("details => { details.open = true; }")
        expect(leaf(page, "rows")).not_to_have_attribute("title", "a list; Message takes text")
        page.locator(MESSAGE).focus()
        expect(leaf(page, "rows")).to_have_attribute("title", "a list; Message takes text")
        expect(leaf(page, "rows")).to_have_accessible_description("a list; Message takes text")
        expect(leaf(page, "who")).to_have_attribute("title", "a group of fields; Message takes text")
        for path in ("city", "seats", "who.name"):
            expect(leaf(page, path)).to_have_attribute("title", "")
        colours = "button => getComputedStyle(button.querySelector('.k')).color"
        assert leaf(page, "rows").evaluate(colours) != leaf(page, "city").evaluate(colours)
        assert axe_findings(page) == []
        leaf(page, "rows").click()
        expect(page.locator('[name="in.text"]')).to_have_value("{{ steps.first.output.rows }}")
        page.locator('[data-insert="{{ json(steps.first.output.who) }}"]').click()
        expect(page.locator('[name="in.text"]')).to_have_value(
            "{{ steps.first.output.rows }}{{ json(steps.first.output.who) }}"
        )
        expect(page.locator("#saved")).to_have_text("Saved")
        page.locator("[data-field=text] [role=textbox]").fill("")
        expect(page.locator("#saved")).to_have_text("Saved")


def test_the_data_is_a_sheet_on_a_narrow_page(browser: Browser, found: Product, at: str) -> None:
    for width, scheme in ((1100, "light"), (390, "dark")):
        with opened(browser, viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
            sign_in(page, found.address, PASSWORD)
            page.goto(f"{at}steps/tell/")
            sheet, field = page.locator("#data"), page.locator(MESSAGE)
            expect(sheet).to_be_hidden()
            page.locator("[data-field=text] .insd").click()
            expect(sheet).to_be_visible()
            expect(sheet).to_be_focused()
            expect(page.locator("[data-into-name]")).to_have_text("Message")
            assert axe_findings(page) == []
            page.keyboard.press("Escape")
            expect(sheet).to_be_hidden()
            assert page.evaluate("document.activeElement.closest('[data-field=text]') !== null")

            field.focus()
            page.keyboard.press("Control+Space")
            expect(page.get_by_label("Search names and values")).to_be_focused()
            page.keyboard.press("Escape")
            expect(field).to_be_focused()
            expect(sheet).to_be_hidden()

            page.keyboard.press("Control+Space")
            page.keyboard.type("oslo")
            page.keyboard.press("Enter")
            expect(sheet).to_be_hidden()
            expect(field).to_be_focused()
            expect(page.locator('[name="in.text"]')).to_have_value("{{ steps.first.output.city }}")
            expect(page.locator("#saved")).to_have_text("Saved")
            field.fill("")
            expect(page.locator("#saved")).to_have_text("Saved")


def test_no_width_scrolls_sideways_or_hides_the_way_to_the_data(browser: Browser, found: Product, at: str) -> None:
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        for width in (1440, 1340, 1181, 1180, 1000, 900, 721, 720, 390, 320):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"{at}steps/tell/")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            is_column = width > 1180
            assert page.locator("#data").is_visible() is is_column, width
            assert page.locator("[data-field=text] .insd").is_visible() is not is_column, width


def test_without_a_script_the_data_is_below_the_form_where_a_link_leads(
    browser: Browser, found: Product, at: str
) -> None:
    with opened(browser, java_script_enabled=False, viewport={"width": 900, "height": 900}) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{at}steps/tell/")
        sheet = page.locator("#data")
        expect(sheet).to_be_visible()
        form, data = page.locator(".pn").bounding_box(), sheet.bounding_box()
        assert form
        assert data
        assert data["y"] >= form["y"] + form["height"] - 1
        page.locator("[data-field=text] .insd").click()
        expect(page).to_have_url(f"{at}steps/tell/#data")
        expect(sheet).to_be_in_viewport()
        page.set_viewport_size({"width": 1440, "height": 900})
        expect(sheet).to_be_visible()


def test_another_person_appears_at_the_step_they_edit(browser: Browser, found: Product, at: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "user", "create", "mara.lopez", "--password-stdin"],
        cwd=ROOT, env=found.environment, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    found.manage("member", "add", "--tenant", "demo", "--user", "mara.lopez", "--role", "editor")
    with opened(browser) as page, opened(browser) as other:
        sign_in(page, found.address, PASSWORD)
        sign_in(other, found.address, PASSWORD, "mara.lopez")
        page.goto(f"{at}steps/tell/")
        other.goto(f"{at}steps/first/")
        other.get_by_label("Name of the step").fill("The first one")
        expect(other.locator("#saved")).to_have_text("Saved")
        person = page.locator("[data-card=first]").get_by_role("img", name="mara.lopez")
        expect(person).to_have_count(0)
        page.get_by_label("Name of the step").fill("Tell them")
        expect(person).to_be_visible()
        expect(person).to_have_text("ML")
        assert axe_findings(page) == []
        page.reload()
        expect(person).to_be_visible()
        other.reload()
        expect(other.locator("[data-card=tell]").get_by_role("img", name="admin")).to_be_visible()


def _deep(levels: int) -> dict[str, Any]:
    inner = [
        step("x", "data.set", {"values": {"v": "{{ trigger.body }}"}}),
        step("y", "data.set", {"values": {"v": 1}}),
    ]
    for level in range(levels, 0, -1):
        choice = step(f"d{level}", "flow.if", {"condition": "{{ true }}"})
        inner = [{**choice, "name": f"Level {level}", "lanes": {"then": inner, "else": []}}]
    return inner[0]


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_a_deep_lane_moves_into_its_own_workflow_without_a_script(
    browser: Browser, found: Product, width: int, scheme: Any
) -> None:
    document = workflow(f"Deep {width}", [step("top", "data.set", {"values": {"v": 1}}), _deep(4)])
    address = f"{found.address}/w/demo/workflows/{found.api('POST', 'workflows/', json=document)['id']}/"
    options: dict[str, Any] = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with opened(browser, quiet=False, reduced_motion="reduce", **options) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(address)
        offer = page.get_by_role("link", name="Move into its own workflow (Level 4)")
        expect(offer).to_be_visible()
        assert axe_findings(page) == []
        offer.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Move “Then” of “Level 4” into its own workflow")
        assert axe_findings(page) == []
    with opened(browser, java_script_enabled=False, **options) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{address}steps/d4/extract/")
        page.get_by_role("button", name="Move into its own workflow").click()
        expect(page.locator(".notes")).to_contain_text(f"2 steps moved into “Deep {width} · Then”")
        page.get_by_role("link", name=f"Deep {width} · Then", exact=True).last.click()
        expect(page.get_by_role("link", name="When another workflow calls it")).to_have_count(1)

"""What people and third parties write is shown as text on every page: nothing of it is executed or leaves its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import opened, sign_in
from tests.product import PASSWORD, Product, product, step, wait_for
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.browser

EVIL: Final = (
    "\"'><img src=x onerror=\"window.hit='img'\"><script>window.hit='script'</script>"
    "<svg onload=\"window.hit='svg'\">${7*7}{{ 7 }}<b>bold</b>\u202etxt"
)
NAME: Final = "Evil \"'><script>window.hit=1</script><img src=x onerror=hit=1>"
LONG: Final = "x" * 3_000
# What stands out at the right of a page that is wider than its window.
WIDEST: Final = """() => {
  if (document.documentElement.scrollWidth <= 320) return [];
  const out = (element) => element.getBoundingClientRect().right > 321;
  return [...document.querySelectorAll('body *')].filter((element) => out(element) && ![...element.children].some(out))
    .slice(0, 6).map((element) => element.outerHTML.slice(0, 120));
}"""


@dataclass(frozen=True, kw_only=True)
class World:
    found: Product
    workflow: str
    runs: dict[str, str]
    credential: str


@pytest.fixture(scope="module")
def called() -> Iterator[Upstream]:
    with upstream() as found:
        found.answers["/evil"] = {EVIL: EVIL, "list": [EVIL, {EVIL: [EVIL]}], "html": f"<html>{EVIL}</html>"}
        yield found


@pytest.fixture(scope="module")
def found(called: Upstream) -> Iterator[Product]:
    """A product of its own: nobody else's pages are to show these texts."""
    with product() as made:
        made.up()
        yield made


@pytest.fixture(scope="module")
def world(found: Product) -> World:
    """A workflow whose every text is hostile, with a run that succeeded and one that failed."""
    document = {
        "name": NAME,
        "slug": "evil",
        "description": EVIL,
        "triggers": [{"key": "hook", "type": "webhook", "config": {}}],
        "steps": [
            {
                **step("set", "data.set", {"values": {EVIL[:60]: "{{ trigger.body.evil }}"}}),
                "name": NAME,
                "notes": EVIL,
            },
            {**step("say", "code.python", {"code": f"print({EVIL!r})\n{EVIL!r}"}), "name": NAME},
            {
                **step("each", "flow.foreach", {"items": [{"name": EVIL}, {"name": LONG}]}),
                "name": NAME,
                "lanes": {"body": [{**step("in", "data.set", {"values": {"of": "{{ item.name }}"}}), "name": NAME}]},
            },
            {**step("pick", "flow.switch", {"value": EVIL}), "name": NAME, "lanes": {NAME[:60]: [], "default": []}},
            {**step("fail", "code.python", {"code": f"raise ValueError({EVIL!r})"}), "name": NAME,
             "config": {"inputs": {"code": f"raise ValueError({EVIL!r})"}, "run_if": "{{ trigger.body.fails }}"}},
        ],
    }  # fmt: skip
    made = found.api("POST", "workflows/", json=document)["id"]
    found.api("POST", f"workflows/{made}/publish/", json={"note": EVIL})
    body = {"evil": EVIL, EVIL: EVIL, "long": LONG, "list": [EVIL]}
    runs = {
        name: found.api("POST", f"workflows/{made}/runs/", json={"payload": {**body, "fails": name == "failed"}})["id"]
        for name in ("succeeded", "failed")
    }

    def ended(name: str, run: str) -> bool:
        return bool(found.api("GET", f"runs/{run}/")["status"] == name)

    for name, run in runs.items():
        wait_for(lambda name=name, run=run: ended(name, run), seconds=40, what=f"a run that {name}")
    hook = found.api("GET", f"triggers/?workflow={made}")["results"][0]["url"]
    httpx.post(f"{found.address}{hook}", json=body, headers={"X-Evil": "<script>hit=1</script>"})
    secret = {"name": NAME[:60], "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-1"}}
    credential = found.api("POST", "credentials/", json=secret)["id"]
    return World(found=found, workflow=made, runs=runs, credential=credential)


def addresses(world: World) -> dict[str, str]:
    at, runs = f"/w/demo/workflows/{world.workflow}", world.runs
    good, bad = f"/w/demo/runs/{runs['succeeded']}/", f"/w/demo/runs/{runs['failed']}/"
    found = {f"the step {key}": f"{at}/steps/{key}/" for key in ("set", "say", "each", "in", "pick", "fail")}
    found |= {f"a run, {key}": f"{good}?step={key}" for key in ("@trigger", "set", "say", "each")}
    found |= {
        "home": "/w/demo/", "workflows": "/w/demo/workflows/", "runs": "/w/demo/runs/",
        "the trigger": f"{at}/triggers/hook/", "the add-step menu": f"{at}/add/?after=set",
        "a search for it": f"{at}/add/?after=set&q=%3Cscript%3Ehit%3D1%3C%2Fscript%3E",
        "places to move to": f"{at}/steps/set/move/", "data to build with": f"{at}/data/?step=set",
        "what a step is mended with": f"{at}/steps/fail/?run={runs['failed']}",
        "a part of a result": f"{at}/steps/say/?show=log", "publish": f"{at}/publish/", "versions": f"{at}/versions/",
        "a version": f"{at}/versions/1/", "settings": f"{at}/settings/",
        "a failed run": bad, "a log": f"{good}?step=say&tab=log", "an item": f"{good}?step=each[0].in",
        "runs, a search": "/w/demo/runs/?q=%3Cimg%20src%3Dx%3E",
        "credentials": "/w/demo/credentials/", "a credential": f"/w/demo/credentials/{world.credential}/",
        "admin, workflows": "/admin/workflows/workflow/",
        "admin, a workflow": f"/admin/workflows/workflow/{world.workflow}/change/",
        "admin, runs": "/admin/runs/run/", "admin, a run": f"/admin/runs/run/{runs['failed']}/change/",
    }  # fmt: skip
    return found


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with opened(browser) as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        sign_in(page, world.found.address, PASSWORD)
        yield page


def nothing_ran(page: Page) -> None:
    assert page.evaluate("window.hit ?? null") is None
    assert page.locator("img[src=x], main script:not([src]), svg[onload], main b:text-is('bold')").count() == 0


def test_every_page_shows_hostile_texts_and_runs_nothing(page: Page, world: World) -> None:
    shown = 0
    for name, address in addresses(world).items():
        answer = page.goto(world.found.address + address)
        assert answer is not None, name
        assert answer.status == 200, name
        page.wait_for_timeout(50)
        nothing_ran(page)
        shown += "<script>" in page.locator("body").inner_text()
    assert shown > 15, "the hostile texts are there to be seen"


def test_no_page_of_them_scrolls_sideways_on_a_small_telephone(page: Page, world: World) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    for name, address in addresses(world).items():
        page.goto(world.found.address + address)
        assert page.evaluate(WIDEST) == [], name


def test_what_scripts_draw_of_them_is_text_too(page: Page, world: World) -> None:
    """Chips, what a save answers, the data column's search and the add-step menu draw with a script."""
    page.goto(f"{world.found.address}/w/demo/workflows/{world.workflow}/steps/set/")
    field = page.get_by_label("Values, value 2")
    field.fill(f"{EVIL} {{{{ trigger.body['<img src=x onerror=hit=1>'] }}}}")
    page.get_by_label("Values, name 2").fill("other")
    expect(page.locator("#saved")).to_have_text("Saved")
    nothing_ran(page)
    page.get_by_label("Name of the step").fill(f"{NAME} 2")
    expect(page.locator("[data-panel-title]")).to_have_text(f"{NAME} 2")
    page.get_by_label("Search names and values").fill("<img")
    nothing_ran(page)
    page.goto(f"{world.found.address}/w/demo/workflows/{world.workflow}/add/?after=set")
    page.get_by_label("Search actions").fill("<img src=x onerror=hit=1>")
    expect(page.get_by_text("Nothing for")).to_be_visible()
    nothing_ran(page)


def test_a_hostile_answer_of_a_third_party_is_text_in_the_result(page: Page, world: World, called: Upstream) -> None:
    made: Any = world.found.api(
        "POST",
        "workflows/",
        json={"name": "Third", "steps": [step("ask", "data.set", {"values": {"a": {EVIL: [EVIL]}}})]},
    )
    page.goto(f"{world.found.address}/w/demo/workflows/{made['id']}/steps/ask/")
    page.get_by_role("button", name="Test step").click()
    expect(page.locator("#result")).to_contain_text("Test passed")
    expect(page.locator("#result")).to_contain_text("onerror")
    nothing_ran(page)

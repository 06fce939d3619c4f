"""axe finds nothing on any page, light and dark, wide and narrow; no page scrolls sideways on a small telephone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Page

from tests.browser.chromium import axe_findings, chromium, opened, sign_in
from tests.product import PASSWORD, Product, product, step, wait_for, workflow
from tests.upstream import upstream

pytestmark = pytest.mark.browser

VIEWS: Final[list[tuple[Any, int]]] = [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)]
DOCUMENT_BYTES: Final = 25 * 1024
CSS_BYTES: Final = 14 * 1024
JS_BYTES: Final = 30 * 1024
REQUESTS: Final = 6


def _holds(key: str, action: str, inputs: dict[str, Any], **lanes: list[dict[str, Any]]) -> dict[str, Any]:
    return {**step(key, action, inputs), "lanes": lanes}


def _sets(key: str) -> dict[str, Any]:
    return step(key, "data.set", {"values": {"from": key}})


# Lanes in lanes, a loop with an item that fails and a loop in it, lanes side by side, and a wait for a person.
_PICK: Final = "def main(input):\n    if input['i'] == 1:\n        raise ValueError('out of stock')\n    return input"
TREE: Final = [
    _holds("big", "flow.if", {"condition": "{{ true }}"}, then=[_sets("tell")], **{"else": [_sets("write")]}),
    _holds("plan", "flow.switch", {"value": "gold"}, gold=[_sets("call")], silver=[], default=[_sets("note")]),
    _holds(
        "each",
        "flow.foreach",
        {"items": [{"id": 1}, {"id": 2}, {"id": 3}], "on_item_error": "continue"},
        body=[
            step("pick", "code.python", {"code": _PICK, "input": {"i": "{{ index }}"}}),
            _holds("lines", "flow.foreach", {"items": [1, 2]}, body=[_sets("pack")]),
        ],
    ),
    _holds("both", "flow.parallel", {}, left=[_sets("score")], right=[]),
    step("boss", "flow.approve", {"message": "Is it all right?"}),
    _sets("last"),
]


@dataclass(frozen=True, kw_only=True)
class World:
    """A product with something on every page, and a browser that is signed in to it."""

    found: Product
    page: Page
    pages: dict[str, str]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with upstream() as called, product(EGRESS_ALLOW=called.address.removeprefix("http://")) as found:
        found.up()
        pages = _filled(found, called.address)
        # axe itself writes styles, which the policy refuses and the console tells.
        with chromium() as browser, opened(browser, quiet=False, reduced_motion="reduce") as page:
            sign_in(page, found.address, PASSWORD)
            yield World(found=found, page=page, pages=pages)


def _filled(found: Product, upstream_address: str) -> dict[str, str]:
    """Fill the product; return the address of each page by what it shows."""
    good = found.publish(
        workflow(
            "Look up a company",
            [
                step("company", "http.request", {"url": f"{upstream_address}/companies/1"}),
                step("named", "data.set", {"values": {"who": "{{ trigger.body.name }}", "count": 3}}),
                step("text", "code.python", {"code": "print('hi')\n'done'"}),
            ],
        )
    )
    bad = found.publish(workflow("Fails", [step("boom", "code.python", {"code": "raise ValueError('boom')"})]))
    slow = found.publish(workflow("Slow", [step("wait", "http.request", {"url": f"{upstream_address}/?slow=25"})]))
    asks = found.publish(workflow("Asks", [step("link", "data.set", _LINK), step("ok", "flow.approve", _QUESTION)]))
    lost = found.publish(workflow("Lost", [step("send", "http.request", _slow(upstream_address), **_ASK)]))
    broken = found.api("POST", "workflows/", json=workflow("Has problems", [step("tell", "slack.sendMessage", {})]))[
        "id"
    ]
    tree = found.publish(workflow("Everything", TREE))
    credential = found.api(
        "POST",
        "credentials/",
        json={"name": "team", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-1-2"}},
    )["id"]
    runs = {
        name: found.api("POST", f"workflows/{of}/runs/", json={"payload": {"name": "Ada"}})["id"]
        for name, of in (
            *(("good", good), ("bad", bad), ("slow", slow), ("asks", asks), ("done", asks)),
            *(("lost", lost), ("tree", tree)),
        )
    }
    links = {name: _link(found, runs[name]) for name in ("asks", "done")}
    rejected = {"path": "ok", "decision": "rejected", "comment": "No."}
    found.api("POST", f"runs/{runs['done']}/resolve/", json=rejected)
    for name in ("good", "bad"):
        wait_for(lambda name=name: _has(found, runs[name], "succeeded", "failed"), seconds=30, what="a run to end")
    wait_for(lambda: _has(found, runs["lost"], "waiting"), seconds=30, what="a call to be lost")
    wait_for(lambda: _has(found, runs["tree"], "waiting"), seconds=30, what="a run to wait")
    found.api("PATCH", f"workflows/{good}/", json={"description": "Changed since it was published"})
    home = "/w/demo"
    return {
        "home": f"{home}/",
        "workflows": f"{home}/workflows/",
        "builder, a step": f"{home}/workflows/{good}/steps/company/",
        "builder, code": f"{home}/workflows/{good}/steps/text/",
        "builder, a trigger": f"{home}/workflows/{good}/triggers/hook/",
        "builder, problems": f"{home}/workflows/{broken}/steps/tell/",
        "add a step": f"{home}/workflows/{good}/add/?after=company",
        "nothing found": f"{home}/workflows/{good}/add/?after=company&q=zzzz",
        "publish": f"{home}/workflows/{good}/publish/",
        "publish, problems": f"{home}/workflows/{broken}/publish/",
        "versions": f"{home}/workflows/{good}/versions/",
        "a version": f"{home}/workflows/{good}/versions/1/",
        "settings": f"{home}/workflows/{good}/settings/",
        "runs": f"{home}/runs/",
        "no runs": f"{home}/runs/?q=zzzz",
        "a run": f"{home}/runs/{runs['good']}/",
        "a run's log": f"{home}/runs/{runs['good']}/?step=text&tab=log",
        "a failed run": f"{home}/runs/{runs['bad']}/",
        "a run under way": f"{home}/runs/{runs['slow']}/",
        "a run that waits": f"{home}/runs/{runs['asks']}/",
        "a run nobody knows of": f"{home}/runs/{runs['lost']}/",
        "an approval": links["asks"],
        "an answered approval": links["done"],
        "an approval's thanks": f"{links['done']}?thanks",
        "a wrong link": "/a/nothing",
        "a waiting run with lanes and a loop": f"{home}/runs/{runs['tree']}/",
        "a failed step of a loop": f"{home}/runs/{runs['tree']}/?step=each[1].pick",
        "an item of a loop": f"{home}/runs/{runs['tree']}/?step=each[0]&loop=each&from=0",
        "builder, nested lanes": f"{home}/workflows/{tree}/steps/plan/",
        "builder, a lane that is to go": f"{home}/workflows/{tree}/steps/both/?remove=left",
        "builder, a step in a loop": f"{home}/workflows/{tree}/steps/pick/",
        "credentials": f"{home}/credentials/",
        "a credential": f"{home}/credentials/{credential}/",
        "a credential's form": f"{home}/credentials/{credential}/?edit=1",
        "new credential": f"{home}/credentials/new/",
        "new credential's form": f"{home}/credentials/new/?provider=openai",
        "integrations": f"{home}/integrations/",
        "developers": f"{home}/developers/",
        "not found": f"{home}/nothing/",
        "admin": "/admin/",
        "admin, workflows": "/admin/workflows/workflow/",
        "admin, a workflow": f"/admin/workflows/workflow/{good}/change/",
        "admin, runs": "/admin/runs/run/",
        "admin, a run": f"/admin/runs/run/{runs['good']}/change/",
        "admin, credentials": "/admin/vault/credential/",
        "admin, new credential": "/admin/vault/credential/add/",
    }


def _has(found: Product, run: str, *statuses: str) -> bool:
    return found.api("GET", f"runs/{run}/")["status"] in statuses


def _link(found: Product, run: str) -> str:
    """Wait until a run asks, and return the address of its question."""
    wait_for(lambda: _has(found, run, "waiting"), seconds=30, what="a question")
    output = found.api("GET", f"runs/{run}/")["steps"][0]["output"]
    return str(output["url"]).removeprefix(found.address)


def _slow(address: str) -> dict[str, Any]:
    return {"method": "POST", "url": f"{address}/?slow=25"}


_ASK: Final = {"timeout": 1, "on_lost": "ask"}
_LINK: Final = {"values": {"url": "{{ run.links.ok }}"}}
_QUESTION: Final = {
    "message": "Refund order 17?\n\nThe customer asked twice.",
    "timeout": 86_400,
    "form": {
        "type": "object",
        "properties": {
            "amount": {"type": "number", "title": "Amount", "description": "In EUR"},
            "plan": {"enum": ["free", "gold"]},
            "note": {"type": "string", "format": "textarea"},
            "due": {"type": "string", "format": "date"},
            "sure": {"type": "boolean", "title": "I have called them"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["amount"],
    },
}


NAMES: Final = (
    "home", "workflows", "builder, a step", "builder, code", "builder, a trigger", "builder, problems", "add a step",
    "nothing found", "publish", "publish, problems", "versions", "a version", "settings", "runs", "no runs", "a run",
    "a run's log", "a failed run", "a run under way", "a run that waits", "a run nobody knows of", "an approval",
    "an answered approval", "an approval's thanks", "a wrong link", "a waiting run with lanes and a loop",
    "a failed step of a loop", "an item of a loop", "builder, nested lanes", "builder, a lane that is to go",
    "builder, a step in a loop", "credentials", "a credential",
    "a credential's form", "new credential", "new credential's form", "integrations", "developers", "not found",
    "admin", "admin, workflows", "admin, a workflow", "admin, runs", "admin, a run", "admin, credentials",
    "admin, new credential",
)  # fmt: skip


def test_every_page_that_is_filled_is_looked_at(world: World) -> None:
    assert set(NAMES) == set(world.pages)


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing(world: World, name: str) -> None:
    page = world.page
    page.goto(world.found.address + world.pages[name])
    found = []
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        found += [f"{scheme} {width}: {line}" for line in axe_findings(page)]
    assert found == []


@pytest.mark.parametrize("name", NAMES)
def test_no_page_scrolls_sideways_on_a_small_telephone(world: World, name: str) -> None:
    world.page.set_viewport_size({"width": 320, "height": 640})
    world.page.goto(world.found.address + world.pages[name])
    width = world.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 320


def test_no_page_breaks_its_own_policy(world: World) -> None:
    browser = world.page.context.browser
    assert browser is not None
    with opened(browser) as page:
        sign_in(page, world.found.address, PASSWORD)
        for address in world.pages.values():
            page.goto(world.found.address + address)


def test_signing_in_is_looked_at_too(world: World) -> None:
    with_browser = world.page.context.browser
    assert with_browser is not None
    with opened(with_browser, quiet=False) as page:
        page.goto(f"{world.found.address}/sign-in/")
        for scheme, width in VIEWS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            assert axe_findings(page) == []


def test_what_is_wrong_with_an_answer_is_looked_at_too(world: World) -> None:
    page = world.page
    for name, button in (("an approval", "Approve"), ("a run that waits", "Approve")):
        page.goto(world.found.address + world.pages[name])
        page.get_by_role("button", name=button).click()
        page.get_by_text("Fill this in.").wait_for()
        for scheme, width in VIEWS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            assert axe_findings(page) == [], (name, scheme, width)


def test_pages_of_loops_have_few_elements_and_work_without_a_script(world: World) -> None:
    browser = world.page.context.browser
    assert browser is not None
    cookies: Any = world.page.context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(world.found.address + world.pages["a waiting run with lanes and a loop"])
    page.locator(".wl").get_by_role("link", name="Item 2").click()
    assert page.locator("#inspector h2").inner_text() == "Item 2 of 3"
    page.locator(".wl").get_by_role("link", name="Run Python").first.click()
    assert page.locator(".wr[aria-current=true]").count() == 1
    for name in ("builder, nested lanes", "a failed step of a loop"):
        page.goto(world.found.address + world.pages[name])
        assert page.locator("*").count() <= 3_000
    context.close()


def test_pages_are_light(world: World) -> None:
    """Documents, styles and scripts stay within their budgets, as they are sent."""
    cookies = {cookie["name"]: cookie["value"] for cookie in world.page.context.cookies()}
    with httpx.Client(base_url=world.found.address, cookies=cookies) as client:
        for name, address in world.pages.items():
            if name.startswith("admin"):
                continue
            size = len(gzip.compress(client.get(address).content))
            assert size <= DOCUMENT_BYTES, (name, size)
    requests: list[tuple[str, str]] = []
    context = world.page.context.browser.new_context()  # type: ignore[union-attr]
    context.add_cookies(json.loads(json.dumps(world.page.context.cookies())))
    page = context.new_page()
    page.on("request", lambda request: requests.append((request.resource_type, request.url)))
    page.goto(world.found.address + world.pages["builder, a step"])
    page.wait_for_load_state("networkidle")
    context.close()
    assert len(requests) <= REQUESTS, requests
    sizes = {"stylesheet": 0, "script": 0}
    for kind, url in requests:
        if kind in sizes:
            sizes[kind] += len(gzip.compress(httpx.get(url).content))
    assert 0 < sizes["stylesheet"] <= CSS_BYTES
    assert 0 < sizes["script"] <= JS_BYTES

"""Every page is light and keeps its own policy, and axe finds nothing on it, light and dark, wide and narrow.

No page scrolls sideways on a small telephone.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import axe_findings, opened, sign_in, told_errors, unexpected
from tests.product import PASSWORD, ROOT, Product, product, step, wait_for, workflow
from tests.upstream import upstream

pytestmark = pytest.mark.browser

VIEWS: Final[list[tuple[Any, int]]] = [("light", 1440), ("dark", 1440), ("light", 390), ("dark", 390)]
DOCUMENT_BYTES: Final = 25 * 1024
CSS_BYTES: Final = 14 * 1024
JS_BYTES: Final = 30 * 1024
REQUESTS: Final = 6
STATIC: Final = ROOT / "orchestrator/static"


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


# Triggers that are not for requests: what there is to look for, of either kind one that is chosen and lacks something,
# and the others.
WAYS: Final = [
    {"key": "new", "type": "polling", "config": {}},
    {"key": "mail", "type": "polling", "config": {"trigger": "email.newMessage", "interval": 5}},
    {"key": "hub", "type": "event", "config": {"trigger": "github.newEvent", "inputs": {"repository": "a"}}},
    {"key": "called", "type": "workflow", "config": {"callers": ["gone"], "input": {"type": "object"}}},
    {"key": "fails", "type": "error", "config": {"workflows": ["gone"]}},
]


@dataclass(frozen=True, kw_only=True)
class World:
    """A product with something on every page, and a browser that is signed in to it and comes as for the first time.

    ``asked`` and ``said`` are what the page asked for, and what the console told as an error, since they were cleared.
    """

    found: Product
    page: Page
    pages: dict[str, str]
    asked: list[str]
    said: list[str]


@pytest.fixture(scope="module")
def world(browser: Browser) -> Iterator[World]:
    with upstream() as called, product(EGRESS_ALLOW=called.address.removeprefix("http://")) as found:
        found.up()
        pages = _filled(found, called.address)
        # axe itself writes styles, which the policy refuses and the console tells.
        with opened(browser, quiet=False, reduced_motion="reduce") as page:
            sign_in(page, found.address, PASSWORD)
            page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            yield World(found=found, page=page, pages=pages, asked=asked, said=told_errors(page))


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
    problems = workflow("Has problems", [step("tell", "slack.sendMessage", {}), step("out", "data.set", {}, skip=True)])
    broken = found.api("POST", "workflows/", json=problems)["id"]
    tree = found.publish(workflow("Everything", TREE))
    credential = found.api(
        "POST",
        "credentials/",
        json={"name": "team", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-1-2"}},
    )["id"]
    for number in range(9):
        secret = {"auth_type": "basic", "secret": {"username": "ada", "password": "p"}}
        found.api("POST", "credentials/", json={"name": f"mail-{number}", "provider": "http", **secret})
    told = {**step("tell", "slack.sendMessage", {"channel": "#a", "text": "b"}), "credential": "team"}
    uses = found.api("POST", "workflows/", json=workflow("Tells a team", [told]))["id"]
    ways = found.api("POST", "workflows/", json=workflow("Many ways in", [_sets("a")], triggers=WAYS))["id"]
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
    found.manage("tenant", "create", "empty")
    changed = [step("company", "http.request", {"url": f"{upstream_address}/companies/{{{{ trigger.body.id }}}}"})]
    changed += [step("text", "code.python", {"code": "print('hello')\n'done'"}), _sets("new")]
    found.api("PATCH", f"workflows/{good}/", json={"description": "Changed", "steps": changed})
    found.api("PATCH", f"workflows/{bad}/", json={"steps": [step("boom", "code.python", {"code": "1 / 0"})]})
    found.api("POST", f"workflows/{bad}/publish/", json={"auto_return": {"failures": 5, "runs": 20}})
    home = "/w/demo"
    return {
        "home": f"{home}/",
        "workflows": f"{home}/workflows/",
        "builder, a step": f"{home}/workflows/{good}/steps/company/",
        "builder, an API's description": f"{home}/workflows/{good}/steps/company/openapi/",
        "builder, beside HTTP": f"{home}/workflows/{uses}/steps/tell/compare/?ask=action",
        "builder, code": f"{home}/workflows/{good}/steps/text/",
        "builder, a trigger": f"{home}/workflows/{good}/triggers/hook/",
        "builder, what to look for": f"{home}/workflows/{ways}/triggers/new/",
        "builder, an app's change": f"{home}/workflows/{ways}/triggers/mail/",
        "builder, an app's event": f"{home}/workflows/{ways}/triggers/hub/",
        "builder, who may call": f"{home}/workflows/{ways}/triggers/called/",
        "builder, whose failures": f"{home}/workflows/{ways}/triggers/fails/",
        "builder, problems": f"{home}/workflows/{broken}/steps/tell/",
        "add a step": f"{home}/workflows/{good}/add/?after=company",
        "nothing found": f"{home}/workflows/{good}/add/?after=company&q=zzzz",
        "the draft and real requests": f"{home}/workflows/{good}/test/requests/",
        "publish": f"{home}/workflows/{good}/publish/",
        "publish, problems": f"{home}/workflows/{broken}/publish/",
        "versions": f"{home}/workflows/{good}/versions/",
        "a version": f"{home}/workflows/{good}/versions/1/",
        "versions, one that may go back": f"{home}/workflows/{bad}/versions/",
        "versions compared": f"{home}/workflows/{bad}/versions/1...2/",
        "settings": f"{home}/workflows/{good}/settings/",
        "a workflow's file": f"{home}/workflows/{good}/file/replace/",
        "import": f"{home}/workflows/import/",
        "runs": f"{home}/runs/",
        "no runs": f"{home}/runs/?q=zzzz&status=cancelled&from=-1h",
        "runs, narrowed": f"{home}/runs/?from=-1h&took=%3E1ms&took=x&status=succeeded&status=failed&workflow={good}",
        "a run": f"{home}/runs/{runs['good']}/",
        "a run's log": f"{home}/runs/{runs['good']}/?step=text&tab=log",
        "a run's data": f"{home}/runs/{runs['good']}/?step=company&tab=data&value=output&at=body&find=a#picked",
        "a list as a table": f"{home}/runs/{runs['tree']}/?step=each&tab=data&value=input&at=items&as=table",
        "the log of a run": f"{home}/runs/{runs['good']}/log/?find=hi",
        "an empty log": f"{home}/runs/{runs['asks']}/log/?level=error",
        "two runs compared": f"{home}/runs/{runs['asks']}/compare/{runs['done']}/?step=link",
        "two runs with loops compared": f"{home}/runs/{runs['tree']}/compare/{runs['tree']}/",
        "runs of two workflows": f"{home}/runs/{runs['good']}/compare/{runs['bad']}/",
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
        "builder, what is asked before a test": f"{home}/workflows/{lost}/steps/send/?ask=1",
        "builder, a run is mended": f"{home}/workflows/{bad}/steps/boom/?run={runs['bad']}",
        "builder, part of a result": f"{home}/workflows/{bad}/steps/boom/?show=input",
        "data to build with": f"{home}/workflows/{good}/data/?step=company",
        "places to move to": f"{home}/workflows/{tree}/steps/pick/move/",
        "builder, left out": f"{home}/workflows/{broken}/steps/out/",
        "credentials": f"{home}/credentials/",
        "a credential": f"{home}/credentials/{credential}/",
        "a credential's form": f"{home}/credentials/{credential}/?edit=1",
        "a credential that is to go": f"{home}/credentials/{credential}/?delete=1",
        "credentials, sorted": f"{home}/credentials/?sort=health&health=not_checked&q=mail",
        "no credential like that": f"{home}/credentials/?q=zzzz",
        "builder, a step's credential": f"{home}/workflows/{uses}/steps/tell/",
        "no choices": f"{home}/workflows/{broken}/steps/tell/options/channel/",
        "new credential": f"{home}/credentials/new/",
        "new credential's form": f"{home}/credentials/new/?provider=openai",
        "home without workflows": "/w/empty/",
        "workflows, narrowed": f"{home}/workflows/?status=failing&sort=last",
        "no workflows": f"{home}/workflows/?q=zzzz&status=draft",
        "search": f"{home}/search/",
        "search, found": f"{home}/search/?q=company",
        "search, nothing": f"{home}/search/?q=zzzz",
        "integrations": f"{home}/integrations/",
        "integrations, found": f"{home}/integrations/?q=sned",
        "integrations, nothing": f"{home}/integrations/?q=zzzz",
        "a provider": f"{home}/integrations/slack/",
        "a provider with a trigger": f"{home}/integrations/email/",
        "an action": f"{home}/integrations/http/request/",
        "an action without a form": f"{home}/integrations/flow/callback/",
        "developers": f"{home}/developers/",
        "reference": f"{home}/developers/reference/",
        "library": f"{home}/developers/library/",
        "errors": f"{home}/developers/events/",
        "API keys": f"{home}/developers/keys/",
        "tenant settings": f"{home}/settings/",
        "members": f"{home}/settings/members/",
        "invitations": f"{home}/settings/invitations/",
        "alerts": f"{home}/settings/alerts/",
        "an alert channel": f"{home}/settings/alerts/{_channels(found, good)}/",
        "a new alert channel": f"{home}/settings/alerts/new/?kind=slack",
        "alerts, none": "/w/empty/settings/alerts/",
        "single sign-on": f"{home}/settings/sso/",
        "audit log": f"{home}/settings/audit/",
        "audit log, nothing": f"{home}/settings/audit/?who=nobody&from=2026-01-01",
        "your account": "/account/",
        "an invitation": _invitation(found),
        "not found": f"{home}/nothing/",
        "admin": "/admin/",
        "admin, workflows": "/admin/workflows/workflow/",
        "admin, a workflow": f"/admin/workflows/workflow/{good}/change/",
        "admin, runs": "/admin/runs/run/",
        "admin, a run": f"/admin/runs/run/{runs['good']}/change/",
        "admin, credentials": "/admin/vault/credential/",
        "admin, new credential": "/admin/vault/credential/add/",
    }


def _invitation(found: Product) -> str:
    """Make invitations, one of them ended; return where the link of an open one leads."""
    ended = found.api("POST", "invitations/", json={"role": "viewer", "note": "ada@example.com"})["id"]
    found.api("DELETE", f"invitations/{ended}/")
    made: str = found.api("POST", "invitations/", json={"role": "editor"})["url"]
    return made.removeprefix(found.address)


def _channels(found: Product, workflow_id: str) -> str:
    """Make channels of alerts, one of which does not reach anybody; return its id."""
    found.api("POST", "alert-channels/", json={"kind": "email", "name": "On call", "emails": ["ada@example.com"]})
    url = "http://127.0.0.1:9/x"
    hook = {"kind": "webhook", "name": "Pager", "url": url, "workflows": [workflow_id]}
    made: str = found.api("POST", "alert-channels/", json=hook)["id"]
    found.api("POST", f"alert-channels/{made}/test/")
    return made


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
    "builder, what to look for", "builder, an app's change", "builder, an app's event", "builder, who may call",
    "builder, whose failures", "builder, an API's description", "builder, beside HTTP",
    "a provider with a trigger",
    "nothing found", "the draft and real requests", "publish", "publish, problems",
    "versions", "a version", "settings", "a workflow's file", "import", "runs", "no runs",
    "runs, narrowed", "a run",
    "a run's log", "a run's data", "a list as a table", "the log of a run", "an empty log", "two runs compared",
    "two runs with loops compared", "runs of two workflows", "a failed run",
    "a run under way", "a run that waits", "a run nobody knows of", "an approval",
    "an answered approval", "an approval's thanks", "a wrong link", "a waiting run with lanes and a loop",
    "a failed step of a loop", "an item of a loop", "builder, nested lanes", "builder, a lane that is to go",
    "builder, a step in a loop", "builder, what is asked before a test", "builder, a run is mended",
    "builder, part of a result", "data to build with", "places to move to", "builder, left out",
    "credentials", "a credential",
    "a credential's form", "a credential that is to go", "credentials, sorted", "no credential like that",
    "builder, a step's credential", "no choices", "new credential", "new credential's form", "integrations",
    "developers", "library", "errors", "API keys", "tenant settings", "members", "invitations", "audit log",
    "single sign-on", "alerts", "an alert channel", "a new alert channel", "alerts, none",
    "audit log, nothing", "your account", "an invitation",
    "not found",
    "home without workflows", "workflows, narrowed", "no workflows", "search", "search, found",
    "search, nothing", "integrations, found",
    "integrations, nothing", "a provider", "an action", "an action without a form", "reference",
    "admin", "admin, workflows", "admin, a workflow", "admin, runs", "admin, a run", "admin, credentials",
    "admin, new credential", "versions compared", "versions, one that may go back",
)  # fmt: skip


def test_every_page_that_is_filled_is_looked_at(world: World) -> None:
    assert set(NAMES) == set(world.pages)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_light_keeps_its_policy_and_axe_finds_nothing_on_it(world: World, name: str) -> None:
    """With all that comes with it, its icon too; the admin's files are Django's own."""
    page = world.page
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light")
    page.goto("about:blank")
    world.asked.clear()
    world.said.clear()
    answer = page.goto(world.found.address + world.pages[name])
    # What a script asks for as it starts; a page that goes on by itself asks again after a longer time.
    page.wait_for_timeout(100)
    # axe writes styles, which the policy refuses: so this comes before it.
    assert unexpected(world.said) == []
    if not name.startswith("admin"):
        assert answer is not None
        assert len(gzip.compress(answer.body())) <= DOCUMENT_BYTES
        assert len([url for url in world.asked if url.startswith("http")]) <= REQUESTS, world.asked
    found = []
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        # What stands where, and what it is called, no theme changes.
        found += [f"{scheme} {width}: {line}" for line in axe_findings(page, colours_only=scheme == "dark")]
    assert found == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


# Texts of labels that lie under the links at their right.
_HIDDEN_LABELS: Final = """() => [...document.querySelectorAll('.f')].filter((field) => {
  const words = document.createRange(), label = field.querySelector(':scope > label, :scope > .lb');
  if (!label) return false;
  words.selectNodeContents(label);
  return [...field.querySelectorAll(':scope > .astext, :scope > .insd')].some((link) => {
    const at = link.getBoundingClientRect();
    return [...words.getClientRects()].some((text) => text.width && at.width && text.right > at.left
      && text.left < at.right && text.bottom > at.top + 4 && text.top < at.bottom - 4);
  });
}).map((field) => field.dataset.label)"""


def test_no_label_lies_under_its_links_on_a_small_telephone(world: World) -> None:
    world.page.set_viewport_size({"width": 390, "height": 844})
    world.page.goto(world.found.address + world.pages["builder, a step"])
    world.page.evaluate("document.querySelectorAll('form details').forEach((fold) => { fold.open = true })")
    assert world.page.locator(".astext").count() > 0
    assert world.page.evaluate(_HIDDEN_LABELS) == []


def test_the_tabs_of_a_workflow_stand_in_the_middle_of_each_of_its_pages(world: World) -> None:
    page = world.page
    page.set_viewport_size({"width": 1440, "height": 900})
    for name in ("builder, a step", "versions", "settings", "publish"):
        page.goto(world.found.address + world.pages[name])
        header, tabs = (page.locator(each).bounding_box() for each in (".wtop", ".wtop .seg"))
        assert header
        assert tabs
        assert abs(header["x"] + header["width"] / 2 - tabs["x"] - tabs["width"] / 2) < 2, name


def test_signing_in_is_looked_at_too(world: World) -> None:
    with_browser = world.page.context.browser
    assert with_browser is not None
    with opened(with_browser, quiet=False) as page:
        page.goto(f"{world.found.address}/sign-in/")
        for scheme, width in VIEWS:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            assert axe_findings(page) == []


def test_joining_and_the_second_factor_are_looked_at_and_work_without_a_script(world: World) -> None:
    """Who is invited makes an account, sets a second factor up, and signs in again with a recovery code."""
    browser, found = world.page.context.browser, world.found
    assert browser is not None
    link = found.api("POST", "invitations/", json={"role": "viewer"})["url"]
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(link)
    page.get_by_label("User name").fill("priya")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_label("Password again").fill("correct horse battery")
    page.get_by_role("button", name="Make the account and join").click()
    page.goto(f"{found.address}/account/")
    page.get_by_label("Your password").fill("correct horse battery")
    page.get_by_role("button", name="Set it up").click()
    with opened(browser, quiet=False, storage_state=context.storage_state()) as looked:
        looked.goto(page.url)
        _look(looked)
        page.get_by_text("It cannot be scanned").click()
        secret = page.locator("#secret").inner_text().replace(" ", "")
        page.get_by_label("Code", exact=True).fill(pyotp.TOTP(secret).now())
        page.get_by_role("button", name="Turn it on").click()
        recovery = page.locator("#recovery").inner_text().split()
        assert len(recovery) == 10
        looked.goto(f"{found.address}/account/")
        _look(looked)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("User name").fill("priya")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    with opened(browser, quiet=False, storage_state=context.storage_state()) as looked:
        looked.goto(page.url)
        _look(looked)
    page.get_by_label("Code", exact=True).fill(recovery[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{found.address}/w/demo/")
    context.close()


def _look(page: Page) -> None:
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert axe_findings(page) == [], (scheme, width)


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


def test_enter_publishes_and_the_header_undoes_it(world: World) -> None:
    page, found = world.page, world.found
    made = found.publish(workflow("Twice", [_sets("a")]))
    found.api("PATCH", f"workflows/{made}/", json={"steps": [_sets("b")]})
    builder = f"{found.address}/w/demo/workflows/{made}/"
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{builder}publish/")
    # The browser gives the focus after the page is there.
    expect(page.get_by_role("button", name="Publish", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_text("Version 2 is live.").wait_for()
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert axe_findings(page) == [], (scheme, width)
    page.get_by_role("button", name="Undo (for 30 seconds)").click()
    page.get_by_text("Version 1 is live again.").wait_for()
    assert found.api("GET", f"workflows/{made}/")["published_version"] == 1
    # From the note too, while Enter alone begins a line there.
    page.goto(f"{builder}publish/")
    page.get_by_label("What changed").fill("A note")
    page.get_by_label("What changed").press("Control+Enter")
    page.get_by_text("Version 3 is live.").wait_for()
    assert found.api("GET", f"workflows/{made}/versions/3/")["note"] == "A note"


def test_what_a_stale_publish_says_is_looked_at_too(world: World) -> None:
    page, found = world.page, world.found
    made = found.publish(workflow("Shared", [_sets("a")]))
    found.api("PATCH", f"workflows/{made}/", json={"steps": [_sets("b")]})
    page.goto(f"{found.address}/w/demo/workflows/{made}/publish/")
    found.api("PATCH", f"workflows/{made}/", json={"steps": [_sets("c")]})
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("changed the draft while this page was open").wait_for()
    for scheme, width in VIEWS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        assert axe_findings(page) == [], (scheme, width)
    assert page.get_by_role("checkbox").is_checked()
    assert found.api("GET", f"workflows/{made}/")["published_version"] == 1


def test_publishing_and_going_back_work_without_a_script(world: World) -> None:
    browser, found = world.page.context.browser, world.found
    assert browser is not None
    made = found.publish(workflow("Plain", [_sets("a")]))
    found.api("PATCH", f"workflows/{made}/", json={"steps": [_sets("b")]})
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(world.page.context.cookies())  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{found.address}/w/demo/workflows/{made}/publish/")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("button", name="Undo (for 30 seconds)").click()
    assert found.api("GET", f"workflows/{made}/")["published_version"] == 1
    page.goto(f"{found.address}/w/demo/workflows/{made}/versions/")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("h1")).to_have_text("From version 1 to version 2")
    page.get_by_role("link", name="Version 2").click()
    page.get_by_role("button", name="Publish this again").click()
    assert found.api("GET", f"workflows/{made}/")["published_version"] == 3
    page.goto(f"{found.address}/w/demo/workflows/{made}/versions/1/")
    page.get_by_role("button", name="Restore into the draft").click()
    assert [each["key"] for each in found.api("GET", f"workflows/{made}/")["steps"]] == ["a"]
    context.close()


def test_pages_of_loops_have_few_elements_and_work_without_a_script(world: World) -> None:
    browser = world.page.context.browser
    assert browser is not None
    cookies: Any = world.page.context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(world.found.address + world.pages["a waiting run with lanes and a loop"])
    page.locator(".wl").get_by_role("link", name="Item 2").click()
    expect(page.locator("#inspector h2")).to_have_text("Item 2 of 3")
    page.locator(".wl").get_by_role("link", name="Run Python").first.click()
    expect(page.locator(".wr[aria-current=true]")).to_have_count(1)
    for name in ("builder, nested lanes", "a failed step of a loop"):
        page.goto(world.found.address + world.pages[name])
        assert page.locator("*").count() <= 3_000
    context.close()


def test_styles_and_scripts_are_light(world: World) -> None:
    """As they are sent."""
    files = {name for path in (STATIC, STATIC / "vendor") for name in path.glob("*.*")}
    sizes = {".css": 0, ".js": 0}
    for path in files - set(STATIC.glob("vendor/codemirror*")) - {STATIC / "admin.css"}:
        if path.suffix in sizes:
            answer = httpx.get(f"{world.found.address}/static/{path.relative_to(STATIC)}")
            sizes[path.suffix] += len(gzip.compress(answer.content))
    assert 0 < sizes[".css"] <= CSS_BYTES
    assert 0 < sizes[".js"] <= JS_BYTES, "of all scripts but the code editor"

"""``python -m tests.browser.screenshots``: the pictures of the main pages in the README, taken of a product with data.

It starts a product of its own with a workflow that looks companies up, runs it a few times, and takes each page at
1440 × 900. The pictures lie beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Page

from tests.browser.chromium import chromium, opened, sign_in
from tests.product import PASSWORD, Product, product, step, wait_for, workflow
from tests.upstream import Upstream, upstream

FOLDER: Final = Path(__file__).parent / "screenshots"
PEOPLE: Final = ("Ada Fox", "Priya Nair", "Tom Berg", "Lena Ortiz", "Noor Haddad", "Sam Ito")
BODY: Final = {"email": "ada@northwind.test", "plan": "trial", "domain": "northwind.test", "seats": 12}
COMPANY: Final = {"name": "Northwind", "employees": 812, "country": "NL", "verified": True, "tags": ["b2b", "eu"]}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A product with data; ``leads`` is its workflow, ``failed`` and ``succeeded`` are two of its runs."""

    found: Product
    leads: str
    failed: str
    succeeded: str

    def url(self, path: str) -> str:
        return f"{self.found.address}/w/demo/{path}"


@contextmanager
def scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        called = stack.enter_context(upstream())
        found = stack.enter_context(product(**_environment(called)))
        found.up()
        yield _filled(found, called)


def _environment(called: Upstream) -> dict[str, str]:
    return {
        "EGRESS_ALLOW": called.address.removeprefix("http://"),
        "INTEGRATIONS_BASE_URLS": json.dumps({"slack": f"{called.address}/slack/api"}),
    }


def _filled(found: Product, called: Upstream) -> Scene:
    called.answers["/companies/northwind.test"] = COMPANY
    called.answers["/slack/api/auth.test"] = {"ok": True, "team": "Acme", "user": "bot", "team_id": "T1"}
    called.answers["/slack/api/chat.postMessage"] = {"ok": True, "channel": "C1", "ts": "1700000000.0001"}
    slack = {"name": "acme-slack", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-shown"}}
    found.api("POST", "credentials/", json=slack)
    made = found.publish(_leads(called))
    hook = found.address + found.api("GET", f"triggers/?workflow={made}")["results"][0]["url"]
    for name in PEOPLE:
        httpx.post(hook, json={"name": name, **BODY})
    _all_ended(found, made)
    called.answers["/slack/api/chat.postMessage"] = {"ok": False, "error": "not_in_channel"}
    httpx.post(hook, json={"name": PEOPLE[0], **BODY})
    _all_ended(found, made)
    runs = found.api("GET", f"runs/?workflow={made}")["results"]
    assert [run["status"] for run in runs] == ["failed", *["succeeded"] * len(PEOPLE)]
    return Scene(found=found, leads=made, failed=runs[0]["id"], succeeded=runs[1]["id"])


def _leads(called: Upstream) -> dict[str, Any]:
    text = (
        "New lead {{ trigger.body.name }} from {{ steps.company.output.body.name }}, "
        "{{ steps.company.output.body.employees }} people. Reply to {{ trigger.body.email }}"
    )
    tell = {**step("notify", "slack.sendMessage", {"channel": "#sales", "text": text}), "credential": "acme-slack"}
    look = step(
        "company", "http.request", {"url": f"{called.address}/companies/{{{{ trigger.body.domain }}}}?slow=0.1"}
    )
    big = step("big", "flow.if", {"condition": "{{ steps.company.output.body.employees >= 500 }}"})
    welcome = step("welcome", "data.set", {"values": {"to": "{{ trigger.body.email }}"}})
    save = step("save", "data.set", {"values": {"lead": "{{ trigger.body.email }}"}})
    steps = [
        {**look, "name": "Look up the company"},
        {
            **big,
            "name": "Is it a big account?",
            "lanes": {
                "then": [{**tell, "name": "Tell #sales"}],
                "else": [{**welcome, "name": "Write the welcome"}],
            },
        },
        {**save, "name": "Save the lead"},
    ]
    document = workflow("Qualify new leads", steps)
    return {**document, "triggers": document["triggers"][:1]}


def _all_ended(found: Product, made: str) -> None:
    def ended() -> bool:
        runs = found.api("GET", f"runs/?workflow={made}")["results"]
        return bool(runs) and all(run["finished_at"] for run in runs)

    wait_for(ended, seconds=30, what="the runs to end")


def take(page: Page, shown: Scene) -> None:
    """Take every picture."""
    builder = f"workflows/{shown.leads}"
    pages = {
        "home": "",
        "builder": f"{builder}/steps/notify/",
        "add-step": f"{builder}/add/?after=save",
        "webhook": f"{builder}/triggers/hook/",
        "runs": "runs/",
        "run": f"runs/{shown.failed}/",
        "credentials": "credentials/",
        "developers": "developers/",
    }
    for name, path in pages.items():
        page.goto(shown.url(path))
        page.wait_for_load_state("networkidle") if name in ("home", "developers") else page.wait_for_timeout(400)
        page.screenshot(path=FOLDER / f"{name}.png")
    draft = shown.found.api("GET", f"workflows/{shown.leads}/")["steps"]
    draft[0]["config"]["timeout"] = 10
    shown.found.api("PATCH", f"workflows/{shown.leads}/", json={"steps": draft})
    page.goto(shown.url(f"{builder}/publish/"))
    page.screenshot(path=FOLDER / "publish.png")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with scene() as shown, chromium() as browser, opened(browser, quiet=False) as page:
        sign_in(page, shown.found.address, PASSWORD)
        take(page, shown)


if __name__ == "__main__":
    main()

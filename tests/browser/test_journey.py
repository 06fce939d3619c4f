"""A person builds a workflow of three steps, publishes and runs it, and reads what each step gave."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import opened, sign_in
from tests.product import PASSWORD, Product, product
from tests.services import postgres_database, redis_database
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.browser

TOKEN: Final = "xoxb-a-token-of-the-journey"
COMPANY: Final = {"name": "Northwind", "employees": 812}
POSTED: Final = {"ok": True, "channel": "C1", "ts": "1700000000.000100", "message": {"text": "posted"}}


@pytest.fixture(scope="module")
def called() -> Iterator[Upstream]:
    with upstream() as found:
        found.answers["/companies/northwind"] = COMPANY
        found.answers["/slack/api/chat.postMessage"] = POSTED
        found.answers["/slack/api/auth.test"] = {"ok": True, "team": "Acme", "user": "bot", "team_id": "T1"}
        yield found


def environment(called: Upstream) -> dict[str, str]:
    return {
        "EGRESS_ALLOW": called.address.removeprefix("http://"),
        "INTEGRATIONS_BASE_URLS": json.dumps({"slack": f"{called.address}/slack/api"}),
    }


@contextmanager
def on_sqlite(called: Upstream) -> Iterator[Product]:
    """One machine: SQLite, the ORM broker, one command."""
    with product(**environment(called)) as found:
        found.up()
        yield found


@contextmanager
def on_postgres_and_redis(called: Upstream) -> Iterator[Product]:
    """Several processes: PostgreSQL, Redis, `web` and two `worker`."""
    with ExitStack() as stack:
        urls = {
            "DATABASE_URL": stack.enter_context(postgres_database()),
            "REDIS_URL": stack.enter_context(redis_database()),
        }
        found = stack.enter_context(product(keys=True, **urls, **environment(called)))
        found.manage("setup")
        found.token = found.manage("token", "create", "--tenant", "demo", "--user", "admin").splitlines()[-1]
        found.start("web", "--port", str(found.port))
        for _ in range(2):
            found.start("worker", "--workers", "1", ready=False)
        yield found


@pytest.mark.parametrize("script", [True, False], ids=["with a script", "without a script"])
def test_a_workflow_is_built_published_run_and_read_on_one_machine(
    browser: Browser, called: Upstream, script: bool
) -> None:
    with on_sqlite(called) as found, opened(browser, java_script_enabled=script) as page:
        _journey(page, found, called, script=script)


def test_the_same_on_postgresql_and_redis_with_web_and_two_workers(browser: Browser, called: Upstream) -> None:
    with on_postgres_and_redis(called) as found, opened(browser) as page:
        _journey(page, found, called, script=True)


def _journey(page: Page, found: Product, called: Upstream, *, script: bool) -> None:
    called.calls.clear()
    sign_in(page, found.address, PASSWORD)
    page.get_by_role("button", name="When I start it").click()
    expect(page.get_by_role("heading", name="When somebody presses Run")).to_be_visible()

    page.get_by_role("link", name="search all steps").click()
    _add(page, "request", "Send a request", script=script)
    page.get_by_label("URL").fill(f"{called.address}/companies/northwind")
    _save(page, script=script)
    page.get_by_role("button", name="Test step").click()
    expect(page.get_by_role("region", name="Last test of this step")).to_contain_text("Test passed")
    expect(page.get_by_role("region", name="Last test of this step")).to_contain_text("Northwind")

    page.get_by_role("link", name="Insert a step after 2").click()
    _add(page, "set values", "Set values", script=script)
    page.get_by_label("Values, name 1").fill("company")
    value = page.get_by_label("Values, value 1")
    reference = f"{{{{ {_reference(page)}.body.name }}}}"
    if script:
        value.focus()
        page.locator(f"button[data-insert='{reference}']").evaluate(
            "b => { for (let u = b; u; u = u.parentElement) u.open = true }"
        )
        page.locator(f"button[data-insert='{reference}']").click()
        expect(value.locator(".tok")).to_have_attribute("data-token", reference)
    else:
        value.fill(reference)
    _save(page, script=script)
    page.get_by_role("button", name="Test step").click()
    expect(page.get_by_role("region", name="Last test of this step")).to_contain_text("Test passed")

    page.get_by_role("link", name="Insert a step after 3").click()
    _add(page, "send message slack", "Send message", script=script)
    _connect_slack(page)
    page.get_by_label("Credential", exact=True).select_option("team-slack")
    page.get_by_label("Channel", exact=True).fill("#sales")
    page.get_by_label("Message", exact=True).fill(
        "Hello {{ steps.data_set.output.company }}".replace("data_set", _key(page, 3))
    )
    _save(page, script=script)

    page.get_by_role("link", name=re.compile("^Publish")).click()
    expect(page.get_by_text("Nothing stands in its way.")).to_be_visible()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 1 is live.")).to_be_visible()

    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/runs/*/")
    _wait_until_it_ended(page, script=script)
    run_id = page.url.rstrip("/").rpartition("/")[2].partition("?")[0]
    _read_the_run(page, script=script)
    _read_the_admin(page, found, run_id)
    _read_the_api(found, run_id)
    sent = next(call for call in called.calls if call.path == "/slack/api/chat.postMessage")
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert {"channel": "#sales", "text": "Hello Northwind"}.items() <= sent.json().items()


def _add(page: Page, query: str, action: str, *, script: bool) -> None:
    """Find an action in the menu and add it."""
    page.get_by_label("Search actions").fill(query)
    if not script:
        page.get_by_role("button", name="Search", exact=True).click()
    # With a script the rows are a listbox's options.
    row = page.locator("button.op:visible", has_text=action).first
    row.click()
    page.wait_for_url(re.compile(r"/steps/\w+/"))


def _save(page: Page, *, script: bool) -> None:
    if script:
        page.keyboard.press("Tab")
        expect(page.locator("#saved")).to_have_text("Saved")
    else:
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_load_state()


def _key(page: Page, number: int) -> str:
    """Return the key of a step of the outline."""
    href = page.locator(".ol .stp a.sc").nth(number - 1).get_attribute("href") or ""
    return href.rstrip("/").rpartition("/")[2]


def _reference(page: Page) -> str:
    return f"steps.{_key(page, 2)}.output"


def _connect_slack(page: Page) -> None:
    """Make a credential from the step's form and come back to it."""
    here = page.url.partition("#")[0]
    page.get_by_role("link", name="New", exact=True).click()
    page.get_by_role("link", name=re.compile("token", re.I)).first.click() if page.get_by_label(
        "Name"
    ).count() == 0 else None
    bearer = page.get_by_role("link", name=re.compile("Bot|Bearer|User token", re.I))
    if bearer.count():
        bearer.first.click()
    page.get_by_label("Name").fill("team-slack")
    page.locator("input[type=password]").first.fill(TOKEN)
    page.get_by_role("button", name=re.compile("^Save")).first.click()
    page.wait_for_url(f"{here}#field-credential")
    expect(page.locator("#field-credential")).to_have_value("team-slack")


def _wait_until_it_ended(page: Page, *, script: bool) -> None:
    if not script:
        for _ in range(40):
            if page.locator("#run-head .st", has_text=re.compile("Succeeded|Failed")).count():
                break
            page.wait_for_timeout(250)
            page.reload()
    expect(page.locator("#run-head")).to_contain_text("Succeeded")


def _read_the_run(page: Page, *, script: bool) -> None:
    """Read each step's output in the run view."""
    for name, text in (
        ("Send a request", "Northwind"),
        ("Set values", "Northwind"),
        ("Send message", "1700000000.000100"),
    ):
        page.get_by_role("link", name=re.compile(name)).first.click()
        expect(page.locator("#inspector")).to_contain_text(name)
        expect(page.locator("#inspector")).to_contain_text(text)
    expect(page.locator("body")).not_to_contain_text(TOKEN)


def _read_the_admin(page: Page, found: Product, run_id: str) -> None:
    page.goto(f"{found.address}/admin/runs/run/{run_id}/change/")
    for text in ("Northwind", "1700000000.000100", "http.request", "slack.sendMessage"):
        expect(page.locator("body")).to_contain_text(text)
    expect(page.locator("body")).not_to_contain_text(TOKEN)


def _read_the_api(found: Product, run_id: str) -> None:
    run: dict[str, Any] = found.api("GET", f"runs/{run_id}/")
    assert run["status"] == "succeeded"
    assert [step["action"] for step in run["steps"]] == ["http.request", "data.set", "slack.sendMessage"]
    asked, named, told = run["steps"]
    assert asked["output"]["body"] == COMPANY
    assert named["output"] == {"company": "Northwind"}
    assert told["output"]["ts"] == "1700000000.000100"
    assert TOKEN not in json.dumps(run)

"""A run is watched while it goes on: what happens is on the page soon, and nothing is taken from who looks at it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.chromium import opened, sign_in
from tests.product import PASSWORD, Product, step, wait_for, workflow
from tests.upstream import Upstream

pytestmark = pytest.mark.browser

EVENTS: Final = 200
# Notes when the page first said that so many items are done, and what kept its thread for longer than 50 ms.
_WATCH: Final = """() => {
  window.seen = []; window.long = []; window.lost = 0;
  new PerformanceObserver((list) => { for (const each of list.getEntries()) window.long.push(each.duration); })
    .observe({ type: "longtask" });
  const read = () => {
    const text = document.querySelector("#step-each .wd")?.textContent ?? "", open = /(\\d+) \\/ 200/.exec(text);
    const count = open ? Number(open[1]) : document.title.startsWith("✓") ? 200 : 0;
    if (count > (window.seen.at(-1)?.[0] ?? 0)) window.seen.push([count, Date.now()]);
    if (document.activeElement?.id !== "step-each") window.lost += 1;
  };
  new MutationObserver(read).observe(document.documentElement, { subtree: true, childList: true, characterData: true });
}"""


def _is_new(answer: Response) -> bool:
    return "/changes/" in answer.url and answer.status == 200


def ended_at(found: Any, run: str) -> list[float]:
    """Return when each item's step ended, in ms, in order."""
    moments, url = [], f"runs/{run}/steps/?path=each"
    while url:
        page = found.api("GET", url)
        moments += [row["finished_at"] for row in page["results"] if row["key"] == "call"]
        url = (page["next"] or "").removeprefix("/api/v1/")
    return sorted(datetime.fromisoformat(moment).timestamp() * 1_000 for moment in moments)


def test_two_hundred_events_are_seen_as_they_happen_and_the_focus_stays(
    browser: Browser, found: Product, called: Upstream, capsys: pytest.CaptureFixture[str]
) -> None:
    body = [step("call", "http.request", {"url": f"{called.address}/?slow=0.045"})]
    loop = {**step("each", "flow.foreach", {"items": "{{ trigger.body }}"}), "lanes": {"body": body}}
    number = found.publish(workflow("Watched", [step("ask", "flow.approve", {"message": "Go?"}), loop]))
    run = found.api("POST", f"workflows/{number}/runs/", json={"payload": list(range(EVENTS))})["id"]
    wait_for(lambda: found.api("GET", f"runs/{run}/")["status"] == "waiting", seconds=30, what="the question")
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/{run}/")
        expect(page).to_have_title(re.compile("^●"))
        found.api("POST", f"runs/{run}/resolve/", json={"path": "ask", "decision": "approved"})
        sent: list[bool] = []
        page.on("response", lambda answer: sent.append(b'id="timeline"' in answer.body()) if _is_new(answer) else None)
        page.locator("#step-each").focus()
        page.evaluate(_WATCH)
        expect(page).to_have_title(re.compile("^✓ Finished"), timeout=60_000)
        seen, long, lost = watched(page)
    ends = ended_at(found, run)
    assert len(ends) == EVENTS
    answers, whole = len(sent), sum(sent)
    late = sorted(next(at for count, at in seen if count > place) - end for place, end in enumerate(ends))
    p50, p95 = late[EVENTS // 2], late[EVENTS * 95 // 100]
    with capsys.disabled():
        spent = (ends[-1] - ends[0]) / 1_000
        told = f"p50 {p50:,.0f} ms, p95 {p95:,.0f} ms; longest tasks {sorted(long)[-3:]} ms"
        print(f"\n{EVENTS} events in {spent:.1f} s, each seen after {told}")
    # How soon depends on the machine; that it is soon, and that the page keeps up, does not.
    assert p95 < 1_500
    assert whole * 2 < answers, "most of what is sent is a patch"
    assert len(seen) > 10
    assert lost == 0


# What stands in the timeline: each row with its place among the others, and its words.
_ROWS: Final = """() => [...document.querySelectorAll("#timeline li")].map((row) =>
  [row.id, row.parentElement.closest("li")?.id ?? "", row.className, row.firstElementChild.id,
   ...[...row.firstElementChild.querySelectorAll(".trunc, .dt + .vh, p > *")].map((each) => each.textContent)])"""


def test_a_timeline_that_was_patched_is_the_one_that_a_reload_shows(
    browser: Browser, found: Product, called: Upstream
) -> None:
    slow = {"url": f"{called.address}/?slow=0.2"}
    loop = {
        **step("each", "flow.foreach", {"items": "{{ trigger.body }}"}),
        "lanes": {"body": [call("post", slow)]},
    }
    lanes = {"then": [call("tell", slow), call("note", slow)], "else": [step("none", "data.set", {"values": {}})]}
    branch = {**step("big", "flow.if", {"condition": "{{ true }}"}), "lanes": lanes}
    ask, again = (step(key, "flow.approve", {"message": "Go?"}) for key in ("ask", "again"))
    last = step("last", "data.set", {"values": {}})
    number = found.publish(workflow("Patched", [ask, call("get", slow), loop, branch, again, last]))
    run = found.api("POST", f"workflows/{number}/runs/", json={"payload": list(range(12))})["id"]
    wait_for(lambda: found.api("GET", f"runs/{run}/")["status"] == "waiting", seconds=30, what="the question")
    with opened(browser) as page:
        sign_in(page, found.address, PASSWORD)
        page.goto(f"{found.address}/w/demo/runs/{run}/?step=ask")
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        found.api("POST", f"runs/{run}/resolve/", json={"path": "ask", "decision": "approved"})
        page.locator("#step-again").wait_for(timeout=60_000)
        expect(page.locator("#waiting")).to_contain_text("Go?")
        patched = page.evaluate(_ROWS)
        page.reload()
        assert patched == page.evaluate(_ROWS)
        assert said == []


def call(key: str, inputs: dict[str, str]) -> dict[str, Any]:
    return step(key, "http.request", inputs)


def watched(page: Page) -> tuple[list[tuple[int, float]], list[float], int]:
    """Return what was noted: counts with their time, long tasks, and how often the focus was elsewhere."""
    found = page.evaluate("[window.seen, window.long, window.lost]")
    return [(count, at) for count, at in found[0]], found[1], found[2]

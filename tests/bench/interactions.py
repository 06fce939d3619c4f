"""``python -m tests.bench.interactions``: how long after a press or a key the page is painted, over 300 of them.

What Chromium's event timing tells of one scripted session: typing into a chip field, inserting data, the add-step menu,
folds, tabs, the list of runs by keys. An interaction is the longest of its events; times below 16 ms count as 8.
"""

from __future__ import annotations

import statistics
from typing import Any, Final

from playwright.sync_api import Page

from tests.browser.chromium import chromium, opened, sign_in
from tests.browser.screenshots import Scene, scene
from tests.product import PASSWORD

_WATCH: Final = """
window.presses = new Map();
window.long = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.interactionId) continue;
    presses.set(entry.interactionId, Math.max(presses.get(entry.interactionId) ?? 0, entry.duration));
    window.long = Math.max(window.long, entry.processingEnd - entry.processingStart);
  }
}).observe({ type: "event", durationThreshold: 16, buffered: true });
"""
WORDS: Final = "Hello there, how is it going with the order of last week"


def main() -> None:
    print(f"{'session':<26}{'presses':>9}{'p75':>9}{'p98':>9}{'longest handler':>18}")
    print(f"{'target':<26}{'300':>9}{'100 ms':>9}{'':>9}{'50 ms':>18}")
    every: list[float] = []
    handlers: list[float] = []
    with scene() as shown, chromium() as browser, opened(browser, quiet=False) as page:
        sign_in(page, shown.found.address, PASSWORD)
        page.add_init_script(_WATCH)
        for name, session in SESSIONS.items():
            count, times, handler = session(page, shown)
            every += [*times, *[8.0] * (count - len(times))]
            handlers.append(handler)
            _tell(name, [*times, *[8.0] * (count - len(times))], handler)
    _tell("all", every, max(handlers))


def _tell(name: str, times: list[float], handler: float) -> None:
    cuts = statistics.quantiles(times, n=100)
    print(f"{name:<26}{len(times):>9}{cuts[74]:>6.0f} ms{cuts[97]:>6.0f} ms{handler:>15.1f} ms", flush=True)


def _seen(page: Page) -> tuple[list[float], float]:
    page.wait_for_timeout(300)
    found: dict[str, Any] = page.evaluate("({ times: [...presses.values()], long })")
    return [float(time) for time in found["times"]], float(found["long"])


def _builder(page: Page, shown: Scene) -> tuple[int, list[float], float]:
    """Type into the message, insert data, and type on: saving and drawing chips go on meanwhile."""
    page.goto(shown.url(f"workflows/{shown.leads}/steps/notify/"))
    box = page.get_by_role("textbox", name="Message")
    box.click()
    page.keyboard.press("End")
    count = 2
    for _ in range(3):
        for letter in WORDS:
            page.keyboard.press("Space" if letter == " " else letter)
            count += 1
        page.locator("[data-insert]:visible").first.click()
        count += 1
    times, handler = _seen(page)
    return count, times, handler


def _menu(page: Page, shown: Scene) -> tuple[int, list[float], float]:
    """Search in the add-step menu and move in it."""
    page.goto(shown.url(f"workflows/{shown.leads}/add/?after=save"))
    count = 0
    for word in ("send message", "request", "loop over", "sned emial"):
        page.keyboard.press("Control+a")
        for letter in word:
            page.keyboard.press("Space" if letter == " " else letter)
        for _ in range(4):
            page.keyboard.press("ArrowDown")
        count += len(word) + 5
    return count, *_seen(page)


def _runs(page: Page, shown: Scene) -> tuple[int, list[float], float]:
    """Move in the list of runs, choose some, and fold its filters."""
    page.goto(shown.url("runs/"))
    count = 0
    for _ in range(4):
        for key in ("j", "j", "Space", "k", "Space", "j", "j", "k", "k", "k"):
            page.keyboard.press(key)
            count += 1
    for summary in page.locator(".bar summary").all():
        summary.click()
        page.keyboard.press("Escape")
        count += 2
    return count, *_seen(page)


def _run(page: Page, shown: Scene) -> tuple[int, list[float], float]:
    """Look at steps of a run and at its inspector's tabs."""
    page.goto(shown.url(f"runs/{shown.failed}/"))
    count = 0
    for _ in range(4):
        for key in ("j", "1", "2", "3", "j", "4", "k", "k"):
            page.keyboard.press(key)
            page.wait_for_timeout(60)
            count += 1
    return count, *_seen(page)


SESSIONS: Final = {"builder": _builder, "add a step": _menu, "runs": _runs, "run": _run}


if __name__ == "__main__":
    main()

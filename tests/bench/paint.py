"""``python -m tests.bench.paint``: when the largest part of each main page is painted, and how far things jump.

Largest contentful paint and cumulative layout shift as Chromium tells them, each page five times with an empty cache,
locally and on a slow telephone (four times less CPU, 1.6 Mbit/s, 150 ms round trip). Bytes are those sent.
"""

from __future__ import annotations

import statistics
from typing import Any, Final

from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium, sign_in
from tests.browser.screenshots import Scene, scene
from tests.product import PASSWORD, step, wait_for, workflow

TIMES: Final = 5
_WATCH: Final = """
window.seen = { lcp: 0, cls: 0 };
new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.seen.lcp = entry.startTime; })
  .observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.seen.cls += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def main() -> None:
    with scene() as shown, chromium() as browser:
        pages = _pages(shown)
        print(f"{'page':<26}{'local':>10}{'telephone':>12}{'shift':>8}{'requests':>10}{'bytes':>9}")
        print(f"{'target':<26}{'400 ms':>10}{'1,200 ms':>12}{'0.02':>8}{'6':>10}")
        for name, path in pages.items():
            local = [_visit(browser, shown, path, slow=False) for _ in range(TIMES)]
            slow = [_visit(browser, shown, path, slow=True) for _ in range(2)]
            shift = max(visit["cls"] for visit in (*local, *slow))
            print(
                f"{name:<26}{_median(local):>7.0f} ms{_median(slow):>9.0f} ms{shift:>8.3f}"
                f"{local[0]['requests']:>10}{local[0]['bytes']:>9,}",
                flush=True,
            )


def _median(visits: list[dict[str, Any]]) -> float:
    return statistics.median(visit["lcp"] for visit in visits)


def _pages(shown: Scene) -> dict[str, str]:
    steps = [step(f"s{n}", "data.set", {"values": {"n": n}}) for n in range(450)]
    made = shown.found.publish(workflow("Long", steps))
    run = shown.found.api("POST", f"workflows/{made}/runs/", json={})["id"]
    wait_for(lambda: shown.found.api("GET", f"runs/{run}/")["finished_at"], seconds=60, what="a long run to end")
    builder = f"workflows/{shown.leads}"
    return {
        "home": "",
        "workflows": "workflows/",
        "builder": f"{builder}/steps/notify/",
        "add a step": f"{builder}/add/?after=save",
        "publish": f"{builder}/publish/",
        "versions": f"{builder}/versions/",
        "runs": "runs/",
        "a run": f"runs/{shown.failed}/",
        "a run of 450 steps": f"runs/{run}/",
        "two runs compared": f"runs/{shown.failed}/compare/{shown.succeeded}/",
        "credentials": "credentials/",
        "developers": "developers/",
    }


def _visit(browser: Browser, shown: Scene, path: str, *, slow: bool) -> dict[str, Any]:
    """Open a page in a fresh profile; return what was seen of it."""
    size = {"width": 390, "height": 844} if slow else {"width": 1440, "height": 900}
    context = browser.new_context(viewport=size)
    page = context.new_page()
    sign_in(page, shown.found.address, PASSWORD)
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    if slow:
        throughput = 1.6 * 1024 * 1024 / 8
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        speeds = {"downloadThroughput": throughput, "uploadThroughput": throughput / 2}
        devtools.send("Network.emulateNetworkConditions", {"offline": False, "latency": 150, **speeds})
    sent: list[int] = []
    devtools.on("Network.loadingFinished", lambda event: sent.append(int(event["encodedDataLength"])))
    page.add_init_script(_WATCH)
    page.goto(shown.url(path))
    found = _settled(page)
    context.close()
    return {**found, "requests": len(sent), "bytes": sum(sent)}


def _settled(page: Page) -> dict[str, Any]:
    page.wait_for_load_state("load")
    page.wait_for_timeout(700)
    found: dict[str, Any] = page.evaluate("window.seen")
    return found


if __name__ == "__main__":
    main()

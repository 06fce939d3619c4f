"""Chromium, driven by Playwright: a fresh profile each, with the flags that keep it off the network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import SetCookieParam

CHROMIUM: Final = "/usr/bin/chromium"
# The last list of features counts, so what Playwright switches off stands here too: it keeps pages as they are sent,
# and the browser off the network. The last two would load two pages of the browser's own for every window, which cost
# more than most of what is tested.
_OFF: Final = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled",
    "PreconnectToSearch", "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
)  # fmt: skip
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    f"--disable-features={','.join(_OFF)}",
)  # fmt: skip
AXE: Final = next((Path(__file__).parent / "vendor").glob("axe-*.min.js")).read_text()
# A press takes the place of a poll under way, which htmx tells as an error.
_EXPECTED: Final = ("Failed to load resource", "htmx:sendAbort", "htmx:afterRequest")
_OF_COLOURS: Final = ["color-contrast", "link-in-text-block"]
# What a browser keeps of a sign-in, by address and name.
_SIGNED_IN: Final[dict[tuple[str, str], list[SetCookieParam]]] = {}
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium for the length of a ``with`` block; skip, or fail where it must be there, when there is none."""
    if not Path(CHROMIUM).exists():
        reason = f"there is no Chromium in {CHROMIUM}"
        if os.environ.get("ORCHESTRATOR_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, *, quiet: bool = True, **options: Any) -> Iterator[Page]:
    """Open a page in a context of its own.

    With ``quiet`` a refused script or style, or an error of a script, fails the test.
    """
    options.setdefault("viewport", {"width": 1440, "height": 900})
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(15_000)
    said = told_errors(page)
    try:
        yield page
        assert not quiet or not unexpected(said), said
    finally:
        context.close()


def told_errors(page: Page) -> list[str]:
    """Return a list that every error which a page tells from now on is added to."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def unexpected(said: Sequence[str]) -> list[str]:
    """Return the errors that are none of what is meant to happen."""
    # A page that answers 4xx is told on the console too; those are looked at where they are meant.
    return [text for text in said if not text.startswith(_EXPECTED)]


def sign_in(page: Page, address: str, password: str, name: str = "admin") -> None:
    """Sign in and wait for the first page. The form is filled in once: a password is made to cost time."""
    if kept := _SIGNED_IN.get((address, name)):
        page.context.add_cookies(kept)
        page.goto(f"{address}/")
        if page.url.startswith(f"{address}/w/"):
            return
        # Somebody signed out of it.
        page.context.clear_cookies()
    page.goto(f"{address}/sign-in/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}/w/**")
    _SIGNED_IN[address, name] = [cast("SetCookieParam", cookie) for cookie in page.context.cookies(address)]


def axe_findings(page: Page, *, colours_only: bool = False) -> list[str]:
    """Return what axe finds on the page as it stands, a line each; with ``colours_only`` what a theme can change."""
    # Through the debugger, since the page's own policy lets no foreign script in.
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    only = {"type": "rule", "values": _OF_COLOURS} if colours_only else {"type": "tag", "values": _TAGS}
    # Style sheets are fetched again only for a rule about their orientation, of which there is none.
    found = page.evaluate(
        "(only) => axe.run(document, {runOnly: only, resultTypes: ['violations'], preload: false})", only
    )
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:160]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]

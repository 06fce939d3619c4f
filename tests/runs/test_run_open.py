"""A run's page that is open: what a press on a row sends, how often the page asks, and how its window looks."""

from __future__ import annotations

import gzip
import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator.templatetags.ui import page_icon
from orchestrator.tenants.models import Tenant
from runs.models import Run, StepRun
from runs.pages import pace
from tests.runs.ground import make_workflow
from tests.runs.loops_ground import Rows, loop_run, new_run, step
from tests.runs.test_run_page import a_thousand_steps, address, page_of, polled

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def clicked(browser: Client, run: Run, page: Any, **query: Any) -> str:
    """Return the answer to a press on a row: asked with what the page shows."""
    headers = {"HX-Request": "true", "X-Seen": page.shown}
    return str(browser.get(address(run, **query), headers=headers).content.decode())


@pytest.mark.parametrize("count", [3, 20, 100])
def test_a_press_on_a_row_sends_the_two_rows_and_the_inspector(
    browser: Client, tenant: Tenant, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    run = new_run(make_workflow(tenant, *(step(f"s{index}") for index in range(count))), "succeeded")
    rows = Rows(run)
    for index in range(count):
        rows.add(f"s{index}")
    rows.save()
    page = page_of(browser, run, step="s0")
    html = clicked(browser, run, page, step="s2")
    sent = set(re.findall(r'id="(step-[^"]*|timeline|run-head|inspector|icon)"', html))
    beside = {f"step-s{at}" for at in (1, 2, 3) if at < count} | {"step-trigger", "step-s0"}
    assert sent == beside | {"inspector"}, "the rows, and those beside them that keys lead to"
    marked = re.findall(r'id="(step-[^"]*)"[^>]* aria-current="true"', html)
    assert marked == ["step-s2"]
    whole = browser.get(address(run, step="s2"), headers={"HX-Request": "true"}).content.decode()
    assert 'id="timeline"' in whole, "to a page that does not say what it shows"
    with capsys.disabled():
        told = [f"{len(text):,} bytes, {len(gzip.compress(text.encode())):,} packed" for text in (whole, html)]
        print(f"\na press on a row of {count}: {told[0]} before, {told[1]} now")
    assert len(html) < len(whole) * (0.8 if count == 3 else 0.6 if count == 20 else 0.4)
    again = page_of(browser, run, step="s2")
    assert f'data-seen="{again.shown}"' in html, "the next press goes on from there"


def test_a_press_while_a_run_goes_on_brings_what_changed_meanwhile(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, *(step(f"s{index}") for index in range(20))), "running")
    rows = Rows(run)
    for index in range(9):
        rows.add(f"s{index}")
    rows.add("s9", "running")
    rows.save()
    Run.unscoped.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=160), revision=1)
    page = page_of(browser, run, step="s0")
    StepRun.unscoped.filter(run=run, path="s9").update(status="succeeded", finished_at=timezone.now())
    Run.unscoped.filter(pk=run.pk).update(revision=2)
    html = clicked(browser, run, page, step="s5")
    sent = set(re.findall(r'id="(step-[^"]*|timeline)"', html))
    assert sent == {"step-trigger", "step-s0", "step-s1", "step-s4", "step-s5", "step-s6", "step-s9"}
    assert "after=2" in html


def test_a_page_of_more_steps_leads_on_from_the_row_that_was_pressed(browser: Client, tenant: Tenant) -> None:
    run = a_thousand_steps(tenant)
    html = clicked(browser, run, page_of(browser, run, step="s500"), step="s501")
    assert 'id="timeline"' not in html
    (nav,) = re.findall(r'<nav class="lg" id="timeline-pages" hx-swap-oob="true".*?</nav>', html, re.S)
    assert nav.count("step=s501") == 2


def test_a_page_asks_quickly_while_something_happens_and_calmly_then(
    browser: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop_run(tenant, 40, total=100, status="running")
    page = page_of(browser, run)
    assert page.poll_ms == pace.QUICK_MS
    assert polled(browser, page).status_code == 204, "for a second"
    later = pace._now() + pace.QUICK_FOR_MS + 1
    monkeypatch.setattr(pace, "_now", lambda: later)
    answer = browser.get(f"{page.poll_url}&waits=7", headers={"HX-Request": "true", "X-Seen": page.shown})
    html = answer.content.decode()
    assert (answer.status_code, len(html) < 1_500, "<li" in html) == (200, True, False)
    assert f'hx-trigger="every {pace.CALM_MS}ms"' in html
    assert f'data-seen="{page.shown}"' in html
    (url,) = re.findall(r'hx-get="([^"]+)"', html)
    calm = parse_qs(urlsplit(unescape(url)).query)
    asked = parse_qs(urlsplit(page.poll_url).query)
    assert calm == {name: value for name, value in asked.items() if name != "until"}
    assert browser.get(unescape(url), headers={"HX-Request": "true"}).status_code == 204
    Run.unscoped.filter(pk=run.pk).update(revision=7)
    again = browser.get(unescape(url), headers={"HX-Request": "true", "X-Seen": page.shown}).context["page"]
    assert again.poll_ms == pace.QUICK_MS


@pytest.mark.parametrize("until", ["", "x", "-1", "9" * 40, "²"])
def test_nonsense_about_the_pace_changes_nothing(browser: Client, tenant: Tenant, until: str) -> None:
    run = loop_run(tenant, 4, total=10, status="running")
    url = f"{reverse('run-changes', args=['acme', run.pk])}?after={run.revision}&until={until}"
    assert browser.get(url, headers={"HX-Request": "true"}).status_code == 204


def test_what_a_page_says_that_it_shows_comes_back_as_it_may_be_only(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 4, total=10, status="running")
    url = f"{reverse('run-changes', args=['acme', run.pk])}?after={run.revision}&until=1"
    answer = browser.get(url, headers={"HX-Request": "true", "X-Seen": '"><b>'})
    assert b'data-seen=""' in answer.content


def test_a_run_that_waits_is_asked_about_calmly(browser: Client, tenant: Tenant) -> None:
    page = page_of(browser, new_run(make_workflow(tenant, step("ask")), "waiting"))
    assert (page.poll_ms, "until" in page.poll_url) == (pace.CALM_MS, False)


def icons(html: str) -> list[str]:
    """Return the names of the icons that a page or a patch brings along."""
    found = re.findall(r'<link id="icon" rel="icon" href="([^"]*)"', html)
    names = {unescaped(page_icon(f"{name}.svg")): name for name in ("icon", "icon-live", "icon-ok", "icon-bad")}
    return [names[unescape(address)] for address in found]


def unescaped(link: str) -> str:
    return unescape(link.partition('href="')[2].partition('"')[0])


def test_the_windows_icon_says_how_a_run_fares_and_is_sent_when_that_changes(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 40, total=100, status="running")
    page = page_of(browser, run)
    assert icons(browser.get(address(run)).content.decode()) == ["icon-live"]
    Run.unscoped.filter(pk=run.pk).update(revision=7)
    assert icons(polled(browser, page).content.decode()) == []
    ended = {"finished_at": timezone.now(), "lease_expires_at": None}
    for revision, (status, name) in enumerate(
        (("succeeded", "icon-ok"), ("failed", "icon-bad"), ("cancelled", "icon")), start=8
    ):
        Run.unscoped.filter(pk=run.pk).update(revision=revision, status=status, **ended)
        html = polled(browser, page).content.decode()
        assert icons(html) == [name]
        assert 'hx-swap-oob="true"' in html
        assert browser.get(address(run)).content.decode().count('rel="icon"') == 1


def test_a_live_run_can_be_followed_and_one_that_ended_cannot(browser: Client, tenant: Tenant) -> None:
    live = browser.get(address(loop_run(tenant, 40, total=100, status="running", slug="live"))).content.decode()
    assert re.search(r'<label [^>]*><input type="checkbox" id="follow"[^>]* checked>Follow</label>', live)
    assert 'id="follow"' not in browser.get(address(loop_run(tenant, 4))).content.decode()

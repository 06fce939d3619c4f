"""The log of a whole run: in time order, page by page, searched on the server, written as text; whatever its size."""

from __future__ import annotations

import gzip
import re
import time
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.ids import new_id
from orchestrator.tenants.models import Tenant
from runs import logs
from runs.logs import count_lines, log_lines
from runs.models import Run, StepRun
from runs.pages.logs import LINES_A_PAGE, LogPage
from tests.runs.ground import make_workflow
from tests.runs.loops_ground import Rows, foreach, loop_run, new_run, step

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def log_address(run: Run, **query: Any) -> str:
    url = reverse("run-log", args=["acme", run.pk])
    return url + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")


def log_of(browser: Client, run: Run, **query: Any) -> LogPage:
    answer = browser.get(log_address(run, **query))
    assert answer.status_code == 200
    found: LogPage = answer.context["log"]
    return found


def texts(run: Run, path: str | None = None) -> list[str]:
    return [line.text for line in log_lines(run, path=path)]


def written(rows: Rows, *lines: tuple[int, str] | tuple[int, str, str]) -> list[dict[str, str]]:
    """Return a log; each line is milliseconds from now on, its text, and its level."""
    return [
        {"at": (rows.at + timedelta(milliseconds=line[0])).isoformat(), "text": line[1], "level": (*line, "info")[2]}
        for line in lines
    ]


def talking_run(tenant: Tenant, count: int, *, each: int = 1, status: str = "succeeded") -> Run:
    """Return a run of a loop with so many iterations, each of which wrote so many lines."""
    workflow = make_workflow(tenant, step("find"), foreach("each", step("send")), slug=f"talks-{count}-{each}")
    run = new_run(workflow, status)
    rows = Rows(run)
    rows.add("find", logs=written(rows, (0, "begins")))
    rows.loop("each", list(range(count)))
    for item in range(count):
        lines = [
            (0, f"POST /shipments order={10_000 + item} part={number}", "warning" if item % 100 == 7 else "info")
            for number in range(each)
        ]
        rows.add(f"each[{item}].send", logs=written(rows, *lines))
    return rows.save()


# In time order.


def test_lines_of_steps_side_by_side_come_in_time_order(tenant: Tenant) -> None:
    both = {**step("both", "flow.parallel"), "lanes": {"left": [step("a")], "right": [step("b")]}}
    run = new_run(make_workflow(tenant, step("find"), both))
    rows = Rows(run)
    rows.add("find", logs=written(rows, (0, "first")))
    rows.add("both", action="flow.parallel", ms=0)
    at = rows.at
    rows.add("a", logs=written(rows, (10, "a10"), (30, "a30"), (50, "a50")), finished_at=at + timedelta(seconds=1))
    rows.at = at + timedelta(milliseconds=5)
    rows.add("b", logs=[*written(rows, (15, "b20")), {"level": "info", "text": "b20 too"}, {"at": "?", "text": "also"}])
    rows.made[-1].finished_at = at + timedelta(seconds=1)
    rows.save()
    assert texts(run) == ["first", "a10", "b20", "b20 too", "also", "a30", "a50"]
    assert count_lines(run) == 7


@pytest.mark.parametrize("ahead", [4, 7, 1_000])
def test_the_order_holds_however_little_is_read_at_once(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    run = new_run(make_workflow(tenant, foreach("each", step("send")), slug="order"))
    rows = Rows(run)
    rows.loop("each", list(range(40)))
    for item in range(40):
        ended = rows.at + timedelta(milliseconds=40)
        rows.add(f"each[{item}].send", logs=written(rows, (0, "x"), (7, "y"), (12, "z")), finished_at=ended)
    rows.save()
    monkeypatch.setattr(logs, "_AHEAD", ahead)
    monkeypatch.setattr(logs, "_AT_ONCE", 100)
    moments = [line.at for line in log_lines(run)]
    assert len(moments) == 120
    assert moments == sorted(moments)


def test_what_is_no_log_is_passed_over(tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("a"), step("b"), step("c")))
    rows = Rows(run)
    for key, log in (("a", {"text": "no list"}), ("b", ["no line", 7, None]), ("c", [{"text": None}])):
        rows.add(key, logs=log)
    rows.save()
    assert texts(run) == ["None"]
    assert count_lines(run) >= 1


def test_a_step_is_asked_for_with_what_it_holds(tenant: Tenant) -> None:
    run = talking_run(tenant, 5, each=2)
    assert len(texts(run)) == 11
    assert texts(run, "find") == ["begins"]
    assert len(texts(run, "each")) == 10
    assert [text[-12:] for text in texts(run, "each[3]")] == ["10003 part=0", "10003 part=1"]
    assert [count_lines(run, path=path) for path in (None, "find", "each", "each[3].send")] == [11, 1, 10, 2]


# The page.


def test_a_line_says_when_how_grave_what_and_by_which_attempt(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("a")))
    rows = Rows(run)
    rows.add("a", "failed", retry_at=rows.at, logs=written(rows, (0, "One <b>", "error")))
    rows.add("a", attempt=2, logs=written(rows, (3, "Two")))
    rows.save()
    html = browser.get(log_address(run)).content.decode()
    assert "One &lt;b&gt;" in html
    assert "00:00.00 error" in html
    assert 'href="../?step=a&amp;attempt=2&amp;tab=log">a #2</a> Two' in html
    assert 'role="log"' in html
    assert "2 lines" in html


def test_pages_follow_one_another_and_the_total_is_told(browser: Client, tenant: Tenant) -> None:
    run = talking_run(tenant, 1_300, each=2)
    seen: list[str] = []
    url, totals = log_address(run), set()
    while url:
        log: LogPage = browser.get(url).context["log"]
        assert len(log.lines) <= LINES_A_PAGE
        seen += [line.text for line in log.lines]
        totals.add((log.total, log.pages))
        url = log.next
    assert (seen, totals) == (texts(run), {(2_601, 3)})
    assert log_of(browser, run, page=99).number == 3
    assert log_of(browser, run).last.endswith("page=3")


def test_find_counts_all_lines_and_leads_from_match_to_match(browser: Client, tenant: Tenant) -> None:
    run = talking_run(tenant, 2_500)
    log = log_of(browser, run, find="ORDER=120")
    assert (log.matches, log.match, log.number, log.previous_match) == (100, 1, 3, "")
    assert [line.text for line in log.lines if line.mark == "here"] == ["POST /shipments order=12000 part=0"]
    assert sum(1 for line in log.lines if line.mark) == 100
    second: LogPage = browser.get(log.next_match).context["log"]
    assert [line.text for line in second.lines if line.mark == "here"] == ["POST /shipments order=12001 part=0"]
    assert (second.match, log_of(browser, run, find="order=120", match=100).next_match) == (2, "")
    assert log_of(browser, run, find="order=120", match=9_999).match == 100
    nothing = log_of(browser, run, find="nobody wrote this")
    assert (nothing.matches, nothing.match, nothing.number, len(nothing.lines)) == (0, 0, 1, LINES_A_PAGE)


def test_from_a_page_in_the_middle_the_next_match_is_the_one_behind_its_beginning(
    browser: Client, tenant: Tenant
) -> None:
    run = talking_run(tenant, 2_500)
    log = log_of(browser, run, find="part=0", page=2)
    assert (log.number, log.matches, log.match) == (2, 2_500, 0)
    following = re.search(r"match=(\d+)", log.next_match)
    earlier = re.search(r"match=(\d+)", log.previous_match)
    assert following is not None
    assert earlier is not None
    assert (following[1], earlier[1]) == ("1000", "999")


def test_levels_narrow_and_are_counted(browser: Client, tenant: Tenant) -> None:
    run = talking_run(tenant, 1_000)
    log = log_of(browser, run, level="warning")
    assert (log.total, len(log.lines), {line.css for line in log.lines}) == (10, 10, {"warning"})
    assert log_of(browser, run, level="error").total == 0
    assert log_of(browser, run, level="warning", find="order=10107").matches == 1
    assert log_of(browser, run, level="zzz").total == 1_001


def test_a_log_that_grows_is_asked_for_again(browser: Client, tenant: Tenant) -> None:
    run = talking_run(tenant, 3, status="running")
    log = log_of(browser, run)
    answer = browser.get(log.poll_url, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.content) == (204, b"")
    Run.unscoped.filter(pk=run.pk).update(revision=9)
    html = browser.get(log.poll_url, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in html
    assert "after=9" in html
    assert log_of(browser, talking_run(tenant, 4)).poll_url == ""
    assert log_of(browser, run, find="order").poll_url == "", "a search through all lines is not made again and again"


def test_all_lines_are_written_as_text(browser: Client, tenant: Tenant) -> None:
    run = talking_run(tenant, 700, each=2)
    row = run.steps.get(path="find")
    row.logs = [{"at": row.started_at.isoformat(), "level": "warning", "text": "two\nlines \ud800 <i>"}]
    row.save()
    answer: Any = browser.get(reverse("run-log-text", args=["acme", run.pk]))
    assert answer.streaming
    body = b"".join(answer.streaming_content).decode()
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment")
    assert body.count("\n") == 1_402
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning find two\n    lines \\ud800 <i>\n", body)
    part: Any = browser.get(reverse("run-log-text", args=["acme", run.pk]) + "?step=each[3]")
    assert b"".join(part.streaming_content).decode().count("\n") == 2


def test_another_tenants_log_is_not_there(client: Client, tenant: Tenant, stranger: User) -> None:
    run = talking_run(tenant, 3)
    client.force_login(stranger)
    for name in ("run-log", "run-log-text"):
        assert client.get(reverse(name, args=["acme", run.pk])).status_code == 404
        assert client.get(reverse(name, args=["globex", run.pk])).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=x", "page=999999999999", "match=-1", "find=%00", "find=a&match=7&page=3", "step=each[", "level=[",
     "find=" + "a" * 3_000, "step=each[99999]", "after=x"],
)  # fmt: skip
def test_no_address_breaks_the_log(browser: Client, tenant: Tenant, query: str) -> None:
    for run in (talking_run(tenant, 20), loop_run(tenant, 3)):
        assert browser.get(f"{log_address(run)}?{query}").status_code == 200
        assert browser.get(f"{log_address(run)}?{query}", headers={"HX-Request": "true"}).status_code in (200, 204)


# What it costs.


def many_lines(tenant: Tenant, count: int, each: int) -> Run:
    """Return a run with so many iterations, written in bulk."""
    workflow = make_workflow(tenant, foreach("each", step("send")), slug=f"many-{count}")
    run = new_run(workflow)
    base, at = new_id(), run.created_at

    def rows(items: Sequence[int]) -> list[StepRun]:
        return [
            StepRun(
                pk=base + item, tenant=tenant, run=run, path=f"each[{item}].send", loop="each", item=item, key="send",
                name="send", action="data.set", status="succeeded", started_at=at + timedelta(milliseconds=item),
                finished_at=at + timedelta(milliseconds=item + 1),
                logs=[
                    {"at": (at + timedelta(milliseconds=item)).isoformat(), "level": "info",
                     "text": f"201 created order={item * 7919 % 100_003} shipment=shp_{item * 104729 % 16_777_213:06x}"}
                    for _ in range(each)
                ],
            )
            for item in items
        ]  # fmt: skip

    for first in range(0, count, 5_000):
        StepRun.unscoped.bulk_create(rows(range(first, min(count, first + 5_000))), batch_size=2_000)
    if connection.vendor == "postgresql":
        # As a server does by itself soon after so many rows.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE runs_steprun")
    return run


def test_tens_of_thousands_of_lines_are_opened_searched_and_written_within_little_memory(
    browser: Client, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    run = many_lines(tenant, 40_000, 1)
    last = 39_999 * 7919 % 100_003
    log_of(browser, run)
    figures = {}
    for name, query in (("first", {}), ("last page", {"page": 40}), ("find", {"find": f"order={last}+"})):
        began = time.perf_counter()
        found = log_of(browser, run, **query)
        figures[name] = time.perf_counter() - began
        assert found.total == 40_000
    assert (found.matches, found.number) == (1, 40)
    began = time.perf_counter()
    answer: Any = browser.get(reverse("run-log-text", args=["acme", run.pk]))
    count = sum(piece.count(b"\n") for piece in answer.streaming_content)
    figures["text"] = time.perf_counter() - began
    with capsys.disabled():
        told = ", ".join(f"{name} {seconds * 1000:,.0f} ms" for name, seconds in figures.items())
        print(f"\n40,000 lines on {connection.vendor}: {told}")
    assert count == 40_000
    tracemalloc.start()
    pieces = browser.get(reverse("run-log-text", args=["acme", run.pk])).streaming_content  # type: ignore[attr-defined]
    assert sum(piece.count(b"\n") for piece in islice(pieces, 40)) == 20_000
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20 * 2**20


def test_the_first_page_reads_no_further_than_its_lines(browser: Client, tenant: Tenant) -> None:
    def queries(run: Run) -> int:
        log_of(browser, run)
        with CaptureQueriesContext(connection) as captured:
            log_of(browser, run)
        return len(captured)

    few, many = many_lines(tenant, 2_500, 1), many_lines(tenant, 12_000, 1)
    assert queries(few) == queries(many) <= 14


def test_a_page_of_a_thousand_lines_is_light(browser: Client, tenant: Tenant) -> None:
    html = browser.get(log_address(many_lines(tenant, 3_000, 1))).content
    assert html.count(b"<") / 2 < 3_000
    assert len(gzip.compress(html)) <= 25 * 1024

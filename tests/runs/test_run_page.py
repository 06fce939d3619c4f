"""A run's page: the tree of its steps, loops page by page, and what it costs however many rows there are."""

from __future__ import annotations

import gzip
import re
import time
from collections import Counter
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.models import Tenant
from runs.models import Payload, Run, StepRun
from runs.pages import reading
from runs.pages.reading import ITEMS_A_PAGE, Attempt
from runs.pages.run import RunPage
from runs.pages.timeline import Row
from tests.runs.ground import drive, make_workflow, start
from tests.runs.loops_ground import BAD, GOOD, Fate, Rows, foreach, loop_run, new_run, step

pytestmark = pytest.mark.django_db
REFUSED = {"kind": "permanent", "message": "It was refused.", "hint": "", "retryable": False}


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def address(run: Run, **query: Any) -> str:
    return reverse("run", args=["acme", run.pk]) + (
        "?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else ""
    )


def page_of(browser: Client, run: Run, **query: Any) -> RunPage:
    answer = browser.get(address(run, **query))
    assert answer.status_code == 200
    found: RunPage = answer.context["page"]
    return found


def lines(page: RunPage) -> list[str]:
    return [row.line.path for row in page.timeline.rows if row.line]


def sentences(page: RunPage) -> list[str]:
    return [" ".join([row.words, *(link.text for link in row.links)]) for row in page.timeline.rows if not row.line]


def row_of(page: RunPage, path: str) -> Row:
    return next(row for row in page.timeline.rows if row.line and row.line.path == path)


class _Tags(HTMLParser):
    """Counts elements, and holds that every list and entry that begins also ends."""

    VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.count, self.open, self.deepest = 0, list[str](), 0
        self.ids: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count += 1
        self.ids.update(value for name, value in attrs if name == "id" and value)
        if tag in ("ol", "li"):
            assert tag == "li" or not self.open or self.open[-1] == "li", "a list right in a list"
            self.open.append(tag)
            self.deepest = max(self.deepest, self.open.count("ol"))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("ol", "li"):
            assert self.open.pop() == tag


def tags(html: str) -> _Tags:
    found = _Tags()
    found.feed(html)
    assert found.open == []
    assert [name for name, count in found.ids.items() if count > 1] == [], "an id stands twice"
    return found


# The tree.


def branches(tenant: Tenant, status: str = "succeeded") -> tuple[Run, Rows]:
    """Return a run of a branch, a switch and lanes side by side, with the branch and the switch done."""
    holds = {
        "big": ("flow.if", {"then": [step("tell"), step("ask")], "else": [step("write"), step("wait")]}),
        "plan": ("flow.switch", {"gold": [step("call")], "silver": [], "default": [step("note")]}),
        "both": ("flow.parallel", {"left": [step("score"), step("rank")], "right": [step("enrich")], "empty": []}),
    }
    steps = [{**step(key, action, inputs={}), "lanes": lanes} for key, (action, lanes) in holds.items()]
    run = new_run(make_workflow(tenant, *steps, step("post"), slug="branches"), status)
    rows = Rows(run)
    rows.add("big", action="flow.if", output={"lane": "then"})
    rows.add("tell")
    rows.add("ask", "skipped")
    rows.add("plan", action="flow.switch", output={"lane": "silver"})
    return run, rows


def test_a_step_that_holds_lanes_has_them_beneath_it_by_name(browser: Client, tenant: Tenant) -> None:
    run, rows = branches(tenant)
    for key in ("both", "score", "enrich", "rank", "post"):
        rows.add(key, action="flow.parallel" if key == "both" else "data.set")
    rows.save()
    page = page_of(browser, run)
    assert lines(page) == [
        "@trigger", "big", "tell", "ask", "plan", "both", "score", "rank", "enrich", "post",
    ]  # fmt: skip
    assert sentences(page) == [
        "Then", "Not taken: Else", "silver: nothing in it. Not taken: gold, Anything else", "left", "right",
        "empty: nothing in it",
    ]  # fmt: skip
    levels = {row.line.path: row.level for row in page.timeline.rows if row.line}
    assert (levels["big"], levels["tell"], levels["post"]) == (0, 2, 0)
    assert row_of(page, "ask").line.note == "condition not met"  # type: ignore[union-attr]
    assert tags(browser.get(address(run)).content.decode()).deepest == 3


def test_what_was_never_reached_is_one_sentence_with_links(browser: Client, tenant: Tenant) -> None:
    run, rows = branches(tenant, "failed")
    rows.add("both", "failed", action="flow.parallel", error={**REFUSED, "path": "score"})
    rows.add("score", "failed", error=REFUSED)
    rows.add("enrich")
    rows.save()
    Run.unscoped.filter(pk=run.pk).update(error={**REFUSED, "path": "score"}, failure_kind="permanent")
    page = page_of(browser, run)
    assert page.title == "Stopped at “score”"
    assert row_of(page, "score").line.selected  # type: ignore[union-attr]
    said = [words for words in sentences(page) if "reached" in words]
    assert said == ["1 step was not reached: rank", "1 step was not reached: post"]
    not_run = page_of(browser, run, step="rank")
    assert (not_run.inspector.name, not_run.inspector.status) == ("rank", "not_run")
    assert not_run.inspector.setup["inputs"]  # type: ignore[index, call-overload]


def test_many_steps_that_were_not_reached_are_counted(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, *(step(f"s{index}") for index in range(30))), "failed")
    rows = Rows(run)
    rows.add("s0", "failed", error=REFUSED)
    rows.save()
    (said,) = sentences(page_of(browser, run))
    assert said == "29 steps were not reached: s1 s2 s3 s4 s5 s6 and 23 more"


def test_a_run_under_way_says_what_is_still_to_come(browser: Client, tenant: Tenant) -> None:
    run, rows = branches(tenant, "running")
    rows.add("both", "running", action="flow.parallel")
    rows.add("score", "running")
    rows.save()
    page = page_of(browser, run)
    assert page.title == "score"
    assert [words for words in sentences(page) if "come" in words] == [
        "Still to come: rank", "Still to come: enrich", "Still to come: post",
    ]  # fmt: skip


def test_a_wait_is_dashed_and_tried_again_is_amber(browser: Client, tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("flaky"), step("wait", "flow.wait", inputs={"seconds": 9}), step("post"))
    run = new_run(workflow, "waiting", waiting_for={"path": "wait", "kind": "time"})
    rows = Rows(run)
    rows.add("flaky", "failed", attempt=1, retry_at=rows.at, error=REFUSED, ms=400)
    rows.at += rows.at - run.created_at
    rows.add("flaky", attempt=2, ms=400)
    rows.add("wait", "waiting", action="flow.wait")
    rows.save()
    page = page_of(browser, run)
    flaky, wait = row_of(page, "flaky").line, row_of(page, "wait").line
    assert flaky is not None
    assert wait is not None
    assert ([block.css for block in flaky.blocks], len(flaky.waits)) == (["warn", "ok"], 1)
    assert (wait.blocks, len(wait.waits), wait.status, wait.selected) == ((), 1, "waiting", True)
    assert "on the second try" in flaky.aside
    assert page.title == "Waiting"


def test_a_test_of_one_step_shows_that_step_alone(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("find"), foreach(), step("post")), kind="step", seed={"only": "send"})
    rows = Rows(run)
    rows.add("send")
    rows.save()
    page = page_of(browser, run)
    assert (lines(page), sentences(page)) == (["@trigger", "send"], [])
    assert row_of(page, "send").indent == 0


# Loops.


def test_a_loop_is_one_line_of_progress_with_its_items_beneath(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 18, lambda index: BAD if index == 4 else GOOD, total=24, status="running")
    page = page_of(browser, run)
    line = row_of(page, "each").line
    assert line is not None
    assert (line.took, line.status) == ("18 / 24", "running")
    assert sentences(page)[0].startswith("17 of 24 done, 1 failed")
    assert page.title == "For each order, 18 of 24"
    assert [path for path in lines(page) if path.endswith("]")] == [f"each[{index}]" for index in range(18)]
    assert [block.css for block in line.blocks] == ["q", "ok", "bad"]
    assert row_of(page, "each[4]").line.status == "failed"  # type: ignore[union-attr]
    assert "each[4].send" in lines(page), "what failed is unfolded"
    assert "each[5].send" not in lines(page)
    assert row_of(page, "each[7]").line.label == "id 1007"  # type: ignore[union-attr]


def test_a_short_loop_is_shown_whole(browser: Client, tenant: Tenant) -> None:
    page = page_of(browser, loop_run(tenant, 3))
    assert lines(page)[3:] == [
        "each[0]", "each[0].send", "each[0].tell", "each[1]", "each[1].send", "each[1].tell",
        "each[2]", "each[2].send", "each[2].tell", "post",
    ]  # fmt: skip


def test_items_come_in_pages_of_fifty_at_most(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 130)
    seen: list[str] = []
    url = address(run)
    for _page in range(3):
        page: RunPage = browser.get(url).context["page"]
        items = [path for path in lines(page) if path.endswith("]")]
        assert len(items) <= ITEMS_A_PAGE
        seen += items
        url = next((link.url for row in page.timeline.rows for link in row.links if link.text == "Next"), "")
    assert (seen, url) == ([f"each[{index}]" for index in range(130)], "")


def test_of_many_items_the_failed_ones_come_first(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 400, lambda index: BAD if index % 90 == 70 else GOOD)
    page = page_of(browser, run)
    assert [path for path in lines(page) if path.endswith("]")] == [f"each[{i}]" for i in (70, 160, 250, 340)]
    assert page_of(browser, run, loop="each").timeline.rows
    everything = page_of(browser, run, loop="each", **{"from": 0})
    assert "each[0]" in lines(everything)
    links = {link.text: link for row in everything.timeline.rows for link in row.links}
    assert (links["All"].current, links["Failed"].current) == (True, False)


def test_failed_items_have_pages_of_their_own(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 300, lambda index: BAD if index % 3 == 0 else GOOD)
    first = page_of(browser, run, loop="each", failed=1)
    second_url = next(link.url for row in first.timeline.rows for link in row.links if link.text == "Next")
    second: RunPage = browser.get(second_url).context["page"]
    items = [path for page in (first, second) for path in lines(page) if path.endswith("]")]
    assert items == [f"each[{index}]" for index in range(0, 300, 3)]
    assert "First" in {link.text for row in second.timeline.rows for link in row.links}


def test_a_loop_at_work_is_followed(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 120, total=1_000, status="running")
    items = [path for path in lines(page_of(browser, run)) if path.endswith("]")]
    assert (items[0], items[-1]) == ("each[100]", "each[119]")


def test_a_step_inside_a_loop_that_failed_is_selected(browser: Client, tenant: Tenant) -> None:
    fates: dict[int, Fate] = {77: BAD}
    run = loop_run(tenant, 78, lambda index: fates.get(index, GOOD), total=90, status="failed")
    Run.unscoped.filter(pk=run.pk).update(error={**REFUSED, "path": "each[77].send"}, failure_kind="permanent")
    page = page_of(browser, run)
    assert page.title == "Stopped at “send”, item 78"
    assert row_of(page, "each[77].send").line.selected  # type: ignore[union-attr]
    assert page.inspector.error is not None
    assert page.inspector.error.message == "It was refused."
    assert page.failure is not None
    assert page.failure.from_path == "each[77].send"
    assert 'name="from" value="each[77].send"' in browser.get(address(run)).content.decode()


def test_other_runs_that_stopped_at_the_same_step_count_whatever_their_item(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 3, status="failed")

    def fail(which: Run, path: str, **more: Any) -> None:
        Run.unscoped.filter(pk=which.pk).update(error={**REFUSED, **more, "path": path}, failure_kind="permanent")

    fail(run, "each[2].send")
    for path, more in (
        ("each[2].send", {}), ("each[0].send", {}), ("each[1].tell", {}), ("send", {}), ("each[0].resend", {}),
        ("each[0].send", {"message": "It was lost."}),
    ):  # fmt: skip
        fail(new_run(run.workflow, "failed"), path, **more)
    page = page_of(browser, run)
    assert page.failure is not None
    assert page.failure.others == "2 other runs stopped here for the same reason in the last day."
    alone = new_run(run.workflow, "failed")
    for which in (alone, new_run(run.workflow, "failed")):
        fail(which, "post")
    page = page_of(browser, alone)
    assert page.failure is not None
    assert page.failure.others == "1 other run stopped here for the same reason in the last day."


def test_a_run_that_ended_between_two_tries_has_no_step_under_way(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("find"), foreach()), "failed", error={**REFUSED, "path": "find"})
    rows = Rows(run)
    rows.add("find", "failed", retry_at=rows.at, error=REFUSED)
    rows.loop("each", [1], "cancelled")
    rows.item("each", 0, ({"status": "failed", "retry_at": rows.at, "error": REFUSED},))
    page = page_of(browser, rows.save())
    assert [row.line.status for row in page.timeline.rows if row.line and row.line.path != "@trigger"] == [
        "failed", "cancelled", "failed", "failed",
    ]  # fmt: skip
    assert page.inspector.status == "failed"


def test_a_step_that_was_stopped_under_way_is_told_of_without_advice_on_faults(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("find"), step("send")), "cancelled")
    rows = Rows(run)
    for key, kind in (("find", "permanent"), ("send", "outcome_unknown")):
        rows.add(key, "cancelled", error={**REFUSED, "kind": kind, "message": "It was cancelled."})
    rows.save()
    errors = [page_of(browser, run, step=key).inspector.error for key in ("find", "send")]
    assert [error.again[:14] for error in errors if error] == ["", "It may or may "]


def test_a_run_that_was_stopped_by_a_limit_says_why_and_what_to_do(browser: Client, tenant: Tenant) -> None:
    error = {"kind": "rate_limited", "message": "A newer run took its place.", "hint": "Raise the limit.", "path": ""}
    run = new_run(make_workflow(tenant, step("find")), "cancelled", error=error)
    rows = Rows(run)
    rows.add("find", "cancelled")
    page = page_of(browser, rows.save())
    assert page.limited == "A newer run took its place. Raise the limit."
    assert page.limited in browser.get(address(run)).content.decode()
    assert ("q", "queued, stopped or to come") in page.timeline.legend
    assert page_of(browser, new_run(run.workflow, "cancelled")).limited == ""


def test_a_run_that_a_limit_holds_back_says_what_it_waits_for(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("find")), "queued")
    page = page_of(browser, run)
    assert (page.title, "It starts when one of them ends" in page.limited) == ("Waiting for its turn", True)
    Run.unscoped.filter(pk=run.pk).update(wake_at=run.created_at)
    page = page_of(browser, run)
    assert (page.title, page.limited) == ("Waiting for a worker", "")


def test_a_failed_run_and_the_error_workflow_that_it_started_are_linked(browser: Client, tenant: Tenant) -> None:
    alarm = make_workflow(tenant, step("note"), slug="alarm")
    fragile = make_workflow(tenant, step("find"), slug="fragile", settings={"error_workflow": "alarm"})
    failed = new_run(fragile, "failed", error={**REFUSED, "path": "find"})
    facts = [fact.label for fact in page_of(browser, failed).facts]
    assert "Error workflow" not in facts
    told = new_run(alarm, "succeeded", dedupe_key=f"error:{failed.pk}")
    body = {"run": {"id": str(failed.pk)}}
    Run.unscoped.filter(pk=told.pk).update(trigger_type="error", trigger={"type": "error", "body": body})
    links = {fact.label: (fact.text, fact.url) for fact in page_of(browser, failed).facts}
    assert links["Error workflow"] == (f"Alarm #{str(told.pk)[-6:]}", address(told))
    links = {fact.label: (fact.text, fact.url) for fact in page_of(browser, told).facts}
    assert links["Because of"] == (f"Fragile #{str(failed.pk)[-6:]}", address(failed))


@pytest.mark.parametrize(
    ("asked", "selected"),
    [
        ("each[3].send", "each[3].send"),
        ("each[3]", "each[3]"),
        ("each", "each"),
        ("send", "each[0].send"),
        ("find", "find"),
        ("each[199].tell", "each[199].tell"),
        ("each[9000].send", "each[9000].send"),
        ("nobody", "post"),
        ("find[3]", "find"),
        ("send[1]", "each[0].send"),
        ("@trigger", "@trigger"),
    ],
)
def test_any_path_can_be_looked_at(browser: Client, tenant: Tenant, asked: str, selected: str) -> None:
    page = page_of(browser, loop_run(tenant, 200), step=asked)
    chosen = [row.line.path for row in page.timeline.rows if row.line and row.line.selected]
    assert chosen == ([selected] if "9000" not in asked else [])
    assert page.inspector.mark.startswith(selected.removeprefix("@"))


def test_an_iteration_shows_its_item_and_its_steps(browser: Client, tenant: Tenant) -> None:
    page = page_of(browser, loop_run(tenant, 60), step="each[51]")
    inspector = page.inspector
    assert inspector.name == "Item 52 of 60"
    assert [value.value for value in inspector.values] == [{"id": 1_051}]
    assert [line.label for line in inspector.attempts] == ["send", "tell"]
    assert inspector.attempts[0].url.endswith("step=each%5B51%5D.send")


def test_what_is_selected_outside_of_the_items_that_are_shown_is_read_too(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 300)
    page = page_of(browser, run, step="each[7].tell", loop="each", **{"from": 200})
    assert "each[200]" in lines(page)
    assert "each[7]" not in lines(page)
    assert (page.inspector.name, page.inspector.status) == ("tell", "succeeded")
    again = parse_qs(urlsplit(row_of(page, "each[201]").line.url).query)  # type: ignore[union-attr]
    assert (again["loop"], again["from"], again["step"]) == (["each"], ["200"], ["each[201]"])


def nested_run(tenant: Tenant, count: int = 4) -> Run:
    run = new_run(make_workflow(tenant, foreach("each", foreach("lines", step("pack")), step("close")), slug="nested"))
    rows = Rows(run)
    rows.loop("each", list(range(count)))
    for index in range(count):
        rows.loop(f"each[{index}].lines", ["a", "b"])
        for line in range(2):
            bad = (index, line) == (2, 1)
            rows.add(
                f"each[{index}].lines[{line}].pack", "failed" if bad else "succeeded", error=REFUSED if bad else None
            )
        rows.add(f"each[{index}].close")
    return rows.save()


def test_a_loop_inside_a_loop_is_a_line_of_progress_too(browser: Client, tenant: Tenant) -> None:
    run = nested_run(tenant)
    page = page_of(browser, run)
    assert [words for words in sentences(page) if "of 2" in words] == [
        "2 of 2 done Show the items", "2 of 2 done Show the items", "1 of 2 done, 1 failed Show the items",
        "2 of 2 done Show the items",
    ]  # fmt: skip
    inner = page_of(browser, run, loop="each[2].lines")
    assert [path for path in lines(inner) if path.startswith("each[2].lines[")] == [
        "each[2].lines[0]", "each[2].lines[0].pack", "each[2].lines[1]", "each[2].lines[1].pack",
    ]  # fmt: skip
    deep = page_of(browser, run, step="each[2].lines[1].pack")
    assert row_of(deep, "each[2].lines[1].pack").line.selected  # type: ignore[union-attr]
    assert "item 3 · item 2" in deep.inspector.words


def test_items_that_an_earlier_run_gave_say_so(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 0, total=4, status="running")
    rows = Rows(run)
    for index in (1, 2):
        rows.item("each", index, GOOD)
    rows.save()
    given = {"status": "succeeded", "output": {"a": 1}}
    again = {"status": "running"}
    seed = {"from": "each[1].send", "run": 1, "steps": {"find": given, "each": again, "each[0]": given}}
    Run.unscoped.filter(pk=run.pk).update(seed=seed)
    page = page_of(browser, run)
    assert sentences(page)[0].startswith("2 of 4 done, 1 taken over from the earlier run")
    assert row_of(page, "each[0]").line.note == "taken over from the earlier run"  # type: ignore[union-attr]
    assert row_of(page, "find").line.status == "succeeded"  # type: ignore[union-attr]
    assert [words for words in sentences(page) if "send" in words] == [], "the steps of a given item are not told of"


@pytest.mark.django_db(transaction=True)
def test_a_run_again_from_a_failed_item_is_offered_and_shows_what_it_took_over(browser: Client, tenant: Tenant) -> None:
    code = "def main(input):\n    if input['i'] == 3:\n        raise ValueError('no')\n    return input"
    body = [step("send", "code.python", inputs={"code": code, "input": {"i": "{{ index }}"}}), step("tell")]
    first = start(make_workflow(tenant, step("find"), foreach("each", *body), step("post")), list(range(6)))
    drive()
    first = first.refresh()
    page = page_of(browser, first)
    assert page.title == "Stopped at “send”, item 4"
    assert "3 of 6 done, 1 failed, 2 not finished" in sentences(page)[0]
    assert page.failure is not None
    answer = browser.post(reverse("run-rerun", args=["acme", first.pk]), {"from": page.failure.from_path})
    drive()
    again = Run.unscoped.get(rerun_of=first)
    assert answer.headers["Location"] == address(again)
    shown = page_of(browser, again)
    assert sentences(shown)[0].startswith("0 of 6 done, 1 failed, 3 taken over from the earlier run, 2 not finished")
    assert row_of(shown, "find").line.note == "taken over from the earlier run"  # type: ignore[union-attr]
    assert [row_of(shown, f"each[{item}]").line.status for item in range(4)] == [  # type: ignore[union-attr]
        "succeeded", "succeeded", "succeeded", "failed",
    ]  # fmt: skip
    given = page_of(browser, again, step="find")
    assert [value.value for value in given.inspector.values] == [{"from": "find"}]


# Other runs.


def test_runs_that_call_each_other_and_repeat_each_other_are_linked(browser: Client, tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("call", "workflow.call", inputs={"workflow": "child"}), slug="caller")
    caller = new_run(workflow, "waiting", waiting_for={"path": "call", "kind": "workflow"})
    rows = Rows(caller)
    rows.add("call", "waiting", action="workflow.call")
    rows.save()
    called = new_run(make_workflow(tenant, step("look"), slug="child"), parent=caller, parent_path="call", depth=1)
    again = new_run(called.workflow, rerun_of=called)
    html = browser.get(address(caller)).content.decode()
    assert html.count(f'href="{address(called)}"') == 2, "in the timeline and in the inspector"
    assert "Called run, succeeded:" in html
    assert f"{address(caller)}?step=call" in browser.get(address(called)).content.decode()
    assert address(again) in browser.get(address(called)).content.decode()
    assert address(called) in browser.get(address(again)).content.decode()


@pytest.mark.parametrize("count", [1, 2, 7, 61])
def test_the_last_runs_of_the_workflow_are_bars(browser: Client, tenant: Tenant, count: int) -> None:
    workflow = make_workflow(tenant, step("a"))
    runs = [new_run(workflow, "failed" if index % 2 else "succeeded") for index in range(count)]
    history = browser.get(address(runs[-1])).context["history"]
    assert (len(history.bars) if history else 1) == min(count, 60)


# Values.


def test_values_beyond_twenty_kilobytes_are_shown_on_request(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("big")))
    rows = Rows(run)
    rows.add("big", inputs={"text": "x" * 25_000}, output={"text": "small"})
    rows.save()
    html = browser.get(address(run)).content.decode()
    assert "x" * 100 not in html
    assert "small" in html
    assert "Show it, 24.4 KB" in html
    asked = browser.get(address(run, step="big", show="input")).content.decode()
    assert "x" * 100 in asked


def test_values_in_rows_of_their_own_are_opened_on_request_alone(
    browser: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop_run(tenant, 30, stored=True)
    payload = Payload.unscoped.get(run=run)
    monkeypatch.setattr("runs.selectors.opened", lambda _payload: pytest.fail("a page opens it without being asked"))
    monkeypatch.setattr("runs.loops.opened", lambda _payload: pytest.fail("a page opens it without being asked"))
    html = browser.get(address(run, step="each")).content.decode()
    assert f"/values/{payload.pk}/" in html
    monkeypatch.undo()
    assert "1029" in browser.get(address(run, step="each", show="input")).content.decode()
    Payload.unscoped.filter(pk=payload.pk).update(size=50_000_000)
    assert "Show it" not in browser.get(address(run, step="each")).content.decode()


def test_a_steps_log_is_shown_with_its_times(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("a")))
    rows = Rows(run)
    log = [{"at": rows.at.isoformat(), "level": "warning", "text": "Nearly <full>."}]
    rows.add("a", logs=log)
    rows.save()
    html = browser.get(address(run, step="a", tab="log")).content.decode()
    assert "Nearly &lt;full&gt;." in html
    assert "00:00.00" in html


# What it costs.


def measured(browser: Client, run: Run, **query: Any) -> tuple[int, int, int]:
    """Return the queries, elements and compressed bytes of a page."""
    browser.get(address(run, **query))
    with CaptureQueriesContext(connection) as queries:
        answer = browser.get(address(run, **query))
    return len(queries), tags(answer.content.decode()).count, len(gzip.compress(answer.content))


@pytest.mark.parametrize("query", [{}, {"loop": "each", "from": 60}, {"step": "each[99].send"}, {"step": "each"}])
def test_a_page_costs_the_same_however_many_items_there_are(
    browser: Client, tenant: Tenant, other_tenant: Tenant, query: dict[str, Any]
) -> None:
    few = loop_run(tenant, 200, lambda index: BAD if index % 50 == 49 else GOOD, slug="few")
    many = loop_run(tenant, 3_000, lambda index: BAD if index % 50 == 49 else GOOD, slug="many")
    small, large = measured(browser, few, **query), measured(browser, many, **query)
    assert large[0] == small[0] <= 19
    assert max(small[1], large[1]) <= 3_000
    assert max(small[2], large[2]) <= 25 * 1024


def test_no_page_reads_more_rows_than_it_shows(
    browser: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop_run(tenant, 2_000)
    made = Counter[str]()
    from_db = StepRun.from_db.__func__  # type: ignore[attr-defined]

    def model(cls: Any, *args: Any) -> Any:
        made["rows"] += 1
        return from_db(cls, *args)

    def attempt(*args: Any) -> Attempt:
        made["rows"] += 1
        return Attempt(*args)

    monkeypatch.setattr(StepRun, "from_db", classmethod(model))
    monkeypatch.setattr(reading, "Attempt", attempt)
    browser.get(address(run))
    assert made["rows"] > 10
    assert 0 < made["rows"] <= 120


def test_a_wide_workflow_comes_in_pages(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, *(step(f"s{index}") for index in range(450))))
    rows = Rows(run)
    for index in range(450):
        rows.add(f"s{index}")
    rows.save()
    seen: list[str] = []
    url = address(run, rows=0)
    while url:
        answer = browser.get(url)
        assert tags(answer.content.decode()).count <= 3_000
        assert len(gzip.compress(answer.content)) <= 25 * 1024
        seen += lines(answer.context["page"])
        url = answer.context["page"].timeline.next
    assert seen == ["@trigger", *(f"s{index}" for index in range(450))]
    assert "s449" in lines(page_of(browser, run, step="s449")), "what is selected is on the page"


def test_a_wide_workflow_with_a_long_loop_stays_within_its_elements(browser: Client, tenant: Tenant) -> None:
    steps = [step(f"s{index}") for index in range(97)]
    run = new_run(make_workflow(tenant, *steps[:90], foreach(), *steps[90:]))
    rows = Rows(run)
    for index in range(90):
        rows.add(f"s{index}")
    rows.loop("each", [{"id": index} for index in range(500)])
    for index in range(500):
        rows.item("each", index, BAD if index % 9 == 0 else GOOD)
    for index in range(90, 97):
        rows.add(f"s{index}")
    rows.save()
    for query in ({}, {"loop": "each", "from": 0}, {"step": "each[499].send"}):
        _queries, elements, size = measured(browser, run, **query)
        assert elements <= 3_000
        assert size <= 25 * 1024


def test_deep_lanes_stay_on_the_page(browser: Client, tenant: Tenant) -> None:
    inner = step("leaf")
    for depth in range(9):
        inner = {**step(f"if{depth}", "flow.if", inputs={}), "lanes": {"then": [inner]}}
    run = new_run(make_workflow(tenant, inner))
    rows = Rows(run)
    for depth in reversed(range(9)):
        rows.add(f"if{depth}", action="flow.if", output={"lane": "then"})
    rows.add("leaf")
    rows.save()
    assert "leaf" in lines(page_of(browser, run))
    tags(browser.get(address(run)).content.decode())


# While it runs.


def polled(browser: Client, page: Any) -> Any:
    """Ask as the page does: at its address, with what it shows."""
    return browser.get(page.poll_url, headers={"HX-Request": "true", "X-Seen": page.shown})


def test_a_page_that_nothing_changed_on_gets_204_for_three_queries_of_its_own(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 40, total=100, status="running")
    page = page_of(browser, run)
    with CaptureQueriesContext(connection) as queries:
        answer = polled(browser, page)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not any("runs_steprun" in query["sql"] for query in queries)
    Run.unscoped.filter(pk=run.pk).update(revision=7)
    changed = polled(browser, page)
    html = changed.content.decode()
    assert changed.status_code == 200
    assert "<html" not in html
    for part in ("timeline", "run-head", "inspector", "step-trigger"):
        assert f'id="{part}"' not in html, "what shows the same stays as it is"
    assert html.count('id="step-') <= 1, "the bar of the loop grows"
    assert "after=7" in html


def test_a_change_sends_the_rows_that_changed_and_those_that_are_new(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, *(step(f"s{index}") for index in range(20))), "running")
    rows = Rows(run)
    for index in range(9):
        rows.add(f"s{index}")
    rows.add("s9", "running")
    rows.save()
    Run.unscoped.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=160), revision=1)
    page = page_of(browser, run, step="s0")
    StepRun.unscoped.filter(run=run, path="s9").update(status="succeeded", finished_at=timezone.now())
    more = Rows(run)
    more.add("s10", "running")
    more.save()
    Run.unscoped.filter(pk=run.pk).update(revision=2)
    html = polled(browser, page).content.decode()
    ids = re.findall(r'id="(step-[^"]*|timeline)"', html)
    assert ids == ["step-s10", "step-s9"]
    assert "Still to come" in html
    after = browser.get(address(run, step="s0")).context["page"]
    assert f'hx-swap-oob="afterend:#{row_of(after, "s9").id}"' in html


def test_a_run_that_ended_is_sent_whole(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 40, status="running")
    page = page_of(browser, run)
    Run.unscoped.filter(pk=run.pk).update(
        revision=7, status="succeeded", finished_at=timezone.now(), lease_expires_at=None
    )
    html = polled(browser, page).content.decode()
    assert 'id="timeline"' in html
    assert 'id="run-head"' in html


@pytest.mark.parametrize("seen", ["", "x", "%E2%82%AC", "A" * 3_000, "%00", "é€", "<b>"])
def test_whatever_a_page_says_that_it_shows_it_is_answered(browser: Client, tenant: Tenant, seen: str) -> None:
    run = loop_run(tenant, 40, total=100, status="running")
    url = reverse("run-changes", args=["acme", run.pk])
    answer = browser.get(f"{url}?after=9", headers={"HX-Request": "true", "X-Seen": seen})
    assert answer.status_code == 200
    assert b'id="timeline"' in answer.content


def test_the_items_that_somebody_chose_stay_while_a_loop_goes_on(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 120, total=300, status="running")
    page = page_of(browser, run, loop="each", step="each[3].send", **{"from": 0})
    query = parse_qs(urlsplit(page.poll_url).query)
    assert (query["loop"], query["from"], query["step"]) == (["each"], ["0"], ["each[3].send"])


@pytest.mark.parametrize(("begun", "ms"), [(10, 100), (2_500, 1_000)])
def test_a_page_of_a_large_loop_asks_more_rarely(browser: Client, tenant: Tenant, begun: int, ms: int) -> None:
    assert page_of(browser, loop_run(tenant, begun, total=50_000, status="running")).poll_ms == ms


# Whatever is in the address.


@pytest.mark.parametrize(
    "query",
    [
        "step=each[", "step=each[-1].send", "step=each[99999999999999999999].send", "step=%00", "step=each[3].lines[2]",
        "loop=find", "loop=each[1]", "loop=nobody", "loop=each&from=-5", "loop=each&from=99999999", "from=x&rows=x",
        "loop=each&from=999999999999999999", "rows=999", "attempt=99", "attempt=٣", "tab=zzz", "show=zzz",
        "step=@trigger&show=input", "loop=each&failed=1&from=99999", "loop=each&failed=yes", "step=each[999999999]",
        "loop=each[3].each", "step=" + "a" * 5_000, "loop=" + "each[1]." * 400 + "each",
    ],
)  # fmt: skip
def test_no_address_breaks_a_page(browser: Client, tenant: Tenant, query: str) -> None:
    run = loop_run(tenant, 60, lambda index: BAD if index == 9 else GOOD)
    answer = browser.get(f"{address(run)}?{query}")
    assert answer.status_code == 200
    tags(answer.content.decode())
    fragment = browser.get(f"{address(run)}?{query}", headers={"HX-Request": "true"})
    assert fragment.status_code == 200


def test_another_tenants_run_is_not_there(client: Client, tenant: Tenant, stranger: User) -> None:
    run = loop_run(tenant, 3)
    client.force_login(stranger)
    for url in (address(run), address(run, step="each[0].send"), reverse("run-text", args=["acme", run.pk])):
        assert client.get(url).status_code == 404
    own = reverse("run", args=["globex", run.pk])
    assert client.get(own).status_code == 404


def test_what_items_hold_is_text(browser: Client, tenant: Tenant) -> None:
    nasty = "<script>alert(1)</script>"
    run = new_run(make_workflow(tenant, foreach()))
    rows = Rows(run)
    rows.loop("each", [{"name": nasty}])
    rows.item("each", 0, GOOD)
    rows.save()
    for query in ({}, {"step": "each[0]"}):
        html = browser.get(address(run, **query)).content.decode()
        assert nasty not in html
        assert re.search(r"&lt;script&gt;", html)


def a_thousand_steps(tenant: Tenant) -> Run:
    """Return a run of a thousand steps, the middle one with data of many entries."""
    run = new_run(make_workflow(tenant, *(step(f"s{index}") for index in range(1_000)), slug="thousand"))
    rows = Rows(run)
    many = [{"id": index, "name": f"name {index * 7919 % 1_000}"} for index in range(300)]
    for index in range(1_000):
        rows.add(f"s{index}", **({"inputs": {"rows": many}, "output": {"rows": many}} if index == 500 else {}))
    return rows.save()


@pytest.mark.parametrize(
    "query",
    [{}, {"step": "s500"}, {"step": "s500", "tab": "data"}, {"step": "s500", "tab": "data", "show": "output"},
     {"step": "s500", "tab": "data", "value": "output", "at": "rows", "as": "table"},
     {"step": "s500", "tab": "data", "find": "name 7"}],
)  # fmt: skip
def test_a_run_of_a_thousand_steps_is_a_light_page(
    browser: Client, tenant: Tenant, query: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_thousand_steps(tenant)
    queries, elements, size = measured(browser, run, **query)
    began = time.perf_counter()
    browser.get(address(run, **query))
    with capsys.disabled():
        spent = (time.perf_counter() - began) * 1_000
        print(f"\n1,000 steps {query}: {queries} queries, {elements} elements, {size:,} bytes, {spent:,.0f} ms")
    assert queries <= 17
    assert elements <= 3_000
    assert size <= 25 * 1024

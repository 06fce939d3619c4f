"""Two runs compared: steps paired by path, on one axis, with what differs in their outcome and data."""

from __future__ import annotations

import gzip
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Payload, Run
from runs.pages.compare import Comparison
from runs.pages.differences import MOST, differences, same
from tests.runs.ground import make_workflow
from tests.runs.loops_ground import BAD, GOOD, Rows, loop_run, new_run, step

REFUSED = {"kind": "permanent", "message": "It was refused.", "hint": "Ask.", "retryable": False}


# Differences of values. Pure.


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("changed", "a", "1", "2")]),
        ({"a": 1}, {"b": 1}, [("removed", "a", "1", ""), ("added", "b", "", "1")]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, [("changed", "a.b[1].c", "2", "3")]),
        ([1, 2], [1], [("removed", "[1]", "2", "")]),
        ([1], [1, None], [("added", "[1]", "", "null")]),
        ({"x-y": "a"}, {"x-y": "b"}, [("changed", '["x-y"]', '"a"', '"b"')]),
        ({"n": 1}, {"n": True}, [("changed", "n", "1", "true")]),
        ({"n": 1}, {"n": 1.0}, [("changed", "n", "1", "1.0")]),
        (None, {"a": 1}, [("changed", "", "null", '{"a": 1}')]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ],
)
def test_differences_are_told_by_path(before: Any, after: Any, found: list[tuple[str, ...]]) -> None:
    shown = differences(before, after).shown
    assert [(each.kind, each.path, each.before, each.after) for each in shown] == found
    assert same(before, after) is (not found)


def test_of_many_differences_the_first_are_shown_and_the_rest_counted() -> None:
    found = differences({f"k{n}": n for n in range(500)}, {f"k{n}": n + 1 for n in range(500)})
    assert (len(found.shown), found.more) == (MOST, 500 - MOST)
    long = differences({"a": "x" * 5_000}, {"a": "y" * 5_000}).shown[0]
    assert len(long.before) < 320


# The page.

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def three(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, step("find"), step("send"), step("post"))


def good_run(workflow: Workflow, *, text: str = "New lead") -> Run:
    run = new_run(workflow)
    rows = Rows(run)
    rows.add("find", inputs={"q": "a"}, output={"employees": 812})
    rows.add("send", inputs={"channel": "#sales", "text": text}, output={"ok": True})
    rows.add("post")
    return rows.save()


def bad_run(workflow: Workflow) -> Run:
    run = new_run(workflow, "failed", error={**REFUSED, "path": "send"})
    rows = Rows(run)
    rows.add("find", inputs={"q": "a"}, output={"employees": 812})
    for attempt in (1, 2, 3):
        rows.add(
            "send", "failed", attempt=attempt, error=REFUSED, inputs={"channel": "#enterprise", "text": "New lead"}
        )
    return rows.save()


def compare_address(left: Run, right: Run, **query: Any) -> str:
    url = reverse("run-compare", args=["acme", left.pk, right.pk])
    return url + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")


def compared(browser: Client, left: Run, right: Run, **query: Any) -> Comparison:
    answer = browser.get(compare_address(left, right, **query))
    assert answer.status_code == 200
    found: Comparison = answer.context["comparison"]
    return found


def parts(found: Comparison) -> dict[str, list[tuple[str, str, str, str]]]:
    return {
        part.title: [(each.kind, each.path, each.before, each.after) for each in part.found.shown]
        for part in found.detail.parts
    }


def test_steps_are_paired_and_the_first_difference_is_selected(browser: Client, tenant: Tenant) -> None:
    workflow = three(tenant)
    good, bad = good_run(workflow), bad_run(workflow)
    found = compared(browser, bad, good)
    assert [(pair.path, pair.differs) for pair in found.pairs] == [
        ("@trigger", ()),
        ("find", ()),
        ("send", ("outcome", "attempts", "error", "input", "output")),
        ("post", ("not in both",)),
    ]
    assert found.selected == "send"
    assert parts(found)["Input"] == [("changed", "channel", '"#sales"', '"#enterprise"')]
    assert parts(found)["Error"][0] == ("added", "kind", "", '"permanent"')
    assert parts(found)["Output"] == [("changed", "", '{"ok": true}', "null")]
    assert [side.status for side in found.detail.sides] == ["failed", "succeeded"]
    assert "First difference: “send”" in found.sentence
    html = browser.get(compare_address(bad, good)).content.decode()
    assert "<del>b: &quot;#sales&quot;</del>" in html
    assert "<ins>a: &quot;#enterprise&quot;</ins>" in html


def test_a_difference_of_data_alone_comes_first_and_the_outcome_is_told(browser: Client, tenant: Tenant) -> None:
    workflow = three(tenant)
    good, bad = good_run(workflow), bad_run(workflow)
    row = bad.steps.get(path="find")
    row.output = {"employees": 3}
    row.save()
    found = compared(browser, bad, good)
    assert (found.selected, parts(found)["Output"]) == ("find", [("changed", "employees", "812", "3")])
    assert found.sentence.endswith("The outcome differs from “send” on.")
    assert found.next_url.endswith("step=send")
    assert compared(browser, bad, good, step="send").previous_url.endswith("step=find")


def test_what_the_runs_were_started_with_counts_but_not_when(browser: Client, tenant: Tenant) -> None:
    workflow = three(tenant)
    left, right = good_run(workflow), good_run(workflow)
    for run, at in ((left, 1), (right, 2)):
        Run.unscoped.filter(pk=run.pk).update(trigger={"body": {"id": 1}, "received_at": at})
    found = compared(browser, left, right)
    assert (found.selected, "Nothing differs" in found.sentence) == ("@trigger", True)
    Run.unscoped.filter(pk=right.pk).update(trigger={"body": {"id": 2}})
    found = compared(browser, left, right)
    assert (found.selected, parts(found)["Input"]) == ("@trigger", [("changed", "id", "2", "1")])


def test_both_are_drawn_from_their_own_beginning_on_one_axis(browser: Client, tenant: Tenant) -> None:
    workflow = three(tenant)
    left, right = good_run(workflow), good_run(workflow)
    for run in (left, right):
        row = run.steps.get(path="find")
        row.finished_at = row.started_at + timedelta(seconds=1.5)
        row.save()
    Run.unscoped.filter(pk=right.pk).update(created_at=right.created_at - timedelta(hours=3))
    for row in right.steps.all():
        row.started_at -= timedelta(hours=3)
        row.finished_at -= timedelta(hours=3)
        row.save()
    Run.unscoped.filter(pk=right.pk).update(started_at=right.started_at - timedelta(hours=3))
    Run.unscoped.filter(pk=right.pk).update(finished_at=right.started_at - timedelta(hours=3) + timedelta(seconds=30))
    for runs in ((left, right), (right, left)):
        find = next(pair for pair in compared(browser, *runs).pairs if pair.path == "find")
        assert find.left is not None
        assert find.right is not None
        assert find.left.blocks == find.right.blocks
        assert (find.left.blocks[0].x, find.left.blocks[0].width) == (0, 5)


def test_steps_that_one_version_alone_has_stand_where_they_would_be(browser: Client, tenant: Tenant) -> None:
    workflow = three(tenant)
    older = good_run(workflow)
    document = {**workflow.published_version.definition}  # type: ignore[union-attr]
    document["steps"] = [document["steps"][0], step("check"), *document["steps"][2:]]
    version = WorkflowVersion.unscoped.create(
        tenant=tenant, workflow=workflow, number=2, definition=document, checksum="2", bindings={}
    )
    workflow.published_version = version
    newer = new_run(workflow)
    rows = Rows(newer)
    for key in ("find", "check", "post"):
        rows.add(key)
    rows.save()
    found = compared(browser, newer, older)
    assert [pair.path for pair in found.pairs] == ["@trigger", "find", "send", "check", "post"]
    sides = {pair.path: (pair.left is not None, pair.right is not None) for pair in found.pairs}
    assert (sides["check"], sides["send"]) == ((True, False), (False, True))


def test_items_of_loops_are_paired_where_a_run_stopped(browser: Client, tenant: Tenant) -> None:
    right = loop_run(tenant, 130)
    left = new_run(right.workflow, "failed", error={**REFUSED, "path": "each[77].send"})
    rows = Rows(left)
    rows.add("find")
    rows.loop("each", [{"id": 1_000 + index} for index in range(130)], "failed")
    for index in range(78):
        rows.item("each", index, BAD if index == 77 else GOOD)
    rows.save()
    found = compared(browser, left, right, step="each[77].send")
    paths = [pair.path for pair in found.pairs]
    assert "each[77].send" in paths
    assert "each[49]" not in paths
    differs = {pair.path: pair.differs for pair in found.pairs}
    assert "outcome" in differs["each[77].send"]
    assert differs["each[76].tell"] == ()
    assert compared(browser, left, right).selected == "each", "the loop itself differs first"
    everything = compared(browser, left, right, loop="each", **{"from": 0}, step="each")
    links = [link.text for pair in everything.pairs if pair.path == "each" for link in pair.links]
    assert links == ["Items 1 to 50 of 130", "Next"]


def test_both_runs_show_the_same_items_of_a_loop(browser: Client, tenant: Tenant) -> None:
    # By itself a run with many items shows the failed ones alone.
    right = loop_run(tenant, 130, lambda index: BAD if index == 7 else GOOD)
    left = new_run(right.workflow)
    rows = Rows(left)
    rows.add("find")
    rows.loop("each", [{"id": 1_000 + index} for index in range(130)])
    for index in range(130):
        rows.item("each", index, GOOD)
    rows.save()
    pairs = {pair.path: pair for pair in compared(browser, left, right).pairs}
    assert pairs["each[3].send"].differs == ()
    assert "outcome" in pairs["each[7]"].differs
    assert pairs["each[7].tell"].differs == ("not in both",)


def test_large_values_are_not_opened_but_said_to_differ(
    browser: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runs.selectors.opened", lambda _payload: pytest.fail("a large value is opened"))
    workflow = three(tenant)
    runs = []
    for inline, stored in (("x", b"one"), ("y", b"two"), ("x", b"one")):
        run = new_run(workflow)
        rows = Rows(run)
        payload = Payload.unscoped.create(tenant=tenant, run=run, size=300_000, data=stored)
        rows.add("find", inputs={"text": inline * 25_000}, output_ref=payload.pk)
        runs.append(rows.save())
    notes = [part.note for part in compared(browser, runs[0], runs[1], step="find").detail.parts]
    assert [note.startswith("Large values are not opened here, but they differ") for note in notes] == [True, True]
    notes = [part.note for part in compared(browser, runs[0], runs[2], step="find").detail.parts]
    assert notes == ["Large, and the same in both."] * 2
    assert "x" * 500 not in browser.get(compare_address(runs[0], runs[1], step="find")).content.decode()


def test_runs_of_two_workflows_are_refused_in_words(browser: Client, tenant: Tenant) -> None:
    left = good_run(three(tenant))
    right = new_run(make_workflow(tenant, step("x"), slug="second"))
    answer = browser.get(compare_address(left, right))
    assert answer.status_code == 400
    assert "only runs of one workflow can be compared" in answer.content.decode()


def test_a_run_is_compared_with_the_last_that_succeeded_or_with_another(browser: Client, tenant: Tenant) -> None:
    workflow = three(tenant)
    lone = new_run(workflow, "failed")
    url = reverse("run-compare-with", args=["acme", lone.pk])
    assert browser.get(url).headers["Location"] == reverse("run", args=["acme", lone.pk])
    bad = new_run(workflow, "failed")
    assert browser.get(url).headers["Location"] == compare_address(lone, bad)
    good = [new_run(workflow), new_run(workflow)]
    last = new_run(workflow, "failed")
    url = reverse("run-compare-with", args=["acme", last.pk])
    assert browser.get(url).headers["Location"] == compare_address(last, good[1])
    assert browser.get(f"{url}?with={bad.pk}").headers["Location"] == compare_address(last, bad)
    assert browser.get(f"{url}?with=zzz").headers["Location"] == compare_address(last, good[1])
    assert url in browser.get(reverse("run", args=["acme", last.pk])).content.decode()
    choices = browser.get(compare_address(last, bad)).context["choices"]
    assert [(choice.id, choice.selected) for choice in choices] == [
        (good[1].pk, False), (good[0].pk, False), (bad.pk, True), (lone.pk, False),
    ]  # fmt: skip


@pytest.mark.parametrize("place", ["left", "right", "both"])
def test_another_tenants_run_is_not_there_in_either_place(
    browser: Client, tenant: Tenant, other_tenant: Tenant, place: str
) -> None:
    ours = good_run(three(tenant))
    theirs = new_run(make_workflow(other_tenant, step("x"), slug="theirs"))
    left, right = (theirs if place in (side, "both") else ours for side in ("left", "right"))
    assert browser.get(compare_address(left, right)).status_code == 404
    assert browser.get(reverse("run-compare-with", args=["acme", theirs.pk])).status_code == 404
    chosen = browser.get(f"{reverse('run-compare-with', args=['acme', ours.pk])}?with={theirs.pk}")
    assert browser.get(chosen.headers["Location"]).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "step=each[",
        "step=%00",
        "loop=nobody",
        "loop=each&from=99999999",
        "rows=999",
        "rows=x",
        "step=nobody",
        "show=zz",
    ],
)
def test_no_address_breaks_the_comparison(browser: Client, tenant: Tenant, query: str) -> None:
    left = loop_run(tenant, 60)
    right = new_run(left.workflow, "cancelled")
    for pair in ((left, right), (right, left), (left, left)):
        assert browser.get(f"{compare_address(*pair)}?{query}").status_code == 200


def test_a_comparison_costs_the_same_however_many_items_there_are(browser: Client, tenant: Tenant) -> None:
    def queries(count: int, slug: str) -> int:
        left = loop_run(tenant, count, slug=slug)
        right = new_run(left.workflow)
        rows = Rows(right)
        rows.add("find")
        rows.loop("each", [{"id": 1_000 + index} for index in range(count)])
        for index in range(count):
            rows.item("each", index, GOOD)
        rows.save()
        url = compare_address(left, right, loop="each")
        browser.get(url)
        with CaptureQueriesContext(connection) as captured:
            answer = browser.get(url)
        assert len(answer.content) < 200_000
        return len(captured)

    assert queries(100, "few") == queries(1_000, "many") <= 28


def test_a_comparison_is_a_light_page(browser: Client, tenant: Tenant) -> None:
    workflow = make_workflow(tenant, *(step(f"s{index}") for index in range(120)))
    runs = []
    for shift in (0, 1):
        rows = Rows(new_run(workflow))
        for index in range(120):
            data = {f"k{key}": key + shift for key in range(1_000)} if index == 7 else {}
            rows.add(f"s{index}", inputs=data, output=data)
        runs.append(rows.save())
    url = compare_address(*runs, step="s7")
    html = browser.get(url).content
    found = compared(browser, *runs, step="s7")
    assert [(len(part.found.shown), part.found.more) for part in found.detail.parts] == [(200, 800), (0, 1_000)]
    assert html.count(b"<") / 2 < 3_000
    assert len(gzip.compress(html)) <= 25 * 1024
    assert [pair.path for pair in compared(browser, *runs, step="s119").pairs][-1] == "s119"
    assert compared(browser, *runs, rows=1).before_url.endswith("rows=0")

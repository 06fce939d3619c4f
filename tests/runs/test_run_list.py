"""Lists of runs, the home page and the text of a run: a loop is one step in them, however many items it has."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.models import Tenant
from runs import overview
from runs.models import Run
from runs.pages.rows import run_rows
from runs.pages.words import data_summary
from tests.runs.ground import make_workflow
from tests.runs.loops_ground import BAD, GOOD, Rows, foreach, loop_run, new_run, step

pytestmark = pytest.mark.django_db
REFUSED = {"kind": "permanent", "message": "It was refused.", "hint": "", "retryable": False}


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def test_a_loop_is_one_square(tenant: Tenant) -> None:
    run = loop_run(tenant, 40, lambda index: BAD if index == 3 else GOOD)
    (row,) = run_rows(tenant, [run])
    assert row.squares.css == ("o", "o", "o")
    assert row.squares.label == "3 of 3 steps done"
    assert row.sentence == "3 steps done"


def test_a_run_in_a_loop_says_where_it_is(tenant: Tenant) -> None:
    (row,) = run_rows(tenant, [loop_run(tenant, 7, total=9, status="running")])
    assert row.squares.css == ("o", "l", "s")
    assert row.sentence == "At “For each order”, 1 of 3 steps done"


def test_a_run_that_stopped_in_an_item_says_in_which(tenant: Tenant) -> None:
    run = loop_run(tenant, 8, lambda index: BAD if index == 7 else GOOD, total=9, status="failed")
    run.error = {**REFUSED, "path": "each[7].send"}
    (row,) = run_rows(tenant, [run])
    assert row.sentence == "Stopped at “send”, item 8: It was refused."
    assert row.squares.css == ("o", "f", "s")


def test_steps_in_lanes_have_squares_and_tries_are_told(tenant: Tenant) -> None:
    big = {**step("big", "flow.if", inputs={}), "lanes": {"then": [step("tell")], "else": [step("write")]}}
    run = new_run(make_workflow(tenant, big))
    rows = Rows(run)
    rows.add("big", action="flow.if", output={"lane": "then"})
    rows.add("tell", "failed", attempt=1, retry_at=rows.at, error=REFUSED)
    rows.add("tell", attempt=2)
    rows.save()
    (row,) = run_rows(tenant, [run])
    assert row.squares.css == ("o", "o", "s")
    assert row.sentence == "“tell” worked on the second try"


def test_a_list_reads_no_rows_of_items(browser: Client, tenant: Tenant) -> None:
    for number in range(3):
        loop_run(tenant, 200, slug=f"w{number}")
    browser.get(reverse("run-list", args=["acme"]))
    with CaptureQueriesContext(connection) as queries:
        answer = browser.get(reverse("run-list", args=["acme"]))
    assert answer.status_code == 200
    asked = [query["sql"] for query in queries if "runs_steprun" in query["sql"]]
    assert len(asked) == 1
    assert '"path" IN (' in asked[0]
    assert len(queries) == 14
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "(run_id=? AND path=?)" in plan


def test_the_same_cause_in_several_items_is_one_cause(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, foreach())
    for item in range(3):
        run = new_run(workflow, "failed")
        Run.unscoped.filter(pk=run.pk).update(error={**REFUSED, "path": f"each[{item}].send"})
    (found,) = overview.failing(tenant)
    assert (found.count, found.step, found.message) == (3, "send", "It was refused.")


def text_of(browser: Client, run: Run) -> list[str]:
    answer = browser.get(reverse("run-text", args=["acme", run.pk]))
    assert answer["Content-Type"].startswith("text/plain")
    return answer.content.decode().splitlines()


def test_a_runs_text_has_the_same_tree_as_its_page(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 6, lambda index: BAD if index == 4 else GOOD, total=8, status="failed")
    Run.unscoped.filter(pk=run.pk).update(error={**REFUSED, "path": "each[4].send"}, failure_kind="permanent")
    lines = text_of(browser, run)
    assert "Stopped at “send”, item 5" in lines
    assert "Cause: It was refused." in lines
    said = [" ".join(line.split()) for line in lines]
    assert "5 of 8 done, 1 failed, 2 not finished" in said
    assert "failed 5 ms send [each[4].send #1] It was refused." in said
    assert "1 step was not reached: tell" in said
    assert any(line.endswith("Item 6 id 1005 [each[5]]") for line in said)


def test_the_text_of_a_run_of_many_items_has_the_failed_ones(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 2_000, lambda index: BAD if index in (7, 1_900) else GOOD)
    lines = [" ".join(line.split()) for line in text_of(browser, run)]
    assert "1,998 of 2,000 done, 2 failed" in lines
    assert [line for line in lines if "Item " in line] == [
        "failed 5 ms Item 8 id 1007 [each[7]]", "failed 5 ms Item 1,901 id 2900 [each[1900]]",
    ]  # fmt: skip
    assert len(lines) < 30


def test_every_attempt_has_a_line(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("flaky")))
    rows = Rows(run)
    rows.add("flaky", "failed", attempt=1, retry_at=rows.at, error=REFUSED)
    rows.add("flaky", attempt=2)
    rows.save()
    lines = [line for line in text_of(browser, run) if "flaky" in line]
    assert [line.split("[")[1] for line in lines] == ["flaky #1]  It was refused.", "flaky #2]"]


def waiting(tenant: Tenant, kind: str, slug: str = "asks", path: str = "ask", **row: Any) -> str:
    """Return the sentence of a run that waits at a step since 42 minutes."""
    run = new_run(make_workflow(tenant, step(path), slug=f"{slug}-{kind}".replace("_", "-")), "waiting")
    Run.unscoped.filter(pk=run.pk).update(waiting_for={"path": path, "kind": kind}, wake_at=row.pop("wake_at", None))
    rows = Rows(run)
    rows.at = timezone.now() - timedelta(minutes=42, seconds=1)
    rows.add(path, "failed" if kind == "outcome_unknown" else "waiting", **row)
    rows.save()
    (shown,) = run_rows(tenant, [Run.objects.for_tenant(tenant).select_related("workflow").get(pk=run.pk)])
    return shown.sentence


def test_a_run_that_waits_says_for_whom_and_how_long(tenant: Tenant) -> None:
    asked = {"message": "Refund?", "approvers": ["priya", "ada", "grace", "eve"]}
    assert waiting(tenant, "approval", inputs=asked) == "For priya or ada or grace to answer, 42 min so far"
    assert waiting(tenant, "callback") == "For a call from outside, 42 min so far"
    assert waiting(tenant, "workflow") == "For another workflow, 42 min so far"
    assert waiting(tenant, "outcome_unknown") == "For a person to say whether it happened, 42 min so far"
    assert waiting(tenant, "odd") == "Waits, 42 min so far"
    at = timezone.now() + timedelta(minutes=1)
    assert waiting(tenant, "time", wake_at=at).startswith("Goes on at ")


def test_each_run_waits_for_its_own_step(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("first"), step("second"))
    for path in ("first", "second"):
        rows = Rows(new_run(workflow, "waiting", waiting_for={"path": path, "kind": "approval"}))
        for key in ("first", "second"):
            rows.add(key, "waiting", inputs={"approvers": [f"{key} of {path}"]})
        rows.save()
    found = Run.objects.for_tenant(tenant).select_related("workflow").order_by("pk")
    assert [row.sentence.split(" to ")[0] for row in run_rows(tenant, list(found))] == [
        "For first of first", "For second of second",
    ]  # fmt: skip


def test_without_names_or_with_large_ones_a_person_is_waited_for(tenant: Tenant) -> None:
    large = {"message": "x" * 5_000, "approvers": ["priya"]}
    for number, inputs in enumerate((None, {"message": "Refund?"}, {"approvers": "priya"}, [1], large)):
        assert waiting(tenant, "approval", f"asks-{number}", inputs=inputs) == "For a person to answer, 42 min so far"


def test_runs_that_wait_cost_one_query_more(browser: Client, tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("ask"))
    for _ in range(5):
        Rows(new_run(workflow, "waiting", waiting_for={"path": "ask", "kind": "approval"})).add("ask", "waiting")
    browser.get(reverse("run-list", args=["acme"]))
    with CaptureQueriesContext(connection) as queries:
        browser.get(reverse("run-list", args=["acme"]))
    assert len(queries) == 15


def test_the_data_of_a_run_is_told_in_three_parts(tenant: Tenant) -> None:
    for body, said in (
        ({"name": "Ada", "plan": "trial", "n": 3, "more": "x"}, "name Ada, plan trial, n 3"),
        ({"orders": [1, 2, 3], "since": "13:55"}, "since 13:55, 3 orders"),
        ([1, 2], "2 items"),
        ("a text", "a text"),
        ({"empty": [], "nothing": None, "yes": True}, ""),
        (None, ""),
    ):
        assert data_summary({"body": body}) == said

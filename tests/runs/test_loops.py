"""How far a loop is: told from few rows, and the same as when all are counted."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator.tenants.models import Tenant
from runs import loops
from runs.loops import LoopState, failed_items, loop_states
from runs.models import Run, StepRun
from runs.outline import StepOutline, outline
from tests.runs.ground import drive, make_workflow, rows, start, step
from tests.runs.loops_ground import BAD, GOOD, Fate, Rows, foreach, loop_run, new_run

pytestmark = pytest.mark.django_db


def each_of(run: Run, key: str = "each") -> StepOutline:
    return next(found for found in outline(run.version.definition) if found.key == key)


def state_of(run: Run, path: str = "each", **more: Any) -> LoopState:
    return loop_states(run, {path: each_of(run, path.rpartition(".")[2])}, **more)[path]


def test_a_loop_that_went_through_all_items_is_done(tenant: Tenant) -> None:
    state = state_of(loop_run(tenant, 24))
    assert (state.begun, state.done, state.failed, state.total, state.is_open) == (24, 24, 0, 24, False)


def test_a_loop_at_work_says_what_is_done_failed_and_at_work(tenant: Tenant) -> None:
    fates: dict[int, Fate] = {3: BAD, 17: ("running",), 18: ("succeeded", "running"), 19: ("waiting",)}
    state = state_of(loop_run(tenant, 20, lambda index: fates.get(index, GOOD), total=24, status="running"))
    assert (state.begun, state.done, state.failed, state.at_work, state.waiting) == (20, 16, 1, 3, 1)
    assert (state.total, state.is_open) == (24, True)


def test_a_retried_failure_is_not_the_items_end(tenant: Tenant) -> None:
    run = loop_run(tenant, 0, total=3, status="running")
    more = Rows(run)
    later = more.at.replace(year=more.at.year + 1)
    error = {"kind": "transient", "message": "Away."}
    # Tried again and then good; tried again later; interrupted and then good.
    more.add("each[0].send", "failed", retry_at=more.at, error=error, attempt=1)
    more.add("each[0].send", attempt=2)
    more.add("each[0].tell")
    more.add("each[1].send", "failed", retry_at=later, error=error)
    more.add("each[2].send", "lost", failure_kind="outcome_unknown", error=error, attempt=1)
    more.add("each[2].send", attempt=2)
    more.add("each[2].tell")
    more.save()
    state = state_of(run)
    assert (state.begun, state.done, state.failed, state.at_work) == (3, 2, 0, 1)


def test_a_lost_attempt_that_nothing_followed_failed_its_item(tenant: Tenant) -> None:
    lost: Fate = ({"status": "lost", "failure_kind": "outcome_unknown", "error": {"kind": "outcome_unknown"}},)
    state = state_of(loop_run(tenant, 4, lambda index: lost if index == 2 else GOOD))
    assert (state.done, state.failed) == (3, 1)


def test_a_step_whose_failure_counts_for_nothing_fails_no_item(tenant: Tenant) -> None:
    body = [step("send", on_error="continue"), step("tell", on_error="continue")]
    run = new_run(make_workflow(tenant, foreach("each", *body)), "failed")
    made = Rows(run)
    made.loop("each", [1, 2, 3], "failed")
    for index, fate in enumerate([GOOD, ("failed", "succeeded"), ("succeeded", "failed")]):
        made.item("each", index, fate)
    made.save()
    state = state_of(run)
    assert (state.done, state.failed) == (3, 0)


def test_what_steps_hold_inside_an_item_counts_once(tenant: Tenant) -> None:
    """A branch that is open in an item is one thing at work, however many rows are open in it."""
    check = {**step("check", "flow.if", inputs={"condition": True}), "lanes": {"then": [step("deep")], "else": []}}
    run = new_run(make_workflow(tenant, foreach("each", check)), "running")
    made = Rows(run)
    made.loop("each", [1, 2], "running")
    made.add("each[0].check", "running", action="flow.if", output={"lane": "then"})
    made.add("each[0].deep", "waiting")
    made.add("each[1].check", "failed", action="flow.if", output={"lane": "then"})
    made.add("each[1].deep", "failed")
    made.save()
    state = state_of(run)
    assert (state.at_work, state.waiting, state.failed, state.done) == (1, 1, 1, 0)


def test_iterations_that_are_between_two_steps_are_at_work(tenant: Tenant) -> None:
    fates: list[Fate] = [GOOD, ("succeeded",), BAD, ("succeeded", "skipped"), ("succeeded", "running"), ("succeeded",)]
    run = loop_run(tenant, len(fates), fates.__getitem__, total=8, status="running")
    found = state_of(run)
    assert (found.done, found.failed, found.at_work) == (2, 1, 3)


def test_an_iteration_whose_next_try_is_due_is_at_work(tenant: Tenant) -> None:
    due: Fate = ({"status": "failed", "retry_at": timezone.now() - timedelta(seconds=1)},)
    run = loop_run(tenant, 2, [GOOD, due].__getitem__, total=3, status="running")
    assert (state_of(run).done, state_of(run).at_work) == (1, 1)


def test_iterations_that_were_stopped_between_two_steps_are_not_done(tenant: Tenant) -> None:
    """They have no row that says so: in a loop that did not succeed all rows are counted."""
    fates: dict[int, Fate] = {4: BAD, 5: ("succeeded",), 6: ("cancelled",)}
    run = loop_run(tenant, 7, lambda index: fates.get(index, GOOD), total=9, status="failed")
    loops._done.clear()
    state = state_of(run)
    assert (state.begun, state.done, state.failed, state.total) == (7, 4, 1, 9)
    with CaptureQueriesContext(connection) as again:
        assert state_of(run) == state
    assert len(again) == 2, "the count of a loop that ended is kept"


def test_items_that_an_earlier_run_gave_are_told_apart(tenant: Tenant) -> None:
    run = loop_run(tenant, 0, total=6, status="running")
    more = Rows(run)
    for index in (2, 3, 4):
        more.item("each", index, GOOD)
    more.save()
    state = state_of(run, given={"find", "each[0]", "each[1]", "each[5]", "each[1].lines[7]"})
    assert (state.given, state.begun, state.done, state.lines, state.total) == (3, 5, 3, 6, 6)


def test_a_loop_that_has_not_begun_or_holds_nothing_is_no_riddle(tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, foreach("each"), slug="none"), "running")
    assert loop_states(run, {"each": each_of(run)}) == {}
    assert loop_states(run, {}) == {}
    empty = loop_run(tenant, 0, total=0)
    assert (state_of(empty).total, state_of(empty).lines) == (0, 0)


@pytest.mark.parametrize("status", ["running", "succeeded", "failed"])
def test_how_many_items_a_stored_list_has_is_read_once(tenant: Tenant, status: str) -> None:
    run = loop_run(tenant, 10, total=10 if status == "succeeded" else 12, status=status, stored=True)
    loops._counts.clear()
    wanted = 10 if status == "succeeded" else 12
    assert (state_of(run).total, state_of(run).values) == (wanted, [])
    with CaptureQueriesContext(connection) as queries:
        state_of(run)
    assert not any("runs_payload" in query["sql"] for query in queries)


def test_a_list_that_is_too_large_to_be_looked_into_has_no_total(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "_BYTES_READ", 100)
    run = loop_run(tenant, 10, total=12, status="running", stored=True)
    assert (state_of(run).total, state_of(run).begun) == (None, 10)


def test_failed_items_come_in_order_and_from_where_they_are_asked_for(tenant: Tenant) -> None:
    run = loop_run(tenant, 30, lambda index: BAD if index % 7 == 3 else GOOD)
    assert failed_items(run, "each", each_of(run), start=0, limit=3) == [3, 10, 17]
    assert failed_items(run, "each", each_of(run), start=11, limit=10) == [17, 24]


def test_many_loops_take_as_many_queries_as_one(tenant: Tenant) -> None:
    inner = foreach("lines", step("pack"))
    run = new_run(make_workflow(tenant, foreach("each", inner)), "running")
    made = Rows(run)
    made.loop("each", list(range(20)), "running")
    for index in range(20):
        made.loop(f"each[{index}].lines", [1, 2, 3])
        for line in range(3):
            made.item(f"each[{index}].lines", line, ("failed" if line == index % 3 else "succeeded",), ("pack",))
    made.save()
    lines = each_of(run, "lines")
    with CaptureQueriesContext(connection) as queries:
        found = loop_states(run, {f"each[{index}].lines": lines for index in range(20)})
    assert len(queries) == 2
    assert {(state.done, state.failed, state.total) for state in found.values()} == {(2, 1, 3)}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's plans are looked at with those of attempts")
def test_sqlite_counts_a_loop_by_the_index_of_what_is_not_settled(tenant: Tenant) -> None:
    run = loop_run(tenant, 20, lambda index: BAD if index == 3 else GOOD)
    with CaptureQueriesContext(connection) as queries:
        state_of(run)
        failed_items(run, "each", each_of(run), start=0, limit=5)
    plans = []
    for query in queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans.append(" ".join(str(row) for row in cursor.fetchall()))
    assert ["steprun_loop_unsettled" in plan for plan in plans] == [False, True, True]
    assert not any("SCAN runs_steprun" in plan for plan in plans)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_told_from_few_rows_is_what_counting_all_gives(tenant: Tenant, seed: int) -> None:
    rng = random.Random(seed)
    fates: list[Fate] = [
        GOOD,
        GOOD,
        GOOD,
        BAD,
        ("succeeded", "failed"),
        ("skipped", "succeeded"),
        ("succeeded", "lost"),
    ]
    chosen = [rng.choice(fates) for _ in range(60)]
    run = loop_run(tenant, 60, lambda index: chosen[index])
    state = state_of(run)
    good = sum(fate[-1] in ("succeeded", "skipped") and len(fate) == 2 for fate in chosen)
    assert (state.done, state.failed) == (good, 60 - good)


@pytest.mark.django_db(transaction=True)
def test_a_driven_loop_is_told_as_its_engine_left_it(tenant: Tenant) -> None:
    code = "def main(input):\n    if input['i'] in (2, 5):\n        raise ValueError('no')\n    return input['i']"
    body = [step("send", "code.python", inputs={"code": code, "input": {"i": "{{ index }}"}}), step("tell")]
    loop = foreach("each", *body, on_item_error="continue", concurrency=3)
    run = start(make_workflow(tenant, loop, step("post")), list(range(9)))
    drive()
    run = run.refresh()
    assert run.status == "succeeded", run.error
    state = state_of(run)
    assert (state.total, state.begun, state.done, state.failed) == (9, 9, 7, 2)
    assert failed_items(run, "each", each_of(run), start=0, limit=9) == [2, 5]
    assert {row.status for row in rows(run, "each[2].send")} == {"failed"}
    assert StepRun.objects.for_tenant(tenant).filter(run=run, path="each[2].tell").count() == 0

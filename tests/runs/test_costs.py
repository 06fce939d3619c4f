"""What a run costs the database, counted: statements and commits do not depend on the machine."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from orchestrator.tenants.models import Tenant
from runs import journal
from runs.inserts import ROWS_A_STATEMENT
from runs.journal import RunJournal
from runs.models import Run, StepRun
from tests.runs.ground import Times, drive, make_workflow, start, step

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite tells every statement"),
]

RUNS = 100
STEPS = 10
WRITES = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM|COMMIT)(?:\s+\"?(\w+))?", re.IGNORECASE)


@contextmanager
def written() -> Iterator[Counter[str]]:
    """Count what connections that are opened in a ``with`` block write: ``INSERT INTO runs_steprun``, ``COMMIT``."""
    found: Counter[str] = Counter()

    def opened(connection: Any, **_: Any) -> None:
        before = ""

        def note(statement: str) -> None:
            nonlocal before
            # What a trigger does is told as the statement that set it off, once more.
            if statement != before and (match := WRITES.match(statement)) is not None:
                found[" ".join(part for part in match.groups() if part)] += 1
            before = statement

        connection.connection.set_trace_callback(note)

    connection_created.connect(opened)
    try:
        yield found
    finally:
        connection_created.disconnect(opened)


def test_runs_that_are_driven_together_share_statements_and_commits(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, *(step(f"s{number}") for number in range(STEPS)))
    for _ in range(RUNS):
        start(workflow, {"name": "Ada"})
    with written() as found:
        driver = drive(Times(slice=60, idle=0.05))
    assert Run.unscoped.filter(status="succeeded").count() == RUNS
    assert StepRun.unscoped.count() == RUNS * STEPS
    # One for each run that ends, and one for each commit that claims.
    assert RUNS < found["UPDATE runs_run"] <= RUNS + found["COMMIT"]
    assert found["UPDATE runs_steprun"] == 0, "a step that ends at once is written once"
    # Each commit's last statement may be a short one.
    least = math.ceil(RUNS * STEPS / ROWS_A_STATEMENT)
    assert least <= found["INSERT INTO runs_steprun"] <= least + driver.writer.commits
    assert driver.writer.commits <= RUNS // 4
    assert found["COMMIT"] <= driver.writer.commits + 5, "the writer commits, hardly anybody else does"


def test_a_run_alone_takes_two_commits(tenant: Tenant) -> None:
    """One claims it, one writes its steps and its end; the rest are what a driver commits in any case."""
    workflow = make_workflow(tenant, *(step(f"s{number}") for number in range(STEPS)))
    with written() as idle:
        drive(Times(slice=60, idle=0.05))
    start(workflow)
    with written() as found:
        drive(Times(slice=60, idle=0.05))
    assert found["INSERT INTO runs_steprun"] == 1
    assert found["UPDATE runs_run"] == 2
    assert found["COMMIT"] - idle["COMMIT"] <= 2


@pytest.mark.parametrize(
    "inner",
    [
        step("skipped", run_if="{{ item < 0 }}"),
        step("fails", inputs={"values": {"x": "{{ item.no }}"}}, on_error="continue"),
    ],
    ids=["skipped", "failed"],
)
def test_steps_that_call_nothing_wait_for_the_database_too(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, inner: dict[str, Any]
) -> None:
    """They make rows as fast as the loop turns, which would fill the memory."""
    monkeypatch.setattr(journal, "MOST_UNWRITTEN", 20)
    most = 0
    keep = RunJournal._keep

    def counted(self: RunJournal, attempt: Any) -> None:
        nonlocal most
        keep(self, attempt)
        most = max(most, self._unwritten + len(self._waiting))

    monkeypatch.setattr(RunJournal, "_keep", counted)
    loop = step("each", "flow.foreach", inputs={"items": list(range(300)), "concurrency": 2})
    run = start(make_workflow(tenant, {**loop, "lanes": {"body": [inner]}}))
    drive(Times(slice=60, idle=0.05))
    assert Run.unscoped.get(pk=run.pk).status == "succeeded"
    assert StepRun.unscoped.filter(run=run).count() == 301
    assert most <= 25

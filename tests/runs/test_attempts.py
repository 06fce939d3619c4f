"""Attempts in the order they began: complete, page by page, by an index, and what lies under a path."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator.tenants.models import Tenant
from runs import selectors
from runs.attempts import attempts_after
from runs.models import Run
from tests.runs.ground import make_workflow, step
from tests.runs.loops_ground import BAD, GOOD, Rows, foreach, loop_run, new_run
from tests.services import postgres_database

pytestmark = pytest.mark.django_db


def paths(run: Run, path: str | None = None, limit: int = 10_000) -> list[str]:
    return [row.path for row in attempts_after(run, path=path, limit=limit)]


def pages(run: Run, limit: int, path: str | None = None) -> Iterator[list[str]]:
    cursor = 0
    while found := attempts_after(run, cursor=cursor, path=path, limit=limit):
        yield [row.path for row in found]
        cursor = found[-1].pk


def tree_run(tenant: Tenant) -> Run:
    """Return a run with a branch, and a loop that holds a branch and a loop."""
    branch = {**step("big", "flow.if", inputs={"condition": True}), "lanes": {"then": [step("tell")], "else": []}}
    check = {**step("check", "flow.if", inputs={"condition": True}), "lanes": {"then": [step("deep")], "else": []}}
    inner = foreach("lines", step("pack"))
    run = new_run(make_workflow(tenant, branch, foreach("each", check, inner), step("post"), slug="tree"))
    made = Rows(run)
    made.add("big", action="flow.if")
    made.add("tell")
    made.loop("each", [1, 2])
    for index in range(2):
        made.add(f"each[{index}].check", action="flow.if")
        made.add(f"each[{index}].deep")
        made.loop(f"each[{index}].lines", [1, 2])
        for line in range(2):
            made.add(f"each[{index}].lines[{line}].pack")
    made.add("post")
    return made.save()


def test_every_attempt_comes_once_and_in_start_order(tenant: Tenant) -> None:
    run = loop_run(tenant, 150, lambda index: BAD if index % 10 == 0 else GOOD)
    everything = [row.path for row in selectors.step_rows(run)]
    assert paths(run) == everything
    assert [path for page in pages(run, 40) for path in page] == everything
    assert all(len(page) <= 40 for page in pages(run, 40))


def test_a_run_without_loops_is_read_as_before(tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, *(step(f"s{index}") for index in range(30))))
    made = Rows(run)
    for index in range(30):
        made.add(f"s{index}", "failed", retry_at=made.at, attempt=1)
        made.add(f"s{index}", attempt=2)
    made.save()
    assert paths(run) == [row.path for row in selectors.step_rows(run)]
    with CaptureQueriesContext(connection) as queries:
        attempts_after(run, limit=50)
    assert len(queries) == 1


@pytest.mark.parametrize(
    ("path", "under"),
    [
        ("post", ["post"]),
        ("tell", ["tell"]),
        ("big", ["big", "tell"]),
        ("each[1].deep", ["each[1].deep"]),
        ("each[1].check", ["each[1].check", "each[1].deep"]),
        ("each[1].lines", ["each[1].lines", "each[1].lines[0].pack", "each[1].lines[1].pack"]),
        ("each[1].lines[0]", ["each[1].lines[0].pack"]),
        ("each[0]", [f"each[0].{rest}" for rest in ("check", "deep", "lines", "lines[0].pack", "lines[1].pack")]),
        ("each[7]", []),
        ("nobody", []),
        ("each[", []),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_a_path_gives_the_step_and_what_it_holds(tenant: Tenant, path: str | None, under: list[str] | None) -> None:
    run = tree_run(tenant)
    assert paths(run, path or None) == (paths(run) if under is None else under)
    assert [found for page in pages(run, 2, path or None) for found in page] == paths(run, path or None)


def test_a_loops_path_gives_all_of_it(tenant: Tenant) -> None:
    run = tree_run(tenant)
    everything = paths(run)
    assert paths(run, "each") == [path for path in everything if path.startswith("each")]
    assert "each[1].lines[1].pack" in paths(run, "each")


def test_another_runs_rows_are_not_among_them(tenant: Tenant, other_tenant: Tenant) -> None:
    run, other = loop_run(tenant, 3), loop_run(other_tenant, 3)
    ours = {row.run_id for row in attempts_after(run, limit=100)}
    assert ours == {run.pk}
    assert {row.pk for row in attempts_after(run, limit=100)}.isdisjoint(
        row.pk for row in attempts_after(other, limit=100)
    )


def test_a_page_costs_the_same_wherever_it_is(tenant: Tenant) -> None:
    run = loop_run(tenant, 200)
    with CaptureQueriesContext(connection) as first:
        page = attempts_after(run, limit=50)
    with CaptureQueriesContext(connection) as last:
        attempts_after(run, cursor=page[-1].pk, limit=50)
    assert len(first) == len(last) == 2


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is SQLite's; PostgreSQL's is looked at below")
def test_sqlite_reads_a_page_by_an_index_in_the_order_of_the_page(tenant: Tenant) -> None:
    run = loop_run(tenant, 20)
    with CaptureQueriesContext(connection) as queries:
        attempts_after(run, limit=50)
    for query in queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "SCAN" not in plan
    assert "steprun_loops_in_order (run_id=? AND id>?)" in plan
    assert "TEMP B-TREE" not in plan


_PLANS = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.db import connection
from django.test.utils import CaptureQueriesContext
from orchestrator.tenants.models import Tenant
from runs.attempts import attempts_after
from runs.loops import loop_states
from runs.outline import outline
from tests.runs.loops_ground import BAD, GOOD, loop_run
tenant = Tenant.objects.create(slug="acme", name="Acme")
for number in range(8):
    loop_run(tenant, 800, slug=f"other{number}")
run = loop_run(tenant, 3_000, lambda index: BAD if index % 500 == 0 else GOOD)
each = next(step for step in outline(run.version.definition) if step.key == "each")
with connection.cursor() as cursor:
    cursor.execute("ANALYZE")
    with CaptureQueriesContext(connection) as queries:
        page = attempts_after(run, limit=201)
        attempts_after(run, cursor=page[-1].pk, limit=201)
        attempts_after(run, path="each", limit=201)
        attempts_after(run, path="each[3]", limit=201)
        print(loop_states(run, {"each": each})["each"].failed)
    for query in list(queries):
        cursor.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + query["sql"])
        lines = [row[0] for row in cursor.fetchall()]
        removed = [line for line in lines if "Removed by Filter" in line]
        print(*(line for line in lines if "Scan" in line), *removed, sep=" | ")
"""


@pytest.mark.skipif(connection.vendor != "sqlite", reason="once is enough, and it has a database of its own")
def test_postgresql_reads_pages_and_loops_by_their_indexes() -> None:
    with postgres_database() as url:
        environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [sys.executable, "-c", _PLANS], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    failed, *plans = done.stdout.splitlines()
    assert failed == "6"
    assert len(plans) == 9
    assert any("steprun_loops_in_order" in plan for plan in plans)
    assert any("steprun_in_loop" in plan for plan in plans)
    assert any("steprun_loop_unsettled" in plan for plan in plans)
    assert not [plan for plan in plans if "Seq Scan" in plan]
    # Whatever index it takes, it looks at few rows more than it gives.
    assert sum(map(int, re.findall(r"Removed by Filter: (\d+)", done.stdout))) <= 50

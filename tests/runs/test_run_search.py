"""The search in the list of runs: numbers, names, errors, what came with the trigger and what the steps gave."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator import jsongate
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs import listing, search
from runs.listing import Narrow, look
from runs.models import Payload, Run
from tests.runs.ground import make_workflow, step
from tests.runs.list_ground import ago, run_at
from tests.runs.loops_ground import Rows, loop_run

pytestmark = pytest.mark.django_db
REFUSED = {"kind": "permanent", "message": "not_in_channel: #sales", "hint": "", "retryable": False, "path": "only"}


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, step("only"), step("then"), slug="orders")


def found(tenant: Tenant, q: str, **narrow: Any) -> list[int]:
    return list(look(tenant, Narrow(q=q, **narrow)).ids)


def gave(run: Run, output: Any, path: str = "only") -> Run:
    rows = Rows(run)
    rows.add(path, output=output)
    return rows.save()


def test_a_run_is_found_by_its_number_whole_or_as_pages_show_it(tenant: Tenant, workflow: Workflow) -> None:
    run = run_at(workflow, ago(hours=1))
    run_at(workflow)
    for q in (str(run.pk), f"#{run.pk}", str(run.pk)[-6:], f"#{str(run.pk)[-6:]}", f"  {run.pk} "):
        assert found(tenant, q) == [run.pk], q
    assert found(tenant, str(run.pk), statuses=("failed",)) == []
    assert found(tenant, "9" * 19) == found(tenant, "99") == []


def test_a_run_is_found_by_its_workflows_name(tenant: Tenant, workflow: Workflow) -> None:
    other = make_workflow(tenant, step("only"), slug="refunds")
    run = run_at(other)
    run_at(workflow)
    assert found(tenant, "REFUND") == [run.pk]


def test_errors_are_found_by_message_and_kind(tenant: Tenant, workflow: Workflow) -> None:
    run = run_at(workflow, status="failed", error=REFUSED)
    run_at(workflow)
    assert found(tenant, "not_in_channel") == found(tenant, "NOT_IN") == found(tenant, "permanent") == [run.pk]
    assert found(tenant, "notXin") == [], "an underscore stands for itself"
    assert found(tenant, "retryable") == [], "that is a name and no value"


def test_values_of_the_trigger_are_found_and_names_are_not(tenant: Tenant, workflow: Workflow) -> None:
    body = {"email": "Ada@Northwind.test", "order": {"lines": [{"sku": 'say "hi"\\n', "n": 10377, "sum": 129.5}]}}
    run = run_at(workflow, body=body)
    run_at(workflow, body="something else")
    for q in ("ada@northwind", "10377", "129.5", 'SAY "HI"', "\\n"):
        assert found(tenant, q) == [run.pk], q
    for q in ("email", "lines", "true", "curl", "%", "manual"):
        assert found(tenant, q) == [], q
    asked = run_at(workflow, trigger={"type": "webhook", "body": None, "query": {"page": "seventeen"}})
    assert found(tenant, "Seventeen") == [asked.pk]


def test_letters_beyond_ascii_are_found_in_either_case(tenant: Tenant, workflow: Workflow) -> None:
    run = run_at(workflow, ago(minutes=1), body={"name": "Élodie Größe 東京"})
    # A document with half a surrogate pair in it is written in ASCII alone.
    odd = run_at(workflow, body={"name": "Élodie Größe", "bad": "\ud800"})
    for q in ("élodie", "ÉLODIE", "größe"):
        assert run.pk in found(tenant, q), q
    assert found(tenant, "Élodie") == [odd.pk, run.pk]
    assert found(tenant, "東京") == [run.pk]


def test_what_steps_gave_is_found(tenant: Tenant, workflow: Workflow) -> None:
    run = gave(run_at(workflow), {"score": 87, "tags": ["gold customer"]})
    gave(run_at(workflow), {"gold customer": "silver"})
    assert found(tenant, "gold cust") == [run.pk]
    assert found(tenant, "87") == [run.pk]


def test_values_in_rows_of_their_own_are_not_opened(tenant: Tenant, workflow: Workflow) -> None:
    run = run_at(workflow, trigger=None)
    data = jsongate.dumps({"body": "needle"}).encode()
    payload = Payload(tenant=tenant, run=run, size=len(data), data=data)
    payload.save(force_insert=True)
    Run.unscoped.filter(pk=run.pk).update(trigger_ref=payload.pk)
    with CaptureQueriesContext(connection) as queries:
        assert found(tenant, "needle") == []
    assert not [query for query in queries if "runs_payload" in query["sql"]]


def test_of_loops_what_they_gave_is_found_without_reading_their_items(tenant: Tenant) -> None:
    run = loop_run(tenant, 300)
    Rows(run)
    run.steps.filter(path="each").update(output=["the needle"])
    run.steps.filter(path="each[7].send").update(output="hidden deep")
    with CaptureQueriesContext(connection) as queries:
        assert found(tenant, "needle") == [run.pk]
        assert found(tenant, "hidden deep") == []
    asked = [query["sql"] for query in queries if '"runs_steprun"."path" IN' in query["sql"]]
    assert len(asked) == 2
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked[0]}")
            assert "(run_id=? AND path=?)" in " ".join(str(row) for row in cursor.fetchall())


def test_the_search_reads_rows_of_steps_by_their_run(tenant: Tenant, workflow: Workflow) -> None:
    gave(run_at(workflow), "needle")
    with CaptureQueriesContext(connection) as queries:
        found(tenant, "needle")
    asked = next(query["sql"] for query in queries if "runs_steprun" in query["sql"])
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {asked}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "run_by_tenant (tenant_id=?" in plan
        assert "(run_id=?)" in plan
        assert "SCAN" not in plan


def test_the_search_asks_as_much_for_many_runs_as_for_few(tenant: Tenant, workflow: Workflow) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            found(tenant, "nothing like it")
        return len(queries)

    gave(run_at(workflow), "a")
    asked()
    few = asked()
    for number in range(60):
        gave(run_at(workflow, ago(minutes=number)), "b")
    assert asked() == few == 4


def test_matches_of_every_kind_come_in_order_and_once(
    tenant: Tenant, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_FIRST_CHUNK", 5)
    made = []
    for number in range(1, 41):
        at = ago(minutes=number)
        kind = number % 4
        if kind == 0:
            made.append(gave(run_at(workflow, at), "needle").pk)
        elif kind == 1:
            made.append(run_at(workflow, at, body="a needle").pk)
        elif kind == 2:
            made.append(run_at(workflow, at, "failed", error={**REFUSED, "message": "Needle"}).pk)
        else:
            run_at(workflow, at, body={"needle": "no value"})
    seen: list[int] = []
    before = None
    for _ in range(20):
        page = look(tenant, Narrow(q="needle"), before=before, most=7)
        seen += page.ids
        if not page.more:
            break
        before = page.ids[-1]
    assert seen == made
    assert found(tenant, "needle", statuses=("failed",)) == [pk for pk in made if pk in seen][1::3]


def test_a_damaged_value_is_passed_over(tenant: Tenant, workflow: Workflow) -> None:
    run = run_at(workflow, body="needle")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_run SET trigger = %s WHERE id = %s", ['{"body": "needle', run.pk])
    assert found(tenant, "needle") == []


def test_versions_are_read_once(tenant: Tenant, workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_VERSIONS_KEPT", 1)
    monkeypatch.setattr(search, "_known", {})
    for slug in ("a", "b", "c"):
        gave(run_at(make_workflow(tenant, step("only"), slug=slug)), "needle")
    assert len(found(tenant, "needle")) == 3
    with CaptureQueriesContext(connection) as queries:
        assert len(found(tenant, "needle")) == 3
    assert not [query for query in queries if "workflowversion" in query["sql"]]


def test_versions_that_were_read_before_are_known_though_room_is_made_for_others(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_VERSIONS_KEPT", 1)
    monkeypatch.setattr(search, "_known", {})
    versions = [make_workflow(tenant, step("only"), slug=slug).published_version_id for slug in ("a", "b", "c")]
    for upto in range(1, 4):
        assert search._steps(tenant, versions[:upto]).keys() == set(versions[:upto])


def test_what_steps_gave_is_read_a_few_at_a_time(tenant: Tenant, workflow: Workflow) -> None:
    large = {"needle": "x" * 50_000}
    for number in range(100):
        gave(run_at(workflow, ago(minutes=number)), large)
    tracemalloc.start()
    try:
        assert found(tenant, "needle") == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000

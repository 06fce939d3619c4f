"""Runs over the API: started, waited for, read, cancelled, run again, and one step tested."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from orchestrator.tenants.models import Tenant
from runs import patience
from runs.models import Run
from tests.api.conftest import Caller, document
from tests.runs.ground import drive, driving
from tests.runs.loops_ground import BAD, GOOD, loop_run

pytestmark = pytest.mark.django_db(transaction=True)
RUN = {
    "id", "workflow", "version", "status", "trigger", "payload", "output", "error", "created_at", "started_at",
    "finished_at", "steps", "revision", "kind", "waiting_for", "rerun_of", "usage",
}  # fmt: skip
STEP = {
    "path", "key", "action", "resolved_as", "attempt", "status", "inputs", "output", "error", "logs", "started_at",
    "finished_at", "duration_ms", "progress", "usage",
}  # fmt: skip


@pytest.fixture
def workflow(api: Caller) -> str:
    made: str = api.ok("POST", "workflows/", document())["id"]
    api.ok("POST", f"workflows/{made}/publish/", {})
    return made


def test_a_run_is_accepted_and_read_once_it_ended(api: Caller, workflow: str) -> None:
    response = api("POST", f"workflows/{workflow}/runs/", {"payload": {"name": "Ada"}})
    assert response.status_code == 202
    accepted = json.loads(response.content)
    assert set(accepted) == {"id", "status", "url"}
    assert accepted["status"] == "queued"
    drive()
    run = api.ok("GET", f"runs/{accepted['id']}/")
    assert set(run) >= RUN
    assert (run["status"], run["output"], run["version"], run["error"]) == ("succeeded", "Hello Ada", 1, None)
    assert run["payload"] == {"name": "Ada"}
    assert run["trigger"]["type"] == "manual"
    (step,) = run["steps"]
    assert set(step) == STEP
    assert (step["path"], step["attempt"], step["status"]) == ("greet", 1, "succeeded")
    assert (step["inputs"], step["output"]) == ({"name": "Ada"}, {"message": "Hello Ada"})
    assert step["duration_ms"] >= 0


def test_a_rerun_can_be_waited_for_too(api: Caller, workflow: str) -> None:
    first = api.ok("POST", f"workflows/{workflow}/runs/", {"payload": {"name": "Ada"}})["id"]
    drive()
    assert api("POST", f"runs/{first}/rerun/?wait=soon", {}).status_code == 400
    with driving():
        response = api("POST", f"runs/{first}/rerun/?wait=20", {})
    assert response.status_code == 200
    again = json.loads(response.content)
    assert (again["status"], again["output"], again["rerun_of"]) == ("succeeded", "Hello Ada", first)


def test_wait_answers_the_finished_run(api: Caller, workflow: str) -> None:
    with driving():
        response = api("POST", f"workflows/{workflow}/runs/?wait=20", {"payload": {"name": "Ada"}})
    assert response.status_code == 200
    assert json.loads(response.content)["output"] == "Hello Ada"


def test_wait_that_is_not_finished_answers_as_without_it(api: Caller, workflow: str) -> None:
    assert api("POST", f"workflows/{workflow}/runs/?wait=0.1", {}).status_code == 202
    assert api("POST", f"workflows/{workflow}/runs/?wait=soon", {}).status_code == 400


def test_at_most_a_quarter_of_the_web_threads_waits_at_once(
    api: Caller, workflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = patience.waiting
    taken = 0
    while places.acquire(blocking=False):
        taken += 1
    try:
        assert taken == settings.WEB_THREADS // 4
        monkeypatch.setattr("runs.patience.time.sleep", lambda seconds: pytest.fail("it waits"))
        assert api("POST", f"workflows/{workflow}/runs/?wait=60", {}).status_code == 202
    finally:
        for _ in range(taken):
            places.release()


def test_waiting_holds_no_transaction_asks_ever_more_rarely_and_gives_its_place_back(
    api: Caller, workflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        assert not connection.in_atomic_block
        assert seconds > 0
        pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(patience, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0]))
    for _ in range(settings.WEB_THREADS):
        clock[0], pauses[:] = 0.0, []
        assert api("POST", f"workflows/{workflow}/runs/?wait=60", {}).status_code == 202
        assert sum(pauses) == pytest.approx(60)
        assert (pauses[0], max(pauses)) == (patience.POLL_SECONDS, patience.POLL_SLOWEST)
        assert len(pauses) < 300
    for wrong in ("61", "-1", "nan", "inf", "", "1e9", "soon"):
        assert api("POST", f"workflows/{workflow}/runs/?wait={wrong}", {}).status_code == 400, wrong


def test_a_test_of_a_step_can_be_waited_for(api: Caller, workflow: str) -> None:
    with driving():
        response = api("POST", f"workflows/{workflow}/steps/greet/test/?wait=20", {"payload": {"name": "Ada"}})
    assert response.status_code == 200
    assert json.loads(response.content)["steps"][0]["output"] == {"message": "Hello Ada"}


def test_an_unchanged_run_is_204(api: Caller, workflow: str) -> None:
    run = api.ok("POST", f"workflows/{workflow}/runs/", {"payload": {"name": "Ada"}})["id"]
    revision = api.ok("GET", f"runs/{run}/")["revision"]
    assert api("GET", f"runs/{run}/?after={revision}").status_code == 204
    drive()
    assert api("GET", f"runs/{run}/?after={revision}").status_code == 200


def test_an_unpublished_workflow_is_409_and_its_draft_runs(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())["id"]
    assert api("POST", f"workflows/{made}/runs/", {}).status_code == 409
    run = api.ok("POST", f"workflows/{made}/runs/", {"version": "draft", "payload": {"name": "Ada"}})["id"]
    drive()
    assert api.ok("GET", f"runs/{run}/")["output"] == "Hello Ada"
    assert api("POST", f"workflows/{made}/runs/", {"version": 7}).status_code == 404


def test_a_queued_run_is_cancelled_and_an_ended_one_is_409(api: Caller, workflow: str) -> None:
    run = api.ok("POST", f"workflows/{workflow}/runs/", {})["id"]
    assert api.ok("POST", f"runs/{run}/cancel/", {})["status"] == "cancelled"
    assert api("POST", f"runs/{run}/cancel/", {}).status_code == 409


def test_a_run_is_run_again_from_a_step_with_another_payload(api: Caller, workflow: str) -> None:
    first = api.ok("POST", f"workflows/{workflow}/runs/", {"payload": {"name": "Ada"}})["id"]
    drive()
    response = api("POST", f"runs/{first}/rerun/", {"payload": {"name": "Bo"}})
    assert response.status_code == 202
    drive()
    again = api.ok("GET", f"runs/{json.loads(response.content)['id']}/")
    assert (again["rerun_of"], again["output"]) == (first, "Hello Bo")
    assert api("POST", f"runs/{first}/rerun/", {"from": "nowhere"}).status_code in (400, 404)
    assert api("POST", f"runs/{first}/rerun/", {"version": "none"}).status_code == 400


def test_one_step_is_tested_with_given_data(api: Caller) -> None:
    steps = [
        {"key": "first", "action": "data.set", "config": {"inputs": {"values": {"name": "unused"}}}},
        {"key": "greet", "action": "hello.world", "config": {"inputs": {"name": "{{ steps.first.output.name }}"}}},
    ]
    made = api.ok("POST", "workflows/", document(steps=steps))["id"]
    run = api.ok("POST", f"workflows/{made}/steps/greet/test/", {"given": {"first": {"name": "Given"}}})["id"]
    drive()
    found = api.ok("GET", f"runs/{run}/")
    assert [step["path"] for step in found["steps"]] == ["greet"]
    assert found["steps"][0]["output"] == {"message": "Hello Given"}
    assert api("POST", f"workflows/{made}/steps/nothing/test/", {}).status_code == 404


def test_a_large_value_is_a_link_to_the_whole(api: Caller) -> None:
    steps = [{"key": "big", "action": "data.set", "config": {"inputs": {"values": {"x": "{{ trigger.body }}"}}}}]
    made = api.ok("POST", "workflows/", document(steps=steps, output=None))["id"]
    run = api.ok("POST", f"workflows/{made}/runs/", {"version": "draft", "payload": "y" * 200_000})["id"]
    drive()
    output = api.ok("GET", f"runs/{run}/")["steps"][0]["output"]
    assert output["truncated"] is True
    assert output["size"] > 200_000
    assert api.ok("GET", output["url"].partition("/api/v1/")[2]) == {"x": "y" * 200_000}


def test_more_steps_than_a_page_lead_on(api: Caller) -> None:
    steps = [
        {"key": f"s{number}", "action": "data.set", "config": {"inputs": {"values": {"n": number}}}}
        for number in range(205)
    ]
    made = api.ok("POST", "workflows/", document(steps=steps, output=None))["id"]
    run = api.ok("POST", f"workflows/{made}/runs/", {"version": "draft"})["id"]
    drive()
    found = api.ok("GET", f"runs/{run}/")
    assert len(found["steps"]) == 200
    rest = api.ok("GET", found["steps_next"].partition("/api/v1/")[2])
    paths = [step["path"] for step in found["steps"]] + [step["path"] for step in rest["results"]]
    assert paths == [f"s{number}" for number in range(205)]


def paged(api: Caller, path: str) -> tuple[list[str], int]:
    """Return the paths of all pages, and how many pages there were."""
    found, pages = [], 0
    url: str | None = path
    while url:
        page = api.ok("GET", url)
        found += [step["path"] for step in page["results"]]
        pages, url = pages + 1, (page["next"] or "").partition("/api/v1/")[2] or None
    return found, pages


def test_a_run_with_a_loop_is_read_in_start_order_page_by_page(api: Caller, tenant: Tenant) -> None:
    run = loop_run(tenant, 350, lambda index: BAD if index == 7 else GOOD)
    first = api.ok("GET", f"runs/{run.pk}/")
    rest, pages = paged(api, first["steps_next"].partition("/api/v1/")[2])
    found = [step["path"] for step in first["steps"]] + rest
    assert (len(first["steps"]), pages) == (200, 3)
    everything, pages = paged(api, f"runs/{run.pk}/steps/")
    assert (found, pages) == (everything, 4)
    inside = [f"each[{i}].{key}" for i in range(350) for key in ("send", "tell") if (i, key) != (7, "tell")]
    assert found == ["find", "each", *inside, "post"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("post", ["post"]),
        ("each[3].send", ["each[3].send"]),
        ("each[3]", ["each[3].send", "each[3].tell"]),
        ("each[7]", ["each[7].send"]),
        ("each[9999]", []),
        ("nobody", []),
    ],
)
def test_steps_are_asked_for_by_path(api: Caller, tenant: Tenant, path: str, found: list[str]) -> None:
    run = loop_run(tenant, 20, lambda index: BAD if index == 7 else GOOD)
    assert paged(api, f"runs/{run.pk}/steps/?{urlencode({'path': path})}") == (found, 1)


def test_a_loops_path_gives_the_loop_and_all_its_items(api: Caller, tenant: Tenant) -> None:
    run = loop_run(tenant, 250)
    found, pages = paged(api, f"runs/{run.pk}/steps/?path=each")
    assert (len(found), found[:2], pages) == (501, ["each", "each[0].send"], 3)


@pytest.mark.parametrize("path", ["", "?path=each", "?path=each%5B3%5D", "?path=each%5B3%5D.send"])
def test_pages_of_steps_take_as_many_queries_however_many_there_are(api: Caller, tenant: Tenant, path: str) -> None:
    def queries(run: Run) -> int:
        api.ok("GET", f"runs/{run.pk}/steps/{path}")
        with CaptureQueriesContext(connection) as caught:
            api.ok("GET", f"runs/{run.pk}/steps/{path}")
        return len(caught)

    few = queries(loop_run(tenant, 8, slug="few"))
    assert queries(loop_run(tenant, 800, slug="many")) == few <= 7


def test_a_large_run_is_read_in_few_queries(
    api: Caller, tenant: Tenant, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    run = loop_run(tenant, 500)
    api.ok("GET", f"runs/{run.pk}/")
    with django_assert_max_num_queries(8):
        api.ok("GET", f"runs/{run.pk}/")


def test_runs_are_filtered_in_constant_queries(
    api: Caller, workflow: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(6):
        api.ok("POST", f"workflows/{workflow}/runs/", {"payload": {"name": f"N{number}"}})
    drive()
    assert len(api.ok("GET", f"runs/?workflow={workflow}&status=succeeded")["results"]) == 6
    assert api.ok("GET", "runs/?status=failed")["results"] == []
    assert api("GET", "runs/?status=odd").status_code == 400
    assert api("GET", "runs/?since=yesterday").status_code == 400
    with django_assert_max_num_queries(8):
        api.ok("GET", "runs/")


def test_one_key_at_once_from_many_starts_one_run(api: Caller, workflow: str) -> None:
    answers: list[Any] = []

    def start() -> None:
        try:
            answers.append(api("POST", f"workflows/{workflow}/runs/", {"payload": 1}, Idempotency_Key="once"))
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {202, 409}
    made = {json.loads(answer.content)["id"] for answer in answers if answer.status_code == 202}
    assert len(made) == 1
    assert len(api.ok("GET", "runs/")["results"]) == 1

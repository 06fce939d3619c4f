"""Large values in runs: what a worker needs for them, what is read of them after a wait, and what pages show."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import Provider, RunContext, action
from orchestrator.jsongate import MAX_VALUE_BYTES
from orchestrator.large import ALIVE, LARGE_BYTES, Large, RawJSON, pack
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Trigger, Workflow
from runs import calls, selectors, services
from runs.journal import history
from runs.models import Payload, Run, StepRun
from runs.values import PayloadSource
from tests.product import ROOT
from tests.runs.ground import drive, make_workflow, rows, start, step
from tests.runs.loops_ground import Rows, new_run

pytestmark = pytest.mark.django_db(transaction=True)

WORKER_MB = 500
OBJECTS = b'{"items":[' + b",".join(b'{"id":%d,"name":"customer %d","ok":true}' % (n, n) for n in range(30_000)) + b"]}"


@contextmanager
def serving(body: bytes, content_type: str = "application/json") -> Iterator[str]:
    """Answer every request of a free port with this body; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the suite's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def database(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> str | None:
    """Return a database with the suite's tables and no rows: a worker of its own need not migrate for seconds."""
    if connection.vendor != "sqlite":
        return None
    made = tmp_path_factory.mktemp("large") / "migrated.sqlite3"
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as ours, closing(sqlite3.connect(made)) as copy:
        ours.backup(copy)
    return str(made)


def worked(body: bytes, **order: Any) -> Any:
    """Return what a worker of its own tells of a run that gets ``body``."""
    with serving(body) as address:
        done = subprocess.run(
            [sys.executable, "-m", "tests.runs.large_worker"],
            input=json.dumps({"address": f"http://{address}/", **order}),
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def reach(settings: Any) -> Any:
    """Return what lets steps reach an address of this machine."""

    def allow(address: str) -> str:
        settings.ENV = replace(django_settings.ENV, egress_allow=(address,))
        return f"http://{address}/"

    return allow


def test_a_million_objects_are_got_and_read_by_a_worker_within_its_memory(database: str | None) -> None:
    body = b",".join(b'{"id":%d,"name":"customer %d","ok":true}' % (n, n) for n in range(1_000_000))
    reads = ["{{ steps.get.output.body['items'][3].name }}", "{{ last(steps.get.output.body['items']).id }}"]
    told = worked(b'{"items":[' + body + b"]}", reads=reads, output="{{ steps.get.output.body }}", database=database)
    assert told["values"] == ["customer 3", 999_999], told
    assert told["statuses"] == ["succeeded"]
    assert told["peak"] <= WORKER_MB, told


def test_texts_that_hardly_compress_are_handled_one_after_the_other_in_one_worker(database: str | None) -> None:
    body = b'{"text":"' + os.urandom(25_000_000).hex().encode() + b'"}'
    told = worked(body, reads=["{{ steps.get.output.status }}"], runs=2, database=database)
    assert told["values"] == [200] * 2, told
    assert told["peak"] <= WORKER_MB, told


def getting(tenant: Tenant, url: str, *steps: dict[str, Any], **more: Any) -> Workflow:
    return make_workflow(tenant, step("get", "http.request", inputs={"url": url}), *steps, **more)


def test_the_same_is_read_after_a_wait_of_which_only_one_field_is_fetched(
    tenant: Tenant, reach: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    once = PayloadSource.read
    monkeypatch.setattr(
        PayloadSource, "read", lambda self, start, length: read.append(length) or once(self, start, length)
    )
    monkeypatch.setattr(PayloadSource, "whole", lambda self: pytest.fail("all of it was read"))
    later = step("later", inputs={"values": {"name": "{{ steps.get.output.body['items'][25000].name }}"}})
    with serving(OBJECTS) as address:
        wait = step("wait", "flow.wait", inputs={"seconds": 3_600})
        run = start(getting(tenant, reach(address), wait, later))
        drive()
    assert run.refresh().status == "waiting"
    assert not read
    StepRun.unscoped.filter(run=run, path="wait").update(started_at="2020-01-01T00:00:00Z")
    Run.unscoped.filter(pk=run.pk).update(wake_at=run.created_at)
    drive()
    assert rows(run, "later")[0].output == {"name": "customer 25000"}
    # Its index, and the run of neighbours that has the field.
    assert len(read) == 2
    gc.collect()
    assert not ALIVE


def test_what_nobody_reads_after_a_wait_is_not_read_at_all(
    tenant: Tenant, reach: Any, django_assert_num_queries: Any
) -> None:
    with serving(OBJECTS) as address:
        run = start(getting(tenant, reach(address)))
        drive()
    with CaptureQueriesContext(connection) as asked:
        found = history(run.pk, tenant.pk, ["get"])
    assert [attempt.path for attempt in found] == ["get"]
    assert not [query["sql"] for query in asked if "runs_payload" in query["sql"]]


def test_a_large_value_passes_through_steps_loops_and_called_workflows(tenant: Tenant, reach: Any) -> None:
    called = make_workflow(
        tenant,
        step("look", inputs={"values": {"x": "{{ trigger.body['items'][7].name }}"}}),
        slug="called",
        output={"x": "{{ steps.look.output.x }}", "all": "{{ trigger.body }}"},
    )
    assert called.enabled
    whole = "{{ steps.get.output.body }}"
    loop = step("each", "flow.foreach", inputs={"items": [1, 2]})
    inside = step("inside", inputs={"values": {"item": "{{ item }}", "all": whole}})
    call = step("call", "workflow.call", inputs={"workflow": "called", "payload": whole})
    test = step("test", "flow.if", inputs={"condition": "{{ steps.get.output.body['items'][2].ok }}"})
    stop = step("stop", "flow.stop", inputs={"output": "{{ steps.call.output.all }}"})
    with serving(OBJECTS) as address:
        workflow = getting(
            tenant, reach(address), {**loop, "lanes": {"body": [inside]}}, call,
            {**test, "lanes": {"then": [step("yes")], "else": []}},
            step("when", run_if="count(steps.get.output.body['items']) == 30000"), stop,
        )  # fmt: skip
        run = start(workflow)
        drive()
    run.refresh()
    assert (run.status, run.error) == ("succeeded", None)
    body = json.loads(OBJECTS)
    assert selectors.payload_value(run, run.output_ref) == body
    told: dict[str, Any] = {path: outcome["output"] for path, outcome in selectors.step_outcomes(run).items()}
    outputs = {path: output.open() if isinstance(output, Large) else output for path, output in told.items()}
    assert outputs["each"] == [{"item": 1, "all": body}, {"item": 2, "all": body}]
    assert outputs["call"] == {"x": "customer 7", "all": body}
    assert outputs["when"] == {"from": "when"}
    assert outputs["test"] == {"lane": "then"}


def test_what_a_called_workflow_checks_is_bounded(tenant: Tenant, reach: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "TYPED_BYTES", 1_000_000)
    other = make_workflow(tenant, step("a"), slug="other")
    config = {"input": {"type": "object"}}
    Trigger.unscoped.create(tenant=tenant, workflow=other, key="t", type="workflow", live_config=config)
    call = step("call", "workflow.call", inputs={"workflow": "other", "payload": "{{ steps.get.output.body }}"})
    with serving(OBJECTS) as address:
        run = start(getting(tenant, reach(address), call))
        drive()
    assert run.refresh().status == "failed"
    assert f"The payload has {len(OBJECTS):,} bytes" in run.error["message"]
    assert not Run.unscoped.filter(parent=run.pk).exists()


def test_lists_of_a_large_value_are_filtered_and_looped_over(tenant: Tenant, reach: Any) -> None:
    few = "{{ item.id < steps.get.output.body['items'][3].id }}"
    filtered = step("few", "data.filter", inputs={"items": "{{ steps.get.output.body['items'] }}", "where": few})
    loop = step("each", "flow.foreach", inputs={"items": "{{ steps.few.output }}"})
    named = step("named", inputs={"values": {"name": "{{ steps.get.output.body['items'][index].name }}"}})
    with serving(OBJECTS) as address:
        run = start(getting(tenant, reach(address), filtered, {**loop, "lanes": {"body": [named]}}))
        drive()
    assert run.refresh().error is None
    assert rows(run, "each")[0].output == [{"name": f"customer {n}"} for n in range(3)]


def test_an_answer_over_the_limit_fails_with_its_size_and_the_limit(tenant: Tenant, reach: Any) -> None:
    with serving(b" " * (MAX_VALUE_BYTES + 5), "text/plain") as address:
        run = start(getting(tenant, reach(address)))
        drive()
    error = run.refresh().error
    assert (error["kind"], error["retryable"]) == ("permanent", False)
    assert error["message"] == "The answer has 67,108,869 bytes, at most 67,108,864 are taken."


def test_a_large_answer_that_is_no_json_says_whose_it_is(tenant: Tenant, reach: Any) -> None:
    with serving(OBJECTS[:-20]) as address:
        run = start(getting(tenant, reach(address)))
        drive()
    error = run.refresh().error
    assert error["kind"] == "permanent"
    assert error["message"].startswith("127.0.0.1 sent an answer that is not JSON: not valid JSON")


def test_a_value_that_a_step_takes_as_a_whole_has_a_limit_of_its_own(
    tenant: Tenant, reach: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.large.value.MOST_VALUES", 100_000)
    items = step("sorted", "data.sort", inputs={"items": "{{ steps.get.output.body['items'] }}"})
    with serving(OBJECTS) as address:
        run = start(getting(tenant, reach(address), items))
        drive()
    error = run.refresh().error
    assert (error["kind"], error["path"], error["retryable"]) == ("input", "sorted", False)
    assert "It holds 120," in error["message"]
    assert "Read single fields" in error["hint"]


def stored(run: Run, value: Any) -> Payload:
    """Return a large value of a run, as it is stored."""
    found = pack(value, lambda kept: kept, most=MAX_VALUE_BYTES).stored
    payload = Payload(tenant_id=run.tenant_id, run_id=run.pk, size=found.size, data=found.data)
    Payload.unscoped.bulk_create([payload])
    return payload


@pytest.fixture
def large_run(tenant: Tenant) -> Run:
    run = new_run(make_workflow(tenant, step("big"), {**step("each", "flow.foreach"), "lanes": {"body": [step("in")]}}))
    payload, items = stored(run, RawJSON(OBJECTS)), stored(run, {"items": RawJSON(OBJECTS[9:-1])})
    made = Rows(run)
    made.add("big", inputs_ref=items.pk, output_ref=payload.pk)
    made.add("each", "running", inputs_ref=items.pk)
    made.save()
    Run.unscoped.filter(pk=run.pk).update(output_ref=payload.pk)
    return run.refresh()


def test_pages_and_the_api_never_read_a_large_value_to_show_a_run(
    client: Client, editor: User, large_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    once = PayloadSource.read
    monkeypatch.setattr(
        PayloadSource, "read", lambda self, start, length: read.append(length) or once(self, start, length)
    )
    client.force_login(editor)
    Payload.unscoped.filter(run=large_run).update(size=50_000_000)
    page = reverse("run", args=["acme", large_run.pk])
    api = f"/api/v1/runs/{large_run.pk}"
    with CaptureQueriesContext(connection) as asked:
        for address in (page, f"{page}?step=big", f"{page}?step=big&show=output", f"{api}/", f"{api}/steps/"):
            answer = client.get(address, headers={"X-Tenant": "acme"})
            assert answer.status_code == 200
            assert len(answer.content) < 100_000
    whole = [query["sql"] for query in asked if '"data"' in query["sql"] and "SUBSTR" not in query["sql"].upper()]
    assert whole == []
    # The end of the loop's list, once, which says how many items there are.
    assert sum(read) <= 64 * 1024
    assert "30,000" in client.get(f"{page}?step=each").content.decode()


def test_a_large_value_is_downloaded_in_pieces(
    client: Client, editor: User, large_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.large.stored._SLICE", 10_000)
    client.force_login(editor)
    ref = large_run.output_ref
    page = reverse("run-value", args=["acme", large_run.pk, ref])
    for address in (page, f"/api/v1/runs/{large_run.pk}/values/{ref}/"):
        answer = client.get(address, headers={"X-Tenant": "acme", "Accept-Encoding": "identity"})
        assert answer.streaming
        pieces = list(answer.streaming_content)  # type: ignore[attr-defined]
        assert json.loads(b"".join(pieces)) == json.loads(OBJECTS)
        assert int(answer.headers["Content-Length"]) == sum(map(len, pieces)) > LARGE_BYTES
        assert max(map(len, pieces)) <= 256 * 1024
    assert client.get(page).headers["Content-Disposition"].startswith("attachment")
    assert client.get(reverse("run-value", args=["acme", large_run.pk, 1])).status_code == 404


def test_a_runs_history_is_found_by_an_index_however_many_iterations_there_are(tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("a"), {**step("each", "flow.foreach"), "lanes": {"body": [step("in")]}}))
    made = Rows(run)
    made.add("a")
    made.add("each", "running", inputs={"items": list(range(2_000))})
    for item in range(2_000):
        made.add(f"each[{item}].in")
    made.save()
    with CaptureQueriesContext(connection) as asked:
        found = history(run.pk, tenant.pk, ["a", "each", "in"])
    assert [(attempt.path, attempt.item) for attempt in found] == [("a", None), ("each", None)]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE runs_steprun")
            cursor.execute("EXPLAIN " + asked[0]["sql"])
        else:
            cursor.execute("EXPLAIN QUERY PLAN " + asked[0]["sql"])
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert "USING INDEX" in plan or "steprun_attempt_once" in plan, plan
    assert "path=?" in plan or "path)::text = ANY" in plan, plan


def test_an_action_that_makes_a_large_value_of_its_own_keeps_it_packed(tenant: Tenant) -> None:
    provider = Provider(key="making", name="Making")

    class Inputs(BaseModel):
        pass

    @action(provider=provider, key="making.rows", name="Rows", auth_type="none", input_schema=Inputs)
    async def make(ctx: RunContext[Any]) -> Any:
        await asyncio.sleep(0)
        return [{"id": n, "name": f"customer {n}"} for n in range(50_000)]

    reads = step("read", inputs={"values": {"x": "{{ steps.made.output[-1].name }}"}})
    with registry.temporarily(make):
        run = start(make_workflow(tenant, step("made", "making.rows", inputs={}), reads))
        drive()
    assert rows(run, "read")[0].output == {"x": "customer 49999"}
    assert rows(run, "made")[0].output_ref is not None


def test_a_run_that_starts_again_in_the_middle_takes_large_values_over_without_opening_them(
    tenant: Tenant, reach: Any, editor: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "{{ steps.get.output.body['items'][9].name }}"
    more = {"output": "{{ steps.get.output.body }}"}
    with serving(OBJECTS) as address:
        first = start(getting(tenant, reach(address), step("read", inputs={"values": {"x": name}}), **more))
        drive()
    assert first.refresh().status == "succeeded"
    for module in ("selectors", "values", "orders"):
        monkeypatch.setattr(f"runs.{module}.opened", lambda _payload: pytest.fail("a large value was opened"))
    again = services.run_rerun(actor=actor_for_user(editor, tenant.slug), run=first, from_="read")
    drive()
    again = again.refresh()
    assert (again.status, again.error) == ("succeeded", None)
    assert rows(again, "read")[0].output == {"x": "customer 9"}
    assert not rows(again, "get")
    client.force_login(editor)
    assert client.get(reverse("run", args=["acme", again.pk]) + "?step=get&show=output").status_code == 200
    monkeypatch.undo()
    assert selectors.payload_value(again, again.output_ref) == json.loads(OBJECTS)


def test_code_is_told_at_once_that_a_large_value_is_too_much_for_it(
    tenant: Tenant, reach: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.large.Large.open", lambda _large: pytest.fail("it was opened"))
    code = {"code": "def main(input): return 1", "input": "{{ steps.get.output.body }}"}
    body = b'{"items":[' + b",".join([OBJECTS[10:-2]] * 4) + b"]}"
    with serving(body) as address:
        run = start(getting(tenant, reach(address), step("code", "code.python", inputs=code)))
        drive()
    error = run.refresh().error
    assert (error["kind"], error["path"]) == ("input", "code")
    assert "this step takes at most 4,194,304" in error["message"]

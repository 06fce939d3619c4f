"""Runs that arrive at once share commits, and what the database refuses is neither lost nor accepted twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator import jsongate
from orchestrator.ids import new_id
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.addresses import trigger_address
from orchestrator.workflows.models import Trigger, Workflow
from runs import doorbell
from runs.inserts import ROWS_A_STATEMENT
from runs.models import Payload, Run
from runs.triggers import intake as module
from runs.triggers.accepting import arrival_of
from runs.triggers.addresses import find_address
from runs.triggers.intake import Arrival, Intake, Kept, Moved, Unavailable
from runs.values import large, opened
from tests.runs.ground import make_workflow, until
from tests.triggers.conftest import Call, runs
from tests.triggers.test_hooks import refused

pytestmark = pytest.mark.django_db(transaction=True)

New = Callable[..., Arrival]


@pytest.fixture
def intake() -> Iterator[Intake]:
    found = Intake()
    yield found
    found.close()


@pytest.fixture
def new(workflow: Workflow) -> New:
    """Return a function that makes a run which is not inserted yet."""

    def make(body: Any = None, **more: Any) -> Arrival:
        assert workflow.published_version_id is not None
        run_id, text = new_id(), jsongate.dumps({"body": body})
        payload = large(text, tenant_id=workflow.tenant_id, run_id=run_id)
        values = {
            "run_id": run_id,
            "tenant_id": workflow.tenant_id,
            "workflow_id": workflow.pk,
            "version_id": workflow.published_version_id,
            "trigger_type": "webhook",
            "trigger_key": "hook",
            "trigger": None if payload else text,
            "payload": payload,
        }
        return Arrival(**{**values, **more})

    return make


def count() -> int:
    return Run.unscoped.count()


class Gate:
    """Holds the thread that inserts until it is opened, so that others gather behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.batches: list[int] = []
        really = module._insert_all

        def insert(batch: Sequence[Arrival]) -> list[Kept | Moved]:
            self.batches.append(len(batch))
            self.reached.set()
            assert self.opened.wait(10)
            return really(batch)

        monkeypatch.setattr(module, "_insert_all", insert)


def accept_all(intake: Intake, made: Sequence[Arrival]) -> list[Any]:
    """Accept in a thread for each; return what was kept, or errors."""

    def one(arrival: Arrival) -> Any:
        try:
            return intake.accept(arrival)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(made)) as pool:
        return list(pool.map(one, made))


def test_what_is_accepted_is_in_the_database_with_its_large_values(intake: Intake, new: New) -> None:
    arrival = new("x" * 200_000)
    assert intake.accept(arrival) == Kept(run_id=arrival.run_id, status="queued", is_new=True)
    found, payload = Run.unscoped.get(pk=arrival.run_id), Payload.unscoped.get()
    assert (found.trigger, found.trigger_ref, payload.run_id) == (None, payload.pk, found.pk)
    assert opened(payload) == {"body": "x" * 200_000}


def test_a_run_that_arrived_is_in_every_column_as_the_orm_would_make_it(intake: Intake, new: New) -> None:
    arrival = new({"a": [1, None]}, dedupe_key="key")
    intake.accept(arrival)
    found = Run.unscoped.get(pk=arrival.run_id)
    expected = Run(
        tenant_id=arrival.tenant_id,
        workflow_id=arrival.workflow_id,
        version_id=arrival.version_id,
        trigger_type="webhook",
        trigger_key="hook",
        trigger={"body": {"a": [1, None]}},
        dedupe_key="key",
    )
    names = {field.attname for field in Run._meta.concrete_fields} - {"id", "wake_at", "created_at"}
    assert {name: getattr(found, name) for name in names} == {name: getattr(expected, name) for name in names}
    assert found.wake_at is not None
    assert abs((timezone.now() - found.wake_at).total_seconds()) < 60
    assert found.created_at == found.wake_at


def test_the_bell_rings_once_for_a_commit_and_after_it(
    intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung = []
    monkeypatch.setattr(doorbell, "ring", lambda: rung.append(count()))
    intake.accept(new())
    assert rung == [1]


def test_a_bell_that_breaks_does_not_refuse_what_is_kept(
    intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(doorbell, "ring", broken)
    intake.accept(new())
    assert count() == 1


def test_those_that_arrive_at_once_share_a_commit(intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(21) as pool:
        futures = [pool.submit(intake.accept, new())]
        assert gate.reached.wait(10)
        futures += [pool.submit(intake.accept, new()) for _ in range(20)]
        until(lambda: intake._queue.qsize() == 20)
        gate.opened.set()
        found = {future.result(10).run_id for future in futures}
    assert gate.batches == [1, 20]
    assert intake.commits == 2
    assert len(found) == count() == 21


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield what this thread's connection is told, by the first word of each statement."""
    found: list[str] = []
    if connection.vendor == "postgresql":
        with CaptureQueriesContext(connection) as captured:
            yield found
        found += [query["sql"].split()[0] for query in captured]
        return
    connection.ensure_connection()
    told: list[str] = []
    connection.connection.set_trace_callback(told.append)
    try:
        yield found
    finally:
        connection.connection.set_trace_callback(None)
    # For each row that fires a trigger a statement is told once more.
    found += [sql.split()[0] for sql, before in zip(told, ["", *told], strict=False) if sql != before]


@pytest.mark.parametrize("size", [1, 2, ROWS_A_STATEMENT])
def test_a_batch_is_one_look_and_one_insert_in_one_transaction(size: int, hook: Trigger) -> None:
    address = find_address(trigger_address(hook))
    assert address is not None
    batch = [arrival_of(address, "{}", delivery=None) for _ in range(size)]
    with statements() as told:
        module._insert_all(batch)
    insert = "COPY" if connection.vendor == "postgresql" and size > 1 else "INSERT"
    assert told == ["BEGIN", "SELECT", insert, "COMMIT"]
    assert count() == size


def test_keys_cost_a_batch_one_more_look(hook: Trigger) -> None:
    address = find_address(trigger_address(hook))
    assert address is not None
    batch = [arrival_of(address, "{}", delivery=str(number)) for number in range(5)]
    with statements() as told:
        module._insert_all(batch)
    assert told.count("SELECT") == 2


def test_a_batch_of_nothing_new_inserts_nothing(hook: Trigger) -> None:
    address = find_address(trigger_address(hook))
    assert address is not None
    Workflow.unscoped.update(enabled=False)
    with statements() as told:
        (outcome,) = module._insert_all([arrival_of(address, "{}", delivery=None)])
    assert isinstance(outcome, Moved)
    assert told == ["BEGIN", "SELECT", "COMMIT"]


def test_the_same_key_in_one_batch_is_one_run(intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(9) as pool:
        futures = [pool.submit(intake.accept, new())]
        assert gate.reached.wait(10)
        made = [new(dedupe_key="same") for _ in range(5)] + [new(dedupe_key="other") for _ in range(3)]
        futures += [pool.submit(intake.accept, arrival) for arrival in made]
        until(lambda: intake._queue.qsize() == 8)
        gate.opened.set()
        results = [future.result(10) for future in futures]
    assert len({kept.run_id for kept in results[1:6]}) == 1
    assert len({kept.run_id for kept in results[6:]}) == 1
    assert sorted(kept.is_new for kept in results[1:6]) == [False] * 4 + [True]
    assert count() == 3


def test_the_same_key_of_two_tenants_are_two_runs(intake: Intake, new: New, other_tenant: Tenant) -> None:
    first = intake.accept(new(dedupe_key="same"))
    other = make_workflow(other_tenant)
    where = {"tenant_id": other_tenant.pk, "workflow_id": other.pk, "version_id": other.published_version_id}
    second = intake.accept(new(dedupe_key="same", **where))
    assert (second.is_new, count()) == (True, 2)
    assert second.run_id != first.run_id


def test_a_key_that_another_process_inserts_meanwhile_gives_that_run(
    intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look, neither sees the other's, both insert: the database refuses the second."""
    first = intake.accept(new(dedupe_key="same"))
    looked, really = [], module._firsts

    def find(batch: Sequence[Arrival]) -> Any:
        looked.append(batch)
        return {} if len(looked) == 1 else really(batch)

    monkeypatch.setattr(module, "_firsts", find)
    assert intake.accept(new(dedupe_key="same")) == Kept(run_id=first.run_id, status="queued", is_new=False)
    assert count() == 1


def test_one_that_the_database_refuses_does_not_fail_the_others(
    intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    gate.opened.set()
    good = [new() for _ in range(5)]
    results = accept_all(intake, [*good[:2], new(version_id=1), *good[2:]])
    assert [type(result) for result in results] == [Kept, Kept, Unavailable, Kept, Kept, Kept]
    assert count() == 5


def test_an_id_that_is_taken_is_never_answered_with_the_run_of_somebody_else(intake: Intake, new: New) -> None:
    first = intake.accept(new("first"))
    with pytest.raises(Unavailable):
        intake.accept(new("second", run_id=first.run_id))
    assert Run.unscoped.get().trigger == {"body": "first"}


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, *, times: int, before: bool) -> list[int]:
    """Make the first inserts fail, before or after they have committed; return their sizes."""
    really, tried = module._insert_all, []

    def insert(batch: Sequence[Arrival]) -> list[Kept | Moved]:
        tried.append(len(batch))
        if len(tried) > times:
            return really(batch)
        if not before:
            really(batch)
        raise error

    monkeypatch.setattr(module, "_insert_all", insert)
    return tried


@pytest.mark.parametrize("before", [True, False])
def test_a_connection_that_is_lost_is_made_again_and_nothing_is_inserted_twice(
    before: bool, intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, OperationalError("server closed the connection"), times=1, before=before)
    arrival = new("x" * 200_000)
    assert intake.accept(arrival) == Kept(run_id=arrival.run_id, status="queued", is_new=True)
    assert (count(), Payload.unscoped.count()) == (1, 1)


def test_while_the_database_is_away_nothing_is_accepted_and_later_all_is(
    intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, OperationalError("connection refused"), times=1_000, before=True)
    results = accept_all(intake, [new() for _ in range(6)])
    assert all(isinstance(result, Unavailable) for result in results)
    assert count() == 0
    assert len(tried) >= 2
    monkeypatch.undo()
    monkeypatch.setattr(doorbell, "ring", lambda: None)
    intake.accept(new())
    assert count() == 1


def test_a_webhook_that_cannot_be_kept_is_503_with_retry_after(
    hook: Trigger, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, OperationalError("connection refused: secret"), times=2, before=True)
    response = call(hook)
    refused(response, 503, "unavailable")
    assert response["Retry-After"] == "5"
    assert runs(hook) == []
    assert call(hook).status_code == 202
    assert len(runs(hook)) == 1


def test_what_was_not_begun_in_time_is_not_inserted_after_its_sender_was_told_so(
    intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(intake.accept, new("first"))
        assert gate.reached.wait(10)
        monkeypatch.setattr(module, "ACCEPT_SECONDS", 0.1)
        with pytest.raises(Unavailable):
            intake.accept(new("second"))
        gate.opened.set()
        first.result(10)
    intake.close()
    assert [run.trigger for run in Run.unscoped.all()] == [{"body": "first"}]


def test_an_error_of_ours_is_raised_and_the_thread_goes_on(
    intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, DataError("value too long"), times=2, before=True)
    with pytest.raises(DataError):
        intake.accept(new())
    intake.accept(new())
    assert count() == 1


def test_closing_inserts_what_waits_and_a_later_arrival_begins_again(intake: Intake, new: New) -> None:
    intake.accept(new())
    thread = intake._thread
    intake.close()
    assert thread is not None
    assert not thread.is_alive()
    intake.accept(new())
    assert count() == 2


def test_an_idle_thread_gives_its_connection_back(intake: Intake, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.05)

    class Watched:
        def __getattr__(self, name: str) -> Any:
            if name == "close":
                closed.set()
            return getattr(connection, name)

    monkeypatch.setattr(module, "connection", Watched())
    intake.accept(new())
    assert closed.wait(5)
    intake.accept(new())
    assert count() == 2


def test_after_a_fork_the_child_has_a_thread_of_its_own(intake: Intake, new: New) -> None:
    intake.accept(new())
    before, its_queue = intake._thread, intake._queue
    intake._pid += 1  # as a child finds it
    intake.accept(new())
    assert before is not None
    assert intake._thread is not before
    assert intake._queue is not its_queue
    its_queue.put(None)
    before.join()


def test_a_workflow_that_is_deleted_meanwhile_is_no_server_error(
    hook: Trigger, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, IntegrityError("foreign key"), times=2, before=True)
    refused(call(hook), 503, "unavailable")

"""Runs that arrive at once share commits, and what the database refuses is neither lost nor accepted twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, connections

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Trigger, Workflow
from runs import doorbell
from runs.models import Payload, Run
from runs.services import fill, find_duplicate
from runs.triggers import intake as module
from runs.triggers.intake import Arrival, Intake, Unavailable
from tests.runs.ground import make_workflow, until
from tests.triggers.conftest import Call, runs
from tests.triggers.test_hooks import refused

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def intake() -> Iterator[Intake]:
    found = Intake()
    yield found
    found.close()


@pytest.fixture
def new(workflow: Workflow) -> Callable[..., tuple[Run, list[Payload]]]:
    """Return a function that makes a run which is not saved yet, with its large values."""

    def make(body: Any = None, **more: Any) -> tuple[Run, list[Payload]]:
        assert workflow.published_version_id is not None
        run = Run(
            tenant_id=workflow.tenant_id,
            workflow_id=workflow.pk,
            version_id=workflow.published_version_id,
            trigger_type="webhook",
            trigger_key="hook",
            **more,
        )
        return run, fill(run, trigger={"body": body})

    return make


def count() -> int:
    return Run.unscoped.count()


class Gate:
    """Holds the thread that inserts until it is opened, so that others gather behind it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self.batches: list[int] = []
        really = module._insert_all

        def insert(batch: Sequence[Arrival]) -> list[Run]:
            self.batches.append(len(batch))
            self.reached.set()
            assert self.opened.wait(10)
            return really(batch)

        monkeypatch.setattr(module, "_insert_all", insert)


def accept_all(intake: Intake, made: Sequence[tuple[Run, list[Payload]]]) -> list[Any]:
    """Accept in a thread for each; return runs or errors."""

    def one(pair: tuple[Run, list[Payload]]) -> Any:
        try:
            return intake.accept(*pair)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(made)) as pool:
        return list(pool.map(one, made))


def test_what_is_accepted_is_in_the_database_with_its_large_values(intake: Intake, new: Callable[..., Any]) -> None:
    run, payloads = new("x" * 200_000)
    assert intake.accept(run, payloads) is run
    found = Run.unscoped.get(pk=run.pk)
    assert found.trigger_ref == payloads[0].pk
    assert Payload.unscoped.get().run_id == run.pk


def test_the_bell_rings_once_for_a_commit_and_after_it(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rung = []
    monkeypatch.setattr(doorbell, "ring", lambda: rung.append(count()))
    intake.accept(*new())
    assert rung == [1]


def test_a_bell_that_breaks_does_not_refuse_what_is_kept(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(doorbell, "ring", broken)
    intake.accept(*new())
    assert count() == 1


def test_those_that_arrive_at_once_share_a_commit(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(21) as pool:
        futures = [pool.submit(intake.accept, *new())]
        assert gate.reached.wait(10)
        futures += [pool.submit(intake.accept, *new()) for _ in range(20)]
        until(lambda: intake._queue.qsize() == 20)
        gate.opened.set()
        found = {future.result(10).pk for future in futures}
    assert gate.batches == [1, 20]
    assert intake.commits == 2
    assert len(found) == count() == 21


def test_the_same_key_in_one_batch_is_one_run(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(9) as pool:
        futures = [pool.submit(intake.accept, *new())]
        assert gate.reached.wait(10)
        made = [new(dedupe_key="same") for _ in range(5)] + [new(dedupe_key="other") for _ in range(3)]
        futures += [pool.submit(intake.accept, *pair) for pair in made]
        until(lambda: intake._queue.qsize() == 8)
        gate.opened.set()
        results = [future.result(10).pk for future in futures]
    assert len(set(results[1:6])) == 1
    assert len(set(results[6:])) == 1
    assert count() == 3


def test_the_same_key_of_two_tenants_are_two_runs(
    intake: Intake, new: Callable[..., Any], other_tenant: Tenant
) -> None:
    first = intake.accept(*new(dedupe_key="same"))
    other = make_workflow(other_tenant)
    run = Run(
        tenant=other_tenant, workflow=other, version=other.published_version, trigger_type="webhook", dedupe_key="same"
    )
    assert intake.accept(run, []).pk == run.pk != first.pk


def test_a_key_that_another_process_inserts_meanwhile_gives_that_run(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look, neither sees the other's, both insert: the database refuses the second."""
    first, _ = new(dedupe_key="same")
    first.save()
    looked = []

    def find(run: Run) -> Run | None:
        looked.append(run)
        return None if len(looked) == 1 else find_duplicate(run)

    monkeypatch.setattr(module, "find_duplicate", find)
    assert intake.accept(*new(dedupe_key="same")).pk == first.pk
    assert count() == 1


def test_one_that_the_database_refuses_does_not_fail_the_others(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    gate.opened.set()
    good = [new() for _ in range(5)]
    bad, _ = new()
    bad.status = "nonsense"
    results = accept_all(intake, [*good[:2], (bad, []), *good[2:]])
    assert [type(result) for result in results] == [Run, Run, Unavailable, Run, Run, Run]
    assert count() == 5


def test_an_id_that_is_taken_is_never_answered_with_the_run_of_somebody_else(
    intake: Intake, new: Callable[..., Any]
) -> None:
    first = intake.accept(*new("first"))
    second, payloads = new("second")
    second.pk = first.pk
    with pytest.raises(Unavailable):
        intake.accept(second, payloads)
    assert Run.unscoped.get().trigger == {"body": "first"}


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, *, times: int, before: bool) -> list[int]:
    """Make the first inserts fail, before or after they have committed; return their sizes."""
    really, tried = module._insert_all, []

    def insert(batch: Sequence[Arrival]) -> list[Run]:
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
    before: bool, intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, OperationalError("server closed the connection"), times=1, before=before)
    run, payloads = new("x" * 200_000)
    assert intake.accept(run, payloads).pk == run.pk
    assert (count(), Payload.unscoped.count()) == (1, 1)


def test_while_the_database_is_away_nothing_is_accepted_and_later_all_is(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, OperationalError("connection refused"), times=1_000, before=True)
    results = accept_all(intake, [new() for _ in range(6)])
    assert all(isinstance(result, Unavailable) for result in results)
    assert count() == 0
    assert len(tried) >= 2
    monkeypatch.undo()
    monkeypatch.setattr(doorbell, "ring", lambda: None)
    intake.accept(*new())
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
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(intake.accept, *new("first"))
        assert gate.reached.wait(10)
        monkeypatch.setattr(module, "ACCEPT_SECONDS", 0.1)
        with pytest.raises(Unavailable):
            intake.accept(*new("second"))
        gate.opened.set()
        first.result(10)
    intake.close()
    assert [run.trigger for run in Run.unscoped.all()] == [{"body": "first"}]


def test_an_error_of_ours_is_raised_and_the_thread_goes_on(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, DataError("value too long"), times=2, before=True)
    with pytest.raises(DataError):
        intake.accept(*new())
    intake.accept(*new())
    assert count() == 1


def test_closing_inserts_what_waits_and_a_later_arrival_begins_again(intake: Intake, new: Callable[..., Any]) -> None:
    intake.accept(*new())
    thread = intake._thread
    intake.close()
    assert thread is not None
    assert not thread.is_alive()
    intake.accept(*new())
    assert count() == 2


def test_an_idle_thread_gives_its_connection_back(
    intake: Intake, new: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = threading.Event()
    monkeypatch.setattr(module, "_IDLE_SECONDS", 0.05)

    class Watched:
        def __getattr__(self, name: str) -> Any:
            if name == "close":
                closed.set()
            return getattr(connection, name)

    monkeypatch.setattr(module, "connection", Watched())
    intake.accept(*new())
    assert closed.wait(5)
    intake.accept(*new())
    assert count() == 2


def test_after_a_fork_the_child_has_a_thread_of_its_own(intake: Intake, new: Callable[..., Any]) -> None:
    intake.accept(*new())
    before, its_queue = intake._thread, intake._queue
    intake._pid += 1  # as a child finds it
    intake.accept(*new())
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

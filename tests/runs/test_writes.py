"""What a driver writes: fenced, shared, and never failed by a neighbour."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection, transaction
from django.db.models import Model
from django.utils.timezone import now as now_in_utc

from orchestrator.ids import new_id
from orchestrator.tenants.models import Tenant
from runs import rows as rows_module
from runs import writer as writer_module
from runs.engine.ports import LeaseLost
from runs.engine.records import Attempt, Failure
from runs.looks import Looks
from runs.models import Payload, Run, StepRun
from runs.slots import Slots
from runs.states import FailureKind, RunStatus, StepStatus
from runs.values import opened
from runs.writer import Job, Writer
from runs.writes import Ending, Write, write_all
from tests.runs.ground import make_workflow, rows, start, step

pytestmark = pytest.mark.django_db(transaction=True)

Outcome = list[BaseException | None]
LARGE = "x" * 100_000


def running(tenant: Tenant, *, owner: str = "me", fence: int = 1, slug: str = "test") -> Run:
    """Return a run that ``owner`` drives."""
    run = start(make_workflow(tenant, step("a"), slug=slug))
    Run.unscoped.filter(pk=run.pk).update(
        status=RunStatus.RUNNING,
        wake_at=None,
        lease_owner=owner,
        lease_expires_at=now_in_utc() + timedelta(seconds=15),
        fence=fence,
    )
    return run.refresh()


def attempt(path: str = "a", status: StepStatus = StepStatus.SUCCEEDED, **more: Any) -> Attempt:
    values: dict[str, Any] = {"output": {"n": 1}, "number": 1, "started_at": now_in_utc(), "row_id": new_id(), **more}
    return Attempt(path=path, key=path, action="data.set", status=status, **values)


def write(run: Run, outcome: Outcome, *, fence: int = 1, **changes: Any) -> Write:
    return Write(run_id=run.pk, tenant_id=run.tenant_id, fence=fence, done=outcome.append, **changes)


def ending(status: RunStatus = RunStatus.SUCCEEDED) -> Ending:
    return Ending(status=status, at=now_in_utc(), output={"n": 1}, finished_at=now_in_utc())


def write_now(owner: str, *writes: Write) -> None:
    with transaction.atomic():
        told = write_all(owner, writes)
    for tell in told:
        tell()


def test_a_write_of_the_lease_holder_is_kept(tenant: Tenant) -> None:
    run, outcome = running(tenant), Outcome()
    write_now("me", write(run, outcome, new=[attempt()], ending=ending()))
    run.refresh()
    assert outcome == [None]
    assert (run.status, run.output, run.lease_owner, run.lease_expires_at) == ("succeeded", {"n": 1}, "", None)
    assert [row.output for row in rows(run)] == [{"n": 1}]


@pytest.mark.parametrize(("owner", "fence"), [("me", 1), ("somebody", 2), ("me", 3)])
def test_a_stale_fence_or_owner_writes_nothing(tenant: Tenant, owner: str, fence: int) -> None:
    run, outcome = running(tenant, owner="me", fence=2), Outcome()
    before = (run.revision, run.status)
    write_now(owner, write(run, outcome, fence=fence, new=[attempt()], ending=ending()))
    assert isinstance(outcome[0], LeaseLost)
    run.refresh()
    assert (run.revision, run.status) == before
    assert rows(run) == []


def test_a_run_that_has_ended_takes_no_more_writes(tenant: Tenant) -> None:
    run = running(tenant)
    write_now("me", write(run, Outcome(), ending=ending()))
    late = Outcome()
    write_now("me", write(run, late, new=[attempt()], ending=ending(RunStatus.FAILED)))
    assert isinstance(late[0], LeaseLost)
    assert run.refresh().status == "succeeded"
    assert rows(run) == []


def test_an_attempt_that_begins_and_ends_in_one_batch_is_kept_as_it_ended(tenant: Tenant) -> None:
    run = running(tenant)
    begun = attempt(status=StepStatus.RUNNING, output=None)
    ended = attempt(row_id=begun.row_id, finished_at=now_in_utc())
    write_now("me", write(run, Outcome(), new=[begun]), write(run, Outcome(), ended=[ended]))
    assert [(row.status, row.output) for row in rows(run)] == [("succeeded", {"n": 1})]


def test_each_commit_that_changes_a_run_raises_its_revision(tenant: Tenant) -> None:
    run = running(tenant)
    before = run.revision
    write_now("me", write(run, Outcome(), new=[attempt()]))
    assert run.refresh().revision == before + 1
    write_now("me", write(run, Outcome(), ending=ending()))
    assert run.refresh().revision == before + 2


# Of what PostgreSQL takes past Django's cursor, its log knows nothing.
PAST_DJANGO = connection.vendor == "postgresql"


def test_a_batch_costs_the_same_queries_however_many_runs_are_in_it(
    tenant: Tenant, django_assert_num_queries: Any
) -> None:
    runs = [running(tenant, slug=f"w{index}") for index in range(20)]
    begun = {run.pk: attempt(status=StepStatus.RUNNING, output=None) for run in runs}
    # The leases and the revisions; new rows go past Django (tests/runs/test_costs.py counts them).
    with transaction.atomic(), django_assert_num_queries(2):
        write_all("me", [write(run, Outcome(), new=[begun[run.pk]]) for run in runs])
    # The leases, the ended attempts, the ends of the runs.
    with transaction.atomic(), django_assert_num_queries(1 if PAST_DJANGO else 3):
        write_all(
            "me",
            [
                write(run, Outcome(), new=[attempt("b", output=LARGE)], ended=[begun[run.pk]], ending=ending())
                for run in runs
            ],
        )


def test_every_column_of_an_attempt_is_written(tenant: Tenant) -> None:
    run = running(tenant)
    now = now_in_utc()
    failure = Failure(kind=FailureKind.TIMEOUT, message="late", hint="wait", retryable=True)
    lines = ({"at": "then", "level": "info", "text": "so"},)
    full = Attempt(
        path="each[3].a",
        loop="each",
        item=3,
        key="a",
        name="Say it",
        action="sim.call",
        resolved_as="http",
        number=2,
        status=StepStatus.FAILED,
        started_at=now - timedelta(seconds=2),
        finished_at=now,
        retry_at=now + timedelta(seconds=5),
        inputs={"text": "\0 and \ud800"},
        output=[1.5, None],
        failure=failure,
        logs=lines,
        progress={"done": 1, "total": 2, "text": "half"},
        usage={"model": "m", "input_tokens": 3},
        idempotency_key="key",
        row_id=new_id(),
    )
    expected = {
        "id": full.row_id,
        "tenant_id": tenant.pk,
        "run_id": run.pk,
        "path": "each[3].a",
        "loop": "each",
        "item": 3,
        "key": "a",
        "name": "Say it",
        "action": "sim.call",
        "resolved_as": "http",
        "attempt": 2,
        "status": "failed",
        "failure_kind": "timeout",
        "inputs": {"text": "\0 and \ud800"},
        "inputs_ref": None,
        "output": [1.5, None],
        "output_ref": None,
        "error": failure.as_document(),
        "logs": list(lines),
        "progress": {"done": 1, "total": 2, "text": "half"},
        "usage": {"model": "m", "input_tokens": 3},
        "idempotency_key": "key",
        "retry_at": full.retry_at,
        "started_at": full.started_at,
        "finished_at": now,
    }
    write_now("me", write(run, Outcome(), new=[full]))
    assert columns(rows(run)[0]) == expected
    later = now + timedelta(seconds=1)
    ended = replace(
        full, status=StepStatus.SUCCEEDED, finished_at=later, retry_at=None, failure=None, output="é", logs=()
    )
    write_now("me", write(run, Outcome(), ended=[ended]))
    changed = {"status": "succeeded", "failure_kind": "", "error": None, "logs": None, "retry_at": None}
    assert columns(rows(run)[0]) == {**expected, **changed, "finished_at": later, "output": "é"}


def columns(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def test_a_moment_is_written_as_django_writes_it() -> None:
    moment = rows_module.moments()
    there = timezone(timedelta(hours=-3, minutes=-30))
    for value in (
        None,
        datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=there),
    ):
        assert moment(value) == connection.ops.adapt_datetimefield_value(value)


def test_a_column_that_rows_lack_stops_the_start() -> None:
    with pytest.raises(ImproperlyConfigured, match="StepRow and Run differ"):
        rows_module._inserter(rows_module.StepRow, Run)


def test_a_large_value_is_written_once_however_often_its_commit_is_tried(tenant: Tenant) -> None:
    run = running(tenant)
    begun, ended = attempt(inputs=LARGE, output=LARGE), attempt("b")
    first = write(run, Outcome(), new=[begun, ended])
    last = write(run, Outcome(), ended=[replace(ended, output=LARGE)])
    for again in (False, True):
        with transaction.atomic():
            write_all("me", [first, last], again=again)
    kept = {payload.pk: payload for payload in Payload.objects.for_tenant(tenant).filter(run=run)}
    refs = [ref for row in rows(run) for ref in (row.inputs_ref, row.output_ref) if ref]
    assert sorted(refs) == sorted(kept)
    assert [opened(kept[ref]) for ref in refs] == [LARGE] * 3
    assert {payload.size for payload in kept.values()} == {len(LARGE) + 2}


def test_a_write_may_be_repeated_when_its_commit_was_not_answered(tenant: Tenant) -> None:
    run = running(tenant)
    first = attempt(status=StepStatus.RUNNING)
    for _ in range(2):
        with transaction.atomic():
            write_all("me", [write(run, Outcome(), new=[first])], again=True)
    assert len(rows(run)) == 1


class Nothing:
    """A queue with nothing in it."""

    def due_in(self) -> float:
        return float("inf")


class Harness:
    """A writer whose results are delivered at once, in its own thread."""

    def __init__(self) -> None:
        self.delivered = threading.Event()
        self.writer = Writer(
            owner="me",
            looks=Looks(Nothing(), Slots()),
            claim=list,
            unclaim=lambda claimed: None,
            deliver=self._deliver,
        )

    def _deliver(self, results: list[Callable[[], None]], claimed: Any) -> None:
        for result in results:
            result()
        self.delivered.set()

    def run(self, *items: Write | Job) -> None:
        """Put everything before the thread starts, so that it is one batch; return when it is written."""
        for item in items:
            self.writer.put(item)
        self.writer.start()
        self.writer.close()


def test_what_waits_is_one_commit(tenant: Tenant) -> None:
    runs = [running(tenant, slug=f"w{index}") for index in range(30)]
    harness, outcome = Harness(), Outcome()
    harness.run(*(write(run, outcome, new=[attempt()], ending=ending()) for run in runs))
    assert outcome == [None] * 30
    assert harness.writer.commits == 1


def test_a_write_that_the_database_refuses_does_not_fail_its_neighbours(tenant: Tenant) -> None:
    runs = [running(tenant, slug=f"w{index}") for index in range(3)]
    outcomes: list[Outcome] = [[], [], []]
    poisoned = [attempt(), attempt()]
    harness = Harness()
    harness.run(
        write(runs[0], outcomes[0], new=[attempt()], ending=ending()),
        write(runs[1], outcomes[1], new=poisoned, ending=ending()),
        write(runs[2], outcomes[2], new=[attempt()], ending=ending()),
    )
    assert [outcome[0] is None for outcome in outcomes] == [True, False, True]
    assert [run.refresh().status for run in runs] == ["succeeded", "running", "succeeded"]
    assert rows(runs[1]) == []


def test_a_job_that_fails_tells_its_error_and_nobody_else_notices(tenant: Tenant) -> None:
    run, outcome, told = running(tenant), Outcome(), Outcome()

    def fail() -> None:
        raise ValueError("no")

    harness = Harness()
    harness.run(Job(work=fail, done=lambda _, error: told.append(error)), write(run, outcome, ending=ending()))
    assert outcome == [None]
    assert isinstance(told[0], ValueError)


def test_a_database_that_is_away_is_waited_for(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    run, outcome = running(tenant), Outcome()
    real, tries = write_all, []

    def away_twice(*args: Any, **options: Any) -> Any:
        tries.append(options)
        if len(tries) <= 2:
            raise OperationalError("the server is starting up")
        return real(*args, **options)

    monkeypatch.setattr(writer_module, "write_all", away_twice)
    Harness().run(write(run, outcome, new=[attempt()], ending=ending()))
    assert outcome == [None]
    assert run.refresh().status == "succeeded"
    assert StepRun.objects.for_tenant(tenant).count() == 1
    assert [options["again"] for options in tries] == [False, True, True]


def test_what_may_be_committed_already_is_no_clash_when_each_is_tried_by_itself(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, outcome, step = running(tenant), Outcome(), attempt()
    real, tries = write_all, []

    def lost_then_refused(owner: str, writes: Any, **options: Any) -> Any:
        tries.append(options)
        if len(tries) == 1:
            raise OperationalError("the answer to the commit was lost")
        if len(tries) == 2:
            raise ValueError("a neighbour is refused")
        return real(owner, writes, **options)

    first = write(run, Outcome(), new=[step])
    with transaction.atomic():
        write_all("me", [first])
    monkeypatch.setattr(writer_module, "write_all", lost_then_refused)
    Harness().run(write(run, outcome, new=[step]))
    assert outcome == [None]
    assert StepRun.objects.for_tenant(tenant).count() == 1

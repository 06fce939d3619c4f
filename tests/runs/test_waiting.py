"""A driver that waits for work: it hears at once, stays while there is none, and asks little of the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.db.backends.signals import connection_created
from django.utils import timezone

from orchestrator.tenants.models import Tenant
from runs import bell, doorbell, driver, heartbeat, looks
from runs.drive import RunDrive
from runs.driver import Driver, Times
from runs.models import Run
from tests.runs.ground import drive, driving, make_workflow, start, statuses, step, until

pytestmark = pytest.mark.django_db(transaction=True)

# A driver without the bell would end at once.
TIMES = Times(slice=60, idle=0.05, hand_over=2, stop=0.5)
NEVER = 60.0


@pytest.fixture(autouse=True)
def _installation(tmp_path: Path, settings: Any) -> None:
    settings.ENV = replace(settings.ENV, data_dir=tmp_path)


@pytest.fixture
def _only_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing but the bell, or a run's own time, wake who waits."""
    monkeypatch.setattr(looks, "SAFETY_SECONDS", NEVER)
    # A heartbeat's commit claims too.
    monkeypatch.setattr(heartbeat, "WATCH_SECONDS", NEVER)


@pytest.fixture
def queries() -> Iterator[list[str]]:
    """Every statement of connections that are made from now on, of any thread."""
    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    def made(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(watch)

    connection_created.connect(made)
    yield seen
    connection_created.disconnect(made)


def waiting(times: Times = TIMES) -> Any:
    """Drive in a thread, with an ear, and wait until it has the bell."""
    return driving(times, ear=bell.Ear(bell.WORK))


def has_bell(found: Driver) -> None:
    until(lambda: found.looks.has_bell and bell.is_held(bell.WORK))


@pytest.mark.usefixtures("_only_the_bell")
def test_it_stays_while_there_is_nothing_to_do_and_hears_of_work(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("a"))
    with waiting() as found:
        has_bell(found)
        for _ in range(2):
            # Longer than idle, and than it looks about after a commit.
            time.sleep(4 * TIMES.idle + 0.5)
            run = start(workflow)
            time.sleep(0.2)
            assert run.refresh().status == "queued", "nobody has told it"
            assert bell.ring(bell.WORK)
            until(lambda run=run: run.refresh().status == "succeeded")


def test_a_ring_that_is_lost_is_made_up_for(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("a"))
    with waiting() as found:
        has_bell(found)
        run = start(workflow)
        until(lambda: run.refresh().status == "succeeded")


@pytest.mark.usefixtures("_only_the_bell")
def test_a_run_that_is_due_soon_is_taken_at_its_time(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("a"))
    with waiting() as found:
        has_bell(found)
        due = timezone.now() + timedelta(seconds=0.7)
        with transaction.atomic():
            run = start(workflow)
            Run.unscoped.filter(pk=run.pk).update(wake_at=due)
        # One look, which tells when that is; after it nobody says anything.
        found.looks._due_at = None
        found.writer.wake()
        until(lambda: run.refresh().status == "succeeded")
    assert run.started_at is not None
    assert run.started_at >= due


def test_it_asks_little_while_it_waits(tenant: Tenant, queries: list[str]) -> None:
    with waiting() as found:
        has_bell(found)
        time.sleep(0.5)
        before = len(queries)
        time.sleep(4)
        asked = queries[before:]
    looked = [sql for sql in asked if "SELECT MIN(wake_at)" in sql]
    assert 4 <= len(looked) <= 10, "twice a second"
    # Each look reads the limits too; a heartbeat every other second writes, and claims in the same transaction.
    # Polls, subscriptions and alerts are looked for every few seconds.
    assert len(asked) <= 3 * len(looked) + 3 * 8 + 8, asked


def test_one_that_finds_the_bell_taken_ends_when_it_is_idle(tenant: Tenant) -> None:
    with waiting() as first:
        has_bell(first)
        began = time.monotonic()
        drive(TIMES, ear=bell.Ear(bell.WORK))
        assert time.monotonic() - began < 10
        assert first.looks.has_bell


def test_the_next_one_takes_the_bell_when_the_first_leaves(tenant: Tenant) -> None:
    stays = replace(TIMES, idle=60)
    with waiting(stays) as second:
        has_bell(second)
        with waiting(stays) as third:
            time.sleep(0.3)
            assert not third.looks.has_bell
            second.request_stop()
            has_bell(third)
    assert not bell.is_held(bell.WORK)


def test_it_calls_its_successor_before_its_slice_ends(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    called = threading.Event()
    monkeypatch.setattr(driver, "SUCCESSION_SECONDS", 0.5)
    monkeypatch.setattr(doorbell, "call", called.set)
    with waiting(replace(TIMES, slice=1.0)) as found:
        has_bell(found)
        assert not called.is_set()
        assert called.wait(5)
        assert found.looks.has_bell, "until the end of the slice"
        until(lambda: not bell.is_held(bell.WORK))


def test_one_without_the_bell_calls_nobody(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    called = threading.Event()
    monkeypatch.setattr(driver, "SUCCESSION_SECONDS", 0.1)
    monkeypatch.setattr(doorbell, "call", called.set)
    drive(Times(slice=0.5, idle=60, hand_over=1, stop=0.5))
    assert not called.is_set()


def test_the_runs_that_it_gives_back_are_told_of(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    rung = threading.Event()
    monkeypatch.setattr(doorbell, "ring", rung.set)
    with waiting() as found:
        has_bell(found)
        found.request_stop()
        until(lambda: not bell.is_held(bell.WORK))
    assert not rung.is_set(), "it had none"
    run = start(make_workflow(tenant, step("a", "flow.wait", inputs={"seconds": 3}), step("b")))
    rung.clear()
    with driving() as found:
        until(lambda: run.refresh().status == "running")
        found.request_stop()
        assert rung.wait(10)
    assert run.refresh().status in ("queued", "waiting")


def test_what_was_claimed_as_it_was_asked_to_stop_is_given_back(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = make_workflow(tenant, step("a"))
    claiming = threading.Event()
    with driving() as found:
        claim = found.writer._claim

        def slowly() -> Any:
            claimed = claim()
            if claimed:
                claiming.set()
                time.sleep(0.5)
            return claimed

        monkeypatch.setattr(found.writer, "_claim", slowly)
        run = start(workflow)
        assert claiming.wait(10)
        found.request_stop()
    assert run.refresh().status in ("queued", "succeeded")
    drive()
    assert (run.refresh().status, run.crash_count, statuses(run)) == ("succeeded", 0, [("a", "succeeded")])


def test_a_run_that_is_claimed_again_before_its_first_task_is_over_is_not_forgotten() -> None:
    class Claimed:
        run_id = 7

    class Drive:
        claim = Claimed()

    found = Driver(TIMES)
    old, new = Drive(), Drive()
    held: dict[int, RunDrive] = found._active
    held[7] = new  # type: ignore[assignment]
    found._ended(old)  # type: ignore[arg-type]
    assert held == {7: new}
    found._ended(new)  # type: ignore[arg-type]
    assert held == {}
    found.writer._mailbox.close()

"""The ticker: it rings for what is due, has somebody wait for work, and gives the alarm when work is due and nothing
moves, and only then.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from orchestrator.tenants.models import Tenant
from runs import bell, sweeper, ticker
from runs.models import Run, WorkerBeat
from runs.ticker import CALL_SECONDS, CALM_SWEEP_SECONDS, SWEEP_SECONDS, WEDGED_SECONDS, Ticker
from tests.runs.ground import make_workflow, start

pytestmark = pytest.mark.django_db(transaction=True)


class Ringer:
    def __init__(self) -> None:
        self.rung = 0
        self.closed = 0

    def send(self) -> None:
        self.rung += 1

    def close(self) -> None:
        self.closed += 1


class World:
    """A ticker whose doorbell, sweeper and alarm are watched; ``is_heard``: whether a driver holds the bell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.beats = self.alarms = self.swept = self.bells = 0
        self.is_heard = True
        self.ringer = Ringer()
        monkeypatch.setattr(sweeper, "sweep", self._sweep)
        monkeypatch.setattr(bell, "is_held", lambda post: self.is_heard)
        monkeypatch.setattr(bell, "ring", self._bell)
        self.ticker = Ticker(beat=self._beat, wedged=self._alarm)
        monkeypatch.setattr(self.ticker, "_ringer", self.ringer)

    def _beat(self) -> None:
        self.beats += 1

    def _alarm(self) -> None:
        self.alarms += 1

    def _sweep(self) -> None:
        self.swept += 1

    def _bell(self, post: str) -> bool:
        self.bells += 1
        return self.is_heard


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.fixture
def due(tenant: Tenant) -> Run:
    return start(make_workflow(tenant))


def beat(at: float = 0, *, pid: int | None = None, host: str | None = None) -> None:
    WorkerBeat.objects.update_or_create(
        name="driver",
        defaults={
            "host": host or socket.gethostname(),
            "pid": pid or os.getpid(),
            "beat_at": timezone.now() + timedelta(seconds=at),
        },
    )


def test_it_rings_for_what_is_due_at_every_tick(world: World, due: Run) -> None:
    for now in (1.0, 1.25, 1.5):
        world.ticker.tick(now)
    assert world.ringer.rung == world.bells == 3


def test_it_does_not_ring_where_nothing_is_due(world: World, due: Run) -> None:
    Run.unscoped.update(wake_at=timezone.now() + timedelta(minutes=1))
    world.ticker.tick(1.0)
    assert world.ringer.rung == 0


def test_it_rings_for_a_lease_that_ran_out(world: World, due: Run) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Run.unscoped.update(status="running", wake_at=None, lease_owner="x", lease_expires_at=past)
    world.ticker.tick(1.0)
    assert world.ringer.rung == 1


def test_it_sweeps_once_a_second_while_something_is_driven(world: World, due: Run) -> None:
    later = timezone.now() + timedelta(seconds=15)
    Run.unscoped.update(status="running", wake_at=None, lease_owner="x", lease_expires_at=later)
    for now in (10.0, 10.25, 10.5, 10.0 + SWEEP_SECONDS, 11.2):
        world.ticker.tick(now)
    assert (world.swept, world.ringer.rung) == (2, 0)


def test_it_sweeps_more_rarely_where_nothing_is_driven(world: World) -> None:
    for now in (10.0, 10.25, 10.0 + SWEEP_SECONDS, 12.0, 10.0 + CALM_SWEEP_SECONDS):
        world.ticker.tick(now)
    assert world.swept == 2


def test_it_calls_a_driver_while_nobody_holds_the_bell(world: World) -> None:
    world.is_heard = False
    for now in (10.0, 10.25, 10.5, 10.0 + CALL_SECONDS):
        world.ticker.tick(now)
    assert world.ringer.rung == 2, "one that was called takes a while to begin"
    world.is_heard = True
    world.ticker.tick(20.0)
    assert world.ringer.rung == 2
    assert world.bells == 0, "there is no work to wake anybody for"


@pytest.mark.parametrize(
    ("is_heard", "is_due", "calm"), [(True, False, True), (False, False, False), (True, True, False)]
)
def test_it_ticks_more_rarely_while_somebody_waits_and_nothing_is_due(
    is_heard: bool, is_due: bool, calm: bool, world: World, due: Run
) -> None:
    world.is_heard = is_heard
    if not is_due:
        Run.unscoped.update(wake_at=timezone.now() + timedelta(minutes=1))
    world.ticker.tick(10.0)
    assert world.ticker._is_calm is calm


def test_the_alarm_is_given_when_work_is_due_and_nobody_begins(world: World, due: Run) -> None:
    world.ticker.tick(100.0)
    world.ticker.tick(100.0 + WEDGED_SECONDS)
    assert world.alarms == 0
    world.ticker.tick(100.1 + WEDGED_SECONDS)
    assert world.alarms == 1


def test_no_alarm_while_a_driver_beats(world: World, due: Run) -> None:
    for second in range(60):
        if second % 4 == 0:
            beat(second)
        world.ticker.tick(100.0 + second)
    assert world.alarms == 0


def test_a_driver_that_stops_beating_gives_the_alarm(world: World, due: Run) -> None:
    beat()
    world.ticker.tick(100.0)
    beat(5)
    world.ticker.tick(105.0)
    world.ticker.tick(105.0 + WEDGED_SECONDS)
    assert world.alarms == 0
    world.ticker.tick(105.1 + WEDGED_SECONDS)
    assert world.alarms == 1


@pytest.mark.parametrize("other", [{"pid": 1}, {"host": "another-host"}, {"pid": 2**22 - 1}])
def test_the_drivers_of_other_workers_do_not_hide_that_this_one_hangs(
    other: dict[str, Any], world: World, due: Run
) -> None:
    for second in range(12):
        beat(second, **other)
        world.ticker.tick(100.0 + second)
    assert world.alarms == 1


def test_no_alarm_once_there_was_nothing_to_do_in_between(world: World, due: Run) -> None:
    world.ticker.tick(100.0)
    wake_at = due.wake_at
    Run.unscoped.update(wake_at=timezone.now() + timedelta(minutes=1))
    world.ticker.tick(105.0)
    Run.unscoped.update(wake_at=wake_at)
    world.ticker.tick(112.0)
    world.ticker.tick(112.0 + WEDGED_SECONDS)
    assert world.alarms == 0


class Enough(BaseException):
    """Ends the ticker's loop."""


def run_loop(world: World, monkeypatch: pytest.MonkeyPatch, *ticks: Any) -> list[float | None]:
    """Run the loop over what the ticks do; return since when work was seen to be due at each beat."""
    monkeypatch.setattr(ticker, "TICK_SECONDS", 0)
    seen: list[float | None] = []
    left = list(ticks)

    def next_beat() -> None:
        seen.append(world.ticker._since)
        if not left:
            raise Enough

    def tick(now: float) -> None:
        done = left.pop(0)
        if isinstance(done, Exception):
            raise done
        world.ticker._since = done

    monkeypatch.setattr(world.ticker, "_beat", next_beat)
    monkeypatch.setattr(world.ticker, "tick", tick)
    with pytest.raises(Enough):
        world.ticker._main()
    return seen


def test_a_database_that_is_away_gives_no_alarm_and_the_loop_beats_on(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = OperationalError("connection refused: password secret")
    assert run_loop(world, monkeypatch, 100.0, away, away, 130.0) == [None, 100.0, None, None, 130.0]
    assert (world.alarms, world.ringer.closed) == (0, 2)
    assert "secret" not in caplog.text


def test_an_error_of_any_kind_does_not_end_the_loop(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(run_loop(world, monkeypatch, ConnectionError("no Redis"), KeyError("x"), 1.0)) == 4
    assert caplog.text.count("A tick failed") == 2

"""The doorbell: who hears of work and how, how often workers are called, and that a broker which breaks is no error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ

from orchestrator.tenants.models import Tenant
from runs import bell as local
from runs import doorbell, notices
from runs.doorbell import Bell, OrmQueue, Ringer
from runs.models import Run, WorkerBeat
from runs.slots import CAPACITY
from tests.runs.ground import make_workflow, start, until

pytestmark = pytest.mark.django_db(transaction=True)


class Broker:
    """A queue in this process; ``takes``: whether a worker takes what is put in it at once."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.rung = 0
        self.made = 0
        self.takes = False
        self.error: Exception | None = None

    def queue_size(self) -> int:
        if self.error:
            raise self.error
        return len(self.waiting)

    def put(self, task: str, *, broker: Broker, save: bool) -> None:
        assert (broker, task, save) == (self, "runs.tasks.drive", False)
        self.rung += 1
        if not self.takes:
            self.waiting.append(task)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    found = Broker()

    def get() -> Broker:
        found.made += 1
        return found

    monkeypatch.setattr(doorbell, "get_broker", get)
    monkeypatch.setattr(doorbell, "async_task", found.put)
    return found


@pytest.fixture
def ringer() -> Iterator[Ringer]:
    found = Ringer()
    yield found
    found.close()


@pytest.fixture
def bell() -> Iterator[Bell]:
    found = Bell()
    yield found
    found.close()


@pytest.fixture
def due(tenant: Tenant) -> Run:
    return start(make_workflow(tenant))


def driver(*, seconds_ago: float = 0, active: int = 0, name: str = "driver") -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    WorkerBeat.objects.create(name=name, host="h", pid=1, beat_at=at, active_runs=active)


class Heard:
    """A local bell that somebody hears, or nobody; what is told to other machines is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_held = False
        self.rung: list[str] = []
        self.told = 0
        monkeypatch.setattr(local, "ring", self._ring)
        monkeypatch.setattr(notices, "notify", self._tell)

    def _ring(self, post: str) -> bool:
        self.rung.append(post)
        return self.is_held

    def _tell(self) -> None:
        self.told += 1


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    return Heard(monkeypatch)


def quiet(bell: Bell) -> None:
    """Wait until the bell has done what it was asked for."""
    until(lambda: not bell._asked.is_set())
    time.sleep(doorbell.LATER_SECONDS * doorbell._MOST_RINGS + 0.3)


def test_a_message_that_waits_is_enough(ringer: Ringer, broker: Broker) -> None:
    for _ in range(3):
        ringer.send()
    assert broker.waiting == ["runs.tasks.drive"]
    broker.waiting.clear()
    ringer.send()
    assert broker.rung == 2
    assert broker.made == 1, "a broker for each ring would connect to Redis each time"


def test_the_real_queue_gets_one_message_too(ringer: Ringer) -> None:
    if settings.ENV.redis_url:
        pytest.skip("about the queue in the database")
    for _ in range(3):
        ringer.send()
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(
    ("seconds_ago", "active", "lives"),
    [(0, 0, True), (3, 10, True), (5, 0, False), (0, CAPACITY * 3 // 4 - 1, True), (0, CAPACITY * 3 // 4, False)],
)
def test_a_driver_counts_while_it_lives_and_has_room(
    seconds_ago: float, active: int, lives: bool, ringer: Ringer
) -> None:
    driver(seconds_ago=seconds_ago, active=active)
    assert ringer.has_live_driver() is lives


def test_work_is_due_once_its_time_has_come(ringer: Ringer, due: Run) -> None:
    assert ringer.is_work_due()
    Run.unscoped.update(wake_at=timezone.now() + timedelta(minutes=1))
    assert not ringer.is_work_due()


def test_it_rings_when_no_driver_lives(bell: Bell, broker: Broker, due: Run) -> None:
    bell.ring()
    until(lambda: broker.rung)
    quiet(bell)
    assert broker.waiting == ["runs.tasks.drive"], "nobody came, and one message is enough"


def test_it_does_not_ring_for_what_a_live_driver_takes(bell: Bell, broker: Broker) -> None:
    driver()
    bell.ring()
    quiet(bell)
    assert broker.rung == 0


def test_what_is_heard_here_calls_nobody_and_is_told_nowhere(bell: Bell, broker: Broker, heard: Heard) -> None:
    heard.is_held = True
    bell.ring()
    assert heard.rung == [local.WORK], "before anything else, and by who rings"
    quiet(bell)
    assert (broker.rung, heard.told) == (0, 0)


def test_where_nobody_listens_other_machines_are_told(bell: Bell, broker: Broker, heard: Heard) -> None:
    driver()
    bell.ring()
    quiet(bell)
    assert (broker.rung, heard.told) == (0, 1), "another machine's driver lives: it hears of it"


def test_what_who_hears_does_not_take_is_told_to_others_too(bell: Bell, broker: Broker, heard: Heard, due: Run) -> None:
    heard.is_held = broker.takes = True
    bell.ring()
    until(lambda: broker.rung >= 2 and heard.told >= 2)


def test_one_more_is_called_whoever_drives(bell: Bell, broker: Broker, heard: Heard) -> None:
    driver()
    heard.is_held = True
    bell.call()
    until(lambda: broker.rung == 1)
    quiet(bell)
    assert (broker.rung, heard.told) == (1, 0)


def test_who_puts_a_message_wakes_who_waits_for_one(ringer: Ringer, broker: Broker, heard: Heard) -> None:
    ringer.send()
    ringer.send()
    assert heard.rung == [local.MESSAGES], "once for the one message"


class Queue:
    """django-q2's queue in the database, and how long it slept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept: list[float] = []
        monkeypatch.setattr(local.Ear, "wait", lambda ear, seconds: self.slept.append(seconds))
        self.broker = OrmQueue()


def test_the_queue_in_the_database_sleeps_on_the_bell_while_it_is_empty(
    ringer: Ringer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if settings.ENV.redis_url:
        pytest.skip("about the queue in the database")
    queue = Queue(monkeypatch)
    assert queue.broker.dequeue() is None
    assert queue.slept == [doorbell.QUEUE_SECONDS]
    ringer.send()
    ((number, _),) = queue.broker.dequeue()
    assert queue.slept == [doorbell.QUEUE_SECONDS]
    queue.broker.acknowledge(number)
    assert OrmQ.objects.count() == 0


def test_it_is_the_queue_that_the_settings_name() -> None:
    if settings.ENV.redis_url:
        pytest.skip("about the queue in the database")
    assert type(doorbell.get_broker()) is OrmQueue


def test_it_rings_for_one_more_while_work_is_still_due(bell: Bell, broker: Broker, due: Run) -> None:
    broker.takes = True
    driver()
    bell.ring()
    until(lambda: broker.rung >= 2)
    Run.unscoped.update(wake_at=None, status="running", lease_expires_at=timezone.now())
    time.sleep(0.2)
    rung = broker.rung
    quiet(bell)
    assert broker.rung == rung, "all is taken"


def test_it_gives_up_after_some_rings_and_leaves_the_rest_to_the_ticker(bell: Bell, broker: Broker, due: Run) -> None:
    broker.takes = True
    bell.ring()
    until(lambda: broker.rung == 1 + doorbell._MOST_RINGS)
    quiet(bell)
    assert broker.rung == 1 + doorbell._MOST_RINGS


@pytest.mark.parametrize("error", [ConnectionError("no Redis"), RuntimeError("broken"), OSError()])
def test_a_broker_that_breaks_raises_nothing_and_the_next_ring_tries_again(
    error: Exception, bell: Bell, broker: Broker, due: Run, caplog: pytest.LogCaptureFixture
) -> None:
    broker.error = error
    bell.ring()
    until(lambda: "The doorbell could not be rung" in caplog.text)
    broker.error = None
    bell.ring()
    until(lambda: broker.rung)
    assert broker.made == 2, "over a connection of its own"


def test_a_broker_that_cannot_be_made_raises_nothing(
    bell: Bell, due: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> None:
        raise ValueError("no such broker")

    monkeypatch.setattr(doorbell, "get_broker", none)
    bell.ring()
    until(lambda: "The doorbell could not be rung" in caplog.text)
    thread = bell._thread
    assert thread is not None
    assert thread.is_alive()


def test_who_rings_does_not_wait(bell: Bell, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    monkeypatch.setattr(Ringer, "has_live_driver", lambda self: hold.wait(10))
    began = time.monotonic()
    for _ in range(1_000):
        bell.ring()
    assert time.monotonic() - began < 1
    hold.set()


def test_after_a_fork_the_child_has_a_thread_of_its_own(bell: Bell, broker: Broker) -> None:
    driver()
    bell.ring()
    before = bell._thread
    assert before is not None
    quiet(bell)
    asked = bell._asked
    bell._pid += 1  # as a child finds it
    bell.ring()
    assert bell._thread is not before
    asked.set()
    before.join(5)
    assert not before.is_alive()


def test_a_bell_that_nobody_rings_gives_its_connections_back(
    bell: Bell, broker: Broker, due: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorbell, "_IDLE_SECONDS", 0.05)
    closed: list[Ringer] = []
    close: Callable[[Any], None] = Ringer.close

    def watched(self: Ringer) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(Ringer, "close", watched)
    bell.ring()
    until(lambda: closed)
    bell.ring()
    until(lambda: broker.made == 2)


def test_the_broker_says_what_it_is() -> None:
    assert doorbell.broker_state() == ("Redis" if settings.ENV.redis_url else "database")

"""Rings for who drives: at once over the local bell, and by a django-q2 message. The only importer of django_q.

A message carries nothing but "there is work". It may be lost, doubled or late without harm: the queue is the run rows,
and drivers and the worker's ticker look at them too.

1. The local bell wakes the driver that waits on this machine (``bell``); that costs microseconds.
2. Where nobody waits here, other machines are told (``notices``), and a worker is called unless a driver lives.
3. What is still due LATER_SECONDS after that gets one more worker, until enough of them share it.
4. A message that waits already is enough: who is free takes it.

All but the first is done by a thread of its own, so that whoever made the work does not wait for the broker.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django_q.brokers import get_broker
from django_q.brokers.orm import ORM
from django_q.cluster import Cluster
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from runs import bell, notices
from runs.clock import DatabaseClock
from runs.models import Run, WorkerBeat
from runs.slots import CAPACITY

log = logging.getLogger(__name__)

DRIVE: Final = "runs.tasks.drive"
LATER_SECONDS: Final = 0.02
# A driver that said so within this time is taken to live still; the ticker finds what it missed.
LIVE: Final = timedelta(seconds=4)
# The bell's thread gives its connections back after this long without a ring.
_IDLE_SECONDS: Final = 10.0
_MOST_RINGS: Final = 8
# How often the queue in the database is looked at without a ring: what other machines put there, or a lost one.
QUEUE_SECONDS: Final = 1.0


class Bell:
    """The thread that rings for one process, begun at its first ring: never before a fork."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._is_unheard = self._calls = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0

    def ring(self) -> None:
        """Tell of work, after the commit that made it. Costs microseconds and never raises."""
        if not bell.ring(bell.WORK):
            self._is_unheard = True
        self._ask()

    def call(self) -> None:
        """Ask for one more worker, whoever drives already."""
        self._calls = True
        self._ask()

    def _ask(self) -> None:
        if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
            self._begin()
        self._asked.set()

    def close(self) -> None:
        """End the thread; for tests."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._asked.set()
        if thread is not None:
            thread.join()

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None or self._pid != os.getpid() or not self._thread.is_alive():
                self._pid, self._asked = os.getpid(), threading.Event()
                self._thread = threading.Thread(target=self._main, name="doorbell", daemon=True)
                self._thread.start()

    def _main(self) -> None:
        ringer = Ringer()
        me = threading.current_thread()
        try:
            while self._thread is me:
                if not self._asked.wait(_IDLE_SECONDS):
                    ringer.close()
                    self._asked.wait()
                self._asked.clear()
                self._serve(ringer, me)
        finally:
            ringer.close()

    def _serve(self, ringer: Ringer, me: threading.Thread) -> None:
        try:
            calls, self._calls = self._calls, False
            is_unheard, self._is_unheard = self._is_unheard, False
            if is_unheard:
                notices.notify()
            if calls or (is_unheard and not ringer.has_live_driver()):
                ringer.send()
            for _ in range(_MOST_RINGS):
                threading.Event().wait(LATER_SECONDS)
                if self._thread is not me or not ringer.is_work_due():
                    return
                notices.notify()
                ringer.send()
        except Exception:
            # The runs are kept, and the ticker of a worker finds them.
            log.warning("The doorbell could not be rung", exc_info=True)
            ringer.close()


class Ringer:
    """Rings over one broker, kept open: making one for every ring would connect to Redis each time."""

    def __init__(self) -> None:
        self._broker: Any = None
        self._clock = DatabaseClock()

    def send(self) -> None:
        """Put one message in the queue, unless one waits there."""
        if self._broker is None:
            self._broker = get_broker()
        if not self._broker.queue_size():
            async_task(DRIVE, broker=self._broker, save=False)
            bell.ring(bell.MESSAGES)

    def is_work_due(self) -> bool:
        return Run.unscoped.filter(wake_at__lte=self._clock.now()).exists()

    def has_live_driver(self) -> bool:
        """Whether some driver lives and has room."""
        since = self._clock.now() - LIVE
        return WorkerBeat.objects.filter(beat_at__gte=since, active_runs__lt=CAPACITY * 3 // 4).exists()

    def close(self) -> None:
        """Give the connections back."""
        self._broker = None
        connection.close()


class OrmQueue(ORM):  # type: ignore[misc]
    """django-q2's queue in the database, whose pusher sleeps until the local bell is rung instead of for its poll."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key=list_key)
        self._ear = bell.Ear(bell.MESSAGES)

    def dequeue(self) -> Any:
        """Return the next message, or nothing after having waited for one."""
        found = super().dequeue()
        if found is None:
            self._ear.wait(QUEUE_SECONDS)
        return found


def start_cluster() -> Cluster:
    """Fork django-q2's processes off this one and return the cluster, whose signal handlers are in place."""
    cluster = Cluster()
    cluster.start()
    return cluster


def rehearse() -> None:
    """Make a broker and pack a message, and throw both away."""
    get_broker()
    SignedPackage.loads(SignedPackage.dumps({}, True))


def broker_state() -> str:
    """Ask the broker whether it answers; return what it calls itself. Raises what its client raises."""
    broker = get_broker()
    broker.ping()
    return "Redis" if settings.ENV.redis_url else "database"


_bell = Bell()


def ring() -> None:
    """Tell of work; call it after the commit that made it."""
    _bell.ring()


def call() -> None:
    """Ask for one more driver."""
    _bell.call()


def announce() -> None:
    """Tell other machines of work with the commit of the caller's transaction, where nobody waits on this one."""
    if notices.are_possible() and not bell.is_held(bell.WORK):
        notices.notify()

"""Notices between machines, on a real PostgreSQL: heard at the commit, by every listener of that database alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import dj_database_url
import pytest
from django.db import transaction
from django.db.utils import ConnectionHandler

from runs import bell, doorbell, notices
from runs.notices import Listener
from tests.runs.ground import until
from tests.services import postgres_database


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres_database() as found:
        yield found


@pytest.fixture
def postgres(url: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[Any]:
    """A connection to a PostgreSQL of its own in the place of the suite's database, which these tests leave alone."""
    handler = ConnectionHandler({"default": dj_database_url.parse(url)})
    monkeypatch.setattr(notices, "connections", handler)
    monkeypatch.setattr(notices, "connection", handler["default"])
    # `transaction.atomic` looks its connection up there.
    monkeypatch.setattr(transaction, "get_connection", lambda using=None: handler["default"])
    with django_db_blocker.unblock():
        yield handler["default"]
        handler["default"].close()


class Heard:
    """How often a listener heard something."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def listen(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Heard]]:
    monkeypatch.setattr(notices, "_ALIVE_SECONDS", 0.2)
    monkeypatch.setattr(notices, "_PAUSES", (0.05,))
    started: list[Listener] = []

    def begin() -> Heard:
        heard = Heard()
        listener = Listener(heard)
        started.append(listener)
        listener.start()
        # It rings once by itself, for what was told before.
        until(lambda: heard.count == 1)
        return heard

    yield begin
    for listener in started:
        listener.stop()


def others(postgres: Any) -> int:
    """Count the connections to this database besides this one."""
    with postgres.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


def test_every_listener_hears_a_notice(listen: Callable[[], Heard]) -> None:
    first, second = listen(), listen()
    notices.notify()
    until(lambda: first.count == second.count == 2)


def test_a_notice_of_a_transaction_is_heard_at_its_commit(listen: Callable[[], Heard]) -> None:
    heard = listen()
    waiting = threading.Event()
    with transaction.atomic():
        notices.notify()
        assert not waiting.wait(0.5)
        assert heard.count == 1
    until(lambda: heard.count == 2)


def test_what_is_rolled_back_is_told_to_nobody(listen: Callable[[], Heard]) -> None:
    heard = listen()
    with transaction.atomic():
        notices.notify()
        transaction.set_rollback(True)
    notices.notify()
    until(lambda: heard.count == 2)
    assert not threading.Event().wait(0.3)
    assert heard.count == 2


def test_a_listener_that_is_cut_off_comes_back_and_rings_for_what_it_missed(
    listen: Callable[[], Heard], postgres: Any, caplog: pytest.LogCaptureFixture
) -> None:
    heard = listen()
    with postgres.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                       "WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    until(lambda: heard.count == 2)
    notices.notify()
    until(lambda: heard.count == 3)
    assert caplog.text.count("Notices are not heard") == 1


def test_the_notices_of_another_database_are_not_heard(listen: Callable[[], Heard], postgres: Any) -> None:
    heard = listen()
    with postgres_database() as another:
        handler = ConnectionHandler({"default": dj_database_url.parse(another)})
        with handler["default"].cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [notices.CHANNEL])
        handler["default"].close()
    assert not threading.Event().wait(0.3)
    assert heard.count == 1


def test_a_listener_takes_one_connection_and_gives_it_back(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "_ALIVE_SECONDS", 0.2)
    heard = Heard()
    listener = Listener(heard)
    assert others(postgres) == 0
    listener.start()
    until(lambda: heard.count == 1)
    assert others(postgres) == 1
    listener.stop()
    until(lambda: others(postgres) == 0)


@pytest.mark.parametrize(("somebody_waits_here", "told"), [(True, 1), (False, 2)])
def test_other_machines_are_told_of_arrivals_where_nobody_waits_on_this_one(
    somebody_waits_here: bool, told: int, listen: Callable[[], Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "is_held", lambda post: somebody_waits_here)
    heard = listen()
    doorbell.announce()
    if told == 1:
        assert not threading.Event().wait(0.3)
    until(lambda: heard.count == told)


def test_on_a_database_of_one_machine_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sqlite:
        vendor = "sqlite"

    monkeypatch.setattr(notices, "connection", Sqlite())
    notices.notify()
    listener = Listener(lambda: None)
    listener.start()
    listener.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "listener"]

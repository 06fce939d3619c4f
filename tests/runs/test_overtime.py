"""A task of django-q2 is given more time by setting its alarm and the guard's timer anew."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from runs.overtime import prolong


@pytest.fixture(autouse=True)
def _no_alarm() -> Iterator[None]:
    yield
    signal.alarm(0)


def test_what_is_no_task_is_given_none() -> None:
    assert not prolong(300)
    assert signal.alarm(0) == 0


def test_alarm_and_timer_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    timer = multiprocessing.Value("f", 7.0)
    monkeypatch.setattr(multiprocessing.current_process(), "timer", timer, raising=False)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.alarm(7)
    assert prolong(299.5)
    assert (signal.alarm(0), timer.value) == (300, 302.5)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


@pytest.mark.parametrize("value", [0.0, -1.0, -2.0])
def test_what_is_idle_or_being_ended_is_left_alone(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    timer = multiprocessing.Value("f", value)
    monkeypatch.setattr(multiprocessing.current_process(), "timer", timer, raising=False)
    assert not prolong(300)
    assert (signal.alarm(0), timer.value) == (0, value)


def test_a_thread_without_the_alarm_is_given_none(monkeypatch: pytest.MonkeyPatch) -> None:
    timer = multiprocessing.Value("f", 7.0)
    monkeypatch.setattr(multiprocessing.current_process(), "timer", timer, raising=False)
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(prolong, 300).result()
    assert timer.value == 7.0

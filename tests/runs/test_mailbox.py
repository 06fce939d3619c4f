"""The mailbox: what wakes its thread, and that nothing which is put in it is lost."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runs.bell import WORK, Ear, ring
from runs.mailbox import Mailbox

LONG = 20.0


@pytest.fixture
def mailbox() -> Iterator[Mailbox[int]]:
    found: Mailbox[int] = Mailbox()
    yield found
    found.close()


@pytest.fixture
def ear(tmp_path: Path, settings: Any) -> Iterator[Ear]:
    settings.ENV = replace(settings.ENV, data_dir=tmp_path)
    found = Ear(WORK)
    assert found.take()
    yield found
    found.leave()


def slept(mailbox: Mailbox[int], seconds: float = LONG, ear: Ear | None = None) -> tuple[float, bool]:
    began = time.monotonic()
    rung = mailbox.wait(seconds, ear)
    return time.monotonic() - began, rung


def test_what_is_there_needs_no_sleep(mailbox: Mailbox[int]) -> None:
    mailbox.put(1)
    assert slept(mailbox)[0] < LONG / 2
    assert mailbox.take(10) == [1]
    assert mailbox.is_empty


def test_an_item_wakes_who_sleeps(mailbox: Mailbox[int]) -> None:
    threading.Timer(0.1, mailbox.put, [1]).start()
    assert slept(mailbox)[0] < LONG / 2
    assert mailbox.take(10) == [1]


def test_the_bell_wakes_who_sleeps_and_says_so(mailbox: Mailbox[int], ear: Ear) -> None:
    threading.Timer(0.1, ring, [WORK]).start()
    seconds, rung = slept(mailbox, LONG, ear)
    assert seconds < LONG / 2
    assert rung
    assert not slept(mailbox, 0.01, ear)[1]


def test_a_ring_that_comes_with_an_item_is_heard_too(mailbox: Mailbox[int], ear: Ear) -> None:
    mailbox.put(1)
    ring(WORK)
    assert slept(mailbox, LONG, ear)[1]


def test_the_time_ends_a_sleep(mailbox: Mailbox[int]) -> None:
    seconds, rung = slept(mailbox, 0.1)
    assert seconds >= 0.09
    assert not rung


def test_a_wake_ends_one_sleep(mailbox: Mailbox[int]) -> None:
    mailbox.wake()
    assert slept(mailbox)[0] < LONG / 2
    assert slept(mailbox, 0.1)[0] >= 0.09


def test_items_are_taken_oldest_first_and_no_more_than_asked_for(mailbox: Mailbox[int]) -> None:
    for number in range(5):
        mailbox.put(number)
    assert mailbox.take(3) == [0, 1, 2]
    assert mailbox.take(3) == [3, 4]


def test_nothing_is_lost_between_many_who_put_and_one_who_takes(mailbox: Mailbox[int]) -> None:
    def put(first: int) -> None:
        for number in range(first, first + 2_000):
            mailbox.put(number)

    threads = [threading.Thread(target=put, args=[first]) for first in range(0, 8_000, 2_000)]
    for thread in threads:
        thread.start()
    taken: list[int] = []
    while len(taken) < 8_000:
        assert slept(mailbox)[0] < LONG / 2
        taken += mailbox.take(500)
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(8_000))


def test_what_is_put_after_the_end_reaches_nobody_elses_file() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.close()
    reader, writer = os.pipe()  # gets the numbers that the mailbox had
    os.set_blocking(reader, False)
    try:
        mailbox.put(1)
        mailbox.wake()
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)
    assert mailbox.take(1) == [1]

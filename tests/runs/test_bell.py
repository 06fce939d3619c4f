"""The local bell: who holds a post hears every ring, nobody else does, and what is left behind is in nobody's way."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runs import bell
from runs.bell import MESSAGES, WORK, Ear, is_held, ring
from tests.runs.ground import until

LONG = "a-folder-whose-name-is-long-" * 4


@pytest.fixture(autouse=True)
def folder(settings: Any) -> Iterator[Path]:
    """An installation of its own, in a path that is short: pytest's own may be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="bell-") as path:
        settings.ENV = replace(settings.ENV, data_dir=Path(path))
        yield Path(path)


@pytest.fixture
def make_ear() -> Iterator[Callable[..., Ear]]:
    made: list[Ear] = []

    def make(post: str = WORK) -> Ear:
        made.append(Ear(post))
        return made[-1]

    yield make
    for ear in made:
        ear.leave()


@pytest.fixture
def ear(make_ear: Callable[..., Ear]) -> Ear:
    found = make_ear()
    assert found.take()
    return found


def socket_file(folder: Path, post: str = WORK) -> Path:
    (found,) = folder.glob(f"{post}-*.sock")
    return found


def test_who_holds_the_post_hears_a_ring(ear: Ear) -> None:
    assert not ear.hear()
    assert ring(WORK)
    assert ear.hear()
    assert not ear.hear()


def test_rings_that_wait_are_heard_as_one(ear: Ear) -> None:
    for _ in range(5):
        ring(WORK)
    assert ear.hear()
    assert not ear.hear()


def test_where_nobody_listens_a_ring_says_so() -> None:
    assert not ring(WORK)
    assert not is_held(WORK)


def test_to_ask_whether_somebody_listens_wakes_nobody(ear: Ear) -> None:
    assert is_held(WORK)
    assert not ear.hear()


def test_one_ring_wakes_who_sleeps(ear: Ear) -> None:
    threading.Timer(0.1, ring, [WORK]).start()
    began = time.monotonic()
    assert ear.wait(20)
    assert time.monotonic() - began < 10
    assert not ear.wait(0.01)


def test_ringing_never_blocks_and_a_full_post_counts_as_heard(ear: Ear) -> None:
    began = time.monotonic()
    assert all(ring(WORK) for _ in range(5_000))
    assert time.monotonic() - began < 10
    assert ear.hear()


def test_a_post_is_held_by_one_at_a_time(ear: Ear, make_ear: Callable[..., Ear]) -> None:
    second = make_ear()
    assert not second.take()
    ring(WORK)
    assert ear.hear()
    assert not second.hear()
    ear.leave()
    assert second.take()
    assert ring(WORK)
    assert second.hear()


def test_who_holds_no_post_sleeps_a_moment_only(ear: Ear, make_ear: Callable[..., Ear]) -> None:
    began = time.monotonic()
    assert not make_ear().wait(20)
    assert time.monotonic() - began < 10


def test_the_posts_are_apart(ear: Ear, make_ear: Callable[..., Ear]) -> None:
    pusher = make_ear(MESSAGES)
    assert pusher.take()
    ring(MESSAGES)
    assert not ear.hear()
    assert pusher.hear()


def test_who_leaves_takes_the_file_away(ear: Ear, folder: Path) -> None:
    assert socket_file(folder).is_socket()
    ear.leave()
    assert list(folder.iterdir()) == []
    ear.leave()


def test_a_file_that_a_killed_process_left_is_no_obstacle(make_ear: Callable[..., Ear], folder: Path) -> None:
    script = "import os, socket, sys, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]);"
    ear = make_ear()
    assert ear.take()
    path = socket_file(folder)
    ear.leave()
    holder = subprocess.Popen([sys.executable, "-c", f"{script} print('up', flush=True); time.sleep(60)", str(path)],
                              stdout=subprocess.PIPE)  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    assert is_held(WORK)
    assert not ear.take()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert path.is_socket()
    assert not ring(WORK)
    assert ear.take()
    assert ring(WORK)
    assert ear.hear()


def test_who_loses_its_file_notices_and_takes_the_post_again(ear: Ear, folder: Path) -> None:
    socket_file(folder).unlink()
    assert not ear.holds
    assert not ring(WORK)
    assert ear.take()
    assert ring(WORK)
    assert ear.hear()


def test_who_was_replaced_leaves_the_file_of_the_other(
    ear: Ear, make_ear: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = make_ear()
    with monkeypatch.context() as patch:
        # Both looked at the same time, and saw nobody.
        patch.setattr(bell, "is_held", lambda post: False)
        assert second.take()
    assert not ear.holds
    assert not ear.take()
    assert ring(WORK)
    assert second.hear()


def test_two_installations_on_one_machine_do_not_hear_each_other(
    ear: Ear, make_ear: Callable[..., Ear], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_ear()
    with monkeypatch.context() as patch:
        patch.setitem(settings.DATABASES["default"], "NAME", "another")
        assert not ring(WORK)
        assert other.take(), "another database in the same folder"
        assert ring(WORK)
        assert not ear.hear()
        assert other.hear()
    settings.ENV = replace(settings.ENV, data_dir=tmp_path / "other")
    assert not ring(WORK), "the same name of a database, in another folder"


def test_hosts_that_share_a_folder_have_posts_of_their_own(
    ear: Ear, make_ear: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "_machine", lambda: "another")
    bell._addresses_of.cache_clear()
    try:
        assert not ring(WORK)
        assert make_ear().take()
    finally:
        monkeypatch.undo()
        bell._addresses_of.cache_clear()
    assert ear.holds


@pytest.mark.parametrize("why", ["too long for a socket", "not there"])
def test_where_the_folder_will_not_do_the_post_is_elsewhere(
    why: str, make_ear: Callable[..., Ear], settings: Any, tmp_path: Path
) -> None:
    place = tmp_path / (LONG if why == "too long for a socket" else "missing")
    if why == "too long for a socket":
        place.mkdir()
    settings.ENV = replace(settings.ENV, data_dir=place)
    ear = make_ear()
    assert ear.take()
    assert ear.holds
    assert not make_ear().take()
    assert ring(WORK)
    assert ear.hear()
    settings.ENV = replace(settings.ENV, data_dir=place.with_name("other-" + place.name))
    assert not ring(WORK), "another installation"
    settings.ENV = replace(settings.ENV, data_dir=place)
    ear.leave()
    assert not ring(WORK)
    assert not place.exists() or list(place.iterdir()) == []


def test_without_such_sockets_nobody_hears_and_nothing_breaks(
    make_ear: Callable[..., Ear], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    assert not ring(WORK)
    assert not make_ear().take()
    assert not make_ear().wait(0.01)


def test_what_dead_machines_left_is_cleared_away(make_ear: Callable[..., Ear], folder: Path) -> None:
    kept = [folder / "keys.env", folder / f"{WORK}-0123456789ab.sock"]
    gone = [folder / f"{WORK}-ba9876543210.sock", folder / f"{WORK}-ba9876543210.sock.0a1b2c3d"]
    for path in (*kept, *gone):
        path.write_text("")
    for path in (kept[0], *gone):
        os.utime(path, (0, 0))
    ear = make_ear()
    assert ear.take()
    assert set(folder.iterdir()) == {*kept, Path(ear._address)}


def test_its_descriptor_becomes_readable(ear: Ear) -> None:
    poll = select.poll()
    poll.register(ear.fileno(), select.POLLIN)
    assert poll.poll(0) == []
    ring(WORK)
    assert poll.poll(1_000)
    ear.leave()
    assert ear.fileno() == -1


def test_a_ring_from_a_forked_child_is_heard(ear: Ear) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
                               f"s.sendto(b'!', {ear._address!r})"], check=True
    )  # fmt: skip
    assert done.returncode == 0
    until(ear.hear)

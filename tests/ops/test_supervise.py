"""The top process: starts again what dies, ends with what cannot start, and leaves nothing when it ends or dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator import supervise
from orchestrator.supervise import Group, GroupPlan, Plan
from tests.product import ROOT, free_port, wait_for

# What every leader of these tests begins with: it tells who it is and brings up a child in its group.
_LEADER: Final = """
import os, pathlib, signal, subprocess, sys, time
from orchestrator.supervise import lifeline, pulse
folder = pathlib.Path(sys.argv[1])
beat = pulse()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
(folder / f"start-{time.monotonic_ns()}").write_text(f"{os.getpid()} {child.pid}")
"""
# As in the product: SIGTERM makes a leader end its group, and the lifeline sends it when the process above is gone.
_ENDS: Final = "signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))\n"
_STAYS: Final = "lifeline(grace=0.5)\n(folder / 'up').touch()\nwhile True: beat(); time.sleep(0.05)\n"
_LIVES: Final = _ENDS + _STAYS


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@dataclass
class Top:
    """A top process with one group, and what its leaders left on the disk."""

    folder: Path
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def errors(self) -> str:
        return (self.folder / "errors").read_text()

    def start(
        self, body: str, *, silent_seconds: float = 0.0, ready: str | None = None, note: str = "", groups: int = 1
    ) -> None:
        group = {
            "name": "test",
            "arguments": ["-c", _LEADER + body, str(self.folder)],
            "environment": {},
            "silent_seconds": silent_seconds,
        }
        plan = {"groups": [group] * groups, "ready": ready, "note": note}
        # Files and no pipes: a process that is left behind would hold them open.
        with open(self.folder / "output", "w") as output, open(self.folder / "errors", "w") as errors:
            command = [sys.executable, "-m", "orchestrator.supervise", json.dumps(plan)]
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=errors)

    def generations(self) -> list[tuple[int, int]]:
        """Return leader and child of every start so far, in order."""
        texts = [path.read_text() for path in sorted(self.folder.glob("start-*"))]
        found = [text.split() for text in texts if text.count(" ") == 1]
        return [(int(leader), int(child)) for leader, child in found]

    def wait_for_generations(self, count: int) -> list[tuple[int, int]]:
        wait_for(lambda: len(self.generations()) >= count, seconds=20, what=f"{count} starts")
        return self.generations()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=20)


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Top]:
    found = Top(tmp_path)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()
    for pair in found.generations():
        for pid in pair:
            if lives(pid):
                os.kill(pid, signal.SIGKILL)


def all_gone(*pids: int) -> None:
    wait_for(lambda: not any(lives(pid) for pid in pids), seconds=10, what=f"the end of {pids}")


def test_a_leader_that_is_killed_is_started_again_and_its_whole_group_killed(top: Top) -> None:
    top.start(_LIVES)
    ((leader, child),) = top.wait_for_generations(1)
    os.kill(leader, signal.SIGKILL)
    _, (second, second_child) = top.wait_for_generations(2)
    assert not lives(leader)
    assert not lives(child), "what a dead leader left must not work beside its successor"
    assert lives(second)
    assert lives(second_child)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_leader_that_exits_is_started_again_however_it_exits(status: int, top: Top) -> None:
    top.start(f"sys.exit({status})\n")
    top.wait_for_generations(3)
    assert top.process.poll() is None


def test_a_leader_that_cannot_start_ends_the_whole_with_status_2(top: Top) -> None:
    # Two of them: the first to arrive says so, the other lives until it is ended.
    body = 'first = not (folder / "taken").exists()\n(folder / "taken").touch()\n'
    top.start(body + "first and (time.sleep(1), sys.exit(2))\n" + _LIVES, groups=2)
    assert top.process.wait(timeout=20) == supervise.MISCONFIGURED
    all_gone(*(pid for pair in top.generations() for pid in pair))


def test_a_leader_that_goes_silent_is_killed_and_started_again(top: Top) -> None:
    top.start("lifeline(grace=0.5)\nbeat()\ntime.sleep(300)\n", silent_seconds=0.6)
    ((leader, child),) = top.wait_for_generations(1)
    top.wait_for_generations(2)
    assert not lives(leader)
    assert not lives(child)
    assert "test has been silent for 1 s: it is started again." in top.errors


def test_a_leader_that_beats_is_left_alone(top: Top) -> None:
    top.start(_LIVES, silent_seconds=0.6)
    top.wait_for_generations(1)
    time.sleep(1.5)
    assert len(top.generations()) == 1


def test_when_the_top_process_is_killed_the_lifeline_ends_the_group(top: Top) -> None:
    top.start(_LIVES)
    ((leader, child),) = top.wait_for_generations(1)
    wait_for((top.folder / "up").exists, seconds=10, what="the lifeline")
    assert top.end(signal.SIGKILL) == -signal.SIGKILL
    all_gone(leader, child)


def test_a_leader_that_does_not_hear_sigterm_is_killed_by_its_lifeline_with_its_group(top: Top) -> None:
    top.start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _STAYS)
    ((leader, child),) = top.wait_for_generations(1)
    wait_for((top.folder / "up").exists, seconds=10, what="the lifeline")
    top.end(signal.SIGKILL)
    all_gone(leader, child)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_leaves_no_process_and_exits_0(number: int, top: Top) -> None:
    top.start(_LIVES, groups=2)
    pairs = top.wait_for_generations(2)
    assert (top.end(number), top.errors) == (0, "")
    all_gone(*(pid for pair in pairs for pid in pair))


def test_a_leader_is_asked_before_it_is_killed(top: Top) -> None:
    body = "def end(*_): (folder / 'asked').touch(); sys.exit(0)\nsignal.signal(signal.SIGTERM, end)\n"
    top.start(body + _STAYS)
    wait_for((top.folder / "up").exists, seconds=10, what="the leader")
    assert top.end() == 0
    assert (top.folder / "asked").exists()


_SERVES: Final = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" and (folder / "well").exists() else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
lifeline(grace=0.5)
time.sleep(0.2)
ThreadingHTTPServer.allow_reuse_address = True
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""


def test_the_address_is_announced_once_when_it_answers_and_not_again_after_a_restart(top: Top) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    top.start(_SERVES.replace("PORT", str(port)), ready=address, note="Sign in as admin.")
    top.wait_for_generations(1)
    time.sleep(0.5)
    (top.folder / "well").touch()
    announced = f"Sign in as admin.\nready {address}\n"
    wait_for(lambda: top.output == announced, seconds=10, what=lambda: f"the address, not {top.output!r}")
    os.kill(top.generations()[0][0], signal.SIGKILL)
    top.wait_for_generations(2)
    wait_for(lambda: supervise._answers(address), seconds=10, what="the second leader to answer")
    time.sleep(0.3)
    assert top.end() == 0
    assert top.output == announced


def test_an_address_that_never_answers_ends_the_start(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(supervise, "_READY_SECONDS", 0.3)
    body = "import sys; sys.stdin.read()"
    address = f"http://127.0.0.1:{free_port()}"
    plan = Plan(groups=[GroupPlan(name="test", arguments=["-c", body])], ready=address)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert supervise.Supervisor(plan).run() == 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert f"Nothing answers at {address} after 0 s: see the log above." in capsys.readouterr().err


def test_a_group_that_does_not_end_is_killed_after_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[float] = []
    monkeypatch.setattr(Group, "end", lambda self, deadline: ended.append(deadline - time.monotonic()))
    monkeypatch.setattr(supervise.Supervisor, "_watch", lambda self: 0)
    short = GroupPlan(name="web", arguments=[], grace_seconds=8.0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert supervise.Supervisor(Plan(groups=[GroupPlan(name="worker", arguments=[]), short])).run() == 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert ended == [pytest.approx(8.0, abs=2), pytest.approx(supervise.GRACE_SECONDS, abs=2)]


@pytest.fixture
def group() -> Iterator[Callable[[str], Group]]:
    made: list[Group] = []

    def make(body: str) -> Group:
        made.append(Group(GroupPlan(name="test", arguments=["-c", body])))
        return made[-1]

    yield make
    for one in made:
        one.end(time.monotonic())


def test_one_that_dies_at_once_waits_longer_each_time_and_a_settled_one_does_not(
    group: Callable[[str], Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = group("import sys; sys.exit(3)")
    clock = 1_000.0
    pauses: list[float] = []
    for _ in range(6):
        found.look(clock)
        assert found.is_alive
        while found.is_alive:
            found.look(clock)
            time.sleep(0.01)
        pauses.append(found._due_at - clock)
        found.look(found._due_at - 0.01)
        assert not found.is_alive, "too early"
        clock = found._due_at
    assert pauses == [0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert found.status == 3
    found.look(clock)
    while found.is_alive:
        found.look(clock + 11)
        time.sleep(0.01)
    assert found._due_at == clock + 11


def test_a_group_leaves_no_open_descriptors(group: Callable[[str], Group]) -> None:
    found = group("")
    before = len(os.listdir("/proc/self/fd"))
    for now in (1.0, 100.0, 200.0):
        found.look(now)
        while found.is_alive:
            found.look(now)
            time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) == before

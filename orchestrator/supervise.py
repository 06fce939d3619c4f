"""The top process of ``up``, ``web`` and ``worker``: starts groups of processes, and starts again what dies.

It is the command's own process, exchanged for a small one that imports nothing but the standard library.

1. Each group is led by a process in a session of its own; whatever the leader starts is in its group.
2. When a leader dies, however it dies, its whole group is killed and started again.
3. A leader holds the reading end of a pipe (``lifeline``). When this process dies, however it dies, the pipe closes
   and the leader ends its group.
4. In development a changed file has every group started again, once the new code could be imported (``watching``).
5. SIGTERM or SIGINT asks the leaders to end; what is left of a group after its ``grace_seconds`` is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from orchestrator.watching import Watch

# The exit status of a process that cannot start for a reason that a person must put right.
MISCONFIGURED: Final = 2
GRACE_SECONDS: Final = 25.0
PULSE_VARIABLE: Final = "ORCHESTRATOR_PULSE"
_LOOK_SECONDS: Final = 0.2
_READY_SECONDS: Final = 60.0
# A group that lived this long starts again at once; one that did not waits longer each time.
_SETTLED_SECONDS: Final = 10.0
_PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, kw_only=True)
class GroupPlan:
    """A group: its leader's arguments after the interpreter's name.

    ``silent_seconds`` is how long it may be silent (0: for ever), ``grace_seconds`` how long it may take to end.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    silent_seconds: float = 0.0
    grace_seconds: float = GRACE_SECONDS


@dataclass(frozen=True, kw_only=True)
class WatchPlan:
    """Folders and files to look at, and the arguments of an interpreter that fails where the code cannot be taken."""

    places: Sequence[str]
    check: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run. ``ready`` is the address that is asked for /healthz and then printed.

    ``watch`` has changed code taken, in development.
    """

    groups: Sequence[GroupPlan]
    ready: str | None = None
    note: str = ""
    watch: WatchPlan | None = None


def become(plan: Plan, *, folder: str) -> None:
    """Exchange this process for one that carries out ``plan`` in ``folder``; does not return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(folder)
    text = json.dumps(
        {
            "groups": [
                {
                    "name": group.name,
                    "arguments": list(group.arguments),
                    "environment": dict(group.environment),
                    "silent_seconds": group.silent_seconds,
                    "grace_seconds": group.grace_seconds,
                }
                for group in plan.groups
            ],
            "ready": plan.ready,
            "note": plan.note,
            "watch": plan.watch and {"places": list(plan.watch.places), "check": list(plan.watch.check)},
        }
    )
    os.execv(sys.executable, [sys.executable, "-m", __name__, text])  # noqa: S606


def lifeline(*, grace: float) -> None:
    """Have this leader end its group once the process above it is gone: SIGTERM to itself, then the group is killed.

    Call it in the leader, after any fork that must not inherit a thread.
    """

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def pulse() -> Callable[[], None]:
    """Return a function by which this leader shows that it is not stuck; it does nothing without a process above."""
    number = os.environ.pop(PULSE_VARIABLE, "")
    if not number:
        return lambda: None
    descriptor = int(number)
    os.set_blocking(descriptor, False)

    def beat() -> None:
        with contextlib.suppress(OSError):
            os.write(descriptor, b".")

    return beat


class Group:
    """One group of processes, of which at most one generation lives."""

    def __init__(self, plan: GroupPlan) -> None:
        self.plan = plan
        self._leader: subprocess.Popen[bytes] | None = None
        self._lifeline = self._pulse = -1
        self._failures = 0
        self._started_at = self._heard_at = self._due_at = 0.0
        # When a group that was asked to end for new code is killed; 0 while none was.
        self._renew_by = 0.0
        self.status: int | None = None

    @property
    def is_alive(self) -> bool:
        return self._leader is not None

    def look(self, now: float) -> None:
        """Start the leader when it is due; kill what is left of a group whose leader died or went silent."""
        if self._leader is None:
            if now >= self._due_at:
                self._start(now)
            return
        self._hear(now)
        if self.plan.silent_seconds and now - self._heard_at > self.plan.silent_seconds:
            _say(f"{self.plan.name} has been silent for {self.plan.silent_seconds:.0f} s: it is started again.")
            self._signal_group(signal.SIGKILL)
        if self._renew_by and now > self._renew_by:
            self._signal_group(signal.SIGKILL)
        if self._has_ended():
            self._bury(now)

    def renew(self, now: float) -> None:
        """Ask the leader to end, so that it is started again at once. It has ``grace_seconds`` for it."""
        self._due_at = min(self._due_at, now)
        if self._leader is not None:
            self._renew_by = now + self.plan.grace_seconds
            self.ask_to_end()

    def _start(self, now: float) -> None:
        theirs, self._lifeline = os.pipe()
        self._pulse, their_pulse = os.pipe()
        os.set_blocking(self._pulse, False)
        environment = {**os.environ, **self.plan.environment, PULSE_VARIABLE: str(their_pulse)}
        try:
            self._leader = subprocess.Popen(
                [sys.executable, *self.plan.arguments],
                stdin=theirs,
                env=environment,
                start_new_session=True,
                pass_fds=[their_pulse],
            )
        finally:
            os.close(theirs)
            os.close(their_pulse)
        self._started_at = self._heard_at = now

    def _hear(self, now: float) -> None:
        with contextlib.suppress(BlockingIOError):
            if os.read(self._pulse, 4096):
                self._heard_at = now

    def _has_ended(self) -> bool:
        """Whether the leader has ended; it stays unreaped, so that the number of its group stays its own."""
        assert self._leader is not None
        return os.waitid(os.P_PID, self._leader.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _bury(self, now: float) -> None:
        assert self._leader is not None
        self._signal_group(signal.SIGKILL)
        self.status = self._leader.wait()
        self._leader = None
        os.close(self._lifeline)
        os.close(self._pulse)
        settled = now - self._started_at > _SETTLED_SECONDS or bool(self._renew_by)
        self._renew_by = 0.0
        self._failures = 0 if settled else self._failures + 1
        self._due_at = now + _PAUSES[min(self._failures, len(_PAUSES) - 1)]

    def _signal_group(self, number: int) -> None:
        if self._leader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._leader.pid, number)

    def ask_to_end(self) -> None:
        """Send SIGTERM to the leader alone: it knows the order in which its group ends."""
        if self._leader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader.pid, signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait for the leader until ``deadline``, then kill what is left."""
        while self._leader is not None:
            if self._has_ended() or time.monotonic() > deadline:
                self._signal_group(signal.SIGKILL)
                self._bury(time.monotonic())
            else:
                time.sleep(0.02)


class Supervisor:
    """Carries out a plan until it is asked to stop."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._groups = [Group(group) for group in plan.groups]
        self._stop = threading.Event()
        self._ready_by = time.monotonic() + _READY_SECONDS
        self._is_ready = plan.ready is None
        self._changes = _watch(plan.watch) if plan.watch is not None else None

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        status = self._watch()
        if self._changes is not None:
            self._changes.close()
        for group in self._groups:
            group.ask_to_end()
        asked_at = time.monotonic()
        for group in sorted(self._groups, key=lambda group: group.plan.grace_seconds):
            group.end(asked_at + group.plan.grace_seconds)
        return status

    def _watch(self) -> int:
        while not self._stop.is_set():
            for group in self._groups:
                group.look(time.monotonic())
                if group.status == MISCONFIGURED:
                    return MISCONFIGURED
            if not self._is_ready:
                if time.monotonic() > self._ready_by:
                    _say(f"Nothing answers at {self._plan.ready} after {_READY_SECONDS:.0f} s: see the log above.")
                    return 1
                self._is_ready = self._announce()
            if self._changes is not None and self._changes.is_due(time.monotonic()):
                for group in self._groups:
                    group.renew(time.monotonic())
            self._stop.wait(_LOOK_SECONDS if self._is_ready else _LOOK_SECONDS / 8)
        return 0

    def _announce(self) -> bool:
        """Print the address once it answers; return whether it did."""
        assert self._plan.ready is not None
        if not _answers(self._plan.ready):
            return False
        if self._plan.note:
            sys.stdout.write(f"{self._plan.note}\n")
        sys.stdout.write(f"ready {self._plan.ready}\n")
        sys.stdout.flush()
        return True


def _watch(plan: WatchPlan) -> Watch:
    # Here alone: production carries nothing of it.
    from orchestrator.watching import Watch

    return Watch(plan, _say)


def _answers(address: str) -> bool:
    """Whether the web answers at ``http://host:port``. Asked by hand: http.client would load TLS, a third of us."""
    name = address.removeprefix("http://")
    host, _, port = name.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2) as connection:
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            return connection.makefile("rb").readline(100).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


def _say(text: str) -> None:
    sys.stderr.write(f"orchestrator: {text}\n")


def _parsed(text: str) -> Plan:
    document: dict[str, Any] = json.loads(text)
    groups = tuple(GroupPlan(**group) for group in document["groups"])
    watch = WatchPlan(**document["watch"]) if document.get("watch") else None
    return Plan(groups=groups, ready=document["ready"], note=document["note"], watch=watch)


if __name__ == "__main__":
    sys.exit(Supervisor(_parsed(sys.argv[1])).run())

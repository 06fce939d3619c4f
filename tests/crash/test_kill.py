"""Every process is killed in turn while runs are under way: each run ends, and no finished step runs twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, Final

import httpx
import pytest

from tests.product import Product, product, step, wait_for, workflow
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.crash

RUNS: Final = 32
HEALS_SECONDS: Final = 60
_TERMINAL: Final = {"succeeded", "failed", "cancelled"}


@pytest.fixture(scope="module")
def called() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture(scope="module")
def installation(called: Upstream) -> Iterator[Product]:
    with product(EGRESS_ALLOW=called.address.removeprefix("http://")) as found:
        found.up()
        yield found


@pytest.fixture(scope="module")
def workflow_id(installation: Product, called: Upstream) -> str:
    """A workflow of three calls, of which the second takes a while; all may be tried again."""

    def call(key: str, slow: float = 0) -> dict[str, Any]:
        return step(
            key, "http.request", {"method": "PUT", "url": f"{called.address}/{{{{ run.id }}}}/{key}?slow={slow}"}
        )

    return installation.publish(workflow("Crash", [call("first"), call("second", 1.2), call("third")]))


def top_of(installation: Product) -> int:
    return installation.tops[-1].pid


def web(installation: Product) -> int:
    return _only(installation, "orchestrator.server", top_of(installation))


def worker_leader(installation: Product) -> int:
    return _only(installation, "runs.cluster", top_of(installation))


def sentinel(installation: Product) -> int:
    return _only(installation, "runs.cluster", worker_leader(installation))


def forked(position: int) -> Callable[[Product], int]:
    """Return what finds a child of the sentinel: two workers, then the monitor and the pusher."""

    def find(installation: Product) -> int:
        parent = sentinel(installation)
        children = [found.pid for found in installation.processes() if found.parent == parent]
        return children[position]

    return find


def _only(installation: Product, words: str, parent: int) -> int:
    found = [
        process.pid
        for process in installation.processes()
        if process.parent == parent and words in process.arguments and "supervise" not in process.arguments
    ]
    assert len(found) == 1, found
    return found[0]


VICTIMS: Final = {
    "web": web,
    "worker leader": worker_leader,
    "sentinel": sentinel,
    "first worker": forked(0),
    "second worker": forked(1),
    "monitor": forked(2),
    "pusher": forked(3),
}


# One of the web and one of the cluster at a time: neither is needed to start the other again.
@pytest.mark.parametrize(
    "victims",
    [
        ("web", "worker leader"),
        ("sentinel",),
        ("first worker", "monitor"),
        ("second worker", "pusher"),
    ],
    ids=" and ".join,
)
def test_every_run_ends_by_itself_after_processes_are_killed(
    victims: tuple[str, ...], installation: Product, workflow_id: str, called: Upstream
) -> None:
    wait_for(lambda: len(installation.processes()) >= 8, seconds=20, what="all processes to live")
    ids = _start(installation, workflow_id)
    _wait_until_under_way(called, ids)

    for pid in [VICTIMS[victim](installation) for victim in victims]:
        os.kill(pid, signal.SIGKILL)

    _wait_until_all_end(installation, ids)
    _check_no_finished_step_ran_twice(installation, called, ids)


@pytest.mark.parametrize("stopped", ["pusher", "sentinel"])
def test_a_cluster_that_hangs_is_started_again(
    stopped: str, installation: Product, workflow_id: str, called: Upstream
) -> None:
    wait_for(lambda: len(installation.processes()) >= 8, seconds=20, what="all processes to live")
    before = worker_leader(installation)
    os.kill(VICTIMS[stopped](installation), signal.SIGSTOP)
    if stopped == "sentinel":
        os.kill(forked(3)(installation), signal.SIGSTOP)
    # Who drives already needs no message: it would take the work.
    for pid in _drivers(installation):
        os.kill(pid, signal.SIGSTOP)

    ids = _start(installation, workflow_id)

    _wait_until_all_end(installation, ids)
    _check_no_finished_step_ran_twice(installation, called, ids)
    assert worker_leader(installation) != before


def test_after_the_top_process_is_killed_its_children_end_and_the_next_start_recovers(
    installation: Product, workflow_id: str, called: Upstream
) -> None:
    ids = _start(installation, workflow_id)
    _wait_until_under_way(called, ids)

    os.kill(top_of(installation), signal.SIGKILL)
    installation.tops[-1].wait()
    wait_for(lambda: not installation.processes(), seconds=40, what=lambda: f"an end of {installation.processes()}")
    installation.up()

    _wait_until_all_end(installation, ids)
    _check_no_finished_step_ran_twice(installation, called, ids)


def test_ctrl_c_gives_runs_back_and_leaves_no_process(
    installation: Product, workflow_id: str, called: Upstream
) -> None:
    ids = _start(installation, workflow_id)
    _wait_until_under_way(called, ids)

    assert installation.stop(installation.tops[-1]) == 0
    assert installation.processes() == []
    installation.up()

    statuses = _wait_until_all_end(installation, ids)
    assert set(statuses.values()) == {"succeeded"}
    _check_no_finished_step_ran_twice(installation, called, ids)
    # A call under way was waited for: nothing was interrupted.
    assert not [row for run in ids for row in _steps(installation, run) if row["status"] == "lost"]


def _drivers(installation: Product) -> set[int]:
    """Return the processes that drive, or wait for work to drive."""
    with closing(sqlite3.connect(installation.folder / "orchestrator.sqlite3", timeout=20)) as database:
        told = {int(pid) for (pid,) in database.execute("SELECT pid FROM runs_workerbeat")}
    return told & {process.pid for process in installation.processes()}


def _start(installation: Product, workflow_id: str) -> list[str]:
    return [installation.api("POST", f"workflows/{workflow_id}/runs/", json={})["id"] for _ in range(RUNS)]


def _wait_until_under_way(called: Upstream, ids: list[str]) -> None:
    def half() -> bool:
        count = called.count()
        return sum(bool(count[f"/{run}/second"]) for run in ids) >= RUNS // 2

    wait_for(half, seconds=30, what="half of the runs to be in their second step")


def _wait_until_all_end(installation: Product, ids: list[str]) -> dict[str, str]:
    """Return how each run ended, which takes HEALS_SECONDS at most."""
    statuses: dict[str, str] = {}

    def all_ended() -> bool:
        for run in ids:
            if statuses.get(run) not in _TERMINAL:
                with suppress(httpx.HTTPError, AssertionError):
                    statuses[run] = installation.api("GET", f"runs/{run}/")["status"]
                if statuses.get(run) not in _TERMINAL:
                    return False
        return True

    began = time.monotonic()
    wait_for(all_ended, seconds=HEALS_SECONDS, what=lambda: f"{Counter(statuses.values())}\n{installation.log[-4000:]}")
    assert time.monotonic() - began < HEALS_SECONDS
    return statuses


def _check_no_finished_step_ran_twice(installation: Product, called: Upstream, ids: list[str]) -> None:
    count = called.count()
    for run in ids:
        by_path: dict[str, list[str]] = defaultdict(list)
        for row in _steps(installation, run):
            by_path[row["path"]].append(row["status"])
        for path, statuses in by_path.items():
            assert statuses.count("succeeded") == 1, (run, path, statuses)
            # An intent is durable before its call: no call is made that has no row.
            assert count[f"/{run}/{path}"] <= len(statuses), (run, path, statuses)
            assert statuses[-1] == "succeeded"
        assert set(by_path) == {"first", "second", "third"}


def _steps(installation: Product, run: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = installation.api("GET", f"runs/{run}/")["steps"]
    return steps


def test_a_worker_alone_ends_cleanly_too(called: Upstream) -> None:
    with product() as found:
        top = found.start("worker", ready=False)
        wait_for(lambda: len(found.processes()) >= 7, seconds=20, what="the worker's processes")
        top.send_signal(signal.SIGTERM)
        try:
            assert top.wait(timeout=30) == 0
        except subprocess.TimeoutExpired:
            pytest.fail(found.log)
        assert found.processes() == []

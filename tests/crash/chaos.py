"""Chaos: runs of many kinds while processes are killed, frozen and cut off; then every promise is held against the
upstream's own log. ``python -m tests.crash.chaos [--runs 500] [--postgres] [--seed N]`` is the long form, by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
import psycopg

from tests.postgres_server import PostgresServer, postgres_server
from tests.product import Process, Product, product, step, wait_for, workflow
from tests.upstream import Upstream, upstream

# Longer than a lease.
FROZEN_SECONDS: Final = 18.0
HEALS_SECONDS: Final = 90.0
ITEMS: Final = 6
# Fewer than the crashes after which a run is given up.
LAPSES: Final = 3


@dataclass(kw_only=True)
class Chaos:
    """One sitting. ``told`` are the ids of runs that were accepted: 202 was answered."""

    found: Product
    called: Upstream
    seed: int
    server: PostgresServer | None = None
    told: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, str] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    # What is run.

    def call(self, key: str, method: str = "POST", *, options: str = "", at: str = "", **config: Any) -> dict[str, Any]:
        """Return a step that calls the upstream at a path that says which run and step it is."""
        url = f"{self.called.address}/{{{{ run.id }}}}/{key}{at}?{options}"
        return step(key, "http.request", {"method": method, "url": url}, **config)

    def publish_all(self) -> None:
        call = self.call
        data = step("data", "data.set", {"values": {"n": "{{ steps.put.output.status }}"}})
        self.publish("plain", [call("put", "PUT"), call("post", options="slow=0.3"), data, call("get", "GET")])
        # Long enough to be under way still when another driver takes the run up.
        self.publish("patient", [call("put", "PUT", options="slow=2.5"), call("post", options="slow=0.6")])
        each = held(
            "each",
            "flow.foreach",
            {"items": list(range(ITEMS)), "concurrency": 3},
            body=[call("item", at="-{{ index }}")],
        )
        self.publish("loop", [each, call("after")])
        left = [call("slow", "GET", options="slow=0.4"), call("left")]
        right = [step("pause", "flow.wait", {"seconds": 1}), call("right")]
        self.publish("lanes", [held("par", "flow.parallel", {}, left=left, right=right), call("joined")])
        retry = {"max_attempts": 4, "delay": 0.3, "jitter": False}
        inner = held("kind", "flow.switch", {"value": "b"}, a=[call("a")], b=[call("b")])
        check = held("check", "flow.if", {"condition": True}, then=[inner], **{"else": [call("never")]})
        self.publish("branch", [call("flaky", "GET", options="away=2", retry=retry), check])
        self.publish("called", [call("inside")], output="{{ run.id }}")
        one = step("one", "workflow.call", {"workflow": "called", "payload": {"n": 1}})
        self.publish("calling", [one, call("after")])
        self.publish("waiting", [step("pause", "flow.wait", {"seconds": 4}), call("after")])
        ask = step("ok", "flow.approve", {"message": "Go on?"})
        self.publish("asking", [call("before"), ask, call("after")])
        link = {"json": "{{ run.links.back }}"}
        asked = call("ask")
        asked["config"]["inputs"]["body"] = link
        self.publish("calling-back", [asked, step("back", "flow.callback", {}), call("after")])
        code = step("code", "code.python", {"code": "def main(input):\n    return sum(range(1000))"})
        self.publish("coding", [code, call("after")])

    def publish(self, slug: str, steps: list[dict[str, Any]], **more: Any) -> None:
        made = self.found.publish({**workflow(slug.title(), steps, **more), "slug": slug})
        triggers = self.found.api("GET", f"triggers/?workflow={made}")["results"]
        url = next(trigger["url"] for trigger in triggers if trigger["type"] == "webhook")
        self.hooks[slug] = "/h/" + url.rpartition("/h/")[2]

    def start(self, count: int, seconds: float) -> None:
        """Send webhooks over some time, each until it is answered: one that is not is not counted as accepted."""
        kinds = [kind for kind in self.hooks if kind != "called"]
        for number in range(count):
            accepted = partial(self._accepted, kinds[number % len(kinds)], number)
            wait_for(accepted, seconds=HEALS_SECONDS, what="the web to answer", every=0.3)
            time.sleep(seconds / count)

    def _accepted(self, kind: str, number: int) -> bool:
        with suppress(httpx.HTTPError):
            answer = httpx.post(f"{self.found.address}{self.hooks[kind]}", json={"n": number}, timeout=5)
            if answer.status_code == 202:
                self.told[answer.json()["id"]] = kind
                return True
            assert answer.status_code == 503, answer.text
        return False

    def answer(self, until: threading.Event) -> None:
        """Answer what asks: approve by the API, call back at the address that the upstream was told."""
        answered: set[str] = set()
        while not until.wait(0.3):
            with suppress(httpx.HTTPError, AssertionError, sqlite3.OperationalError, psycopg.Error):
                self._approve_all()
                self._call_back(answered)

    def _approve_all(self) -> None:
        for run, waits in self.query("SELECT id, waiting_for FROM runs_run WHERE status = 'waiting'"):
            found = json.loads(waits)
            if found["kind"] == "approval":
                answer = {"path": found["path"], "decision": "approved"}
                self.found.request("POST", f"runs/{run}/resolve/", json=answer, timeout=5)

    def _call_back(self, answered: set[str]) -> None:
        for call in list(self.called.calls):
            if not call.path.endswith("/ask") or call.path in answered:
                continue
            # Not reached yet is 409: it is sent again.
            if httpx.post(call.json()["json"], json={}, timeout=5).status_code in (200, 202, 410):
                answered.add(call.path)

    # What goes wrong.

    def processes(self, words: str) -> list[Process]:
        return [p for p in self.found.processes() if words in p.arguments and "supervise" not in p.arguments]

    def _kill_one(self, words: str) -> None:
        found = self.processes(words)
        if found:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(found).pid, signal.SIGKILL)

    def kill_worker(self) -> None:
        """Kill any of the cluster's processes: leader, sentinel, workers, monitor, pusher."""
        self._kill_one("runs.cluster")

    def kill_web(self) -> None:
        self._kill_one("orchestrator.server")

    def freeze_drivers(self) -> None:
        """Stop whoever drives until its leases have run out, and let it go on then."""
        pids = {int(name.split("-")[1]) for (name,) in self.query("SELECT name FROM runs_workerbeat")}
        alive = [process.pid for process in self.processes("runs.cluster") if process.pid in pids]
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        time.sleep(FROZEN_SECONDS)
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def lapse_leases(self) -> None:
        """Have leases run out whose drivers live on: they, or others, take the runs up beside who drives them still."""
        held = "FROM runs_run WHERE lease_expires_at > created_at"
        for _ in range(LAPSES):
            with suppress(AssertionError):
                wait_for(lambda: self.query(f"SELECT count(*) {held}")[0][0] > 2, seconds=5, what="runs under way")
            self.query("UPDATE runs_run SET lease_expires_at = created_at WHERE lease_expires_at IS NOT NULL")
            # Longer than the looks for such leases are apart, so that most are found before they are prolonged.
            time.sleep(1.3)

    def lose_queue(self) -> None:
        self.query("DELETE FROM django_q_ormq")

    def restart_database(self) -> None:
        if self.server is not None:
            self.server.crash_and_start()

    def kill_top(self) -> None:
        top = self.found.tops[-1]
        top.kill()
        top.wait()
        wait_for(lambda: not self.found.processes(), seconds=40, what="the top's processes to end")
        self.found.up()

    def faults(self) -> list[Callable[[], None]]:
        killed = [self.kill_worker, self.kill_worker, self.kill_web, self.kill_top]
        found = [*killed, self.freeze_drivers, self.lapse_leases, self.lose_queue]
        return [*found, self.restart_database] if self.server else found

    def afflict(self, until: threading.Event, pause: float) -> None:
        """Let one thing after the other go wrong, every kind at least once."""
        order = self.faults()
        self.random.shuffle(order)
        while not until.is_set() or order:
            fault = order.pop() if order else self.random.choice(self.faults())
            sys.stderr.write(f"chaos: {fault.__name__}\n")
            with suppress(sqlite3.OperationalError, psycopg.Error):
                fault()
                self.done[fault.__name__] += 1
            time.sleep(pause * (0.5 + self.random.random()))

    # What is looked at.

    def query(self, sql: str) -> list[Any]:
        if self.server is None:
            with closing(sqlite3.connect(self.found.folder / "orchestrator.sqlite3", timeout=20)) as database, database:
                return database.execute(sql).fetchall()
        with psycopg.connect(self.server.url) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def wait_until_all_end(self) -> None:
        def open_runs() -> int:
            return int(self.query("SELECT count(*) FROM runs_run WHERE finished_at IS NULL")[0][0])

        try:
            wait_for(lambda: open_runs() == 0, seconds=HEALS_SECONDS, what="all runs to end", every=0.5)
        except AssertionError:
            # The other promises are looked at all the same: they say why.
            self.broken.append(f"{open_runs()} runs have not ended after {HEALS_SECONDS:.0f} s: {self.by_status()}")

    def by_status(self) -> dict[str, int]:
        return dict(self.query("SELECT status, count(*) FROM runs_run GROUP BY 1"))

    def violations(self) -> list[str]:
        """Return every promise that was broken, in words; empty when all were kept."""
        runs = {str(row[0]): row for row in self.query("SELECT id, status, error, crash_count FROM runs_run")}
        steps: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
        for run, path, status, key, action in self.query(
            "SELECT run_id, path, status, idempotency_key, action FROM runs_steprun ORDER BY id"
        ):
            steps[(str(run), path)].append((status, key, action))
        found = [f"{run}: accepted, and there is no such run" for run in self.told if run not in runs]
        for run, (_, status, error, crashes) in runs.items():
            found += _of_run(run, status, json.loads(error) if error else {}, crashes)
        for (run, path), rows in steps.items():
            found += _of_path(f"{run}/{path}", rows)
        return found + self._of_calls(steps)

    def _of_calls(self, steps: Mapping[tuple[str, str], list[tuple[str, str, str]]]) -> list[str]:
        """Hold the upstream's log against what is recorded."""
        calls: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for call in list(self.called.calls):
            _, run, name = call.path.split("/")
            key, _, item = name.partition("-")
            calls[(run, f"each[{item}].{key}" if item else key)].append(call)
        found = []
        for place, made in calls.items():
            rows = steps.get(place, [])
            where = "/".join(place)
            # What only asks is not on record before it is sent.
            if len(made) > len(rows) and any(call.method != "GET" for call in made):
                found.append(f"{where}: called {len(made)} times with {len(rows)} attempts on record")
            posts = [call for call in made if call.method == "POST"]
            if len(posts) > 1:
                found.append(f"{where}: an effect happened {len(posts)} times")
            if {call.headers.get("idempotency-key") for call in posts} - {key for _, key, _ in rows}:
                found.append(f"{where}: sent another key than is on record")
        for place, rows in steps.items():
            if rows[-1][2] == "http.request" and rows[-1][0] == "succeeded" and place not in calls:
                found.append(f"{'/'.join(place)}: recorded as done, and never called")
        return found


def _of_run(run: str, status: str, error: Mapping[str, Any], crashes: int) -> list[str]:
    if status == "succeeded":
        return []
    if status == "failed" and error.get("kind") == "outcome_unknown":
        # A POST whose worker went away: nobody knows whether it happened, and it is told.
        return []
    return [f"{run}: ended as {status} with {error.get('kind')}: {error.get('message')} ({crashes} crashes)"]


def _of_path(where: str, rows: list[tuple[str, str, str]]) -> list[str]:
    statuses = [status for status, _, _ in rows]
    found = []
    if statuses.count("succeeded") > 1:
        found.append(f"{where}: done {statuses.count('succeeded')} times")
    if {"running", "waiting"} & set(statuses):
        found.append(f"{where}: left open as {statuses}")
    if len({key for _, key, _ in rows if key}) > 1:
        found.append(f"{where}: has several idempotency keys")
    return found


def held(key: str, kind: str, inputs: Mapping[str, Any], **lanes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a step that holds lanes."""
    return {**step(key, kind, inputs), "lanes": lanes}


def run_chaos(*, runs: int, seconds: float, pause: float, seed: int, postgres: bool) -> Chaos:
    """Start an installation, let it suffer, and return it once every run has ended."""
    with ExitStack() as stack:
        called = stack.enter_context(upstream())
        environment = {"EGRESS_ALLOW": called.address.removeprefix("http://")}
        server = stack.enter_context(postgres_server()) if postgres else None
        if server is not None:
            environment |= {"DATABASE_URL": server.url}
        found = stack.enter_context(product(keys=postgres, **environment))
        found.up()
        chaos = Chaos(found=found, called=called, seed=seed, server=server)
        chaos.publish_all()
        stop = threading.Event()
        suffering = threading.Thread(target=chaos.afflict, args=(stop, pause))
        over = threading.Event()
        answering = threading.Thread(target=chaos.answer, args=(over,))
        suffering.start()
        answering.start()
        try:
            try:
                chaos.start(runs, seconds)
            finally:
                stop.set()
                suffering.join()
            chaos.wait_until_all_end()
        finally:
            over.set()
            answering.join()
        chaos.broken += chaos.violations()
        chaos.statuses = chaos.by_status()
        return chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--pause", type=float, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    chaos = run_chaos(**vars(options))
    told = f"{len(chaos.told)} runs accepted, ended as {chaos.statuses}"
    print(f"seed {options.seed}: {told}; went wrong: {dict(chaos.done)}")
    for line in chaos.broken:
        print(line)
    return bool(chaos.broken)


if __name__ == "__main__":
    sys.exit(main())

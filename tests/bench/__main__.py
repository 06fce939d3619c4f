"""``python -m tests.bench [--postgres] [--redis] [--only W1,W5]``: the workloads, one after the other, as a table.

accept webhook → 202, the web alone · steady 200 webhooks a second, answered or not, beside workers · W1 webhook → one
HTTP request → saved, 50 at once · W1a the same, one at a time · W2 ten trivial steps, 10 at once · W3 forty Python code
steps · W4a fifty calls of 200 ms at once in one run · W4b 100 runs at once that each wait 200 ms · W5 idle system:
trigger → the step's request arrives · memory and CPU when idle · a second start · loop: a run of 100,000 iterations ·
growth: a million runs against a thousand. "Saved" is: the run and its steps are in the database, ended. CPU is that of
all of the product's processes, user and system.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.bench import growth, wire
from tests.bench.database import Database
from tests.product import ROOT, Product, free_port, product, step, wait_for, workflow
from tests.services import postgres_database, redis_database

_TICKS: Final = os.sysconf("SC_CLK_TCK")
# The kernel counts in hundredths of a second: a percent of a core is told apart after some of these.
IDLE_SECONDS: Final = 20.0
STEADY_RATE: Final = 200.0
STEADY_SECONDS: Final = 15.0
BODY: Final = b'{"name": "Ada", "domain": "example.com", "employees": 12}'


FIBONACCI: Final = """
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def main(input):
    return fib(input)
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    work: str
    figure: str
    target: str


@dataclass(kw_only=True)
class Bench:
    """One sitting: a product, an upstream, and what was measured."""

    found: Product
    upstream: int
    database_url: str | None
    rows: list[Row] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)

    def add(self, work: str, figure: str, target: str) -> None:
        self.rows.append(Row(work=work, figure=figure, target=target))
        sys.stderr.write(f"{work}: {figure}\n")

    def publish(self, name: str, steps: list[dict[str, Any]]) -> None:
        """Publish a workflow and keep its webhook's path under ``name``."""
        made = self.found.publish(workflow(name, steps))
        triggers = self.found.api("GET", f"triggers/?workflow={made}")["results"]
        url = next(trigger["url"] for trigger in triggers if trigger["type"] == "webhook")
        self.addresses[name] = "/h/" + url.rpartition("/h/")[2]

    @property
    def database(self) -> Database:
        return Database(file=self.found.folder / "orchestrator.sqlite3", url=self.database_url)

    def saved(self) -> int:
        """Return how many runs have ended."""
        return self.database.count("runs_run", "finished_at IS NOT NULL")

    def cpu(self) -> float:
        """Return the CPU seconds of the product's processes so far."""
        return sum(self.cpu_by_process().values())

    def cpu_by_process(self) -> dict[int, float]:
        """Return the CPU seconds of each of the product's processes so far, by process id."""
        found = {}
        for process in self.found.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                found[process.pid] = (int(fields[11]) + int(fields[12])) / _TICKS
        return found

    def burst(self, name: str, count: int, at_once: int) -> tuple[float, float]:
        """Send ``count`` webhooks; return seconds until all runs are saved, and CPU seconds."""
        requests = [wire.request(self.found.port, self.addresses[name], BODY)] * count
        before, cpu, began = self.saved(), self.cpu(), time.monotonic()
        statuses = wire.post_all(self.found.port, requests, at_once=at_once)
        assert statuses == {"202": count}, statuses
        wait_for(lambda: not self.database.has_open_runs(), seconds=300, what="all runs to be saved", every=0.01)
        seconds, spent = time.monotonic() - began, self.cpu() - cpu
        assert self.saved() == before + count, "every run is saved"
        return seconds, spent


def accept(bench: Bench) -> None:
    """Measure the web without workers, then start these and wait for all that was accepted."""
    before, sent = bench.saved(), 0
    bench.found.stop(bench.found.tops[-1])
    web = bench.found.start("web", "--port", str(bench.found.port))
    one = wire.request(bench.found.port, bench.addresses["pure"], BODY)
    for count in (1000, 5000, 5000):
        cpu, began = bench.cpu(), time.monotonic()
        statuses = wire.post_all(bench.found.port, [one] * count, at_once=50)
        seconds, sent = time.monotonic() - began, sent + count
        assert statuses == {"202": count}, statuses
        if sent > 1000:
            bench.add(
                "accept webhook → 202, 50 at once",
                f"{count / seconds:,.0f} accepts/s, {(bench.cpu() - cpu) / count * 1000:.2f} ms CPU an accept",
                "≤ 0.4 ms CPU",
            )
    times = wire.post_timed(bench.found.port, [one] * 500)
    bench.add("accept webhook → 202, one at a time", _percentiles(times, digits=2), "p50 ≤ 1 ms")
    bench.found.stop(web)
    bench.found.up()
    total = before + sent + len(times)
    wait_for(lambda: not bench.database.has_open_runs(), seconds=300, what="all to be saved", every=0.1)
    assert bench.saved() == total


def steady(bench: Bench) -> None:
    """Send at a fixed rate while workers work off what was accepted, all on the same cores."""
    bench.burst("two", 200, 10)
    before = bench.saved()
    request = wire.request(bench.found.port, bench.addresses["two"], BODY)
    load = os.getloadavg()[0]
    times, statuses = wire.post_at_rate(bench.found.port, request, rate=STEADY_RATE, seconds=STEADY_SECONDS)
    late = bench.database.count("runs_run", "finished_at IS NULL")
    wait_for(lambda: not bench.database.has_open_runs(), seconds=300, what="all runs to be saved", every=0.01)
    accepted = statuses.get("202", 0)
    assert bench.saved() == before + accepted, "every run is saved"
    bench.add(
        f"accept beside workers, {STEADY_RATE:.0f}/s for {STEADY_SECONDS:.0f} s, two steps",
        f"{_percentiles(times)}, p99 {sorted(times)[int(len(times) * 0.99)]:.1f} ms, "
        f"{sum(statuses.values()) - accepted} of {sum(statuses.values()):,} not 202, "
        f"{late} runs open at the end (load before: {load:.1f})",
        "p95 ≤ 20 ms, all 202",
    )


def w1(bench: Bench) -> None:
    bench.burst("one", 500, 50)
    for count in (3000, 3000):
        seconds, cpu = bench.burst("one", count, 50)
        bench.add(
            "W1 webhook → HTTP → saved, 50 at once",
            f"{count / seconds:,.0f} runs/s, {cpu / count * 1000:.2f} ms CPU a run",
            "≥ 1,100/s, ≤ 1.2 ms CPU (floor 200/s)",
        )


def w1_alone(bench: Bench) -> None:
    # A client without a loop and a connection that stays: both cost more than what is measured.
    request, times = wire.request(bench.found.port, bench.addresses["one"], BODY), []
    with bench.database.watched() as has_open_runs:
        for _ in range(200):
            began = time.monotonic()
            wire.post_timed(bench.found.port, [request])
            while has_open_runs():
                time.sleep(0.0005)
            times.append((time.monotonic() - began) * 1000)
    bench.add("W1 one at a time, trigger → saved", _percentiles(times), "p50 ≤ 5 ms")


def w2(bench: Bench) -> None:
    bench.burst("chain", 200, 10)
    for count in (1500, 1500):
        seconds, cpu = bench.burst("chain", count, 10)
        bench.add(
            "W2 chain of ten trivial steps, 10 at once",
            f"{count / seconds:,.0f} runs/s, {cpu / count * 1000:.2f} ms CPU a run",
            "≥ 1,000/s",
        )


def w3(bench: Bench) -> None:
    bench.burst("fibonacci", 1, 1)
    times = [bench.burst("fibonacci", 1, 1)[0] for _ in range(9)]
    bench.add("W3 40 × fib(10) in Python code steps, one run", _seconds(times), "≤ 0.15 s")


def w4a(bench: Bench) -> None:
    bench.burst("fifty", 1, 1)
    times = [bench.burst("fifty", 1, 1)[0] for _ in range(9)]
    bench.add("W4a one run, 50 parallel requests of 200 ms", _seconds(times), "≤ 0.23 s")


def w4b(bench: Bench) -> None:
    bench.burst("slow", 100, 100)
    times = [bench.burst("slow", 100, 100)[0] for _ in range(5)]
    bench.add("W4b 100 runs at once, each waits 200 ms", _seconds(times), "≤ 0.35 s")


def w5(bench: Bench) -> None:
    for label, pause, count in (("0.5 s", 0.5, 40), ("7 s", 7.0, 8)):
        times = []
        for number in range(count):
            time.sleep(pause)
            mark = f"{label.replace(' ', '')}{number}"
            body = json.dumps({"at": mark}).encode()
            # Not by `post_all`: to make a loop takes a client a third of what is measured here.
            sent = time.monotonic()
            wire.post_timed(bench.found.port, [wire.request(bench.found.port, bench.addresses["at"], body)])
            times.append((_arrival(bench, mark) - sent) * 1000)
        bench.add(f"W5 idle for {label}: trigger → request arrives", _percentiles(times), "p50 ≤ 6, p95 ≤ 15 ms")


def _arrival(bench: Bench, mark: str) -> float:
    def asked() -> float | None:
        answer = httpx.get(f"http://127.0.0.1:{bench.upstream}/arrivals").json()
        return float(answer[mark]) if mark in answer else None

    return float(wait_for(asked, seconds=30, what="the request to arrive"))


def memory(bench: Bench) -> None:
    """Measure after webhooks alone, then after somebody has used pages and API too."""
    bench.found.stop(bench.found.tops[-1])
    bench.found.up()
    bench.burst("pure", 2000, 50)
    target = "≤ 250 MB"
    bench.add("memory when idle after webhooks alone", _memory(bench.found), target)
    bench.found.api("GET", "runs/")
    httpx.get(f"{bench.found.address}/sign-in/").raise_for_status()
    bench.add("memory when idle, pages and API used", _memory(bench.found), target)


def _memory(found: Product) -> str:
    """Return what each process holds once drivers have ended: supervisor, leaders, web, cluster."""
    time.sleep(7)
    each = []
    for process in found.processes():
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        each.append(next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024)
    return f"{sum(each):.0f} MB PSS ({' + '.join(f'{pss:.0f}' for pss in each)})"


def idle(bench: Bench) -> None:
    time.sleep(8)
    before, began = bench.cpu_by_process(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    seconds, after = time.monotonic() - began, bench.cpu_by_process()
    shares = [(after[pid] - before.get(pid, 0.0)) / seconds * 100 for pid in sorted(after)]
    each = " + ".join(f"{share:.2f}" for share in shares)
    bench.add("CPU when idle, all processes", f"{sum(shares):.2f} % of a core ({each})", "≤ 1 %")


def loops(bench: Bench) -> None:
    for row in growth.loop(bench.found):
        bench.add(*row)


def grows(bench: Bench) -> None:
    for row in growth.growth(bench.found, bench.database):
        bench.add(*row)


def start(bench: Bench) -> None:
    bench.found.stop(bench.found.tops[-1])
    began = time.monotonic()
    bench.found.up()
    bench.add("second start, to the first answer", f"{time.monotonic() - began:.1f} s", "≤ 4 s")


WORK: Final[dict[str, Callable[[Bench], None]]] = {
    "accept": accept,
    "steady": steady,
    "W1": w1,
    "W1a": w1_alone,
    "W2": w2,
    "W3": w3,
    "W4a": w4a,
    "W4b": w4b,
    "W5": w5,
    "memory": memory,
    "idle": idle,
    "start": start,
    "loop": loops,
    "growth": grows,
}


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    """Serve in a process of its own and yield the port."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.wire", str(port)], cwd=ROOT)
    try:
        wait_for(lambda: _listens(port), seconds=10, what="the upstream")
        yield port
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
    return False


def _percentiles(milliseconds: list[float], digits: int = 1) -> str:
    ordered = sorted(milliseconds)
    return f"p50 {statistics.median(ordered):.{digits}f} ms, p95 {ordered[int(len(ordered) * 0.95)]:.{digits}f} ms"


def _seconds(times: list[float]) -> str:
    return f"{min(times):.2f} – {max(times):.2f} s, median {statistics.median(times):.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--only", default=",".join(WORK), help="comma-separated: %(default)s")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(upstream())
        environment = {"EGRESS_ALLOW": f"127.0.0.1:{port}"}
        database_url = stack.enter_context(postgres_database()) if options.postgres else None
        if database_url:
            environment["DATABASE_URL"] = database_url
        if options.redis:
            environment["REDIS_URL"] = stack.enter_context(redis_database())
        found = stack.enter_context(product(keys=bool(database_url), **environment))
        found.up()
        bench = Bench(found=found, upstream=port, database_url=database_url)
        root = f"http://127.0.0.1:{port}"
        bench.publish("one", [step("call", "http.request", {"url": f"{root}/fast"})])
        bench.publish("slow", [step("call", "http.request", {"url": f"{root}/slow"})])
        bench.publish("at", [step("call", "http.request", {"url": f"{root}/?at={{{{ trigger.body.at }}}}"})])
        code = {"code": FIBONACCI, "input": 10}
        bench.publish("fibonacci", [step(f"s{number}", "code.python", code) for number in range(40)])
        call = step("call", "http.request", {"url": f"{root}/slow"})
        fifty = step("each", "flow.foreach", {"items": list(range(50)), "concurrency": 50})
        bench.publish("fifty", [{**fifty, "lanes": {"body": [call]}}])
        values = {"name": "{{ trigger.body.name }}", "number": 1}
        bench.publish("pure", [step("set", "data.set", {"values": values})])
        bench.publish(
            "two", [step("set", "data.set", {"values": values}), step("call", "http.request", {"url": f"{root}/fast"})]
        )
        bench.publish("chain", [step(f"s{number}", "data.set", {"values": values}) for number in range(10)])
        for name in options.only.split(","):
            WORK[name](bench)
    width = max(len(row.work) for row in bench.rows)
    print(f"{sys.version.split()[0]}, {os.cpu_count()} processors, {'PostgreSQL' if database_url else 'SQLite'}, "
          f"{'Redis' if options.redis else 'ORM'} broker")  # fmt: skip
    for row in bench.rows:
        print(f"{row.work:<{width}}  {row.figure:<50}  target {row.target}")


if __name__ == "__main__":
    main()

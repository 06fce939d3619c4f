"""What must not grow: a list page, a run's start and a prune with a million runs; a run of 100,000 iterations."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any, Final

from tests.bench.database import Database
from tests.product import Product, step, wait_for, workflow

FEW: Final = 1_000
MANY: Final = 1_000_000
PRUNED: Final = 1_000
ITERATIONS: Final = 100_000
# Three days and a retention of one: what is seeded as old is pruned, what is new stays.
_DAY_OF_IDS: Final = 86_400_000 << 22


def seed(database: Database, *, workflow_id: int, runs: int, days_ago: float) -> None:
    """Insert ended runs of a workflow, each with one step, by copying its newest run."""
    database.execute(
        _RUNS.format(columns=", ".join(database.columns("runs_run", but=("id",)))),
        {"workflow": workflow_id, "count": runs, "back": int(days_ago * _DAY_OF_IDS)},
    )


_RUNS: Final = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count), "
    "newest AS (SELECT * FROM runs_run WHERE workflow_id = :workflow AND finished_at IS NOT NULL "
    "ORDER BY id DESC LIMIT 1) "
    "INSERT INTO runs_run (id, {columns}) SELECT newest.id - :back - 4194304 - i * 4, {columns} FROM n, newest"
)


def growth(found: Product, database: Database) -> list[tuple[str, str, str]]:
    """Measure with FEW runs and with MANY; return rows of work, figure and target."""
    made = found.publish(
        {**workflow("Grows", [step("a", "data.set", {"values": {"n": 1}})]), "settings": {"retention_days": 1}}
    )
    found.api("POST", f"workflows/{made}/runs/?wait=20", json={})
    seed(database, workflow_id=int(made), runs=FEW, days_ago=0)
    few = _measured(found, database, made)
    seed(database, workflow_id=int(made), runs=MANY, days_ago=0.1)
    many = _measured(found, database, made)
    target = "≤ 1.3 × as long"
    return [
        (
            f"growth: {what}, {MANY:,} runs against {FEW:,}",
            f"{after:.1f} against {before:.1f} ms: {after / before:.2f} ×",
            target,
        )
        for (what, before), (_, after) in zip(few, many, strict=True)
    ]


def _measured(found: Product, database: Database, made: str) -> list[tuple[str, float]]:
    seed(database, workflow_id=int(made), runs=PRUNED, days_ago=3)
    found.api("GET", "runs/")
    lists = [_timed(lambda: found.api("GET", "runs/")) for _ in range(30)]
    starts = [_timed(lambda: found.api("POST", f"workflows/{made}/runs/", json={})) for _ in range(30)]
    before = database.count("runs_run")
    prune = _timed(lambda: found.manage("prune"))
    assert before - database.count("runs_run") >= PRUNED - 5, "the old ones are pruned"
    return [
        ("list of runs", statistics.median(lists)),
        ("start of a run", statistics.median(starts)),
        ("prune of 1,000", prune),
    ]


def _timed(work: Any) -> float:
    began = time.monotonic()
    work()
    return (time.monotonic() - began) * 1000


def loop(found: Product) -> list[tuple[str, str, str]]:
    """Measure a run of ITERATIONS iterations, the memory of who drives it, and its pages."""
    body = step("set", "data.set", {"values": {"n": "{{ item }}", "name": "customer {{ index }}"}})
    each = {**step("each", "flow.foreach", {"items": "{{ trigger.body.items }}"}), "lanes": {"body": [body]}}
    made = found.publish(workflow("Loop", [each], output="{{ count(steps.each.output) }}"))
    began = time.monotonic()
    run = found.api("POST", f"workflows/{made}/runs/", json={"payload": {"items": list(range(ITERATIONS))}})["id"]
    peak = 0.0

    def ended() -> bool:
        nonlocal peak
        peak = max(peak, *(resident(process.pid) for process in found.processes()))
        return found.api("GET", f"runs/{run}/?after=0")["status"] in ("succeeded", "failed")

    wait_for(ended, seconds=600, what="the loop to end", every=0.5)
    seconds = time.monotonic() - began
    assert found.api("GET", f"runs/{run}/")["output"] == ITERATIONS
    reads = [_timed(lambda: found.api("GET", f"runs/{run}/")) for _ in range(10)]
    return [
        (
            f"a run of {ITERATIONS:,} iterations",
            f"{seconds:.1f} s, {peak:.0f} MB in the largest process",
            "≤ 500 MB a worker",
        ),
        ("its document by the API", f"{statistics.median(reads):.0f} ms", "fast"),
    ]


def resident(pid: int) -> float:
    """Return the megabytes that a process has in memory, 0 for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS:")), 0.0)

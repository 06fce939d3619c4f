"""Several hosts on PostgreSQL and Redis: two groups of workers share the runs, and one goes on when the other dies."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from tests.product import Product, product, step, wait_for, workflow
from tests.services import postgres_database, redis_database
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.crash

# More than one driver takes.
RUNS = 160


@pytest.fixture
def called() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture
def installation(called: Upstream) -> Iterator[Product]:
    address = called.address.removeprefix("http://")
    with (
        postgres_database() as database,
        redis_database() as broker,
        product(keys=True, DATABASE_URL=database, REDIS_URL=broker, EGRESS_ALLOW=address, WORKERS="1") as found,
    ):
        found.manage("setup")
        found.token = found.manage("token", "create", "--tenant", "demo", "--user", "admin").splitlines()[-1]
        found.start("web", "--port", str(found.port))
        yield found


def drivers(installation: Product) -> Counter[int]:
    """Count the runs that each process drives, by its id."""
    with psycopg.connect(installation.environment["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT lease_owner FROM runs_run WHERE status = 'running'").fetchall()
    return Counter(int(owner.split("-")[1]) for (owner,) in rows)


def open_runs(installation: Product) -> int:
    with psycopg.connect(installation.environment["DATABASE_URL"]) as connection:
        found = connection.execute("SELECT count(*) FROM runs_run WHERE finished_at IS NULL").fetchone()
    return int(found[0]) if found else 0


def group_of(installation: Product, top: subprocess.Popen[bytes]) -> list[int]:
    """Return a command's process and all below it."""
    found, family = installation.processes(), {top.pid}
    for _ in range(4):
        family |= {process.pid for process in found if process.parent in family}
    return sorted(family)


def test_two_groups_of_workers_share_the_runs_and_one_goes_on_alone(installation: Product, called: Upstream) -> None:
    first, second = (installation.start("worker", ready=False) for _ in range(2))
    call = {"method": "PUT", "url": f"{called.address}/{{{{ run.id }}}}/{{{{ trigger.body.n }}}}?slow=5"}
    made = installation.publish(workflow("Shared", [step("a", "http.request", call), step("b", "http.request", call)]))
    wait_for(lambda: len(installation.processes()) >= 12, seconds=30, what="both groups to live")
    ids = [installation.api("POST", f"workflows/{made}/runs/", json={"payload": {"n": n}})["id"] for n in range(RUNS)]

    wait_for(
        lambda: len(drivers(installation)) == 2, seconds=30, what=lambda: f"both to drive: {drivers(installation)}"
    )
    doomed = group_of(installation, first)
    assert set(drivers(installation)) & set(doomed), "the one that is killed drives some of them"
    assert not set(doomed) & set(group_of(installation, second))
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    first.wait()

    wait_for(lambda: open_runs(installation) == 0, seconds=60, what=lambda: f"{open_runs(installation)} runs to end")
    found = [installation.api("GET", f"runs/{run}/") for run in ids]
    assert Counter(run["status"] for run in found) == {"succeeded": RUNS}
    again = [row for run in found for row in run["steps"] if row["status"] == "lost"]
    assert again, "some of its calls were under way"
    count = called.count()
    for number, run in enumerate(found):
        # An attempt is on record before its call, so no call was made that has no row.
        assert count[f"/{run['id']}/{number}"] <= len(run["steps"])
    assert second.poll() is None

"""Two hosts and a storm of failures: one message, and it arrives although both die while it is sent."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from tests.crash.test_hosts import group_of
from tests.product import Product, product, step, wait_for, workflow
from tests.services import postgres_database
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.crash
RUNS = 120
WORKFLOWS = 3


@pytest.fixture
def called() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture
def installation(called: Upstream) -> Iterator[Product]:
    address = called.address.removeprefix("http://")
    with (
        postgres_database() as database,
        product(keys=True, DATABASE_URL=database, EGRESS_ALLOW=address, WORKERS="1") as found,
    ):
        found.manage("setup")
        found.token = found.manage("token", "create", "--tenant", "demo", "--user", "admin").splitlines()[-1]
        found.start("web", "--port", str(found.port))
        yield found


def asked(installation: Product, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(installation.environment["DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_a_storm_is_one_message_that_survives_who_sends_it(installation: Product, called: Upstream) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as other_host:
        # A host is a folder of its own: the bell, which one driver of each machine holds, lies there.
        hosts = [installation.start("worker", ready=False)]
        kept, installation.environment["DATA_DIR"] = installation.environment["DATA_DIR"], other_host
        hosts.append(installation.start("worker", ready=False))
        installation.environment["DATA_DIR"] = kept
        channel = {"kind": "webhook", "name": "pager", "url": f"{called.address}/alerts?gated=0"}
        installation.api("POST", "alert-channels/", json=channel)
        fails = [step("stop", "flow.stop", {"status": "failed", "message": "no stock"})]
        made = [installation.publish(workflow(f"Fails {number}", fails)) for number in range(WORKFLOWS)]
        for number in range(RUNS):
            installation.api("POST", f"workflows/{made[number % WORKFLOWS]}/runs/", json={})

        wait_for(lambda: called.calls, seconds=90, what=lambda: f"a message:\n{installation.log[-3_000:]}")
        # Both look and send all the while; what one sends the other leaves alone.
        time.sleep(12)
        assert len(called.calls) == 1
        for top in hosts:
            for pid in group_of(installation, top):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            top.wait()
        assert asked(installation, "SELECT status, attempts FROM alerts_alertdelivery ORDER BY id LIMIT 1") == [
            ("pending", 1)
        ]
        called.gate.set()
        # In place of the two minutes after which a claim runs out.
        asked(installation, "UPDATE alerts_alertdelivery SET claimed_until = now() WHERE status = 'pending'")
        installation.start("worker", ready=False)
        wait_for(
            lambda: not asked(installation, "SELECT 1 FROM alerts_alertdelivery WHERE status = 'pending'"),
            seconds=60,
            what="the message to be sent again",
        )
    first, *more = called.calls
    assert first.headers["webhook-id"] == more[0].headers["webhook-id"]
    assert first.body == more[0].body
    ids = {call.headers["webhook-id"] for call in called.calls}
    # What failed after the first message was made may come in a second one, with those workflows alone.
    assert len(ids) <= 2
    told = [item["workflow"]["id"] for call in called.calls[1:] for item in call.json()["data"]["items"]]
    assert sorted(told) == sorted(made), "each workflow is told of once"
    assert asked(installation, "SELECT DISTINCT status FROM alerts_alertdelivery") == [("sent",)]

"""Schedules of a running product: each slot is one run, at its time, also when the worker's leader is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from statistics import median
from typing import Any

import pytest

from tests.product import Product, product, step, wait_for, workflow

pytestmark = pytest.mark.crash


@pytest.fixture
def installation() -> Iterator[Product]:
    with product() as found:
        found.up()
        yield found


def scheduled(installation: Product, name: str) -> str:
    trigger = {"key": "often", "type": "schedule", "config": {"every": 1, "missed": "run_all"}}
    document = workflow(name, [step("keep", "data.set", {"values": {"a": 1}})], triggers=[trigger])
    return installation.publish(document)


def slots(installation: Product, number: str) -> list[tuple[str, str]]:
    """Return the slot and the start of each run that has begun, in order."""
    runs: list[dict[str, Any]] = installation.api("GET", f"runs/?workflow={number}")["results"]
    found = [installation.api("GET", f"runs/{run['id']}/") for run in runs]
    return sorted((run["payload"]["scheduled_at"], run["started_at"]) for run in found if run["started_at"])


def test_each_second_is_one_run_through_a_kill(installation: Product) -> None:
    number = scheduled(installation, "Often")
    wait_for(lambda: len(slots(installation, number)) >= 3, seconds=30, what="three runs of a schedule")
    late = [datetime.fromisoformat(at) - datetime.fromisoformat(slot) for slot, at in slots(installation, number)]
    # Alone on a machine it is some hundredths of a second.
    assert median(span.total_seconds() for span in late) < 5
    for process in installation.processes():
        if "-m runs.cluster" in process.arguments:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
    before = len(slots(installation, number))
    wait_for(lambda: len(slots(installation, number)) >= before + 5, seconds=60, what="a schedule after a kill")
    installation.api("POST", f"workflows/{number}/disable/")
    seconds = [int(datetime.fromisoformat(slot).timestamp()) for slot, _at in slots(installation, number)]
    # Every second of all that time, each once.
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))

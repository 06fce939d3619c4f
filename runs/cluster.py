"""The leader of a worker's processes: django-q2's cluster, and a ticker over it; ``python -m runs.cluster``.

1. What the workers need is imported first, and done once, so that they share its memory; no connection and no thread
   crosses a fork.
2. The cluster is forked off. It is this process's group, which the process above kills when this one dies.
3. What other machines tell of work goes on to the driver of this one that holds the bell.
4. When the cluster's sentinel dies, or nothing moves although work is due, the whole group ends at once.
5. SIGTERM: drivers give their runs back, the cluster ends in its own order, and what is left is killed.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from typing import Any, Final, NoReturn

import django

from orchestrator.absent import AT_SETUP, without
from orchestrator.supervise import lifeline, pulse
from runs import bell

log = logging.getLogger(__name__)

# Longer than a driver takes to give its runs back, shorter than the process above waits.
STOP_SECONDS: Final = 20.0
GC_THRESHOLDS: Final = (20_000, 20, 50)
_LOOK_SECONDS: Final = 0.25


def lead() -> NoReturn:
    """Lead a cluster until SIGTERM, or until it cannot go on."""
    # A collection would leave holes all over what is shared, and each hole that a child fills is a page of its own.
    gc.disable()
    os.register_at_fork(after_in_child=gc.enable)
    load()
    from django.db import connections

    from runs import doorbell, driver, notices, warmth
    from runs.ticker import Ticker

    warmth.spread()
    connections.close_all()
    gc.freeze()
    # A driver makes and drops thousands of objects in a blink, hardly any of them in circles: looking for these after
    # every seven hundred took half of its time.
    gc.set_threshold(*GC_THRESHOLDS)
    stop = threading.Event()
    cluster = doorbell.start_cluster()
    gc.enable()
    keep_little(connections.settings["default"]["OPTIONS"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    lifeline(grace=STOP_SECONDS + 2)
    Ticker(beat=pulse(), wedged=_end_group).start()
    notices.Listener(heard=lambda: bell.ring(bell.WORK)).start()
    while not stop.wait(_LOOK_SECONDS):
        if not cluster.sentinel.is_alive():
            log.critical("The cluster's sentinel is gone")
            _end_group()
    driver.stop_everywhere()
    _end_in_order(cluster)
    _end_group()


def load() -> None:
    """Import what the processes of a worker share."""
    with without(*AT_SETUP):
        django.setup()
        from integrations.registry import registry
        from runs import tasks, ticker, warmth  # noqa: F401
    registry.load()


def keep_little(options: dict[str, Any]) -> None:
    """Have SQLite's connections of this process keep little of the file: the ticker only looks, all day long.

    With the file mapped, whatever it has ever looked at would count as this process's memory, and grow with the file.
    """
    if "init_command" in options:
        options["init_command"] += " PRAGMA mmap_size=0; PRAGMA cache_size=-2000;"


def _end_in_order(cluster: Any) -> None:
    cluster.stop_event.set()
    end = time.monotonic() + STOP_SECONDS
    while cluster.sentinel.is_alive() and time.monotonic() < end:
        # Who waits for messages sees sooner that there are to be none.
        bell.ring(bell.MESSAGES)
        cluster.sentinel.join(timeout=0.1)


def _end_group() -> NoReturn:
    """Kill this group, this process included: only what is in the database is ours to keep."""
    sys.stderr.flush()
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("killed")


if __name__ == "__main__":
    lead()

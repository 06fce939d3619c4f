"""Word of work between machines, over the PostgreSQL that they share: NOTIFY by who made it, LISTEN by each worker.

One connection a worker, in its leader, which rings the local bell: a driver needs no connection and no thread for it.
What is missed while that connection is away is found by the drivers' own looks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, connection, connections

log = logging.getLogger(__name__)

# Channels belong to one database: that of another installation on the same server does not hear it.
CHANNEL: Final = "orchestrator_work"
# A connection that was cut off without a word is noticed by a question now and then.
_ALIVE_SECONDS: Final = 30.0
_PAUSES: Final = (0.2, 1.0, 5.0, 15.0)


def are_possible() -> bool:
    return connection.vendor == "postgresql"


def notify() -> None:
    """Tell other machines of work: with the commit of the caller's transaction, or at once outside of one."""
    if are_possible():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


class Listener:
    """A thread that calls ``heard`` for every notice, begun after any fork."""

    def __init__(self, heard: Callable[[], object]) -> None:
        self._heard = heard
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name="listener", daemon=True)

    def start(self) -> None:
        if are_possible():
            self._thread.start()

    def stop(self) -> None:
        """End the thread, within the seconds that one wait takes; for tests."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _main(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except Exception as error:
                failures = 0 if time.monotonic() - began > _ALIVE_SECONDS else failures + 1
                if failures <= 1:
                    log.warning("Notices are not heard (%s); trying again", type(error).__name__)
            self._stopped.wait(_PAUSES[min(failures, len(_PAUSES) - 1)])

    def _listen(self) -> None:
        """Listen over a connection of its own until that is gone. Raises what its driver raises."""
        wrapper: Any = connections.create_connection(DEFAULT_DB_ALIAS)
        with closing(wrapper):
            wrapper.ensure_connection()
            with wrapper.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            # What was told before this counts too.
            self._heard()
            while not self._stopped.is_set():
                for _ in wrapper.connection.notifies(timeout=_ALIVE_SECONDS):
                    self._heard()
                    if self._stopped.is_set():
                        break
                with wrapper.cursor() as cursor:
                    cursor.execute("SELECT 1")

"""One clock for leases: the database server's, since those of several hosts differ; and moments as they are kept."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone


class DatabaseClock:
    """The time as the database server has it. SQLite has no server: there it is this host's own."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def synchronise(self) -> None:
        """Ask the database for its time; call it from a thread that may query, now and then."""
        if connection.vendor != "postgresql":
            return
        before = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            told = cursor.fetchone()[0]
        # The answer was true about in the middle of the round trip.
        middle = timezone.now() - timedelta(seconds=(time.monotonic() - before) / 2)
        self._ahead = told - middle

    def now(self) -> datetime:
        return timezone.now() + self._ahead


def database_now() -> datetime:
    """Return the time as the database server has it now; one query on PostgreSQL."""
    clock = DatabaseClock()
    clock.synchronise()
    return clock.now()


def kept_moment(kept: object) -> datetime | None:
    """Return a moment that was kept as a text, None for anything else."""
    try:
        found = datetime.fromisoformat(kept) if isinstance(kept, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo else None

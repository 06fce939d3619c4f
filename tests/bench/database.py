"""A look into the product's database from outside, SQLite or PostgreSQL."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_OPEN: Final = "SELECT {}".format(
    " OR ".join(
        f"EXISTS (SELECT 1 FROM runs_run WHERE {condition})"  # noqa: S608
        for condition in ("wake_at IS NOT NULL", "lease_expires_at IS NOT NULL", "status = 'waiting'")
    )
)


@dataclass(frozen=True, kw_only=True)
class Database:
    """``url`` of a PostgreSQL, or the SQLite ``file``."""

    file: Path
    url: str | None = None

    def execute(self, sql: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        """Run one statement with ``:name`` places, commit, and return its rows."""
        if self.url is None:
            with contextlib.closing(sqlite3.connect(self.file, timeout=60)) as connection, connection:
                return connection.execute(sql, dict(values or {})).fetchall()
        import psycopg

        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(re.sub(r"(?<!:):(\w+)", r"%(\1)s", sql), dict(values or {}))  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def count(self, table: str, where: str = "TRUE") -> int:
        return int(self.execute(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])  # noqa: S608

    def has_open_runs(self) -> bool:
        """Return whether a run is queued, running or waits; asks indexes alone, since it takes time from who works."""
        return bool(self.execute(_OPEN)[0][0])

    @contextlib.contextmanager
    def watched(self) -> Iterator[Callable[[], bool]]:
        """Give ``has_open_runs`` over one connection, for who asks all the time."""
        connection: Any
        if self.url is None:
            connection = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        else:
            import psycopg

            connection = psycopg.connect(self.url, autocommit=True)
        with contextlib.closing(connection):
            yield lambda: bool(connection.execute(_OPEN).fetchone()[0])

    def columns(self, table: str, *, but: Sequence[str] = ()) -> list[str]:
        """Return the names of a table's columns, quoted."""
        if self.url is None:
            names = [row[1] for row in self.execute(f"PRAGMA table_info({table})")]
        else:
            sql = "SELECT column_name FROM information_schema.columns WHERE table_name = :table"
            names = [row[0] for row in self.execute(sql, {"table": table})]
        return [f'"{name}"' for name in names if name not in but]

"""The leader of a worker's processes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from orchestrator.settings import SQLITE_OPTIONS
from runs.cluster import keep_little


def test_the_leaders_connections_map_nothing_and_keep_little() -> None:
    options: dict[str, Any] = dict(SQLITE_OPTIONS)
    keep_little(options)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(options["init_command"])
        assert connection.execute("PRAGMA cache_size").fetchone() == (-2000,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA mmap_size").fetchone() in ((0,), None)
    assert "cache_size=-2000;" not in SQLITE_OPTIONS["init_command"]  # type: ignore[operator]


def test_another_databases_options_stay_as_they_are() -> None:
    options: dict[str, Any] = {"pool": False}
    keep_little(options)
    assert options == {"pool": False}

"""The leader of a worker's processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from orchestrator.settings import SQLITE_OPTIONS
from runs.cluster import keep_little
from tests.product import ROOT


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


def test_a_worker_holds_nothing_that_nobody_uses(tmp_path: Path) -> None:
    """Each of these is megabytes, and installed where the suite is."""
    unused = ("rich", "pygments", "click", "requests", "psycopg", "prometheus_client")
    names = f"*({{*sys.modules}} & {{*{unused}}}), *({{*sys.modules}} & {{'httpx', 'runs.tasks'}})"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, runs.cluster; runs.cluster.load(); print({names})"],
        cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "orchestrator.settings", "DATA_DIR": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert sorted(done.stdout.split()) == ["httpx", "runs.tasks"]

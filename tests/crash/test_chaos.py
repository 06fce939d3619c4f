"""The short form of the chaos: every kind of fault once, on SQLite and on a PostgreSQL that is restarted."""

from __future__ import annotations

import pytest

from tests.crash.chaos import run_chaos

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_no_promise_is_broken_while_everything_goes_wrong(database: str) -> None:
    chaos = run_chaos(runs=60, seconds=15, pause=1.5, seed=11, postgres=database == "postgres")
    assert chaos.broken == []
    assert len(chaos.told) == 60, "what was sent was accepted in the end"
    assert {fault.__name__ for fault in chaos.faults()} <= set(chaos.done), "everything went wrong at least once"

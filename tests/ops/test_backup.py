"""A backup is made while the product works, and brought back: nothing that it has on record is done again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.product import Product, product, step, wait_for, workflow
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.crash

PASSED_ON = {"greeting": "{{ steps.first.output.status }}"}


@contextmanager
def restored(copy: Path, keys: Path, token: str, host: str) -> Iterator[Product]:
    """Another installation, with the database of a backup and the keys that were kept with it; not started yet."""
    with product(first_start=True, EGRESS_ALLOW=host) as found:
        shutil.copy(copy, found.folder / "orchestrator.sqlite3")
        shutil.copy(keys, found.folder / "keys.env")
        found.token = token
        yield found


def ended(found: Product, run: str) -> Any:
    wait_for(lambda: found.api("GET", f"runs/{run}/")["finished_at"], seconds=60, what=lambda: found.log)
    return found.api("GET", f"runs/{run}/")


def test_what_is_on_record_is_not_repeated_and_after_restored_nothing_is(tmp_path: Path) -> None:
    with upstream() as called:
        host = called.address.removeprefix("http://")
        copy, keys, token, run = _backed_up(called, host, tmp_path)
        assert called.count() == {"/first": 1, "/second": 1}, "the run went on after the backup"

        # Settled, then started: what was under way stands still until a person says where it goes on.
        with restored(copy, keys, token, host) as found:
            said = found.manage("restored")
            assert said.startswith("Stopped 1 runs. ")
            assert found.manage("restored").startswith("Stopped 0 runs. "), "it may be repeated"
            found.up()
            assert ended(found, run)["status"] == "cancelled"
            assert called.count() == {"/first": 1, "/second": 1}
            again = found.api("POST", f"runs/{run}/rerun/", json={"from": "second"})["id"]
            done = ended(found, again)
            assert (done["status"], done["output"]) == ("succeeded", {"greeting": 200})
            assert called.count() == {"/first": 1, "/second": 2}

        # Started as it is: it goes on behind the last step on record.
        with restored(copy, keys, token, host) as found:
            found.up()
            assert ended(found, run)["status"] == "succeeded"
            assert called.count() == {"/first": 1, "/second": 3}


def _backed_up(called: Upstream, host: str, folder: Path) -> tuple[Path, Path, str, str]:
    """Back up in the middle of a run, and let it end; return the copy, the keys, a token and the run."""
    copy, keys = folder / "copy.sqlite3", folder / "keys.env"
    with product(EGRESS_ALLOW=host) as found:
        found.up()
        steps = [
            step("first", "http.request", {"method": "PUT", "url": f"{called.address}/first"}),
            step("second", "http.request", {"method": "PUT", "url": f"{called.address}/second?gated=0"}),
            step("last", "data.set", {"values": PASSED_ON}),
        ]
        made = found.publish(workflow("Backed up", steps, output={"greeting": "{{ steps.last.output.greeting }}"}))
        run = str(found.api("POST", f"workflows/{made}/runs/", json={"payload": {}})["id"])
        wait_for(lambda: called.count()["/second"], seconds=30, what=lambda: found.log)
        assert "holds the database" in found.manage("backup", str(copy))
        assert copy.stat().st_mode & 0o777 == 0o600
        shutil.copy(found.folder / "keys.env", keys)
        called.gate.set()
        assert ended(found, run)["status"] == "succeeded"
    assert [path.name for path in folder.iterdir() if path.name not in (copy.name, keys.name)] == []
    return copy, keys, found.token, run

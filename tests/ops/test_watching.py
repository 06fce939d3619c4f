"""Changed code is taken in development: once it is whole, and never in production."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import supervise, watching
from orchestrator.management import serving
from orchestrator.supervise import Group, GroupPlan, WatchPlan
from orchestrator.watching import Watch
from tests.product import ROOT

# As the product's check does: what cannot be imported is told in the last line.
_CHECK = "import sys; sys.path.insert(0, {folder!r})\ntry: import shop\nexcept Exception as e: sys.exit(f'shop: {{e}}')"


class Watched:
    """A folder with one module, and what looks at it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "shop.py"
        self.file.write_text("price = 1\n")
        self.said: list[str] = []
        plan = WatchPlan(places=[str(folder)], check=["-c", _CHECK.format(folder=str(folder))])
        self.watch = Watch(plan, self.said.append)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def decides(self, met: Callable[[], bool]) -> bool:
        """Look until something was decided or said, and return whether new code is to be taken."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.watch.is_due(time.monotonic()):
                return True
            if met():
                return False
            time.sleep(0.01)
        raise AssertionError(f"nothing was decided: {self.said}")


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)
    found = Watched(tmp_path)
    yield found
    found.watch.close()


def test_a_change_is_taken_once_and_a_broken_file_is_said_while_the_old_code_goes_on(watched: Watched) -> None:
    time.sleep(0.1)
    assert not watched.watch.is_due(time.monotonic())
    watched.write("price = 12\n")
    assert watched.decides(lambda: False)
    assert "changed: everything is started again" in watched.said.pop()
    watched.write("price = (\n")
    assert not watched.decides(lambda: bool(watched.said))
    (said,) = watched.said
    assert "shop.py changed and cannot be used, so the code before goes on: shop:" in said
    assert "(shop.py, line 1)" in said
    watched.said.clear()
    watched.write("price = 130\n")
    assert watched.decides(lambda: bool(watched.said))
    (watched.file.parent / "new.svg").write_text("<svg/>")
    assert watched.decides(lambda: False)
    watched.said.clear()
    # What Python writes beside the code is no change of it, nor is any other file.
    (watched.file.parent / "__pycache__").mkdir(exist_ok=True)
    (watched.file.parent / "__pycache__" / "more.py").touch()
    (watched.file.parent / "notes.txt").touch()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        assert not watched.watch.is_due(time.monotonic())
        time.sleep(0.01)
    assert watched.said == []


def test_a_group_is_started_again_at_once_when_its_code_is_renewed() -> None:
    group = Group(GroupPlan(name="test", arguments=["-c", "import time; time.sleep(60)"]))
    try:
        group.look(time.monotonic())
        first = _pid(group)
        group.renew(time.monotonic())
        end = time.monotonic() + 10
        while _pid(group) in (None, first) and time.monotonic() < end:
            group.look(time.monotonic())
            time.sleep(0.01)
        assert _pid(group) not in (None, first)
    finally:
        group.ask_to_end()
        group.end(time.monotonic() + 5)


def _pid(group: Group) -> int | None:
    return None if group._leader is None else group._leader.pid


def test_only_development_watches_and_its_check_passes(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = False
    assert serving.watch_plan() is None
    settings.DEBUG = True
    plan = serving.watch_plan()
    assert plan is not None
    assert plan.places[0] == str(ROOT / "integrations")
    told: dict[str, Any] = {}
    monkeypatch.setattr(os, "chdir", lambda folder: None)
    monkeypatch.setattr(os, "execv", lambda path, words: told.update(text=words[-1]))
    supervise.become(supervise.Plan(groups=[], watch=plan), folder=".")
    assert supervise._parsed(told["text"]).watch == plan
    done = subprocess.run([sys.executable, *plan.check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

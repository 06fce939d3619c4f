"""Code that is taken anew in development: files are looked at each second, and tried before anything is started again.

It runs in the top process of ``up``, so it imports nothing but the standard library; a look costs about a millisecond.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from orchestrator.supervise import WatchPlan

LOOK_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 60.0
_ENDINGS: Final = (".py", ".toml", ".svg")
_Seen: TypeAlias = dict[str, tuple[int, int]]


class Watch:
    """Tells when changed code is to be taken: once nothing has changed for a look, and the check has passed."""

    def __init__(self, plan: WatchPlan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self._seen = _seen(plan.places)
        self._changed: set[str] = set()
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._check: subprocess.Popen[bytes] | None = None
        self._told: IO[bytes] | None = None
        self._check_by = 0.0

    def is_due(self, now: float) -> bool:
        """Whether changed code has just passed its check. What fails is said, and left alone until it changes."""
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            if self._look():
                self._end_check()
            elif self._changed and self._check is None:
                self._begin_check(now)
        return self._check is not None and self._has_passed(now)

    def close(self) -> None:
        """End a check that is under way."""
        self._end_check()

    def _look(self) -> bool:
        """Note what has changed since the last look, and return whether anything has."""
        found = _seen(self._plan.places)
        changed = {path for path in found.keys() | self._seen.keys() if found.get(path) != self._seen.get(path)}
        self._seen = found
        self._changed |= changed
        return bool(changed)

    def _begin_check(self, now: float) -> None:
        self._told = tempfile.TemporaryFile()  # noqa: SIM115  (it is read when the check has ended)
        self._check_by = now + CHECK_SECONDS
        self._check = subprocess.Popen(
            [sys.executable, *self._plan.check],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._told,
        )

    def _has_passed(self, now: float) -> bool:
        assert self._check is not None
        if self._check.poll() is None:
            if now > self._check_by:
                self._refuse(f"importing it takes longer than {CHECK_SECONDS:.0f} s")
            return False
        if self._check.returncode != 0:
            self._refuse(self._reason())
            return False
        self._say(f"{self._names()} changed: everything is started again.")
        self._changed.clear()
        self._end_check()
        return True

    def _refuse(self, reason: str) -> None:
        self._say(f"{self._names()} changed and cannot be used, so the code before goes on: {reason}")
        self._changed.clear()
        self._end_check()

    def _reason(self) -> str:
        assert self._told is not None
        self._told.seek(0)
        lines = self._told.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no reason was given"

    def _end_check(self) -> None:
        if self._check is not None:
            if self._check.poll() is None:
                self._check.kill()
            self._check.wait()
            self._check = None
        if self._told is not None:
            self._told.close()
            self._told = None

    def _names(self) -> str:
        first, *others = sorted(os.path.relpath(path) for path in self._changed)
        return f"{first} and {len(others)} more" if others else first


def _seen(places: Sequence[str]) -> _Seen:
    """Return the files of these places, by path: when each was changed, and its size."""
    found: _Seen = {}
    for place in places:
        for entry in _files(place):
            try:
                stat = os.stat(entry)
            except OSError:
                continue
            found[entry] = (stat.st_mtime_ns, stat.st_size)
    return found


def _files(place: str) -> Iterator[str]:
    if not os.path.isdir(place):
        yield place
        return
    try:
        entries = list(os.scandir(place))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith((".", "__pycache__")):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.name.endswith(_ENDINGS):
            yield entry.path

"""Names of drivers, from which another process on the same machine can tell that one is gone."""

from __future__ import annotations

import hashlib
import os
import secrets
from functools import cache
from pathlib import Path


def new_owner() -> str:
    """Return a name for a driver of this process: machine, process id, when that began, and something of its own."""
    return f"{_machine()}-{os.getpid()}-{_started(os.getpid())}-{secrets.token_hex(4)}"


def is_surely_gone(owner: str) -> bool:
    """Whether the process that drove under this name has ended; False when that cannot be told from here."""
    machine, *rest = owner.split("-")
    if machine == "unknown" or machine != _machine() or len(rest) != 3 or not rest[0].isdigit():
        return False
    return _started(int(rest[0])) != rest[1]


@cache
def _machine() -> str:
    """Return a name of this machine and its space of process ids, which two containers on it do not share."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return "unknown"
    return hashlib.sha256(f"{boot}{space}".encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the start of the machine, empty when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name in brackets may hold anything; the fields after it are plain. A zombie has ended.
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]

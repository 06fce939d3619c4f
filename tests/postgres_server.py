"""A PostgreSQL server of a test's own, which may be stopped and started again: the machine's is shared."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.product import free_port


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A running server; ``url`` names its database."""

    binaries: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200"
        self._control("start", "-w", "-o", options, "-l", str(self.folder / "log"))

    def crash_and_start(self) -> None:
        """Stop the server without a checkpoint, every connection broken, and start it: it recovers from its log."""
        self._control("stop", "-m", "immediate", "-w")
        self.start()

    def stop(self) -> None:
        self._control("stop", "-m", "immediate", "-w")

    def _control(self, *arguments: str) -> None:
        _run([str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), *arguments])


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server in a folder of its own; afterwards nothing of it is left."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        _run([str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-N"])
        server = PostgresServer(binaries=binaries, folder=folder, port=free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        reason = "there is no PostgreSQL server in /usr/lib/postgresql"
        if os.environ.get("ORCHESTRATOR_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found[-1].parent


def _run(command: list[str]) -> None:
    """Run a command as a user that may run a server: PostgreSQL refuses to be root."""
    prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    # The server inherits what is given here, so a pipe would never end.
    with tempfile.TemporaryFile() as printed:
        done = subprocess.run([*prefix, *command], stdout=printed, stderr=printed, cwd="/", timeout=60, check=False)
        printed.seek(0)
        assert done.returncode == 0, printed.read().decode(errors="replace")

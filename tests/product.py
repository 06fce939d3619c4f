"""The real product in processes of its own, for tests that start it, kill parts of it, or look at it in a browser."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).resolve().parent.parent
PASSWORD: Final = "a password of the suite alone"
MARK: Final = "ORCHESTRATOR_TEST_MARK"
_CLEARED: Final = (
    "DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "BASE_URL", "EGRESS_ALLOW", "INTEGRATIONS_BASE_URLS",
    "WORKERS", "SECRET_KEY", "VAULT_KEYS", "DATA_DIR", "ORCHESTRATOR_PROCESS",
)  # fmt: skip


@dataclass(frozen=True)
class Process:
    """A living process of the product."""

    pid: int
    parent: int
    arguments: str


@dataclass(kw_only=True)
class Product:
    """One installation: a data folder, an environment, and the commands that were started in it."""

    folder: Path
    port: int
    environment: dict[str, str]
    mark: str
    tops: list[subprocess.Popen[bytes]] = field(default_factory=list)
    token: str = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "product.log").read_text(errors="replace")

    def manage(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """Run one command to its end and return what it printed; ``input`` is what it reads."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False,
            input=input,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments} failed: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *arguments: str, ready: bool = True) -> subprocess.Popen[bytes]:
        """Start a serving command; with ``ready`` wait until the web answers."""
        with open(self.folder / "product.log", "ab") as log:
            top = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.tops.append(top)
        if ready:
            wait_for(lambda: self._answers(top), seconds=60, what=lambda: f"the web to answer:\n{self.log}")
        return top

    def up(self) -> subprocess.Popen[bytes]:
        top = self.start("up", "--port", str(self.port))
        self.token = self.token or self.make_token()
        return top

    def make_token(self) -> str:
        return self.manage("token", "create", "--tenant", "demo", "--user", "admin").splitlines()[-1]

    def stop(self, top: subprocess.Popen[bytes]) -> int:
        """End a command as Ctrl-C does and return its exit status."""
        top.send_signal(signal.SIGINT)
        return top.wait(timeout=40)

    def _answers(self, top: subprocess.Popen[bytes]) -> bool:
        assert top.poll() is None, self.log
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.address}/healthz", timeout=2).status_code == 200
        return False

    def api(self, method: str, path: str, **options: Any) -> Any:
        """Call the API and return the answer's JSON. Raises AssertionError with the body unless it is a 2xx."""
        response = self.request(method, path, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return httpx.request(
            method, f"{self.address}/api/v1/{path}", headers=headers, timeout=options.pop("timeout", 30), **options
        )

    def publish(self, document: Mapping[str, Any]) -> str:
        """Make and publish a workflow; return its id."""
        made: str = self.api("POST", "workflows/", json=document)["id"]
        self.api("POST", f"workflows/{made}/publish/", json={})
        return made

    def processes(self) -> list[Process]:
        """Return every living process of this installation, orphans too, by process id."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):
                environment = (entry / "environ").read_bytes()
                if f"{MARK}={self.mark}".encode() not in environment:
                    continue
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                arguments = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if fields[0] not in "ZX":
                    found.append(Process(int(entry.name), int(fields[1]), arguments))
        return sorted(found, key=lambda process: process.pid)

    def end(self) -> None:
        """Stop everything that was started."""
        for top in self.tops:
            if top.poll() is None:
                top.terminate()
        for top in self.tops:
            with suppress(subprocess.TimeoutExpired):
                top.wait(timeout=40)
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        for top in self.tops:
            top.wait(timeout=10)


@contextmanager
def product(*, keys: bool = False, first_start: bool = False, **environment: str) -> Iterator[Product]:
    """Yield an installation in a folder of its own, not started yet; afterwards nothing of it is left.

    On SQLite it is set up already, unless its ``first_start`` is what a test is about. ``keys`` gives it keys of its
    own in the environment.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrator-product-", ignore_cleanup_errors=True) as folder:
        mark = secrets.token_hex(8)
        values = {name: value for name, value in os.environ.items() if name not in _CLEARED}
        values |= {"DATA_DIR": folder, MARK: mark, "ORCHESTRATOR_ADMIN_PASSWORD": PASSWORD, "PYTHONWARNINGS": "default"}
        if keys:
            vault_key = base64.urlsafe_b64encode(os.urandom(32)).decode()
            values |= {"SECRET_KEY": secrets.token_urlsafe(50), "VAULT_KEYS": vault_key}
        values |= environment
        found = Product(folder=Path(folder), port=free_port(), environment=values, mark=mark)
        if not first_start and not keys and "DATABASE_URL" not in environment:
            found.token = _put(found.folder, _set_up())
        try:
            yield found
        finally:
            found.end()


@cache
def _set_up() -> tuple[dict[str, bytes], str]:
    """Set an installation up once; return its files and a token. It takes seconds of migrations and commands."""
    with product(first_start=True) as found:
        found.manage("setup", "--no-demo")
        token = found.make_token()
        return {path.name: path.read_bytes() for path in found.folder.iterdir() if path.is_file()}, token


def _put(folder: Path, made: tuple[dict[str, bytes], str]) -> str:
    files, token = made
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    return token


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(met: Callable[[], Any], *, seconds: float, what: Callable[[], str] | str, every: float = 0.05) -> Any:
    """Wait until ``met`` returns something true and return that. Raises AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := met():
            return found
        time.sleep(every)
    raise AssertionError(f"Waited {seconds} s in vain for {what() if callable(what) else what}")


def step(key: str, action: str, inputs: Mapping[str, Any], **config: Any) -> dict[str, Any]:
    """Return a step of a workflow's document."""
    return {"key": key, "action": action, "config": {"inputs": dict(inputs), **config}}


def workflow(name: str, steps: Sequence[Mapping[str, Any]], **rest: Any) -> dict[str, Any]:
    """Return a workflow's document with a webhook and a manual trigger."""
    triggers = [{"key": "hook", "type": "webhook", "config": {}}, {"key": "hand", "type": "manual", "config": {}}]
    return {"name": name, "triggers": triggers, "steps": list(steps), **rest}

"""What stops ``up``, ``web`` and ``worker`` before they start: one sentence that says what to do, no traceback."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from pytest_django import Settings

from orchestrator import env
from orchestrator.management import serving
from tests.product import free_port

Environment = dict[str, str]

ALL_INTERFACES = "0.0.0.0"  # noqa: S104  (what is refused)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment of an installation that is set up, with self-made keys."""
    folder = tmp_path_factory.mktemp("prepared")
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder)}
    done = manage(environment, "setup", "--no-demo")
    assert done.returncode == 0, done.stderr
    return environment


def manage(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(env.ROOT / "manage.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refusal(environment: Environment, *arguments: str, status: int) -> str:
    """Return the one sentence that a command ends with."""
    done = manage(environment, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(("command", "host"), [("up", ALL_INTERFACES), ("web", "::"), ("web", "192.0.2.1")])
def test_with_self_made_keys_the_web_listens_on_loopback_alone(command: str, host: str, prepared: Environment) -> None:
    sentence = refusal(prepared, command, "--host", host, "--port", str(free_port()), status=1)
    assert sentence.startswith("CommandError: The keys were made by this machine")
    assert f"not on {host}: set SECRET_KEY and VAULT_KEYS" in sentence


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("command", ["up", "web"])
def test_a_port_that_is_in_use_is_told(command: str, taken: int, prepared: Environment) -> None:
    sentence = refusal(prepared, command, "--port", str(taken), status=1)
    assert sentence == (
        f"CommandError: Port {taken} of 127.0.0.1 cannot be used (Address already in use): stop what uses it, or "
        "choose another with --port."
    )


def test_up_looks_at_the_port_before_it_makes_anything(taken: int, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    assert "cannot be used" in refusal(environment, "up", "--port", str(taken), status=1)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".sqlite3" and path.stat().st_size]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", ""])
def test_what_is_no_port_is_told(port: str) -> None:
    with pytest.raises(CommandError, match="argument --port: invalid"):
        call_command("web", f"--port={port}")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "\N{GREEK SMALL LETTER ALPHA}" * 70, "a..b"])
def test_a_host_that_is_no_address_is_told(host: str, settings: Settings) -> None:
    settings.ENV = dataclasses.replace(django_settings.ENV, keys_are_self_made=False)
    with pytest.raises(CommandError, match="is no address of this machine: use an address like 127"):
        serving.web_group(host, 8000, {})


def test_an_address_of_another_machine_is_told(settings: Settings) -> None:
    settings.ENV = dataclasses.replace(django_settings.ENV, keys_are_self_made=False)
    with pytest.raises(CommandError, match=r"Port 8000 of 192\.0\.2\.1 cannot be used"):
        serving.web_group("192.0.2.1", 8000, {})


def test_a_reserved_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, address: object, /) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(CommandError, match=r"^Port 80 is reserved for the system: choose one above 1023 with --port"):
        serving.web_group("127.0.0.1", 80, {})


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        (ALL_INTERFACES, "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_the_address_that_is_shown_can_be_opened(host: str, address: str) -> None:
    assert serving.shown(host, 8000) == address


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        (ALL_INTERFACES, False),
        ("x", False),
    ],
)
def test_what_counts_as_loopback(host: str, is_loopback: bool) -> None:
    assert serving._is_loopback(host) is is_loopback


@pytest.mark.parametrize("command", ["web", "worker"])
def test_without_keys_they_end_with_status_2(command: str, tmp_path: Path) -> None:
    sentence = refusal({"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}, command, status=2)
    assert sentence == (
        f"orchestrator: `{command}` needs SECRET_KEY and VAULT_KEYS, which is not set: run `python manage.py setup` "
        "once to have them made."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["web", "worker"])
def test_a_database_that_is_not_set_up_is_told(command: str, prepared: Environment, tmp_path: Path) -> None:
    shutil.copy(Path(prepared["DATA_DIR"]) / env.KEYS_FILE, tmp_path)
    port = ["--port", str(free_port())] if command == "web" else []
    sentence = refusal({**prepared, "DATA_DIR": str(tmp_path)}, command, *port, status=1)
    assert sentence == ("CommandError: The database is not set up for this version: run `python manage.py setup` once.")


@pytest.mark.parametrize("command", ["web", "worker", "up"])
def test_a_database_that_is_away_is_told_without_its_password(command: str, prepared: Environment) -> None:
    keys = dict(
        line.split("=", 1) for line in (Path(prepared["DATA_DIR"]) / env.KEYS_FILE).read_text().splitlines()[1:]
    )
    environment = {**prepared, **keys, "DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/x"}
    port = [] if command == "worker" else ["--port", str(free_port())]
    sentence = refusal(environment, command, *port, status=1)
    assert sentence.startswith("CommandError: The database cannot be used (connection failed")
    assert "secret" not in sentence


@pytest.mark.parametrize("count", ["0", "-1", "many"])
@pytest.mark.parametrize("command", ["up", "worker"])
def test_a_number_of_workers_that_is_none_is_told(command: str, count: str) -> None:
    with pytest.raises(CommandError, match="is not a positive whole number"):
        call_command(command, f"--workers={count}")


def test_the_number_of_workers_reaches_the_group() -> None:
    assert serving.worker_group({}, workers=3).environment["WORKERS"] == "3"
    assert "WORKERS" not in serving.worker_group({}, workers=None).environment
    assert serving.worker_group({}, workers=None).silent_seconds == serving.SILENT_SECONDS

"""The doctor: what it says of each part, that it fails when one does, and that nothing broken stops it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings

from orchestrator import checks, doctor, env
from orchestrator.tenants.models import Tenant
from orchestrator.vault import crypto
from orchestrator.workflows.models import Trigger, Workflow
from runs import doorbell
from runs.clock import DatabaseClock
from runs.models import Run, WorkerBeat
from tests.runs.ground import make_workflow, start

RANDOM = bytes(range(32))
SUBJECTS = ["database", "broker", "keys", "secrets", "clock", "workers", "disk", "address", "settings"]

Found = dict[str, list[tuple[str, str]]]


def found() -> Found:
    """Return what the doctor says of each subject: states and texts."""
    said: Found = {}
    for finding in doctor.examine():
        said.setdefault(finding.subject, []).append((finding.state.value, finding.text))
    return said


@pytest.fixture
def change(settings: Settings) -> Callable[..., None]:
    """Return a function that changes the operator's settings, which are good to begin with."""

    def changed(**changes: Any) -> None:
        settings.ENV = dataclasses.replace(django_settings.ENV, **changes)

    changed(vault_keys=(RANDOM,), workers=1)
    return changed


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant)


def test_a_good_installation_has_a_line_for_each_part_and_exits_0(db: None, change: Callable[..., None]) -> None:
    output = StringIO()
    call_command("doctor", stdout=output, no_color=True)
    lines = [line.split(maxsplit=2) for line in output.getvalue().splitlines()]
    assert [(line[0], line[1]) for line in lines] == [("ok", subject) for subject in SUBJECTS]
    assert all(line[2].endswith(".") for line in lines)


def test_a_part_that_fails_makes_the_exit_status_1(db: None, change: Callable[..., None]) -> None:
    change(secret_key=None)
    output = StringIO()
    with pytest.raises(CommandError, match=r"^1 of the above must be put right\.$") as caught:
        call_command("doctor", stdout=output, no_color=True)
    assert caught.value.returncode == 1
    assert "fail  keys      There are no keys." in output.getvalue()


def test_a_warning_does_not_make_it_fail(db: None, change: Callable[..., None]) -> None:
    change(base_url="http://flows.example.com")
    output = StringIO()
    call_command("doctor", stdout=output, no_color=True)
    assert "warn  address" in output.getvalue()


def test_a_database_that_is_away_leaves_the_rest_to_be_looked_at(
    db: None, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(doctor, "_write_nothing", away)
    said = found()
    assert list(said) == SUBJECTS
    state, text = said["database"][0]
    assert state == "fail"
    assert "connection refused" in text
    for subject in ("secrets", "clock", "workers"):
        assert said[subject] == [("warn", "Unknown while the database cannot be asked: see above.")]
    assert {said[subject][0][0] for subject in ("keys", "disk", "address", "settings")} == {"ok"}


def test_a_database_that_leaves_half_way_is_told_and_not_raised(
    db: None, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> list[Any]:
        raise OperationalError("server closed the connection unexpectedly")

    # The connection stays: it is the one of this test's own transaction.
    monkeypatch.setattr(connection, "close", lambda: None)
    monkeypatch.setattr(doctor, "key_use", away)
    said = found()
    assert said["secrets"][0][0] == "fail"
    assert "server closed the connection" in said["secrets"][0][1]
    assert said["workers"][0][0] == "ok"


def test_a_check_that_breaks_is_a_line_too(
    db: None, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(shutil, "disk_usage", broken)
    assert found()["disk"] == [("fail", "This could not be looked at (RuntimeError: unforeseen).")]


def test_migrations_that_are_missing_are_told(
    db: None, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_missing_migrations", lambda: 3)
    said = found()
    assert said["database"] == [
        ("fail", "The database is not of this version: 3 migrations are missing. Run `python manage.py setup`.")
    ]
    assert said["workers"][0][0] == "warn"


@pytest.fixture
def sqlite(db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("about the file of SQLite")


def test_a_journal_that_is_not_wal_is_a_warning(
    sqlite: None, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor._journal_mode() == "wal"
    monkeypatch.setattr(doctor, "_journal_mode", lambda: "delete")
    assert [state for state, _ in found()["database"]] == ["warn", "ok"]


def test_a_file_that_cannot_be_written_to_is_told(
    sqlite: None, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(connection.settings_dict["NAME"])
    monkeypatch.setattr(os, "access", lambda asked, mode: asked != path)
    assert found()["database"] == [
        ("fail", f"{path} cannot be written to by this user. Correct its rights, or DATABASE_URL.")
    ]


@pytest.mark.parametrize(
    ("error", "reason"), [(ConnectionError("timed out"), "timed out"), (ValueError(), "ValueError")]
)
def test_a_broker_that_is_away_is_told(
    error: Exception, reason: str, db: None, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> str:
        raise error

    monkeypatch.setattr(doorbell, "broker_state", away)
    monkeypatch.setattr(doctor, "_unreachable", lambda url: None)
    change(redis_url="redis://:secret@cache:6379/0")
    state, text = found()["broker"][0]
    assert (state, f"({reason})" in text, "secret" in text) == ("fail", True, False)


def test_a_server_whose_port_is_closed_is_told_without_its_password(db: None, change: Callable[..., None]) -> None:
    change(redis_url="redis://:secret@127.0.0.1:1/0")
    state, text = found()["broker"][0]
    assert state == "fail"
    assert text.startswith("Nothing answers at 127.0.0.1:1 ")
    assert "secret" not in text


@pytest.mark.parametrize("url", ["unix:///run/redis.sock", "postgresql:///orchestrator", "postgresql://%2Frun/x"])
def test_a_socket_in_the_file_system_has_no_port_to_try(url: str) -> None:
    assert doctor._unreachable(url) is None


def test_keys_of_this_machine_are_to_be_kept(db: None, change: Callable[..., None], tmp_path: Path) -> None:
    path = env.make_keys(tmp_path)
    change(data_dir=tmp_path, keys_are_self_made=True, database_url="sqlite:////srv/x.sqlite3")
    assert found()["keys"] == [
        ("ok", f"Made by this machine, in {path}: keep a copy with the backups of the database.")
    ]
    path.chmod(0o644)
    assert found()["keys"][0] == (
        "warn",
        f"{path} can be read by other users of this machine. Run `chmod 600 {path}`.",
    )


@pytest.mark.parametrize(
    ("url", "remedy"), [("sqlite:////srv/x.sqlite3", "setup"), ("postgresql://db/x", "in the environment of each")]
)
def test_without_keys_it_says_where_they_come_from(url: str, remedy: str, change: Callable[..., None]) -> None:
    change(vault_keys=(), database_url=url)
    (said,) = doctor.keys()
    assert said[0] == "fail"
    assert remedy in said[1]


def test_a_secret_whose_key_is_not_there_is_a_failure_and_an_old_key_a_warning(
    workflow: Workflow, change: Callable[..., None], settings: Settings
) -> None:
    old, new = b"o" * 32, b"n" * 32
    settings.VAULT_KEYS = (old,)
    trigger = Trigger(tenant=workflow.tenant, workflow=workflow, key="hook", type="webhook")
    sealed = crypto.seal(b"address", tenant_id=workflow.tenant_id, context=f"trigger:{trigger.pk}")
    trigger.address_sealed, trigger.address_key_id = sealed.blob, sealed.key_id
    trigger.save()
    assert found()["secrets"] == [("ok", "All 1 sealed values are under the first key.")]
    settings.VAULT_KEYS = (new, old)
    ((state, text),) = found()["secrets"]
    assert (state, "vault rotate" in text) == ("warn", True)
    settings.VAULT_KEYS = (new,)
    ((state, text),) = found()["secrets"]
    assert state == "fail"
    assert text.startswith(f"1 sealed values of trigger need the key {crypto.key_id(old)}, which is not in VAULT_KEYS.")


@pytest.mark.parametrize(
    ("seconds", "state", "word"), [(0.4, "ok", "behind"), (-5, "warn", "ahead"), (90, "fail", "behind")]
)
def test_clocks_that_differ_are_told(
    seconds: float, state: str, word: str, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def server(self: DatabaseClock) -> None:
        self._ahead = timedelta(seconds=seconds)

    monkeypatch.setattr(DatabaseClock, "synchronise", server)
    monkeypatch.setattr(connection, "vendor", "postgresql", raising=False)
    ((found_state, text),) = doctor.clock()
    assert found_state == state
    assert f"{abs(seconds):.1f} s {word}" in text


def test_runs_that_nobody_drives_are_a_failure_and_busy_drivers_a_warning(
    workflow: Workflow, change: Callable[..., None]
) -> None:
    run = start(workflow)
    assert found()["workers"][0][0] == "ok", "it has not waited for long"
    Run.unscoped.filter(pk=run.pk).update(wake_at=timezone.now() - timedelta(seconds=75))
    ((state, text),) = found()["workers"]
    assert state == "fail"
    assert text.startswith("1 runs wait, the longest for 75 s, and no worker drives them.")
    beat = WorkerBeat.objects.create(name="a", host="h", pid=1, beat_at=timezone.now(), active_runs=100)
    ((state, text),) = found()["workers"]
    assert (state, "behind 100 others" in text) == ("warn", True)
    WorkerBeat.objects.filter(pk=beat.pk).update(beat_at=timezone.now() - timedelta(minutes=1))
    assert found()["workers"][0][0] == "fail", "a driver that is silent does not live"


def test_runs_of_a_worker_that_ended_are_told(workflow: Workflow, change: Callable[..., None]) -> None:
    run = start(workflow)
    Run.unscoped.filter(pk=run.pk).update(
        status="running", wake_at=None, lease_owner="x", lease_expires_at=timezone.now() - timedelta(minutes=1)
    )
    ((state, text),) = found()["workers"]
    assert state == "fail"
    assert text.startswith("1 runs were left by a worker that ended.")


@pytest.mark.parametrize(("megabytes", "state"), [(5_000, "ok"), (500, "warn"), (50, "fail")])
def test_a_disk_that_fills_is_told(
    megabytes: int,
    state: str,
    change: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(megabytes * 1024 * 1024))
    change(data_dir=tmp_path / "not" / "made" / "yet")
    assert {found_state for found_state, _ in doctor.disk()} == {state}


def test_every_system_check_has_its_line_in_one_place(change: Callable[..., None]) -> None:
    change(allowed_hosts=("*",), workers=100_000, base_url="https://flows.example.com")
    assert [state for state, _ in doctor.address()] == ["warn"]
    assert ["WORKERS" in text for _, text in doctor.other_settings()] == [True]
    assert set(checks.CHECKS) >= doctor._ELSEWHERE


def run_it(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(env.ROOT / "manage.py"), "doctor"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_before_the_first_start_it_says_what_to_do_and_makes_nothing(tmp_path: Path) -> None:
    done = run_it(DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"There is no database at {tmp_path}/orchestrator.sqlite3 yet. Run `python manage.py setup`." in done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["postgresql://u:secret@127.0.0.1:1/x", "sqlite:///{folder}/garbage"])
def test_a_database_that_cannot_be_used_gives_lines_and_no_traceback(url: str, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_text("no database at all\n" * 100)
    done = run_it(DATA_DIR=str(tmp_path), DATABASE_URL=url.format(folder=tmp_path))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith("fail  database")
    assert [line.split()[1] for line in done.stdout.splitlines()] == SUBJECTS
    assert "Traceback" not in done.stdout + done.stderr
    assert "secret@" not in done.stdout + done.stderr


def test_a_data_folder_that_cannot_be_made_ends_it_with_one_sentence() -> None:
    done = run_it(DATA_DIR="/proc/no/such/folder")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "/proc/no/such/folder cannot be made" in done.stderr

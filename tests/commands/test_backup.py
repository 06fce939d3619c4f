"""``backup`` takes no file's place and leaves nothing half made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from orchestrator.tenants.models import Tenant

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL is backed up with its own tools"),
]


def test_it_holds_what_was_committed(tenant: Tenant, tmp_path: Path) -> None:
    out = StringIO()
    call_command("backup", str(tmp_path / "copy"), stdout=out)
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT slug FROM tenants_tenant").fetchall() == [("acme",)]
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert "keys.env" not in out.getvalue(), "keys that the operator gave lie elsewhere"


def test_a_file_that_is_there_stays_as_it_is(tenant: Tenant, tmp_path: Path) -> None:
    there = tmp_path / "copy"
    there.write_text("older")
    with pytest.raises(CommandError, match="is there already: choose another name"):
        call_command("backup", str(there))
    assert there.read_text() == "older"
    assert list(tmp_path.iterdir()) == [there]


def test_a_place_that_cannot_be_written_is_named(tenant: Tenant, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot be written \(No such file or directory\)"):
        call_command("backup", str(tmp_path / "away" / "copy"))


def test_a_database_is_found_whatever_its_folder_is_called(
    tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a?b#c %41"
    folder.mkdir()
    source = folder / "db.sqlite3"
    with closing(sqlite3.connect(source)) as made:
        made.execute("CREATE TABLE here (x)")
        made.commit()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", source)
    call_command("backup", str(tmp_path / "copy"), stdout=StringIO())
    with closing(sqlite3.connect(tmp_path / "copy")) as copy:
        assert copy.execute("SELECT name FROM sqlite_master").fetchall() == [("here",)]

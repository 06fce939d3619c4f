"""``backup``: a copy of an SQLite database that is whole although the product goes on meanwhile."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from orchestrator.env import KEYS_FILE
from orchestrator.management.terminal import TerminalCommand


class Command(TerminalCommand):
    help = "Copy the SQLite database to a file while the product runs. PostgreSQL has pg_dump for that."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="where to: a file that is not there yet")

    def work(self, options: dict[str, Any]) -> None:
        target: Path = options["file"]
        if not settings.ENV.uses_sqlite:
            raise CommandError("This database is a PostgreSQL server: back it up with `pg_dump --format=custom`.")
        source = Path(str(settings.DATABASES["default"]["NAME"]))
        if not source.exists():
            raise CommandError(f"There is no database in {source} yet: run `python manage.py setup` once.")
        _copy(source, target)
        keys = settings.ENV.data_dir / KEYS_FILE
        self.stdout.write(f"{target} holds the database, {target.stat().st_size:,} bytes.")
        if settings.ENV.keys_are_self_made:
            self.stdout.write(f"Keep a copy of {keys} too, in another place: without it no credential can be read.")


def _copy(source: Path, target: Path) -> None:
    """Copy a database, whole or not at all. Raises CommandError with what to do."""
    # Secrets in it are sealed, and still it is nobody else's.
    part = target.with_name(f".{target.name}.part")
    try:
        if target.exists():
            raise FileExistsError
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        there = target if target.exists() else part
        raise CommandError(f"{there} is there already: choose another name, or remove it first.") from None
    except OSError as error:
        raise CommandError(f"{target} cannot be written ({error.strerror}): choose another place.") from None
    try:
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as read,
            closing(sqlite3.connect(part)) as made,
        ):
            read.backup(made)
        # A link, unlike a rename, takes no other file's place.
        os.link(part, target)
    except (OSError, sqlite3.Error) as error:
        raise CommandError(f"The copy failed ({error}), and nothing was left: is there room?") from None
    finally:
        part.unlink()

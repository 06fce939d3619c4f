"""What ``doctor`` looks at: each part of an installation, in one line that says how it is and what to do.

Every check stands alone: one that cannot be carried out says so, and the others still run.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import ERROR
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Sum
from django.utils import timezone

from orchestrator import checks, env, health
from orchestrator.vault.rotation import key_use
from runs import doorbell
from runs.clock import DatabaseClock
from runs.models import Run, WorkerBeat

_SETUP: Final = "Run `python manage.py setup`."
_PORTS: Final = {"postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379}
_REACH_SECONDS: Final = 5.0
# Due times are written by the clocks of all hosts: a difference of seconds delays runs, one of minutes loses leases.
_APART: Final = timedelta(seconds=2)
_MEGABYTE: Final = 1024 * 1024
_TIGHT_BYTES: Final = 1024 * _MEGABYTE
_FULL_BYTES: Final = 100 * _MEGABYTE


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it is, and what to do unless all is well."""

    subject: str
    state: State
    text: str


Said: TypeAlias = tuple[State, str]


def examine() -> Iterator[Finding]:
    """Yield what each check finds, as it finds it; raises nothing, whatever is broken."""
    is_there = True
    for subject, check, asks_database in _CHECKS:
        said: Iterable[Said]
        if asks_database() and not is_there:
            said = [(State.WARN, "Unknown while the database cannot be asked: see above.")]
        else:
            said = _carried_out(check)
        for state, text in said:
            # Only an answering database that is set up has the tables that the others ask.
            is_there = is_there and not (check is database and state is State.FAIL)
            yield Finding(subject=subject, state=state, text=" ".join(text.split()))


def _carried_out(check: Callable[[], Iterator[Said]]) -> Iterator[Said]:
    try:
        yield from check()
    except DatabaseError as error:
        connection.close()
        yield State.FAIL, f"The database refused ({_reason(error)}). Check DATABASE_URL. {_SETUP}"
    except Exception as error:
        # The doctor is for installations in which anything may be broken.
        yield State.FAIL, f"This could not be looked at ({type(error).__name__}: {_reason(error)})."


def database() -> Iterator[Said]:
    """Reachable, writable and of this version."""
    if problem := (_file_problem() if connection.vendor == "sqlite" else _unreachable(settings.ENV.database_url)):
        yield State.FAIL, problem
        return
    try:
        _write_nothing()
        missing = _missing_migrations()
    except DatabaseError as error:
        connection.close()
        yield State.FAIL, f"The database cannot be used ({_reason(error)}). Check DATABASE_URL and its rights."
        return
    if missing:
        yield State.FAIL, f"The database is not of this version: {missing} migrations are missing. {_SETUP}"
        return
    if connection.vendor == "sqlite" and (mode := _journal_mode()) != "wal":
        yield (
            State.WARN,
            f"{_database_name()} is in journal mode {mode}, not WAL, so readers and writers wait for one another. "
            "Put DATA_DIR on a disk of this machine.",
        )
    yield State.OK, f"{connection.display_name} answers, can be written to and is of this version: {_database_name()}."


def _file_problem() -> str | None:
    path = Path(connection.settings_dict["NAME"])
    if not path.exists():
        return f"There is no database at {path} yet. {_SETUP}"
    for needed in (path, path.parent):
        if not os.access(needed, os.W_OK):
            return f"{needed} cannot be written to by this user. Correct its rights, or DATABASE_URL."
    return None


def _write_nothing() -> None:
    """Raise DatabaseError where nothing could be written: a file of others, a replica, a lock that is held."""
    with transaction.atomic(), connection.cursor() as cursor:  # on SQLite it begins with the lock for writing
        if connection.vendor == "postgresql":
            cursor.execute("SHOW transaction_read_only")
            if cursor.fetchone()[0] == "on":
                raise DatabaseError("it takes no writes, like a replica")


def _missing_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _journal_mode() -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        return str(cursor.fetchone()[0])


def _database_name() -> str:
    return str(connection.settings_dict["NAME"])


def broker() -> Iterator[Said]:
    """Whether the doorbell can be rung. Without it runs wait for a ticker's next look, and are not lost."""
    url = settings.ENV.redis_url
    if url and (problem := _unreachable(url)):
        yield State.FAIL, f"{problem} Check REDIS_URL."
        return
    try:
        name = doorbell.broker_state()
    except DatabaseError:
        raise
    except Exception as error:
        yield State.FAIL, f"The broker does not answer ({_reason(error)}). Check REDIS_URL and that server."
        return
    yield State.OK, f"The broker answers: {name}."


def keys() -> Iterator[Said]:
    """Whether there are keys, and whether others may read the file that holds them."""
    environment = settings.ENV
    if not environment.has_keys:
        remedy = _SETUP if environment.uses_sqlite else "Set SECRET_KEY and VAULT_KEYS in the environment of each host."
        yield State.FAIL, f"There are no keys. {remedy}"
        return
    yield from _of_checks(checks.keys_self_made, checks.keys_readable, checks.vault_keys_weak)
    if environment.keys_are_self_made:
        path = environment.data_dir / env.KEYS_FILE
        yield State.OK, f"Made by this machine, in {path}: keep a copy with the backups of the database."
    else:
        yield State.OK, "Set by the operator."


def sealed_values() -> Iterator[Said]:
    """Whether each saved secret can be opened with the keys that there are."""
    uses = [use for use in key_use() if use.values]
    for use in uses:
        what = f"{use.values} sealed values of {use.column} need the key {use.key_id}"
        if not use.known:
            yield State.FAIL, f"{what}, which is not in VAULT_KEYS. Add it back, behind the first one."
        elif not use.first:
            yield State.WARN, f"{what}, which is not the first. Run `python manage.py vault rotate` before it goes."
    if all(use.first for use in uses):
        yield State.OK, f"All {sum(use.values for use in uses)} sealed values are under the first key."


def clock() -> Iterator[Said]:
    """The database server's clock against this host's."""
    if connection.vendor == "sqlite":
        yield State.OK, "The database has this machine's own clock."
        return
    server = DatabaseClock()
    server.synchronise()
    apart = server.now() - timezone.now()
    what = f"This machine's clock is {abs(apart).total_seconds():.1f} s {'behind' if apart > timedelta(0) else 'ahead'}"
    if abs(apart) > _APART:
        state = State.FAIL if abs(apart) > health.FAR_APART else State.WARN
        yield state, f"{what} of the database server's, so runs start late. Have both set by NTP."
    else:
        yield State.OK, f"{what}, which does not matter."


def workers() -> Iterator[Said]:
    """Whether runs that are due have somebody who drives them."""
    now = timezone.now()
    live = WorkerBeat.objects.filter(beat_at__gte=now - health.LIVE)
    drivers, active = live.count(), live.aggregate(sum=Sum("active_runs"))["sum"] or 0
    late = Run.unscoped.filter(wake_at__lt=now - health.LATE)
    oldest = late.order_by("wake_at").values_list("wake_at", flat=True).first()
    abandoned = Run.unscoped.filter(lease_expires_at__lt=now - health.LATE).count()
    if oldest is not None:
        what = f"{late.count()} runs wait, the longest for {(now - oldest).total_seconds():,.0f} s"
        if drivers:
            yield State.WARN, f"{what}, behind {active} others. Start more workers: `python manage.py worker`."
        else:
            yield State.FAIL, f"{what}, and no worker drives them. Start one: `python manage.py worker`."
    if abandoned:
        state = State.WARN if drivers else State.FAIL
        yield state, f"{abandoned} runs were left by a worker that ended. Start one: `python manage.py worker`."
    if oldest is None and not abandoned:
        yield State.OK, f"No run waits for a worker; {drivers} drivers are at work on {active} runs."


def disk() -> Iterator[Said]:
    """Room where this machine keeps what it writes."""
    if found := list(_of_checks(checks.data_dir_unwritable)):
        yield from found
        return
    folders = {settings.ENV.data_dir}
    if connection.vendor == "sqlite":
        folders.add(Path(connection.settings_dict["NAME"]).parent)
    for folder in sorted(folders):
        there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        free = shutil.disk_usage(there).free
        what = f"{free // _MEGABYTE:,} MB are free at {folder}"
        if free < _TIGHT_BYTES:
            state = State.FAIL if free < _FULL_BYTES else State.WARN
            yield state, f"{what}. Make room, or keep runs for less long: `python manage.py prune`."
        else:
            yield State.OK, f"{what}."


def address() -> Iterator[Said]:
    """Under which names the product is reached, and whether it knows them."""
    found = list(_of_checks(*_ADDRESS_CHECKS))
    yield from found
    if not found:
        hosts = ", ".join(settings.ENV.allowed_hosts) or "those of BASE_URL and of this machine"
        base = settings.ENV.base_url or "not set, so links lead to where `up` listens"
        yield State.OK, f"BASE_URL is {base}; allowed hosts: {hosts}."


def other_settings() -> Iterator[Said]:
    """The system checks that no other line here stands for."""
    found = list(_of_checks(*(check for check in checks.CHECKS if check not in _ELSEWHERE)))
    yield from found
    if not found:
        yield State.OK, "Nothing else to correct."


_ADDRESS_CHECKS: Final = (
    checks.debug_in_public,
    checks.base_url_plain,
    checks.base_url_missing,
    checks.allowed_hosts_open,
)
_ELSEWHERE: Final = frozenset(
    {
        *_ADDRESS_CHECKS,
        checks.keys_self_made,
        checks.keys_readable,
        checks.vault_keys_weak,
        checks.data_dir_unwritable,
    }
)


def _of_checks(*wanted: checks.Check) -> Iterator[Said]:
    for check in wanted:
        for message in check(settings.ENV):
            state = State.FAIL if message.level >= ERROR else State.WARN
            yield state, f"{message.msg} {message.hint or ''}"


def _unreachable(url: str) -> str | None:
    """Return why a server's port cannot be reached within seconds: its own client might try for minutes."""
    parts = urlsplit(url)
    if not parts.hostname or parts.hostname.lower().startswith("%2f"):
        return None
    place = (parts.hostname, parts.port or _PORTS[parts.scheme])
    try:
        socket.create_connection(place, timeout=_REACH_SECONDS).close()
    except (OSError, UnicodeError) as error:
        return f"Nothing answers at {place[0]}:{place[1]} ({_reason(error)}). Start it, or correct its address."
    return None


def _reason(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _always() -> bool:
    return True


def _never() -> bool:
    return False


def _is_broker_database() -> bool:
    return not settings.ENV.redis_url


_CHECKS: Final[tuple[tuple[str, Callable[[], Iterator[Said]], Callable[[], bool]], ...]] = (
    ("database", database, _never),
    ("broker", broker, _is_broker_database),
    ("keys", keys, _never),
    ("secrets", sealed_values, _always),
    ("clock", clock, _always),
    ("workers", workers, _always),
    ("disk", disk, _never),
    ("address", address, _never),
    ("settings", other_settings, _never),
)

"""The database itself refuses a row that points to another tenant's row.

For every foreign key between two tenant-owned tables a trigger looks the target up by its primary key and compares
tenants; another one keeps a row in the tenant it was made in. The triggers are written from the models and put in
place after every ``migrate``: SQLite drops a table's triggers when Django remakes the table, and refuses to rename
tables while a trigger names a missing one, so there they are taken away before the migrations and come back after.

The target's absence is left to the foreign key, which is checked at the end of the transaction: rows that point to
each other, as in a restored dump, may arrive in any order. ``mismatches`` finds what no trigger saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from orchestrator.tenants.scoping import TenantOwned

# In the name of every trigger and in the message of every refusal.
PREFIX: Final = "tenant_guard"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A foreign key from one tenant-owned table to another, by column names."""

    column: str
    target: str
    target_key: str


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """A tenant-owned table and where it points to."""

    table: str
    references: tuple[Reference, ...]


def guarded_tables() -> tuple[Guarded, ...]:
    """Return every tenant-owned table with its references to tenant-owned tables, by name."""
    owned = [model for model in apps.get_models() if issubclass(model, TenantOwned) and model._meta.managed]
    found = (Guarded(table=model._meta.db_table, references=tuple(_references(model))) for model in owned)
    return tuple(sorted(found, key=lambda guarded: guarded.table))


def remove_before_migrations(*, using: str, plan: Sequence[object], **_: Any) -> None:
    """Take the triggers away where they would stand in the way of remaking a table (SQLite)."""
    connection = connections[using]
    if plan and connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for name, found in _Sqlite.installed(cursor).items():
                cursor.execute(_Sqlite.removal(name, found.table))


def install_after_migrations(*, using: str, **_: Any) -> None:
    """Put the triggers (back) in place."""
    install(using)


def install(using: str = "default") -> None:
    """Put every trigger in place and take away those that nothing asks for; does nothing where all is well."""
    connection = connections[using]
    dialect = _DIALECTS[connection.vendor]
    wanted = _wanted(dialect, set(connection.introspection.table_names()))
    with connection.cursor() as cursor:
        there = dialect.installed(cursor)
        for name in there.keys() - wanted.keys():
            cursor.execute(dialect.removal(name, there[name].table))
        for name, statements in wanted.items():
            if name not in there or there[name].source != dialect.source(statements):
                for statement in statements:
                    cursor.execute(statement)


def _wanted(dialect: type[_Sqlite] | type[_Postgres], tables: set[str]) -> dict[str, tuple[str, ...]]:
    """Return the statements of each trigger whose tables are all there: a migration may have stopped halfway."""
    wanted: dict[str, tuple[str, ...]] = {}
    for guarded in guarded_tables():
        if tables.issuperset((guarded.table, *(reference.target for reference in guarded.references))):
            wanted |= dialect.statements(guarded)
    return wanted


def mismatches(using: str = "default") -> list[tuple[str, str, int]]:
    """Return (table, column, rows) for each reference that leads into another tenant; empty when all is well."""
    connection = connections[using]
    found = []
    with connection.cursor() as cursor:
        for guarded in guarded_tables():
            for reference in guarded.references:
                cursor.execute(_mismatch_query(connection, guarded.table, reference))
                count = cursor.fetchone()[0]
                if count:
                    found.append((guarded.table, reference.column, count))
    return found


def _references(model: type[models.Model]) -> Iterator[Reference]:
    for field in model._meta.local_concrete_fields:
        target: Any = field.related_model
        if isinstance(field, models.ForeignKey) and isinstance(target, type) and issubclass(target, TenantOwned):
            yield Reference(
                column=field.column, target=target._meta.db_table, target_key=field.target_field.column or "id"
            )


def _mismatch_query(connection: BaseDatabaseWrapper, table: str, reference: Reference) -> str:
    quote = connection.ops.quote_name
    return (
        f"SELECT COUNT(*) FROM {quote(table)} a JOIN {quote(reference.target)} b"  # noqa: S608  (names of our models)
        f" ON a.{quote(reference.column)} = b.{quote(reference.target_key)} WHERE a.tenant_id <> b.tenant_id"
    )


def _tenant_of_target(reference: Reference) -> str:
    # The names are those of our models, not a person's.
    where = f'"{reference.target_key}" = NEW."{reference.column}"'
    return f'(SELECT tenant_id FROM "{reference.target}" WHERE {where})'  # noqa: S608


@dataclass(frozen=True)
class _Installed:
    table: str
    source: str


def _message(table: str, column: str) -> str:
    return f"{PREFIX}: {table}.{column} points to a row of another tenant"


def _moved(table: str) -> str:
    return f"{PREFIX}: a row of {table} cannot move to another tenant"


class _Sqlite:
    """Two triggers a table: one on insert, one on an update of the columns concerned."""

    @staticmethod
    def statements(guarded: Guarded) -> dict[str, tuple[str, ...]]:
        table = guarded.table
        checks = "".join(_Sqlite._check(table, reference) for reference in guarded.references)
        stays = f"SELECT RAISE(ABORT, '{_moved(table)}') WHERE NEW.tenant_id <> OLD.tenant_id;"
        columns = ", ".join(f'"{name}"' for name in ("tenant_id", *(r.column for r in guarded.references)))
        changed = f"{PREFIX}_{table}_update"
        made = {
            changed: (f'CREATE TRIGGER "{changed}" BEFORE UPDATE OF {columns} ON "{table}" BEGIN {stays}{checks} END',)
        }
        if checks:
            inserted = f"{PREFIX}_{table}_insert"
            made[inserted] = (f'CREATE TRIGGER "{inserted}" BEFORE INSERT ON "{table}" BEGIN {checks} END',)
        return {name: (f'DROP TRIGGER IF EXISTS "{name}"', *statements) for name, statements in made.items()}

    @staticmethod
    def _check(table: str, reference: Reference) -> str:
        refusal = f"RAISE(ABORT, '{_message(table, reference.column)}')"
        return f"SELECT {refusal} WHERE {_tenant_of_target(reference)} <> NEW.tenant_id;"

    @staticmethod
    def installed(cursor: CursorWrapper) -> dict[str, _Installed]:
        cursor.execute(
            "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE %s", [f"{PREFIX}%"]
        )
        return {name: _Installed(table, source) for name, table, source in cursor.fetchall()}

    @staticmethod
    def source(statements: tuple[str, ...]) -> str:
        return statements[-1]

    @staticmethod
    def removal(name: str, table: str) -> str:
        return f'DROP TRIGGER IF EXISTS "{name}"'


class _Postgres:
    """One function and one trigger a table."""

    @staticmethod
    def statements(guarded: Guarded) -> dict[str, tuple[str, ...]]:
        name = f"{PREFIX}_{guarded.table}"
        columns = ", ".join(f'"{c}"' for c in ("tenant_id", *(r.column for r in guarded.references)))
        return {
            name: (
                f'CREATE OR REPLACE FUNCTION "{name}"() RETURNS trigger LANGUAGE plpgsql AS '
                f"$guard${_Postgres._body(guarded)}$guard$",
                f'CREATE OR REPLACE TRIGGER "{name}" BEFORE INSERT OR UPDATE OF {columns} ON "{guarded.table}" '
                f'FOR EACH ROW EXECUTE FUNCTION "{name}"()',
            )
        }

    @staticmethod
    def _body(guarded: Guarded) -> str:
        stays = (
            "IF TG_OP = 'UPDATE' AND NEW.tenant_id <> OLD.tenant_id THEN "
            f"{_Postgres._refusal(_moved(guarded.table))} END IF; "
        )
        return f"BEGIN {stays}{''.join(_Postgres._check(guarded.table, r) for r in guarded.references)}RETURN NEW; END"

    @staticmethod
    def _check(table: str, reference: Reference) -> str:
        refusal = _Postgres._refusal(_message(table, reference.column))
        return (
            f'IF NEW."{reference.column}" IS NOT NULL AND {_tenant_of_target(reference)} <> NEW.tenant_id '
            f"THEN {refusal} END IF; "
        )

    @staticmethod
    def _refusal(message: str) -> str:
        # 23514 is a check constraint's code, so that Django raises IntegrityError as SQLite does.
        return f"RAISE EXCEPTION USING MESSAGE = '{message}', ERRCODE = '23514', CONSTRAINT = '{PREFIX}';"

    @staticmethod
    def installed(cursor: CursorWrapper) -> dict[str, _Installed]:
        cursor.execute(
            "SELECT t.tgname, c.relname, p.prosrc FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE NOT t.tgisinternal AND t.tgname LIKE %s AND n.nspname = ANY (current_schemas(false))",
            [f"{PREFIX}%"],
        )
        return {name: _Installed(table, source) for name, table, source in cursor.fetchall()}

    @staticmethod
    def source(statements: tuple[str, ...]) -> str:
        return statements[0].split("$guard$")[1]

    @staticmethod
    def removal(name: str, table: str) -> str:
        return f'DROP TRIGGER IF EXISTS "{name}" ON "{table}"'


_DIALECTS: Final[dict[str, type[_Sqlite] | type[_Postgres]]] = {"sqlite": _Sqlite, "postgresql": _Postgres}

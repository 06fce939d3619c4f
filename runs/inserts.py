"""Rows inserted without what the ORM costs a row; columns and defaults are read off the model, so none is missed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Final, TypeAlias

from django.db import connection, models

# One statement a number of rows is written and prepared once, so there are not many of them.
ROWS_A_STATEMENT: Final = 32
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]*")

Row: TypeAlias = Sequence[Any]
Field: TypeAlias = "models.Field[Any, Any]"


class Inserter:
    """Inserts rows of one model that bring the columns ``given``; every other column gets its default.

    A row is its values in the order of ``given``, as the database takes them: see ``prepared``. Several rows are one
    statement in which the defaults are written out, which costs SQLite least; PostgreSQL takes them by COPY, and with
    ``copied`` a single one as well.
    """

    def __init__(self, model: type[models.Model], given: Sequence[str], *, copied: bool = False) -> None:
        self._model, self._given, self._copied = model, tuple(given), copied
        self._statements: dict[tuple[int, bool], str] = {}
        unknown = set(given) - {field.attname for field in model._meta.concrete_fields}
        if unknown:
            raise ValueError(f"{model.__name__} has no columns {sorted(unknown)}")

    def prepared(self, name: str, value: Any) -> Any:
        """Return a value as the database takes it in the column ``name``."""
        return _prepared(self._fields[name], value)

    def insert(self, rows: Sequence[Row], *, again: bool = False) -> None:
        """Insert rows; call it in a transaction. With ``again`` those that are there already are passed over.

        Raises what the database says.
        """
        if self._made:
            rows = [(*row, *(make() for make in self._made.values())) for row in rows]
        # COPY knows no conflicts.
        if connection.vendor == "postgresql" and (self._copied or len(rows) > 1) and not again:
            self._copy(rows)
            return
        remaining = iter(rows)
        while some := list(islice(remaining, ROWS_A_STATEMENT)):
            _EXECUTE[connection.vendor](self._statement(len(some), again), [value for row in some for value in row])

    def _copy(self, rows: Sequence[Row]) -> None:
        """Insert by COPY in its binary form: a twentieth of the client's work, and a quarter of the server's."""
        constants = tuple(self._constants.values())
        statement = f"COPY {self._target} FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
            copy.set_types(self._types)
            for row in rows:
                copy.write_row((*row, *constants))

    def _statement(self, count: int, again: bool) -> str:
        """Return the statement that inserts ``count`` rows."""
        found = self._statements.get((count, again))
        if found is None:
            values = [_PLACE[connection.vendor]] * (len(self._given) + len(self._made))
            values += [_written_out(value) for value in self._constants.values()]
            rows = ", ".join([f"({', '.join(values)})"] * count)
            end = " ON CONFLICT DO NOTHING" if again else ""
            found = f"INSERT INTO {self._target} VALUES {rows}{end}"  # noqa: S608  (names and defaults of our models)
            self._statements[count, again] = found
        return found

    @cached_property
    def _target(self) -> str:
        """The table with its columns: those given, those made, the constants."""
        quote = connection.ops.quote_name
        columns = ", ".join(quote(self._fields[name].column or name) for name in self._names)
        return f"{quote(self._model._meta.db_table)} ({columns})"

    @property
    def _names(self) -> tuple[str, ...]:
        return *self._given, *self._made, *self._constants

    @cached_property
    def _types(self) -> tuple[str, ...]:
        """The columns' types as PostgreSQL calls them, in the order of a row."""
        return tuple((self._fields[name].db_type(connection) or "").partition("(")[0] for name in self._names)

    @cached_property
    def _fields(self) -> dict[str, Field]:
        return {field.attname: field for field in self._model._meta.concrete_fields}

    @cached_property
    def _defaulted(self) -> dict[str, Field]:
        """The fields that a row does not bring and that the database does not fill by itself."""
        return {
            name: field
            for name, field in self._fields.items()
            if name not in self._given and not field.has_db_default() and not field.generated
        }

    @cached_property
    def _constants(self) -> dict[str, Any]:
        """Columns whose default is the same for every row and needs no quoting, with what the database takes."""
        found = {
            name: _prepared(field, field.get_default())
            for name, field in self._defaulted.items()
            if not (field.has_default() and callable(field.default))
        }
        return {name: value for name, value in found.items() if _written_out(value)}

    @cached_property
    def _made(self) -> dict[str, Callable[[], Any]]:
        """Columns whose default is made for each row."""
        fields = {name: field for name, field in self._defaulted.items() if name not in self._constants}
        return {name: _maker(field) for name, field in fields.items()}


def _execute(statement: str, values: Row) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _execute_on_sqlite(statement: str, values: Row) -> None:
    """Execute without Django's cursor, which looks for the places of hundreds of values each time."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        connection.connection.execute(statement, values)


_EXECUTE: Final = {"sqlite": _execute_on_sqlite, "postgresql": _execute}
_PLACE: Final = {"sqlite": "?", "postgresql": "%s"}


def _prepared(field: Field, value: Any) -> Any:
    found = field.get_db_prep_save(value, connection)
    # A member of an enumeration is a text too, but says its name where it is put into another.
    return str.__str__(found) if isinstance(found, str) else found


def _maker(field: Field) -> Callable[[], Any]:
    return lambda: _prepared(field, field.get_default())


def _written_out(value: Any) -> str:
    """Return a constant as SQL, or nothing for one that would need quoting."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case str() if _PLAIN.fullmatch(value):
            return f"'{value}'"
        case _:
            return ""

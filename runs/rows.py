"""Rows as a driver writes them: named tuples in the order of their columns, many in one statement.

The ORM prepares and compiles every value of every row by itself, which costs several times what the insert does. Here a
tuple's fields are the columns; one that a model has and its tuple lacks is an error when this module is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models

from runs.inserts import Inserter
from runs.models import Payload, StepRun

Moment = Any  # a moment as the database takes it


class PayloadRow(NamedTuple):
    """A row of Payload."""

    id: int
    tenant_id: int
    run_id: int
    size: int
    data: bytes


class StepRow(NamedTuple):
    """A row of StepRun; JSON is text already."""

    id: int
    tenant_id: int
    run_id: int
    path: str
    loop: str
    item: int | None
    key: str
    name: str
    action: str
    resolved_as: str
    attempt: int
    status: str
    failure_kind: str
    inputs: str | None
    inputs_ref: int | None
    output: str | None
    output_ref: int | None
    error: str | None
    logs: str | None
    usage: str | None
    idempotency_key: str
    retry_at: Moment
    started_at: Moment
    finished_at: Moment


class StepEnd(NamedTuple):
    """What changes in a row of StepRun when the attempt ends; the row's id comes last."""

    status: str
    failure_kind: str
    output: str | None
    output_ref: int | None
    error: str | None
    logs: str | None
    usage: str | None
    retry_at: Moment
    finished_at: Moment
    id: int


# Columns that a row gets later, if at all.
_LATER: Final = {"progress"}


def _inserter(row: type[Any], model: type[models.Model]) -> Inserter:
    columns = {field.column for field in model._meta.concrete_fields}
    if columns - _LATER != set(row._fields):
        raise ImproperlyConfigured(f"{row.__name__} and {model.__name__} differ: {columns ^ set(row._fields)}")
    # What is large is sent as it is: in a statement each of its bytes would be two characters.
    return Inserter(model, row._fields, copied=model is Payload)


_INSERTERS: Final = {PayloadRow: _inserter(PayloadRow, Payload), StepRow: _inserter(StepRow, StepRun)}


# Writes how attempts ended whose rows are there.
UPDATE_ENDED: Final = (
    f"UPDATE {StepRun._meta.db_table} SET "  # noqa: S608  (names of our models)
    f"{', '.join(f'{name} = %s' for name in StepEnd._fields[:-1])} WHERE id = %s"
)


UPDATE_PROGRESS: Final = f"UPDATE {StepRun._meta.db_table} SET progress = %s WHERE id = %s"  # noqa: S608


def insert(rows: Sequence[NamedTuple], *, again: bool = False) -> None:
    """Insert rows of one kind; with ``again`` those that are there already are passed over."""
    if rows:
        _INSERTERS[type(rows[0])].insert(rows, again=again)


def execute_many(sql: str, parameters: Sequence[Sequence[Any]]) -> None:
    """Execute a statement for each of the tuples."""
    if not parameters:
        return
    with _postgres_cursor() if connection.vendor == "postgresql" else connection.cursor() as cursor:
        cursor.executemany(sql, parameters)


def read(
    model: type[models.Model], columns: tuple[str, ...], sql: str, parameters: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return what a query gives of a model's columns, by name, with values as the ORM would give them."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    converters = _converters(model, columns)
    for row in found:
        for name, convert in converters:
            if row[name] is not None:
                row[name] = convert(row[name], None, connection)
    return found


@cache
def _converters(model: type[models.Model], columns: tuple[str, ...]) -> list[tuple[str, Callable[..., Any]]]:
    """Return what makes values of what the driver gives, for those columns that need it."""
    fields = {field.column: field for field in model._meta.concrete_fields}
    found: list[tuple[str, Callable[..., Any]]] = []
    for name in columns:
        field = fields[name]
        backend = connection.ops.get_db_converters(field.get_col(model._meta.db_table))
        found += [(name, convert) for convert in (*backend, *field.get_db_converters(connection))]
    return found


def moments() -> Callable[[datetime | None], Moment]:
    """Return what turns an aware datetime into what the database takes."""
    return _sqlite_moment if connection.vendor == "sqlite" else connection.ops.adapt_datetimefield_value


def _sqlite_moment(value: datetime | None) -> str | None:
    """Return what Django's adapter does, at a quarter of its cost: the time in UTC, without saying so."""
    if value is None:
        return None
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    if not value.microsecond:
        return value.isoformat(" ")[:-6]
    date = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return "%04d-%02d-%02d %02d:%02d:%02d.%06d" % date  # noqa: UP031  (the quickest by far)


@contextmanager
def _postgres_cursor() -> Iterator[Any]:
    """Give a cursor that sends values apart from the statement: Django's writes each into the text of it."""
    connection.ensure_connection()
    driver: Any = connection
    with connection.wrap_database_errors, driver.Database.Cursor(connection.connection) as cursor:
        yield cursor

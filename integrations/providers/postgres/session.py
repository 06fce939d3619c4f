"""One statement in one transaction, on a connection that lives as long. What imports this needs psycopg.

1. The connection goes to an address that was checked, under the host's name; nothing of this machine's own settings for
   PostgreSQL (its environment, password and service files) goes along.
2. The transaction is read-only from its first word, where nothing is to be changed: after the first query in it that
   cannot be undone, and there is a query of ours before the statement.
3. The statement is prepared, without a name: so there is one, and its parameters are never a part of it. One that gives
   no rows is not run where nothing is to be changed.
4. Rows are read one by one, as many as are wanted; all that the server sends is counted where the system counts it,
   for a server is whose a tenant names, and may answer anything to anything.
5. Whatever fails before the commit leaves nothing behind. Only a commit whose answer is lost has an unknown outcome.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import certifi
import psycopg
from psycopg import pq
from psycopg.generators import send
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.waiting import Wait

from integrations.providers.postgres import failures
from integrations.providers.postgres.client import VERIFIED, Place
from integrations.providers.postgres.values import parameter, reader
from integrations.sdk import InputError, IntegrationError, JSONValue
from integrations.words import gettext as _

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGresult

# Characters of what is returned, names of columns included, and bytes of what the server may send for it.
MAX_RESULT: Final = 8 * 1024 * 1024
MAX_RECEIVED: Final = 32 * 1024 * 1024
# Of each value beside itself and its name: quotes, a colon, a comma.
_BESIDE: Final = 6
CONNECT_SECONDS: Final = 10
# How long before the step's own end the server gives up, so that it is the one to say so.
_MARGIN: Final = 0.4
_LEAST_SECONDS: Final = 0.1
_CANCEL_SECONDS: Final = 2.0
# No file is there: an empty name would mean the usual one.
_NO_FILE: Final = "/dev/null/none"
_FIRST_WITH_REQUIREMENTS: Final = 160_000
# Where the kernel's struct tcp_info says how many bytes have come: Linux alone tells.
_RECEIVED: Final = struct.Struct("=128xQ")
_COPIES: Final = frozenset({ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH})
_PREPARE: Final = (
    "SELECT set_config('statement_timeout', $1, true), set_config('DateStyle', 'ISO', true), "
    "set_config('IntervalStyle', 'iso_8601', true), set_config('bytea_output', 'hex', true)"
)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is asked: ``write`` where it may change something, ``most`` rows of what it gives."""

    sql: str
    parameters: Sequence[JSONValue] = ()
    write: bool = False
    most: int


@dataclass(kw_only=True)
class Answer:
    """``count`` is how many rows were returned or changed, ``command`` what was done, such as INSERT."""

    rows: list[dict[str, JSONValue]] = field(default_factory=list)
    count: int = 0
    command: str = "SELECT"
    truncated: bool = False


class _Enough(Exception):
    """There are more rows than are wanted."""


@asynccontextmanager
async def connected(place: Place, *, seconds: float) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Sign in for the length of a ``with`` block. Raises what ``failures`` makes of a refusal."""
    try:
        async with asyncio.timeout(seconds):
            connection = await psycopg.AsyncConnection.connect(**_parameters(place), autocommit=True)
    except TimeoutError:
        raise failures.late(place.host, committing=False) from None
    except psycopg.Error as error:
        asked = error.pgconn is not None and bool(error.pgconn.needs_password or error.pgconn.used_password)
        raise failures.refused(place.host, str(error), asked_for_password=asked) from None
    try:
        yield connection
    finally:
        await connection.close()


def _parameters(place: Place) -> dict[str, Any]:
    """Return all that a connection needs; what is empty is so that no setting of this machine stands in for it."""
    is_verified = place.tls == VERIFIED
    given = {
        "host": ",".join([place.host] * len(place.addresses)),
        "hostaddr": ",".join(place.addresses),
        "port": place.port,
        "dbname": place.database,
        "user": place.user,
        "password": place.password,
        "sslmode": place.tls,
        "sslrootcert": certifi.where() if is_verified else _NO_FILE,
        "sslcert": _NO_FILE,
        "sslkey": _NO_FILE,
        "sslcrl": "",
        "passfile": _NO_FILE,
        "gssencmode": "disable",
        "target_session_attrs": "any",
        "options": "",
        "client_encoding": "UTF8",
        "application_name": "orchestrator",
        "connect_timeout": CONNECT_SECONDS,
    }
    if pq.version() < _FIRST_WITH_REQUIREMENTS:
        return given
    ways = "scram-sha-256,md5,none" if place.tls == "disable" else "scram-sha-256,md5,password,none"
    return {**given, "require_auth": ways, "sslcertmode": "disable"}


async def executed(place: Place, statement: Statement, *, seconds: float) -> Answer:
    """Run a statement and return what it gave. Raises IntegrationError."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    async with connected(place, seconds=seconds) as connection:
        transaction = _Transaction(connection, statement)
        try:
            async with asyncio.timeout_at(ends):
                await transaction.run(max(_LEAST_SECONDS, ends - loop.time() - _MARGIN))
        except _Enough:
            transaction.answer.count = len(transaction.answer.rows)
            with suppress(psycopg.Error, OSError):
                await connection.cancel_safe(timeout=_CANCEL_SECONDS)
        except TimeoutError:
            raise failures.late(place.host, committing=transaction.committing) from None
        except psycopg.Error as error:
            raise transaction.explained(place.host, error) from None
        return transaction.answer


class _Transaction:
    """A statement's own transaction; ``committing`` once its commit was asked for."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], statement: Statement) -> None:
        self._connection, self._statement = connection, statement
        self._left, self._before = MAX_RESULT, self._received()
        self._names: list[str] = []
        self._of_names = 0
        self._reads: list[Any] = []
        self.answer, self.committing = Answer(), False

    async def run(self, seconds: float) -> None:
        writes = self._statement.write
        await self._connection.wait(self._said(b"BEGIN" if writes else b"BEGIN TRANSACTION READ ONLY"))
        milliseconds = str(int(seconds * 1000)).encode()
        await self._connection.wait(self._settings(milliseconds))
        await self._connection.wait(self._prepared())
        last = await self._connection.wait(self._asked(await self._connection.wait(self._described())))
        self._told(last)
        if not writes:
            return
        if self._connection.info.transaction_status == TransactionStatus.INTRANS:
            self.committing = True
            await self._connection.wait(self._said(b"COMMIT"))

    def _said(self, command: bytes) -> PQGen[None]:
        self._pgconn.send_query(command)
        _checked((yield from self._results()))

    def _settings(self, milliseconds: bytes) -> PQGen[None]:
        self._pgconn.send_query_params(_PREPARE.encode(), [milliseconds])
        _checked((yield from self._results()))

    @property
    def _pgconn(self) -> Any:
        return self._connection.pgconn

    def _prepared(self) -> PQGen[None]:
        self._pgconn.send_prepare(b"", self._statement.sql.encode())
        _checked((yield from self._results()))

    def _described(self) -> PQGen[list[bytes | None]]:
        """Return the parameters as texts of the types that the statement wants.

        Raises InputError for one that is to read and gives no rows. Where the transaction only reads, COPY and DO may
        still write files and start programs, for a user who may do so.
        """
        self._pgconn.send_describe_prepared(b"")
        told = _checked((yield from self._results()))
        given = self._statement.parameters
        if not self._statement.write and not told.nfields:
            raise InputError(
                _("Nothing in the SQL gives rows, and it is only to read: it was not run."),
                field="write",
                hint=_(failures.SWITCH_ON),
            )
        if told.nparams != len(given):
            raise InputError(
                _("The SQL has %(wanted)s parameters ($1, $2, …), and %(given)s were given.")
                % {"wanted": told.nparams, "given": len(given)},
                field="parameters",
            )
        return [parameter(value, told.param_type(at), at + 1) for at, value in enumerate(given)]

    def _asked(self, values: Sequence[bytes | None]) -> PQGen[PGresult]:
        """Send the statement and take its rows one by one; return what the server says at their end."""
        self._pgconn.send_query_prepared(b"", values)
        self._pgconn.set_single_row_mode()
        yield from send(self._pgconn)
        last: list[PGresult] = []
        while (result := (yield from self._result())) is not None:
            if result.status == ExecStatus.SINGLE_TUPLE:
                self._take(result)
            else:
                last = [result]
                _checked(last)
        return _checked(last)

    def _results(self) -> PQGen[list[PGresult]]:
        """Send what waits to be sent, and return all that the server answers."""
        yield from send(self._pgconn)
        found: list[PGresult] = []
        while (result := (yield from self._result())) is not None:
            found.append(result)
            _checked(found)
        return found

    def _result(self) -> PQGen[PGresult | None]:
        """Return the next result, None after the last. Raises InputError where the server sends too much."""
        pgconn = self._pgconn
        while pgconn.is_busy():
            while not (yield Wait.R):
                continue
            if self._received() - self._before > MAX_RECEIVED:
                self._refuse_more()
            pgconn.consume_input()
        found: PGresult | None = pgconn.get_result()
        return found

    def _refuse_more(self) -> None:
        if self.committing:
            raise psycopg.OperationalError("the server says more than it may")
        raise InputError(
            _("The database sends more than %(size)s MB; nothing was changed.") % {"size": MAX_RECEIVED // 1024**2},
            field="sql",
            hint=_("Ask for fewer rows, or for less of each."),
        )

    def _received(self) -> int:
        """Return how many bytes have come by now, 0 where the system does not say."""
        try:
            with socket.socket(fileno=os.dup(self._pgconn.socket)) as same:
                told = same.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size)
            return int(_RECEIVED.unpack(told)[0])
        except (AttributeError, OSError, struct.error):
            return 0

    def _take(self, result: PGresult) -> None:
        """Keep a row where it is wanted. Raises _Enough where no further one is worth reading."""
        answer = self.answer
        if answer.truncated or len(answer.rows) >= self._statement.most:
            return self._more()
        if not self._names:
            self._names = _names([_text(result.fname(at) or b"") for at in range(result.nfields)])
            self._of_names = sum(len(name) + _BESIDE for name in self._names)
            self._reads = [reader(result.ftype(at)) for at in range(result.nfields)]
        texts = [result.get_value(0, at) for at in range(result.nfields)]
        self._left -= self._of_names + sum(len(text) for text in texts if text is not None)
        if self._left < 0:
            if answer.rows:
                return self._more()
            raise InputError(
                _("One row has more than %(size)s MB; nothing was changed.") % {"size": MAX_RESULT // 1024**2},
                field="sql",
                hint=_("Ask for less of it."),
            )
        values = (None if text is None else read(_text(text)) for text, read in zip(texts, self._reads, strict=True))
        answer.rows.append(dict(zip(self._names, values, strict=True)))
        return None

    def _more(self) -> None:
        self.answer.truncated = True
        # What changes something goes on to its end.
        if not self._statement.write:
            raise _Enough

    def _told(self, last: PGresult) -> None:
        words = _text(last.command_status or b"").split()
        changed = last.command_tuples
        self.answer.command = " ".join(word for word in words if not word.isdigit())
        self.answer.count = len(self.answer.rows) if changed is None else changed

    def explained(self, host: str, error: psycopg.Error) -> IntegrationError:
        """Return what an error of the library stands for."""
        code = error.sqlstate
        if code is None or self._connection.closed:
            is_told = code is not None and not self.committing
            return _of(error) if is_told else failures.lost(host, committing=self.committing)
        return _of(error)


def _of(error: psycopg.Error) -> IntegrationError:
    told = error.diag
    return failures.failure(
        error.sqlstate or "",
        told.message_primary or "",
        detail=told.message_detail or "",
        position=told.statement_position,
    )


def _checked(results: Sequence[PGresult]) -> PGresult:
    """Return the last result. Raises what an error stands for, and InputError for what is no statement to be run."""
    if not results:
        raise psycopg.OperationalError("the server gives no answer")
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise psycopg.errors.error_from_result(result)
        if result.status == ExecStatus.EMPTY_QUERY:
            raise InputError(_("There is no statement in the SQL."), field="sql")
        if result.status in _COPIES:
            raise InputError(
                _("COPY to and from a step is not possible."), field="sql", hint=_("Use SELECT or INSERT.")
            )
    return results[-1]


def _text(data: bytes) -> str:
    # A database without an encoding of its own (SQL_ASCII) gives whatever was put into it.
    return data.decode("utf-8", "replace")


def _names(given: Sequence[str]) -> list[str]:
    """Return the columns' names, each once: a second ``id`` is ``id_2``."""
    names: dict[str, None] = {}
    for name in given:
        chosen, count = name, 2
        while chosen in names:
            chosen, count = f"{name}_{count}", count + 1
        names[chosen] = None
    return list(names)


def described(answer: Answer) -> Mapping[str, JSONValue]:
    """Return an answer as a step's output."""
    rows: list[JSONValue] = list(answer.rows)
    return {"rows": rows, "row_count": answer.count, "command": answer.command, "truncated": answer.truncated}

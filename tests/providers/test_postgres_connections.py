"""How PostgreSQL is connected to: where, as whom, believed by what, and what a connection that breaks leaves."""

from __future__ import annotations

import asyncio
import secrets
import sys
from typing import Any

import psycopg
import pytest

from integrations.providers.postgres.actions import execute_query
from integrations.providers.postgres.client import account
from integrations.sdk import (
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    Transient,
)
from integrations.sdk.auth import AuthView
from integrations.sdk.egress import AddressRefused
from integrations.sdk.testing import run_action
from tests.certificates import serving
from tests.certificates import written as certificate
from tests.providers.pg_ground import AUTH, dial, failed, ran, settings, value
from tests.providers.pg_wire import Relay

USER, PASSWORD = f"orchestrator_reader_{secrets.token_hex(4)}", "a good pässword"


def test_sign_ins_that_are_refused(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {USER} LOGIN")
        try:
            reader = {"username": USER, "password": PASSWORD}
            denied = failed(url, "SELECT * FROM customer", auth=reader)
            assert (type(denied), denied.kind) == (PermissionMissing, "auth")
            connection.execute(f"GRANT SELECT ON customer TO {USER}")
            assert ran(url, "SELECT count(*) AS n FROM customer", auth=reader)["rows"] == [{"n": 20}]
        finally:
            connection.execute(f"DROP OWNED BY {USER}")
            connection.execute(f"DROP ROLE {USER}")
    unknown = failed(url, "SELECT 1", auth={"username": "nobody_there", "password": "x"})
    assert type(unknown) is AuthError
    assert type(failed("postgresql://x/nothing_there", "SELECT 1")) is Permanent


def test_only_addresses_that_steps_may_reach_are_connected_to(url: str) -> None:
    with pytest.raises(AddressRefused, match="loopback"):
        ran(url, "SELECT 1", dial=dial(allow=()))
    with pytest.raises(AddressRefused, match="not among the hosts"):
        ran(url, "SELECT 1", dial=dial(egress=("db.example.com",)))
    assert type(failed(url, "SELECT 1", settings={"port": 1}, dial=dial(allow=("127.0.0.1",)))) is Transient
    assert value(url, "inet_server_port()", dial=dial(egress=("127.0.0.1:5432",))) == 5432


def test_the_settings_of_this_machine_go_to_no_server(url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "PGPASSWORD": "of the operator", "PGUSER": "operator", "PGDATABASE": "other", "PGOPTIONS": "-c work_mem=77MB",
        "PGHOSTADDR": "192.0.2.1", "PGPASSFILE": "/etc/passwd", "PGSSLMODE": "verify-full",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, text)
    assert value(url, "current_user || current_setting('work_mem')") == "postgres4MB"
    asking = {"tls": serving(certificate(tmp_path, "localhost")), "password": True}
    with Relay(**asking) as relay:
        here = {"host": "localhost", "port": relay.port, "tls": "require"}
        reach = dial(allow=("localhost",))
        with pytest.raises(AuthError):
            ran(url, "SELECT 1", settings=here, dial=reach)
        assert relay.passwords == []
        with pytest.raises(IntegrationError):
            ran(url, "SELECT 1", settings=here, dial=reach, auth={"username": "ada", "password": PASSWORD})
        assert relay.passwords == [PASSWORD.encode()]


def test_a_password_in_the_clear_is_not_sent_without_tls(url: str) -> None:
    with Relay(password=True) as relay:
        error = failed(url, "SELECT 1", settings={"port": relay.port}, auth={"username": "ada", "password": PASSWORD})
    assert type(error) is AuthError
    assert relay.passwords == []
    assert PASSWORD not in f"{error.message}{error.hint}{error.detail}"


def test_a_server_is_believed_by_its_certificate(url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path, "localhost")
    with Relay(tls=serving(pem)) as relay:
        here = {"host": "localhost", "port": relay.port}
        reach = dial(allow=("localhost",))
        assert value(url, "1", settings={**here, "tls": "require"}, dial=reach) == 1
        error = failed(url, "SELECT 1", settings={**here, "tls": "verify-full"}, dial=reach)
        assert (type(error), "certificate" in error.message) == (Permanent, True)
        monkeypatch.setattr("certifi.where", lambda: str(pem))
        assert value(url, "1", settings={**here, "tls": "verify-full"}, dial=reach) == 1
        other = failed(url, "SELECT 1", settings={**here, "tls": "verify-full", "host": "127.0.0.1"}, dial=dial())
        assert (type(other), "certificate" in other.message) == (Permanent, True)
    plain = failed(url, "SELECT 1", settings={"tls": "require"})
    assert (type(plain), "SSL" in plain.message) == (Permanent, True)


def test_a_connection_that_breaks_leaves_an_unknown_outcome_only_in_the_commit(url: str) -> None:
    sql = "INSERT INTO customer (email) VALUES ('lost')"
    with Relay(cut_at=b"INSERT INTO") as relay:
        assert type(failed(url, sql, settings={"port": relay.port}, write=True)) is Transient
    with Relay(cut_at=b"COMMIT") as relay:
        error = failed(url, sql, settings={"port": relay.port}, write=True)
    assert type(error) is OutcomeUnknown
    assert "Look into the database" in error.hint
    with Relay(stall_at=b"COMMIT") as relay:
        error = failed(url, sql, settings={"port": relay.port}, write=True, seconds=0.6)
    assert type(error) is OutcomeUnknown
    with Relay(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as relay:
        assert not isinstance(failed(url, sql, settings={"port": relay.port}, write=True), OutcomeUnknown)


def test_a_credential_is_checked_by_signing_in(url: str) -> None:
    async def label(password: str = "", **more: Any) -> str:
        auth = AuthView({"provider": "postgres", "type": "basic", "username": "postgres", "password": password})
        context = AuthContext(auth=auth, http=None, settings=settings(url, **more), dial=dial())  # type: ignore[arg-type]
        return (await account(context)).label

    assert asyncio.run(label()) == f"postgres@127.0.0.1/{settings(url)['database']}"
    with pytest.raises(Permanent):
        asyncio.run(label(database="nothing_there"))
    with pytest.raises(InputError):
        asyncio.run(label(host=""))


def test_where_the_library_is_missing_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "integrations.providers.postgres.session", None)
    monkeypatch.delattr("integrations.providers.postgres.session", raising=False)
    with pytest.raises(Permanent, match="not installed") as caught:
        run_action(execute_query, {"sql": "SELECT 1"}, auth=AUTH)
    assert "orchestrator[postgres]" in caught.value.hint

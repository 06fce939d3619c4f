"""PostgreSQL, against the server on this machine: what is read and changed, and what cannot be."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Any

import psycopg
import pytest

from integrations.providers.postgres import session
from integrations.providers.postgres.actions import execute_query
from integrations.sdk import InputError, Permanent, Timeout, Transient
from integrations.sdk.testing import make_context
from tests.providers.pg_ground import AUTH, count, dial, failed, ran, settings, value


def test_rows_come_by_the_names_of_their_columns(url: str) -> None:
    found = ran(url, "SELECT id, email, id, tags FROM customer WHERE email = $1", "c2@example.com")
    assert found == {
        "rows": [{"id": 2, "email": "c2@example.com", "id_2": 2, "tags": ["a", "b"]}],
        "row_count": 1,
        "command": "SELECT",
        "truncated": False,
    }
    assert ran(url, "SELECT 1 WHERE false")["rows"] == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("1.10::numeric(5, 2)", "1.10"),
        ("'NaN'::numeric", "NaN"),
        ("'NaN'::float8", "NaN"),
        ("'-Infinity'::float4", "-Infinity"),
        ("0.1::float8", 0.1),
        ("9223372036854775807", 9223372036854775807),
        ("true", True),
        ("NULL::int", None),
        ("'2026-05-04 09:00:00+02'::timestamptz", "2026-05-04T07:00:00+00:00"),
        ("'2026-05-04 09:00:00.5'::timestamp", "2026-05-04T09:00:00.500000"),
        ("'infinity'::timestamptz", "infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'2026-05-04'::date", "2026-05-04"),
        ("'1 day 02:00'::interval", "P1DT2H"),
        ("'\\x00ff'::bytea", "AP8="),
        ("'{\"a\": [1, 2.5, null]}'::jsonb", {"a": [1, 2.5, None]}),
        ("'1e400'::json", "1e400"),
        ("'6f2b0a52-0d0c-4f0c-8b1a-0b3e6d0f7c11'::uuid", "6f2b0a52-0d0c-4f0c-8b1a-0b3e6d0f7c11"),
        ("ARRAY[[1, NULL], [3, 4]]", [[1, None], [3, 4]]),
        ("'[0:1]={7,8}'::int[]", [7, 8]),
        ("ARRAY['a,b', 'q\"', 'NULL', '', '{}', NULL]", ["a,b", 'q"', "NULL", "", "{}", None]),
        ("'{}'::int[]", []),
        ("ARRAY['{\"a\": 1}'::jsonb]", [{"a": 1}]),
        ("ARRAY[1.5, 'NaN']::float8[]", [1.5, "NaN"]),
        ("'glad'::mood", "glad"),
        ("ARRAY['glad'::mood]", "{glad}"),
        ("ROW(1, 'a')", "(1,a)"),
        ("'{{1,2},{3,4}}'::int[]", [[1, 2], [3, 4]]),
    ],
)
def test_values_become_json(url: str, sql: str, expected: Any) -> None:
    assert value(url, sql) == expected


@pytest.mark.parametrize(
    ("sql", "given", "expected"),
    [
        ("$1::text", "'; DROP TABLE customer; --", "'; DROP TABLE customer; --"),
        ("$1::text", 'ä \\ " {{ trigger.body }}', 'ä \\ " {{ trigger.body }}'),
        ("$1::int", 5.0, 5),
        ("$1::bool", False, False),
        ("$1::numeric", "12345678901234567890.5", "12345678901234567890.5"),
        ("$1::int", None, None),
        ("$1::jsonb", "a text", "a text"),
        ("$1::jsonb", [1, {"a": None}], [1, {"a": None}]),
        ("$1::jsonb", None, None),
        ("$1::text[]", ['a"b', "c,d", None, "\\", "{x}"], ['a"b', "c,d", None, "\\", "{x}"]),
        ("$1::int[]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ("$1::jsonb[]", [[1], "a"], [[1], "a"]),
        ("$1::mood[]", ["sad"], "{sad}"),
        ("$1::text", {"a": 1}, '{"a": 1}'),
        ("$1::timestamptz", "2026-05-04T07:00:00Z", "2026-05-04T07:00:00+00:00"),
        ("2 = ANY($1::int[])", [1, 2], True),
    ],
)
def test_parameters_are_values_and_never_sql(url: str, sql: str, given: Any, expected: Any) -> None:
    assert value(url, sql, given) == expected


@pytest.mark.parametrize(
    ("sql", "parameters", "said"),
    [
        ("SELECT $1::int", (), "1 parameters"),
        ("SELECT 1", ("x",), "0 parameters"),
        ("SELECT $1::text", ("a\x00b",), "NUL"),
        ("SELECT $1::text", ("\ud800",), "surrogates"),
        ("SELECT $1::int", ("x",), "invalid input syntax"),
        ("SELECT '\ud800'", (), "unicode"),
        ("SELECT 1; SELECT 2", (), "multiple commands"),
        ("DELETE FROM customer; SELECT 1", (), "multiple commands"),
        ("SELECT '{{ trigger.body.name }}'", (), "write \\$1"),
        ("SELECT {{ default(x, 1) }}", (), "write \\$1"),
        ("SELECT '\x00'", (), "NUL"),
        ("  -- nothing", (), "no statement"),
        ("COPY customer TO STDOUT", (), "COPY"),
        ("COPY customer FROM STDIN", (), "COPY"),
        ("SELEC 1", (), "at character 1.*syntax error"),
        ("SELECT nothing", (), "does not exist"),
        ("VACUUM customer", (), "transaction block"),
    ],
)
def test_what_cannot_be_run_is_an_input_error(url: str, sql: str, parameters: tuple[Any, ...], said: str) -> None:
    error = failed(url, sql, *parameters, write=True)
    assert isinstance(error, InputError)
    assert re.search(said, error.message)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM customer",
        "WITH gone AS (DELETE FROM customer RETURNING id) SELECT count(*) FROM gone",
        "CREATE TABLE other (id int)",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SET TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "DO $$ BEGIN SET TRANSACTION READ WRITE; DELETE FROM customer; END $$",
        "DO $$ BEGIN COMMIT; DELETE FROM customer; COMMIT; END $$",
        "DO $$ BEGIN PERFORM set_config('transaction_read_only', 'off', false); DELETE FROM customer; END $$",
        "START TRANSACTION READ WRITE",
        "SELECT nextval('customer_id_seq')",
    ],
)
def test_what_only_reads_cannot_be_made_to_write(url: str, sql: str) -> None:
    error = failed(url, sql)
    assert error.kind == "input"
    assert count(url) == 20


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"])
def test_what_ends_the_transaction_is_a_statement_by_itself_and_nothing_comes_after_it(url: str, sql: str) -> None:
    assert ran(url, sql, write=True)["rows"] == []
    assert isinstance(failed(url, "DELETE FROM customer"), InputError)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO PROGRAM 'touch MARK'",
        "/* /* */ */ DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch MARK'''; END $$",
        "LISTEN somebody",
        "SET ROLE NONE",
    ],
)
def test_what_gives_no_rows_is_not_run_where_it_is_only_to_read(url: str, sql: str) -> None:
    mark = f"/tmp/{secrets.token_hex(8)}"
    error = failed(url, sql.replace("MARK", mark))
    assert (type(error), getattr(error, "field", None)) == (InputError, "write")
    assert "not run" in error.message
    assert "May change data" in error.hint
    assert not value(url, "pg_stat_file($1, true) IS NOT NULL", mark)


def test_a_statement_that_may_write_is_committed_with_what_it_returns(url: str) -> None:
    made = ran(url, "INSERT INTO customer (email) VALUES ($1), ($2) RETURNING email", "x1@x", "x2@x", write=True)
    assert (made["rows"], made["row_count"], made["command"]) == ([{"email": "x1@x"}, {"email": "x2@x"}], 2, "INSERT")
    assert count(url, "x%") == 2
    gone = ran(url, "DELETE FROM customer WHERE email LIKE 'x%' RETURNING id", write=True, max_rows=1)
    assert (len(gone["rows"]), gone["row_count"], gone["truncated"]) == (1, 2, True)
    assert count(url, "x%") == 0


def test_a_statement_that_fails_half_way_changes_nothing(url: str) -> None:
    error = failed(url, "UPDATE customer SET email = 'same@example.com'", write=True)
    assert type(error) is Permanent
    assert "(23505)" in error.message
    assert "already exists" in error.detail
    assert count(url, "same%") == 0


def test_more_rows_than_are_wanted_are_left_where_they_are(url: str) -> None:
    begun = time.monotonic()
    found = ran(url, "SELECT generate_series(1, 100000000) AS n", max_rows=3)
    assert ([row["n"] for row in found["rows"]], found["truncated"], found["row_count"]) == ([1, 2, 3], True, 3)
    assert time.monotonic() - begun < 4
    assert not ran(url, "SELECT n FROM generate_series(1, 3) n", max_rows=3)["truncated"]


def test_what_is_too_large_is_cut_off_or_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_RESULT", 1_000)
    found = ran(url, "SELECT repeat('x', 300) AS t FROM generate_series(1, 9)")
    assert (len(found["rows"]), found["truncated"]) == (3, True)
    assert "One row has more" in failed(url, "SELECT repeat('x', 2000)").message
    monkeypatch.setattr(session, "MAX_RECEIVED", 1_000_000)
    error = failed(url, "INSERT INTO customer (email) VALUES ('big') RETURNING repeat('x', 30000000)", write=True)
    assert "sends more than" in error.message
    assert count(url, "big") == 0


def test_of_wide_rows_fewer_are_returned(url: str) -> None:
    wide = ", ".join(f"NULL AS column_number_{number}" for number in range(1_000))
    found = ran(url, f"SELECT {wide} FROM generate_series(1, 9000)", max_rows=10_000)  # noqa: S608
    assert found["truncated"]
    assert 100 < len(found["rows"]) < 500
    assert len(str(found["rows"])) < 16_000_000


def test_a_statement_that_takes_too_long_is_ended_by_the_server(url: str) -> None:
    error = failed(url, "SELECT pg_sleep(30)", seconds=0.8)
    assert type(error) is Timeout
    assert "statement timeout" in error.message
    assert running(url) == 0
    assert type(failed(url, "DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false), pg_sleep(30); END $$",
                       seconds=0.8, write=True)) is Timeout  # fmt: skip


def running(url: str) -> int:
    return int(
        value(
            url,
            "(SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'pg_sleep'"
            " AND pid <> pg_backend_pid())",
        )
    )


def test_a_step_that_is_stopped_cancels_what_it_asked_for(url: str) -> None:
    async def stopped() -> int:
        inputs = {"sql": "INSERT INTO customer (email) SELECT 'slow' FROM pg_sleep(30)", "write": True}
        ctx, _ = make_context(execute_query, inputs, auth=AUTH, settings=settings(url), dial=dial(), seconds=20)
        task = asyncio.ensure_future(execute_query.run(ctx))
        for _time in range(100):
            await asyncio.sleep(0.02)
            if await asyncio.to_thread(running, url):
                break
        before = await asyncio.to_thread(running, url)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return before

    assert asyncio.run(stopped()) == 1
    assert running(url) == 0
    assert count(url, "slow") == 0


def test_a_deadlock_and_a_lock_that_is_not_given_are_worth_another_try(url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT 1 FROM customer WHERE id = 1 FOR UPDATE")
        error = failed(url, "SELECT 1 FROM customer WHERE id = 1 FOR UPDATE NOWAIT", write=True)
        assert type(error) is Transient
    raised = "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '%s'; END $$"
    kinds = {"40P01": Transient, "40001": Transient, "53300": Transient, "57P01": Transient, "P0001": Permanent}
    assert {code: type(failed(url, raised % code, write=True)) for code in kinds} == kinds


def test_reading_may_be_done_again_and_writing_may_not() -> None:
    reads, writes = (execute_query.validate_inputs({"sql": "SELECT 1", "write": write}) for write in (False, True))
    assert (execute_query.repeatable(reads), execute_query.reads(reads)) == (True, True)
    assert (execute_query.repeatable(writes), execute_query.reads(writes)) == (False, False)

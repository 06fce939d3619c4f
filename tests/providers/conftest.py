"""A database on the machine's PostgreSQL, for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.services import postgres_database


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    with postgres_database() as found:
        with psycopg.connect(found, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE customer (id serial PRIMARY KEY, email text UNIQUE, score numeric(10, 2),"
                " seen timestamptz, tags text[])"
            )
            connection.execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
            connection.execute(
                "INSERT INTO customer (email, score, tags) SELECT 'c' || n || '@example.com', n * 1.5, ARRAY['a', 'b']"
                " FROM generate_series(1, 20) n"
            )
        yield found

"""PostgreSQL and Redis for tests that need them: skipped with a reason where there are none.

``ORCHESTRATOR_REQUIRE_SERVICES=1`` makes their absence a failure instead.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

POSTGRES: Final = ("127.0.0.1", 5432)
REDIS: Final = ("127.0.0.1", 6379)
# Redis databases are numbers below 16; the product's own default is 0. Processes that share the suite take one each.
REDIS_URL: Final = f"redis://127.0.0.1:6379/{13 - int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:]) % 12}"


@contextmanager
def postgres_database() -> Iterator[str]:
    """Make a database of its own and yield its URL; it is dropped at the end."""
    _require("PostgreSQL", POSTGRES)
    import psycopg

    name = f"orchestrator_test_{secrets.token_hex(6)}"
    with psycopg.connect("postgresql://postgres@127.0.0.1:5432/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"postgresql://postgres@127.0.0.1:5432/{name}"
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def redis_database() -> Iterator[str]:
    """Yield the URL of an empty Redis database; it is emptied again at the end."""
    _require("Redis", REDIS)
    import redis

    client = redis.Redis.from_url(REDIS_URL)
    client.flushdb()
    try:
        yield REDIS_URL
    finally:
        client.flushdb()
        client.close()


def _require(name: str, address: tuple[str, int]) -> None:
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        reason = f"{name} does not answer at {address[0]}:{address[1]}"
        if os.environ.get("ORCHESTRATOR_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)

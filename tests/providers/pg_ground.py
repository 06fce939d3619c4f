"""What tests of PostgreSQL share: how a statement is run, and what came of it. ``url`` is that of a database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from integrations.providers.postgres.actions import execute_query
from integrations.sdk import IntegrationError
from integrations.sdk.dialling import dialler
from integrations.sdk.egress import EgressPolicy
from integrations.sdk.testing import run_action

AUTH: Final = {"username": "postgres", "password": ""}
POSTGRES: Final = {"host": "127.0.0.1", "port": 5432, "tls": "disable"}


def dial(*, allow: tuple[str, ...] = ("127.0.0.1",), seconds: float = 5, egress: tuple[str, ...] = ()) -> Any:
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return dialler(EgressPolicy(allow=allow), egress_allow=egress, deadline=deadline)


def settings(url: str, **more: Any) -> dict[str, Any]:
    return {**POSTGRES, "database": urlsplit(url).path[1:], **more}


def ran(url: str, sql: str, *parameters: Any, **more: Any) -> dict[str, Any]:
    options = {"auth": AUTH, "dial": dial(), "seconds": 5}
    options |= {name: more.pop(name) for name in ("auth", "dial", "seconds") if name in more}
    there = settings(url, **more.pop("settings", {}))
    inputs = {"sql": sql, "parameters": list(parameters), **more}
    found: dict[str, Any] = run_action(execute_query, inputs, settings=there, **options).output
    json.dumps(found, allow_nan=False)
    return found


def value(url: str, sql: str, *parameters: Any, **more: Any) -> Any:
    (row,) = ran(url, f"SELECT {sql} AS v", *parameters, **more)["rows"]
    return row["v"]


def failed(url: str, sql: str, *parameters: Any, **more: Any) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        ran(url, sql, *parameters, **more)
    return caught.value


def count(url: str, like: str = "%") -> int:
    return int(value(url, "(SELECT count(*) FROM customer WHERE email LIKE $1)", like))

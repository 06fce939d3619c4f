"""Inputs in which there are no expressions: what a query is made of is written, and data is given beside it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow.documents import found, step


def query(sql: str, **inputs: Any) -> list[tuple[str, str, str]]:
    of = step("find", "postgres.executeQuery", credential="db", inputs={"sql": sql, **inputs})
    return [(problem.path, problem.message, problem.code) for problem in found(of)]


WHERE = "steps[0].config.inputs"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM customer WHERE name = '{{ trigger.body.name }}'",
        "SELECT * FROM {{trigger.body.table}}",
        "{{ trigger.body.sql }}",
        "SELECT {{ default(trigger.body.id, 1) }}",
        "SELECT '{{vars.region}}'",
    ],
)
def test_data_in_the_sql_is_refused_where_it_stands(sql: str) -> None:
    ((path, message, _code),) = query(sql)
    assert path == f"{WHERE}.sql"
    assert "write $1 and add a parameter" in message


def test_braces_are_sql_and_parameters_are_expressions() -> None:
    assert query("SELECT '{{1,2},{3,4}}'::int[]") == []
    assert query("SELECT $1, $2", parameters=["{{ trigger.body.name }}", 5]) == []
    assert query("SELECT $1", parameters="{{ trigger.body.names }}") == []
    ((path, _message, _code),) = query("SELECT $1", parameters=["{{ steps.nothing.output }}"])
    assert path == f"{WHERE}.parameters[0]"

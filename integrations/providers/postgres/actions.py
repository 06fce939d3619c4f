"""What can be done in a PostgreSQL database."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator
from pydantic_core import PydanticCustomError

from integrations.providers.postgres import postgres
from integrations.providers.postgres.client import driver, found
from integrations.sdk import RunContext, action, ui
from integrations.words import gettext as _

MOST_ROWS: Final = 10_000
# Braces may stand in SQL, as in '{{1,2},{3,4}}'; what reads data, or calls one of our functions, may not.
_EXPRESSION: Final = re.compile(r"\{\{\s*(?:(?:trigger|steps|item|index|run|workflow|vars)\b|[a-z_]+\()")


class ExecuteQueryInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sql: str = Field(
        min_length=1,
        max_length=100_000,
        title="SQL",
        description="One statement. Data is given as parameters, which $1, $2, … stand for.",
        examples=["SELECT id, email FROM customers WHERE city = $1 ORDER BY id"],
        json_schema_extra=ui(format="code", language="sql"),
    )
    parameters: list[JsonValue] = Field(
        default=[],
        max_length=1_000,
        title="Parameters",
        description='The values of $1, $2, … in their order, such as ["{{ trigger.body.city }}"].',
        examples=[["Paris"]],
    )
    write: bool = Field(
        default=False,
        title="May change data",
        description="Else the statement gives rows, and runs in a transaction that only reads.",
        examples=[False],
    )
    max_rows: int = Field(
        default=1_000,
        ge=1,
        le=MOST_ROWS,
        title="At most",
        description="How many rows are returned; of further ones it is said that they are there.",
        examples=[1_000],
        json_schema_extra=ui(advanced=True),
    )

    @field_validator("sql")
    @classmethod
    def is_only_sql(cls, value: str) -> str:
        if _EXPRESSION.search(value):
            raise PydanticCustomError(
                "expression",
                "{said}",
                {"said": _("Data in the SQL could become a part of it: write $1 and add a parameter.")},
            )
        if "\x00" in value:
            raise PydanticCustomError(
                "nul", "{said}", {"said": _("It has a NUL character, which PostgreSQL does not take.")}
            )
        return value


class ExecuteQueryOutput(BaseModel):
    rows: list[dict[str, JsonValue]] = Field(
        title="Rows",
        description=(
            "By the names of the columns. Numeric values, dates and times are text, so that nothing of them is lost; "
            "bytes are base64."
        ),
    )
    row_count: int = Field(title="How many", description="Rows that were returned or changed.")
    command: str = Field(title="Command", description="What was done, such as SELECT or INSERT.")
    truncated: bool = Field(title="Cut off", description="Whether there are more rows than were returned.")


@action(
    provider=postgres,
    key="postgres.executeQuery",
    name="Execute query",
    auth_type="basic",
    input_schema=ExecuteQueryInputs,
    output_schema=ExecuteQueryOutput,
    sample={
        "rows": [{"id": 7, "email": "ada@example.com"}],
        "row_count": 1,
        "command": "SELECT",
        "truncated": False,
    },
    idempotent=lambda inputs: not inputs.write,
    effect="update",
    reads_when=lambda inputs: not inputs.write,
    verbatim=("sql",),
    http=False,
    synonyms=("sql", "select", "insert", "update", "delete", "database", "table", "psql"),
    summary=lambda output: f"{output['row_count']} rows",
)
async def execute_query(ctx: RunContext[ExecuteQueryInputs]) -> dict[str, Any]:
    """Run one SQL statement in a PostgreSQL database, in a transaction of its own."""
    session, given = driver(), ctx.inputs
    place = await found(ctx.addresses, ctx.settings, ctx.auth)
    statement = session.Statement(sql=given.sql, parameters=given.parameters, write=given.write, most=given.max_rows)
    answer = await session.executed(place, statement, seconds=ctx.remaining())
    if answer.truncated:
        ctx.log.warning(f"There are more rows than the {len(answer.rows):,} that were returned")
    return dict(session.described(answer))

"""What can be done in Google Sheets."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.providers.google_sheets import google_sheets
from integrations.providers.google_sheets.client import (
    Cells,
    Columns,
    Render,
    Sheet,
    append,
    columns,
    letter,
    read,
    rows_in,
    text_of,
    update,
)
from integrations.providers.google_sheets.fields import EXAMPLE_ID, Row, SheetInputs, WriteInputs, Written
from integrations.providers.google_sheets.options import column_names, sheets
from integrations.sdk import InputError, RunContext, action, ui
from integrations.words import gettext as _

# Rows that one request reads.
PAGE: Final = 1_000
MAX_ROWS: Final = 10_000
WRITTEN: Final[dict[str, Any]] = {
    "spreadsheetId": EXAMPLE_ID,
    "range": "Orders!A5:B5",
    "rowNumber": 5,
    "updatedCells": 2,
}


class AppendRowInputs(WriteInputs):
    pass


@action(
    provider=google_sheets,
    key="google_sheets.appendRow",
    name="Append row",
    auth_type="oauth2",
    input_schema=AppendRowInputs,
    output_schema=Written,
    sample=WRITTEN,
    # Google knows no key by which a second request would be seen to be the first again.
    idempotent=False,
    effect="create",
    options={"sheet": sheets},
    synonyms=("spreadsheet", "excel", "add", "insert", "table", "log"),
    summary=lambda output: f"row {output['rowNumber']}",
)
async def append_row(ctx: RunContext[AppendRowInputs]) -> dict[str, Any]:
    """Add a row below the last one, with values by the names in the header row."""
    inputs = ctx.inputs
    sheet = inputs.place()
    cells = (await columns(ctx.http, sheet)).cells(inputs.row)
    return await append(ctx.http, sheet, cells, inputs.value_input)


class UpdateRowInputs(WriteInputs):
    row_number: int = Field(
        alias="rowNumber",
        ge=1,
        title="Row number",
        description="As the sheet counts, from 1; “Get rows” and the trigger give it.",
        examples=[5],
    )


@action(
    provider=google_sheets,
    key="google_sheets.updateRow",
    name="Update row",
    auth_type="oauth2",
    input_schema=UpdateRowInputs,
    output_schema=Written,
    sample=WRITTEN,
    # The same values into the same cells.
    idempotent=True,
    effect="update",
    options={"sheet": sheets},
    synonyms=("spreadsheet", "excel", "change", "edit", "set", "cell"),
    summary=lambda output: f"row {output['rowNumber']}",
)
async def update_row(ctx: RunContext[UpdateRowInputs]) -> dict[str, Any]:
    """Write values into one row, by its number; the other cells of the row stay as they are."""
    inputs = ctx.inputs
    if inputs.row_number <= inputs.header_row:
        raise InputError(
            _("Row %(row_number)s is not below the header row, %(header_row)s.")
            % {"row_number": inputs.row_number, "header_row": inputs.header_row},
            field="rowNumber",
        )
    sheet = inputs.place()
    cells = (await columns(ctx.http, sheet)).cells(inputs.row)
    return await update(ctx.http, sheet, inputs.row_number, cells, inputs.value_input)


class UpsertRowInputs(WriteInputs):
    key_column: str = Field(
        alias="keyColumn",
        min_length=1,
        title="Key column",
        description="The row whose value there is the same is changed; where there is none, one is added.",
        examples=["Name"],
    )


class Upserted(Written):
    created: bool = Field(title="Added", description="Else a row that was there was changed.")


@action(
    provider=google_sheets,
    key="google_sheets.upsertRow",
    name="Add or update row",
    auth_type="oauth2",
    input_schema=UpsertRowInputs,
    output_schema=Upserted,
    sample={**WRITTEN, "created": False},
    # Where it adds a row whose answer is lost, a second look may come before the row is there.
    idempotent=False,
    effect="update",
    options={"sheet": sheets, "keyColumn": column_names},
    synonyms=("spreadsheet", "excel", "insert", "change", "merge", "sync"),
    summary=lambda output: f"row {output['rowNumber']} {'added' if output['created'] else 'changed'}",
)
async def upsert_row(ctx: RunContext[UpsertRowInputs]) -> dict[str, Any]:
    """Change the row with this key, or add one; of several the first is changed."""
    inputs = ctx.inputs
    sheet = inputs.place()
    named = await columns(ctx.http, sheet)
    at = named.index(inputs.key_column, field="keyColumn")
    wanted = text_of(inputs.row.get(inputs.key_column))
    if not wanted:
        raise InputError(
            _("The row has no value for its key column %(key_column)r.") % {"key_column": inputs.key_column},
            field="row",
        )
    cells = named.cells(inputs.row)
    matches = await _rows_with(ctx, sheet, letter(at), wanted)
    if not matches:
        return {**await append(ctx.http, sheet, cells, inputs.value_input), "created": True}
    if len(matches) > 1:
        ctx.log.warning(f"{len(matches)} rows have this key; the first of them, row {matches[0]}, is changed.")
    return {**await update(ctx.http, sheet, matches[0], cells, inputs.value_input), "created": False}


async def _rows_with(ctx: RunContext[UpsertRowInputs], sheet: Sheet, column: str, wanted: str) -> list[int]:
    """Return the numbers of the rows below the header with this value; dates are compared as they are shown."""
    first = sheet.header
    ((*found,),) = await read(ctx.http, sheet, f"{column}{first}:{column}", render="UNFORMATTED_VALUE", by_column=True)
    cells = found[0] if found else []
    return [first + at for at, cell in enumerate(cells) if at and text_of(cell) == wanted]


class GetRowsInputs(SheetInputs):
    limit: int = Field(default=100, ge=1, le=MAX_ROWS, title="At most", description="Rows.", examples=[100])
    first_row: int | None = Field(
        default=None,
        ge=1,
        alias="firstRow",
        title="From row",
        description="Number of the first row to read; the one below the header row if left out.",
        examples=[2],
        json_schema_extra=ui(advanced=True),
    )
    value_render: Render = Field(
        default="FORMATTED_VALUE",
        alias="valueRender",
        title="Values",
        examples=["FORMATTED_VALUE", "UNFORMATTED_VALUE"],
        json_schema_extra=ui(
            advanced=True,
            words={
                "FORMATTED_VALUE": "As they are shown",
                "UNFORMATTED_VALUE": "As plain numbers",
                "FORMULA": "As formulas",
            },
        ),
    )


class GetRowsOutput(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    rows: list[Row] = Field(title="Rows")
    next_row: int | None = Field(
        alias="nextRow", title="Next row", description="Where to go on reading, null at the end."
    )


@action(
    provider=google_sheets,
    key="google_sheets.getRows",
    name="Get rows",
    auth_type="oauth2",
    input_schema=GetRowsInputs,
    output_schema=GetRowsOutput,
    sample={"rows": [{"rowNumber": 2, "row": {"Name": "Ada Fox", "Amount": "12.50"}}], "nextRow": None},
    idempotent=True,
    effect="read",
    timeout=120,
    options={"sheet": sheets},
    synonyms=("spreadsheet", "excel", "read", "list", "table", "lookup"),
    summary=lambda output: f"{len(output['rows'])} rows",
)
async def get_rows(ctx: RunContext[GetRowsInputs]) -> dict[str, Any]:
    """Read rows as objects, by the names in the header row; empty rows are left out."""
    inputs = ctx.inputs
    sheet = inputs.place()
    end = await rows_in(ctx.http, sheet)
    named = await columns(ctx.http, sheet)
    at = max(inputs.header_row + 1, inputs.first_row or 0)
    rows: list[dict[str, Any]] = []
    while at <= end:
        cells = await _page(ctx, sheet, named, at, min(end, at + PAGE - 1))
        for number, row in enumerate(cells, at):
            if not any(text_of(cell) for cell in row):
                continue
            if len(rows) == inputs.limit:
                return {"rows": rows, "nextRow": number}
            rows.append({"rowNumber": number, "row": named.row(row)})
        at += PAGE
    return {"rows": rows, "nextRow": None}


async def _page(ctx: RunContext[GetRowsInputs], sheet: Sheet, named: Columns, first: int, last: int) -> list[Cells]:
    (found,) = await read(ctx.http, sheet, f"A{first}:{named.last}{last}", render=ctx.inputs.value_render)
    return found

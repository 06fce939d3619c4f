"""The inputs and outputs that the actions and the trigger share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from integrations.providers.google_sheets.client import Sheet, ValueInput
from integrations.sdk import ui

EXAMPLE_ID = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"


class SheetInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    spreadsheet_id: str = Field(
        alias="spreadsheetId",
        min_length=1,
        max_length=2000,
        title="Spreadsheet",
        description="Its address in the browser, or its id.",
        examples=[EXAMPLE_ID, f"https://docs.google.com/spreadsheets/d/{EXAMPLE_ID}/edit"],
    )
    sheet: str = Field(
        min_length=1, max_length=200, title="Sheet", description="The name on its tab.", examples=["Orders"]
    )
    header_row: int = Field(
        default=1,
        ge=1,
        le=1000,
        alias="headerRow",
        title="Header row",
        description="The row with the columns' names.",
        examples=[1],
        json_schema_extra=ui(advanced=True),
    )

    def place(self) -> Sheet:
        return Sheet.of(self.spreadsheet_id, self.sheet, self.header_row)


class WriteInputs(SheetInputs):
    row: dict[str, JsonValue] = Field(
        min_length=1,
        title="Row",
        description="Values by the columns' names. What is left out, or null, is not written; an empty text empties.",
        examples=[{"Name": "Ada Fox", "Amount": 12.5}],
    )
    value_input: ValueInput = Field(
        default="RAW",
        alias="valueInput",
        title="Values are",
        description="As if typed they become dates, and formulas too, which then run whoever the text came from.",
        examples=["RAW", "USER_ENTERED"],
        json_schema_extra=ui(advanced=True, words={"RAW": "Stored as they are", "USER_ENTERED": "Read as if typed"}),
    )


class Row(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    row_number: int = Field(alias="rowNumber", title="Row number")
    row: dict[str, JsonValue] = Field(title="Row", description="Values by the columns' names.")


class Written(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    spreadsheet_id: str = Field(alias="spreadsheetId", title="Spreadsheet id")
    range: str = Field(title="Range", description="Where it was written.")
    row_number: int = Field(alias="rowNumber", title="Row number")
    updated_cells: int = Field(alias="updatedCells", title="Cells written")

"""What can be done in Airtable."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from integrations.providers.airtable import airtable
from integrations.providers.airtable.client import ask, create, records_of, table_path, update
from integrations.providers.airtable.options import bases, tables
from integrations.sdk import RunContext, action, collected, ui
from integrations.sdk.client import Response
from integrations.words import gettext as _

# Of one request, as Airtable takes them.
MAX_RECORDS: Final = 10
_PAGE: Final = 100
_ID: Final = r"^[A-Za-z0-9]{1,40}$"
_ORDER: Final = {"asc": "Ascending", "desc": "Descending"}
SAMPLE_RECORD: Final[dict[str, JsonValue]] = {
    "id": "rec560UJdUtocSouk",
    "createdTime": "2026-03-02T09:30:00.000Z",
    "fields": {"Name": "Ada Lovelace", "Stage": "New"},
}
_SAMPLE_WRITTEN: Final[dict[str, JsonValue]] = {
    "id": SAMPLE_RECORD["id"],
    "fields": SAMPLE_RECORD["fields"],
    "records": [SAMPLE_RECORD],
}
Row = dict[str, JsonValue]
Typecast = Annotated[
    bool,
    Field(
        title="Convert values",
        description="Airtable makes of a text a number, a date or a new option where the field wants one.",
        examples=[True],
        json_schema_extra=ui(advanced=True),
    ),
]


class _InTable(BaseModel):
    model_config = ConfigDict(extra="forbid")

    base_id: str = Field(
        pattern=_ID,
        title="Base",
        description="Its id stands in the base's address.",
        examples=["appLkNDICXNqxSDhG"],
    )
    table: str = Field(
        min_length=1, title="Table", description="Its name or id.", examples=["tbltp8DGLhqbUmjK1", "Leads"]
    )

    @field_validator("table")
    @classmethod
    def no_step_in_a_path(cls, table: str) -> str:
        if table in (".", ".."):
            raise ValueError(_("that is no name of a table"))
        return table

    @property
    def path(self) -> str:
        return table_path(self.base_id, self.table)


class ListRecordsInputs(_InTable):
    formula: str | None = Field(
        default=None,
        title="Filter",
        description="A formula of Airtable that is true for the records to list.",
        examples=["{Stage} = 'New'"],
    )
    sort_by: str | None = Field(default=None, min_length=1, title="Sort by", description="A field.", examples=["Name"])
    direction: Literal["asc", "desc"] = Field(
        default="asc", title="Order", examples=["desc"], json_schema_extra=ui(show_if="sort_by", words=_ORDER)
    )
    limit: int = Field(default=100, ge=1, le=1000, title="At most", description="How many records.", examples=[100])
    fields: list[str] | None = Field(
        default=None,
        title="Fields",
        description="Only these, by name or id. All of them if left out.",
        examples=[["Name", "Stage"]],
        json_schema_extra=ui(advanced=True),
    )
    view: str | None = Field(
        default=None,
        min_length=1,
        title="View",
        description="Its name or id: its filter and order hold.",
        examples=["Grid view"],
        json_schema_extra=ui(advanced=True),
    )
    offset: str | None = Field(
        default=None,
        min_length=1,
        title="Go on from",
        description="The offset of an earlier list with the same inputs; it is good for some minutes.",
        examples=["itrEN2TCbrcSN2BMs/rec560UJdUtocSouk"],
        json_schema_extra=ui(advanced=True),
    )

    def query(self, size: int, offset: str | None) -> list[tuple[str, str]]:
        """Return the parameters of one page of at most ``size`` records."""
        given = {"filterByFormula": self.formula, "view": self.view, "offset": offset}
        sort = {"sort[0][field]": self.sort_by, "sort[0][direction]": self.direction} if self.sort_by else {}
        plain = [(name, value) for name, value in {**given, **sort}.items() if value]
        return [("pageSize", str(size)), *plain, *(("fields[]", name) for name in self.fields or ())]


class ListRecordsOutput(BaseModel):
    records: list[dict[str, JsonValue]] = Field(title="Records", description="Each with id, createdTime and fields.")
    offset: str | None = Field(default=None, title="Where to go on", description="Null where there are no more.")


@action(
    provider=airtable,
    key="airtable.listRecords",
    scopes=("data.records:read",),
    rate_limit_key=lambda inputs: inputs.base_id,
    name="List records",
    auth_type="oauth2",
    input_schema=ListRecordsInputs,
    output_schema=ListRecordsOutput,
    sample={"records": [SAMPLE_RECORD], "offset": None},
    idempotent=True,
    effect="search",
    options={"base_id": bases, "table": tables},
    synonyms=("find", "search", "rows", "filter", "table", "get", "query"),
    summary=lambda output: f"{len(output['records'])} records",
)
async def list_records(ctx: RunContext[ListRecordsInputs]) -> dict[str, Any]:
    """List records of a table, page by page until there are as many as asked for."""

    async def page(offset: str | None, room: int) -> tuple[list[dict[str, Any]], str | None]:
        response = await ask(ctx.http, ctx.inputs.path, ctx.inputs.query(min(_PAGE, room), offset))
        return records_of(response), str(response.json_object().get("offset") or "") or None

    rows, following = await collected(page, most=ctx.inputs.limit, cursor=ctx.inputs.offset)
    return {"records": rows, "offset": following}


class _Written(BaseModel):
    """What a record is told after it was written; the first one's values stand on top."""

    id: str = Field(title="Record id")
    fields: dict[str, JsonValue] = Field(title="Fields")
    records: list[dict[str, JsonValue]] = Field(title="Records", description="All of them, where there are several.")


class CreateRecordInputs(_InTable):
    fields: Row | None = Field(
        default=None,
        title="Fields",
        description="The values by the fields' names.",
        examples=[{"Name": "Ada Lovelace", "Stage": "New"}],
        json_schema_extra=ui(format="json"),
    )
    records: list[Row] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_RECORDS,
        title="Several records",
        description="In place of one: the fields of each, ten at most.",
        examples=[[{"Name": "Ada"}, {"Name": "Grace"}]],
        json_schema_extra=ui(advanced=True),
    )
    typecast: Typecast = False

    @model_validator(mode="after")
    def one_or_several(self) -> Self:
        if (self.fields is None) == (self.records is None):
            raise ValueError(_("give either the fields of one record or several records, and not both"))
        return self

    def payload(self) -> dict[str, Any]:
        rows = [self.fields] if self.records is None else self.records
        return {"records": [{"fields": row} for row in rows], "typecast": self.typecast}


@action(
    provider=airtable,
    key="airtable.createRecord",
    scopes=("data.records:write",),
    rate_limit_key=lambda inputs: inputs.base_id,
    name="Create record",
    auth_type="oauth2",
    input_schema=CreateRecordInputs,
    output_schema=_Written,
    sample=_SAMPLE_WRITTEN,
    idempotent=False,
    effect="create",
    options={"base_id": bases, "table": tables},
    synonyms=("add", "row", "insert", "append", "table", "new"),
    summary=lambda output: f"record {output['id']}",
)
async def create_record(ctx: RunContext[CreateRecordInputs]) -> dict[str, Any]:
    """Create a record in a table, or several at once."""
    return _written(await create(ctx.http, ctx.inputs.path, ctx.inputs.payload()))


class Change(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=_ID, title="Record", examples=["rec560UJdUtocSouk"])
    fields: Row = Field(title="Fields", examples=[{"Stage": "Won"}], json_schema_extra=ui(format="json"))


class UpdateRecordInputs(_InTable):
    record_id: str | None = Field(
        default=None,
        pattern=_ID,
        title="Record",
        description="Its id, as listing or creating records gives it.",
        examples=["rec560UJdUtocSouk"],
    )
    fields: Row | None = Field(
        default=None,
        title="Fields",
        description="The values to change; the others stay as they are.",
        examples=[{"Stage": "Won"}],
        json_schema_extra=ui(format="json"),
    )
    records: list[Change] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_RECORDS,
        title="Several records",
        description="In place of one: id and fields of each, ten at most.",
        examples=[[{"id": "rec560UJdUtocSouk", "fields": {"Stage": "Won"}}]],
        json_schema_extra=ui(advanced=True),
    )
    typecast: Typecast = False

    @model_validator(mode="after")
    def one_or_several(self) -> Self:
        one = (self.record_id is not None, self.fields is not None)
        if any(one) == (self.records is not None) or any(one) != all(one):
            raise ValueError(_("give either a record with its fields or several records, and not both"))
        return self

    def payload(self) -> dict[str, Any]:
        rows = [each.model_dump(mode="json") for each in self.records or ()]
        return {"records": rows or [{"id": self.record_id, "fields": self.fields}], "typecast": self.typecast}


@action(
    provider=airtable,
    key="airtable.updateRecord",
    scopes=("data.records:write",),
    rate_limit_key=lambda inputs: inputs.base_id,
    name="Update record",
    auth_type="oauth2",
    input_schema=UpdateRecordInputs,
    output_schema=_Written,
    sample=_SAMPLE_WRITTEN,
    # The same values make the same record.
    idempotent=True,
    effect="update",
    options={"base_id": bases, "table": tables},
    synonyms=("change", "edit", "set", "row", "table", "modify"),
    summary=lambda output: f"record {output['id']}",
)
async def update_record(ctx: RunContext[UpdateRecordInputs]) -> dict[str, Any]:
    """Change fields of a record, or of several at once; the others stay as they are."""
    return _written(await update(ctx.http, ctx.inputs.path, ctx.inputs.payload()))


def _written(response: Response) -> dict[str, Any]:
    rows = records_of(response)
    if not rows:
        raise response.unexpected()
    return {"id": rows[0]["id"], "fields": rows[0]["fields"], "records": rows}

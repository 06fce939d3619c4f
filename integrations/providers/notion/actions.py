"""What can be done in Notion."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from integrations.providers.notion import notion
from integrations.providers.notion.blocks import (
    MAX_BLOCKS,
    MAX_PIECES,
    MAX_TEXT,
    paragraphs,
    problems,
    rich_text,
    units,
)
from integrations.providers.notion.client import PAGES_PATH, data_source_of, is_refused_by_notion, send
from integrations.providers.notion.options import databases, pages
from integrations.sdk import NotFound, RunContext, action, collected, ui
from integrations.sdk.client import Response
from integrations.words import gettext as _

_PAGE: Final = 100
_ORDER: Final = {"ascending": "Ascending", "descending": "Descending"}
_IN_A_LINK: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
SAMPLE_ID: Final = "59833787-2cf9-4fdf-8782-e53db20768a5"
SAMPLE_DATABASE: Final = "d9824bdc-8445-4327-be8b-5b47500af6ce"
SAMPLE_PAGE: Final[dict[str, JsonValue]] = {
    "object": "page",
    "id": SAMPLE_ID,
    "created_time": "2026-03-02T09:30:00.000Z",
    "url": "https://www.notion.so/New-lead-598337872cf94fdf8782e53db20768a5",
    "properties": {
        "Name": {"id": "title", "type": "title", "title": [{"type": "text", "plain_text": "Ada Lovelace"}]},
        "Stage": {"id": "x%40y", "type": "select", "select": {"id": "1", "name": "New", "color": "blue"}},
    },
}


def _id(value: object) -> object:
    """A link to a page or database, as the app copies it, is taken for its id."""
    if isinstance(value, str) and "://" in value:
        found = _IN_A_LINK.findall(value.partition("?")[0].partition("#")[0])
        return found[-1] if found else value
    return value


NotionId = Annotated[str, BeforeValidator(_id)]
_ID_PATTERN: Final = r"^[0-9A-Za-z-]{1,64}$"


class CreatePageInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    database_id: NotionId | None = Field(
        default=None,
        pattern=_ID_PATTERN,
        title="Database",
        description="The new page becomes a row of it. An id or a link.",
        examples=[SAMPLE_DATABASE],
    )
    page_id: NotionId | None = Field(
        default=None,
        pattern=_ID_PATTERN,
        title="Or below the page",
        description="In place of a database. An id or a link.",
        examples=[SAMPLE_ID],
    )
    title: str | None = Field(default=None, title="Title", examples=["Ada Lovelace"])
    content: str | None = Field(
        default=None,
        title="Content",
        description="Plain text, a paragraph a line, at most 100.",
        examples=["She asks for a demonstration.\nCall her back on Monday."],
        json_schema_extra=ui(format="textarea"),
    )
    properties: dict[str, JsonValue] | None = Field(
        default=None,
        title="Properties",
        description="The row's other values, as Notion describes them under Page properties.",
        examples=[{"Stage": {"select": {"name": "New"}}}],
        json_schema_extra=ui(format="json"),
    )
    children: list[dict[str, JsonValue]] | None = Field(
        default=None,
        title="Blocks",
        description="Content as Notion's own blocks, after the plain text.",
        examples=[[{"type": "divider", "divider": {}}]],
        json_schema_extra=ui(format="code", advanced=True),
    )
    icon: str | None = Field(
        default=None,
        min_length=1,
        title="Icon",
        description="An emoji.",
        examples=["📞"],
        json_schema_extra=ui(advanced=True),
    )

    @model_validator(mode="after")
    def one_place(self) -> Self:
        if bool(self.database_id) == bool(self.page_id):
            raise ValueError(_("give either a database or a page, and not both"))
        if self.page_id and self.properties:
            raise ValueError(_("only the rows of a database have properties: a page below a page has a title alone"))
        return self

    @model_validator(mode="after")
    def of_a_size_that_notion_takes(self) -> Self:
        if self.title is not None and units(self.title) > MAX_TEXT:
            raise ValueError(
                _("the title has %(length)s characters, Notion takes at most 2,000")
                % {"length": f"{units(self.title):,}"}
            )
        blocks = self._blocks()
        if len(blocks) > MAX_BLOCKS:
            raise ValueError(
                _("the content has %(count)s paragraphs and blocks, Notion takes at most 100")
                % {"count": f"{len(blocks):,}"}
            )
        if any(len(each["paragraph"]["rich_text"]) > MAX_PIECES for each in paragraphs(self.content or "")):
            raise ValueError(_("a paragraph has more than 200,000 characters, which Notion does not take"))
        for problem in (*problems(self.properties, "properties"), *problems(self.children, "children")):
            raise ValueError(problem)
        return self

    def _blocks(self) -> list[dict[str, Any]]:
        return [*paragraphs(self.content or ""), *(self.children or ())]

    def payload(self, data_source_id: str | None) -> dict[str, Any]:
        """Return the body of the request; every database knows its title by the name ``title``, too."""
        parent = (
            {"type": "data_source_id", "data_source_id": data_source_id}
            if data_source_id
            else {"type": "page_id", "page_id": self.page_id}
        )
        named = {"title": {"title": rich_text(self.title)}} if self.title is not None else {}
        body: dict[str, Any] = {"parent": parent, "properties": {**named, **(self.properties or {})}}
        if blocks := self._blocks():
            body["children"] = blocks
        return body | ({"icon": {"type": "emoji", "emoji": self.icon}} if self.icon else {})


class PageOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Page id")
    url: str = Field(default="", title="Link")
    properties: dict[str, JsonValue] = Field(default_factory=dict, title="Properties")


@action(
    provider=notion,
    key="notion.createPage",
    name="Create page",
    auth_type="oauth2",
    input_schema=CreatePageInputs,
    output_schema=PageOutput,
    sample=SAMPLE_PAGE,
    idempotent=False,
    effect="create",
    options={"database_id": databases, "page_id": pages},
    synonyms=("row", "item", "database", "add", "note", "document", "wiki"),
    summary=lambda output: f"page {output['id']}",
)
async def create_page(ctx: RunContext[CreatePageInputs]) -> dict[str, Any]:
    """Create a page, as a row of a database or below another page."""
    inputs = ctx.inputs
    source = inputs.database_id
    try:
        response = await send(ctx.http, PAGES_PATH, inputs.payload(source))
    except NotFound as refused:
        if source is None or not is_refused_by_notion(refused):
            raise
        # Nothing was made: what was given may be the database's id.
        source = await data_source_of(ctx.http, source, refused)
        response = await send(ctx.http, PAGES_PATH, inputs.payload(source))
    page = response.json_object()
    if page.get("object") != "page" or not isinstance(page.get("id"), str):
        raise response.unexpected()
    ctx.log(f"Created {page['id']}")
    # An integration that may not read is told the id alone.
    return {"created_time": "", "url": "", "properties": {}, **page}


class QueryDatabaseInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    database_id: NotionId = Field(
        pattern=_ID_PATTERN, title="Database", description="An id or a link.", examples=[SAMPLE_DATABASE]
    )
    filter_: dict[str, JsonValue] | None = Field(
        default=None,
        alias="filter",
        title="Filter",
        description="Which rows, as Notion describes it under Filter database entries.",
        examples=[{"property": "Stage", "select": {"equals": "New"}}],
        json_schema_extra=ui(format="json"),
    )
    sort_by: str | None = Field(
        default=None,
        min_length=1,
        title="Sort by",
        description="A property's name, or created_time or last_edited_time.",
        examples=["Name"],
    )
    direction: Literal["ascending", "descending"] = Field(
        default="ascending",
        title="Order",
        examples=["descending"],
        json_schema_extra=ui(show_if="sort_by", words=_ORDER),
    )
    limit: int = Field(default=100, ge=1, le=1000, title="At most", description="How many rows.", examples=[100])
    start_cursor: str | None = Field(
        default=None,
        title="Go on from",
        description="The next_cursor of an earlier query with the same inputs.",
        examples=[SAMPLE_ID],
        json_schema_extra=ui(advanced=True),
    )

    def payload(self, size: int, cursor: str | None) -> dict[str, Any]:
        """Return the body of the request for one page of at most ``size`` rows."""
        body: dict[str, Any] = {"page_size": size}
        if self.filter_:
            body["filter"] = self.filter_
        if self.sort_by:
            by = "timestamp" if self.sort_by in ("created_time", "last_edited_time") else "property"
            body["sorts"] = [{by: self.sort_by, "direction": self.direction}]
        return body | ({"start_cursor": cursor} if cursor else {})


class QueryDatabaseOutput(BaseModel):
    results: list[dict[str, JsonValue]] = Field(title="Rows", description="The pages, as Notion describes them.")
    has_more: bool = Field(title="There are more")
    next_cursor: str | None = Field(default=None, title="Where to go on")


@action(
    provider=notion,
    key="notion.queryDatabase",
    name="Query database",
    auth_type="oauth2",
    input_schema=QueryDatabaseInputs,
    output_schema=QueryDatabaseOutput,
    sample={"results": [SAMPLE_PAGE], "has_more": False, "next_cursor": None},
    idempotent=True,
    effect="search",
    options={"database_id": databases},
    synonyms=("find", "search", "list", "rows", "filter", "table", "get"),
    summary=lambda output: f"{len(output['results'])} rows",
)
async def query_database(ctx: RunContext[QueryDatabaseInputs]) -> dict[str, Any]:
    """Find rows of a database, page by page until there are as many as asked for."""
    source = ctx.inputs.database_id

    async def page(cursor: str | None, room: int) -> tuple[list[dict[str, Any]], str | None]:
        nonlocal source
        body = ctx.inputs.payload(min(_PAGE, room), cursor)
        try:
            response = await send(ctx.http, f"v1/data_sources/{source}/query", body, reads=True)
        except NotFound as refused:
            is_first = source == ctx.inputs.database_id and cursor == ctx.inputs.start_cursor
            if not (is_first and is_refused_by_notion(refused)):
                raise
            source = await data_source_of(ctx.http, source, refused)
            response = await send(ctx.http, f"v1/data_sources/{source}/query", body, reads=True)
        return _page(response)

    rows, following = await collected(page, most=ctx.inputs.limit, cursor=ctx.inputs.start_cursor)
    return {"results": rows, "has_more": following is not None, "next_cursor": following}


def _page(response: Response) -> tuple[list[dict[str, Any]], str | None]:
    answer = response.json_object()
    rows, following = answer.get("results"), answer.get("next_cursor")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise response.unexpected()
    return rows, str(following) if answer.get("has_more") is True and following else None

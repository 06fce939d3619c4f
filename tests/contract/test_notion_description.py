"""What goes to Notion, held against the types of its own library."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from integrations.providers.notion.actions import create_page, query_database
from integrations.sdk.testing import run_options
from tests.contract.described import described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

PLACE = "59833787-2cf9-4fdf-8782-e53db20768a5"
AUTH = {"access_token": "x"}


def fits(value: Any, name: str) -> None:
    validate(value, description(f"notion/jsonschema/{name}.json"), f"/definitions/{name}")


@pytest.mark.parametrize(
    "inputs",
    [
        {"database_id": PLACE, "title": "Ada"},
        {"database_id": PLACE, "title": "Ada", "properties": {"Stage": {"select": {"name": "New"}}}, "icon": "📞"},
        {"page_id": PLACE, "title": "Ada", "content": "One\n\nTwo", "children": [{"type": "divider", "divider": {}}]},
        {"page_id": PLACE},
    ],
)
def test_a_page_is_what_notion_describes(inputs: dict[str, Any]) -> None:
    fits(json.loads(request_of(create_page, inputs, AUTH).content), "CreatePage")


def test_bodies_that_notion_would_refuse_do_not_pass() -> None:
    for wrong in ({"parent": {"type": "page_id"}}, {"parents": {}}, {"children": [{"type": "x"}]}, {"icon": "📞"}):
        with pytest.raises(jsonschema.ValidationError):
            fits(wrong, "CreatePage")
    for wrong in ({"page_size": "5"}, {"sorts": [{"direction": "up", "property": "x"}]}, {"limit": 5}):
        with pytest.raises(jsonschema.ValidationError):
            fits({"data_source_id": PLACE, **wrong}, "QueryDataSource")


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {
            "filter": {"property": "Stage", "select": {"equals": "New"}},
            "sort_by": "Name",
            "direction": "descending",
            "limit": 5,
            "start_cursor": PLACE,
        },
        {"sort_by": "last_edited_time"},
    ],
)
def test_a_query_is_what_notion_describes(inputs: dict[str, Any]) -> None:
    request = request_of(query_database, {"database_id": PLACE, **inputs}, AUTH)
    # The described parameters are the path's and the body's together.
    fits({"data_source_id": request.url.path.split("/")[3], **json.loads(request.content)}, "QueryDataSource")


@pytest.mark.parametrize(("query", "cursor"), [("", None), ("leads", PLACE)])
@pytest.mark.parametrize("field", ["database_id", "page_id"])
def test_a_search_is_what_notion_describes(field: str, query: str, cursor: str | None) -> None:
    answer = httpx.Response(200, json={"results": [], "has_more": False, "next_cursor": None})
    _, (request,) = run_options(create_page, field, query=query, cursor=cursor, auth=AUTH, http=[answer])
    fits(json.loads(request.content), "Search")


def test_our_exchanges_are_what_notion_describes() -> None:
    fits(EXCHANGES["notion.createPage"].answer, "CreatePageResult")
    fits(EXCHANGES["notion.queryDatabase"].answer, "QueryDataSourceResult")

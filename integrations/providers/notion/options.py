"""What there is to choose from in Notion."""

from __future__ import annotations

from typing import Any, Final

from integrations.providers.notion.client import SEARCH_PATH, send
from integrations.sdk import Option, Options, OptionsContext
from integrations.sdk.client import Response

_PAGE: Final = 100


async def databases(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the databases that the integration may use, by the ids of their data sources."""
    return await _found(ctx, "data_source", query, cursor)


async def pages(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the pages that the integration may use."""
    return await _found(ctx, "page", query, cursor)


async def _found(ctx: OptionsContext, kind: str, query: str, cursor: str | None) -> Options:
    body = {"filter": {"property": "object", "value": kind}, "page_size": _PAGE}
    body |= ({"query": query.strip()} if query.strip() else {}) | ({"start_cursor": cursor} if cursor else {})
    response = await send(ctx.http, SEARCH_PATH, body, reads=True)
    answer = response.json_object()
    rows = answer.get("results")
    if not isinstance(rows, list):
        raise response.unexpected()
    following = answer.get("next_cursor") if answer.get("has_more") is True else None
    return Options(items=[_option(row, response) for row in rows], next_cursor=str(following) if following else None)


def _option(row: Any, response: Response) -> Option:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise response.unexpected()
    return Option(row["id"], _title(row) or "Untitled", str(row.get("url") or ""))


def _title(row: dict[str, Any]) -> str:
    """Return the name of a database, or what a page has in its property of the type title."""
    title = row.get("title")
    if not isinstance(title, list):
        properties = row.get("properties")
        values = properties.values() if isinstance(properties, dict) else ()
        title = next((each.get("title") for each in values if isinstance(each, dict) and each.get("title")), [])
    parts = title if isinstance(title, list) else []
    return "".join(str(part.get("plain_text") or "") for part in parts if isinstance(part, dict)).strip()

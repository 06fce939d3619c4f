"""What there is to choose from at Google."""

from __future__ import annotations

from typing import Any, Final

from integrations.providers.google_gemini.client import list_models
from integrations.sdk import Option, Options, OptionsContext
from integrations.sdk.client import Response

_PAGE: Final = 100
# Google has no search, so a search looks through as many as a page can have.
_SEARCHED_PAGE: Final = 1000


async def models(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the models that write."""
    wanted = query.strip().lower()
    params = {"pageSize": str(_SEARCHED_PAGE if wanted else _PAGE)} | ({"pageToken": cursor} if cursor else {})
    response = await list_models(ctx.http, params)
    answer = response.json_object()
    rows = answer.get("models")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise response.unexpected()
    found = [_option(row, response) for row in rows if _writes(row)]
    following = answer.get("nextPageToken")
    return Options(
        items=[option for option in found if wanted in f"{option.label} {option.value}".lower()],
        next_cursor=str(following) if following else None,
    )


def _writes(row: dict[str, Any]) -> bool:
    methods = row.get("supportedGenerationMethods", ["generateContent"])
    return isinstance(methods, list) and "generateContent" in methods


def _option(row: dict[str, Any], response: Response) -> Option:
    name = row.get("name")
    if not isinstance(name, str):
        raise response.unexpected()
    value = name.removeprefix("models/")
    return Option(value, str(row.get("displayName") or value), value)

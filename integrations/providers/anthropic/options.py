"""What there is to choose from at Anthropic."""

from __future__ import annotations

from typing import Any, Final

from integrations.providers.anthropic.client import list_models
from integrations.sdk import Option, Options, OptionsContext
from integrations.sdk.client import Response

_PAGE: Final = 100
# Anthropic has no search of its own, so a search looks through more of them at once.
_SEARCHED_PAGE: Final = 1000


async def models(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the models that the credential may use, the newest first."""
    wanted = query.strip().lower()
    params = {"limit": str(_SEARCHED_PAGE if wanted else _PAGE)} | ({"after_id": cursor} if cursor else {})
    response = await list_models(ctx.http, params)
    answer = response.json_object()
    rows = answer.get("data")
    if not isinstance(rows, list):
        raise response.unexpected()
    found = [_option(row, response) for row in rows]
    following = answer.get("last_id") if answer.get("has_more") is True else None
    return Options(
        items=[option for option in found if wanted in f"{option.label} {option.value}".lower()],
        next_cursor=str(following) if following else None,
    )


def _option(row: Any, response: Response) -> Option:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise response.unexpected()
    return Option(row["id"], str(row.get("display_name") or row["id"]))

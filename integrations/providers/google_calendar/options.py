"""What there is to choose from in Google Calendar."""

from __future__ import annotations

from typing import Any, Final

from integrations.google import next_page, rows_of
from integrations.providers.google_calendar.client import CALENDARS_PATH, LIST_SCOPE, SERVICE
from integrations.sdk import Option, Options, OptionsContext, first_found

_PAGE: Final = 250


async def calendars(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the calendars that the account may write to. A search looks through some pages at most."""
    return await _listed(ctx, query, cursor, role="writer")


async def readable_calendars(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the calendars whose events the account may see. A search looks through some pages at most."""
    return await _listed(ctx, query, cursor, role="reader")


async def _listed(ctx: OptionsContext, query: str, cursor: str | None, *, role: str) -> Options:
    wanted = query.strip().lower()

    async def page(token: str | None) -> tuple[list[Option], str | None]:
        params = {"maxResults": str(_PAGE), "minAccessRole": role, **({"pageToken": token} if token else {})}
        response = SERVICE.checked(await ctx.http.get(CALENDARS_PATH, params=params), LIST_SCOPE)
        rows = rows_of(response, "items")
        if not all(isinstance(row.get("id"), str) for row in rows):
            raise response.unexpected()
        return [option for option in map(_option, rows) if wanted in option.label.lower()], next_page(response)

    return await first_found(page, cursor)


def _option(row: dict[str, Any]) -> Option:
    name = str(row.get("summaryOverride") or row.get("summary") or row["id"])
    return Option(row["id"], name, "main calendar" if row.get("primary") is True else "")

"""What there is to choose from in Discord."""

from __future__ import annotations

from typing import Any, Final

from integrations.providers.discord.client import ask
from integrations.sdk import Option, Options, OptionsContext
from integrations.sdk.client import Response

# Text, voice with its chat, announcements, stages with theirs: what a message can be posted to.
_TAKE_MESSAGES: Final = frozenset({0, 2, 5, 13})
_SERVERS_SEARCHED: Final = 5


async def channels(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the channels of the servers that the bot is a member of, a server a page.

    Discord has no search, so one goes from server to server until something is found, through some at most.
    """
    wanted = query.strip().removeprefix("#").lower()
    items: list[Option] = []
    for _server in range(_SERVERS_SEARCHED):
        server = await _next_server(ctx, cursor)
        if server is None:
            return Options(items=items)
        cursor = server["id"]
        items = [each for each in await _channels(ctx, server) if wanted in f"{each.label} {each.hint}".lower()]
        if items:
            break
    return Options(items=items, next_cursor=cursor)


async def _next_server(ctx: OptionsContext, after: str | None) -> dict[str, Any] | None:
    response = await ask(ctx.http, "users/@me/guilds", {"limit": "1"} | ({"after": after} if after else {}))
    rows = _rows(response)
    return rows[0] if rows else None


async def _channels(ctx: OptionsContext, server: dict[str, Any]) -> list[Option]:
    rows = _rows(await ask(ctx.http, f"guilds/{server['id']}/channels"))
    places = [row for row in rows if row.get("type") in _TAKE_MESSAGES]
    return [Option(row["id"], f"#{row.get('name')}", str(server.get("name") or "")) for row in places]


def _rows(response: Response) -> list[dict[str, Any]]:
    """Return the rows of an answer. An id goes into the next address, so it has to be one."""
    rows = response.json()
    if not isinstance(rows, list) or not all(isinstance(row, dict) and _is_id(row.get("id")) for row in rows):
        raise response.unexpected()
    return rows


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()

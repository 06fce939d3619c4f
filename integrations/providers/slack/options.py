"""What there is to choose from in Slack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.providers.slack.client import CHANNELS_A_PAGE, ask, channels_of
from integrations.sdk import Option, Options, OptionsContext, first_found

# A search looks through more of them at once, as Slack itself has none.
_SEARCHED_PAGE: Final = 999


async def channels(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the channels that the app can see, by id: a channel that is renamed stays the same one.

    Needs the scopes channels:read and groups:read. A search goes on until something is found, for some pages at most.
    """
    wanted = query.strip().removeprefix("#").lower()

    async def page(at: str | None) -> tuple[list[Option], str | None]:
        found, following = await _channels(ctx, _SEARCHED_PAGE if wanted else CHANNELS_A_PAGE, at)
        return [option for option in found if wanted in option.label.lower()], following

    return await first_found(page, cursor)


async def _channels(ctx: OptionsContext, limit: int, cursor: str | None) -> tuple[list[Option], str | None]:
    params = {"types": "public_channel,private_channel", "exclude_archived": "true", "limit": str(limit)}
    response = await ask(ctx.http, "conversations.list", {**params, **({"cursor": cursor} if cursor else {})})
    rows, following = channels_of(response)
    return [_option(row) for row in rows], following


def _option(row: Mapping[str, Any]) -> Option:
    return Option(row["id"], f"#{row['name']}", "private" if row.get("is_private") is True else "")

"""What there is to choose from in Google Drive."""

from __future__ import annotations

from integrations.providers.google_drive.client import FOLDER, listed, quoted
from integrations.sdk import Option, Options, OptionsContext

_PAGE = 100


async def folders(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List folders by id; a search asks Google for those whose name has it."""
    return await _named(ctx, f"mimeType = '{FOLDER}'", query, cursor)


async def files(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List files by id, what was changed last first; a search asks Google for those whose name has it."""
    return await _named(ctx, f"mimeType != '{FOLDER}'", query, cursor)


async def _named(ctx: OptionsContext, kind: str, query: str, cursor: str | None) -> Options:
    wanted = query.strip()
    search = " and ".join([kind, "trashed = false", *([f"name contains {quoted(wanted)}"] if wanted else [])])
    found, following = await listed(
        ctx.http, search, order="modifiedTime desc", most=_PAGE, fields="id,name,ownedByMe", page=cursor
    )
    items = [Option(row["id"], row["name"], "" if row.get("ownedByMe") else "shared") for row in found]
    return Options(items=items, next_cursor=following)

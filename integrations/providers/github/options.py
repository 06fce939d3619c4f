"""What there is to choose from on GitHub."""

from __future__ import annotations

from typing import Final

from integrations.providers.github.client import listed
from integrations.sdk import Option, Options, OptionsContext

_PAGES_SEARCHED: Final = 3


async def repositories(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the repositories that the token can see, the last used first; a search looks through some pages at most."""
    wanted, page = query.strip().lower(), int(cursor) if cursor and cursor.isdigit() else 1
    items: list[Option] = []
    following: int | None = page
    for _page in range(_PAGES_SEARCHED):
        if following is None:
            break
        rows, following = await listed(ctx.http, "user/repos", following, has="full_name", sort="pushed")
        names = [str(row["full_name"]) for row in rows]
        items = [Option(name, name) for name in names if wanted in name.lower()]
        if items:
            break
    return Options(items=items, next_cursor=str(following) if following else None)

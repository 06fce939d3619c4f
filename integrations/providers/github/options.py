"""What there is to choose from on GitHub."""

from __future__ import annotations

from integrations.providers.github.client import listed
from integrations.sdk import Option, Options, OptionsContext, first_found


async def repositories(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the repositories that the token can see, the last used first; a search looks through some pages at most."""
    wanted = query.strip().lower()

    async def page(at: str | None) -> tuple[list[Option], str | None]:
        number = int(at) if at and at.isdigit() else 1
        rows, following = await listed(ctx.http, "user/repos", number, has="full_name", sort="pushed")
        names = [str(row["full_name"]) for row in rows]
        return [Option(name, name) for name in names if wanted in name.lower()], str(following) if following else None

    return await first_found(page, cursor)

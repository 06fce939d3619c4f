"""What there is to choose from in Teams. Graph gives both lists whole."""

from __future__ import annotations

from urllib.parse import quote

from integrations.providers.microsoft_teams.client import listed
from integrations.sdk import InputError, Option, Options, OptionsContext
from integrations.words import gettext as _


async def teams(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the teams that the account is a member of."""
    return await _chosen(ctx, "me/joinedTeams", query)


async def channels(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the channels of the team that is chosen."""
    team = str(ctx.inputs.get("team_id") or "")
    if not team.replace("-", "").isalnum() or not team.isascii():
        raise InputError(_("The channels are those of a team: choose the team first."), field="team_id")
    return await _chosen(ctx, f"teams/{quote(team, safe='')}/channels", query)


async def _chosen(ctx: OptionsContext, path: str, query: str) -> Options:
    wanted = query.strip().lower()
    named = [(row["id"], str(row.get("displayName") or row["id"])) for row in await listed(ctx.http, path)]
    return Options(items=[Option(key, name, key) for key, name in named if wanted in name.lower()])

"""What there is to choose from in Asana."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.providers.asana.client import PER_PAGE, call, page_of
from integrations.sdk import InputError, Option, Options, OptionsContext
from integrations.words import gettext as _


async def workspaces(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the workspaces that the account is in."""
    return await _listed(ctx, "workspaces", {}, query, cursor)


async def projects(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the projects of the workspace that is chosen, or of the account's only one."""
    workspace = str(ctx.inputs.get("workspace") or "")
    if not (workspace.isascii() and workspace.isdigit()):
        rows, _following = page_of(await call(ctx.http, "GET", "workspaces", params={"limit": "2"}))
        if len(rows) != 1:
            raise InputError(_("The projects are those of a workspace: choose the workspace first."), field="workspace")
        workspace = str(rows[0]["gid"])
    return await _listed(ctx, "projects", {"workspace": workspace, "archived": "false"}, query, cursor)


async def _listed(ctx: OptionsContext, path: str, params: Mapping[str, str], query: str, cursor: str | None) -> Options:
    asked: dict[str, Any] = {**params, "limit": str(PER_PAGE), "opt_fields": "name"}
    response = await call(ctx.http, "GET", path, params=asked | ({"offset": cursor} if cursor else {}))
    rows, following = page_of(response)
    wanted = query.strip().lower()
    found = [(row["gid"], str(row.get("name") or row["gid"])) for row in rows]
    items = [Option(gid, name, gid) for gid, name in found if wanted in name.lower()]
    return Options(items=items, next_cursor=following)

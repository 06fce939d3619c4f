"""What there is to choose from in Jira."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from integrations.providers.jira.client import call, rows_of
from integrations.sdk import InputError, Option, Options, OptionsContext
from integrations.words import gettext as _

_PAGE: Final = 50


async def projects(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the projects that the account sees, by key."""
    start = int(cursor) if cursor and cursor.isdigit() else 0
    params = {"startAt": str(start), "maxResults": str(_PAGE), "orderBy": "name"}
    response = await call(ctx.http, "GET", "project/search", params=params | ({"query": query} if query else {}))
    answer = response.json_object()
    rows = rows_of(response, answer.get("values"), "key", "name")
    more = rows and answer.get("isLast") is False
    items = [Option(row["key"], row["name"], row["key"]) for row in rows]
    return Options(items=items, next_cursor=str(start + len(rows)) if more else None)


async def issue_types(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the kinds of issue of the project that is chosen, by name."""
    project = str(ctx.inputs.get("project") or "")
    if not project.isalnum() or not project.isascii():
        raise InputError(_("The kinds of issue are those of a project: choose the project first."), field="project")
    response = await call(ctx.http, "GET", f"project/{quote(project, safe='')}")
    rows = rows_of(response, response.json_object().get("issueTypes"), "name")
    names = dict.fromkeys(row["name"] for row in rows)
    return Options(items=[Option(name, name) for name in names if query.strip().lower() in name.lower()])


async def priorities(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the priorities of the site, by name."""
    start = int(cursor) if cursor and cursor.isdigit() else 0
    params = {"startAt": str(start), "maxResults": str(_PAGE)}
    response = await call(ctx.http, "GET", "priority/search", params=params)
    answer = response.json_object()
    rows = rows_of(response, answer.get("values"), "name")
    names = [row["name"] for row in rows if query.strip().lower() in row["name"].lower()]
    more = rows and answer.get("isLast") is False
    return Options(items=[Option(name, name) for name in names], next_cursor=str(start + len(rows)) if more else None)

"""What there is to choose from in Airtable."""

from __future__ import annotations

from typing import Any

from integrations.providers.airtable.client import BASES_PATH, ask
from integrations.sdk import InputError, Option, Options, OptionsContext, first_found
from integrations.sdk.client import Response
from integrations.words import gettext as _


async def bases(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the bases that the token has access to, by id: a base that is renamed stays the same one.

    A search goes on until something is found, for some pages of a thousand at most.
    """
    wanted = query.strip().lower()

    async def page(offset: str | None) -> tuple[list[Option], str | None]:
        response = await ask(ctx.http, BASES_PATH, [("offset", offset)] if offset else [])
        return _options(response, "bases", wanted), str(response.json_object().get("offset") or "") or None

    return await first_found(page, cursor)


async def tables(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the tables of the base that is chosen, by id: a table that is renamed stays the same one."""
    base_id = str(ctx.inputs.get("base_id") or "")
    if not base_id.isalnum() or not base_id.isascii():
        raise InputError(_("The tables are those of a base: choose the base first."), field="base_id")
    response = await ask(ctx.http, f"{BASES_PATH}/{base_id}/tables")
    return Options(items=_options(response, "tables", query.strip().lower()))


def _options(response: Response, key: str, wanted: str) -> list[Option]:
    rows = response.json_object().get(key)
    if not isinstance(rows, list):
        raise response.unexpected()
    found = [_option(row, response) for row in rows]
    return [option for option in found if wanted in option.label.lower()]


def _option(row: Any, response: Response) -> Option:
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("name"), str):
        raise response.unexpected()
    return Option(row["id"], row["name"], row["id"])

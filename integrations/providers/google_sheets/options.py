"""What there is to choose from in a spreadsheet."""

from __future__ import annotations

from typing import Any

from integrations.providers.google_sheets.client import Sheet, columns, properties
from integrations.sdk import InputError, Option, Options, OptionsContext
from integrations.words import gettext as _


async def sheets(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the sheets of the chosen spreadsheet. Google gives all of them at once."""
    found = await properties(ctx.http, _chosen(ctx, "spreadsheetId", "Choose a spreadsheet first."))
    wanted = query.strip().lower()
    titles = [each["title"] for each in found if each.get("sheetType", "GRID") == "GRID"]
    return Options(items=[Option(title, title) for title in titles if wanted in title.lower()])


async def column_names(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List the columns of the chosen sheet by the names in its header row."""
    spreadsheet = _chosen(ctx, "spreadsheetId", "Choose a spreadsheet first.")
    name = _chosen(ctx, "sheet", "Choose a sheet first.")
    header = ctx.inputs.get("headerRow")
    number = header if isinstance(header, int) and header > 0 else 1
    found = await columns(ctx.http, Sheet.of(spreadsheet, name, number))
    wanted = query.strip().lower()
    return Options(items=[Option(each, each) for each in found.names if wanted in each.lower()])


def _chosen(ctx: OptionsContext, name: str, hint: str) -> str:
    value: Any = ctx.inputs.get(name)
    if not isinstance(value, str) or not value.strip() or "{{" in value:
        raise InputError(_("What there is depends on another field."), field=name, hint=hint)
    return value

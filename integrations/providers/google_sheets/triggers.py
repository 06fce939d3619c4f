"""What Google Sheets can start a workflow with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from integrations.providers.google_sheets import google_sheets
from integrations.providers.google_sheets.client import Cells, Columns, Sheet, columns, read, rows_in, text_of
from integrations.providers.google_sheets.fields import Row, SheetInputs
from integrations.sdk import Item, JSONValue, Polled, RunContext, polling
from integrations.sdk.polling import MAX_ITEMS

# Rows that one request reads, and how far up a row that moved is looked for.
PAGE: Final = 1_000
# How many of those that are there already are shown, and start nothing.
SHOWN: Final = 3
_MARK: Final = 16


class NewRowInputs(SheetInputs):
    pass


@polling(
    provider=google_sheets,
    key="google_sheets.newRow",
    name="New row in a sheet",
    auth_type="oauth2",
    input_schema=NewRowInputs,
    output_schema=Row,
    sample={"rowNumber": 5, "row": {"Name": "Ada Fox", "Amount": "12.50"}},
    first_run="skip",
    timeout=60,
    synonyms=("spreadsheet", "excel", "form", "answer", "table", "added"),
)
async def new_row(ctx: RunContext[NewRowInputs], cursor: JSONValue) -> Polled:
    """Starts once for each row that is added below the last one. Rows put in between, and changed ones, start nothing.

    The last row is known by its number and by what it says: rows that are taken out above it hide no new ones. A row
    is given as it is when it is looked at, so one that is being typed may come half filled.
    """
    look = Look(ctx, ctx.inputs.place())
    await look.begin()
    known = _known(cursor)
    if known is None:
        shown = await look.bottom()
        return Polled(items=[look.item(*each) for each in shown[-SHOWN:]], cursor=look.cursor(shown))
    last, mark = known
    rows = await look.rows(last, last + PAGE)
    if last > look.sheet.header and _mark(rows.get(last)) != mark:
        moved = await look.moved(last, mark)
        if moved is None and last not in rows:
            # Everything that was known is gone: what is there now was not added below it.
            return Polled(cursor=look.cursor(await look.bottom()))
        last = last if moved is None else moved
        rows = await look.rows(last, last + PAGE)
    new = [(number, cells) for number, cells in rows.items() if number > last]
    given = new[:MAX_ITEMS]
    return Polled(
        items=[look.item(*each) for each in given],
        cursor=look.cursor(given or [(last, rows.get(last, []))]),
        more=bool(given),
    )


@dataclass
class Look:
    """One look at a sheet: its grid and its columns now, and rows of it by number, the empty ones left out."""

    ctx: RunContext[NewRowInputs]
    sheet: Sheet
    end: int = 0
    columns: Columns = field(default_factory=lambda: Columns(names=()))

    async def begin(self) -> None:
        self.end = await rows_in(self.ctx.http, self.sheet)
        self.columns = await columns(self.ctx.http, self.sheet)

    async def rows(self, first: int, last: int) -> dict[int, Cells]:
        first, last = max(self.sheet.header + 1, first), min(self.end, last)
        if first > last:
            return {}
        (found,) = await read(self.ctx.http, self.sheet, f"A{first}:{self.columns.last}{last}")
        return {at: cells for at, cells in enumerate(found, first) if any(text_of(cell) for cell in cells)}

    async def moved(self, last: int, mark: str) -> int | None:
        """Return where the row that was the last one is now: further up, where rows above it were taken out."""
        above = await self.rows(last - PAGE, last)
        return next((number for number in sorted(above, reverse=True) if _mark(above[number]) == mark), None)

    async def bottom(self) -> list[tuple[int, Cells]]:
        """Return the last rows that hold something, looked for from the end of the grid upward."""
        last = self.end
        while last > self.sheet.header:
            if found := await self.rows(last - PAGE + 1, last):
                return list(found.items())
            last -= PAGE
        return []

    def item(self, number: int, cells: Cells) -> Item:
        place = f"{self.sheet.spreadsheet}:{self.sheet.name}:{number}:{_mark(cells)}"
        return Item(place, Row(row_number=number, row=self.columns.row(cells)))

    def cursor(self, rows: Sequence[tuple[int, Cells]]) -> dict[str, JSONValue]:
        """Return the number and the mark of the last of these rows, of the header where there is none."""
        number, cells = rows[-1] if rows else (self.sheet.header, [])
        return {"row": number, "mark": _mark(cells)}


def _known(cursor: JSONValue) -> tuple[int, str] | None:
    if not isinstance(cursor, dict):
        return None
    number, mark = cursor.get("row"), cursor.get("mark")
    return (number, mark) if isinstance(number, int) and isinstance(mark, str) else None


def _mark(cells: Cells | None) -> str:
    """Return what a row is known by: the same whatever is empty at its end."""
    texts = [text_of(cell) for cell in cells or ()]
    while texts and not texts[-1]:
        texts.pop()
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:_MARK]

"""How Google Sheets is spoken to, and how a sheet's rows become objects.

A range beyond the grid is refused, and rows and cells that are empty at its end are left out of an answer. In what is
written, null leaves a cell as it is. Source: Google's pages on ``spreadsheets.values``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from integrations.google import SCOPES_ROOT, Service, id_of, part, rows_of, told
from integrations.sdk import Account, AuthContext, InputError, JSONValue, NotFound
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

BASE_URL: Final = "https://sheets.googleapis.com"
DOCS_URL: Final = "https://developers.google.com/workspace/sheets/api/reference/rest"
SERVICE: Final = Service(
    name="Google Sheets", scopes=(SCOPES_ROOT + "spreadsheets",), grants="see and change spreadsheets"
)
SPREADSHEETS_PATH: Final = "v4/spreadsheets"
# No spreadsheet has it: who is told that it is not there was let in.
NO_SPREADSHEET: Final = "0"
LETTERS: Final = 26
_BAD_RANGE: Final = "Unable to parse range"
_ROW: Final = re.compile(r"[A-Z]*(\d+)")

Render: TypeAlias = Literal["FORMATTED_VALUE", "UNFORMATTED_VALUE", "FORMULA"]
ValueInput: TypeAlias = Literal["RAW", "USER_ENTERED"]
Cells: TypeAlias = list[Any]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One sheet of a spreadsheet; ``header`` is the number of the row with the columns' names, from 1."""

    spreadsheet: str
    name: str
    header: int

    @classmethod
    def of(cls, spreadsheet: str, name: str, header: int) -> Sheet:
        return cls(spreadsheet=id_of(spreadsheet), name=name, header=header)

    @property
    def values_path(self) -> str:
        return f"{SPREADSHEETS_PATH}/{part(self.spreadsheet)}/values"

    def range(self, cells: str) -> str:
        """Return a range in A1 notation, the sheet's name quoted: it may look like a cell, or hold a quote."""
        return "'" + self.name.replace("'", "''") + f"'!{cells}"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The names of a sheet's columns, in their order, each once: an empty or repeated one has its letter."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, header: Cells, *, sheet: Sheet) -> Columns:
        """Read a header row. Raises InputError where there is none."""
        texts = [text_of(cell).strip() for cell in header]
        if not texts or not texts[0]:
            raise InputError(
                _("Row %(header)s of the sheet %(name)r names no column in its first cell.")
                % {"header": sheet.header, "name": sheet.name},
                field="sheet",
                hint=_("Write the columns' names into it, from the first cell on, or say which row has them."),
            )
        names: list[str] = []
        for at, text in enumerate(texts):
            named = text or letter(at)
            names.append(f"{named} ({letter(at)})" if named in names else named)
        return cls(names=tuple(names))

    @property
    def last(self) -> str:
        return letter(len(self.names) - 1)

    def index(self, name: str, *, field: str) -> int:
        """Return a column's place, from 0. Raises InputError naming those that are there."""
        if name not in self.names:
            there = ", ".join(self.names)[:300]
            raise InputError(
                _("The sheet has no column %(name)r.") % {"name": name[:80]},
                field=field,
                hint=_("Its columns are: %(there)s.") % {"there": there},
            )
        return self.names.index(name)

    def cells(self, row: Mapping[str, JSONValue]) -> Cells:
        """Return the cells of a row to write, None where nothing is given. Raises InputError."""
        if not row:
            raise InputError(
                _("There is nothing to write."), field="row", hint=_("Give a value for a column at least.")
            )
        given = {self.index(name, field="row"): cell_of(value) for name, value in row.items()}
        return [given.get(at) for at in range(len(self.names))]

    def row(self, cells: Cells) -> dict[str, Any]:
        """Return a row as an object; a cell beyond those that were sent is an empty text."""
        return {name: cells[at] if at < len(cells) else "" for at, name in enumerate(self.names)}


def letter(index: int) -> str:
    """Return a column's letters, ``A`` for 0."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, LETTERS)
        letters = chr(ord("A") + rest) + letters
    return letters


def cell_of(value: JSONValue) -> Any:
    """Return what goes into a cell: text, number, yes or no, or None; lists and objects as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def text_of(cell: Any) -> str:
    """Return a cell as a text that is the same for 5, 5.0 and "5"."""
    match cell:
        case None:
            return ""
        case bool():
            return "TRUE" if cell else "FALSE"
        case float() if cell.is_integer():
            return str(int(cell))
        case _:
            return str(cell)


async def properties(http: StepHttp, spreadsheet: str) -> list[dict[str, Any]]:
    """Return the properties of a spreadsheet's sheets, in their order."""
    path = f"{SPREADSHEETS_PATH}/{part(id_of(spreadsheet))}"
    fields = "sheets.properties(sheetId,title,index,sheetType,gridProperties(rowCount,columnCount))"
    response = SERVICE.checked(await http.get(path, params={"fields": fields}))
    found = [row.get("properties") for row in rows_of(response, "sheets")]
    if not all(isinstance(each, dict) and isinstance(each.get("title"), str) for each in found):
        raise response.unexpected()
    return [each for each in found if isinstance(each, dict)]


async def rows_in(http: StepHttp, sheet: Sheet) -> int:
    """Return how many rows the sheet's grid has, empty ones included. Raises InputError for no such sheet."""
    found = await properties(http, sheet.spreadsheet)
    for each in found:
        # Google takes a name in any case.
        if each["title"].lower() == sheet.name.lower():
            grid = each.get("gridProperties")
            count = grid.get("rowCount") if isinstance(grid, dict) else None
            return count if isinstance(count, int) else 0
    there = ", ".join(repr(each["title"]) for each in found)[:300]
    raise InputError(
        _("The spreadsheet has no sheet %(name)r.") % {"name": sheet.name[:80]},
        field="sheet",
        hint=_("Its sheets are: %(there)s.") % {"there": there},
    )


async def read(
    http: StepHttp, sheet: Sheet, *cells: str, render: Render = "FORMATTED_VALUE", by_column: bool = False
) -> list[list[Cells]]:
    """Return for each of the ranges its rows (or its columns), without what is empty at the end."""
    params = [
        *(("ranges", sheet.range(each)) for each in cells),
        ("majorDimension", "COLUMNS" if by_column else "ROWS"),
        ("valueRenderOption", render),
        ("dateTimeRenderOption", "FORMATTED_STRING"),
    ]
    response = _checked(await http.get(f"{sheet.values_path}:batchGet", params=params))
    found = [each.get("values", []) for each in rows_of(response, "valueRanges")]
    if len(found) != len(cells) or not all(
        isinstance(rows, list) and all(isinstance(row, list) for row in rows) for rows in found
    ):
        raise response.unexpected()
    return found


async def columns(http: StepHttp, sheet: Sheet) -> Columns:
    """Read the header row."""
    ((*rows,),) = await read(http, sheet, f"{sheet.header}:{sheet.header}")
    return Columns.of(rows[0] if rows else [], sheet=sheet)


async def append(http: StepHttp, sheet: Sheet, cells: Cells, how: ValueInput) -> dict[str, Any]:
    """Write a row below the table that the header row begins, moving down what stands there."""
    response = _checked(
        await http.post(
            f"{sheet.values_path}/{part(sheet.range(f'A{sheet.header}'))}:append",
            params={"valueInputOption": how, "insertDataOption": "INSERT_ROWS"},
            json={"majorDimension": "ROWS", "values": [cells]},
        )
    )
    return _written(response, response.json_object().get("updates"))


async def update(http: StepHttp, sheet: Sheet, number: int, cells: Cells, how: ValueInput) -> dict[str, Any]:
    """Write into a row; where a cell is None it stays as it is."""
    last = letter(len(cells) - 1)
    response = _checked(
        await http.put(
            f"{sheet.values_path}/{part(sheet.range(f'A{number}:{last}{number}'))}",
            params={"valueInputOption": how},
            json={"majorDimension": "ROWS", "values": [cells]},
        )
    )
    return _written(response, response.json_object())


def _written(response: Response, updates: Any) -> dict[str, Any]:
    where = updates.get("updatedRange") if isinstance(updates, dict) else None
    found = _ROW.match(where.rpartition("!")[2]) if isinstance(where, str) else None
    if found is None:
        raise response.unexpected()
    return {
        "spreadsheetId": str(updates.get("spreadsheetId") or ""),
        "range": where,
        "rowNumber": int(found.group(1)),
        "updatedCells": int(updates.get("updatedCells") or 0),
    }


def _checked(response: Response) -> Response:
    text, _reasons = told(response) if response.status_code == 400 else ("", None)
    if text.startswith(_BAD_RANGE):
        raise response.error(
            _("%(name)s: %(text)s") % {"name": SERVICE.name, "text": text},
            kind=InputError,
            hint=_("Is there a sheet of that name?"),
        )
    return SERVICE.checked(response)


async def account(ctx: AuthContext) -> Account:
    """Ask for a spreadsheet that is not there: the one permission that there is says nothing of whose it is."""
    response = await ctx.http.get(f"{SPREADSHEETS_PATH}/{NO_SPREADSHEET}", params={"fields": "spreadsheetId"})
    with suppress(NotFound):
        SERVICE.checked(response)
    return Account(label=SERVICE.name, scopes=SERVICE.scopes)

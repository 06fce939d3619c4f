"""What Google Drive can start a workflow with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.google import id_of
from integrations.providers.google_drive import google_drive
from integrations.providers.google_drive.actions import FILE, File
from integrations.providers.google_drive.client import FOLDER, described, listed, quoted
from integrations.sdk import Item, JSONValue, Polled, RunContext, polling
from integrations.sdk.polling import MAX_ITEMS

PAGE: Final = 1_000
MAX_PAGES: Final = 4
# How many of those that are there already are shown, and start nothing.
SHOWN: Final = 3
# Google finds a file a while after it was made, so that a later one may be found before it.
OVERLAP: Final = timedelta(minutes=10)
_BEFORE_ALL: Final = "1970-01-01T00:00:00.000Z"


class NewFileInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    folder: str = Field(
        default="",
        max_length=2000,
        title="Folder",
        description="Its link or its id, without the folders in it; all that the account can see if left out.",
        examples=["0ABCdefGHIjklUk9PVA"],
    )


@polling(
    provider=google_drive,
    key="google_drive.newFile",
    name="New file",
    auth_type="oauth2",
    input_schema=NewFileInputs,
    output_schema=File,
    sample=FILE,
    first_run="skip",
    timeout=60,
    synonyms=("added", "uploaded", "created", "folder", "document"),
)
async def new_file(ctx: RunContext[NewFileInputs], cursor: JSONValue) -> Polled:
    """Starts once for each file that is made. One that is only moved into the folder is as old as it was before."""
    before = cursor if isinstance(cursor, dict) else None
    if before is None:
        return await _begin(ctx)
    floor, since = str(before.get("floor") or _BEFORE_ALL), str(before.get("since") or _BEFORE_ALL)
    seen = before.get("seen")
    known = {each for each in seen if isinstance(each, str)} if isinstance(seen, list) else set()
    found, is_whole = await _since(ctx, max(floor, _earlier(since)))
    fresh = [each for each in found if each["id"] not in known]
    given, rest = fresh[:MAX_ITEMS], fresh[MAX_ITEMS:]
    left = {each["id"] for each in rest}
    if not is_whole and not rest:
        # All that one poll looks through is known: what follows is later than the last of it.
        floor = _made(found[-1])
    last = max([since, *(_made(each) for each in given)])
    remembered: list[JSONValue] = [each["id"] for each in found if each["id"] not in left and _made(each) >= floor]
    return Polled(
        items=[Item(each["id"], described(each)) for each in given],
        cursor={"floor": floor, "since": last, "seen": remembered},
        more=bool(rest) or not is_whole,
    )


async def _begin(ctx: RunContext[NewFileInputs]) -> Polled:
    """Remember what is there, by Google's clock and not by ours, and show the newest of it."""
    found, _following = await listed(ctx.http, _query(ctx, ""), order="createdTime desc", most=100)
    newest = max((_made(each) for each in found), default=_BEFORE_ALL)
    seen: list[JSONValue] = [each["id"] for each in found]
    return Polled(
        items=[Item(each["id"], described(each)) for each in reversed(found[:SHOWN])],
        cursor={"floor": newest, "since": newest, "seen": seen},
    )


async def _since(ctx: RunContext[NewFileInputs], moment: str) -> tuple[list[dict[str, Any]], bool]:
    """Return the files made since then, the oldest first, and whether these are all of them."""
    found: list[dict[str, Any]] = []
    page: str | None = None
    for _turn in range(MAX_PAGES):
        rows, page = await listed(ctx.http, _query(ctx, moment), order="createdTime", most=PAGE, page=page)
        found += rows
        if page is None:
            break
    return found, page is None or not found


def _query(ctx: RunContext[NewFileInputs], moment: str) -> str:
    parts = ["trashed = false", f"mimeType != '{FOLDER}'"]
    parts += [f"{quoted(id_of(ctx.inputs.folder))} in parents"] if ctx.inputs.folder.strip() else []
    parts += [f"createdTime >= {quoted(moment)}"] if moment else []
    return " and ".join(parts)


def _made(found: dict[str, Any]) -> str:
    """Return when a file was made; as text these are in the order of time."""
    return str(found.get("createdTime") or "")


def _earlier(moment: str) -> str:
    try:
        before = datetime.fromisoformat(moment) - OVERLAP
    except (ValueError, OverflowError):
        return _BEFORE_ALL
    return before.isoformat(timespec="milliseconds").replace("+00:00", "Z")

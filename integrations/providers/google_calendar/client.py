"""How Google Calendar is spoken to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from integrations.google import SCOPES_ROOT, Service, next_page, part, rows_of, told
from integrations.sdk import Account, AuthContext, collected
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://www.googleapis.com"
DOCS_URL: Final = "https://developers.google.com/workspace/calendar/api/v3/reference"
EVENTS_SCOPE: Final = SCOPES_ROOT + "calendar.events"
# Lists the calendars to choose from.
LIST_SCOPE: Final = SCOPES_ROOT + "calendar.calendarlist.readonly"
SERVICE: Final = Service(
    name="Google Calendar", scopes=(EVENTS_SCOPE, LIST_SCOPE), grants="see and change events and list calendars"
)
CALENDARS_PATH: Final = "calendar/v3/users/me/calendarList"
PRIMARY: Final = "primary"
# Google lists at most so many events a page.
MAX_PAGE: Final = 2500
_CONFLICT: Final = 409
_ID_DIGITS: Final = 40


def events_path(calendar: str) -> str:
    return f"calendar/v3/calendars/{part(calendar.strip())}/events"


def event_id(key: str) -> str:
    """Return the id that an attempt's key gives an event: Google takes a to v and digits, 5 to 1,024 of them."""
    return hashlib.sha256(key.encode()).hexdigest()[:_ID_DIGITS]


async def create(http: StepHttp, calendar: str, event: Mapping[str, Any], *, tell: str, key: str) -> dict[str, Any]:
    """Make an event, or return the one that an earlier attempt with this key made."""
    known = event_id(key)
    response = await http.post(
        events_path(calendar), params={"sendUpdates": tell}, json={"id": known, **event}, idempotent=True
    )
    if response.status_code == _CONFLICT and "duplicate" in told(response)[1]:
        response = await http.get(f"{events_path(calendar)}/{known}")
    return event_of(SERVICE.checked(response, EVENTS_SCOPE))


async def listed(
    http: StepHttp, calendar: str, params: Mapping[str, str], *, most: int
) -> tuple[list[dict[str, Any]], bool]:
    """Return the events, at most ``most``, and whether there are more."""

    async def page(token: str | None, room: int) -> tuple[list[dict[str, Any]], str | None]:
        paged = {**params, "maxResults": str(min(room, MAX_PAGE)), **({"pageToken": token} if token else {})}
        response = SERVICE.checked(await http.get(events_path(calendar), params=paged), EVENTS_SCOPE)
        rows = rows_of(response, "items")
        if not all(isinstance(row.get("id"), str) for row in rows):
            raise response.unexpected()
        return rows, next_page(response)

    # A page may be empty and not the last.
    found, _following = await collected(page, most=most + 1)
    return found[:most], len(found) > most


def event_of(response: Response) -> dict[str, Any]:
    answer = response.json_object()
    if not isinstance(answer.get("id"), str):
        raise response.unexpected()
    return answer


async def account(ctx: AuthContext) -> Account:
    """Ask for the main calendar's title, which is the account's address."""
    response = await ctx.http.get(events_path(PRIMARY), params={"maxResults": "1", "fields": "summary"})
    found = SERVICE.checked(response, EVENTS_SCOPE).json_object()
    return Account(label=str(found.get("summary") or SERVICE.name))

"""What can be done in Google Calendar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError

from integrations.google import SCOPES_ROOT
from integrations.providers.google_calendar import google_calendar
from integrations.providers.google_calendar.client import PRIMARY, create, listed
from integrations.providers.google_calendar.options import calendars, readable_calendars
from integrations.providers.google_calendar.times import instant, span
from integrations.sdk import InputError, Permanent, RunContext, action, ui
from integrations.words import gettext as _

MAX_EVENTS: Final = 2500
MAX_ATTENDEES: Final = 200
WRITING: Final = f"{SCOPES_ROOT}calendar.events|{SCOPES_ROOT}calendar"
READING: Final = f"{WRITING}|{SCOPES_ROOT}calendar.readonly|{SCOPES_ROOT}calendar.events.readonly"
_ADDRESS: Final = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")


def _joined(value: object) -> object:
    """A list of addresses, as an earlier step may give it, is taken as well as a text."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value


class Event(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    id: str = Field(title="Event id")
    status: str = Field(default="", title="Status", description="confirmed, tentative or cancelled.")
    summary: str = Field(default="", title="Title")
    html_link: str = Field(default="", alias="htmlLink", title="Link")
    start: dict[str, JsonValue] = Field(default_factory=dict, title="Start", description="date, or dateTime.")
    end: dict[str, JsonValue] = Field(default_factory=dict, title="End", description="Not part of the event.")
    attendees: list[dict[str, JsonValue]] = Field(default_factory=list, title="Guests")


SAMPLE: Final[dict[str, JsonValue]] = {
    "id": "7kq0bq2cjv5p8v0l2m1h4e6d3s",
    "status": "confirmed",
    "summary": "Kick-off",
    "htmlLink": "https://www.google.com/calendar/event?eid=N2txMGJxMmNqdjVw",
    "start": {"dateTime": "2026-05-04T09:30:00+02:00", "timeZone": "Europe/Paris"},
    "end": {"dateTime": "2026-05-04T10:30:00+02:00", "timeZone": "Europe/Paris"},
    "attendees": [{"email": "ada@example.com", "responseStatus": "needsAction"}],
}


class CalendarInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    calendar: str = Field(
        default=PRIMARY,
        min_length=1,
        max_length=500,
        title="Calendar",
        description="Its id; “primary” is the account's main one.",
        examples=["primary", "team@group.calendar.google.com"],
    )
    time_zone: str = Field(
        default="",
        max_length=100,
        alias="timeZone",
        title="Time zone",
        description="Of times without an offset.",
        examples=["Europe/Paris"],
    )


class CreateEventInputs(CalendarInputs):
    summary: str = Field(min_length=1, max_length=1000, title="Title", examples=["Kick-off"])
    start: str = Field(
        min_length=1,
        max_length=60,
        title="Start",
        description="A time, or a day for an event of whole days.",
        examples=["2026-05-04T09:30:00+02:00", "2026-05-04"],
    )
    end: str = Field(
        default="",
        max_length=60,
        title="End",
        description="An hour, or a day, after the start if left out. Of whole days it is the day after the last.",
        examples=["2026-05-04T10:30:00+02:00", "2026-05-05"],
    )
    description: str = Field(
        default="", max_length=8000, title="Description", examples=["Agenda"], json_schema_extra=ui(format="textarea")
    )
    location: str = Field(default="", max_length=1000, title="Place", examples=["Room 4"])
    attendees: Annotated[str, BeforeValidator(_joined)] = Field(
        default="",
        title="Guests",
        description="Mail addresses, separated by commas.",
        examples=["ada@example.com, bob@example.com"],
    )
    send_updates: Literal["none", "all", "externalOnly"] = Field(
        default="none",
        alias="sendUpdates",
        title="Mail invitations",
        examples=["none", "all"],
        json_schema_extra=ui(
            words={
                "none": "To nobody",
                "all": "To all guests",
                "externalOnly": "To those who use another calendar",
            }
        ),
    )
    transparency: Literal["opaque", "transparent"] = Field(
        default="opaque",
        title="Shows as",
        examples=["opaque"],
        json_schema_extra=ui(advanced=True, words={"opaque": "Busy", "transparent": "Free"}),
    )
    visibility: Literal["default", "public", "private"] = Field(
        default="default",
        title="Visible",
        examples=["private"],
        json_schema_extra=ui(
            advanced=True, words={"default": "As in its calendar", "public": "To all", "private": "To guests alone"}
        ),
    )

    def resource(self) -> dict[str, Any]:
        """Return Google's event. Raises InputError."""
        when = span(self.start, self.end, self.time_zone.strip())
        optional = {"description": self.description, "location": self.location, "attendees": _guests(self.attendees)}
        return {
            "summary": self.summary,
            "start": when.as_google(when.start),
            "end": when.as_google(when.end),
            "transparency": self.transparency,
            "visibility": self.visibility,
            **{name: value for name, value in optional.items() if value},
        }


def _guests(text: str) -> list[dict[str, str]]:
    found = [each.strip() for each in re.split(r"[,;\n]", text) if each.strip()]
    for each in found:
        if not _ADDRESS.fullmatch(each):
            raise InputError(_("%(each)r is not a mail address.") % {"each": each[:100]}, field="attendees")
    if len(found) > MAX_ATTENDEES:
        raise InputError(
            _("An event takes at most %(max_attendees)s guests.") % {"max_attendees": MAX_ATTENDEES}, field="attendees"
        )
    return [{"email": each} for each in dict.fromkeys(found)]


@action(
    provider=google_calendar,
    key="google_calendar.createEvent",
    scopes=(WRITING,),
    name="Create event",
    auth_type="oauth2",
    input_schema=CreateEventInputs,
    output_schema=Event,
    sample=SAMPLE,
    # The event's id is made of the attempt's key, and Google refuses a second event of one id.
    idempotent=True,
    effect="create",
    options={"calendar": calendars},
    synonyms=("appointment", "meeting", "invite", "schedule", "book", "date"),
    summary=lambda output: output.get("summary") or output["id"],
)
async def create_event(ctx: RunContext[CreateEventInputs]) -> dict[str, Any]:
    """Put an event into a calendar, of whole days or at a time, with guests if wanted."""
    inputs = ctx.inputs
    found = await create(
        ctx.http, inputs.calendar, inputs.resource(), tell=inputs.send_updates, key=ctx.idempotency_key
    )
    return _whole(found)


class ListEventsInputs(CalendarInputs):
    time_min: str = Field(
        default="",
        max_length=60,
        alias="timeMin",
        title="From",
        description="A time or a day; only events that end after it.",
        examples=["2026-05-04", "2026-05-04T00:00:00Z"],
    )
    time_max: str = Field(
        default="",
        max_length=60,
        alias="timeMax",
        title="Until",
        description="A time or a day; only events that start before it.",
        examples=["2026-05-11"],
    )
    query: str = Field(default="", max_length=1000, title="Search", examples=["kick-off"])
    limit: int = Field(default=100, ge=1, le=MAX_EVENTS, title="At most", examples=[100])


class ListEventsOutput(BaseModel):
    events: list[Event] = Field(title="Events")
    more: bool = Field(title="More", description="Whether there are further events.")


@action(
    provider=google_calendar,
    key="google_calendar.listEvents",
    scopes=(READING,),
    name="List events",
    auth_type="oauth2",
    input_schema=ListEventsInputs,
    output_schema=ListEventsOutput,
    sample={"events": [SAMPLE], "more": False},
    idempotent=True,
    effect="search",
    timeout=120,
    options={"calendar": readable_calendars},
    synonyms=("appointments", "meetings", "agenda", "search", "find", "free", "busy"),
    summary=lambda output: f"{len(output['events'])} events",
)
async def list_events(ctx: RunContext[ListEventsInputs]) -> dict[str, Any]:
    """List a calendar's events by their start; each of a series stands for itself."""
    inputs = ctx.inputs
    zone = inputs.time_zone.strip()
    params = {"singleEvents": "true", "orderBy": "startTime"}
    for name, field, text in (("timeMin", "timeMin", inputs.time_min), ("timeMax", "timeMax", inputs.time_max)):
        params |= {name: instant(text, zone, field=field)} if text.strip() else {}
    params |= {"timeZone": zone} if zone else {}
    params |= {"q": inputs.query} if inputs.query.strip() else {}
    events, more = await listed(ctx.http, inputs.calendar, params, most=inputs.limit)
    return {"events": [_whole(each) for each in events], "more": more}


def _whole(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with everything that is promised, whatever Google left out as empty."""
    try:
        return Event.model_validate(dict(event)).model_dump(mode="json", by_alias=True)
    except ValidationError:
        raise Permanent(_("Google Calendar sent an event of an unexpected form.")) from None

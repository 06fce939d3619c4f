"""Google Calendar: days, times and zones; one event for each step; lists page by page."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.providers.google_calendar import google_calendar
from integrations.providers.google_calendar.actions import create_event, list_events
from integrations.providers.google_calendar.times import instant, span
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Option,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action, run_options
from tests.providers.google_answers import AUTH, losing_after, ok, refusal

EVENT = {"summary": "Kick-off", "start": "2026-05-04T09:30:00+02:00"}
MADE = {"id": "e1", "status": "confirmed", "summary": "Kick-off", "start": {"date": "2026-05-04"}}


def sent(**inputs: Any) -> tuple[httpx.Request, dict[str, Any]]:
    result = run_action(create_event, {**EVENT, **inputs}, auth=AUTH, http=[ok(MADE)])
    return result.request, json.loads(result.request.content)


@pytest.mark.parametrize(
    ("inputs", "start", "end"),
    [
        ({}, {"dateTime": "2026-05-04T09:30:00+02:00"}, {"dateTime": "2026-05-04T10:30:00+02:00"}),
        (
            {"start": "2026-05-04T09:30", "end": "2026-05-04 11:00", "timeZone": "Europe/Paris"},
            {"dateTime": "2026-05-04T09:30:00", "timeZone": "Europe/Paris"},
            {"dateTime": "2026-05-04T11:00:00", "timeZone": "Europe/Paris"},
        ),
        (
            {"start": "2026-05-04T09:30Z", "end": "2026-05-04T05:45-04:00"},
            {"dateTime": "2026-05-04T09:30:00+00:00"},
            {"dateTime": "2026-05-04T05:45:00-04:00"},
        ),
        ({"start": "2026-05-04"}, {"date": "2026-05-04"}, {"date": "2026-05-05"}),
        ({"start": "2026-05-04", "end": "2026-05-04"}, {"date": "2026-05-04"}, {"date": "2026-05-05"}),
        ({"start": "2026-05-04", "end": "2026-05-07"}, {"date": "2026-05-04"}, {"date": "2026-05-07"}),
    ],
)
def test_an_event_has_days_or_times(inputs: dict[str, Any], start: dict[str, str], end: dict[str, str]) -> None:
    _, body = sent(**inputs)
    assert (body["start"], body["end"]) == (start, end)


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"start": "tomorrow"}, "start"),
        ({"start": "2026-13-01"}, "start"),
        ({"start": "2026-05-04T09:30"}, "start"),
        ({"end": "2026-05-04T10:30"}, "end"),
        ({"end": "2026-05-04T09:30:00+02:00"}, "end"),
        ({"end": "2026-05-04T08:30:00Z", "start": "2026-05-04T09:30:00Z"}, "end"),
        ({"end": "2026-05-05"}, "end"),
        ({"start": "2026-05-04", "end": "2026-05-03"}, "end"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../../etc/passwd"}, "timeZone"),
        ({"attendees": "ada"}, "attendees"),
        ({"attendees": ",".join(f"a{at}@x.example" for at in range(201))}, "attendees"),
    ],
)
def test_what_cannot_be_an_event_is_not_sent_and_its_field_is_named(inputs: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        run_action(create_event, {**EVENT, **inputs}, auth=AUTH)
    assert caught.value.field == field


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["", "Europe/Paris", "UTC"]))
def test_any_text_is_read_or_refused(start: str, end: str, zone: str) -> None:
    try:
        span(start, end, zone)
    except InputError:
        return


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "9999-12-31T23:59", "0001-01-01T00:00+14:00"])
def test_the_ends_of_time_are_no_faults_of_ours(text: str) -> None:
    for read in (lambda: span(text, "", "Pacific/Apia"), lambda: instant(text, "Pacific/Apia", field="timeMin")):
        try:
            read()
        except InputError:
            continue


def test_everything_else_that_can_be_set_arrives_once() -> None:
    request, body = sent(
        calendar="team@group.calendar.google.com",
        attendees=["ada@example.com", "bob@example.com", "ada@example.com"],
        sendUpdates="all",
        location="Room 4",
        description="Agenda",
        visibility="private",
    )
    assert request.url.raw_path.startswith(b"/calendar/v3/calendars/team%40group.calendar.google.com/events?")
    assert request.url.params["sendUpdates"] == "all"
    assert body["attendees"] == [{"email": "ada@example.com"}, {"email": "bob@example.com"}]
    assert (body["location"], body["description"], body["visibility"]) == ("Room 4", "Agenda", "private")


def test_a_step_that_is_tried_again_makes_one_event() -> None:
    with pytest.raises(Transient):
        run_action(create_event, EVENT, auth=AUTH, http=losing_after())
    again = run_action(create_event, EVENT, auth=AUTH, http=[refusal(409, "duplicate"), ok(MADE)])
    first, second = again.requests
    known = json.loads(first.content)["id"]
    assert second.url.path == f"/calendar/v3/calendars/primary/events/{known}"
    assert again.output["id"] == "e1"
    other = run_action(create_event, EVENT, auth=AUTH, http=[ok(MADE)], idempotency_key="another")
    assert json.loads(other.request.content)["id"] != known
    with pytest.raises(Permanent):
        run_action(create_event, EVENT, auth=AUTH, http=[refusal(409, "conflict")])


def page(*ids: str, following: str = "") -> httpx.Response:
    return ok({"items": [{"id": each} for each in ids], **({"nextPageToken": following} if following else {})})


def listed(*answers: httpx.Response, **inputs: Any) -> Any:
    return run_action(list_events, inputs, auth=AUTH, http=answers)


def test_events_are_listed_page_by_page_up_to_the_limit() -> None:
    result = listed(page("a", "b", following="p2"), page(following="p3"), page("c"), limit=5)
    assert [each["id"] for each in result.output["events"]] == ["a", "b", "c"]
    assert result.output["more"] is False
    assert [request.url.params.get("pageToken") for request in result.requests] == [None, "p2", "p3"]
    assert [request.url.params["maxResults"] for request in result.requests] == ["6", "4", "4"]
    cut = listed(page("a", "b", "c", following="p2"), limit=2)
    assert ([each["id"] for each in cut.output["events"]], cut.output["more"]) == (["a", "b"], True)
    exact = listed(page("a", "b", following="p2"), page(), limit=2)
    assert (len(exact.output["events"]), exact.output["more"]) == (2, False)


def test_a_list_is_bounded_by_times_with_their_offset() -> None:
    result = listed(page(), timeMin="2026-05-04", timeMax="2026-05-11T12:00", timeZone="Europe/Paris", query="x")
    assert dict(result.request.url.params) == {
        "singleEvents": "true",
        "orderBy": "startTime",
        "timeMin": "2026-05-03T22:00:00+00:00",
        "timeMax": "2026-05-11T10:00:00+00:00",
        "timeZone": "Europe/Paris",
        "q": "x",
        "maxResults": "101",
    }
    with pytest.raises(InputError) as caught:
        listed(timeMin="soon")
    assert caught.value.field == "timeMin"


def test_what_google_leaves_out_of_an_event_is_there_and_empty() -> None:
    (event,) = listed(page("a")).output["events"]
    assert event == {
        "id": "a", "status": "", "summary": "", "htmlLink": "", "start": {}, "end": {}, "attendees": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(400, "timeRangeEmpty"), Permanent),
        (refusal(401, "authError"), AuthError),
        (refusal(403, "insufficientPermissions"), PermissionMissing),
        (refusal(403, "requiredAccessLevel"), PermissionMissing),
        (refusal(403, "rateLimitExceeded"), RateLimited),
        (refusal(404, "notFound"), NotFound),
        (refusal(429, "rateLimitExceeded"), RateLimited),
        (refusal(500, "backendError"), Transient),
        (ok({"id": 5}), Permanent),
        (ok({"id": "e", "attendees": 5}), Permanent),
    ],
)
def test_a_refusal_is_read_by_status_and_reason(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    with pytest.raises(IntegrationError) as caught:
        run_action(create_event, EVENT, auth=AUTH, http=[answer])
    assert type(caught.value) is expected


def test_calendars_are_listed_by_id_and_searched() -> None:
    rows = [
        {"id": "a@x.example", "summary": "Ada", "primary": True},
        {"id": "t@x.example", "summary": "t", "summaryOverride": "Team"},
    ]
    answers = [ok({"items": [], "nextPageToken": "p2"}), ok({"items": rows})]
    found, requests = run_options(create_event, "calendar", auth=AUTH, http=answers)
    assert list(found.items) == [Option("a@x.example", "Ada", "main calendar"), Option("t@x.example", "Team")]
    assert [request.url.params.get("pageToken") for request in requests] == [None, "p2"]
    assert {request.url.params["minAccessRole"] for request in requests} == {"writer"}
    found, requests = run_options(list_events, "calendar", query="TEA", auth=AUTH, http=[ok({"items": rows})])
    assert [option.value for option in found.items] == ["t@x.example"]
    assert requests[0].url.params["minAccessRole"] == "reader"


def test_a_token_is_asked_whose_it_is() -> None:
    account, (request,) = check_account(google_calendar, {"type": "oauth2", **AUTH}, [ok({"summary": "a@x.example"})])
    assert (account.label, request.url.path) == ("a@x.example", "/calendar/v3/calendars/primary/events")

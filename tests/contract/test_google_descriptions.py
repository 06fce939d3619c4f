"""Requests to Google held against its discovery documents: path, parameters, body, and the scopes asked for."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import unquote

import httpx
import jsonschema
import pytest

from integrations.google import Service
from integrations.providers.gmail.actions import add_label, search_messages
from integrations.providers.gmail.client import SERVICE as GMAIL
from integrations.providers.gmail.triggers import new_email
from integrations.providers.google_calendar.actions import CreateEventInputs, Event, create_event, list_events
from integrations.providers.google_calendar.client import SERVICE as CALENDAR
from integrations.providers.google_docs.actions import append_text, create_document
from integrations.providers.google_docs.client import SERVICE as DOCS
from integrations.providers.google_drive.actions import download_file, upload_file
from integrations.providers.google_drive.client import FIELDS
from integrations.providers.google_drive.client import SERVICE as DRIVE
from integrations.providers.google_drive.triggers import new_file
from integrations.providers.google_sheets.actions import append_row, get_rows, update_row, upsert_row
from integrations.providers.google_sheets.client import SERVICE as SHEETS
from integrations.providers.google_sheets.triggers import new_row
from integrations.sdk import Action, PollingTrigger
from integrations.sdk.testing import check_account, run_action, run_options, run_poll
from tests.contract.described import SPECS, description
from tests.contract.recorded import EXCHANGES

pytestmark = pytest.mark.skipif(not SPECS, reason="API_SPECS does not name the folder with the official descriptions")

AUTH = {"access_token": "ya29.x"}
SPEC_OF: Mapping[str, tuple[str, Service]] = {
    "gmail": ("google/gmail.v1.json", GMAIL),
    "google_sheets": ("google/sheets.v4.json", SHEETS),
    "google_drive": ("google/drive.v3.json", DRIVE),
    "google_calendar": ("google/calendar.v3.json", CALENDAR),
    "google_docs": ("google/docs.v1.json", DOCS),
}
SHEET = {"spreadsheetId": "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms", "sheet": "Q1 'new'!/?", "headerRow": 3}
ROW = {"row": {"Name": "Ada", "Amount": 12.5}, "valueInput": "USER_ENTERED"}
EVENT = {
    "calendar": "team@group.calendar.google.com",
    "summary": "Kick-off",
    "start": "2026-05-04T09:30",
    "end": "2026-05-04T10:30",
    "timeZone": "Europe/Paris",
    "description": "Agenda",
    "location": "Room 4",
    "attendees": "ada@example.com, bob@example.com",
    "sendUpdates": "all",
    "transparency": "transparent",
    "visibility": "private",
}


def methods(node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from node.get("methods", {}).values()
    for inner in node.get("resources", {}).values():
        yield from methods(inner)


def template(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\+?\w+\})", path)
    return re.compile("".join("([^/]+?)" if part.startswith("{") else re.escape(part) for part in parts))


def method_of(spec: Mapping[str, Any], request: httpx.Request) -> dict[str, Any]:
    """Return the one method that a request calls."""
    raw = request.url.raw_path.decode().partition("?")[0].lstrip("/")
    assert f"{request.url.scheme}://{request.url.host}/" == spec["rootUrl"]
    found = []
    for method in methods(spec):
        if method["httpMethod"] != request.method:
            continue
        paths = [spec["servicePath"] + method["path"]]
        protocols = method.get("mediaUpload", {}).get("protocols", {})
        paths += [protocols["simple"]["path"].lstrip("/")] if protocols else []
        literal = max(paths, key=lambda path: bool(template(path).fullmatch(raw)))
        if template(literal).fullmatch(raw):
            found.append((literal.count("{"), method))
    assert found, raw
    # Where a path is written out, that method is meant and not the one that has a place for an id there.
    return min(found, key=lambda each: each[0])[1]


def schema_of(spec: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of a discovery document as JSON schema that admits nothing beside what it describes."""
    if "$ref" in described:
        return schema_of(spec, spec["schemas"][described["$ref"]])
    kind = described.get("type")
    if kind == "array":
        return {"type": "array", "items": schema_of(spec, described["items"])}
    if kind == "object" and "properties" in described:
        return {
            "type": "object",
            "properties": {name: Lazy(spec, each) for name, each in described["properties"].items()},
            "additionalProperties": False,
        }
    # A cell of a sheet: text, number, yes or no, and null, which leaves it as it is.
    return {} if kind == "any" else {"type": kind, **({"enum": described["enum"]} if "enum" in described else {})}


class Lazy(dict[str, Any]):
    """A schema that is made when it is looked at: they lead to each other and back."""

    def __init__(self, spec: Mapping[str, Any], described: Mapping[str, Any]) -> None:
        super().__init__()
        self.spec, self.described = spec, described


def check_value(value: Any, schema: Mapping[str, Any], where: str) -> None:
    if isinstance(schema, Lazy):
        schema = schema_of(schema.spec, schema.described)
    if schema.get("type") == "object" and "properties" in schema:
        assert isinstance(value, dict), where
        for name, inner in value.items():
            assert name in schema["properties"], f"{where}.{name} is not described"
            check_value(inner, schema["properties"][name], f"{where}.{name}")
    elif schema.get("type") == "array":
        assert isinstance(value, list), where
        for inner in value:
            check_value(inner, schema["items"], f"{where}[]")
    else:
        jsonschema.Draft202012Validator(dict(schema)).validate(value)


def check(key: str, request: httpx.Request) -> dict[str, Any]:
    """Hold one request against the description of its method; return that."""
    path, service = SPEC_OF[key]
    spec = description(path)
    method = method_of(spec, request)
    parameters = {**spec["parameters"], **method.get("parameters", {})}
    sent = request.url.params.multi_items()
    assert {name for name, _value in sent} <= {*parameters, "uploadType"}
    for name, value in sent:
        described = parameters[name]
        assert described["location"] == "query"
        assert not described.get("deprecated"), name
        assert value in described.get("enum", [value]) or name == "alt"
        if described.get("type") == "integer":
            assert int(value) >= int(described.get("minimum", 0))
            assert int(value) <= int(described.get("maximum", value))
        if described.get("type") == "boolean":
            assert value in ("true", "false")
    repeated = [name for name, _value in sent]
    assert all(parameters[name].get("repeated") for name in repeated if repeated.count(name) > 1)
    required = {name for name, each in method.get("parameters", {}).items() if each.get("required")}
    assert {name for name in required if method["parameters"][name]["location"] == "query"} <= set(repeated)
    assert set(service.scopes) & set(method["scopes"]), "no scope that is asked for allows this"
    assert request.headers["authorization"] == "Bearer ya29.x"
    if request.method in ("POST", "PUT"):
        check_value(body_of(request), schema_of(spec, method["request"]), method["id"])
    return method


def body_of(request: httpx.Request) -> Any:
    """Return the JSON of a request, of an upload's first part."""
    kind = request.headers["content-type"]
    if not kind.startswith("multipart/related"):
        return json.loads(request.content)
    first, _second = upload_parts(request)
    return json.loads(first[1])


def upload_parts(request: httpx.Request) -> list[tuple[str, bytes]]:
    head = f"Content-Type: {request.headers['content-type']}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    whole = message_from_bytes(head + request.content, policy=policy.HTTP)
    return [(part["content-type"], part.get_payload(decode=True)) for part in whole.iter_parts()]  # type: ignore[attr-defined]


ACTIONS: list[tuple[Action, dict[str, Any]]] = [
    (append_row, {**SHEET, **ROW}),
    (update_row, {**SHEET, **ROW, "rowNumber": 5}),
    (upsert_row, {**SHEET, **ROW, "keyColumn": "Name"}),
    (get_rows, {**SHEET, "sheet": "Orders", "valueRender": "FORMULA"}),
    (download_file, {"fileId": "1ZdR3L3qP4Bkq8noWLJHSr_iBau0DNT4K"}),
    (
        upload_file,
        {"name": "Ünï.csv", "content": "a,b", "mimeType": "text/csv", "folder": "0AB", "convertTo": "spreadsheet",
         "description": "Nightly"},
    ),
    (create_event, EVENT),
    (create_event, {"summary": "Off", "start": "2026-05-04", "end": "2026-05-06"}),
    (list_events, {"timeMin": "2026-05-04", "timeMax": "2026-05-11T00:00", "timeZone": "Europe/Paris", "query": "a"}),
    (search_messages, {"query": "from:ada", "label": "INBOX", "limit": 5}),
    (search_messages, {"body": True}),
    (add_label, {"messageId": "18c2f0a1b2c3d4e5", "label": "Label_12"}),
    (create_document, {"title": "Minutes"}),
    (append_text, {"documentId": "1a2B3c4D5e6F7g8H9i0JkLmNoPqRsTuVwXyZ012345678", "text": "Hi"}),
]  # fmt: skip


@pytest.mark.parametrize(("action", "inputs"), ACTIONS, ids=lambda value: getattr(value, "key", ""))
def test_a_request_is_what_google_describes(action: Action, inputs: dict[str, Any]) -> None:
    result = run_action(action, inputs, auth=AUTH, http=EXCHANGES[action.key].answers())
    assert [check(action.provider.key, request) for request in result.requests]


def test_every_action_of_the_new_services_is_held_against_the_description() -> None:
    assert {action.key for action, _inputs in ACTIONS} | {"gmail.sendEmail"} == {
        key for key in EXCHANGES if key.partition(".")[0] in SPEC_OF
    }


def test_a_range_with_quotes_and_slashes_stays_one_part_of_the_path() -> None:
    result = run_action(append_row, {**SHEET, **ROW}, auth=AUTH, http=EXCHANGES["google_sheets.appendRow"].answers())
    raw = result.requests[-1].url.raw_path.decode()
    assert unquote(raw.rpartition("/values/")[2].partition(":append")[0]) == "'Q1 ''new''!/?'!A3"


TRIGGERS: list[tuple[PollingTrigger, dict[str, Any], Any, list[str]]] = [
    (new_row, SHEET | {"sheet": "Orders"}, None, ["google_sheets.getRows"]),
    (new_email, {"query": "from:ada"}, None, ["gmail.searchMessages"]),
    (new_email, {}, {"floor": 0, "since": 0, "seen": []}, ["gmail.searchMessages"]),
]


@pytest.mark.parametrize(("trigger", "inputs", "cursor", "keys"), TRIGGERS)
def test_a_poll_is_what_google_describes(
    trigger: PollingTrigger, inputs: dict[str, Any], cursor: Any, keys: list[str]
) -> None:
    http = [answer for key in keys for answer in EXCHANGES[key].answers()]
    result = run_poll(trigger, inputs, cursor=cursor, auth=AUTH, http=http)
    assert [check(trigger.provider.key, request) for request in result.requests]


@pytest.mark.parametrize("cursor", [None, {"floor": "2026-05-04T07:00:00.000Z", "since": "2026-05-04T07:00:00.000Z"}])
def test_a_poll_of_files_is_what_google_describes(cursor: Any) -> None:
    http = [httpx.Response(200, json={"files": [EXCHANGES["google_drive.uploadFile"].answer]})]
    result = run_poll(new_file, {"folder": "0AB"}, cursor=cursor, auth=AUTH, http=http)
    assert [check("google_drive", request)["id"] for request in result.requests] == ["drive.files.list"]


@pytest.mark.parametrize("action", [append_row, download_file, create_event, search_messages, append_text])
def test_the_test_of_a_token_is_what_google_describes(action: Action) -> None:
    http = [httpx.Response(200, json={})]
    _, requests = check_account(action.provider, {"type": "oauth2", **AUTH}, http)
    assert check(action.provider.key, requests[0])


CHOICES: list[tuple[Action, str, Any]] = [
    (append_row, "sheet", EXCHANGES["google_sheets.getRows"].before[0].answer),
    (upsert_row, "keyColumn", EXCHANGES["google_sheets.appendRow"].before[0].answer),
    (upload_file, "folder", {"files": []}),
    (download_file, "fileId", {"files": []}),
    (create_event, "calendar", {"items": []}),
    (list_events, "calendar", {"items": []}),
    (add_label, "label", {"labels": []}),
]


@pytest.mark.parametrize(("action", "name", "answer"), CHOICES)
@pytest.mark.parametrize("query", ["", "it's \\ new"])
def test_a_list_of_choices_is_what_google_describes(action: Action, name: str, answer: Any, query: str) -> None:
    http = [httpx.Response(200, json=answer)]
    _, requests = run_options(
        action, name, query=query, cursor="next", inputs={**SHEET, "sheet": "Orders"}, auth=AUTH, http=http
    )
    assert [check(action.provider.key, request) for request in requests]


def test_what_is_read_of_googles_answers_is_there_by_those_names() -> None:
    drive = description("google/drive.v3.json")["schemas"]
    assert set(FIELDS.split(",")) <= set(drive["File"]["properties"])
    event = description("google/calendar.v3.json")["schemas"]["Event"]["properties"]
    assert {field.alias or name for name, field in Event.model_fields.items()} <= set(event)
    assert {"description", "location", "transparency", "visibility", "attendees"} <= set(event)
    written = description("google/sheets.v4.json")["schemas"]["UpdateValuesResponse"]["properties"]
    assert {"updatedRange", "updatedCells", "spreadsheetId"} <= set(written)
    message = description("google/gmail.v1.json")["schemas"]["Message"]["properties"]
    assert {"internalDate", "snippet", "payload", "labelIds", "threadId"} <= set(message)
    assert "resultSizeEstimate" in description("google/gmail.v1.json")["schemas"]["ListMessagesResponse"]["properties"]


def test_an_events_id_is_one_that_google_takes() -> None:
    result = run_action(create_event, EVENT, auth=AUTH, http=EXCHANGES["google_calendar.createEvent"].answers())
    assert re.fullmatch(r"[a-v0-9]{5,1024}", json.loads(result.request.content)["id"])
    described = description("google/calendar.v3.json")["schemas"]["Event"]["properties"]["id"]["description"]
    assert "a-v and digits 0-9" in described
    assert "between 5 and 1024" in described
    fields = {field.alias or name for name, field in CreateEventInputs.model_fields.items()}
    assert set(EVENT) == fields, "every input is set in what is held against the description"


def test_an_upload_has_two_parts_and_the_second_is_the_file() -> None:
    data = bytes(range(256))
    inputs = {"name": "x", "content": base64.b64encode(data).decode(), "encoding": "base64", "mimeType": "image/png"}
    result = run_action(upload_file, inputs, auth=AUTH, http=EXCHANGES["google_drive.uploadFile"].answers())
    head = f"--{result.request.headers['content-type'].partition('boundary=')[2]}".encode()
    before, _, second = result.request.content.rpartition(head + b"\r\n")
    assert before.startswith(head + b"\r\nContent-Type: application/json")
    assert second == b"Content-Type: image/png\r\n\r\n" + data + b"\r\n" + head + b"--\r\n"
    assert result.request.url.params["uploadType"] == "multipart"


def test_a_wrong_request_would_not_pass() -> None:
    spec = description("google/calendar.v3.json")
    event = spec["schemas"]["Event"]
    for wrong in ({"sumary": "x"}, {"start": {"day": "x"}}, {"attendees": [{"mail": "x"}]}, {"summary": 5}):
        with pytest.raises((AssertionError, jsonschema.ValidationError)):
            check_value(wrong, schema_of(spec, event), "event")

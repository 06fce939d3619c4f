"""Google Sheets: rows by the names in the header, what is written where, and which rows are new."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.providers.google_sheets import google_sheets
from integrations.providers.google_sheets.actions import append_row, get_rows, update_row, upsert_row
from integrations.providers.google_sheets.client import Columns, Sheet, letter, text_of
from integrations.providers.google_sheets.triggers import PAGE, SHOWN, new_row
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.polling import MAX_ITEMS
from integrations.sdk.testing import check_account, run_action, run_options, run_poll
from tests.providers.google_answers import AUTH, Grid, data, losing_after, new_refusal, ok, refusal

SHEET = {"spreadsheetId": "https://docs.google.com/spreadsheets/d/s-1_A/edit#gid=0", "sheet": "Orders"}
HEAD = {"valueRanges": [{"values": [["Name", "Amount", "", "Name"]]}]}
UPDATED = {"spreadsheetId": "s-1_A", "updatedRange": "Orders!A7:D7", "updatedCells": 2}
APPENDED = {"updates": UPDATED}


def written(request: httpx.Request) -> Any:
    return json.loads(request.content)["values"]


def test_a_row_is_appended_by_the_names_of_its_columns() -> None:
    inputs = {**SHEET, "row": {"Amount": 12.5, "Name": "Ada", "C": ["x"], "Name (D)": None}}
    result = run_action(append_row, inputs, auth=AUTH, http=[ok(HEAD), ok(APPENDED)])
    read, wrote = result.requests
    assert read.url.path == "/v4/spreadsheets/s-1_A/values:batchGet"
    assert read.url.params["ranges"] == "'Orders'!1:1"
    assert (wrote.method, wrote.url.path) == ("POST", "/v4/spreadsheets/s-1_A/values/'Orders'!A1:append")
    assert dict(wrote.url.params) == {"valueInputOption": "RAW", "insertDataOption": "INSERT_ROWS"}
    assert written(wrote) == [["Ada", 12.5, '["x"]', None]]
    assert result.output == {
        "spreadsheetId": "s-1_A", "range": "Orders!A7:D7", "rowNumber": 7, "updatedCells": 2,
    }  # fmt: skip


def test_formulas_are_stored_as_text_unless_it_is_said_that_values_are_typed() -> None:
    for given_, expected in (({}, "RAW"), ({"valueInput": "USER_ENTERED"}, "USER_ENTERED")):
        inputs = {**SHEET, "row": {"Name": "=IMPORTXML()"}, **given_}
        result = run_action(append_row, inputs, auth=AUTH, http=[ok(HEAD), ok(APPENDED)])
        assert result.requests[-1].url.params["valueInputOption"] == expected
        assert written(result.requests[-1])[0][0] == "=IMPORTXML()"


@pytest.mark.parametrize(
    ("header", "row", "field", "said"),
    [
        (["Name"], {"Nmae": "x"}, "row", "no column 'Nmae'"),
        ([], {"Name": "x"}, "sheet", "names no column"),
        (["", "Name"], {"Name": "x"}, "sheet", "names no column"),
    ],
)
def test_a_row_that_does_not_suit_the_header_is_not_written(
    header: list[str], row: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        run_action(append_row, {**SHEET, "row": row}, auth=AUTH, http=[ok({"valueRanges": [{"values": [header]}]})])
    assert caught.value.field == field
    assert caught.value.hint


def test_an_update_writes_one_row_and_leaves_its_other_cells() -> None:
    inputs = {**SHEET, "rowNumber": 7, "row": {"Amount": 3}, "headerRow": 1}
    result = run_action(update_row, inputs, auth=AUTH, http=[ok(HEAD), ok(UPDATED)])
    wrote = result.requests[-1]
    assert (wrote.method, wrote.url.path) == ("PUT", "/v4/spreadsheets/s-1_A/values/'Orders'!A7:D7")
    assert written(wrote) == [[None, 3, None, None]]
    with pytest.raises(InputError, match="not below the header"):
        run_action(update_row, {**inputs, "rowNumber": 1}, auth=AUTH)


KEYS = {"valueRanges": [{"values": [["Name", "Bob", 5, "Ada", "Ada"]]}]}
NO_KEYS: dict[str, Any] = {"valueRanges": [{}]}


@pytest.mark.parametrize(("key", "number"), [("Ada", 4), ("Bob", 2), ("5", 3), (5, 3), (5.0, 3)])
def test_a_row_with_the_key_is_changed(key: Any, number: int) -> None:
    inputs = {**SHEET, "keyColumn": "Name", "row": {"Name": key, "Amount": 1}}
    result = run_action(upsert_row, inputs, auth=AUTH, http=[ok(HEAD), ok(KEYS), ok(UPDATED)])
    _head, keys, wrote = result.requests
    assert keys.url.params["ranges"] == "'Orders'!A1:A"
    assert keys.url.params["majorDimension"] == "COLUMNS"
    assert wrote.url.path.endswith(f"/values/'Orders'!A{number}:D{number}")
    assert result.output["created"] is False
    assert bool([line for line in result.logs if line.level == "warning"]) is (key == "Ada")


@pytest.mark.parametrize("keys", [KEYS, NO_KEYS])
def test_without_a_row_with_the_key_one_is_added_and_the_header_is_no_row(keys: dict[str, Any]) -> None:
    inputs = {**SHEET, "keyColumn": "Name", "row": {"Name": "Name"}}
    result = run_action(upsert_row, inputs, auth=AUTH, http=[ok(HEAD), ok(keys), ok(APPENDED)])
    assert result.output["created"] is True
    assert result.requests[-1].url.path.endswith(":append")


def test_an_upsert_needs_a_key() -> None:
    for row in ({"Amount": 1}, {"Name": "", "Amount": 1}, {"Name": None}):
        with pytest.raises(InputError, match="key column"):
            run_action(upsert_row, {**SHEET, "keyColumn": "Name", "row": row}, auth=AUTH, http=[ok(HEAD)])
    with pytest.raises(InputError, match="no column 'Id'") as caught:
        run_action(upsert_row, {**SHEET, "keyColumn": "Id", "row": {"Name": "x"}}, auth=AUTH, http=[ok(HEAD)])
    assert caught.value.field == "keyColumn"


def test_a_lost_answer_is_unknown_where_a_row_is_added_and_tried_again_where_one_is_changed() -> None:
    key = {**SHEET, "keyColumn": "Name", "row": {"Name": "Ada"}}
    new = {**SHEET, "keyColumn": "Name", "row": {"Name": "Eve"}}
    with pytest.raises(OutcomeUnknown):
        run_action(append_row, {**SHEET, "row": {"Name": "x"}}, auth=AUTH, http=losing_after(ok(HEAD)))
    with pytest.raises(OutcomeUnknown):
        run_action(upsert_row, new, auth=AUTH, http=losing_after(ok(HEAD), ok(KEYS)))
    with pytest.raises(Transient):
        run_action(upsert_row, key, auth=AUTH, http=losing_after(ok(HEAD), ok(KEYS)))
    with pytest.raises(Transient):
        run_action(append_row, {**SHEET, "row": {"Name": "x"}}, auth=AUTH, http=losing_after())
    assert not append_row.idempotent
    assert not upsert_row.idempotent
    assert update_row.idempotent


def grid(*rows: list[Any], size: int = 1000) -> Grid:
    return Grid([["Name", "Amount"], *rows], size=size)


def test_rows_are_read_as_objects_and_empty_ones_are_left_out() -> None:
    sheet = grid(["Ada", "1"], [], ["Bob"], ["", "", "beyond"])
    result = run_action(get_rows, SHEET, auth=AUTH, http=sheet)
    assert result.output == {
        "rows": [
            {"rowNumber": 2, "row": {"Name": "Ada", "Amount": "1"}},
            {"rowNumber": 4, "row": {"Name": "Bob", "Amount": ""}},
            {"rowNumber": 5, "row": {"Name": "", "Amount": ""}},
        ],
        "nextRow": None,
    }
    assert sheet.ranges == ["'Orders'!1:1", "'Orders'!A2:B1000"]


def test_rows_are_read_page_by_page_up_to_the_limit_and_from_there_on() -> None:
    sheet = grid(*([str(at)] for at in range(2500)), size=2501)
    first = run_action(get_rows, {**SHEET, "limit": 1500}, auth=AUTH, http=sheet).output
    assert (len(first["rows"]), first["nextRow"]) == (1500, 1502)
    assert sheet.ranges[1:] == ["'Orders'!A2:B1001", "'Orders'!A1002:B2001"]
    rest = run_action(get_rows, {**SHEET, "limit": 9000, "firstRow": 1502}, auth=AUTH, http=sheet).output
    assert (rest["rows"][0]["rowNumber"], len(rest["rows"]), rest["nextRow"]) == (1502, 1000, None)


def test_a_sheet_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(InputError, match="no sheet 'Oders'") as caught:
        run_action(get_rows, {**SHEET, "sheet": "Oders"}, auth=AUTH, http=grid())
    assert "'Orders'" in caught.value.hint
    answer = refusal(400, "badRequest", "Unable to parse range: 'Oders'!1:1")
    with pytest.raises(InputError, match="Unable to parse range") as caught:
        run_action(append_row, {**SHEET, "row": {"a": 1}}, auth=AUTH, http=[answer])
    assert "sheet of that name" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(400, "badRequest"), Permanent),
        (refusal(401, "authError"), AuthError),
        (new_refusal(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), PermissionMissing),
        (new_refusal(403, "SERVICE_DISABLED"), PermissionMissing),
        (refusal(403, "forbidden", "The caller does not have permission"), PermissionMissing),
        (refusal(403, "rateLimitExceeded"), RateLimited),
        (refusal(403, "userRateLimitExceeded"), RateLimited),
        (new_refusal(429, "RATE_LIMIT_EXCEEDED"), RateLimited),
        (refusal(404, "notFound", "Requested entity was not found."), NotFound),
        (refusal(503, "backendError"), Transient),
    ],
)
def test_a_refusal_is_read_by_status_and_reason(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    with pytest.raises(IntegrationError) as caught:
        run_action(append_row, {**SHEET, "row": {"Name": 1}}, auth=AUTH, http=[ok(HEAD), answer])
    assert type(caught.value) is expected
    assert json.loads(answer.content)["error"]["message"] in caught.value.message


def test_a_403_says_whether_to_connect_again_to_switch_the_api_on_or_to_share() -> None:
    hints = []
    for reason in ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "SERVICE_DISABLED", "OTHER"):
        with pytest.raises(PermissionMissing) as caught:
            run_action(get_rows, SHEET, auth=AUTH, http=[new_refusal(403, reason)])
        hints.append((caught.value.hint, caught.value.scopes))
    assert [bool(scopes) for _hint, scopes in hints] == [True, False, False]
    assert "Connect the account again" in hints[0][0]
    assert "Google Cloud project" in hints[1][0]
    assert "shared" in hints[2][0]


def test_the_pause_that_google_asks_for_is_kept() -> None:
    for value in ("17", "Fri, 01 Jan 2100 00:00:00 GMT"):
        with pytest.raises(RateLimited) as caught:
            run_action(get_rows, SHEET, auth=AUTH, http=[refusal(429, "", **{"Retry-After": value})])
        assert caught.value.retry_after == (17 if value == "17" else 3600)


@pytest.mark.parametrize(
    "answer",
    [{}, {"updates": {}}, {"updates": {"updatedRange": "Orders"}}, {"updates": [1]}, {"updates": {"updatedRange": 5}}],
)
def test_an_append_of_another_form_is_permanent(answer: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(append_row, {**SHEET, "row": {"Name": 1}}, auth=AUTH, http=[ok(HEAD), ok(answer)])


def test_a_value_that_is_no_id_asks_nothing() -> None:
    for value in ("..", " ", "https://example.com/d/"):
        with pytest.raises(InputError):
            run_action(append_row, {**SHEET, "spreadsheetId": value, "row": {"a": 1}}, auth=AUTH)


def test_a_token_is_good_where_google_says_that_there_is_no_such_spreadsheet() -> None:
    auth = {"type": "oauth2", **AUTH}
    account, (request,) = check_account(google_sheets, auth, [refusal(404, "notFound")])
    assert account.label == "Google Sheets"
    assert request.url.path == "/v4/spreadsheets/0"
    for answer, expected in ((refusal(401), AuthError), (refusal(403, "insufficientPermissions"), PermissionMissing)):
        with pytest.raises(expected):
            check_account(google_sheets, auth, [answer])


def test_sheets_and_columns_are_listed_and_searched() -> None:
    sheets = {"sheets": [{"properties": {"title": "Orders"}}, {"properties": {"title": "C", "sheetType": "OBJECT"}},
                         {"properties": {"title": "People", "sheetType": "GRID"}}]}  # fmt: skip
    for query, expected in (("", ["Orders", "People"]), ("PEO", ["People"])):
        found, _ = run_options(append_row, "sheet", query=query, inputs=SHEET, auth=AUTH, http=[ok(sheets)])
        assert [option.value for option in found.items] == expected
    found, _ = run_options(upsert_row, "keyColumn", inputs=SHEET, auth=AUTH, http=[ok(HEAD)])
    assert [option.value for option in found.items] == ["Name", "Amount", "C", "Name (D)"]
    for inputs in ({}, {"spreadsheetId": "{{ steps.a.output }}"}):
        with pytest.raises(InputError) as caught:
            run_options(append_row, "sheet", inputs=inputs, auth=AUTH)
        assert "spreadsheet first" in caught.value.hint


@pytest.mark.parametrize(("index", "letters"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (702, "AAA")])
def test_a_column_has_its_letters(index: int, letters: str) -> None:
    assert letter(index) == letters


@given(st.lists(st.one_of(st.none(), st.text(max_size=5), st.integers(), st.floats(allow_nan=False)), max_size=40))
def test_every_column_has_a_name_of_its_own(header: list[Any]) -> None:
    try:
        names = Columns.of(header, sheet=Sheet.of("s", "n", 1)).names
    except InputError:
        assert not header or not text_of(header[0]).strip()
        return
    assert len(set(names)) == len(names) == len(header)


def poll(sheet: Grid, cursor: Any = None) -> Any:
    return run_poll(new_row, SHEET, cursor=cursor, auth=AUTH, http=sheet)


def names(found: Any) -> list[str]:
    return [each["row"]["Name"] for each in data(found.items)]


def test_the_first_poll_remembers_the_end_and_shows_a_few_and_the_next_gives_what_is_added() -> None:
    sheet = grid(["a"], ["b"], ["c"], ["d"], size=5000)
    first = poll(sheet)
    assert names(first) == ["b", "c", "d"]
    assert len(names(first)) == SHOWN
    assert names(poll(sheet, first.cursor)) == []
    sheet.rows += [["e", "1"], [], ["f"]]
    second = poll(sheet, first.cursor)
    assert data(second.items) == [
        {"rowNumber": 6, "row": {"Name": "e", "Amount": "1"}},
        {"rowNumber": 8, "row": {"Name": "f", "Amount": ""}},
    ]
    third = poll(sheet, second.cursor)
    assert (names(third), third.cursor, third.more) == ([], second.cursor, False)
    again = poll(sheet, first.cursor)
    assert [item.id for item in again.items] == [item.id for item in second.items]


def test_an_empty_sheet_gives_its_first_row_and_a_full_grid_one_that_makes_it_longer() -> None:
    sheet = grid(size=1)
    first = poll(sheet)
    assert (names(first), poll(sheet, first.cursor).cursor) == ([], first.cursor)
    sheet.rows, sheet.size = [*sheet.rows, ["a"]], 2
    assert names(poll(sheet, first.cursor)) == ["a"]


def test_rows_taken_out_above_hide_no_new_ones() -> None:
    sheet = grid(["a"], ["b"], ["c"], ["d"])
    cursor = poll(sheet).cursor
    del sheet.rows[1:3]
    sheet.rows += [["e"]]
    found = poll(sheet, cursor)
    assert names(found) == ["e"]
    assert names(poll(sheet, found.cursor)) == []


def test_a_last_row_that_is_changed_gives_only_what_is_below_it() -> None:
    sheet = grid(["a"], ["b"])
    cursor = poll(sheet).cursor
    sheet.rows[2] = ["B"]
    found = poll(sheet, cursor)
    assert names(found) == []
    sheet.rows += [["c"]]
    assert names(poll(sheet, found.cursor)) == ["c"]


def test_a_sheet_that_is_emptied_begins_anew_from_its_end() -> None:
    sheet = grid(["a"], ["b"], ["c"])
    cursor = poll(sheet).cursor
    del sheet.rows[1:]
    sheet.rows += [["x"]]
    found = poll(sheet, cursor)
    assert names(found) == []
    sheet.rows += [["y"]]
    assert names(poll(sheet, found.cursor)) == ["y"]


def test_more_than_a_poll_may_bring_follows_at_the_next() -> None:
    sheet = grid(["a"], size=PAGE * 3)
    cursor = poll(sheet).cursor
    sheet.rows += [[str(at)] for at in range(MAX_ITEMS + 5)]
    first = poll(sheet, cursor)
    assert (len(first.items), first.more) == (MAX_ITEMS, True)
    second = poll(sheet, first.cursor)
    assert names(second) == [str(at) for at in range(MAX_ITEMS, MAX_ITEMS + 5)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(401), AuthError), (refusal(403, "rateLimitExceeded"), RateLimited), (refusal(404), NotFound),
        (refusal(503), Transient), (httpx.Response(200, content=b"<html>"), Permanent), (ok({}), Permanent),
        (ok({"sheets": [{}]}), Permanent), (ok({"sheets": [{"properties": {"title": 5}}]}), Permanent),
    ],
)  # fmt: skip
def test_a_poll_that_fails_says_why(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    with pytest.raises(IntegrationError) as caught:
        run_poll(new_row, SHEET, auth=AUTH, http=[answer])
    assert type(caught.value) is expected
    assert "ya29.x" not in f"{caught.value} {caught.value.detail}"

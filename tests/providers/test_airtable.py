"""Airtable's records: what goes out, what comes back, and what each refusal becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.airtable import airtable
from integrations.providers.airtable.actions import create_record, list_records, update_record
from integrations.providers.airtable.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OAuth2,
    Option,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action, run_options

TOKEN = {"type": "bearer_token", "token": "pat1"}
PLACE = {"base_id": "app1", "table": "Leads"}
ADA = {"id": "rec1", "createdTime": "x", "fields": {"Name": "Ada"}}


def answer(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def found(*ids: str, offset: str | None = None) -> httpx.Response:
    rows = [{"id": each, "createdTime": "x", "fields": {}} for each in ids]
    return answer({"records": rows} | ({"offset": offset} if offset else {}))


def refused(status: int, error: object, **headers: str) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run_action(list_records, PLACE, auth=TOKEN, http=[answer({"error": error}, status, **headers)])
    return caught.value


@pytest.mark.parametrize("auth", [TOKEN, {"type": "oauth2", "access_token": "pat1"}])
def test_records_are_listed(auth: dict[str, str]) -> None:
    result = run_action(list_records, PLACE, auth=auth, http=[answer({"records": [ADA]})])
    assert result.output == {"records": [ADA], "offset": None}
    assert str(result.request.url) == "https://api.airtable.com/v0/app1/Leads?pageSize=100"
    assert result.request.headers["authorization"] == "Bearer pat1"


def test_what_is_set_goes_along() -> None:
    inputs = {
        **PLACE,
        "formula": "{Stage} = 'New & hot'",
        "view": "Grid view",
        "sort_by": "Name",
        "direction": "desc",
        "fields": ["Name", "Stage"],
        "limit": 5,
    }
    params = run_action(list_records, inputs, auth=TOKEN, http=[found()]).request.url.params
    assert params.multi_items() == [
        ("pageSize", "5"),
        ("filterByFormula", "{Stage} = 'New & hot'"),
        ("view", "Grid view"),
        ("sort[0][field]", "Name"),
        ("sort[0][direction]", "desc"),
        ("fields[]", "Name"),
        ("fields[]", "Stage"),
    ]


def test_a_tables_name_stays_one_segment_of_the_path() -> None:
    inputs = {**PLACE, "table": "Leads/2026 ?#%"}
    request = run_action(list_records, inputs, auth=TOKEN, http=[found()]).request
    assert request.url.raw_path == b"/v0/app1/Leads%2F2026%20%3F%23%25?pageSize=100"


def test_pages_are_read_until_there_are_as_many_records_as_asked_for() -> None:
    pages = [found(*map(str, range(100)), offset="o1"), found("x", "y", offset="o2")]
    result = run_action(list_records, {**PLACE, "limit": 102}, auth=TOKEN, http=pages)
    assert (len(result.output["records"]), result.output["offset"]) == (102, "o2")
    assert [dict(request.url.params) for request in result.requests] == [
        {"pageSize": "100"},
        {"pageSize": "2", "offset": "o1"},
    ]
    result = run_action(list_records, {**PLACE, "offset": "o2"}, auth=TOKEN, http=[found("z")])
    assert result.request.url.params["offset"] == "o2"
    assert result.output["offset"] is None


def test_an_offset_that_comes_again_is_an_error_that_says_so() -> None:
    with pytest.raises(Permanent, match="round in a circle"):
        run_action(list_records, PLACE, auth=TOKEN, http=[found("a", offset="o"), found("b", offset="o")])


def test_a_record_is_created_and_its_values_stand_on_top() -> None:
    inputs = {**PLACE, "fields": {"Name": "Ada"}}
    result = run_action(create_record, inputs, auth=TOKEN, http=[answer({"records": [ADA]})])
    assert result.output == {"id": "rec1", "fields": {"Name": "Ada"}, "records": [ADA]}
    assert (result.request.method, result.request.url.path) == ("POST", "/v0/app1/Leads")
    assert json.loads(result.request.content) == {"records": [{"fields": {"Name": "Ada"}}], "typecast": False}


def test_ten_records_go_at_once_and_one_more_is_refused_before_anything_is_sent() -> None:
    rows = [{"Name": str(number)} for number in range(10)]
    inputs = {**PLACE, "records": rows, "typecast": True}
    result = run_action(create_record, inputs, auth=TOKEN, http=[answer({"records": [ADA] * 10})])
    assert json.loads(result.request.content) == {"records": [{"fields": row} for row in rows], "typecast": True}
    assert len(result.output["records"]) == 10
    with pytest.raises(InputError, match="records"):
        run_action(create_record, {**PLACE, "records": [*rows, {}]}, auth=TOKEN)
    with pytest.raises(InputError, match="records"):
        run_action(update_record, {**PLACE, "records": [{"id": "rec1", "fields": {}}] * 11}, auth=TOKEN)


def test_a_record_is_updated_and_its_other_fields_stay() -> None:
    inputs = {**PLACE, "record_id": "rec1", "fields": {"Stage": "Won"}}
    result = run_action(update_record, inputs, auth=TOKEN, http=[answer({"records": [ADA]})])
    assert (result.request.method, result.request.url.path) == ("PATCH", "/v0/app1/Leads")
    assert json.loads(result.request.content)["records"] == [{"id": "rec1", "fields": {"Stage": "Won"}}]
    rows = [{"id": "rec1", "fields": {"Stage": "Won"}}, {"id": "rec2", "fields": {"Stage": "Lost"}}]
    result = run_action(update_record, {**PLACE, "records": rows}, auth=TOKEN, http=[answer({"records": [ADA]})])
    assert json.loads(result.request.content)["records"] == rows


@pytest.mark.parametrize(
    ("action", "inputs"),
    [
        (list_records, {"base_id": "app1"}),
        (list_records, {"base_id": "../meta", "table": "x"}),
        (list_records, {**PLACE, "table": ".."}),
        (list_records, {**PLACE, "limit": 0}),
        (list_records, {**PLACE, "filter": "x"}),
        (create_record, PLACE),
        (create_record, {**PLACE, "fields": {}, "records": [{}]}),
        (create_record, {**PLACE, "records": []}),
        (update_record, PLACE),
        (update_record, {**PLACE, "record_id": "rec1"}),
        (update_record, {**PLACE, "fields": {}}),
        (update_record, {**PLACE, "record_id": "rec1", "records": [{"id": "rec1", "fields": {}}]}),
        (update_record, {**PLACE, "record_id": "a/b", "fields": {}}),
    ],
)
def test_inputs_that_fit_no_record_are_refused(action: Any, inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(action, inputs, auth=TOKEN)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "AUTHENTICATION_REQUIRED", AuthError),
        (403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", PermissionMissing),
        (404, "TABLE_NOT_FOUND", NotFound),
        (422, "UNKNOWN_FIELD_NAME", InputError),
        (422, "SOMETHING_NEW", InputError),
        (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE", Transient),
        (400, "SOMETHING_NEW", Permanent),
        (429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED", Permanent),
        (429, "RATE_LIMIT_REACHED", RateLimited),
        (500, "SERVER_ERROR", Transient),
    ],
)
def test_a_type_says_what_to_do(status: int, code: str, expected: type[IntegrationError]) -> None:
    error = refused(status, {"type": code, "message": "It says why."})
    assert type(error) is expected
    assert error.message == "Airtable: It says why."


def test_an_error_may_be_a_bare_word() -> None:
    error = refused(404, "NOT_FOUND")
    assert type(error) is NotFound
    assert error.message == "Airtable: NOT_FOUND"


def test_every_type_has_a_hint() -> None:
    assert all(len(hint) > 15 for _, hint in ERRORS.values())


def test_too_many_requests_wait_as_long_as_airtable_says_or_as_its_penalty_lasts() -> None:
    body = {"errors": [{"error": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded."}]}
    for headers, seconds in (({"Retry-After": "7"}, 7), ({}, 30)):
        with pytest.raises(RateLimited, match="Rate limit exceeded") as caught:
            run_action(list_records, PLACE, auth=TOKEN, http=[answer(body, 429, **headers)])
        assert caught.value.retry_after == seconds


def test_a_lost_answer_is_asked_for_again_only_where_it_does_no_harm() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(create_record, {**PLACE, "fields": {}}, auth=TOKEN, http=lose)
    with pytest.raises(Transient):
        run_action(update_record, {**PLACE, "record_id": "rec1", "fields": {}}, auth=TOKEN, http=lose)
    with pytest.raises(Transient):
        run_action(list_records, PLACE, auth=TOKEN, http=lose)


@pytest.mark.parametrize("body", [[], {}, {"records": 1}, {"records": [1]}, {"records": [{"id": "x"}]}, "x"])
def test_an_answer_of_another_form_is_permanent(body: object) -> None:
    for action, inputs in ((list_records, PLACE), (create_record, {**PLACE, "fields": {}})):
        with pytest.raises(Permanent, match="unexpected form"):
            run_action(action, inputs, auth=TOKEN, http=[answer(body)])
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(create_record, {**PLACE, "fields": {}}, auth=TOKEN, http=[answer({"records": []})])


def test_a_token_is_asked_whose_it_is() -> None:
    me = {"id": "usr1", "email": "ada@example.com", "scopes": ["data.records:read"]}
    account, (request,) = check_account(airtable, TOKEN, [answer(me)])
    assert (account.label, account.scopes) == ("ada@example.com", ("data.records:read",))
    assert str(request.url) == "https://api.airtable.com/v0/meta/whoami"
    account, _ = check_account(airtable, TOKEN, [answer({"id": "usr1"})])
    assert account.label == "Airtable user usr1"
    with pytest.raises(AuthError):
        check_account(airtable, TOKEN, [answer({"error": {"type": "AUTHENTICATION_REQUIRED", "message": "No"}}, 401)])


def test_who_signs_in_may_list_bases_and_tables() -> None:
    kind = airtable.auth_kind("oauth2")
    assert isinstance(kind, OAuth2)
    assert {"data.records:read", "data.records:write", "schema.bases:read"} <= set(kind.scopes)
    assert (kind.pkce, kind.client_auth) == (True, "basic")


BASES = {"bases": [{"id": "app1", "name": "Sales"}, {"id": "app2", "name": "People"}], "offset": "o1"}


def test_bases_are_listed_searched_and_paged() -> None:
    listed, (request,) = run_options(list_records, "base_id", auth=TOKEN, http=[answer(BASES)])
    assert list(listed.items) == [Option("app1", "Sales", "app1"), Option("app2", "People", "app2")]
    assert listed.next_cursor == "o1"
    assert str(request.url) == "https://api.airtable.com/v0/meta/bases"
    pages = [answer({"bases": [], "offset": "o2"}), answer({"bases": BASES["bases"]})]
    listed, requests = run_options(list_records, "base_id", query="PEO", cursor="o1", auth=TOKEN, http=pages)
    assert [option.value for option in listed.items] == ["app2"]
    assert [request.url.params["offset"] for request in requests] == ["o1", "o2"]
    assert listed.next_cursor is None


def test_tables_are_those_of_the_base_that_is_chosen() -> None:
    body = {"tables": [{"id": "tbl1", "name": "Leads"}, {"id": "tbl2", "name": "Deals"}]}
    listed, (request,) = run_options(
        create_record, "table", query="lea", inputs={"base_id": "app1"}, auth=TOKEN, http=[answer(body)]
    )
    assert list(listed.items) == [Option("tbl1", "Leads", "tbl1")]
    assert request.url.path == "/v0/meta/bases/app1/tables"
    for base_id in ("", "{{ trigger.body.base }}", "../x"):
        with pytest.raises(InputError, match="choose the base first"):
            run_options(create_record, "table", inputs={"base_id": base_id}, auth=TOKEN)


@pytest.mark.parametrize("body", [{"bases": [1]}, {"bases": [{"id": 1, "name": "x"}]}, {"bases": None}])
def test_a_list_of_another_form_is_permanent(body: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_options(list_records, "base_id", auth=TOKEN, http=[answer(body)])

"""Notion's createPage and queryDatabase: what goes out, what comes back, and what each refusal becomes."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.providers.notion import client, notion
from integrations.providers.notion.actions import create_page, query_database
from integrations.providers.notion.blocks import pieces, units
from integrations.providers.notion.client import ERRORS
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
from integrations.sdk.client import StepHttp
from integrations.sdk.oauth import Endpoints, OAuthApp, renew
from integrations.sdk.testing import FakeWire, check_account, run_action, run_options

TOKEN = {"type": "bearer_token", "token": "ntn_1"}
PAGE = {"object": "page", "id": "p1", "url": "https://www.notion.so/p1", "created_time": "x", "properties": {}}
ROW = {"database_id": "db1", "title": "Ada"}
UNKNOWN = {"object": "error", "status": 404, "code": "object_not_found", "message": "Could not find it."}


def answer(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def found(*rows: str, cursor: str | None = None) -> httpx.Response:
    results = [{"object": "page", "id": row} for row in rows]
    return answer({"object": "list", "results": results, "has_more": cursor is not None, "next_cursor": cursor})


def created(**inputs: Any) -> dict[str, Any]:
    """Create a page and return the body that went out."""
    result = run_action(create_page, inputs, auth=TOKEN, http=[answer(PAGE)])
    assert result.output == PAGE
    assert str(result.request.url) == "https://api.notion.com/v1/pages"
    body: dict[str, Any] = json.loads(result.request.content)
    return body


def refused(status: int, code: str, **headers: str) -> IntegrationError:
    body = {"object": "error", "status": status, "code": code, "message": "It says why."}
    with pytest.raises(IntegrationError) as caught:
        run_action(create_page, {"page_id": "p1"}, auth=TOKEN, http=[answer(body, status, **headers)])
    return caught.value


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": {"content": content}}


def test_a_row_has_its_title_and_properties() -> None:
    stage = {"Stage": {"select": {"name": "New"}}}
    assert created(**ROW, properties=stage) == {
        "parent": {"type": "data_source_id", "data_source_id": "db1"},
        "properties": {"title": {"title": [text("Ada")]}, **stage},
    }


def test_a_page_below_a_page_has_paragraphs_blocks_and_an_icon() -> None:
    divider = {"type": "divider", "divider": {}}
    body = created(page_id="p0", title="Ada", content="One\n\nTwo", children=[divider], icon="📞")
    assert body["parent"] == {"type": "page_id", "page_id": "p0"}
    assert body["icon"] == {"type": "emoji", "emoji": "📞"}
    assert [block["type"] for block in body["children"]] == ["paragraph", "paragraph", "paragraph", "divider"]
    assert [block["paragraph"]["rich_text"] for block in body["children"][:3]] == [[text("One")], [], [text("Two")]]


@pytest.mark.parametrize("auth", [TOKEN, {"type": "oauth2", "access_token": "ntn_1"}])
def test_every_call_names_the_version_of_the_api(auth: dict[str, str]) -> None:
    for action, inputs, response in ((create_page, ROW, answer(PAGE)), (query_database, {"database_id": "d"}, found())):
        request = run_action(action, inputs, auth=auth, http=[response]).request
        assert request.headers["notion-version"] == "2025-09-03"
        assert request.headers["authorization"] == "Bearer ntn_1"


def test_a_link_is_taken_for_the_id_in_it() -> None:
    link = "https://www.notion.so/acme/Leads-598337872cf94fdf8782e53db20768a5?v=00000000000000000000000000000000#x"
    assert created(page_id=link)["parent"]["page_id"] == "598337872cf94fdf8782e53db20768a5"
    dashed = "https://app.notion.com/p/59833787-2cf9-4fdf-8782-e53db20768a5"
    assert created(page_id=dashed)["parent"]["page_id"] == "59833787-2cf9-4fdf-8782-e53db20768a5"


def test_a_databases_id_is_taken_for_its_only_data_source() -> None:
    database = answer({"object": "database", "id": "db1", "data_sources": [{"id": "ds1", "name": "Leads"}]})
    result = run_action(create_page, ROW, auth=TOKEN, http=[answer(UNKNOWN, 404), database, answer(PAGE)])
    assert [request.url.path for request in result.requests] == ["/v1/pages", "/v1/databases/db1", "/v1/pages"]
    assert json.loads(result.requests[-1].content)["parent"]["data_source_id"] == "ds1"
    # A different request: Notion must not take it for the first one again.
    assert len({request.headers.get("idempotency-key") for request in result.requests}) == 3

    inputs = {"database_id": "db1"}
    database = answer({"object": "database", "id": "db1", "data_sources": [{"id": "ds1", "name": "Leads"}]})
    result = run_action(query_database, inputs, auth=TOKEN, http=[answer(UNKNOWN, 404), database, found("a")])
    assert result.requests[-1].url.path == "/v1/data_sources/ds1/query"


def test_of_several_data_sources_somebody_must_choose_one() -> None:
    rows = [{"id": "ds1", "name": "Leads"}, {"id": "ds2", "name": "Old leads"}]
    with pytest.raises(InputError, match=r"Leads \(ds1\), Old leads \(ds2\)"):
        run_action(create_page, ROW, auth=TOKEN, http=[answer(UNKNOWN, 404), answer({"data_sources": rows})])


def test_what_is_no_database_either_is_not_found() -> None:
    for database in (answer(UNKNOWN, 404), answer({"data_sources": []})):
        with pytest.raises(NotFound, match="Could not find it") as caught:
            run_action(create_page, ROW, auth=TOKEN, http=[answer(UNKNOWN, 404), database])
        assert "Connections" in caught.value.hint
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(
            create_page, ROW, auth=TOKEN, http=[answer(UNKNOWN, 404), answer({"data_sources": [{"id": "../x"}]})]
        )


def test_a_long_paragraph_is_cut_into_pieces_that_notion_takes() -> None:
    words = "🎉" * 1000 + "a" + "🎉" * 1000
    assert "".join(pieces(words)) == words
    assert [units(piece) for piece in pieces(words)] == [2000, 1999, 2]
    assert list(pieces("")) == []
    body = created(page_id="p", content=words)
    assert len(body["children"][0]["paragraph"]["rich_text"]) == 3


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"title": "a" * 2001}, "2,001"),
        ({"title": "🎉" * 1001}, "2,002"),
        ({"content": "a\n" * 101}, "101 paragraphs"),
        ({"content": "a\n" * 100, "children": [{"type": "divider", "divider": {}}]}, "101 paragraphs"),
        ({"content": "a" * 200_001}, "200,000"),
        ({"children": [{"paragraph": {"rich_text": [text("a" * 2001)]}}]}, r"children\[0\].*2,000"),
        ({"children": [{"toggle": {"children": [{}] * 101}}]}, "101 blocks"),
        ({"children": [{"paragraph": {"rich_text": [text("a")] * 101}}]}, "101 pieces"),
    ],
)
def test_what_is_too_long_is_refused_before_anything_is_sent(inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_action(create_page, {"page_id": "p", **inputs}, auth=TOKEN)


def test_blocks_of_a_form_that_only_notion_knows_are_left_to_it() -> None:
    assert created(page_id="p", children=[{"paragraph": "x"}])["children"] == [{"paragraph": "x"}]


def test_what_is_just_short_enough_is_sent() -> None:
    body = created(page_id="p", title="a" * 2000, content="a\n" * 99 + "a" * 200_000)
    assert len(body["children"]) == 100


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"database_id": "a", "page_id": "b"},
        {"page_id": "p", "properties": {"Stage": {"select": {"name": "New"}}}},
        {"page_id": "../users"},
        {"page_id": "https://example.com/nothing"},
        {"page_id": "p", "icon": ""},
        {"page_id": "p", "body": "x"},
    ],
)
def test_inputs_that_fit_no_page_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(create_page, inputs, auth=TOKEN)


def test_an_integration_that_may_not_read_is_told_the_id_alone() -> None:
    result = run_action(create_page, ROW, auth=TOKEN, http=[answer({"object": "page", "id": "p1"})])
    assert result.output == {"object": "page", "id": "p1", "url": "", "created_time": "", "properties": {}}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "validation_error", InputError),
        (400, "something_new", Permanent),
        (401, "unauthorized", AuthError),
        (403, "restricted_resource", PermissionMissing),
        (404, "object_not_found", NotFound),
        (409, "conflict_error", Transient),
        (429, "rate_limited", RateLimited),
        (500, "internal_server_error", Transient),
        (503, "service_unavailable", Transient),
        (529, "service_overload", Transient),
    ],
)
def test_a_code_says_what_to_do(status: int, code: str, expected: type[IntegrationError]) -> None:
    error = refused(status, code)
    assert type(error) is expected
    assert error.message == "Notion: It says why."


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _, hint in ERRORS.values())


@pytest.mark.parametrize("status", [429, 529])
def test_the_pause_that_notion_asks_for_is_kept(status: int) -> None:
    error = refused(status, "rate_limited", **{"Retry-After": "11"})
    assert isinstance(error, Transient)
    assert error.retry_after == 11


def test_a_lost_answer_is_asked_for_again_only_where_nothing_is_made() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(create_page, ROW, auth=TOKEN, http=lose)
    with pytest.raises(Transient):
        run_action(query_database, {"database_id": "d"}, auth=TOKEN, http=lose)


def test_a_query_goes_out_as_notion_writes_it() -> None:
    only = {"property": "Stage", "select": {"equals": "New"}}
    inputs = {"database_id": "ds1", "filter": only, "sort_by": "Name", "direction": "descending", "limit": 5}
    request = run_action(query_database, inputs, auth=TOKEN, http=[found()]).request
    assert str(request.url) == "https://api.notion.com/v1/data_sources/ds1/query"
    assert json.loads(request.content) == {
        "page_size": 5,
        "filter": only,
        "sorts": [{"property": "Name", "direction": "descending"}],
    }
    inputs = {"database_id": "ds1", "sort_by": "created_time"}
    request = run_action(query_database, inputs, auth=TOKEN, http=[found()]).request
    assert json.loads(request.content)["sorts"] == [{"timestamp": "created_time", "direction": "ascending"}]


def test_pages_are_read_until_there_are_as_many_rows_as_asked_for() -> None:
    pages = [found(*"ab", cursor="c1"), found(*"cd", cursor="c2")]
    result = run_action(query_database, {"database_id": "d", "limit": 4}, auth=TOKEN, http=pages)
    assert [row["id"] for row in result.output["results"]] == ["a", "b", "c", "d"]
    assert (result.output["has_more"], result.output["next_cursor"]) == (True, "c2")
    bodies = [json.loads(request.content) for request in result.requests]
    assert bodies == [{"page_size": 4}, {"page_size": 2, "start_cursor": "c1"}]
    result = run_action(query_database, {"database_id": "d", "start_cursor": "c2"}, auth=TOKEN, http=[found("e")])
    assert (result.output["has_more"], result.output["next_cursor"]) == (False, None)
    assert json.loads(result.request.content)["start_cursor"] == "c2"


def test_a_cursor_that_comes_again_is_an_error_that_says_so() -> None:
    pages = [found("a", cursor="c"), found("b", cursor="c")]
    with pytest.raises(Permanent, match="round in a circle"):
        run_action(query_database, {"database_id": "d"}, auth=TOKEN, http=pages)


@pytest.mark.parametrize("body", [[], {}, {"results": 1}, {"results": [1]}, "x"])
def test_an_answer_of_another_form_is_permanent(body: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(query_database, {"database_id": "d"}, auth=TOKEN, http=[answer(body)])
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(create_page, ROW, auth=TOKEN, http=[answer(body)])


def test_a_secret_is_asked_whose_it_is() -> None:
    me = {"object": "user", "type": "bot", "name": "Leads", "bot": {"workspace_name": "Acme"}}
    account, (request,) = check_account(notion, TOKEN, [answer(me)])
    assert account.label == "Leads in Acme"
    assert str(request.url) == "https://api.notion.com/v1/users/me"
    assert request.headers["notion-version"] == "2025-09-03"
    with pytest.raises(AuthError):
        check_account(notion, TOKEN, [answer({"code": "unauthorized", "message": "API token is invalid."}, 401)])


def test_the_token_endpoint_is_asked_by_basic_and_json_and_a_new_refresh_token_is_kept() -> None:
    kind = notion.auth_kind("oauth2")
    assert isinstance(kind, OAuth2)
    wire = FakeWire(handler=lambda request: answer({"access_token": "a2", "refresh_token": "r2"}))
    http = StepHttp(wire=wire, deadline=datetime.now(UTC) + timedelta(seconds=9))
    endpoints = Endpoints(
        token_url=kind.token_url,
        client_auth=kind.client_auth,
        token_request=kind.token_request,
        token_headers=kind.token_headers,
    )
    app = OAuthApp(id="id", secret="s")
    tokens = asyncio.run(renew(http, endpoints, app, refresh_token="r1", now=datetime.now(UTC)))
    (request,) = wire.requests
    assert request.headers["authorization"] == f"Basic {base64.b64encode(b'id:s').decode()}"
    assert request.headers["notion-version"] == client.HEADERS["Notion-Version"]
    assert json.loads(request.content) == {"grant_type": "refresh_token", "refresh_token": "r1"}
    assert (tokens.access_token, tokens.refresh_token) == ("a2", "r2")


def test_databases_and_pages_are_searched_by_notion_and_paged() -> None:
    source = {"object": "data_source", "id": "ds1", "title": [{"plain_text": "Le"}, {"plain_text": "ads"}], "url": "u"}
    body = {"results": [source, {"object": "data_source", "id": "ds2"}], "has_more": True, "next_cursor": "c1"}
    listed, (request,) = run_options(create_page, "database_id", query=" lead ", auth=TOKEN, http=[answer(body)])
    assert list(listed.items) == [Option("ds1", "Leads", "u"), Option("ds2", "Untitled")]
    assert listed.next_cursor == "c1"
    assert json.loads(request.content) == {
        "query": "lead",
        "filter": {"property": "object", "value": "data_source"},
        "page_size": 100,
    }
    title = {"Name": {"type": "title", "title": [{"plain_text": "Home"}]}, "Tags": {"type": "multi_select"}}
    body = {"results": [{"object": "page", "id": "p1", "properties": title}], "has_more": False, "next_cursor": None}
    listed, (request,) = run_options(create_page, "page_id", cursor="c1", auth=TOKEN, http=[answer(body)])
    assert list(listed.items) == [Option("p1", "Home")]
    assert listed.next_cursor is None
    assert json.loads(request.content)["start_cursor"] == "c1"


@pytest.mark.parametrize("body", [{"results": [1]}, {"results": [{"id": 1}]}, {"results": None}])
def test_a_list_of_another_form_is_permanent(body: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_options(query_database, "database_id", auth=TOKEN, http=[answer(body)])

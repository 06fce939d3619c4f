"""Answers in pages: how each kind goes on, what bounds the reading, and who gets the credential."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.sdk import (
    CursorPaging,
    InputError,
    IntegrationError,
    LinkPaging,
    NotFound,
    OffsetPaging,
    Option,
    Page,
    PageLimits,
    PagePaging,
    Permanent,
    RateLimited,
    Timeout,
    collected,
    first_found,
)
from integrations.sdk.client import StepHttp
from integrations.sdk.paging import link
from integrations.sdk.paths import MISSING, found_at, put_at
from integrations.sdk.testing import FakeWire

URL = "https://api.example.com/things"
SECRET = "Bearer canary-5d1e"
Answers = Sequence[httpx.Response] | Callable[[httpx.Request], httpx.Response]


def client(answers: Answers) -> StepHttp:
    rest = iter(answers) if not callable(answers) else None

    async def answer(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return answers(request) if callable(answers) else next(rest)  # type: ignore[arg-type]

    def authorize(request: httpx.Request) -> None:
        request.headers["Authorization"] = SECRET

    deadline = datetime.now(UTC) + timedelta(seconds=5)
    return StepHttp(wire=FakeWire(handler=answer), authorize=authorize, deadline=deadline, idempotency_key="k")


def read(answers: Answers, url: str = URL, **options: Any) -> tuple[list[Page], list[httpx.Request]]:
    http = client(answers)

    async def run() -> list[Page]:
        return [page async for page in http.pages(url, **options)]

    assert isinstance(http.wire, FakeWire)
    return asyncio.run(run()), http.wire.requests


def items(pages: Sequence[Page]) -> list[Any]:
    return [item for page in pages for item in page.items]


def ok(body: Any, **headers: str) -> httpx.Response:
    return httpx.Response(200, json=body, headers=headers)


def refused(answers: Answers, **options: Any) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        read(answers, **options)
    return caught.value


def numbered(request: httpx.Request) -> httpx.Response:
    """A list of five things in pages of two, by page or offset."""
    params = request.url.params
    at = (int(params["page"]) - 1) * 2 if "page" in params else int(params["offset"])
    return ok({"things": list(range(5))[at : at + 2], "at": at})


def test_links_of_the_header_lead_on_and_other_relations_do_not() -> None:
    first = ok([1], Link=f'<{URL}?page=9>; rel="last", <{URL}?page=2&q=a,b>; rel="next"; title="x"')
    pages, sent = read([first, ok([2], Link='</things?page=1>; rel="first"')], paging=LinkPaging(), params={"q": "a"})
    assert (items(pages), [page.more for page in pages]) == ([1, 2], [True, False])
    assert [str(request.url) for request in sent] == [f"{URL}?q=a", f"{URL}?page=2&q=a,b"]
    assert all(request.headers["authorization"] == SECRET for request in sent)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('<a>; rel="next"', "a"),
        ("<a>;rel=next", "a"),
        ('<a>; title="x, y"; rel="prev next"', "a"),
        ('<b>; rel="prev", <a>; REL="NEXT"', "a"),
        ('<a>; rel="nextpage"', None),
        ("<a", None),
        ("", None),
        ("<" * 9_000, None),
    ],
)
def test_a_link_header_is_read_as_its_rules_say(header: str, found: str | None) -> None:
    assert link([header]) == found


def test_a_link_in_the_answer_may_be_relative_and_its_key_may_hold_dots() -> None:
    first = ok({"value": [1], "@odata.nextLink": "things?skip=1"})
    pages, sent = read([first, ok({"value": [2]})], paging=LinkPaging(at="@odata.nextLink"), items="value")
    assert (items(pages), sent[1].url.query) == ([1, 2], b"skip=1")


def test_a_link_to_another_origin_gets_neither_credential_nor_own_headers_and_neither_does_a_way_back() -> None:
    answers = [
        ok([1], Link='<https://other.example.net/x>; rel="next"'),
        ok([2], Link=f'<{URL}?page=3>; rel="next"'),
        ok([3]),
    ]
    _pages, sent = read(answers, paging=LinkPaging(), headers={"X-Key": "own", "Accept": "text/json"})
    assert [request.headers.get("authorization") for request in sent] == [SECRET, None, None]
    assert [request.headers.get("x-key") for request in sent] == ["own", None, None]
    assert sent[1].headers["accept"] == "text/json"
    plain = read([ok([1], Link='<http://api.example.com/things>; rel="next"'), ok([])], paging=LinkPaging())[1]
    assert plain[1].headers.get("authorization") is None


def test_only_a_get_follows_to_another_origin_and_no_address_that_is_none() -> None:
    away = ok([1], Link='<https://other.example.net/x>; rel="next"')
    assert type(refused([away], paging=LinkPaging(), method="POST", json={})) is Permanent
    for address in ("ftp://x/y", "https://user:pw@api.example.com/", "http://[", "javascript:alert(1)"):
        error = refused([ok([1], Link=f'<{address}>; rel="next"')], paging=LinkPaging())
        assert isinstance(error, Permanent)
        assert "cannot be asked" in error.message


def test_a_cursor_goes_into_the_query_beside_what_is_there() -> None:
    paging = CursorPaging(parameter="starting_after", at="data[-1].id", more="has_more")
    answers = [
        ok({"data": [{"id": "a"}, {"id": "b"}], "has_more": True}),
        ok({"data": [{"id": "c"}], "has_more": False}),
    ]
    pages, sent = read(answers, paging=paging, items="data", params={"limit": 2, "tag": ["x", "y"]})
    assert [item["id"] for item in items(pages)] == ["a", "b", "c"]
    assert str(sent[1].url) == f"{URL}?limit=2&tag=x&tag=y&starting_after=b"


def test_a_cursor_goes_into_a_body_at_its_path_or_among_form_fields() -> None:
    told = {"page": {"next": "c2"}, "rows": [1]}
    paging = CursorPaging(parameter="variables.after", at="page.next", into="body")
    given = {"query": "{…}", "variables": {"first": 1}}
    _pages, sent = read([ok(told), ok({"rows": [2]})], paging=paging, items="rows", method="POST", json=given)
    assert json.loads(sent[1].content) == {"query": "{…}", "variables": {"first": 1, "after": "c2"}}
    assert given["variables"] == {"first": 1}
    assert sent[0].headers["idempotency-key"] != sent[1].headers["idempotency-key"]
    paging = CursorPaging(at="page.next", into="body")
    _pages, sent = read([ok(told), ok({"rows": []})], paging=paging, items="rows", method="POST", data={"a": "1"})
    assert sent[1].content == b"a=1&cursor=c2"


@pytest.mark.parametrize(
    ("paging", "requests"),
    [
        (PagePaging(), 4),
        (PagePaging(size=2), 3),
        (OffsetPaging(), 4),
        (OffsetPaging(size=2), 3),
    ],
)
def test_pages_and_offsets_are_counted_until_one_is_not_full(paging: Any, requests: int) -> None:
    pages, sent = read(numbered, paging=paging, items="things")
    assert (items(pages), len(sent), pages[-1].more) == ([0, 1, 2, 3, 4], requests, False)


def test_a_number_in_a_body_is_a_number() -> None:
    paging = OffsetPaging(parameter="from", into="body", size=2)
    _pages, sent = read([ok([1, 2]), ok([3])], paging=paging, method="POST", json={"size": 2})
    assert [json.loads(request.content)["from"] for request in sent] == [0, 2]


@pytest.mark.parametrize(
    ("limits", "requests", "count"),
    [
        (PageLimits(pages=2), 2, 4),
        (PageLimits(items=3), 2, 3),
        (PageLimits(items=4), 2, 4),
        (PageLimits(total_bytes=1), 1, 2),
    ],
)
def test_a_limit_ends_the_reading_and_the_last_page_says_that_there_is_more(
    limits: PageLimits, requests: int, count: int
) -> None:
    pages, sent = read(numbered, paging=PagePaging(), items="things", limits=limits)
    assert (len(sent), len(items(pages)), pages[-1].more) == (requests, count, True)


def test_a_page_of_too_many_bytes_is_refused_and_the_deadline_is_one_for_all() -> None:
    error = refused([ok(["x" * 99])], paging=LinkPaging(), limits=PageLimits(page_bytes=50))
    assert "larger than 50 bytes" in error.message

    async def late() -> None:
        http = client(numbered)
        pages = http.pages(URL, paging=PagePaging(), items="things")
        await anext(pages)
        http.deadline = datetime.now(UTC) - timedelta(seconds=1)
        with pytest.raises(Timeout):
            await anext(pages)

    asyncio.run(late())


def test_a_page_that_was_asked_for_too_soon_is_waited_for_unless_it_is_the_first_or_too_long() -> None:
    def soon(seconds: str) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": seconds})

    following = '<?page=2>; rel="next"'
    pages, sent = read([ok([1], Link=following), soon("0"), soon("0"), ok([2])], paging=LinkPaging())
    assert (items(pages), len(sent)) == ([1, 2], 4)
    for answers in ([soon("0")], [ok([1], Link=following), soon("60")], [ok([1], Link=following), *[soon("0")] * 4]):
        assert isinstance(refused(answers, paging=LinkPaging()), RateLimited)


def test_a_cursor_that_comes_twice_is_an_error_that_says_so() -> None:
    paging = CursorPaging(at="next")
    for around in (["a", "a"], ["a", "b", "a"]):
        answers = [ok({"items": [1], "next": cursor}) for cursor in around]
        error = refused(answers, paging=paging, items="items")
        assert isinstance(error, Permanent)
        assert "round in a circle" in error.message


def test_a_server_that_ignores_the_page_is_found_out() -> None:
    error = refused(lambda request: ok([1, 2]), paging=PagePaging(parameter="pg"))
    assert isinstance(error, Permanent)
    assert "parameter pg" in error.message


def test_where_no_list_is_the_error_names_those_that_are_there() -> None:
    error = refused([ok({"data": {"rows": []}, "errors": []})], paging=LinkPaging(), items="data.items")
    assert isinstance(error, InputError)
    assert "errors, data.rows" in error.hint
    assert isinstance(refused([ok({"message": "none"})], paging=LinkPaging()), InputError)
    pages, _sent = read([ok({"total": 0})], paging=LinkPaging(), items="messages")
    assert items(pages) == []


def test_a_refused_page_is_the_error_it_stands_for_unless_the_caller_takes_it() -> None:
    answers = [ok([1], Link="<?page=2>; rel=next"), httpx.Response(404, json={"error": "no such page"})]
    assert isinstance(refused(answers, paging=LinkPaging()), NotFound)
    pages, _sent = read(answers, paging=LinkPaging(), check=lambda response: response)
    assert (items(pages), pages[-1].response.status_code) == ([1], 404)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("", {"a": [{"b.c": 1}], "x y": {"z": 2}}),
        ("$.a[0]", {"b.c": 1}),
        ("$", {"a": [{"b.c": 1}], "x y": {"z": 2}}),
        ('a[-1]["b.c"]', 1),
        ("x y.z", 2),
        ("a[7]", MISSING),
        ("a.b", MISSING),
        ("x y.z.w", MISSING),
    ],
)
def test_a_path_finds_what_lies_there(path: str, found: Any) -> None:
    assert found_at({"a": [{"b.c": 1}], "x y": {"z": 2}}, path) == found


@pytest.mark.parametrize("path", ["a[", "a]", "a..b", "[x]", "a[1.5]", "a." * 40 + "a", "x" * 600, "a['b\"]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        found_at({}, path)


def test_a_value_is_put_at_a_path_without_changing_what_was_there() -> None:
    before = {"a": {"b": 1}}
    assert put_at(before, ("a", "c", "d"), 2) == {"a": {"b": 1, "c": {"d": 2}}}
    assert before == {"a": {"b": 1}}


def test_rows_are_collected_until_there_are_enough_and_the_cursor_behind_them_is_told() -> None:
    asked: list[tuple[str | None, int]] = []

    async def page(cursor: str | None, room: int) -> tuple[list[int], str | None]:
        asked.append((cursor, room))
        at = int(cursor or 0)
        return [at, at + 1], str(at + 2)

    assert asyncio.run(collected(page, most=3)) == ([0, 1, 2, 3], "4")
    assert asked == [(None, 3), ("2", 1)]
    assert asyncio.run(collected(page, most=99, cursor="8", pages=2)) == ([8, 9, 10, 11], "12")


def test_a_search_looks_through_some_pages_until_something_is_found() -> None:
    async def page(cursor: str | None) -> tuple[list[Option], str | None]:
        at = int(cursor or 0)
        return ([Option("v", "found")] if at == 2 else []), str(at + 1)

    found = asyncio.run(first_found(page, None))
    assert (found.items, found.next_cursor) == ([Option("v", "found")], "3")
    assert asyncio.run(first_found(page, "3")).items == []

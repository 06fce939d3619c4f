"""The paging of http.request: pages that become one list, what bounds them, and what it says of that."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any, Self

import httpx
import pytest

from integrations.builtin.http import request
from integrations.sdk import InputError, NotFound, Permanent
from integrations.sdk.client import Answer, Response
from integrations.sdk.testing import ActionResult, run_action
from orchestrator.large import RawJSON
from tests.builtin.test_http_request import URL, answered, refused, send


def paged(*bodies: Any, **inputs: Any) -> ActionResult:
    rest = iter(bodies)
    return send(lambda request: httpx.Response(200, json=next(rest)), **inputs)


def test_all_pages_are_one_list_with_its_count() -> None:
    first = {"data": {"items": [{"n": 1}, {"n": 2}]}, "meta": {"next": "c2"}}
    last = {"data": {"items": [{"n": 3}]}, "meta": {"next": None}}
    inputs = {"paging": "cursor", "paging_items": "data.items", "paging_next": "meta.next", "paging_parameter": "after"}
    result = paged(first, last, query={"limit": "2"}, **inputs)
    assert result.output["body"] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert {name: result.output[name] for name in ("status", "count", "pages", "cut")} == {
        "status": 200, "count": 3, "pages": 2, "cut": False,
    }  # fmt: skip
    assert [request.url.query for request in result.requests] == [b"limit=2", b"limit=2&after=c2"]


def test_a_limit_cuts_the_list_and_the_output_says_so() -> None:
    result = paged([1, 2], [3, 4], paging="page", paging_start=0, max_pages=2)
    assert (result.output["body"], result.output["cut"]) == ([1, 2, 3, 4], True)
    assert [request.url.params["page"] for request in result.requests] == ["0", "1"]
    result = paged([1, 2], [3, 4], [5], paging="offset", paging_size=2, max_items=3)
    assert (result.output["body"], result.output["count"], result.output["cut"]) == ([1, 2, 3], 3, True)
    result = paged([1, 2], [3], paging="offset", paging_size=2)
    assert (result.output["body"], result.output["cut"]) == ([1, 2, 3], False)


def test_links_are_those_of_the_header_unless_a_path_is_named() -> None:
    pages = [
        httpx.Response(200, json=[1], headers={"Link": f'<{URL}?page=2>; rel="next"'}),
        httpx.Response(200, json=[2], headers={"X-Last": "yes"}),
    ]
    result = run_action(request, {"url": URL, "paging": "link"}, http=pages)
    assert (result.output["body"], result.output["headers"]["x-last"]) == ([1, 2], "yes")
    result = paged({"v": [1], "next": "?p=2"}, {"v": [2]}, paging="link", paging_items="v", paging_next="next")
    assert (result.output["body"], str(result.requests[1].url)) == ([1, 2], f"{URL}?p=2")


def test_a_graphql_list_goes_on_in_its_variables() -> None:
    def page(*nodes: int, more: bool) -> dict[str, Any]:
        return {"data": {"issues": {"nodes": nodes, "pageInfo": {"hasNextPage": more, "endCursor": f"c{nodes[-1]}"}}}}

    inputs = {
        "method": "POST", "body": {"query": "q", "variables": {"first": 2}}, "paging": "cursor", "paging_in": "body",
        "paging_items": "data.issues.nodes", "paging_next": "data.issues.pageInfo.endCursor",
        "paging_more": "data.issues.pageInfo.hasNextPage", "paging_parameter": "variables.after",
    }  # fmt: skip
    result = paged(page(1, 2, more=True), page(3, more=False), **inputs)
    assert result.output["body"] == [1, 2, 3]
    assert json.loads(result.requests[1].content)["variables"] == {"first": 2, "after": "c2"}


def test_an_accepted_status_ends_the_pages_and_another_fails_the_step() -> None:
    pages = [httpx.Response(200, json=[1]), httpx.Response(404)]
    result = run_action(request, {"url": URL, "paging": "page", "accept_status": [404]}, http=pages)
    assert (result.output["body"], result.output["status"], result.output["cut"]) == ([1], 404, False)
    with pytest.raises(NotFound):
        run_action(request, {"url": URL, "paging": "page"}, http=pages)


def test_a_list_of_many_megabytes_is_handed_on_as_it_came() -> None:
    page = [f"{number:0>100000}" for number in range(6)]
    result = paged([*page, "a"], [*page, "b"], [], paging="page")
    assert isinstance(result.output["body"], RawJSON)
    assert json.loads(result.output["body"].data) == [*page, "a", *page, "b"]
    assert result.output["count"] == 14


def test_no_page_is_held_while_the_next_one_is_waited_for() -> None:
    held: list[int] = []
    made: list[weakref.ref[httpx.Response]] = []

    class Kept(Response):
        @classmethod
        def of(cls, answer: Answer, request: httpx.Request) -> Self:
            response = super().of(answer, request)
            made.append(weakref.ref(response))
            return response

    def answer(request: httpx.Request) -> httpx.Response:
        gc.collect()
        held.append(sum(each() is not None for each in made))
        number = int(request.url.params["page"])
        return httpx.Response(200, json=["x" * 3_000_000, number] if number < 4 else [])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("integrations.sdk.client.Response", Kept)
        result = send(answer, paging="page")
    assert (held, result.output["count"]) == ([0, 0, 0, 0], 6)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"paging": "cursor"}, "paging_next"),
        ({"paging": "link", "response": "text"}, "read as JSON"),
        ({"paging": "page", "paging_in": "body"}, "JSON body"),
        ({"paging": "page", "paging_items": "a["}, "no path"),
        ({"paging": "page", "max_pages": 0}, "max_pages"),
        ({"paging": "spiral"}, "paging"),
    ],
)
def test_paging_that_cannot_be_is_an_input_error(inputs: dict[str, Any], told: str) -> None:
    error = refused(**inputs)
    assert isinstance(error, InputError)
    assert told in f"{error.message} {error.field}"


@pytest.mark.parametrize("body", [b"<html>", b"[1e400]", b"[" * 70 + b"]" * 70])
def test_pages_that_a_run_cannot_keep_are_permanent(body: bytes) -> None:
    assert isinstance(refused(answered(body, "application/json"), paging="link"), Permanent)

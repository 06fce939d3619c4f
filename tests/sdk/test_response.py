"""A response made of a whole answer is what httpx would have made of it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from integrations.sdk import Permanent
from integrations.sdk.client import Answer, Response

REQUEST = httpx.Request("GET", "https://api.example.com/x")
NAMES = st.sampled_from([b"Content-Type", b"content-length", b"X-Many", b"Link", b"Location"])
VALUES = st.sampled_from([b"text/plain; charset=latin-1", b"application/json", b"5", "é".encode(), b"\xff", b"a, b"])


@given(
    st.integers(100, 599),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.sampled_from([b"", b"{}", "é".encode(), b"\xe9", b"x" * 100]),
    st.sampled_from(["", "OK", "Nicht gefunden"]),
)
def test_it_is_what_httpx_makes_of_the_same(
    status: int, headers: list[tuple[bytes, bytes]], body: bytes, reason: str
) -> None:
    ours = Response.of(Answer(status, headers, body, reason), REQUEST)
    extensions = {"reason_phrase": reason.encode()} if reason else None
    theirs = httpx.Response(status, headers=headers, content=body, request=REQUEST, extensions=extensions)
    assert ours.headers.multi_items() == theirs.headers.multi_items()
    assert dict(ours.headers) == dict(theirs.headers)
    for name in ("status_code", "content", "text", "encoding", "charset_encoding", "reason_phrase", "is_closed", "url"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.is_stream_consumed
    assert b"".join(ours.iter_bytes()) == body


def answered(body: bytes) -> Response:
    return Response.of(Answer(200, [(b"Content-Type", b"application/json")], body), REQUEST)


@pytest.mark.parametrize(
    "body",
    [b'{"a": [1, 2.5, null]}', b"18446744073709551616", b'"\\ud800"', b"1e400", b'{"a":1,"a":2}', "é".encode("utf-16")],
)  # fmt: skip
def test_json_is_read_as_the_standard_library_reads_it(body: bytes) -> None:
    try:
        expected: Any = json.loads(body)
    except ValueError:
        with pytest.raises(Permanent):
            answered(body).json()
    else:
        assert repr(answered(body).json()) == repr(expected)
    assert answered(b"[1.5]").json(parse_float=str) == ["1.5"]


@pytest.mark.parametrize("body", [b"NaN", b"[Infinity]", b"<html>", b"", b"[" * 100_000])
def test_what_is_no_json_is_a_permanent_error(body: bytes) -> None:
    with pytest.raises(Permanent, match="not JSON"):
        answered(body).json()


class Day(BaseModel):
    temperature: float


def test_a_body_is_read_as_a_model_or_is_of_an_unexpected_form() -> None:
    def answered(body: bytes) -> Response:
        return Response.of(Answer(200, [], body), REQUEST)

    assert answered(b'{"temperature": 17.5, "more": 1}').parsed(Day) == Day(temperature=17.5)
    for body in (b"{}", b"[]", b'{"temperature": "warm"}', b"<html>", b""):
        with pytest.raises(Permanent):
            answered(body).parsed(Day)


@pytest.mark.parametrize(
    ("body", "said", "error"),
    [
        (b'{"error": {"code": 7}}', {"error": {"code": 7}}, {"code": 7}),
        (b'{"error": "no"}', {"error": "no"}, {}),
        (b"{}", {}, {}),
        (b"[1]", {}, {}),
        (b"<html>", {}, {}),
        (b"", {}, {}),
    ],
)
def test_what_a_refusal_says_is_empty_where_it_says_nothing(
    body: bytes, said: dict[str, Any], error: dict[str, Any]
) -> None:
    assert answered(body).said() == said
    assert answered(body).said("error") == error

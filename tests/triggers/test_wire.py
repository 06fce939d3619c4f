"""Webhooks as the server hands them over: bodies in chunks, bodies that break off, charsets of any kind, garbage."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestrator.workflows.models import Trigger
from orchestrator.wsgi import application, with_length
from runs.triggers.requests import MAX_BODY_BYTES
from tests.triggers.conftest import path, runs, seen

pytestmark = pytest.mark.django_db(transaction=True)


class Slow(io.BytesIO):
    """A body of which each read gives a little."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size, 3) if size is not None and size >= 0 else 3)


def send(trigger: Trigger, body: io.BytesIO, **environ: str | None) -> tuple[int, dict[str, str], Any]:
    """Hand a request to the application; return status, headers and the JSON of the answer."""
    values = {"CONTENT_TYPE": "application/json", "QUERY_STRING": "", **environ}
    request = RequestFactory().post(path(trigger)).environ | values | {"wsgi.input": body}
    answered: list[tuple[str, list[tuple[str, str]]]] = []
    response = application(
        {name: value for name, value in request.items() if value is not None},
        lambda status, headers, _=None: answered.append((status, headers)),  # type: ignore[arg-type]
    )
    content = b"".join(response)
    if hasattr(response, "close"):
        response.close()
    ((status, headers),) = answered
    return int(status.split()[0]), dict(headers), json.loads(content)


def chunked(trigger: Trigger, body: io.BytesIO, **environ: str | None) -> tuple[int, dict[str, str], Any]:
    return send(trigger, body, HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH=None, **environ)


def test_a_body_in_chunks_is_kept_whole(hook: Trigger) -> None:
    assert chunked(hook, Slow(b'{"text": "in many chunks"}'))[0] == 202
    assert seen(hook)["body"] == {"text": "in many chunks"}


def test_a_multipart_body_in_chunks_is_kept_whole(hook: Trigger) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    assert chunked(hook, Slow(body), CONTENT_TYPE="multipart/form-data; boundary=x")[0] == 202
    assert seen(hook)["body"] == {"a": "1"}


def test_a_body_in_chunks_that_is_too_large_is_413_and_not_read_to_its_end(hook: Trigger) -> None:
    body = io.BytesIO(b" " * (MAX_BODY_BYTES + 500))
    status, _, answer = chunked(hook, body)
    assert (status, answer["error"]["code"]) == (413, "body_too_large")
    assert body.tell() == MAX_BODY_BYTES + 1
    assert runs(hook) == []


def test_a_length_that_is_told_is_left_alone() -> None:
    seen_by_it = []

    def inner(environ: Any, start_response: Any) -> list[bytes]:
        seen_by_it.append((environ.get("CONTENT_LENGTH"), environ["wsgi.input"].read()))
        return []

    outer = with_length(inner, most=5)
    for environ in ({"CONTENT_LENGTH": "3"}, {"CONTENT_LENGTH": "3", "HTTP_TRANSFER_ENCODING": "chunked"}, {}):
        outer({**environ, "wsgi.input": io.BytesIO(b"abc")}, None)  # type: ignore[arg-type]
    assert seen_by_it == [("3", b"abc"), ("3", b"abc"), (None, b"abc")]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_a_body_that_broke_off_is_refused(content_type: str, hook: Trigger) -> None:
    status, _, answer = send(hook, io.BytesIO(b'{"a": 1}'), CONTENT_TYPE=content_type, CONTENT_LENGTH="700")
    assert (status, answer["error"]["code"]) == (400, "incomplete")
    assert runs(hook) == []


@pytest.mark.parametrize("charset", ["undefined", "hex", "idna", "utf-16", "no-such"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "multipart/form-data; boundary=x"])
def test_a_charset_of_any_kind_breaks_nothing(charset: str, content_type: str, hook: Trigger) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc3\xbc\r\n--x--\r\n'
    if content_type == "application/json":
        body = '"ü"'.encode()
    declared = f"{content_type}; charset={charset}"
    status, _, _ = send(
        hook, io.BytesIO(body), CONTENT_TYPE=declared, CONTENT_LENGTH=str(len(body)), QUERY_STRING="a=\xff%ff"
    )
    assert status == 202
    document = seen(hook)
    assert document["headers"]["content-type"] == declared
    if content_type != "text/plain":
        assert document["body"] in ("ü", {"a": "ü"})


@pytest.mark.parametrize("parameter", ["charset*=no-such''x", "a*0*=no-such'y'z; a*1=b", "boundary*=no-such''x"])
@pytest.mark.parametrize(("declared", "status"), [("text/plain", 202), ("multipart/form-data", 400)])
def test_a_parameter_in_an_encoding_that_nobody_knows_breaks_nothing(
    parameter: str, declared: str, status: int, hook: Trigger
) -> None:
    found, _, _ = send(
        hook, io.BytesIO(b"text"), CONTENT_TYPE=f"{declared}; {parameter}", CONTENT_LENGTH="4", QUERY_STRING="a=1"
    )
    assert found == status
    assert [seen(hook)["body"] for _ in runs(hook)] == (["text"] if status == 202 else [])


def test_too_many_fields_are_refused_whatever_is_declared(hook: Trigger) -> None:
    query = "&".join("a=1" for _ in range(2_001))
    status, _, answer = send(hook, io.BytesIO(b""), CONTENT_TYPE="text/plain; charset=utf-8", QUERY_STRING=query)
    assert (status, answer["error"]["code"]) == (400, "too_many_fields")


# What a server lets through in a header.
VISIBLE = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
TYPES = st.one_of(
    st.sampled_from(
        [
            "application/json", "application/x+json", "application/x-www-form-urlencoded", "text/plain", "",
            "multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary=\xff", ";;;",
            "application/json; charset=utf-16", "text/plain; charset=undefined",
            "text/plain; charset*=no-such''x", "multipart/form-data; boundary=x; a*=no-such''x",
            "multipart/form-data; boundary=x; charset=hex",
        ]
    ),
    st.text(VISIBLE, max_size=30),
)  # fmt: skip
PARTS = [
    b"--x", b"--", b"\r\n", b'Content-Disposition: form-data; name="a"', b"\xff", b'; filename="', b"\r\n\r\n",
    b"Content-Transfer-Encoding: base64", b"Content-Type: a/b; charset=no",
]  # fmt: skip
MULTIPART = st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)
HEADERS = st.dictionaries(
    st.sampled_from(["Idempotency-Key", "X-A", "Content-Encoding", "Cookie", "Transfer-Encoding", "Expect"]),
    st.text(VISIBLE, max_size=20),
)


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    body=st.one_of(
        st.binary(max_size=200), MULTIPART, st.text(max_size=50).map(lambda text: json.dumps(text).encode())
    ),
    content_type=TYPES,
    headers=HEADERS,
    query=st.binary(max_size=40),
)
def test_garbage_never_breaks_it(
    body: bytes, content_type: str, headers: dict[str, str], query: bytes, hook: Trigger
) -> None:
    status, answered, _ = send(
        hook,
        io.BytesIO(body),
        CONTENT_TYPE=content_type,
        CONTENT_LENGTH=str(len(body)),
        QUERY_STRING=query.decode("latin-1"),
        **{"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()},
    )
    assert status in (200, 202, 400, 413)
    assert answered["X-Content-Type-Options"] == "nosniff"
    assert answered["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "Set-Cookie" not in answered

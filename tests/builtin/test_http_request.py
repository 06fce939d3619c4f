"""http.request: what goes out for each kind of body, and what each kind of answer becomes."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from integrations.builtin.http import request
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import ActionResult, run_action

TOKEN = "tok_4f9c21d7e8"
URL = "https://api.example.com/v1/companies"
OK = httpx.Response(200, json={"ok": True})


def send(answer: Any = OK, auth: dict[str, Any] | None = None, **inputs: Any) -> ActionResult:
    return run_action(request, {"url": URL, **inputs}, auth=auth, http=answer if callable(answer) else [answer])


def refused(answer: Any = OK, **inputs: Any) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        send(answer, **inputs)
    return caught.value


def answered(content: bytes, content_type: str | None = None) -> httpx.Response:
    return httpx.Response(200, content=content, headers={"Content-Type": content_type} if content_type else None)


def test_a_get_goes_out_with_its_query_and_headers() -> None:
    result = send(query={"page": 2, "tag": ["a", "b&c"], "all": True}, headers={"Accept": "text/plain", "X-N": 3})
    sent = result.request
    assert (sent.method, sent.content) == ("GET", b"")
    assert sent.url.params.multi_items() == [("page", "2"), ("tag", "a"), ("tag", "b&c"), ("all", "true")]
    assert (sent.headers["accept"], sent.headers["x-n"]) == ("text/plain", "3")


@pytest.mark.parametrize(("method", "reads"), [("GET", True), ("HEAD", True), ("PUT", False), ("POST", False)])
def test_what_only_asks_is_a_read(method: str, reads: bool) -> None:
    assert request.reads(request.input_schema.model_validate({"url": URL, "method": method})) is reads


def test_the_output_is_status_headers_in_lower_case_and_body() -> None:
    output = send(httpx.Response(201, json={"id": 7}, headers={"X-Total-Count": "9"})).output
    assert (output["status"], output["body"]) == (201, {"id": 7})
    assert output["headers"]["x-total-count"] == "9"
    assert all(name == name.lower() for name in output["headers"])


@pytest.mark.parametrize("body", [{"name": "Ada"}, [1, None], "text", 0, False])
def test_a_json_body_goes_out_as_json(body: Any) -> None:
    sent = send(method="POST", body=body).request
    assert json.loads(sent.content) == body
    assert sent.headers["content-type"].startswith("application/json")


def test_form_fields_go_out_encoded() -> None:
    sent = send(method="POST", form={"name": "Ada & Co", "tag": ["a", "b"]}).request
    assert sent.content == b"name=Ada+%26+Co&tag=a&tag=b"
    assert sent.headers["content-type"] == "application/x-www-form-urlencoded"


def test_multipart_holds_values_and_files() -> None:
    file = {
        "name": "file",
        "filename": "a.csv",
        "content_type": "text/csv",
        "base64": base64.b64encode(b"1,2").decode(),
    }
    sent = send(method="POST", multipart=[{"name": "note", "value": "Hi"}, file]).request
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="note"\r\n\r\nHi\r\n' in sent.content
    assert b'name="file"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\n1,2\r\n' in sent.content


def test_a_raw_body_goes_out_as_it_is() -> None:
    sent = send(method="PUT", raw="<ping>é</ping>", headers={"Content-Type": "application/xml"}).request
    assert sent.content == "<ping>é</ping>".encode()
    assert sent.headers["content-type"] == "application/xml"


def test_two_bodies_are_an_input_error_that_names_both() -> None:
    error = refused(method="POST", body={"a": 1}, raw="a")
    assert isinstance(error, InputError)
    assert "body and raw" in error.message


@pytest.mark.parametrize(
    "part",
    [{"name": "f", "base64": "not base64!"}, {"name": 'a"\r\nX: y', "value": "v"}, {"name": "f", "filename": "a\nb"}],
)
def test_a_part_that_cannot_be_sent_is_an_input_error(part: dict[str, Any]) -> None:
    error = refused(method="POST", multipart=[part])
    assert isinstance(error, InputError)
    assert error.field == "multipart"


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding"])
def test_a_header_that_belongs_to_the_connection_is_an_input_error(name: str) -> None:
    assert isinstance(refused(headers={name: "1"}), InputError)


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (b'{"a": [1]}', "application/json; charset=utf-8", {"a": [1]}),
        (b'{"title": "no"}', "application/problem+json", {"title": "no"}),
        (b"a,b", "text/csv", "a,b"),
        ("né".encode("latin-1"), "text/plain; charset=latin-1", "né"),
        (b"<a/>", "application/xml", "<a/>"),
        (b"\x89PNG\x00", "image/png", base64.b64encode(b"\x89PNG\x00").decode()),
        (b"plain", None, "plain"),
        (b"\xff\x00", None, base64.b64encode(b"\xff\x00").decode()),
        (b"", "application/json", None),
    ],
)
def test_a_body_is_read_by_its_type(content: bytes, content_type: str | None, expected: Any) -> None:
    assert send(answered(content, content_type)).output["body"] == expected


@pytest.mark.parametrize(
    ("wanted", "expected"), [("json", [1]), ("text", "[1]"), ("base64", base64.b64encode(b"[1]").decode())]
)
def test_or_as_the_step_asks(wanted: str, expected: Any) -> None:
    assert send(answered(b"[1]", "application/octet-stream"), response=wanted).output["body"] == expected


@pytest.mark.parametrize(
    "content", [b"<html>", b'{"a": NaN}', b"[1e400]", b"[" * 100 + b"]" * 100], ids=["html", "nan", "inf", "deep"]
)
def test_json_that_a_run_cannot_keep_is_permanent(content: bytes) -> None:
    assert type(refused(answered(content, "application/json"))) is Permanent


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "permanent"), (401, "auth"), (404, "permanent"), (408, "transient"), (425, "transient"),
     (429, "rate_limited"), (503, "transient")],
)  # fmt: skip
def test_a_status_outside_2xx_fails_the_step(status: int, kind: str) -> None:
    assert refused(httpx.Response(status, json={})).kind == kind


def test_a_status_that_the_step_accepts_is_an_answer() -> None:
    output = send(httpx.Response(404, json={"error": "none"}), accept_status=[404]).output
    assert (output["status"], output["body"]) == (404, {"error": "none"})


def test_too_many_requests_say_how_long_to_wait() -> None:
    error = refused(httpx.Response(429, headers={"Retry-After": "17"}))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 17


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"method": "GET"}, Transient),
        ({"method": "PUT", "body": 1}, Transient),
        ({"method": "DELETE"}, Transient),
        ({"method": "POST", "body": 1}, OutcomeUnknown),
        ({"method": "PATCH", "body": 1}, OutcomeUnknown),
        ({"method": "POST", "body": 1, "idempotent": True}, Transient),
    ],
)
def test_a_lost_answer_is_tried_again_only_where_that_is_safe(
    inputs: dict[str, Any], expected: type[IntegrationError]
) -> None:
    def lose(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    assert type(refused(lose, **inputs)) is expected
    assert request.repeatable(request.validate_inputs({"url": URL, **inputs})) is (expected is Transient)


def test_a_connection_that_fails_is_transient_even_for_a_post() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert type(refused(fail, method="POST", body=1)) is Transient


@pytest.mark.parametrize(("method", "keyed"), [("GET", False), ("PUT", False), ("POST", True), ("PATCH", True)])
def test_only_post_and_patch_carry_an_idempotency_key(method: str, keyed: bool) -> None:
    assert ("idempotency-key" in send(method=method).request.headers) is keyed


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "bearer_token", "token": "t-1"}, "authorization", "Bearer t-1"),
        ({"type": "oauth2", "access_token": "t-2"}, "authorization", "Bearer t-2"),
        ({"type": "basic", "username": "ada", "password": "p"}, "authorization", "Basic YWRhOnA="),
        ({"type": "api_key", "api_key": "k-1"}, "x-api-key", "k-1"),
    ],
)
def test_a_credential_goes_along_in_its_own_header(auth: dict[str, Any], header: str, value: str) -> None:
    assert send(auth=auth).request.headers[header] == value


def test_a_refused_credential_is_an_auth_error_without_it() -> None:
    with pytest.raises(AuthError) as caught:
        send(httpx.Response(401, json={"error": f"bad {TOKEN}"}), auth={"type": "bearer_token", "token": TOKEN})
    assert TOKEN not in f"{caught.value.message} {caught.value.hint} {caught.value.detail}"


def test_a_place_of_a_description_that_nobody_filled_in_is_not_asked() -> None:
    error = refused(url=f"{URL}/{{company_id}}/people")
    assert isinstance(error, InputError)
    assert "{company_id}" in error.message
    assert send(url=f'{URL}?q=/{{"a":1}}').request.url.path == "/v1/companies"


@pytest.mark.parametrize(
    "inputs", [{"url": ""}, {"url": "x" * 9_000}, {"method": "BREW"}, {"accept_status": [99]}, {"unknown": 1}]
)
def test_wrong_inputs_are_input_errors(inputs: dict[str, Any]) -> None:
    assert isinstance(refused(**inputs), InputError)


FILE = {"name": "a b.png", "type": "image/png", "size": 4, "base64": base64.b64encode(b"\x89PNG").decode()}
DOWNLOADED = {"id": "1", "name": "r.csv", "contentType": "text/csv", "encoding": "text", "content": "a,é"}


def test_a_raw_body_goes_out_with_its_type_unless_the_headers_say_one() -> None:
    assert send(method="POST", raw="<a/>", raw_type="text/xml").request.headers["content-type"] == "text/xml"
    sent = send(
        method="POST", raw="<a/>", raw_type="text/xml", headers={"content-type": "application/soap+xml"}
    ).request
    assert sent.headers.get_list("content-type") == ["application/soap+xml"]


@pytest.mark.parametrize(
    ("file", "content", "kind"),
    [
        (FILE, b"\x89PNG", "image/png"),
        (DOWNLOADED, "a,é".encode(), "text/csv"),
        (FILE["base64"], b"\x89PNG", "application/octet-stream"),
        ("data:text/plain;charset=utf-8;base64,SGk=", b"Hi", "text/plain"),
        ("data:,Hi%20you", b"Hi you", "text/plain"),
        ({"content": "SGk="}, b"Hi", "application/octet-stream"),
    ],
)
def test_a_file_of_a_step_is_a_body_or_a_part(file: Any, content: bytes, kind: str) -> None:
    sent = send(method="PUT", file=file).request
    assert (sent.content, sent.headers["content-type"]) == (content, kind)
    part = send(method="POST", multipart=[{"name": "f", "file": file}]).request.content
    assert b"\r\n\r\n" + content + b"\r\n" in part
    assert b'name="f"; filename="' in part


def test_a_part_takes_the_files_name_and_type_or_its_own() -> None:
    content = send(method="POST", multipart=[{"name": "f", "file": FILE}]).request.content
    assert b'filename="a b.png"\r\nContent-Type: image/png' in content
    own = {"name": "f", "file": FILE, "filename": "b.bin", "content_type": "x/y"}
    assert b'filename="b.bin"\r\nContent-Type: x/y' in send(method="POST", multipart=[own]).request.content


@pytest.mark.parametrize("file", ["not base64!", {"name": "a"}, {"base64": "%"}, "data:;base64,%"])
def test_a_file_that_is_none_is_an_input_error(file: Any) -> None:
    assert isinstance(refused(method="POST", file=file), InputError)
    error = refused(method="POST", multipart=[{"name": "f", "file": file}])
    assert isinstance(error, InputError)
    assert error.field == "multipart"


@pytest.mark.parametrize(
    ("headers", "url", "name", "kind"),
    [
        ({"Content-Disposition": 'attachment; filename="../../etc/a b.png"', "Content-Type": "Image/PNG; x=1"},
         URL, "a b.png", "image/png"),
        ({"Content-Disposition": "attachment; filename*=utf-8''na%C3%AFve.pdf", "Content-Type": "application/pdf"},
         URL, "naïve.pdf", "application/pdf"),
        ({"Content-Type": "application/pdf"}, f"{URL}/report%20one", "report one.pdf", "application/pdf"),
        ({"Content-Type": "nonsense\x00"}, "https://api.example.com/", "file", "application/octet-stream"),
        ({"Content-Disposition": 'attachment; filename=".."', "Content-Type": "text/csv"}, f"{URL}/a.csv", "a.csv",
         "text/csv"),
    ],
)  # fmt: skip
def test_an_answer_is_kept_as_a_file_with_name_type_and_size(
    headers: dict[str, str], url: str, name: str, kind: str
) -> None:
    answer = httpx.Response(200, content=b"\x00\xff!", headers=headers)
    body = send(answer, url=url, response="file").output["body"]
    assert body == {"name": name, "type": kind, "size": 3, "base64": "AP8h"}
    assert send(method="POST", file=body).request.content == b"\x00\xff!"


def test_a_file_beyond_what_a_step_may_give_is_refused_before_it_is_read() -> None:
    def endless(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Endless())

    error = refused(endless, response="file")
    assert isinstance(error, Permanent)
    assert "larger than" in error.message


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1024 * 1024

"""The accept path of webhooks: what each request is answered, what the run sees of it, and that none breaks it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import OperationalError, connections
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from orchestrator.workflows.models import Trigger, Workflow
from runs.models import Run, Sample
from runs.sample_rows import MAX_SAMPLE_BYTES, SAMPLES_KEPT
from runs.triggers import hooks
from runs.triggers.requests import MAX_BODY_BYTES
from tests.triggers.conftest import Call, path, runs, seen

pytestmark = pytest.mark.django_db(transaction=True)


def check_headers(response: Any) -> None:
    """What holds for each answer: nothing of it becomes a page with rights, or a session."""
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Type"] == "application/json"
    assert not response.cookies
    assert "Set-Cookie" not in response


def refused(response: Any, status: int, code: str) -> str:
    """Check a refusal and return its message."""
    check_headers(response)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.content
    return str(response.json()["error"]["message"])


def test_a_request_is_accepted_and_the_run_sees_all_of_it(hook: Trigger, call: Call) -> None:
    response = call(
        hook, b'{"a": [1, 2.5, "\xc3\xbc"]}', query="?x=1&y=2&y=3&z=",
        headers={"X-Event": "made", "Authorization": "Bearer secret", "Cookie": "a=b"},
    )  # fmt: skip
    check_headers(response)
    (run,) = runs(hook)
    assert (response.status_code, response.json()) == (202, {"id": str(run.pk), "status": "queued"})
    assert (run.trigger_type, run.trigger_key, run.version_id) == (
        "webhook",
        "hook",
        hook.workflow.published_version_id,
    )
    assert run.wake_at is not None
    document = seen(hook)
    assert (document["method"], document["body"]) == ("POST", {"a": [1, 2.5, "ü"]})
    assert document["query"] == {"x": "1", "y": ["2", "3"], "z": ""}
    assert document["headers"]["x-event"] == "made"
    assert document["dropped_headers"] == ["authorization", "cookie"]
    assert "secret" not in json.dumps(document)


@pytest.mark.parametrize("token", ["unknown", "a" * 3_000, "%00", "%ff%fe", "ü"])
def test_an_unknown_address_is_404(token: str, db: None, client: Client) -> None:
    refused(client.post(f"/h/{token}", b"{}", "application/json"), 404, "not_found")


def test_the_address_of_another_kind_of_trigger_is_404(hook: Trigger, call: Call) -> None:
    Trigger.unscoped.filter(pk=hook.pk).update(type="form")
    refused(call(hook), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_a_method_that_is_not_taken_is_405_with_those_that_are(method: str, hook: Trigger, call: Call) -> None:
    response = call(hook, method=method)
    assert (response.status_code, response["Allow"]) == (405, "POST")
    check_headers(response)
    assert runs(hook) == []


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_the_methods_of_the_published_config_are_taken(
    method: str, make_hook: Callable[..., Trigger], call: Call
) -> None:
    hook = make_hook({"methods": ["GET", "PUT"]}, config={"methods": ["POST"]})
    assert call(hook, method=method).status_code == 202
    assert seen(hook)["method"] == method
    response = call(hook, method="POST")
    assert (response.status_code, response["Allow"]) == (405, "GET, PUT")


def test_a_workflow_that_is_switched_off_is_409(hook: Trigger, call: Call) -> None:
    Workflow.unscoped.update(enabled=False)
    assert "Switch it on" in refused(call(hook), 409, "disabled")
    assert runs(hook) == []


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream", ""])
def test_a_body_that_is_too_large_is_413(content_type: str, hook: Trigger, call: Call) -> None:
    response = call(hook, b"1" * (MAX_BODY_BYTES + 1), content_type)
    assert "10,485,760 bytes" in refused(response, 413, "body_too_large")
    assert runs(hook) == []


def test_a_body_that_is_too_large_is_refused_before_it_is_read(hook: Trigger, call: Call) -> None:
    response = call(hook, b"", "multipart/form-data; boundary=x", CONTENT_LENGTH=str(MAX_BODY_BYTES + 1))
    refused(response, 413, "body_too_large")
    refused(call(hook, b"", CONTENT_LENGTH="9" * 5_000), 413, "body_too_large")


def test_a_large_body_is_taken(hook: Trigger, call: Call) -> None:
    text = "x" * (MAX_BODY_BYTES - 10_000)
    assert call(hook, json.dumps(text).encode()).status_code == 202
    assert seen(hook)["body"] == text


def test_bytes_that_grow_too_large_as_base64_are_413(hook: Trigger, call: Call) -> None:
    response = call(hook, b"\xff" * (MAX_BODY_BYTES - 10), "application/octet-stream")
    assert response.status_code in (202, 413)
    check_headers(response)
    assert len(runs(hook)) == (response.status_code == 202)


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nothing", b"[1,]", b"'a'", b"NaN", b"[Infinity]", b'{"a": -Infinity}', b"1e400", b"9" * 5_000,
        b"\xff\xfe", b'"\xed\xa0\x80"', b"\x00", b"{}{}", b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)  # fmt: skip
def test_what_is_declared_as_json_and_is_none_is_400(body: bytes, hook: Trigger, call: Call) -> None:
    assert "declared as JSON" in refused(call(hook, body), 400, "bad_json")
    assert runs(hook) == []


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"null", None),
        (b"0", 0),
        (b'""', ""),
        (b'"\\u0000"', "\0"),
        (b'{"\\u0000": "\\ud800"}', {"\0": "\ud800"}),
        (b"\xef\xbb\xbf[]", []),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"[" * 60 + b"]" * 60, None),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_json_that_is_unusual_is_kept_as_it_is(body: bytes, value: Any, hook: Trigger, call: Call) -> None:
    assert call(hook, body).status_code == 202
    expected = json.loads(body.decode("utf-8-sig")) if value is None else value
    assert seen(hook)["body"] == expected


def test_json_at_the_very_depth_that_is_taken_is_kept_or_refused_as_json(hook: Trigger, call: Call) -> None:
    statuses = [call(hook, b"[" * depth + b"]" * depth).status_code for depth in (60, 61, 62, 63, 64, 65)]
    assert statuses[0] == 202
    assert statuses[-1] == 400
    assert set(statuses) == {202, 400}


@pytest.mark.parametrize(
    ("content_type", "body", "value"),
    [
        ("application/vnd.api+json", b'{"a": 1}', {"a": 1}),
        ("APPLICATION/JSON; charset=utf-8", b"[1]", [1]),
        (
            "application/x-www-form-urlencoded",
            b"a=1&b=2&b=3&c=%C3%BC&d",
            {"a": "1", "b": ["2", "3"], "c": "ü", "d": ""},
        ),
        ("application/x-www-form-urlencoded", b"a=%ff", {"a": "�"}),
        ("text/plain", "grüß\0".encode(), "grüß\0"),
        ("application/octet-stream", b"\xff\x00\xfe", {"base64": base64.b64encode(b"\xff\x00\xfe").decode()}),
        ("text/xml", b"<a/>", "<a/>"),
        ("", b"text", "text"),
        ("nonsense; charset=no-such", b"text", "text"),
        ("application/json", b"", None),
        ("multipart/form-data; boundary=x", b"", None),
    ],
)
def test_the_body_is_what_its_type_declares(
    content_type: str, body: bytes, value: Any, hook: Trigger, call: Call
) -> None:
    assert call(hook, body, content_type).status_code == 202
    assert seen(hook)["body"] == value


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_multipart_body_gives_fields_and_files(method: str, make_hook: Callable[..., Trigger], call: Call) -> None:
    hook = make_hook({"methods": ["POST", "PUT"]})
    file = SimpleUploadedFile("ü.bin", b"\x00\xff", "application/x-thing")
    body = encode_multipart(BOUNDARY, {"a": "1", "b": ["2", "ü"], "file": file})
    assert call(hook, body, MULTIPART_CONTENT, method=method).status_code == 202
    assert seen(hook)["body"] == {
        "a": "1",
        "b": ["2", "ü"],
        "file": [{"filename": "ü.bin", "content_type": "application/x-thing", "base64": "AP8="}],
    }


def test_a_large_file_of_a_multipart_body_is_taken(hook: Trigger, call: Call) -> None:
    # Over 2.5 MB Django puts it into a temporary file.
    body = encode_multipart(BOUNDARY, {"file": SimpleUploadedFile("a.bin", b"\xff" * 3_000_000, "a/b")})
    assert call(hook, body, MULTIPART_CONTENT).status_code == 202
    assert len(base64.b64decode(seen(hook)["body"]["file"][0]["base64"])) == 3_000_000


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n--x--"),
        ("multipart/form-data; boundary=" + "ü" * 3, b"--x"),
        ("multipart/form-data; boundary=" + "x" * 300, b"--x"),
        (
            "multipart/form-data; boundary=x",
            b"".join(b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n' for _ in range(2_100))
            + b"--x--\r\n",
        ),
    ],
)
def test_a_multipart_body_that_cannot_be_read_is_400(content_type: str, body: bytes, hook: Trigger, call: Call) -> None:
    refused(call(hook, body, content_type), 400, "bad_form")
    assert runs(hook) == []


def test_a_charset_that_is_not_for_texts_is_no_server_error(hook: Trigger, client: Client) -> None:
    """The server's own requests ignore it, those of the test client do not."""
    body = b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n--x--'
    response = client.generic("POST", path(hook), body, "multipart/form-data; boundary=x; charset=hex")
    refused(response, 400, "bad_form")


@pytest.mark.parametrize("where", ["query", "body"])
def test_too_many_fields_are_400(where: str, hook: Trigger, call: Call) -> None:
    fields = "&".join("a=1" for _ in range(2_001))
    if where == "query":
        response = call(hook, query="?" + fields)
    else:
        response = call(hook, fields.encode(), "application/x-www-form-urlencoded")
    refused(response, 400, "too_many_fields")


def test_a_delivery_that_is_repeated_is_answered_with_the_first_run(hook: Trigger, call: Call) -> None:
    headers = {"Idempotency-Key": "delivery 17"}
    first = call(hook, b'{"n": 1}', headers=headers)
    again = call(hook, b'{"n": 2}', headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    check_headers(again)
    assert call(hook, headers={"Idempotency-Key": "delivery 18"}).status_code == 202
    assert len(runs(hook)) == 2
    Run.unscoped.update(status="cancelled", wake_at=None, finished_at=runs(hook)[0].created_at)
    assert call(hook, headers=headers).json() == {"id": first.json()["id"], "status": "cancelled"}


def test_the_same_key_at_another_trigger_is_another_delivery(
    hook: Trigger, make_hook: Callable[..., Trigger], call: Call
) -> None:
    other = make_hook({}, key="other")
    headers = {"Idempotency-Key": "1"}
    assert call(hook, headers=headers).status_code == 202
    assert call(other, headers=headers).status_code == 202
    assert call(other, headers=headers).status_code == 200


@pytest.mark.parametrize(("key", "status"), [("", 202), ("x" * 1_000, 202), ("x" * 1_001, 400), ("\x80ü ", 202)])
def test_keys_of_any_kind(key: str, status: int, hook: Trigger, call: Call) -> None:
    response = call(hook, headers={"Idempotency-Key": key})
    assert response.status_code == status
    check_headers(response)


def test_a_delivery_that_comes_many_times_at_once_starts_one_run(hook: Trigger) -> None:
    address = path(hook)

    def deliver(_: int) -> tuple[int, str]:
        try:
            response = Client(headers={"Idempotency-Key": "once"}).post(address, b"{}", "application/json")
            return response.status_code, response.json()["id"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(deliver, range(40)))
    (run,) = runs(hook)
    assert {number for _, number in answers} == {str(run.pk)}
    assert sorted(status for status, _ in answers) == [200] * 39 + [202]


def test_what_is_not_published_is_recorded_as_a_sample(make_hook: Callable[..., Trigger], call: Call) -> None:
    hook = make_hook(None)
    response = call(hook, b'{"a": 1}', headers={"Authorization": "Bearer secret"})
    check_headers(response)
    assert (response.status_code, response.json()["status"]) == (200, "recorded")
    assert runs(hook) == []
    sample = Sample.objects.for_tenant(hook.tenant_id).get(trigger=hook).document
    assert sample["body"] == {"a": 1}
    assert "secret" not in json.dumps(sample)


def test_a_sample_that_is_large_is_kept_without_its_body(make_hook: Callable[..., Trigger], call: Call) -> None:
    hook = make_hook(None)
    assert call(hook, b"x" * MAX_SAMPLE_BYTES, "text/plain").status_code == 200
    sample = Sample.objects.for_tenant(hook.tenant_id).get(trigger=hook).document
    assert sample["body"].startswith("(more than 65,536 bytes")
    assert sample["headers"] == {}


def test_of_the_samples_of_a_trigger_the_last_few_are_kept(make_hook: Callable[..., Trigger], call: Call) -> None:
    hook = make_hook(None)
    for number in range(SAMPLES_KEPT + 3):
        call(hook, json.dumps({"n": number}).encode())
    kept = Sample.objects.for_tenant(hook.tenant_id).filter(trigger=hook)
    assert [row.document["body"]["n"] for row in kept] == list(range(SAMPLES_KEPT + 2, 2, -1))


def test_the_draft_of_a_workflow_that_is_off_is_recorded_too(make_hook: Callable[..., Trigger], call: Call) -> None:
    Workflow.unscoped.update(enabled=False)
    assert call(make_hook(None)).json()["status"] == "recorded"


def away(*_: object) -> None:
    raise OperationalError("connection to server at db.internal failed: secret")


@pytest.mark.parametrize("part", ["find_address", "keep_sample"])
def test_a_database_that_is_away_is_503_with_retry_after(
    part: str, make_hook: Callable[..., Trigger], call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_hook(None)
    monkeypatch.setattr(hooks, part, away)
    response = call(hook)
    assert "Send it again" in refused(response, 503, "unavailable")
    assert response["Retry-After"] == "5"
    assert b"secret" not in response.content


def test_no_session_is_read_for_a_webhook(hook: Trigger, call: Call) -> None:
    response = call(hook, headers={"Cookie": f"sessionid={'x' * 32}; csrftoken=y"})
    assert response.status_code == 202
    assert not response.cookies
    assert "Vary" not in response

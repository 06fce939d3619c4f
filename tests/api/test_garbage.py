"""Bad input never gives a 5xx, and always the error's shape: the caller asserts both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Caller, document

pytestmark = pytest.mark.django_db
BODIES = [
    b"", b"{", b"nul", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e400}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}',
    b"[" * 100_000, b'{"a":' * 50_000, b'"text"', b"5", b"[]", b"null", b'{"name": 1, "name": 2}',
    b'{"name": ' + b"9" * 5_000 + b"}", json.dumps({"name": "x" * 100_000}).encode(),
]  # fmt: skip
WRITES = [
    ("POST", "workflows/"), ("POST", "credentials/"), ("POST", "tokens/"), ("POST", "workflows/1/publish/"),
    ("POST", "workflows/1/runs/"), ("PATCH", "credentials/1/"), ("PUT", "workflows/1/"), ("POST", "runs/1/rerun/"),
    ("POST", "workflows/1/steps/a/test/"), ("POST", "invitations/"),
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
def test_no_body_breaks_a_write(api: Caller, body: bytes) -> None:
    for method, path in WRITES:
        assert 400 <= api(method, path, body).status_code < 500 or body == b"", (method, path)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded"]
)
def test_only_json_is_taken(api: Caller, kind: str) -> None:
    assert api("POST", "workflows/", b"a=b", **{"Content-Type": kind}).status_code in (400, 415)


@pytest.mark.parametrize("pk", ["0", "-1", "abc", "9" * 19, "9" * 40, "1.5", "%00", "é", "1%20", "٣"])
def test_no_id_breaks_a_read(api: Caller, pk: str) -> None:
    for path in ("workflows/{}/", "runs/{}/", "credentials/{}/", "workflows/{}/versions/", "runs/{}/steps/"):
        assert api("GET", path.format(pk)).status_code == 404, path


@pytest.mark.parametrize(
    "query",
    [
        "cursor=abc", "cursor=%00", "cursor=" + "x" * 5_000, "limit=-1", "limit=abc", "limit=99999999999",
        "workflow=abc", "status=%00", "since=%00", "since=9999-99-99", "q=%00", "q=" + "x" * 5_000, "after=abc",
    ],
)  # fmt: skip
def test_no_query_breaks_a_list(api: Caller, query: str) -> None:
    for path in ("runs/", "workflows/", "credentials/", "tokens/", "audit/", "triggers/", "members/", "invitations/"):
        assert api("GET", f"{path}?{query}").status_code in (200, 400, 404), path


def test_wrong_methods_and_unknown_addresses_are_told_in_json(api: Caller) -> None:
    assert api("DELETE", "workflows/").status_code == 405
    assert api("GET", "nothing/").status_code == 404
    assert api("GET", "workflows").status_code in (301, 404)
    for address in ("/api/nothing/", "/api/v1/nothing/at/all/", "/api/v2/workflows/", "/api/"):
        response = Client().get(address)
        assert response.status_code == 404
        assert set(response.json()["error"]) == {"code", "message", "problems"}, address


def test_each_kind_of_refusal_has_its_status_and_code(api: Caller) -> None:
    def told(method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        response = api(method, path, body, **headers)
        return response.status_code, json.loads(response.content)["error"]["code"]

    assert told("POST", "workflows/", b"{") == (400, "parse_error")
    assert told("POST", "workflows/", b"{}", **{"Content-Type": "text/xml"}) == (415, "unsupported_media_type")
    assert told("DELETE", "workflows/") == (405, "method_not_allowed")
    assert told("GET", "workflows/1/") == (404, "not_found")
    assert told("GET", "workflows/", Accept="text/html") == (406, "not_acceptable")
    assert told("POST", "workflows/", b'"' + b"x" * 11_000_000 + b'"') == (413, "body_too_large")


@pytest.mark.parametrize("number", ["0", "2147483648", "9" * 19, "9" * 40])
def test_a_number_beyond_the_databases_is_not_found(api: Caller, number: str) -> None:
    made = api.ok("POST", "workflows/", document())["id"]
    api.ok("POST", f"workflows/{made}/publish/", {})
    run = api.ok("POST", f"workflows/{made}/runs/", {})["id"]
    for method, path in (
        ("GET", f"workflows/{made}/versions/{number}/"),
        ("POST", f"workflows/{made}/versions/{number}/restore/"),
        ("GET", f"runs/{run}/values/{number}/"),
    ):
        assert api(method, path).status_code == 404, path
    assert api("GET", f"workflows/{made}/versions/diff/?from=1&to={number}").status_code in (400, 404)
    assert api("POST", f"workflows/{made}/runs/", {"version": int(number)}).status_code in (400, 404)
    assert api("GET", f"runs/{run}/?after={number}").status_code == 200
    assert api("GET", f"runs/{run}/steps/?cursor={number}").status_code in (200, 404)
    assert api("GET", f"runs/{run}/steps/?path=%00").status_code == 400
    assert api("PATCH", f"workflows/{made}/", {"name": "x"}, If_Match=number).status_code == 409


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*document(), "unknown"]), _json)
def test_any_value_in_any_key_is_taken_or_told(api: Caller, key: str, value: Any) -> None:
    text = json.dumps({**document(), key: value})
    assert api("POST", "workflows/", text).status_code in (201, 400)

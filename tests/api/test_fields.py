"""Every field of every body, with every kind of value that it is not meant for: told or taken, never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.api.conftest import Caller, document

pytestmark = pytest.mark.django_db

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 7, 10**30, 1e300, 0.5, "", " ", "plain", "\0", "a\0b", "\ud800", "x" * 70_000, "{{ ", "²", [],
    [None], [[]], {}, {"a": {"\0": "\ud800"}}, {"key": 1}, [{"key": "a"}], ["\0"], ["\ud800"],
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2050-01-01T00:00:00", "9999-99-99T00:00:00Z",
)  # fmt: skip
SECRET = {"name": "team", "provider": "slack", "auth_type": "bearer_token", "secret": {"token": "xoxb-1"}}
MAIL = {"kind": "email", "name": "first", "emails": ["ada@example.com"], "events": ["run_failed"]}
OAUTH = {"name": "mail", "provider": "gmail", "auth_type": "oauth2", "secret": {"access_token": "ya29"}}


@pytest.fixture
def addresses(api: Caller, viewer: User) -> dict[str, str]:
    """Return the addresses of objects that are there, for a body to go wrong at."""
    workflow = api.ok("POST", "workflows/", document())["id"]
    api.ok("POST", f"workflows/{workflow}/publish/", {})
    run = api.ok("POST", f"workflows/{workflow}/runs/", {})["id"]
    api.ok("POST", f"runs/{run}/cancel/")
    credential = api.ok("POST", "credentials/", SECRET)["id"]
    member = next(row for row in api.ok("GET", "members/")["results"] if row["user"] == viewer.username)["id"]
    channel = api.ok("POST", "alert-channels/", MAIL)["id"]
    return {"workflow": workflow, "run": run, "credential": credential, "member": member, "channel": channel}


WRITES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "workflows/", document(slug=None, description="", settings={})),
    ("PUT", "workflows/{workflow}/", document(slug="greet", description="", settings={})),
    ("PATCH", "workflows/{workflow}/", document(slug="greet", description="", settings={})),
    ("POST", "workflows/{workflow}/publish/", {"note": ""}),
    ("POST", "workflows/{workflow}/runs/", {"payload": 1, "version": "published"}),
    ("POST", "workflows/{workflow}/steps/greet/test/", {"payload": 1, "given": {}}),
    ("POST", "runs/{run}/rerun/", {"from": None, "payload": 1, "version": "same"}),
    ("POST", "credentials/", {**SECRET, "name": "second", "settings": {}, "expires_at": None}),
    ("PATCH", "credentials/{credential}/", {"name": "third", "secret": {}, "settings": {}, "expires_at": None}),
    ("POST", "tokens/", {"name": "ci", "scopes": ["read"], "expires_at": None}),
    ("POST", "alert-channels/", {**MAIL, "name": "second", "workflows": None, "quiet_minutes": 60, "is_on": True}),
    ("POST", "alert-channels/", {"kind": "webhook", "name": "hook", "url": "https://hooks.example.com/x"}),
    ("POST", "alert-channels/", {"kind": "slack", "name": "chat", "credential": "team", "slack_channel": "#a"}),
    ("PATCH", "alert-channels/{channel}/", {"name": "third", "events": ["credential"], "emails": ["a@b.example"]}),
    ("POST", "members/", {"user": "nobody", "role": "viewer"}),
    ("PATCH", "members/{member}/", {"role": "viewer"}),
)


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=lambda part: part if isinstance(part, str) else "")
def test_any_value_of_any_field_is_taken_or_told(
    api: Caller, addresses: dict[str, str], method: str, path: str, body: dict[str, Any]
) -> None:
    address = path.format(**addresses)
    for field in body:
        for value in VALUES:
            sent = {**body, field: value}
            status = api(method, address, sent).status_code
            assert status in (200, 201, 202, 400, 404, 409), (field, value, status)


@pytest.mark.parametrize(("method", "path", "body"), WRITES, ids=lambda part: part if isinstance(part, str) else "")
def test_a_body_that_is_no_object_is_told(
    api: Caller, addresses: dict[str, str], method: str, path: str, body: dict[str, Any]
) -> None:
    for sent in (b"[]", b'""', b"0", b"false", b"[[]]", b'"x"', b"7"):
        assert api(method, path.format(**addresses), sent).status_code == 400, sent
    assert api(method, path.format(**addresses), {**body, "unknown": 1}).status_code == 400


@pytest.mark.parametrize("given", [SECRET, OAUTH])
def test_any_value_in_a_secret_is_taken_or_told(api: Caller, given: dict[str, Any]) -> None:
    for value in VALUES:
        for field in (*given["secret"], "expires_at", "client_id"):
            sent = {**given, "secret": {**given["secret"], field: value}}
            assert api("POST", "credentials/", sent).status_code in (201, 400), (field, value)


@pytest.mark.parametrize("provider", ["http", "email", "postgres"])
def test_any_value_in_a_setting_is_taken_or_told(api: Caller, provider: str) -> None:
    given = {"name": "s", "provider": provider, "auth_type": "basic", "secret": {"username": "a", "password": "b"}}
    for value in VALUES:
        for setting in ("hosts", "header", "query", "host", "port", "security", "smtp_host", "database", "tls"):
            sent = {**given, "settings": {setting: value}}
            assert api("POST", "credentials/", sent).status_code in (201, 400), (setting, value)


@pytest.mark.parametrize("shape", ["steps", "triggers", "settings"])
def test_any_value_inside_a_document_is_taken_or_told(api: Caller, shape: str) -> None:
    step = {**document()["steps"][0], "name": "Greet", "credential": None, "lanes": {}}
    step["config"] = {"inputs": {}, "retry": None, "timeout": 30, "on_error": "fail", "on_lost": None, "run_if": None}
    whole: dict[str, Any] = {
        "steps": step,
        "triggers": {"key": "hook", "type": "webhook", "config": {}},
        "settings": {"timeout": 60, "max_concurrent_runs": None, "error_workflow": None, "retention_days": None},
    }
    part = whole[shape]
    changed = [{**part, field: value} for field in part for value in VALUES]
    if shape == "steps":
        changed += [
            {**part, "config": {**part["config"], field: value}} for field in part["config"] for value in VALUES
        ]
    for number, one in enumerate(changed):
        sent = document(f"W{number}", **{shape: one if shape == "settings" else [one]})
        answer = api("POST", "workflows/", sent)
        assert answer.status_code in (201, 400), one
        if answer.status_code == 201:
            made = json.loads(answer.content)["id"]
            assert api("POST", f"workflows/{made}/publish/?dry_run=1").status_code == 200, one

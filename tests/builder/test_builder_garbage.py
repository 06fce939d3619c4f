"""Whatever is sent to the builder's addresses is saved or refused: it never breaks the server or the next page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.builder import testing
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow

FORM = "application/x-www-form-urlencoded"
STEPS: list[dict[str, Any]] = [
    {"key": "call", "action": "http.request", "config": {"inputs": {"url": "http://127.0.0.1:9/"}}},
    {"key": "values", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}},
    {"key": "chat", "action": "slack.sendMessage", "config": {}},
    {"key": "gone", "action": "no.such", "config": {}},
]
NAMES = [
    "name", "notes", "credential", "revision", "retry_attempts", "retry_delay", "timeout", "on_error", "run_if",
    "then", "direction", "payload", "trigger", "methods", "type",
    "in.", "in.url", "in.method", "in.body", "in.headers", "in.headers.k0", "in.headers.v0", "in.headers.k1",
    "in.values", "in.values.k0", "in.values.v0", "in.values.k99999999999", "in.channel", "in.text", "in.blocks",
    "in.multipart", "in.timeout", "in.follow_redirects", "in.nobody", "in.no body\x00", "in.k0", "in..v1",
]  # fmt: skip
TEXTS = [
    b"", b"1", b"-1", b"1e999", b"nan", b"true", b"{{", b"}}", b"{{ 1", b"{{ 1 }}", b"{{ steps }}", b"[" * 3000,
    b'{"a":' * 70 + b"1" + b"}" * 70, b"\xff\xfe", b"\x00", b'"\\u0000"', b'"\\ud800"', b"\xed\xa0\x80", b"9" * 5000,
    b"1" + b"0" * 400, b"[NaN]", b"<script>", b"\r\n\r\n", b"a" * 20_000, "٣".encode(), b'{"a": 1, "a": 2}', b"up",
]  # fmt: skip
OTHERS: list[tuple[str, list[str]]] = [
    ("workflow-test", []), ("workflow-trigger", ["hook"]), ("workflow-trigger-add", []),
    ("workflow-step-move", ["call"]), ("workflow-step-test", ["values"]), ("workflow-trigger-remove", ["nobody"]),
]  # fmt: skip
_text = st.sampled_from(TEXTS) | st.binary(max_size=12)
_pairs = st.lists(st.tuples(st.sampled_from(NAMES), _text), max_size=8)


@pytest.fixture
def workflow(client: Client, tenant: Tenant, editor: User, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.setattr(testing, "TEST_SECONDS", 0)
    client.force_login(editor)
    actor = actor_for_user(editor, tenant.slug)
    triggers = [{"key": "hook", "type": "webhook", "config": {}}]
    document = {"name": "Garbage", "slug": "garbage", "triggers": triggers, "steps": STEPS}
    return services.workflow_create(actor=actor, document=document)


def body(pairs: list[tuple[str, bytes]]) -> str:
    return "&".join(f"{quote_from_bytes(name.encode())}={quote_from_bytes(text)}" for name, text in pairs)


def post(client: Client, workflow: Workflow, name: str, parts: list[str], data: str) -> None:
    """Post; the test client raises what the server would answer with a 500."""
    answer = client.post(reverse(name, args=["acme", workflow.pk, *parts]), data, content_type=FORM)
    assert answer.status_code in (302, 400, 404, 409), (name, parts, answer.status_code)


def look(client: Client, workflow: Workflow) -> None:
    """Look at the page of every step and of the trigger, as they are after what was posted."""
    for step in STEPS:
        page = client.get(reverse("workflow-step", args=["acme", workflow.pk, step["key"]]))
        assert page.status_code == 200
    assert client.get(reverse("workflow-trigger", args=["acme", workflow.pk, "hook"])).status_code == 200


@pytest.mark.parametrize("text", TEXTS, ids=[repr(text[:12]) for text in TEXTS])
def test_no_text_in_any_field_breaks_a_step(client: Client, workflow: Workflow, text: bytes) -> None:
    for key in ("call", "values", "gone"):
        post(client, workflow, "workflow-step", [key], body([(name, text) for name in NAMES]))
    # A post changes its own step alone: what each of them left is there to be looked at.
    look(client, workflow)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from([step["key"] for step in STEPS]), pairs=_pairs)
def test_no_form_breaks_a_step(client: Client, workflow: Workflow, key: str, pairs: list[tuple[str, bytes]]) -> None:
    post(client, workflow, "workflow-step", [key], body(pairs))
    look(client, workflow)


@pytest.mark.parametrize("text", TEXTS, ids=[repr(text[:12]) for text in TEXTS])
def test_no_text_breaks_another_address(client: Client, workflow: Workflow, text: bytes) -> None:
    fields = ["payload", "trigger", "methods", "type", "direction"]
    for name, parts in OTHERS:
        post(client, workflow, name, parts, body([(field, text) for field in fields]))
    look(client, workflow)


@pytest.mark.parametrize(
    "query", ["text=%00", "text=in.url&text=method", "testing=%ff", "step=x", "text=" + "a" * 5000]
)
def test_no_query_breaks_a_page(client: Client, workflow: Workflow, query: str) -> None:
    assert client.get(reverse("workflow-step", args=["acme", workflow.pk, "call"]) + f"?{query}").status_code == 200


def test_half_a_character_from_a_caller_spoils_no_page(client: Client, workflow: Workflow) -> None:
    """JSON may escape half a surrogate pair; UTF-8 has no bytes for it, so the page shows the escape."""
    started = client.post(reverse("workflow-test", args=["acme", workflow.pk]), {"payload": '{"a": "x\\ud800y"}'})
    run = started.headers["Location"]
    for path in (run, f"{run}?step=trigger&tab=data", f"{run.rstrip('/')}.txt"):
        assert client.get(path).status_code == 200
    path = reverse("workflow-step", args=["acme", workflow.pk, "call"])
    assert client.post(path, {"in.body": '{"a": "\\udfff"}', "revision": "1", "seen": "x"}).status_code == 302
    page = client.get(path)
    assert b"x\\ud800y" in page.content

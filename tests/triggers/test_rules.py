"""What a webhook's own config asks of a request, and what its caller is answered."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Trigger, Variable, Workflow, WorkflowVersion
from runs.models import Run, Sample
from tests.triggers.conftest import path, runs
from tests.triggers.test_signatures import SECRET, signed

pytestmark = pytest.mark.django_db(transaction=True)

BODY = b'{"id": "evt_1", "type": "paid", "amount": 5}'


@pytest.fixture
def secret(editor: User) -> Credential:
    return save_secret(editor, "acme")


def save_secret(user: User, tenant: str) -> Credential:
    return credential_create(
        actor=actor_for_user(user, tenant),
        name="shop",
        provider="webhook",
        auth_type="api_key",
        secret={"api_key": SECRET},
    )


def send(trigger: Trigger, body: bytes = BODY, content_type: str = "application/json", **more: Any) -> Any:
    query, method = more.pop("query", ""), more.pop("method", "POST")
    return Client().generic(method, path(trigger) + query, body, content_type, **more)


def stamped(preset: str, body: bytes = BODY) -> dict[str, str]:
    return {f"HTTP_{name}": value for name, value in signed(preset, body, int(time.time())).items()}


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# Signatures.


@pytest.mark.parametrize("preset", ["standard_webhooks", "github", "stripe", "slack", "hmac"])
def test_a_signed_request_runs_and_every_other_is_refused(
    preset: str, make_hook: Callable[..., Trigger], secret: Credential
) -> None:
    hook = make_hook({"signature": {"preset": preset, "credential": "shop"}})
    assert send(hook, **stamped(preset)).status_code == 202
    assert code(send(hook)) == (401, "signature_missing")
    wrong = send(hook, BODY + b" ", **stamped(preset))
    assert code(wrong) == (401, "signature_invalid")
    assert wrong["WWW-Authenticate"]
    assert len(runs(hook)) == 1
    assert not Sample.unscoped.exists()


def test_a_signature_is_asked_for_before_there_is_a_version_too(
    make_hook: Callable[..., Trigger], secret: Credential
) -> None:
    hook = make_hook(None, config={"signature": {"preset": "github", "credential": "shop"}})
    assert code(send(hook)) == (401, "signature_missing")
    assert send(hook, **stamped("github")).json()["status"] == "recorded"
    assert Sample.unscoped.count() == 1


def test_without_its_secret_nothing_is_kept_and_it_may_be_sent_again(
    make_hook: Callable[..., Trigger], secret: Credential
) -> None:
    hook = make_hook({"signature": {"preset": "github", "credential": "shop"}})
    secret.delete()
    answer = send(hook, **stamped("github"))
    assert code(answer) == (503, "unverifiable")
    assert answer["Retry-After"]
    assert runs(hook) == []


def test_another_tenants_secret_is_not_used(make_hook: Callable[..., Trigger], stranger: User) -> None:
    theirs = save_secret(stranger, "globex")
    hook = make_hook({"signature": {"preset": "github", "credential": "shop"}})
    assert code(send(hook, **stamped("github"))) == (503, "unverifiable")
    WorkflowVersion.unscoped.update(bindings={"shop": theirs.pk})
    assert code(send(hook, **stamped("github"))) == (503, "unverifiable")


def test_a_credential_that_was_renamed_is_found_by_its_binding(
    make_hook: Callable[..., Trigger], secret: Credential, workflow: Workflow
) -> None:
    hook = make_hook({"signature": {"preset": "github", "credential": "shop"}})
    version = workflow.published_version
    assert version is not None
    version.bindings = {"shop": secret.pk}
    version.save()
    Credential.unscoped.filter(pk=secret.pk).update(name="renamed")
    assert send(hook, **stamped("github")).status_code == 202


# Handshakes.


def test_slacks_handshake_is_answered_in_its_own_form_once_signed(
    make_hook: Callable[..., Trigger], secret: Credential
) -> None:
    hook = make_hook({"signature": {"preset": "slack", "credential": "shop"}})
    body = json.dumps({"type": "url_verification", "challenge": "3eZ"}).encode()
    assert code(send(hook, body)) == (401, "signature_missing")
    answer = send(hook, body, **stamped("slack", body))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZ"})
    assert runs(hook) == []


def test_githubs_ping_starts_nothing(make_hook: Callable[..., Trigger], secret: Credential) -> None:
    hook = make_hook({"signature": {"preset": "github", "credential": "shop"}})
    assert send(hook, **stamped("github"), HTTP_X_GITHUB_EVENT="ping").json()["status"] == "ignored"
    assert runs(hook) == []


@pytest.mark.parametrize("value", ["abc-123", "<script>alert(1)</script>"])
def test_what_a_sender_wants_back_is_a_plain_text(value: str, make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"handshake": {"query": "hub.challenge"}})
    answer = send(hook, b"", "", method="GET", query=f"?hub.challenge={value}")
    assert (answer.status_code, answer.text) == (200, value)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert send(hook, b"", "", method="GET").status_code == 405
    assert send(hook, b"", "", method="GET", query="?hub.challenge=a%0ab").status_code == 405


# The filter.


def test_what_the_filter_drops_is_kept_as_a_sample_with_the_reason(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"filter": "{{ trigger.body.type == 'paid' }}"})
    assert send(hook).status_code == 202
    dropped = send(hook, b'{"type": "sent"}')
    assert (dropped.status_code, dropped.json()["status"]) == (200, "ignored")
    assert "does not let" in dropped.json()["reason"]
    broken = send(hook, b'{"kind": "paid"}').json()
    assert (broken["status"], "trigger.body" in broken["reason"]) == ("ignored", True)
    assert len(runs(hook)) == 1
    assert Sample.unscoped.count() == 2


def test_a_filter_reads_variables_and_the_workflow(make_hook: Callable[..., Trigger], tenant: Tenant) -> None:
    Variable.unscoped.create(tenant=tenant, key="least", value=4)
    hook = make_hook({"filter": "trigger.body.amount >= vars.least and workflow.slug == 'test'"})
    assert send(hook).status_code == 202
    assert send(hook, b'{"amount": 3}').json()["status"] == "ignored"


# Sameness.


@pytest.mark.parametrize(
    ("config", "first", "second"),
    [
        ({"dedupe": "X-Event-Id"}, {"HTTP_X_EVENT_ID": "1"}, {"HTTP_X_EVENT_ID": "2"}),
        ({}, {"HTTP_IDEMPOTENCY_KEY": "1"}, {"HTTP_IDEMPOTENCY_KEY": "2"}),
    ],
)
def test_a_header_tells_deliveries_apart(
    config: dict[str, Any], first: dict[str, str], second: dict[str, str], make_hook: Callable[..., Trigger]
) -> None:
    hook = make_hook({**config, "rate_limit": 100})
    one = send(hook, **first)
    again = send(hook, b"{}", **first)
    other = send(hook, **second)
    assert (one.status_code, again.status_code, other.status_code) == (202, 200, 202)
    assert one.json()["id"] == again.json()["id"] != other.json()["id"]
    # Without it each is its own.
    assert send(hook).status_code == send(hook).status_code == 202
    assert len(runs(hook)) == 4


def test_an_expression_tells_deliveries_apart(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"dedupe": "{{ trigger.body.id }}-{{ trigger.body.amount }}"})
    assert [send(hook).status_code, send(hook).status_code] == [202, 200]
    assert send(hook, b'{"id": "evt_1", "amount": 6}').status_code == 202
    assert code(send(hook, b'{"amount": 6}')) == (400, "dedupe")
    assert len(runs(hook)) == 2


def test_a_presets_own_delivery_id_counts(make_hook: Callable[..., Trigger], secret: Credential) -> None:
    hook = make_hook({"signature": {"preset": "stripe", "credential": "shop"}})
    assert [send(hook, **stamped("stripe")).status_code for _ in range(3)] == [202, 200, 200]
    assert len(runs(hook)) == 1


# Rates.


def test_what_comes_too_fast_is_429(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"rate_limit": 2})
    assert [send(hook).status_code for _ in range(3)] == [202, 202, 429]
    answer = send(hook)
    assert code(answer) == (429, "rate_limited")
    assert 0 < int(answer["Retry-After"]) <= 60
    assert len(runs(hook)) == 2


def test_the_tenants_limit_counts_all_its_runs(hook: Trigger, make_hook: Callable[..., Trigger]) -> None:
    Tenant.objects.update(runs_per_minute=2)
    other = make_hook({}, key="other")
    assert [send(hook).status_code, send(other).status_code] == [202, 202]
    assert code(send(hook)) == (429, "rate_limited")
    Tenant.objects.update(runs_per_minute=None)
    assert send(hook).status_code == 202


# Answers.


def end_later(status: str, output: Any, seconds: float = 0.2, steps: dict[str, Any] | None = None) -> threading.Thread:
    """End the newest run in a moment, as a driver would."""

    def end() -> None:
        try:
            deadline = time.monotonic() + 5
            while (run := Run.unscoped.order_by("-id").first()) is None and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(seconds)
            assert run is not None
            Run.unscoped.filter(pk=run.pk).update(
                status=status, output=output, finished_at=timezone.now(), wake_at=None, seed={"steps": steps or {}}
            )
        finally:
            connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    return thread


def test_the_runs_output_is_the_answer(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"response": "output", "timeout": 10})
    thread = end_later("succeeded", {"total": 5})
    answer = send(hook)
    thread.join()
    assert (answer.status_code, answer.json()) == (200, {"total": 5})
    assert answer["Content-Type"] == "application/json"


@pytest.mark.parametrize(("status", "word"), [("failed", "run_failed"), ("cancelled", "run_cancelled")])
def test_a_failed_run_tells_a_third_party_nothing_of_why(
    status: str, word: str, make_hook: Callable[..., Trigger]
) -> None:
    hook = make_hook({"response": "output", "timeout": 10})
    thread = end_later(status, None)
    answer = send(hook)
    thread.join()
    assert code(answer) == (422, word)


def test_a_run_that_takes_longer_is_answered_as_accepted(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"response": "output", "timeout": 0.05})
    answer = send(hook)
    assert answer.status_code == 202
    assert answer.json()["id"] == str(runs(hook)[0].pk)
    assert "0.05 s" in answer.json()["reason"]


def test_an_answer_of_ones_own(make_hook: Callable[..., Trigger]) -> None:
    reply = {
        "status": 201,
        "headers": {"Content-Type": "text/csv", "X-Kind": "{{ trigger.body.type }}", "x-run": "{{ run.id }}"},
        "body": "id;{{ trigger.body.id }}",
    }
    hook = make_hook({"response": reply})
    answer = send(hook)
    assert (answer.status_code, answer.text) == (201, "id;evt_1")
    assert (answer["Content-Type"], answer["X-Kind"]) == ("text/csv", "paid")
    assert answer["X-Run"] == str(runs(hook)[0].pk)
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_an_answer_that_reads_steps_waits_for_the_run(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"response": {"body": {"sum": "{{ steps.add.output.sum }}"}}, "timeout": 10})
    steps = {"add": {"output": {"sum": 7}, "status": "succeeded", "error": None}}
    thread = end_later("succeeded", None, steps=steps)
    answer = send(hook)
    thread.join()
    assert (answer.status_code, answer.json()) == (200, {"sum": 7})


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: x=1", "ü", "x" * 5_000, 5])
def test_data_puts_nothing_dangerous_into_a_header(value: Any, make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"response": {"headers": {"X-Name": "{{ trigger.body.name }}"}, "body": "ok"}})
    answer = send(hook, json.dumps({"name": value}).encode())
    assert (answer.status_code, answer.text) == (200, "ok")
    assert "X-Name" not in answer
    assert not answer.cookies


def test_an_answer_that_cannot_be_made_is_the_usual_one_with_the_reason(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"response": {"body": "{{ trigger.body.nothing }}"}})
    answer = send(hook)
    assert answer.status_code == 202
    assert answer.json()["id"] == str(runs(hook)[0].pk)
    assert "could not be made" in answer.json()["reason"]


def test_a_drafts_wrong_config_keeps_no_sample_away(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook(None, config={"signature": "nonsense", "filter": 5})
    assert send(hook).json()["status"] == "recorded"


# The body as it came.


def test_the_body_is_kept_as_it_came_where_that_is_asked_for(make_hook: Callable[..., Trigger]) -> None:
    body = b'{ "id":1,\t"id": 2}'
    text, coded = make_hook({"raw": "text"}, key="text"), make_hook({"raw": "base64"}, key="coded")
    assert send(text, body).status_code == send(coded, body).status_code == 202
    first, second = (run.trigger for run in runs(text))
    assert (first["raw"], first["body"]) == (body.decode(), {"id": 2})
    assert base64.b64decode(second["raw"]) == body
    assert "raw" not in _document_of(make_hook({}, key="plain"))


def _document_of(hook: Trigger) -> dict[str, Any]:
    send(hook)
    return dict(runs(hook)[-1].trigger)


def test_bytes_that_are_no_text_are_kept_as_base64_alone(make_hook: Callable[..., Trigger]) -> None:
    text, coded = make_hook({"raw": "text"}, key="text"), make_hook({"raw": "base64"}, key="coded")
    assert code(send(text, b"\xff\xfe", "application/octet-stream")) == (400, "not_text")
    assert send(coded, b"\xff\xfe", "application/octet-stream").status_code == 202
    assert runs(coded)[0].trigger["raw"] == "//4="


def test_a_body_that_is_too_large_when_kept_twice_is_refused(make_hook: Callable[..., Trigger]) -> None:
    hook = make_hook({"raw": "base64"})
    assert code(send(hook, b"x" * 6_000_000, "text/plain"))[0] == 413
    assert runs(hook) == []

"""Slack's sendMessage: what goes out, and what each refusal becomes."""

import json

import httpx
import pytest

from integrations.providers.slack import slack
from integrations.providers.slack.actions import send_message
from integrations.providers.slack.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action

TOKEN = {"type": "bearer_token", "token": "xoxb-1"}
OK = {"ok": True, "channel": "C1", "ts": "1.2", "message": {"text": "hi"}}
HELLO = {"channel": "#a", "text": "hi"}


def refused(status: int = 200, headers: dict[str, str] | None = None, **answer: object) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(status, json=answer, headers=headers)])
    return caught.value


@pytest.mark.parametrize("auth", [{"type": "oauth2", "access_token": "xoxb-1"}, TOKEN])
def test_a_message_goes_out_as_json_with_the_token_in_the_header(auth: dict[str, str]) -> None:
    result = run_action(send_message, {"channel": "#a", "text": "grüß"}, auth=auth, http=[httpx.Response(200, json=OK)])
    assert result.output == OK
    assert str(result.request.url) == "https://slack.com/api/chat.postMessage"
    assert result.request.headers["authorization"] == "Bearer xoxb-1"
    assert result.request.headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(result.request.content) == {"channel": "#a", "text": "grüß"}


def test_what_is_not_set_is_left_to_slack_and_what_is_set_goes_along() -> None:
    inputs = {**HELLO, "thread_ts": "1.1", "unfurl_links": False, "blocks": [{"type": "divider"}]}
    result = run_action(send_message, inputs, auth=TOKEN, http=[httpx.Response(200, json=OK)])
    assert json.loads(result.request.content) == inputs


def test_a_refusal_with_status_200_is_an_error_with_slacks_own_code_and_a_hint() -> None:
    error = refused(ok=False, error="channel_not_found")
    assert isinstance(error, NotFound)
    assert "channel_not_found" in error.message
    assert "private channel" in error.hint


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("invalid_auth", AuthError),
        ("account_inactive", AuthError),
        ("token_revoked", AuthError),
        ("missing_scope", PermissionMissing),
        ("not_in_channel", Permanent),
        ("is_archived", Permanent),
        ("msg_too_long", InputError),
        ("ratelimited", RateLimited),
        ("service_unavailable", Transient),
        ("internal_error", OutcomeUnknown),
        ("something_new", Permanent),
        ("", Permanent),
    ],
)
def test_a_code_says_what_to_do(code: str, expected: type[IntegrationError]) -> None:
    assert type(refused(ok=False, error=code)) is expected


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _, hint in ERRORS.values())


def test_a_missing_scope_is_named() -> None:
    error = refused(ok=False, error="missing_scope", needed="chat:write,chat:write.public", provided="users:read")
    assert isinstance(error, PermissionMissing)
    assert error.scopes == ("chat:write", "chat:write.public")
    assert "chat:write.public" in error.message


def test_too_many_messages_wait_as_long_as_slack_says() -> None:
    error = refused(429, {"Retry-After": "12"}, ok=False, error="ratelimited")
    assert isinstance(error, RateLimited)
    assert error.retry_after == 12


@pytest.mark.parametrize("answer", [[], {}, {"ok": "yes"}, {"ok": True}, {"ok": True, "channel": 1, "ts": "1"}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(200, json=answer)])


def test_a_key_is_not_taken() -> None:
    with pytest.raises(AuthError, match=r"^Slack requires oauth2 or bearer_token$"):
        run_action(send_message, HELLO, auth={"type": "api_key", "api_key": "k"})


@pytest.mark.parametrize(
    "inputs", [{"channel": "#a"}, {"text": "x"}, {**HELLO, "txt": "x"}, {"channel": "", "text": "x"}]
)
def test_a_missing_empty_or_unknown_input_is_refused(inputs: dict[str, str]) -> None:
    with pytest.raises(InputError):
        run_action(send_message, inputs, auth=TOKEN)


def test_a_token_is_asked_whose_it_is() -> None:
    answer = httpx.Response(200, json={"ok": True, "user": "bot", "team": "Acme"}, headers={"x-oauth-scopes": "a, b"})
    account, requests = check_account(slack, TOKEN, [answer])
    assert (account.label, account.scopes) == ("bot in Acme", ("a", "b"))
    assert str(requests[0].url) == "https://slack.com/api/auth.test"
    with pytest.raises(AuthError):
        check_account(slack, TOKEN, [httpx.Response(200, json={"ok": False, "error": "invalid_auth"})])

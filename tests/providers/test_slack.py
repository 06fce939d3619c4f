"""Slack's sendMessage: what goes out, and what each refusal becomes."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from integrations.providers.slack import slack
from integrations.providers.slack.actions import list_channels, send_message
from integrations.providers.slack.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OAuth2,
    Option,
    Options,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action, run_options

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
    with pytest.raises(AuthError, match=r"^Slack requires a sign-in \(OAuth 2\) or a bearer token$"):
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


CHANNELS = {
    "ok": True,
    "channels": [
        {"id": "C012AB3CD", "name": "general", "is_private": False},
        {"id": "C061EG9T2", "name": "sales-eu", "is_private": True},
    ],
    "response_metadata": {"next_cursor": "dGVhbTpDMDYxRkE1UEI="},
}
LAST = {"ok": True, "channels": [{"id": "C9", "name": "Sales"}], "response_metadata": {"next_cursor": ""}}
NONE = {"ok": True, "channels": [], "response_metadata": {"next_cursor": "more"}}


def listed(*answers: dict[str, Any], **more: Any) -> tuple[Options, Sequence[httpx.Request]]:
    http = [httpx.Response(200, json=answer) for answer in answers]
    return run_options(send_message, "channel", auth=TOKEN, http=http, **more)


def test_channels_are_listed_by_id_with_the_names_that_people_know() -> None:
    found, (request,) = listed(CHANNELS)
    assert found.items == [Option("C012AB3CD", "#general"), Option("C061EG9T2", "#sales-eu", "private")]
    assert found.next_cursor == "dGVhbTpDMDYxRkE1UEI="
    assert (request.method, request.url.path) == ("GET", "/api/conversations.list")
    assert dict(request.url.params) == {
        "types": "public_channel,private_channel",
        "exclude_archived": "true",
        "limit": "200",
    }
    assert request.headers["authorization"] == "Bearer xoxb-1"
    assert "xoxb-1" not in str(request.url)


def test_the_next_page_of_channels_is_asked_for_by_slacks_cursor_and_the_last_has_none() -> None:
    found, (request,) = listed(LAST, cursor="dGVhbTpDMDYxRkE1UEI=")
    assert request.url.params["cursor"] == "dGVhbTpDMDYxRkE1UEI="
    assert found.next_cursor is None


def test_a_search_of_channels_goes_on_until_something_is_found() -> None:
    found, requests = listed(NONE, CHANNELS, query="#SALES")
    assert [option.label for option in found.items] == ["#sales-eu"]
    assert [request.url.params.get("cursor") for request in requests] == [None, "more"]
    found, requests = listed(NONE, NONE, NONE, query="sales")
    assert (list(found.items), found.next_cursor, len(requests)) == ([], "more", 3)
    found, requests = listed(LAST, query="nothing like that")
    assert (list(found.items), found.next_cursor, len(requests)) == ([], None, 1)


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        ({"error": "missing_scope", "needed": "channels:read,groups:read"}, PermissionMissing, "channels:read"),
        ({"error": "invalid_auth"}, AuthError, "invalid_auth"),
        ({"error": "ratelimited"}, RateLimited, "ratelimited"),
        ({"error": "invalid_cursor"}, InputError, "invalid_cursor"),
    ],
)
def test_a_refused_list_of_channels_says_why(
    answer: dict[str, str], expected: type[IntegrationError], words: str
) -> None:
    with pytest.raises(expected, match=words) as caught:
        listed({"ok": False, **answer})
    assert caught.value.hint
    assert "xoxb-1" not in f"{caught.value} {caught.value.hint} {caught.value.detail}"


@pytest.mark.parametrize(
    "answer",
    [{}, {"channels": 1}, {"channels": [1]}, {"channels": [{"id": 1, "name": "a"}]},
     {"channels": [{"id": "C1"}]}, {"channels": [], "response_metadata": [1]}],
)  # fmt: skip
def test_a_list_of_channels_of_another_form_is_permanent(answer: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        listed({"ok": True, **answer})


def test_who_signs_in_may_list_channels() -> None:
    kind = slack.auth_kind("oauth2")
    assert isinstance(kind, OAuth2)
    assert {"chat:write", "channels:read", "groups:read"} <= set(kind.scopes)


def test_a_step_lists_channels_until_there_are_as_many_as_asked_for() -> None:
    http = [httpx.Response(200, json=answer) for answer in (CHANNELS, NONE, CHANNELS)]
    result = run_action(list_channels, {"limit": 4}, auth=TOKEN, http=http)
    assert [row["name"] for row in result.output["channels"]] == ["general", "sales-eu"] * 2
    assert result.output["next_cursor"] == "dGVhbTpDMDYxRkE1UEI="
    assert [request.url.params["limit"] for request in result.requests] == ["4", "2", "2"]
    assert [request.url.params.get("cursor") for request in result.requests] == [None, "dGVhbTpDMDYxRkE1UEI=", "more"]


@pytest.mark.parametrize(
    ("inputs", "types", "excluded"),
    [
        ({}, "public_channel,private_channel", "true"),
        ({"kinds": "public", "include_archived": True}, "public_channel", "false"),
        ({"kinds": "private", "cursor": "x"}, "private_channel", "true"),
    ],
)
def test_a_step_lists_the_channels_of_a_kind(inputs: dict[str, Any], types: str, excluded: str) -> None:
    result = run_action(list_channels, inputs, auth=TOKEN, http=[httpx.Response(200, json=LAST)])
    assert result.request.url.params["types"] == types
    assert result.request.url.params["exclude_archived"] == excluded
    assert result.request.url.params.get("cursor") == inputs.get("cursor")
    assert result.output == {"channels": LAST["channels"], "next_cursor": None}


def test_a_cursor_that_comes_again_is_an_error_that_says_so() -> None:
    http = [httpx.Response(200, json=NONE), httpx.Response(200, json=NONE)]
    with pytest.raises(Permanent, match="round in a circle"):
        run_action(list_channels, {}, auth=TOKEN, http=http)


def test_a_list_that_is_refused_says_why_and_a_lost_answer_is_asked_for_again() -> None:
    refusal = httpx.Response(200, json={"ok": False, "error": "missing_scope", "needed": "channels:read"})
    with pytest.raises(PermissionMissing, match="channels:read"):
        run_action(list_channels, {}, auth=TOKEN, http=[refusal])

    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(list_channels, {}, auth=TOKEN, http=lose)

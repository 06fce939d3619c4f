"""Teams' sendMessage: what goes out and where to, and what each refusal becomes."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from integrations.providers.microsoft_teams import microsoft_teams
from integrations.providers.microsoft_teams.actions import send_message
from integrations.providers.microsoft_teams.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OAuth2,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import ActionResult, check_account, run_action, run_options

AUTH = {"access_token": "eyJ-canary"}
TEAM = "fbe2bf47-16c8-47cf-b4a5-4b9b187c508b"
CHANNEL = "19:4a95@thread.tacv2"
CHAT = "19:2da4@thread.v2"
IN_CHANNEL = {"team_id": TEAM, "channel_id": CHANNEL, "text": "Grüße"}
OK = {
    "id": "1616990032035",
    "webUrl": "https://teams.microsoft.com/l/message/x",
    "createdDateTime": "2026-03-02T09:30:00Z",
}


def send(*answers: httpx.Response, **inputs: Any) -> ActionResult:
    given = {name: value for name, value in {**IN_CHANNEL, **inputs}.items() if value is not None}
    return run_action(send_message, given, auth=AUTH, http=answers or [httpx.Response(201, json=OK)])


def refused(status: int, code: str = "x", headers: dict[str, str] | None = None, **inputs: Any) -> IntegrationError:
    answer = {"error": {"code": code, "message": "It says why."}}
    with pytest.raises(IntegrationError) as caught:
        send(httpx.Response(status, json=answer, headers=headers), **inputs)
    return caught.value


def test_a_message_goes_to_a_channel() -> None:
    result = send()
    assert result.request.method == "POST"
    path = f"/v1.0/teams/{TEAM}/channels/19%3A4a95%40thread.tacv2/messages"
    assert result.request.url.raw_path == path.encode()
    assert result.request.headers["authorization"] == "Bearer eyJ-canary"
    assert json.loads(result.request.content) == {
        "body": {"contentType": "text", "content": "Grüße"},
        "importance": "normal",
    }
    assert result.output == {"id": OK["id"], "web_url": OK["webUrl"], "created_at": OK["createdDateTime"]}


def test_a_message_goes_to_a_chat() -> None:
    result = send(
        httpx.Response(201, json={**OK, "webUrl": None}), team_id=None, channel_id=None, chat_id=CHAT,
        content_type="html", text="<b>Hi</b>", subject="Sales", importance="high",
    )  # fmt: skip
    assert result.request.url.raw_path == b"/v1.0/chats/19%3A2da4%40thread.v2/messages"
    assert json.loads(result.request.content) == {
        "body": {"contentType": "html", "content": "<b>Hi</b>"}, "importance": "high", "subject": "Sales",
    }  # fmt: skip
    assert result.output["web_url"] == ""


@pytest.mark.parametrize(
    "inputs",
    [
        {"text": ""},
        {"text": "x" * 100_001},
        {"text": "\ud800"},
        {"team_id": "Sales"},
        {"team_id": None},
        {"channel_id": None},
        {"channel_id": "19:a/../../me"},
        {"chat_id": CHAT},
        {"team_id": None, "channel_id": None},
        {"content_type": "markdown"},
        {"body": "x"},
    ],
)
def test_inputs_that_fit_no_message_are_refused_before_anything_is_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        send(httpx.Response(500), **inputs)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "BadRequest", InputError),
        (400, "other", Permanent),
        (401, "InvalidAuthenticationToken", AuthError),
        (403, "Forbidden", PermissionMissing),
        (403, "InsufficientPrivileges", PermissionMissing),
        (404, "NotFound", NotFound),
        (413, "MessageSizeExceeded", InputError),
        (429, "TooManyRequests", RateLimited),
        (500, "BadRequest", Transient),
        (503, "ServiceUnavailable", Transient),
    ],
)
def test_a_code_says_what_to_do(status: int, code: str, expected: type[IntegrationError]) -> None:
    error = refused(status, code)
    assert type(error) is expected
    assert error.message == "Microsoft: It says why."


def test_a_missing_scope_is_named() -> None:
    chat = {"team_id": None, "channel_id": None, "chat_id": CHAT}
    for inputs, scope in (({}, "ChannelMessage.Send"), (chat, "ChatMessage.Send")):
        error = refused(403, "InsufficientPrivileges", **inputs)
        assert isinstance(error, PermissionMissing)
        assert error.scopes == (scope,)


def test_every_code_has_a_hint_and_a_limit_says_how_long_to_wait() -> None:
    assert all(len(hint) > 15 for _kind, hint in ERRORS.values())
    error = refused(429, headers={"Retry-After": "12"})
    assert isinstance(error, RateLimited)
    assert error.retry_after == 12


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(send_message, IN_CHANNEL, auth=AUTH, http=lose)


@pytest.mark.parametrize("answer", [[], {}, {"id": 5}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        send(httpx.Response(201, json=answer))


def test_teams_and_their_channels_are_listed() -> None:
    two = [{"id": TEAM, "displayName": "Sales"}, {"id": "t2", "displayName": "Ops"}]
    rows = httpx.Response(200, json={"value": two})
    found, (request,) = run_options(send_message, "team_id", query="sal", auth=AUTH, http=[rows])
    assert [(each.value, each.label) for each in found.items] == [(TEAM, "Sales")]
    assert request.url.path == "/v1.0/me/joinedTeams"
    rows = httpx.Response(200, json={"value": [{"id": CHANNEL, "displayName": "General"}]})
    found, (request,) = run_options(send_message, "channel_id", inputs={"team_id": TEAM}, auth=AUTH, http=[rows])
    assert [each.label for each in found.items] == ["General"]
    assert request.url.path == f"/v1.0/teams/{TEAM}/channels"
    for team in ("", "{{ x }}", "../me"):
        with pytest.raises(InputError, match="choose the team first"):
            run_options(send_message, "channel_id", inputs={"team_id": team}, auth=AUTH)


def test_people_sign_in_with_accounts_of_work_alone() -> None:
    kind = microsoft_teams.auth_kind("oauth2")
    assert isinstance(kind, OAuth2)
    assert kind.pkce
    assert urlsplit(kind.authorize_url).path == "/organizations/oauth2/v2.0/authorize"
    assert urlsplit(kind.token_url).path == "/organizations/oauth2/v2.0/token"


def test_an_account_is_asked_for_its_address() -> None:
    auth = {"type": "oauth2", **AUTH}
    account, (request,) = check_account(microsoft_teams, auth, [httpx.Response(200, json={"mail": "ada@example.com"})])
    assert account.label == "ada@example.com"
    assert request.url.path == "/v1.0/me"
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(microsoft_teams, auth, [httpx.Response(200, json={})])

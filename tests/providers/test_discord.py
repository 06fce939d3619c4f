"""Discord's sendMessage: what goes out, and what each refusal becomes."""

import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from integrations.providers.discord import discord
from integrations.providers.discord.actions import send_message
from integrations.providers.discord.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Option,
    Options,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action, run_options

TOKEN = {"type": "api_key", "api_key": "MTA.bot.token"}
OK = {"id": "9", "channel_id": "7", "content": "hi", "timestamp": "2026-03-02T09:30:00+00:00"}
HELLO = {"channel_id": "7", "content": "hi"}


def sent(**inputs: Any) -> dict[str, Any]:
    """Send a message and return the body that went out, without what makes it one message."""
    result = run_action(send_message, {**HELLO, **inputs}, auth=TOKEN, http=[httpx.Response(200, json=OK)])
    body: dict[str, Any] = json.loads(result.request.content)
    assert len(body.pop("nonce")) == 25
    assert body.pop("enforce_nonce") is True
    return body


def refused(status: int, headers: dict[str, str] | None = None, **answer: object) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(status, json=answer, headers=headers)])
    return caught.value


@pytest.mark.parametrize("auth", [TOKEN, {"type": "bearer_token", "token": "MTA.bot.token"}])
def test_a_message_goes_out_with_the_bots_token_and_the_name_that_discord_asks_for(auth: dict[str, str]) -> None:
    result = run_action(send_message, HELLO, auth=auth, http=[httpx.Response(200, json=OK)])
    assert result.output == OK
    assert str(result.request.url) == "https://discord.com/api/v10/channels/7/messages"
    assert result.request.headers["authorization"] == "Bot MTA.bot.token"
    assert result.request.headers["user-agent"].startswith("DiscordBot (")


def test_text_from_elsewhere_does_not_wake_everyone_unless_it_may() -> None:
    assert sent(content="@everyone hi") == {"content": "@everyone hi", "allowed_mentions": {"parse": ["users"]}}
    assert sent(mentions="everyone")["allowed_mentions"] == {"parse": ["users", "roles", "everyone"]}
    assert sent(mentions="nobody")["allowed_mentions"] == {"parse": []}


def test_what_is_set_goes_along() -> None:
    embeds = [{"title": "New lead"}]
    body = sent(content=None, embeds=embeds, reply_to="9", silent=True, suppress_embeds=True, tts=True)
    assert body == {
        "embeds": embeds,
        "allowed_mentions": {"parse": ["users"]},
        "message_reference": {"message_id": "9"},
        "flags": 4096 | 4,
        "tts": True,
    }


def test_the_same_attempts_message_has_the_same_nonce_and_no_other_has() -> None:
    def nonce(key: str) -> str:
        result = run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(200, json=OK)], idempotency_key=key)
        return str(json.loads(result.request.content)["nonce"])

    assert nonce("a") == nonce("a") != nonce("b")


def test_2000_characters_are_taken_and_one_more_is_refused_before_anything_is_sent() -> None:
    assert len(sent(content="🎉" * 2000)["content"]) == 2000
    with pytest.raises(InputError, match="content"):
        run_action(send_message, {**HELLO, "content": "a" * 2001}, auth=TOKEN)


@pytest.mark.parametrize(
    "inputs",
    [
        {"channel_id": "7"},
        {"content": "x"},
        {**HELLO, "content": "  "},
        {**HELLO, "text": "x"},
        {**HELLO, "channel_id": "../users"},
        {**HELLO, "channel_id": ""},
        {**HELLO, "channel_id": "7\n"},
        {**HELLO, "embeds": [{"title": "x"}] * 11},
        {**HELLO, "mentions": "roles"},
    ],
)
def test_a_missing_wrong_or_unknown_input_is_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(send_message, inputs, auth=TOKEN)


def test_a_channel_given_as_a_number_is_taken() -> None:
    result = run_action(send_message, {**HELLO, "channel_id": 7}, auth=TOKEN, http=[httpx.Response(200, json=OK)])
    assert result.request.url.path.endswith("/channels/7/messages")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, 50035, InputError),
        (400, 50006, InputError),
        (400, 0, Permanent),
        (401, 0, AuthError),
        (403, 50001, PermissionMissing),
        (403, 50013, PermissionMissing),
        (403, 50007, Permanent),
        (403, 20028, RateLimited),
        (403, 99999, PermissionMissing),
        (404, 10003, NotFound),
        (404, 0, NotFound),
        (429, 0, RateLimited),
        (500, 0, Transient),
        (503, 10003, Transient),
    ],
)
def test_a_code_says_what_to_do(status: int, code: int, expected: type[IntegrationError]) -> None:
    error = refused(status, code=code, message="It says why.")
    assert type(error) is expected
    assert error.message == "Discord: It says why."
    assert error.hint or type(error) is Permanent


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _, hint in ERRORS.values())


def test_the_fields_that_discord_complains_of_are_named() -> None:
    title = {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 256 or fewer in length."}]}
    error = refused(400, code=50035, message="Invalid Form Body", errors={"embeds": {"0": {"title": title}}})
    assert error.message == "Discord: Invalid Form Body (embeds.0.title: Must be 256 or fewer in length.)"
    deep: dict[str, Any] = {"_errors": [{"message": "deep"}]}
    for _ in range(100):
        deep = {"x": deep}
    assert refused(400, code=50035, message="No", errors=deep).message == "Discord: No"


@pytest.mark.parametrize(
    ("headers", "answer", "seconds"),
    [
        (
            {"Retry-After": "2"},
            {"message": "You are being rate limited.", "retry_after": 1.372, "global": False},
            1.372,
        ),
        ({"Retry-After": "65"}, {"retry_after": 64}, 64),
        ({"Retry-After": "2"}, {"retry_after": "soon"}, 2),
        ({"Retry-After": "2"}, {"retry_after": True}, 2),
        ({}, {"retry_after": 1e9}, 3600),
        ({}, {"retry_after": -1}, 0),
        ({}, {}, None),
    ],
)
def test_too_many_messages_wait_as_long_as_the_body_says(
    headers: dict[str, str], answer: dict[str, Any], seconds: float | None
) -> None:
    error = refused(429, headers, **answer)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_limit_of_the_house_before_discord_is_html_and_has_the_header() -> None:
    answer = httpx.Response(429, content=b"<html>error code: 1015</html>", headers={"Retry-After": "9"})
    with pytest.raises(RateLimited) as caught:
        run_action(send_message, HELLO, auth=TOKEN, http=[answer])
    assert caught.value.retry_after == 9


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(send_message, HELLO, auth=TOKEN, http=lose)


@pytest.mark.parametrize("answer", [[], {}, {"id": 1, "channel_id": "7"}, {"id": "1"}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(200, json=answer)])


def test_a_token_is_asked_whose_it_is() -> None:
    account, (request,) = check_account(discord, TOKEN, [httpx.Response(200, json={"id": "1", "username": "lead-bot"})])
    assert account.label == "lead-bot on Discord"
    assert str(request.url) == "https://discord.com/api/v10/users/@me"
    with pytest.raises(AuthError):
        check_account(discord, TOKEN, [httpx.Response(401, json={"message": "401: Unauthorized", "code": 0})])


ACME = [{"id": "11", "name": "Acme"}]
SHOP = [{"id": "12", "name": "Shop"}]
CHANNELS = [
    {"id": "70", "name": "Text", "type": 4},
    {"id": "71", "name": "general", "type": 0},
    {"id": "72", "name": "news", "type": 5},
]


def listed(*answers: list[dict[str, Any]], **more: Any) -> tuple[Options, Sequence[httpx.Request]]:
    http = [httpx.Response(200, json=answer) for answer in answers]
    return run_options(send_message, "channel_id", auth=TOKEN, http=http, **more)


def test_channels_are_listed_server_by_server() -> None:
    found, (servers, channels) = listed(ACME, CHANNELS)
    assert list(found.items) == [Option("71", "#general", "Acme"), Option("72", "#news", "Acme")]
    assert found.next_cursor == "11"
    assert str(servers.url) == "https://discord.com/api/v10/users/@me/guilds?limit=1"
    assert str(channels.url) == "https://discord.com/api/v10/guilds/11/channels"
    found, requests = listed([], cursor="11")
    assert (list(found.items), found.next_cursor) == ([], None)
    assert dict(requests[0].url.params) == {"limit": "1", "after": "11"}


def test_a_search_goes_on_to_the_next_server_until_something_is_found() -> None:
    found, requests = listed(ACME, CHANNELS[:1], SHOP, CHANNELS, query="#NEWS")
    assert [(option.label, option.hint) for option in found.items] == [("#news", "Shop")]
    assert (len(requests), found.next_cursor) == (4, "12")
    found, requests = listed(ACME, CHANNELS, [], query="nothing like that")
    assert (list(found.items), found.next_cursor) == ([], None)


@pytest.mark.parametrize("answer", [[{"name": "x"}], [{"id": 7}], [{"id": "../x"}], [1]])
def test_a_list_of_another_form_is_permanent(answer: list[Any]) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        listed(answer)

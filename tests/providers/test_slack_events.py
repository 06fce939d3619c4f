"""Slack's newMessage: which of what Slack tells of starts a run, and what a signing secret looks like."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from integrations.providers.slack import slack
from integrations.providers.slack.actions import send_message
from integrations.providers.slack.triggers import NewMessageOutput, new_message
from integrations.sdk import AuthContext, AuthError, InputError, Item, WebhookReply, WebhookRequest
from integrations.sdk.auth import AuthView
from integrations.sdk.testing import run_webhook

MESSAGE = {
    "type": "message",
    "channel": "C012AB3CD",
    "channel_type": "channel",
    "user": "U061F7AUR",
    "text": "Hello",
    "ts": "1772443800.000100",
    "event_ts": "1772443800.000100",
}
BOT = {"bot_id": "B19LU7CSY", "user": "U0BOT"}


def told(*, inputs: dict[str, Any] | None = None, wrapped: dict[str, Any] | None = None, **event: Any) -> Any:
    body = {
        "type": "event_callback",
        "event_id": "Ev0PV52K25",
        "team_id": "T1H9RESGL",
        "api_app_id": "A2H9RFS1A",
        "event": {**MESSAGE, **event},
        **(wrapped or {}),
    }
    return read(body, inputs)


def read(body: Any, inputs: dict[str, Any] | None = None) -> Any:
    request = WebhookRequest(method="POST", body=json.dumps(body).encode())
    return run_webhook(new_message, inputs or {}, request)


def test_a_message_is_an_event_by_slacks_own_id() -> None:
    (item,) = told(thread_ts="1772443700.000100")
    assert isinstance(item, Item)
    assert item.id == "Ev0PV52K25"
    assert item.data == {
        "event_id": "Ev0PV52K25",
        "team": "T1H9RESGL",
        "channel": "C012AB3CD",
        "channel_type": "channel",
        "user": "U061F7AUR",
        "text": "Hello",
        "ts": "1772443800.000100",
        "thread_ts": "1772443700.000100",
        "event": {**MESSAGE, "thread_ts": "1772443700.000100"},
    }
    NewMessageOutput.model_validate(item.data)


@pytest.mark.parametrize(
    ("event", "inputs", "starts"),
    [
        ({}, {"channels": ["C012AB3CD", "C999"]}, True),
        ({}, {"channels": ["C999"]}, False),
        ({"subtype": "file_share", "text": None}, {}, True),
        ({"subtype": "message_changed"}, {}, False),
        ({"subtype": "message_deleted"}, {}, False),
        ({"subtype": "channel_join"}, {}, False),
        ({"thread_ts": "1.0"}, {"replies": False}, False),
        ({"thread_ts": MESSAGE["ts"]}, {"replies": False}, True),
        ({"type": "reaction_added"}, {}, False),
        (BOT, {}, False),
        (BOT, {"bots": True}, True),
        ({**BOT, "subtype": "bot_message"}, {"bots": True}, True),
        ({"subtype": "bot_message"}, {}, False),
        ({**BOT, "subtype": "message_changed"}, {"bots": True}, False),
        ({**BOT, "app_id": "A2H9RFS1A"}, {"bots": True}, False),
        ({**BOT, "bot_profile": {"app_id": "A2H9RFS1A"}}, {"bots": True}, False),
        ({**BOT, "app_id": "AOTHER"}, {"bots": True}, True),
    ],
)
def test_only_what_somebody_wrote_and_was_asked_for_starts_a_run(
    event: dict[str, Any], inputs: dict[str, Any], starts: bool
) -> None:
    assert len(told(inputs=inputs, **event)) == starts


def test_the_apps_own_messages_are_known_by_its_user_too() -> None:
    of_the_app = {"authorizations": [{"user_id": "U0BOT", "is_bot": True}]}
    assert told(inputs={"bots": True}, wrapped=of_the_app, **BOT) == []
    assert len(told(inputs={"bots": True}, wrapped={"authorizations": [{"user_id": "U1"}]}, **BOT)) == 1


def test_slacks_first_request_is_answered_with_its_challenge() -> None:
    reply = read({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aB"})
    assert isinstance(reply, WebhookReply)
    assert (reply.status, reply.body) == (200, {"challenge": "3eZbrw1aB"})


@pytest.mark.parametrize("body", [[], {}, "x", {"type": 5}])
def test_what_is_no_event_is_said_to_be_none(body: Any) -> None:
    with pytest.raises(InputError, match="no event of Slack's"):
        read(body)
    assert read({"type": "app_rate_limited", "minute_rate_limited": 1}) == []
    with pytest.raises(InputError, match="no id"):
        told(ts=None)


@pytest.mark.parametrize("channel", ["#general", "c012ab3cd", "U061F7AUR", ""])
def test_a_channel_is_given_by_its_id(channel: str) -> None:
    with pytest.raises(InputError):
        told(inputs={"channels": [channel]})


def test_a_signing_secret_is_known_by_its_form_and_is_on_no_request() -> None:
    test = slack.auth_test("api_key")
    assert test is not None

    def label(secret: str) -> str:
        auth = AuthView({"provider": "slack", "type": "api_key", "api_key": secret})
        return asyncio.run(test(AuthContext(auth=auth, http=None))).label  # type: ignore[arg-type]

    assert label("0123456789abcdef" * 2) == "Signing secret of a Slack app"
    with pytest.raises(AuthError, match="no signing secret"):
        label("xoxb-1234")
    with pytest.raises(AuthError):
        send_message.check_auth({"provider": "slack", "type": "api_key"})
    with pytest.raises(AuthError):
        new_message.check_auth({"provider": "slack", "type": "bearer_token"})

"""What goes to Telegram, held against the description of its Bot API."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.telegram import telegram
from integrations.providers.telegram.actions import SentOutput, send_message, send_photo
from integrations.providers.telegram.triggers import KINDS, MessageReceivedOutput, message_received
from integrations.sdk import Action, Subscription, WebhookRequest
from integrations.sdk.testing import check_account, run_subscribe, run_unsubscribe, run_webhook
from tests.contract.described import described, description, request_of
from tests.contract.recorded import EXCHANGES

pytestmark = described

PLAIN = {"String": str, "Integer": int, "Boolean": bool}
KEYBOARD = {"inline_keyboard": [[{"text": "Open", "url": "https://example.com"}]]}
SHARED = {
    "chat_id": "7",
    "parse_mode": "HTML",
    "disable_notification": True,
    "protect_content": True,
    "message_thread_id": 3,
    "reply_to": 9,
    "reply_markup": KEYBOARD,
}
MESSAGE = {"text": "hi", "disable_link_preview": True}
PICTURE = {"photo": "https://x.test/a.png", "caption": "c", "show_caption_above_media": True, "has_spoiler": True}


def fits(value: Any, names: list[str]) -> bool:
    """Whether a value is of one of the described types; an object may have described fields alone."""
    return any(isinstance(value, PLAIN[name]) if name in PLAIN else _fits_object(value, name) for name in names)


def _fits_object(value: Any, name: str) -> bool:
    if name.startswith("Array of "):
        return isinstance(value, list) and all(fits(each, [name.removeprefix("Array of ")]) for each in value)
    fields = {field["name"]: field for field in description("telegram/bot_api.json")["types"][name].get("fields", ())}
    required = {name for name, field in fields.items() if field["required"]}
    return (
        isinstance(value, dict)
        and required <= set(value) <= set(fields)
        and all(fits(each, fields[key]["types"]) for key, each in value.items())
    )


@pytest.mark.parametrize(
    ("action", "inputs"),
    [
        (send_message, {"chat_id": "7", "text": "hi"}),
        (send_message, {**SHARED, **MESSAGE}),
        (send_photo, {"chat_id": "7", "photo": "AgAC"}),
        (send_photo, {**SHARED, **PICTURE}),
    ],
)
def test_a_message_is_what_telegram_describes(action: Action, inputs: dict[str, Any]) -> None:
    request = request_of(action, inputs, {"api_key": "42:AA"})
    method = description("telegram/bot_api.json")["methods"][request.url.path.removeprefix("/bot42:AA/")]
    fields = {field["name"]: field for field in method["fields"]}
    body = json.loads(request.content)
    assert {name for name, field in fields.items() if field["required"]} <= set(body) <= set(fields)
    assert [name for name, value in body.items() if not fits(value, fields[name]["types"])] == []


def test_a_body_that_telegram_would_refuse_does_not_pass() -> None:
    assert not fits("9", ["Integer"])
    assert not fits({"disabled": True}, ["LinkPreviewOptions"])
    assert not fits({}, ["ReplyParameters", "String"])
    assert not fits({"inline_keyboard": [{"text": "x"}]}, ["InlineKeyboardMarkup"])


@pytest.mark.parametrize("action", [send_message, send_photo])
def test_our_exchanges_and_outputs_are_what_telegram_describes(action: Action) -> None:
    answer = EXCHANGES[action.key].answer["result"]
    fields = {field["name"] for field in description("telegram/bot_api.json")["types"]["Message"]["fields"]}
    assert fits(answer, ["Message"])
    assert set(SentOutput.model_fields) <= fields


def test_the_limits_and_the_pause_are_those_that_telegram_describes() -> None:
    spec = description("telegram/bot_api.json")
    (text,) = (field for field in spec["methods"]["sendMessage"]["fields"] if field["name"] == "text")
    (caption,) = (field for field in spec["methods"]["sendPhoto"]["fields"] if field["name"] == "caption")
    assert "1-4096 characters" in text["description"]
    assert "0-1024 characters" in caption["description"]
    assert fits({"retry_after": 5, "migrate_to_chat_id": -1}, ["ResponseParameters"])


def test_the_test_of_a_token_is_what_telegram_describes() -> None:
    bot = {"id": 42, "is_bot": True, "first_name": "x", "username": "x"}
    assert fits(bot, ["User"])
    answer = httpx.Response(200, json={"ok": True, "result": bot})
    _, (request,) = check_account(telegram, {"type": "api_key", "api_key": "42:AA"}, [answer])
    assert request.url.path.removeprefix("/bot42:AA/") in description("telegram/bot_api.json")["methods"]


BOT = {"id": 42, "is_bot": True, "first_name": "x", "username": "x"}


def test_a_webhook_is_what_telegram_describes() -> None:
    spec = description("telegram/bot_api.json")
    answers = [{"url": "", "has_custom_certificate": False, "pending_update_count": 0}, True]
    assert fits(answers[0], ["WebhookInfo"])
    told = [httpx.Response(200, json={"ok": True, "result": each}) for each in (BOT, *answers)]
    auth = {"api_key": "42:AA"}
    every = {"channels": True, "edited": True}
    made, (_bot, asked, wanted) = run_subscribe(message_received, every, auth=auth, http=told)
    info = httpx.Response(200, json={"ok": True, "result": {"url": made.state["url"]}})
    seen, ended = run_unsubscribe(
        message_received, every, Subscription(state=made.state), auth=auth, http=[info, told[-1]]
    )
    for request in (asked, wanted, seen, ended):
        fields = {
            field["name"]: field
            for field in spec["methods"][request.url.path.removeprefix("/bot42:AA/")].get("fields", ())
        }
        body = json.loads(request.content or b"{}")
        assert {name for name, field in fields.items() if field["required"]} <= set(body) <= set(fields)
        assert [name for name, value in body.items() if not fits(value, fields[name]["types"])] == []
    updates = {field["name"]: field["types"] for field in spec["types"]["Update"]["fields"]}
    assert all(updates[kind] == ["Message"] for kind in KINDS)
    (secret,) = (field for field in spec["methods"]["setWebhook"]["fields"] if field["name"] == "secret_token")
    assert "X-Telegram-Bot-Api-Secret-Token" in secret["description"]


def test_a_message_of_telegrams_gives_what_we_say_it_gives() -> None:
    sample = message_received.sample
    assert isinstance(sample, dict)
    message = {name: value for name, value in sample.items() if name not in ("update_id", "kind")}
    assert fits(message, ["Message"])
    assert fits({"update_id": 1, "message": message}, ["Update"])
    body = json.dumps({"update_id": 10000, "message": message}).encode()
    (item,) = run_webhook(message_received, {}, WebhookRequest(method="POST", body=body))
    assert item.data == sample
    MessageReceivedOutput.model_validate(item.data)

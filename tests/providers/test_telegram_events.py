"""Telegram's messageReceived: the bot's webhook, which is there once, and what of its updates starts a run."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from integrations.providers.telegram.triggers import MessageReceivedOutput, is_telegrams, message_received, update_of
from integrations.sdk import InputError, IntegrationError, NotFound, Permanent, Subscription, WebhookRequest
from integrations.sdk.testing import run_subscribe, run_unsubscribe, run_webhook
from integrations.sdk.webhook import WebhookContext

AUTH = {"api_key": "42:canary-token"}
ADDRESS = "https://orchestrator.example.com/h/token"
OURS = f"{ADDRESS}?bot=42&of=2bb80d537b1da3e3"  # of the secret "secret"
THERE = Subscription(id="42", state={"bot": "@acme_bot", "url": OURS}, address=ADDRESS)
MESSAGE = {
    "message_id": 17,
    "date": 1772443800,
    "chat": {"id": -100123, "type": "group", "username": "Acme_News"},
    "from": {"id": 7, "is_bot": False, "first_name": "Ada"},
    "text": "Hello",
}


def result(value: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": True, "result": value})


BOT = {"id": 42, "is_bot": True, "first_name": "Acme", "username": "acme_bot"}


def methods(requests: Any) -> list[str]:
    return [request.url.path.rpartition("/")[2] for request in requests]


@pytest.mark.parametrize("known", ["", OURS, f"{ADDRESS}?bot=42&of=an-older-one", ADDRESS])
def test_the_bot_is_made_to_call_the_address_with_a_secret_of_its_own(known: str) -> None:
    answers = [result(BOT), result({"url": known}), result(True)]
    made, requests = run_subscribe(message_received, {"edited": True}, address=ADDRESS, auth=AUTH, http=answers)
    assert made == THERE
    assert methods(requests) == ["getMe", "getWebhookInfo", "setWebhook"]
    assert json.loads(requests[-1].content) == {
        "url": OURS,
        "secret_token": "secret",
        "allowed_updates": ["message", "edited_message"],
    }
    assert "canary" not in repr(made)


def test_a_bot_that_calls_somebody_else_is_left_to_them_and_it_is_said() -> None:
    other = result({"url": "https://n8n.example.com/webhook/secret-path"})
    with pytest.raises(Permanent, match=r"@acme_bot calls another address already, at n8n\.example\.com") as caught:
        run_subscribe(message_received, {}, address=ADDRESS, auth=AUTH, http=[result(BOT), other])
    assert "secret-path" not in f"{caught.value.message}{caught.value.hint}"
    assert "@BotFather" in caught.value.hint
    with pytest.raises(Permanent, match="another address"):
        run_subscribe(message_received, {}, known=THERE, address=ADDRESS, auth=AUTH, http=[other])


def test_a_webhook_that_is_gone_is_set_anew() -> None:
    made, requests = run_subscribe(
        message_received, {}, known=THERE, address=ADDRESS, auth=AUTH, http=[result({"url": OURS})]
    )
    assert (made, methods(requests)) == (THERE, ["getWebhookInfo"])
    for url in ("", f"{ADDRESS}?bot=42&of=an-older-one"):
        with pytest.raises(NotFound):
            run_subscribe(message_received, {}, known=THERE, address=ADDRESS, auth=AUTH, http=[result({"url": url})])


@pytest.mark.parametrize(
    ("known", "told", "is_taken_away"),
    [
        (OURS, THERE, True),
        (f"{ADDRESS}?bot=42&of=a-newer-one", THERE, False),
        ("https://n8n.example.com/x", THERE, False),
        ("", THERE, False),
        (OURS, Subscription(address=ADDRESS), True),
        ("https://n8n.example.com/x", Subscription(address=ADDRESS), False),
    ],
)
def test_only_a_webhook_of_ours_is_taken_away(known: str, told: Subscription, is_taken_away: bool) -> None:
    answers = [result({"url": known}), result(True)]
    requests = run_unsubscribe(message_received, {}, told, auth=AUTH, http=answers)
    assert methods(requests) == ["getWebhookInfo", *(["deleteWebhook"] if is_taken_away else [])]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (httpx.Response(401, json={"ok": False, "description": "Unauthorized"}), "auth", "@BotFather"),
        (httpx.Response(429, json={"ok": False, "parameters": {"retry_after": 7}}), "rate_limited", ""),
        (httpx.Response(200, json={"ok": True, "result": {}}), "permanent", ""),
        (
            httpx.Response(400, json={"ok": False, "description": "Bad Request: bad webhook: HTTPS url must be"}),
            "permanent",
            "BASE_URL",
        ),
    ],
)
def test_what_telegram_refuses_is_told(answer: httpx.Response, kind: str, said: str) -> None:
    with pytest.raises(IntegrationError) as caught:
        run_subscribe(message_received, {}, address=ADDRESS, auth=AUTH, http=[answer])
    assert caught.value.kind == kind
    assert said in caught.value.hint
    assert "canary" not in f"{caught.value.message}{caught.value.hint}{caught.value.detail}"


def request_with(update: Any, **more: Any) -> WebhookRequest:
    body = update if isinstance(update, bytes) else json.dumps(update).encode()
    return WebhookRequest(method="POST", query={"bot": "42", "of": "x"}, body=body, **more)


def told(update: dict[str, Any], **inputs: Any) -> Any:
    return run_webhook(message_received, inputs, request_with({"update_id": 10, **update}))


def test_a_message_is_an_event_by_the_bots_own_number_of_it() -> None:
    (item,) = told({"message": MESSAGE})
    assert item.id == "42:10"
    assert item.data == {**MESSAGE, "update_id": 10, "kind": "message"}
    assert MessageReceivedOutput.model_validate(item.data).sender is not None
    photo = {name: value for name, value in MESSAGE.items() if name != "text"}
    (item,) = told({"message": {**photo, "caption": "A chart"}})
    assert item.data["text"] == "A chart"
    assert told({"message": photo})[0].data["text"] == ""


@pytest.mark.parametrize(
    ("kind", "inputs", "starts"),
    [
        ("message", {"chats": ["-100123"]}, True),
        ("message", {"chats": ["@acme_news"]}, True),
        ("message", {"chats": ["-100124", "@other"]}, False),
        ("edited_message", {}, False),
        ("edited_message", {"edited": True}, True),
        ("channel_post", {}, False),
        ("channel_post", {"channels": True}, True),
        ("edited_channel_post", {"channels": True}, False),
        ("edited_channel_post", {"channels": True, "edited": True}, True),
        ("callback_query", {}, False),
    ],
)
def test_only_what_was_asked_for_starts_a_run(kind: str, inputs: dict[str, Any], starts: bool) -> None:
    assert len(told({kind: MESSAGE}, **inputs)) == starts


def test_who_has_not_the_secret_is_not_telegram() -> None:
    ctx: WebhookContext[Any] = WebhookContext(inputs=None, secret="shared")
    for given, genuine in (("shared", True), ("other", False), ("", False), ("sharéd", False)):
        headers = {"x-telegram-bot-api-secret-token": given}
        assert is_telegrams(ctx, request_with({}, headers=headers)) is genuine
    assert not is_telegrams(ctx, request_with({}))
    assert not is_telegrams(WebhookContext(inputs=None, secret=""), request_with({}))


def test_what_is_no_update_is_said_to_be_none() -> None:
    for update in ([], {"message": MESSAGE}, {"update_id": "10"}):
        with pytest.raises(InputError, match="no update"):
            run_webhook(message_received, {}, request_with(update))
    with pytest.raises(InputError, match="no message"):
        told({"message": {"text": "x"}})
    assert update_of(request_with({"update_id": 7})) == "42:7"

"""Telegram's sendMessage and sendPhoto: what goes out, where the token is not, and what each refusal becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.telegram import telegram
from integrations.providers.telegram.actions import send_message, send_photo, units
from integrations.providers.telegram.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action

TOKEN = {"type": "api_key", "api_key": "42:AA-canary_x"}
RESULT = {"message_id": 17, "date": 1772443800, "chat": {"id": 7, "type": "private"}, "text": "hi"}
OK = {"ok": True, "result": RESULT}
HELLO = {"chat_id": "7", "text": "hi"}
PHOTO = {"chat_id": "@acme_news", "photo": "https://example.com/chart.png"}


def sent(**inputs: Any) -> dict[str, Any]:
    result = run_action(send_message, {**HELLO, **inputs}, auth=TOKEN, http=[httpx.Response(200, json=OK)])
    body: dict[str, Any] = json.loads(result.request.content)
    return body


def refused(status: int, headers: dict[str, str] | None = None, **answer: object) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(status, json=answer, headers=headers)])
    return caught.value


@pytest.mark.parametrize("auth", [TOKEN, {"type": "bearer_token", "token": "42:AA-canary_x"}])
def test_a_message_goes_out_with_the_token_in_the_path_alone(auth: dict[str, str]) -> None:
    result = run_action(send_message, HELLO, auth=auth, http=[httpx.Response(200, json=OK)])
    assert result.output == RESULT
    assert str(result.request.url) == "https://api.telegram.org/bot42:AA-canary_x/sendMessage"
    assert "authorization" not in result.request.headers
    assert json.loads(result.request.content) == HELLO
    assert "canary" not in repr((result.output, result.logs))


def test_the_root_that_an_operator_sets_keeps_its_path() -> None:
    root = "http://127.0.0.1:9001/telegram"
    result = run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(200, json=OK)], base_url=root)
    assert str(result.request.url) == f"{root}/bot42:AA-canary_x/sendMessage"


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 409, 429, 500])
def test_no_error_names_the_token_although_telegram_does(status: int) -> None:
    told = "https://api.telegram.org/bot42:AA-canary_x/sendMessage, bot42%3AAA-canary_x, 42:AA-canary_x"
    answer = {"ok": False, "error_code": status, "description": f"Bad Request: {told}"}
    error = refused(status, {"Location": told, "X-Echo": told}, **answer)
    assert "canary" not in repr((error, vars(error), error.__cause__))


def test_a_lost_answer_names_no_token_and_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError(f"gone: {request.url}")

    for action, inputs in ((send_message, HELLO), (send_photo, PHOTO)):
        with pytest.raises(OutcomeUnknown) as caught:
            run_action(action, inputs, auth=TOKEN, http=lose)
        assert "canary" not in repr((caught.value, vars(caught.value), caught.value.__cause__))


def test_the_token_is_not_taken_to_where_a_redirect_leads() -> None:
    asked: list[str] = []

    def lead(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(307, headers={"Location": "https://api.telegram.org/other"})

    with pytest.raises(Permanent):
        run_action(send_message, HELLO, auth=TOKEN, http=lead)
    assert asked == ["api.telegram.org"]


def test_what_is_set_goes_along() -> None:
    keyboard = {"inline_keyboard": [[{"text": "Open", "url": "https://example.com"}]]}
    body = sent(
        chat_id=-1001234567890,
        text="<b>hi</b>",
        parse_mode="HTML",
        disable_notification=True,
        protect_content=True,
        message_thread_id=3,
        reply_to=9,
        reply_markup=keyboard,
        disable_link_preview=True,
    )
    assert body == {
        "chat_id": "-1001234567890",
        "text": "<b>hi</b>",
        "parse_mode": "HTML",
        "disable_notification": True,
        "protect_content": True,
        "message_thread_id": 3,
        "reply_parameters": {"message_id": 9},
        "reply_markup": keyboard,
        "link_preview_options": {"is_disabled": True},
    }


def test_a_photo_goes_out_by_its_address() -> None:
    inputs = {**PHOTO, "caption": "Sales", "has_spoiler": True, "show_caption_above_media": True}
    result = run_action(send_photo, inputs, auth=TOKEN, http=[httpx.Response(200, json=OK)])
    assert result.request.url.path.endswith("/sendPhoto")
    assert json.loads(result.request.content) == inputs


def test_length_is_counted_in_utf_16_units() -> None:
    assert [units(text) for text in ("a", "ü", "€", "🎉", "👩‍👩‍👧")] == [1, 1, 1, 2, 8]
    assert len(sent(text="🎉" * 2048)["text"]) == 2048
    with pytest.raises(InputError, match="4,096"):
        run_action(send_message, {**HELLO, "text": "🎉" * 2048 + "a"}, auth=TOKEN)
    with pytest.raises(InputError, match="1,024"):
        run_action(send_photo, {**PHOTO, "caption": "🎉" * 512 + "a"}, auth=TOKEN)
    run_action(send_photo, {**PHOTO, "caption": "🎉" * 512}, auth=TOKEN, http=[httpx.Response(200, json=OK)])


def test_markup_does_not_count() -> None:
    assert sent(text=f'<a href="https://example.com">{"a" * 4000}</a>{"&amp;" * 96}', parse_mode="HTML")
    assert sent(text="\\." * 4096, parse_mode="MarkdownV2")
    with pytest.raises(InputError, match="4,096"):
        run_action(send_message, {**HELLO, "text": f"<b>{'a' * 4097}</b>", "parse_mode": "HTML"}, auth=TOKEN)


@pytest.mark.parametrize(
    "inputs",
    [
        {"chat_id": "7"},
        {"text": "x"},
        {**HELLO, "text": ""},
        {**HELLO, "chat_id": "ada"},
        {**HELLO, "chat_id": ""},
        {**HELLO, "chat_id": True},
        {**HELLO, "parse_mode": "html"},
        {**HELLO, "txt": "x"},
    ],
)
def test_a_missing_wrong_or_unknown_input_is_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(send_message, inputs, auth=TOKEN)


@pytest.mark.parametrize(
    ("status", "description", "expected"),
    [
        (400, "Bad Request: chat not found", NotFound),
        (400, "Bad Request: message is too long", InputError),
        (400, "Bad Request: can't parse entities: Unsupported start tag", InputError),
        (400, "Bad Request: wrong type of the web page content", InputError),
        (400, "Bad Request: something new", Permanent),
        (401, "Unauthorized", AuthError),
        (403, "Forbidden: bot was blocked by the user", Permanent),
        (403, "Forbidden: something new", Permanent),
        (404, "Not Found", AuthError),
        (409, "Conflict: terminated by other getUpdates request", Permanent),
        (429, "Too Many Requests: retry after 5", RateLimited),
        (500, "Internal Server Error", Transient),
        (200, "Bad Request: chat not found", NotFound),
    ],
)
def test_a_description_says_what_to_do(status: int, description: str, expected: type[IntegrationError]) -> None:
    error = refused(status, ok=False, error_code=status, description=description)
    assert type(error) is expected
    assert error.message == f"Telegram: {description}"


def test_every_description_has_a_hint_and_is_found() -> None:
    for words, kind, hint in ERRORS:
        assert words == words.lower()
        error = refused(400, ok=False, description=f"Bad Request: {words.upper()}")
        assert (type(error), error.hint) == (kind, hint)


def test_a_wrong_token_says_where_to_get_one() -> None:
    assert "@BotFather" in refused(404, ok=False, error_code=404, description="Not Found").hint


def test_a_group_with_a_new_id_is_told() -> None:
    error = refused(
        400,
        ok=False,
        description="Bad Request: group chat was upgraded to a supergroup chat",
        parameters={"migrate_to_chat_id": -1001234567890},
    )
    assert type(error) is Permanent
    assert "-1001234567890" in error.hint


@pytest.mark.parametrize(
    ("headers", "parameters", "seconds"),
    [
        ({}, {"retry_after": 35}, 35),
        ({"Retry-After": "9"}, {"retry_after": 35}, 35),
        ({"Retry-After": "9"}, {"retry_after": "soon"}, 9),
        ({"Retry-After": "9"}, None, 9),
        ({}, {"retry_after": 10**12}, 3600),
        ({}, [1], None),
    ],
)
def test_too_many_messages_wait_as_long_as_the_parameters_say(
    headers: dict[str, str], parameters: object, seconds: float | None
) -> None:
    error = refused(429, headers, ok=False, description="Too Many Requests", parameters=parameters)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"ok": "yes"}, {"ok": True}, {"ok": True, "result": True}, {"ok": True, "result": {**RESULT, "chat": 1}}],
)
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(send_message, HELLO, auth=TOKEN, http=[httpx.Response(200, json=answer)])


def test_a_token_is_asked_whose_it_is() -> None:
    bot = {"id": 42, "is_bot": True, "first_name": "Leads", "username": "acme_leads_bot"}
    account, (request,) = check_account(telegram, TOKEN, [httpx.Response(200, json={"ok": True, "result": bot})])
    assert account.label == "@acme_leads_bot on Telegram"
    assert str(request.url) == "https://api.telegram.org/bot42:AA-canary_x/getMe"
    for status in (401, 404):
        with pytest.raises(AuthError):
            check_account(telegram, TOKEN, [httpx.Response(status, json={"ok": False, "description": "Unauthorized"})])
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(telegram, TOKEN, [httpx.Response(200, json={"ok": True, "result": []})])


def test_a_photo_that_an_earlier_step_gives_as_a_file_is_uploaded() -> None:
    file = {"name": "chart.png", "type": "image/png", "base64": "iVBORw0K"}
    answer = {"ok": True, "result": {**RESULT, "photo": []}}
    for photo in (file, "data:image/png;name=chart.png;base64,iVBORw0K"):
        inputs = {"chat_id": "7", "photo": photo, "caption": "hi", "reply_to": 5}
        result = run_action(send_photo, inputs, auth=TOKEN, http=[httpx.Response(200, json=answer)])
        assert result.request.headers["content-type"].startswith("multipart/form-data; boundary=")
        content = result.request.content
        assert b'name="photo"; filename="chart.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\r\n' in content
        assert b'name="reply_parameters"\r\n\r\n{"message_id": 5}\r\n' in content
    too_large = {"name": "a.png", "base64": "A" * (14 * 1024 * 1024)}
    with pytest.raises(InputError, match="at most 10,485,760 are taken") as caught:
        run_action(send_photo, {"chat_id": "7", "photo": too_large}, auth=TOKEN)
    assert caught.value.field == "photo"

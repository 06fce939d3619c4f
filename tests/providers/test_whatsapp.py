"""WhatsApp's sendMessage: what goes out, and what each code becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.whatsapp import whatsapp
from integrations.providers.whatsapp.actions import send_message
from integrations.providers.whatsapp.client import ERRORS
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
from integrations.sdk.testing import ActionResult, check_account, run_action

AUTH = {"token": "EAA-canary"}
OK = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "x", "wa_id": "4915112345678"}],
    "messages": [{"id": "wamid.1"}],
}
TO = {"phone_number_id": "106540352242922", "to": "+49 (151) 123-456.78"}
TEXT = {**TO, "text": "Grüße"}


def send(*answers: httpx.Response, **inputs: Any) -> ActionResult:
    return run_action(send_message, {**TO, **inputs}, auth=AUTH, http=answers or [httpx.Response(200, json=OK)])


def sent(**inputs: Any) -> Any:
    return json.loads(send(**inputs).request.content)


def refused(status: int, code: Any = None, headers: dict[str, str] | None = None, **more: Any) -> IntegrationError:
    error = {"message": f"(#{code}) Title", "type": "OAuthException", "code": code, "fbtrace_id": "x", **more}
    with pytest.raises(IntegrationError) as caught:
        send(httpx.Response(status, json={"error": error}, headers=headers), text="Hi")
    return caught.value


def test_a_text_goes_to_a_number_as_people_write_it() -> None:
    result = send(text="Grüße")
    assert str(result.request.url) == "https://graph.facebook.com/v24.0/106540352242922/messages"
    assert result.request.headers["authorization"] == "Bearer EAA-canary"
    assert json.loads(result.request.content) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+4915112345678",
        "type": "text",
        "text": {"body": "Grüße", "preview_url": False},
    }
    assert result.output == {"message_id": "wamid.1", "wa_id": "4915112345678", "status": "accepted"}
    assert sent(text="x", phone_number_id=106540352242922, to=4915112345678)["to"] == "4915112345678"


def test_a_template_goes_with_its_values_and_further_parts() -> None:
    header = {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x.test/a.png"}}]}
    body = sent(template="order_shipped", language="de", parameters=["Ada", 77], components=[header], reply_to="w.1")
    assert body["context"] == {"message_id": "w.1"}
    assert body["type"] == "template"
    assert body["template"] == {
        "name": "order_shipped",
        "language": {"code": "de"},
        "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "Ada"}, {"type": "text", "text": "77"}]},
            header,
        ],
    }
    assert "text" not in body
    assert sent(template="hello_world")["template"] == {"name": "hello_world", "language": {"code": "en_US"}}


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"text": " "},
        {"text": "x", "template": "hello"},
        {"text": "x", "parameters": ["a"]},
        {"text": "x" * 4097},
        {"text": "x", "to": "0151 12345678"},
        {"text": "x", "to": "ada"},
        {"text": "x", "to": True},
        {"text": "x", "phone_number_id": "../me"},
        {"template": "Order Shipped"},
        {"template": "hello", "language": "English"},
        {"template": "hello", "parameters": [{}]},
        {"body": "x"},
    ],
)
def test_inputs_that_fit_no_message_are_refused_before_anything_is_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(send_message, {**TO, **inputs}, auth=AUTH)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, 190, AuthError),
        (401, 0, AuthError),
        (400, 100, InputError),
        (400, 132000, InputError),
        (404, 132001, InputError),
        (400, 33, NotFound),
        (403, 10, PermissionMissing),
        (403, 200, PermissionMissing),
        (403, 299, PermissionMissing),
        (500, 3, PermissionMissing),
        (429, 130429, RateLimited),
        (400, 130429, RateLimited),
        (400, 131056, RateLimited),
        (400, 80007, RateLimited),
        (400, 131047, Permanent),
        (400, 131026, Permanent),
        (400, 131048, Permanent),
        (403, 131031, Permanent),
        (500, 131000, Transient),
        (503, 2, Transient),
        (400, 999999, Permanent),
        (500, 999999, Transient),
        (400, "190", Permanent),
    ],
)
def test_a_code_says_what_to_do(status: int, code: Any, expected: type[IntegrationError]) -> None:
    assert type(refused(status, code)) is expected


def test_the_details_are_told_and_the_field_is_named() -> None:
    details = {"messaging_product": "whatsapp", "details": "Template name does not exist in de"}
    error = refused(404, 132001, error_data=details)
    assert isinstance(error, InputError)
    assert error.message == "WhatsApp: Template name does not exist in de (code 132001)"
    assert error.field == "template"
    assert "(#131047) Title" in refused(400, 131047).message
    assert "template" in refused(400, 131047).hint


def test_a_limit_says_how_long_to_wait() -> None:
    pair, told = refused(400, 131056), refused(429, 130429, {"Retry-After": "60"})
    assert [each.retry_after for each in (pair, told) if isinstance(each, RateLimited)] == [6, 60]


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in ERRORS.values())


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(send_message, TEXT, auth=AUTH, http=lose)


@pytest.mark.parametrize("answer", [[], {}, {"messages": []}, {"messages": [{}]}, {"messages": [{"id": 1}]}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        send(httpx.Response(200, json=answer), text="Hi")


def test_a_message_that_is_held_back_says_so() -> None:
    held = {**OK, "messages": [{"id": "wamid.1", "message_status": "held_for_quality_assessment"}], "contacts": []}
    output = send(httpx.Response(200, json=held), template="hello_world").output
    assert output == {"message_id": "wamid.1", "wa_id": "4915112345678", "status": "held_for_quality_assessment"}


def test_a_token_is_asked_whose_it_is() -> None:
    auth = {"type": "bearer_token", **AUTH}
    account, (request,) = check_account(whatsapp, auth, [httpx.Response(200, json={"id": "1", "name": "Bot"})])
    assert account.label == "Bot at Meta"
    assert str(request.url) == "https://graph.facebook.com/v24.0/me?fields=id%2Cname"
    with pytest.raises(AuthError):
        check_account(whatsapp, auth, [httpx.Response(401, json={"error": {"code": 190, "message": "expired"}})])
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(whatsapp, auth, [httpx.Response(200, json={})])

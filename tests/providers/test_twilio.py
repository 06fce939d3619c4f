"""Twilio's sendSms: what goes out, and what each refusal becomes."""

import base64
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from integrations.providers.twilio import twilio
from integrations.providers.twilio.actions import send_sms
from integrations.providers.twilio.client import ERRORS
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

SID = "AC0123456789abcdef0123456789abcdef"
SERVICE = "MG0123456789abcdef0123456789abcdef"
AUTH = {"type": "basic", "username": SID, "password": "secret-1"}
KEY = {"type": "basic", "username": "SK0123456789abcdef0123456789abcdef", "password": "secret-1"}
OK = {"sid": "SM1", "status": "queued", "to": "+4915112345678"}
SMS = {"to": "+4915112345678", "body": "Grüße & 1+1", "from": "+15005550006"}


def sent(**inputs: Any) -> dict[str, list[str]]:
    """Send a message and return the form that went out."""
    result = run_action(send_sms, {**SMS, **inputs}, auth=AUTH, http=[httpx.Response(201, json=OK)])
    assert result.request.headers["content-type"] == "application/x-www-form-urlencoded"
    return parse_qs(result.request.content.decode(), strict_parsing=True)


def refused(status: int, headers: dict[str, str] | None = None, **answer: object) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run_action(send_sms, SMS, auth=AUTH, http=[httpx.Response(status, json=answer, headers=headers)])
    return caught.value


def test_a_message_goes_out_as_a_form_with_sid_and_token() -> None:
    result = run_action(send_sms, SMS, auth=AUTH, http=[httpx.Response(201, json=OK)])
    assert result.output == OK
    assert str(result.request.url) == f"https://api.twilio.com/2010-04-01/Accounts/{SID}/Messages.json"
    assert result.request.headers["authorization"] == f"Basic {base64.b64encode(f'{SID}:secret-1'.encode()).decode()}"
    assert sent() == {"To": ["+4915112345678"], "Body": ["Grüße & 1+1"], "From": ["+15005550006"]}


def test_a_messaging_service_takes_the_place_of_a_number() -> None:
    form = sent(**{"from": None, "messaging_service_sid": SERVICE})
    assert form["MessagingServiceSid"] == [SERVICE]
    assert "From" not in form


def test_what_is_set_goes_along() -> None:
    form = sent(body=None, media_url=["https://x.test/a", "https://x.test/b"], status_callback="https://x.test/h")
    assert form["MediaUrl"] == ["https://x.test/a", "https://x.test/b"]
    assert form["StatusCallback"] == ["https://x.test/h"]
    assert "Body" not in form
    assert sent(to=" whatsapp:+4915112345678 ")["To"] == ["whatsapp:+4915112345678"]


def test_an_api_key_needs_the_account_that_it_is_of() -> None:
    with pytest.raises(InputError) as caught:
        run_action(send_sms, SMS, auth=KEY)
    assert caught.value.field == "account_sid"
    result = run_action(send_sms, {**SMS, "account_sid": SID}, auth=KEY, http=[httpx.Response(201, json=OK)])
    assert f"/Accounts/{SID}/" in result.request.url.path


def test_what_somebody_enters_as_the_sid_stays_one_segment_of_the_path() -> None:
    auth = {**AUTH, "username": "../../x?y"}
    result = run_action(send_sms, SMS, auth=auth, http=[httpx.Response(201, json=OK)])
    assert result.request.url.raw_path == b"/2010-04-01/Accounts/..%2F..%2Fx%3Fy/Messages.json"


def test_1600_characters_are_taken_and_one_more_is_refused_before_anything_is_sent() -> None:
    assert len(sent(body="a" * 1600)["Body"][0]) == 1600
    with pytest.raises(InputError, match="body"):
        run_action(send_sms, {**SMS, "body": "a" * 1601}, auth=AUTH)


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "0151 12345678"},
        {"to": ""},
        {"from": None},
        {"body": None},
        {"body": " "},
        {"messaging_service_sid": "x"},
        {"account_sid": "../x"},
        {"media_url": ["https://x.test/a"] * 11},
        {"text": "x"},
    ],
)
def test_inputs_that_fit_no_message_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(send_sms, {**SMS, **changes}, auth=AUTH)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, 21211, InputError),
        (400, 21610, Permanent),
        (400, 21608, Permanent),
        (400, 21611, RateLimited),
        (400, 99999, Permanent),
        (401, 20003, AuthError),
        (403, 21408, PermissionMissing),
        (404, 20404, NotFound),
        (429, 20429, RateLimited),
        (500, 20500, Transient),
        (503, 21211, Transient),
    ],
)
def test_a_code_says_what_to_do(status: int, code: int, expected: type[IntegrationError]) -> None:
    error = refused(status, code=code, message="It says why.")
    assert type(error) is expected
    assert error.message.startswith("Twilio: It says why.")


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _, hint in ERRORS.values())
    assert str(ERRORS[21610][1]) == refused(400, code=21610, message="No").hint


def test_too_many_requests_wait_as_long_as_twilio_says() -> None:
    error = refused(429, {"Retry-After": "3"}, code=20429, message="Too many")
    assert isinstance(error, RateLimited)
    assert error.retry_after == 3


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(send_sms, SMS, auth=AUTH, http=lose)


@pytest.mark.parametrize("answer", [[], {}, {"sid": 1, "status": "queued"}, {"sid": "SM1"}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(send_sms, SMS, auth=AUTH, http=[httpx.Response(201, json=answer)])


def test_an_account_is_asked_for_its_name() -> None:
    answer = httpx.Response(200, json={"sid": SID, "friendly_name": "Acme"})
    account, (request,) = check_account(twilio, AUTH, [answer])
    assert account.label == "Acme at Twilio"
    assert request.url.path == f"/2010-04-01/Accounts/{SID}.json"
    listed = httpx.Response(200, json={"accounts": [{"sid": SID, "friendly_name": "Acme"}]})
    account, (request,) = check_account(twilio, KEY, [listed])
    assert account.label == "Acme at Twilio"
    assert str(request.url) == "https://api.twilio.com/2010-04-01/Accounts.json?PageSize=1"
    for auth in (AUTH, KEY):
        with pytest.raises(AuthError):
            check_account(twilio, auth, [httpx.Response(401, json={"code": 20003, "message": "Authenticate"})])
        with pytest.raises(Permanent, match="unexpected form"):
            check_account(twilio, auth, [httpx.Response(200, json={})])

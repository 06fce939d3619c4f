"""SendGrid's sendEmail: what goes out, and what each refusal becomes."""

import json
import time
from typing import Any

import httpx
import pytest

from integrations.providers.sendgrid import sendgrid
from integrations.providers.sendgrid.actions import send_email
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import ActionResult, check_account, run_action

AUTH = {"api_key": "SG.canary"}
MAIL = {"to": "Ada Lovelace <ada@example.com>", "from": "Shop <shop@example.com>", "subject": "Grüße", "text": "Hallo"}
TEMPLATE = "d-0123456789abcdef0123456789abcdef"


def send(*answers: httpx.Response, **inputs: Any) -> ActionResult:
    given = {name: value for name, value in {**MAIL, **inputs}.items() if value is not None}
    return run_action(send_email, given, auth=AUTH, http=answers or [httpx.Response(202)])


def sent(**inputs: Any) -> Any:
    return json.loads(send(**inputs).request.content)


def refused(status: int, field: str | None = None, headers: dict[str, str] | None = None) -> IntegrationError:
    answer = {"errors": [{"message": "It says why.", "field": field, "help": None}]}
    with pytest.raises(IntegrationError) as caught:
        send(httpx.Response(status, json=answer, headers=headers))
    return caught.value


def test_a_mail_goes_out_as_data_and_its_empty_answer_is_success() -> None:
    result = send(httpx.Response(202, headers={"X-Message-Id": "m1"}))
    assert (result.request.method, str(result.request.url)) == ("POST", "https://api.sendgrid.com/v3/mail/send")
    assert result.request.headers["authorization"] == "Bearer SG.canary"
    assert json.loads(result.request.content) == {
        "personalizations": [{"to": [{"email": "ada@example.com", "name": "Ada Lovelace"}]}],
        "from": {"email": "shop@example.com", "name": "Shop"},
        "subject": "Grüße",
        "content": [{"type": "text/plain", "value": "Hallo"}],
    }
    assert result.output == {"accepted": True, "message_id": "m1", "recipients": ["ada@example.com"]}


def test_what_is_set_goes_along_the_plain_text_first() -> None:
    body = sent(html="<p>Hi</p>", reply_to="Help <help@example.com>", categories="orders, paris")
    assert [each["type"] for each in body["content"]] == ["text/plain", "text/html"]
    assert body["reply_to"] == {"email": "help@example.com", "name": "Help"}
    assert body["categories"] == ["orders", "paris"]


def test_an_address_goes_out_once_whatever_field_names_it() -> None:
    result = send(to="a@example.com, A@example.com", cc="b@example.com, a@example.com", bcc="B@example.com")
    (envelope,) = json.loads(result.request.content)["personalizations"]
    assert envelope["to"] == [{"email": "a@example.com"}]
    assert envelope["cc"] == [{"email": "b@example.com"}]
    assert "bcc" not in envelope


def test_a_template_stands_in_place_of_a_message() -> None:
    body = sent(text=None, subject=None, template_id=TEMPLATE, template_data={"name": "Ada", "items": [1]})
    assert body["template_id"] == TEMPLATE
    assert body["personalizations"][0]["dynamic_template_data"] == {"name": "Ada", "items": [1]}
    assert "content" not in body
    assert "subject" not in body


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"to": ""}, "to"),
        ({"to": " , "}, "to"),
        ({"to": "ada"}, "to"),
        ({"cc": "x y@example.com"}, "cc"),
        ({"from": "shop"}, "from"),
        ({"from": "a@example.com, b@example.com"}, "from"),
        ({"reply_to": "x"}, "reply_to"),
        ({"bcc": ",".join(f"a{at}@example.com" for at in range(1000))}, "to"),
        ({"template_id": "x"}, "template_id"),
        ({"categories": [""]}, "categories"),
        ({"text": None}, None),
        ({"subject": None}, None),
        ({"template_id": TEMPLATE}, None),
        ({"template_data": {"a": 1}}, None),
        ({"subject": "Hi\nBcc: evil@example.com"}, None),
    ],
)
def test_inputs_that_fit_no_mail_are_refused_before_anything_is_sent(inputs: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        send(httpx.Response(500), **inputs)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("status", "field", "expected"),
    [
        (400, "personalizations.0.to.0.email", InputError),
        (401, None, AuthError),
        (403, None, PermissionMissing),
        (403, "from", InputError),
        (404, None, Permanent),
        (413, None, InputError),
        (429, None, RateLimited),
        (500, None, Transient),
    ],
)
def test_a_status_says_what_to_do(status: int, field: str | None, expected: type[IntegrationError]) -> None:
    error = refused(status, field)
    assert isinstance(error, expected)
    assert error.message == "SendGrid: It says why."


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ("personalizations.0.to.0.email", "to"),
        ("from.email", "from"),
        ("content.0.value", "text"),
        ("personalizations[0].dynamic_template_data", "template_data"),
        ("mail_settings", None),
        (None, None),
    ],
)
def test_a_wrong_input_is_named(named: str | None, field: str | None) -> None:
    error = refused(400, named)
    assert isinstance(error, InputError)
    assert error.field == field


def test_a_limit_says_how_long_to_wait() -> None:
    error = refused(429, headers={"X-RateLimit-Reset": str(int(time.time()) + 60)})
    told = refused(429, headers={"X-RateLimit-Reset": "1", "Retry-After": "5"})
    assert isinstance(error, RateLimited)
    assert isinstance(told, RateLimited)
    assert 50 < (error.retry_after or 0) <= 60
    assert told.retry_after == 5


def test_a_refusal_that_is_not_sendgrids_names_no_input() -> None:
    with pytest.raises(Permanent):
        send(httpx.Response(400, content=b"<html>"))


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(send_email, MAIL, auth=AUTH, http=lose)


def test_an_answer_that_does_not_say_that_it_was_taken_is_none() -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        send(httpx.Response(200, content=b"<html>Sign in</html>"))


def test_a_key_is_asked_what_it_may_do() -> None:
    auth = {"type": "api_key", **AUTH}
    answer = httpx.Response(200, json={"scopes": ["mail.send", "alerts.read"]})
    account, (request,) = check_account(sendgrid, auth, [answer])
    assert account.scopes == ("mail.send", "alerts.read")
    assert str(request.url) == "https://api.sendgrid.com/v3/scopes"
    with pytest.raises(PermissionMissing, match="may not send"):
        check_account(sendgrid, auth, [httpx.Response(200, json={"scopes": ["alerts.read"]})])
    with pytest.raises(AuthError):
        check_account(sendgrid, auth, [httpx.Response(401, json={"errors": []})])
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(sendgrid, auth, [httpx.Response(200, json={})])

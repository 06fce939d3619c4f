"""Resend's sendEmail: what goes out, once, and what each refusal becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.resend import resend
from integrations.providers.resend.actions import send_email
from integrations.providers.resend.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import ActionResult, check_account, run_action

AUTH = {"api_key": "re_canary"}
MAIL = {"to": "Ada Lovelace <ada@example.com>", "from": "Shop <shop@example.com>", "subject": "Grüße", "text": "Hallo"}
OK = httpx.Response(200, json={"id": "m1"})


def send(*answers: httpx.Response, **options: Any) -> ActionResult:
    inputs = options.pop("inputs", {})
    return run_action(send_email, {**MAIL, **inputs}, auth=AUTH, http=answers or [OK], **options)


def refused(status: int, name: str = "x", headers: dict[str, str] | None = None) -> IntegrationError:
    answer = {"statusCode": status, "name": name, "message": "It says why."}
    with pytest.raises(IntegrationError) as caught:
        send(httpx.Response(status, json=answer, headers=headers))
    return caught.value


def test_a_mail_goes_out_as_data() -> None:
    result = send()
    assert (result.request.method, str(result.request.url)) == ("POST", "https://api.resend.com/emails")
    assert result.request.headers["authorization"] == "Bearer re_canary"
    assert json.loads(result.request.content) == {
        "from": '"Shop" <shop@example.com>',
        "to": ['"Ada Lovelace" <ada@example.com>'],
        "subject": "Grüße",
        "text": "Hallo",
    }
    assert result.output == {"id": "m1"}


def test_what_is_set_goes_along() -> None:
    inputs = {"cc": "b@example.com", "bcc": "c@example.com", "reply_to": ["d@example.com", "e@example.com"],
              "html": "<p>Hi</p>", "scheduled_at": "2026-05-04T09:30:00Z", "tags": {"kind": "order"}}  # fmt: skip
    body = json.loads(send(inputs=inputs).request.content)
    assert (body["cc"], body["bcc"]) == (["b@example.com"], ["c@example.com"])
    assert body["reply_to"] == ["d@example.com", "e@example.com"]
    assert (body["html"], body["scheduled_at"]) == ("<p>Hi</p>", "2026-05-04T09:30:00Z")
    assert body["tags"] == [{"name": "kind", "value": "order"}]


def test_every_attempt_has_the_same_key_so_a_lost_answer_is_asked_for_again() -> None:
    keys = [send(attempt=attempt, idempotency_key="k" * 64).request.headers["idempotency-key"] for attempt in (1, 2)]
    assert keys == ["k" * 64] * 2
    assert len(keys[0]) <= 256

    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(send_email, MAIL, auth=AUTH, http=lose)


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"to": " , "}, "to"),
        ({"to": ",".join(f"a{at}@example.com" for at in range(51))}, "to"),
        ({"from": "shop"}, "from"),
        ({"reply_to": "x"}, "reply_to"),
        ({"tags": {"a b": "x"}}, "tags"),
        ({"text": None}, None),
        ({"subject": "Hi\nBcc: evil@example.com"}, None),
    ],
)
def test_inputs_that_fit_no_mail_are_refused_before_anything_is_sent(inputs: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InputError) as caught:
        send(httpx.Response(500), inputs=inputs)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("status", "name", "expected"),
    [
        (401, "missing_api_key", AuthError),
        (401, "restricted_api_key", PermissionMissing),
        (403, "invalid_api_key", AuthError),
        (403, "validation_error", InputError),
        (404, "not_found", NotFound),
        (409, "invalid_idempotent_request", Permanent),
        (409, "concurrent_idempotent_requests", Transient),
        (422, "invalid_from_address", InputError),
        (422, "missing_required_field", InputError),
        (422, "other", Permanent),
        (429, "rate_limit_exceeded", RateLimited),
        (429, "daily_quota_exceeded", RateLimited),
        (429, "monthly_quota_exceeded", Permanent),
        (451, "security_error", Permanent),
        (500, "validation_error", Transient),
    ],
)
def test_a_name_says_what_to_do(status: int, name: str, expected: type[IntegrationError]) -> None:
    error = refused(status, name)
    assert type(error) is expected
    assert error.message == "Resend: It says why."


def test_a_wrong_input_is_named_and_a_limit_says_how_long_to_wait() -> None:
    sender, limit = refused(422, "invalid_from_address"), refused(429, "rate_limit_exceeded", {"Retry-After": "1"})
    assert isinstance(sender, InputError)
    assert isinstance(limit, RateLimited)
    assert (sender.field, limit.retry_after) == ("from", 1)


def test_every_name_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in ERRORS.values())


@pytest.mark.parametrize("answer", [[], {}, {"id": 5}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        send(httpx.Response(200, json=answer))


def test_a_key_is_asked_for_its_domains_and_one_that_may_only_send_is_good() -> None:
    auth = {"type": "api_key", **AUTH}
    account, (request,) = check_account(resend, auth, [httpx.Response(200, json={"data": [{"name": "example.com"}]})])
    assert account.label == "Resend, example.com"
    assert str(request.url) == "https://api.resend.com/domains"
    only = httpx.Response(401, json={"name": "restricted_api_key", "message": "This API key is restricted"})
    assert check_account(resend, auth, [only])[0].label == "Resend, sending only"
    with pytest.raises(AuthError):
        check_account(resend, auth, [httpx.Response(401, json={"name": "missing_api_key", "message": "No"})])
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(resend, auth, [httpx.Response(200, json={})])

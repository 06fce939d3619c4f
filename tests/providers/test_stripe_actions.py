"""Stripe's createCustomer and createPaymentIntent: what goes out, once, and what each refusal becomes."""

from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from integrations.providers.stripe.actions import create_customer, create_payment_intent
from integrations.providers.stripe.client import ERRORS
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
from integrations.sdk.testing import ActionResult, run_action

AUTH = {"api_key": "sk_test_canary"}
CUSTOMER = {"id": "cus_1", "object": "customer", "created": 1, "livemode": False}
PAYMENT = {
    "id": "pi_1", "status": "succeeded", "amount": 1099, "currency": "eur", "created": 1, "livemode": False,
    "client_secret": "pi_1_secret_x",
}  # fmt: skip
PAY: dict[str, Any] = {"amount": 1099, "currency": "eur"}
SEND = {"create": (create_customer, CUSTOMER), "pay": (create_payment_intent, PAYMENT)}


def done(what: str, inputs: dict[str, Any], **options: Any) -> ActionResult:
    action, answer = SEND[what]
    return run_action(action, inputs, auth=AUTH, http=[httpx.Response(200, json=answer)], **options)


def form_of(result: ActionResult) -> dict[str, str]:
    assert result.request.headers["content-type"] == "application/x-www-form-urlencoded"
    form = parse_qs(result.request.content.decode(), strict_parsing=True)
    assert all(len(values) == 1 for values in form.values())
    return {name: values[0] for name, values in form.items()}


def refused(status: int, headers: dict[str, str] | None = None, **error: Any) -> IntegrationError:
    answer = httpx.Response(status, json={"error": {"message": "It says why.", **error}}, headers=headers)
    with pytest.raises(IntegrationError) as caught:
        run_action(create_payment_intent, PAY, auth=AUTH, http=[answer])
    return caught.value


def test_a_customer_goes_out_as_a_form_with_brackets() -> None:
    result = done(
        "create",
        {
            "email": "ada@example.com",
            "name": "Ada & Söhne",
            "address": {"line1": "12 Rue de la Paix", "country": "FR"},
            "preferred_locales": ["fr", "en"],
            "metadata": {"crm": 4711, "vip": True, "note": "a=b&c"},
        },
    )
    assert (result.request.method, str(result.request.url)) == ("POST", "https://api.stripe.com/v1/customers")
    assert result.request.headers["authorization"] == "Bearer sk_test_canary"
    assert form_of(result) == {
        "email": "ada@example.com",
        "name": "Ada & Söhne",
        "address[line1]": "12 Rue de la Paix",
        "address[country]": "FR",
        "preferred_locales[0]": "fr",
        "preferred_locales[1]": "en",
        "metadata[crm]": "4711",
        "metadata[vip]": "true",
        "metadata[note]": "a=b&c",
    }
    assert result.output["id"] == "cus_1"
    assert result.output["email"] is None


def test_a_payment_is_prepared_with_the_kinds_of_the_dashboard_and_without_its_secret() -> None:
    result = done("pay", {"amount": "1099", "currency": " EUR "})
    assert str(result.request.url) == "https://api.stripe.com/v1/payment_intents"
    assert form_of(result) == {"amount": "1099", "currency": "eur", "automatic_payment_methods[enabled]": "true"}
    assert result.output == {
        "id": "pi_1", "status": "succeeded", "amount": 1099, "currency": "eur", "created": 1, "livemode": False,
        "amount_received": 0, "customer": None,
    }  # fmt: skip
    assert done("pay", {**PAY, "for_page": True}).output["client_secret"] == "pi_1_secret_x"


def test_a_payment_is_charged_at_once() -> None:
    result = done(
        "pay",
        {
            **PAY, "confirm": True, "off_session": True, "customer": "cus_1", "payment_method": "pm_1",
            "payment_method_types": ["card"], "capture_method": "manual",
        },
    )  # fmt: skip
    assert form_of(result) == {
        "amount": "1099", "currency": "eur", "confirm": "true", "off_session": "true", "customer": "cus_1",
        "payment_method": "pm_1", "payment_method_types[0]": "card", "capture_method": "manual",
    }  # fmt: skip


@pytest.mark.parametrize(("what", "inputs"), [("create", {"name": "Ada"}), ("pay", PAY)])
def test_every_attempt_has_the_same_key_so_a_lost_answer_is_asked_for_again(what: str, inputs: dict[str, Any]) -> None:
    keys = [
        done(what, inputs, attempt=attempt, idempotency_key="k" * 64).request.headers["idempotency-key"]
        for attempt in (1, 2)
    ]
    assert keys == ["k" * 64] * 2
    assert len(keys[0]) <= 255

    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(SEND[what][0], inputs, auth=AUTH, http=lose)


def test_what_an_earlier_attempt_made_is_told_as_that() -> None:
    answer = httpx.Response(200, json=PAYMENT, headers={"Idempotent-Replayed": "true"})
    (line,) = run_action(create_payment_intent, PAY, auth=AUTH, http=[answer]).logs
    assert line.text == "pi_1 was made by an earlier attempt"


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"amount": 10.99}, "smallest unit"),
        ({"amount": "10,99"}, "smallest unit"),
        ({"amount": True}, "as a number"),
        ({"amount": 0}, "amount"),
        ({"currency": "euro"}, "currency"),
        ({"customer": "ada@example.com"}, "customer"),
        ({"confirm": True}, "payment_method"),
        ({"off_session": True}, "confirm"),
        ({"metadata": {str(at): "x" for at in range(51)}}, "at most 50"),
        ({"metadata": {"x" * 41: "x"}}, "1 to 40"),
        ({"metadata": {"a[b]": "x"}}, "no brackets"),
        ({"metadata": {"a": "x" * 501}}, "at most 500"),
        ({"metadata": {"a": None}}, "metadata"),
    ],
)
def test_inputs_that_fit_no_payment_are_refused_before_anything_is_sent(inputs: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run_action(create_payment_intent, {**PAY, **inputs}, auth=AUTH)


def test_a_customer_without_anything_to_know_it_by_is_refused() -> None:
    with pytest.raises(InputError, match="at least"):
        run_action(create_customer, {"address": {"city": "Paris"}}, auth=AUTH)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"type": "invalid_request_error", "param": "receipt_email"}, InputError),
        (400, {"type": "invalid_request_error"}, Permanent),
        (400, {"type": "invalid_request_error", "code": "amount_too_small", "param": "amount"}, InputError),
        (400, {"type": "invalid_request_error", "code": "resource_missing", "param": "customer"}, NotFound),
        (400, {"type": "idempotency_error"}, Permanent),
        (401, {"type": "invalid_request_error"}, AuthError),
        (402, {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}, Permanent),
        (402, {"type": "card_error", "code": "incorrect_cvc", "param": "cvc"}, Permanent),
        (403, {"type": "invalid_request_error", "code": "secret_key_required"}, PermissionMissing),
        (404, {"type": "invalid_request_error"}, NotFound),
        (409, {"type": "idempotency_error", "code": "idempotency_key_in_use"}, Transient),
        (409, {}, Transient),
        (429, {"code": "rate_limit"}, RateLimited),
        (429, {"code": "lock_timeout"}, Transient),
        (500, {"type": "api_error", "code": "resource_missing"}, Transient),
    ],
)
def test_a_code_says_what_to_do(status: int, error: dict[str, str], expected: type[IntegrationError]) -> None:
    told = refused(status, **error)
    assert type(told) is expected
    assert told.message == "Stripe: It says why."
    assert told.hint or expected is Permanent


def test_stripe_has_the_last_word_on_whether_to_try_again() -> None:
    yes, no = {"Stripe-Should-Retry": "true", "Retry-After": "2"}, {"Stripe-Should-Retry": "false"}
    error = refused(400, yes, code="resource_missing")
    assert isinstance(error, Transient)
    assert error.retry_after == 2
    assert type(refused(500, no)) is Permanent
    assert type(refused(409, no)) is Permanent
    assert type(refused(402, no, code="card_declined")) is Permanent
    # What is too much now is not too much for ever.
    assert type(refused(429, no, code="rate_limit")) is RateLimited


def test_a_wrong_input_is_named() -> None:
    error = refused(400, type="invalid_request_error", param="metadata[order]")
    assert isinstance(error, InputError)
    assert error.field == "metadata"


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in ERRORS.values())


@pytest.mark.parametrize("answer", [[], {}, {"id": 5}, {"id": "pi_1", "amount": 1, "currency": "eur"}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(create_payment_intent, PAY, auth=AUTH, http=[httpx.Response(200, json=answer)])

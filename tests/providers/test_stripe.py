"""Stripe: endpoints made with the secret that Stripe gives, and which of its events start a run."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from integrations.providers.stripe import stripe
from integrations.providers.stripe.triggers import new_payment
from integrations.sdk import InputError, IntegrationError, Item, NotFound, Subscription, WebhookRequest
from integrations.sdk.testing import check_account, run_subscribe, run_unsubscribe, run_webhook

AUTH = {"api_key": "sk_canary"}
ADDRESS = "https://orchestrator.example.com/h/token"
MADE = {"id": "we_1", "object": "webhook_endpoint", "secret": "whsec_theirs", "status": "enabled", "url": ADDRESS}


def listed(*rows: dict[str, Any], more: bool = False) -> httpx.Response:
    return httpx.Response(200, json={"object": "list", "data": list(rows), "has_more": more})


def subscribe(*answers: httpx.Response, **more: Any) -> tuple[Subscription, list[httpx.Request]]:
    made, requests = run_subscribe(new_payment, {}, address=ADDRESS, auth=AUTH, http=answers, **more)
    return made, list(requests)


def test_an_endpoint_is_made_with_a_form_and_its_secret_is_stripes() -> None:
    made, (request, _looked) = subscribe(httpx.Response(200, json=MADE), listed(MADE), idempotency_key="subscription-1")
    assert (made.id, made.secret, made.state) == ("we_1", "whsec_theirs", None)
    assert (request.method, str(request.url)) == ("POST", "https://api.stripe.com/v1/webhook_endpoints")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == "Bearer sk_canary"
    # Whoever comes after a worker that died is given the first answer again, its secret too.
    assert request.headers["idempotency-key"] == "subscription-1"
    assert parse_qs(request.content.decode()) == {
        "url": [ADDRESS], "enabled_events[]": ["payment_intent.succeeded"], "description": ["Orchestrator"],
    }  # fmt: skip


def test_older_ones_that_call_the_same_address_are_taken_away() -> None:
    first = listed({"id": "we_0", "url": ADDRESS}, {"id": "we_9", "url": "https://else.example"}, more=True)
    _, requests = subscribe(
        httpx.Response(200, json=MADE), first, listed(MADE), httpx.Response(200, json={"deleted": True})
    )
    assert [(each.method, each.url.path.rpartition("/")[2]) for each in requests] == [
        ("POST", "webhook_endpoints"), ("GET", "webhook_endpoints"), ("GET", "webhook_endpoints"), ("DELETE", "we_0"),
    ]  # fmt: skip
    assert requests[2].url.params["starting_after"] == "we_9"


def test_one_that_was_switched_off_is_switched_on_again_and_one_that_is_gone_is_told() -> None:
    known = Subscription(id="we_1")
    off = httpx.Response(200, json={**MADE, "status": "disabled"})
    _, requests = subscribe(off, httpx.Response(200, json=MADE), known=known)
    assert (requests[1].method, requests[1].content) == ("POST", b"disabled=false")
    with pytest.raises(NotFound):
        subscribe(httpx.Response(404, json={"error": {"message": "No such webhook endpoint"}}), known=known)


def test_it_is_taken_away_by_its_id_or_by_the_address() -> None:
    gone = httpx.Response(200, json={"id": "we_1", "deleted": True})
    (request,) = run_unsubscribe(new_payment, {}, Subscription(id="we_1"), auth=AUTH, http=[gone])
    assert (request.method, request.url.path) == ("DELETE", "/v1/webhook_endpoints/we_1")
    requests = run_unsubscribe(new_payment, {}, Subscription(address=ADDRESS), auth=AUTH, http=[listed(MADE), gone])
    assert requests[1].url.path.endswith("/we_1")


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {}, "auth"),
        (403, {}, "auth"),
        (400, {}, "permanent"),
        (409, {"Stripe-Should-Retry": "true"}, "transient"),
        (429, {"Retry-After": "3"}, "rate_limited"),
        (429, {"Stripe-Should-Retry": "true"}, "rate_limited"),
        (500, {}, "transient"),
        (500, {"Stripe-Should-Retry": "false"}, "permanent"),
    ],
)
def test_what_is_refused_is_told_in_stripes_words(status: int, headers: dict[str, str], kind: str) -> None:
    body = {"error": {"type": "invalid_request_error", "message": "Invalid URL"}}
    with pytest.raises(IntegrationError, match="Stripe: Invalid URL") as caught:
        subscribe(httpx.Response(status, json=body, headers=headers))
    assert caught.value.kind == kind


def test_an_answer_without_a_secret_is_told() -> None:
    with pytest.raises(IntegrationError, match="unexpected form"):
        subscribe(httpx.Response(200, json={"id": "we_1"}))


def test_whose_key_it_is() -> None:
    answer = {"id": "acct_1", "settings": {"dashboard": {"display_name": "Ada's shop"}}}
    for said, label in ((answer, "Ada's shop"), ({"id": "acct_1"}, "acct_1")):
        found, (request,) = check_account(stripe, {"type": "api_key", **AUTH}, [httpx.Response(200, json=said)])
        assert (found.label, request.url.path) == (label, "/v1/account")


PAYMENT = {"id": "pi_1", "amount": 1099, "currency": "eur", "client_secret": "pi_1_secret_x"}


def sent(kind: str = "payment_intent.succeeded", **more: Any) -> WebhookRequest:
    event = {"id": "evt_1", "type": kind, "data": {"object": PAYMENT}, **more}
    return WebhookRequest(method="POST", body=json.dumps(event).encode())


@pytest.mark.parametrize(
    ("inputs", "kind", "starts"),
    [
        ({}, "payment_intent.succeeded", True),
        ({}, "payment_intent.created", False),
        ({"currency": "EUR"}, "payment_intent.succeeded", True),
        ({"currency": "usd"}, "payment_intent.succeeded", False),
    ],
)
def test_a_payment_that_succeeded_starts_a_run_without_what_would_pay_it(
    inputs: dict[str, str], kind: str, starts: bool
) -> None:
    data = {"id": "pi_1", "amount": 1099, "currency": "eur"}
    assert run_webhook(new_payment, inputs, sent(kind)) == ([Item("evt_1", data)] if starts else [])


@pytest.mark.parametrize("more", [{"id": 5}, {"data": None}, {"data": {"object": []}}])
def test_what_is_no_event_says_so(more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="of Stripe's"):
        run_webhook(new_payment, {}, sent(**more))

"""What steps send to Stripe, held against its own OpenAPI description: forms, which admit nothing beside it."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import jsonschema
import pytest

from integrations.providers.stripe.actions import (
    CreateCustomerOutput,
    CreatePaymentIntentInputs,
    CreatePaymentIntentOutput,
    create_customer,
    create_payment_intent,
)
from integrations.sdk import Action
from tests.contract.described import SPECS, described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

SPEC = "stripe/spec3.trim.json"
KIND = "application/x-www-form-urlencoded"
CUSTOMER = {
    "email": "ada@example.com",
    "name": "Ada",
    "phone": "+4915112345678",
    "description": "x",
    "address": {"line1": "a", "line2": "b", "postal_code": "1", "city": "c", "state": "s", "country": "FR"},
    "preferred_locales": ["fr"],
    "metadata": {"a": 1},
}
PAYMENT = {
    "amount": 1099,
    "currency": "eur",
    "customer": "cus_1",
    "description": "x",
    "receipt_email": "ada@example.com",
    "confirm": True,
    "payment_method": "pm_1",
    "off_session": True,
    "return_url": "https://example.com/x",
    "payment_method_types": ["card"],
    "capture_method": "manual",
    "setup_future_usage": "off_session",
    "statement_descriptor_suffix": "X",
    "metadata": {"a": "b"},
}


def schema_at(request: httpx.Request) -> tuple[str, dict[str, Any]]:
    """Return where in the description the form of a request stands, and its schema."""
    root = description(SPEC)["servers"][0]["url"].rstrip("/")
    path = str(request.url).removeprefix(root)
    operation = description(SPEC)["paths"][path][request.method.lower()]
    pointer = f"/paths/{path.replace('/', '~1')}/post/requestBody/content/{KIND.replace('/', '~1')}/schema"
    return pointer, operation["requestBody"]["content"][KIND]["schema"]


def value_of(form: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return what the brackets of a form stand for, its texts as the types that the description gives them."""
    found: dict[str, Any] = {}
    for name, text in parse_qsl(form, strict_parsing=True):
        first, *rest = re.findall(r"[^\[\]]+", name)
        part = schema["properties"].get(first, {})
        choices = [part, *part.get("anyOf", ())]
        inner = next((each for each in choices if rest and rest[0] in each.get("properties", {})), {})
        kinds = {(inner["properties"][rest[0]] if inner else each).get("type") for each in choices}
        value: Any = int(text) if "integer" in kinds else text == "true" if "boolean" in kinds else text
        if not rest:
            found[first] = value
        elif rest[0].isdigit():
            found.setdefault(first, []).append(value)
        else:
            found.setdefault(first, {})[rest[0]] = value
    return found


@pytest.mark.parametrize(
    ("action", "inputs"),
    [
        (create_customer, {"name": "Ada"}),
        (create_customer, CUSTOMER),
        (create_payment_intent, {"amount": 1, "currency": "jpy"}),
        (create_payment_intent, PAYMENT),
    ],
)
def test_a_form_is_what_stripe_describes(action: Action, inputs: dict[str, Any]) -> None:
    request = request_of(action, inputs, {"api_key": "sk_1"})
    pointer, schema = schema_at(request)
    assert request.headers["content-type"] == KIND
    assert schema["additionalProperties"] is False
    body = value_of(request.content.decode(), schema)
    validate(body, description(SPEC), pointer)
    assert set(inputs) <= set(body)


def test_every_field_of_a_payment_is_tried() -> None:
    assert set(CreatePaymentIntentInputs.model_fields) - set(PAYMENT) == {"for_page"}


def test_a_form_that_stripe_would_refuse_does_not_pass() -> None:
    request = request_of(create_payment_intent, {"amount": 1, "currency": "jpy"}, {"api_key": "sk_1"})
    pointer, _schema = schema_at(request)
    for wrong in ({"amount": 1}, {"amount": "1", "currency": "eur"}, {"amount": 1, "currency": "eur", "metadata": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, description(SPEC), pointer)


def test_our_exchanges_and_outputs_are_what_stripe_gives() -> None:
    fixtures = json.loads((Path(SPECS) / "stripe/fixtures3.json").read_text(encoding="utf-8"))["resources"]
    schemas = description(SPEC)["components"]["schemas"]
    for action, output, name in (
        (create_customer, CreateCustomerOutput, "customer"),
        (create_payment_intent, CreatePaymentIntentOutput, "payment_intent"),
    ):
        answer = EXCHANGES[action.key].answer
        assert set(schemas[name]["required"]) - {"confirmation_method"} <= set(answer) <= set(fixtures[name])
        assert set(output.model_fields) <= set(fixtures[name])
        output.model_validate(fixtures[name])

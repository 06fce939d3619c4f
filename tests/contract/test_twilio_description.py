"""What goes to Twilio, held against its own OpenAPI description."""

import re
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from integrations.providers.twilio import twilio
from integrations.providers.twilio.actions import SendSmsOutput, send_sms
from integrations.sdk.testing import check_account
from tests.contract.described import described, description, request_of
from tests.contract.recorded import EXCHANGES

pytestmark = described

SPEC = "twilio/twilio_api_v2010.json"
SID = "AC0123456789abcdef0123456789abcdef"
AUTH = {"username": SID, "password": "x"}


def operation_of(request: httpx.Request) -> dict[str, Any]:
    spec = description(SPEC)
    paths = spec["paths"]
    path = request.url.path.replace(f"Accounts/{SID}.json", "Accounts/{Sid}.json").replace(SID, "{AccountSid}")
    assert paths[path]["servers"][0]["url"] == f"https://{request.url.host}"
    operation: dict[str, Any] = paths[path][request.method.lower()]
    return operation


@pytest.mark.parametrize(
    "inputs",
    [
        {"from": "+15005550006", "body": "hi"},
        {
            "messaging_service_sid": "MG0123456789abcdef0123456789abcdef",
            "body": "hi",
            "media_url": ["https://x.test/a", "https://x.test/b"],
            "status_callback": "https://x.test/h",
        },
    ],
)
def test_a_message_is_what_twilio_describes(inputs: dict[str, Any]) -> None:
    request = request_of(send_sms, {"to": "+4915112345678", **inputs}, AUTH)
    ((kind, content),) = operation_of(request)["requestBody"]["content"].items()
    assert request.headers["content-type"] == kind
    properties, form = content["schema"]["properties"], parse_qs(request.content.decode(), strict_parsing=True)
    assert set(content["schema"]["required"]) <= set(form) <= set(properties)
    for name, values in form.items():
        assert properties[name]["type"] == "array" or len(values) == 1
        assert all(re.fullmatch(properties[name].get("pattern", ".*"), value) for value in values)


def test_the_limit_is_the_one_that_twilio_describes() -> None:
    request = request_of(send_sms, {"to": "+4915112345678", "from": "+15005550006", "body": "x"}, AUTH)
    (content,) = operation_of(request)["requestBody"]["content"].values()
    assert "1,600 characters" in content["schema"]["properties"]["Body"]["description"]


def test_our_exchange_and_output_are_what_twilio_describes() -> None:
    described_ = description(SPEC)["components"]["schemas"]["api.v2010.account.message"]["properties"]
    answer = EXCHANGES["twilio.sendSms"].answer
    assert set(answer) == set(described_)
    assert set(SendSmsOutput.model_fields) <= set(described_)
    pattern = described_["sid"]["pattern"]
    assert re.fullmatch(pattern, answer["sid"])


@pytest.mark.parametrize("username", [SID, "SK0123456789abcdef0123456789abcdef"])
def test_the_test_of_a_credential_is_what_twilio_describes(username: str) -> None:
    answer = httpx.Response(200, json={"sid": SID, "accounts": []})
    auth = {"type": "basic", "username": username, "password": "x"}
    _, (request,) = check_account(twilio, auth, [answer])
    operation = operation_of(request)
    assert set(request.url.params) <= {each["name"] for each in operation.get("parameters", ())}

"""What goes to SendGrid and Resend, held against their own OpenAPI descriptions."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from integrations.providers.resend import resend
from integrations.providers.resend.actions import send_email as by_resend
from integrations.providers.sendgrid.actions import send_email as by_sendgrid
from integrations.sdk.testing import check_account
from tests.contract.described import described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

SENDGRID, RESEND = "sendgrid/tsg_mail_v3.json", "resend/openapi.json"
MAIL = "/components/requestBodies/PostMailSend/content/application~1json/schema"
SIMPLE = {"to": "Ada <ada@example.com>", "from": "shop@example.com", "subject": "x", "text": "y"}
MORE = {"cc": "b@example.com", "bcc": "c@example.com", "reply_to": "d@example.com", "html": "<p>z</p>"}
TEMPLATE = {
    "to": "ada@example.com", "from": "shop@example.com", "template_id": "d-0123456789abcdef0123456789abcdef",
    "template_data": {"name": "Ada"}, "categories": ["a"],
}  # fmt: skip


def operation_of(request: httpx.Request, spec: dict[str, Any]) -> dict[str, Any]:
    root = spec["servers"][0]["url"]
    operation: dict[str, Any] = spec["paths"][str(request.url).removeprefix(root)][request.method.lower()]
    return operation


@pytest.mark.parametrize("inputs", [SIMPLE, {**SIMPLE, **MORE}, TEMPLATE])
def test_a_mail_is_what_sendgrid_describes(inputs: dict[str, Any]) -> None:
    spec = description(SENDGRID)
    request = request_of(by_sendgrid, inputs, {"api_key": "x"})
    operation = operation_of(request, spec)
    assert operation["requestBody"] == {"$ref": "#/components/requestBodies/PostMailSend"}
    assert str(EXCHANGES["sendgrid.sendEmail"].status) in operation["responses"]
    body = json.loads(request.content)
    schema = spec["components"]["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    if "template_id" in body:
        # It asks for a subject and a content of every mail, although by its own words a template has both.
        schema = {**schema, "required": [each for each in schema["required"] if each in body]}
        jsonschema.Draft202012Validator({**schema, "components": spec["components"]}).validate(body)
    else:
        validate(body, spec, MAIL)
    assert set(body) <= set(schema["properties"])
    envelope = schema["properties"]["personalizations"]["items"]["properties"]
    assert set(body["personalizations"][0]) <= set(envelope)
    people = spec["components"]["schemas"]["MailTo"]["properties"]
    for field in ("to", "cc", "bcc"):
        assert all(set(each) <= set(people) for each in body["personalizations"][0].get(field, ()))


@pytest.mark.parametrize(
    "inputs", [SIMPLE, {**SIMPLE, **MORE, "scheduled_at": "2026-05-04T09:30:00Z", "tags": {"a": "b"}}]
)
def test_a_mail_is_what_resend_describes(inputs: dict[str, Any]) -> None:
    spec = description(RESEND)
    request = request_of(by_resend, inputs, {"api_key": "x"})
    operation = operation_of(request, spec)
    (content,) = operation["requestBody"]["content"].values()
    pointer = content["schema"]["$ref"].removeprefix("#")
    body = json.loads(request.content)
    validate(body, spec, pointer)
    assert set(body) <= set(spec["components"]["schemas"]["SendEmailRequest"]["properties"])
    (key,) = (each for each in operation["parameters"] if each["name"] == "Idempotency-Key")
    assert 0 < len(request.headers["idempotency-key"]) <= key["schema"]["maxLength"]
    assert set(EXCHANGES["resend.sendEmail"].answer) <= set(
        spec["components"]["schemas"]["SendEmailResponse"]["properties"]
    )


def test_mails_that_they_would_refuse_do_not_pass() -> None:
    people = [{"to": [{"email": "a@example.com"}]}]
    for wrong in (
        {"from": {"email": "a@example.com"}},
        {"personalizations": people, "from": {}},
        {"personalizations": [{}], "from": {"email": "a@example.com"}, "subject": "x", "content": []},
        {"personalizations": people, "from": {"email": "a@example.com"}, "subject": "", "content": []},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, description(SENDGRID), MAIL)
    for wrong in ({"from": "a", "to": "b"}, {"from": "a", "to": [], "subject": "x"}, {"from": "a", "to": 5}):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, description(RESEND), "/components/schemas/SendEmailRequest")


def test_the_test_of_a_key_is_what_resend_describes() -> None:
    _, (request,) = check_account(resend, {"type": "api_key", "api_key": "x"}, [httpx.Response(200, json={"data": []})])
    assert operation_of(request, description(RESEND))

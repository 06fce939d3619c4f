"""What goes to Microsoft Graph, held against its own OpenAPI description."""

import json
from functools import cache
from typing import Any

import httpx
import jsonschema
import pytest

from integrations.providers.microsoft_outlook import microsoft_outlook
from integrations.providers.microsoft_outlook.actions import send_email
from integrations.providers.microsoft_teams.actions import send_message
from integrations.sdk.testing import check_account, run_options
from tests.contract.described import all_properties, described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

SPEC = "microsoft/graph_v1.trim.json"
CHAT_MESSAGE = "/components/schemas/microsoft.graph.chatMessage"
TEAM, CHANNEL, CHAT = "fbe2bf47-16c8-47cf-b4a5-4b9b187c508b", "19:4a95@thread.tacv2", "19:2da4@thread.v2"
MAIL = {"to": "Ada <ada@example.com>", "subject": "x", "body": "y"}
FULL = {
    **MAIL, "cc": "b@example.com", "bcc": "c@example.com", "reply_to": "d@example.com", "content_type": "html",
    "importance": "high", "save_to_sent": False,
}  # fmt: skip


def operation_of(request: httpx.Request) -> dict[str, Any]:
    spec = description(SPEC)
    path = httpx.URL(spec["servers"][0]["url"]).path
    path = request.url.path.removeprefix(path).replace(TEAM, "{team-id}")
    path = path.replace(CHANNEL, "{channel-id}").replace(CHAT, "{chat-id}")
    operation: dict[str, Any] = spec["paths"][path][request.method.lower()]
    return operation


@cache
def spec() -> dict[str, Any]:
    """Return the description without what it demands of types alone: Graph infers ``@odata.type`` where it is not sent,
    and an empty object stands there for null, which would admit everything."""
    text = json.dumps(description(SPEC))
    text = text.replace('"required": ["@odata.type"], ', "").replace(
        '{"nullable": true, "type": "object"}', '{"type": "null"}'
    )
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("inputs", [MAIL, FULL])
def test_a_mail_is_what_microsoft_describes(inputs: dict[str, Any]) -> None:
    request = request_of(send_email, inputs, {"access_token": "x"})
    assert operation_of(request)["requestBody"] == {"$ref": "#/components/requestBodies/sendMailRequestBody"}
    (content,) = spec()["components"]["requestBodies"]["sendMailRequestBody"]["content"].values()
    # Its parameters are written as with a capital; the service takes either.
    described_ = {name[0].lower() + name[1:] for name in content["schema"]["properties"]}
    body = json.loads(request.content)
    assert set(body) == {"message", "saveToSentItems"} <= described_
    message = body["message"]
    validate(message, spec(), "/components/schemas/microsoft.graph.message")
    assert set(message) <= set(all_properties(spec(), "/components/schemas/microsoft.graph.message"))
    schemas = spec()["components"]["schemas"]
    for field in ("toRecipients", "ccRecipients", "bccRecipients", "replyTo"):
        for each in message.get(field, ()):
            assert set(each) <= set(schemas["microsoft.graph.recipient"]["properties"])
            assert set(each["emailAddress"]) <= set(schemas["microsoft.graph.emailAddress"]["properties"])


def test_a_message_that_microsoft_would_refuse_does_not_pass() -> None:
    for wrong in (
        {"subject": 1},
        {"body": {"contentType": "markdown", "content": "x"}},
        {"toRecipients": {"emailAddress": {}}},
        {"toRecipients": [{"emailAddress": {"address": 5}}]},
        {"importance": "urgent"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, spec(), "/components/schemas/microsoft.graph.message")


def test_the_test_of_a_token_is_what_microsoft_describes() -> None:
    answer = httpx.Response(200, json={"mail": "ada@example.com"})
    _, (request,) = check_account(microsoft_outlook, {"type": "oauth2", "access_token": "x"}, [answer])
    assert set(request.url.params) <= {each.get("name") for each in operation_of(request)["parameters"]}
    asked = set(request.url.params["$select"].split(","))
    assert asked <= set(all_properties(spec(), "/components/schemas/microsoft.graph.user"))


@pytest.mark.parametrize(
    "inputs",
    [
        {"team_id": TEAM, "channel_id": CHANNEL, "text": "x"},
        {"chat_id": CHAT, "text": "<b>x</b>", "content_type": "html", "subject": "y", "importance": "urgent"},
    ],
)
def test_a_message_in_teams_is_what_microsoft_describes(inputs: dict[str, Any]) -> None:
    request = request_of(send_message, inputs, {"access_token": "x"})
    (content,) = operation_of(request)["requestBody"]["content"].values()
    assert content["schema"] == {"$ref": f"#{CHAT_MESSAGE}"}
    message = json.loads(request.content)
    validate(message, spec(), CHAT_MESSAGE)
    assert set(message) <= set(all_properties(spec(), CHAT_MESSAGE))
    for wrong in ({"body": "x"}, {"importance": "low"}, {"subject": 5}, {"body": {"contentType": "markdown"}}):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, spec(), CHAT_MESSAGE)


def test_the_answer_of_teams_and_its_lists_are_what_microsoft_describes() -> None:
    answer = EXCHANGES["microsoft_teams.sendMessage"].answer
    known = all_properties(spec(), CHAT_MESSAGE)
    validate({name: value for name, value in answer.items() if value is not None}, spec(), CHAT_MESSAGE)
    assert set(answer) <= set(known)
    assert all(known[name].get("nullable") for name, value in answer.items() if value is None)
    rows = httpx.Response(200, json={"value": []})
    given = {"inputs": {"team_id": TEAM}, "auth": {"access_token": "x"}, "http": [rows]}
    _, (request,) = run_options(send_message, "channel_id", **given)
    assert set(request.url.params) <= {each.get("name") for each in operation_of(request)["parameters"]}
    asked = set(request.url.params["$select"].split(","))
    assert asked <= set(all_properties(spec(), "/components/schemas/microsoft.graph.channel"))

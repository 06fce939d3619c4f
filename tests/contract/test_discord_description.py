"""What goes to Discord, held against its own OpenAPI description."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from integrations.providers.discord import discord
from integrations.providers.discord.actions import SendMessageOutput, send_message
from integrations.sdk.testing import check_account, run_options
from tests.contract.described import described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

SPEC = "discord/openapi.json"
REQUEST = "/components/schemas/MessageCreateRequest"
CHANNEL = "1034567890123456789"
FULL = {
    "content": "Hi",
    "embeds": [{"title": "New lead", "description": "Ada", "color": 3447003}],
    "mentions": "everyone",
    "reply_to": "1034567890123456790",
    "silent": True,
    "suppress_embeds": True,
    "tts": True,
}


@pytest.mark.parametrize("inputs", [{"content": "Hi"}, {"content": "Hi", "mentions": "nobody"}, FULL])
def test_a_message_is_what_discord_describes(inputs: dict[str, Any]) -> None:
    spec = description(SPEC)
    request = request_of(send_message, {"channel_id": CHANNEL, **inputs}, {"api_key": "x"})
    path = str(request.url).removeprefix(spec["servers"][0]["url"]).replace(CHANNEL, "{channel_id}")
    operation = spec["paths"][path][request.method.lower()]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": f"#{REQUEST}"}
    body = json.loads(request.content)
    validate(body, spec, REQUEST)
    schemas = spec["components"]["schemas"]
    assert set(body) <= set(schemas["MessageCreateRequest"]["properties"])
    assert set(body["allowed_mentions"]) <= set(schemas["MessageAllowedMentionsRequest"]["properties"])
    assert set(body.get("message_reference", ())) <= set(schemas["MessageReferenceRequest"]["properties"])


def test_a_body_that_discord_would_refuse_does_not_pass() -> None:
    for wrong in (
        {"content": 1},
        {"embeds": [{}] * 11},
        {"nonce": "x" * 26},
        {"allowed_mentions": {"parse": ["all"]}},
        {"message_reference": {}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, description(SPEC), REQUEST)


def test_the_answer_in_our_exchange_is_what_discord_describes() -> None:
    spec = description(SPEC)
    validate(EXCHANGES["discord.sendMessage"].answer, spec, "/components/schemas/MessageResponse")
    assert set(SendMessageOutput.model_fields) <= set(spec["components"]["schemas"]["MessageResponse"]["required"])


def test_what_is_read_is_what_discord_describes() -> None:
    spec = description(SPEC)
    _, (request,) = check_account(
        discord, {"type": "api_key", "api_key": "x"}, [httpx.Response(200, json={"username": "x"})]
    )
    answers = [[{"id": "11", "name": "Acme"}], []]
    _, requests = run_options(
        send_message,
        "channel_id",
        cursor="10",
        auth={"api_key": "x"},
        http=[httpx.Response(200, json=answer) for answer in [*answers, []]],
    )
    for sent in (request, *requests):
        path = str(sent.url.copy_with(query=None)).removeprefix(spec["servers"][0]["url"])
        operation = spec["paths"][path.replace("/guilds/11/", "/guilds/{guild_id}/")]["get"]
        assert set(sent.url.params) <= {each["name"] for each in operation.get("parameters", ())}

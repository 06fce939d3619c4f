"""Requests of the library held against the providers' official descriptions."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import jsonschema
import pytest

from integrations.providers.gmail.actions import SendEmailOutput, send_email
from integrations.providers.gmail.client import SEND_SCOPE
from integrations.providers.openai.actions import ChatCompletionInputs, chat_completion, create_embedding
from integrations.providers.slack.actions import SendMessageInputs, list_channels, send_message
from integrations.providers.slack.client import ERRORS
from integrations.sdk import IntegrationError
from integrations.sdk.testing import check_account, run_action, run_options
from tests.contract.described import all_properties, described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described


# --- Slack: Swagger 2.0 ------------------------------------------------------------------------------------------

SLACK_TYPES = {"string": str, "boolean": bool, "number": (int, float), "integer": int}
# Swagger's text for "a JSON-based array … presented as a URL-encoded string": in a JSON body it is the array itself.
SLACK_ARRAYS = {"attachments", "blocks"}
SLACK_FULL = {
    "channel": "C1H9RESGL",
    "text": "Hi",
    "blocks": [{"type": "divider"}],
    "attachments": [{"text": "old"}],
    "thread_ts": "1503435956.000247",
    "reply_broadcast": True,
    "unfurl_links": False,
    "unfurl_media": False,
    "mrkdwn": True,
    "parse": "none",
    "link_names": True,
    "username": "bot",
    "icon_emoji": ":robot_face:",
    "icon_url": "https://example.com/i.png",
}


def slack_operation(url: httpx.URL, method: str) -> dict[str, Any]:
    spec = description("slack/slack_web_openapi_v2.json")
    root = f"{spec['schemes'][0]}://{spec['host']}{spec['basePath']}"
    address = str(url)
    assert address.startswith(root)
    operation: dict[str, Any] = spec["paths"][address.removeprefix(root)][method.lower()]
    return operation


@pytest.mark.parametrize("inputs", [{"channel": "#a", "text": "Hi"}, SLACK_FULL])
def test_a_slack_message_is_what_slack_describes(inputs: dict[str, Any]) -> None:
    request = request_of(send_message, inputs, {"access_token": "xoxb-1"})
    operation = slack_operation(request.url, request.method)
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    body = json.loads(request.content)
    assert request.headers["content-type"].partition(";")[0] in operation["consumes"]
    assert set(body) <= set(parameters)
    required = {name for name, parameter in parameters.items() if parameter.get("required")}
    assert required - set(body) == {"token"}
    assert request.headers["authorization"] == "Bearer xoxb-1"
    for name, value in body.items():
        expected = list if name in SLACK_ARRAYS else SLACK_TYPES[parameters[name]["type"]]
        assert isinstance(value, expected), name


def test_slacks_own_example_answers_are_understood() -> None:
    spec = description("slack/slack_web_openapi_v2.json")
    responses = spec["paths"]["/chat.postMessage"]["post"]["responses"]
    good = responses["200"]["examples"]["application/json"]
    auth = {"access_token": "xoxb-1"}
    output = run_action(send_message, {"channel": "#a", "text": "Hi"}, auth=auth, http=[httpx.Response(200, json=good)])
    assert output.output["ts"] == good["ts"]
    bad = responses["default"]["examples"]["application/json"]
    with pytest.raises(IntegrationError, match=bad["error"]):
        run_action(send_message, {"channel": "#a", "text": "Hi"}, auth=auth, http=[httpx.Response(200, json=bad)])


def test_every_input_of_a_slack_message_is_a_parameter_that_slack_describes() -> None:
    spec = description("slack/slack_web_openapi_v2.json")
    names = {parameter["name"] for parameter in spec["paths"]["/chat.postMessage"]["post"]["parameters"]}
    assert set(SendMessageInputs.model_fields) <= names
    assert set(SLACK_FULL) == set(SendMessageInputs.model_fields)


def test_the_codes_that_slack_documents_for_a_message_mostly_have_a_hint() -> None:
    spec = description("slack/slack_web_openapi_v2.json")
    schema = spec["paths"]["/chat.postMessage"]["post"]["responses"]["default"]["schema"]
    documented = set(schema["properties"]["error"]["enum"])
    # These say that a client is broken, which a person cannot repair.
    ours = {"invalid_arg_name", "invalid_array_arg", "invalid_charset", "invalid_form_data", "invalid_post_type"}
    assert documented - set(ERRORS) <= ours | {"missing_post_type"}


def test_the_test_of_a_slack_token_is_what_slack_describes() -> None:
    answer = {"ok": True, "user": "grace", "team": "T"}
    _, requests = check_account(
        send_message.provider, {"type": "bearer_token", "token": "x"}, [httpx.Response(200, json=answer)]
    )
    assert (
        urlsplit(str(requests[0].url)).path.removeprefix("/api")
        in description("slack/slack_web_openapi_v2.json")["paths"]
    )


@pytest.mark.parametrize(("query", "cursor"), [("", None), ("", "dGVhbTpDMDYxRkE1UEI="), ("gen", None)])
def test_the_list_of_slacks_channels_is_what_slack_describes(query: str, cursor: str | None) -> None:
    spec = description("slack/slack_web_openapi_v2.json")
    operation = spec["paths"]["/conversations.list"]["get"]
    example = operation["responses"]["200"]["examples"]["application/json"]
    found, requests = run_options(
        send_message,
        "channel",
        query=query,
        cursor=cursor,
        auth={"access_token": "xoxb-1"},
        http=[httpx.Response(200, json=example)],
    )
    assert slack_operation(requests[0].url.copy_with(query=None), "get") == operation
    parameters = {parameter["name"]: parameter for parameter in operation["parameters"]}
    sent = dict(requests[0].url.params)
    assert set(sent) <= set(parameters)
    assert all(parameter["in"] == "query" for parameter in parameters.values())
    assert int(sent["limit"]) <= 1000
    described = parameters["types"]["description"]
    assert all(f"`{kind}`" in described for kind in sent["types"].split(","))
    assert found.next_cursor == example["response_metadata"]["next_cursor"]
    labels = ["#general"] if query else ["#general", "#random"]
    assert [option.label for option in found.items] == labels
    assert [option.value for option in found.items] == [row["id"] for row in example["channels"]][: len(labels)]


def test_the_codes_that_slack_documents_for_a_list_of_channels_mostly_have_a_hint() -> None:
    spec = description("slack/slack_web_openapi_v2.json")
    schema = spec["paths"]["/conversations.list"]["get"]["responses"]["default"]["schema"]
    documented = set(schema["properties"]["error"]["enum"])
    ours = {code for code in documented if code.startswith(("invalid_", "missing_post", "json_", "upgrade_"))}
    assert documented - set(ERRORS) <= ours


# --- Gmail: Google's discovery document --------------------------------------------------------------------------


def discovery_schema(spec: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a schema of a discovery document as JSON schema that admits nothing beside what it describes."""
    properties = {
        key: {"type": value["type"], **({"items": {"type": "string"}} if value["type"] == "array" else {})}
        for key, value in spec["schemas"][name]["properties"].items()
        if "type" in value
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def gmail_method(*path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = description("google/gmail.v1.json")
    node: dict[str, Any] = spec
    for name in path:
        node = node["resources"][name] if name in node.get("resources", {}) else node["methods"][name]
    return spec, node


@pytest.mark.parametrize("extra", [{}, {"threadId": "18c2f0a1b2c3d4e5", "inReplyTo": "<a@b.c>", "cc": "c@example.com"}])
def test_a_gmail_message_is_what_google_describes(extra: dict[str, str]) -> None:
    spec, method = gmail_method("users", "messages", "send")
    mail = {"to": "ada@example.com", "subject": "Grüße", "bodyText": "Hällo", **extra}
    request = request_of(send_email, mail, {"access_token": "ya29.x"})
    path = method["flatPath"].replace("{userId}", "me")
    assert str(request.url) == f"{spec['rootUrl']}{path}"
    assert request.method == method["httpMethod"]
    body = json.loads(request.content)
    schema = discovery_schema(spec, method["request"]["$ref"])
    jsonschema.Draft202012Validator(schema).validate(body)
    assert schema["properties"]["raw"]["type"] == "string"
    assert spec["schemas"]["Message"]["properties"]["raw"]["format"] == "byte"
    data = base64.urlsafe_b64decode(body["raw"] + "=" * (-len(body["raw"]) % 4))
    assert b"Subject: =?utf-8?" in data
    assert SEND_SCOPE in method["scopes"]


def test_gmails_answer_is_what_google_describes() -> None:
    spec, method = gmail_method("users", "messages", "send")
    described = set(spec["schemas"][method["response"]["$ref"]]["properties"])
    assert {field.alias or name for name, field in SendEmailOutput.model_fields.items()} <= described


def test_the_test_of_a_google_token_is_what_google_describes() -> None:
    spec, method = gmail_method("users", "getProfile")
    answer = httpx.Response(200, json={"emailAddress": "a@example.com"})
    _, requests = check_account(send_email.provider, {"type": "oauth2", "access_token": "x"}, [answer])
    assert str(requests[0].url) == spec["rootUrl"] + method["flatPath"].replace("{userId}", "me")
    assert "emailAddress" in spec["schemas"][method["response"]["$ref"]]["properties"]


# --- OpenAI: OpenAPI 3.1 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inputs",
    [
        {"prompt": "hi"},
        {
            "prompt": "hi",
            "system": "Be brief.",
            "model": "gpt-4o",
            "temperature": 0.5,
            "max_completion_tokens": 50,
            "response_format": "json_object",
            "stop": ["END"],
        },
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {"role": "assistant", "content": "Hello."},
            ]
        },
        {
            "prompt": "hi",
            "tools": [{"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}],
            "tool_choice": "look",
        },
        {
            "messages": [
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "Seen."},
            ]
        },
    ],
)
def test_a_question_to_openai_is_what_openai_describes(inputs: dict[str, Any]) -> None:
    spec = description("openai/openapi.trim.json")
    request = request_of(chat_completion, inputs, {"api_key": "sk-1"})
    root = spec["servers"][0]["url"]
    operation = spec["paths"][str(request.url).removeprefix(root)][request.method.lower()]
    body = json.loads(request.content)
    (pointer,) = (content["schema"]["$ref"] for content in operation["requestBody"]["content"].values())
    validate(body, spec, pointer.removeprefix("#"))
    # The schema admits further keys, so that a misspelt one would pass: each must be described and not deprecated.
    described = all_properties(spec, pointer.removeprefix("#"))
    assert set(body) <= set(described)
    assert not [name for name in body if described[name].get("deprecated")]
    assert request.headers["authorization"] == "Bearer sk-1"


def test_a_schema_for_an_answer_of_openai_is_what_openai_describes() -> None:
    spec = description("openai/openapi.trim.json")
    asked = ChatCompletionInputs(prompt="hi", output_schema={"type": "object", "properties": {"a": {"type": "string"}}})
    validate(asked.payload(), spec, "/components/schemas/CreateChatCompletionRequest")


def test_a_body_that_openai_would_refuse_does_not_pass() -> None:
    spec = description("openai/openapi.trim.json")
    pointer = "/components/schemas/CreateChatCompletionRequest"
    for wrong in ({"model": "x"}, {"model": "x", "messages": []}, {"model": "x", "messages": [{"role": "robot"}]}):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, spec, pointer)


def test_the_answer_in_our_exchange_is_what_openai_describes() -> None:
    spec = description("openai/openapi.trim.json")
    validate(EXCHANGES["openai.chatCompletion"].answer, spec, "/components/schemas/CreateChatCompletionResponse")


def test_the_test_of_an_openai_key_is_what_openai_describes() -> None:
    spec = description("openai/openapi.trim.json")
    _, requests = check_account(
        chat_completion.provider, {"type": "api_key", "api_key": "x"}, [httpx.Response(200, json={"data": []})]
    )
    assert "get" in spec["paths"][str(requests[0].url).removeprefix(spec["servers"][0]["url"])]


def test_the_models_to_choose_from_are_those_that_openai_describes_for_it() -> None:
    spec = description("openai/openapi.trim.json")
    schemas = spec["components"]["schemas"]

    def named(schema: Any) -> list[str]:
        return [model for part in schema["anyOf"] for model in part.get("enum", ())]

    def for_(request: str) -> list[str]:
        return named(schemas[request]["properties"]["model"])

    answering, embedding = named(schemas["ModelIdsShared"]), for_("CreateEmbeddingRequest")
    others = ("CreateImageRequest", "CreateModerationRequest", "CreateSpeechRequest", "CreateTranscriptionRequest")
    every = [*answering, *embedding, *(model for request in others for model in for_(request))]
    answer = {
        "object": "list",
        "data": [{"id": model, "object": "model", "created": 1, "owned_by": "system"} for model in every],
    }
    validate(answer, spec, "/components/schemas/ListModelsResponse")
    for action, expected in ((chat_completion, answering), (create_embedding, embedding)):
        found, (request,) = run_options(
            action, "model", auth={"type": "api_key", "api_key": "x"}, http=[httpx.Response(200, json=answer)]
        )
        assert "get" in spec["paths"][str(request.url).removeprefix(spec["servers"][0]["url"])]
        assert [option.value for option in found.items] == expected


@pytest.mark.parametrize(
    "inputs", [{"text": "hi"}, {"texts": ["a"], "model": "text-embedding-3-large", "dimensions": 8}]
)
def test_texts_for_openais_vectors_are_what_openai_describes(inputs: dict[str, Any]) -> None:
    spec = description("openai/openapi.trim.json")
    request = request_of(create_embedding, inputs, {"api_key": "sk-1"})
    operation = spec["paths"][str(request.url).removeprefix(spec["servers"][0]["url"])][request.method.lower()]
    (pointer,) = (content["schema"]["$ref"] for content in operation["requestBody"]["content"].values())
    # It admits nothing beside what it describes.
    assert spec["components"]["schemas"]["CreateEmbeddingRequest"]["additionalProperties"] is False
    validate(json.loads(request.content), spec, pointer.removeprefix("#"))
    answer = EXCHANGES["openai.createEmbedding"].answer
    validate(answer, spec, "/components/schemas/CreateEmbeddingResponse")


def test_a_steps_list_of_channels_is_what_slack_describes() -> None:
    inputs = {"kinds": "private", "include_archived": True, "limit": 1000, "cursor": "x"}
    request = request_of(list_channels, inputs, {"access_token": "xoxb-1"})
    operation = slack_operation(request.url.copy_with(query=None), request.method)
    assert set(request.url.params) <= {parameter["name"] for parameter in operation["parameters"]}
    example = operation["responses"]["200"]["examples"]["application/json"]
    # As many as the example has: it says that there are more.
    inputs = {"limit": len(example["channels"])}
    auth = {"access_token": "xoxb-1"}
    result = run_action(list_channels, inputs, auth=auth, http=[httpx.Response(200, json=example)])
    assert result.output["channels"] == example["channels"]
    assert result.output["next_cursor"] == example["response_metadata"]["next_cursor"]

"""What goes to Anthropic, held against the schemas of its own library."""

import json
from typing import Any

import jsonschema
import pytest

from integrations.providers.anthropic.actions import create_message
from tests.contract.described import described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

PARAMS = "anthropic/message_create_params.nonstreaming.schema.json"
# Also good where JSON is asked for.
ANSWER = {"content": [{"type": "text", "text": "{}"}]}
TOOL = {
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.mark.parametrize(
    "inputs",
    [
        {"prompt": "hi"},
        {"prompt": "hi", "system": "Be brief.", "max_tokens": 5, "stop_sequences": ["END"], "model": "claude-sonnet-5"},
        {"prompt": "hi", "output_schema": {"type": "object", "properties": {}, "additionalProperties": False}},
        *({"prompt": "hi", "tools": [TOOL], "tool_choice": choice} for choice in ("auto", "any", "none", TOOL["name"])),
        {
            "tools": [TOOL],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Is it cold in Oslo?"}]},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Oslo"}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "-3 °C"}]},
            ],
        },
    ],
)
def test_a_question_is_what_anthropic_describes(inputs: dict[str, Any]) -> None:
    spec = description(PARAMS)
    request = request_of(create_message, inputs, {"api_key": "sk-ant-1"}, ANSWER)
    body = json.loads(request.content)
    validate(body, spec, "")
    # The schema admits further keys, so that a misspelt one would pass.
    assert set(body) <= set(spec["properties"])
    if "tool_choice" in body:
        kinds = {"tool": "Tool", "auto": "Auto", "any": "Any", "none": "None"}
        validate(body["tool_choice"], spec, f"/$defs/ToolChoice{kinds[body['tool_choice']['type']]}Param")
    for tool in body.get("tools", ()):
        validate(tool, spec, "/$defs/ToolParam")
        assert set(tool) <= set(spec["$defs"]["ToolParam"]["properties"])
    if "output_config" in body:
        assert set(body["output_config"]) <= set(spec["$defs"]["OutputConfigParam"]["properties"])


def test_a_body_that_anthropic_would_refuse_does_not_pass() -> None:
    spec = description(PARAMS)
    good = {"model": "x", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    validate(good, spec, "")
    for wrong in (
        {**good, "max_tokens": None},
        {"model": "x", "messages": []},
        {**good, "messages": [{"role": "robot", "content": "hi"}]},
        {**good, "output_config": {"format": {"type": "json_object"}}},
        {**good, "tool_choice": {"type": "tool"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, spec, "")


def test_the_default_model_is_one_that_anthropic_lists() -> None:
    named, _any = description(PARAMS)["properties"]["model"]["anyOf"]
    assert create_message.input_schema.model_fields["model"].default in named["enum"]


def test_the_answer_in_our_exchange_is_what_anthropic_describes() -> None:
    validate(EXCHANGES["anthropic.createMessage"].answer, description("anthropic/message.schema.json"), "")

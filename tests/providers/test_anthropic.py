"""Anthropic's createMessage: what goes out, what comes back, and what each refusal becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.anthropic import anthropic
from integrations.providers.anthropic.actions import create_message
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Option,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action, run_options

KEY = {"type": "api_key", "api_key": "sk-ant-1"}
TOOL = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"good": {"type": "boolean"}}, "additionalProperties": False}


def answer(*blocks: Any, **more: Any) -> httpx.Response:
    content = list(blocks) or [{"type": "text", "text": "Hello!"}]
    body = {"id": "m1", "type": "message", "role": "assistant", "model": "claude-x", "content": content}
    return httpx.Response(200, json={**body, "stop_reason": "end_turn", "usage": {"output_tokens": 3}, **more})


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def asked(**inputs: Any) -> dict[str, Any]:
    """Ask and return the body that went out."""
    result = run_action(create_message, inputs, auth=KEY, http=[answer(text("{}"))])
    assert str(result.request.url) == "https://api.anthropic.com/v1/messages"
    body: dict[str, Any] = json.loads(result.request.content)
    return body


def given(response: httpx.Response, **inputs: Any) -> dict[str, Any]:
    output: dict[str, Any] = run_action(create_message, {"prompt": "hi", **inputs}, auth=KEY, http=[response]).output
    return output


def refused(status: int, headers: dict[str, str] | None = None, **error: object) -> IntegrationError:
    response = httpx.Response(status, json={"type": "error", "error": error}, headers=headers)
    with pytest.raises(IntegrationError) as caught:
        run_action(create_message, {"prompt": "hi"}, auth=KEY, http=[response])
    return caught.value


def test_a_prompt_is_a_single_user_message_and_the_longest_answer_is_always_said() -> None:
    assert asked(prompt="hi") == {
        "model": "claude-haiku-4-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_the_key_and_the_version_of_the_api_are_in_the_headers() -> None:
    request = run_action(create_message, {"prompt": "hi"}, auth=KEY, http=[answer()]).request
    assert request.headers["x-api-key"] == "sk-ant-1"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in request.headers


def test_a_token_goes_as_a_bearer_token() -> None:
    auth = {"type": "bearer_token", "token": "t-1"}
    request = run_action(create_message, {"prompt": "hi"}, auth=auth, http=[answer()]).request
    assert request.headers["authorization"] == "Bearer t-1"
    assert "x-api-key" not in request.headers


def test_what_is_set_goes_along() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}]
    body = asked(messages=messages, system="Be brief.", model="claude-x", max_tokens=5, stop_sequences=["END"])
    assert body == {
        "messages": messages,
        "system": "Be brief.",
        "model": "claude-x",
        "max_tokens": 5,
        "stop_sequences": ["END"],
    }


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("any", {"type": "any"}), ("none", {"type": "none"}), ("get_weather", {"type": "tool", "name": "get_weather"})],
)
def test_tools_go_along_with_the_choice_of_one(choice: str, expected: dict[str, str]) -> None:
    body = asked(prompt="hi", tools=[TOOL], tool_choice=choice)
    assert body["tools"] == [TOOL]
    assert body["tool_choice"] == expected


def test_a_json_schema_is_asked_for_as_the_form_of_the_output() -> None:
    assert asked(prompt="hi", output_schema=SCHEMA)["output_config"] == {
        "format": {"type": "json_schema", "schema": SCHEMA}
    }


def test_an_answer_of_several_texts_is_one_text() -> None:
    output = given(answer(text("Hel"), {"type": "thinking", "thinking": "…"}, text("lo")))
    assert (output["text"], output["data"], output["tool_calls"]) == ("Hello", None, [])
    assert (output["model"], output["id"], output["usage"]) == ("claude-x", "m1", {"output_tokens": 3})
    assert len(output["content"]) == 3


def test_an_answer_to_a_json_schema_is_data() -> None:
    output = given(answer(text('{"good": true}')), output_schema=SCHEMA)
    assert output["data"] == {"good": True}
    assert given(answer(text('{"good": true}')))["data"] is None


@pytest.mark.parametrize(
    ("words", "ended", "hint"), [('{"good": tr', "max_tokens", "max_tokens"), ("sure!", "end_turn", "prompt")]
)
def test_an_answer_that_is_not_the_json_that_was_asked_for_fails_and_says_why(
    words: str, ended: str, hint: str
) -> None:
    with pytest.raises(Permanent) as caught:
        given(answer(text(words), stop_reason=ended), output_schema=SCHEMA)
    assert hint in caught.value.hint


@pytest.mark.parametrize("ended", ["refusal", "tool_use"])
def test_a_refusal_and_a_call_of_a_tool_are_no_broken_json(ended: str) -> None:
    output = given(answer(text("I cannot."), stop_reason=ended), output_schema=SCHEMA)
    assert (output["data"], output["stop_reason"]) == (None, ended)


def test_calls_of_tools_are_listed_with_their_inputs() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}
    output = given(answer(text("Let me look."), call, stop_reason="tool_use"), tools=[TOOL])
    assert output["tool_calls"] == [{"id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}]
    assert output["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"prompt": ""},
        {"prompt": "a", "messages": [{"role": "user", "content": "b"}]},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "b"}]},
        {"prompt": "a", "max_tokens": 0},
        {"prompt": "a", "max_completion_tokens": 5},
        {"prompt": "a", "model": ""},
        {"prompt": "a", "tools": [{"name": "with space", "input_schema": {}}]},
        {"prompt": "a", "tool_choice": "auto"},
        {"prompt": "a", "tools": [TOOL], "tool_choice": "other"},
    ],
)
def test_inputs_that_cannot_be_asked_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(create_message, inputs, auth=KEY)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid_request_error", Permanent),
        (401, "authentication_error", AuthError),
        (402, "billing_error", Permanent),
        (403, "permission_error", PermissionMissing),
        (404, "not_found_error", NotFound),
        (409, "conflict_error", Transient),
        (413, "request_too_large", Permanent),
        (429, "rate_limit_error", RateLimited),
        (500, "api_error", Transient),
        (504, "timeout_error", Transient),
        (529, "overloaded_error", Transient),
        (200, "overloaded_error", Permanent),
    ],
)
def test_a_refusal_carries_anthropics_own_message(status: int, code: str, expected: type[IntegrationError]) -> None:
    error = refused(status, message="It says why.", type=code)
    assert type(error) is expected
    assert status == 200 or error.message == "Anthropic: It says why."


def test_an_empty_purse_is_not_worth_a_retry() -> None:
    assert "credits" in refused(402, type="billing_error", message="No.").hint


@pytest.mark.parametrize("status", [429, 529])
def test_the_pause_that_anthropic_asks_for_is_kept(status: int) -> None:
    error = refused(status, {"retry-after": "7"}, message="Slow down.", type="overloaded_error")
    assert isinstance(error, Transient)
    assert error.retry_after == 7


def test_a_lost_answer_is_asked_for_again() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(create_message, {"prompt": "hi"}, auth=KEY, http=lose)


@pytest.mark.parametrize(
    "body", [{}, [], {"content": "x"}, {"content": [1]}, {"content": [{"type": "tool_use", "input": "x"}]}, "x"]
)
def test_an_answer_of_another_form_is_permanent(body: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        given(httpx.Response(200, json=body))


def test_a_key_is_tested_by_listing_a_model() -> None:
    good = httpx.Response(200, json={"data": []}, headers={"anthropic-organization-id": "acme"})
    account, (request,) = check_account(anthropic, KEY, [good])
    assert account.label == "Anthropic organisation acme"
    assert str(request.url) == "https://api.anthropic.com/v1/models?limit=1"
    assert request.headers["anthropic-version"] == "2023-06-01"
    with pytest.raises(AuthError, match="invalid x-api-key"):
        check_account(anthropic, KEY, [httpx.Response(401, json={"error": {"message": "invalid x-api-key"}})])


MODELS = {
    "data": [
        {"type": "model", "id": "claude-haiku-4-5-20251001", "display_name": "Claude Haiku 4.5"},
        {"type": "model", "id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5"},
    ],
    "has_more": True,
    "first_id": "claude-haiku-4-5-20251001",
    "last_id": "claude-sonnet-4-5",
}


def test_models_are_listed_searched_and_paged() -> None:
    found, (request,) = run_options(create_message, "model", auth=KEY, http=[httpx.Response(200, json=MODELS)])
    assert next(iter(found.items)) == Option("claude-haiku-4-5-20251001", "Claude Haiku 4.5")
    assert found.next_cursor == "claude-sonnet-4-5"
    assert dict(request.url.params) == {"limit": "100"}
    last = httpx.Response(200, json={**MODELS, "has_more": False})
    found, (request,) = run_options(
        create_message, "model", query="SONNET", cursor="claude-haiku-4-5-20251001", auth=KEY, http=[last]
    )
    assert [option.value for option in found.items] == ["claude-sonnet-4-5"]
    assert found.next_cursor is None
    assert dict(request.url.params) == {"limit": "1000", "after_id": "claude-haiku-4-5-20251001"}


@pytest.mark.parametrize("body", [{"data": [1]}, {"data": [{"id": 1}]}, {"data": {}}])
def test_a_list_of_models_of_another_form_is_permanent(body: dict[str, Any]) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_options(create_message, "model", auth=KEY, http=[httpx.Response(200, json=body)])

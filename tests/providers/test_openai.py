"""OpenAI's chatCompletion: what goes out, what comes back, and what each refusal becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.builtin.chat import endpoint_completion
from integrations.providers.openai import openai
from integrations.providers.openai.actions import chat_completion, create_embedding
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Option,
    Permanent,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action, run_options

KEY = {"type": "api_key", "api_key": "sk-1"}


def answer(content: str | None = "Hello!", **message: object) -> httpx.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}
    return httpx.Response(
        200, json={"id": "c1", "model": "gpt-4o-mini-x", "choices": [choice], "usage": {"total_tokens": 7}}
    )


def asked(**inputs: Any) -> dict[str, Any]:
    """Ask and return the body that went out."""
    result = run_action(chat_completion, inputs, auth=KEY, http=[answer()])
    assert str(result.request.url) == "https://api.openai.com/v1/chat/completions"
    body: dict[str, Any] = json.loads(result.request.content)
    return body


def refused(status: int, headers: dict[str, str] | None = None, **error: object) -> IntegrationError:
    response = httpx.Response(status, json={"error": error}, headers=headers)
    with pytest.raises(IntegrationError) as caught:
        run_action(chat_completion, {"prompt": "hi"}, auth=KEY, http=[response])
    return caught.value


def test_a_prompt_is_a_single_user_message_for_the_default_model() -> None:
    assert asked(prompt="hi") == {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def test_what_is_set_goes_along_under_the_names_that_are_current() -> None:
    body = asked(
        prompt="hi",
        system="Be brief.",
        model="gpt-4o",
        temperature=0,
        max_completion_tokens=5,
        response_format="json_object",
        stop=["END"],
    )
    assert body == {
        "model": "gpt-4o",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "temperature": 0,
        "max_completion_tokens": 5,
        "response_format": {"type": "json_object"},
        "stop": ["END"],
    }


def test_a_conversation_goes_out_as_it_is() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}]},
        {"role": "assistant", "content": "A cat."},
    ]
    assert asked(messages=messages)["messages"] == messages


@pytest.mark.parametrize("auth", [KEY, {"type": "bearer_token", "token": "sk-1"}])
def test_a_key_and_a_token_are_sent_alike(auth: dict[str, str]) -> None:
    result = run_action(chat_completion, {"prompt": "hi"}, auth=auth, http=[answer()])
    assert result.request.headers["authorization"] == "Bearer sk-1"


def test_the_answer_comes_first_in_the_output() -> None:
    output = run_action(chat_completion, {"prompt": "hi"}, auth=KEY, http=[answer()]).output
    assert next(iter(output)) == "content"
    assert output["content"] == "Hello!"
    assert (output["model"], output["finish_reason"], output["usage"]) == ("gpt-4o-mini-x", "stop", {"total_tokens": 7})


def test_content_may_be_null_when_the_model_refuses() -> None:
    result = run_action(chat_completion, {"prompt": "hi"}, auth=KEY, http=[answer(None, refusal="I cannot.")])
    assert (result.output["content"], result.output["refusal"]) == (None, "I cannot.")


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"prompt": ""},
        {"prompt": "a", "messages": [{"role": "user", "content": "b"}]},
        {"messages": []},
        {"messages": [{"role": "robot", "content": "b"}]},
        {"prompt": "a", "temperature": 3},
        {"prompt": "a", "max_completion_tokens": 0},
        {"prompt": "a", "max_tokens": 5},
        {"prompt": "a", "model": ""},
    ],
)
def test_inputs_that_cannot_be_asked_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(chat_completion, inputs, auth=KEY)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid_value", Permanent),
        (401, "invalid_api_key", AuthError),
        (404, "model_not_found", NotFound),
        (408, None, Transient),
        (409, None, Transient),
        (429, "rate_limit_exceeded", RateLimited),
        (429, "insufficient_quota", Permanent),
        (500, None, Transient),
        (503, None, Transient),
    ],
)
def test_a_refusal_carries_openais_own_message(status: int, code: str | None, expected: type[IntegrationError]) -> None:
    error = refused(status, message="It says why.", type="some_error", param=None, code=code)
    assert type(error) is expected
    assert error.message == "OpenAI: It says why."


def test_an_empty_purse_is_not_worth_a_retry_by_its_type_either() -> None:
    error = refused(429, message="You exceeded your current quota.", type="insufficient_quota", code=None)
    assert not error.retryable
    assert "billing" in error.hint


@pytest.mark.parametrize("headers", [{"retry-after-ms": "1500"}, {"retry-after": "1.5"}])
def test_the_pause_that_openai_asks_for_is_kept(headers: dict[str, str]) -> None:
    error = refused(429, headers, message="Slow down.")
    assert isinstance(error, RateLimited)
    assert error.retry_after == 1.5


def test_a_lost_answer_is_asked_for_again() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(chat_completion, {"prompt": "hi"}, auth=KEY, http=lose)


@pytest.mark.parametrize("body", [{}, [], {"choices": []}, {"choices": [1]}, {"choices": [{"message": None}]}, "x"])
def test_an_answer_of_another_form_is_permanent(body: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(chat_completion, {"prompt": "hi"}, auth=KEY, http=[httpx.Response(200, json=body)])


def test_a_key_is_tested_by_listing_the_models() -> None:
    good = httpx.Response(200, json={"data": [{"id": "gpt-4o"}]}, headers={"openai-organization": "acme"})
    account, requests = check_account(openai, KEY, [good])
    assert account.label == "OpenAI acme, 1 models"
    assert str(requests[0].url) == "https://api.openai.com/v1/models"
    with pytest.raises(AuthError, match="Incorrect"):
        check_account(openai, KEY, [httpx.Response(401, json={"error": {"message": "Incorrect API key"}})])


def vectors(*rows: tuple[int, list[float]]) -> httpx.Response:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in rows]
    return httpx.Response(200, json={"data": data, "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}})


def test_a_text_becomes_a_vector() -> None:
    result = run_action(create_embedding, {"text": "hi"}, auth=KEY, http=[vectors((0, [0.5, -1]))])
    assert str(result.request.url) == "https://api.openai.com/v1/embeddings"
    assert json.loads(result.request.content) == {
        "model": "text-embedding-3-small",
        "input": "hi",
        "encoding_format": "float",
    }
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    assert result.output == {"embedding": [0.5, -1], "embeddings": [[0.5, -1]], "model": "m", "usage": usage}


def test_several_texts_become_vectors_in_their_own_order() -> None:
    inputs = {"texts": ["a", "b"], "model": "m", "dimensions": 1}
    result = run_action(create_embedding, inputs, auth=KEY, http=[vectors((1, [2]), (0, [1]))])
    assert result.output["embeddings"] == [[1], [2]]
    body = json.loads(result.request.content)
    assert (body["input"], body["model"], body["dimensions"]) == (["a", "b"], "m", 1)


@pytest.mark.parametrize(
    "inputs",
    [{}, {"text": ""}, {"text": "a", "texts": ["b"]}, {"texts": []}, {"texts": [""]}, {"texts": ["a"] * 2049},
     {"text": "a", "dimensions": 0}, {"text": "a", "input": "b"}],
)  # fmt: skip
def test_texts_that_cannot_be_turned_into_vectors_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(create_embedding, inputs, auth=KEY)


@pytest.mark.parametrize(
    "response",
    [
        vectors(),
        vectors((0, [1]), (1, [2])),
        vectors((1, [1])),
        vectors((0, [])),
        httpx.Response(200, json={"data": [1]}),
    ],
)
def test_vectors_that_do_not_fit_the_texts_are_permanent(response: httpx.Response) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_action(create_embedding, {"text": "hi"}, auth=KEY, http=[response])


TOOL = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
SCHEMA = {"type": "object", "properties": {"good": {"type": "boolean"}}}


def test_tools_and_the_one_to_choose_go_along_as_functions() -> None:
    body = asked(prompt="hi", tools=[{**TOOL, "description": "The weather."}], tool_choice="get_weather")
    function = {"name": "get_weather", "parameters": TOOL["input_schema"], "description": "The weather."}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert asked(prompt="hi", tools=[TOOL], tool_choice="any")["tool_choice"] == "required"
    with pytest.raises(InputError, match="the tool to choose"):
        run_action(chat_completion, {"prompt": "hi", "tools": [TOOL], "tool_choice": "other"}, auth=KEY, http=[])


def test_a_result_of_a_tool_goes_along_with_the_call_that_it_is_of() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    said = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c1", "content": "Sun."}]
    assert asked(messages=said)["messages"] == said
    for wrong in ({"role": "tool", "content": "Sun."}, {"role": "user"}):
        with pytest.raises(InputError):
            run_action(chat_completion, {"messages": [wrong]}, auth=KEY, http=[])


def test_a_tool_that_is_asked_for_is_read_also_where_its_inputs_are_none() -> None:
    def called(arguments: Any) -> Any:
        call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
        response = answer(None, tool_calls=[call])
        inputs = {"prompt": "hi", "tools": [TOOL], "output_schema": SCHEMA}
        output: Any = run_action(chat_completion, inputs, auth=KEY, http=[response]).output
        assert output["data"] is None
        return output["tool_calls"][0]

    assert called('{"city": "Paris"}') == {"id": "c1", "name": "get_weather", "input": {"city": "Paris"}}
    assert called("")["input"] == {}
    assert called({"city": "Rome"})["input"] == {"city": "Rome"}
    for broken in ('{"city": ', "[1]", '{"a": NaN}', '{"a": 1e400}'):
        assert called(broken) == {"id": "c1", "name": "get_weather", "input": None, "raw": broken}


def test_an_answer_by_a_schema_is_data() -> None:
    result = run_action(
        chat_completion, {"prompt": "hi", "output_schema": SCHEMA}, auth=KEY, http=[answer('{"good": true}')]
    )
    sent = json.loads(result.request.content)["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    output: Any = result.output
    assert output["data"] == {"good": True}
    with pytest.raises(Permanent, match="not the JSON"):
        run_action(chat_completion, {"prompt": "hi", "output_schema": SCHEMA}, auth=KEY, http=[answer("Sure!")])


def test_an_endpoint_of_ones_own_is_asked_as_openai_is() -> None:
    inputs = {"endpoint": "https://models.example.com/v1/", "model": "mine", "prompt": "hi", "max_tokens": 5}
    auth = {"type": "bearer_token", "token": "t-1", "provider": "http"}
    request = run_action(endpoint_completion, inputs, auth=auth, http=[answer()]).request
    assert str(request.url) == "https://models.example.com/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer t-1"
    assert json.loads(request.content) == {
        "model": "mine", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]
    }  # fmt: skip


MODELS = [
    {"id": "gpt-4o-mini", "object": "model", "created": 1_721_172_741, "owned_by": "system"},
    {"id": "gpt-5", "object": "model", "created": 1_754_425_777, "owned_by": "system"},
    {"id": "text-embedding-3-small", "object": "model", "created": 1_705_948_997, "owned_by": "system"},
    {"id": "whisper-1", "object": "model", "created": 1_677_532_384, "owned_by": "openai-internal"},
]


def listed(rows: Any) -> list[httpx.Response]:
    return [httpx.Response(200, json={"object": "list", "data": rows})]


def test_models_of_a_field_are_listed_the_newest_first_and_searched() -> None:
    found, (request,) = run_options(chat_completion, "model", auth=KEY, http=listed(MODELS))
    assert str(request.url) == "https://api.openai.com/v1/models"
    assert list(found.items) == [Option("gpt-5", "gpt-5"), Option("gpt-4o-mini", "gpt-4o-mini")]
    found, _ = run_options(chat_completion, "model", query=" 4O", auth=KEY, http=listed(MODELS))
    assert [option.value for option in found.items] == ["gpt-4o-mini"]
    found, _ = run_options(create_embedding, "model", auth=KEY, http=listed(MODELS))
    assert [option.value for option in found.items] == ["text-embedding-3-small"]


ENDPOINT = {"endpoint": "https://models.test/v1/"}


def test_an_endpoints_many_models_come_in_pages_with_their_names() -> None:
    rows = [{"id": f"maker/m{number}", "name": f"Model {number}"} for number in range(130)] + [{"id": "bare"}]
    found, (request,) = run_options(endpoint_completion, "model", inputs=ENDPOINT, http=listed(rows))
    assert str(request.url) == "https://models.test/v1/models"
    assert (len(found.items), found.items[0], found.next_cursor) == (
        100,
        Option("maker/m0", "Model 0", "maker/m0"),
        "100",
    )
    found, _ = run_options(endpoint_completion, "model", inputs=ENDPOINT, cursor="100", http=listed(rows))
    assert (len(found.items), found.items[-1], found.next_cursor) == (31, Option("bare", "bare"), None)


@pytest.mark.parametrize(
    "endpoint", [None, "", "{{ vars.root }}", "https://{{ vars.host }}/v1", "ftp://models.test", 7]
)
def test_an_endpoint_that_is_not_known_yet_is_not_asked(endpoint: Any) -> None:
    with pytest.raises(InputError) as caught:
        run_options(endpoint_completion, "model", inputs={"endpoint": endpoint})
    assert caught.value.field == "endpoint"


@pytest.mark.parametrize("rows", [[1], [{"id": 1}], {}, None])
def test_a_list_of_models_of_another_form_is_permanent(rows: Any) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        run_options(chat_completion, "model", auth=KEY, http=listed(rows))

"""Gemini's generateContent: what goes out, what comes back, and what each refusal becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.google_gemini import google_gemini
from integrations.providers.google_gemini.actions import generate_content
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

KEY = {"type": "api_key", "api_key": "AIza-1"}
SCHEMA = {"type": "object", "properties": {"good": {"type": "boolean"}}}


def answer(*parts: dict[str, Any], ended: str = "STOP") -> httpx.Response:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": ended}
    return httpx.Response(200, json={"candidates": [candidate], "modelVersion": "m", "usageMetadata": {}})


def given(response: httpx.Response, **inputs: Any) -> dict[str, Any]:
    output: dict[str, Any] = run_action(generate_content, {"prompt": "hi", **inputs}, auth=KEY, http=[response]).output
    return output


def asked(**inputs: Any) -> dict[str, Any]:
    result = run_action(generate_content, inputs, auth=KEY, http=[answer({"text": "{}"})])
    body: dict[str, Any] = json.loads(result.request.content)
    return body


def refused(status: int, headers: dict[str, str] | None = None, **error: object) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        given(httpx.Response(status, json={"error": error}, headers=headers))
    return caught.value


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "models/gemini-2.5-pro"])
def test_a_prompt_goes_to_the_model_with_the_key_in_the_header(model: str) -> None:
    result = run_action(generate_content, {"prompt": "hi", "model": model}, auth=KEY, http=[answer({"text": "x"})])
    root = "https://generativelanguage.googleapis.com/v1beta/models"
    assert str(result.request.url) == f"{root}/gemini-2.5-pro:generateContent"
    assert result.request.headers["x-goog-api-key"] == "AIza-1"
    assert json.loads(result.request.content) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_what_is_set_goes_along() -> None:
    turns = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": "b"}]}]
    inputs = {"temperature": 0, "max_output_tokens": 5, "stop_sequences": ["END"], "output_schema": SCHEMA}
    assert asked(contents=turns, system="Be brief.", **inputs) == {
        "contents": turns,
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 0,
            "maxOutputTokens": 5,
            "stopSequences": ["END"],
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        },
    }


def test_an_answer_is_its_parts_without_the_thoughts() -> None:
    output = given(answer({"text": "hm", "thought": True}, {"text": "Hel"}, {"text": "lo"}))
    assert (output["text"], output["data"], output["finish_reason"], output["model"]) == ("Hello", None, "STOP", "m")


def test_an_answer_to_a_json_schema_is_data() -> None:
    assert given(answer({"text": '{"good": true}'}), output_schema=SCHEMA)["data"] == {"good": True}


@pytest.mark.parametrize(
    ("words", "ended", "hint"),
    [('{"good"', "MAX_TOKENS", "max_output_tokens"), ("sure!", "STOP", "schema"), ("NaN", "STOP", "schema")],
)
def test_an_answer_that_is_not_the_json_that_was_asked_for_fails(words: str, ended: str, hint: str) -> None:
    with pytest.raises(Permanent, match="JSON") as caught:
        given(answer({"text": words}, ended=ended), output_schema=SCHEMA)
    assert hint in caught.value.hint


def test_a_question_that_was_stopped_fails_and_an_answer_that_was_is_empty() -> None:
    with pytest.raises(Permanent, match="PROHIBITED_CONTENT"):
        given(httpx.Response(200, json={"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}))
    output = given(httpx.Response(200, json={"candidates": [{"finishReason": "SAFETY"}]}))
    assert (output["text"], output["finish_reason"]) == ("", "SAFETY")


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"prompt": ""},
        {"prompt": "a", "contents": [{"role": "user", "parts": [{"text": "b"}]}]},
        {"contents": []},
        {"contents": [{"role": "assistant", "parts": [{"text": "b"}]}]},
        {"prompt": "a", "model": "../x"},
        {"prompt": "a", "model": "x:countTokens"},
        {"prompt": "a", "temperature": 3},
        {"prompt": "a", "max_tokens": 5},
    ],
)
def test_inputs_that_cannot_be_asked_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(generate_content, inputs, auth=KEY)


@pytest.mark.parametrize(
    ("status", "name", "expected"),
    [
        (400, "INVALID_ARGUMENT", Permanent),
        (401, "UNAUTHENTICATED", AuthError),
        (403, "PERMISSION_DENIED", PermissionMissing),
        (404, "NOT_FOUND", NotFound),
        (429, "RESOURCE_EXHAUSTED", RateLimited),
        (500, "INTERNAL", Transient),
        (503, "UNAVAILABLE", Transient),
        (504, "DEADLINE_EXCEEDED", Transient),
    ],
)
def test_a_refusal_carries_googles_own_message(status: int, name: str, expected: type[IntegrationError]) -> None:
    error = refused(status, code=status, message="It says why.", status_=name)
    assert type(error) is expected
    assert error.message == "Gemini: It says why."


def test_a_wrong_key_is_an_auth_error_although_google_answers_400() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    error = refused(400, message="API key not valid.", details=details)
    assert type(error) is AuthError
    assert "AI Studio" in error.hint


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37.5s"}], 37.5),
        ([{"retryDelay": "soon"}, 1], 9),
        ([{"retryDelay": "infs"}], 9),
        ("x", 9),
    ],
)
def test_a_limit_waits_as_long_as_its_details_say(details: object, seconds: float) -> None:
    error = refused(429, {"Retry-After": "9"}, message="Slow down.", details=details)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_lost_answer_is_asked_for_again() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(generate_content, {"prompt": "hi"}, auth=KEY, http=lose)


@pytest.mark.parametrize(
    "body",
    [{}, [], {"candidates": []}, {"candidates": [1]}, {"candidates": [{}]}, {"candidates": [{"content": "x"}]},
     {"candidates": [{"content": {"parts": [1]}}]}, "x"],
)  # fmt: skip
def test_an_answer_of_another_form_is_permanent(body: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        given(httpx.Response(200, json=body))


def test_a_key_is_tested_by_listing_a_model() -> None:
    account, (request,) = check_account(google_gemini, KEY, [httpx.Response(200, json={"models": []})])
    assert account.label == "Gemini account"
    assert str(request.url) == "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1"
    wrong = {"error": {"message": "x", "details": [{"reason": "API_KEY_INVALID"}]}}
    with pytest.raises(AuthError):
        check_account(google_gemini, KEY, [httpx.Response(400, json=wrong)])


def test_models_that_write_are_listed_searched_and_paged() -> None:
    rows = [
        {"name": "models/gemini-2.5-flash", "displayName": "Gemini 2.5 Flash"},
        {"name": "models/gemini-2.5-pro", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/embedding-1", "supportedGenerationMethods": ["embedContent"]},
    ]
    body = {"models": rows, "nextPageToken": "t1"}
    found, (request,) = run_options(generate_content, "model", auth=KEY, http=[httpx.Response(200, json=body)])
    flash = Option("gemini-2.5-flash", "Gemini 2.5 Flash", "gemini-2.5-flash")
    assert list(found.items) == [flash, Option("gemini-2.5-pro", "gemini-2.5-pro", "gemini-2.5-pro")]
    assert found.next_cursor == "t1"
    last = httpx.Response(200, json={"models": rows})
    found, (request,) = run_options(generate_content, "model", query="FLASH", cursor="t1", auth=KEY, http=[last])
    assert list(found.items) == [flash]
    assert found.next_cursor is None
    assert dict(request.url.params) == {"pageSize": "1000", "pageToken": "t1"}

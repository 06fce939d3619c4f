"""Chat completions as OpenAI defined them, which many other endpoints understand: what goes out, what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from integrations.sdk.chat import (
    Data,
    Instructions,
    OutputSchema,
    Prompt,
    StopTexts,
    Temperature,
    Tokens,
    Tool,
    ToolCall,
    ToolChoice,
    Tools,
    check_one_question,
    check_tool_choice,
    count,
    data_of,
    json_of,
)
from integrations.sdk.client import Response
from integrations.sdk.fields import ui
from integrations.sdk.options import Option, Options
from integrations.words import gettext as _

PATH: Final = "chat/completions"
MODELS_PATH: Final = "models"
# Such a list comes whole, and some have many hundreds.
_MODELS_A_PAGE: Final = 100
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant", "tool"] = Field(title="Who speaks", examples=["user"])
    content: str | list[dict[str, JsonValue]] | None = Field(
        default=None, title="Message", examples=["Say hello."], json_schema_extra=ui(format="textarea")
    )
    tool_calls: list[dict[str, JsonValue]] | None = Field(default=None, title="Tools that the model asked for")
    tool_call_id: str | None = Field(default=None, title="Which call this is the result of")

    @model_validator(mode="after")
    def something_said(self) -> Self:
        if self.content is None and not self.tool_calls:
            raise ValueError(_("a message has content, or calls of tools"))
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise ValueError(_("a message of role tool, and no other, names its tool_call_id"))
        return self


class Question(BaseModel):
    """The inputs of every action that asks for a completion but for the model and the longest answer."""

    model_config = ConfigDict(extra="forbid")

    prompt: Prompt = None
    messages: list[ChatMessage] | None = Field(
        default=None,
        min_length=1,
        title="Messages",
        description="A conversation, in place of a prompt.",
        examples=[[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello."}]],
        json_schema_extra=ui(advanced=True),
    )
    system: Instructions = Field(default=None, description="How the model should behave, said before the prompt.")
    temperature: Temperature = Field(
        default=None, description="0 is steady, 2 is wild. Some models take only their own."
    )
    response_format: Literal["text", "json_object"] | None = Field(
        default=None,
        title="Answer as",
        description="For JSON the prompt must ask for it in words, too.",
        examples=["text"],
        json_schema_extra=ui(advanced=True, words={"text": "Text", "json_object": "JSON"}),
    )
    output_schema: OutputSchema = None
    tools: Tools = None
    tool_choice: ToolChoice = None
    stop: StopTexts = Field(default=None, max_length=4)

    @model_validator(mode="after")
    def one_question(self) -> Self:
        check_one_question(self.prompt, self.messages)
        check_tool_choice(self.tool_choice, self.tools)
        if self.response_format and self.output_schema is not None:
            raise ValueError(_("give either response_format or output_schema, and not both"))
        return self

    def question(self) -> dict[str, Any]:
        """Return the body of the request but for the model; what is not set is left to it."""
        body = self.model_dump(exclude_none=True, include={"temperature", "stop"}, mode="json")
        if self.response_format:
            body["response_format"] = {"type": self.response_format}
        if self.output_schema is not None:
            schema = {"name": "answer", "schema": self.output_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self.tools:
            body["tools"] = [_function(tool) for tool in self.tools]
        if self.tool_choice is not None:
            named = {"type": "function", "function": {"name": self.tool_choice}}
            body["tool_choice"] = _CHOICES.get(self.tool_choice, named)
        return {**body, "messages": self._conversation()}

    def _conversation(self) -> list[dict[str, Any]]:
        before = [{"role": "system", "content": self.system}] if self.system else []
        if self.messages:
            return before + [message.model_dump(mode="json", exclude_none=True) for message in self.messages]
        return [*before, {"role": "user", "content": self.prompt}]


class Usage(BaseModel):
    model_config = ConfigDict(extra="allow")

    prompt_tokens: int = Field(default=0, title="Tokens of the question")
    completion_tokens: int = Field(default=0, title="Tokens of the answer")
    total_tokens: int = Field(default=0, title="Tokens in all")


class ChatCompletionOutput(BaseModel):
    content: str | None = Field(title="Answer", description="Null when the model refused or called a tool.")
    data: Data = None
    tool_calls: list[ToolCall] = Field(default_factory=list, title="Tools that it asks for")
    refusal: str | None = Field(default=None, title="Refusal", description="What the model said in place of an answer.")
    finish_reason: str | None = Field(
        default=None, title="Why it ended", description="stop, length, tool_calls or content_filter."
    )
    model: str = Field(title="Model")
    id: str = Field(title="Id")
    usage: Usage = Field(default_factory=Usage, title="Usage")
    choices: list[dict[str, JsonValue]] = Field(title="Choices", description="The provider's own list of answers.")


SAMPLE: Final[dict[str, JsonValue]] = {
    "content": "Hello!",
    "data": None,
    "tool_calls": [],
    "refusal": None,
    "finish_reason": "stop",
    "model": "gpt-4o-mini-2024-07-18",
    "id": "chatcmpl-123",
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello!", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
}


def models_listed(
    response: Response, query: str, cursor: str | None, *, fits: Callable[[str], bool] = lambda model: True
) -> Options:
    """Return a page of the models of a successful answer to ``GET models``, the newest first.

    ``fits`` is asked of each model's id. Raises the error of an answer that is of another form.
    """
    rows = response.json_object().get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise response.unexpected()
    wanted = query.strip().lower()
    found = [_option(row) for row in sorted(rows, key=_age) if fits(row["id"])]
    found = [option for option in found if wanted in f"{option.label} {option.value}".lower()]
    first = int(cursor) if cursor and cursor.isascii() and cursor.isdigit() else 0
    after = first + _MODELS_A_PAGE
    return Options(items=found[first:after], next_cursor=str(after) if after < len(found) else None)


def _age(row: dict[str, Any]) -> float:
    made = row.get("created")
    return -made if isinstance(made, int | float) else 0


def _option(row: dict[str, Any]) -> Option:
    name = row.get("name")
    return Option(row["id"], name, row["id"]) if isinstance(name, str) and name else Option(row["id"], row["id"])


def completion(response: Response, *, model: str, wants_data: bool, longer: str) -> dict[str, Any]:
    """Return the output for a successful answer. Raises the error of one that is of another form."""
    answer = response.json_object()
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        raise response.unexpected()
    content, refusal, ended = message.get("content"), message.get("refusal"), first.get("finish_reason")
    calls = _calls(message.get("tool_calls") or [], response)
    # A model that asks for a tool or refuses has not answered yet.
    wanted = wants_data and not calls and not refusal and ended != "content_filter"
    return {
        "content": content,
        "data": data_of(response, str(content or ""), cut_short=ended == "length", longer=longer) if wanted else None,
        "tool_calls": calls,
        "refusal": refusal,
        "finish_reason": ended,
        "model": str(answer.get("model") or model),
        "id": str(answer.get("id") or ""),
        "usage": answer.get("usage") or {},
        "choices": choices,
    }


def tokens(output: Any) -> Tokens:
    """Return what a completion, or an embedding, took, from the output."""
    usage = output.get("usage")
    return Tokens(
        model=str(output.get("model") or ""),
        input=count(usage, "prompt_tokens"),
        output=count(usage, "completion_tokens"),
        cached=count(usage, "prompt_tokens_details", "cached_tokens"),
    )


def _function(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": tool.input_schema}
    return {"type": "function", "function": function | ({"description": tool.description} if tool.description else {})}


def _calls(rows: object, response: Response) -> list[dict[str, Any]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise response.unexpected()
    return [_call(row, response) for row in rows if row.get("type", "function") == "function"]


def _call(row: dict[str, Any], response: Response) -> dict[str, Any]:
    function = row.get("function")
    if not isinstance(function, dict):
        raise response.unexpected()
    written = function.get("arguments")
    found: dict[str, Any] = {"id": str(row.get("id")), "name": str(function.get("name")), "input": None}
    try:
        # Some endpoints answer with the object itself, and with nothing for a tool without inputs.
        given = json_of(written or "{}") if isinstance(written, str | None) else written
    except ValueError:
        given = None
    return {**found, "input": given} if isinstance(given, dict) else {**found, "raw": str(written)}

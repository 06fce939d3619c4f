"""What can be asked of Anthropic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from integrations.providers.anthropic import anthropic
from integrations.providers.anthropic.client import create
from integrations.providers.anthropic.options import models
from integrations.sdk import RunContext, action, ui
from integrations.sdk.chat import (
    TOOL_CHOICES,
    Data,
    Instructions,
    OutputSchema,
    Prompt,
    StopTexts,
    Tokens,
    ToolCall,
    ToolChoice,
    Tools,
    check_one_question,
    check_tool_choice,
    count,
    data_of,
)
from integrations.sdk.client import Response

# What an answer that is no refusal ends with before it is whole.
_CUT_SHORT = frozenset({"max_tokens", "model_context_window_exceeded"})


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"] = Field(title="Who speaks", examples=["user"])
    content: str | list[dict[str, JsonValue]] = Field(
        title="Message", examples=["Say hello."], json_schema_extra=ui(format="textarea")
    )


class CreateMessageInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    prompt: Prompt = None
    messages: list[Message] | None = Field(
        default=None,
        min_length=1,
        title="Messages",
        description="A conversation, in place of a prompt. Its content may be blocks: text, pictures, tools.",
        examples=[[{"role": "user", "content": "Say hello."}]],
        json_schema_extra=ui(advanced=True),
    )
    system: Instructions = None
    model: str = Field(
        default="claude-haiku-4-5",
        min_length=1,
        title="Model",
        description="Any model that the account may use.",
        examples=["claude-haiku-4-5", "claude-sonnet-4-5"],
    )
    max_tokens: int = Field(
        default=1024,
        ge=1,
        title="Longest answer, in tokens",
        description="A token is about four characters of English. The answer is cut there.",
        examples=[1024],
    )
    output_schema: OutputSchema = Field(
        default=None,
        description="A JSON schema of an object, with additionalProperties false. The answer is then in “data”.",
    )
    tools: Tools = None
    tool_choice: ToolChoice = None
    stop_sequences: StopTexts = None

    @model_validator(mode="after")
    def one_question(self) -> Self:
        check_one_question(self.prompt, self.messages)
        check_tool_choice(self.tool_choice, self.tools)
        return self

    def payload(self) -> dict[str, Any]:
        """Return the body of the request; what is not set is left to the model."""
        plain = {"model", "max_tokens", "system", "stop_sequences", "tools"}
        body = self.model_dump(exclude_none=True, include=plain, mode="json")
        if self.tool_choice is not None:
            named = self.tool_choice not in TOOL_CHOICES
            body["tool_choice"] = {"type": "tool", "name": self.tool_choice} if named else {"type": self.tool_choice}
        if self.output_schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": self.output_schema}}
        conversation = [message.model_dump(mode="json") for message in self.messages or ()]
        return {**body, "messages": conversation or [{"role": "user", "content": self.prompt}]}


class Usage(BaseModel):
    model_config = ConfigDict(extra="allow")

    input_tokens: int = Field(default=0, title="Tokens of the question")
    output_tokens: int = Field(default=0, title="Tokens of the answer")


class CreateMessageOutput(BaseModel):
    text: str = Field(title="Answer", description="Empty where the model only asks for tools.")
    data: Data = None
    tool_calls: list[ToolCall] = Field(default_factory=list, title="Tools that it asks for")
    stop_reason: str | None = Field(
        default=None, title="Why it ended", description="end_turn, max_tokens, stop_sequence, tool_use or refusal."
    )
    model: str = Field(title="Model")
    id: str = Field(title="Id")
    usage: Usage = Field(default_factory=Usage, title="Usage")
    content: list[dict[str, JsonValue]] = Field(title="Content", description="Anthropic's own list of blocks.")


def _tokens(output: Any) -> Tokens:
    """What was read from the cache, or written to it, is not among Anthropic's input tokens."""
    usage = output.get("usage")
    cached = count(usage, "cache_read_input_tokens")
    return Tokens(
        model=str(output.get("model") or ""),
        input=count(usage, "input_tokens") + count(usage, "cache_creation_input_tokens") + cached,
        output=count(usage, "output_tokens"),
        cached=cached,
    )


@action(
    provider=anthropic,
    key="anthropic.createMessage",
    name="Ask Claude",
    auth_type="api_key",
    input_schema=CreateMessageInputs,
    output_schema=CreateMessageOutput,
    sample={
        "text": "Hello!",
        "data": None,
        "tool_calls": [],
        "stop_reason": "end_turn",
        "model": "claude-haiku-4-5-20251001",
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "usage": {"input_tokens": 10, "output_tokens": 4},
        "content": [{"type": "text", "text": "Hello!", "citations": None}],
    },
    # A repeated question costs tokens and changes nothing.
    idempotent=True,
    effect="read",
    timeout=120,
    options={"model": models},
    synonyms=("claude", "chat", "llm", "prompt", "summarise", "classify", "write", "ai", "extract"),
    summary=lambda output: f"{output['usage'].get('output_tokens', 0)} tokens",
    tokens=_tokens,
)
async def create_message(ctx: RunContext[CreateMessageInputs]) -> dict[str, Any]:
    """Ask a Claude model and get its answer, as text, as data or as a call of a tool."""
    response = await create(ctx.http, ctx.inputs.payload())
    answer = response.json_object()
    blocks = answer.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise response.unexpected()
    text = "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
    ended = answer.get("stop_reason")
    # A model that asks for a tool or refuses has not answered yet.
    wanted = ctx.inputs.output_schema is not None and ended not in ("tool_use", "refusal", "pause_turn")
    return {
        "text": text,
        "data": data_of(response, text, cut_short=ended in _CUT_SHORT, longer="max_tokens") if wanted else None,
        "tool_calls": _calls(blocks, response),
        "stop_reason": ended,
        "model": str(answer.get("model") or ctx.inputs.model),
        "id": str(answer.get("id") or ""),
        "usage": answer.get("usage") or {},
        "content": blocks,
    }


def _calls(blocks: Sequence[dict[str, Any]], response: Response) -> list[dict[str, Any]]:
    calls = [block for block in blocks if block.get("type") == "tool_use"]
    if not all(isinstance(call.get("input"), dict) for call in calls):
        raise response.unexpected()
    return [{"id": str(call.get("id")), "name": str(call.get("name")), "input": call["input"]} for call in calls]

"""How each provider's model is spoken to by an agent: one action each, and the form of its messages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from integrations.builtin.ai import AgentInputs
from orchestrator.flow.tools import MODEL_ACTIONS

Message = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool that the model asks for; ``input`` is None where it wrote no JSON object."""

    id: str
    name: str
    input: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model said. ``refusal`` is None unless it refused; ``cut`` where the answer was not whole."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    refusal: str | None = None
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """What is told of a call."""

    call: ToolCall
    text: str
    is_error: bool = False


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """``action`` asks the model; the functions make its inputs and messages, and read its output."""

    action: str
    inputs: Callable[[AgentInputs, int], Mapping[str, Any]]
    read: Callable[[Mapping[str, Any]], Answer]
    answered: Callable[[Mapping[str, Any]], Message]
    results: Callable[[Sequence[Result]], list[Message]]


def said(text: str) -> Message:
    """Return a message of whoever gave the task."""
    return {"role": "user", "content": text}


def _openai_inputs(inputs: AgentInputs, most: int) -> Mapping[str, Any]:
    # Its own check of the schema would fail the call where the model can still be told.
    as_json = {"response_format": "json_object"} if inputs.output_schema is not None else {}
    return {"model": inputs.model, "max_completion_tokens": most, **as_json}


def _endpoint_inputs(inputs: AgentInputs, most: int) -> Mapping[str, Any]:
    return {"endpoint": inputs.endpoint, "model": inputs.model, "max_tokens": most}


def _anthropic_inputs(inputs: AgentInputs, most: int) -> Mapping[str, Any]:
    return {"model": inputs.model, "max_tokens": most}


def _calls(output: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(id=str(call["id"]), name=str(call["name"]), input=call["input"])
        for call in output.get("tool_calls") or ()
    )


def _read_completion(output: Mapping[str, Any]) -> Answer:
    content, refusal, ended = output.get("content"), output.get("refusal"), output.get("finish_reason")
    if refusal is None and ended == "content_filter":
        refusal = ended
    return Answer(
        text=content if isinstance(content, str) else "",
        calls=_calls(output),
        refusal=None if refusal is None else str(refusal),
        cut=ended == "length",
    )


def _completion_answered(output: Mapping[str, Any]) -> Message:
    message = output["choices"][0]["message"]
    kept = {name: message[name] for name in ("content", "tool_calls") if message.get(name)}
    return {"role": "assistant", **kept}


def _completion_results(results: Sequence[Result]) -> list[Message]:
    return [{"role": "tool", "tool_call_id": result.call.id, "content": result.text} for result in results]


def _read_message(output: Mapping[str, Any]) -> Answer:
    ended, text = output.get("stop_reason"), str(output.get("text") or "")
    return Answer(
        text=text,
        calls=_calls(output),
        refusal=text if ended == "refusal" else None,
        cut=ended in ("max_tokens", "model_context_window_exceeded"),
    )


def _message_answered(output: Mapping[str, Any]) -> Message:
    # What it gives with null it does not take, and no text that is empty.
    blocks = [{name: value for name, value in block.items() if value is not None} for block in output["content"]]
    return {"role": "assistant", "content": [b for b in blocks if b.get("type") != "text" or b.get("text")]}


def _message_results(results: Sequence[Result]) -> list[Message]:
    blocks = [
        {"type": "tool_result", "tool_use_id": result.call.id, "content": result.text}
        | ({"is_error": True} if result.is_error else {})
        for result in results
    ]
    return [{"role": "user", "content": blocks}]


def _completions(action: str, inputs: Callable[[AgentInputs, int], Mapping[str, Any]]) -> Dialect:
    return Dialect(
        action=action,
        inputs=inputs,
        read=_read_completion,
        answered=_completion_answered,
        results=_completion_results,
    )


DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": _completions(MODEL_ACTIONS["openai"], _openai_inputs),
    "endpoint": _completions(MODEL_ACTIONS["endpoint"], _endpoint_inputs),
    "anthropic": Dialect(
        action=MODEL_ACTIONS["anthropic"],
        inputs=_anthropic_inputs,
        read=_read_message,
        answered=_message_answered,
        results=_message_results,
    ),
}

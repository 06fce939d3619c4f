"""A scripted model behind an upstream: it says the next of its answers, by how many are in the conversation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.upstream import Answered, Call

PATH: Final = "/v1/chat/completions"
MESSAGES_PATH: Final = "/v1/messages"


def call(name: str, number: int = 1, /, **arguments: Any) -> dict[str, Any]:
    """Return a tool that a model asks for."""
    return {"id": f"call_{number}", "name": name, "arguments": arguments}


def completions(script: Sequence[Any]) -> Callable[[Call], Any]:
    """Return what answers as OpenAI does: each of the script a text, a list of calls, or an answer as it is."""

    def answer(asked: Call) -> Any:
        said = _next(script, asked)
        if isinstance(said, Answered):
            return said
        calls = [
            {"id": each["id"], "type": "function"}
            | {"function": {"name": each["name"], "arguments": json.dumps(each["arguments"])}}
            for each in (said if isinstance(said, list) else ())
        ]
        message = {"role": "assistant", "content": said if isinstance(said, str) else None, "refusal": None}
        if calls:
            message["tool_calls"] = calls  # type: ignore[assignment]
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked.json()["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }

    return answer


def messages(script: Sequence[Any]) -> Callable[[Call], Any]:
    """Return what answers as Anthropic does."""

    def answer(asked: Call) -> Any:
        said = _next(script, asked)
        if isinstance(said, Answered):
            return said
        calls = [
            {"type": "tool_use", "id": each["id"], "name": each["name"], "input": each["arguments"]}
            for each in (said if isinstance(said, list) else ())
        ]
        text = [{"type": "text", "text": said, "citations": None}] if isinstance(said, str) else []
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked.json()["model"],
            "content": [*text, *calls],
            "stop_reason": "tool_use" if calls else "end_turn",
            "usage": {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 10},
        }

    return answer


def _next(script: Sequence[Any], asked: Call) -> Any:
    return script[sum(message["role"] == "assistant" for message in asked.json()["messages"])]

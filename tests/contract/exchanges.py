"""One good exchange for each action that speaks HTTP: the inputs, and what the provider answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """``answer`` is the JSON of a good answer; inputs that are not given are made from the fields' examples."""

    answer: Any
    status: int = 200
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def response(self) -> httpx.Response:
        return httpx.Response(self.status, json=self.answer)


EXCHANGES: Mapping[str, Exchange] = {
    "http.request": Exchange(answer={"name": "Ada"}, inputs={"method": "POST", "body": {"name": "Ada"}}),
    # From the example answer of chat.postMessage in Slack's own description.
    "slack.sendMessage": Exchange(
        answer={
            "ok": True,
            "channel": "C1H9RESGL",
            "ts": "1503435956.000247",
            "message": {
                "text": "Here's a message for you",
                "username": "ecto1",
                "bot_id": "B19LU7CSY",
                "type": "message",
                "subtype": "bot_message",
                "ts": "1503435956.000247",
            },
        }
    ),
    "gmail.sendEmail": Exchange(
        answer={"id": "18c2f0a1b2c3d4e5", "threadId": "18c2f0a1b2c3d4e5", "labelIds": ["SENT"]}
    ),
    "openai.chatCompletion": Exchange(
        inputs={"prompt": "Say hello."},
        answer={
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion",
            "created": 1741569952,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello!", "refusal": None, "annotations": []},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        },
    ),
}

"""A scripted model for the engine: it says the next of its answers, by how many of them are in the conversation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from integrations.sdk import Action, Provider, RunContext, action
from integrations.sdk.completions import tokens
from runs.engine.records import RunOrder
from tests.engine.world import Anything, World, acting, order, step

Script = Sequence[Any]


@action(
    provider=Provider(key="openai", name="OpenAI"),
    key="openai.chatCompletion",
    name="Ask a model",
    auth_type="none",
    input_schema=Anything,
    idempotent=True,
    effect="read",
    tokens=tokens,
)
async def ask(ctx: RunContext[Anything]) -> Any:
    return await acting().act(ctx, effect=False)


def call(name: str, number: int = 1, /, **arguments: Any) -> dict[str, Any]:
    """Return a tool that a model asks for."""
    return {"id": f"c{number}", "name": name, "input": arguments}


def output(answer: Any) -> dict[str, Any]:
    """Return what the action gives for an answer: a text, calls, or members that replace others."""
    said: dict[str, Any] = {
        "content": None,
        "data": None,
        "tool_calls": [],
        "refusal": None,
        "finish_reason": "stop",
        "model": "gpt-4o-mini",
        "id": "a1",
        "usage": {"prompt_tokens": 100, "completion_tokens": 10},
    }
    if isinstance(answer, str):
        said["content"] = answer
    elif isinstance(answer, list):
        said |= {"tool_calls": answer, "finish_reason": "tool_calls"}
    else:
        said |= answer
    rows = [
        {
            "id": each["id"],
            "type": "function",
            "function": {"name": each["name"], "arguments": json.dumps(each["input"])},
        }
        for each in said["tool_calls"]
    ]
    return {**said, "choices": [{"message": {"content": said["content"], "tool_calls": rows}}]}


def world_with(script: Script, *, seed: int = 0, key: str = "agent", actions: Sequence[Action] = ()) -> World:
    """Return a world whose model answers by this script."""
    world = World(seed=seed)
    world.catalog |= {each.key: each for each in (ask, *actions)}

    def answer(world: World, ctx: RunContext[Any]) -> Any:
        given = ctx.inputs.model_dump()["messages"]
        return output(script[sum(message["role"] == "assistant" for message in given)])

    world.behave(f"{key}_model", answer)
    return world


def agent(*tools: dict[str, Any], **inputs: Any) -> RunOrder:
    """Return a run of one agent; its output is the run's."""
    given = {"model": "gpt-4o-mini", "prompt": "Do it.", **inputs}
    return order(
        step("agent", "ai.agent", inputs=given, lanes={"tools": tools}),
        output="{{ steps.agent.output }}",
    )


def asked(world: World, number: int = -1) -> dict[str, Any]:
    """Return the inputs of a question to the model, in the order in which they were asked."""
    rows = [row for row in world.rows() if row.key == "agent_model" and row.status.value == "succeeded"]
    found: Any = rows[number].inputs
    return dict(found)


def heard(world: World) -> list[str]:
    """Return what the model was last told of its calls."""
    return [message["content"] for message in asked(world)["messages"] if message["role"] == "tool"]

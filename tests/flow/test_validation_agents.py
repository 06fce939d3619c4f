"""What a publish says of an agent and of its tools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.flow.documents import found, holder, step, told


def agent(*tools: dict[str, Any], key: str = "agent", credential: str | None = "ai", **inputs: Any) -> dict[str, Any]:
    given = {"model": "gpt-4o-mini", "prompt": "Do it.", **inputs}
    return {**holder(key, "ai.agent", {"tools": list(tools)}, inputs=given), "credential": credential}


def post(**config: Any) -> dict[str, Any]:
    return step("post", "slack.sendMessage", **{"credential": "team-slack", "inputs": {"channel": "#a"}, **config})


LOOK = step("look", "http.request", inputs={"url": "https://x.test/{{ trigger.body.id }}"})
WHERE = "steps[0].lanes.tools[0]"
LIST = {"type": "list"}


def test_an_agent_whose_tools_leave_their_inputs_to_the_model_has_no_problem() -> None:
    assert told(agent(LOOK, post()), step("after", inputs={"values": {"a": "{{ steps.agent.output.text }}"}})) == []
    assert told(agent(LOOK, provider="endpoint", endpoint="https://models.test/v1", credential=None)) == []
    another = step("t", "http.chatCompletion", credential="any", inputs={"endpoint": "https://models.test/v1"})
    assert told(agent(another)) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([agent(post(credential=None))], ("error", f"{WHERE}.credential", "credential_missing")),
        ([agent(post(credential="gone"))], ("error", f"{WHERE}.credential", "credential_unknown")),
        ([agent(post(inputs={"channel": 7}))], ("error", f"{WHERE}.config.inputs.channel", "string_type")),
        ([agent(post(inputs={"chanel": "#a"}))], ("error", f"{WHERE}.config.inputs.chanel", "extra_forbidden")),
        ([agent(step("t", "gone.away", inputs={"url": "x"}))], ("error", f"{WHERE}.action", "unregistered")),
        ([agent(step("t", "flow.wait", inputs={"seconds": 1}))], ("error", f"{WHERE}.action", "no_tool")),
        ([agent(agent(LOOK, key="inner"))], ("error", f"{WHERE}.action", "no_tool")),
        ([agent(LOOK, credential=None)], ("error", "steps[0].credential", "credential_missing")),
        ([agent(LOOK, credential="team-slack")], ("error", "steps[0].credential", "credential_provider")),
        ([agent(LOOK, provider="anthropic")], ("error", "steps[0].credential", "credential_provider")),
        ([agent(LOOK, provider="endpoint")], ("error", "steps[0].config.inputs", "value_error")),
        ([agent(LOOK, output_schema=LIST)], ("error", "steps[0].config.inputs.output_schema.type", "json_schema")),
        ([agent({**LOOK, "key": "agent_model"})], ("error", f"{WHERE}.key", "agent_key")),
        (
            [agent(LOOK), step("agent_approval", "flow.approve", inputs={"message": "?"})],
            ("error", "steps[1].key", "agent_key"),
        ),
        ([agent(LOOK), step("agent_proposed")], ("error", "steps[1].key", "agent_key")),
        ([agent(LOOK, model="mine", max_cost=1)], ("error", "steps[0].config.inputs.max_cost", "price_unknown")),
        ([agent(LOOK, key="a" * 60)], ("error", "steps[0].key", "agent_key")),
        (
            [agent(step("t", "http.request", credential="any", inputs={}))],
            ("warning", f"{WHERE}.config.inputs.url", "tool_address"),
        ),
        (
            [agent(step("t", "http.chatCompletion", credential="any", inputs={}))],
            ("warning", f"{WHERE}.config.inputs.endpoint", "tool_address"),
        ),
        ([agent()], ("warning", "steps[0].lanes.tools", "no_tools")),
        (
            [agent(LOOK, post(inputs={"channel": "{{ steps.look.output.body }}"}))],
            ("error", "steps[0].lanes.tools[1].config.inputs.channel", "order"),
        ),
        (
            [agent(LOOK), step("after", inputs={"values": {"a": "{{ steps.look.output.body }}"}})],
            ("error", "steps[1].config.inputs.values.a", "tool"),
        ),
    ],
)
def test_what_is_wrong_with_an_agent_or_a_tool_is_told_with_its_path(
    steps: list[dict[str, Any]], expected: tuple[str, str, str]
) -> None:
    assert expected in told(*steps)


def test_a_limit_in_money_takes_a_model_whose_price_the_operator_or_the_table_names(settings: Any) -> None:
    settings.ENV = replace(settings.ENV, model_prices={"mine": {"input": 1.0, "output": 2.0}})
    assert told(agent(LOOK, max_cost=1), agent({**LOOK, "key": "again"}, key="other", model="mine", max_cost=1)) == []
    assert told(agent(LOOK, model="{{ vars.region }}", max_cost=1)) == []
    assert told(agent(LOOK, model="unheard-of", max_cost="{{ trigger.body.most }}")) == []
    assert told(agent(LOOK, model="unheard-of", max_cost=None)) == []


def test_what_an_agent_answers_as_data_is_known_by_its_schema() -> None:
    schema = {"type": "object", "properties": {"good": {"type": "boolean"}}, "additionalProperties": False}
    after = step("after", inputs={"values": {"a": "{{ steps.agent.output.data.bad }}"}})
    (problem,) = found(agent(LOOK, output_schema=schema), after)
    assert problem.message.startswith("steps.agent.output.data.bad is not among what this step gives.")

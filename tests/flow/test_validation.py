"""A publish is told every problem at once, each with its path; and validation never breaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.flow.definition import MAX_STEPS, WorkflowDefinition
from orchestrator.flow.facts import WorkflowFacts
from orchestrator.flow.secrets import hidden
from tests.flow.documents import found, hello, step, told


def slack(credential: str | None = None) -> dict[str, Any]:
    return step("a", "slack.sendMessage", credential=credential, inputs={"channel": "#a", "text": "b"})


def request(**inputs: Any) -> dict[str, Any]:
    return step("a", "http.request", inputs={"url": "https://x.test", **inputs})


SKIPPED: Final = step("a", run_if="{{ true }}")


@pytest.mark.parametrize(
    "steps",
    [
        [hello("Ada")],
        [hello("{{ trigger.body.name }}")],
        [hello("{{ default(trigger.body.name, 'you') }}")],
        [step("a"), hello("{{ steps.a.output.a }}")],
        [hello("{{ run.id }} in {{ workflow.name }} of {{ vars.region }}")],
        [step("a", "http.request", inputs={"url": "https://x.test", "query": {"n": 5}})],
        [step("a", "slack.sendMessage", credential="team-slack", inputs={"channel": "#a", "text": "b"})],
        [step("a", "http.request", inputs={"url": "{{ trigger.body.url }}"}), hello("{{ steps.a.output.body.x.y }}")],
        [step("a", "code.python", inputs={"code": "1"}), hello("{{ steps.a.output.anything }}")],
        [hello("Ada", run_if="{{ trigger.body.total > 100 }}")],
    ],
)
def test_good_workflows_have_no_problem(steps: list[dict[str, Any]]) -> None:
    assert told(*steps) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], ("error", "steps", "empty")),
        ([step("a", "hello.world", inputs={})], ("error", "steps[0].config.inputs.name", "missing")),
        ([hello(["Ada"])], ("error", "steps[0].config.inputs.name", "string_type")),
        ([request(urll="x")], ("error", "steps[0].config.inputs.urll", "extra_forbidden")),
        ([hello("{{ trigger.bod.name }}")], ("error", "steps[0].config.inputs.name", "reference")),
        ([hello("{{ triger.body }}")], ("error", "steps[0].config.inputs.name", "reference")),
        ([hello("{{ steps.nobody.output }}")], ("error", "steps[0].config.inputs.name", "reference")),
        ([hello("{{ steps.later.output.a }}"), step("later")], ("error", "steps[0].config.inputs.name", "order")),
        ([hello("{{ steps.hello.output }}")], ("error", "steps[0].config.inputs.name", "order")),
        ([hello("{{ item.x }}")], ("error", "steps[0].config.inputs.name", "reference")),
        ([hello("{{ vars.reggion }}")], ("error", "steps[0].config.inputs.name", "reference")),
        ([hello("{{ 1 + }}")], ("error", "steps[0].config.inputs.name", "expression")),
        ([hello("{{ open('x') }}")], ("error", "steps[0].config.inputs.name", "expression")),
        ([hello("A", run_if="{{ 5 }}")], ("error", "steps[0].config.run_if", "type")),
        ([slack()], ("error", "steps[0].credential", "credential_missing")),
        ([slack("teamslack")], ("error", "steps[0].credential", "credential_unknown")),
        ([slack("ai")], ("error", "steps[0].credential", "credential_type")),
        ([slack("mail")], ("error", "steps[0].credential", "credential_provider")),
        ([slack("revoked")], ("error", "steps[0].credential", "credential_health")),
        ([slack("ending")], ("warning", "steps[0].credential", "credential_expiring")),
        ([step("a", "weather.get", inputs={"city": "Oslo"})], ("error", "steps[0].action", "unregistered")),
        ([step("a", "weather.get", inputs={"url": "https://x.test"})], ("warning", "steps[0].action", "unregistered")),
        ([step("a", "weather.get", inputs={"code": "1"})], ("warning", "steps[0].action", "unregistered")),
        ([SKIPPED, hello("{{ steps.a.output.x }}")], ("warning", "steps[1].config.inputs.name", "skipped")),
        ([hello("xoxb-1234567890-abcdef")], ("warning", "steps[0].config.inputs.name", "plain_secret")),
    ],
)  # fmt: skip
def test_each_problem_is_told_at_its_path(steps: list[dict[str, Any]], expected: tuple[str, str, str]) -> None:
    assert expected in told(*steps)


def test_a_credential_that_was_granted_too_little_is_warned_of_with_what_to_do() -> None:
    (problem,) = found(slack("reader"))
    assert (problem.severity, problem.path, problem.code) == ("warning", "steps[0].credential", "credential_scopes")
    assert problem.message == "Connect “reader” again to grant it chat:write."
    # Granted, or nobody knows.
    assert found(slack("writer")) == found(slack("team-slack")) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "sk_live_" + "a1" * 12),
        ("a", "github_pat_" + "a1" * 15),
        ("a", "https://ada:" + "hunter22" + "@example.test/x"),
        ("a", "Bearer " + "abcdef" * 4),
        ("Authorization", "abcdef1234567890"),
        ("x-api-key", "abcdef1234567890"),
        ("client_secret", "abcdef1234567890"),
    ],
)
def test_what_looks_like_a_secret_is_warned_of_and_not_repeated(name: str, text: str) -> None:
    (problem,) = found(step("a", inputs={"values": {name: text}}))
    assert (problem.code, problem.severity) == ("plain_secret", "warning")
    assert text[-6:] not in problem.message
    assert text not in hidden(text, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "Bearer {{ vars.region }}"),
        ("Authorization", "{{ vars.region }}"),
        ("password", "please choose one 1"),
        ("a", "https://example.test/sk_short"),
        ("a", "risk-management-of-companies-and-people"),
        ("monkey", "abcdef1234567890"),
    ],
)
def test_what_only_resembles_a_secret_is_left_alone(name: str, text: str) -> None:
    assert told(step("a", inputs={"values": {name: text}})) == []
    assert hidden(text, name) == text


def test_a_literal_number_out_of_range_is_told() -> None:
    inputs = {"prompt": "hi", "temperature": 9}
    assert ("error", "steps[0].config.inputs.temperature", "less_than_equal") in told(
        step("a", "openai.chatCompletion", credential="ai", inputs=inputs)
    )


def test_an_expression_whose_type_is_known_and_does_not_fit_is_told() -> None:
    chat = step("chat", "openai.chatCompletion", credential="ai", inputs={"prompt": "hi"})
    used = step("b", "openai.chatCompletion", credential="ai", inputs={"prompt": "hi", "temperature": "{{ 'warm' }}"})
    assert ("error", "steps[1].config.inputs.temperature", "type") in told(chat, used)
    request = step("get", "http.request", inputs={"url": "https://x.test"})
    upstream = step(
        "c",
        "openai.chatCompletion",
        credential="ai",
        inputs={"prompt": "hi", "temperature": "{{ steps.get.output.headers }}"},
    )
    assert ("error", "steps[1].config.inputs.temperature", "type") in told(request, upstream)


def test_a_name_that_an_output_does_not_declare_is_told_with_the_nearest() -> None:
    problems = found(hello("Ada", key="first"), hello("{{ steps.first.output.mesage }}"))
    (problem,) = problems
    assert problem.path == "steps[1].config.inputs.name"
    assert "steps.first.output.message" in problem.message


def test_the_nearest_step_and_action_are_named() -> None:
    (problem,) = found(step("company"), hello("{{ steps.compny.output.a }}"))
    assert "steps.company" in problem.message
    (problem,) = found(step("a", "hello.wrld", inputs={}))
    assert "hello.world" in problem.message


def test_every_problem_is_told_at_once_and_through_lanes() -> None:
    lanes = {"then": [hello("{{ steps.nobody.output }}", key="inner")], "else": []}
    branch = {**step("branch", "odd.branch", inputs={"url": "https://x.test"}), "lanes": lanes}
    paths = [path for _severity, path, _code in told(branch, hello("{{ 1 + }}"), output="{{ steps.gone.output }}")]
    assert "steps[0].lanes.then[0].config.inputs.name" in paths
    assert "steps[1].config.inputs.name" in paths
    assert "output" in paths


@pytest.mark.parametrize(
    ("trigger", "path"),
    [
        ({"key": "a", "type": "webhook", "config": {"methods": ["FETCH"]}}, "triggers[0].config.methods"),
        ({"key": "a", "type": "webhook", "config": {"nonsense": 1}}, "triggers[0].config.nonsense"),
        ({"key": "a", "type": "schedule", "config": {"cron": "0 0 9 * * 1"}}, "triggers[0].config.cron"),
        ({"key": "a", "type": "form", "config": {"schema": {"type": "string"}}}, "triggers[0].config.schema.type"),
        ({"key": "a", "type": "workflow", "config": {"nonsense": 1}}, "triggers[0].config.nonsense"),
        ({"key": "a", "type": "workflow", "config": {"callers": ["No Slug"]}}, "triggers[0].config.callers[0]"),
        ({"key": "a", "type": "workflow", "config": {"callers": []}}, "triggers[0].config.callers"),
        (
            {"key": "a", "type": "workflow", "config": {"input": {"properties": {"n": {"type": "nmber"}}}}},
            "triggers[0].config.input.properties.n.type",
        ),
        (
            {"key": "a", "type": "workflow", "config": {"output": {"pattern": "a+"}}},
            "triggers[0].config.output.pattern",
        ),
    ],
)
def test_a_triggers_problem_has_its_path(trigger: dict[str, Any], path: str) -> None:
    assert any(problem.path.startswith(path) for problem in found(hello("Ada"), triggers=[trigger]))


def test_a_workflow_can_be_called_in_one_way_alone() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "number"}}}
    one = {"key": "a", "type": "workflow", "config": {"input": schema, "output": None, "callers": None}}
    assert told(hello("Ada"), triggers=[one]) == []
    assert told(hello("Ada"), triggers=[one, {**one, "key": "b"}]) == [("error", "triggers[1].type", "trigger_twice")]


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": [{"key": "Bad Key", "action": "x"}]},
        {"steps": [{"key": "a", "action": ""}]},
        {"steps": [{"key": "a", "action": "x", "config": {"timeout": 0}}]},
        {"steps": [{"key": "a", "action": "x", "config": {"on_error": "ignore"}}]},
        {"steps": [{"key": "a", "action": "x", "config": {"retry": {"max_attempts": 0}}}]},
        {"steps": [{"key": "a", "action": "x", "surprise": 1}]},
        {"slug": "Not A Slug"},
        {"name": ""},
        {"settings": {"timeout": 0}},
    ],
)
def test_a_shape_that_is_wrong_is_refused_by_the_models(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WorkflowDefinition.model_validate({"name": "T", "slug": "t", "steps": [], **changes})


def test_a_definition_is_frozen_and_its_checksum_is_of_the_content() -> None:
    one = WorkflowDefinition.model_validate({"name": "T", "slug": "t", "steps": [step("a")]})
    same = WorkflowDefinition.model_validate(one.as_document())
    other = WorkflowDefinition.model_validate({"name": "T", "slug": "t", "steps": [step("b")]})
    assert one.checksum() == same.checksum() != other.checksum()
    with pytest.raises(ValidationError):
        one.name = "changed"  # type: ignore[misc]
    assert MAX_STEPS == 500


_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["{{ a", "{{ steps.a }}", "}}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


_lanes = st.sampled_from(["then", "else", "body", "default", "left"])
_texts = st.sampled_from(
    [
        "{{ steps.s0.output }}", "{{ steps.s1.output.x }}", "{{ item.a }}", "{{ run.links.s1 }}", "{{ run.links }}",
        "a", "test", "other", "{{ default(steps.s2.output, 1) }}", "{{ amount }}", "{{ steps }}",
    ]
)  # fmt: skip
_inputs = st.dictionaries(
    st.sampled_from(
        ["name", "url", "values", "code", "text", "condition", "value", "items", "seconds", "until", "form", "where",
         "by", "workflow", "payload", "approvers", "exclude_requester", "operations", "on_lane_error"]
    ),
    _value | _texts,
    max_size=4,
)  # fmt: skip
_actions = st.sampled_from(
    ["hello.world", "http.request", "data.set", "slack.sendMessage", "odd.one", "flow.if", "flow.switch",
     "flow.foreach", "flow.parallel", "flow.wait", "flow.approve", "flow.callback", "flow.stop", "workflow.call",
     "data.filter", "data.sort", "data.aggregate"]
)  # fmt: skip
_trees = st.recursive(
    st.tuples(_actions, _inputs, st.just({})),
    lambda inner: st.tuples(_actions, _inputs, st.dictionaries(_lanes, st.lists(inner, max_size=3), max_size=3)),
    max_leaves=8,
)
_OTHERS = {
    "other": WorkflowFacts(
        name="Other", has_trigger=True, input_schema={"type": "object", "required": ["a"]}, calls=("test", "other")
    )
}


def _drawn(trees: list[Any], numbers: Iterator[int]) -> list[dict[str, Any]]:
    return [
        {
            **step(f"s{next(numbers)}", action, inputs=inputs),
            "lanes": {lane: _drawn(held, numbers) for lane, held in lanes.items()},
        }
        for action, inputs, lanes in trees
    ]


@settings(max_examples=300, deadline=None)
@given(st.lists(_trees, max_size=4), _value | _texts)
def test_no_draft_breaks_validation(trees: list[Any], output: Any) -> None:
    for problem in found(*_drawn(trees, count()), output=output, workflows=_OTHERS):
        assert problem.path
        assert problem.message


@pytest.mark.parametrize(
    "part", ["eyJ", "-eyJ", "eyJaaaaaaaaaaaaa.", "Bearer ", "://a:", "-----BEGIN A", "xoxb-", "SG."]
)
def test_a_text_made_to_take_long_is_looked_through_at_once(part: str) -> None:
    begun = time.process_time()
    hidden(part * (200_000 // len(part)), "api_key")
    assert time.process_time() - begun < 3


@pytest.mark.parametrize("before", ["", "token=", "v1_", "a-"])
def test_a_token_is_hidden_wherever_it_stands(before: str) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_123"
    assert "eyJ" not in hidden(f"It is {before}{token}, as said.")
    assert hidden("eyJhbGciOiJIUzI1NiJ9.html stays") == "eyJhbGciOiJIUzI1NiJ9.html stays"

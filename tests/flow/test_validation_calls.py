"""A workflow that calls others: they exist, let themselves be called by it, and nothing leads back to it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.flow.calls import called_slugs, facts_of
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.facts import WorkflowFacts
from tests.flow.documents import foreach, found, hello, if_, step, told

TAKES: dict[str, Any] = {
    "type": "object",
    "properties": {"domain": {"type": "string"}, "employees": {"type": "integer"}},
    "required": ["domain"],
    "additionalProperties": False,
}
GIVES: dict[str, Any] = {"type": "object", "properties": {"score": {"type": "number"}}, "additionalProperties": False}
QUALIFY = WorkflowFacts(name="Qualify", has_trigger=True, input_schema=TAKES, output_schema=GIVES)
WORKFLOW = "steps[0].config.inputs.workflow"


def call(slug: str = "qualify", payload: Any = None, key: str = "call") -> dict[str, Any]:
    inputs = {"workflow": slug, "payload": {"domain": "a.test"} if payload is None else payload}
    return step(key, "workflow.call", inputs=inputs)


def calling(*slugs: str) -> WorkflowFacts:
    return WorkflowFacts(name="Other", has_trigger=True, calls=slugs)


@pytest.mark.parametrize(
    "steps",
    [
        [call()],
        [call(payload={"domain": "{{ trigger.body.domain }}", "employees": 5})],
        [call(payload="{{ trigger.body }}")],
        [call("{{ vars.region }}")],
        [foreach("each", call(payload={"domain": "{{ item }}"}))],
        [call(), hello("score {{ steps.call.output.score }}")],
    ],
)
def test_good_calls_have_no_problem(steps: list[dict[str, Any]]) -> None:
    assert told(*steps, workflows={"qualify": QUALIFY}) == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (WorkflowFacts(name="Q"), [("warning", WORKFLOW, "no_entrance")]),
        (WorkflowFacts(name="Q", has_trigger=True, callers=()), [("error", WORKFLOW, "caller")]),
        (WorkflowFacts(name="Q", has_trigger=True, callers=("other",)), [("error", WORKFLOW, "caller")]),
        (WorkflowFacts(name="Q", has_trigger=True, callers=("other", "test")), []),
        (WorkflowFacts(name="Q", has_trigger=True, published=False), [("warning", WORKFLOW, "unpublished")]),
        (WorkflowFacts(name="Q", published=False),
         [("warning", WORKFLOW, "unpublished"), ("warning", WORKFLOW, "no_entrance")]),
    ],
)  # fmt: skip
def test_the_called_workflow_has_to_let_itself_be_called(
    facts: WorkflowFacts, expected: list[tuple[str, str, str]]
) -> None:
    assert told(call(), workflows={"qualify": facts}) == expected


def test_a_workflow_that_is_not_there_is_told_with_the_nearest() -> None:
    (problem,) = found(call("qualifi"), workflows={"qualify": QUALIFY, "other": calling()})
    assert (problem.path, problem.code) == (WORKFLOW, "workflow_unknown")
    assert "Did you mean qualify?" in problem.message


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, [("error", "steps[0].config.inputs.payload.domain", "payload")]),
        ({"domain": 5}, [("error", "steps[0].config.inputs.payload.domain", "payload")]),
        ({"domain": "a", "employes": 1}, [("error", "steps[0].config.inputs.payload.employes", "payload")]),
        ([1], [("error", "steps[0].config.inputs.payload", "payload")]),
        ("{{ 'text' }}", [("error", "steps[0].config.inputs.payload", "type")]),
        ({"domain": "{{ [1] }}"}, [("error", "steps[0].config.inputs.payload.domain", "type")]),
        ({"domain": "x{{ 1 }}", "employees": "{{ true }}"},
         [("error", "steps[0].config.inputs.payload.employees", "type")]),
        ({"employees": "{{ 1 }}"}, []),
    ],
)  # fmt: skip
def test_a_payload_is_held_against_what_the_called_workflow_takes(
    payload: Any, expected: list[tuple[str, str, str]]
) -> None:
    assert told(call(payload=payload), workflows={"qualify": QUALIFY}) == expected


def test_options_that_mean_nothing_on_a_call_are_told() -> None:
    made = call()
    made["config"] |= {"timeout": 5, "retry": {"max_attempts": 2}}
    assert told(made, workflows={"qualify": QUALIFY}) == [
        ("warning", "steps[0].config.timeout", "no_effect"),
        ("warning", "steps[0].config.retry", "no_effect"),
    ]


def test_a_payload_that_is_left_out_is_null() -> None:
    assert told(step("call", "workflow.call", inputs={"workflow": "qualify"}), workflows={"qualify": QUALIFY}) == [
        ("error", "steps[0].config.inputs.payload", "payload")
    ]


def test_what_the_called_workflow_gives_is_known() -> None:
    (problem,) = found(call(), hello("{{ steps.call.output.scor }}"), workflows={"qualify": QUALIFY})
    assert (problem.severity, problem.path) == ("error", "steps[1].config.inputs.name")
    assert "Did you mean steps.call.output.score?" in problem.message
    condition = step("if", "flow.if", inputs={"condition": "{{ steps.call.output.score }}"})
    rows = told(call(), {**condition, "lanes": {"then": [step("a")]}}, workflows={"qualify": QUALIFY})
    assert rows == [("error", "steps[1].config.inputs.condition", "type")]


def test_a_property_that_may_be_anything_is_known_all_the_same() -> None:
    gives = {"type": "object", "properties": {"any": True}, "additionalProperties": False}
    facts = WorkflowFacts(name="Q", has_trigger=True, output_schema=gives)
    assert told(call(), hello("{{ steps.call.output.any.thing }}"), workflows={"qualify": facts}) == []


@pytest.mark.parametrize(
    ("slug", "others", "written"),
    [
        ("test", {}, "test → test"),
        ("a", {"a": calling("test")}, "test → a → test"),
        ("a", {"a": calling("b", "c"), "b": calling("b"), "c": calling("test")}, "test → a → c → test"),
    ],
)
def test_a_call_that_leads_back_is_refused_naming_the_way(
    slug: str, others: dict[str, WorkflowFacts], written: str
) -> None:
    (problem,) = found(call(slug), workflows=others)
    assert (problem.severity, problem.path, problem.code) == ("error", WORKFLOW, "cycle")
    assert f"{written}." in problem.message


def test_a_circle_of_others_is_not_this_workflows() -> None:
    assert told(call("a"), workflows={"a": calling("b"), "b": calling("a", "gone")}) == []


def test_a_cycle_is_found_through_lanes() -> None:
    rows = told(if_("big", [foreach("each", call("a"))]), workflows={"a": calling("test")})
    assert rows == [("error", "steps[0].lanes.then[0].lanes.body[0].config.inputs.workflow", "cycle")]


@pytest.mark.parametrize(
    ("slug", "expected"),
    [
        (None, []),
        ("alarm", []),
        ("draft", [("warning", "settings.error_workflow", "unpublished")]),
        ("alrm", [("error", "settings.error_workflow", "workflow_unknown")]),
        ("test", [("error", "settings.error_workflow", "error_workflow")]),
    ],
)
def test_the_workflow_for_failures_exists_and_is_another(
    slug: str | None, expected: list[tuple[str, str, str]]
) -> None:
    workflows = {"alarm": WorkflowFacts(name="Alarm"), "draft": WorkflowFacts(name="Draft", published=False)}
    assert told(step("a"), settings={"error_workflow": slug}, workflows=workflows) == expected


def test_callers_that_do_not_exist_are_told() -> None:
    trigger = {"key": "called", "type": "workflow", "config": {"callers": ["qualify", "test", "qualfy"]}}
    (problem,) = found(step("a"), triggers=[trigger], workflows={"qualify": QUALIFY})
    assert (problem.severity, problem.path) == ("warning", "triggers[0].config.callers[2]")
    assert "Did you mean qualify?" in problem.message


def definition(*steps: dict[str, Any], config: dict[str, Any] | None = None) -> WorkflowDefinition:
    triggers = [] if config is None else [{"key": "called", "type": "workflow", "config": config}]
    return WorkflowDefinition.model_validate({"name": "N", "slug": "n", "triggers": triggers, "steps": steps})


def test_facts_are_read_from_a_definition() -> None:
    made = definition(call("a"), if_("i", [call("b", key="c2"), call("a", key="c3"), call("{{ x }}", key="c4")]))
    assert called_slugs(made) == ("a", "b")
    assert facts_of(made, published=False) == WorkflowFacts(name="N", published=False, calls=("a", "b"))
    facts = facts_of(definition(config={"input": TAKES, "output": GIVES, "callers": ["x"]}), published=True)
    assert (facts.has_trigger, facts.callers) == (True, ("x",))
    assert (facts.input_schema, facts.output_schema) == (TAKES, GIVES)


@pytest.mark.parametrize("schema", [{"type": "strng"}, {"pattern": "a"}, [], "object", {"$defs": []}])
def test_a_schema_that_cannot_be_used_is_left_out_of_the_facts(schema: Any) -> None:
    facts = facts_of(definition(config={"input": schema, "output": schema, "callers": "all"}), published=False)
    assert facts == WorkflowFacts(name="N", published=False, has_trigger=True)

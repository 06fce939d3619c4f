"""What changed between two documents: which member, and where a step went."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any

import pytest

from orchestrator.flow import diff as module
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.diff import Change, diff
from tests.flow.documents import if_, step


def document(*steps: dict[str, Any], **more: Any) -> WorkflowDefinition:
    return WorkflowDefinition.model_validate({"name": "Test", "slug": "test", "steps": list(steps), **more})


def with_inputs(value: Any) -> WorkflowDefinition:
    return document(step("a", "http.request", inputs=value))


def told(old: WorkflowDefinition, new: WorkflowDefinition) -> list[tuple[str, str, Any, Any]]:
    return [(change.kind, change.field, change.before, change.after) for change in diff(old, new)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"to": ["a", "b", "c"]}, {"to": ["a", "c"]}, [("config.inputs.to[1]", "b", None)]),
        ({"to": ["a", "c"]}, {"to": ["a", "b", "c"]}, [("config.inputs.to[1]", None, "b")]),
        ({"to": [{"x": 1, "y": 2}]}, {"to": [{"x": 1, "y": 3}]}, [("config.inputs.to[0].y", 2, 3)]),
        ({"h": {"a": {"b": 1}}}, {"h": {"a": {"b": 2}}}, [("config.inputs.h.a.b", 1, 2)]),
        ({"to": [1, 2]}, {"to": [True, 2]}, [("config.inputs.to[0]", 1, True)]),
        ({"to": ["a"]}, {"to": "a"}, [("config.inputs.to", ["a"], "a")]),
        ({"to": [0] * 400}, {"to": [0] * 399 + [1]}, [("config.inputs.to[399]", 0, 1)]),
        ({"to": ["a"]}, {"to": ["a"]}, []),
    ],
)
def test_lists_and_objects_differ_by_member(before: Any, after: Any, expected: list[Any]) -> None:
    found = told(with_inputs(before), with_inputs(after))
    assert found == [("changed", *each) for each in expected]


def test_of_many_long_lists_the_first_are_aligned_and_the_others_compared_place_by_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aligned: list[int] = []

    def matcher(*args: Any, **more: Any) -> SequenceMatcher[str]:
        aligned.append(1)
        return SequenceMatcher(*args, **more)

    monkeypatch.setattr(module, "SequenceMatcher", matcher)
    lists = [{f"to{n}": [first, *range(299)] for n in range(20)} for first in (-1, -2)]
    assert len(told(with_inputs(lists[0]), with_inputs(lists[1]))) == 20
    assert len(aligned) == 5


def test_a_step_that_moves_between_lanes_says_from_where_to_where() -> None:
    old = document(step("first"), if_("gate", [step("a")], [step("b")]))
    new = document(step("first"), if_("gate", [], [step("b"), step("a")]))
    assert diff(old, new) == [
        Change(
            kind="moved",
            subject="steps.a",
            before={"lane": "gate.then", "after": None},
            after={"lane": "gate.else", "after": "b"},
        )
    ]


def test_as_few_steps_as_can_be_have_moved() -> None:
    names = [f"s{number}" for number in range(300)]
    old, new = document(*map(step, names)), document(*map(step, [*names[1:], names[0]]))
    assert [(change.kind, change.subject) for change in diff(old, new)] == [("moved", "steps.s0")]


def test_a_lane_that_comes_or_goes_empty_is_told() -> None:
    def lanes(*names: str) -> WorkflowDefinition:
        return document({**step("plan", "flow.switch", inputs={"value": "x"}), "lanes": {name: [] for name in names}})

    assert told(lanes("gold", "old"), lanes("gold", "new")) == [
        ("changed", "lanes.old", [], None),
        ("changed", "lanes.new", None, []),
    ]


def test_a_credential_a_setting_and_a_trigger_are_told() -> None:
    old = document(step("a", credential="one"), triggers=[{"key": "t", "type": "webhook", "config": {}}])
    new = document(
        step("a", credential="two"),
        triggers=[{"key": "t", "type": "webhook", "config": {"methods": ["PUT"]}}],
        settings={"timeout": 60},
    )
    assert [(change.subject, change.field) for change in diff(old, new)] == [
        ("workflow", "settings.timeout"),
        ("triggers.t", "config.methods"),
        ("steps.a", "credential"),
    ]

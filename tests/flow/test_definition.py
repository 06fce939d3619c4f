"""The document's shape: what no database could keep is refused before it gets there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.flow.definition import StepDefinition, WorkflowDefinition, steps_replaced

STEP: dict[str, Any] = {"key": "one", "action": "data.set"}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "a\0b"}, ("name",)),
        ({"description": "\0"}, ("description",)),
        ({"steps": [{**STEP, "name": "\0"}]}, ("steps", 0, "name")),
        ({"steps": [{**STEP, "action": "a\0"}]}, ("steps", 0, "action")),
        ({"steps": [{**STEP, "credential": "\0a"}]}, ("steps", 0, "credential")),
        ({"steps": [{**STEP, "credential": "\ud800"}]}, ("steps", 0, "credential")),
        ({"steps": [{**STEP, "notes": "\0"}]}, ("steps", 0, "notes")),
        ({"steps": [{**STEP, "lanes": {"\0": []}}]}, ("steps", 0, "lanes", "\0", "[key]")),
    ],
)
def test_a_text_that_becomes_a_column_can_be_stored(changes: dict[str, Any], path: tuple[str | int, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        WorkflowDefinition.model_validate({"name": "A", "slug": "a", "steps": [STEP], **changes})
    (finding,) = caught.value.errors()
    assert finding["loc"] == path
    assert "cannot be stored" in finding["msg"]


def test_a_value_of_a_step_may_hold_any_text() -> None:
    step = {**STEP, "config": {"inputs": {"values": {"text": "a\0b"}}}}
    definition = WorkflowDefinition.model_validate({"name": "A", "slug": "a", "steps": [step], "output": "\0"})
    assert definition.as_document()["steps"][0]["config"]["inputs"]["values"] == {"text": "a\0b"}


def test_another_step_stands_in_the_place_of_one_wherever_that_is() -> None:
    inner = {"key": "check", "action": "flow.if", "lanes": {"then": [{**STEP, "key": "two"}], "else": []}}
    given = {"name": "A", "slug": "a", "steps": [STEP, inner, {**STEP, "key": "three"}]}
    steps = WorkflowDefinition.model_validate(given).steps
    by = StepDefinition.model_validate({**STEP, "key": "other"})
    for key, keys in (
        ("one", "other check two three"),
        ("two", "one check other three"),
        ("three", "one check two other"),
    ):
        found = steps_replaced(steps, key, by)
        assert found is not None
        walked = [step.key for _path, step in WorkflowDefinition(name="A", slug="a", steps=found).walk()]
        assert walked == keys.split()
    assert steps_replaced(steps, "nobody", by) is None

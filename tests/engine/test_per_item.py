"""Inputs that are expressions over items: journaled as written, evaluated for each item in the step's own scope."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.builtin.data import filter_items, sort_items
from runs.engine.records import Failed, Succeeded
from runs.states import FailureKind
from tests.engine.world import World, order, step

ITEMS = [{"n": 3}, {"n": 1}, {"n": 2}]


def driven(*steps: dict[str, Any], output: str = "{{ steps.do.output }}") -> tuple[World, Any]:
    world = World()
    world.catalog |= {found.key: found for found in (filter_items, sort_items)}
    return world, world.run(order(*steps, output=output, trigger={"body": {"items": ITEMS, "least": 2}}))


def test_they_see_what_the_step_sees_and_the_item() -> None:
    where = "{{ item.n >= trigger.body.least and steps.a.output.value == 'a' and index < 2 }}"
    inputs = {"where": where, "items": "{{ trigger.body.items }}"}
    world, outcome = driven(step("a"), step("do", "data.filter", inputs=inputs))
    assert outcome == Succeeded(output=[{"n": 3}])
    (row,) = world.rows("do")
    assert row.inputs == {"where": where, "items": ITEMS}
    assert list(row.inputs) == ["where", "items"]


def test_other_inputs_are_evaluated_once_before() -> None:
    inputs = {"items": "{{ trigger.body.items }}", "by": "item.n", "descending": "{{ trigger.body.least == 2 }}"}
    world, outcome = driven(step("do", "data.sort", inputs=inputs))
    assert outcome == Succeeded(output=[{"n": 3}, {"n": 2}, {"n": 1}])
    assert world.rows("do")[0].inputs == {"items": ITEMS, "by": "item.n", "descending": True}


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("{{ item.m > 1 }}", "item.m does not exist. Did you mean"),
        ("{{ item.n }}", "where gives true or false"),
        ("{{ steps.gone.output }}", "steps.gone does not exist"),
    ],
)
def test_one_that_cannot_be_told_fails_the_step_as_input(where: str, says: str) -> None:
    inputs = {"items": "{{ trigger.body.items }}", "where": where}
    world, outcome = driven(step("do", "data.filter", inputs=inputs))
    assert isinstance(outcome, Failed)
    assert outcome.failure.kind is FailureKind.INPUT
    assert says.removesuffix(" Did you mean") in outcome.failure.message
    assert "index 0" in outcome.failure.message
    assert len(world.rows("do")) == 1


def test_a_list_too_long_for_the_loop_gives_the_same() -> None:
    items = [{"n": number} for number in range(5_000)]
    world = World()
    # Work on a long list looks at the time that is left, and that is told by the real clock.
    world.now = datetime.now(UTC)
    world.catalog[filter_items.key] = filter_items
    inputs = {"items": items, "where": "{{ item.n % 1000 == index - index }}"}
    outcome = world.run(order(step("do", "data.filter", inputs=inputs), output="{{ steps.do.output }}"))
    assert outcome == Succeeded(output=[{"n": number} for number in range(0, 5_000, 1_000)])

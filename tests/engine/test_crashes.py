"""A worker can go away at any await: no recorded step runs again, no effect happens twice in silence."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from integrations.sdk import RunContext, Transient
from runs.engine.records import Failed, Outcome, RunOrder, Succeeded
from runs.states import FailureKind, StepStatus
from tests.engine.world import Crash, World, order, step

KINDS = ("sim.pure", "sim.read", "sim.call", "sim.put", "sim.send")
WORKFLOWS = 120


def flaky(world: World, ctx: RunContext[Any]) -> Any:
    """Fail the first two calls, as far as this worker knows."""
    if ctx.attempt < 3:
        raise Transient("away")
    return ctx.inputs.value


def random_order(seed: int) -> tuple[RunOrder, frozenset[str]]:
    """Return a workflow of one to six steps, and which of them fail twice before they succeed."""
    chance = random.Random(seed)
    steps, unreliable = [], set()
    for index in range(chance.randint(1, 6)):
        key = f"s{index}"
        action = chance.choice(KINDS)
        config: dict[str, Any] = {}
        if index and chance.random() < 0.5:
            config["inputs"] = {"value": f"{{{{ steps.s{index - 1}.status }}}}-{index}"}
        if action == "sim.call" and chance.random() < 0.5:
            config["inputs"] = {"value": "reads"}
        if chance.random() < 0.15:
            config["run_if"] = "{{ false }}"
        if action == "sim.put" and chance.random() < 0.4:
            unreliable.add(key)
            config["retry"] = {"max_attempts": 4, "delay": chance.choice([0, 1, 60])}
        steps.append(step(key, action, **config))
    return order(*steps, output={f"s{i}": f"{{{{ steps.s{i}.output }}}}" for i in range(len(steps))}), frozenset(
        unreliable
    )


def world_for(unreliable: frozenset[str], seed: int, crash_at: int | None) -> World:
    world = World(seed=seed)
    world.crash_at = crash_at
    for key in unreliable:
        world.behave(key, flaky)
    return world


def check(world: World, outcome: Outcome, expected: Outcome, run: RunOrder) -> None:
    actions = {step.key: step.action for _, step in run.definition.walk()}
    keys: dict[str, set[str]] = {}
    for path, key in world.effects:
        keys.setdefault(path, set()).add(key)
    assert all(len(found) == 1 for found in keys.values()), "one key for all attempts of a step"
    times = Counter(path for path, _ in world.effects)
    assert all(count == 1 for path, count in times.items() if actions[path] == "sim.send"), "an effect happened twice"
    for path in actions:
        done = [row for row in world.rows(path) if row.status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED)]
        assert len(done) <= 1
        numbers = [row.number for row in world.rows(path)]
        assert numbers == list(range(1, len(numbers) + 1))
    assert not any(row.status is StepStatus.RUNNING for row in world.rows()), "nothing is left under way"
    if isinstance(outcome, Failed):
        assert outcome.failure.kind is FailureKind.OUTCOME_UNKNOWN
        assert actions[outcome.path] == "sim.send"
        assert world.statuses(outcome.path) == ["lost"]
    else:
        assert outcome == expected


@pytest.mark.parametrize("seed", range(WORKFLOWS))
def test_a_crash_at_any_await_repeats_nothing_that_is_recorded(seed: int) -> None:
    run, unreliable = random_order(seed)
    whole = world_for(unreliable, seed, None)
    expected = whole.run(run)
    assert isinstance(expected, Succeeded)
    for crash_at in range(1, whole.places + 1):
        world = world_for(unreliable, seed * 1000 + crash_at, crash_at)
        check(world, world.run(run), expected, run)


@pytest.mark.parametrize("seed", range(60))
def test_several_crashes_in_a_row_repeat_nothing_that_is_recorded(seed: int) -> None:
    run, unreliable = random_order(seed)
    expected = world_for(unreliable, seed, None).run(run)
    for trial in range(10):
        world = world_for(unreliable, seed * 100 + trial, None)
        for _ in range(4):
            world.crash_at = world.places + world.random.randint(1, 8)
            try:
                world.run_once(run)
            except Crash:
                world.crash()
        world.crash_at = None
        check(world, world.run(run), expected, run)


def lost(action: str, **config: Any) -> tuple[World, Outcome]:
    """Return a run whose worker went away in mid-call of its only step."""
    world = World()

    def go_away(world: World, ctx: RunContext[Any]) -> Any:
        if world.calls["a"] == 1:
            raise Crash
        return "done"

    world.behave("a", go_away)
    return world, world.run(order(step("a", action, **config), output="{{ steps.a.output }}"))


@pytest.mark.parametrize(
    ("action", "on_lost", "statuses"),
    [
        ("sim.put", None, ["lost", "succeeded"]),
        ("sim.put", "fail", ["lost"]),
        ("sim.send", None, ["lost"]),
        ("sim.send", "retry", ["lost", "succeeded"]),
        ("sim.send", "fail", ["lost"]),
        ("sim.pure", "fail", ["succeeded"]),
    ],
)
def test_what_was_under_way_is_tried_again_or_fails_as_the_step_says(
    action: str, on_lost: str | None, statuses: list[str]
) -> None:
    world, outcome = lost(action, on_lost=on_lost)
    assert world.statuses("a") == statuses
    assert isinstance(outcome, Succeeded if statuses[-1] == "succeeded" else Failed)


def test_an_interrupted_attempt_has_the_kind_outcome_unknown() -> None:
    world, outcome = lost("sim.send")
    row = world.rows("a")[0]
    assert row.failure is not None
    assert row.failure.kind is FailureKind.OUTCOME_UNKNOWN
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.path) == (FailureKind.OUTCOME_UNKNOWN, "a")


def test_a_lost_step_that_may_fail_lets_the_run_go_on() -> None:
    _, outcome = lost("sim.send", on_error="continue")
    assert outcome == Succeeded(output=None)


def test_an_interruption_does_not_use_up_the_attempts_of_the_retry_policy() -> None:
    world = World()

    def interrupted_then_failing(world: World, ctx: RunContext[Any]) -> Any:
        if ctx.attempt == 1:
            raise Crash
        raise Transient("away")

    world.behave("a", interrupted_then_failing)
    world.run(order(step("a", "sim.put", retry={"max_attempts": 2, "delay": 0})))
    assert world.statuses("a") == ["lost", "failed", "failed"]

"""A deterministic simulation of the engine: random workflows of every control structure, a crash at every await.

For each workflow the order of its strands, what is committed when, and when somebody outside answers are drawn from a
seed. It is run once whole, and then once for every place at which its worker can go away; after each recovery the
promises are checked: one end (G1), nothing recorded as done runs again and no effect happens twice in silence (G2),
every key the same for all attempts, intent before effect, nothing left open.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from integrations.sdk import Permanent, RunContext, Transient
from runs.engine.records import Attempt, Failed, Outcome, Parked, RunOrder, Succeeded
from runs.states import FailureKind, StepStatus
from tests.engine.world import OPEN, Crash, World, order, step

LEAVES = ("sim.pure", "sim.read", "sim.put", "sim.send")
HOLDERS = ("flow.if", "flow.switch", "flow.foreach", "flow.parallel")
WAITERS = ("flow.wait", "flow.approve", "flow.callback", "workflow.call")
SEEDS = 220


def flaky(world: World, ctx: RunContext[Any]) -> Any:
    """Fail the first two attempts."""
    if ctx.attempt < 3:
        raise Transient("away")
    return ctx.inputs.value


def broken(world: World, ctx: RunContext[Any]) -> Any:
    raise Permanent("never")


@dataclass
class Grown:
    """A random workflow, and what its steps do when they are called."""

    chance: random.Random
    behaviours: dict[str, Any] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    count: int = 0

    def key(self, kind: str) -> str:
        self.count += 1
        return f"{kind.partition('.')[2]}{self.count}"

    def body(self, depth: int, most: int) -> list[dict[str, Any]]:
        return [self.one(depth) for _ in range(self.chance.randint(1, most))]

    def one(self, depth: int) -> dict[str, Any]:
        draw = self.chance.random()
        if depth < 2 and draw < 0.35:
            return self.holder(depth)
        return self.waiter() if draw < 0.5 else self.leaf()

    def leaf(self) -> dict[str, Any]:
        action = self.chance.choice(LEAVES)
        key = self.key(action)
        config: dict[str, Any] = {"inputs": {"value": [key, "{{ default(item, 0) }}"]}}
        draw = self.chance.random()
        if draw < 0.15:
            config["run_if"] = "{{ false }}"
        elif draw < 0.3 and action == "sim.put":
            self.behaviours[key] = flaky
            config["retry"] = {"max_attempts": 4, "delay": self.chance.choice([0, 1, 60])}
        elif draw < 0.4:
            self.behaviours[key] = broken
            config["on_error"] = "continue"
        elif draw < 0.6 and action == "sim.send":
            self.asked.add(key)
            config["on_lost"] = "ask"
        return step(key, action, **config)

    def waiter(self) -> dict[str, Any]:
        action = self.chance.choice(WAITERS)
        inputs = {
            "flow.wait": {"seconds": self.chance.choice([0, 1, 60])},
            "flow.approve": {"message": "May I?"},
            "flow.callback": {},
            "workflow.call": {"workflow": "other", "payload": 1},
        }[action]
        return step(self.key(action), action, inputs=inputs)

    def holder(self, depth: int) -> dict[str, Any]:
        action = self.chance.choice(HOLDERS)
        key, chance = self.key(action), self.chance
        lanes = {"then": self.body(depth + 1, 2), "else": self.body(depth + 1, 2)}
        if action == "flow.if":
            return step(key, action, inputs={"condition": chance.random() < 0.5}, lanes=lanes)
        if action == "flow.switch":
            named = {"a": lanes["then"], "default": lanes["else"]}
            return step(key, action, inputs={"value": chance.choice(["a", "b"])}, lanes=named)
        if action == "flow.parallel":
            return self.parallel(key, lanes["then"], lanes["else"])
        goes_on = chance.random() < 0.3
        body = lanes["then"]
        if goes_on:
            key_of_bad = self.key("sim.bad")
            self.behaviours[key_of_bad] = broken
            body = [*body, step(key_of_bad, "sim.put", inputs={"value": "{{ index }}"}, run_if="{{ index == 1 }}")]
        inputs = {
            "items": list(range(chance.randint(0, 3))),
            "concurrency": chance.randint(1, 3),
            "on_item_error": "continue" if goes_on else "fail",
        }
        return step(key, action, inputs=inputs, lanes={"body": body})

    def parallel(self, key: str, left: list[dict[str, Any]], right: list[dict[str, Any]]) -> dict[str, Any]:
        """Two lanes; in some the left one fails for good, and the workflow goes on after it."""
        policy = self.chance.choice(["stop", "finish", "continue"])
        more: dict[str, Any] = {}
        if self.chance.random() < 0.4:
            bad = self.key("sim.bad")
            self.behaviours[bad] = broken
            left = [*left[:1], step(bad, "sim.put"), *left[1:]]
            more = {"on_error": "continue"}
        return step(
            key, "flow.parallel", inputs={"on_lane_error": policy}, lanes={"left": left, "right": right}, **more
        )

    def readable(self, steps: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield steps and what is read from inside them; what lanes side by side come to depends on their turns."""
        for found in steps:
            yield found
            if found["action"] in ("flow.if", "flow.switch"):
                for inner in found["lanes"].values():
                    yield from self.readable(inner)

    def order(self) -> RunOrder:
        steps = self.body(0, 3)
        if self.chance.random() < 0.1:
            stop = step(self.key("flow.stop"), "flow.stop", inputs={"output": "stopped"})
            check = step(self.key("flow.if"), "flow.if", inputs={"condition": True}, lanes={"then": [stop], "else": []})
            lanes = {"left": [self.leaf(), check, self.leaf()], "right": self.body(1, 3)}
            steps = [*steps, step(self.key("flow.parallel"), "flow.parallel", inputs={}, lanes=lanes), self.leaf()]
        elif self.chance.random() < 0.15:
            stop = step(self.key("flow.stop"), "flow.stop", inputs={"output": "stopped"})
            then = [
                step(self.key("flow.if"), "flow.if", inputs={"condition": True}, lanes={"then": [stop], "else": []})
            ]
            steps = [*steps, *then, self.leaf()]
        readable = [found["key"] for found in self.readable(steps) if found["action"] != "flow.wait"]
        told = {
            key: [f"steps.{key}.output", f"steps.{key}.status", f"default(steps.{key}.error.path, null)"]
            for key in readable
        }
        output = {key: [f"{{{{ {expression} }}}}" for expression in found] for key, found in told.items()}
        return order(*steps, output=output)


def world_for(grown: Grown, seed: int, crash_at: int | None) -> World:
    world = World(seed=seed)
    world.crash_at = crash_at
    world.answers_meanwhile = True
    for key, behaviour in grown.behaviours.items():
        world.behave(key, behaviour)
    return world


def check(world: World, outcome: Outcome, expected: Outcome, run: RunOrder, grown: Grown) -> None:
    """Hold the promises against what happened and what is recorded."""
    by_path: dict[str, list[Attempt]] = {}
    for row in world.rows():
        by_path.setdefault(row.path, []).append(row)
    action_of = {path: rows[0].action for path, rows in by_path.items()}
    keys: dict[str, set[str]] = {}
    for path, key in world.effects:
        keys.setdefault(path, set()).add(key)
    assert all(len(found) == 1 for found in keys.values()), "one key for all attempts of a step"
    for path, count in Counter(path for path, _ in world.effects).items():
        if action_of[path] == "sim.send" and path.rpartition(".")[2] not in grown.asked:
            assert count == 1, f"the effect of {path} happened {count} times"
    for path, rows in by_path.items():
        assert [row.number for row in rows] == list(range(1, len(rows) + 1)), path
        assert sum(row.status in (StepStatus.SUCCEEDED, StepStatus.SKIPPED) for row in rows) <= 1, path
        assert not any(row.status in OPEN for row in rows), f"{path} is left under way"
    lost = [path for path, rows in by_path.items() if rows[-1].status is StepStatus.LOST]
    if not lost:
        assert outcome == expected
    elif isinstance(outcome, Failed):
        assert outcome.failure.kind is FailureKind.OUTCOME_UNKNOWN
        assert outcome.path in lost
        assert action_of[outcome.path] == "sim.send"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_crash_at_any_await_keeps_every_promise(seed: int) -> None:
    grown = Grown(random.Random(seed))
    run = grown.order()
    whole = world_for(grown, seed, None)
    expected = whole.run(run)
    assert isinstance(expected, Succeeded)
    check(whole, expected, expected, run, grown)
    for crash_at in range(1, whole.places + 1):
        world = world_for(grown, seed, crash_at)
        check(world, world.run(run), expected, run, grown)


def crash_often(world: World, run: RunOrder) -> Outcome:
    """Drive a run whose worker goes away four times, also while it takes up what an earlier one left."""
    for _ in range(4):
        world.crash_at = world.places + world.random.randint(1, 30)
        try:
            outcome = world.run_once(run)
        except Crash:
            world.crash()
        else:
            if not isinstance(outcome, Parked):
                return outcome
            world.pass_time(outcome)
    world.crash_at = None
    return world.run(run)


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + 24))
def test_crashes_again_and_again_keep_every_promise(seed: int) -> None:
    grown = Grown(random.Random(seed))
    run = grown.order()
    expected = world_for(grown, seed, None).run(run)
    for trial in range(12):
        world = world_for(grown, seed * 100 + trial, None)
        check(world, crash_often(world, run), expected, run, grown)


def test_every_control_structure_is_in_the_simulation() -> None:
    used: set[str] = set()
    for seed in range(SEEDS):
        used |= {found.action for _, found in Grown(random.Random(seed)).order().definition.walk()}
    assert {*LEAVES, *HOLDERS, *WAITERS, "flow.stop"} <= used

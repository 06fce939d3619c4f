"""Random workflows with a lane moved into a workflow of its own: they give what they gave."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import Invalid
from orchestrator.flow.definition import WorkflowDefinition, walk_steps
from orchestrator.flow.extracting import Extracted, extract, put_call
from orchestrator.flow.facts import ActionFacts
from orchestrator.workflows.publishing import action_facts
from runs.engine.ports import CallOutcome
from runs.engine.records import Attempt, Failed, Failure, Outcome, RunOrder, Succeeded
from tests.engine.test_simulation import LEAVES, Grown
from tests.engine.world import ACTIONS, World

SEEDS = 120
TRIGGER = {"type": "manual", "key": None, "body": {"n": 3, "name": "Ada"}, "headers": {"x": "y"}, "query": {}}
RUN = {"id": "7", "started_at": "2026-03-01T00:00:00+00:00", "kind": "live", "links": {}}
WORKFLOW = {"id": "1", "name": "Test", "slug": "test", "version": 4}
VARIABLES = {"v": "of the tenant"}
Steps = Sequence[dict[str, Any]]


class SimCatalog:
    def action(self, key: str) -> ActionFacts | None:
        return next((action_facts(found) for found in ACTIONS if found.key == key), None)

    def keys(self) -> Sequence[str]:
        return [found.key for found in ACTIONS]


class Woven:
    """A random workflow whose steps read what is around them, wherever that can be read."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.grown = Grown(self.chance)
        steps = [*self.grown.body(0, 3), self.grown.holder(0), self.grown.leaf()]
        self.weave(steps, [], in_loop=False)
        readable = [key for step in steps for key in (step["key"], *inside(step))]
        told = self.chance.sample(readable, min(2, len(readable))) + [step["key"] for step in steps]
        self.definition = WorkflowDefinition.model_validate(
            {
                "name": "Test", "slug": "test", "steps": steps,
                "output": {key: f"{{{{ steps.{key}.output }}}}" for key in told},
            }
        )  # fmt: skip

    def weave(self, steps: Steps, before: list[str], *, in_loop: bool) -> None:
        before = list(before)
        for step in steps:
            inputs = step["config"]["inputs"]
            if step["action"] == "flow.wait":
                # How long it waited depends on what else went on.
                step["action"], inputs = "sim.pure", {}
            if step["action"] in LEAVES:
                inputs = {"value": [step["key"], *self.reads(before, in_loop=in_loop)]}
            elif step["action"] == "flow.approve":
                inputs = {"message": f"May I, {self.reads(before, in_loop=in_loop)[0]}?"}
            elif step["action"] == "flow.foreach":
                inputs = {**inputs, "items": [self.reads(before, in_loop=in_loop) for _item in inputs["items"]]}
            elif step["action"] == "flow.parallel":
                # What others are stopped at depends on the order of their turns.
                inputs = {"on_lane_error": self.chance.choice(["finish", "continue"])}
            elif step["action"] == "flow.if" and before:
                key = self.chance.choice(before)
                inputs = {"condition": f"{{{{ steps.{key}.status == 'succeeded' or trigger.body.n == 4 }}}}"}
            step["config"]["inputs"] = inputs
            if "run_if" not in step["config"] and before and self.chance.random() < 0.2:
                step["config"]["run_if"] = f"steps.{self.chance.choice(before)}.status != 'skipped'"
            for inner in step["lanes"].values():
                self.weave(inner, before, in_loop=in_loop or step["action"] == "flow.foreach")
            before += [step["key"], *inside(step)]

    def reads(self, before: list[str], *, in_loop: bool) -> list[str]:
        found = [
            "{{ trigger.body.name + '}} steps.a' }}", "{{ trigger }}", "{{ vars.v }}",
            "{{ run.id }} of {{ workflow.name }}", "{{ default(trigger.body.nothing, {'a': trigger.body['n']}) }}",
            "{{ workflow.version + trigger.body.n }}",
        ]  # fmt: skip
        if in_loop:
            found += ["{{ item }}", "{{ index }} {{ text(item) }} {{ index }}", "{{ [item, trigger.body.n] }}"]
        for key in before:
            found += [f"{{{{ steps.{key}.output }}}}", f"{{{{ default(steps.{key}.error.kind, steps.{key}.status) }}}}"]
            found += [f"{{{{ steps['{key}'] }}}}"] if key.startswith("p") else []
        return self.chance.sample(found, min(3, len(found)))

    def lanes(self) -> Iterator[tuple[str, str]]:
        for _path, step in self.definition.walk():
            yield from ((step.key, name) for name, inner in step.lanes.items() if inner)


def inside(step: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys in a step's lanes that can be read after it."""
    if step["action"] != "flow.foreach":
        for inner in step["lanes"].values():
            for held in inner:
                yield held["key"]
                yield from inside(held)


def answering(world: World, row: Attempt) -> None:
    """Answer a step the same wherever it stands."""
    key = row.path.rpartition(".")[2]
    if row.action == "workflow.call":
        world.call_outcomes[row.path] = CallOutcome(run_id="9", output={"called": key})
    elif row.action == "flow.approve":
        world.answers[(row.path, row.number)] = {"decision": "approved", "form": {"of": key}, "comment": "", "by": "a"}
    else:
        world.answers[(row.path, row.number)] = {"body": {"of": key}, "headers": {}, "query": {}}


def world_of(woven: Woven, seed: int) -> World:
    world = World(seed=seed)
    world.answer = answering
    for key, behaviour in woven.grown.behaviours.items():
        world.behave(key, behaviour)
    return world


def order_of(definition: WorkflowDefinition, **more: Any) -> RunOrder:
    given = {"trigger": TRIGGER, "run": RUN, "workflow": WORKFLOW, **more}
    return RunOrder(run_id=7, tenant_id=1, definition=definition, variables=VARIABLES, **given)


def run_moved(woven: Woven, found: Extracted, key: str, lane: str) -> tuple[World, Outcome]:
    """Run the workflow with its lane moved, and the workflow that is called for it."""
    document = {"name": "Moved", "slug": "moved", "output": found.output}
    called = WorkflowDefinition.model_validate({**document, "steps": [step.model_dump() for step in found.moved]})
    call = found.call(slug="moved", name="")
    steps = put_call(woven.definition.steps, key=key, lane=lane, call=call)
    world = world_of(woven, 3)

    def answer(world: World, row: Attempt) -> None:
        slug, payload = world.called.get(row.path, ("", None))
        if slug != "moved":
            answering(world, row)
            return
        trigger = {"type": "workflow", "key": row.path, "body": json.loads(json.dumps(payload))}
        names = {"id": "2", "name": "Moved", "slug": "moved", "version": 1}
        order = order_of(called, trigger=trigger, run={**RUN, "id": "8"}, workflow=names)
        outcome = world_of(woven, 4).run(replace(order, run_id=8))
        failure, output = None, None
        if isinstance(outcome, Failed):
            failure = Failure(kind=outcome.failure.kind, message=f"The called run 8 failed: {outcome.failure.message}")
        else:
            assert isinstance(outcome, Succeeded)
            output = outcome.output
        world.call_outcomes[row.path] = CallOutcome(run_id="8", output=output, failure=failure)

    world.answer = answer
    return world, world.run(order_of(woven.definition.model_copy(update={"steps": steps})))


def rows_outside(world: World, keys: set[str]) -> dict[str, tuple[str, Any, Any]]:
    """Return how each step ended that is in no moved lane: status, inputs and output."""
    return {
        row.path: (row.status.value, row.inputs, row.output)
        for row in world.rows()
        if not any(part.partition("[")[0] in keys for part in row.path.split("."))
    }


def moved_or_refused(woven: Woven, key: str, lane: str) -> Extracted | None:
    try:
        return extract(woven.definition, key=key, lane=lane, catalog=SimCatalog(), workflows={})
    except Invalid as refused:
        codes = {problem.code for problem in refused.problems}
    assert codes <= {"read", "last"}
    return None


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_workflow_gives_what_it_gave_before_a_lane_of_it_was_moved(seed: int) -> None:
    woven = Woven(seed)
    before = world_of(woven, 3)
    expected = before.run(order_of(woven.definition))
    for key, lane in woven.lanes():
        found = moved_or_refused(woven, key, lane)
        if found is None:
            continue
        after, outcome = run_moved(woven, found, key, lane)
        moved = {step.key for _path, step in walk_steps("steps", found.moved)}
        assert rows_outside(after, moved) == rows_outside(before, moved)
        if isinstance(expected, Failed):
            assert isinstance(outcome, Failed)
            assert outcome.failure.kind is expected.failure.kind
        else:
            assert outcome == expected


def test_most_lanes_can_be_moved_and_all_kinds_of_references_are_among_them() -> None:
    count: Counter[str] = Counter()
    for seed in range(SEEDS):
        woven = Woven(seed)
        for key, lane in woven.lanes():
            found = moved_or_refused(woven, key, lane)
            count["moved" if found else "refused"] += 1
            count.update((found.payload or {}).keys() if found else ())
    assert count["moved"] > count["refused"] > 0
    assert all(count[root] > 20 for root in ("trigger", "steps", "item", "index", "run", "workflow")), count

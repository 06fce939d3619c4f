"""What a person approved is what a tool is given, whatever the clock and the variables do meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from pydantic import BaseModel, Field

from integrations.sdk import RunContext, Transient, action, ui
from orchestrator.flow.secrets import HIDDEN
from runs.engine.records import Attempt, Failed, Parked, RunOrder, Succeeded
from runs.states import FailureKind, StepStatus
from tests.engine.models import agent, asked, call, heard, world_with
from tests.engine.world import OPEN, World, default_answer, provider, step

SLOW_RETRY = {"max_attempts": 3, "delay": 60.0, "backoff": "fixed", "jitter": False}
STAMPED = step("send", "sim.send", inputs={"value": "{{ vars.n }} at {{ now() }}"})


def each_driver(run: RunOrder, **variables: Callable[[], Any]) -> Callable[[], RunOrder]:
    """Return a run whose variables are others for each driver."""
    return lambda: replace(run, variables={name: value() for name, value in variables.items()})


class Watched:
    """What a world's people were asked and approved, and what its tools were given, by number."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.approved: dict[int | None, Any] = {}
        self.given: list[tuple[int, Any]] = []
        world.answer = self._answer

    def _answer(self, world: World, row: Attempt) -> None:
        if row.action == "flow.approve":
            inputs: Any = row.inputs
            self.approved[row.item] = json.loads(inputs["message"].partition(" with: ")[2])
        default_answer(world, row)

    def tool(self, ctx: RunContext[Any]) -> None:
        path = self.world.paths[ctx.idempotency_key]
        self.given.append((int(path.partition("[")[2].partition("]")[0]), ctx.inputs.model_dump(exclude_unset=True)))

    def used(self, world: World, ctx: RunContext[Any]) -> Any:
        self.tool(ctx)
        return "done"

    def used_at_second_try(self, world: World, ctx: RunContext[Any]) -> Any:
        self.tool(ctx)
        if ctx.attempt == 1:
            raise Transient("Too busy.")
        return "done"


def test_what_was_approved_is_given_whatever_the_variables_are_by_then() -> None:
    world, n = world_with(([call("send", 1)], "Done.")), count()
    watched = Watched(world)
    world.behave("send", watched.used)
    run = each_driver(agent(STAMPED, approval="always"), n=lambda: next(n))
    assert isinstance(world.run(run), Succeeded)
    assert watched.given == [(1, watched.approved[1])]
    assert watched.given[0][1]["value"].startswith("0 at 20")


def test_a_tool_that_is_tried_again_is_given_the_same_again() -> None:
    world, n = world_with(([call("put", 1)], "Done.")), count()
    watched = Watched(world)
    world.behave("put", watched.used_at_second_try)
    put = step("put", "sim.put", inputs={"value": "{{ vars.n }} at {{ now() }}"}, retry=SLOW_RETRY)
    assert isinstance(world.run(each_driver(agent(put, approval="always"), n=lambda: next(n))), Succeeded)
    assert watched.given == [(1, watched.approved[1])] * 2


def test_what_only_read_before_does_not_write_unasked_at_its_next_try() -> None:
    world = world_with(([call("call", 1)], [call("call", 2)], "Done."))
    watched, modes = Watched(world), iter(["reads"])
    world.behave("call", watched.used_at_second_try)
    tool = step("call", "sim.call", inputs={"value": "{{ vars.mode }}"}, retry=SLOW_RETRY)
    run = each_driver(agent(tool, approval="writes"), mode=lambda: next(modes, "writes"))
    assert isinstance(world.run(run), Succeeded)
    assert heard(world) == ["Error (transient): Too busy.", "done"]
    assert watched.given == [(1, {"value": "reads"}), (3, {"value": "writes"}), (3, {"value": "writes"})]
    assert watched.approved == {3: {"value": "writes"}}


@pytest.mark.parametrize("size", [80_000, 1_500_000])
def test_what_is_large_is_given_as_it_was_approved(size: int) -> None:
    world, n = world_with(([call("send", 1)], "Done.")), count()
    watched = Watched(world)
    world.behave("send", watched.used)
    rows = "{{ [vars.n, trigger] }}"
    run = replace(agent(step("send", "sim.send", inputs={"value": rows}), approval="always"), trigger="x" * size)
    assert isinstance(world.run(each_driver(run, n=lambda: next(n))), Succeeded)
    assert watched.given == [(1, {"value": [0, "x" * size]})]


def test_of_what_holds_a_secret_nobody_is_asked_and_it_is_on_no_record() -> None:
    world = world_with(([call("post", 1)], [call("send", 2)], "Done."))
    tools = (
        step("post", "chat.post", credential="key", inputs={"value": 1}),
        step("send", "sim.send", inputs={"value": "{{ vars.copied }}"}),
    )
    run = replace(agent(*tools, approval="writes"), variables={"copied": "tok-canary-4711"})
    world.secrets["key"] = {"provider": "chat", "type": "oauth2", "access_token": "t", "token": "tok-canary-4711"}
    outcome = world.run(run)
    assert isinstance(outcome, Failed)
    assert (outcome.path, outcome.failure.kind, outcome.failure.field) == (
        "agent[3].send",
        FailureKind.INPUT,
        "value",
    )
    assert outcome.failure.message.startswith("value holds a secret that this run uses")
    assert [path for path, _key in world.effects] == ["agent[1].post"]
    assert "canary" not in repr([(row.inputs, row.output) for row in world.rows()])


class Door(BaseModel):
    code: str = Field(json_schema_extra=ui(secret=True))
    number: str


@action(provider=provider, key="sim.door", name="Open a door", auth_type="none", input_schema=Door)
async def door(ctx: RunContext[Door]) -> Any:
    """Open a door."""
    return {"is_right": ctx.inputs.code == "code-canary-4711", "number": ctx.inputs.number}


@pytest.mark.parametrize(
    ("held", "shown", "told"),
    [
        ({"credential": "front"}, {"credential": "front"}, '{"is_right": true, "number": "0 or 5"}'),
        ("code-canary-4711", HIDDEN, "Error (input): code: a secret is not written into a step."),
    ],
)
def test_of_a_tool_with_a_secret_its_name_is_shown_and_the_rest_is_given_as_it_was_approved(
    held: Any, shown: Any, told: str
) -> None:
    world, n = world_with(([call("door", 1)], "Done."), actions=[door]), count()
    world.secrets["front"] = {"provider": "secret", "type": "api_key", "api_key": "code-canary-4711"}
    watched = Watched(world)
    tool = step("door", "sim.door", inputs={"code": held, "number": "{{ vars.n }} or 5"}, on_error="continue")
    assert isinstance(world.run(each_driver(agent(tool, approval="writes"), n=lambda: next(n))), Succeeded)
    assert watched.approved == {1: {"code": shown, "number": "0 or 5"}}
    assert heard(world)[0].startswith(told)
    assert "canary" not in repr([(row.inputs, row.output) for row in world.rows()])


def test_what_holds_no_expression_has_no_row_of_its_own() -> None:
    world = world_with(([call("send", 1)], "Done."))
    assert isinstance(world.run(agent(step("send", "sim.send", inputs={"value": 5}), approval="always")), Succeeded)
    assert [row.path for row in world.rows()] == [
        "agent", "agent[0].agent_model", "agent[1].agent_approval", "agent[1].send", "agent[2].agent_model"
    ]  # fmt: skip


def without_proposals(world: World) -> None:
    """Leave what a release had recorded that kept of a question no more than its text."""
    world.durable = {pk: row for pk, row in world.durable.items() if not row.key.endswith("_proposed")}


def test_of_an_approval_of_which_no_more_than_the_text_is_on_record_a_person_is_asked_again() -> None:
    world, n = world_with(([call("send", 1)], [call("send", 2)], "Done.")), count()
    watched = Watched(world)
    world.behave("send", watched.used)
    run = each_driver(agent(STAMPED, approval="always"), n=lambda: next(n))
    assert isinstance(world.run_once(run()), Parked)
    without_proposals(world)
    assert isinstance(world.run(run), Succeeded)
    assert heard(world)[0].endswith("the tool was not used. Call it again, and they are asked again.")
    assert watched.given == [(3, watched.approved[3])]


def test_what_was_begun_by_such_an_approval_is_not_tried_again() -> None:
    world, n = world_with(([call("put", 1)], "It failed.")), count()
    watched = Watched(world)
    world.behave("put", watched.used_at_second_try)
    put = step("put", "sim.put", inputs={"value": "{{ vars.n }}"}, retry=SLOW_RETRY)
    run = each_driver(agent(put, approval="always"), n=lambda: next(n))
    for _ in range(2):
        assert isinstance(world.run_once(run()), Parked)
        world.answer_one()
    assert world.statuses("agent[1].put") == ["failed"]
    without_proposals(world)
    assert isinstance(world.run(run), Succeeded)
    assert heard(world) == ["Error (transient): Too busy."]
    assert (len(watched.given), world.rows("agent[1].put")[0].retry_at) == (1, None)


@pytest.mark.parametrize("seed", range(2))
def test_a_crash_at_any_await_has_no_tool_given_what_nobody_approved(seed: int) -> None:
    script = ([call("send", 1), call("put", 2)], [call("call", 3)], "Done.")
    tools = (
        STAMPED,
        step("put", "sim.put", inputs={"value": "{{ vars.n }} and {{ now() }}"}, retry=SLOW_RETRY),
        step("call", "sim.call", inputs={"value": "{{ vars.mode }}"}, retry=SLOW_RETRY),
    )
    run = agent(*tools, approval="writes")

    def driven(crash_at: int | None) -> World:
        world, n = world_with(script, seed=seed * 1000 + (crash_at or 0)), count(seed)
        watched = Watched(world)
        world.crash_at = crash_at
        world.behave("send", watched.used)
        world.behave("put", watched.used_at_second_try)
        world.behave("call", watched.used_at_second_try)
        modes = each_driver(run, n=lambda: next(n), mode=lambda: world.random.choice(["reads", "writes"]))
        outcome = world.run(modes)
        if isinstance(outcome, Failed):
            assert outcome.failure.kind is FailureKind.OUTCOME_UNKNOWN
        else:
            assert len(asked(world)["messages"]) == 6
        # What only reads needs no approval, and may do so before it is asked about as what does more.
        done = [(number, given) for number, given in watched.given if given["value"] != "reads"]
        assert [(number, given) for number, given in done if watched.approved.get(number) != given] == []
        assert not any(row.status in OPEN for row in world.rows()), "nothing is left under way"
        succeeded = [row.path for row in world.rows() if row.status is StepStatus.SUCCEEDED]
        assert len(succeeded) == len(set(succeeded))
        return world

    for crash_at in range(1, driven(None).places + 1):
        driven(crash_at)


def test_a_workflow_that_a_tool_called_and_that_waited_is_not_the_agents_time() -> None:
    """Else an agent that goes on from its record, after another wait, would be found at its limit before it."""
    world = world_with(([call("other", 1)], [call("send", 2)], "Done."))

    def answer(world: World, row: Attempt) -> None:
        world.now += timedelta(hours=2)
        default_answer(world, row)

    world.answer = answer
    other = step("other", "workflow.call", inputs={"workflow": "other"})
    outcome = world.run(agent(other, step("send", "sim.send", inputs={}), approval="writes", max_seconds=60))
    assert isinstance(outcome, Succeeded), outcome

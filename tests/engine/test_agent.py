"""An agent is a container of rows: what its model asks for, what its tools give, and what becomes of it."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from integrations.builtin.ai import AgentInputs
from integrations.sdk import Action, AuthError, Permanent, RunContext, Timeout, action
from runs.engine.records import Failed, Outcome, Parked, RunOrder, Succeeded
from runs.states import FailureKind, StepStatus
from tests.engine.models import agent, asked, call, heard, output, world_with
from tests.engine.world import OPEN, Crash, World, default_answer, order, provider, step

THREE = (
    [call("look", 1, value="a"), call("put", 2, value="b")],
    [call("send", 3, value="c")],
    "All is done.",
)
TOOLS = (step("look", "sim.read", inputs={}), step("put", "sim.put", inputs={}), step("send", "sim.send", inputs={}))


class Letter(BaseModel):
    to: str
    text: str
    copies: int = 1


@action(provider=provider, key="sim.letter", name="Write a letter", auth_type="none", input_schema=Letter)
async def letter(ctx: RunContext[Letter]) -> dict[str, Any]:
    """Send a letter by post."""
    return {"to": ctx.inputs.to, "text": ctx.inputs.text}


def given(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Succeeded), outcome
    assert isinstance(outcome.output, dict)
    return outcome.output


def test_each_question_and_each_use_of_a_tool_is_a_row_of_its_own_below_the_agent() -> None:
    world = world_with(THREE)
    found = given(world.run(agent(*TOOLS)))
    assert found["text"] == "All is done."
    assert found["usage"] | {"seconds": 0} == {
        "model_calls": 3, "tool_calls": 3, "input_tokens": 300, "output_tokens": 30, "cached_tokens": 0, "seconds": 0,
        "cost": 0.000063,
    }  # fmt: skip
    rows = {row.path: (row.loop, row.item, row.status.value) for row in world.rows() if row.loop}
    assert rows == {
        f"agent[{item}].{key}": ("agent", item, "succeeded")
        for item, key in enumerate(["agent_model", "look", "put", "agent_model", "send", "agent_model"])
    }
    assert heard(world) == ['{"value": "a"}', '{"value": "b"}', '{"value": "c"}']


def test_what_the_author_fixed_is_no_part_of_the_tool_and_the_model_cannot_change_it() -> None:
    fixed = step("post", "sim.letter", inputs={"to": "{{ trigger }}"})
    world = world_with(
        ([call("post", 1, text="Hi", to="thief")], [call("post", 2, text="{{ trigger }}")], "Sent."), actions=[letter]
    )
    run = agent(fixed)
    given(world.run(RunOrder(run_id=7, tenant_id=1, definition=run.definition, trigger="ada")))
    (tool,) = asked(world)["tools"]
    assert tool["name"] == "post"
    assert tool["description"] == "Write a letter. Send a letter by post."
    assert tool["input_schema"] == {
        "type": "object",
        "properties": {"text": {"type": "string"}, "copies": {"type": "integer", "default": 1}},
        "required": ["text"],
        "additionalProperties": False,
    }
    assert heard(world) == [
        "Error (input): There is no argument to. The arguments are: text, copies.",
        '{"to": "ada", "text": "{{ trigger }}"}',
    ]


def test_what_is_fixed_by_one_name_is_not_the_models_to_give_by_another_one() -> None:
    class Named(Letter):
        model_config = ConfigDict(populate_by_name=True)
        to: str = Field(alias="sendTo")

    async def sends(ctx: RunContext[Any]) -> Any:
        """Send a letter."""
        return ctx.inputs.to

    declared = action(provider=provider, key="sim.letter", name="Write", auth_type="none", input_schema=Named)(sends)
    world = world_with(([call("post", 1, sendTo="thief", text="Hi")], "Sent."), actions=[declared])
    given(world.run(agent(step("post", "sim.letter", inputs={"to": "ada"}))))
    assert list(asked(world)["tools"][0]["input_schema"]["properties"]) == ["text", "copies"]
    assert heard(world) == ["Error (input): There is no argument sendTo. The arguments are: text, copies."]


def test_what_a_model_does_wrong_is_told_to_it() -> None:
    malformed = {"id": "c3", "name": "post", "input": None}
    world = world_with(
        ([call("nothing", 1), call("post", 2, to="ada", text=["no text"]), malformed], "I give up."), actions=[letter]
    )
    assert given(world.run(agent(step("post", "sim.letter", inputs={}))))["text"] == "I give up."
    unknown, unfit, broken = heard(world)
    assert unknown == "There is no tool 'nothing'. The tools are: post."
    assert unfit.startswith("Error (input): text: ")
    assert broken == "Error (input): The arguments are not a JSON object. Write them again as one."
    rows = [row.path for row in world.rows() if row.loop]
    assert rows == ["agent[0].agent_model", "agent[1].post", "agent[2].post", "agent[3].agent_model"]


def test_a_release_that_takes_another_argument_uses_no_tool_twice() -> None:
    """What could not be called before is on record as such; what was called is found where it was."""
    sent: list[str] = []

    async def sends(ctx: RunContext[Any]) -> Any:
        """Send a letter."""
        sent.append(ctx.inputs.to)

    def release(schema: type[Letter]) -> Action:
        declared = action(provider=provider, key="sim.letter", name="Write", auth_type="none", input_schema=schema)
        return declared(sends)

    class Urgent(Letter):
        urgent: bool = False

    def replaced(world: World, ctx: RunContext[Any]) -> Any:
        if world.calls["agent[4].put"] == 1:
            world.catalog["sim.letter"], world.dead = release(Urgent), True
            raise Crash

    calls = [call("post", 1, to="ada", text="Hi", urgent=True), call("post", 2, to="bob", text="Hi")]
    world = world_with((calls, [call("put", 3)], "Done."), actions=[release(Letter)])
    world.behave("put", replaced)
    given(world.run(agent(step("post", "sim.letter", inputs={}), TOOLS[1])))
    assert sent == ["bob"]
    assert (world.statuses("agent[1].post"), world.statuses("agent[2].post")) == (["failed"], ["succeeded"])


def failing(error: Exception) -> World:
    def fail(world: World, ctx: RunContext[Any]) -> Any:
        raise error

    world = world_with(([call("put", 1, value=1)], "It failed."))
    world.behave("put", fail)
    return world


def test_a_failed_tool_is_told_and_fails_nothing() -> None:
    world = failing(Permanent("The order is closed.", hint="Open it first."))
    assert given(world.run(agent(TOOLS[1])))["text"] == "It failed."
    assert heard(world) == ["Error (permanent): The order is closed. Open it first."]


def test_of_what_was_late_the_model_hears_that_it_may_have_happened() -> None:
    late = failing(Timeout("Too slow."))
    given(late.run(agent(step("put", "sim.put", inputs={}, retry={"max_attempts": 1}))))
    assert heard(late) == [
        "Error (timeout): Too slow. It may have had its effect all the same: find out before you do it again."
    ]


def test_a_tool_whose_condition_does_not_hold_gives_no_empty_success() -> None:
    world = world_with(([call("send", 1)], "It was not sent."))
    given(world.run(agent(step("send", "sim.send", inputs={}, run_if="{{ 1 > 2 }}"))))
    assert heard(world) == ["The tool was not used: it is only used on a condition, which does not hold."]
    assert world.statuses("agent[1].send") == ["skipped"]


def test_what_only_the_author_can_do_something_about_fails_the_agent_unless_the_tool_may_fail() -> None:
    outcome = failing(AuthError("The key was refused.")).run(agent(TOOLS[1]))
    assert isinstance(outcome, Failed)
    assert (outcome.path, outcome.failure.kind) == ("agent[1].put", FailureKind.AUTH)
    world = failing(AuthError("The key was refused."))
    given(world.run(agent(step("put", "sim.put", inputs={}, on_error="continue"))))
    assert heard(world) == ["Error (auth): The key was refused."]


def test_a_fixed_input_that_is_wrong_is_not_the_models_to_correct() -> None:
    world = world_with(([call("post", 1, text="Hi")], "Sent."), actions=[letter])
    outcome = world.run(agent(step("post", "sim.letter", inputs={"to": 7})))
    assert isinstance(outcome, Failed)
    assert (outcome.path, outcome.failure.kind, outcome.failure.field) == ("agent[1].post", FailureKind.INPUT, "to")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"refusal": "I will not."}, "The model refused: I will not."),
        ({"finish_reason": "content_filter"}, "The model refused: content_filter"),
        ({"content": " "}, "The model gave an empty answer."),
        (
            {"content": "So it", "finish_reason": "length"},
            "The model's answer was cut: it was longer than 4,096 tokens.",
        ),
    ],
)
def test_no_answer_is_a_clear_failure(answer: dict[str, Any], words: str) -> None:
    world = world_with((answer,))
    outcome = world.run(agent(*TOOLS))
    assert isinstance(outcome, Failed)
    assert (outcome.failure.message, outcome.failure.kind, outcome.path) == (words, FailureKind.PERMANENT, "agent")
    row: Any = world.rows("agent")[0]
    assert row.output["usage"]["input_tokens"] == 100


def test_a_large_result_is_cut_for_the_model_and_whole_on_record() -> None:
    world = world_with(([call("look", 1, value="x" * 30_000)], "Long."))
    given(world.run(agent(TOOLS[0])))
    assert heard(world)[0].endswith("… cut here: 10013 more characters were left out. Ask for less.")
    assert world.rows("agent[1].look")[0].output == {"value": "x" * 30_000}


def test_what_is_huge_is_not_shown_to_the_model_nor_taken_from_it() -> None:
    world = world_with(([call("look", 1)], "Too much."))
    world.behave("look", lambda world, ctx: {"rows": ["x" * 1_000] * 2_000})
    given(world.run(agent(TOOLS[0])))
    assert re.fullmatch(r"The tool gave \d{7} bytes, which is too much to show. Ask it for less.", heard(world)[0])
    outcome = world_with(("x" * 2_000_000,)).run(agent(TOOLS[0]))
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "The model's answer is too large to go on with."
    wordy = world_with(([call("look", 1, value="x" * 300_000)], "Less."))
    given(wordy.run(agent(TOOLS[0])))
    assert heard(wordy) == ["Error (input): The arguments have more than 200000 characters. Send less."]


def test_a_tool_can_be_another_workflow_but_nothing_else_that_arranges_the_run() -> None:
    other = step("other", "workflow.call", inputs={"workflow": "other"})
    world = world_with(([call("other", 1, payload={"a": 1})], "Called."))
    given(world.run(agent(other)))
    assert world.called == {"agent[1].other": ("other", {"a": 1})}
    outcome = world_with(("No.",)).run(agent(step("ask", "flow.approve", inputs={"message": "May I?"})))
    assert isinstance(outcome, Failed)
    assert outcome.failure.message == "The step 'ask' cannot be a tool: it decides how the run goes on."
    outcome = world_with(("No.",)).run(agent(step("gone", "gone.away", inputs={"url": "https://example.com"})))
    assert isinstance(outcome, Failed)
    assert "not registered" in outcome.failure.message


def test_an_agent_in_a_loop_reads_the_item_and_each_has_rows_of_its_own() -> None:
    inner = agent(step("look", "sim.read", inputs={"value": "{{ item }}"})).definition.steps[0].model_dump(mode="json")
    loop = step("each", "flow.foreach", inputs={"items": ["a", "b"]}, lanes={"body": [inner]})
    world = world_with(([call("look", 1)], "Seen."))
    assert isinstance(world.run(order(loop)), Succeeded)
    assert [row.output for row in world.rows() if row.key == "look"] == [{"value": "a"}, {"value": "b"}]
    assert world.rows("each[1].agent[1].look")[0].loop == "each[1].agent"


@pytest.mark.parametrize(
    ("inputs", "limit"),
    [
        ({"max_model_calls": 2}, "max_model_calls"),
        ({"max_tool_calls": 2}, "max_tool_calls"),
        ({"max_tokens": 200}, "max_tokens"),
        ({"max_cost": 0.00004}, "max_cost"),
        ({"max_seconds": 5}, "max_seconds"),
    ],
)
def test_an_agent_ends_at_its_limit_with_what_it_has_or_fails_with_what_it_used(
    inputs: dict[str, Any], limit: str
) -> None:
    def world() -> World:
        found = world_with(
            ({"content": "First I look.", **output(list(THREE[0]))} | {"content": "First I look."}, *THREE[1:])
        )

        async def slow(world: World, ctx: RunContext[Any]) -> Any:
            world.now += timedelta(seconds=10)
            return 1

        if limit == "max_seconds":
            found.behave("put", slow)
        return found

    found = given(world().run(agent(*TOOLS, on_budget="stop", **inputs)))
    assert (found["stopped"], found["limit"], found["text"]) == ("budget", limit, "First I look.")
    stopped = world()
    outcome = stopped.run(agent(*TOOLS, **inputs))
    assert isinstance(outcome, Failed)
    title = AgentInputs.model_fields[limit].title
    assert f"The agent reached its limit “{title}” before it was done" in outcome.failure.message
    assert " to the model and " in outcome.failure.message
    row: Any = stopped.rows("agent")[0]
    assert row.output["usage"]["model_calls"] == found["usage"]["model_calls"] <= 2


def test_a_question_that_takes_what_is_left_of_the_time_ends_at_that_limit() -> None:
    async def late(world: World, ctx: RunContext[Any]) -> Any:
        world.now += timedelta(seconds=60)
        await asyncio.sleep(5)

    world = world_with(())
    world.behave("agent_model", late)
    found = given(world.run(agent(max_seconds=0.1, on_budget="stop")))
    assert (found["limit"], found["text"], found["usage"]["model_calls"]) == ("max_seconds", "", 1)
    kinds = [row.failure.kind for row in world.rows("agent[0].agent_model") if row.failure is not None]
    assert kinds == [FailureKind.TIMEOUT] * 3


def test_a_models_name_may_be_anything_that_an_endpoint_takes() -> None:
    world = world_with(("Hello.",))
    given(world.run(agent(model="my\n\0model")))
    assert (world.rows("agent[0].agent_model")[0].name, asked(world)["model"]) == ("mymodel", "my\n\0model")


def test_a_limit_in_money_takes_a_price() -> None:
    outcome = world_with(("Hi",)).run(agent(model="unheard-of", max_cost=1))
    assert isinstance(outcome, Failed)
    assert (outcome.failure.kind, outcome.failure.field) == (FailureKind.INPUT, "max_cost")
    found = given(world_with(({"content": "Hi", "model": "unheard-of"},)).run(agent(model="unheard-of")))
    assert found["usage"]["cost"] is None


SCHEMA = {"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"]}


def test_an_answer_by_a_schema_is_corrected_once() -> None:
    world = world_with(('{"good": "yes"}', '```json\n{"good": true}\n```'))
    assert given(world.run(agent(output_schema=SCHEMA)))["data"] == {"good": True}
    said = asked(world)["messages"][-1]["content"]
    assert said.startswith("The answer does not fit the JSON schema: good:")
    assert '"required": ["good"]' in asked(world)["system"]
    outcome = world_with(("Yes!", "Yes!!")).run(agent(output_schema=SCHEMA))
    assert isinstance(outcome, Failed)
    assert "does not fit the schema, also after it was told so: The answer is not JSON." in outcome.failure.message


def test_before_a_tool_that_does_more_than_read_a_person_is_asked_and_a_rejection_is_told() -> None:
    world = world_with(THREE)
    questions = {}

    def answer(world: World, row: Any) -> None:
        questions[row.path] = row.inputs["message"]
        decision = "rejected" if row.item == 4 else "approved"
        world.answers[(row.path, row.number)] = {
            "decision": decision,
            "form": None,
            "comment": "Not today.",
            "by": "ada",
        }

    world.answer = answer
    assert isinstance(world.run_once(agent(*TOOLS, approval="writes")), Parked)
    given(world.run(agent(*TOOLS, approval="writes")))
    assert questions == {
        "agent[2].agent_approval": '“agent” wants to use “put” with: {"value": "b"}',
        "agent[4].agent_approval": '“agent” wants to use “send” with: {"value": "c"}',
    }
    assert heard(world)[-1] == "A person rejected this call, so the tool was not used. They said: Not today."
    assert world.rows("agent[4].send") == []
    assert world.statuses("agent[2].put") == ["succeeded"]


@pytest.mark.parametrize(
    ("text", "more"), [("x" * 30_000, 28_500), ("\x01" * 4_500, 25_500), ("\u202e" * 4_500, 25_500)]
)
def test_a_person_sees_something_of_each_argument_however_long_the_others_are(text: str, more: int) -> None:
    told: list[str] = []
    world = world_with(([call("post", 1, text=text, to="thief")], "Sent."), actions=[letter])
    world.answer = lambda world, row: told.append(row.inputs["message"]) or default_answer(world, row)  # type: ignore[func-returns-value, index, call-overload]
    given(world.run(agent(step("post", "sim.letter", inputs={"copies": 2}), approval="always")))
    (question,) = told
    assert question.endswith(f'… (+{more})", "to": "thief", "copies": 2}}')
    assert len(question) < 10_000


def test_a_person_is_shown_what_would_be_read_otherwise_than_it_is_written() -> None:
    told: list[str] = []
    world = world_with(([call("post", 1, text="Hello", to="\u202emoc.knab@ada\U000e0041")], "Sent."), actions=[letter])
    world.answer = lambda world, row: told.append(row.inputs["message"]) or default_answer(world, row)  # type: ignore[func-returns-value, index, call-overload]
    given(world.run(agent(step("post", "sim.letter", inputs={"copies": 2}), approval="always")))
    assert r'"to": "\u202emoc.knab@ada\udb40\udc41"' in told[0]


def test_of_a_call_that_its_action_refuses_nobody_is_asked() -> None:
    world = world_with(([call("post", 1, to="ada")], "I could not."), actions=[letter])
    given(world.run(agent(step("post", "sim.letter", inputs={}), approval="always")))
    assert [row.path for row in world.rows() if row.action == "flow.approve"] == []
    assert world.statuses("agent[1].post") == ["failed"]
    assert heard(world)[0].startswith("Error (input): text: ")


def test_while_its_worker_was_away_no_time_of_an_agent_passed() -> None:
    world = world_with(THREE)

    def goes_away(world: World, ctx: RunContext[Any]) -> Any:
        if world.calls["agent[2].put"] == 1:
            world.now += timedelta(hours=1)
            world.dead = True
            raise Crash
        return ctx.inputs.value

    world.behave("put", goes_away)
    # A person is asked about the last tool, after which all is taken from the record.
    found = given(world.run(agent(*TOOLS, approval="always", max_seconds=60)))
    assert world.statuses("agent[2].put") == ["lost", "succeeded"]
    assert (found["text"], found["usage"]["seconds"] < 60) == ("All is done.", True)


def test_a_question_that_nobody_answers_in_time_is_a_rejection() -> None:
    world = world_with(([call("send", 1, value="c")], "Nobody was there."))
    world.answer = lambda world, row: None
    found = given(world.run(agent(TOOLS[2], approval="always", approval_timeout=60)))
    assert found["text"] == "Nobody was there."
    assert heard(world) == ["Nobody approved this call in time, so the tool was not used."]


def test_a_crash_at_any_await_of_agents_side_by_side_repeats_nothing() -> None:
    inner = agent(*TOOLS, approval="writes").definition.steps[0].model_dump(mode="json")
    run = order(step("each", "flow.foreach", inputs={"items": [1, 2], "concurrency": 2}, lanes={"body": [inner]}))
    whole = world_with(THREE)
    assert isinstance(whole.run(run), Succeeded)
    for crash_at in range(1, whole.places + 1, 3):
        world = world_with(THREE, seed=crash_at)
        world.crash_at = crash_at
        outcome = world.run(run)
        times = Counter(path for path, _key in world.effects)
        assert not [path for path, count in times.items() if path.endswith("send") and count > 1]
        if isinstance(outcome, Failed):
            assert outcome.failure.kind is FailureKind.OUTCOME_UNKNOWN
        else:
            assert len(times) == 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("approval", ["never", "writes"])
def test_a_crash_at_any_await_repeats_no_tool_and_no_answer(seed: int, approval: str) -> None:
    tools = (*TOOLS[:2], step("send", "sim.send", inputs={}, on_lost="ask" if seed == 1 else None))
    run = agent(*tools, approval=approval)
    whole = world_with(THREE, seed=seed)
    expected = given(whole.run(run))
    for crash_at in range(1, whole.places + 1):
        world = world_with(THREE, seed=seed * 1000 + crash_at)
        world.crash_at = crash_at
        outcome = world.run(run)
        times = Counter(path for path, _key in world.effects)
        assert times["agent[4].send"] <= (2 if seed == 1 else 1)
        assert not any(row.status in OPEN for row in world.rows()), "nothing is left under way"
        done = Counter(row.path for row in world.rows() if row.status is StepStatus.SUCCEEDED)
        assert set(done.values()) <= {1}
        if isinstance(outcome, Failed):
            assert (outcome.path, outcome.failure.kind) == ("agent[4].send", FailureKind.OUTCOME_UNKNOWN)
            assert world.statuses("agent[4].send") == ["lost"]
            continue
        found = given(outcome)
        assert found["text"] == expected["text"]
        assert found["usage"]["tool_calls"] == 3
        assert heard(world) == heard(whole)


def test_what_is_not_known_to_have_happened_fails_an_agent_though_its_tool_may_fail() -> None:
    """A model that is told of it may do it again, by another call that has another key."""

    def goes_away(world: World, ctx: RunContext[Any]) -> Any:
        world.dead = True
        raise Crash

    world = world_with(([call("send", 1)], [call("send", 2)], "Sent at last."))
    world.behave("send", goes_away)
    outcome = world.run(agent(step("send", "sim.send", inputs={}, on_error="continue")))
    assert isinstance(outcome, Failed)
    assert (outcome.path, outcome.failure.kind) == ("agent[1].send", FailureKind.OUTCOME_UNKNOWN)
    assert [path for path, _key in world.effects] == ["agent[1].send"]
    row: Any = world.rows("agent")[0]
    assert row.output["usage"]["tool_calls"] == 1, "what it used is on record"


def test_a_call_in_an_answer_that_was_cut_is_not_made() -> None:
    """Half of an order may have all that its form asks for."""
    cut = {**output([call("send", 1, value="pay 1")]), "finish_reason": "length"}
    world = world_with((cut, [call("send", 2, value="pay 100")], "Paid."))
    given(world.run(agent(TOOLS[2])))
    assert [path for path, _key in world.effects] == ["agent[3].send"]
    assert heard(world)[0].startswith("Error (input): The answer was cut at its longest, and this call may not be")
    assert world.statuses("agent[1].send") == ["failed"], "on record, so that a release counts it as well"

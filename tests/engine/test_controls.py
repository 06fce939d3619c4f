"""Steps that hold lanes and steps that wait: what runs, what does not, what they give, and how they fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from integrations.sdk import Permanent, RunContext, Transient
from runs.engine.ports import CallOutcome, StopReason
from runs.engine.records import (
    Cancelled,
    Failed,
    Failure,
    Given,
    GivenBack,
    Outcome,
    Parked,
    RunOrder,
    Succeeded,
)
from runs.states import FailureKind, StepStatus
from tests.engine.world import World, order, step


def failing(*wrong: int) -> Any:
    """Fail for the items in ``wrong``."""

    def behave(world: World, ctx: RunContext[Any]) -> Any:
        if ctx.inputs.value in wrong:
            raise Permanent(f"no {ctx.inputs.value}")
        return ctx.inputs.value

    return behave


def output(outcome: Outcome) -> Any:
    assert isinstance(outcome, Succeeded), outcome
    return outcome.output


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


def test_if_runs_the_lane_of_its_condition_alone() -> None:
    world = World()
    steps = [
        step(
            "big",
            "flow.if",
            inputs={"condition": "{{ trigger.n > 10 }}"},
            lanes={"then": [step("yes")], "else": [step("no")]},
        )
    ]
    told = {"lane": "{{ steps.big.output.lane }}", "yes": "{{ steps.yes.output }}", "no": "{{ steps.no.output }}"}
    run = order(*steps, trigger={"n": 5}, output=told | {"skipped": "{{ steps.yes.status }}"})
    assert output(world.run(run)) == {"lane": "else", "yes": None, "no": {"value": "no"}, "skipped": "skipped"}
    assert world.calls == {"no": 1}
    assert [(row.path, row.status.value) for row in world.rows()] == [("big", "succeeded"), ("no", "succeeded")]


def test_a_condition_that_is_no_boolean_fails_the_step() -> None:
    run = order(step("big", "flow.if", inputs={"condition": "{{ 1 }}"}, lanes={"then": [], "else": []}))
    end = failed(World().run(run))
    assert (end.path, end.failure.kind) == ("big", FailureKind.INPUT)


@pytest.mark.parametrize(
    ("value", "lane"), [("a", "a"), ("other", "default"), (7, "7"), (True, "true"), (None, "default")]
)
def test_switch_takes_the_lane_of_that_name_or_default(value: Any, lane: str) -> None:
    world = World()
    lanes = {name: [step(f"in_{name}" if name.isalpha() else "seven")] for name in ("a", "7", "true", "default")}
    run = order(step("s", "flow.switch", inputs={"value": value}, lanes=lanes), output="{{ steps.s.output.lane }}")
    assert output(world.run(run)) == lane
    assert len(world.calls) == 1


def test_switch_without_a_lane_for_it_runs_none() -> None:
    world = World()
    assert (
        output(world.run(order(step("s", "flow.switch", inputs={"value": "x"}, lanes={"a": [step("in_a")]})))) is None
    )
    assert world.calls == {}


def loop(*body: dict[str, Any], items: Any = (1, 2, 3), **inputs: Any) -> dict[str, Any]:
    return step("each", "flow.foreach", inputs={"items": list(items), **inputs}, lanes={"body": body})


def test_foreach_gives_each_iterations_last_output_in_the_items_order() -> None:
    world = World()
    run = order(
        loop(
            step("double", inputs={"value": "{{ item * 2 }}"}),
            step("told", inputs={"value": "{{ index }}:{{ steps.double.output.value }}"}),
        ),
        output="{{ steps.each.output }}",
    )
    assert output(world.run(run)) == [{"value": "0:2"}, {"value": "1:4"}, {"value": "2:6"}]
    assert [row.path for row in world.rows()] == [
        "each", "each[0].double", "each[0].told", "each[1].double", "each[1].told", "each[2].double", "each[2].told",
    ]  # fmt: skip
    assert [(row.loop, row.item) for row in world.rows("each[2].told")] == [("each", 2)]


def test_foreach_of_nothing_gives_an_empty_list() -> None:
    assert output(World().run(order(loop(step("a"), items=()), output="{{ steps.each.output }}"))) == []


def test_a_failed_item_fails_the_loop_and_begins_no_further_one() -> None:
    world = World()
    world.behave("a", failing(2))
    end = failed(world.run(order(loop(step("a", inputs={"value": "{{ item }}"})), step("after"))))
    assert (end.path, end.failure.message) == ("each[1].a", "no 2")
    assert world.calls == {"each[0].a": 1, "each[1].a": 1}
    row = world.rows("each")[0]
    assert row.status is StepStatus.FAILED
    assert row.failure is not None
    assert row.failure.path == "each[1].a"


def test_a_failed_item_gives_null_where_the_loop_goes_on() -> None:
    world = World()
    world.behave("a", failing(2))
    run = order(
        loop(step("a", inputs={"value": "{{ item }}"}), on_item_error="continue"), output="{{ steps.each.output }}"
    )
    assert output(world.run(run)) == [1, None, 3]


def test_a_loop_that_may_fail_lets_the_run_go_on() -> None:
    world = World()
    world.behave("a", failing(2))
    body = step(
        "each",
        "flow.foreach",
        inputs={"items": [2]},
        on_error="continue",
        lanes={"body": [step("a", inputs={"value": "{{ item }}"})]},
    )
    told = {
        "status": "{{ steps.each.status }}",
        "error": "{{ steps.each.error.path }}",
        "output": "{{ steps.each.output }}",
    }
    assert output(world.run(order(body, output=told))) == {"status": "failed", "error": "each[0].a", "output": None}


def counting(most: list[int]) -> Any:
    """Note how many calls are under way at once."""
    now = [0]

    async def behave(world: World, ctx: RunContext[Any]) -> Any:
        now[0] += 1
        most[0] = max(most[0], now[0])
        for _ in range(20):
            await world.place()
        now[0] -= 1
        return ctx.inputs.value

    return behave


@pytest.mark.parametrize("concurrency", [1, 3, 50])
def test_foreach_has_as_many_iterations_under_way_as_it_may(concurrency: int) -> None:
    world, most = World(), [0]
    world.behave("a", counting(most))
    body = step("a", "sim.put", inputs={"value": "{{ item }}"})
    run = order(loop(body, items=range(20), concurrency=concurrency), output="{{ steps.each.output }}")
    assert output(world.run(run)) == list(range(20))
    assert most[0] == min(concurrency, 20)


def test_a_failed_iteration_lets_calls_under_way_finish_and_begins_no_further_step() -> None:
    world = World()

    async def behave(world: World, ctx: RunContext[Any]) -> Any:
        if ctx.inputs.value == 0:
            raise Permanent("no")
        for _ in range(10):
            await world.place()
        return None

    world.behave("a", behave)
    body = (step("a", "sim.send", inputs={"value": "{{ item }}"}), step("b", "sim.send"))
    end = failed(world.run(order(loop(*body, items=range(9), concurrency=3))))
    assert end.path == "each[0].a"
    assert {path: world.statuses(path) for path in ("each[1].a", "each[2].a")} == {
        "each[1].a": ["succeeded"],
        "each[2].a": ["succeeded"],
    }
    assert not any(path.endswith(".b") for path in world.calls)
    assert len(world.calls) == 3


def test_loops_inside_loops_have_paths_of_their_own() -> None:
    inner = step(
        "inner",
        "flow.foreach",
        inputs={"items": "{{ item }}"},
        lanes={"body": [step("a", inputs={"value": "{{ item }}"})]},
    )
    world = World()
    run = order(loop(inner, items=[[1, 2], [3]]), output="{{ steps.each.output }}")
    assert output(world.run(run)) == [[{"value": 1}, {"value": 2}], [{"value": 3}]]
    assert set(world.calls) == {"each[0].inner[0].a", "each[0].inner[1].a", "each[1].inner[0].a"}


def test_an_iteration_reads_its_own_steps_and_those_before_the_loop() -> None:
    lane = step("if", "flow.if", inputs={"condition": "{{ index == 0 }}"}, lanes={"then": [step("first")], "else": []})
    run = order(
        step("before"),
        loop(
            lane,
            step("told", inputs={"value": ["{{ steps.first.output }}", "{{ steps.before.output.value }}"]}),
            items=[1, 2],
        ),
        output="{{ steps.each.output }}",
    )
    assert output(World().run(run)) == [{"value": [{"value": "first"}, "before"]}, {"value": [None, "before"]}]


def parallel(policy: str = "stop", **lanes: list[dict[str, Any]]) -> dict[str, Any]:
    return step("par", "flow.parallel", inputs={"on_lane_error": policy}, lanes=lanes)


def test_parallel_runs_its_lanes_at_the_same_time_and_joins_them() -> None:
    world, most = World(), [0]
    behaviour = counting(most)
    for key in ("a", "b", "c"):
        world.behave(key, behaviour)
    run = order(parallel(left=[step("a", "sim.put")], mid=[step("b", "sim.put")], right=[step("c", "sim.put")]),
                output=["{{ steps.par.output }}", "{{ steps.b.output }}"])  # fmt: skip
    assert output(world.run(run)) == [{"left": "a", "mid": "b", "right": "c"}, "b"]
    assert most == [3]


@pytest.mark.parametrize(
    ("policy", "after", "ends"),
    [("stop", False, "failed"), ("finish", True, "failed"), ("continue", True, "succeeded")],
)
def test_what_happens_to_the_other_lanes_when_one_fails(policy: str, after: bool, ends: str) -> None:
    world = World()

    async def slow(world: World, ctx: RunContext[Any]) -> Any:
        for _ in range(10):
            await world.place()
        return 1

    world.behave("a", failing("a"))  # type: ignore[arg-type]
    world.behave("b", slow)
    run = order(
        parallel(policy, left=[step("a", "sim.put")], right=[step("b", "sim.put"), step("after")]),
        output="{{ steps.par.output }}",
    )
    outcome = world.run(run)
    assert ("after" in world.calls) is after
    assert world.statuses("b") == ["succeeded"]
    assert world.statuses("par") == [ends]
    if ends == "failed":
        assert failed(outcome).path == "a"
    else:
        assert output(outcome) == {"left": None, "right": {"value": "after"}}


def test_a_lane_that_waits_is_stopped_when_another_fails() -> None:
    world = World()
    world.behave("a", failing("a"))  # type: ignore[arg-type]
    run = order(parallel(left=[step("a", "sim.put")], right=[step("ok", "flow.approve", inputs={"message": "?"})]))
    assert failed(world.run_once(run)).path == "a"
    assert world.statuses("ok") == ["cancelled"]


def away(world: World, ctx: RunContext[Any]) -> Any:
    raise Transient("away")


def test_a_step_that_waits_for_its_next_try_says_that_none_follows_when_another_lane_failed() -> None:
    world = World()
    world.behave("a", failing("a"))  # type: ignore[arg-type]
    world.behave("b", away)
    retry = {"max_attempts": 9, "delay": 600}
    right = [step("b", "sim.put", retry=retry)]
    left = [step("w", "flow.wait", inputs={"seconds": 2}), step("a", "sim.put")]
    assert failed(world.run_once(order(parallel(left=left, right=right)))).path == "a"
    (row,) = world.rows("b")
    assert (row.status, row.retry_at) == (StepStatus.FAILED, None)


def test_a_time_limit_that_is_reached_between_two_tries_says_that_none_follows() -> None:
    world = World()
    world.behave("b", away)

    def run(active: float) -> RunOrder:
        steps = step("b", "sim.put", retry={"max_attempts": 9, "delay": 600})
        return order(steps, settings={"timeout": 10}, active_seconds=active)

    assert isinstance(world.run_once(run(0)), Parked)
    assert world.rows("b")[0].retry_at is not None
    world.now += timedelta(seconds=700)
    assert failed(world.run_once(run(10))).failure.kind is FailureKind.TIMEOUT
    assert [(row.status, row.retry_at) for row in world.rows("b")] == [(StepStatus.FAILED, None)]


def test_lanes_that_all_wait_park_the_run_until_the_first_of_them_goes_on() -> None:
    world = World()
    run = order(
        parallel(
            left=[step("ok", "flow.approve", inputs={"message": "?", "timeout": 600})],
            right=[step("w", "flow.wait", inputs={"seconds": 60}), step("b")],
        ),
        output="{{ steps.par.output.left.decision }}",
    )
    parked = world.run_once(run)
    assert isinstance(parked, Parked)
    assert {(wait.path, wait.kind) for wait in parked.waits} == {("ok", "approval"), ("w", "time")}
    assert parked.first.path == "ok"
    assert parked.wake_at == world.rows("w")[0].started_at + timedelta(seconds=60)
    world.now += timedelta(seconds=61)
    again = world.run_once(run)
    assert isinstance(again, Parked)
    assert world.statuses("b") == ["succeeded"]
    world.answer_one()
    assert output(world.run_once(run)) == "approved"
    assert world.calls == {"b": 1}


def test_a_lane_goes_on_in_place_while_another_works() -> None:
    world = World()

    async def slow(world: World, ctx: RunContext[Any]) -> Any:
        while not world.open_waits():
            await world.place()
            world.commit()
        world.answer_one()
        for _ in range(10):
            await world.place()
        return None

    world.behave("b", slow)
    run = order(
        parallel(left=[step("ok", "flow.approve", inputs={"message": "?"}), step("a")], right=[step("b", "sim.put")])
    )
    assert output(world.run_once(run)) is None
    assert world.calls == {"a": 1, "b": 1}


def test_wait_parks_for_long_and_stays_for_short() -> None:
    world = World()
    run = order(
        step("w", "flow.wait", inputs={"seconds": 2}), step("l", "flow.wait", inputs={"until": "2026-03-02T00:00:00"})
    )
    parked = world.run_once(run)
    assert isinstance(parked, Parked)
    assert [(row.path, row.status.value) for row in world.rows()] == [("w", "succeeded"), ("l", "waiting")]
    assert world.run(run) == Succeeded(output=None)
    assert world.rows("w")[0].output == {"waited_seconds": 2.0}


def test_a_wait_for_a_moment_that_has_passed_goes_on_at_once() -> None:
    run = order(step("w", "flow.wait", inputs={"until": "2026-01-01T00:00:00Z"}))
    assert World().run_once(run) == Succeeded(output=None)


def test_an_approval_gives_the_decision_and_its_address_is_known_before() -> None:
    world = World()
    run = order(
        step("mail", inputs={"value": "{{ run.links.ok }}"}),
        step("ok", "flow.approve", inputs={"message": "Refund?"}),
        output="{{ steps.ok.output }}",
    )
    parked = world.run_once(run)
    assert isinstance(parked, Parked)
    assert world.rows("mail")[0].output == {"value": "https://flows.example.com/flow.approve/ok"}
    world.answers[("ok", 1)] = {"decision": "rejected", "form": {"a": 1}, "comment": "no", "by": "ada", "more": 1}
    assert output(world.run_once(run)) == {"decision": "rejected", "form": {"a": 1}, "comment": "no", "by": "ada"}


def test_addresses_inside_a_loop_are_those_of_the_iteration() -> None:
    world = World()
    run = order(
        loop(
            step("mail", inputs={"value": "{{ run.links.ok }}"}), step("ok", "flow.callback", inputs={}), items=[1, 2]
        ),
        output="{{ steps.each.output }}",
    )
    assert [item["body"] for item in output(world.run(run))] == [{"of": "each[0].ok"}, {"of": "each[1].ok"}]
    assert world.rows("each[1].mail")[0].output == {"value": "https://flows.example.com/flow.callback/each[1].ok"}


def test_nobody_answering_in_time_fails_the_step() -> None:
    world = World()
    run = order(
        step("ok", "flow.approve", inputs={"message": "?", "timeout": 60}, on_error="continue"),
        output="{{ steps.ok.error.kind }}",
    )
    assert isinstance(world.run_once(run), Parked)
    world.now += timedelta(seconds=61)
    assert output(world.run_once(run)) == "timeout"


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_stop_ends_the_run_from_inside_of_lanes(status: str) -> None:
    world = World()
    stop = step("halt", "flow.stop", inputs={"output": {"n": "{{ item }}"}, "status": status, "message": "enough"})
    lanes = {"then": [stop, step("never")], "else": []}
    check = step("check", "flow.if", inputs={"condition": "{{ item == 2 }}"}, lanes=lanes)
    run = order(loop(check), step("after"), output="never")
    outcome = world.run(run)
    if status == "succeeded":
        assert outcome == Succeeded(output={"n": 2})
    else:
        assert (failed(outcome).path, failed(outcome).failure.message) == ("each[1].halt", "enough")
    assert world.calls == {}
    assert {row.status for row in world.rows() if row.path in ("each", "each[1].check")} == {StepStatus(status)}


def test_a_stop_that_is_skipped_stops_nothing() -> None:
    run = order(
        step("halt", "flow.stop", inputs={}, run_if="{{ false }}"), step("after"), output="{{ steps.after.status }}"
    )
    assert output(World().run(run)) == "succeeded"


def test_a_called_workflow_gives_its_output() -> None:
    world = World()
    run = order(
        step("c", "workflow.call", inputs={"workflow": "other", "payload": {"a": 1}}), output="{{ steps.c.output }}"
    )
    parked = world.run_once(run)
    assert isinstance(parked, Parked)
    assert (parked.first.kind, parked.wake_at, world.called) == ("workflow", None, {"c": ("other", {"a": 1})})
    assert output(world.run(run)) == {"called": "c"}


def test_a_called_workflow_that_fails_fails_the_step() -> None:
    world = World()
    world.call_outcomes["c"] = CallOutcome(run_id="9", failure=Failure(kind=FailureKind.AUTH, message="expired"))
    end = failed(world.run(order(step("c", "workflow.call", inputs={"workflow": "other"}))))
    assert (end.path, end.failure.kind) == ("c", FailureKind.AUTH)


def lost_with(config: dict[str, Any], action: str = "sim.send") -> tuple[World, RunOrder]:
    """Return a world in which the worker went away in the middle of the only call."""
    world = World()
    run = order(step("a", action, **config), output="{{ steps.a.output }}")

    def die(world: World, ctx: RunContext[Any]) -> Any:
        world.crash_at = world.places + 1
        return None

    world.behave("a", die)
    with pytest.raises(BaseException):  # noqa: B017, PT011
        world.run_once(run)
    world.crash()
    world.crash_at = None
    world.behaviours.clear()
    return world, run


@pytest.mark.parametrize(
    ("answer", "statuses", "ends"),
    [
        ({"decision": "succeeded", "output": {"id": 7}, "by": "ada"}, ["lost", "succeeded"], {"id": 7}),
        ({"decision": "retry"}, ["lost", "succeeded"], {"value": "a"}),
        ({"decision": "failed"}, ["lost"], None),
    ],
)
def test_a_person_says_what_became_of_a_lost_call(answer: dict[str, Any], statuses: list[str], ends: Any) -> None:
    world, run = lost_with({"on_lost": "ask"})
    parked = world.run_once(run)
    assert isinstance(parked, Parked)
    assert (parked.first.path, parked.first.kind) == ("a", "outcome_unknown")
    world.answers[("a", 1)] = answer
    outcome = world.run_once(run)
    assert world.statuses("a") == statuses
    if ends is None:
        assert failed(outcome).failure.kind is FailureKind.OUTCOME_UNKNOWN
    else:
        assert output(outcome) == ends


def test_nobody_is_asked_about_a_call_without_effect() -> None:
    world, run = lost_with({"on_lost": "ask"}, action="sim.read")
    assert output(world.run_once(run)) == {"value": "a"}


def test_a_cancelled_run_ends_what_waits_and_what_holds_lanes() -> None:
    world = World()
    run = order(loop(step("ok", "flow.approve", inputs={"message": "?"}), items=[1]))
    world.behave("x", lambda world, ctx: None)
    assert isinstance(world.run_once(run), Parked)
    world.control.reason = StopReason.CANCELLED
    assert world.run_once(run) == Cancelled()
    assert {row.path: row.status.value for row in world.rows()} == {"each": "cancelled", "each[0].ok": "cancelled"}


def test_a_run_that_is_handed_over_leaves_open_what_the_next_driver_takes_up() -> None:
    world = World()

    def hand_over(world: World, ctx: RunContext[Any]) -> Any:
        world.control.reason = StopReason.HAND_OVER
        return None

    world.behave("a", hand_over)
    run = order(
        parallel(left=[step("a", "sim.put"), step("b")], right=[step("ok", "flow.approve", inputs={"message": "?"})])
    )
    assert world.run_once(run) == GivenBack()
    assert {row.path: row.status.value for row in world.rows()} == {"par": "running", "a": "succeeded", "ok": "waiting"}
    world.control.reason = None
    assert world.run(run) == Succeeded(output=None)


def test_the_time_limit_stops_a_loop_that_goes_on_after_errors() -> None:
    world = World()

    def slow(world: World, ctx: RunContext[Any]) -> Any:
        world.now += timedelta(seconds=4)

    world.behave("a", slow)
    run = order(loop(step("a"), items=range(100), on_item_error="continue"), settings={"timeout": 10})
    end = failed(world.run(run))
    assert end.failure.kind is FailureKind.TIMEOUT
    assert len(world.calls) <= 4
    assert world.statuses("each") == ["failed"]


def test_a_retry_inside_a_lane_waits_for_its_moment() -> None:
    world = World()
    tries = []

    def flaky(world: World, ctx: RunContext[Any]) -> Any:
        tries.append(ctx.idempotency_key)
        if len(tries) < 3:
            raise Transient("away")
        return "at last"

    world.behave("a", flaky)
    retry = {"max_attempts": 3, "delay": 60, "jitter": False}
    run = order(
        parallel(left=[step("a", "sim.put", retry=retry)], right=[step("b")]), output="{{ steps.par.output.left }}"
    )
    assert output(world.run(run)) == "at last"
    assert len(set(tries)) == 1


def test_given_iterations_and_decisions_are_taken_over_and_the_rest_runs() -> None:
    lane = step(
        "if", "flow.if", inputs={"condition": "{{ false }}"}, lanes={"then": [step("yes")], "else": [step("no")]}
    )
    run = order(
        step("before"),
        lane,
        loop(step("a", inputs={"value": "{{ item }}"})),
        output=["{{ steps.each.output }}", "{{ steps.yes.output }}"],
        given={
            "before": Given(output=1),
            "if": Given(status=StepStatus.RUNNING, output={"lane": "then"}),
            "each": Given(status=StepStatus.RUNNING),
            "each[1]": Given(output="kept"),
        },
    )
    world = World()
    assert output(world.run(run)) == [[{"value": 1}, "kept", {"value": 3}], {"value": "yes"}]
    assert world.calls == {"yes": 1, "each[0].a": 1, "each[2].a": 1}


def test_one_step_inside_a_loop_is_tested_with_the_first_item() -> None:
    run = order(
        step("list", inputs={"value": [7, 8]}),
        step(
            "each",
            "flow.foreach",
            inputs={"items": "{{ steps.list.output.value }}"},
            lanes={"body": [step("a", inputs={"value": "{{ item }}"})]},
        ),
        given={"list": Given(output={"value": [7, 8]})},
        only="a",
    )
    world = World()
    assert output(world.run(run)) == {"value": 7}
    assert world.calls == {"a": 1}


def test_a_container_is_tested_with_all_it_holds() -> None:
    world = World()
    run = order(
        step("list"), loop(step("a", inputs={"value": "{{ item }}"})), given={"a": Given(output=0)}, only="each"
    )
    assert output(world.run(run)) == [{"value": 1}, {"value": 2}, {"value": 3}]


def test_a_lane_found_stopped_after_a_crash_does_not_hide_why_it_was_stopped() -> None:
    world = World()
    world.behave("a", failing("a"))  # type: ignore[arg-type]
    stopped = step("ok", "flow.approve", inputs={"message": "?"})
    run = order(parallel(left=[stopped], right=[step("a", "sim.put")]))
    assert failed(world.run_once(run)).path == "a"
    # As if the worker had gone away before it wrote how the run ended.
    for row in list(world.durable.values()):
        if row.path == "par":
            row.status, row.failure, row.finished_at = StepStatus.RUNNING, None, None
    assert world.statuses("ok") == ["cancelled"]
    assert failed(world.run_once(run)).path == "a"


@pytest.mark.parametrize(
    ("action", "inputs", "lanes"),
    [
        ("flow.if", {"condition": True}, ("then", "else")),
        ("flow.switch", {"value": "then"}, ("then", "default")),
        ("flow.parallel", {}, ("then", "else")),
    ],
)
def test_what_a_finished_step_holds_can_be_read_after_a_wait(
    action: str, inputs: dict[str, Any], lanes: tuple[str, str]
) -> None:
    world = World()
    world.behave("bad", failing(1))
    inner = step("deep", "flow.if", inputs={"condition": True}, lanes={"then": [step("a")], "else": [step("b")]})
    held = [inner, step("bad", inputs={"value": 1}, on_error="continue"), step("out", run_if="{{ false }}")]
    holder = step("holder", action, inputs=inputs, lanes={lanes[0]: held, lanes[1]: []})
    read = {key: [f"{{{{ steps.{key}.status }}}}", f"{{{{ steps.{key}.output }}}}"] for key in ("a", "b", "bad", "out")}
    outcome = world.run(order(holder, step("ask", "flow.approve", inputs={"message": "?"}), output=read))
    assert world.rows("ask")[0].status is StepStatus.SUCCEEDED
    assert outcome == Succeeded(
        output={
            "a": ["succeeded", {"value": "a"}],
            "b": ["skipped", None],
            "bad": ["failed", None],
            "out": ["skipped", None],
        }
    )

"""A run without crashes: what is called, what is recorded, how it ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from integrations.sdk import AuthError, Permanent, RateLimited, RunContext, Transient
from runs.engine.ports import StopReason
from runs.engine.records import Cancelled, Failed, Given, GivenBack, Parked, Succeeded
from runs.engine.values import MAX_BYTES
from runs.states import FailureKind, StepStatus
from tests.engine.world import World, order, step


def raising(*errors: Exception, then: Any = "at last") -> Any:
    """Return a behaviour that raises each error once and then returns."""
    left = list(errors)

    def behave(world: World, ctx: RunContext[Any]) -> Any:
        if left:
            raise left.pop(0)
        return then

    return behave


def failed(outcome: object) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


def test_steps_run_in_order_and_read_what_came_before() -> None:
    world = World()
    outcome = world.run(
        order(
            step("a", inputs={"value": "{{ trigger.body.n }}"}),
            step(
                "b",
                "sim.send",
                inputs={"value": {"twice": "{{ steps.a.output.value * 2 }}", "text": "n={{ steps.a.output.value }}"}},
            ),
            output="{{ steps.b.output.value.twice + 1 }}",
            trigger={"body": {"n": 20}},
        )
    )
    assert outcome == Succeeded(output=41)
    assert [(row.path, row.status.value, row.number) for row in world.rows()] == [
        ("a", "succeeded", 1),
        ("b", "succeeded", 1),
    ]
    assert world.rows("b")[0].inputs == {"value": {"twice": 40, "text": "n=20"}}


def test_pure_steps_and_reads_need_no_commit_of_their_own() -> None:
    world = World()
    world.run(order(*(step(f"s{index}", "sim.pure" if index % 2 else "sim.read") for index in range(10))))
    assert world.commits == 1


def test_a_call_that_only_reads_needs_no_commit_of_its_own_though_others_of_its_action_do() -> None:
    def commits(value: str, **config: Any) -> int:
        world = World()
        world.run(order(*(step(f"s{n}", "sim.call", inputs={"value": value}, **config) for n in range(10))))
        return world.commits

    assert commits("reads") == 1
    assert commits("writes") >= 10
    # Whoever said what is to be done about a lost one has each of them on record before it may be lost.
    assert commits("reads", on_lost="ask") >= 10


def test_the_intent_of_a_step_with_an_effect_is_durable_before_its_call() -> None:
    world = World()
    seen: list[list[str]] = []
    world.behave("send", lambda world, ctx: seen.append(world.statuses("send")))
    world.run(order(step("before"), step("send", "sim.send")))
    assert seen == [["running"]]


def test_a_run_has_no_output_unless_the_workflow_says_which() -> None:
    assert World().run(order(step("a"))) == Succeeded(output=None)


def test_a_condition_that_is_false_skips_the_step_and_its_output_is_null() -> None:
    world = World()
    outcome = world.run(order(step("a", run_if="{{ 1 > 2 }}"), output=["{{ steps.a.output }}", "{{ steps.a.status }}"]))
    assert outcome == Succeeded(output=[None, "skipped"])
    assert world.statuses("a") == ["skipped"]
    assert world.calls == {}


@pytest.mark.parametrize("condition", [None, "{{ true }}", "{{ nonsense"])
def test_a_step_that_is_left_out_is_skipped_whatever_its_condition_says(condition: str | None) -> None:
    world = World()
    left_out = step("a", skip=True, run_if=condition)
    outcome = world.run(order(left_out, step("b"), output=["{{ steps.a.output }}", "{{ steps.a.status }}"]))
    assert outcome == Succeeded(output=[None, "skipped"])
    assert world.statuses("a") == ["skipped"]
    assert list(world.calls) == ["b"]


@pytest.mark.parametrize("condition", ["{{ 1 }}", "{{ 'true' }}", "{{ steps.nowhere.output }}", "{{ null }}"])
def test_a_condition_that_gives_no_boolean_fails_the_step(condition: str) -> None:
    world = World()
    end = failed(world.run(order(step("a", run_if=condition))))
    assert (end.failure.kind, end.path) == (FailureKind.INPUT, "a")
    assert world.statuses("a") == ["failed"]


def test_an_expression_that_does_not_resolve_fails_the_step_naming_the_nearest_match() -> None:
    end = failed(World().run(order(step("company"), step("b", inputs={"value": "{{ steps.compny.output }}"}))))
    assert end.failure.kind is FailureKind.INPUT
    assert "steps.company" in end.failure.message
    assert "value" in end.failure.message


def test_a_transient_failure_is_tried_again_with_the_same_idempotency_key() -> None:
    world = World()
    world.behave("a", raising(Transient("away"), Transient("away")))
    assert world.run(order(step("a", "sim.put"), output="{{ steps.a.output }}")) == Succeeded(output="at last")
    assert world.statuses("a") == ["failed", "failed", "succeeded"]
    assert len({key for _, key in world.effects}) == 1
    assert [row.retry_at is not None for row in world.rows("a")] == [True, True, False]


def test_a_permanent_failure_fails_the_run_at_once() -> None:
    world = World()
    world.behave("a", raising(Permanent("no such channel", hint="Choose another.")))
    end = failed(world.run(order(step("a", "sim.put"), step("b"))))
    assert (end.path, end.failure.kind, end.failure.message, end.failure.hint) == (
        "a",
        FailureKind.PERMANENT,
        "no such channel",
        "Choose another.",
    )
    assert world.calls == {"a": 1}


def test_a_long_wait_parks_the_run_and_a_short_one_does_not() -> None:
    world = World()
    world.behave("a", raising(RateLimited("slow down", retry_after=2), RateLimited("slow down", retry_after=120)))
    outcome = world.run_once(order(step("a", "sim.put")))
    assert isinstance(outcome, Parked)
    assert (outcome.first.path, outcome.first.kind) == ("a", "time")
    assert outcome.wake_at is not None
    assert (outcome.wake_at - world.now).total_seconds() == 120
    assert world.calls == {"a": 2}
    assert world.run(order(step("a", "sim.put"))) == Succeeded(output=None)
    assert world.calls == {"a": 3}


def test_a_parked_run_that_is_woken_early_waits_on() -> None:
    world = World()
    world.behave("a", raising(RateLimited("slow down", retry_after=120)))
    first = world.run_once(order(step("a", "sim.put")))
    assert world.run_once(order(step("a", "sim.put"))) == first
    assert world.calls == {"a": 1}


def test_after_continue_the_run_goes_on_and_the_error_can_be_read() -> None:
    world = World()
    world.behave("a", raising(AuthError("expired")))
    outcome = world.run(
        order(
            step("a", "sim.put", on_error="continue"),
            output={
                "out": "{{ steps.a.output }}",
                "status": "{{ steps.a.status }}",
                "kind": "{{ steps.a.error.kind }}",
            },
        )
    )
    assert outcome == Succeeded(output={"out": None, "status": "failed", "kind": "auth"})


def test_an_unexpected_exception_is_internal_and_not_tried_again() -> None:
    world = World()
    world.behave("a", raising(KeyError("nope"), then="never"))
    end = failed(world.run(order(step("a", "sim.put", retry={"max_attempts": 5}))))
    assert end.failure.kind is FailureKind.INTERNAL
    assert world.calls == {"a": 1}


def test_a_step_that_ends_its_process_fails_alone() -> None:
    def leave(world: World, ctx: RunContext[Any]) -> Any:
        raise SystemExit(3)

    world = World()
    world.behave("a", leave)
    assert failed(world.run(order(step("a", "sim.put")))).failure.kind is FailureKind.INTERNAL


@pytest.mark.parametrize(
    ("value", "says"),
    [({"when": object()}, "$.when is a object"), (float("nan"), "nan"), ("x" * MAX_BYTES, "67,108,864")],
)
def test_an_output_that_is_no_json_or_too_large_fails_the_step(value: Any, says: str) -> None:
    world = World()
    world.behave("a", lambda world, ctx: value)
    failure = failed(world.run(order(step("a", "sim.put")))).failure
    assert failure.kind is FailureKind.PERMANENT
    assert says in failure.message


def test_a_tuple_in_an_output_is_a_list_as_it_will_be_when_read_back() -> None:
    world = World()
    world.behave("a", lambda world, ctx: {"pair": (1, 2)})
    assert world.run(order(step("a"), output="{{ steps.a.output }}")) == Succeeded(output={"pair": [1, 2]})


@pytest.mark.parametrize(
    ("action", "kind", "attempts"),
    [("sim.put", FailureKind.TIMEOUT, 3), ("sim.send", FailureKind.OUTCOME_UNKNOWN, 1)],
)
def test_a_step_without_result_in_time_is_tried_again_only_if_that_does_no_harm(
    action: str, kind: FailureKind, attempts: int
) -> None:
    async def hang(world: World, ctx: RunContext[Any]) -> None:
        await asyncio.sleep(30)

    world = World()
    world.behave("a", hang)
    retry = {"max_attempts": 3, "delay": 0.01, "jitter": False}
    end = failed(world.run(order(step("a", action, timeout=0.001, retry=retry))))
    assert end.failure.kind is kind
    assert world.calls == {"a": attempts}


def test_a_workflow_over_its_time_limit_is_stopped_before_the_next_step() -> None:
    def work_long(world: World, ctx: RunContext[Any]) -> None:
        world.now = world.now.replace(hour=2)

    world = World()
    world.behave("a", work_long)
    end = failed(world.run(order(step("a"), step("b"), settings={"timeout": 3600})))
    assert (end.failure.kind, end.path) == (FailureKind.TIMEOUT, "b")
    assert world.calls == {"a": 1}


def test_time_driven_earlier_counts_for_the_limit() -> None:
    end = failed(World().run(order(step("a"), settings={"timeout": 10}, active_seconds=10.5)))
    assert end.failure.kind is FailureKind.TIMEOUT


def test_waiting_for_a_retry_does_not_count_for_the_limit() -> None:
    world = World()
    world.behave("a", raising(RateLimited("slow down", retry_after=7200)))
    assert isinstance(world.run(order(step("a", "sim.put"), settings={"timeout": 3600})), Succeeded)


def test_a_step_with_the_wrong_kind_of_credential_says_what_is_needed() -> None:
    world = World()
    world.secrets["key"] = {"type": "api_key", "provider": "chat", "api_key": "k"}
    end = failed(world.run(order(step("a", "chat.post", credential="key"))))
    assert end.failure.kind is FailureKind.AUTH
    assert end.failure.message == "Chat requires a sign-in (OAuth 2) or a bearer token"
    assert world.effects == []


def test_a_step_without_the_credential_that_it_needs_says_what_is_needed() -> None:
    end = failed(World().run(order(step("a", "chat.post"))))
    assert (end.failure.kind, end.failure.message) == (
        FailureKind.AUTH,
        "Chat requires a sign-in (OAuth 2) or a bearer token",
    )


def test_a_credential_that_is_gone_is_an_auth_error() -> None:
    end = failed(World().run(order(step("a", "chat.post", credential="gone"))))
    assert end.failure.kind is FailureKind.AUTH
    assert "no longer exists" in end.failure.message


def test_while_no_secret_can_be_read_a_step_waits_and_leaves_no_attempt() -> None:
    world = World()
    world.secrets["bot"] = {"type": "bearer_token", "provider": "chat", "token": "t-4711"}
    world.secrets_away = 3
    began = world.now
    assert isinstance(world.run(order(step("a", "chat.post", credential="bot"))), Succeeded)
    assert [row.number for row in world.rows("a")] == [1]
    assert world.now - began >= timedelta(minutes=3)


def test_what_a_provider_thinks_of_its_credential_is_passed_on() -> None:
    world = World()
    world.secrets["bot"] = {"type": "bearer_token", "provider": "chat", "token": "canary-4711"}
    world.behave("a", raising(AuthError("refused canary-4711")))
    world.behave("b", raising(Permanent("no such channel")))
    failed(world.run(order(step("a", "chat.post", credential="bot"))))
    failed(world.run(order(step("b", "chat.post", credential="bot"))))
    world.run(order(step("c", "chat.post", credential="bot")))
    world.run(order(step("d", "sim.put")))
    assert [(name, message and "canary" not in message) for name, message in world.told] == [
        ("bot", True),
        ("bot", None),
    ]


def test_secrets_in_outputs_errors_and_logs_are_taken_out_before_they_are_recorded() -> None:
    def leak(world: World, ctx: RunContext[Any]) -> Any:
        ctx.log(f"using {ctx.auth['token']}")
        if ctx.attempt == 1:
            raise Transient(f"refused {ctx.auth['token']}", hint=f"rotate {ctx.auth['token']}")
        return {"echo": f"Bearer {ctx.auth['token']}"}

    world = World()
    world.secrets["bot"] = {"type": "bearer_token", "provider": "chat", "token": "canary-4711-canary"}
    world.behave("a", leak)
    outcome = world.run(
        order(step("a", "chat.post", credential="bot"), step("b", inputs={"value": "{{ steps.a.output.echo }}"}))
    )
    assert isinstance(outcome, Succeeded)
    assert "canary" not in repr([vars(row) for row in world.rows()])
    assert len(world.rows("a")[0].logs) == 1


def test_a_step_that_is_not_registered_and_has_nothing_to_run_fails_naming_its_action() -> None:
    end = failed(World().run(order(step("a", "nobody.knows"))))
    assert end.failure.kind is FailureKind.INPUT
    assert "nobody.knows" in end.failure.message


def test_given_outcomes_are_not_run_again() -> None:
    world = World()
    given = {
        "a": Given(output={"value": 5}),
        "b": Given(status=StepStatus.SKIPPED),
    }
    outcome = world.run(
        order(step("a", "sim.send"), step("b", "sim.send"), step("c", inputs={"value": "{{ steps.a.output.value }}"}),
              output=["{{ steps.c.output.value }}", "{{ steps.b.output }}"], given=given)
    )  # fmt: skip
    assert outcome == Succeeded(output=[5, None])
    assert world.calls == {"c": 1}


def test_one_step_alone_runs_on_given_outputs_and_gives_its_own() -> None:
    world = World()
    outcome = world.run(
        order(step("a"), step("b", inputs={"value": "{{ steps.a.output.value }}!"}), step("c"),
              given={"a": Given(output={"value": "hi"})}, only="b")
    )  # fmt: skip
    assert outcome == Succeeded(output={"value": "hi!"})
    assert world.calls == {"b": 1}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(StopReason.CANCELLED, Cancelled), (StopReason.REVOKED, Cancelled), (StopReason.HAND_OVER, GivenBack)],
)
def test_a_run_that_has_to_stop_does_so_before_its_next_step(reason: StopReason, expected: type) -> None:
    def ask(world: World, ctx: RunContext[Any]) -> None:
        world.control.reason = reason

    world = World()
    world.behave("a", ask)
    outcome = world.run_once(order(step("a", "sim.send"), step("b", "sim.send")))
    assert isinstance(outcome, expected)
    assert world.statuses("a") == ["succeeded"]
    assert world.calls == {"a": 1}
    if reason is StopReason.REVOKED:
        assert isinstance(outcome, Cancelled)
        assert outcome.failure is not None
        assert "no longer has access" in outcome.failure.message


def test_a_run_that_was_handed_over_goes_on_where_it_stopped() -> None:
    world = World()
    world.behave("a", lambda world, ctx: setattr(world.control, "reason", StopReason.HAND_OVER))
    steps = (step("a", "sim.send"), step("b", "sim.send"))
    world.run_once(order(*steps))
    world.control.reason = None
    assert isinstance(world.run(order(*steps)), Succeeded)
    assert world.calls == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("action", "kind"), [("sim.send", FailureKind.OUTCOME_UNKNOWN), ("sim.put", FailureKind.PERMANENT)]
)
def test_a_cancelled_call_is_stopped_and_says_whether_it_may_have_happened(action: str, kind: FailureKind) -> None:
    async def cancel_me(world: World, ctx: RunContext[Any]) -> None:
        world.control.reason = StopReason.CANCELLED
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(30)

    world = World()
    world.behave("a", cancel_me)
    assert world.run_once(order(step("a", action))) == Cancelled()
    assert world.statuses("a") == ["cancelled"]
    failure = world.rows("a")[0].failure
    assert failure is not None
    assert failure.kind is kind

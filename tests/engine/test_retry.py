"""When a failed attempt is tried again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.flow.definition import RetryPolicy
from runs.engine.records import Failure
from runs.engine.retry import delay_before_next
from runs.states import FailureKind


def policy(**values: object) -> RetryPolicy:
    return RetryPolicy.model_validate({"jitter": False, **values})


def failure(kind: FailureKind, *, retryable: bool = True, retry_after: float | None = None) -> Failure:
    return Failure(kind=kind, message="no", retryable=retryable, retry_after=retry_after)


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        (FailureKind.TRANSIENT, True),
        (FailureKind.RATE_LIMITED, True),
        (FailureKind.TIMEOUT, True),
        (FailureKind.INPUT, False),
        (FailureKind.AUTH, False),
        (FailureKind.PERMANENT, False),
        (FailureKind.OUTCOME_UNKNOWN, False),
        (FailureKind.INTERNAL, False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(kind: FailureKind, again: bool) -> None:
    delay = delay_before_next(None, failure(kind), failures=1, random=lambda: 0.5)
    assert (delay is not None) is again


def test_a_failure_that_its_error_calls_final_is_not_tried_again() -> None:
    final = failure(FailureKind.TIMEOUT, retryable=False)
    assert delay_before_next(None, final, failures=1, random=lambda: 0.0) is None


def test_without_a_policy_there_are_three_attempts() -> None:
    def delays(failures: int) -> float | None:
        return delay_before_next(None, failure(FailureKind.TRANSIENT), failures=failures, random=lambda: 1.0)

    assert [delays(1), delays(2), delays(3)] == [1.0, 2.0, None]


@pytest.mark.parametrize(
    ("backoff", "expected"),
    [("exponential", [2, 4, 8, 10]), ("linear", [2, 4, 6, 8]), ("fixed", [2, 2, 2, 2])],
)
def test_delays_grow_as_the_policy_says_up_to_its_cap(backoff: str, expected: list[float]) -> None:
    chosen = policy(max_attempts=5, backoff=backoff, delay=2, max_delay=10)
    transient = failure(FailureKind.TRANSIENT)
    assert [
        delay_before_next(chosen, transient, failures=failures, random=lambda: 0.0) for failures in (1, 2, 3, 4)
    ] == expected


def test_jitter_keeps_a_delay_between_half_and_the_whole() -> None:
    chosen = policy(delay=8, jitter=True)
    transient = failure(FailureKind.TRANSIENT)
    assert [delay_before_next(chosen, transient, failures=1, random=lambda r=r: r) for r in (0.0, 0.5, 1.0)] == [
        4,
        6,
        8,
    ]


def test_what_the_other_side_asks_for_beats_the_policy() -> None:
    limited = failure(FailureKind.RATE_LIMITED, retry_after=42.0)
    assert delay_before_next(policy(max_delay=5, jitter=True), limited, failures=1, random=lambda: 0.0) == 42.0


def test_a_wait_for_a_turn_is_no_attempt_of_the_policy() -> None:
    waits = Failure(kind=FailureKind.RATE_LIMITED, message="later", retryable=True, retry_after=7.0, turn="kept")
    once = RetryPolicy(max_attempts=1)
    assert delay_before_next(once, waits, failures=9, random=lambda: 0.0) == 7.0
    assert delay_before_next(once, replace(waits, turn=""), failures=1, random=lambda: 0.0) is None
    assert Failure.from_document(waits.as_document()).turn == "kept"

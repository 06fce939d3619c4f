"""Whether a failed attempt is tried again, and when. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from typing import Final

from integrations.sdk.action import Action, Retry
from orchestrator.flow.definition import RetryPolicy
from runs.engine.records import Failure
from runs.states import FailureKind

DEFAULT: Final = RetryPolicy.model_validate({})

# What may pass by itself. A timeout is in it only where the attempt was safe to repeat: see classify.timed_out.
_MAY_PASS: Final = frozenset({FailureKind.TRANSIENT, FailureKind.RATE_LIMITED, FailureKind.TIMEOUT})

# The n-th delay of a policy, counted from 1, before jitter and cap.
_BACKOFF: Final[dict[str, Callable[[float, int], float]]] = {
    "exponential": lambda delay, failures: delay * 2.0 ** min(failures - 1, 32),
    "linear": lambda delay, failures: delay * failures,
    "fixed": lambda delay, failures: delay,
}


def policy_of(action: Action | None) -> RetryPolicy | None:
    """Return how often an action wants to be tried itself, None where it does not say."""
    return None if action is None or action.retry is None else _as_policy(action.retry)


@cache
def _as_policy(retry: Retry) -> RetryPolicy:
    return RetryPolicy.model_validate(asdict(retry))


def delay_before_next(
    policy: RetryPolicy | None, failure: Failure, *, failures: int, random: Callable[[], float]
) -> float | None:
    """Return the seconds to wait before the next attempt, or None when there is none.

    ``failures`` counts the failed attempts of the step, this one included. What the other side asked for
    (Retry-After) beats the policy's delay.
    """
    if failure.turn:
        # No attempt of the call: nothing was sent.
        return failure.retry_after
    chosen = policy or DEFAULT
    if failure.kind not in _MAY_PASS or not failure.retryable or failures >= chosen.max_attempts:
        return None
    if failure.retry_after is not None:
        return failure.retry_after
    delay = min(_BACKOFF[chosen.backoff](chosen.delay, failures), chosen.max_delay)
    # Between half and the whole: runs that failed together come back one after the other.
    return delay * (0.5 + random() / 2) if chosen.jitter else delay

"""Statuses, why a step fails, and which changes of status are legal. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in RUN_TERMINAL


class StepStatus(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    LOST = "lost"


class FailureKind(StrEnum):
    """Why a step failed, in words a person and a program can act on."""

    INPUT = "input"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    TIMEOUT = "timeout"
    OUTCOME_UNKNOWN = "outcome_unknown"
    INTERNAL = "internal"


class RunKind(StrEnum):
    """``live`` counts; ``test`` runs a draft from the builder; ``step`` tests one step with given data."""

    LIVE = "live"
    TEST = "test"
    STEP = "step"


class SubscriptionStatus(StrEnum):
    """``pending`` the provider is yet to be told, ``manual`` a person tells it, ``ending`` it is to be untold."""

    PENDING = "pending"
    ACTIVE = "active"
    MANUAL = "manual"
    ENDING = "ending"


RUN_TERMINAL: Final = frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})

"""What the engine reads and gives: the run's order, one record an attempt, and how a run can end. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.types import JSONValue
from runs.engine.values import Packed
from runs.states import FailureKind, StepStatus

ResolvedAs = Literal["registry", "http", "sandbox"]
_KEYS: Final = uuid.UUID("5b0e4f0c-6a3e-4d0e-9d57-0c8f5d3f7a11")

_KEY_BYTES: Final = _KEYS.bytes
_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def idempotency_key(run_id: int, path: str) -> str:
    """Return the key of a step of a run: the same for every attempt, on every worker, and for no other step."""
    # What uuid.uuid5 gives, at a third of its cost.
    digest = hashlib.sha1(_KEY_BYTES + f"{run_id}/{path}".encode(), usedforsecurity=False).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an attempt or a run failed; texts are redacted.

    ``turn`` says that nothing was sent, since others' requests come first: see ``integrations.sdk.limits.NotYet``.
    ``retry_after`` is what the other side asked for, in s; ``path`` is the step inside that failed a step with lanes,
    ``field`` the name of the step's input that is wrong, where one is.
    """

    kind: FailureKind
    message: str
    hint: str = ""
    retryable: bool = False
    retry_after: float | None = None
    path: str = ""
    field: str = ""
    turn: str = ""

    def as_document(self) -> dict[str, JSONValue]:
        document: dict[str, JSONValue] = {
            "kind": self.kind.value,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
        }
        if self.field:
            document["field"] = self.field
        if self.turn:
            document["turn"] = self.turn
        return {**document, "path": self.path} if self.path else document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Failure:
        """Return what ``as_document`` wrote."""
        return cls(
            kind=FailureKind(document.get("kind", FailureKind.INTERNAL)),
            message=str(document.get("message", "")),
            hint=str(document.get("hint", "")),
            retryable=bool(document.get("retryable", False)),
            path=str(document.get("path", "")),
            field=str(document.get("field", "")),
            turn=str(document.get("turn", "")),
        )


@dataclass(kw_only=True, eq=False)
class Attempt:
    """One attempt of one step, as it is journaled. Values in it are redacted JSON.

    ``loop`` and ``item`` say which iteration of which loop it belongs to, ``stored`` whether its row exists, ``usage``
    what a language model took for it, see ``runs.engine.spending``; ``packed_…`` is a large value as it is to be
    stored, where that is at hand already; ``progress`` is how far it is.
    """

    path: str
    key: str
    action: str
    number: int
    status: StepStatus
    started_at: datetime
    name: str = ""
    resolved_as: ResolvedAs = "registry"
    inputs: JSONValue = None
    output: JSONValue = None
    failure: Failure | None = None
    logs: Sequence[Mapping[str, str]] = ()
    idempotency_key: str = ""
    retry_at: datetime | None = None
    finished_at: datetime | None = None
    row_id: int | None = None
    loop: str = ""
    item: int | None = None
    stored: bool = False
    usage: Mapping[str, JSONValue] | None = None
    packed_inputs: Packed | None = None
    packed_output: Packed | None = None
    progress: Mapping[str, JSONValue] | None = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """The outcome of a step that this run takes over from another one.

    RUNNING is a step with lanes that is entered again: its decision (``output``) holds, what is in its lanes is looked
    up one by one. A path like ``each[3]`` gives a whole iteration.
    """

    status: StepStatus = StepStatus.SUCCEEDED
    output: JSONValue = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class RunOrder:
    """Everything that is fixed about a run.

    ``active_seconds`` is how long it was driven before this time.
    """

    run_id: int
    tenant_id: int
    definition: WorkflowDefinition
    bindings: Mapping[str, int] = field(default_factory=dict)
    trigger: JSONValue = None
    run: Mapping[str, JSONValue] = field(default_factory=dict)
    workflow: Mapping[str, JSONValue] = field(default_factory=dict)
    variables: Mapping[str, JSONValue] = field(default_factory=dict)
    egress_allow: tuple[str, ...] = ()
    given: Mapping[str, Given] = field(default_factory=dict)
    only: str | None = None
    active_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Succeeded:
    output: JSONValue


@dataclass(frozen=True, kw_only=True)
class Failed:
    """``path`` is the step that failed, empty when it was the run itself."""

    failure: Failure
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """``failure`` says why when it was not a person who asked."""

    failure: Failure | None = None


WaitKind = Literal["approval", "callback", "time", "workflow", "outcome_unknown"]
# What a person can do something about comes first when a run is said to wait for one thing.
_SAID_FIRST: Final[tuple[WaitKind, ...]] = ("approval", "outcome_unknown", "callback", "workflow", "time")


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What one lane of a run waits for, until ``wake_at`` (None: until something outside answers)."""

    path: str
    kind: WaitKind
    wake_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Parked:
    """The run waits without a worker, for at least one thing."""

    waits: tuple[Waiting, ...]

    @property
    def wake_at(self) -> datetime | None:
        """When the run is to be woken at the latest, None when nothing but an answer wakes it."""
        return min((wait.wake_at for wait in self.waits if wait.wake_at is not None), default=None)

    @property
    def first(self) -> Waiting:
        """The one to name: what a person can do something about before what passes by itself."""
        return min(self.waits, key=lambda wait: (_SAID_FIRST.index(wait.kind), wait.path))


@dataclass(frozen=True, kw_only=True)
class GivenBack:
    """The run stopped between two steps for another driver to go on."""


Outcome: TypeAlias = Succeeded | Failed | Cancelled | Parked | GivenBack

"""A workflow as a document: frozen pydantic models that the API, import/export, versions and the engine share. Pure.

The models are lenient about content (a draft may be incomplete or wrong) and strict about shape;
:mod:`orchestrator.flow.validation` says what a publish refuses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from integrations.words import gettext as _
from orchestrator.flow.names import KEY_PATTERN, SLUG_PATTERN, TriggerType
from orchestrator.types import JSONValue

MAX_STEPS: Final = 500
MAX_DEPTH: Final = 10
LEAST_SILENT_MINUTES: Final = 5
MOST_SILENT_MINUTES: Final = 366 * 24 * 60


def _storable(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(_("the character NUL or half a surrogate pair cannot be stored; remove it"))
    return text


# Texts that become columns: PostgreSQL stores no NUL in one, and no database half a surrogate pair.
Text: TypeAlias = Annotated[str, AfterValidator(_storable)]
Key: TypeAlias = Annotated[str, StringConstraints(pattern=rf"^{KEY_PATTERN}$")]
LaneName: TypeAlias = Annotated[Text, StringConstraints(min_length=1, max_length=63)]
SilentMinutes: TypeAlias = Annotated[int, Field(ge=LEAST_SILENT_MINUTES, le=MOST_SILENT_MINUTES)]
SummaryPath: TypeAlias = Annotated[Text, StringConstraints(min_length=1, max_length=200)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class RetryPolicy(_Frozen):
    """How often a failed attempt is tried again. ``delay`` and ``max_delay`` in seconds."""

    max_attempts: int = Field(3, ge=1, le=20)
    backoff: Literal["exponential", "linear", "fixed"] = "exponential"
    delay: float = Field(1.0, ge=0, le=86_400)
    max_delay: float = Field(60.0, ge=0, le=86_400)
    jitter: bool = True


class StepConfig(_Frozen):
    """``inputs`` may hold expressions; ``timeout`` is seconds an attempt; ``run_if`` skips the step unless true.

    ``skip`` leaves the step out, with what its lanes hold, whatever ``run_if`` says.
    """

    inputs: dict[str, JSONValue] = Field(default_factory=dict)
    retry: RetryPolicy | None = None
    timeout: float | None = Field(None, gt=0, le=86_400)
    on_error: Literal["fail", "continue"] = "fail"
    on_lost: Literal["retry", "fail", "ask"] | None = None
    run_if: str | None = None
    skip: bool = False


class StepDefinition(_Frozen):
    """One step; ``lanes`` hold the steps inside a control-flow step."""

    key: Key
    name: Text = Field("", max_length=200)
    action: Text = Field(min_length=1, max_length=128)
    credential: Text | None = Field(None, max_length=100)
    config: StepConfig = Field(default_factory=StepConfig)
    notes: Text = Field("", max_length=10_000)
    lanes: dict[LaneName, tuple[StepDefinition, ...]] = Field(default_factory=dict)


class TriggerDefinition(_Frozen):
    key: Key
    type: TriggerType
    config: dict[str, JSONValue] = Field(default_factory=dict)


class WorkflowSettings(_Frozen):
    """``timeout`` in seconds of running, not waiting; None means no limit of the workflow's own.

    ``on_limit`` is what becomes of a new run when ``max_concurrent_runs`` are under way. ``summary`` are paths to what
    the list of runs shows of each, ``silent_after`` after how many minutes without a success it is silent; a document
    without them does not mention them, so it is what it was before there were.
    """

    timeout: float | None = Field(3600, gt=0, le=30 * 86_400)
    max_concurrent_runs: int | None = Field(None, ge=1)
    on_limit: Literal["queue", "skip", "cancel_older"] = "queue"
    error_workflow: Text | None = Field(None, max_length=63)
    retention_days: int | None = Field(None, ge=1)
    summary: tuple[SummaryPath, ...] = Field((), max_length=3, exclude_if=lambda paths: not paths)
    silent_after: SilentMinutes | None = Field(None, exclude_if=lambda minutes: minutes is None)


class WorkflowDefinition(_Frozen):
    """The whole document of one workflow."""

    name: Text = Field(min_length=1, max_length=200)
    slug: Annotated[str, StringConstraints(pattern=rf"^{SLUG_PATTERN}$")]
    description: Text = Field("", max_length=10_000)
    triggers: tuple[TriggerDefinition, ...] = Field((), max_length=50)
    steps: tuple[StepDefinition, ...] = ()
    output: JSONValue = None
    settings: WorkflowSettings = Field(default_factory=WorkflowSettings)

    def as_document(self) -> dict[str, Any]:
        """Return the plain JSON document, defaults included."""
        return self.model_dump(mode="json")

    def checksum(self) -> str:
        """Return SHA-256 (hexadecimal) of the canonical document: sorted keys, no spaces, UTF-8."""
        text = json.dumps(self.as_document(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def walk(self) -> Iterator[tuple[str, StepDefinition]]:
        """Yield every step with its document path (``steps[0].lanes.then[1]``), parents first, in order."""
        yield from walk_steps("steps", self.steps)


def walk_steps(prefix: str, steps: tuple[StepDefinition, ...]) -> Iterator[tuple[str, StepDefinition]]:
    """Yield steps with their document paths, parents first; ``prefix`` is the path of the list that they are in."""
    for index, step in enumerate(steps):
        path = f"{prefix}[{index}]"
        yield path, step
        for lane, inner in step.lanes.items():
            yield from walk_steps(f"{path}.lanes.{lane}", inner)


def steps_before(steps: tuple[StepDefinition, ...], key: str) -> tuple[StepDefinition, ...] | None:
    """Return what may run before a step: of each list around it what stands before, of each lane's neighbours nothing.

    None when there is no such step.
    """
    for index, step in enumerate(steps):
        if step.key == key:
            return steps[:index]
        for lane, inner in step.lanes.items():
            before = steps_before(inner, key)
            if before is not None:
                lanes = {name: before if name == lane else () for name in step.lanes}
                return (*steps[:index], step.model_copy(update={"lanes": lanes}))
    return None


def steps_replaced(
    steps: tuple[StepDefinition, ...], key: str, by: StepDefinition
) -> tuple[StepDefinition, ...] | None:
    """Return the steps with another in the place of one, which goes with its lanes; None when there is no such step."""
    for index, step in enumerate(steps):
        if step.key == key:
            return (*steps[:index], by, *steps[index + 1 :])
        for lane, inner in step.lanes.items():
            if (replaced := steps_replaced(inner, key, by)) is not None:
                changed = step.model_copy(update={"lanes": {**step.lanes, lane: replaced}})
                return (*steps[:index], changed, *steps[index + 1 :])
    return None

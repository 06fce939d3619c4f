"""What a trigger's config may say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from orchestrator.errors import Problem
from orchestrator.flow.definition import TriggerDefinition
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.flow.names import SLUG_PATTERN, TriggerType

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
AVAILABLE: Final = frozenset({TriggerType.MANUAL, TriggerType.WEBHOOK, TriggerType.WORKFLOW})
Slug = Annotated[str, StringConstraints(pattern=rf"^{SLUG_PATTERN}$")]


class WebhookConfig(BaseModel):
    """``methods`` that are taken; ``response`` is what the caller gets."""

    model_config = ConfigDict(extra="forbid")

    methods: list[Literal["GET", "POST", "PUT", "PATCH", "DELETE"]] = Field(["POST"], min_length=1)
    response: Literal["accepted"] = "accepted"
    signature: None = None


class ManualConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WorkflowConfig(BaseModel):
    """``input`` and ``output`` are JSON schemas of the payload and of what the run gives; ``callers`` are the slugs of
    the workflows that may call this one, None for every one of the tenant.
    """

    model_config = ConfigDict(extra="forbid")

    input: dict[str, Any] | None = None
    output: dict[str, Any] | None = None
    callers: list[Slug] | None = Field(None, max_length=200)


_CONFIGS: Final[Mapping[TriggerType, type[BaseModel]]] = {
    TriggerType.WEBHOOK: WebhookConfig,
    TriggerType.MANUAL: ManualConfig,
    TriggerType.WORKFLOW: WorkflowConfig,
}


def trigger_problems(triggers: Sequence[TriggerDefinition]) -> Iterator[Problem]:
    """Yield what is wrong with each trigger, with paths like ``triggers[0].config.methods``."""
    called = [index for index, trigger in enumerate(triggers) if trigger.type is TriggerType.WORKFLOW]
    for index in called[1:]:
        message = f"Only one trigger can be of the type workflow, and triggers[{called[0]}] is. Remove one."
        yield Problem(path=f"triggers[{index}].type", message=message, code="trigger_twice")
    for index, trigger in enumerate(triggers):
        path = f"triggers[{index}]"
        if trigger.type not in AVAILABLE:
            known = ", ".join(sorted(kind.value for kind in AVAILABLE))
            yield Problem(
                path=f"{path}.type",
                message=f"Triggers of the type {trigger.type.value} are not available here; {known} are.",
                code="trigger_type",
            )
            continue
        try:
            config = _CONFIGS[trigger.type].model_validate(trigger.config)
        except ValidationError as error:
            yield from _shape(f"{path}.config", error)
            continue
        if isinstance(config, WebhookConfig):
            yield _unprotected(f"{path}.config")
        elif isinstance(config, WorkflowConfig):
            yield from _typed(f"{path}.config", config)


def called_config(triggers: Sequence[TriggerDefinition]) -> WorkflowConfig | None:
    """Return how the workflow may be called by others, None where it may not or its config is wrong."""
    for trigger in triggers:
        if trigger.type is TriggerType.WORKFLOW:
            try:
                return WorkflowConfig.model_validate(trigger.config)
            except ValidationError:
                return None
    return None


def _typed(path: str, config: WorkflowConfig) -> Iterator[Problem]:
    for name, schema in (("input", config.input), ("output", config.output)):
        for where, message in schema_problems(schema) if schema is not None else ():
            yield Problem(path=f"{path}.{name}.{where}".rstrip("."), message=message, code="json_schema")
    if config.callers == []:
        message = "No workflow may call this one: callers is an empty list. Leave it out to let every workflow."
        yield Problem(path=f"{path}.callers", message=message, code="no_callers", severity="warning")


def _unprotected(path: str) -> Problem:
    return Problem(
        path=f"{path}.signature",
        message="Anyone who knows this address can start the workflow: no signature is checked.",
        code="webhook_unprotected",
        severity="warning",
    )


def _shape(path: str, error: ValidationError) -> Iterator[Problem]:
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        where = path + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in found["loc"])
        yield Problem(path=where, message=found["msg"], code=found["type"])

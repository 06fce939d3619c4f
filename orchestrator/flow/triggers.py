"""What a trigger's config may say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import Problem
from orchestrator.flow.definition import TriggerDefinition, TriggerType

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
AVAILABLE: Final = frozenset({TriggerType.MANUAL, TriggerType.WEBHOOK})


class WebhookConfig(BaseModel):
    """``methods`` that are taken; ``response`` is what the caller gets."""

    model_config = ConfigDict(extra="forbid")

    methods: list[Literal["GET", "POST", "PUT", "PATCH", "DELETE"]] = Field(["POST"], min_length=1)
    response: Literal["accepted"] = "accepted"
    signature: None = None


class ManualConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")


_CONFIGS: Final[Mapping[TriggerType, type[BaseModel]]] = {
    TriggerType.WEBHOOK: WebhookConfig,
    TriggerType.MANUAL: ManualConfig,
}


def trigger_problems(triggers: Sequence[TriggerDefinition]) -> Iterator[Problem]:
    """Yield what is wrong with each trigger, with paths like ``triggers[0].config.methods``."""
    for index, trigger in enumerate(triggers):
        path = f"triggers[{index}]"
        if trigger.type not in AVAILABLE:
            known = " and ".join(sorted(kind.value for kind in AVAILABLE))
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

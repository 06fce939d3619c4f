"""What a trigger's config may say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from integrations.findings import findings
from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.definition import TriggerDefinition
from orchestrator.flow.events import EventConfig, event_problems
from orchestrator.flow.facts import Catalog, CredentialFacts
from orchestrator.flow.forms import FormConfig, form_problems
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.flow.names import SLUG_PATTERN, TriggerType
from orchestrator.flow.polling import PollingConfig, polling_problems
from orchestrator.flow.schedules import ScheduleConfig
from orchestrator.flow.webhooks import REPLY, WORD, JudgeStep, WebhookConfig, webhook_problems

AVAILABLE: Final = frozenset(
    {
        TriggerType.MANUAL,
        TriggerType.WEBHOOK,
        TriggerType.FORM,
        TriggerType.WORKFLOW,
        TriggerType.SCHEDULE,
        TriggerType.POLLING,
        TriggerType.EVENT,
        TriggerType.ERROR,
    }
)
Slug = Annotated[str, StringConstraints(pattern=rf"^{SLUG_PATTERN}$")]


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


class ErrorConfig(BaseModel):
    """``workflows`` are the slugs of those whose failed runs start this one, None for every one of the tenant."""

    model_config = ConfigDict(extra="forbid")

    workflows: list[Slug] | None = Field(None, max_length=200)


_CONFIGS: Final[Mapping[TriggerType, type[BaseModel]]] = {
    TriggerType.WEBHOOK: WebhookConfig,
    TriggerType.MANUAL: ManualConfig,
    TriggerType.WORKFLOW: WorkflowConfig,
    TriggerType.SCHEDULE: ScheduleConfig,
    TriggerType.FORM: FormConfig,
    TriggerType.POLLING: PollingConfig,
    TriggerType.EVENT: EventConfig,
    TriggerType.ERROR: ErrorConfig,
}


def trigger_problems(
    triggers: Sequence[TriggerDefinition],
    *,
    catalog: Catalog,
    credentials: Mapping[str, CredentialFacts],
    variables: Sequence[str],
    step: JudgeStep,
) -> Iterator[Problem]:
    """Yield what is wrong with each trigger, with paths like ``triggers[0].config.methods``.

    ``step`` judges references to steps where all of them have run.
    """
    called = [index for index, trigger in enumerate(triggers) if trigger.type is TriggerType.WORKFLOW]
    for index in called[1:]:
        message = _("Only one trigger can be of the type workflow, and triggers[%(index)s] is. Remove one.") % {
            "index": called[0]
        }
        yield Problem(path=f"triggers[{index}].type", message=message, code="trigger_twice")
    for index, trigger in enumerate(triggers):
        path = f"triggers[{index}]"
        if trigger.type not in AVAILABLE:
            known = ", ".join(sorted(kind.value for kind in AVAILABLE))
            yield Problem(
                path=f"{path}.type",
                message=_("Triggers of the type %(type)s are not available here; %(known)s are.")
                % {"type": trigger.type.value, "known": known},
                code="trigger_type",
            )
            continue
        try:
            config = _CONFIGS[trigger.type].model_validate(trigger.config)
        except ValidationError as error:
            yield from _shape(f"{path}.config", error)
            continue
        if isinstance(config, WebhookConfig):
            yield from webhook_problems(
                f"{path}.config", config, credentials=credentials, variables=variables, step=step
            )
        elif isinstance(config, FormConfig):
            yield from form_problems(f"{path}.config", config)
        elif isinstance(config, PollingConfig):
            yield from polling_problems(f"{path}.config", config, catalog=catalog, credentials=credentials)
        elif isinstance(config, EventConfig):
            yield from event_problems(f"{path}.config", config, catalog=catalog, credentials=credentials)
        elif isinstance(config, WorkflowConfig):
            yield from _typed(f"{path}.config", config)
        elif isinstance(config, ErrorConfig) and config.workflows == []:
            message = _(
                "No workflow's failures start this: workflows is an empty list. Leave it out for every workflow."
            )
            yield Problem(path=f"{path}.config.workflows", message=message, code="no_workflows", severity="warning")


def _typed(path: str, config: WorkflowConfig) -> Iterator[Problem]:
    for name, schema in (("input", config.input), ("output", config.output)):
        for where, message in schema_problems(schema) if schema is not None else ():
            yield Problem(path=f"{path}.{name}.{where}".rstrip("."), message=message, code="json_schema")
    if config.callers == []:
        message = _("No workflow may call this one: callers is an empty list. Leave it out to let every workflow.")
        yield Problem(path=f"{path}.callers", message=message, code="no_callers", severity="warning")


def _shape(path: str, error: ValidationError) -> Iterator[Problem]:
    for found in findings(error):
        parts = [part for part in found["loc"] if part not in (WORD, REPLY)]
        where = path + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)
        yield Problem(path=where, message=found["msg"], code=found["type"])

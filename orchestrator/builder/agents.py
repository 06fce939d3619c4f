"""An agent and its tools in the builder: what is fixed in a tool's form, and whose credentials an agent takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.utils.translation import gettext as _

from integrations.registry import registry
from integrations.sdk import Action
from orchestrator.builder.step_form import Field
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.secret_inputs import NEVER_SENT
from orchestrator.flow.tools import AGENT, LANE, may_be_tool, model_action


def agent_of(steps: Sequence[StepDefinition], key: str) -> StepDefinition | None:
    """Return the agent whose tool a step is, None for any other step."""
    for step in steps:
        if step.action == AGENT and any(tool.key == key for tool in step.lanes.get(LANE, ())):
            return step
        for inner in step.lanes.values():
            if (found := agent_of(inner, key)) is not None:
                return found
    return None


def left_to_the_model(fields: Sequence[Field], action: Action | None) -> tuple[Field, ...]:
    """Return a tool's fields: those that are empty are the model's to fill in, so none of these is required."""
    held = action.as_written if action else ()
    words = _("Empty: the model fills it in.")
    return tuple(
        field
        if field.name in held
        else replace(field, required=False, default="", help=f"{field.help} {words}".strip())
        for field in fields
    )


def asking_action(step: StepDefinition, action: Action | None) -> Action | None:
    """Return the action whose credential a step takes: an agent's is that of what asks its model."""
    if step.action != AGENT:
        return action
    return registry.get(model_action(str(step.config.inputs.get("provider") or "openai"))) or action


def takes(action: Action, provider: str) -> bool:
    """Whether an action takes a provider's credentials."""
    return provider not in NEVER_SENT if action.any_provider else provider == action.provider.key


def tools(actions: Sequence[Action]) -> list[Action]:
    """Return the actions that a model can call."""
    return [each for each in actions if may_be_tool(each.key, each.provider.key, each.lanes)]

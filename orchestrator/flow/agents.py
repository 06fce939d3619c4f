"""What can be wrong with an agent and its tools before a run: whose credential, which keys, what is fixed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.facts import ActionFacts, Catalog
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.flow.scoping import Place
from orchestrator.flow.telling import close, error, is_literal, joined, warning
from orchestrator.flow.tools import AGENT, LANE, LONGEST_KEY, MODEL_ACTIONS, may_be_tool, model_action, own_keys


def is_tool(place: Place) -> bool:
    """Whether what stands at a place is a tool of an agent."""
    return bool(place.lanes) and place.lanes[-1].holder.action == AGENT and place.lanes[-1].name == LANE


def credential_facts(step: StepDefinition, facts: ActionFacts, catalog: Catalog) -> ActionFacts | None:
    """Return the action whose credential a step takes: an agent's is its model's. None where that is not known."""
    if step.action != AGENT:
        return facts
    return catalog.action(model_action(str(step.config.inputs.get("provider", "openai"))))


def agent_problems(
    path: str, step: StepDefinition, definition: WorkflowDefinition, catalog: Catalog
) -> Iterator[Problem]:
    """Yield what is wrong with an agent beyond what its model finds in its inputs."""
    tools = step.lanes.get(LANE, ())
    if not tools:
        yield warning(f"{path}.lanes.{LANE}", _("The agent has no tools: its model can only answer."), "no_tools")
    if len(step.key) > LONGEST_KEY:
        message = _("The key of an agent has at most %(most)s characters: its own rows add to it.")
        yield error(f"{path}.key", message % {"most": LONGEST_KEY}, "agent_key")
    for where, other in definition.walk():
        if other.key in own_keys(step.key):
            message = _("steps.%(key)s is the name of the agent's own row: give the step another key.")
            yield error(f"{where}.key", message % {"key": other.key}, "agent_key")
    schema = step.config.inputs.get("output_schema")
    if isinstance(schema, Mapping) and is_literal(schema):
        where = f"{path}.config.inputs.output_schema"
        for inner, message in schema_problems(schema, of_object=True):
            yield error(joined(where, inner), message, "json_schema")
    model, limit = (step.config.inputs.get(name) for name in ("model", "max_cost"))
    # What an expression gives may be no limit, or another model: the run finds that out.
    is_limited = isinstance(limit, int | float) and isinstance(model, str) and is_literal(model)
    if is_limited and not catalog.has_price(str(model)):
        message = _(
            "What %(model).80r costs is not known here, so no limit in US dollars can be kept. Limit the tokens "
            "instead, or have the operator name the price in MODEL_PRICES."
        )
        yield error(f"{path}.config.inputs.max_cost", message % {"model": model}, "price_unknown")


def tool_problems(path: str, step: StepDefinition, facts: ActionFacts | None, catalog: Catalog) -> Iterator[Problem]:
    """Yield why a step cannot be a tool."""
    if facts is None:
        message = _("%(action)s is not registered, so a model cannot be told what it takes.%(hint)s")
        hint = close(step.action, catalog.keys())
        yield error(f"{path}.action", message % {"action": step.action, "hint": hint}, "unregistered")
    elif not may_be_tool(facts.key, facts.provider, facts.lanes):
        message = _("%(name)s cannot be a tool: it decides how the run goes on, or waits.")
        yield error(f"{path}.action", message % {"name": facts.name}, "no_tool")
    elif step.credential is not None and facts.provider == "http":
        field = "endpoint" if facts.key == MODEL_ACTIONS["endpoint"] else "url"
        if field not in step.config.inputs:
            message = _("The model chooses the address that the credential is sent to. Fill in the URL.")
            yield warning(f"{path}.config.inputs.{field}", message, "tool_address")


def tool_facts(step: StepDefinition, facts: ActionFacts) -> ActionFacts:
    """Return an action as a tool: of its inputs only those count that are fixed, as the model gives the others."""

    def check(inputs: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        found = facts.check_inputs(inputs)
        return [each for each in found if each[0].partition(".")[0].partition("[")[0] in step.config.inputs]

    return replace(facts, check_inputs=check)

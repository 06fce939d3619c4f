"""What a step takes and gives, as known before a run: its action's schemas, made exact by the step itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.facts import ActionFacts, WorkflowFacts
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.flow.telling import is_literal

Schema = Mapping[str, Any]
_OPEN: Final[Schema] = {}


def input_schema(step: StepDefinition, facts: ActionFacts, workflows: Mapping[str, WorkflowFacts]) -> Schema:
    """Return the schema of a step's inputs; the payload of a call is what the called workflow takes."""
    called = workflows.get(str(step.config.inputs.get("workflow"))) if step.action == "workflow.call" else None
    if called is None or called.input_schema is None:
        return facts.input_schema
    return _with(facts.input_schema, "payload", called.input_schema)


def output_schema(
    step: StepDefinition,
    facts: ActionFacts | None,
    *,
    lanes: Mapping[str, Schema | None],
    workflows: Mapping[str, WorkflowFacts],
) -> Schema | None:
    """Return the schema of a step's output; ``lanes`` has that of each lane's last step."""
    if facts is None:
        return None
    match step.action:
        case "workflow.call":
            called = workflows.get(str(step.config.inputs.get("workflow")))
            return called.output_schema if called else None
        case "flow.foreach":
            inner = lanes.get("body") or _OPEN
            return {"type": "array", "items": _bare(inner), "$defs": inner.get("$defs", {})}
        case "flow.parallel":
            return _by_lane(lanes)
        case "ai.agent":
            return _with_part(facts.output_schema or _OPEN, "data", step.config.inputs.get("output_schema"))
        case "flow.approve":
            return _with_part(facts.output_schema or _OPEN, "form", step.config.inputs.get("form"))
    return facts.output_schema


def _bare(schema: Schema) -> Schema:
    return {word: value for word, value in schema.items() if word != "$defs"}


def _by_lane(lanes: Mapping[str, Schema | None]) -> Schema:
    """Return an object with what each lane gives. Definitions of one name that differ leave their lane open."""
    definitions: dict[str, Any] = {}
    properties: dict[str, Schema] = {}
    for name, schema in lanes.items():
        own = (schema or _OPEN).get("$defs", {})
        if all(definitions.get(key, value) == value for key, value in own.items()):
            definitions |= own
            properties[name] = _bare(schema or _OPEN)
        else:
            properties[name] = _OPEN
    return {"type": "object", "properties": properties, "additionalProperties": False, "$defs": definitions}


def _with_part(schema: Schema, name: str, part: Any) -> Schema:
    """Return an output's schema with what the step itself asks for: a form, or an answer as data."""
    if not isinstance(part, Mapping) or not is_literal(part) or schema_problems(part):
        return schema
    return _with(schema, name, part)


def _with(schema: Schema, name: str, inner: Schema) -> Schema:
    """Return an object's schema with another one for a property."""
    return {
        **schema,
        "properties": {**schema.get("properties", {}), name: _bare(inner)},
        "$defs": {**schema.get("$defs", {}), **inner.get("$defs", {})},
    }

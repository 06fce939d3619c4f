"""Steps as the tools of an agent, as far as their schemas tell: what is fixed and what a model fills in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

AGENT: Final = "ai.agent"
LANE: Final = "tools"
# By what an agent's input ``provider`` says: the action that asks its model, and with it whose credential is taken.
MODEL_ACTIONS: Final[Mapping[str, str]] = {
    "openai": "openai.chatCompletion",
    "anthropic": "anthropic.createMessage",
    "endpoint": "http.chatCompletion",
}
# Rows of an agent that belong to none of its tools, by what follows its key.
MODEL: Final = "_model"
APPROVAL: Final = "_approval"
# What a tool is to be given, as a person is asked about it: what they approve is this, and no more is evaluated.
PROPOSED: Final = "_proposed"
LONGEST_KEY: Final = 63 - max(len(suffix) for suffix in (MODEL, APPROVAL, PROPOSED))
# A step that the engine runs itself and that a model may call all the same.
CALL: Final = "workflow.call"
# What a form or a page needs to know of a field, and a model does not.
_FOR_PAGES: Final = frozenset({"title", "examples", "format"})


def tool_schema(schema: Mapping[str, Any], fixed: Iterable[str], held: Iterable[str] = ()) -> dict[str, Any]:
    """Return an input schema without what is fixed, and without what is ``held`` back from every model."""
    hidden = {*fixed, *held}
    properties = {name: _lean(part) for name, part in schema.get("properties", {}).items() if name not in hidden}
    required = [name for name in schema.get("required", ()) if name in properties]
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        found["required"] = required
    definitions = {name: _lean(part) for name, part in schema.get("$defs", {}).items()}
    used = _used(properties, definitions)
    if used:
        found["$defs"] = {name: definitions[name] for name in sorted(used)}
    return found


def own_keys(key: str) -> tuple[str, ...]:
    """Return the keys of an agent's own rows, which no step of its workflow may have: people answer them by these."""
    return key + MODEL, key + APPROVAL, key + PROPOSED


def model_action(provider: str) -> str:
    """Return the action that asks an agent's model, empty for a provider that is none."""
    return MODEL_ACTIONS.get(provider, "")


def may_be_tool(key: str, provider: str, lanes: Sequence[str] | None) -> bool:
    """Whether a model can call an action: what holds steps, decides or waits is for the run alone."""
    return lanes is None and provider != "flow" and key != AGENT


def _lean(part: Any) -> Any:
    """Return a schema without what is only shown; names of properties are no words of a schema."""
    if isinstance(part, list):
        return [_lean(each) for each in part]
    if not isinstance(part, Mapping):
        return part
    return {
        word: {name: _lean(each) for name, each in value.items()}
        if word in ("properties", "$defs") and isinstance(value, Mapping)
        else value
        if word in ("default", "enum", "const")
        else _lean(value)
        for word, value in part.items()
        if word not in _FOR_PAGES and not word.startswith("x-")
    }


def _used(part: Any, definitions: Mapping[str, Any]) -> set[str]:
    """Return the definitions that a schema refers to, and those that these refer to."""
    found: set[str] = set()
    rest = [part]
    while rest:
        each = rest.pop()
        if isinstance(each, list):
            rest.extend(each)
        elif isinstance(each, Mapping):
            name = str(each.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions and name not in found:
                found.add(name)
                rest.append(definitions[name])
            rest.extend(each.values())
    return found

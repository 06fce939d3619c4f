"""A step as a tool of a model: what the model is told of it, what it may fill in, and what it hears of it. Pure.

What the author fixed is no part of the tool: the model neither sees nor changes it. What the model gives is data, and
never an expression: it reaches the step by references into ``arguments``, a name that only the engine sets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import AliasChoices

from integrations.sdk.action import Action
from integrations.sdk.errors import InputError
from integrations.sdk.types import READS
from integrations.words import gettext as _
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.expressions import find_templates
from orchestrator.flow.tools import may_be_tool, tool_schema
from orchestrator.large import Large, is_large
from runs.engine.dialects import Result, ToolCall
from runs.engine.ports import Catalog
from runs.engine.records import Failure
from runs.states import FailureKind

ARGUMENTS: Final = "arguments"
# Of what a model gives a tool, and of what it hears of one, in characters of JSON.
MOST_GIVEN: Final = 200_000
MOST_HEARD: Final = 20_000
# Arguments that were cut short may fit the schema all the same, and mean something else.
CUT: Final = (
    "The answer was cut at its longest, and this call may not be whole, so the tool was not used. "
    "Write less, or call fewer tools at a time."
)
SKIPPED: Final = "The tool was not used: it is only used on a condition, which does not hold."
_LATE: Final = "It may have had its effect all the same: find out before you do it again."
# Of what a tool would be given, in the question to a person, in characters of JSON.
MOST_ASKED: Final = 9_000
# What turns a line around, and what nobody sees: with them a model could have a person read something else.
_DECEIVING: Final = re.compile(r"[\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")


@dataclass(frozen=True, kw_only=True)
class Tool:
    """``schema`` describes what the model fills in, ``fixed`` names what the author did.

    ``expressions`` are those of the fixed inputs that have to be evaluated before a call.
    """

    step: StepDefinition
    action: Action
    schema: Mapping[str, Any]
    fixed: frozenset[str]
    expressions: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.step.key

    def described(self) -> dict[str, Any]:
        """Return the tool as the actions that ask models take it."""
        what = self.step.notes or f"{self.step.name or self.action.name}. {self.action.description}"
        return {"name": self.name, "description": what[:1_000], "input_schema": self.schema}

    def problem(self, call: ToolCall) -> str:
        """Return what is wrong with a call's arguments before the action itself looks at them, for the model."""
        if call.input is None:
            return "The arguments are not a JSON object. Write them again as one."
        unknown = [name for name in call.input if name not in self.schema["properties"]]
        if unknown:
            known = ", ".join(self.schema["properties"]) or "none"
            return f"There is no argument {', '.join(unknown)[:200]}. The arguments are: {known}."
        if len(written(call.input)) > MOST_GIVEN:
            return f"The arguments have more than {MOST_GIVEN} characters. Send less."
        return ""

    def called(self, arguments: Mapping[str, Any], given: Mapping[str, Any] = {}) -> StepDefinition:
        """Return the step with the model's arguments beside what is fixed; it fails so that its failure can be told.

        ``given`` takes the place of expressions. Both are what ``arguments`` in the step's scope has of these names.
        """
        inputs = {**references(arguments), **self.step.config.inputs, **references(given)}
        config = self.step.config.model_copy(update={"inputs": inputs, "on_error": "fail"})
        return self.step.model_copy(update={"config": config})

    def may_tell(self, failure: Failure) -> bool:
        """Whether the model hears of a failure, and goes on.

        Not of what only the author can do something about, unless the tool may fail; and never of a call whose outcome
        is not known, as it might do it again.
        """
        if failure.kind is FailureKind.OUTCOME_UNKNOWN:
            return False
        is_the_authors = failure.kind is FailureKind.AUTH or failure.field in self.fixed
        return not is_the_authors or self.step.config.on_error == "continue"

    def told(self, failure: Failure) -> str:
        """Return what the model hears of a failure, whose texts are redacted already."""
        parts = [f"Error ({failure.kind.value}): {failure.message}", failure.hint]
        if failure.kind is FailureKind.TIMEOUT and not self.action.pure and self.action.effect not in READS:
            parts.append(_LATE)
        return " ".join(part for part in parts if part)


def tools_of(catalog: Catalog, steps: Sequence[StepDefinition]) -> dict[str, Tool]:
    """Return steps as tools, by name. Raises InputError for one that cannot be a tool."""
    return {step.key: _tool(catalog, step) for step in steps if not step.config.skip}


def _tool(catalog: Catalog, step: StepDefinition) -> Tool:
    found = catalog.find(step.action, step.config.inputs)
    if found is None or found.resolved_as != "registry":
        raise InputError(
            _("The tool %(key)r has an action that is not registered: %(action)s.")
            % {"key": step.key, "action": step.action},
            hint=_("Choose another action, or install the integration on every worker."),
        )
    action = found.action
    if not may_be_tool(action.key, action.provider.key, action.lanes):
        raise InputError(_("The step %(key)r cannot be a tool: it decides how the run goes on.") % {"key": step.key})
    # What is not evaluated before a call cannot be given by a reference, and is no model's to write.
    fixed = _fixed(action, step.config.inputs)
    schema = tool_schema(action.input_json_schema(), fixed, action.as_written)
    expressions = tuple(
        name
        for name, value in step.config.inputs.items()
        if name not in action.as_written and any(find_templates(value))
    )
    return Tool(step=step, action=action, schema=schema, fixed=fixed, expressions=expressions)


def _fixed(action: Action, inputs: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of what is fixed: all that a field goes by, or the model could give it by another one."""
    found = set(inputs)
    for name, field in action.input_schema.model_fields.items():
        other = field.validation_alias
        choices = other.choices if isinstance(other, AliasChoices) else [other]
        names = {each for each in (name, field.alias, *choices) if isinstance(each, str)}
        if names & found:
            found |= names
    return frozenset(found)


def asked_of(given: Mapping[str, Any]) -> str:
    """Return what a tool would be given as a person is shown it: of much the beginning of each part."""
    texts = {name: _of_large(value) if is_large(value) else value for name, value in given.items()}
    whole = _plain(written(texts))
    if len(whole) <= MOST_ASKED:
        return whole
    # No part is cut away as a whole: a model could fill the place with others.
    most = MOST_ASKED // (2 * len(texts))
    parts = (f"{_plain(written(name))}: {_beginning(value, most)}" for name, value in texts.items())
    return f"{{{', '.join(parts)}}}"[:MOST_ASKED]


def _plain(text: str) -> str:
    """Return JSON with what would not be read as it is written as its code."""
    return _DECEIVING.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _of_large(value: Any) -> str:
    if isinstance(value, Large):
        return _("(%(size)s bytes, which is too much to show)") % {"size": f"{value.size:,}"}
    return _("(more than a megabyte, which is too much to show)")


def _beginning(value: Any, most: int) -> str:
    """Return a value's JSON, of much the beginning, counted as it is shown: a sign may take the place of twelve."""
    inner = _plain(written(value if isinstance(value, str) else written(value)))[1:-1]
    more = len(inner) - most
    return _plain(written(value)) if more <= 0 else f'"{inner[:most]}… (+{more})"'


def references(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return inputs that give exactly these values, whatever is written in them."""
    return {name: f"{{{{ {ARGUMENTS}[{json.dumps(name)}] }}}}" for name in arguments}


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def of_none(call: ToolCall, tools: Iterable[str]) -> Result:
    """Return what a model hears of a call that is of none of its tools."""
    known = ", ".join(tools) or "none"
    return Result(call=call, text=f"There is no tool {call.name[:100]!r}. The tools are: {known}.", is_error=True)


def is_sayable(text: str) -> bool:
    """Whether a text can be sent: half of a surrogate pair, as of an emoji that was cut, cannot be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def sayable(text: str) -> str:
    """Return a text with what cannot be sent replaced."""
    return text.encode("utf-8", "replace").decode()


def heard(output: Any) -> str:
    """Return a tool's output as the model hears it; of much only the beginning."""
    if is_large(output):
        size = f"{output.size} bytes" if isinstance(output, Large) else "more than a megabyte"
        return f"The tool gave {size}, which is too much to show. Ask it for less."
    text = output if isinstance(output, str) else written(output)
    if len(text) <= MOST_HEARD:
        return text
    return f"{text[:MOST_HEARD]}\n… cut here: {len(text) - MOST_HEARD} more characters were left out. Ask for less."

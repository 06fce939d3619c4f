"""What actions that ask language models have in common: the question, tools, answers as data, and what was used."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, NoReturn

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from integrations.sdk.client import Response
from integrations.sdk.errors import Permanent
from integrations.sdk.fields import ui
from integrations.words import gettext as _

# Of one answer; what says more is no count, and could not be added up.
MOST_TOKENS: Final = 1_000_000_000
TOOL_CHOICES: Final = ("auto", "any", "none")
SCHEMA_EXAMPLE: Final[dict[str, JsonValue]] = {
    "type": "object",
    "properties": {"sentiment": {"type": "string", "enum": ["good", "bad"]}},
    "required": ["sentiment"],
    "additionalProperties": False,
}


class Tool(BaseModel):
    """What a model may ask for. It only names the tool and its inputs; who asked runs it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$", title="Name", examples=["get_weather"])
    description: str | None = Field(default=None, title="What it is for", examples=["Get the weather of a city."])
    input_schema: dict[str, JsonValue] = Field(
        title="Its inputs, as a JSON schema",
        examples=[{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}],
        json_schema_extra=ui(format="json"),
    )


class ToolCall(BaseModel):
    """A tool that a model asks for."""

    id: str = Field(title="Id", description="Names the call in the message that brings its result.")
    name: str = Field(title="Tool")
    input: dict[str, JsonValue] | None = Field(
        title="Inputs", description="Null where the model wrote no JSON object; what it wrote is in raw then."
    )
    raw: str | None = Field(default=None, title="Inputs as written", description="Where they are no JSON object.")


# The inputs that these actions share, and what of them is told alike; limits and words of its own stand with an action.
Prompt = Annotated[
    str | None,
    Field(
        title="Prompt",
        description="What you ask the model. For a whole conversation use Messages instead.",
        examples=["Summarise in one sentence: …"],
        json_schema_extra=ui(format="textarea"),
    ),
]
Instructions = Annotated[
    str | None,
    Field(
        title="Instructions",
        description="How the model should behave.",
        examples=["You answer in plain English."],
        json_schema_extra=ui(format="textarea", advanced=True),
    ),
]
Temperature = Annotated[
    float | None,
    Field(
        ge=0,
        le=2,
        title="Temperature",
        description="0 is steady, 2 is wild.",
        examples=[0.2],
        json_schema_extra=ui(advanced=True),
    ),
]
LongestAnswer = Annotated[
    int | None,
    Field(
        ge=1,
        title="Longest answer, in tokens",
        description="A token is about four characters of English.",
        examples=[500],
        json_schema_extra=ui(advanced=True),
    ),
]
OutputSchema = Annotated[
    dict[str, JsonValue] | None,
    Field(
        title="Answer as JSON of this schema",
        description="A JSON schema of an object. The answer is then in “data”.",
        examples=[SCHEMA_EXAMPLE],
        json_schema_extra=ui(format="json", advanced=True),
    ),
]
Tools = Annotated[
    list[Tool] | None,
    Field(
        min_length=1,
        title="Tools",
        description="What the model may ask for. It only names the tool and its inputs: later steps run it.",
        examples=[[{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]],
        json_schema_extra=ui(advanced=True),
    ),
]
ToolChoice = Annotated[
    str | None,
    Field(
        min_length=1,
        title="Which tool",
        description="auto, any, none, or the name of the tool that it must ask for.",
        examples=["auto", "get_weather"],
        json_schema_extra=ui(advanced=True, show_if="tools"),
    ),
]
StopTexts = Annotated[
    list[str] | None,
    Field(
        title="Stop at",
        description="The answer ends before any of these texts.",
        examples=[["END"]],
        json_schema_extra=ui(advanced=True),
    ),
]
# What an output says of an answer that is data.
Data = Annotated[JsonValue, Field(title="Answer as data", description="Where a JSON schema was given.")]


def check_one_question(prompt: object, messages: object, named: str = "messages") -> None:
    """Raise ValueError unless there is either a prompt or a conversation."""
    if bool(prompt) == bool(messages):
        raise ValueError(f"give either a prompt or {named}, and not both")


def check_tool_choice(choice: str | None, tools: Sequence[Tool] | None) -> None:
    """Raise ValueError for the choice of a tool that is not there."""
    if choice is not None and choice not in {
        *(TOOL_CHOICES if tools else ()),
        *(tool.name for tool in tools or ()),
    }:
        raise ValueError(_("the tool to choose is auto, any, none or the name of one of the tools"))


def json_of(text: str) -> Any:
    """Return a text as JSON. Raises ValueError, also for NaN, a number like 1e400, and for bottomless nesting."""
    try:
        return json.loads(text, parse_constant=_refused, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(_("nested too deep")) from error


def _finite(written: str) -> float:
    number = float(written)
    return number if math.isfinite(number) else _refused(written)


def _refused(constant: str) -> NoReturn:
    """JSON has no NaN and no Infinity, and what is kept of a step is JSON."""
    raise ValueError(constant)


def data_of(response: Response, text: str, *, cut_short: bool, longer: str) -> Any:
    """Return an answer as the data that was asked for; ``longer`` is the input that allows a longer one.

    Raises Permanent when it is no JSON.
    """
    try:
        return json_of(text)
    except ValueError:
        pass
    if cut_short:
        raise Permanent(
            _("The model's answer was cut before its JSON was complete."),
            hint=_("Allow a longer answer (%(longer)s), or ask for less.") % {"longer": longer},
        )
    raise response.error(
        _("The model's answer is not the JSON that was asked for."),
        hint=_("Look at the answer in the step's attempt, and make the prompt or the schema clearer."),
        kind=Permanent,
    )


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What one answer of a model took. ``input`` counts ``cached`` too, which cost less."""

    model: str
    input: int = 0
    output: int = 0
    cached: int = 0


def count(usage: object, *names: str) -> int:
    """Return a number of tokens from what a provider says was used, 0 where it does not say; names lead inwards."""
    for name in names:
        usage = usage.get(name) if isinstance(usage, Mapping) else None
    return min(usage, MOST_TOKENS) if isinstance(usage, int) and not isinstance(usage, bool) and usage > 0 else 0

"""Control flow: what decides, repeats, waits and stops. The engine runs what these steps mean.

Only ``flow.if`` and ``flow.switch`` are functions of their inputs. The others hold lanes or end the run's turn, so
they cannot be called by themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from integrations.builtin.lists import Items, words_for
from integrations.sdk import InputError, JSONValue, Provider, RunContext, action, ui
from integrations.words import gettext as _
from integrations.words import gettext_noop

flow = Provider(
    key="flow",
    name="Flow",
    description="Decide, repeat, wait, ask and stop.",
    icon="branch",
    category="Logic",
    tile="logic",
    quality="silver",
)

YEAR: Final = 31_536_000
_FORM: Final = {
    "type": "object",
    "properties": {"amount": {"type": "number", "title": "Amount"}},
    "required": ["amount"],
}


class _Inputs(BaseModel):
    model_config = ConfigDict(extra="forbid")


def engine_only(key: str) -> NoReturn:
    """Raise InputError: there is no run whose steps could be driven."""
    raise InputError(
        _("%(key)s cannot be tried by itself: it decides what the run it is part of does next.") % {"key": key},
        hint=_("Put it into a workflow and run that."),
    )


def _only(kinds: tuple[type, ...], wanted: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) in kinds:
            return value
        raise PydanticCustomError(
            "json_type", _("{wanted} is needed, and this is {what}"), {"wanted": _(wanted), "what": words_for(value)}
        )

    return check


_TruthValue = Annotated[StrictBool, BeforeValidator(_only((bool,), gettext_noop("True or false")))]
_Scalar = Annotated[
    str | bool | int | float | None,
    BeforeValidator(_only((str, bool, int, float, type(None)), gettext_noop("A text, a number, true, false or null"))),
]


class LaneOutput(BaseModel):
    lane: str = Field(title="Lane", description="The lane that was taken.")


class IfInputs(_Inputs):
    condition: _TruthValue = Field(
        title="Condition", description="True takes the lane then, false the lane else.", examples=[True]
    )


@action(
    provider=flow,
    key="flow.if",
    name="If",
    auth_type="none",
    input_schema=IfInputs,
    output_schema=LaneOutput,
    sample={"lane": "then"},
    idempotent=True,
    pure=True,
    http=False,
    lanes=("then", "else"),
    synonyms=("condition", "branch", "decide", "else", "filter", "compare"),
    summary=lambda output: str(output["lane"]),
)
async def if_(ctx: RunContext[IfInputs]) -> dict[str, str]:
    """Take one of two lanes by a condition."""
    return {"lane": "then" if ctx.inputs.condition else "else"}


class SwitchInputs(_Inputs):
    value: _Scalar = Field(
        title="Value", description="The lane of this name is taken, else the lane default.", examples=["gold", 3]
    )


@action(
    provider=flow,
    key="flow.switch",
    name="Switch",
    auth_type="none",
    input_schema=SwitchInputs,
    output_schema=LaneOutput,
    sample={"lane": "gold"},
    idempotent=True,
    pure=True,
    http=False,
    lanes=(),
    synonyms=("case", "route", "branch", "router", "match"),
    summary=lambda output: str(output["lane"]),
)
async def switch(ctx: RunContext[SwitchInputs]) -> dict[str, str]:
    """Take the lane that is named like a value, or the lane default."""
    return {"lane": lane_for(ctx.inputs.value)}


def lane_for(value: str | float | bool | None) -> str:
    """Return a value as the name of a lane: a text as it is, anything else as JSON; 2.0 is JSON's 2."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


class ForeachInputs(_Inputs):
    items: Items = Field(
        title="Items", description="The list to go over.", examples=[[{"name": "Ada"}, {"name": "Grace"}]]
    )
    concurrency: int = Field(
        1, ge=1, le=100, title="At the same time", description="How many items are worked on at once.", examples=[5],
        json_schema_extra=ui(advanced=True),
    )  # fmt: skip
    on_item_error: Literal["fail", "continue"] = Field(
        "fail", title="When an item fails", examples=["continue"],
        description="Where the others go on, that item gives null.",
        json_schema_extra=ui(advanced=True, words={"fail": "The step fails", "continue": "The others go on"}),
    )  # fmt: skip


class ForeachOutput(RootModel[list[JSONValue]]):
    """The last output of each iteration, in the order of the items."""


@action(
    provider=flow,
    key="flow.foreach",
    name="Loop over items",
    auth_type="none",
    input_schema=ForeachInputs,
    output_schema=ForeachOutput,
    sample=[{"greeting": "Hello Ada"}, {"greeting": "Hello Grace"}],
    idempotent=True,
    pure=True,
    http=False,
    lanes=("body",),
    synonyms=("loop", "for each", "repeat", "iterate", "batch", "map", "split"),
    summary=lambda output: f"{len(output)} items",
)
async def foreach(ctx: RunContext[ForeachInputs]) -> list[Any]:
    """Run its steps once for each item of a list; they read {{ item }} and {{ index }}."""
    engine_only("flow.foreach")


_ON_LANE_ERROR: Final = {
    "stop": "Stop the others and fail",
    "finish": "Let the others end, then fail",
    "continue": "Go on",
}


class ParallelInputs(_Inputs):
    on_lane_error: Literal["stop", "finish", "continue"] = Field(
        "stop", title="When a lane fails", examples=["continue"],
        description="Stopped lanes end before their next step. Where the step goes on, the failed lane gives null.",
        json_schema_extra=ui(advanced=True, words=_ON_LANE_ERROR),
    )  # fmt: skip


class ParallelOutput(RootModel[dict[str, JSONValue]]):
    """The last output of each lane, by the lane's name."""


@action(
    provider=flow,
    key="flow.parallel",
    name="Run in parallel",
    auth_type="none",
    input_schema=ParallelInputs,
    output_schema=ParallelOutput,
    sample={"left": {"score": 3}, "right": {"score": 5}},
    idempotent=True,
    pure=True,
    http=False,
    lanes=(),
    synonyms=("concurrent", "at once", "fork", "join", "merge", "lanes"),
    summary=lambda output: f"{len(output)} lanes",
)
async def parallel(ctx: RunContext[ParallelInputs]) -> dict[str, Any]:
    """Run several lanes at the same time and go on when all have ended."""
    engine_only("flow.parallel")


def _moment(value: Any) -> Any:
    """Read ISO 8601 with or without a zone; without one it is UTC."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else None
        if moment is not None:
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("datetime_parsing", _("Write a date and time like 2026-03-01T09:00:00Z"))


class WaitInputs(_Inputs):
    seconds: float | None = Field(
        None, ge=0, le=YEAR, title="Seconds", description="How long, up to a year.", examples=[3600]
    )
    until: Annotated[datetime | None, BeforeValidator(_moment)] = Field(
        None,
        title="Until",
        description="A date and time in ISO 8601, in UTC unless it names a zone. One that is past does not wait.",
        examples=["2026-03-01T09:00:00Z"],
    )

    @model_validator(mode="before")
    @classmethod
    def _one(cls, given: Any) -> Any:
        if isinstance(given, dict):
            count = sum(given.get(name) is not None for name in ("seconds", "until"))
            if count != 1:
                what = _("one of seconds and until, not both") if count else _("seconds or until")
                raise PydanticCustomError("wait_one", _("Fill in {what}"), {"what": what})
        return given


class WaitOutput(BaseModel):
    waited_seconds: float = Field(title="Waited, in seconds")


@action(
    provider=flow,
    key="flow.wait",
    name="Wait",
    auth_type="none",
    input_schema=WaitInputs,
    output_schema=WaitOutput,
    sample={"waited_seconds": 3600.0},
    idempotent=True,
    pure=True,
    http=False,
    synonyms=("delay", "sleep", "pause", "timer", "until", "later"),
    summary=lambda output: f"{output['waited_seconds']:g} s",
)
async def wait(ctx: RunContext[WaitInputs]) -> dict[str, float]:
    """Wait for a time or until a moment; a waiting run takes no worker."""
    engine_only("flow.wait")


_Seconds = Annotated[float | None, Field(gt=0, le=YEAR)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=150, strip_whitespace=True)]


class ApproveInputs(_Inputs):
    message: str = Field(
        min_length=1, max_length=10_000, title="Message", description="What is to be decided, for the one who decides.",
        examples=["Refund order 17 over 80 EUR?"], json_schema_extra=ui(format="textarea"),
    )  # fmt: skip
    form: dict[str, JSONValue] | None = Field(
        None, title="Form", description="What else to ask, as a JSON schema of an object.", examples=[_FORM],
        json_schema_extra=ui(format="json", advanced=True),
    )  # fmt: skip
    approvers: list[_Name] = Field(
        [], max_length=100, title="Approvers", examples=[["ada", "admin"]],
        description="User names or roles, one a line: who answers must sign in then. Empty: the link is enough.",
    )  # fmt: skip
    timeout: _Seconds = Field(
        None, title="Answer within, in seconds", examples=[86_400],
        description="The step fails after it. Empty: it waits as long as it takes.",
    )  # fmt: skip
    exclude_requester: bool = Field(
        False, title="Not by who started the run", examples=[True],
        description="Whoever started the run may not answer. Takes approvers.", json_schema_extra=ui(advanced=True),
    )  # fmt: skip


class ApproveOutput(BaseModel):
    decision: Literal["approved", "rejected"] = Field(title="Decision", description="A rejection fails no step.")
    form: dict[str, JSONValue] | None = Field(title="Form", description="What was filled in; null without a form.")
    comment: str = Field(title="Comment")
    by: str | None = Field(title="Decided by", description="The user's name; null when only the link was needed.")


@action(
    provider=flow,
    key="flow.approve",
    name="Ask for approval",
    auth_type="none",
    input_schema=ApproveInputs,
    output_schema=ApproveOutput,
    sample={"decision": "approved", "form": {"amount": 80}, "comment": "Fine with me.", "by": "ada"},
    idempotent=True,
    pure=True,
    http=False,
    synonyms=("approve", "review", "confirm", "human", "person", "sign off", "form", "wait"),
    summary=lambda output: str(output["decision"]),
)
async def approve(ctx: RunContext[ApproveInputs]) -> dict[str, Any]:
    """Ask a person to approve or reject, and wait for the answer."""
    engine_only("flow.approve")


class CallbackInputs(_Inputs):
    timeout: _Seconds = Field(
        None, title="Called within, in seconds", examples=[3600],
        description="The step fails after it. Empty: it waits as long as it takes.",
    )  # fmt: skip


class CallbackOutput(BaseModel):
    body: JSONValue = Field(title="Body")
    headers: dict[str, str] = Field(title="Headers", description="Names in lower case.")
    query: dict[str, JSONValue] = Field(title="Query")


@action(
    provider=flow,
    key="flow.callback",
    name="Wait for a callback",
    auth_type="none",
    input_schema=CallbackInputs,
    output_schema=CallbackOutput,
    sample={"body": {"state": "done"}, "headers": {"content-type": "application/json"}, "query": {}},
    idempotent=True,
    pure=True,
    http=False,
    synonyms=("webhook", "resume", "wait", "external", "job", "asynchronous"),
)
async def callback(ctx: RunContext[CallbackInputs]) -> dict[str, Any]:
    """Wait until another system sends a POST to the address {{ run.links.<step> }}."""
    engine_only("flow.callback")


class StopInputs(_Inputs):
    output: Any = Field(None, title="Output", description="What the run gives.", examples=[{"ok": True}])
    status: Literal["succeeded", "failed"] = Field(
        "succeeded", title="Ends as", description="How the run ends.", examples=["failed"],
        json_schema_extra=ui(words={"succeeded": "Succeeded", "failed": "Failed"}),
    )  # fmt: skip
    message: str = Field(
        "", max_length=2_000, title="Message", description="Why, for the run's page.", examples=["Nothing to do today."]
    )


@action(
    provider=flow,
    key="flow.stop",
    name="Stop",
    auth_type="none",
    input_schema=StopInputs,
    sample={"ok": True},
    idempotent=True,
    pure=True,
    http=False,
    passes_on=("output",),
    synonyms=("end", "exit", "return", "abort", "finish", "fail"),
)
async def stop(ctx: RunContext[StopInputs]) -> Any:
    """End the run here, with an output, as succeeded or failed."""
    engine_only("flow.stop")

"""``code.python`` and ``code.javascript``: a few lines of a tenant's own, in the sandbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import BaseModel, Field

from integrations import sandbox
from integrations.sandbox.outcome import MAX_INPUT_BYTES
from integrations.sdk import InputError, JSONValue, Provider, RunContext, action, ui
from integrations.words import gettext as _

code = Provider(
    key="code",
    name="Code",
    description="A few lines of Python or JavaScript, without network.",
    icon="code",
    category="Code",
    tile="gray",
    quality="silver",
)

_PYTHON: Final = 'def main(input):\n    return {"total": sum(input["numbers"])}'
_JAVASCRIPT: Final = "function main(input) {\n  return { total: input.numbers.reduce((a, b) => a + b, 0) };\n}"
# What is left to answer after the code is stopped.
_MARGIN_SECONDS: Final = 0.5


class PythonInputs(BaseModel):
    code: str = Field(
        min_length=1,
        title="Code",
        description="Define main(input) and return JSON; without it the last expression is the result. "
        "There is json, math, re, datetime and random, but no network, files or packages.",
        examples=[_PYTHON],
        json_schema_extra=ui(format="code", language="python"),
    )
    input: JSONValue = Field(
        None, title="Input", description="Any JSON value; the code gets it as input.", examples=[{"numbers": [1, 2, 3]}]
    )


class JavaScriptInputs(BaseModel):
    code: str = Field(
        min_length=1,
        title="Code",
        description="Define main(input) and return JSON, or export an object with run({ inputs }). "
        "There is no fetch, URL, Buffer, setTimeout, Intl or import.",
        examples=[_JAVASCRIPT],
        json_schema_extra=ui(format="code", language="javascript"),
    )
    input: JSONValue = Field(
        None, title="Input", description="Any JSON value; the code gets it as input.", examples=[{"numbers": [1, 2, 3]}]
    )


@action(
    provider=code,
    key="code.python",
    name="Run Python",
    auth_type="none",
    input_schema=PythonInputs,
    sample={"total": 6},
    idempotent=True,
    pure=True,
    http=False,
    opens=MAX_INPUT_BYTES,
    synonyms=("script", "function", "transform", "calculate"),
)
async def run_python(ctx: RunContext[PythonInputs]) -> Any:
    """Run a few lines of Python in the sandbox."""
    return await _run(ctx, sandbox.run_python, ctx.inputs.code, ctx.inputs.input)


@action(
    provider=code,
    key="code.javascript",
    name="Run JavaScript",
    auth_type="none",
    input_schema=JavaScriptInputs,
    sample={"total": 6},
    idempotent=True,
    pure=True,
    http=False,
    opens=MAX_INPUT_BYTES,
    synonyms=("script", "function", "transform", "js", "node"),
)
async def run_javascript(ctx: RunContext[JavaScriptInputs]) -> Any:
    """Run a few lines of JavaScript in the sandbox."""
    return await _run(ctx, sandbox.run_javascript, ctx.inputs.code, ctx.inputs.input)


async def _run(ctx: RunContext[Any], run: Callable[..., Awaitable[sandbox.Outcome]], text: str, value: Any) -> Any:
    try:
        outcome = await run(text, value, seconds=ctx.remaining() - _MARGIN_SECONDS)
    except sandbox.CodeFailed as error:
        _write(ctx, error.log)
        raise _told(error) from None
    _write(ctx, outcome.log)
    return outcome.value


def _told(error: sandbox.CodeFailed) -> InputError:
    """Return a failure of the code: the same code on the same input fails the same way, so none is tried again."""
    line = {"line": error.line}
    if isinstance(error, sandbox.NoNetwork):
        if error.line:
            hint = _("Line %(line)d: trying again will not help until it is changed.") % line
        else:
            hint = _("trying again will not help until it is changed.")
        return InputError(error.message, field="code", hint=hint)
    message = _("Line %(line)d: %(why)s") % {**line, "why": error.message} if error.line else error.message
    return InputError(message, field="code", hint=_("Correct the code or its input."))


def _write(ctx: RunContext[Any], lines: tuple[str, ...]) -> None:
    for line in lines:
        ctx.log(line)

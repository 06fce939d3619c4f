"""What a person is asked before a tool is used, and that nothing else is given to it than what they approved. Pure.

An approval may come days after its question, and the clock and the workflow's variables go on meanwhile. Of what a tool
is given, the model's arguments are on record, and what the author wrote out is in the version; what is written for the
items of a list is approved as it is written. So:

1. What the author fixed by an expression is evaluated once, and recorded as a row of the agent's own before the
   question is asked, which shows as much of it as it has room for.
2. What was recorded is what the tool is given, at each of its attempts. Of what needs no approval the same is true of
   what was found to need none.
3. A secret is not recorded, and what stands in its place is never given: nobody can be asked about what holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from integrations.builtin.ai import AgentInputs
from integrations.sdk.errors import InputError
from integrations.sdk.types import READS
from integrations.words import gettext as _
from orchestrator.flow.definition import StepConfig, StepDefinition
from orchestrator.flow.expressions import render
from orchestrator.flow.secret_inputs import without_values
from orchestrator.flow.tools import APPROVAL, CALL, PROPOSED
from runs.engine.attempt import resolve
from runs.engine.classify import failure_of, interrupted
from runs.engine.controls import Entered
from runs.engine.frame import Frame
from runs.engine.keeping import evaluated, fields
from runs.engine.ports import OutOfTime, StepFailed
from runs.engine.tools import ARGUMENTS, Tool, asked_of, references
from runs.states import FailureKind, StepStatus

if TYPE_CHECKING:
    from runs.engine.interpreter import Interpreter

_UNRECORDED: Final = (
    "A person approved this call, but what they approved is not on record any more, so the tool was not used. "
    "Call it again, and they are asked again."
)


class Refused(Exception):
    """A call is not approved; the message is what the model hears of it."""


class _HoldsSecret(Exception):
    """Something would have to be taken out of a value before it is recorded."""


@dataclass(frozen=True, kw_only=True)
class Consent:
    """What people say of one agent's calls."""

    entered: Entered
    inputs: AgentInputs

    async def obtained(self, tool: Tool, step: StepDefinition, frame: Frame) -> tuple[StepDefinition, Frame]:
        """Return a call's step and frame with what may be given to the tool, of which nothing is evaluated again.

        Raises Refused, StepFailed, and what ``Interpreter.sequence`` does.
        """
        if self.inputs.approval == "never":
            return step, frame
        ports = self._engine.ports
        begun = bool(ports.journal.attempts(frame.path(step.key)))
        was_asked = bool(ports.journal.attempts(frame.path(self._key(APPROVAL))))
        recorded = ports.journal.attempts(frame.path(self._key(PROPOSED)))
        given: Mapping[str, Any] | None = None if tool.expressions else {}
        if recorded:
            given = await fields(ports, recorded[-1].output, tool.expressions)
        elif not was_asked:
            try:
                given, asks = await self._evaluated(tool, step, frame)
                if asks and not begun:
                    given = await self._recorded(tool, frame, given)
            except Exception as error:
                stopped = given_up(self._engine, step, frame) if begun else failed(self._engine, step, frame, error)
                raise stopped from error
            if not asks:
                return _exactly(tool, frame, given)
            if begun:
                # It only read before, and would do more now. Nobody is asked of what was begun.
                raise given_up(self._engine, step, frame)
        elif given is None and begun:
            # What it was approved with is on no record, so its next attempt cannot be given the same.
            raise given_up(self._engine, step, frame)
        await self._ask(tool, {**frame.scope[ARGUMENTS], **tool.step.config.inputs, **(given or {})}, frame)
        if given is None:
            # Asked by a release that recorded no more than the question.
            raise Refused(_UNRECORDED)
        return _exactly(tool, frame, given)

    @property
    def _engine(self) -> Interpreter:
        return self.entered.engine

    def _key(self, suffix: str) -> str:
        return self.entered.step.key + suffix

    async def _evaluated(self, tool: Tool, step: StepDefinition, frame: Frame) -> tuple[Mapping[str, Any], bool]:
        """Return what the author's expressions give, and whether a person is asked. Raises what evaluating does.

        It raises as well for a call that its action would refuse: nobody is asked about that.
        """
        ports, action, always = self._engine.ports, tool.action, self.inputs.approval == "always"
        if action.secret_inputs:
            # What the call does is not known without them.
            written = {name: tool.step.config.inputs[name] for name in tool.expressions}
            return await evaluated(ports, partial(render, written, frame.scope)), always or action.effect not in READS
        call, rendered = await evaluated(ports, partial(resolve, ports, step, frame.scope))
        reads = action.reads(call.inputs) or (action.pure and action.key != CALL)
        return {name: rendered[name] for name in tool.expressions}, always or not reads

    async def _recorded(self, tool: Tool, frame: Frame, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Record what the author's expressions gave, and return it as it is recorded. Raises InputError."""
        if not given:
            return given
        engine, clean = self._engine, self._engine.ports.redactor.clean
        key = self._key(PROPOSED)
        step = StepDefinition(key=key, name=tool.step.name or tool.step.key, action="data.set", config=StepConfig())
        record = engine.new(step, frame.path(key), frame, StepStatus.SUCCEEDED)
        try:
            record.output, record.packed_output = await engine.kept(given, partial(_unchanged, clean))
        except _HoldsSecret:
            name = next((name for name, value in given.items() if clean(value) is not value), min(given))
            raise InputError(
                _("%(name)s holds a secret that this run uses, so nobody can be asked about this call.")
                % {"name": name},
                field=name,
                hint=_("Secrets are not recorded while a person decides. Have the tool take it from its credential."),
            ) from None
        record.finished_at = record.started_at
        engine.ports.journal.record(record, ride=True)
        found: Mapping[str, Any] = await fields(engine.ports, record.output, tool.expressions)
        return found

    async def _ask(self, tool: Tool, given: Mapping[str, Any], frame: Frame) -> None:
        """Ask a person, or find what they answered. Raises Refused unless they approved."""
        inputs = {
            "message": _("“%(agent)s” wants to use “%(tool)s” with: %(arguments)s")
            % {
                "agent": self.entered.step.name or self.entered.step.key,
                "tool": tool.step.name or tool.step.key,
                "arguments": asked_of(without_values(given, tool.action.secret_inputs)),
            },
            "approvers": self.inputs.approvers,
            "timeout": self.inputs.approval_timeout,
        }
        step = StepDefinition(
            key=self._key(APPROVAL),
            name=tool.step.name or tool.step.key,
            action="flow.approve",
            config=StepConfig(inputs=dict(references(inputs))),
        )
        try:
            answer: Any = await self._engine.sequence((step,), _with_arguments(frame, inputs))
        except StepFailed as failure:
            if failure.failure.kind is not FailureKind.TIMEOUT or isinstance(failure, OutOfTime):
                raise
            raise Refused("Nobody approved this call in time, so the tool was not used.") from failure
        if answer["decision"] != "approved":
            comment = f" They said: {answer['comment']}" if answer.get("comment") else ""
            raise Refused(f"A person rejected this call, so the tool was not used.{comment}")


def failed(engine: Interpreter, step: StepDefinition, frame: Frame, error: Exception) -> StepFailed:
    """Record that a tool's step failed before it began; return what is to be raised."""
    path = frame.path(step.key)
    record = engine.new(step, path, frame, StepStatus.FAILED)
    record.failure, record.finished_at = failure_of(error, engine.ports.redactor), record.started_at
    engine.ports.journal.record(record, ride=True)
    return StepFailed(path, record.failure)


def given_up(engine: Interpreter, step: StepDefinition, frame: Frame) -> StepFailed:
    """End a tool's step that was begun at its last attempt; return what is to be raised."""
    path = frame.path(step.key)
    last = engine.ports.journal.attempts(path)[-1]
    if last.status is StepStatus.RUNNING:
        engine.lose(last)
    elif last.retry_at is not None:
        last.retry_at = None
        engine.ports.journal.record(last, ride=True)
    return StepFailed(path, last.failure or interrupted())


def _exactly(tool: Tool, frame: Frame, given: Mapping[str, Any]) -> tuple[StepDefinition, Frame]:
    """Return a tool's step that is given exactly this in place of what the author's expressions say."""
    arguments = frame.scope[ARGUMENTS]
    return tool.called(arguments, given), _with_arguments(frame, {**arguments, **given})


def _with_arguments(frame: Frame, arguments: Mapping[str, Any]) -> Frame:
    return replace(frame, scope={**frame.scope, ARGUMENTS: arguments})


def _unchanged(clean: Callable[[Any], Any], value: Any) -> Any:
    """Return a value in which there is no secret. Raises _HoldsSecret."""
    if clean(value) is not value:
        raise _HoldsSecret
    return value

"""The steps that the engine runs itself: those that hold lanes, and those that wait. Pure.

A step that holds lanes is ``running`` until they have ended, with its decision recorded when it begins; one that waits
is ``waiting``. Both are found open after a crash or a wait, and then entered again with the inputs they were begun
with. What a function here returns becomes the step's output.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from integrations.builtin.flow import lane_for
from integrations.sdk.errors import IntegrationError
from integrations.words import gettext as _
from orchestrator.flow.definition import StepDefinition
from orchestrator.types import JSONValue
from runs.engine.classify import failure_of, unanswered
from runs.engine.frame import Frame
from runs.engine.ports import OutOfTime, StepFailed
from runs.engine.records import Attempt, Failed, Failure, Outcome, Succeeded, Waiting, WaitKind
from runs.engine.strands import Group, Job
from runs.states import FailureKind, StepStatus

if TYPE_CHECKING:
    from runs.engine.interpreter import Interpreter

# How many iterations of a loop are looked up in the journal at once when it is entered again.
ITERATIONS_A_LOOK: Final = 200


@dataclass(frozen=True, kw_only=True)
class Entered:
    """A step that the engine runs, begun; ``is_new`` unless the journal had it."""

    engine: Interpreter
    step: StepDefinition
    path: str
    frame: Frame
    record: Attempt
    inputs: Any
    is_new: bool

    def until(self, seconds: float | None) -> datetime | None:
        """Return the moment that many seconds after the step began."""
        return None if seconds is None else self.record.started_at + timedelta(seconds=seconds)


def _undecided(step: StepDefinition, inputs: Any) -> JSONValue:
    return None


@dataclass(frozen=True, kw_only=True)
class Control:
    """How a step is run; ``decide`` gives what is recorded when it begins, ``status`` what it is until its end."""

    run: Callable[[Entered], Awaitable[JSONValue]]
    decide: Callable[[StepDefinition, Any], JSONValue] = _undecided
    status: StepStatus = StepStatus.RUNNING


class Ended(Exception):
    """``flow.stop`` ends the run; raised through every lane around it."""

    def __init__(self, *, path: str, output: JSONValue, failure: Failure | None) -> None:
        super().__init__(path)
        self.path, self.output, self.failure = path, output, failure

    @classmethod
    def told(cls, told: Any, path: str) -> Ended:
        """Return the end that the output of a ``flow.stop`` describes: ``{"status", "output", "message"}``."""
        failure = None
        if told["status"] == "failed":
            text = told["message"] or _("The workflow was stopped here as failed.")
            failure = Failure(kind=FailureKind.PERMANENT, message=text)
        return cls(path=path, output=told["output"], failure=failure)

    def outcome(self) -> Outcome:
        if self.failure is not None:
            return Failed(failure=self.failure, path=self.path)
        return Succeeded(output=self.output)

    def of_lanes(self) -> tuple[StepStatus, Failure | None]:
        """Return how the steps end in whose lanes this happened."""
        if self.failure is None:
            return StepStatus.SUCCEEDED, None
        return StepStatus.FAILED, Failure(kind=self.failure.kind, message=self.failure.message, path=self.path)


def _decide_if(step: StepDefinition, inputs: Any) -> JSONValue:
    return {"lane": "then" if inputs.condition else "else"}


def _decide_switch(step: StepDefinition, inputs: Any) -> JSONValue:
    lane = lane_for(inputs.value)
    return {"lane": lane if lane in step.lanes else "default"}


async def _lane(entered: Entered) -> JSONValue:
    """Run the lane that was decided on."""
    decision: Any = entered.record.output
    await entered.engine.sequence(entered.step.lanes.get(decision["lane"], ()), entered.frame)
    return {"lane": decision["lane"]}


async def _parallel(entered: Entered) -> JSONValue:
    """Run all lanes at the same time."""
    lanes, policy = entered.step.lanes, entered.inputs.on_lane_error
    outputs: dict[str, JSONValue] = dict.fromkeys(lanes)

    async def run(name: str, group: Group) -> None:
        try:
            outputs[name] = await entered.engine.sequence(lanes[name], entered.frame.lane(group))
        except StepFailed as failed:
            if policy != "continue" or isinstance(failed, OutOfTime):
                raise

    async def jobs() -> AsyncGenerator[Job, None]:
        for name in lanes:
            yield partial(run, name)

    if lanes:
        await entered.engine.strands.together(jobs(), at_once=len(lanes), on_error=policy, above=entered.frame.group)
    return {**outputs}


async def _foreach(entered: Entered) -> JSONValue:
    """Run the body for each item, some at a time; give each iteration's last output in the items' order."""
    engine, path, items = entered.engine, entered.path, entered.inputs.items
    goes_on = entered.inputs.on_item_error == "continue"
    body = entered.step.lanes.get("body", ())
    outputs: list[JSONValue] = [None] * len(items)
    journal = engine.ports.journal

    async def run(index: int, group: Group) -> None:
        given = engine.given.get(f"{path}[{index}]")
        if given is not None:
            outputs[index] = given.output
            return
        frame = entered.frame.iteration(path, index, items[index], group)
        try:
            outputs[index] = await engine.sequence(body, engine.with_links(entered.step.key, frame))
        except StepFailed as failed:
            if not goes_on or isinstance(failed, OutOfTime):
                raise
        journal.forget(path, index)
        await engine.ports.clock.breathe()

    async def jobs() -> AsyncGenerator[Job, None]:
        for index in range(len(items)):
            if not entered.is_new and index % ITERATIONS_A_LOOK == 0:
                await journal.load(path, index, ITERATIONS_A_LOOK)
            yield partial(run, index)

    if items:
        at_once = min(entered.inputs.concurrency, len(items))
        await engine.strands.together(
            jobs(), at_once=at_once, on_error="continue" if goes_on else "stop", above=entered.frame.group
        )
    return outputs


async def _wait(entered: Entered) -> JSONValue:
    """Wait for some seconds, or until a moment."""
    engine, started = entered.engine, entered.record.started_at
    until = entered.until(entered.inputs.seconds) or entered.inputs.until
    if until > engine.ports.clock.now():
        engine.check(entered.frame, entered.path)
        await engine.strands.pause(Waiting(path=entered.path, kind="time", wake_at=until), entered.frame.group)
    return {"waited_seconds": round((engine.ports.clock.now() - started).total_seconds(), 3)}


async def _answer(entered: Entered, *, kind: WaitKind, names: tuple[str, ...]) -> JSONValue:
    """Wait for somebody or something outside."""
    seconds = entered.inputs.timeout
    what = Waiting(path=entered.path, kind=kind, wake_at=entered.until(seconds))
    answer = await entered.engine.answered(what, entered.record.number, entered.frame)
    if answer is None:
        raise StepFailed(entered.path, unanswered(seconds))
    return {name: answer.get(name) for name in names}


async def _stop(entered: Entered) -> JSONValue:
    """Say how the run ends; whoever called this step raises it."""
    inputs = entered.inputs
    return {"status": inputs.status, "output": inputs.output, "message": inputs.message}


async def _call(entered: Entered) -> JSONValue:
    """Run another workflow and give what it gives."""
    engine, calls = entered.engine, entered.engine.ports.calls
    what = Waiting(path=entered.path, kind="workflow")
    outcome = None if entered.is_new else await calls.outcome(entered.path)
    if outcome is None:
        try:
            await calls.start(path=entered.path, workflow=entered.inputs.workflow, payload=entered.inputs.payload)
        except IntegrationError as error:
            raise StepFailed(entered.path, failure_of(error, engine.ports.redactor)) from error
    while outcome is None:
        engine.check(entered.frame, entered.path)
        await engine.strands.pause(what, entered.frame.group)
        outcome = await calls.outcome(entered.path)
    if outcome.failure is not None:
        raise StepFailed(entered.path, outcome.failure)
    return outcome.output


CONTROLS: Final[Mapping[str, Control]] = {
    "flow.if": Control(run=_lane, decide=_decide_if),
    "flow.switch": Control(run=_lane, decide=_decide_switch),
    "flow.parallel": Control(run=_parallel),
    "flow.foreach": Control(run=_foreach),
    "flow.wait": Control(run=_wait, status=StepStatus.WAITING),
    "flow.approve": Control(
        run=partial(_answer, kind="approval", names=("decision", "form", "comment", "by")), status=StepStatus.WAITING
    ),
    "flow.callback": Control(
        run=partial(_answer, kind="callback", names=("body", "headers", "query")), status=StepStatus.WAITING
    ),
    "flow.stop": Control(run=_stop),
    "workflow.call": Control(run=_call, status=StepStatus.WAITING),
}

"""The interpreter: one recursive async function over the tree of steps. Pure.

Before a step runs its path is looked up in the journal, and what is recorded there is returned instead of run. So
going on after a crash, after a wait and from a step of an earlier run is the same: run the function again. Steps that
hold lanes or wait are in ``controls``, what runs side by side in ``strands``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from integrations.words import gettext as _
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.expressions import evaluate_condition, render
from orchestrator.flow.tools import AGENT
from orchestrator.large import Unready, give_room, is_large, opened
from orchestrator.types import JSONValue
from runs.engine.agent import run_agent
from runs.engine.attempt import StepAttempt, resolve
from runs.engine.classify import (
    failure_of,
    interrupted,
    out_of_time,
    revoked,
    stopped_under_way,
    stopped_with_others,
)
from runs.engine.controls import CONTROLS, Control, Ended, Entered
from runs.engine.frame import Frame, Links, links_by_loop, loops_around, readable_inside
from runs.engine.keeping import Clean, evaluated, fields, keep
from runs.engine.lost import goes_on
from runs.engine.ports import LeaseLost, OutOfTime, Ports, SecretsAway, StepFailed, Stopped, StopReason
from runs.engine.records import (
    Attempt,
    Cancelled,
    Failed,
    Failure,
    Given,
    GivenBack,
    Outcome,
    RunOrder,
    Succeeded,
    Waiting,
)
from runs.engine.retry import delay_before_next, policy_of
from runs.engine.strands import LaneStopped, Park, Strands, is_final
from runs.engine.values import Packed, is_quick
from runs.states import StepStatus

# How often a step looks whether secrets can be read again; so long a wait parks the run.
SECRETS_LOOK = timedelta(minutes=1)
# More attempts of one step than this are not made for want of a turn: hours, where so many wait.
MOST_TURNS = 1_000
_DONE = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED})
# An agent's conversation is driven by steps of its own, as the others' lanes are.
_CONTROLS = {**CONTROLS, AGENT: Control(run=run_agent)}
_SKIPPED = Given(status=StepStatus.SKIPPED)
_OPEN = frozenset({StepStatus.RUNNING, StepStatus.WAITING})
# Ends that expressions read; what was cancelled with its lane reads as skipped.
_SETTLED = _DONE | {StepStatus.FAILED, StepStatus.LOST}


@dataclass(kw_only=True)
class Interpreter:
    """One run, from the beginning; what its journal holds is not run again."""

    order: RunOrder
    ports: Ports
    given: Mapping[str, Given] = field(init=False)
    strands: Strands = field(init=False)
    _links: Links = field(init=False)
    # Steps in whose lanes the run was ended.
    _stopped_in: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.given = self.order.given
        self.strands = Strands(clock=self.ports.clock)
        self._links = links_by_loop(self.order.definition)

    async def execute(self) -> Outcome:
        """Run to an end or to a wait. Raises LeaseLost, and CancelledError when nobody asked the run to stop."""
        try:
            return Succeeded(output=await self._run())
        except StepFailed as failed:
            return Failed(failure=replace(failed.failure, path=""), path=failed.path)
        except Ended as ended:
            if is_large(ended.output):
                # A part of what the step gave has to be stored by itself.
                ended.output = (await self.kept(ended.output))[0]
            # With the run's own end, in one write: found ended without it, they would be taken for passed.
            for record in self._stopped_in:
                self._end(record, *ended.of_lanes())
            return ended.outcome()
        except Park as park:
            return park.parked
        except Stopped as stopped:
            return self._stopped(stopped.reason)
        except LaneStopped:
            return self._stopped(self.ports.control.reason or StopReason.CANCELLED)
        except asyncio.CancelledError:
            if self.ports.control.reason in (None, StopReason.LOST):
                raise
            return self._stopped(self.ports.control.reason)

    async def _run(self) -> JSONValue:
        order = self.order
        steps: dict[str, dict[str, Any]] = {}
        scope = {
            "trigger": order.trigger,
            "steps": steps,
            "run": order.run,
            "workflow": order.workflow,
            "vars": order.variables,
        }
        frame = self.with_links("", Frame(scope=scope, steps=steps))
        if order.only is not None:
            return await self._only(order.only, frame)
        await self.sequence(order.definition.steps, frame)
        return await self._output(frame)

    async def _only(self, key: str, frame: Frame) -> JSONValue:
        """Run one step alone, with the given outcomes of others; inside a loop for its first item."""
        definition = self.order.definition
        for path, given in self.given.items():
            self._settle(path, given, frame)
        self.given = {}
        for loop in loops_around(definition, key):
            try:
                first = await evaluated(self.ports, partial(_first_item, self.ports, loop, frame))
                frame = frame.iteration(frame.path(loop.key), 0, first, None)
            except Exception as error:
                failure = failure_of(error, self.ports.redactor)
                raise StepFailed(
                    loop.key,
                    replace(
                        failure, message=_("The loop has no first item: %(message)s") % {"message": failure.message}
                    ),
                ) from error
        step = next(step for _, step in definition.walk() if step.key == key)
        return await self._step(step, replace(frame, prefix="", loop="", item=None))

    def with_links(self, loop: str, frame: Frame) -> Frame:
        """Return the frame with the addresses of the steps whose innermost loop is ``loop``."""
        return frame.linked(self._links.get(loop, ()), self.ports.links.url)

    async def sequence(self, steps: Sequence[StepDefinition], frame: Frame) -> JSONValue:
        """Run steps one after the other; return the last one's output. Raises what ``execute`` catches."""
        last: JSONValue = None
        for step in steps:
            last = await self._step(step, frame)
        return last

    async def _step(self, step: StepDefinition, frame: Frame) -> JSONValue:
        """Return a step's output, from the journal where it is recorded. Raises StepFailed, and Ended."""
        path = frame.path(step.key)
        given = self.given.get(path) if self.given else None
        if step.lanes:
            self._settle_lanes(step, frame, given)
        end: Given | Attempt | None = given
        if end is None or end.status is StepStatus.RUNNING:
            end = await self._drive(step, path, frame, given)
        if end.status is StepStatus.CANCELLED:
            # Recorded by a driver that went away before it could record why.
            raise LaneStopped(is_final=True)
        self._settle(step.key, end, frame)
        if end.status not in _DONE and step.config.on_error != "continue":
            failure = end.failure or interrupted()
            raise StepFailed(failure.path or path, failure)
        if step.action == "flow.stop" and end.status is StepStatus.SUCCEEDED:
            raise Ended.told(await fields(self.ports, end.output, ("status", "output", "message")), path)
        return end.output

    @staticmethod
    def _settle(key: str, end: Given | Attempt, frame: Frame) -> None:
        """Let expressions read how a step ended."""
        done = end.status in _DONE
        frame.steps[key] = {
            "output": end.output if done else None,
            # A lost attempt that is not tried again is, to the steps after it, a failure like any other.
            "status": end.status.value if done else StepStatus.FAILED.value,
            "error": end.failure.as_document() if end.failure and not done else None,
        }

    def _settle_lanes(self, step: StepDefinition, frame: Frame, given: Given | None) -> None:
        """Have what a step holds read as skipped until it runs, or as it is given or was recorded with the step.

        A step that has ended is not entered again after a wait or a crash, and what it holds can still be read.
        """
        attempts = self.ports.journal.attempts(frame.path(step.key))
        has_ended = bool(attempts) and attempts[-1].status not in _OPEN
        for inner in readable_inside(step):
            path = frame.path(inner.key)
            kept: Given | Attempt | None = self.given.get(path) if given is not None else None
            if kept is None and has_ended:
                kept = next((last for last in self.ports.journal.attempts(path)[-1:] if last.status in _SETTLED), None)
            self._settle(inner.key, kept or _SKIPPED, frame)

    async def _drive(self, step: StepDefinition, path: str, frame: Frame, given: Given | None) -> Attempt:
        """Bring a step to its end, from wherever the journal says it stands; return its last attempt."""
        attempts = list(self.ports.journal.attempts(path))
        if self.ports.journal.is_full:
            await self.ports.journal.catch_up()
        if not attempts:
            try:
                ended = self._before_first(step, path, frame)
            except Unready as missing:
                ended = await evaluated(self.ports, partial(self._before_first, step, path, frame), missing)
            if ended is not None:
                return ended
        control = _CONTROLS.get(step.action)
        if control is not None:
            record = attempts[-1] if attempts else None
            return await self._control(control, step, path, frame, record, given)
        if attempts and attempts[-1].status is StepStatus.RUNNING:
            self.lose(attempts[-1])
        while not attempts or await goes_on(self, step, path, attempts, frame):
            seconds = await self._until_next(path, attempts, frame)
            attempts.append(await self._attempt(step, path, attempts, frame, seconds))
        return attempts[-1]

    async def _until_next(self, path: str, attempts: Sequence[Attempt], frame: Frame) -> float:
        """Wait for the next attempt's moment; return the seconds that it may take. Raises Park, and as ``check``."""
        last = attempts[-1] if attempts else None
        if last is None or last.retry_at is None:
            return self.check(frame, path)
        try:
            await self.strands.pause(Waiting(path=path, kind="time", wake_at=last.retry_at), frame.group)
            return self.check(frame, path)
        except (StepFailed, LaneStopped, Stopped, asyncio.CancelledError) as stop:
            if self._is_over(stop):
                # Nothing follows any more: what reads the row would take the step to be under way for ever.
                last.retry_at = None
                self.ports.journal.record(last, ride=True)
            raise

    def _before_first(self, step: StepDefinition, path: str, frame: Frame) -> Attempt | None:
        """Return the one attempt of a step that is skipped, or whose condition cannot be told; else None."""
        condition = step.config.run_if
        if condition is None and not step.config.skip:
            return None
        failure: Failure | None = None
        try:
            if condition is not None and not step.config.skip and evaluate_condition(condition, frame.scope):
                return None
        except Unready:
            raise
        except Exception as error:
            failure = failure_of(error, self.ports.redactor)
        self.check(frame, path)
        attempt = self.new(step, path, frame, StepStatus.FAILED if failure else StepStatus.SKIPPED)
        attempt.failure, attempt.finished_at = failure, attempt.started_at
        self.ports.journal.record(attempt, ride=True)
        return attempt

    def new(self, step: StepDefinition, path: str, frame: Frame, status: StepStatus, number: int = 1) -> Attempt:
        """Return an attempt that no action is called for."""
        return Attempt(
            path=path,
            loop=frame.loop,
            item=frame.item,
            key=step.key,
            name=step.name,
            action=step.action,
            number=number,
            status=status,
            started_at=self.ports.clock.now(),
        )

    async def _control(
        self,
        control: Control,
        step: StepDefinition,
        path: str,
        frame: Frame,
        record: Attempt | None,
        given: Given | None,
    ) -> Attempt:
        """Run a step that the engine runs itself; return its one attempt."""
        if record is not None and record.status not in _OPEN:
            return record
        try:
            entered = await self._enter(control, step, path, frame, record, given)
        except _Refused as refused:
            return refused.record
        record = entered.record
        try:
            output = await control.run(entered)
            record.output, record.packed_output = await self.kept(output)
            self._end(record, StepStatus.SUCCEEDED)
        except StepFailed as failed:
            inside = "" if failed.path == path else failed.path
            self._end(record, StepStatus.FAILED, replace(failed.failure, path=inside))
            if isinstance(failed, OutOfTime):
                raise
        except Ended:
            self._stopped_in.append(record)
            raise
        except (LaneStopped, Stopped, asyncio.CancelledError) as stop:
            if self._is_over(stop):
                self._end(record, StepStatus.CANCELLED, stopped_with_others())
            raise
        except (Park, LeaseLost):
            raise
        except Exception as error:
            self._end(record, StepStatus.FAILED, failure_of(error, self.ports.redactor))
        return record

    async def _enter(
        self,
        control: Control,
        step: StepDefinition,
        path: str,
        frame: Frame,
        record: Attempt | None,
        given: Given | None,
    ) -> Entered:
        """Begin a step that the engine runs itself, or take up where it was left. Raises _Refused."""
        is_new = record is None
        if record is None:
            self.check(frame, path)
            record = self.new(step, path, frame, control.status)
        try:
            if is_new:
                try:
                    call, rendered = resolve(self.ports, step, frame.scope)
                except Unready as missing:
                    call, rendered = await evaluated(
                        self.ports, partial(resolve, self.ports, step, frame.scope), missing
                    )
                record.inputs, record.packed_inputs = await self.kept(rendered)
                record.output = given.output if given else control.decide(step, call.inputs)
                inputs = call.inputs
            else:
                # As they were: another look at the variables or the clock could give other items.
                found = self.ports.catalog.find(step.action, {})
                assert found is not None
                begun: Any = await evaluated(self.ports, partial(opened, record.inputs))
                inputs = found.action.validate_inputs(begun)
        except Exception as error:
            self._end(record, StepStatus.FAILED, failure_of(error, self.ports.redactor))
            raise _Refused(record) from error
        if is_new:
            await self.ports.journal.begin(record, durable=False)
        return Entered(engine=self, step=step, path=path, frame=frame, record=record, inputs=inputs, is_new=is_new)

    def _end(self, record: Attempt, status: StepStatus, failure: Failure | None = None) -> None:
        """Record how a step ended that the engine runs itself; it has no effect of its own, so it rides along."""
        record.status, record.failure = status, failure
        record.finished_at = self.ports.clock.now()
        self.ports.journal.record(record, ride=True)

    async def kept(self, value: Any, clean: Clean | None = None) -> tuple[JSONValue, Packed | None]:
        """Return a value as it is recorded; ``clean`` takes the place of the run's redactor. Raises BadJSON."""
        if is_quick(value):
            return (clean or self.ports.redactor.clean)(value), None
        try:
            return await keep(self.ports, value, clean)
        finally:
            give_room()

    def _is_over(self, stop: BaseException) -> bool:
        """Whether what was stopped is over, and not only given to another driver."""
        if isinstance(stop, asyncio.CancelledError):
            return self.ports.control.reason is StopReason.CANCELLED
        return is_final(stop)

    def lose(self, attempt: Attempt) -> None:
        """Note that the attempt's worker went away: what is recorded as under way was not ours."""
        attempt.status = StepStatus.LOST
        attempt.failure = interrupted()
        attempt.finished_at = self.ports.clock.now()
        self.ports.journal.record(attempt, ride=True)

    async def answered(self, what: Waiting, attempt: int, frame: Frame) -> Mapping[str, Any] | None:
        """Wait for the answer to an attempt; None when its time is over first. Raises Park, LaneStopped, Stopped."""
        while (answer := self.ports.answers.answer(what.path, attempt)) is None:
            if what.wake_at is not None and self.ports.clock.now() >= what.wake_at:
                return await self.ports.answers.late(what.path, attempt)
            self.check(frame, what.path)
            await self.strands.pause(what, frame.group)
        return answer

    async def _attempt(
        self, step: StepDefinition, path: str, earlier: Sequence[Attempt], frame: Frame, seconds: float
    ) -> Attempt:
        last = earlier[-1] if earlier else None
        turn = last.retry_at if last and last.failure and last.failure.turn == "kept" else None
        while True:
            attempt = StepAttempt(
                self.order,
                self.ports,
                step,
                frame=frame,
                path=path,
                number=len(earlier) + 1,
                seconds=seconds,
                turn=turn,
            )
            try:
                record = await attempt.run(frame.scope)
                break
            except asyncio.CancelledError:
                self._record_stopped(attempt)
                raise
            except SecretsAway:
                # Nothing was begun, and nothing is recorded: the step is as it was when the key is back.
                wake_at = self.ports.clock.now() + SECRETS_LOOK
                await self.strands.pause(Waiting(path=path, kind="time", wake_at=wake_at), frame.group)
                seconds = self.check(frame, path)
        if record.failure is not None:
            if len(earlier) >= MOST_TURNS:
                record.failure = replace(record.failure, turn="")
            delay = delay_before_next(
                step.config.retry or policy_of(attempt.call.found.action if attempt.call else None),
                record.failure,
                failures=1 + sum(map(_counts, earlier)),
                random=self.ports.clock.random,
            )
            record.retry_at = None if delay is None else self.ports.clock.now() + timedelta(seconds=delay)
        self.ports.journal.record(record, ride=attempt.rides)
        return record

    def _record_stopped(self, attempt: StepAttempt) -> None:
        """Record an attempt that a person stopped. One that is handed over stays as it is: the next driver decides."""
        if self.ports.control.reason is StopReason.CANCELLED:
            repeatable = attempt.call is None or attempt.call.repeatable
            self.ports.journal.record(
                attempt.finish(stopped_under_way(repeatable=repeatable), StepStatus.CANCELLED), ride=True
            )

    def check(self, frame: Frame, path: str) -> float:
        """Return the seconds that the time limit leaves to a step. Raises Stopped, LaneStopped, OutOfTime."""
        self.ports.control.check()
        if frame.group is not None:
            frame.group.check()
        limit = self.order.definition.settings.timeout
        if limit is None:
            return float("inf")
        left = limit - self.order.active_seconds - self.ports.clock.elapsed()
        if left <= 0:
            raise OutOfTime(path, out_of_time(limit))
        return left

    async def _output(self, frame: Frame) -> JSONValue:
        """Return what the workflow's ``output`` gives, null without one."""
        if self.order.definition.output is None:
            return None
        try:
            output = await evaluated(self.ports, partial(render, self.order.definition.output, frame.scope))
            return (await self.kept(output))[0]
        except Exception as error:
            raise StepFailed("output", failure_of(error, self.ports.redactor)) from error

    @staticmethod
    def _stopped(reason: StopReason | None) -> Outcome:
        match reason:
            case StopReason.CANCELLED:
                return Cancelled()
            case StopReason.REVOKED:
                return Cancelled(failure=revoked())
            case _:
                return GivenBack()


def _counts(attempt: Attempt) -> bool:
    """Whether an attempt is one of those that a policy allows: others only waited for their turn."""
    return attempt.status is StepStatus.FAILED and not (attempt.failure and attempt.failure.turn)


def _first_item(ports: Ports, loop: StepDefinition, frame: Frame) -> Any:
    return opened(resolve(ports, loop, frame.scope)[1]["items"])[0]


class _Refused(Exception):
    """A step could not be begun; ``record`` says why."""

    def __init__(self, record: Attempt) -> None:
        super().__init__(record.path)
        self.record = record

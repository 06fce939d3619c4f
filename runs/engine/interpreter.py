"""The interpreter: one recursive async function over the tree of steps. Pure.

Before a step runs its path is looked up in the journal, and what is recorded there is returned instead of run. So
going on after a crash, after a wait and from a step of an earlier run is the same: run the function again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.expressions import evaluate_condition, render
from orchestrator.types import JSONValue
from runs.engine.attempt import StepAttempt, resolve
from runs.engine.classify import failure_of, interrupted, out_of_time, revoked, stopped_under_way
from runs.engine.ports import Ports, StepFailed, Stopped, StopReason
from runs.engine.records import (
    Attempt,
    Cancelled,
    Failed,
    Failure,
    Given,
    GivenBack,
    Outcome,
    Parked,
    RunOrder,
    Succeeded,
)
from runs.engine.retry import delay_before_next
from runs.engine.values import gated, off_loop
from runs.states import StepStatus

# A longer wait between two attempts parks the run and frees its place.
PARK_AFTER_SECONDS: Final = 3.0

_DONE: Final = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED})


class _Park(Exception):
    def __init__(self, parked: Parked) -> None:
        super().__init__(parked.kind)
        self.parked = parked


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Where in the tree we are: what goes before a step's key in its path, and what expressions see."""

    scope: Mapping[str, Any]
    prefix: str = ""

    def path(self, key: str) -> str:
        return f"{self.prefix}{key}"


@dataclass(kw_only=True)
class Interpreter:
    """One run, from the beginning; what its journal holds is not run again."""

    order: RunOrder
    ports: Ports
    _steps: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def execute(self) -> Outcome:
        """Run to an end or to a wait. Raises LeaseLost, and CancelledError when nobody asked the run to stop."""
        try:
            return Succeeded(output=await self._run())
        except StepFailed as failed:
            return Failed(failure=failed.failure, path=failed.path)
        except _Park as park:
            return park.parked
        except Stopped as stopped:
            return self._stopped(stopped.reason)
        except asyncio.CancelledError:
            if self.ports.control.reason in (None, StopReason.LOST):
                raise
            return self._stopped(self.ports.control.reason)

    async def _run(self) -> JSONValue:
        order = self.order
        frame = Frame(
            scope={
                "trigger": order.trigger,
                "steps": self._steps,
                "run": order.run,
                "workflow": order.workflow,
                "vars": order.variables,
            }
        )
        if order.only is not None:
            return await self._only(order.only, frame)
        await self._sequence(order.definition.steps, frame)
        return await self._output(frame)

    async def _only(self, key: str, frame: Frame) -> JSONValue:
        """Run one step alone, with the given outcomes of others."""
        for path, given in self.order.given.items():
            self._settle(path, given)
        step = next(step for _, step in self.order.definition.walk() if step.key == key)
        return await self._step(step, frame)

    async def _sequence(self, steps: Sequence[StepDefinition], frame: Frame) -> JSONValue:
        """Run steps one after the other; return the last one's output."""
        last: JSONValue = None
        for step in steps:
            last = await self._step(step, frame)
        return last

    async def _step(self, step: StepDefinition, frame: Frame) -> JSONValue:
        """Return a step's output, from the journal where it is recorded. Raises StepFailed."""
        path = frame.path(step.key)
        given = self.order.given.get(path)
        if given is None:
            end = await self._drive(step, path, frame.scope)
            given = Given(status=end.status, output=end.output, failure=end.failure)
        self._settle(step.key, given)
        if given.status in _DONE or step.config.on_error == "continue":
            return given.output
        raise StepFailed(path, given.failure or interrupted())

    def _settle(self, key: str, given: Given) -> None:
        """Let expressions read how a step ended."""
        done = given.status in _DONE
        self._steps[key] = {
            "output": given.output if done else None,
            # A lost attempt that is not tried again is, to the steps after it, a failure like any other.
            "status": given.status.value if done else StepStatus.FAILED.value,
            "error": given.failure.as_document() if given.failure and not done else None,
        }

    async def _drive(self, step: StepDefinition, path: str, scope: Mapping[str, Any]) -> Attempt:
        """Bring a step to its end, from wherever the journal says it stands; return its last attempt."""
        attempts = list(self.ports.journal.attempts(path))
        if not attempts:
            ended = self._before_first(step, path, scope)
            if ended is not None:
                return ended
        elif attempts[-1].status is StepStatus.RUNNING:
            self._lose(attempts[-1])
        while not attempts or self._goes_on(step, attempts[-1], scope):
            if attempts and attempts[-1].retry_at is not None:
                await self._wait(path, attempts[-1].retry_at)
            attempts.append(await self._attempt(step, path, attempts, scope))
        return attempts[-1]

    def _before_first(self, step: StepDefinition, path: str, scope: Mapping[str, Any]) -> Attempt | None:
        """Return the one attempt of a step that is skipped, or whose condition cannot be told; else None."""
        condition = step.config.run_if
        if condition is None:
            return None
        failure: Failure | None = None
        try:
            if evaluate_condition(condition, scope):
                return None
        except Exception as error:
            failure = failure_of(error, self.ports.redactor)
        self._check()
        now = self.ports.clock.now()
        attempt = Attempt(
            path=path,
            key=step.key,
            name=step.name,
            action=step.action,
            number=1,
            status=StepStatus.FAILED if failure else StepStatus.SKIPPED,
            failure=failure,
            started_at=now,
            finished_at=now,
        )
        self.ports.journal.record(attempt, ride=True)
        return attempt

    def _lose(self, attempt: Attempt) -> None:
        """Note that the attempt's worker went away: what is recorded as under way was not ours."""
        attempt.status = StepStatus.LOST
        attempt.failure = interrupted()
        attempt.finished_at = self.ports.clock.now()
        self.ports.journal.record(attempt, ride=True)

    def _goes_on(self, step: StepDefinition, last: Attempt, scope: Mapping[str, Any]) -> bool:
        """Whether another attempt follows this one."""
        match last.status:
            case StepStatus.FAILED:
                return last.retry_at is not None
            case StepStatus.LOST:
                return self._runs_again_when_lost(step, scope)
            case _:
                return False

    def _runs_again_when_lost(self, step: StepDefinition, scope: Mapping[str, Any]) -> bool:
        try:
            call, _ = resolve(self.ports, step, scope)
        except Exception:
            # It cannot even be asked for any more; what it did before is not known.
            return False
        if call.found.action.pure:
            return True
        return call.repeatable if step.config.on_lost is None else step.config.on_lost == "retry"

    async def _wait(self, path: str, until: datetime) -> None:
        """Wait for a moment, in place when it is near."""
        seconds = (until - self.ports.clock.now()).total_seconds()
        if seconds > PARK_AFTER_SECONDS:
            raise _Park(Parked(path=path, kind="time", wake_at=until))
        if seconds > 0:
            await self.ports.clock.sleep(seconds)

    async def _attempt(
        self, step: StepDefinition, path: str, earlier: Sequence[Attempt], scope: Mapping[str, Any]
    ) -> Attempt:
        seconds = self._check()
        attempt = StepAttempt(self.order, self.ports, step, path=path, number=len(earlier) + 1, seconds=seconds)
        try:
            record = await attempt.run(scope)
        except asyncio.CancelledError:
            self._record_stopped(attempt)
            raise
        if record.failure is not None:
            failures = 1 + sum(1 for before in earlier if before.status is StepStatus.FAILED)
            delay = delay_before_next(
                step.config.retry, record.failure, failures=failures, random=self.ports.clock.random
            )
            record.retry_at = None if delay is None else self.ports.clock.now() + timedelta(seconds=delay)
        self.ports.journal.record(record, ride=attempt.harmless)
        return record

    def _record_stopped(self, attempt: StepAttempt) -> None:
        """Record an attempt that a person stopped. One that is handed over stays as it is: the next driver decides."""
        if self.ports.control.reason is StopReason.CANCELLED:
            repeatable = attempt.call is None or attempt.call.repeatable
            self.ports.journal.record(
                attempt.finish(stopped_under_way(repeatable=repeatable), StepStatus.CANCELLED), ride=True
            )

    def _check(self) -> float:
        """Return the seconds that the workflow's time limit leaves. Raises Stopped, or StepFailed without any left."""
        self.ports.control.check()
        limit = self.order.definition.settings.timeout
        if limit is None:
            return float("inf")
        left = limit - self.order.active_seconds - self.ports.clock.elapsed()
        if left <= 0:
            raise StepFailed("", out_of_time(limit))
        return left

    async def _output(self, frame: Frame) -> JSONValue:
        """Return what the workflow's ``output`` gives, null without one."""
        if self.order.definition.output is None:
            return None
        try:
            value = render(self.order.definition.output, frame.scope)
            return await off_loop(lambda item: gated(self.ports.redactor.clean(item)), value)
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

"""Whether a step is tried again, also where nobody knows what became of its last attempt. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from integrations.words import gettext as _
from orchestrator.flow.definition import StepDefinition
from runs.engine.attempt import Call, resolve
from runs.engine.frame import Frame
from runs.engine.keeping import evaluated
from runs.engine.records import Attempt, Waiting
from runs.states import FailureKind, StepStatus

if TYPE_CHECKING:
    from runs.engine.interpreter import Interpreter


async def goes_on(engine: Interpreter, step: StepDefinition, path: str, attempts: list[Attempt], frame: Frame) -> bool:
    """Whether another attempt follows the last one. A person may be asked, and may add the step's end instead.

    Raises what ``Interpreter.answered`` does.
    """
    last = attempts[-1]
    if last.status not in (StepStatus.FAILED, StepStatus.LOST):
        return False
    if last.failure is not None and last.failure.kind is FailureKind.OUTCOME_UNKNOWN:
        if step.config.on_lost == "ask":
            return await _ask(engine, step, path, attempts, frame)
        return last.status is StepStatus.LOST and await _runs_again(engine, step, frame)
    return last.retry_at is not None


async def _runs_again(engine: Interpreter, step: StepDefinition, frame: Frame) -> bool:
    call = await _call(engine, step, frame)
    if call is None:
        return False
    if call.found.action.pure:
        return True
    return call.repeatable if step.config.on_lost is None else step.config.on_lost == "retry"


async def _call(engine: Interpreter, step: StepDefinition, frame: Frame) -> Call | None:
    """Return what the step asks for; None where that cannot be told any more, nor what it did before."""
    try:
        return (await evaluated(engine.ports, partial(resolve, engine.ports, step, frame.scope)))[0]
    except Exception:
        return None


async def _ask(engine: Interpreter, step: StepDefinition, path: str, attempts: list[Attempt], frame: Frame) -> bool:
    """Wait for a person to say what became of the last attempt; return whether it is tried again."""
    last = attempts[-1]
    if not await _must_ask(engine, step, last, frame):
        return True
    answer = await engine.answered(Waiting(path=path, kind="outcome_unknown"), last.number, frame)
    assert answer is not None
    if answer.get("decision") == "succeeded":
        known = engine.new(step, path, frame, StepStatus.SUCCEEDED, number=last.number + 1)
        known.resolved_as, known.idempotency_key = last.resolved_as, last.idempotency_key
        known.output, known.finished_at = answer.get("output"), known.started_at
        known.logs = (
            {
                "at": known.started_at.isoformat(),
                "level": "info",
                "text": _("Resolved by %(who)s.") % {"who": answer.get("by") or _("the API")},
            },
        )
        engine.ports.journal.record(known, ride=True)
        attempts.append(known)
    return answer.get("decision") == "retry"


async def _must_ask(engine: Interpreter, step: StepDefinition, last: Attempt, frame: Frame) -> bool:
    """Whether what became of an attempt matters: one that may be sent again in any case needs no person."""
    if last.status is not StepStatus.LOST:
        return True
    call = await _call(engine, step, frame)
    return call is None or not call.harmless

"""One run in a driver's loop: what it needs is read, it is interpreted, and how it ends is written."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, assert_never

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from integrations.words import gettext as _
from orchestrator import logs
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.prices import model_price
from orchestrator.types import JSONValue
from orchestrator.vault.redaction import Redactor
from runs.adapters import (
    Inbox,
    PooledClients,
    Readers,
    RegistryCatalog,
    RunCalls,
    RunClock,
    RunControl,
    RunLinks,
    answers_of,
)
from runs.claims import Claimed
from runs.clock import DatabaseClock
from runs.credentials import VaultCredentials
from runs.engine.classify import INTERNAL_HINT
from runs.engine.interpreter import Interpreter
from runs.engine.memo import Memo
from runs.engine.ports import LeaseLost, Ports, StopReason
from runs.engine.records import (
    Attempt,
    Cancelled,
    Failed,
    Failure,
    GivenBack,
    Outcome,
    Parked,
    RunOrder,
    Succeeded,
)
from runs.gates import Gates
from runs.journal import RunJournal, history_of_loop
from runs.limits import Limits
from runs.orders import order_kept, order_read
from runs.plans import Plans, TenantFacts
from runs.slots import Slots
from runs.state import RunStates
from runs.states import FailureKind, RunStatus
from runs.traceparents import trace_id
from runs.tracing import Facts, RunTrace
from runs.writer import Job
from runs.writes import Ending, Write

if TYPE_CHECKING:
    from runs.spans import Spans

log = logging.getLogger(__name__)

_AWAY = (OperationalError, InterfaceError)


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What the runs of a driver share."""

    readers: Readers
    plans: Plans
    catalog: RegistryCatalog
    credentials: VaultCredentials
    clients: PooledClients
    gates: Gates
    clock: DatabaseClock
    slots: Slots
    limits: Limits
    owner: str
    put: Callable[[Write | Job], None]
    rides: Callable[[RunJournal], None]
    spans: Spans | None = None


class RunDrive:
    """Drives one claimed run as a task of the running loop; ``ended`` is called when the task is over."""

    def __init__(self, claim: Claimed, shared: Shared, *, ended: Callable[[RunDrive], None]) -> None:
        self.claim = claim
        self._shared = shared
        self._control = RunControl()
        self._clock = RunClock()
        self._redactor = Redactor()
        self._inbox = Inbox(claim=claim, readers=shared.readers, signals=claim.signals)
        self._interpreter: Interpreter | None = None
        self._informing: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None
        self._holds_place = True
        self._has_calls = False
        self._is_ending = False
        self._trace = None if shared.spans is None else _trace(shared.spans, claim)
        self._journal = RunJournal(
            run_id=claim.run_id,
            tenant_id=claim.tenant_id,
            fence=claim.fence,
            put=shared.put,
            rides=shared.rides,
            broken=self._on_broken,
            read_loop=self._read_loop,
            read=shared.readers.read,
            written=None if self._trace is None else partial(_tell, self._trace),
        )
        # Every line that is logged in it says which run it is about.
        self._context = contextvars.copy_context()
        self._context.run(logs.about, partial(_log_fields, claim, is_traced=self._trace is not None))
        self._task = asyncio.get_running_loop().create_task(self._main(), context=self._context)
        self._task.add_done_callback(lambda _: self._over(ended), context=self._context)

    def stop(self, reason: StopReason, *, now: bool) -> None:
        """Have the run stop before its next step, or at once with ``now``; a lost lease outranks other reasons."""
        if self._control.reason is not StopReason.LOST:
            self._control.reason = reason
        if now:
            self._task.cancel()

    def inform(self, signals: int) -> None:
        """Have the run read what was answered to it since, if there is more than it knows of."""
        if signals > self._inbox.signals and (self._informing is None or self._informing.done()):
            self._informing = asyncio.get_running_loop().create_task(self._read_answers(signals), context=self._context)

    async def _read_answers(self, signals: int) -> None:
        claim = self.claim
        answers = await self._shared.readers.read(lambda: answers_of(claim.run_id, claim.tenant_id))
        self._inbox.answers, self._inbox.signals = answers, signals
        if self._interpreter is not None:
            self._interpreter.strands.wake()

    async def _read_loop(self, loop: str, first: int, count: int) -> Sequence[Attempt]:
        claim = self.claim
        return await self._shared.readers.read(
            lambda: history_of_loop(claim.run_id, claim.tenant_id, loop, first, count)
        )

    def keep(self) -> None:
        """Take back that the run is to be handed over."""
        if self._control.reason is StopReason.HAND_OVER:
            self._control.reason = None

    def _over(self, ended: Callable[[RunDrive], None]) -> None:
        self.give_place()
        if self._informing is not None:
            self._informing.cancel()
        if not self._task.cancelled() and self._task.exception() is not None:
            log.error("Run %s: its task failed", self.claim.run_id, exc_info=self._task.exception())
        ended(self)
        # Both lead back to this: ended runs would be kept by the hundred until the collector finds them.
        self._interpreter = None
        del self._journal

    def give_place(self) -> None:
        """Let another run be claimed for this one."""
        if self._holds_place:
            self._holds_place = False
            self._shared.slots.give(self.claim.tenant_id, self.claim.run_id)

    def _on_broken(self, error: BaseException) -> None:
        """A write that nobody waited for was refused: the run cannot go on as if it were kept."""
        self._broken = error
        if isinstance(error, LeaseLost):
            self._control.reason = StopReason.LOST
        self._task.cancel()

    async def _main(self) -> None:
        try:
            await self._end(await self._drive())
        except LeaseLost:
            log.info("Run %s: its lease is with another driver now", self.claim.run_id)
        except _AWAY:
            # Written as soon as the database is back.
            await self._end(GivenBack())
        except asyncio.CancelledError:
            await self._end_stopped()
        except Exception as error:
            await self._give_up(error)

    async def _end_stopped(self) -> None:
        """End a run that was stopped outside its steps, or whose writes were refused."""
        if self._broken is not None and not isinstance(self._broken, LeaseLost):
            await self._give_up(self._broken)
        elif not self._is_ending and self._control.reason is StopReason.CANCELLED:
            await self._end(Cancelled())
        elif not self._is_ending and self._control.reason is StopReason.HAND_OVER:
            await self._end(GivenBack())

    async def _drive(self) -> Outcome:
        order = await self._order()
        ports = Ports(
            journal=self._journal,
            catalog=self._shared.catalog,
            credentials=self._shared.credentials,
            clients=self._shared.clients,
            clock=self._clock,
            control=self._control,
            redactor=self._redactor,
            answers=self._inbox,
            calls=RunCalls(
                claim=self.claim, owner=self._shared.owner, readers=self._shared.readers, put=self._shared.put
            ),
            links=RunLinks(run_id=self.claim.run_id),
            trace=self._trace,
            gates=self._shared.gates,
            states=RunStates(
                claim=self.claim, owner=self._shared.owner, readers=self._shared.readers, put=self._shared.put
            ),
            price=model_price(),
        )
        self._interpreter = Interpreter(order=order, ports=ports)
        self._has_calls = _has_calls(order.definition)
        return await self._interpreter.execute()

    async def _end(self, outcome: Outcome) -> None:
        self._is_ending = True
        await self._journal.end(self._ending(outcome))

    async def _give_up(self, error: BaseException) -> None:
        """Fail a run that we cannot drive for a reason of our own."""
        log.error("Run %s: given up", self.claim.run_id, exc_info=error)
        failure = Failure(
            kind=FailureKind.INTERNAL,
            message=_("The run could not go on: %(name)s.") % {"name": type(error).__name__},
            hint=_(INTERNAL_HINT),
        )
        try:
            await self._end(Failed(failure=failure))
        except LeaseLost:
            log.info("Run %s: its lease is with another driver now", self.claim.run_id)

    def _ending(self, outcome: Outcome) -> Ending:
        now, at = timezone.now(), self._shared.clock.now()
        active_ms = self.claim.active_ms + round(self._clock.elapsed() * 1000)
        over = partial(
            Ending,
            at=at,
            finished_at=now,
            active_ms=active_ms,
            is_followed=self._is_followed(outcome),
            is_resumed=not self.claim.fresh,
        )
        match outcome:
            case Succeeded(output=output):
                return over(status=RunStatus.SUCCEEDED, output=output)
            case Failed(failure=failure, path=path):
                return over(status=RunStatus.FAILED, failure=failure, path=path)
            case Cancelled(failure=reason):
                return over(status=RunStatus.CANCELLED, failure=reason)
            case Parked(wake_at=wake_at, first=first):
                # By the database's clock, which is the one that decides when a run is due.
                due = None if wake_at is None else at + (wake_at - now)
                waiting_for: dict[str, JSONValue] = {"path": first.path, "kind": first.kind}
                return Ending(
                    status=RunStatus.WAITING,
                    at=at,
                    wake_at=due,
                    waiting_for=waiting_for,
                    active_ms=active_ms,
                    signals=self._inbox.signals,
                )
            case GivenBack():
                return Ending(status=RunStatus.QUEUED, at=at, wake_at=at, active_ms=active_ms)
            case _:
                assert_never(outcome)

    def _is_followed(self, outcome: Outcome) -> bool:
        """Whether something follows from this end, so that rows of other runs have to be looked at."""
        claim = self.claim
        if isinstance(outcome, (Parked, GivenBack)):
            return False
        if isinstance(outcome, (Failed, Cancelled)) or claim.parent_id is not None or self._has_calls:
            return True
        return self._shared.limits.are_on(claim.workflow_id, claim.tenant_id)

    async def _order(self) -> RunOrder:
        """Return everything fixed about the run; reads only what is not kept."""
        claim, plans = self.claim, self._shared.plans
        kept = order_kept(claim, plans)
        if kept is not None:
            return self._known(*kept)
        found = await self._shared.readers.read(partial(order_read, claim, plans))
        self._journal.take_up(found.recorded)
        self._inbox.answers = found.answers
        return self._known(found.order, found.facts)

    def _known(self, order: RunOrder, facts: TenantFacts) -> RunOrder:
        if self._trace is not None:
            self._trace.know(order, tenant=facts.slug)
        return order


_has_calls: Final = Memo[WorkflowDefinition, bool](
    lambda definition: any(step.action == "workflow.call" for _, step in definition.walk())
)


def _trace(spans: Spans, claim: Claimed) -> RunTrace:
    facts = Facts(
        run_id=claim.run_id,
        tenant_id=claim.tenant_id,
        workflow_id=claim.workflow_id,
        kind=claim.kind,
        trigger_type=claim.trigger_type,
        created_at=claim.created_at,
        parent_id=claim.parent_id,
    )
    return RunTrace(spans, facts)


def _tell(trace: RunTrace, attempts: Sequence[Attempt], ending: Ending | None) -> None:
    """Have a trace hear of what is committed. Not the run's task: it may be stopped as soon as the run has ended."""
    try:
        trace.written(attempts)
        if ending is not None and ending.finished_at is not None:
            trace.ended(ending.status, ending.failure, path=ending.path, at=ending.finished_at)
    except Exception:
        # The run waits for what comes after this.
        log.exception("Run %s: its trace has a gap", trace.facts.run_id)


def _log_fields(claim: Claimed, *, is_traced: bool) -> dict[str, str]:
    fields = {"run_id": str(claim.run_id), "tenant_id": str(claim.tenant_id)}
    return {**fields, "trace_id": f"{trace_id(claim.run_id):032x}"} if is_traced else fields

"""The Journal of one run: what is recorded of it, and what is handed to the thread that writes."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from orchestrator.ids import new_id
from orchestrator.types import JSONValue
from runs.engine.records import Attempt, Failure
from runs.models import Payload, StepRun
from runs.states import StepStatus
from runs.values import opened
from runs.writes import Ending, Write


def history(run_id: int, tenant_id: int) -> dict[str, list[Attempt]]:
    """Return what is recorded of a run, by path, oldest first; its inputs are left out."""
    found: dict[str, list[Attempt]] = {}
    rows = list(StepRun.objects.for_tenant(tenant_id).filter(run=run_id).defer("inputs", "logs").order_by("id"))
    refs = [row.output_ref for row in rows if row.output_ref is not None]
    payloads = Payload.objects.for_tenant(tenant_id).filter(run=run_id, pk__in=refs).in_bulk() if refs else {}
    for row in rows:
        output = row.output if row.output_ref is None else opened(payloads[row.output_ref])
        found.setdefault(row.path, []).append(_attempt(row, output))
    return found


def _attempt(row: StepRun, output: JSONValue) -> Attempt:
    return Attempt(
        path=row.path,
        key=row.key,
        name=row.name,
        action=row.action,
        number=row.attempt,
        status=StepStatus(row.status),
        started_at=row.started_at,
        finished_at=row.finished_at,
        output=output,
        failure=Failure.from_document(row.error) if row.error else None,
        idempotency_key=row.idempotency_key,
        retry_at=row.retry_at,
        row_id=row.pk,
    )


# Attempts that ride along are not kept waiting longer than this, so that a run can be watched.
RIDE_SECONDS: Final = 0.05


@dataclass(kw_only=True, eq=False)
class RunJournal:
    """The Journal of one run; it lives in the loop. ``broken`` is told when a write that nobody waits for failed."""

    run_id: int
    tenant_id: int
    fence: int
    put: Callable[[Write], None]
    rides: Callable[[RunJournal], None]
    broken: Callable[[BaseException], None]
    recorded: dict[str, list[Attempt]] = field(default_factory=dict)
    _waiting: dict[int, Attempt] = field(default_factory=dict)
    _written: set[int] = field(default_factory=set)

    def take_up(self, recorded: dict[str, list[Attempt]]) -> None:
        """Go on from what is recorded."""
        self.recorded = recorded
        self._written |= {attempt.row_id or 0 for attempts in recorded.values() for attempt in attempts}

    def attempts(self, path: str) -> Sequence[Attempt]:
        return self.recorded.get(path, ())

    async def begin(self, attempt: Attempt, *, durable: bool) -> None:
        self._keep(attempt)
        if durable:
            await self._commit(None)
        else:
            self.rides(self)

    def record(self, attempt: Attempt, *, ride: bool) -> None:
        self._keep(attempt)
        if ride:
            self.rides(self)
        else:
            self.flush()

    async def end(self, ending: Ending) -> None:
        """Write how the run ends, with everything before it. Raises LeaseLost."""
        await self._commit(ending)

    def flush(self) -> None:
        """Hand over what waits, without waiting for it."""
        if self._waiting:
            self.put(self._write(self._told, None))

    def _keep(self, attempt: Attempt) -> None:
        if attempt.row_id is None:
            attempt.row_id = new_id()
        self._waiting[attempt.row_id] = attempt

    def _told(self, error: BaseException | None) -> None:
        if error is not None:
            self.broken(error)

    async def _commit(self, ending: Ending | None) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.put(self._write(done, ending))
        await future

    def _write(self, done: Callable[[BaseException | None], None], ending: Ending | None) -> Write:
        # Copies: the interpreter goes on with its own while the other thread writes these.
        copies = [copy.copy(attempt) for attempt in self._waiting.values()]
        self._waiting.clear()
        new = [attempt for attempt in copies if attempt.row_id not in self._written]
        ended = [attempt for attempt in copies if attempt.row_id in self._written]
        self._written |= {attempt.row_id or 0 for attempt in new}
        return Write(
            run_id=self.run_id,
            tenant_id=self.tenant_id,
            fence=self.fence,
            done=done,
            new=new,
            ended=ended,
            ending=ending,
        )

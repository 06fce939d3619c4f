"""The Journal of one run: what is recorded of it, and what is handed to the thread that writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from django.db.models import Q

from orchestrator.ids import new_id
from orchestrator.types import JSONValue
from runs.engine.records import Attempt, Failure
from runs.models import StepRun
from runs.states import StepStatus
from runs.values import stored_at
from runs.writes import Ending, Write

_OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING)


def history(run_id: int, tenant_id: int, keys: Iterable[str]) -> list[Attempt]:
    """Return what is recorded of a run outside its loops, oldest first; ``keys`` are those of its workflow's steps.

    By their paths, which an index has, however many iterations there are beside them: a step outside of loops has its
    key for a path.
    """
    return _recorded(run_id, tenant_id, Q(path__in=list(keys)))


def history_of_loop(run_id: int, tenant_id: int, loop: str, first: int, count: int) -> list[Attempt]:
    """Return what is recorded of ``count`` iterations of a loop, oldest first; loops inside them are left out."""
    return _recorded(run_id, tenant_id, Q(loop=loop, item__gte=first, item__lt=first + count))


def _recorded(run_id: int, tenant_id: int, which: Q) -> list[Attempt]:
    rows = list(StepRun.objects.for_tenant(tenant_id).filter(which, run=run_id).defer("inputs", "logs").order_by("id"))
    # What is still open goes on with the inputs that it was begun with; those of ended steps are never asked for.
    begun = [row.pk for row in rows if row.status in _OPEN]
    inputs = dict(StepRun.objects.for_tenant(tenant_id).filter(pk__in=begun).values_list("pk", "inputs"))

    def value(inline: JSONValue, ref: int | None) -> Any:
        # Most of what was stored apart is never asked for again.
        return inline if ref is None else stored_at(tenant_id=tenant_id, run_id=run_id, ref=ref)

    return [
        _attempt(
            row,
            inputs=value(inputs.get(row.pk), row.inputs_ref) if row.status in _OPEN else None,
            output=value(row.output, row.output_ref),
        )
        for row in rows
    ]


def _attempt(row: StepRun, *, inputs: JSONValue, output: JSONValue) -> Attempt:
    return Attempt(
        path=row.path,
        loop=row.loop,
        item=row.item,
        key=row.key,
        name=row.name,
        action=row.action,
        number=row.attempt,
        status=StepStatus(row.status),
        started_at=row.started_at,
        finished_at=row.finished_at,
        inputs=inputs,
        output=output,
        failure=Failure.from_document(row.error) if row.error else None,
        idempotency_key=row.idempotency_key,
        retry_at=row.retry_at,
        usage=row.usage,
        row_id=row.pk,
        stored=True,
    )


def _copied(attempt: Attempt) -> Attempt:
    """Return what copy.copy does, at a sixth of its cost."""
    made = object.__new__(Attempt)
    made.__dict__.update(attempt.__dict__)
    return made


# Attempts that ride along are not kept waiting longer than this, so that a run can be watched.
RIDE_SECONDS: Final = 0.05
# A run that makes rows faster than they are written waits for them: it would fill the memory.
MOST_UNWRITTEN: Final = 1_000

T = TypeVar("T")
Read = Callable[[Callable[[], Any]], Awaitable[Any]]
ReadLoop = Callable[[str, int, int], Awaitable[Sequence[Attempt]]]


@dataclass(kw_only=True, eq=False)
class RunJournal:
    """The Journal of one run; it lives in the loop.

    ``broken`` is told when a write that nobody waits for failed, ``written`` what a commit wrote; ``read_loop`` is
    ``history_of_loop`` of this run, ``read`` has a thread do something that blocks.
    """

    run_id: int
    tenant_id: int
    fence: int
    put: Callable[[Write], None]
    rides: Callable[[RunJournal], None]
    broken: Callable[[BaseException], None]
    read_loop: ReadLoop
    read: Read
    written: Callable[[Sequence[Attempt], Ending | None], None] | None = None
    _recorded: dict[str, list[Attempt]] = field(default_factory=dict)
    # Paths by loop and item, for what has to be let go.
    _of_items: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    _waiting: dict[int, Attempt] = field(default_factory=dict)
    _unwritten: int = 0

    def take_up(self, recorded: Iterable[Attempt]) -> None:
        """Go on from what is recorded."""
        for attempt in recorded:
            self._recorded.setdefault(attempt.path, []).append(attempt)
            if attempt.item is not None:
                self._of_items.setdefault((attempt.loop, attempt.item), set()).add(attempt.path)

    def attempts(self, path: str) -> Sequence[Attempt]:
        return self._recorded.get(path, ())

    async def load(self, loop: str, first: int, count: int) -> None:
        self.take_up(await self.read_loop(loop, first, count))

    async def bring(self, read: Callable[[], T]) -> T:
        return await self.read(read)  # type: ignore[no-any-return]

    def forget(self, loop: str, item: int) -> None:
        for path in self._of_items.pop((loop, item), ()):
            self._recorded.pop(path, None)

    @property
    def is_full(self) -> bool:
        return self._unwritten + len(self._waiting) >= MOST_UNWRITTEN

    async def catch_up(self) -> None:
        await self._commit(None)

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
            self._put(self._told, None)

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

        self._put(done, ending)
        await future

    def _put(self, then: Callable[[BaseException | None], Any], ending: Ending | None) -> None:
        new: list[Attempt] = []
        ended: list[Attempt] = []
        for attempt in self._waiting.values():
            # Copies: the interpreter goes on with its own while the other thread writes these.
            (ended if attempt.stored else new).append(_copied(attempt))
            attempt.stored = True
        self._waiting.clear()
        count = len(new) + len(ended)
        self._unwritten += count

        def done(error: BaseException | None) -> None:
            self._unwritten -= count
            if self.written is not None and error is None:
                self.written([*new, *ended], ending)
            then(error)

        self.put(
            Write(
                run_id=self.run_id,
                tenant_id=self.tenant_id,
                fence=self.fence,
                done=done,
                new=new,
                ended=ended,
                ending=ending,
            )
        )

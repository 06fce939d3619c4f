"""The strands of one run: lanes and iterations that are under way at the same time, and what each waits for. Pure.

A run may be parked only when every strand waits, and nothing that it waits for is near. Who waits is counted here:

1. A run begins with one busy strand. Strands that run side by side are busy in place of the one that joins them.
2. A strand that waits is not busy. Its wait ends when its moment comes, when something outside answered, or when its
   group is stopped.
3. When the last busy strand waits or ends, and all waits are long, one of them raises Park, and with it the run.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from runs.engine.ports import Clock, LeaseLost, OutOfTime, StepFailed, Stopped, StopReason
from runs.engine.records import Parked, Waiting

# A longer wait parks the run and frees its place.
PARK_AFTER_SECONDS: Final = 3.0

OnError = Literal["stop", "finish", "continue"]
Job = Callable[["Group"], Awaitable[None]]


class Park(Exception):
    """Every strand waits, so the run gives its place back."""

    def __init__(self, parked: Parked) -> None:
        super().__init__(parked.first.kind)
        self.parked = parked


class LaneStopped(Exception):
    """Another lane stopped what this one is part of; ``is_final`` unless another driver goes on with it."""

    def __init__(self, *, is_final: bool) -> None:
        super().__init__("stopped")
        self.is_final = is_final


def is_final(cause: BaseException) -> bool:
    """Whether what was stopped for this reason is over, and not only given to another driver."""
    if isinstance(cause, Stopped):
        return cause.reason in (StopReason.CANCELLED, StopReason.REVOKED)
    if isinstance(cause, LaneStopped):
        return cause.is_final
    return not isinstance(cause, (LeaseLost, Park, asyncio.CancelledError))


@dataclass(eq=False)
class Group:
    """Strands that stop together; ``above`` is the group that the step which holds them is in."""

    above: Group | None = None
    stopped_by: BaseException | None = None

    def chain(self) -> Iterator[Group]:
        group: Group | None = self
        while group is not None:
            yield group
            group = group.above

    def check(self) -> None:
        """Raise LaneStopped when this group, or one around it, is stopped."""
        for group in self.chain():
            if group.stopped_by is not None:
                raise LaneStopped(is_final=is_final(group.stopped_by))


@dataclass(kw_only=True, eq=False)
class _Wait:
    what: Waiting
    group: Group | None
    over: asyncio.Future[None]


@dataclass(kw_only=True)
class Strands:
    """Counts the strands of one run, runs them side by side, and lets them wait."""

    clock: Clock
    _busy: int = 1
    _waits: list[_Wait] = field(default_factory=list)

    def wake(self) -> None:
        """Have every strand that waits for something outside look again."""
        for wait in self._waits:
            if wait.what.kind != "time":
                self._end(wait, None)

    async def pause(self, what: Waiting, group: Group | None) -> None:
        """Wait until the moment of ``what``, or until something outside answered. Raises Park, LaneStopped."""
        wait = _Wait(what=what, group=group, over=asyncio.get_running_loop().create_future())
        timer: asyncio.Task[None] | None = None
        self._waits.append(wait)
        self._busy -= 1
        try:
            self._consider_parking()
            if what.wake_at is not None and not wait.over.done():
                timer = asyncio.get_running_loop().create_task(self._sleep_until(what.wake_at))
            await asyncio.wait({wait.over, timer} if timer else {wait.over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not wait.over.done():
                self._busy += 1
                wait.over.cancel()
            elif not wait.over.cancelled():
                # Asked for, so that nobody complains when we were cancelled at the same moment.
                wait.over.exception()
            self._waits.remove(wait)
            if timer is not None and not timer.done():
                timer.cancel()
        if not wait.over.cancelled():
            wait.over.result()
        elif timer is not None:
            timer.result()

    async def _sleep_until(self, moment: datetime) -> None:
        while (seconds := (moment - self.clock.now()).total_seconds()) > 0:
            await self.clock.sleep(seconds)

    def _end(self, wait: _Wait, error: BaseException | None) -> None:
        """End a wait. Its strand is busy from now on, although it has its turn only later."""
        if wait.over.done():
            return
        self._busy += 1
        if error is None:
            wait.over.set_result(None)
        else:
            wait.over.set_exception(error)

    def _consider_parking(self) -> None:
        if self._busy or not self._waits:
            return
        parked = Parked(waits=tuple(wait.what for wait in self._waits))
        if parked.wake_at is not None and (parked.wake_at - self.clock.now()).total_seconds() <= PARK_AFTER_SECONDS:
            return
        self._end(self._waits[-1], Park(parked))

    async def together(
        self, jobs: AsyncGenerator[Job, None], *, at_once: int, on_error: OnError, above: Group | None
    ) -> None:
        """Run jobs side by side, at most ``at_once``; return when all have ended.

        When one raises StepFailed: ``stop`` has the others stop before their next step and begins no more, ``finish``
        lets all run to their end; both then raise the first failure. ``continue`` is for jobs that raise none.
        Anything else that one raises stops the others, and is raised when they have stopped.
        """
        group = Group(above=above)
        failures: list[StepFailed] = []
        earlier: list[LaneStopped] = []
        # An async generator cannot be advanced by two at once.
        turn = asyncio.Lock()
        left = at_once

        async def strand() -> None:
            nonlocal left
            try:
                while group.stopped_by is None:
                    async with turn:
                        job = await anext(jobs, None)
                    if job is None:
                        return
                    try:
                        await job(group)
                    except StepFailed as failed:
                        failures.append(failed)
                        if on_error == "stop" or isinstance(failed, OutOfTime):
                            self._stop(group, failed)
                    except LaneStopped as stopped:
                        if group.stopped_by is not None:
                            raise
                        # On record from an earlier driver: the job that was the reason is found as well.
                        earlier.append(stopped)
            except BaseException as error:
                self._stop(group, error)
                raise
            finally:
                left -= 1
                # The last one hands its turn to whoever joins them.
                if left:
                    self._busy -= 1
                    self._consider_parking()

        self._busy += at_once - 1
        async with contextlib.aclosing(jobs):
            errors = await _joined([strand() for _ in range(at_once)])
        causes = [error for error in errors if not isinstance(error, LaneStopped)]
        if causes:
            raise min(causes, key=_rank)
        if failures:
            raise failures[0]
        if errors or earlier:
            raise (errors or earlier)[0]

    def _stop(self, group: Group, error: BaseException) -> None:
        """Have a group's strands stop before their next step, those that wait at once."""
        if group.stopped_by is None:
            group.stopped_by = error
        for wait in self._waits:
            if wait.group is not None and group in wait.group.chain():
                self._end(wait, LaneStopped(is_final=is_final(group.stopped_by)))


async def _joined(strands: list[Coroutine[Any, Any, None]]) -> list[BaseException]:
    """Run strands as tasks until all have ended; return what they raised. One that cancels us cancels them first."""
    tasks = [asyncio.ensure_future(strand) for strand in strands]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
    return [error for task in tasks if (error := _error_of(task)) is not None]


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _rank(error: BaseException) -> int:
    """How much an error outranks others that came at the same time."""
    order = (LeaseLost, asyncio.CancelledError, Stopped)
    for rank, kind in enumerate(order):
        if isinstance(error, kind):
            return rank
    return len(order)

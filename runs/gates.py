"""How a driver's requests wait for their turn at a provider that takes only so many in a while.

They are those of steps, of polls, and of what tells providers of triggers; ``look_gates`` are those of pages.

1. A request asks for a turn. What asks for the same while one question is under way is asked together next: a driver
   writes once for many, and never more than once for one.
2. A turn that comes soon is waited for in the loop, without a thread. One that comes later is kept on record with the
   attempt, which fails as NotYet: the engine tries again at that moment, and the turn is then its own.
3. Where too many wait already, no turn is given: the step asks again later.
4. A provider that answers "too many" closes the gate for whoever is counted with it. Turns from before are void then:
   whoever waited asks whether the gate was closed meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import DatabaseError
from pydantic import BaseModel

from integrations.sdk.declaration import Declaration
from integrations.sdk.errors import RateLimited, Transient
from integrations.sdk.limits import NotYet, RateLimit, TooLate
from integrations.words import gettext as _
from runs.clock import DatabaseClock
from runs.engine.ports import OpenCredential
from runs.gate_rows import CLOSED_SECONDS, HORIZON_SECONDS, closed_until, gate_close, turns_take

if TYPE_CHECKING:
    # Drivers have it: it brings aiohttp, several megabytes that the web process, which counts here too, need not hold.
    from runs.adapters import Readers

# The longest that a request waits in the loop, where its step has more time than that.
PATIENCE_SECONDS: Final = 20.0
# What a request that was waited for has to have left of its step's time.
_REQUEST_SECONDS: Final = 2.0
# A wait after which the gate may have been closed by somebody else.
_LOOK_AGAIN_SECONDS: Final = 0.5
# A turn that was kept is void so long after its moment: with many of them, all would pass at once.
_STALE_SECONDS: Final = 60.0
_TURNS_AT_ONCE: Final = 200


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What is counted together, and how much of it may be."""

    tenant_id: int
    key: str
    limit: RateLimit


def limit_of(declared: Declaration) -> RateLimit | None:
    """Return what requests are bound to: what the operator says of the provider, or else what is declared."""
    limit, rates = declared.rate_limit, settings.ENV.rate_limits
    if declared.provider.key not in rates:
        return limit
    rate = rates[declared.provider.key]
    if rate is None:
        return None
    requests = max(1, int(rate))
    # Of a provider that nothing was known of, it is counted for each credential.
    known = limit or RateLimit(requests=requests)
    return replace(known, requests=requests, seconds=requests / rate, burst=max(known.burst, requests))


def counted_of(declared: Declaration, inputs: Any, *, credential_id: int | None, tenant_id: int) -> Counted | None:
    """Return what the requests of an action or a trigger are counted with, None where there is no limit.

    Raises what the declaration's own ``rate_limit_key`` raises; without ``inputs`` it is not asked.
    """
    limit = limit_of(declared)
    if limit is None:
        return None
    of = credential_id or "" if limit.by_credential else ""
    named = "" if inputs is None or declared.rate_limit_key is None else declared.rate_limit_key(inputs)
    text = "\0".join((declared.provider.key, str(of), str(named)))
    key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Counted(tenant_id=tenant_id, key=key, limit=limit)


class Gates:
    """The gates of one driver."""

    def __init__(
        self,
        readers: Readers,
        clock: DatabaseClock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._readers, self._clock, self.sleep = readers, clock, sleep
        self._asking: dict[Counted, list[asyncio.Future[float | None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(
        self,
        declared: Declaration,
        inputs: BaseModel,
        credential: OpenCredential,
        *,
        tenant_id: int,
        held: datetime | None,
    ) -> StepGate | None:
        """Return what the requests of an attempt or a poll pass, None without a limit; ``held`` is a turn it has."""
        credential_id = getattr(credential.mark, "credential_id", None)
        counted = counted_of(declared, inputs, credential_id=credential_id, tenant_id=tenant_id)
        if counted is None:
            return None
        return StepGate(gates=self, counted=counted, provider=declared.provider.name, held=held)

    def now(self) -> float:
        return self._clock.now().timestamp()

    async def turn(self, counted: Counted) -> float | None:
        """Return the moment of a turn, None where too many wait already."""
        future: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        waiting = self._asking.get(counted)
        if waiting is None:
            self._asking[counted] = [future]
            task = asyncio.create_task(self._ask(counted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            waiting.append(future)
        return await future

    async def _ask(self, counted: Counted) -> None:
        try:
            while waiting := self._asking[counted][:_TURNS_AT_ONCE]:
                del self._asking[counted][: len(waiting)]
                await self._ask_for(counted, [future for future in waiting if not future.done()])
        finally:
            for future in self._asking.pop(counted):
                future.cancel()

    async def _ask_for(self, counted: Counted, waiting: list[asyncio.Future[float | None]]) -> None:
        take = partial(turns_take, tenant_id=counted.tenant_id, key=counted.key, limit=counted.limit)
        try:
            turns = await self._read(partial(take, count=len(waiting), now=self.now())) if waiting else None
        except Exception as error:
            for future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for place, future in enumerate(waiting):
            if not future.done():
                future.set_result(turns[place] if turns is not None and place < len(turns) else None)

    async def closed_until(self, counted: Counted) -> float:
        ask = partial(closed_until, tenant_id=counted.tenant_id, key=counted.key, now=self.now())
        found: float = await self._read(ask)
        return found

    async def close(self, counted: Counted, seconds: float) -> None:
        until = self.now() + min(seconds, CLOSED_SECONDS)
        await self._read(
            partial(gate_close, tenant_id=counted.tenant_id, key=counted.key, limit=counted.limit, until=until)
        )

    async def _read(self, work: Callable[[], Any]) -> Any:
        """Have a thread do it. Raises Transient while the database is away: done twice, it takes a turn too many."""
        try:
            return await self._readers.read(work)
        except DatabaseError:
            raise Transient(_("The database cannot be asked for a turn just now."), retry_after=5) from None


@dataclass(kw_only=True)
class StepGate:
    """The gate of one attempt or poll; ``held`` is the moment of the turn that its first request has already."""

    gates: Gates
    counted: Counted
    provider: str
    held: datetime | None
    _passed: bool = field(default=False, init=False)

    async def enter(self, seconds: float) -> None:
        await self._wait(seconds)
        self.held, self._passed = None, True

    async def close(self, seconds: float) -> None:
        await self.gates.close(self.counted, seconds)

    async def _kept(self) -> float | None:
        """Return the turn that was kept, unless it is long past or the gate was closed over it."""
        if self.held is None or self.gates.now() - (turn := self.held.timestamp()) > _STALE_SECONDS:
            return None
        return turn if await self.gates.closed_until(self.counted) <= turn + _LOOK_AGAIN_SECONDS else None

    async def _wait(self, seconds: float) -> None:
        # Once something was sent, a new attempt would send it again: then every second that is left is worth a wait.
        patience = seconds - _REQUEST_SECONDS if self._passed else min(PATIENCE_SECONDS, seconds / 2)
        # Also of a turn that was kept: a person may have a trigger looked at before its time.
        turn = await self._kept()
        while True:
            if turn is None:
                turn = await self.gates.turn(self.counted)
            if turn is None:
                # Spread out: those who are sent away together must not come back together.
                raise self._not_yet(HORIZON_SECONDS * random.uniform(0.4, 0.8), "later")  # noqa: S311
            wait = turn - self.gates.now()
            if wait > patience:
                raise self._not_yet(wait, "kept")
            if wait <= 0:
                return
            await self.gates.sleep(wait)
            patience -= wait
            if wait < _LOOK_AGAIN_SECONDS or await self.gates.closed_until(self.counted) <= turn:
                return
            turn = None

    def _not_yet(self, wait: float, turn: Any) -> RateLimited:
        told = {"name": self.provider, "seconds": f"{wait:.0f}"}
        message = _("%(name)s takes only so many requests in a while; this one's turn comes in %(seconds)s s.") % told
        if self._passed:
            return TooLate(message, retry_after=wait)
        return NotYet(message, retry_after=wait, turn=turn)

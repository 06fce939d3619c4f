"""The gate of what a person waits for in the web process: lists of choices, and looks at what a trigger would find.

Their requests are counted with those of steps and polls. A turn that comes soon is waited for; one that comes later is
not taken at all, so that nobody's work waits for a person who has gone on by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.db import DatabaseError, connection

from integrations.sdk.declaration import Declaration
from integrations.sdk.errors import RateLimited, Transient
from integrations.sdk.limits import NotYet, TooLate
from integrations.words import gettext as _
from runs.clock import database_now
from runs.gate_rows import CLOSED_SECONDS, gate_close, turn_comes_in, turns_take
from runs.gates import Counted, counted_of

# The longest that a request waits for its turn; a request that follows another has all the time there is.
PATIENCE_SECONDS: Final = 2.5
_REQUEST_SECONDS: Final = 1.0


def look_gate(
    declared: Declaration, inputs: Mapping[str, Any], *, credential_id: int | None, tenant_id: int
) -> LookGate | None:
    """Return the gate of a look by an action's or a trigger's credential, None where there is no limit.

    ``inputs`` may be incomplete, as they are while a step is written.
    """
    try:
        written = declared.input_schema.model_construct(**inputs)
        counted = counted_of(declared, written, credential_id=credential_id, tenant_id=tenant_id)
    except Exception:
        # What it is counted for is not filled in yet.
        counted = counted_of(declared, None, credential_id=credential_id, tenant_id=tenant_id)
    return None if counted is None else LookGate(counted=counted, provider=declared.provider.name)


@dataclass(kw_only=True)
class LookGate:
    """Asks the database in threads of its own, each of which closes its connection."""

    counted: Counted
    provider: str
    _passed: bool = field(default=False, init=False)

    async def enter(self, seconds: float) -> None:
        left = seconds - _REQUEST_SECONDS
        patience = max(0.0, left if self._passed else min(PATIENCE_SECONDS, left))
        taken, wait = await self._ask(partial(self._turn, patience))
        if not taken:
            raise self._not_now(wait)
        if wait > 0:
            await asyncio.sleep(wait)
        self._passed = True

    async def close(self, seconds: float) -> None:
        await self._ask(partial(self._close, min(seconds, CLOSED_SECONDS)))

    def _turn(self, patience: float) -> tuple[bool, float]:
        """Take a turn that comes within ``patience``; return whether there is one, and in how many seconds."""
        now, limit = database_now().timestamp(), self.counted.limit
        tenant_id, key = self.counted.tenant_id, self.counted.key
        turns = turns_take(tenant_id=tenant_id, key=key, limit=limit, count=1, now=now, ahead=patience)
        if turns is not None:
            return True, turns[0] - now
        return False, turn_comes_in(tenant_id=tenant_id, key=key, limit=limit, now=now)

    def _close(self, seconds: float) -> None:
        until = database_now().timestamp() + seconds
        gate_close(tenant_id=self.counted.tenant_id, key=self.counted.key, limit=self.counted.limit, until=until)

    async def _ask(self, work: Callable[[], Any]) -> Any:
        def closes() -> Any:
            with closing(connection):
                return work()

        try:
            return await asyncio.to_thread(closes)
        except DatabaseError:
            raise Transient(_("The database cannot be asked for a turn just now."), retry_after=5) from None

    def _not_now(self, wait: float) -> RateLimited:
        message = _("%(name)s takes only so many requests in a while, and those of runs come first just now.")
        told = TooLate if self._passed else partial(NotYet, turn="later")
        return told(message % {"name": self.provider}, retry_after=max(1.0, wait))

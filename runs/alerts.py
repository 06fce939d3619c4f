"""Alerts, by the driver that holds the bell: looks for what is due, and sends what is on its way.

Not in the ticker, for the reasons that ``checks`` gives; and nothing here is waited for by a run.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.sdk.errors import AuthError, IntegrationError
from orchestrator.alerts.deliveries import (
    AT_ONCE,
    Claim,
    deliveries_are_due,
    deliveries_claim,
    delivery_note,
    delivery_open,
)
from orchestrator.alerts.refused import NotSent
from orchestrator.alerts.sending import Outgoing, send
from orchestrator.vault.services import ResolvedCredential
from runs.adapters import PooledClients, Readers
from runs.alert_looks import look
from runs.clock import DatabaseClock
from runs.credentials import VaultCredentials
from runs.writer import Job, written

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 5.0


class Alerts:
    """Alerts for one driver; ``is_first`` says whether it is the one of its machine that sees to them."""

    def __init__(
        self,
        *,
        readers: Readers,
        credentials: VaultCredentials,
        clients: PooledClients,
        clock: DatabaseClock,
        put: Callable[[Job], None],
        is_first: Callable[[], bool],
    ) -> None:
        self._readers, self._credentials, self._clients, self._clock = readers, credentials, clients, clock
        self._put, self._is_first = put, is_first
        self._tasks: dict[asyncio.Task[None], Claim] = {}

    async def watch(self) -> None:
        """Look and send now and then until cancelled."""
        while True:
            # Drivers of several machines that began together drift apart.
            await asyncio.sleep(PAUSE_SECONDS * (0.5 + random.random()))  # noqa: S311  (spreads looks)
            if not self._is_first():
                continue
            try:
                await self.step()
            except DatabaseError as error:
                log.warning("The database cannot be asked for alerts: %s", type(error).__name__)
            except Exception:
                log.exception("Alerts could not be seen to")

    async def step(self) -> int:
        """Look, if that is due, and begin to send what is due, as far as there is room; return how many messages."""
        # A reader's thread: made again it changes nothing, and no run waits for its transactions.
        await self._readers.read(lambda: look(now=self._clock.now()))
        room = AT_ONCE - len(self._tasks)
        if room <= 0 or not await self._readers.read(lambda: deliveries_are_due(now=self._clock.now())):
            return 0
        busy = Counter(claim.tenant_id for claim in self._tasks.values())
        work = partial(deliveries_claim, now=self._clock.now(), room=room, busy=busy)
        claims: list[Claim] = await written(self._put, work)
        for claim in claims:
            task = asyncio.create_task(self._send(claim))
            self._tasks[task] = claim
            task.add_done_callback(self._ended)
        return len(claims)

    async def settle(self) -> None:
        """Wait for the messages that are under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def close(self) -> None:
        """Stop what is under way: its claim runs out, and whoever sends then sends it."""
        for task in list(self._tasks):
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        claim = self._tasks.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Alert %s could not be seen to: %s", claim.delivery_id, type(error).__name__)

    async def _send(self, claim: Claim) -> None:
        opened = await self._readers.read(lambda: delivery_open(claim))
        credential = opened.credential if isinstance(opened, Outgoing) else None
        if credential is not None and credential.is_due(timezone.now()):
            opened = await self._renewed(claim, credential)
        if opened is None:
            return
        failure = opened if isinstance(opened, NotSent) else await self._tried(opened)
        if failure is not None:
            log.warning("Alert %s, try %s: %s", claim.delivery_id, claim.attempt, failure.message)
        note = partial(delivery_note, claim=claim, failure=failure, now=self._clock.now())
        await written(self._put, note)

    async def _renewed(self, claim: Claim, credential: ResolvedCredential) -> Outgoing | NotSent | None:
        """Return the message with new tokens, or why there are none."""
        try:
            await self._credentials.renew(claim.tenant_id, credential)
        except IntegrationError as error:
            return NotSent(error.message, permanent=isinstance(error, AuthError))
        return await self._readers.read(lambda: delivery_open(claim))

    async def _tried(self, outgoing: Outgoing) -> NotSent | None:
        """Send, and return why it did not arrive, None where it did."""
        try:
            await send(outgoing, self._clients.pool)
        except NotSent as failure:
            return failure
        except Exception as error:
            # A defect of ours: its text may hold anything.
            return NotSent(_("It could not be sent (%(error)s).") % {"error": type(error).__name__})
        return None

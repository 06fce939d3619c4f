"""Asks providers every few hours whether credentials still work, in the loop of the driver that holds the bell.

1. Now and then it asks whether something is due; where nothing is, that is one query and no write.
2. A few are claimed in a commit, then opened and asked about outside of any transaction, then noted in a commit.
3. When the driver ends in between, what was claimed is due again a few minutes later, for whoever drives then.

Not in the ticker: it must not wait for anybody, and its process opens no secret. Not as a message of its own: it would
wait behind a driver that keeps its worker for minutes, or take a worker from the runs.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from django.utils import timezone

from integrations.sdk.errors import IntegrationError
from orchestrator.vault import checks
from orchestrator.vault.checks import Claim, Opened, Verdict
from runs.adapters import Readers
from runs.credentials import VaultCredentials
from runs.writer import Job, written

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 20.0
EXPIRY_SECONDS: Final = 600.0


class CredentialChecks:
    """Looks for one driver; ``is_first`` says whether it is the one of its machine that looks."""

    def __init__(
        self,
        *,
        readers: Readers,
        credentials: VaultCredentials,
        put: Callable[[Job], None],
        is_first: Callable[[], bool],
    ) -> None:
        self._readers, self._credentials, self._put, self._is_first = readers, credentials, put, is_first
        self._expiry_due = 0.0

    async def watch(self) -> None:
        """Look now and then until cancelled."""
        while True:
            # Drivers of several machines that began together drift apart.
            await asyncio.sleep(LOOK_SECONDS * (0.5 + random.random()))  # noqa: S311  (spreads looks)
            if not self._is_first():
                continue
            try:
                await self.look()
            except Exception as error:
                # The next look is soon, and nothing waits for this one.
                log.warning("Credentials could not be checked (%s)", type(error).__name__)

    async def look(self) -> int:
        """Check what is due, a few at most; return how many."""
        await self._mind_the_calendar()
        if not await self._readers.read(lambda: checks.checks_are_due(now=timezone.now())):
            return 0
        claims: list[Claim] = await written(self._put, lambda: checks.checks_claim(now=timezone.now()))
        await asyncio.gather(*(self._check(claim) for claim in claims))
        return len(claims)

    async def _mind_the_calendar(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._expiry_due:
            self._expiry_due = now + EXPIRY_SECONDS
            await written(self._put, lambda: checks.credentials_mark_expiring(now=timezone.now()))

    async def _check(self, claim: Claim) -> None:
        opened = await self._readers.read(lambda: checks.check_open(claim))
        # What is heard is about this secret, not about one that somebody enters meanwhile.
        secret_set_at: datetime | None = opened.resolved.secret_set_at if isinstance(opened, Opened) else None
        if isinstance(opened, Opened) and opened.resolved.is_due(timezone.now()):
            opened = await self._renewed(claim, opened)
        verdict: Verdict
        if isinstance(opened, Opened):
            verdict, secret_set_at = await checks.ask(opened), opened.resolved.secret_set_at
        else:
            verdict = opened
        await written(self._put, partial(checks.check_note, claim=claim, verdict=verdict, secret_set_at=secret_set_at))

    async def _renewed(self, claim: Claim, opened: Opened) -> Opened | Verdict:
        """Return the credential with new tokens, or what it means that there are none."""
        try:
            await self._credentials.renew(claim.tenant_id, opened.resolved)
        except IntegrationError as error:
            return checks.refusal(error, opened.resolved)
        return await self._readers.read(lambda: checks.check_open(claim))

"""Opened credentials of one driver: kept for a moment, renewed in time, and what providers said of them noted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from django.utils import timezone

from integrations.sdk.errors import Transient
from orchestrator.tenants.models import Tenant
from orchestrator.vault import renewal
from orchestrator.vault.checks import use_noted
from orchestrator.vault.operators import operators_account
from orchestrator.vault.services import (
    CredentialUnavailable,
    ResolvedCredential,
    SecretsUnreadable,
    resolve_credential,
)
from runs.adapters import Readers
from runs.engine.ports import NoCredential, OpenCredential, SecretsAway
from runs.writer import Job, written

log = logging.getLogger(__name__)

# A credential that somebody deletes or changes is out of use this much later.
CREDENTIAL_SECONDS: Final = 1.0
# The same news of a credential is told again after this time: somebody else may have written something else.
NEWS_SECONDS: Final = 60.0
# A secret that is refused is renewed for that at most this often.
REFUSED_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class _Mark:
    """Which secret of which credential was opened."""

    tenant_id: int
    credential_id: int
    secret_set_at: datetime


class VaultCredentials:
    """Opened credentials, each kept for a second at most; ``put`` has somebody else write what became of them.

    A sign-in whose token is about to end is renewed first: by one process, whoever else asks waits for it.
    """

    def __init__(self, readers: Readers, put: Callable[[Job], None]) -> None:
        self._readers, self._put = readers, put
        self._news: dict[tuple[_Mark, bool], float] = {}
        self._open: dict[tuple[int, str, int | None], tuple[float, asyncio.Future[OpenCredential]]] = {}
        self._renewals: set[asyncio.Task[None]] = set()
        # When a refused secret was renewed last, and which.
        self._refusals: dict[tuple[int, int], tuple[float, datetime]] = {}

    async def open(self, *, tenant_id: int, name: str, credential_id: int | None) -> OpenCredential:
        key = (tenant_id, name, credential_id)
        at, future = self._open.get(key, (0.0, None))
        if future is None or time.monotonic() - at > CREDENTIAL_SECONDS:
            self._forget_old()
            future = asyncio.ensure_future(self._fresh(tenant_id, name, credential_id))
            self._open[key] = (time.monotonic(), future)
        # Shielded: the run that asked first may be stopped while others wait for the same.
        return await asyncio.shield(future)

    def operators(self, action: str) -> OpenCredential | None:
        found = operators_account(action)
        if found is None:
            return None
        return OpenCredential(auth=found.auth, settings=found.settings, secrets=found.secrets)

    async def _fresh(self, tenant_id: int, name: str, credential_id: int | None) -> OpenCredential:
        found = await self._readers.read(lambda: _opened(tenant_id, name, credential_id))
        if found.is_due(timezone.now()):
            return await self._renewed(tenant_id, found)
        return self._usable(tenant_id, found)

    async def _renewed(self, tenant_id: int, found: ResolvedCredential) -> OpenCredential:
        """Return a credential with new tokens. Raises what ``renew`` raises, and what opening it does."""
        await self.renew(tenant_id, found)
        return self._usable(tenant_id, await self._again(tenant_id, found))

    async def _after_refusal(self, tenant_id: int, found: ResolvedCredential) -> OpenCredential | None:
        """Return a credential with another secret than a refused one, None where that is not worth a try.

        Whoever refuses a secret that was renewed for a refusal just before refuses every one: without this bound each
        request to it would ask the token endpoint.
        """
        try:
            again = await self._again(tenant_id, found)
            if again.secret_set_at != found.secret_set_at:
                return self._usable(tenant_id, again)
            now = time.monotonic()
            self._refusals = {key: last for key, last in self._refusals.items() if now - last[0] < REFUSED_SECONDS}
            _at, renewed = self._refusals.setdefault((tenant_id, found.credential_id), (now, found.secret_set_at))
            return await self._renewed(tenant_id, found) if renewed == found.secret_set_at else None
        except SecretsAway as error:
            # That would begin the whole step anew, and this is in the middle of it.
            raise Transient(str(error)) from None

    async def _again(self, tenant_id: int, found: ResolvedCredential) -> ResolvedCredential:
        return await self._readers.read(lambda: _opened(tenant_id, found.name, found.credential_id))

    async def renew(self, tenant_id: int, found: ResolvedCredential) -> None:
        """See that a credential has new tokens. Raises what ``renewal.renew`` raises."""
        task = asyncio.ensure_future(self._renew(tenant_id, found))
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)
        # Whoever waits may be stopped: new tokens that were given out must be stored all the same.
        await asyncio.shield(task)

    async def settle(self, seconds: float) -> None:
        """Wait, for so long at most, for the renewals under way, whose old tokens may be worth nothing by now."""
        if self._renewals:
            await asyncio.wait(list(self._renewals), timeout=seconds)

    async def _renew(self, tenant_id: int, found: ResolvedCredential) -> None:
        rows = Tenant.objects.filter(pk=tenant_id).values_list("egress_allow", flat=True)
        allowed = await self._readers.read(rows.first)
        ask = renewal.ask_of(tenant_id, found)
        await renewal.renew(ask, egress_allow=allowed or (), write=lambda work: written(self._put, work))

    def _usable(self, tenant_id: int, found: ResolvedCredential) -> OpenCredential:
        mark = _Mark(tenant_id=tenant_id, credential_id=found.credential_id, secret_set_at=found.secret_set_at)
        return OpenCredential(
            mark=mark,
            auth=found.auth,
            settings=found.settings,
            secrets=found.secrets,
            renew=(lambda: self._after_refusal(tenant_id, found)) if found.renewable else None,
        )

    def taken(self, credential: OpenCredential, *, run_id: int | None) -> None:
        self._tell(credential.mark, None, run_id)

    def refused(self, credential: OpenCredential, message: str, *, run_id: int | None) -> None:
        self._tell(credential.mark, message, run_id)

    def _tell(self, mark: _Mark, refused: str | None, run_id: int | None) -> None:
        now, news = time.monotonic(), (mark, refused is None)
        if now - self._news.get(news, float("-inf")) < NEWS_SECONDS:
            return
        self._news = {kept: at for kept, at in self._news.items() if now - at < NEWS_SECONDS}
        # What was the case before is news again.
        self._news.pop((mark, refused is not None), None)
        self._news[news] = now
        note = partial(
            use_noted,
            tenant_id=mark.tenant_id,
            credential_id=mark.credential_id,
            secret_set_at=mark.secret_set_at,
            refused=refused,
            run_id=run_id,
        )
        self._put(Job(work=note, done=lambda _, error: None))

    def _forget_old(self) -> None:
        limit = time.monotonic() - CREDENTIAL_SECONDS
        self._open = {key: kept for key, kept in self._open.items() if kept[0] > limit}


def _opened(tenant_id: int, name: str, credential_id: int | None) -> ResolvedCredential:
    try:
        return resolve_credential(tenant_id=tenant_id, credential_id=credential_id, name=name)
    except SecretsUnreadable as error:
        log.error("Secrets cannot be read, so runs wait: %s", error, extra={"tenant_id": str(tenant_id)})
        raise SecretsAway(str(error)) from None
    except CredentialUnavailable as error:
        raise NoCredential(str(error)) from None

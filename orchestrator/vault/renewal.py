"""New tokens for a sign-in: asked for by one process at a time, and stored before anybody uses them.

1. ``renewal_claim`` takes the credential by compare-and-set, for as long as an answer may take.
2. Whoever has it asks the token endpoint, outside of any transaction; the others wait until it has another secret.
3. ``renewal_keep`` seals the new tokens in one commit, only where the secret is still the one that was renewed: what a
   person entered meanwhile stays. A refresh token that was exchanged for another one is never used before that.
4. A refusal for good makes the credential's health ``reconnect``; anything else gives it back.

A process that dies between the answer and its commit takes a rotated refresh token with it. Then the provider refuses
the next renewal, and a person connects again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeAlias

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.sdk import oauth
from integrations.sdk.errors import AuthError, IntegrationError
from integrations.sdk.oauth import TokenRefused, Tokens
from orchestrator.errors import ServiceError
from orchestrator.tenants import audit
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.oauth_apps import Renewable, token_client
from orchestrator.vault.services import CredentialUnavailable, ResolvedCredential, resolve_credential, tokens_keep

# Longer than an answer may take, and its commit.
_CLAIM: Final = timedelta(seconds=30)
_LOOK_SECONDS: Final = 0.2
_WAIT_SECONDS: Final = 35.0

Write: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]


class Standing(StrEnum):
    """What came of a claim: it is ours, somebody else's, or the secret is another one already."""

    OURS = "ours"
    BUSY = "busy"
    OVER = "over"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A renewal: whose, of the secret set at ``seen``, and with what."""

    tenant_id: int
    credential_id: int
    name: str
    seen: datetime
    renewable: Renewable
    secrets: tuple[str, ...] = field(repr=False)


def ask_of(tenant_id: int, resolved: ResolvedCredential) -> Ask:
    """Return the renewal of an opened credential that is renewable."""
    renewable = resolved.renewable
    assert renewable is not None
    app_secret = (renewable.app.secret,) if renewable.app.secret else ()
    return Ask(
        tenant_id=tenant_id,
        credential_id=resolved.credential_id,
        name=resolved.name,
        seen=resolved.secret_set_at,
        renewable=renewable,
        secrets=(*resolved.secrets, *app_secret),
    )


@transaction.atomic
def renewal_claim(ask: Ask, *, now: datetime) -> Standing:
    """Take a credential to renew it, for everybody."""
    rows = _rows(ask)
    # One that ends later than any can is of a clock that was wrong.
    free = Q(renewing_until=None) | Q(renewing_until__lte=now) | Q(renewing_until__gt=now + 2 * _CLAIM)
    if rows.filter(free).update(renewing_until=now + _CLAIM):
        return Standing.OURS
    return Standing.BUSY if rows.exists() else Standing.OVER


@transaction.atomic
def renewal_keep(ask: Ask, tokens: Tokens) -> Exception | None:
    """Store new tokens; return what is against it, which must not undo what is written beside it."""
    try:
        with transaction.atomic():
            if tokens_keep(tenant_id=ask.tenant_id, credential_id=ask.credential_id, seen=ask.seen, tokens=tokens):
                Credential.objects.for_tenant(ask.tenant_id).filter(
                    pk=ask.credential_id, health__in=(Health.NOT_CHECKED, Health.RECONNECT)
                ).update(health=Health.WORKING, health_message="", health_checked_at=timezone.now())
    except (CredentialUnavailable, ServiceError) as error:
        _rows(ask).update(renewing_until=None)
        return error
    return None


@transaction.atomic
def renewal_give_up(ask: Ask, refused: str) -> None:
    """Give a credential back as it was; ``refused`` is why it has to be connected again, else empty."""
    rows = _rows(ask)
    rows.update(renewing_until=None)
    now = timezone.now()
    if refused and rows.exclude(health=Health.RECONNECT).update(
        health=Health.RECONNECT, health_message=refused[:500], health_checked_at=now
    ):
        row = rows.defer("sealed").select_related("tenant").get()
        audit.record(actor=system_actor(row.tenant), action="credential.rejected", target=row)


def _rows(ask: Ask) -> Any:
    return Credential.objects.for_tenant(ask.tenant_id).filter(pk=ask.credential_id, secret_set_at=ask.seen)


async def renew(ask: Ask, *, egress_allow: Sequence[str], write: Write) -> None:
    """See that a credential has another secret than the one that was seen, or that its token is good for now.

    ``write`` does a piece of work that commits, in whatever thread may. Raises AuthError when the credential has to be
    connected again, and what says why it could not be renewed just now.
    """
    ends = time.monotonic() + _WAIT_SECONDS
    while (standing := await write(partial(renewal_claim, ask, now=timezone.now()))) is Standing.BUSY:
        if time.monotonic() > ends:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    if standing is Standing.OVER:
        return
    try:
        tokens = await _asked(ask, egress_allow)
    except BaseException as error:
        await write(partial(renewal_give_up, ask, _final_words(ask, error)))
        _raise_for(ask, error)
        return
    if (against := await write(partial(renewal_keep, ask, tokens))) is not None:
        raise AuthError(str(against))


def fresh_credential(
    *, tenant: Tenant, credential_id: int | None = None, name: str = "", is_use: bool = True
) -> ResolvedCredential:
    """Open a credential as ``resolve_credential`` does, renewed first where that is due, which may take some seconds.

    Raises CredentialUnavailable, also where it could not be renewed. Not for a loop's thread.
    """
    found = resolve_credential(tenant_id=tenant.pk, credential_id=credential_id, name=name, is_use=is_use)
    if not found.is_due(timezone.now()):
        return found
    try:
        _renew_here(ask_of(tenant.pk, found), tuple(tenant.egress_allow or ()))
    except IntegrationError as error:
        raise CredentialUnavailable(" ".join(filter(None, (str(error), error.hint)))) from None
    return resolve_credential(tenant_id=tenant.pk, credential_id=credential_id, name=name, is_use=is_use)


def _renew_here(ask: Ask, egress_allow: Sequence[str]) -> None:
    """Do what ``renew`` does, in this thread."""
    ends = time.monotonic() + _WAIT_SECONDS
    while (standing := renewal_claim(ask, now=timezone.now())) is Standing.BUSY:
        if time.monotonic() > ends:
            return
        time.sleep(_LOOK_SECONDS)
    if standing is Standing.OVER:
        return
    try:
        tokens = asyncio.run(_asked(ask, egress_allow))
    except BaseException as error:
        renewal_give_up(ask, _final_words(ask, error))
        _raise_for(ask, error)
        return
    if (against := renewal_keep(ask, tokens)) is not None:
        raise AuthError(str(against))


async def _asked(ask: Ask, egress_allow: Sequence[str]) -> Tokens:
    """Ask the token endpoint. Raises IntegrationError."""
    renewable = ask.renewable
    sign_in = renewable.sign_in
    async with token_client(sign_in, egress_allow=egress_allow, secrets=ask.secrets) as http:
        now = timezone.now()
        if not sign_in.asks_a_person:
            return await oauth.for_app(http, sign_in.endpoints, renewable.app, now=now)
        return await oauth.renew(http, sign_in.endpoints, renewable.app, refresh_token=renewable.refresh_token, now=now)


def _final_words(ask: Ask, error: BaseException) -> str:
    """Return why a credential has to be connected again, empty where it does not."""
    if not isinstance(error, TokenRefused):
        return ""
    words = {"provider": ask.renewable.sign_in.name, "why": error.message}
    if error.is_about_the_app:
        return _("%(provider)s does not know the app any more: check its client id and secret. %(why)s") % words
    if not ask.renewable.sign_in.asks_a_person:
        return _("%(provider)s gave no token: check the app and its scopes. %(why)s") % words
    return _("%(provider)s ended the sign-in: connect it again. %(why)s") % words


def _raise_for(ask: Ask, error: BaseException) -> None:
    """Raise what a step is told, unless its token is good for a while yet."""
    if final := _final_words(ask, error):
        raise AuthError(final, hint=_("Open the credential and press Connect.")) from None
    if isinstance(error, IntegrationError) and ask.renewable.ends_at > timezone.now():
        return
    raise error

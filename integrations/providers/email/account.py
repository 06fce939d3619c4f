"""Whose mail servers a credential names: asked by signing in to each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from integrations.providers.email.client import opened
from integrations.providers.email.server import DEFAULT_PORT, OtherProtocol
from integrations.providers.email.smtp import IMAP_PORTS, outgoing, signed_in
from integrations.sdk import Account, AuthContext, Permanent
from integrations.sdk.dialling import Dial
from integrations.words import gettext as _

CHECK_SECONDS: Final = 15.0


async def account(ctx: AuthContext) -> Account:
    """Sign in to the mail server that the credential names, by IMAP or SMTP, whichever it speaks, or to both."""
    return await asyncio.to_thread(_account, ctx)


def _account(ctx: AuthContext) -> Account:
    if ctx.dial is None:
        raise Permanent(_("Only HTTP is spoken from here."))
    settings = ctx.settings
    if settings.get("smtp_host") or settings.get("smtp_port"):
        _try_imap(ctx.dial, settings, ctx.auth)
        _try_smtp(ctx.dial, outgoing(settings), ctx.auth)
        return Account(label=str(ctx.auth["username"]))
    port = int(settings.get("port") or DEFAULT_PORT)
    ways: list[Callable[[Dial, Mapping[str, Any], Mapping[str, Any]], None]] = [_try_smtp, _try_imap]
    first, second = reversed(ways) if port in IMAP_PORTS else ways
    try:
        first(ctx.dial, settings, ctx.auth)
    except OtherProtocol:
        second(ctx.dial, settings, ctx.auth)
    return Account(label=str(ctx.auth["username"]))


def _try_imap(dial: Dial, place: Mapping[str, Any], auth: Mapping[str, Any]) -> None:
    with opened(dial, place, auth, name="INBOX", writes=False, seconds=CHECK_SECONDS):
        pass


def _try_smtp(dial: Dial, place: Mapping[str, Any], auth: Mapping[str, Any]) -> None:
    with signed_in(dial, place, auth, seconds=CHECK_SECONDS):
        pass

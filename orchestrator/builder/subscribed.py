"""How it stands with the provider that is to call a trigger, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.registry import registry
from orchestrator.builder.spoken import words_of
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.vault.crypto import VaultError
from runs.states import SubscriptionStatus
from runs.subscription_secrets import opened
from runs.subscription_state import subscription_of, told

if TYPE_CHECKING:
    from orchestrator.builder.board import Board
    from orchestrator.workflows.models import Trigger
    from runs.models import Subscription


@dataclass(frozen=True, kw_only=True)
class Subscribed:
    """``words`` say how it stands, ``error`` what failed of late; ``secret`` is there where a person enters it."""

    words: str
    until: datetime | None = None
    next: datetime | None = None
    error: str = ""
    unread: str = ""
    by_hand: bool = False
    secret: str = ""
    help: str = ""
    may_retry: bool = False
    mark: str = ""


def subscribed(board: Board, trigger: Trigger) -> Subscribed:
    """Return how it stands with a trigger's provider."""
    live = trigger.live_config is not None and board.workflow.enabled
    config = (trigger.live_config if live else trigger.config) or {}
    declared = registry.webhook(str(config.get("trigger")))
    provider = words_of(declared).provider if declared else _("the provider")
    by_hand = declared is not None and declared.subscribe is None
    theirs = declared is not None and declared.has_their_secret
    row = subscription_of(trigger)
    may_read = board.actor.may(MINIMUM_ROLE["trigger.address.read"])
    fails = row is not None and row.error is not None
    return Subscribed(
        words=_words(row, provider, live=live, by_hand=by_hand, theirs=theirs),
        until=row.expires_at if row is not None and live else None,
        next=row.next_at if row is not None and fails and row.since is None else None,
        error=_error(row, live=live),
        unread=str(row.unread.get("message")) if row is not None and row.unread and live else "",
        by_hand=by_hand,
        secret=_secret(row) if row is not None and by_hand and may_read and not theirs else "",
        help=declared.help if declared else "",
        may_retry=live and fails,
        mark="-".join(str(part) for part in _mark(row)),
    )


def _words(row: Subscription | None, provider: str, *, live: bool, by_hand: bool, theirs: bool) -> str:
    named = {"provider": provider}
    if theirs and not live:
        return _("From when you publish, this address answers %(provider)s: enter it there then.") % named
    if theirs:
        return _("Enter this address at %(provider)s. What comes is checked with the secret in the credential.") % named
    if by_hand:
        if row is None:
            return _("When you publish, a secret is here to enter at %(provider)s with the address.") % named
        return _("Enter this address and secret at %(provider)s, which does not take them from here.") % named
    if not live:
        return _("From when you publish, %(provider)s is asked to call this trigger.") % named
    if row is None or row.status == SubscriptionStatus.PENDING:
        return "" if row is not None and row.error else _("Subscribing…")
    if row.expires_at is not None:
        ended = row.expires_at <= timezone.now()
        return _("The subscription has ended.") if ended else _("Subscribed until")
    return _("Subscribed: %(provider)s calls this trigger.") % named


def _error(row: Subscription | None, *, live: bool) -> str:
    """Return what failed of late, in a few sentences."""
    if row is None or not live:
        return ""
    if row.error is not None:
        return told(row.error)
    if row.credential_name and row.credential_id is None:
        return _("Its credential %(name)s is gone. Choose another, and publish.") % {"name": row.credential_name}
    return ""


def _secret(row: Subscription) -> str:
    try:
        return opened(row).secret
    except VaultError:
        return ""


def _mark(row: Subscription | None) -> tuple[object, ...]:
    """Return what changes whenever something else is to be said."""
    if row is None:
        return ("none",)
    return (row.status, row.failures, row.since is not None, row.told_at and row.told_at.timestamp(), bool(row.unread))

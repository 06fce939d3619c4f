"""Tells providers of triggers that they are to call, in the loop of the driver that holds the bell.

``rounds`` says how a few are told at once; ``subscription_rows`` what is to be told, and what becomes of an answer.
Here is how a provider is told, and what its answer means.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db import DatabaseError

from integrations.registry import registry
from integrations.sdk.errors import AuthError, InputError, NotFound
from integrations.sdk.limits import NotYet
from integrations.sdk.webhook import Subscription as Told
from integrations.sdk.webhook import WebhookTrigger, subscribed
from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.egress import egress_policy
from orchestrator.flow.events import backoff, next_look
from orchestrator.large import TAKEN, give_room
from orchestrator.vault.redaction import Redactor
from runs.engine.classify import failure_of
from runs.engine.ports import OpenCredential, SecretsAway
from runs.engine.records import Failure
from runs.engine.timing import Late, within
from runs.engine.turns import passing_on
from runs.poll_context import checked_inputs, poll_context
from runs.rounds import Rounds
from runs.states import FailureKind
from runs.subscription_rows import (
    Claim,
    Outcome,
    Work,
    seconds_of,
    subscription_finish,
    subscriptions_claim,
    subscriptions_next_at,
    subscriptions_plan,
    subscriptions_release,
)
from runs.writer import written

log = logging.getLogger(__name__)

MAX_STATE_BYTES: Final = 64 * 1024
AWAY: Final = timedelta(seconds=30)
_GRACE: Final = 0.25
_NOTHING: Final = OpenCredential()


class _Unfit(Exception):
    """A provider's function gave a state that cannot be kept."""


class Subscriptions(Rounds[Claim]):
    """Subscriptions for one driver."""

    def next_at(self) -> datetime | None:
        return subscriptions_next_at()

    def claim(self, *, now: datetime, room: int, busy: Sequence[int]) -> list[Claim]:
        subscriptions_plan(now=now)
        return subscriptions_claim(now=now, room=room, busy=busy)

    def release(self, claims: Sequence[Claim], *, now: datetime) -> None:
        subscriptions_release(claims, now=now)

    async def do(self, claim: Claim) -> None:
        """Tell the provider, and have written what it said."""
        try:
            outcome = await self._outcome(claim)
        finally:
            if TAKEN:
                give_room()
        await written(self.put, partial(subscription_finish, claim, outcome))

    async def _outcome(self, claim: Claim) -> Outcome:
        redactor = Redactor((claim.shared.secret, claim.shared.path) if claim.shared else ())
        credential = _NOTHING
        trigger = registry.webhook(claim.declared)
        try:
            trigger = _registered(claim, trigger)
            if claim.credential_name and trigger.accepted_auth:
                opened = await self.credentials.open(
                    tenant_id=claim.tenant_id, name=claim.credential_name, credential_id=claim.credential_id
                )
                credential = opened.told_to(redactor)
            told = await self._told(claim, trigger, credential, redactor)
            if credential is not _NOTHING and not trigger.any_provider:
                self.credentials.taken(credential, run_id=None)
            now = self.clock.now()
            expires = told.expires_at if told is not None else claim.told.expires_at
            return Outcome(at=now, next_at=next_look(now, expires), told=told)
        except SecretsAway:
            failure = Failure(
                kind=FailureKind.AUTH, message=_("Credentials cannot be opened just now."), retryable=True
            )
            return replace(self._failed(claim, failure), next_at=self.clock.now() + AWAY, counts=False)
        except NotFound as error:
            if claim.work is Work.SUBSCRIBE:
                return self._failed(claim, failure_of(error, redactor))
            # The provider knows nothing of it: that is what an ending one wants, and any other is made anew.
            return Outcome(at=self.clock.now(), next_at=self.clock.now(), gone=True)
        except NotYet as error:
            return self._later(claim, error)
        except _Unfit as error:
            return self._failed(claim, Failure(kind=FailureKind.INTERNAL, message=str(error)))
        except Late:
            seconds = seconds_of(claim.declared)
            return self._failed(
                claim,
                Failure(
                    kind=FailureKind.TIMEOUT, message=_("No answer within %(seconds).3g s.") % {"seconds": seconds}
                ),
            )
        except DatabaseError:
            raise
        except (Exception, SystemExit) as error:
            failure = failure_of(error, redactor)
            if failure.kind is FailureKind.INTERNAL:
                # Where, not what: an exception's own text may hold anything.
                frames = "".join(traceback.format_tb(error.__traceback__))
                log.error("%s: %s\n%s", claim.label, type(error).__name__, frames)
            refused = isinstance(error, AuthError) and trigger is not None and not trigger.any_provider
            if refused and credential is not _NOTHING:
                self.credentials.refused(credential, failure.message, run_id=None)
            return self._failed(claim, failure)

    async def _told(
        self, claim: Claim, trigger: WebhookTrigger, credential: OpenCredential, redactor: Redactor
    ) -> Told | None:
        """Call the provider's function within the time there is; return what it said, None for an ending."""
        seconds = seconds_of(claim.declared)
        inputs = checked_inputs(trigger, claim.inputs, credential)
        gate = self.gates.of(trigger, inputs, credential, tenant_id=claim.tenant_id, held=claim.turn)
        context = poll_context(
            trigger,
            inputs,
            credential,
            gate=gate,
            pool=self.clients.pool,
            policy=egress_policy(),
            egress_allow=claim.egress_allow,
            deadline=self.clock.now() + timedelta(seconds=seconds),
            tenant_id=claim.tenant_id,
            idempotency_key=claim.idempotency_key,
        )
        if claim.work is Work.UNSUBSCRIBE:
            if trigger.unsubscribe is not None:
                ended = trigger.unsubscribe(context, claim.told)
                async with passing_on(gate):
                    await within(seconds + _GRACE, ended, waits=_nothing)
            return None
        if claim.work is Work.RENEW and trigger.renew is None and claim.told.expires_at is None:
            # Nothing to ask: the credential is there, and that was all to be looked at.
            return None
        if claim.shared is None:
            raise InputError(_("The secret of this trigger cannot be opened."), hint=_("Publish the workflow again."))
        known = claim.told if claim.work is Work.RENEW else None
        made = subscribed(trigger, context, claim.address, claim.shared.secret, known)
        async with passing_on(gate):
            told = await within(seconds + _GRACE, made, waits=_nothing)
        return _checked(told, redactor, claim)

    def _later(self, claim: Claim, error: NotYet) -> Outcome:
        """Return what is written of a provider that was told nothing: others' requests come first."""
        waits = self._failed(claim, failure_of(error, Redactor()))
        at = waits.at + timedelta(seconds=error.retry_after or 0)
        kept = {"turn": at.isoformat()} if error.turn == "kept" else {}
        return replace(waits, next_at=at, counts=False, error={**(waits.error or {}), **kept})

    def _failed(self, claim: Claim, failure: Failure) -> Outcome:
        now = self.clock.now()
        error = {"kind": failure.kind.value, "message": failure.message, "hint": failure.hint}
        waits = backoff(claim.failures + 1, retry_after=failure.retry_after)
        return Outcome(at=now, next_at=now + waits, error=error)


def _registered(claim: Claim, trigger: WebhookTrigger | None) -> WebhookTrigger:
    if trigger is None:
        raise InputError(
            _("There is no trigger %(declared)r on this worker.") % {"declared": claim.declared},
            hint=_("Install its integration on every worker."),
        )
    if not claim.address and claim.work is not Work.UNSUBSCRIBE:
        raise InputError(
            _("The provider cannot be told an address: BASE_URL is not set."),
            hint=_("The operator sets BASE_URL to the address at which this installation is reached from outside."),
        )
    return trigger


def _checked(told: Told, redactor: Redactor, claim: Claim) -> Told:
    """Return what a provider said as it is stored. Raises _Unfit for what must not be, or cannot."""
    try:
        text = jsongate.dumps(jsongate.check({"id": told.id, "state": told.state}))
    except jsongate.BadJSON as error:
        raise _Unfit(f"{claim.declared} gave a state that cannot be kept: {error}.") from None
    if len(text) > MAX_STATE_BYTES:
        raise _Unfit(f"{claim.declared} gave a state of more than {MAX_STATE_BYTES:,} characters.")
    if redactor.found_in(text) or (told.secret and told.secret in text):
        raise _Unfit(f"{claim.declared} gave a state that holds a secret, which must not be stored.")
    return told


def _nothing() -> None:
    """Do nothing where a call first waits."""

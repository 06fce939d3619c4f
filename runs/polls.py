"""Polls the triggers that are due, in the loop of the driver that holds the bell.

Each poll has a time limit; ``rounds`` says how a few are under way at once. What comes of it is written by
``poll_rows``: here is what is asked, and what an answer means.
"""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.db import DatabaseError
from pydantic import ValidationError

from integrations.registry import registry
from integrations.sdk.errors import AuthError, InputError
from integrations.sdk.limits import NotYet
from integrations.sdk.polling import Item, Polled, PollingTrigger
from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.egress import egress_policy
from orchestrator.flow.polling import DEFAULT_SECONDS, PollingConfig, backoff, config_of, next_poll, watched
from orchestrator.large import TAKEN, give_room
from orchestrator.types import JSONValue
from orchestrator.vault.redaction import Redactor
from runs.clock import kept_moment
from runs.engine.classify import failure_of
from runs.engine.ports import OpenCredential, SecretsAway
from runs.engine.records import Failure
from runs.engine.timing import Late, within
from runs.engine.turns import passing_on
from runs.poll_context import checked_inputs, poll_context
from runs.poll_rows import (
    SKIPS,
    TURN,
    WAITS,
    Finish,
    Outcome,
    PollClaim,
    document_of,
    poll_finish,
    polls_claim,
    polls_next_at,
    polls_release,
    runs_made,
    seconds_of,
)
from runs.rounds import Rounds
from runs.states import FailureKind
from runs.writer import written

log = logging.getLogger(__name__)

# The next poll where one brought more than it may start at once.
SOON: Final = timedelta(seconds=1)
AWAY: Final = timedelta(seconds=30)
MAX_CURSOR_BYTES: Final = 256 * 1024
SAMPLES: Final = 3
_GRACE: Final = 0.25
_BUSY_SECONDS: Final = 0.3
_BUSY_TRIES: Final = 60
_NOTHING: Final = OpenCredential()


class _Unfit(Exception):
    """A trigger gave a cursor that cannot be kept."""


class Polls(Rounds[PollClaim]):
    """Polls for one driver."""

    def next_at(self) -> datetime | None:
        return polls_next_at()

    def claim(self, *, now: datetime, room: int, busy: Sequence[int]) -> list[PollClaim]:
        return polls_claim(now=now, room=room, busy=busy)

    def release(self, claims: Sequence[PollClaim], *, now: datetime) -> None:
        polls_release(claims, now=now)

    async def do(self, claim: PollClaim) -> None:
        """Poll, and have written what came of it."""
        try:
            outcome = await self._outcome(claim)
        finally:
            if TAKEN:
                give_room()
        for _try in range(_BUSY_TRIES):
            if await written(self.put, partial(poll_finish, claim, outcome)) is not Finish.BUSY:
                return
            await asyncio.sleep(_BUSY_SECONDS)

    async def _outcome(self, claim: PollClaim) -> Outcome:
        """Ask, and return what is to be written, whatever came of it."""
        redactor = Redactor()
        credential = _NOTHING
        interval = DEFAULT_SECONDS
        try:
            config = config_of(claim.config)
            interval = config.interval
            trigger = _registered(config)
            if config.credential and trigger.accepted_auth:
                opened = await self.credentials.open(
                    tenant_id=claim.tenant_id,
                    name=config.credential,
                    credential_id=claim.bindings.get(config.credential),
                )
                credential = opened.told_to(redactor)
            found = await self._asked(claim, config, trigger, credential)
            self._heard(trigger, credential, None)
            return await self.readers.read(partial(_found, claim, config, trigger, found, redactor, self.clock.now()))
        except SecretsAway:
            failure = Failure(
                kind=FailureKind.AUTH, message=_("Credentials cannot be opened just now."), retryable=True
            )
            return self._failed(claim, failure, interval, at=self.clock.now() + AWAY)
        except ValidationError:
            return self._failed(claim, _defect(_("The trigger's settings cannot be read.")), interval)
        except _Unfit as error:
            return self._failed(claim, _defect(str(error)), interval)
        except NotYet as error:
            return self._later(claim, error)
        except Late:
            return self._failed(claim, _late(seconds_of(claim.config)), interval)
        except DatabaseError:
            raise
        except (Exception, SystemExit) as error:
            failure = failure_of(error, redactor)
            if failure.kind is FailureKind.INTERNAL:
                # Where, not what: an exception's own text may hold anything.
                frames = "".join(traceback.format_tb(error.__traceback__))
                what = f"{type(error).__name__}\n{frames}"
                log.error("Trigger %s of %s: %s", claim.key, claim.workflow_id, what, extra=_named(claim))
            asked = registry.polling(str(claim.config.get("trigger")))
            if isinstance(error, AuthError) and asked is not None:
                self._heard(asked, credential, failure.message)
            return self._failed(claim, failure, interval)

    async def _asked(
        self, claim: PollClaim, config: PollingConfig, trigger: PollingTrigger, credential: OpenCredential
    ) -> Polled:
        """Poll within the time there is. Raises what the trigger raises, NotYet, and Late."""
        seconds = seconds_of(claim.config)
        inputs = checked_inputs(trigger, config.inputs, credential)
        gate = self.gates.of(
            trigger, inputs, credential, tenant_id=claim.tenant_id, held=kept_moment(claim.state.get(TURN))
        )
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
        )
        async with passing_on(gate):
            return await within(seconds + _GRACE, trigger.poll(context, _cursor(claim, config)), waits=lambda: None)

    def _heard(self, trigger: PollingTrigger, credential: OpenCredential, refused: str | None) -> None:
        """Pass on what the provider thinks of its own credential."""
        if credential is _NOTHING or trigger.any_provider:
            return
        if refused is None:
            self.credentials.taken(credential, run_id=None)
        else:
            self.credentials.refused(credential, refused, run_id=None)

    def _later(self, claim: PollClaim, error: NotYet) -> Outcome:
        """Return what is written of a poll that asked nothing: others' requests come first, and it has a turn then."""
        at = self.clock.now() + timedelta(seconds=error.retry_after or 0)
        # Nor "since", which is there after a worker went away: nobody asks meanwhile.
        state = {name: value for name, value in claim.state.items() if name not in (TURN, WAITS, "since")}
        state[WAITS] = True
        if error.turn == "kept":
            state[TURN] = at.isoformat()
        return Outcome(state=state, next_at=at)

    def _failed(self, claim: PollClaim, failure: Failure, interval: int, *, at: datetime | None = None) -> Outcome:
        now = self.clock.now()
        failures = int(claim.state.get("failures") or 0) + 1
        state = {
            **_kept(claim.state),
            "failures": failures,
            "failing_since": claim.state.get("failing_since") or now.isoformat(),
            "polled_at": now.isoformat(),
            "error": {"kind": failure.kind.value, "message": failure.message, "hint": failure.hint},
        }
        return Outcome(state=state, next_at=at or now + backoff(interval, failures, retry_after=failure.retry_after))


def _registered(config: PollingConfig) -> PollingTrigger:
    trigger = registry.polling(config.trigger)
    if trigger is None:
        raise InputError(
            _("There is no trigger %(trigger)r on this worker.") % {"trigger": config.trigger},
            hint=_("Install its integration on every worker."),
        )
    return trigger


def _cursor(claim: PollClaim, config: PollingConfig) -> JSONValue:
    """Return where the last poll came to, None for the first of this config."""
    return claim.state.get("cursor") if claim.state.get("of") == watched(config) else None


def _found(
    claim: PollClaim, config: PollingConfig, trigger: PollingTrigger, found: Polled, redactor: Redactor, now: datetime
) -> Outcome:
    """Return what is to be written of an answer; for a thread, with one query."""
    of = watched(config)
    is_first = claim.state.get("of") != of
    cursor = _checked(found.cursor, redactor)
    items = [Item(item.id, redactor.clean(item.data)) for item in found.items]
    skips = bool(claim.state.get(SKIPS)) or (is_first and trigger.first_run == "skip")
    state: dict[str, JSONValue] = {
        "of": of,
        "cursor": cursor,
        "polled_at": now.isoformat(),
        "found": len(items),
        "started": 0,
    }
    next_at = next_poll(config.interval, now, offset=claim.trigger_id)
    if skips:
        samples = [document_of(claim.key, item.data, now) for item in items[-SAMPLES:] if _is_json(item.data)]
        state |= {SKIPS: found.more, "skipped": len(items) + int(0 if is_first else claim.state.get("skipped") or 0)}
        return Outcome(state=state, next_at=now + SOON if found.more else next_at, samples=samples)
    made = runs_made(claim, items, now)
    state["started"] = len(made.runs)
    if made.refused:
        state["refused"] = made.refused
    if made.rest:
        # The rest would be lost with the new cursor: with the old one it is found again.
        state["cursor"] = None if is_first else claim.state.get("cursor")
    return Outcome(
        state=state,
        next_at=now + SOON if made.rest or found.more else next_at,
        runs=made.runs,
        payloads=made.payloads,
    )


def _kept(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stays of a state after a poll that failed."""
    return {name: state[name] for name in ("of", "cursor", SKIPS, "skipped", "found", "started") if name in state}


def _checked(cursor: JSONValue, redactor: Redactor) -> JSONValue:
    """Return a cursor as it is stored. Raises _Unfit."""
    try:
        text = jsongate.dumps(jsongate.check(cursor))
    except jsongate.BadJSON as error:
        raise _Unfit(_("The trigger gave a cursor that cannot be kept: %(error)s.") % {"error": error}) from None
    if len(text) > MAX_CURSOR_BYTES:
        raise _Unfit(
            _("The trigger gave a cursor of more than %(most)s characters.") % {"most": f"{MAX_CURSOR_BYTES:,}"}
        )
    if redactor.found_in(text):
        raise _Unfit(_("The trigger gave a cursor that holds its credential's secret, which must not be stored."))
    cleaned: JSONValue = json.loads(text)
    return cleaned


def _is_json(data: Any) -> bool:
    try:
        jsongate.check(data)
    except jsongate.BadJSON:
        return False
    return True


def _defect(message: str) -> Failure:
    return Failure(kind=FailureKind.INTERNAL, message=message, hint=_("Change the trigger, or its integration."))


def _named(claim: PollClaim) -> dict[str, str]:
    """Return the fields of a line about a poll."""
    return {"tenant_id": str(claim.tenant_id)}


def _late(seconds: float) -> Failure:
    return Failure(
        kind=FailureKind.TIMEOUT,
        message=_("There was no answer within %(seconds).3g s.") % {"seconds": seconds},
        hint=_("It is asked again later."),
        retryable=True,
    )

"""The engine's ports, over the registry, the vault, the HTTP client and the reader threads of one driver."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from django.db import InterfaceError, OperationalError, connection

from integrations.registry import registry
from integrations.sdk.action import Action
from integrations.sdk.dialling import Dialler, dialler
from integrations.sdk.errors import IntegrationError
from integrations.sdk.http import HttpPool, StepHttp
from orchestrator import jsongate
from orchestrator.egress import egress_policy
from orchestrator.large import TooManyValues, take_room
from orchestrator.types import JSONValue
from runs.calls import call_outcome, called_run_start, called_trigger
from runs.claims import Claimed
from runs.clients import client_of
from runs.engine.ports import (
    CallOutcome,
    Found,
    LeaseLost,
    OpenCredential,
    Stopped,
    StopReason,
)
from runs.engine.records import ResolvedAs
from runs.engine.values import is_quick
from runs.links import link_url
from runs.models import Answer, Payload, Run
from runs.values import Split, opened
from runs.writer import Job

READERS: Final = 3
# How long one run may keep the loop that it shares with others.
BREATH_SECONDS: Final = 0.005
_TRIES: Final = 8

_T = TypeVar("_T")


class Readers:
    """Threads that query for the loop; the loop itself never does."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    async def read(self, query: Callable[[], _T]) -> _T:
        """Return what ``query`` returns; it is asked again while the database is away, so it must only read."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _patiently, query)

    def close(self) -> None:
        """End the threads and close their connections."""
        meeting = threading.Barrier(READERS)

        def leave() -> None:
            connection.close()
            # Each waits for the others, so that no thread takes two of these.
            meeting.wait(timeout=5)

        for future in [self._pool.submit(leave) for _ in range(READERS)]:
            future.exception(timeout=10)
        self._pool.shutdown()


def _patiently(query: Callable[[], _T]) -> _T:
    for attempt in range(_TRIES):
        try:
            return query()
        except (OperationalError, InterfaceError):
            connection.close()
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


class RegistryCatalog:
    """Actions by key; what is not registered runs by what its inputs are."""

    def __init__(self) -> None:
        self._registered: dict[str, Found] = {}

    def find(self, key: str, inputs: Mapping[str, JSONValue]) -> Found | None:
        action = registry.get(key)
        if action is None:
            return _fallback(inputs)
        found = self._registered.get(key)
        if found is None or found.action is not action:
            found = self._registered[key] = Found(action=action)
        return found


# What each stand-in takes of the inputs: a step that was written for another action has more.
_HTTP_INPUTS: Final = ("url", "method", "query", "headers", "body", "form", "multipart", "raw", "response")
_CODE_ACTIONS: Final = {"python": "code.python", "javascript": "code.javascript"}


def _fallback(inputs: Mapping[str, JSONValue]) -> Found | None:
    """Return the step that stands in for an unregistered action: its ``url`` is called, or its ``code`` is run."""
    if "url" in inputs:
        taken = {name: inputs[name] for name in _HTTP_INPUTS if name in inputs}
        return _stand_in("http.request", "http", taken)
    if "code" in inputs:
        key = _CODE_ACTIONS.get(str(inputs.get("language", "python")).lower())
        taken = {name: inputs[name] for name in ("code", "input") if name in inputs}
        return _stand_in(key, "sandbox", taken) if key else None
    return None


def _stand_in(key: str, resolved_as: ResolvedAs, inputs: Mapping[str, JSONValue]) -> Found | None:
    action = registry.get(key)
    return Found(action=action, resolved_as=resolved_as, inputs=inputs) if action else None


class PooledClients:
    """HTTP clients of attempts, over the one pool of a driver's loop."""

    def __init__(self) -> None:
        self._policy = egress_policy()
        self.pool = HttpPool(self._policy, room=take_room)

    def client(
        self,
        action: Action,
        credential: OpenCredential,
        *,
        egress_allow: Sequence[str],
        deadline: datetime,
        idempotency_key: str,
        traceparent: str,
    ) -> StepHttp:
        return client_of(
            self.pool,
            action,
            credential,
            egress_allow=egress_allow,
            deadline=deadline,
            idempotency_key=idempotency_key,
            max_bytes=jsongate.MAX_VALUE_BYTES,
            traceparent=traceparent,
        )

    def dialler(self, *, egress_allow: Sequence[str], deadline: datetime) -> Dialler:
        return dialler(self._policy, egress_allow=egress_allow, deadline=deadline)


@dataclass(kw_only=True)
class RunClock:
    """The time of one run, from when this driver took it."""

    began: float = field(default_factory=time.monotonic)
    _breathed: float = field(default_factory=time.monotonic)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def random(self) -> float:
        return random.random()  # noqa: S311  (spreads retries, keeps no secret)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def breathe(self) -> None:
        if time.monotonic() - self._breathed > BREATH_SECONDS:
            await asyncio.sleep(0)
            self._breathed = time.monotonic()


@dataclass(kw_only=True)
class RunControl:
    """Whether a run has to stop; the driver sets ``reason``."""

    reason: StopReason | None = None

    def check(self) -> None:
        if self.reason is not None:
            raise Stopped(self.reason)


@dataclass(kw_only=True)
class Inbox:
    """What was answered to a run from outside, as far as it was read; ``signals`` is how much that is."""

    claim: Claimed
    readers: Readers
    signals: int = 0
    answers: Mapping[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)

    def answer(self, path: str, attempt: int) -> Mapping[str, Any] | None:
        return self.answers.get((path, attempt))

    async def late(self, path: str, attempt: int) -> Mapping[str, Any] | None:
        claim = self.claim
        found = await self.readers.read(lambda: answers_of(claim.run_id, claim.tenant_id, path=path, attempt=attempt))
        return found.get((path, attempt))


def answers_of(run_id: int, tenant_id: int, **which: str | int) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Return the answers to a run, by path and attempt, all or those ``which`` names; for a reader's thread."""
    rows = list(Answer.objects.for_tenant(tenant_id).filter(run=run_id, **which))
    refs = [row.document_ref for row in rows if row.document_ref is not None]
    payloads = Payload.objects.for_tenant(tenant_id).filter(run=run_id, pk__in=refs).in_bulk() if refs else {}
    found: dict[tuple[str, int], Mapping[str, Any]] = {}
    for row in rows:
        document = row.document if row.document_ref is None else opened(payloads[row.document_ref])
        found[(row.path, row.attempt)] = document if isinstance(document, Mapping) else {}
    return found


@dataclass(frozen=True, kw_only=True)
class RunLinks:
    run_id: int

    def url(self, action: str, path: str) -> str:
        return link_url(action, self.run_id, path)


@dataclass(frozen=True, kw_only=True)
class RunCalls:
    """Runs that one run calls: started in the writer's thread, where its lease is looked at."""

    claim: Claimed
    owner: str
    readers: Readers
    put: Callable[[Job], None]

    async def start(self, *, path: str, workflow: str, payload: JSONValue) -> None:
        tenant_id = self.claim.tenant_id
        # A reader's, for a large one: in the writer's thread every other run would wait for it.
        trigger = (
            called_trigger(tenant_id=tenant_id, path=path, payload=payload)
            if is_quick(payload)
            else await self.readers.read(lambda: called_trigger(tenant_id=tenant_id, path=path, payload=payload))
        )
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(refused: Exception | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error or refused:
                future.set_exception(error or refused or AssertionError())
            else:
                future.set_result(None)

        self.put(Job(work=lambda: self._start(path, workflow, payload, trigger), done=done))
        await future

    def _start(self, path: str, workflow: str, payload: JSONValue, trigger: Split) -> Exception | None:
        """Start it, and return what is against it: raised here, it would undo what others write with it."""
        ours = Run.objects.for_tenant(self.claim.tenant_id).filter(pk=self.claim.run_id, lease_owner=self.owner)
        caller = ours.filter(fence=self.claim.fence).select_related("workflow").first()
        if caller is None:
            return LeaseLost(f"run {self.claim.run_id} is driven by somebody else")
        try:
            called_run_start(caller=caller, path=path, slug=workflow, payload=payload, trigger=trigger)
        except (IntegrationError, TooManyValues, jsongate.BadJSON, LookupError) as error:
            return error
        return None

    async def outcome(self, path: str) -> CallOutcome | None:
        claim = self.claim
        return await self.readers.read(
            lambda: call_outcome(caller_id=claim.run_id, tenant_id=claim.tenant_id, path=path)
        )

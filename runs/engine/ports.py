"""How the engine sees the world: everything it needs from outside, as protocols. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from integrations.sdk.action import Action
from integrations.sdk.client import StepHttp
from integrations.sdk.declaration import Declaration
from integrations.sdk.dialling import Dialler
from integrations.sdk.limits import Gate
from integrations.sdk.prices import Price, price_of
from integrations.sdk.state import Store
from orchestrator.types import JSONValue
from runs.engine.records import Attempt, Failure, ResolvedAs

T = TypeVar("T")


class StopReason(StrEnum):
    """Why a run that is under way has to stop."""

    CANCELLED = "cancelled"  # a person asked
    REVOKED = "revoked"  # who it acts for is gone
    HAND_OVER = "hand_over"  # this driver ends; another one goes on
    LOST = "lost"  # another driver has the lease


class Stopped(Exception):
    """Raised between two steps when the run has to stop."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class LeaseLost(Exception):
    """The run belongs to another driver: nothing of it may be written any more."""


class NoCredential(Exception):
    """A step's credential cannot be used; the message is for a person and holds no secret.

    ``field`` is where in the step it is chosen: an input's name for one that is held there.
    """

    def __init__(self, message: str, *, field: str = "credential") -> None:
        super().__init__(message)
        self.field = field


class SecretsAway(Exception):
    """No credential can be opened just now, for want of the key. It passes by itself: the step waits, and is kept."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The action that a step's key stands for; ``inputs`` is what of the step's a stand-in is given."""

    action: Action
    resolved_as: ResolvedAs = "registry"
    inputs: Mapping[str, JSONValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CallOutcome:
    """How a called run ended; ``failure`` is None where it succeeded."""

    run_id: str
    output: JSONValue = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class OpenCredential:
    """An opened credential, for one attempt; nothing of it is in ``repr``. ``mark`` is for who opened it alone.

    ``renew`` returns it with another secret, after the provider said that this one is good no more; None where it has
    none to give. Raises AuthError when a person has to connect it again.
    """

    mark: Any = None
    renew: Callable[[], Awaitable[OpenCredential | None]] | None = field(default=None, repr=False)
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def told_to(self, redactor: Redactor) -> OpenCredential:
        """Return it with what it holds, and what it will hold once renewed, known to who takes out secrets."""
        redactor.add(self.secrets)
        renew = self.renew
        if renew is None:
            return self

        async def renewed() -> OpenCredential | None:
            found = await renew()
            if found is not None:
                redactor.add(found.secrets)
            return found

        return replace(self, renew=renewed)


class Journal(Protocol):
    """The record of one run. A write of a run whose lease is lost raises LeaseLost and writes nothing."""

    def attempts(self, path: str) -> Sequence[Attempt]:
        """Return what is recorded for a path, oldest first."""

    async def load(self, loop: str, first: int, count: int) -> None:
        """Bring in what is recorded of iterations of a loop; before that, ``attempts`` knows nothing of them."""

    async def bring(self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns, which may block and ask for what is stored."""

    def forget(self, loop: str, item: int) -> None:
        """Let go of an iteration that has ended: nobody asks for it again."""

    @property
    def is_full(self) -> bool:
        """Whether so much is recorded and not written yet that nothing more should be begun before ``catch_up``."""

    async def catch_up(self) -> None:
        """Return once what is recorded is written. Raises LeaseLost."""

    async def begin(self, attempt: Attempt, *, durable: bool) -> None:
        """Write that an attempt starts; with ``durable``, return only once a crash cannot undo that."""

    def record(self, attempt: Attempt, *, ride: bool) -> None:
        """Write how an attempt ended: at once, or with ``ride`` together with the next commit; does not wait."""


class Answers(Protocol):
    """What was answered from outside to the steps of one run that wait for it."""

    def answer(self, path: str, attempt: int) -> Mapping[str, Any] | None:
        """Return the answer to an attempt, as ``runs.models.Answer`` describes it, or None so far."""

    async def late(self, path: str, attempt: int) -> Mapping[str, Any] | None:
        """Return the same once the time for it is over: one of the last moment may not have been heard of yet."""


class Calls(Protocol):
    """Runs of other workflows that steps of one run call."""

    async def start(self, *, path: str, workflow: str, payload: JSONValue) -> None:
        """Start the run that belongs to a step, once however often this is called. Raises IntegrationError."""

    async def outcome(self, path: str) -> CallOutcome | None:
        """Return how the run of a step ended, None while it has not."""


class Links(Protocol):
    def url(self, action: str, path: str) -> str:
        """Return the address at which others answer a step of an action that waits for them."""


class Catalog(Protocol):
    def find(self, key: str, inputs: Mapping[str, JSONValue]) -> Found | None:
        """Return the action for a step's key, or for its inputs where the key is not registered."""


class Credentials(Protocol):
    async def open(self, *, tenant_id: int, name: str, credential_id: int | None) -> OpenCredential:
        """Return the tenant's credential. Raises NoCredential, SecretsAway."""

    def operators(self, action: str) -> OpenCredential | None:
        """Return what the operator gives a step of this action that names no credential, None for nothing."""

    def taken(self, credential: OpenCredential, *, run_id: int) -> None:
        """Hear that the action's provider took the credential; called after every attempt that succeeds."""

    def refused(self, credential: OpenCredential, message: str, *, run_id: int) -> None:
        """Hear that the action's provider refused the credential, with a message that is fit to be shown."""


class Clients(Protocol):
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
        """Return the HTTP client of one attempt; without a ``traceparent`` its requests carry none."""

    def dialler(self, *, egress_allow: Sequence[str], deadline: datetime) -> Dialler:
        """Return what connects for one attempt to hosts that speak no HTTP."""


class Gates(Protocol):
    def of(
        self,
        declared: Declaration,
        inputs: BaseModel,
        credential: OpenCredential,
        *,
        tenant_id: int,
        held: datetime | None,
    ) -> Gate | None:
        """Return what the requests of an attempt or a poll pass, None where there is no limit.

        ``held`` is the moment of a turn that an attempt before it was given.
        """


class States(Protocol):
    def store(self, credential: OpenCredential, clean: Callable[[Any], Any]) -> Store:
        """Return what ``ctx.state`` of one attempt is kept in; ``clean`` takes secrets out of what is kept."""


class Clock(Protocol):
    def now(self) -> datetime: ...

    def elapsed(self) -> float:
        """Return the seconds this driver has had the run."""

    def random(self) -> float:
        """Return a number from 0 up to 1, for jitter."""

    async def sleep(self, seconds: float) -> None: ...

    async def breathe(self) -> None:
        """Let others have a turn now and then; a step that waits for nothing would keep it for ever."""


class Control(Protocol):
    """What is asked of the run from outside."""

    @property
    def reason(self) -> StopReason | None: ...

    def check(self) -> None:
        """Raise Stopped when the run has to stop before its next step."""


class Trace(Protocol):
    """The trace that a run belongs to, for those who are asked by its steps."""

    def parent(self, path: str, number: int) -> str:
        """Return the ``traceparent`` of what an attempt of a step asks for."""


class Redactor(Protocol):
    def add(self, secrets: Iterable[str]) -> None: ...

    def clean(self, value: Any) -> Any: ...

    def text(self, value: str) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Ports:
    journal: Journal
    catalog: Catalog
    credentials: Credentials
    clients: Clients
    clock: Clock
    control: Control
    redactor: Redactor
    answers: Answers
    calls: Calls
    links: Links
    trace: Trace | None = None
    gates: Gates | None = None
    states: States | None = None
    # What a model costs; None where nobody knows.
    price: Callable[[str], Price | None] = price_of


class StepFailed(Exception):
    """A step failed for good, and with it the run."""

    def __init__(self, path: str, failure: Failure) -> None:
        super().__init__(failure.message)
        self.path = path
        self.failure = failure


class OutOfTime(StepFailed):
    """The workflow's time limit is reached: nothing of the run may go on."""

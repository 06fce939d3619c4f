"""A world for the engine without database, network or time: it crashes where told to and keeps what is durable."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel

from integrations.builtin import ai, flow, workflow
from integrations.registry import declared_in
from integrations.sdk import Action, Provider, RunContext, action
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.types import JSONValue
from orchestrator.vault.redaction import Redactor
from runs.engine.interpreter import Interpreter
from runs.engine.ports import CallOutcome, Found, NoCredential, OpenCredential, Ports, SecretsAway, Stopped, StopReason
from runs.engine.records import Attempt, Given, GivenBack, Outcome, Parked, RunOrder, idempotency_key
from runs.states import StepStatus

provider = Provider(key="sim", name="Simulated")
other = Provider(key="chat", name="Chat")
T = TypeVar("T")
Behaviour = Callable[["World", RunContext[Any]], Any]


class Anything(BaseModel):
    """Inputs of every simulated action."""

    model_config = {"extra": "allow"}

    value: JSONValue = None


class Crash(BaseException):
    """The worker is gone."""


class World:
    """``crash_at`` counts the places where a crash can happen, from 1; None never crashes."""

    def __init__(self, *, seed: int = 0) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.random = random.Random(seed)
        self.durable: dict[int, Attempt] = {}
        self.in_flight: list[list[Attempt]] = []
        self.buffered: dict[int, Attempt] = {}
        self.told: list[tuple[str, str | None]] = []
        self.effects: list[tuple[str, str]] = []
        self.commits = 0
        self.crash_at: int | None = None
        self.places = 0
        self.dead = False
        self.secrets_away = 0
        self.answers_meanwhile = False
        self.answer = default_answer
        self.interpreter: Interpreter | None = None
        self.answers: dict[tuple[str, int], dict[str, Any]] = {}
        self.called: dict[str, tuple[str, JSONValue]] = {}
        self.paths: dict[str, str] = {}
        self.call_outcomes: dict[str, CallOutcome] = {}
        self.calls: dict[str, int] = {}
        self.secrets: dict[str, Mapping[str, Any]] = {}
        self.control = Control()
        self.behaviours: dict[str, Behaviour] = {}
        self.catalog: dict[str, Action] = {found.key: found for found in ACTIONS}
        self._rows = 0

    async def place(self) -> None:
        """A place where the worker can go away, and where another task may run."""
        self.places += 1
        if self.dead:
            raise Crash
        if self.places == self.crash_at:
            self.dead = True
            if self.random.random() < 0.5:
                self.submit()
            raise Crash
        if self.random.random() < 0.2:
            # What rides along is handed over after a moment, whoever hands something over.
            self.submit()
        self._commit_some()
        if self.answers_meanwhile and self.random.random() < 0.1:
            self.answer_one()
        for _ in range(self.random.randint(0, 2)):
            await asyncio.sleep(0)
        if self.dead:
            raise Crash

    def _commit_some(self) -> None:
        """Another run's commit may take any beginning of what was handed over; what was at once is written at once."""
        for _ in range(self.random.randint(0, len(self.in_flight))):
            for attempt in self.in_flight.pop(0):
                self._store(attempt)

    def crash(self) -> None:
        """Lose what was not durable."""
        self._commit_some()
        self.in_flight, self.buffered = [], {}
        self.dead = False

    def commit(self) -> None:
        """Make everything durable that was handed over."""
        self.submit()
        for attempt in (attempt for handed in self.in_flight for attempt in handed):
            self._store(attempt)
        self.in_flight = []
        self.commits += 1

    def submit(self) -> None:
        if self.buffered:
            self.in_flight.append([copy.copy(attempt) for attempt in self.buffered.values()])
            self.buffered = {}

    def keep(self, attempt: Attempt) -> None:
        if attempt.row_id is None:
            self._rows += 1
            attempt.row_id = self._rows
        self.buffered[attempt.row_id] = attempt

    def _store(self, attempt: Attempt) -> None:
        assert attempt.row_id is not None
        before = self.durable.get(attempt.row_id)
        if before is not None:
            assert before.status in OPEN or before.status is attempt.status, "an end is never changed"
        self.durable[attempt.row_id] = attempt

    def is_recorded_as_done(self, path: str) -> bool:
        return any(row.path == path and row.status is StepStatus.SUCCEEDED for row in self.durable.values())

    def rows(self, path: str | None = None) -> list[Attempt]:
        found = [self.durable[row] for row in sorted(self.durable)]
        return found if path is None else [row for row in found if row.path == path]

    def statuses(self, path: str) -> list[str]:
        return [row.status.value for row in self.rows(path)]

    def behave(self, path: str, behaviour: Behaviour) -> None:
        """Have a step do something of its own when it is called."""
        self.behaviours[path] = behaviour

    async def act(self, ctx: RunContext[Any], *, effect: bool) -> Any:
        """What every simulated action does."""
        path = self.paths[ctx.idempotency_key]
        assert not self.is_recorded_as_done(path), f"{path} runs again although it is done"
        await self.place()
        if effect:
            assert any(row.status is StepStatus.RUNNING for row in self.rows(path)), "intent comes before effect"
        self.calls[path] = self.calls.get(path, 0) + 1
        if effect:
            self.effects.append((path, ctx.idempotency_key))
        behaviour = self.behaviours.get(path) or self.behaviours.get(ctx.step_key)
        result = behaviour(self, ctx) if behaviour else {"value": ctx.inputs.value}
        if asyncio.iscoroutine(result):
            result = await result
        await self.place()
        return result

    def open_waits(self) -> list[Attempt]:
        """Return what waits for an answer, as somebody outside sees it: what is durable."""
        return [row for row in self.rows() if row.status is StepStatus.WAITING and self._is_unanswered(row)]

    def _is_unanswered(self, row: Attempt) -> bool:
        if row.action == "workflow.call":
            return row.path in self.called and row.path not in self.call_outcomes
        return row.action != "flow.wait" and (row.path, row.number) not in self.answers

    def answer_one(self) -> bool:
        """Have somebody outside answer something that waits; return whether there was any."""
        waits = self.open_waits()
        if not waits:
            return False
        row = self.random.choice(waits)
        self.answer(self, row)
        if self.interpreter is not None:
            self.interpreter.strands.wake()
        return True

    def ports(self, journal: Journal) -> Ports:
        return Ports(
            journal=journal,
            catalog=Catalog(self),
            credentials=Vault(self),
            clients=NoClients(),  # type: ignore[arg-type]
            clock=Clock(self),
            control=self.control,
            redactor=Redactor(),
            answers=Answers(self),
            calls=Calls(self),
            links=Links(),
        )

    def run_once(self, order: RunOrder) -> Outcome:
        """Drive the run as one driver would. Raises Crash."""
        journal = Journal(self, order.run_id)
        self.interpreter = Interpreter(order=order, ports=self.ports(journal))
        try:
            with acting_in(self):
                outcome = LOOP.run_until_complete(self.interpreter.execute())
        finally:
            self.interpreter = None
        # What is recorded last is written together with the run's end, or not at all.
        last, self.buffered = self.buffered, {}
        LOOP.run_until_complete(self.place())
        self.buffered = last
        self.commit()
        if journal.durable and not isinstance(outcome, (Parked, GivenBack)):
            self._end_what_nobody_entered_again()
        return outcome

    def _end_what_nobody_entered_again(self) -> None:
        """As the write of a run's end does, of a run that had another driver before."""
        for row in self.rows():
            if row.status is StepStatus.RUNNING and row.action.startswith("sim."):
                row.status = StepStatus.LOST
            elif row.status in OPEN:
                row.status = StepStatus.CANCELLED

    def pass_time(self, parked: Parked) -> None:
        """Let something happen that the run waits for."""
        if parked.wake_at is not None and self.random.random() < 0.5:
            self.now = max(self.now, parked.wake_at)
        elif self.answer_one():
            return
        for wait in parked.waits:
            if wait.kind == "outcome_unknown":
                number = self.rows(wait.path)[-1].number
                self.answers.setdefault((wait.path, number), {"decision": "retry"})
                return
        if parked.wake_at is not None:
            self.now = max(self.now, parked.wake_at)

    def run(self, order: RunOrder | Callable[[], RunOrder]) -> Outcome:
        """Drive the run to its end, over waits; what crashes is driven again from what is durable.

        A function gives each driver its own order: it finds the variables as they are then.
        """
        for _ in range(200):
            try:
                outcome = self.run_once(order() if callable(order) else order)
            except Crash:
                self.crash()
                self.crash_at = None
                continue
            if not isinstance(outcome, Parked):
                return outcome
            self.pass_time(outcome)
        raise AssertionError("the run never ends")


LOOP = asyncio.new_event_loop()
_acting: list[World] = []


def acting() -> World:
    """Return the world that a simulated action is called in."""
    return _acting[-1]


@contextmanager
def acting_in(world: World) -> Iterator[None]:
    _acting.append(world)
    try:
        yield
    finally:
        _acting.pop()


@action(provider=provider, key="sim.pure", name="Pure", auth_type="none", input_schema=Anything, pure=True)
async def pure(ctx: RunContext[Anything]) -> Any:
    return await _acting[-1].act(ctx, effect=False)


@action(provider=provider, key="sim.put", name="Put", auth_type="none", input_schema=Anything, idempotent=True)
async def put(ctx: RunContext[Anything]) -> Any:
    return await _acting[-1].act(ctx, effect=True)


@action(provider=provider, key="sim.send", name="Send", auth_type="none", input_schema=Anything)
async def send(ctx: RunContext[Anything]) -> Any:
    return await _acting[-1].act(ctx, effect=True)


@action(
    provider=provider,
    key="sim.read",
    name="Read",
    auth_type="none",
    input_schema=Anything,
    idempotent=True,
    effect="read",
)
async def read(ctx: RunContext[Anything]) -> Any:
    return await _acting[-1].act(ctx, effect=False)


@action(
    provider=provider,
    key="sim.call",
    name="Call",
    auth_type="none",
    input_schema=Anything,
    idempotent=True,
    effect="update",
    reads_when=lambda inputs: inputs.value == "reads",
)
async def call(ctx: RunContext[Anything]) -> Any:
    return await _acting[-1].act(ctx, effect=ctx.inputs.value != "reads")


@action(provider=other, key="chat.post", name="Post", auth_type="oauth2", input_schema=Anything)
async def post(ctx: RunContext[Anything]) -> Any:
    return await _acting[-1].act(ctx, effect=True)


ACTIONS = (pure, put, send, read, call, post, *declared_in(flow), *declared_in(workflow), *declared_in(ai))
OPEN = (StepStatus.RUNNING, StepStatus.WAITING)


@dataclass
class Journal:
    """Reads what was durable when it was made, as a driver does after its claim; loops when they are entered."""

    world: World
    run_id: int
    recorded: dict[str, list[Attempt]] = field(default_factory=dict)
    durable: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.durable = [copy.copy(row) for row in self.world.rows()]
        self._take_up(row for row in self.durable if row.item is None)

    def _take_up(self, rows: Iterable[Attempt]) -> None:
        for row in rows:
            self.recorded.setdefault(row.path, []).append(row)

    def attempts(self, path: str) -> Sequence[Attempt]:
        # Asked before every step, also before those that are recorded only when they end.
        self.world.paths[idempotency_key(self.run_id, path)] = path
        return self.recorded.get(path, ())

    async def load(self, loop: str, first: int, count: int) -> None:
        await self.world.place()
        self._take_up(
            row
            for row in self.durable
            if row.loop == loop and row.item is not None and first <= row.item < first + count
        )

    async def bring(self, read: Callable[[], T]) -> T:
        return await asyncio.to_thread(read)

    def forget(self, loop: str, item: int) -> None:
        for path in [path for path in self.recorded if path.startswith(f"{loop}[{item}].")]:
            del self.recorded[path]

    # Never: what is recorded here waits for no disk.
    is_full: ClassVar[bool] = False

    async def catch_up(self) -> None:
        await self.world.place()
        self.world.commit()
        await self.world.place()

    async def begin(self, attempt: Attempt, *, durable: bool) -> None:
        self.world.keep(attempt)
        await self.world.place()
        if durable:
            self.world.commit()
            await self.world.place()

    def record(self, attempt: Attempt, *, ride: bool) -> None:
        if self.world.dead:
            return
        self.world.keep(attempt)
        if not ride:
            self.world.submit()


@dataclass
class Answers:
    world: World

    def answer(self, path: str, attempt: int) -> Mapping[str, Any] | None:
        return self.world.answers.get((path, attempt))

    async def late(self, path: str, attempt: int) -> Mapping[str, Any] | None:
        await self.world.place()
        return self.answer(path, attempt)


@dataclass
class Calls:
    world: World

    async def start(self, *, path: str, workflow: str, payload: JSONValue) -> None:
        await self.world.place()
        self.world.called.setdefault(path, (workflow, payload))
        await self.world.place()

    async def outcome(self, path: str) -> CallOutcome | None:
        await self.world.place()
        return self.world.call_outcomes.get(path)


class Links:
    def url(self, action: str, path: str) -> str:
        return f"https://flows.example.com/{action}/{path}"


def default_answer(world: World, row: Attempt) -> None:
    """Answer what waits: approve, call back, or end the called run."""
    if row.action == "workflow.call":
        world.call_outcomes[row.path] = CallOutcome(run_id="8", output={"called": row.path})
    elif row.action == "flow.approve":
        world.answers[(row.path, row.number)] = {"decision": "approved", "form": None, "comment": "", "by": "ada"}
    else:
        world.answers[(row.path, row.number)] = {"body": {"of": row.path}, "headers": {}, "query": {}}


@dataclass
class Catalog:
    world: World

    def find(self, key: str, inputs: Mapping[str, JSONValue]) -> Found | None:
        found = self.world.catalog.get(key)
        return None if found is None else Found(action=found, resolved_as="registry", inputs=inputs)


@dataclass
class Vault:
    world: World

    def operators(self, action: str) -> OpenCredential | None:
        return None

    async def open(self, *, tenant_id: int, name: str, credential_id: int | None) -> OpenCredential:
        if self.world.secrets_away:
            self.world.secrets_away -= 1
            raise SecretsAway("the key is away")
        auth = self.world.secrets.get(name)
        if auth is None:
            raise NoCredential(f"The credential {name!r} no longer exists.")
        return OpenCredential(mark=name, auth=auth, secrets=(str(auth.get("token") or auth.get("api_key")),))

    def taken(self, credential: OpenCredential, *, run_id: int) -> None:
        self.world.told.append((credential.mark, None))

    def refused(self, credential: OpenCredential, message: str, *, run_id: int) -> None:
        self.world.told.append((credential.mark, message))


class NoClients:
    def client(self, *args: Any, **options: Any) -> None:
        return None


@dataclass
class Clock:
    world: World
    began: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.world.now

    def now(self) -> datetime:
        return self.world.now

    def elapsed(self) -> float:
        return (self.world.now - self.began).total_seconds()

    def random(self) -> float:
        return self.world.random.random()

    async def sleep(self, seconds: float) -> None:
        until = self.world.now + timedelta(seconds=seconds)
        await self.world.place()
        # A longer sleep lets others do more meanwhile.
        for _ in range(min(int(seconds), 50)):
            await asyncio.sleep(0)
        self.world.now = max(self.world.now, until)

    async def breathe(self) -> None:
        await self.world.place()


@dataclass
class Control:
    reason: StopReason | None = None

    def check(self) -> None:
        if self.reason is not None:
            raise Stopped(self.reason)


def step(
    key: str,
    action: str = "sim.pure",
    *,
    credential: str | None = None,
    lanes: Mapping[str, Sequence[dict[str, Any]]] | None = None,
    **config: Any,
) -> dict[str, Any]:
    """Return a step of a document; without inputs it has its own key as value."""
    config.setdefault("inputs", {"value": key})
    return {"key": key, "action": action, "config": config, "credential": credential, "lanes": dict(lanes or {})}


def order(
    *steps: dict[str, Any], output: JSONValue = None, given: Mapping[str, Given] | None = None, **more: Any
) -> RunOrder:
    """Return a run of these steps; ``settings`` are the workflow's."""
    settings = more.pop("settings", {})
    definition = WorkflowDefinition.model_validate(
        {"name": "Test", "slug": "test", "steps": steps, "output": output, "settings": settings}
    )
    return RunOrder(run_id=7, tenant_id=1, definition=definition, given=given or {}, **more)

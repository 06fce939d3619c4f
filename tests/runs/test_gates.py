"""Requests to a provider that takes only so many in a while wait for their turn, whichever worker sends them."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import Provider, RateLimit, RateLimited, RunContext, action
from integrations.sdk.limits import NotYet
from orchestrator.tenants.models import Tenant
from runs import gate_rows, gates
from runs.adapters import Readers
from runs.clock import DatabaseClock
from runs.engine.ports import OpenCredential
from runs.gates import Gates, StepGate
from runs.models import RateGate
from runs.sweeper import prune
from tests.runs.ground import drive, make_workflow, rows, start, step
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 5, 4, 7, tzinfo=UTC)
FIVE = RateLimit(requests=5)


class Inputs(BaseModel):
    base: str = "a"


class MovedClock(DatabaseClock):
    """A clock that only moves when somebody sleeps by it."""

    def __init__(self) -> None:
        super().__init__()
        self.at = NOW.timestamp()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.at += seconds


def limited(limit: RateLimit | None, run: Callable[[RunContext[Any]], Any] | None = None, **more: Any) -> Any:
    async def calls(ctx: RunContext[Inputs]) -> None:
        """Ask."""

    shop = Provider(key="shop", name="Shop", base_url=more.pop("base_url", "https://shop.invalid"))
    declared = action(
        provider=shop,
        key="shop.ask",
        name="Ask",
        auth_type="none",
        input_schema=Inputs,
        idempotent=True,
        rate_limit=limit,
        rate_limit_key=lambda inputs: inputs.base,
        **more,
    )
    return declared(run or calls)


@contextmanager
def worker(clock: MovedClock | None = None) -> Iterator[Gates]:
    """Give the gates of a driver of its own, with its own connections."""
    readers = Readers()
    moved = clock or MovedClock()
    try:
        yield Gates(readers, moved, sleep=moved.sleep)
    finally:
        readers.close()


def gate_of(found: Gates, tenant: Tenant, *, limit: RateLimit = FIVE, **more: Any) -> StepGate:
    options: dict[str, Any] = {"held": None, "credential": OpenCredential(), "inputs": Inputs(), **more}
    gate = found.of(limited(limit), options["inputs"], options["credential"], tenant_id=tenant.pk, held=options["held"])
    assert gate is not None
    return gate


def passes(found: Gates, tenant: Tenant, count: int, *, seconds: float = 30.0, **more: Any) -> list[float]:
    """Have so many steps send a request one after the other; return after how many seconds each was let through."""
    began = found.now()

    async def all_of_them() -> list[float]:
        times = []
        for _ in range(count):
            await gate_of(found, tenant, **more).enter(seconds)
            times.append(round(found.now() - began, 3))
        return times

    return asyncio.run(all_of_them())


def test_a_burst_passes_at_once_and_the_rest_at_the_rate(tenant: Tenant) -> None:
    with worker() as found:
        assert passes(found, tenant, 9) == [0, 0, 0, 0, 0, 0.2, 0.4, 0.6, 0.8]


def test_an_action_without_a_limit_passes_no_gate(tenant: Tenant) -> None:
    with worker() as found:
        assert found.of(limited(None), Inputs(), OpenCredential(), tenant_id=tenant.pk, held=None) is None
    assert not RateGate.objects.for_tenant(tenant).exists()


def test_an_operator_may_say_another_limit_or_none(tenant: Tenant, settings: Any) -> None:
    settings.ENV = dataclasses.replace(settings.ENV, rate_limits={"shop": 0.5, "other": None})
    with worker() as found:
        assert passes(found, tenant, 3) == [0, 2, 4]
        settings.ENV = dataclasses.replace(settings.ENV, rate_limits={"shop": None})
        assert found.of(limited(FIVE), Inputs(), OpenCredential(), tenant_id=tenant.pk, held=None) is None


def test_tenants_credentials_and_keys_are_counted_apart(tenant: Tenant, other_tenant: Tenant) -> None:
    class Mark:
        def __init__(self, pk: int) -> None:
            self.credential_id = pk

    one = RateLimit(requests=1, seconds=10)
    shared = RateLimit(requests=1, seconds=10, by_credential=False)
    ours, theirs = (OpenCredential(mark=Mark(pk)) for pk in (1, 2))
    with worker() as found:
        for where, credential, base in (
            (tenant, ours, "a"),
            (tenant, theirs, "a"),
            (tenant, ours, "b"),
            (other_tenant, ours, "a"),
        ):
            assert passes(found, where, 1, limit=one, credential=credential, inputs=Inputs(base=base)) == [0]
        # Of a base, whoever asks.
        assert passes(found, tenant, 1, limit=shared, credential=ours, inputs=Inputs(base="c")) == [0]
        assert passes(found, tenant, 1, limit=shared, credential=theirs, inputs=Inputs(base="c")) == [10]


def test_workers_with_connections_of_their_own_share_one_limit(tenant: Tenant) -> None:
    """Two drivers that ask for forty turns each at the same moment: no turn is given twice, and none is left out."""
    clock = MovedClock()

    def ask(found: Gates) -> list[float | None]:
        counted = gate_of(found, tenant).counted

        async def forty() -> list[float | None]:
            return await asyncio.gather(*(found.turn(counted) for _ in range(40)))

        return asyncio.run(forty())

    with worker(clock) as first, worker(clock) as second, ThreadPoolExecutor(2) as threads:
        turns = sorted(turn for given in threads.map(ask, (first, second)) for turn in given if turn is not None)
    waits = [round(turn - NOW.timestamp(), 3) for turn in turns]
    assert waits == [0.0] * 5 + [round(0.2 * place, 3) for place in range(1, 76)]


def test_a_driver_asks_once_for_all_that_wait(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(*, count: int, **more: Any) -> Any:
        asked.append(count)
        return gate_rows.turns_take(count=count, **more)

    monkeypatch.setattr(gates, "turns_take", noted)
    with worker() as found:
        counted = gate_of(found, tenant).counted

        async def many() -> None:
            await asyncio.gather(*(found.turn(counted) for _ in range(100)))

        asyncio.run(many())
    assert sum(asked) == 100
    assert len(asked) <= 2


def test_a_turn_that_comes_late_is_kept_and_used_without_another_question(tenant: Tenant) -> None:
    slow, clock = RateLimit(requests=1, seconds=60), MovedClock()
    with worker(clock) as found:
        assert passes(found, tenant, 1, limit=slow) == [0]
        with pytest.raises(NotYet, match="this one's turn comes in 60 s") as caught:
            passes(found, tenant, 1, limit=slow)
        assert (caught.value.turn, caught.value.retry_after) == ("kept", 60)
        clock.at += 60
        free_at = RateGate.objects.for_tenant(tenant).get().free_at
        assert passes(found, tenant, 1, limit=slow, held=clock.now()) == [0]
        assert RateGate.objects.for_tenant(tenant).get().free_at == free_at


def test_once_something_was_sent_every_second_left_is_waited_for(tenant: Tenant) -> None:
    slow = RateLimit(requests=1, seconds=25)
    with worker() as found:
        gate, before = gate_of(found, tenant, limit=slow), found.now()

        async def twice() -> None:
            await gate.enter(30)
            await gate.enter(30)

        asyncio.run(twice())
        assert found.now() - before == 25
        with pytest.raises(RateLimited) as caught:
            asyncio.run(gate.enter(10))
        # Counted like any other failure: the next attempt would send the first request again.
        assert not isinstance(caught.value, NotYet)


def test_where_too_many_wait_no_turn_is_given(tenant: Tenant) -> None:
    slow = RateLimit(requests=1, seconds=100)
    with worker() as found:
        counted = gate_of(found, tenant, limit=slow).counted
        turns = [asyncio.run(found.turn(counted)) for _ in range(6)]
        assert [turn is None for turn in turns] == [False] * 4 + [True] * 2
        with pytest.raises(NotYet) as caught:
            passes(found, tenant, 1, limit=slow)
        assert caught.value.turn == "later"
        assert 100 < (caught.value.retry_after or 0) < 300


def test_many_that_ask_at_once_get_no_turns_beyond_the_horizon(tenant: Tenant) -> None:
    """A run that is cancelled keeps its turns, however many of them it asked for at once."""
    with worker() as found:
        counted = gate_of(found, tenant, limit=RateLimit(requests=1, seconds=100)).counted

        async def many() -> list[float | None]:
            return await asyncio.gather(*(found.turn(counted) for _ in range(50)))

        turns = [turn - found.now() for turn in asyncio.run(many()) if turn is not None]
        assert turns
        assert max(turns) <= 2 * gate_rows.HORIZON_SECONDS


def test_a_clock_that_was_wrong_closes_no_gate_for_good(tenant: Tenant) -> None:
    clock = MovedClock()
    with worker(clock) as found:
        passes(found, tenant, 1)
        asyncio.run(gate_of(found, tenant).close(10**9))
        assert round(gate_rows.closed_until(**who(found, tenant), now=found.now()) - found.now()) == 3600
        clock.at -= 30 * 86_400
        assert passes(found, tenant, 6) == [0, 0, 0, 0, 0, 0.2]
        assert gate_rows.closed_until(**who(found, tenant), now=found.now()) == 0


def who(found: Gates, tenant: Tenant) -> dict[str, Any]:
    return {"tenant_id": tenant.pk, "key": gate_of(found, tenant).counted.key}


def test_a_refusal_closes_the_gate_for_everybody(tenant: Tenant) -> None:
    clock = MovedClock()
    with worker(clock) as first, worker(clock) as second:
        waits = gate_of(second, tenant)
        held = clock.now()
        asyncio.run(gate_of(first, tenant).close(7))
        assert passes(second, tenant, 3) == [7, 7.2, 7.4]
        # A turn from before the gate was closed is void.
        clock.at = held.timestamp() + 1
        waits.held = held
        asyncio.run(waits.enter(30))
        assert clock.at == pytest.approx(held.timestamp() + 7.6)


def test_whoever_waits_sees_that_the_gate_was_closed_meanwhile(tenant: Tenant) -> None:
    clock = MovedClock()
    slow = RateLimit(requests=1, seconds=5)
    with worker(clock) as first, worker(clock) as second:
        assert passes(first, tenant, 1, limit=slow) == [0]
        closes, began = gate_of(second, tenant, limit=slow), clock.now()

        async def sleeps(seconds: float) -> None:
            if clock.now() == began:
                await closes.close(8)
            await clock.sleep(seconds)

        first.sleep = sleeps
        assert passes(first, tenant, 1, limit=slow) == [10]


def test_gates_that_nobody_waits_at_are_forgotten(tenant: Tenant) -> None:
    with worker() as found:
        passes(found, tenant, 1)
        assert gate_rows.gates_prune(now=found.now() + 3000) == 0
        assert gate_rows.gates_prune(now=found.now() + 4000) == 1


def test_of_many_gates_all_are_forgotten_that_nobody_waits_at(tenant: Tenant) -> None:
    old = [RateGate(tenant=tenant, key=str(number), free_at=0) for number in range(gate_rows.MOST_PRUNED + 5)]
    RateGate.objects.for_tenant(tenant).bulk_create([*old, RateGate(tenant=tenant, key="new", free_at=time.time())])
    prune()
    assert [gate.key for gate in RateGate.objects.for_tenant(tenant)] == ["new"]


@pytest.fixture
def shop_server(settings: Any) -> Iterator[Upstream]:
    with upstream() as found:
        host = found.address.removeprefix("http://")
        settings.ENV = dataclasses.replace(settings.ENV, egress_allow=(host,))
        yield found


def test_a_step_that_has_to_wait_long_is_tried_again_when_its_turn_comes(tenant: Tenant, shop_server: Upstream) -> None:
    """One attempt is allowed, and waiting for a turn is none: all are sent once, none before its time."""

    async def ask(ctx: RunContext[Inputs]) -> Any:
        return (await ctx.http.get("/ask")).status_code

    limit = RateLimit(requests=5, seconds=2, burst=1)
    with registry.temporarily(limited(limit, ask, base_url=shop_server.address)):
        workflow = make_workflow(tenant, step("ask", "shop.ask", inputs={}, timeout=1, retry={"max_attempts": 1}))
        runs = [start(workflow) for _ in range(4)]
        drive()
    assert [run.refresh().status for run in runs] == ["succeeded"] * 4
    assert len(shop_server.calls) == 4
    attempts = [rows(run, "ask") for run in runs]
    waited = [each for each in attempts if len(each) > 1]
    assert waited, "nobody had to wait longer than half of its second"
    assert {each[0].error["turn"] for each in waited} == {"kept"}
    assert {each[0].failure_kind for each in waited} == {"rate_limited"}


def test_a_step_that_has_no_time_left_for_its_next_turn_holds_back_nobody(
    tenant: Tenant, shop_server: Upstream
) -> None:
    """Only what the provider says closes a gate: turns that were given out would be void, and be asked for again."""

    async def ask(ctx: RunContext[Inputs]) -> Any:
        await ctx.http.get("/first")
        await ctx.http.get("/second")

    limit = RateLimit(requests=1, seconds=100)
    with registry.temporarily(limited(limit, ask, base_url=shop_server.address)):
        run = start(make_workflow(tenant, step("ask", "shop.ask", inputs={}, retry={"max_attempts": 1})))
        drive()
    assert [(row.status, row.failure_kind) for row in rows(run)] == [("failed", "rate_limited")]
    assert [call.path for call in shop_server.calls] == ["/first"]
    assert RateGate.objects.for_tenant(tenant).get().closed_until == 0


def test_too_many_requests_at_one_step_hold_back_the_others(tenant: Tenant, shop_server: Upstream) -> None:
    async def ask(ctx: RunContext[Inputs]) -> Any:
        if ctx.attempt == 1 and ctx.step_key == "first":
            raise RateLimited("Shop: too many", retry_after=1.0)
        began = ctx.now
        await ctx.http.get("/ask")
        return (ctx.now - began).total_seconds()

    async def refused(ctx: RunContext[Inputs]) -> Any:
        await ctx.http.get("/refused")
        return await ask(ctx)

    with registry.temporarily(limited(RateLimit(requests=100), refused, base_url=shop_server.address)):
        workflow = make_workflow(
            tenant,
            step("first", "shop.ask", inputs={}, on_error="continue", retry={"max_attempts": 1}),
            step("second", "shop.ask", inputs={}),
        )
        run = start(workflow)
        drive()
    first, second = rows(run, "first")[0], rows(run, "second")[0]
    assert (first.status, second.status) == ("failed", "succeeded")
    assert (second.finished_at - first.finished_at).total_seconds() > 0.8  # type: ignore[operator]

"""Polls, subscriptions and looks of people wait for their turn at a provider beside steps: nobody passes its limit."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import (
    Item,
    JSONValue,
    Option,
    Options,
    OptionsContext,
    Polled,
    Provider,
    RateLimit,
    RateLimited,
    RunContext,
    WebhookContext,
    WebhookRequest,
    action,
)
from integrations.sdk.polling import polling
from integrations.sdk.webhook import Subscription, webhook
from orchestrator.builder import choices
from orchestrator.builder.polling_form import polled
from orchestrator.builder.polling_sample import samples_fetch
from orchestrator.errors import Invalid
from orchestrator.flow.definition import StepDefinition
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger
from orchestrator.workflows.publishing import publish
from runs import models
from runs.adapters import Readers
from runs.clock import DatabaseClock
from runs.engine.ports import OpenCredential
from runs.gates import Gates
from runs.models import RateGate, Run
from runs.poll_rows import poll_now
from runs.polls import Polls
from runs.rounds import Rounds
from runs.subscriptions import Subscriptions
from tests.runs.rounds_ground import rounds
from tests.upstream import Answered, Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE: Final = RateLimit(requests=1, seconds=60)


class Inputs(BaseModel):
    base: str = "a"


@pytest.fixture
def shop(settings: Any) -> Iterator[Upstream]:
    """A shop that takes one request a minute of each base."""
    settings.BASE_URL = "https://flows.example.com"
    choices._listed.clear()
    with upstream() as found:
        settings.ENV = dataclasses.replace(settings.ENV, egress_allow=(found.address.removeprefix("http://"),))
        with registry.temporarily(*_declared(found)):
            yield found


def _declared(shop: Upstream) -> tuple[Any, ...]:
    provider = Provider(key="shop", name="Shop", base_url=shop.address, rate_limit=MINUTE)
    about: dict[str, Any] = {
        "provider": provider, "auth_type": "none", "input_schema": Inputs, "rate_limit_key": lambda inputs: inputs.base,
    }  # fmt: skip

    async def news(ctx: RunContext[Inputs], cursor: JSONValue) -> Polled:
        """Starts when there is news."""
        answer = await ctx.http.get("/news")
        if answer.status_code == 429:
            raise RateLimited("Shop: too many.", retry_after=600)
        return Polled(items=[Item("1", {"n": 1})], cursor=1)

    async def bases(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
        await ctx.http.get("/bases")
        return Options(items=[Option("a", "A")])

    async def ask(ctx: RunContext[Inputs]) -> None:
        """Ask."""

    def parse(ctx: WebhookContext[Inputs], request: WebhookRequest) -> Any:
        """Starts when something is sold."""
        return request.json()

    async def subscribe(ctx: RunContext[Inputs], address: str, secret: str) -> Subscription:
        await ctx.http.get("/subscribe")
        return Subscription(id="h1")

    async def unsubscribe(ctx: RunContext[Inputs], subscription: Subscription) -> None:
        await ctx.http.get("/unsubscribe")

    return (
        polling(key="shop.news", name="News", first_run="emit", **about)(news),
        webhook(key="shop.sold", name="Sold", verify="github", subscribe=subscribe, unsubscribe=unsubscribe, **about)(
            parse
        ),
        action(key="shop.ask", name="Ask", options={"base": bases}, **about)(ask),
    )


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


def live(actor: Actor, kind: str, which: str) -> Trigger:
    document = {
        "name": "News",
        "triggers": [{"key": "news", "type": kind, "config": {"trigger": which}}],
        "steps": [{"key": "a", "action": "data.set", "config": {"inputs": {"values": {"x": 1}}}}],
    }
    publish(actor=actor, workflow=services.workflow_create(actor=actor, document=document))
    return Trigger.objects.for_tenant(actor.tenant).get()


def once(kind: type[Rounds[Any]], now: datetime) -> None:
    async def main() -> None:
        async with rounds(kind, now) as made:
            await made.look()

    asyncio.run(main())


def a_step_asks(tenant: Tenant, base: str = "a", *, times: int = 1) -> None:
    """Take the turns that steps of the same base would take."""

    async def main() -> None:
        readers = Readers()
        found = registry.get("shop.ask")
        assert found is not None
        gates = Gates(readers, DatabaseClock())
        gate = gates.of(found, Inputs(base=base), OpenCredential(), tenant_id=tenant.pk, held=None)
        assert gate is not None
        for _time in range(times):
            assert await gates.turn(gate.counted) is not None
        await asyncio.to_thread(readers.close)

    asyncio.run(main())


def free_at(tenant: Tenant) -> float:
    return RateGate.objects.for_tenant(tenant).get().free_at


def test_a_poll_whose_turn_comes_later_asks_then_with_the_turn_it_was_given(
    actor: Actor, tenant: Tenant, shop: Upstream
) -> None:
    trigger, now = live(actor, "polling", "shop.news"), timezone.now()
    a_step_asks(tenant)
    once(Polls, now)
    assert shop.calls == []
    trigger.refresh_from_db()
    at, taken = trigger.next_fire_at, free_at(tenant)
    assert at is not None
    assert timedelta(seconds=50) < at - now <= timedelta(seconds=61)
    assert "failures" not in trigger.state["poll"]
    assert "It waits for its turn" in polled(trigger).words
    once(Polls, at - timedelta(seconds=1))
    assert shop.calls == [], "before its turn nobody asks"
    once(Polls, at)
    assert [call.path for call in shop.calls] == ["/news"]
    assert Run.objects.for_tenant(tenant).count() == 1
    assert free_at(tenant) == taken, "it asked for no other turn"
    trigger.refresh_from_db()
    assert not {"turn", "waits"} & set(trigger.state["poll"])


def test_who_has_a_trigger_looked_at_before_its_turn_does_not_pass_the_limit(
    actor: Actor, tenant: Tenant, shop: Upstream
) -> None:
    trigger, now = live(actor, "polling", "shop.news"), timezone.now()
    # As a worker leaves it that went away.
    Trigger.unscoped.filter(pk=trigger.pk).update(state={"poll": {"since": now.isoformat()}})
    a_step_asks(tenant)
    once(Polls, now)
    trigger.refresh_from_db()
    at, taken = trigger.next_fire_at, free_at(tenant)
    assert not polled(trigger).under_way
    poll_now(actor=actor, trigger=trigger, now=now)
    once(Polls, now)
    assert shop.calls == []
    trigger.refresh_from_db()
    assert (trigger.next_fire_at, free_at(tenant)) == (at, taken), "its turn is still its own"


def test_a_poll_that_is_given_no_turn_keeps_its_cursor_and_asks_again(
    actor: Actor, tenant: Tenant, shop: Upstream
) -> None:
    trigger, now = live(actor, "polling", "shop.news"), timezone.now()
    once(Polls, now)
    trigger.refresh_from_db()
    before = trigger.state["poll"]
    a_step_asks(tenant, times=5)
    Trigger.unscoped.filter(pk=trigger.pk).update(next_fire_at=now)
    once(Polls, now)
    trigger.refresh_from_db()
    assert trigger.next_fire_at is not None
    assert timedelta(seconds=100) < trigger.next_fire_at - now < timedelta(seconds=300)
    assert trigger.state["poll"] == {**before, "waits": True}
    assert len(shop.calls) == 1


def test_what_is_counted_apart_does_not_wait(actor: Actor, tenant: Tenant, shop: Upstream) -> None:
    live(actor, "polling", "shop.news")
    a_step_asks(tenant, "b", times=5)
    once(Polls, timezone.now())
    assert len(shop.calls) == 1


def test_a_provider_that_refuses_a_poll_for_too_many_holds_back_steps_as_well(
    actor: Actor, tenant: Tenant, shop: Upstream
) -> None:
    shop.answers["/news"] = Answered(status=429)
    live(actor, "polling", "shop.news")
    once(Polls, timezone.now())
    closed = RateGate.objects.for_tenant(tenant).get().closed_until
    assert 590 < closed - timezone.now().timestamp() <= 600


def test_an_operators_limit_holds_for_a_provider_that_declares_none(
    actor: Actor, tenant: Tenant, shop: Upstream, settings: Any
) -> None:
    plain = Provider(key="plain", name="Plain", base_url=shop.address)

    async def news(ctx: RunContext[Inputs], cursor: JSONValue) -> Polled:
        """Starts when there is news."""
        await ctx.http.get("/news")
        return Polled()

    declared = polling(provider=plain, key="plain.news", name="News", auth_type="none", input_schema=Inputs)(news)
    with registry.temporarily(declared):
        trigger = live(actor, "polling", "plain.news")
        once(Polls, timezone.now())
        assert not RateGate.objects.for_tenant(tenant).exists()
        settings.ENV = dataclasses.replace(settings.ENV, rate_limits={"plain": 0.01})
        trigger.refresh_from_db()
        for _time in range(2):
            Trigger.unscoped.filter(pk=trigger.pk).update(next_fire_at=timezone.now())
            once(Polls, timezone.now())
        assert len(shop.calls) == 2


def test_a_provider_is_told_of_a_trigger_when_its_turn_comes(actor: Actor, tenant: Tenant, shop: Upstream) -> None:
    live(actor, "event", "shop.sold")
    now = timezone.now()
    a_step_asks(tenant)
    once(Subscriptions, now)
    row = models.Subscription.objects.for_tenant(tenant).get()
    assert (shop.calls, row.status, row.failures) == ([], "pending", 0)
    assert row.error is not None
    assert "this one's turn comes" in row.error["message"]
    assert row.next_at is not None
    assert timedelta(seconds=50) < row.next_at - now <= timedelta(seconds=61)
    taken = free_at(tenant)
    once(Subscriptions, row.next_at)
    row.refresh_from_db()
    assert (row.status, row.error, free_at(tenant)) == ("active", None, taken)
    assert [call.path for call in shop.calls] == ["/subscribe"]


def test_a_list_of_choices_that_is_given_no_turn_says_so_and_takes_none(
    actor: Actor, tenant: Tenant, shop: Upstream
) -> None:
    found = registry.get("shop.ask")
    assert found is not None
    step = StepDefinition.model_validate({"key": "ask", "action": "shop.ask", "config": {"inputs": {}}})
    listed: dict[str, Any] = {"actor": actor, "action": found, "step": step, "field": "base", "cursor": ""}
    assert choices.choices_of(query="x", **listed).items == (Option("a", "A"),)
    taken = free_at(tenant)
    told = choices.choices_of(query="y", **listed)
    assert told.again
    assert "Shop takes only so many requests in a while, and those of runs come first just now." in told.error
    assert "Try again in " in told.error
    assert (len(shop.calls), free_at(tenant)) == (1, taken)


def test_a_limit_of_an_actions_own_requests_is_none_of_its_lists(actor: Actor, tenant: Tenant, shop: Upstream) -> None:
    found = registry.get("shop.ask")
    assert found is not None
    assert choices._counted_as(found) is found
    own = dataclasses.replace(found, rate_limit=RateLimit(requests=1, seconds=5))
    counted = choices._counted_as(own)
    assert (counted.rate_limit, counted.rate_limit_key) == (MINUTE, None)


def test_a_look_at_what_a_trigger_would_find_passes_the_same_gate(actor: Actor, tenant: Tenant, shop: Upstream) -> None:
    trigger = live(actor, "polling", "shop.news")
    assert samples_fetch(actor=actor, trigger=trigger) == 1
    with pytest.raises(Invalid, match=r"those of runs come first just now\. Try again in \d+ seconds\."):
        samples_fetch(actor=actor, trigger=trigger)
    assert len(shop.calls) == 1

"""Subscriptions on the database: what a provider knows follows what is live, whoever tells it, and whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    BearerToken,
    NotFound,
    Provider,
    RunContext,
    Subscription,
    Transient,
    WebhookContext,
    WebhookRequest,
    webhook,
)
from orchestrator.errors import Conflict, Forbidden
from orchestrator.flow import events as timing
from orchestrator.tenants.access import Actor, actor_for_user, system_actor
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import rotation
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential, Health
from orchestrator.workflows import services
from orchestrator.workflows.addresses import trigger_address
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.publishing import publish
from runs import models, subscription_rows
from runs.bell import WORK, Ear
from runs.subscription_secrets import opened
from runs.subscription_state import subscription_of, subscription_retry, subscriptions_needing_a_person
from runs.subscriptions import Subscriptions
from tests.runs.ground import driving, until
from tests.runs.rounds_ground import rounds

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "tok-canary-8151"
ROOT = "https://orchestrator.example.com"
# What the provider knows, by its ids; what it was told, and what it raises instead.
_hooks: dict[str, dict[str, Any]] = {}
_told: list[str] = []
_raises: list[BaseException] = []
_gives: dict[str, Any] = {}
_gate: list[asyncio.Event] = []


async def _whose(ctx: AuthContext) -> Account:
    return Account(label="Ada")


shop = Provider(key="shop", name="Shop", base_url="https://shop.invalid", auth=[BearerToken(test=_whose)])


class Inputs(BaseModel):
    place: str = "north"


async def subscribe(ctx: RunContext[Inputs], address: str, secret: str) -> Subscription:
    _told.append("subscribe")
    if _raises:
        raise _raises.pop(0)
    number = f"h{len(_told)}"
    _hooks[number] = {"url": address, "secret": secret, "place": ctx.inputs.place, "key": ctx.idempotency_key}
    for gate in _gate:
        await gate.wait()
    return Subscription(id=number, **_gives)


async def renew(ctx: RunContext[Inputs], subscription: Subscription) -> Subscription:
    _told.append("renew")
    if _raises:
        raise _raises.pop(0)
    if subscription.id not in _hooks:
        raise NotFound("Shop knows no such hook.")
    return Subscription(id=subscription.id, **_gives)


async def unsubscribe(ctx: RunContext[Inputs], subscription: Subscription) -> None:
    _told.append("unsubscribe")
    if _raises:
        raise _raises.pop(0)
    gone = [number for number, hook in _hooks.items() if number == subscription.id or not subscription.id]
    gone = [number for number in gone if subscription.id or _hooks[number]["url"] == subscription.address]
    if not gone:
        raise NotFound("Shop knows no such hook.")
    for number in gone:
        del _hooks[number]


def _declared(key: str, **more: Any) -> Any:
    given: dict[str, Any] = {
        "auth_type": "none", "verify": "github", "subscribe": subscribe, "renew": renew, "unsubscribe": unsubscribe,
        **more,
    }  # fmt: skip

    def parse(ctx: WebhookContext[Inputs], request: WebhookRequest) -> Any:
        return request.json()

    return webhook(provider=shop, key=f"shop.{key}", name=key, input_schema=Inputs, **given)(parse)


TRIGGERS = (
    _declared("sold"),
    _declared("plain", renew=None),
    _declared("signs", auth_type="bearer_token"),
    _declared("hurries", timeout=0.05),
    _declared("byHand", subscribe=None, renew=None, unsubscribe=None, help="Under Settings."),
)


@pytest.fixture(autouse=True)
def _shop(settings: Any) -> Iterator[None]:
    settings.BASE_URL = ROOT
    for kept in (_hooks, _told, _raises, _gives, _gate):
        kept.clear()  # type: ignore[attr-defined]
    with registry.temporarily(*TRIGGERS):
        yield


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


def made(actor: Actor, which: str = "sold", *, publishes: bool = True, name: str = "News", **more: Any) -> Workflow:
    """Return a workflow with a trigger that Shop calls, published."""
    config = {"trigger": f"shop.{which}", **more}
    document = {
        "name": name,
        "triggers": [{"key": "news", "type": "event", "config": config}],
        "steps": [{"key": "a", "action": "data.set", "config": {"inputs": {"values": {"x": 1}}}}],
    }
    workflow = services.workflow_create(actor=actor, document=document)
    if publishes:
        publish(actor=actor, workflow=workflow)
    return workflow


def changed(actor: Actor, workflow: Workflow, **config: Any) -> None:
    """Publish the workflow with another config of its trigger, without one where none is given."""
    triggers = [{"key": "news", "type": "event", "config": config}] if config else []
    services.workflow_replace(actor=actor, workflow=workflow, document={**_document(workflow), "triggers": triggers})
    publish(actor=actor, workflow=workflow)


def _document(workflow: Workflow) -> dict[str, Any]:
    return {
        "name": workflow.name,
        "slug": workflow.slug,
        "steps": [{"key": "a", "action": "data.set", "config": {"inputs": {"values": {"x": 1}}}}],
    }


def tell(now: datetime | None = None, *, times: int = 2, at_once: Callable[[Subscriptions], Any] | None = None) -> None:
    """Tell providers what is due, as a driver does."""

    async def main() -> None:
        async with rounds(Subscriptions, now or timezone.now()) as subscriptions:
            for _time in range(times):
                await subscriptions.look()
                if at_once is not None:
                    await asyncio.sleep(0.1)
                    # In a thread of theirs, which closes its connection in the end.
                    await subscriptions.readers.read(partial(at_once, subscriptions))
                    for gate in _gate:
                        gate.set()
                await subscriptions.settle()

    asyncio.run(main())


def rows(tenant: Any) -> list[models.Subscription]:
    return list(models.Subscription.objects.for_tenant(tenant).order_by("pk"))


def row_of(tenant: Any) -> models.Subscription:
    (row,) = rows(tenant)
    return row


def test_publishing_subscribes_and_says_nothing_of_it_itself(actor: Actor) -> None:
    made(actor)
    assert (rows(actor.tenant), _told) == ([], [])
    tell()
    row = row_of(actor.tenant)
    ((number, hook),) = _hooks.items()
    trigger = Trigger.objects.for_tenant(actor.tenant).get()
    assert hook["url"] == f"{ROOT}/h/{trigger_address(trigger)}"
    assert (row.status, row.state, row.failures, row.error) == ("active", {"id": number, "state": None}, 0, None)
    assert opened(row).secret == hook["secret"]
    assert len(hook["secret"]) > 30
    assert trigger.next_fire_at is None
    assert timedelta(minutes=30) < (row.next_at or timezone.now()) - timezone.now() <= timing.CHECK


def test_equal_settings_keep_what_is_there_and_others_replace_it(actor: Actor) -> None:
    workflow = made(actor, inputs={"place": "north"})
    tell()
    before = dict(_hooks)
    changed(actor, workflow, trigger="shop.sold", inputs={"place": "north"})
    tell()
    assert (_hooks, _told) == (before, ["subscribe"])
    changed(actor, workflow, trigger="shop.sold", inputs={"place": "south"})
    tell(times=3)
    assert [hook["place"] for hook in _hooks.values()] == ["south"]
    # The old one goes first: a provider takes an address once.
    assert _told == ["subscribe", "unsubscribe", "subscribe"]
    assert row_of(actor.tenant).inputs == {"place": "south"}


@pytest.mark.parametrize("how", ["off", "without", "deleted", "other type"])
def test_what_is_no_longer_live_is_unsubscribed(how: str, actor: Actor) -> None:
    workflow = made(actor)
    tell()
    assert len(_hooks) == 1
    match how:
        case "off":
            services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
        case "without":
            changed(actor, workflow)
        case "deleted":
            services.workflow_delete(actor=actor, workflow=workflow)
        case _:
            document = {**_document(workflow), "triggers": [{"key": "news", "type": "manual", "config": {}}]}
            services.workflow_replace(actor=actor, workflow=workflow, document=document)
    tell()
    assert (_hooks, rows(actor.tenant)) == ({}, [])
    tell()
    assert _told == ["subscribe", "unsubscribe"]


def test_switched_on_again_it_subscribes_again(actor: Actor) -> None:
    workflow = made(actor)
    tell()
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=True)
    tell()
    # Nobody was told of what was over before anybody looked.
    assert _told == ["subscribe"]
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    tell()
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=True)
    tell()
    assert (len(_hooks), _told) == (1, ["subscribe", "unsubscribe", "subscribe"])


def test_one_that_ends_is_renewed_well_before(actor: Actor) -> None:
    ends = timezone.now() + timedelta(minutes=40)
    _gives["expires_at"] = ends
    made(actor)
    tell()
    row = row_of(actor.tenant)
    assert row.expires_at == ends
    assert row.next_at is not None
    assert timedelta(minutes=5) < ends - row.next_at < timedelta(minutes=15)
    _gives["expires_at"] = ends + timedelta(days=7)
    tell(row.next_at)
    again = row_of(actor.tenant)
    assert (_told, again.expires_at) == (["subscribe", "renew"], _gives["expires_at"])
    assert list(subscriptions_needing_a_person(actor.tenant, timezone.now())) == []


def test_one_that_cannot_be_renewed_is_made_again(actor: Actor) -> None:
    _gives["expires_at"] = timezone.now() + timedelta(minutes=40)
    made(actor, "plain")
    tell()
    tell(row_of(actor.tenant).next_at)
    assert _told == ["subscribe", "subscribe"]


def test_one_that_the_provider_lost_is_made_again(actor: Actor) -> None:
    made(actor)
    tell()
    (first,) = _hooks.values()
    _hooks.clear()
    row = row_of(actor.tenant)
    assert row.next_at is not None
    tell(row.next_at)
    assert _told == ["subscribe", "renew", "subscribe"]
    # By the same key a provider would give the first answer again, of what is gone.
    assert _hooks[row_of(actor.tenant).state["id"]]["key"] != first["key"]


def test_without_an_end_and_a_way_to_ask_only_the_credential_is_looked_at(actor: Actor) -> None:
    made(actor, "plain")
    tell()
    now = row_of(actor.tenant).next_at
    tell(now)
    row = row_of(actor.tenant)
    assert (_told, row.told_at) == (["subscribe"], now)


def test_a_failure_is_tried_again_later_and_told_where_it_stays(actor: Actor) -> None:
    _raises.extend([Transient("Shop is away.", retry_after=120), AuthError("Shop refuses."), RuntimeError("odd")])
    made(actor)
    now = timezone.now()
    tell(now, times=1)
    row = row_of(actor.tenant)
    assert (row.status, row.failures, row.error["message"]) == ("pending", 1, "Shop is away.")
    assert row.next_at == now + timedelta(seconds=120)
    assert not subscriptions_needing_a_person(actor.tenant, now).exists()
    tell(row.next_at, times=1)
    row = row_of(actor.tenant)
    assert subscriptions_needing_a_person(actor.tenant, now).get() == row
    assert (row.failures, row.error["kind"]) == (2, "auth")
    tell(row.next_at, times=1)
    row = row_of(actor.tenant)
    assert (row.failures, row.error["kind"]) == (3, "internal")
    tell(row.next_at, times=1)
    row = row_of(actor.tenant)
    assert (row.status, row.failures, row.error) == ("active", 0, None)
    # Another try after an answer is another request; the same after none is the same one.
    assert _hooks[row.state["id"]]["key"] == f"subscription-{row.pk}-0-3"


def test_the_secret_of_the_provider_takes_the_place_of_ours(actor: Actor) -> None:
    _gives["secret"] = "whsec-theirs-77"
    _gives["state"] = {"mode": "live"}
    made(actor)
    tell()
    row = row_of(actor.tenant)
    assert opened(row).secret == "whsec-theirs-77"
    assert row.state["state"] == {"mode": "live"}
    assert b"whsec" not in bytes(row.sealed or b"")


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ({"secret": "whsec-theirs-77", "state": {"copy": "whsec-theirs-77"}}, "holds a secret"),
        ({"state": float("nan")}, "cannot be kept"),
        ({"state": "x" * 70_000}, "more than 65,536 characters"),
    ],
)
def test_a_state_that_must_not_be_kept_is_a_failure(gives: dict[str, Any], said: str, actor: Actor) -> None:
    _gives.update(gives)
    made(actor)
    tell(times=1)
    row = row_of(actor.tenant)
    assert (row.status, row.state) == ("pending", {})
    assert said in row.error["message"]


def test_one_that_takes_too_long_is_stopped(actor: Actor) -> None:
    _gate.append(asyncio.Event())
    made(actor, "hurries")
    tell(times=1)
    assert row_of(actor.tenant).error["kind"] == "timeout"


def test_without_an_address_of_its_own_it_says_what_to_set(actor: Actor, settings: Any) -> None:
    settings.BASE_URL = None
    made(actor)
    tell(times=1)
    assert "BASE_URL is not set" in row_of(actor.tenant).error["message"]
    assert _told == []


def test_who_died_before_it_was_written_is_followed_by_the_same_request(actor: Actor) -> None:
    """What a kill leaves: the provider knows, and the row does not."""
    made(actor)
    now = timezone.now()
    subscription_rows.subscriptions_plan(now=now)
    (claim,) = subscription_rows.subscriptions_claim(now=now, room=1)
    assert claim.shared is not None
    _hooks["lost"] = {"url": claim.address, "secret": claim.shared.secret, "key": claim.idempotency_key, "place": ""}
    assert subscription_rows.subscriptions_claim(now=now, room=1) == []
    tell(claim.until)
    row = row_of(actor.tenant)
    assert {hook["key"] for hook in _hooks.values()} == {claim.idempotency_key}
    assert {hook["secret"] for hook in _hooks.values()} == {opened(row).secret}


def test_who_died_and_is_no_longer_wanted_is_searched_by_address(actor: Actor) -> None:
    workflow = made(actor)
    now = timezone.now()
    subscription_rows.subscriptions_plan(now=now)
    (claim,) = subscription_rows.subscriptions_claim(now=now, room=1)
    _hooks["lost"] = {"url": claim.address, "secret": "", "key": "", "place": ""}
    services.workflow_delete(actor=actor, workflow=workflow)
    tell(claim.until)
    assert (_hooks, rows(actor.tenant), _told) == ({}, [], ["unsubscribe"])


def test_what_is_switched_off_while_the_provider_is_told_is_untold(actor: Actor) -> None:
    workflow = made(actor)
    _gate.append(asyncio.Event())

    def off(_subscriptions: Subscriptions) -> None:
        services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
        subscription_rows.subscriptions_plan(now=timezone.now())

    tell(times=1, at_once=off)
    row = row_of(actor.tenant)
    assert (row.status, row.state["id"]) == ("ending", next(iter(_hooks)))
    tell(timezone.now() + timedelta(seconds=1))
    assert (_hooks, rows(actor.tenant)) == ({}, [])


def test_a_driver_that_ends_gives_back_what_it_tells(actor: Actor) -> None:
    made(actor)
    _gate.append(asyncio.Event())
    tell(times=1, at_once=lambda subscriptions: None)
    assert row_of(actor.tenant).since is None
    now = timezone.now()
    models.Subscription.unscoped.update(next_at=now)
    claims = subscription_rows.subscriptions_claim(now=now, room=1)
    subscription_rows.subscriptions_release(claims, now=now)
    assert row_of(actor.tenant).next_at == now


def test_two_workers_tell_a_provider_once(actor: Actor) -> None:
    made(actor)
    now = timezone.now()
    subscription_rows.subscriptions_plan(now=now)
    subscription_rows.subscriptions_plan(now=now)
    claims = [claim for _worker in range(2) for claim in subscription_rows.subscriptions_claim(now=now, room=5)]
    assert len(claims) == len(rows(actor.tenant)) == 1
    # The lease is over, another worker has it, and the first has an answer after all.
    (again,) = subscription_rows.subscriptions_claim(now=claims[0].until, room=5)
    outcome = subscription_rows.Outcome(at=now, next_at=now, told=Subscription(id="first"))
    subscription_rows.subscription_finish(claims[0], outcome)
    assert row_of(actor.tenant).state == {}
    subscription_rows.subscription_finish(again, outcome)
    assert row_of(actor.tenant).state["id"] == "first"


def test_nobody_elses_slow_provider_keeps_a_tenant_waiting(actor: Actor, other_tenant: Tenant) -> None:
    for number in range(subscription_rows.OF_A_TENANT + 3):
        made(actor, name=f"Slow {number}")
    made(system_actor(other_tenant))
    now = timezone.now()
    subscription_rows.subscriptions_plan(now=now)
    claims = subscription_rows.subscriptions_claim(now=now, room=16)
    assert len(claims) == subscription_rows.OF_A_TENANT + 1
    assert other_tenant.pk in {claim.tenant_id for claim in claims}
    tenants = {claim.tenant_id: claim.address for claim in claims}
    assert len(set(tenants.values())) == 2


def test_a_credential_is_used_and_one_that_is_gone_is_told(actor: Actor) -> None:
    credential = vault.credential_create(
        actor=system_actor(actor.tenant), name="shop", provider="shop", auth_type="bearer_token",
        secret={"token": TOKEN},
    )  # fmt: skip
    made(actor, "signs", credential="shop")
    tell()
    row = row_of(actor.tenant)
    assert (row.status, row.credential_id) == ("active", credential.pk)
    assert Credential.objects.for_tenant(actor.tenant).get().health == Health.WORKING
    _raises.append(AuthError(f"Shop refuses {TOKEN}."))
    tell(row.next_at, times=1)
    row = row_of(actor.tenant)
    assert Credential.objects.for_tenant(actor.tenant).get().health == Health.RECONNECT
    assert TOKEN not in str(row.error)
    assert row.error["kind"] == "auth"
    assert not subscriptions_needing_a_person(actor.tenant, timezone.now()).exists()
    vault.credential_delete(actor=actor, credential=credential)
    assert subscriptions_needing_a_person(actor.tenant, timezone.now()).get() == row
    tell(row_of(actor.tenant).next_at, times=1)
    assert "shop" in row_of(actor.tenant).error["message"]


def test_what_cannot_be_ended_is_let_go_in_the_end(actor: Actor) -> None:
    workflow = made(actor)
    tell()
    services.workflow_delete(actor=actor, workflow=workflow)
    now = timezone.now()
    for _try in range(subscription_rows.MOST_ENDINGS):
        _raises.append(Transient("Shop is away."))
        tell(now, times=1)
        now += timedelta(hours=2)
    assert rows(actor.tenant) == []
    assert _told.count("unsubscribe") == subscription_rows.MOST_ENDINGS


def test_what_cannot_be_opened_waits_and_stands_in_nobodys_way(actor: Actor) -> None:
    made(actor, name="Broken")
    Trigger.objects.for_tenant(actor.tenant).update(address_sealed=b"odd")
    made(actor, name="Good")
    now = timezone.now()
    tell(now)
    assert [row.status for row in rows(actor.tenant)] == ["active"]
    broken = Trigger.objects.for_tenant(actor.tenant).exclude(next_fire_at=None).get()
    assert (broken.next_fire_at or now) > now


def test_while_secrets_cannot_be_opened_nothing_is_given_up(actor: Actor, settings: Any) -> None:
    vault.credential_create(
        actor=system_actor(actor.tenant), name="shop", provider="shop", auth_type="bearer_token",
        secret={"token": TOKEN},
    )  # fmt: skip
    workflow = made(actor, "signs", credential="shop")
    tell()
    services.workflow_delete(actor=actor, workflow=workflow)
    keys, settings.VAULT_KEYS = settings.VAULT_KEYS, [b"n" * 32]
    now = timezone.now()
    for _try in range(subscription_rows.MOST_ENDINGS + 1):
        tell(now, times=1)
        now += timedelta(minutes=1)
    row = row_of(actor.tenant)
    assert (row.status, row.failures, row.error["kind"]) == ("ending", 0, "auth")
    settings.VAULT_KEYS = keys
    tell(now)
    assert (_hooks, rows(actor.tenant)) == ({}, [])


def test_an_integration_that_is_not_installed_is_told(actor: Actor) -> None:
    made(actor)
    with registry.temporarily():
        subscription_rows.subscriptions_plan(now=timezone.now())
    models.Subscription.unscoped.update(declared="shop.gone")
    tell(times=1)
    assert "no trigger 'shop.gone'" in row_of(actor.tenant).error["message"]


def test_what_a_person_enters_keeps_its_secret_whatever_is_published(actor: Actor) -> None:
    workflow = made(actor, "byHand")
    tell()
    row = row_of(actor.tenant)
    assert (row.status, row.next_at, _told) == ("manual", None, [])
    secret = opened(row).secret
    changed(actor, workflow, trigger="shop.byHand", inputs={"place": "south"})
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    tell()
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=True)
    tell()
    assert opened(row_of(actor.tenant)).secret == secret
    changed(actor, workflow, trigger="shop.sold")
    tell()
    assert [row.status for row in rows(actor.tenant)] == ["active"]
    services.workflow_delete(actor=actor, workflow=workflow)
    tell()
    assert rows(actor.tenant) == []


def test_a_person_has_it_tried_again_at_once(actor: Actor, viewer: User) -> None:
    made(actor)
    trigger = Trigger.objects.for_tenant(actor.tenant).get()
    with pytest.raises(Conflict, match="not live"):
        subscription_retry(actor=actor, trigger=trigger, now=timezone.now())
    _raises.append(Transient("Shop is away."))
    tell(times=1)
    now = timezone.now()
    subscription_retry(actor=actor, trigger=trigger, now=now)
    assert row_of(actor.tenant).next_at == now
    event = AuditEvent.objects.for_tenant(actor.tenant).get(action="trigger.subscribed")
    assert event.target_id == trigger.pk
    with pytest.raises(Forbidden):
        subscription_retry(actor=actor_for_user(viewer, "acme"), trigger=trigger, now=now)
    (claim,) = subscription_rows.subscriptions_claim(now=now, room=1)
    subscription_retry(actor=actor, trigger=trigger, now=now)
    assert row_of(actor.tenant).next_at == claim.until


def test_the_secrets_move_to_a_new_key_with_all_others(actor: Actor, settings: Any) -> None:
    made(actor)
    tell()
    secret = opened(row_of(actor.tenant)).secret
    settings.VAULT_KEYS = [b"n" * 32, *settings.VAULT_KEYS]
    assert any(progress.column == "subscription" and progress.moved == 1 for progress in rotation.rotate())
    settings.VAULT_KEYS = settings.VAULT_KEYS[:1]
    assert opened(row_of(actor.tenant)).secret == secret


def test_the_driver_that_holds_the_bell_tells(actor: Actor) -> None:
    made(actor)
    with driving(ear=Ear(WORK)):
        until(lambda: bool(_hooks))
        until(lambda: rows(actor.tenant)[0].status == "active")
    trigger = Trigger.objects.for_tenant(actor.tenant).get()
    assert subscription_of(trigger) == row_of(actor.tenant)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 30), (1, 30), (2, 60), (7, 1920), (8, 3600), (500, 3600)])
def test_waits_grow_to_an_hour(failures: int, seconds: int) -> None:
    assert timing.backoff(failures) == timedelta(seconds=seconds)
    assert timing.backoff(failures, retry_after=7_200) == timedelta(hours=2)
    assert timing.backoff(failures, retry_after=float("inf")) == timedelta(days=1)


def test_a_look_comes_well_before_the_end() -> None:
    now = datetime(2026, 5, 4, tzinfo=UTC)
    assert timing.next_look(now, None) == now + timing.CHECK
    assert timing.next_look(now, now + timedelta(days=7)) == now + timing.CHECK
    assert timing.next_look(now, now + timedelta(minutes=20)) == now + timedelta(minutes=15)
    assert timing.next_look(now, now - timedelta(minutes=20)) <= now


def test_since_when_a_provider_refuses_is_kept_until_it_agrees(actor: Actor) -> None:
    made(actor)
    _raises.extend([Transient("Away."), Transient("Away.")])
    began = timezone.now()
    tell(began, times=1)
    first = row_of(actor.tenant)
    assert first.next_at is not None
    tell(first.next_at, times=1)
    second = row_of(actor.tenant)
    assert second.error is not None
    assert (second.failures, second.error["since"]) == (2, began.isoformat())
    assert second.next_at is not None
    tell(second.next_at, times=1)
    assert row_of(actor.tenant).error is None

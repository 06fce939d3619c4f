"""Triggers that poll, on the database: what is new becomes one run each, whoever polls, and whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import Account, AuthContext, AuthError, BearerToken, Item, JSONValue, Polled, Provider, RunContext
from integrations.sdk.errors import RateLimited, Transient
from integrations.sdk.polling import MAX_ITEMS, polling
from orchestrator import jsongate
from orchestrator.errors import Conflict, Forbidden
from orchestrator.flow import polling as timing
from orchestrator.tenants.access import Actor, actor_for_user, system_actor
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential, Health
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.publishing import publish
from runs import poll_rows, schedules
from runs.bell import WORK, Ear
from runs.models import Run, Sample
from runs.polls import Polls
from runs.restoring import settle
from runs.selectors import trigger_of
from tests.runs.ground import driving, make_workflow, until
from tests.runs.rounds_ground import rounds

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "tok-canary-8151"
NOW = datetime.fromisoformat("2026-05-04T07:00:00+00:00")
# What is at the other side, what it raises instead, and the cursors it was asked with.
_there: list[Any] = []
_raises: list[BaseException] = []
_asked: list[JSONValue] = []
_slow: list[float] = []


async def _whose(ctx: AuthContext) -> Account:
    return Account(label="Ada")


shop = Provider(key="shop", name="Shop", base_url="https://shop.invalid", auth=[BearerToken(test=_whose)])


class Inputs(BaseModel):
    place: str = "north"


async def _new(ctx: RunContext[Inputs], cursor: JSONValue) -> Polled:
    """Starts when something is there."""
    _asked.append(cursor)
    if _slow:
        await asyncio.sleep(_slow[0])
    if _raises:
        raise _raises.pop(0)
    seen = cursor if isinstance(cursor, int) else 0
    new = _there[seen:]
    return Polled(items=[Item(str(each["id"]), each) for each in new], cursor=len(_there))


def _declared(key: str, **more: Any) -> Any:
    given: dict[str, Any] = {"auth_type": "none", "first_run": "emit", **more}
    return polling(provider=shop, key=f"shop.{key}", name=key, input_schema=Inputs, **given)(_new)


TRIGGERS = (
    _declared("emits"),
    _declared("skips", first_run="skip"),
    _declared("signs", auth_type="bearer_token"),
    _declared("hurries", timeout=0.05),
)


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    for kept in (_there, _raises, _asked, _slow):
        kept.clear()
    with registry.temporarily(*TRIGGERS):
        yield


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


def polled(
    tenant: Tenant, which: str = "emits", *, slug: str = "test", at: datetime | None = NOW, **more: Any
) -> Trigger:
    """Return the live trigger of a published workflow that is due."""
    bindings = more.pop("bindings", {})
    workflow = make_workflow(tenant, slug=slug, bindings=bindings)
    given = {"trigger": f"shop.{which}", **more}
    return Trigger.unscoped.create(
        tenant=tenant, workflow=workflow, key="news", type="polling", config=given, live_config=given, next_fire_at=at
    )


def poll(now: datetime = NOW, *, at_once: Callable[[Polls], Any] | None = None) -> None:
    """Poll what is due, as a driver does."""

    async def main() -> None:
        async with rounds(Polls, now) as polls:
            await polls.look()
            if at_once is not None:
                await asyncio.sleep(0.1)
                at_once(polls)

    asyncio.run(main())


def runs(trigger: Trigger) -> list[Run]:
    return list(Run.objects.for_tenant(trigger.tenant_id).filter(workflow=trigger.workflow_id).order_by("pk"))


def state(trigger: Trigger) -> dict[str, Any]:
    found: dict[str, Any] = Trigger.unscoped.get(pk=trigger.pk).state.get("poll", {})
    return found


def next_of(trigger: Trigger) -> datetime:
    found = Trigger.unscoped.get(pk=trigger.pk).next_fire_at
    assert found is not None
    return found


def test_what_is_new_becomes_one_run_each_and_the_cursor_goes_on(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _there.extend([{"id": 1, "title": "one"}, {"id": 2, "title": "two"}])
    poll(NOW - timedelta(seconds=1))
    assert runs(trigger) == []
    poll()
    first, second = runs(trigger)
    assert (first.trigger_type, first.trigger_key, first.status, first.wake_at) == ("polling", "news", "queued", NOW)
    assert first.version_id == trigger.workflow.published_version_id
    assert first.trigger == {
        "type": "polling", "key": "news", "body": {"id": 1, "title": "one"}, "headers": {}, "query": {},
        "method": None, "received_at": NOW.isoformat(),
    }  # fmt: skip
    assert second.trigger["body"]["title"] == "two"
    assert timedelta(seconds=30) <= next_of(trigger) - NOW <= timedelta(seconds=90)
    assert (state(trigger)["found"], state(trigger)["started"]) == (2, 2)
    _there.append({"id": 3})
    poll(next_of(trigger))
    assert [run.trigger["body"]["id"] for run in runs(trigger)] == [1, 2, 3]
    assert _asked == [None, 2]


def test_the_first_poll_of_one_that_skips_starts_nothing_and_keeps_the_newest_as_samples(tenant: Tenant) -> None:
    trigger = polled(tenant, "skips")
    _there.extend({"id": number} for number in range(5))
    poll()
    assert runs(trigger) == []
    kept = Sample.objects.for_tenant(tenant).filter(trigger=trigger).order_by("pk")
    assert [sample.document["body"]["id"] for sample in kept] == [2, 3, 4]
    assert state(trigger)["skipped"] == 5
    _there.append({"id": 5})
    poll(next_of(trigger))
    assert [run.trigger["body"]["id"] for run in runs(trigger)] == [5]


@pytest.mark.parametrize("polled_before", [True, False])
def test_after_a_restored_backup_what_came_meanwhile_starts_nothing(tenant: Tenant, polled_before: bool) -> None:
    trigger = polled(tenant)
    _there.append({"id": 1})
    if polled_before:
        poll()
    before = len(runs(trigger))
    _there.append({"id": 2})
    assert settle(NOW).polls == 1
    poll(next_of(trigger))
    assert len(runs(trigger)) == before
    _there.append({"id": 3})
    poll(next_of(trigger))
    assert runs(trigger)[-1].trigger["body"] == {"id": 3}
    assert len(runs(trigger)) == before + 1


def test_an_item_that_is_given_again_makes_no_second_run(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _there.extend([{"id": 1}, {"id": 2}, {"id": 2}])
    poll()
    assert len(runs(trigger)) == 2
    # As after a restored backup, or a process that died with the answer in its hands.
    Trigger.unscoped.filter(pk=trigger.pk).update(state={}, next_fire_at=NOW)
    _there.append({"id": 3})
    poll()
    assert [run.trigger["body"]["id"] for run in runs(trigger)] == [1, 2, 3]


def test_who_dies_over_a_poll_loses_nothing_and_is_followed_when_its_lease_ends(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _there.append({"id": 1})
    (claim,) = poll_rows.polls_claim(now=NOW, room=5)
    assert poll_rows.polls_claim(now=NOW, room=5) == []
    assert claim.until - NOW == timedelta(seconds=60)
    poll(NOW + timedelta(seconds=59))
    assert (runs(trigger), _asked) == ([], [])
    poll(NOW + timedelta(seconds=60))
    assert len(runs(trigger)) == 1
    # The one that was thought dead comes back: what it has to say is no news any more.
    late = poll_rows.Outcome(state={"cursor": "old"}, next_at=NOW)
    assert poll_rows.poll_finish(claim, late) is poll_rows.Finish.OBSOLETE
    assert state(trigger)["cursor"] == 1


def test_a_poll_that_is_stopped_is_given_back_at_once(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _slow.append(30)
    poll(at_once=lambda polls: polls.close())
    assert next_of(trigger) == NOW
    _slow.clear()
    _there.append({"id": 1})
    poll()
    assert len(runs(trigger)) == 1


@pytest.mark.parametrize("why", ["switched off", "published anew", "not live"])
def test_what_changed_under_a_poll_lets_it_say_nothing(why: str, tenant: Tenant) -> None:
    trigger = polled(tenant)
    _there.append({"id": 1})
    _slow.append(0.4)
    under_way: list[asyncio.Task[Any]] = []
    rows = Trigger.unscoped.filter(pk=trigger.pk)

    def change(_polls: Polls) -> None:
        loop = asyncio.get_running_loop()
        changes: dict[str, Callable[[], Any]] = {
            "switched off": lambda: (
                Workflow.unscoped.filter(pk=trigger.workflow_id).update(enabled=False),
                rows.update(next_fire_at=None),
            ),
            "published anew": lambda: rows.update(live_config={"trigger": "shop.skips"}, next_fire_at=NOW),
            "not live": lambda: rows.update(live_config=None),
        }
        # A reader's thread, whose connection is closed with it.
        under_way.append(loop.create_task(_polls.readers.read(changes[why])))

    poll(at_once=change)
    assert _asked == [None]
    assert runs(trigger) == []
    assert "cursor" not in state(trigger)


def test_at_most_a_hundred_start_at_once_and_the_rest_soon_after(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _there.extend({"id": number} for number in range(MAX_ITEMS + 30))
    poll()
    assert len(runs(trigger)) == MAX_ITEMS
    soon = next_of(trigger)
    assert soon - NOW <= timedelta(seconds=2)
    poll(soon)
    assert [run.trigger["body"]["id"] for run in runs(trigger)] == list(range(MAX_ITEMS + 30))
    assert state(trigger)["cursor"] == MAX_ITEMS + 30


def test_a_large_item_is_kept_beside_its_run_and_one_beyond_all_bounds_is_left_out_and_told(tenant: Tenant) -> None:
    trigger = polled(tenant)
    large = "x" * 200_000
    _there.extend([{"id": 1, "text": large}, {"id": 2, "text": "y" * (jsongate.MAX_BYTES + 1)}, {"id": 3}])
    poll()
    first, last = runs(trigger)
    assert first.trigger_ref is not None
    assert trigger_of(first)["body"]["text"] == large
    assert last.trigger["body"] == {"id": 3}
    assert state(trigger)["refused"] == 1


def test_failures_are_told_and_come_ever_more_rarely_until_it_works_again(tenant: Tenant) -> None:
    trigger = polled(tenant, interval=10)
    now = NOW
    pauses = []
    for _time in range(4):
        _raises.append(Transient("Shop is away.", hint="Wait."))
        poll(now)
        pauses.append(next_of(trigger) - now)
        now = next_of(trigger)
    assert [pause.total_seconds() for pause in pauses] == [20, 40, 80, 160]
    assert state(trigger)["error"] == {"kind": "transient", "message": "Shop is away.", "hint": "Wait."}
    assert state(trigger)["failures"] == 4
    _there.append({"id": 1})
    poll(now)
    assert len(runs(trigger)) == 1
    assert {"error", "failures"} & set(state(trigger)) == set()


def test_a_failure_keeps_the_cursor(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _there.append({"id": 1})
    poll()
    _raises.append(ValueError("a defect"))
    poll(next_of(trigger))
    assert state(trigger)["error"]["kind"] == "internal"
    poll(next_of(trigger))
    assert _asked == [None, 1, 1]


def test_what_the_other_side_asks_for_is_obeyed(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _raises.append(RateLimited("Slower.", retry_after=600))
    poll()
    assert next_of(trigger) - NOW == timedelta(seconds=600)


def test_a_poll_that_takes_too_long_is_stopped(tenant: Tenant) -> None:
    trigger = polled(tenant, "hurries")
    _slow.append(20)
    poll()
    assert state(trigger)["error"]["kind"] == "timeout"
    assert runs(trigger) == []


def test_another_place_to_look_begins_anew_and_another_interval_does_not(tenant: Tenant) -> None:
    trigger = polled(tenant)
    poll()
    rows = Trigger.unscoped.filter(pk=trigger.pk)
    rows.update(live_config={"trigger": "shop.emits", "interval": 120}, next_fire_at=NOW)
    poll()
    rows.update(live_config={"trigger": "shop.emits", "inputs": {"place": "south"}}, next_fire_at=NOW)
    poll()
    assert _asked == [None, 0, None]


def test_a_credential_is_opened_and_what_its_provider_says_of_it_is_kept(tenant: Tenant) -> None:
    credential = vault.credential_create(
        actor=system_actor(tenant), name="shop", provider="shop", auth_type="bearer_token", secret={"token": TOKEN}
    )
    trigger = polled(tenant, "signs", credential="shop", bindings={"shop": credential.pk})
    _there.append({"id": 1, "echo": f"Bearer {TOKEN}"})
    poll()
    assert Credential.objects.for_tenant(tenant).get().health == Health.WORKING
    (run,) = runs(trigger)
    assert TOKEN not in str(run.trigger)
    _raises.append(AuthError(f"Shop refuses {TOKEN}."))
    poll(next_of(trigger))
    found = Credential.objects.for_tenant(tenant).get()
    assert found.health == Health.RECONNECT
    assert TOKEN not in found.health_message + str(state(trigger))
    assert state(trigger)["error"]["kind"] == "auth"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"which": "signs"}, "Shop requires a bearer token"),
        ({"which": "signs", "credential": "gone"}, "gone"),
        ({"which": "unknown"}, "no trigger 'shop.unknown'"),
        ({"inputs": {"place": 5}}, "place"),
        ({"interval": 1}, "settings cannot be read"),
    ],
)
def test_what_cannot_be_polled_says_why_and_stands_in_nobodys_way(
    more: dict[str, Any], said: str, tenant: Tenant
) -> None:
    trigger = polled(tenant, more.pop("which", "emits"), **more)
    other = polled(tenant, slug="other")
    _there.append({"id": 1})
    poll()
    assert said in state(trigger)["error"]["message"]
    assert next_of(trigger) > NOW
    assert len(runs(other)) == 1


def test_nobody_elses_slow_servers_keep_a_tenant_waiting(tenant: Tenant, other_tenant: Tenant) -> None:
    for number in range(poll_rows.OF_A_TENANT + 3):
        polled(tenant, slug=f"slow-{number}")
    mine = polled(other_tenant, slug="mine", at=NOW + timedelta(seconds=1))
    claims = poll_rows.polls_claim(now=NOW + timedelta(seconds=2), room=16)
    assert len(claims) == poll_rows.OF_A_TENANT + 1
    assert mine.pk in {claim.trigger_id for claim in claims}


def test_a_tenant_with_very_many_stands_in_nobodys_way(
    tenant: Tenant, other_tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_rows, "_LOOKED_AT", poll_rows.OF_A_TENANT)
    for number in range(poll_rows.OF_A_TENANT * 2):
        polled(tenant, slug=f"many-{number}")
    mine = polled(other_tenant, slug="mine", at=NOW + timedelta(seconds=1))
    now = NOW + timedelta(seconds=2)
    first = poll_rows.polls_claim(now=now, room=16)
    second = poll_rows.polls_claim(now=now, room=16, busy=[claim.tenant_id for claim in first])
    assert [claim.trigger_id for claim in second] == [mine.pk]


def test_the_ticker_is_not_kept_awake_by_what_is_polled(tenant: Tenant) -> None:
    trigger = polled(tenant)
    assert schedules.next_at() is None
    assert schedules.fire(NOW + timedelta(hours=1)) == 0
    assert next_of(trigger) == NOW


def test_publishing_polls_at_once_and_switching_off_ends_it(actor: Actor) -> None:
    document = {
        "name": "News",
        "triggers": [{"key": "news", "type": "polling", "config": {"trigger": "shop.emits"}}],
        "steps": [{"key": "a", "action": "data.set", "config": {"inputs": {"values": {"x": 1}}}}],
    }
    workflow = services.workflow_create(actor=actor, document=document)
    publish(actor=actor, workflow=workflow)
    trigger = Trigger.objects.for_tenant(actor.tenant).get()
    assert trigger.next_fire_at is not None
    assert trigger.next_fire_at <= timezone.now()
    now = timezone.now()
    poll(now)
    later = next_of(trigger)
    assert later > now
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    assert Trigger.objects.for_tenant(actor.tenant).get().next_fire_at is None
    _there.append({"id": 1})
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=True)
    poll(timezone.now())
    # What came meanwhile is there still: the cursor is where it was.
    assert len(runs(trigger)) == 1


def test_a_person_has_a_live_trigger_polled_at_once(actor: Actor, viewer: User, tenant: Tenant) -> None:
    trigger = polled(tenant, at=NOW + timedelta(hours=1))
    poll_rows.poll_now(actor=actor, trigger=trigger, now=NOW)
    assert next_of(trigger) == NOW
    (claim,) = poll_rows.polls_claim(now=NOW, room=1)
    poll_rows.poll_now(actor=actor, trigger=trigger, now=NOW)
    assert next_of(trigger) == claim.until
    event = AuditEvent.objects.for_tenant(tenant).get(action="trigger.polled")
    assert (event.actor, event.target_id) == (actor.user, trigger.pk)
    with pytest.raises(Forbidden):
        poll_rows.poll_now(actor=actor_for_user(viewer, "acme"), trigger=trigger, now=NOW)
    Trigger.unscoped.filter(pk=trigger.pk).update(next_fire_at=None)
    with pytest.raises(Conflict, match="not live"):
        poll_rows.poll_now(actor=actor, trigger=trigger, now=NOW)


def test_the_driver_that_holds_the_bell_polls(tenant: Tenant) -> None:
    trigger = polled(tenant, at=timezone.now())
    _there.append({"id": 1})
    with driving(ear=Ear(WORK)):
        until(lambda: runs(trigger) and runs(trigger)[0].status == "succeeded")
    assert "since" not in state(trigger)


def test_since_when_it_fails_is_kept_until_it_works_again(tenant: Tenant) -> None:
    trigger = polled(tenant)
    _raises.extend([Transient("Away."), Transient("Away.")])
    poll()
    assert state(trigger)["failing_since"] == NOW.isoformat()
    poll(next_of(trigger))
    assert (state(trigger)["failures"], state(trigger)["failing_since"]) == (2, NOW.isoformat())
    poll(next_of(trigger))
    assert "failing_since" not in state(trigger)


@pytest.mark.parametrize("interval", [10, 60, 3600])
@pytest.mark.parametrize("offset", [0, 7, 1234567890123])
def test_polls_come_at_their_interval_each_trigger_at_a_second_of_its_own(interval: int, offset: int) -> None:
    moment = datetime(2026, 5, 4, 7, 0, 3, 500_000, tzinfo=UTC)
    first = timing.next_poll(interval, moment, offset=offset)
    assert timedelta(seconds=interval / 2) <= first - moment <= timedelta(seconds=interval * 1.5)
    assert timing.next_poll(interval, first + timedelta(seconds=1), offset=offset) - first == timedelta(
        seconds=interval
    )
    other = timing.next_poll(interval, moment, offset=offset + 1)
    assert (other - first).total_seconds() % interval == 1

"""Messages on their way: sent by one of many, again after a death, later each time, and at last given up."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from orchestrator.alerts import deliveries
from orchestrator.alerts.deliveries import (
    CLAIM,
    PAUSES,
    deliveries_claim,
    deliveries_prune,
    delivery_add,
    delivery_note,
    delivery_open,
)
from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.models import AlertChannel, AlertDelivery, AlertLook
from orchestrator.alerts.refused import NotSent
from orchestrator.alerts.sending import Outgoing
from orchestrator.alerts.services import channel_test
from orchestrator.alerts.targets import Target, new_secret, target_seal
from orchestrator.tenants.access import actor_for_user, system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.vault.services import credential_create, resolve_credential
from runs.adapters import PooledClients, Readers
from runs.alerts import Alerts
from runs.clock import DatabaseClock
from runs.credentials import VaultCredentials
from tests.alerts.test_telling import document, item
from tests.runs.ground import drive, driving, make_workflow, start, step, until
from tests.upstream import Upstream, upstream
from tests.vault.token_endpoint import token_endpoint

pytestmark = pytest.mark.django_db(transaction=True)
Make = Callable[..., AlertChannel]


@pytest.fixture
def called(settings: Settings) -> Iterator[Upstream]:
    with upstream() as found:
        allowed = (found.address.removeprefix("http://"),)
        settings.ENV = dataclasses.replace(settings.ENV, egress_allow=allowed)
        yield found


@pytest.fixture
def hook(make_channel: Make, called: Upstream) -> AlertChannel:
    return make_channel(kind=ChannelKind.WEBHOOK, name="hook", url=f"{called.address}/alerts")


def add(channel: AlertChannel) -> AlertDelivery:
    return delivery_add(channel=channel, document=document(item()), now=timezone.now())


def _alerts(readers: Readers, clients: PooledClients, put: Any) -> Alerts:
    return Alerts(
        readers=readers,
        credentials=VaultCredentials(readers, put),
        clients=clients,
        clock=DatabaseClock(),
        put=put,
        is_first=lambda: True,
    )


def sends(times: int = 1) -> None:
    """Look and send, as a driver does."""

    async def main() -> None:
        readers, clients = Readers(), PooledClients()
        loop = asyncio.get_running_loop()
        kept: list[Any] = []

        def put(job: Any) -> None:
            async def write() -> None:
                job.done(await readers.read(job.work), None)

            kept.append(loop.create_task(write()))

        try:
            alerts = _alerts(readers, clients, put)
            await asyncio.gather(*(alerts.step() for _ in range(times)))
            await alerts.settle()
        finally:
            await clients.pool.aclose()
            await asyncio.to_thread(readers.close)

    asyncio.run(main())


def test_a_message_is_sent_and_noted(hook: AlertChannel, called: Upstream) -> None:
    made = add(hook)
    sends()
    found = made.refresh()
    assert (found.status, found.attempts, found.next_try_at, found.error) == ("sent", 1, None, "")
    assert called.calls[0].json()["data"]["items"][0]["event"] == "run_failed"
    sends()
    assert len(called.calls) == 1


def test_workers_that_look_at_once_send_one_message(hook: AlertChannel, called: Upstream) -> None:
    made = add(hook)
    begin = threading.Barrier(4)
    claims: list[Any] = []

    def worker() -> None:
        begin.wait()
        claims.extend(deliveries_claim(now=timezone.now()))
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [claim.delivery_id for claim in claims] == [made.pk]
    sends(3)
    assert called.calls == [], "it is claimed by who did not send it yet"


def test_one_that_died_between_claim_and_send_is_sent_by_the_next_with_the_same_id(
    hook: AlertChannel, called: Upstream
) -> None:
    made = add(hook)
    (claim,) = deliveries_claim(now=timezone.now())
    # Its process is killed here: nothing is noted.
    assert deliveries_claim(now=timezone.now()) == []
    later = timezone.now() + CLAIM
    (again,) = deliveries_claim(now=later)
    assert (again.delivery_id, again.attempt) == (made.pk, 2)
    # The first comes back from the dead and says that it failed: it is not asked any more.
    delivery_note(claim=claim, failure=NotSent("no", permanent=True))
    assert made.refresh().status == "pending"
    opened = delivery_open(again)
    assert isinstance(opened, Outgoing)
    assert opened.delivery_id == made.pk
    delivery_note(claim=again, failure=None)
    assert made.refresh().status == "sent"


def test_one_that_died_between_send_and_note_is_sent_twice_with_the_same_id(
    hook: AlertChannel, called: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import alerts

    made = add(hook)
    with monkeypatch.context() as patch:
        patch.setattr(alerts, "delivery_note", lambda **_: None)
        sends()
    AlertDelivery.unscoped.filter(pk=made.pk).update(claimed_until=timezone.now())
    sends()
    assert [call.headers["webhook-id"] for call in called.calls] == [f"alert_{made.pk}"] * 2
    assert made.refresh().status == "sent"


def test_what_fails_is_tried_later_each_time_and_at_last_has_failed(hook: AlertChannel, called: Upstream) -> None:
    made = add(hook)
    now = timezone.now()
    waits = []
    for _try in range(len(PAUSES)):
        (claim,) = deliveries_claim(now=now)
        delivery_note(claim=claim, failure=NotSent("It was answered with status 503."), now=now)
        found = made.refresh()
        assert (found.status, found.error) == ("pending", "It was answered with status 503.")
        assert found.next_try_at is not None
        waits.append(found.next_try_at - now)
        assert deliveries_claim(now=found.next_try_at - timedelta(seconds=1)) == []
        now = found.next_try_at
    assert waits == list(PAUSES)
    (claim,) = deliveries_claim(now=now)
    delivery_note(claim=claim, failure=NotSent("It was answered with status 503."), now=now)
    found = made.refresh()
    assert (found.status, found.next_try_at, found.attempts) == ("failed", None, len(PAUSES) + 1)


def test_one_that_kills_its_process_each_time_is_given_up(hook: AlertChannel) -> None:
    made = add(hook)
    now = timezone.now()
    for _death in range(len(PAUSES) + 1):
        assert deliveries_claim(now=now)
        now += CLAIM
    (claim,) = deliveries_claim(now=now)
    opened = delivery_open(claim)
    assert isinstance(opened, NotSent)
    delivery_note(claim=claim, failure=opened)
    assert made.refresh().status == "failed"


def test_what_is_refused_for_good_is_not_tried_again(make_channel: Make) -> None:
    channel = make_channel(kind=ChannelKind.WEBHOOK, name="inside", url="http://127.0.0.1:9/x")
    made = add(channel)
    sends()
    found = made.refresh()
    assert (found.status, found.attempts) == ("failed", 1)
    assert "may not reach" in found.error


def test_a_server_says_when_to_come_again(hook: AlertChannel) -> None:
    made, now = add(hook), timezone.now()
    (claim,) = deliveries_claim(now=now)
    delivery_note(claim=claim, failure=NotSent("slow down", retry_after=1_000), now=now)
    assert made.refresh().next_try_at == now + timedelta(seconds=1_000)


def test_one_channel_that_hangs_keeps_no_other_waiting(hook: AlertChannel, make_channel: Make) -> None:
    other = make_channel(name="mail")
    first = [add(hook) for _ in range(3)]
    mail = add(other)
    claims = deliveries_claim(now=timezone.now())
    assert {claim.delivery_id for claim in claims} == {first[0].pk, mail.pk}


def test_a_tenant_whose_channels_hang_keeps_no_other_waiting(make_channel: Make, other_tenant: Tenant) -> None:
    for number in range(20):
        add(make_channel(name=f"hangs-{number}"))
    theirs = add(make_channel(of=other_tenant, name="theirs"))
    claims = deliveries_claim(now=timezone.now())
    assert len(claims) == deliveries.OF_A_TENANT + 1
    assert theirs.pk in {claim.delivery_id for claim in claims}
    busy = {claims[0].tenant_id: 3, claims[-1].tenant_id: 3}
    assert deliveries_claim(now=timezone.now(), busy=busy) == []
    assert len(deliveries_claim(now=timezone.now(), room=1)) == 1


def test_a_driver_that_ends_leaves_nothing_behind(hook: AlertChannel, called: Upstream) -> None:
    AlertChannel.unscoped.filter(pk=hook.pk).update(sealed=None)
    target_seal(hook, Target(url=f"{called.address}/alerts?slow=5", secret=new_secret()))
    hook.save()
    made = add(hook)

    async def main() -> None:
        readers, clients = Readers(), PooledClients()

        def put(job: Any) -> None:
            kept.append(asyncio.get_running_loop().create_task(write(job)))

        async def write(job: Any) -> None:
            job.done(await readers.read(job.work), None)

        kept: list[Any] = []
        alerts = _alerts(readers, clients, put)
        assert await alerts.step() == 1
        while not called.calls:
            await asyncio.sleep(0.02)
        alerts.close()
        await alerts.settle()
        await clients.pool.aclose()
        await asyncio.to_thread(readers.close)

    asyncio.run(main())
    found = made.refresh()
    assert (found.status, found.attempts) == ("pending", 1)
    assert found.claimed_until is not None


def test_a_channel_that_is_off_or_gone_gets_nothing(hook: AlertChannel, called: Upstream) -> None:
    made = add(hook)
    AlertChannel.unscoped.filter(pk=hook.pk).update(is_on=False)
    sends()
    assert made.refresh().status == "failed"
    add(hook)
    (claim,) = deliveries_claim(now=timezone.now())
    AlertChannel.unscoped.filter(pk=hook.pk).delete()
    assert delivery_open(claim) is None
    delivery_note(claim=claim, failure=None)
    assert called.calls == []


def test_a_credential_that_is_gone_is_said(make_channel: Make, tenant: Tenant) -> None:
    credential_create(
        actor=system_actor(tenant), name="team", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-1"}
    )
    channel = make_channel(kind=ChannelKind.SLACK, name="chat", credential="team", slack_channel="#a")
    Credential.unscoped.all().delete()
    made = add(channel)
    sends()
    assert made.refresh().error == "Its credential was deleted. Choose another one."


def test_an_address_that_does_not_open_is_said_and_a_missing_key_waits(hook: AlertChannel, settings: Settings) -> None:
    made, kept = add(hook), settings.VAULT_KEYS
    settings.VAULT_KEYS = (b"another key of thirty-two bytes!",)
    sends()
    settings.VAULT_KEYS = kept
    assert (made.refresh().status, "cannot be opened" in made.error) == ("pending", True)
    AlertChannel.unscoped.filter(pk=hook.pk).update(sealed=b"\x01")
    AlertDelivery.unscoped.filter(pk=made.pk).update(next_try_at=timezone.now())
    sends()
    assert made.refresh().status == "failed"


def test_old_messages_go(hook: AlertChannel) -> None:
    made, _pending = add(hook), add(hook)
    old = timezone.now() - deliveries.KEPT - timedelta(days=1)
    AlertDelivery.unscoped.filter(pk=made.pk).update(status="sent", next_try_at=None, finished_at=old)
    assert deliveries_prune(now=timezone.now()) == 1
    assert AlertDelivery.unscoped.count() == 1


def test_a_driver_with_the_bell_tells_of_a_run_that_failed(
    hook: AlertChannel, called: Upstream, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import alerts, bell

    monkeypatch.setattr(alerts, "PAUSE_SECONDS", 0.2)
    AlertChannel.unscoped.update(created_at=timezone.now())
    AlertLook.objects.all().delete()
    workflow = make_workflow(tenant, step("fails", "flow.stop", inputs={"status": "failed", "message": "no stock"}))
    with driving(ear=bell.Ear(bell.WORK)):
        start(workflow)
        until(lambda: called.calls, seconds=30)
    (cause,) = called.calls[0].json()["data"]["items"][0]["causes"]
    assert (cause["message"], cause["count"]) == ("no stock", 1)


def test_a_driver_without_the_bell_sends_nothing(
    hook: AlertChannel, called: Upstream, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runs import alerts

    monkeypatch.setattr(alerts, "PAUSE_SECONDS", 0.01)
    made = add(hook)
    start(make_workflow(tenant, step("a")))
    drive()
    assert (made.refresh().status, called.calls) == ("pending", [])


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_token_that_has_ended_is_renewed_first(
    by_hand: bool, make_channel: Make, tenant: Tenant, settings: Settings, owner: User
) -> None:
    with token_endpoint() as slack:
        settings.ENV = dataclasses.replace(
            settings.ENV,
            egress_allow=(slack.host,),
            base_urls={"slack": f"{slack.address}/api"},
            oauth_token_urls={"slack": f"{slack.address}/token"},
            oauth_clients={"slack": {"client_id": "app", "client_secret": "secret-canary"}},
        )
        slack.says({"ok": True, "access_token": "new-canary", "expires_in": 3600})
        made = credential_create(
            actor=system_actor(tenant),
            name="team",
            provider="slack",
            auth_type="oauth2",
            secret={
                "access_token": "old-canary", "refresh_token": "refresh-canary",
                "expires_at": (timezone.now() - timedelta(minutes=1)).isoformat(),
            },
        )  # fmt: skip
        channel = make_channel(kind=ChannelKind.SLACK, name="chat", credential="team", slack_channel="#a")
        if by_hand:
            delivery = channel_test(actor=actor_for_user(owner, "acme"), channel=channel)
        else:
            delivery = add(channel)
            sends()
        assert (delivery.refresh().status, delivery.refresh().error) == ("sent", "")
        assert [form.get("grant_type") for form in slack.asked] == ["refresh_token", None]
        opened = resolve_credential(tenant_id=tenant.pk, credential_id=made.pk)
        assert opened.auth["access_token"] == "new-canary"

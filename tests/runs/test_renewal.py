"""Tokens that end are renewed before or as they do: by one worker for all, and stored before anybody uses them."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from integrations.sdk.oauth import Tokens
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import renewal, services, sign_ins
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.renewal import Standing, ask_of, renewal_claim, renewal_give_up, renewal_keep
from orchestrator.vault.services import resolve_credential
from runs.adapters import Readers
from runs.credentials import VaultCredentials
from runs.models import Run
from tests.oauth_server import CLIENT, Provider, oauth_server
from tests.runs.ground import drive, make_workflow, rows, start, step

pytestmark = pytest.mark.django_db(transaction=True)
BACK: Final = "http://testserver/oauth/callback/own/"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with oauth_server(BACK) as found:
        yield found


@pytest.fixture(autouse=True)
def _reach(provider: Provider, settings: Settings) -> None:
    settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=(provider.host, "127.0.0.1:1"))


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


def settings_of(provider: Provider, **more: str) -> dict[str, str]:
    root = f"{provider.address}/o"
    return {"authorize_url": f"{root}/authorize/", "token_url": f"{root}/token/", **more}


@pytest.fixture
def connected(actor: Actor, provider: Provider, editor: User) -> Credential:
    """A credential that was connected just now."""
    made = services.credential_create(
        actor=actor,
        name="crm",
        provider="http",
        auth_type="oauth2",
        secret=dict(CLIENT),
        settings=settings_of(provider),
    )
    address = sign_ins.sign_in_begin(actor=actor, credential=made, redirect_uri=BACK)
    back = provider.code(address)
    taken = sign_ins.sign_in_take(state=back["state"], user=editor, session_key="", path="/oauth/callback/own/")
    return sign_ins.sign_in_finish(actor=actor, taken=taken, code=back["code"])


def ends(credential: Credential, at: datetime) -> None:
    """Let the kept token be one that ends at a time."""
    opened = resolve_credential(tenant_id=credential.tenant_id, credential_id=credential.pk)
    token = str(opened.auth["access_token"])
    assert services.tokens_keep(
        tenant_id=credential.tenant_id,
        credential_id=credential.pk,
        seen=opened.secret_set_at,
        tokens=Tokens(access_token=token, expires_at=at),
    )
    # It was given out a while ago: a token of a minute is not due at once.
    Credential.objects.for_tenant(credential.tenant_id).filter(pk=credential.pk).update(
        secret_set_at=timezone.now() - timedelta(hours=1)
    )


def asking(tenant: Tenant, provider: Provider, credential: Credential, *, steps: int = 1) -> Any:
    call = {"method": "GET", "url": f"{provider.address}/me"}
    made = [step(f"me{at}", "http.request", credential="crm", inputs=call) for at in range(steps)]
    return make_workflow(tenant, *made, bindings={"crm": credential.pk})


def token_of(credential: Credential) -> str:
    return str(resolve_credential(tenant_id=credential.tenant_id, credential_id=credential.pk).auth["access_token"])


def refreshed(provider: Provider) -> int:
    return provider.asked()["refresh_token 200"]


def test_ten_runs_at_once_whose_token_is_about_to_end_renew_it_once(
    tenant: Tenant, provider: Provider, connected: Credential
) -> None:
    before, old = refreshed(provider), token_of(connected)
    ends(connected, timezone.now() + timedelta(seconds=30))
    workflow = asking(tenant, provider, connected)
    started = [start(workflow) for _ in range(10)]
    drive()
    for run in started:
        assert (run.refresh().status, rows(run)[0].output["body"]["login"]) == ("succeeded", "ada"), run.error
    assert refreshed(provider) == before + 1
    assert token_of(connected) != old
    connected.refresh_from_db()
    assert connected.renewing_until is None
    assert connected.expires_at is not None
    assert connected.expires_at > timezone.now() + timedelta(minutes=50)


def test_several_workers_renew_it_once(provider: Provider, connected: Credential) -> None:
    before = refreshed(provider)
    ends(connected, timezone.now() + timedelta(seconds=30))
    found: list[str] = []

    def worker() -> None:
        async def main() -> None:
            readers = Readers()

            async def write(job: Any) -> None:
                def work() -> Any:
                    try:
                        with transaction.atomic():
                            return job.work()
                    finally:
                        connection.close()

                job.done(await asyncio.to_thread(work), None)

            writes: set[asyncio.Task[None]] = set()

            vault = VaultCredentials(readers, lambda job: writes.add(asyncio.ensure_future(write(job))))
            given = {"tenant_id": connected.tenant_id, "name": "crm", "credential_id": connected.pk}
            opened = await asyncio.gather(*(vault.open(**given) for _ in range(5)))
            found.extend(str(each.auth["access_token"]) for each in opened)
            await asyncio.to_thread(readers.close)

        asyncio.run(main())

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 20
    assert set(found) == {token_of(connected)}
    assert refreshed(provider) == before + 1


def test_a_token_that_is_refused_early_is_renewed_and_the_request_is_sent_again(
    tenant: Tenant, provider: Provider, connected: Credential
) -> None:
    before, old = refreshed(provider), token_of(connected)
    provider.control("end")
    run = start(asking(tenant, provider, connected, steps=2))
    drive()
    assert run.refresh().status == "succeeded", run.error
    assert [row.attempt for row in rows(run)] == [1, 1], "it is no further attempt"
    assert refreshed(provider) == before + 1
    assert token_of(connected) != old


def test_a_sign_in_that_was_taken_back_is_told_and_to_be_connected_again(
    tenant: Tenant, provider: Provider, connected: Credential
) -> None:
    provider.control("take_back")
    run = start(asking(tenant, provider, connected))
    drive()
    assert run.refresh().status == "failed"
    assert run.error is not None
    assert run.error["kind"] == "auth"
    assert "ended the sign-in: connect it again" in run.error["message"]
    connected.refresh_from_db()
    assert (connected.health, connected.renewing_until) == (Health.RECONNECT, None)
    assert "invalid_grant" in connected.health_message
    assert AuditEvent.objects.for_tenant(tenant).filter(action="credential.rejected").count() == 1


def test_while_the_token_endpoint_is_away_a_token_that_is_good_is_used_and_one_that_ended_is_tried_again_later(
    tenant: Tenant, provider: Provider, connected: Credential, actor: Actor
) -> None:
    opened = resolve_credential(tenant_id=tenant.pk, credential_id=connected.pk)
    away = settings_of(provider, token_url="http://127.0.0.1:1/token")
    kept = {**CLIENT, "access_token": opened.auth["access_token"], "refresh_token": opened.auth["refresh_token"]}
    services.credential_update(actor=actor, credential=connected, settings=away, secret=kept)
    ends(connected, timezone.now() + timedelta(seconds=30))
    workflow = asking(tenant, provider, connected)
    run = start(workflow)
    drive()
    assert run.refresh().status == "succeeded", run.error

    ends(connected, timezone.now() - timedelta(seconds=1))
    run = start(workflow)
    drive()
    row = rows(run)[0]
    assert (row.status, row.error["kind"]) == ("failed", "transient"), row.error
    assert row.error["retryable"], "it is tried again"
    connected.refresh_from_db()
    assert (connected.health, connected.renewing_until) != (Health.RECONNECT, None)


def test_an_app_signs_in_by_itself(tenant: Tenant, provider: Provider, actor: Actor) -> None:
    machine = services.credential_create(
        actor=actor,
        name="crm",
        provider="http",
        auth_type="oauth2",
        secret={"client_id": "the-machine", "client_secret": CLIENT["client_secret"]},
        settings=settings_of(provider, grant="client_credentials", client_auth="basic", scopes="read"),
    )
    assert machine.health == Health.NOT_CHECKED
    run = start(asking(tenant, provider, machine))
    drive()
    assert run.refresh().status == "succeeded", run.error
    assert rows(run)[0].output["body"] == {"login": "the app", "scope": "read"}
    assert provider.asked()["client_credentials 200"] == 1


def test_what_a_person_entered_meanwhile_stays(connected: Credential, actor: Actor) -> None:
    ends(connected, timezone.now() - timedelta(seconds=1))
    ask = ask_of(connected.tenant_id, resolve_credential(tenant_id=connected.tenant_id, credential_id=connected.pk))
    assert renewal_claim(ask, now=timezone.now()) is Standing.OURS
    assert renewal_claim(ask, now=timezone.now()) is Standing.BUSY
    assert renewal_claim(ask, now=timezone.now() + timedelta(minutes=1)) is Standing.OURS, "who had it is gone"
    services.credential_update(actor=actor, credential=connected, secret={**CLIENT, "access_token": "by hand"})
    assert renewal_keep(ask, Tokens(access_token="late")) is None
    renewal_give_up(ask, "late too")
    assert renewal_claim(ask, now=timezone.now()) is Standing.OVER
    assert token_of(connected) == "by hand"
    assert Credential.objects.for_tenant(actor.tenant).get().health == Health.NOT_CHECKED


def test_a_person_who_tests_it_renews_it(connected: Credential, provider: Provider, tenant: Tenant) -> None:
    before = refreshed(provider)
    ends(connected, timezone.now() - timedelta(seconds=1))
    found = renewal.fresh_credential(tenant=tenant, credential_id=connected.pk)
    me = httpx.get(f"{provider.address}/me", headers={"Authorization": f"Bearer {found.auth['access_token']}"})
    assert me.json()["login"] == "ada"
    assert refreshed(provider) == before + 1
    assert found.renewable is not None
    assert found.renewable.due_at > datetime.now(UTC)


def test_nothing_that_is_kept_or_logged_holds_a_token(
    tenant: Tenant, provider: Provider, connected: Credential, caplog: pytest.LogCaptureFixture
) -> None:
    provider.control("end")
    old = resolve_credential(tenant_id=tenant.pk, credential_id=connected.pk)
    run = start(asking(tenant, provider, connected))
    drive()
    new = resolve_credential(tenant_id=tenant.pk, credential_id=connected.pk)
    assert new.auth["access_token"] != old.auth["access_token"]
    kept = [str(row.__dict__) for row in rows(run)] + [str(Run.objects.for_tenant(tenant).values().get()), caplog.text]
    kept += [str(values) for values in AuditEvent.objects.for_tenant(tenant).values()]
    kept += [str(values) for values in Credential.objects.for_tenant(tenant).defer("sealed").values()]
    for secret in {*old.secrets, *new.secrets}:
        assert not [text for text in kept if secret in text]

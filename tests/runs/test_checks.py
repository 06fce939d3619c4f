"""Credentials are checked by the driver that holds the bell, and by what steps hear of their provider."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from pydantic import BaseModel
from pytest_django import Settings

from integrations.registry import registry
from integrations.sdk import Account, AuthContext, BearerToken, Provider, RunContext, action
from integrations.sdk.errors import AuthError, Permanent, PermissionMissing
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import checks, services
from orchestrator.vault.models import Credential, Health
from runs.adapters import Readers
from runs.checks import CredentialChecks
from runs.credentials import VaultCredentials
from runs.states import RunStatus
from tests.runs.ground import drive, make_workflow, rows, start, step

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "tok-canary-4711"
# What the provider says next, and whom it was asked about.
_answers: list[Any] = []
_asked: list[str] = []


async def _test(ctx: AuthContext) -> Account:
    _asked.append(ctx.auth["token"])
    answer = _answers.pop(0) if _answers else Account(label="Ada", scopes=("read",))
    if isinstance(answer, Exception):
        raise answer
    assert isinstance(answer, Account)
    return answer


shop = Provider(key="shop", name="Shop", base_url="https://shop.invalid", auth=[BearerToken(test=_test)])


class SaysInputs(BaseModel):
    what: str = ""


@action(provider=shop, key="shop.says", name="Says", auth_type="bearer_token", input_schema=SaysInputs)
async def says(ctx: RunContext[SaysInputs]) -> Any:
    """Do what the input says."""
    errors = {
        "refused": AuthError(f"Shop refuses {TOKEN}", hint="Enter a new one."),
        "scope": PermissionMissing("May not do this."),
        "broken": Permanent("No."),
    }
    if error := errors.get(ctx.inputs.what):
        raise error
    return {"ok": True}


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    _answers.clear()
    _asked.clear()
    with registry.temporarily(says):
        yield


@pytest.fixture
def make(tenant: Tenant) -> Callable[..., Credential]:
    def make(name: str = "shop", of: Tenant = tenant, **more: Any) -> Credential:
        given = {"provider": "shop", "auth_type": "bearer_token", "secret": {"token": TOKEN}, **more}
        return services.credential_create(actor=system_actor(of), name=name, **given)

    return make


def look() -> int:
    """Look once, as a driver does; its writer is this thread."""

    async def main() -> int:
        readers = Readers()
        try:
            loop = asyncio.get_running_loop()

            def put(job: Any) -> None:
                async def write() -> None:
                    value = await readers.read(job.work)
                    job.done(value, None)

                kept.append(loop.create_task(write()))

            kept: list[Any] = []
            return await CredentialChecks(
                readers=readers, credentials=VaultCredentials(readers, put), put=put, is_first=lambda: True
            ).look()
        finally:
            await asyncio.to_thread(readers.close)

    return asyncio.run(main())


def test_what_was_saved_is_checked_by_a_driver_and_again_six_hours_later(make: Callable[..., Credential]) -> None:
    credential = make()
    assert look() == 1
    found = credential.refresh()
    assert (found.health, found.account, found.scopes) == (Health.WORKING, "Ada", ["read"])
    assert found.health_message == "Signed in as Ada."
    assert found.checking_until is None
    assert found.last_used_at is None
    assert timedelta(hours=5) < found.next_check_at - timezone.now() < timedelta(hours=7)
    assert _asked == [TOKEN]
    assert look() == 0


def test_few_are_under_way_at_once_and_tenants_take_turns(
    make: Callable[..., Credential], other_tenant: Tenant
) -> None:
    for number in range(6):
        make(f"mine-{number}")
    make("theirs", of=other_tenant)
    now = timezone.now() + timedelta(seconds=1)
    claims = checks.checks_claim(now=now)
    assert len({claim.tenant_id for claim in claims}) == len(claims) == 2
    assert len(checks.checks_claim(now=now)) == 1
    assert checks.checks_claim(now=now) == []
    # A process that dies over them leaves them due again, and not at once.
    later = now + timedelta(minutes=3)
    assert not {claim.credential_id for claim in claims} & {
        claim.credential_id for claim in checks.checks_claim(now=later)
    }
    assert checks.checks_claim(now=now + timedelta(minutes=10))


def test_two_processes_do_not_take_the_same(make: Callable[..., Credential]) -> None:
    row = make()
    now = timezone.now() + timedelta(seconds=1)
    assert checks._claimed(row, now) is not None
    assert checks._claimed(row, now) is None


def test_a_refusal_is_told_once_in_the_history(make: Callable[..., Credential]) -> None:
    credential = make()
    _answers.extend([AuthError(f"Bad token {TOKEN}", hint="Make a new one."), AuthError("Still bad")])
    look()
    found = credential.refresh()
    assert found.health == Health.RECONNECT
    assert TOKEN not in found.health_message
    assert "Make a new one." in found.health_message
    Credential.unscoped.update(next_check_at=timezone.now())
    look()
    events = AuditEvent.unscoped.filter(action="credential.rejected")
    assert [event.actor_label for event in events] == ["system"]


@pytest.mark.parametrize("error", [Permanent("down"), TimeoutError(), KeyError(TOKEN), RuntimeError(TOKEN)])
def test_what_says_nothing_of_the_secret_leaves_the_health(make: Callable[..., Credential], error: Exception) -> None:
    credential = make()
    _answers.append(error)
    assert look() == 1
    found = credential.refresh()
    assert found.health == Health.NOT_CHECKED
    assert found.health_message.startswith("The check could not be made: ")
    assert TOKEN not in found.health_message


def test_a_secret_replaced_meanwhile_is_not_judged(make: Callable[..., Credential], tenant: Tenant) -> None:
    credential = make()
    (claim,) = checks.checks_claim(now=timezone.now())
    opened = checks.check_open(claim)
    assert isinstance(opened, checks.Opened)
    services.credential_update(actor=system_actor(tenant), credential=credential, secret={"token": "another"})
    verdict = checks.Verdict(health=Health.RECONNECT, message="no")
    checks.check_note(claim=claim, verdict=verdict, secret_set_at=opened.resolved.secret_set_at)
    assert credential.refresh().health == Health.NOT_CHECKED


def test_without_its_key_a_credential_is_not_judged_either(make: Callable[..., Credential], settings: Settings) -> None:
    credential = make()
    settings.VAULT_KEYS = (b"x" * 32,)
    assert look() == 1
    assert credential.refresh().health == Health.NOT_CHECKED
    assert _asked == []


def test_what_ends_soon_is_marked_by_the_look(make: Callable[..., Credential]) -> None:
    credential = make(expires_at=timezone.now() + timedelta(days=5))
    credential_id = credential.pk
    Credential.unscoped.filter(pk=credential_id).update(next_check_at=None)
    assert look() == 0
    assert credential.refresh().health == Health.EXPIRING


def run_once(tenant: Tenant, credential: Credential, what: str) -> Any:
    slug = f"w-{what or 'ok'}-{random.randrange(10**9)}"
    workflow = make_workflow(
        tenant,
        step("a", "shop.says", credential=credential.name, inputs={"what": what}, retry={"max_attempts": 1}),
        slug=slug,
        bindings={credential.name: credential.pk},
    )
    run = start(workflow)
    drive()
    run.refresh_from_db()
    return run


def test_a_step_that_is_refused_marks_its_credential_and_one_that_works_again_clears_it(
    make: Callable[..., Credential], tenant: Tenant
) -> None:
    credential = make()
    refused = run_once(tenant, credential, "refused")
    assert refused.status == RunStatus.FAILED
    found = credential.refresh()
    assert (found.health, TOKEN in found.health_message) == (Health.RECONNECT, False)
    event = AuditEvent.unscoped.get(action="credential.rejected")
    assert event.detail == {"run": str(refused.pk)}
    run_once(tenant, credential, "")
    assert credential.refresh().health == Health.WORKING


@pytest.mark.parametrize("what", ["scope", "broken"])
def test_other_failures_say_nothing_of_the_secret(make: Callable[..., Credential], tenant: Tenant, what: str) -> None:
    credential = make()
    assert run_once(tenant, credential, what).status == RunStatus.FAILED
    assert credential.refresh().health == Health.NOT_CHECKED


def test_without_the_key_runs_wait_and_go_on_when_it_is_back(
    make: Callable[..., Credential], tenant: Tenant, settings: Settings, client: Client, viewer: User
) -> None:
    credential, keys = make(), settings.VAULT_KEYS
    settings.VAULT_KEYS = (b"x" * 32,)
    run = run_once(tenant, credential, "")
    assert run.status == RunStatus.WAITING
    assert rows(run) == []
    client.force_login(viewer)
    page = client.get(f"/w/acme/runs/{run.pk}/")
    assert page.status_code == 200
    assert "Waiting until" in page.text
    settings.VAULT_KEYS = keys
    type(run).unscoped.filter(pk=run.pk).update(wake_at=timezone.now())
    drive()
    run.refresh_from_db()
    assert run.status == RunStatus.SUCCEEDED
    assert [row.attempt for row in rows(run)] == [1]


def test_a_credential_from_before_there_were_checks_is_claimed(make: Callable[..., Credential]) -> None:
    credential = make()
    Credential.unscoped.update(next_check_at=None)
    import_module("orchestrator.vault.migrations.0003_first_checks").due(apps, SimpleNamespace(connection=connection))
    claims = checks.checks_claim(now=timezone.now() + timedelta(seconds=1))
    assert [claim.credential_id for claim in claims] == [credential.pk]

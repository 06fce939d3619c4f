"""What actions keep and tell while they run: ``ctx.state`` outlives an attempt, ``ctx.progress`` is seen at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import BearerToken, JSONValue, Permanent, Provider, RunContext, Transient, action
from integrations.sdk.state import MAX_STATE_KEYS, Change
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from runs import selectors, state
from runs.models import Run, StepState
from runs.state_rows import Owner, state_read, state_write
from runs.states import StepStatus
from runs.sweeper import delete_runs
from tests.runs.ground import drive, driving, make_workflow, rows, start, step, until

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "tok-canary-7781"


class Inputs(BaseModel):
    name: str = ""


keeper = Provider(key="keeper", name="Keeper", base_url="https://keeper.invalid", auth=[BearerToken()])


def keeps(function: Callable[[RunContext[Inputs]], Awaitable[Any] | Any], *, auth: str = "none", **more: Any) -> Any:
    declared: Any = action(
        provider=keeper,
        key="keeper.keep",
        name="Keep",
        auth_type=auth,  # type: ignore[arg-type]
        input_schema=Inputs,
        description="Keep something.",
        **more,
    )
    return declared(function)


def test_a_retry_sees_what_the_attempt_before_it_wrote(tenant: Tenant) -> None:
    async def pages(ctx: RunContext[Inputs]) -> JSONValue:
        at = await ctx.state.run.update("page", lambda page: 1 if page is None else page + 1)  # type: ignore[operator]
        if ctx.attempt < 3:
            raise Transient("gone", retry_after=0.01)
        return at

    with registry.temporarily(keeps(pages)):
        run = start(make_workflow(tenant, step("keep", "keeper.keep", inputs={})))
        drive()
    assert [row.status for row in rows(run)] == ["failed", "failed", "succeeded"]
    assert rows(run)[-1].output == 3


def test_a_workflows_values_are_seen_by_its_next_run_and_by_no_other_workflow(tenant: Tenant) -> None:
    async def counts(ctx: RunContext[Inputs]) -> JSONValue:
        before = await ctx.state.workflow.get("seen", 0)
        assert isinstance(before, int)
        await ctx.state.workflow.set("seen", before + 1)
        taken = await ctx.state.workflow.compare_and_set("seen", before + 1, before + 2)
        refused = await ctx.state.workflow.compare_and_set("seen", before + 1, 100)
        await ctx.state.run.set("mine", True)
        await ctx.state.run.delete("mine")
        return [before, taken, refused, await ctx.state.run.get("mine")]

    with registry.temporarily(keeps(counts)):
        one = make_workflow(tenant, step("keep", "keeper.keep", inputs={}))
        other = make_workflow(tenant, step("keep", "keeper.keep", inputs={}), slug="other")
        found = []
        for workflow in (one, one, other):
            run = start(workflow)
            drive()
            found.append(rows(run)[0].output)
    assert found == [[0, True, False, None], [2, True, False, None], [0, True, False, None]]


def test_a_credentials_values_hold_no_secret_and_go_with_it(tenant: Tenant, editor: User) -> None:
    actor = actor_for_user(editor, "acme")
    credential = vault.credential_create(
        actor=actor, name="mine", provider="keeper", auth_type="bearer_token", secret={"token": SECRET}
    )

    async def leaks(ctx: RunContext[Inputs]) -> JSONValue:
        await ctx.state.credential.set("cursor", {"at": 7, "with": f"Bearer {ctx.auth['token']}"})
        ctx.progress(1, text=f"with {ctx.auth['token']}")
        return await ctx.state.credential.get("cursor")

    with registry.temporarily(keeps(leaks, auth="bearer_token")):
        workflow = make_workflow(
            tenant, step("keep", "keeper.keep", inputs={}, credential="mine"), bindings={"mine": credential.pk}
        )
        run = start(workflow)
        drive()
    kept = StepState.objects.for_tenant(tenant).get()
    assert (kept.credential_id, kept.key) == (credential.pk, "cursor")
    row = rows(run)[0]
    assert SECRET not in f"{kept.value} {row.output} {row.progress}"
    assert row.output["at"] == 7
    vault.credential_delete(actor=actor, credential=credential)
    assert not StepState.objects.for_tenant(tenant).exists()


def test_what_is_kept_is_bounded_and_says_so(tenant: Tenant) -> None:
    async def too_much(ctx: RunContext[Inputs]) -> JSONValue:
        state, refused = ctx.state.run, []
        for at in range(MAX_STATE_KEYS):
            await state.set(f"key{at}", at)
        for what in (
            state.set("one-more", 1),
            state.set("key1", "x" * 20_000),
            state.set("a key", 1),
            state.set("key1", float("nan")),
            state.set("key1", 10**350),
            ctx.state.credential.get("key1"),
        ):
            try:
                await what
            except Permanent as error:
                refused.append(error.message)
        await state.set("key1", "still")
        return [*refused, await state.get("key1")]

    with registry.temporarily(keeps(too_much)):
        run = start(make_workflow(tenant, step("keep", "keeper.keep", inputs={})))
        drive()
    assert rows(run)[0].output == [
        "At most 100 values are kept for a run, a workflow or a credential.",
        "A value that a step keeps has at most 16,384 bytes, and this one has 20,002.",
        "A key of what a step keeps has 1 to 100 characters, without spaces: 'a key'.",
        "What a step keeps must be JSON.",
        "What a step keeps must be JSON, and this is not: 10000000000000000000… is a number of more than 300 digits.",
        "This step has no credential, so nothing can be kept for it.",
        "still",
    ]
    delete_runs([run.pk])
    assert not StepState.objects.for_tenant(tenant).exists()


def test_changes_at_the_same_time_are_all_counted(tenant: Tenant, other_tenant: Tenant) -> None:
    """Two processes' worth of connections add to one number: what one read, another may have changed."""
    run = start(make_workflow(tenant, step("keep")))
    owner = Owner(tenant_id=tenant.pk, scope="run", pk=run.pk)

    def adds(name: str) -> None:
        try:
            for turn in range(10):
                while True:
                    text, revision = state_read(owner, "sum")
                    change = Change(text=str(int(text if revision else "0") + 1), revision=revision)
                    with transaction.atomic():
                        if state_write(owner, "sum", change, mark=f"{name}{turn}"):
                            break
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(adds, ("a", "b")))
    assert state_read(owner, "sum") == ("20", 20)
    theirs = Owner(tenant_id=other_tenant.pk, scope="run", pk=run.pk)
    assert state_read(theirs, "sum") == ("null", 0)


def test_a_change_that_is_written_again_is_one_change(tenant: Tenant) -> None:
    """The answer of its commit was lost, so the writer writes it once more."""
    run = start(make_workflow(tenant, step("keep")))
    owner = Owner(tenant_id=tenant.pk, scope="run", pk=run.pk)
    first, second = Change(text="1", revision=0), Change(text="2", revision=1)
    assert state_write(owner, "key", first, mark="one")
    assert state_write(owner, "key", second, mark="two")
    assert state_write(owner, "key", second, mark="two")
    assert not state_write(owner, "key", second, mark="three")
    assert not state_write(owner, "key", first, mark="four")
    assert state_read(owner, "key") == ("2", 2)


def test_a_worker_that_lost_the_run_keeps_nothing(tenant: Tenant) -> None:
    late, gone = threading.Event(), threading.Event()

    async def lost(ctx: RunContext[Inputs]) -> None:
        late.set()
        await asyncio.to_thread(gone.wait, 5)
        await ctx.state.run.set("key", 1)

    with registry.temporarily(keeps(lost)), driving():
        run = start(make_workflow(tenant, step("keep", "keeper.keep", inputs={})))
        assert late.wait(5)
        Run.objects.for_tenant(tenant).filter(pk=run.pk).update(fence=99, lease_owner="somebody else")
        gone.set()
        time.sleep(0.3)
    assert not StepState.objects.for_tenant(tenant).exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="elsewhere nobody writes beside a transaction")
def test_nobody_takes_a_run_over_while_a_value_of_it_is_written(tenant: Tenant) -> None:
    takes_over: list[bool] = []

    async def keep(ctx: RunContext[Inputs]) -> None:
        await ctx.state.run.set("key", 1)

    def written(owner: Owner, key: str, change: Change, *, mark: str) -> bool:
        with ThreadPoolExecutor(1) as threads:
            takes_over.append(threads.submit(taken).result())
        return state_write(owner, key, change, mark=mark)

    def taken() -> bool:
        try:
            with transaction.atomic():
                return bool(Run.objects.for_tenant(tenant).select_for_update(skip_locked=True).first())
        finally:
            connection.close()

    with pytest.MonkeyPatch.context() as patched, registry.temporarily(keeps(keep)):
        patched.setattr(state, "state_write", written)
        start(make_workflow(tenant, step("keep", "keeper.keep", inputs={})))
        drive()
    assert takes_over == [False]


def test_how_far_a_step_is_can_be_seen_while_it_runs(tenant: Tenant) -> None:
    go_on = threading.Event()

    def counts(ctx: RunContext[Inputs]) -> str:
        for done in range(1, 500):
            ctx.progress(done, 500, f"row {done}")
        ctx.progress(float("nan"), text="x" * 1000)
        ctx.progress(1, 4, "a quarter")
        go_on.wait(10)
        ctx.progress(4, 4, "all")
        return "done"

    with registry.temporarily(keeps(counts)), driving():
        run = start(make_workflow(tenant, step("keep", "keeper.keep", inputs={})))
        row = until(lambda: next((row for row in rows(run) if row.progress), None))
        assert row.status == StepStatus.RUNNING
        revision = run.refresh().revision
        assert selectors.step_document(run, row, {})["progress"] == {"done": 1, "total": 4, "text": "a quarter"}
        go_on.set()
        until(lambda: run.refresh().status == "succeeded")
    row = rows(run)[0]
    assert (row.progress, row.output) == ({"done": 4, "total": 4, "text": "all"}, "done")
    # Of five hundred times it was told, few were written.
    assert run.revision - revision <= 3

"""The driver over a real database: runs reach their end, in few commits, and stop when they have to.

Who holds the bell waits for work and hears of it at once; ``test_looks`` has the rules of it.
"""

from __future__ import annotations

import asyncio
import gc
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import Action, Provider, RateLimited, RunContext, action
from orchestrator.flow.scoping import RUN_NAMES, TRIGGER_NAMES, WORKFLOW_NAMES
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from runs import selectors, services
from runs.drive import RunDrive
from runs.driver import Times
from runs.engine.interpreter import Interpreter
from runs.models import Payload, Run, StepRun, WorkerBeat
from runs.selectors import run_document
from runs.states import RunStatus
from tests.runs.ground import drive, driving, make_workflow, rows, start, statuses, step, until

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = {"run": RUN_NAMES, "workflow": WORKFLOW_NAMES, "trigger": TRIGGER_NAMES}


class Inputs(BaseModel):
    value: Any = None


def make_action(key: str, function: Any, **more: Any) -> Action:
    provider = Provider(key=key.partition(".")[0], name="Test")

    @action(provider=provider, key=key, name="Test", auth_type="none", input_schema=Inputs, http=False, **more)
    async def run(ctx: RunContext[Inputs]) -> Any:
        """Do what the test says."""
        return await function(ctx)

    return run


def test_a_run_ends_with_every_step_saved(tenant: Tenant) -> None:
    workflow = make_workflow(
        tenant,
        step("a", inputs={"values": {"n": "{{ trigger.body.n + 1 }}"}}),
        step("b", inputs={"values": {"n": "{{ steps.a.output.n * 2 }}"}}),
        output="{{ steps.b.output.n }}",
    )
    run = start(workflow, {"n": 20})
    drive()
    document = run_document(run.refresh())
    assert (document["status"], document["output"], document["payload"]) == ("succeeded", 42, {"n": 20})
    assert [(s["path"], s["status"], s["attempt"], s["inputs"], s["output"]) for s in document["steps"]] == [
        ("a", "succeeded", 1, {"values": {"n": 21}}, {"n": 21}),
        ("b", "succeeded", 1, {"values": {"n": 42}}, {"n": 42}),
    ]
    assert run.finished_at is not None
    assert run.lease_owner == ""
    assert run.wake_at is None


def test_runs_share_their_commits(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, *(step(f"s{index}") for index in range(10)))
    made = [start(workflow, index) for index in range(100)]
    driver = drive()
    assert Run.objects.for_tenant(tenant).filter(status=RunStatus.SUCCEEDED).count() == len(made)
    assert all(len(rows(run)) == 10 for run in made[:3])
    # One by one it would be a commit for the claim and one for the end of each.
    assert driver.writer.commits <= 20


def test_a_step_with_an_effect_shares_its_commits_with_other_runs(tenant: Tenant) -> None:
    async def call(ctx: RunContext[Inputs]) -> str:
        await asyncio.sleep(0.01)
        return "done"

    with registry.temporarily(make_action("effect.call", call)):
        workflow = make_workflow(tenant, step("a", "effect.call"))
        for index in range(100):
            start(workflow, index)
        driver = drive()
    assert Run.objects.for_tenant(tenant).filter(status=RunStatus.SUCCEEDED).count() == 100
    # One by one it would be a commit for the claim, one for the intent and one for the end of each.
    assert driver.writer.commits <= 60


@pytest.mark.parametrize("base", [None, "https://flows.example"])
def test_a_run_has_every_name_that_the_check_lets_through(tenant: Tenant, settings: Any, base: str | None) -> None:
    settings.BASE_URL = base
    values = {f"{root}_{name}": f"{{{{ {root}.{name} }}}}" for root, names in NAMES.items() for name in names}
    run = start(make_workflow(tenant, step("all", inputs={"values": values})), {"a": 1})
    drive()
    (row,) = rows(run)
    assert row.status == "succeeded", row.error
    assert row.output.keys() == values.keys()
    assert row.output["run_url"] == f"{base or ''}/w/{tenant.slug}/runs/{run.pk}/"
    assert row.output["run_id"] == str(run.pk)


def test_a_failed_step_fails_the_run_and_says_where(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a"), step("b", inputs={"values": "{{ nowhere }}"}), step("c")))
    drive()
    run.refresh()
    assert (run.status, run.failure_kind, run.error["path"]) == ("failed", "input", "b")
    assert statuses(run) == [("a", "succeeded"), ("b", "failed")]


def test_a_long_wait_parks_the_run_and_its_due_time_wakes_it(tenant: Tenant) -> None:
    calls = []

    async def limited(ctx: RunContext[Inputs]) -> str:
        calls.append(ctx.idempotency_key)
        if len(calls) == 1:
            raise RateLimited("slow down", retry_after=3600)
        return "done"

    with registry.temporarily(make_action("limited.call", limited)):
        run = start(make_workflow(tenant, step("a"), step("b", "limited.call"), output="{{ steps.b.output }}"))
        drive()
        run.refresh()
        assert (run.status, run.waiting_for) == ("waiting", {"path": "b", "kind": "time"})
        assert run.lease_owner == ""
        drive()
        assert len(calls) == 1
        Run.objects.for_tenant(tenant).update(wake_at=run.created_at)
        StepRun.objects.for_tenant(tenant).filter(path="b").update(retry_at=run.created_at)
        drive()
    run.refresh()
    assert (run.status, run.output) == ("succeeded", "done")
    assert statuses(run) == [("a", "succeeded"), ("b", "failed"), ("b", "succeeded")]
    assert calls[0] == calls[1]


def test_a_large_value_lies_in_a_row_of_its_own(tenant: Tenant) -> None:
    text = "ü" * 200_000
    workflow = make_workflow(
        tenant, step("a", inputs={"values": {"text": "{{ trigger.body }}"}}), output="{{ steps.a.output }}"
    )
    run = start(workflow, text)
    assert run.trigger is None
    drive()
    document = run_document(run.refresh())
    value = document["steps"][0]["output"]
    assert value["truncated"] is True
    assert value["size"] > 400_000
    assert value["url"].startswith(f"/api/v1/runs/{run.pk}/values/")
    assert Payload.objects.for_tenant(tenant).filter(run=run).count() == 4
    assert selectors.payload_value(run, run.output_ref) == {"text": text}


def test_cancelling_reaches_a_call_under_way_within_a_second(tenant: Tenant, operator: Any) -> None:
    began = []

    async def hang(ctx: RunContext[Inputs]) -> None:
        began.append(ctx.run_id)
        await asyncio.sleep(60)

    with registry.temporarily(make_action("slow.call", hang)), driving():
        run = start(make_workflow(tenant, step("a", "slow.call", timeout=120)))
        until(lambda: began)
        services.run_cancel(actor=actor_for_user(operator, tenant.slug), run=run)
        until(lambda: run.refresh().status == "cancelled", seconds=1.5)
    assert statuses(run) == [("a", "cancelled")]
    assert rows(run)[0].failure_kind == "outcome_unknown"


def test_a_driver_tells_that_it_lives_and_takes_its_leave(tenant: Tenant) -> None:
    with driving():
        beat = until(lambda: WorkerBeat.objects.first())
        assert beat.pid > 0
    assert WorkerBeat.objects.count() == 0


def test_a_driver_that_is_asked_to_stop_gives_its_runs_back_at_once(tenant: Tenant) -> None:
    began = []

    async def slow(ctx: RunContext[Inputs]) -> None:
        began.append(ctx.run_id)
        await asyncio.sleep(0.2)

    with registry.temporarily(make_action("slow.call", slow)):
        run = start(make_workflow(tenant, step("a", "slow.call"), step("b", "slow.call")))
        with driving():
            until(lambda: began)
        run.refresh()
        assert (run.status, run.lease_owner) == ("queued", "")
        assert statuses(run) == [("a", "succeeded")]
        drive()
    assert run.refresh().status == "succeeded"
    assert len(began) == 2


def test_a_call_that_outlasts_the_stop_is_left_for_the_next_driver_to_judge(tenant: Tenant) -> None:
    began = []

    async def hang(ctx: RunContext[Inputs]) -> None:
        began.append(ctx.run_id)
        await asyncio.sleep(60)

    with registry.temporarily(make_action("slow.call", hang)):
        run = start(make_workflow(tenant, step("a", "slow.call", timeout=120)))
        with driving():
            until(lambda: began)
        assert (run.refresh().status, statuses(run)) == ("queued", [("a", "running")])
        drive()
    run.refresh()
    assert (run.status, run.failure_kind) == ("failed", "outcome_unknown")
    assert statuses(run) == [("a", "lost")]


def test_calls_that_take_longer_than_a_slice_are_finished(tenant: Tenant) -> None:
    async def slow(ctx: RunContext[Inputs]) -> str:
        await asyncio.sleep(0.8)
        return "done"

    with registry.temporarily(make_action("slow.call", slow)):
        run = start(make_workflow(tenant, step("a", "slow.call"), step("b")))
        drive(Times(slice=0.2, idle=0.05, hand_over=0.1, stop=0.1, hard=5))
        # Whether this driver also goes on to the next step depends on which of its slices the call ends in.
        assert statuses(run)[0] == ("a", "succeeded")
        drive()
    assert run.refresh().status == "succeeded"
    assert statuses(run) == [("a", "succeeded"), ("b", "succeeded")]


def test_a_call_that_takes_longer_than_a_driver_may_stay_is_finished_where_it_is_given_more_time(
    tenant: Tenant,
) -> None:
    began, given = [], []

    async def slow(ctx: RunContext[Inputs]) -> str:
        began.append(ctx.attempt)
        await asyncio.sleep(1.6)
        return "done"

    def prolong() -> bool:
        given.append(time.monotonic())
        return True

    with registry.temporarily(make_action("slow.call", slow, idempotent=True)):
        run = start(make_workflow(tenant, step("a", "slow.call")))
        drive(Times(slice=0.2, idle=0.05, hand_over=0.1, stop=0.1, hard=0.4, prolong=prolong))
        if run.refresh().status != "succeeded":
            drive()
    assert run.refresh().status == "succeeded"
    assert (began, len(given) > 1) == ([1], True)


def test_a_driver_that_takes_up_its_own_run_again_does_not_drive_it_twice(tenant: Tenant) -> None:
    """One that was frozen finds its own leases run out: its name is the same as before, only the fence is not."""
    calls: list[str] = []
    go_on = asyncio.Event()

    async def first(ctx: RunContext[Inputs]) -> str:
        calls.append(f"first {ctx.attempt}")
        if ctx.attempt == 1:
            await go_on.wait()
        return f"from attempt {ctx.attempt}"

    async def second(ctx: RunContext[Inputs]) -> None:
        calls.append("second")
        # The first drive would come this far meanwhile.
        go_on.set()
        await asyncio.sleep(0.5)

    actions = (make_action("own.first", first, idempotent=True), make_action("then.second", second))
    with registry.temporarily(*actions):
        run = start(
            make_workflow(tenant, step("a", "own.first"), step("b", "then.second"), output="{{ steps.a.output }}")
        )
        with driving():
            until(lambda: calls)
            Run.unscoped.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
            until(lambda: run.refresh().status not in ("running", "queued"))
    assert (run.status, run.output, run.crash_count) == ("succeeded", "from attempt 2", 1)
    assert calls == ["first 1", "first 2", "second"]
    assert statuses(run) == [("a", "lost"), ("a", "succeeded"), ("b", "succeeded")]


def test_a_step_that_blocks_a_thread_does_not_hold_up_the_others(tenant: Tenant) -> None:
    provider = Provider(key="blocking", name="Test")

    @action(provider=provider, key="blocking.call", name="Test", auth_type="none", input_schema=Inputs, http=False)
    def block(ctx: RunContext[Inputs]) -> str:
        """Block."""
        time.sleep(0.3)
        return "done"

    with registry.temporarily(block):
        blocked = make_workflow(tenant, step("a", "blocking.call"), slug="blocked")
        quick = make_workflow(tenant, step("a"), slug="quick")
        slow_run, quick_run = start(blocked), start(quick)
        drive()
    assert slow_run.refresh().status == "succeeded"
    assert quick_run.refresh().finished_at < slow_run.finished_at


def test_an_ended_run_leaves_nothing_for_the_collector(tenant: Tenant) -> None:
    inner = step("set", inputs={"values": {"n": "{{ item }}"}})
    loop = {**step("each", "flow.foreach", inputs={"items": [1, 2]}), "lanes": {"body": [inner]}}
    run = start(make_workflow(tenant, step("a"), loop))
    failing = start(make_workflow(tenant, step("stop", "flow.stop", inputs={"status": "failed"}), slug="fails"))
    gc.collect()
    gc.disable()
    try:
        drive()
        left = [each for each in gc.get_objects() if isinstance(each, (RunDrive, Interpreter))]
    finally:
        gc.enable()
    assert [each.refresh().status for each in (run, failing)] == ["succeeded", "failed"]
    assert left == []

"""Lanes, loops, waits, calls and limits through the database: driven, parked, woken, taken up by another driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import Action, Permanent, Provider, RunContext, action
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Trigger, Workflow
from runs import endings, services
from runs.driver import Times
from runs.models import Answer, Run, StepRun
from runs.states import RunStatus, StepStatus
from tests.runs.ground import drive, driving, make_workflow, rows, start, step, until

pytestmark = pytest.mark.django_db(transaction=True)

# A run that calls another waits for it without a driver's place, and a busy machine takes its time between the two.
PATIENT = Times(slice=20, idle=0.5, hand_over=2, stop=0.5)

provider = Provider(key="lane", name="Lane")


class Anything(BaseModel):
    model_config = {"extra": "allow"}

    value: JSONValue = None


def make_action(key: str, function: Any, **more: Any) -> Action:
    return action(provider=provider, key=key, name=key, auth_type="none", input_schema=Anything, **more)(function)


def held(key: str, kind: str, inputs: Mapping[str, Any], **lanes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a step that holds lanes."""
    return {
        "key": key,
        "action": kind,
        "config": {"inputs": dict(inputs)},
        "lanes": {k: list(v) for k, v in lanes.items()},
    }


def each(items: Any, *body: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    return held("each", "flow.foreach", {"items": items, **inputs}, body=body)


def drive_patiently() -> None:
    drive(PATIENT)


def ended(run: Run) -> tuple[str, Any]:
    run.refresh()
    return run.status, run.output


def abandon(run: Run) -> None:
    """Make a run look as if its driver went away just now."""
    Run.unscoped.filter(pk=run.pk).update(
        status=RunStatus.RUNNING, wake_at=None, waiting_for=None, finished_at=None, output=None, error=None,
        lease_owner="gone", lease_expires_at=timezone.now() - timedelta(seconds=1),
    )  # fmt: skip


def test_every_structure_runs_in_one_workflow(tenant: Tenant) -> None:
    workflow = make_workflow(
        tenant,
        held("big", "flow.if", {"condition": "{{ trigger.body.n > 1 }}"}, then=[step("yes")], **{"else": [step("no")]}),
        held("kind", "flow.switch", {"value": "b"}, a=[step("in_a")], b=[step("in_b")]),
        each(
            "{{ trigger.body.items }}",
            held(
                "par", "flow.parallel", {}, left=[step("l", inputs={"values": {"n": "{{ item }}"}})], right=[step("r")]
            ),
            step("told", inputs={"values": {"n": "{{ steps.par.output.left.n * 10 }}"}}),
            concurrency=2,
        ),
        step("w", "flow.wait", inputs={"seconds": 0.01}),
        held(
            "halt",
            "flow.if",
            {"condition": True},
            then=[step("stop", "flow.stop", inputs={"output": "{{ steps.each.output }}"})],
        ),
        step("never"),
    )
    run = start(workflow, {"n": 2, "items": [1, 2, 3]})
    drive()
    assert ended(run) == ("succeeded", [{"n": 10}, {"n": 20}, {"n": 30}])
    found = {(row.path, row.status) for row in rows(run)}
    assert ("each[2].l", "succeeded") in found
    assert {path for path, _ in found} & {"no", "in_a", "never"} == set()
    assert {status for _, status in found} == {"succeeded"}
    row = StepRun.objects.for_tenant(tenant).get(run=run, path="each[1].told")
    assert (row.loop, row.item, row.output) == ("each", 1, {"n": 20})


def test_a_run_is_taken_up_inside_a_loop_where_it_was_left(tenant: Tenant) -> None:
    calls: list[int] = []

    async def note(ctx: RunContext[Anything]) -> Any:
        calls.append(ctx.inputs.value)  # type: ignore[arg-type]
        return ctx.inputs.value

    with registry.temporarily(make_action("lane.note", note)):
        body = step("a", "lane.note", inputs={"value": "{{ item }}"})
        run = start(make_workflow(tenant, each(list(range(500)), body), output="{{ steps.each.output }}"))
        drive()
        assert ended(run) == ("succeeded", list(range(500)))
        # What a crash in the middle leaves: the loop open, an iteration missing, another under way.
        StepRun.unscoped.filter(run=run, path="each").update(status=StepStatus.RUNNING, output=None, finished_at=None)
        StepRun.unscoped.filter(run=run, item__in=[7, 333]).delete()
        StepRun.unscoped.filter(run=run, item=400).update(status=StepStatus.RUNNING, output=None, finished_at=None)
        abandon(run)
        calls.clear()
        drive()
    run.refresh()
    assert (run.status, run.error["path"]) == ("failed", "each[400].a"), "a call that may have happened is not repeated"
    assert sorted(calls) == [7, 333]


def test_an_open_loop_goes_on_with_the_items_it_was_begun_with(tenant: Tenant) -> None:
    body = step("ok", "flow.approve", inputs={"message": "{{ item }}?"})
    run = start(make_workflow(tenant, each("{{ vars.people }}", body), output="{{ steps.each.output[1].by }}"))
    tenant_variable(tenant, ["ada", "bob"])
    drive()
    tenant_variable(tenant, [])
    run.refresh()
    assert (run.status, run.waiting_for) == ("waiting", {"path": "each[0].ok", "kind": "approval"})
    for item in range(2):
        answer(run, f"each[{item}].ok", {"decision": "approved", "form": None, "comment": "", "by": f"p{item}"})
        drive()
    assert ended(run) == ("succeeded", "p1")


def tenant_variable(tenant: Tenant, value: JSONValue) -> None:
    from orchestrator.workflows.models import Variable

    Variable.unscoped.update_or_create(tenant=tenant, key="people", defaults={"value": value})


def answer(run: Run, path: str, document: Mapping[str, Any]) -> None:
    Answer.unscoped.create(tenant_id=run.tenant_id, run=run, path=path, kind="approval", document=dict(document))
    endings.signal({run.pk}, now=timezone.now())


def test_an_answer_reaches_a_run_that_is_being_driven(tenant: Tenant) -> None:
    go_on = []

    async def busy(ctx: RunContext[Anything]) -> Any:
        import asyncio

        while not go_on:
            await asyncio.sleep(0.01)
        return "done"

    with registry.temporarily(make_action("lane.busy", busy)):
        lanes = {
            "left": [step("ok", "flow.approve", inputs={"message": "?"}), step("after")],
            "right": [step("b", "lane.busy")],
        }
        run = start(make_workflow(tenant, held("par", "flow.parallel", {}, **lanes)))
        with driving():
            until(lambda: StepRun.objects.for_tenant(tenant).filter(run=run, path="ok", status="waiting").exists())
            answer(run, "ok", {"decision": "approved"})
            until(lambda: StepRun.objects.for_tenant(tenant).filter(run=run, path="after", status="succeeded").exists())
            go_on.append(True)
            until(lambda: ended(run)[0] == "succeeded")


def test_an_answer_that_comes_while_the_run_parks_wakes_it(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("ok", "flow.approve", inputs={"message": "?"})))
    drive()
    # As if it had come between the look at the answers and the write of the wait.
    answer(run, "ok", {"decision": "approved"})
    run.refresh()
    assert run.wake_at is not None
    drive()
    assert ended(run)[0] == "succeeded"


def called(tenant: Tenant, *steps: dict[str, Any], slug: str = "other", **more: Any) -> Workflow:
    return make_workflow(tenant, *steps, slug=slug, **more)


def test_a_called_workflow_runs_and_gives_its_output(tenant: Tenant) -> None:
    called(tenant, step("a"), output={"got": "{{ trigger.body.n }}", "type": "{{ trigger.type }}"})
    call = step("c", "workflow.call", inputs={"workflow": "other", "payload": {"n": 7}})
    run = start(make_workflow(tenant, call, output="{{ steps.c.output }}"))
    drive_patiently()
    assert ended(run) == ("succeeded", {"got": 7, "type": "workflow"})
    child = Run.objects.for_tenant(tenant).get(parent=run)
    assert (child.parent_path, child.depth, child.status) == ("c", 1, "succeeded")


def test_a_loop_calls_workflows_side_by_side(tenant: Tenant) -> None:
    called(tenant, step("a"), output="{{ trigger.body }}")
    call = step("c", "workflow.call", inputs={"workflow": "other", "payload": "{{ item }}"})
    run = start(make_workflow(tenant, each([1, 2, 3, 4], call, concurrency=4), output="{{ steps.each.output }}"))
    drive_patiently()
    assert ended(run) == ("succeeded", [1, 2, 3, 4])


def test_a_called_workflow_that_fails_fails_the_step_that_called(tenant: Tenant) -> None:
    called(tenant, step("stop", "flow.stop", inputs={"status": "failed", "message": "no stock"}))
    run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "other"})))
    drive_patiently()
    run.refresh()
    assert run.status == "failed"
    assert "no stock" in run.error["message"]
    assert run.error["path"] == "c"


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda other: None, "There is no workflow"),
        (lambda other: Workflow.unscoped.filter(pk=other.pk).update(enabled=False), "switched off"),
        (lambda other: Workflow.unscoped.filter(pk=other.pk).update(published_version=None), "not published"),
    ],
)
def test_what_cannot_be_called_is_told(tenant: Tenant, prepare: Any, words: str) -> None:
    other = called(tenant, step("a"), slug="unknown" if "no workflow" in words else "other")
    prepare(other)
    run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "other"})))
    drive_patiently()
    run.refresh()
    assert words in run.error["message"]
    assert run.error["kind"] == "input"


def test_a_workflow_says_who_may_call_it(tenant: Tenant) -> None:
    other = called(tenant, step("a"))
    Trigger.unscoped.create(
        tenant=tenant, workflow=other, key="t", type="workflow", live_config={"callers": ["friend"]}
    )
    for slug, status in (("friend", "succeeded"), ("foe", "failed")):
        run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "other"}), slug=slug))
        drive_patiently()
        assert ended(run)[0] == status


def test_workflows_that_call_each_other_in_a_circle_come_to_an_end(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "test"})))
    drive_patiently()
    run.refresh()
    assert run.status == "failed"
    assert "deep" in run.error["message"]
    assert Run.objects.for_tenant(tenant).count() == 11


def test_another_tenants_workflow_is_not_found(tenant: Tenant, other_tenant: Tenant) -> None:
    called(other_tenant, step("a"))
    run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "other"})))
    drive_patiently()
    run.refresh()
    assert "There is no workflow" in run.error["message"]


def test_cancelling_a_run_cancels_what_it_called(tenant: Tenant, owner: Any) -> None:
    called(tenant, step("w", "flow.wait", inputs={"seconds": 3600}))
    run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "other"})))
    drive_patiently()
    services.run_cancel(actor=actor_for_user(owner, tenant.slug), run=run)
    child = Run.objects.for_tenant(tenant).get(parent=run)
    assert (ended(run)[0], child.status) == ("cancelled", "cancelled")
    assert {row.status for found in (run, child) for row in rows(found)} == {"cancelled"}


def test_cancelling_a_called_run_goes_on_in_its_parent(tenant: Tenant, owner: Any) -> None:
    called(tenant, step("w", "flow.wait", inputs={"seconds": 3600}))
    run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "other"})))
    drive_patiently()
    services.run_cancel(actor=actor_for_user(owner, tenant.slug), run=Run.objects.for_tenant(tenant).get(parent=run))
    drive_patiently()
    run.refresh()
    assert run.status == "failed"
    assert "was stopped" in run.error["message"]


def test_a_cancelled_run_is_stopped_in_mid_call_within_a_second(tenant: Tenant, owner: Any) -> None:
    async def slow(ctx: RunContext[Anything]) -> Any:
        import asyncio

        await asyncio.sleep(60)

    with registry.temporarily(make_action("lane.slow", slow)):
        lanes = {"left": [step("l", "lane.slow")], "right": [step("r", "lane.slow")]}
        run = start(make_workflow(tenant, held("par", "flow.parallel", {}, **lanes)))
        with driving():
            until(lambda: StepRun.objects.for_tenant(tenant).filter(run=run, status="running").count() == 3)
            services.run_cancel(actor=actor_for_user(owner, tenant.slug), run=run)
            asked = timezone.now()
            until(lambda: ended(run)[0] == "cancelled")
            assert run.finished_at is not None
            assert run.finished_at - asked < timedelta(seconds=1)
    assert {row.path: row.status for row in rows(run)} == {"par": "cancelled", "l": "cancelled", "r": "cancelled"}


def failing_workflow(tenant: Tenant, **settings: Any) -> Workflow:
    stop = step("stop", "flow.stop", inputs={"status": "failed", "message": "broken"})
    return make_workflow(tenant, stop, slug="fragile", settings=settings)


def test_a_failed_run_starts_the_error_workflow_once(tenant: Tenant) -> None:
    called(tenant, step("a"), slug="alarm", output="{{ trigger.body }}")
    run = start(failing_workflow(tenant, error_workflow="alarm"))
    drive()
    alarm = Run.objects.for_tenant(tenant).get(trigger_type="error")
    assert alarm.status == "succeeded"
    assert alarm.output["run"] == {"id": str(run.pk)}
    assert alarm.output["workflow"]["slug"] == "fragile"
    assert alarm.output["error"]["message"] == "broken"


def test_an_error_workflow_that_fails_starts_none(tenant: Tenant) -> None:
    stop = step("stop", "flow.stop", inputs={"status": "failed"})
    called(tenant, stop, slug="alarm", settings={"error_workflow": "fragile"})
    start(failing_workflow(tenant, error_workflow="alarm"))
    drive()
    assert Run.objects.for_tenant(tenant).count() == 2


def listening(tenant: Tenant, slug: str, *steps: dict[str, Any], workflows: list[str] | None = None) -> Workflow:
    """Return a workflow that a trigger starts when runs fail."""
    workflow = called(tenant, *(steps or (step("a"),)), slug=slug, output="{{ trigger.body.workflow.slug }}")
    config = {} if workflows is None else {"workflows": workflows}
    Trigger.unscoped.create(
        tenant=tenant, workflow=workflow, key="fails", type="error", config=config, live_config=config
    )
    return workflow


def alarms(tenant: Tenant) -> list[tuple[str, str, str]]:
    rows = Run.objects.for_tenant(tenant).filter(trigger_type="error").order_by("workflow__slug")
    return [(row.workflow.slug, row.trigger_key, row.output) for row in rows.select_related("workflow")]


def test_triggers_of_other_workflows_hear_of_a_failed_run(tenant: Tenant, other_tenant: Tenant) -> None:
    listening(tenant, "all")
    listening(tenant, "named", workflows=["fragile"])
    listening(tenant, "others", workflows=["sturdy"])
    listening(tenant, "none", workflows=[])
    off = listening(tenant, "off")
    Workflow.unscoped.filter(pk=off.pk).update(enabled=False)
    old = listening(tenant, "old")
    Trigger.unscoped.filter(workflow=old).update(live_config=None)
    listening(other_tenant, "theirs")
    start(failing_workflow(tenant))
    drive()
    assert alarms(tenant) == [("all", "fails", "fragile"), ("named", "fails", "fragile")]
    assert Run.objects.for_tenant(other_tenant).count() == 0


def test_a_workflow_that_is_named_by_setting_and_trigger_is_started_once(tenant: Tenant) -> None:
    listening(tenant, "alarm")
    start(failing_workflow(tenant, error_workflow="alarm"))
    drive()
    assert alarms(tenant) == [("alarm", "", "fragile")]


def test_what_hears_of_failures_does_not_hear_of_its_own_and_of_no_other_that_does(tenant: Tenant) -> None:
    broken = step("stop", "flow.stop", inputs={"status": "failed"})
    listening(tenant, "one", broken)
    listening(tenant, "two", broken)
    start(Workflow.objects.for_tenant(tenant).get(slug="one"))
    drive()
    # The run by hand failed, of which the other hears; what that does is nobody's news.
    assert [(slug, key) for slug, key, _output in alarms(tenant)] == [("two", "fails")]


def test_what_an_error_workflow_calls_and_fails_starts_it_no_second_time(tenant: Tenant) -> None:
    failing_workflow(tenant)
    inner = step("inner", "workflow.call", inputs={"workflow": "fragile"})
    called(tenant, inner, slug="middle")
    listening(tenant, "alarm", step("outer", "workflow.call", inputs={"workflow": "middle"}))
    start(Workflow.objects.for_tenant(tenant).get(slug="fragile"))
    drive_patiently()
    assert [slug for slug, _key, _output in alarms(tenant)] == ["alarm"]
    assert Run.objects.for_tenant(tenant).count() == 4


def limited(tenant: Tenant, most: int, on_limit: str = "queue", *steps: dict[str, Any]) -> Workflow:
    workflow = make_workflow(tenant, *(steps or (step("ok", "flow.approve", inputs={"message": "?"}),)))
    Workflow.unscoped.filter(pk=workflow.pk).update(max_concurrent_runs=most, on_limit=on_limit)
    return workflow


def statuses_of(tenant: Tenant) -> list[str]:
    return list(Run.objects.for_tenant(tenant).order_by("id").values_list("status", flat=True))


def test_runs_over_the_limit_wait_for_their_turn(tenant: Tenant) -> None:
    workflow = limited(tenant, 2)
    runs = [start(workflow) for _ in range(4)]
    drive()
    assert statuses_of(tenant) == ["waiting", "waiting", "queued", "queued"]
    assert Run.objects.for_tenant(tenant).filter(status="queued", wake_at__isnull=False).count() == 0
    answer(runs[0], "ok", {"decision": "approved"})
    drive()
    assert statuses_of(tenant) == ["succeeded", "waiting", "waiting", "queued"]
    services.run_cancel(actor=system_actor(tenant), run=runs[1])
    drive()
    assert statuses_of(tenant) == ["succeeded", "cancelled", "waiting", "waiting"]


def system_actor(tenant: Tenant) -> Any:
    from django.contrib.auth.models import User

    from orchestrator.tenants.models import Membership, Role

    user, _ = User.objects.get_or_create(username="boss")
    Membership.unscoped.get_or_create(tenant=tenant, user=user, defaults={"role": Role.OWNER})
    return actor_for_user(user, tenant.slug)


def test_runs_over_the_limit_are_skipped_where_the_workflow_says_so(tenant: Tenant) -> None:
    workflow = limited(tenant, 1, "skip")
    for _ in range(3):
        start(workflow)
    drive()
    assert statuses_of(tenant) == ["waiting", "cancelled", "cancelled"]
    skipped = Run.objects.for_tenant(tenant).order_by("id").last()
    assert skipped is not None
    assert "skipped" in skipped.error["message"]


def test_a_newer_run_takes_the_place_of_the_older_where_the_workflow_says_so(tenant: Tenant) -> None:
    workflow = limited(tenant, 1, "cancel_older")
    start(workflow)
    drive()
    for _ in range(2):
        start(workflow)
    drive()
    assert statuses_of(tenant) == ["cancelled", "cancelled", "waiting"]


def test_a_run_that_is_stopped_for_a_newer_one_says_so(tenant: Tenant) -> None:
    async def slow(ctx: RunContext[Anything]) -> Any:
        import asyncio

        if ctx.inputs.value:
            await asyncio.sleep(60)

    with registry.temporarily(make_action("lane.slow", slow)):
        workflow = limited(tenant, 1, "cancel_older", step("a", "lane.slow", inputs={"value": "{{ trigger.body }}"}))
        older = start(workflow, True)
        with driving():
            until(lambda: StepRun.objects.for_tenant(tenant).filter(run=older, status="running").exists())
            newer = start(workflow, False)
            until(lambda: ended(newer)[0] == "succeeded")
    assert ended(older)[0] == "cancelled"
    assert "newer run" in older.error["message"]
    assert (older.failure_kind, newer.error) == ("rate_limited", None)


def test_a_run_that_ends_before_it_is_stopped_for_a_newer_one_does_not_say_so(tenant: Tenant) -> None:
    from runs.claims import _replace

    def ask_to_stop() -> None:
        _replace(workflow.pk, timezone.now())
        connection.close()

    async def ends(ctx: RunContext[Anything]) -> Any:
        import asyncio

        await asyncio.to_thread(ask_to_stop)

    with registry.temporarily(make_action("lane.ends", ends)):
        workflow = limited(tenant, 1, "cancel_older", step("a", "lane.ends"))
        run = start(workflow)
        drive()
    assert ended(run)[0] == "succeeded"
    assert (run.error, run.failure_kind) == (None, "")


def test_a_tenants_limit_counts_what_is_driven(tenant: Tenant, other_tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(max_concurrent_runs=1)
    workflow = make_workflow(tenant, step("a"))
    runs = [start(workflow) for _ in range(5)] + [start(make_workflow(other_tenant, step("a")))]
    drive()
    assert {ended(run)[0] for run in runs} == {"succeeded"}


def test_rows_of_a_workflow_without_limits_cost_no_query_for_them(tenant: Tenant) -> None:
    from django.db import transaction

    from runs.claims import Claimer
    from runs.clock import DatabaseClock
    from runs.slots import Slots

    workflow = make_workflow(tenant, step("a"))
    claimer = Claimer(owner="one", slots=Slots(), clock=DatabaseClock())
    counts = []
    for _ in range(2):
        start(workflow)
        with (
            transaction.atomic(),
            CaptureQueriesContext(
                connection,
            ) as queries,
        ):
            claimer.claim()
        counts.append(sum("max_concurrent" in query["sql"] for query in queries))
    assert counts == [2, 0], "limits are read once a second, for all"


def rerun(tenant: Tenant, run: Run, **more: Any) -> Run:
    again = services.run_rerun(actor=system_actor(tenant), run=run.refresh(), **more)
    drive()
    return again.refresh()


def counted(tenant: Tenant) -> tuple[Action, list[Any], set[Any]]:
    """Return an action that notes its value and fails for those in the set."""
    calls: list[Any] = []
    wrong: set[Any] = set()

    async def note(ctx: RunContext[Anything]) -> Any:
        calls.append(ctx.inputs.value)
        if ctx.inputs.value in wrong:
            raise Permanent("not yet")
        return ctx.inputs.value

    return make_action("lane.note", note), calls, wrong


def note(key: str, value: Any) -> dict[str, Any]:
    return step(key, "lane.note", inputs={"value": value})


def test_a_run_starts_again_from_a_failed_iteration(tenant: Tenant) -> None:
    action, calls, wrong = counted(tenant)
    with registry.temporarily(action):
        body = (note("first", "f{{ item }}"), note("send", "s{{ item }}"))
        workflow = make_workflow(
            tenant, note("before", "b"), each([1, 2, 3], *body), note("after", "a"), output="{{ steps.each.output }}"
        )
        wrong.add("s2")
        run = start(workflow)
        drive()
        run.refresh()
        assert run.error["path"] == "each[1].send"
        wrong.clear()
        for start_at in ("each[1].send", "send"):
            calls.clear()
            again = rerun(tenant, run, from_=start_at)
            assert (again.status, again.output) == ("succeeded", ["s1", "s2", "s3"])
            assert calls == ["s2", "f3", "s3", "a"]
        calls.clear()
        again = rerun(tenant, run, from_="each")
        assert again.status == "succeeded"
        assert calls == ["f1", "s1", "f2", "s2", "f3", "s3", "a"]


def test_a_run_starts_again_inside_a_lane_with_what_the_others_had_finished(tenant: Tenant) -> None:
    action, calls, wrong = counted(tenant)
    with registry.temporarily(action):
        lanes = {"left": [note("l1", "l1"), note("l2", "l2")], "right": [note("r1", "r1"), note("r2", "r2")]}
        inside = held("par", "flow.parallel", {"on_lane_error": "finish"}, **lanes)
        check = held(
            "check",
            "flow.if",
            {"condition": "{{ trigger.body }}"},
            then=[note("t", "t"), inside],
            **{"else": [note("e", "e")]},
        )
        workflow = make_workflow(tenant, check, note("after", "a"), output="{{ steps.par.output }}")
        wrong.add("l2")
        run = start(workflow, True)
        drive()
        wrong.clear()
        calls.clear()
        again = rerun(tenant, run, from_="l2")
        assert (again.status, again.output) == ("succeeded", {"left": "l2", "right": "r2"})
        assert sorted(calls) == ["a", "l2"]
        with pytest.raises(Exception, match="did not take the lane"):
            rerun(tenant, run, from_="e")


def test_a_run_that_started_in_the_middle_can_start_in_the_middle_again(tenant: Tenant) -> None:
    action, calls, wrong = counted(tenant)
    with registry.temporarily(action):
        workflow = make_workflow(tenant, note("one", 1), each([1, 2], note("two", "{{ item }}")), note("three", 3))
        wrong |= {2}
        run = start(workflow)
        drive()
        wrong.clear()
        wrong |= {3}
        second = rerun(tenant, run, from_="each[1].two")
        assert second.error["path"] == "three"
        wrong.clear()
        calls.clear()
        third = rerun(tenant, second, from_="three")
        assert (third.status, calls) == ("succeeded", [3])


def test_a_step_that_is_not_there_or_not_in_that_loop_is_told(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, each([1], step("a")), step("b")))
    drive()
    for wrong in ("zzz", "each[0].b", "other[0].a", "each.a", "A B"):
        with pytest.raises(Exception, match=r"no step|in no loop|is inside|no step's path"):
            rerun(tenant, run, from_=wrong)


def test_a_test_of_a_loop_runs_all_it_holds(tenant: Tenant, owner: Any) -> None:
    from orchestrator.workflows import services as workflow_services

    actor = actor_for_user(owner, tenant.slug)
    document = {"name": "T", "steps": [each([1, 2], step("a", inputs={"values": {"n": "{{ item }}"}}))]}
    workflow = workflow_services.workflow_create(actor=actor, document=document)
    run = services.step_test(actor=actor, workflow=workflow, key="each", given={"a": {"n": 9}})
    drive()
    assert ended(run) == ("succeeded", [{"n": 1}, {"n": 2}])

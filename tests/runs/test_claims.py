"""Who gets to drive a run: leases, fences, turns among tenants, crashes, and revoked authority."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import ApiToken, Membership, Tenant
from runs import claims
from runs.claims import ALONE_CRASHES, POISON_AFTER, SUSPECT_AFTER, Claimed, Claimer
from runs.clock import DatabaseClock
from runs.models import Run, StepRun
from runs.slots import DRAIN_SECONDS, Slots
from runs.states import RunStatus, StepStatus
from tests.runs.ground import make_workflow, rows, start, step

pytestmark = pytest.mark.django_db(transaction=True)


def make_claimer(owner: str = "one", slots: Slots | None = None) -> Claimer:
    return Claimer(owner=owner, slots=slots or Slots(), clock=DatabaseClock())


def claim(claimer: Claimer) -> list[Claimed]:
    with transaction.atomic():
        return claimer.claim()


def let_expire(run: Run, *, crashes: int | None = None) -> None:
    values: dict[str, Any] = {"lease_expires_at": timezone.now() - timedelta(seconds=1)}
    if crashes is not None:
        values["crash_count"] = crashes
    assert Run.unscoped.filter(pk=run.pk, status=RunStatus.RUNNING).update(**values)


def abandoned(run: Run, *, crashes: int) -> Run:
    """Make a run look as if its driver had gone away, after ``crashes`` earlier crashes."""
    Run.unscoped.filter(pk=run.pk).update(
        status=RunStatus.RUNNING,
        wake_at=None,
        lease_owner="gone",
        lease_expires_at=timezone.now() - timedelta(seconds=1),
        crash_count=crashes,
        fence=1,
    )
    return run.refresh()


def test_a_due_run_is_claimed_once(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    first, second = make_claimer("one"), make_claimer("two")
    assert [found.run_id for found in claim(first)] == [run.pk]
    assert claim(second) == []
    run.refresh()
    assert (run.status, run.lease_owner, run.fence, run.crash_count) == ("running", "one", 1, 0)
    assert run.lease_expires_at is not None
    assert run.started_at is not None


def test_a_run_that_is_not_due_yet_is_left(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    Run.unscoped.filter(pk=run.pk).update(wake_at=timezone.now() + timedelta(minutes=1))
    assert claim(make_claimer()) == []


def test_an_expired_lease_goes_to_another_driver_and_counts_as_a_crash(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    claim(make_claimer("one"))
    let_expire(run)
    (again,) = claim(make_claimer("two"))
    assert (again.fence, again.fresh) == (2, False)
    run.refresh()
    assert (run.lease_owner, run.fence, run.crash_count) == ("two", 2, 1)


def test_a_renewed_lease_does_not_expire(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    claimer = make_claimer("one")
    claim(claimer)
    let_expire(run)
    claimer.renew([run.pk])
    assert claim(make_claimer("two")) == []


def test_nobody_renews_a_lease_that_is_anothers(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    claim(make_claimer("one"))
    let_expire(run)
    make_claimer("two").renew([run.pk])
    assert len(claim(make_claimer("three"))) == 1


def test_tenants_take_turns_when_there_is_more_than_room_for(tenant: Tenant, other_tenant: Tenant) -> None:
    flood, modest = make_workflow(tenant, step("a")), make_workflow(other_tenant, step("a"))
    for _ in range(60):
        start(flood)
    late = [start(modest) for _ in range(3)]
    claimed = claim(make_claimer(slots=Slots(capacity=12)))
    mine = [found.run_id for found in claimed if found.tenant_id == other_tenant.pk]
    assert mine == [run.pk for run in late]
    assert len(claimed) > len(late)


def test_one_tenant_alone_leaves_room_for_another(tenant: Tenant, other_tenant: Tenant) -> None:
    flood, modest = make_workflow(tenant, step("a")), make_workflow(other_tenant, step("a"))
    for _ in range(30):
        start(flood)
    slots = Slots(capacity=20)
    claimer = make_claimer(slots=slots)
    assert len(claim(claimer)) == 16
    assert claim(claimer) == []
    run = start(modest)
    assert [found.run_id for found in claim(claimer)] == [run.pk]


def test_a_run_whose_lease_was_lost_twice_is_driven_alone(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("a"))
    suspect = abandoned(start(workflow), crashes=SUSPECT_AFTER - 1)
    innocent = start(workflow)
    slots = Slots()
    claimer = make_claimer(slots=slots)
    assert [found.run_id for found in claim(claimer)] == [suspect.pk]
    assert claim(claimer) == []
    assert innocent.refresh().status == "queued"
    slots.give(tenant.pk, suspect.pk)
    assert [found.run_id for found in claim(claimer)] == [innocent.pk]


def test_a_driver_with_runs_takes_no_more_until_it_can_take_the_suspect_alone(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("a"))
    first = start(workflow)
    slots = Slots()
    claimer = make_claimer(slots=slots)
    claim(claimer)
    suspect = abandoned(start(workflow), crashes=SUSPECT_AFTER)
    start(workflow)
    claimer._expired_looked_at = 0
    assert claim(claimer) == []
    assert slots.room == 0
    slots.give(tenant.pk, first.pk)
    assert [found.run_id for found in claim(claimer)] == [suspect.pk]


def test_a_suspect_does_not_wait_for_ever_for_long_runs(tenant: Tenant) -> None:
    now = 0.0
    workflow = make_workflow(tenant, step("a"))
    slots = Slots(clock=lambda: now)
    claimer = make_claimer(slots=slots)
    start(workflow)
    claim(claimer)
    suspect = abandoned(start(workflow), crashes=SUSPECT_AFTER)
    claimer._expired_looked_at = 0
    assert claim(claimer) == []
    now = DRAIN_SECONDS + 1
    assert [found.run_id for found in claim(claimer)] == [suspect.pk]


def test_a_run_that_keeps_taking_its_worker_down_is_failed(tenant: Tenant) -> None:
    assert POISON_AFTER == SUSPECT_AFTER + ALONE_CRASHES
    run = abandoned(start(make_workflow(tenant, step("a"))), crashes=POISON_AFTER - 1)
    StepRun.unscoped.create(
        tenant=tenant,
        run=run,
        path="a",
        key="a",
        action="data.set",
        status=StepStatus.RUNNING,
        started_at=timezone.now(),
    )
    assert claim(make_claimer()) == []
    run.refresh()
    assert (run.status, run.failure_kind, run.crash_count) == ("failed", "internal", POISON_AFTER)
    assert "went away 5 times" in run.error["message"]
    assert [(row.status, row.failure_kind) for row in rows(run)] == [("lost", "outcome_unknown")]


def test_a_run_one_crash_short_of_that_is_tried_again(tenant: Tenant) -> None:
    run = abandoned(start(make_workflow(tenant, step("a"))), crashes=POISON_AFTER - 2)
    assert [found.run_id for found in claim(make_claimer())] == [run.pk]


def test_a_queued_run_of_a_member_who_is_gone_is_cancelled(tenant: Tenant, operator: Any) -> None:
    run = start(make_workflow(tenant, step("a")), actor=actor_for_user(operator, tenant.slug))
    Membership.unscoped.filter(user=operator).delete()
    assert claim(make_claimer()) == []
    run.refresh()
    assert (run.status, run.failure_kind) == ("cancelled", "auth")
    assert "no longer has access" in run.error["message"]


def test_a_queued_run_of_a_deleted_user_is_cancelled(tenant: Tenant, operator: Any) -> None:
    run = start(make_workflow(tenant, step("a")), actor=actor_for_user(operator, tenant.slug))
    operator.delete()
    assert claim(make_claimer()) == []
    assert run.refresh().status == "cancelled"


def test_a_queued_run_of_a_token_that_is_gone_is_cancelled(tenant: Tenant, operator: Any) -> None:
    token = ApiToken.unscoped.create(tenant=tenant, user=operator, name="ci", prefix="orc_", digest="d" * 64)
    run = start(make_workflow(tenant, step("a")), actor=actor_for_user(operator, tenant.slug))
    Run.unscoped.filter(pk=run.pk).update(token_id=token.pk)
    token.delete()
    assert claim(make_claimer()) == []
    assert run.refresh().status == "cancelled"


def test_a_run_that_nobody_started_does_not_need_anybody(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    assert [found.run_id for found in claim(make_claimer())] == [run.pk]


def test_an_abandoned_run_that_was_to_be_cancelled_is_cancelled(tenant: Tenant) -> None:
    run = abandoned(start(make_workflow(tenant, step("a"))), crashes=0)
    Run.unscoped.filter(pk=run.pk).update(cancel_requested_at=timezone.now())
    assert claim(make_claimer()) == []
    assert run.refresh().status == "cancelled"


def test_places_of_a_claim_that_is_not_committed_are_free_again(tenant: Tenant) -> None:
    start(make_workflow(tenant, step("a")))
    slots = Slots()
    claimer = make_claimer(slots=slots)

    with transaction.atomic():
        claimed = claimer.claim()
        assert slots.held == 1
        transaction.set_rollback(True)
    claimer.undo(claimed)
    assert slots.held == 0
    assert len(claim(claimer)) == 1


def test_looking_for_work_costs_a_small_query_and_now_and_then_those_for_the_limits(
    tenant: Tenant, django_assert_num_queries: Any
) -> None:
    claimer = make_claimer()
    with django_assert_num_queries(3):
        assert claimer.due_in() == float("inf")
    with django_assert_num_queries(1):
        assert claimer.due_in() == float("inf")


def test_a_look_tells_when_the_next_run_is_due(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("a"))
    later, sooner = start(workflow), start(workflow)
    claimer = make_claimer()
    assert claimer.due_in() == 0
    Run.unscoped.filter(pk=later.pk).update(wake_at=timezone.now() + timedelta(hours=1))
    Run.unscoped.filter(pk=sooner.pk).update(wake_at=timezone.now() + timedelta(seconds=30))
    assert 29 < claimer.due_in() <= 30
    claimer_without_room = make_claimer(slots=Slots(capacity=0))
    assert claimer_without_room.due_in() == float("inf")


def test_a_look_finds_an_expired_lease(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    claim(make_claimer("one"))
    claimer = make_claimer("two")
    assert claimer.due_in() == float("inf")
    let_expire(run)
    assert claimer.due_in() == 0
    assert [found.run_id for found in claim(claimer)] == [run.pk]


def test_work_is_found_by_index_alone(tenant: Tenant) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the planner of PostgreSQL prefers a scan of a table this small")
    now = timezone.now()
    due = Run.unscoped.filter(wake_at__lte=now).order_by("wake_at").explain()
    expired = Run.unscoped.filter(lease_expires_at__lt=now).order_by("lease_expires_at").explain()
    of_tenant = Run.unscoped.filter(tenant_id=tenant.pk, wake_at__lte=now).order_by("wake_at").explain()
    assert "run_due" in due
    assert "run_lease_expiry" in expired
    assert "run_due_of_tenant" in of_tenant
    assert "TEMP B-TREE" not in due + expired + of_tenant
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {claims._NEXT}")
        plan = " ".join(str(row[-1]) for row in cursor.fetchall())
    assert "run_due" in plan
    assert "run_lease_expiry" in plan
    assert plan.count("SEARCH") == 2, "the first of each index, and not all of them"

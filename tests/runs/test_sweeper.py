"""The sweeper: what dead drivers hold is free at once, and what is past its retention goes, nothing else."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from orchestrator.ids import first_id_at
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs import owners, sweeper
from runs.models import Answer, Payload, Run, StepRun, StepState, TestData, WorkerBeat
from runs.sweeper import Work, free_dead_drivers, prune, prune_drafts
from tests.runs.ground import make_workflow, start, step

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant)


@pytest.fixture
def dead() -> str:
    """The name of a driver whose process has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = f"{owners._machine()}-{process.pid}-{owners._started(process.pid)}-abcd"
    assert not owners.is_surely_gone(name)
    process.communicate(b"\n")
    return name


def held_by(owner: str, workflow: Workflow, *, seconds: float = 15) -> Run:
    run = start(workflow)
    Run.unscoped.filter(pk=run.pk).update(
        status="running", wake_at=None, lease_owner=owner, lease_expires_at=timezone.now() + timedelta(seconds=seconds)
    )
    return run.refresh()


def beat(name: str, *, seconds_ago: float = 0) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    WorkerBeat.objects.create(name=name, host="h", pid=1, beat_at=at)


def test_what_a_dead_driver_holds_is_due_at_once(workflow: Workflow, dead: str) -> None:
    runs = [held_by(dead, workflow) for _ in range(3)]
    beat(dead)
    now = timezone.now()
    assert sweeper.state_of_work(now) is Work.DRIVEN
    assert free_dead_drivers(now) == 3
    assert Run.unscoped.filter(lease_expires_at__lt=now).count() == len(runs)
    assert sweeper.state_of_work(now) is Work.DUE
    assert not WorkerBeat.objects.exists()
    assert free_dead_drivers(now) == 0


def test_a_dead_driver_is_found_by_its_runs_alone(workflow: Workflow, dead: str) -> None:
    held_by(dead, workflow)
    assert free_dead_drivers(timezone.now()) == 1


@pytest.mark.parametrize("other", ["000000000000-1-1-abcd", "unknown-1-1-abcd", "a-name-of-an-older-release", ""])
def test_drivers_that_may_live_elsewhere_are_left_alone(other: str, workflow: Workflow) -> None:
    mine, theirs = held_by(owners.new_owner(), workflow), held_by(other, workflow)
    assert free_dead_drivers(timezone.now()) == 0
    for run in (mine, theirs):
        before = run.lease_expires_at
        assert run.refresh().lease_expires_at == before


def test_a_process_that_has_the_number_of_a_dead_one_does_not_hide_it(workflow: Workflow) -> None:
    alive = owners.new_owner().split("-")
    held_by(f"{alive[0]}-{alive[1]}-1-abcd", workflow)
    assert free_dead_drivers(timezone.now()) == 1


def test_beats_that_are_old_go_and_the_runs_keep_their_leases(workflow: Workflow) -> None:
    beat("000000000000-1-1-abcd", seconds_ago=61)
    beat("000000000000-2-1-abcd", seconds_ago=59)
    held_by("000000000000-1-1-abcd", workflow)
    assert free_dead_drivers(timezone.now()) == 0
    assert [found.name for found in WorkerBeat.objects.all()] == ["000000000000-2-1-abcd"]


def ended(workflow: Workflow, *, days_ago: float, status: str = "succeeded", **more: Any) -> Run:
    """Return a run of that age with a step and a large value."""
    at: datetime = timezone.now() - timedelta(days=days_ago)
    assert workflow.published_version_id is not None
    is_over = status in ("succeeded", "failed", "cancelled")
    # Of the runs of one moment each has the next id.
    pk = first_id_at(at)
    while Run.unscoped.filter(pk=pk).exists():
        pk += 1
    run = Run.unscoped.create(
        pk=pk,
        tenant_id=workflow.tenant_id,
        workflow=workflow,
        version_id=workflow.published_version_id,
        trigger_type="manual",
        status=status,
        created_at=at,
        finished_at=at if is_over else None,
        wake_at=None if is_over else timezone.now() + timedelta(days=1),
        **more,
    )
    StepRun.unscoped.create(
        tenant_id=run.tenant_id, run=run, path="a", key="a", action="data.set", status="succeeded", started_at=at
    )
    Payload.unscoped.create(tenant_id=run.tenant_id, run=run, size=1, data=b"x")
    return run


def keep(of: Workflow | Tenant, days: int | None) -> None:
    if isinstance(of, Tenant):
        Tenant.objects.filter(pk=of.pk).update(retention_days=days)
    else:
        Workflow.unscoped.filter(pk=of.pk).update(settings={"retention_days": days})


def left() -> set[int]:
    found = set(Run.unscoped.values_list("pk", flat=True))
    assert set(StepRun.unscoped.values_list("run", flat=True)) <= found
    assert set(Payload.unscoped.values_list("run", flat=True)) <= found
    return found


def test_ended_runs_past_the_tenants_retention_go_with_all_that_is_theirs(workflow: Workflow, tenant: Tenant) -> None:
    keep(tenant, 7)
    old = [ended(workflow, days_ago=8, status=status) for status in ("succeeded", "failed", "cancelled")]
    young = ended(workflow, days_ago=6)
    assert prune() == len(old)
    assert left() == {young.pk}
    assert StepRun.unscoped.count() == Payload.unscoped.count() == 1
    assert prune() == 0


def test_whatever_belongs_to_a_run_is_among_what_goes_with_it(workflow: Workflow, tenant: Tenant) -> None:
    keep(tenant, 7)
    run = ended(workflow, days_ago=8)
    TestData.unscoped.create(tenant=tenant, workflow=workflow, run=run)
    assert prune() == 1
    assert not TestData.unscoped.exists()
    # A table that points to runs and is not emptied before them stops the pruning of every tenant.
    fields = Run._meta.get_fields(include_hidden=True)
    pointing = {field.related_model for field in fields if field.auto_created and not field.concrete}
    assert pointing == {Answer, Payload, Run, StepRun, StepState, TestData}


@pytest.mark.parametrize("status", ["queued", "waiting"])
def test_a_run_that_has_not_ended_stays_however_old_it_is(status: str, workflow: Workflow, tenant: Tenant) -> None:
    keep(tenant, 1)
    run = ended(workflow, days_ago=400, status=status)
    prune()
    assert left() == {run.pk}


def test_a_workflows_own_retention_counts_before_its_tenants(tenant: Tenant) -> None:
    longer, shorter, default = (make_workflow(tenant, slug=slug) for slug in ("longer", "shorter", "default"))
    keep(tenant, 7)
    keep(longer, 30)
    keep(shorter, 2)
    kept = [ended(longer, days_ago=20), ended(shorter, days_ago=1), ended(default, days_ago=6)]
    for workflow, days in ((longer, 31), (shorter, 3), (default, 8)):
        ended(workflow, days_ago=days)
    assert prune() == 3
    assert left() == {run.pk for run in kept}


def test_without_a_retention_runs_are_kept(workflow: Workflow) -> None:
    keep(workflow.tenant, None)
    run = ended(workflow, days_ago=300)
    assert prune() == 0
    assert left() == {run.pk}


def test_a_tenants_retention_does_not_reach_another(workflow: Workflow, other_tenant: Tenant, tenant: Tenant) -> None:
    keep(tenant, 1)
    keep(other_tenant, None)
    theirs = ended(make_workflow(other_tenant), days_ago=100)
    ended(workflow, days_ago=100)
    prune()
    assert left() == {theirs.pk}


def test_runs_that_came_of_a_deleted_one_stay_without_it(workflow: Workflow, tenant: Tenant) -> None:
    keep(tenant, 7)
    old = ended(workflow, days_ago=8)
    child, rerun = ended(workflow, days_ago=1, parent=old), ended(workflow, days_ago=2, rerun_of=old)
    assert prune() == 1
    assert left() == {child.pk, rerun.pk}
    assert child.refresh().parent_id is None
    assert rerun.refresh().rerun_of_id is None


def test_more_than_a_batch_goes_and_a_limit_of_time_is_kept(
    workflow: Workflow, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "RUNS_A_BATCH", 2)
    keep(tenant, 7)
    for _ in range(5):
        ended(workflow, days_ago=8)
    assert prune(seconds=0) == 0
    assert len(left()) == 5
    assert prune(seconds=30) == 5
    assert left() == set()


def test_the_command_prunes_all(workflow: Workflow, tenant: Tenant) -> None:
    keep(tenant, 7)
    ended(workflow, days_ago=8)
    output = StringIO()
    call_command("prune", stdout=output)
    assert "1" in output.getvalue()
    assert left() == set()


def draft(workflow: Workflow, *, days_ago: float) -> WorkflowVersion:
    pk = first_id_at(timezone.now() - timedelta(days=days_ago)) + WorkflowVersion.unscoped.count()
    return WorkflowVersion.unscoped.create(
        pk=pk, tenant_id=workflow.tenant_id, workflow=workflow, number=None, definition={}, checksum=str(pk)
    )


def test_copies_of_drafts_go_once_no_run_needs_them(workflow: Workflow) -> None:
    unused, young, used = (draft(workflow, days_ago=days) for days in (2, 0.5, 3))
    run = ended(workflow, days_ago=1)
    Run.unscoped.filter(pk=run.pk).update(version=used)
    published = WorkflowVersion.unscoped.filter(number=1)
    published.update(created_at=timezone.now() - timedelta(days=500))
    assert prune_drafts() == 1
    assert set(WorkflowVersion.unscoped.filter(number=None)) == {young, used}
    assert published.exists()
    assert unused not in WorkflowVersion.unscoped.all()


def test_sweeping_frees_each_time_and_prunes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[datetime] = []
    pruned: list[float] = []
    monkeypatch.setattr(sweeper, "free_dead_drivers", freed.append)
    monkeypatch.setattr(sweeper, "prune", lambda *, seconds: pruned.append(seconds))
    monkeypatch.setattr(sweeper, "_state", type("State", (), {})())
    for _ in range(3):
        sweeper.sweep()
    assert len(freed) == 3
    assert pruned == [sweeper.PRUNE_SECONDS]
    sweeper._state.prune_due = 0.0
    sweeper.sweep()
    assert len(pruned) == 2


def test_what_a_crash_left_held_back_is_released(tenant: Tenant) -> None:
    run = start(make_workflow(tenant, step("a")))
    Run.unscoped.filter(pk=run.pk).update(wake_at=None)
    sweeper.sweep()
    assert run.refresh().wake_at is not None


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases give space back by themselves")
def test_what_is_pruned_is_cut_off_the_file(tenant: Tenant) -> None:
    def pages() -> int:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            return int(cursor.fetchone()[0])

    Tenant.objects.filter(pk=tenant.pk).update(retention_days=1)
    workflow, old = make_workflow(tenant, step("a")), timezone.now() - timedelta(days=3)
    ids = [first_id_at(old) + number for number in range(300)]
    Run.unscoped.bulk_create(
        Run(
            pk=pk, tenant=tenant, workflow=workflow, version=workflow.published_version, trigger_type="manual",
            status="succeeded", finished_at=old, wake_at=None, trigger={"body": "x" * 20_000},
        )
        for pk in ids
    )  # fmt: skip
    full = pages()
    assert sweeper.prune() == 300
    assert pages() < full - 1_000

"""A version whose first runs fail goes back by itself: once, whoever looks, and nothing else is touched."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow, WorkflowVersion
from orchestrator.workflows.selectors import draft_document
from orchestrator.workflows.services import AutoReturn
from runs import sweeper, watches
from runs.models import Run
from runs.watches import Verdict, look_at_watched, verdict
from tests.runs.ground import drive, start

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = {"key": "a", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}
BAD = {"key": "a", "action": "code.python", "config": {"inputs": {"code": "raise ValueError('no')"}}}
DOCUMENT = {
    "name": "Leads", "slug": "leads", "steps": [GOOD], "triggers": [{"key": "hook", "type": "webhook", "config": {}}]
}  # fmt: skip


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    """Return a workflow whose version 1 was good, and whose version 2 goes back after two failures of five."""
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    services.publish(actor=actor, workflow=workflow)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"steps": [BAD], "triggers": []})
    services.publish(actor=actor, workflow=workflow, auto_return=AutoReturn(failures=2, runs=5))
    return workflow.refresh()


def live(workflow: Workflow) -> int | None:
    version = workflow.refresh().published_version
    return version.number if version else None


def version(workflow: Workflow, number: int) -> WorkflowVersion:
    return WorkflowVersion.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, number=number)


def ended(workflow: Workflow, number: int, statuses: Iterable[str], **more: str) -> None:
    for status in statuses:
        is_over = status in ("succeeded", "failed", "cancelled")
        Run.unscoped.create(
            tenant_id=workflow.tenant_id,
            workflow=workflow,
            version=version(workflow, number),
            trigger_type="manual",
            status=status,
            wake_at=None if is_over else timezone.now(),
            finished_at=timezone.now() if is_over else None,
            **more,
        )


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], Verdict.WAIT),
        (["failed"], Verdict.WAIT),
        (["failed", "failed"], Verdict.GO_BACK),
        (["succeeded", "failed", "succeeded", "failed"], Verdict.GO_BACK),
        (["succeeded"] * 3, Verdict.WAIT),
        (["succeeded"] * 4, Verdict.OVER),
        (["succeeded"] * 3 + ["failed"], Verdict.WAIT),
        (["succeeded"] * 3 + ["failed"] * 2, Verdict.GO_BACK),
        (["succeeded"] * 4 + ["failed"] * 9, Verdict.OVER),
    ],
)
def test_the_first_runs_decide(statuses: list[str], expected: Verdict) -> None:
    assert verdict(statuses, failures=2, runs=5) is expected


def test_runs_that_fail_bring_the_version_before_back(workflow: Workflow) -> None:
    for _ in range(2):
        start(workflow)
    drive()
    assert look_at_watched() == 1
    assert live(workflow) == 1
    gone = version(workflow, 2)
    assert (gone.watched, gone.return_counts) == (False, {"failed": 2, "runs": 2})
    assert gone.returned_at is not None
    event = AuditEvent.objects.for_tenant(workflow.tenant_id).filter(action="workflow.returned").get()
    assert (event.actor, event.actor_label) == (None, "system")
    assert event.detail == {"number": 2, "live": 1, "failed": 2, "runs": 2}
    assert look_at_watched() == 0


def test_the_draft_and_runs_in_progress_are_left_alone_and_triggers_come_back(workflow: Workflow) -> None:
    before = draft_document(workflow.refresh())
    address = Trigger.objects.for_tenant(workflow.tenant_id).get(key="hook").address_digest
    ended(workflow, 2, ["failed", "failed", "queued", "waiting"])
    look_at_watched()
    assert draft_document(workflow.refresh()) == before
    alive = Run.unscoped.filter(workflow=workflow, finished_at=None)
    assert {run.version.number for run in alive.select_related("version")} == {2}
    hook = Trigger.objects.for_tenant(workflow.tenant_id).get(key="hook")
    assert (hook.live_config, hook.in_draft, hook.address_digest) == ({}, False, address)


def test_only_live_runs_of_that_version_that_ended_count(workflow: Workflow) -> None:
    ended(workflow, 1, ["failed"] * 5)
    ended(workflow, 2, ["cancelled"] * 5)
    ended(workflow, 2, ["failed"] * 5, kind="test")
    ended(workflow, 2, ["failed"] * 5, kind="step")
    ended(workflow, 2, ["failed", "queued"])
    look_at_watched()
    assert live(workflow) == 2
    assert version(workflow, 2).watched


def test_enough_successes_end_the_watch(workflow: Workflow) -> None:
    ended(workflow, 2, ["succeeded"] * 4)
    look_at_watched()
    assert not version(workflow, 2).watched
    ended(workflow, 2, ["failed"] * 5)
    look_at_watched()
    assert live(workflow) == 2


def test_a_version_that_is_live_no_more_takes_nothing_back(workflow: Workflow, actor: Actor) -> None:
    watched = version(workflow, 2)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"steps": [GOOD]})
    services.publish(actor=actor, workflow=workflow)
    assert not version(workflow, 2).watched
    ended(workflow, 2, ["failed"] * 5)
    assert look_at_watched() == 0
    # Whoever read it before the publish, too.
    WorkflowVersion.unscoped.filter(pk=watched.pk).update(watched=True)
    assert not services.version_return(version=watched, failed=5, runs=5)
    assert live(workflow) == 3
    assert not version(workflow, 2).watched


def test_a_watch_that_another_worker_ended_takes_nothing_back(workflow: Workflow) -> None:
    seen = version(workflow, 2)
    services.watch_end(seen)
    assert not services.version_return(version=seen, failed=2, runs=2)
    assert live(workflow) == 2
    assert version(workflow, 2).returned_at is None


def test_two_workers_at_once_bring_it_back_once(workflow: Workflow) -> None:
    ended(workflow, 2, ["failed"] * 2)
    barrier = threading.Barrier(4)
    results: list[bool] = []

    def look() -> None:
        try:
            seen = version(workflow, 2)
            barrier.wait(10)
            results.append(services.version_return(version=seen, failed=2, runs=2))
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [False, False, False, True]
    assert live(workflow) == 1
    assert AuditEvent.objects.for_tenant(workflow.tenant_id).filter(action="workflow.returned").count() == 1


def test_a_publish_at_the_same_time_is_not_taken_back(workflow: Workflow, actor: Actor) -> None:
    ended(workflow, 2, ["failed"] * 2)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"steps": [GOOD]})
    barrier = threading.Barrier(2)

    def publish() -> None:
        try:
            barrier.wait(10)
            services.publish(actor=actor, workflow=workflow)
        finally:
            connection.close()

    def look() -> None:
        try:
            seen = version(workflow, 2)
            barrier.wait(10)
            services.version_return(version=seen, failed=2, runs=2)
        finally:
            connection.close()

    threads = [threading.Thread(target=publish), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # Whichever came first, what a person published last is live.
    assert live(workflow) == 3
    assert not WorkflowVersion.unscoped.filter(watched=True).exists()


def test_looking_takes_one_query_where_nothing_is_watched_and_two_however_much_is(
    workflow: Workflow, actor: Actor
) -> None:
    ended(workflow, 2, ["failed"])
    for name in ("two", "three"):
        other = services.workflow_create(actor=actor, document={**DOCUMENT, "slug": name})
        services.publish(actor=actor, workflow=other)
        services.publish(actor=actor, workflow=other, auto_return=AutoReturn())
        ended(other, 2, ["failed", "succeeded"])
    with CaptureQueriesContext(connection) as watched:
        look_at_watched()
    assert len(watched) == 2
    WorkflowVersion.unscoped.update(watched=False)
    with CaptureQueriesContext(connection) as nothing:
        look_at_watched()
    assert len(nothing) == 1


def test_of_many_runs_that_ended_at_once_the_first_decide(workflow: Workflow) -> None:
    ended(workflow, 2, ["succeeded"] * 4 + ["failed"] * 9)
    assert look_at_watched() == 0
    assert (live(workflow), version(workflow, 2).watched) == (2, False)


def test_the_sweeper_looks(workflow: Workflow) -> None:
    ended(workflow, 2, ["failed", "failed"])
    sweeper.sweep()
    assert live(workflow) == 1


def test_one_that_cannot_go_back_stops_nobody(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> bool:
        raise ValueError("broken")

    ended(workflow, 2, ["failed", "failed"])
    monkeypatch.setattr(watches, "version_return", broken)
    assert look_at_watched() == 0
    assert not version(workflow, 2).watched
    assert live(workflow) == 2


def test_a_watched_workflow_can_be_deleted(workflow: Workflow, actor: Actor) -> None:
    services.workflow_delete(actor=actor, workflow=workflow)
    assert not WorkflowVersion.unscoped.exists()

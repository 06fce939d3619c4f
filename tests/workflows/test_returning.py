"""What is live: published, undone, published again; the draft is left alone and callers keep their addresses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from orchestrator.errors import Conflict, Forbidden, Invalid, NotFound
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow, WorkflowVersion
from orchestrator.workflows.selectors import draft_document
from orchestrator.workflows.services import AutoReturn
from runs.triggers.addresses import rows_now

DOCUMENT: Final[dict[str, Any]] = {
    "name": "Leads",
    "slug": "leads",
    "triggers": [{"key": "hook", "type": "webhook", "config": {}}],
    "steps": [{"key": "greet", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}],
    "settings": {"max_concurrent_runs": 3},
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    """Return a workflow with two versions, the second without the first's trigger and limit."""
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    services.publish(actor=actor, workflow=workflow)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"triggers": [], "settings": {}})
    services.publish(actor=actor, workflow=workflow)
    return workflow.refresh()


def live(workflow: Workflow) -> int | None:
    version = workflow.refresh().published_version
    return version.number if version else None


def version(workflow: Workflow, number: int) -> WorkflowVersion:
    return WorkflowVersion.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, number=number)


def hook(workflow: Workflow) -> Trigger:
    return Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key="hook")


def age(workflow: Workflow, seconds: float) -> None:
    made = timezone.now() - timedelta(seconds=seconds)
    WorkflowVersion.unscoped.filter(workflow=workflow).update(created_at=made)


def test_an_undo_makes_live_what_was_before(actor: Actor, workflow: Workflow) -> None:
    digest = hook(workflow).address_digest
    assert (hook(workflow).live_config, workflow.max_concurrent_runs) == (None, None)
    # Nobody is let in by it meanwhile.
    assert digest is not None
    assert rows_now([digest]) == {}
    before = draft_document(workflow)
    services.publish_undo(actor=actor, workflow=workflow, number=2)
    fresh = workflow.refresh()
    assert (live(workflow), fresh.enabled, fresh.max_concurrent_runs) == (1, True, 3)
    assert draft_document(fresh) == before
    assert (hook(workflow).live_config, hook(workflow).address_digest) == ({}, digest)
    assert digest in rows_now([digest])
    event = AuditEvent.objects.for_tenant(actor.tenant).filter(action="workflow.publish_undone").get()
    assert event.detail == {"number": 2, "live": 1}


def test_a_trigger_that_is_out_of_two_versions_is_gone(actor: Actor, workflow: Workflow) -> None:
    services.publish(actor=actor, workflow=workflow)
    assert not Trigger.objects.for_tenant(actor.tenant).exists()


def test_changes_of_the_draft_keep_what_may_be_gone_back_to(actor: Actor, workflow: Workflow) -> None:
    digest = hook(workflow).address_digest
    services.workflow_replace(actor=actor, workflow=workflow, document={**DOCUMENT, "triggers": []})
    assert hook(workflow).address_digest == digest
    services.workflow_patch(actor=actor, workflow=workflow, changes={"triggers": DOCUMENT["triggers"]})
    assert (hook(workflow).in_draft, hook(workflow).address_digest) == (True, digest)


def test_undoing_the_first_publish_takes_the_workflow_down(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    services.publish(actor=actor, workflow=workflow)
    services.publish_undo(actor=actor, workflow=workflow, number=1)
    fresh = workflow.refresh()
    assert (fresh.published_version, fresh.enabled) == (None, False)
    assert (hook(workflow).live_config, hook(workflow).in_draft) == (None, True)
    assert services.publish(actor=actor, workflow=workflow).version.number == 2
    assert workflow.refresh().enabled


def test_an_undo_comes_in_time_or_not_at_all(actor: Actor, workflow: Workflow) -> None:
    age(workflow, 36)
    with pytest.raises(Conflict, match="30 seconds") as refused:
        services.publish_undo(actor=actor, workflow=workflow, number=2)
    assert refused.value.code == "too_late"
    age(workflow, 33)
    services.publish_undo(actor=actor, workflow=workflow, number=2)
    with pytest.raises(Conflict, match="not live any more"):
        services.publish_undo(actor=actor, workflow=workflow, number=2)
    assert live(workflow) == 1


def test_a_version_is_published_again_under_a_new_number(actor: Actor, workflow: Workflow) -> None:
    before = draft_document(workflow)
    digest = hook(workflow).address_digest
    made = services.version_publish(actor=actor, workflow=workflow, version=version(workflow, 1)).version
    assert (made.number, made.note, live(workflow)) == (3, "Version 1 again", 3)
    assert made.checksum == version(workflow, 1).checksum
    assert draft_document(workflow.refresh()) == before
    assert (hook(workflow).live_config, hook(workflow).address_digest) == ({}, digest)


def test_a_trigger_whose_row_is_gone_gets_a_new_one(actor: Actor, workflow: Workflow) -> None:
    digest = hook(workflow).address_digest
    Trigger.objects.for_tenant(actor.tenant).delete()
    services.version_publish(actor=actor, workflow=workflow, version=version(workflow, 1))
    assert hook(workflow).live_config == {}
    assert hook(workflow).address_digest not in (None, digest)


def test_a_version_with_problems_by_now_is_not_published_again(actor: Actor, workflow: Workflow) -> None:
    old = version(workflow, 1)
    steps = [{"key": "a", "action": "slack.sendMessage", "credential": "gone", "config": {"inputs": {}}}]
    WorkflowVersion.unscoped.filter(pk=old.pk).update(definition={**old.definition, "steps": steps})
    with pytest.raises(Invalid):
        services.version_publish(actor=actor, workflow=workflow, version=version(workflow, 1))
    assert live(workflow) == 2


def test_another_workflows_version_is_none_of_this_one(actor: Actor, workflow: Workflow) -> None:
    other = services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "other"})
    with pytest.raises(NotFound):
        services.version_publish(actor=actor, workflow=other, version=version(workflow, 1))


def test_a_publish_of_a_draft_that_somebody_changed_is_refused(actor: Actor, workflow: Workflow) -> None:
    with pytest.raises(Conflict) as refused:
        services.publish(actor=actor, workflow=workflow, if_match=workflow.revision - 1)
    assert refused.value.code == "revision_conflict"
    assert services.publish(actor=actor, workflow=workflow, if_match=workflow.revision).version.number == 3


@pytest.mark.parametrize(("failures", "runs"), [(0, 5), (6, 5), (1, 0), (1, 1_001), (-1, -1)])
def test_numbers_of_a_return_that_mean_nothing_are_refused(
    actor: Actor, workflow: Workflow, failures: int, runs: int
) -> None:
    with pytest.raises(Invalid) as refused:
        services.publish(actor=actor, workflow=workflow, auto_return=AutoReturn(failures=failures, runs=runs))
    assert refused.value.problems[0].path.startswith("auto_return.")
    assert live(workflow) == 2


def test_the_first_version_has_nothing_to_go_back_to(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    with pytest.raises(Invalid, match="first version"):
        services.publish(actor=actor, workflow=workflow, auto_return=AutoReturn())
    assert live(workflow) is None


def test_the_database_watches_nothing_without_a_way_back(workflow: Workflow) -> None:
    rows = WorkflowVersion.unscoped.filter(pk=version(workflow, 1).pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(watched=True, return_failures=1, return_runs=1)


def test_it_is_an_editors(tenant: Tenant, operator: User, workflow: Workflow) -> None:
    looking = actor_for_user(operator, tenant.slug)
    for call in (
        lambda: services.publish_undo(actor=looking, workflow=workflow, number=2),
        lambda: services.version_publish(actor=looking, workflow=workflow, version=version(workflow, 1)),
    ):
        with pytest.raises(Forbidden):
            call()
    assert live(workflow) == 2

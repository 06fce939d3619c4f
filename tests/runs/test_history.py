"""A workflow's last runs: what is usual, where versions begin, and whether failures began with one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs import overview
from runs.models import Run
from runs.pages.history import History, history
from tests.runs.ground import make_workflow
from tests.runs.loops_ground import new_run, step

pytestmark = pytest.mark.django_db


def publish(workflow: Workflow, number: int) -> None:
    assert workflow.published_version is not None
    workflow.published_version = WorkflowVersion.unscoped.create(
        tenant=workflow.tenant, workflow=workflow, number=number, checksum=str(number), bindings={},
        definition=workflow.published_version.definition,
    )  # fmt: skip


def told(viewer: User, workflow: Workflow, *outcomes: str) -> History:
    """Return the history of runs with these outcomes: ``s`` succeeded, ``f`` failed, a digit publishes a version."""
    run = None
    for each in "".join(outcomes):
        if each.isdigit():
            publish(workflow, int(each))
        else:
            run = new_run(workflow, {"s": "succeeded", "f": "failed"}[each])
    assert run is not None
    found = history(actor_for_user(viewer, "acme"), run)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("outcomes", "number"),
    [("ss2fsf", 2), ("ss2sfs", 2), ("ss2s3ff", 3), ("sf2ff", None), ("sss2ss", None), ("fff", None), ("ss2ff3ff", 2)],
)
def test_failures_that_began_with_a_version_are_told_of(
    tenant: Tenant, viewer: User, outcomes: str, number: int | None
) -> None:
    since = told(viewer, make_workflow(tenant, step("a")), outcomes).since
    if number is None:
        assert since is None
        return
    assert since is not None
    assert since.sentence.startswith(f"Every failure came after v{number} was published at ")
    assert since.changes_url.endswith(f"/versions/{number}/")


def test_every_new_version_has_a_mark_and_is_said(tenant: Tenant, viewer: User) -> None:
    found = told(viewer, make_workflow(tenant, step("a")), "s2ss3s")
    assert len(found.versions) == 2
    assert found.versions[0] < found.versions[1] < 600
    assert found.label.endswith("; new versions: v2, v3")


def took(workflow: Workflow, *seconds: float) -> None:
    for each in seconds:
        run = new_run(workflow)
        Run.unscoped.filter(pk=run.pk).update(finished_at=run.started_at + timedelta(seconds=each))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((1, 2), ""),
        ((1, 2, 3, 4, 5, 6, 7, 8), "3.00 to 7.00 s"),
        ((5, 5, 5, 5), "5.00 s"),
        ((0.5, 0.5, 3, 3, 3), "500 ms to 3.00 s"),
        ((30, 30, 90, 90), "30.0 s to 1 min 30 s"),
    ],
)
def test_the_middle_half_of_what_succeeded_is_usual(tenant: Tenant, seconds: tuple[float, ...], words: str) -> None:
    workflow = make_workflow(tenant, step("a"))
    took(workflow, *seconds)
    for _failed in range(5):
        new_run(workflow, "failed")
    assert overview.typical_range(tenant, workflow.pk) == words


def test_what_is_usual_is_looked_for_among_few_runs(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = make_workflow(tenant, step("a"))
    took(workflow, 5, 5, 5)
    monkeypatch.setattr(overview, "_SAMPLE", 4)
    with CaptureQueriesContext(connection) as queries:
        assert overview.typical_range(tenant, workflow.pk) == "5.00 s"
    assert len(queries) == 1
    for _failed in range(4):
        new_run(workflow, "failed")
    assert overview.typical_range(tenant, workflow.pk) == "", "what lies further back is not looked at"

"""A workflow driven through the database before and after a lane of it became a workflow of its own."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.extracting import lane_extract
from runs.driver import Times
from runs.models import Run
from runs.services import run_start_by_actor
from runs.states import RunKind
from tests.runs.ground import drive, rows
from tests.workflows.test_extracting import DOCUMENT

pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = Times(slice=20, idle=0.5, hand_over=2, stop=0.5)


@pytest.mark.parametrize(("key", "lane"), [("check", "then"), ("check", "else"), ("each", "body")])
def test_the_run_gives_what_it_gave(tenant: Tenant, editor: User, key: str, lane: str) -> None:
    actor = actor_for_user(editor, tenant.slug)
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)

    def run() -> tuple[str, Any, list[Any]]:
        services.publish(actor=actor, workflow=workflow)
        made = run_start_by_actor(actor=actor, workflow=workflow.refresh(), payload={"n": 5})
        drive(PATIENT)
        made.refresh()
        outside = [(row.path, row.status, row.output) for row in rows(made) if row.key in ("first", "each", "end")]
        return made.status, made.output, sorted(outside, key=lambda row: row[0])

    before = run()
    assert before[0] == "succeeded"
    assert before[1][2] == {"v": {"v": ["1st 5 3 2 leads", 3]}}
    made = lane_extract(actor=actor, workflow=workflow, key=key, lane=lane, name="Moved")
    services.publish(actor=actor, workflow=made)
    after = run()
    if lane == "body":
        assert after[:2] == before[:2]
    else:
        assert after == before
    called = Run.objects.for_tenant(tenant).filter(workflow=made)
    assert {found.kind for found in called} == {RunKind.LIVE}
    assert called.count() == {"then": 2, "else": 1, "body": 3}[lane]

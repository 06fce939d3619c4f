"""``prune`` deletes what is past its time, and says how much."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from orchestrator.ids import first_id_at
from orchestrator.tenants.models import Tenant
from runs.models import Run
from runs.states import RunStatus
from tests.runs.ground import make_workflow


# Giving space back to the system ends whatever transaction there is.
@pytest.mark.django_db(transaction=True)
def test_runs_past_their_retention_go_and_others_stay(tenant: Tenant) -> None:
    tenant.retention_days = 7
    tenant.save()
    workflow = make_workflow(tenant)
    old = first_id_at(timezone.now() - timedelta(days=9))
    for pk in (old, first_id_at(timezone.now() - timedelta(days=1))):
        Run.unscoped.create(
            pk=pk, tenant=tenant, workflow=workflow, version=workflow.published_version, trigger={},
            trigger_type="manual", status=RunStatus.SUCCEEDED, wake_at=None, finished_at=timezone.now(),
        )  # fmt: skip
    out = StringIO()
    call_command("prune", stdout=out)
    assert out.getvalue().startswith("Deleted 1 runs")
    assert not Run.unscoped.filter(pk=old).exists()
    assert Run.unscoped.count() == 1

"""What Prometheus is told: how much waits, runs and fails, and nothing of any tenant; to who is near alone."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator import metrics
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Trigger
from runs.models import Run, StepRun, WorkerBeat
from tests.runs.ground import make_workflow, start


def told(client: Client) -> dict[str, float]:
    """Return each value by its name and label."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    found = re.findall(r'^(\w+)(?:\{\w+="([^"]*)"\})? (\S+)$', answer.text, re.M)
    return {f"{name}.{label}".rstrip("."): float(value) for name, label, value in found}


def test_nothing_is_told_of_nothing(db: None, client: Client) -> None:
    found = told(client)
    assert set(found.values()) == {0.0}
    assert "orchestrator_workers" in found


def test_what_waits_runs_and_fails_is_counted(tenant: Tenant, client: Client) -> None:
    workflow, now = make_workflow(tenant), timezone.now()
    runs = [start(workflow) for _ in range(6)]

    def put(run: Run, **columns: Any) -> None:
        Run.unscoped.filter(pk=run.pk).update(**columns)

    put(runs[0], wake_at=now - timedelta(seconds=30))
    put(runs[1], wake_at=now + timedelta(hours=1))
    put(runs[2], wake_at=None, status="running", lease_expires_at=now + timedelta(minutes=1))
    put(runs[3], wake_at=None)
    put(runs[4], wake_at=None, status="waiting")
    put(runs[5], wake_at=None, status="failed", finished_at=now)
    for number in range(1, 101):
        StepRun.unscoped.create(
            tenant=tenant, run=runs[5], path=f"s{number}", key=f"s{number}", action="data.set", status="succeeded",
            started_at=now, finished_at=now + timedelta(milliseconds=10 * number),
        )  # fmt: skip
    WorkerBeat.objects.create(name="a", host="h", pid=1, beat_at=now)
    Trigger.unscoped.create(
        tenant=tenant, workflow=workflow, key="t", type="schedule", next_fire_at=now - timedelta(seconds=20)
    )
    found = told(client)
    states = {name.partition(".")[2]: value for name, value in found.items() if name.startswith("orchestrator_runs.")}
    assert states == {"due": 1, "later": 1, "driven": 1, "held": 1, "waiting": 1}
    assert found["orchestrator_runs_recent.failed"] == 1
    assert 30 <= found["orchestrator_queue_age_seconds"] < 60
    assert 20 <= found["orchestrator_schedule_late_seconds"] < 50
    assert found["orchestrator_workers"] == 1
    assert found["orchestrator_step_seconds.0.5"] == pytest.approx(0.505, abs=0.02)
    assert found["orchestrator_step_seconds.0.95"] == pytest.approx(0.95, abs=0.02)
    assert "acme" not in client.get("/metrics").text.lower()


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "10.1.2.3"}, 200),
        ({"REMOTE_ADDR": "::1"}, 200),
        ({"REMOTE_ADDR": "93.184.216.34"}, 404),
        ({"REMOTE_ADDR": ""}, 404),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "10.0.0.1"}, 404),
    ],
)
def test_only_who_is_near_is_told(more: dict[str, str], status: int, db: None, client: Client) -> None:
    assert client.get("/metrics", **more).status_code == status
    assert client.post("/metrics", **more).status_code == 405


def test_a_database_that_is_away_is_503(db: None, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OperationalError

    monkeypatch.setattr(metrics, "_recent", fail)
    assert client.get("/metrics").status_code == 503


def test_the_same_queries_for_many_rows(tenant: Tenant, client: Client) -> None:
    workflow = make_workflow(tenant)

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            told(client)
        return len(found)

    start(workflow)
    first = queries()
    for _ in range(5):
        start(workflow)
    assert queries() == first <= 11

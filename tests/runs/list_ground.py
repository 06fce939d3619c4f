"""Runs at chosen times for tests of their list: an id says when a run was made, so it is made with the time."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from orchestrator.ids import first_id_at
from orchestrator.workflows.models import Workflow
from runs.models import Run
from runs.states import RUN_TERMINAL, RunStatus


def ago(**span: float) -> datetime:
    return timezone.now() - timedelta(**span)


def run_at(
    workflow: Workflow, at: datetime | None = None, status: str = "succeeded", *, ms: float = 5, **more: Any
) -> Run:
    """Return a run that was made at a time, without rows; one that ended took so many milliseconds."""
    made = at or timezone.now()
    ended = made + timedelta(milliseconds=ms) if RunStatus(status) in RUN_TERMINAL else None
    lease = timezone.now() + timedelta(minutes=5) if status == "running" else None
    body = more.pop("body", None)
    return Run.unscoped.create(
        pk=first_id_at(made) + random.getrandbits(22), tenant=workflow.tenant, workflow=workflow, status=status,
        created_at=made, started_at=None if status == "queued" else made, finished_at=ended, lease_expires_at=lease,
        wake_at=made if status == "queued" else None, **{
            "version": workflow.published_version, "trigger_type": "manual",
            "trigger": {"type": "manual", "body": body, "headers": {"agent": "curl"}, "query": {}}, **more,
        },
    )  # fmt: skip

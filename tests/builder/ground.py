"""What tests of publishing share: a small workflow, its runs and attempts, and the page's text."""

from __future__ import annotations

import re
from typing import Any

from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.access import Actor
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run, StepRun

DOCUMENT: dict[str, Any] = {
    "name": "Leads",
    "slug": "leads",
    "triggers": [{"key": "hook", "type": "webhook", "config": {}}],
    "steps": [
        {
            "key": "greet",
            "name": "Say hello",
            "action": "hello.world",
            "config": {"inputs": {"name": "Dear {{ trigger.body.name }}"}},
        },
        {"key": "keep", "name": "Keep it", "action": "data.set", "config": {"inputs": {"values": {"a": "1"}}}},
    ],
}


def address(workflow: Workflow) -> str:
    return reverse("workflow-publish", args=["acme", workflow.pk])


def plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def put_run(version: WorkflowVersion, status: str, **more: Any) -> None:
    is_over = status in ("succeeded", "failed", "cancelled")
    driven = {"lease_expires_at": version.created_at} if status == "running" else {}
    Run.unscoped.create(
        tenant=version.tenant,
        workflow=version.workflow,
        version=version,
        trigger_type="manual",
        status=status,
        finished_at=version.created_at if is_over else None,
        **{"wake_at": None if is_over or driven else version.created_at, **driven, **more},
    )


def change(actor: Actor, workflow: Workflow, name: str, **more: Any) -> None:
    changes = {"config": {"inputs": {"name": name, **more}}}
    services.step_update(actor=actor, workflow=workflow, key="greet", changes=changes)


def field(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, name
    return found.group(1)


def put_attempt(version: WorkflowVersion, status: str, **more: Any) -> None:
    put_run(version, "failed" if status == "failed" else "succeeded", kind="step")
    run = Run.unscoped.filter(version=version).latest("pk")
    StepRun.unscoped.create(
        tenant=version.tenant,
        run=run,
        path="greet",
        key="greet",
        action="hello.world",
        status=status,
        started_at=timezone.now(),
        **more,
    )

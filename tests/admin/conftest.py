"""A world of two tenants with one of everything each, and the people who administer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import models
from django.test import Client
from django.utils import timezone

from orchestrator.tenants import services as tenants
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Role, Scope, Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs import saved
from runs import services as runs
from runs.models import Run, SavedView, StepRun

CANARY = "canary-7f3a91-secret"


@dataclass(frozen=True, kw_only=True)
class World:
    """One tenant's objects."""

    tenant: Tenant
    actor: Actor
    credential: Credential
    workflow: Workflow
    version: WorkflowVersion
    run: Run
    token: ApiToken
    view: SavedView

    def objects(self) -> list[models.Model]:
        """Return one object of each registered model."""
        membership = Membership.unscoped.filter(tenant=self.tenant).latest("pk")
        event = AuditEvent.unscoped.filter(tenant=self.tenant).latest("pk")
        return [
            self.tenant, membership, self.token, event, self.credential, self.workflow, self.version, self.run,
            self.view,
        ]  # fmt: skip


def make_world(tenant: Tenant, user: User) -> World:
    actor = actor_for_user(user, tenant.slug)
    name = tenant.slug
    credential = vault.credential_create(
        actor=actor,
        name=f"{name} key",
        provider="http",
        auth_type="bearer_token",
        secret={"token": CANARY},
    )
    workflow = services.workflow_create(
        actor=actor,
        document={
            "name": f"{name} greets",
            "slug": f"{name}-greets",
            "output": "{{ steps.first.output }}",
            "triggers": [{"key": "hook", "type": "webhook", "config": {"methods": ["POST"], "response": "accepted"}}],
            "steps": [
                {"key": "first", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}},
                {
                    "key": "call",
                    "action": "http.request",
                    "credential": credential.name,
                    "config": {"inputs": {"method": "GET", "url": "https://api.example.com"}},
                },
            ],
        },
    )
    version = services.publish(actor=actor, workflow=workflow).version
    run = runs.run_start_by_actor(actor=actor, workflow=workflow.refresh(), payload={"hello": f"to {name}"})
    StepRun.unscoped.create(
        tenant=tenant,
        run=run,
        path="first",
        key="first",
        name="First",
        action="data.set",
        status="failed",
        inputs={"values": {"a": "<script>alert(1)</script>"}},
        error={"kind": "permanent", "message": "it broke", "hint": "mend it", "retryable": False},
        logs=[{"at": "2026-11-24T00:00:00+00:00", "level": "info", "text": "a line of log"}],
        started_at=timezone.now(),
        finished_at=timezone.now(),
    )
    token, _plain = tenants.token_create(actor=actor, name=f"{name} token", scopes=[Scope.READ])
    view = saved.view_save(actor=actor, name=f"{name} failures", query="status=failed")
    return World(
        tenant=tenant, actor=actor, credential=credential, workflow=workflow, version=version, run=run, token=token,
        view=view,
    )  # fmt: skip


@pytest.fixture
def ours(tenant: Tenant, owner: User) -> World:
    return make_world(tenant, owner)


@pytest.fixture
def theirs(other_tenant: Tenant, stranger: User) -> World:
    return make_world(other_tenant, stranger)


@pytest.fixture
def staff_of(make_member: Callable[..., User]) -> Callable[..., Client]:
    """Return a function that signs staff with a role in a tenant in."""

    def sign_in(tenant: Tenant, role: Role = Role.ADMIN) -> Client:
        user = make_member(tenant, role, f"staff-{role}-{tenant.slug}")
        user.is_staff = True
        user.save()
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def staff(tenant: Tenant, staff_of: Callable[..., Client]) -> Client:
    """An admin of the first tenant."""
    return staff_of(tenant)


@pytest.fixture
def root(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a good password"))
    return client


def url(obj: models.Model | type[models.Model], page: str = "changelist", *more: Any) -> str:
    """Return the address of an admin page of a model, or of an object."""
    base = f"/admin/{obj._meta.app_label}/{obj._meta.model_name}/"
    match page:
        case "changelist":
            return base
        case "add":
            return f"{base}add/"
        case "do":
            return f"{base}{obj.pk}/do/{more[0]}/"
        case _:
            return f"{base}{obj.pk}/{page}/"


def sent(response: Any) -> dict[str, Any]:
    """Return what a browser would send back of a form's page, as it is."""
    data: dict[str, Any] = {}
    forms = [response.context["adminform"].form]
    for formset in response.context["inline_admin_formsets"]:
        forms += [formset.formset.management_form, *formset.formset.forms]
    for form in forms:
        for field in form:
            value = field.value()
            if value is True:
                data[field.html_name] = "on"
            elif value is not None and value is not False:
                data[field.html_name] = value
    return {name: getattr(value, "pk", value) for name, value in data.items()}

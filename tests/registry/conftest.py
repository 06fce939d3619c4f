"""A credential for Slack, and where Slack is for a test."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

import pytest
from django.conf import settings

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault.services import credential_create
from tests.registry.terminal import TOKEN


@pytest.fixture
def slack_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that replaces Slack's root, as an operator would."""

    def replace(url: str) -> None:
        monkeypatch.setattr(settings, "ENV", changed(settings.ENV, base_urls={"slack": url}))

    return replace


@pytest.fixture
def credential(tenant: Tenant, owner: Any) -> str:
    credential_create(
        actor=actor_for_user(owner, tenant.slug),
        name="acme-slack",
        provider="slack",
        auth_type="bearer_token",
        secret={"token": TOKEN},
    )
    return "acme-slack"

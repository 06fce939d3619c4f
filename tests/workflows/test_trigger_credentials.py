"""A credential that a trigger names is bound, counted, renamed, replaced and kept from being deleted like a step's."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.errors import Conflict
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.vault.models import Credential
from orchestrator.vault.services import credential_create, credential_update
from orchestrator.workflows import credentials, selectors, services
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.publishing import publish
from tests.builder.ground import DOCUMENT


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


def secret(actor: Actor, name: str) -> Credential:
    return credential_create(
        actor=actor, name=name, provider="webhook", auth_type="api_key", secret={"api_key": f"of {name}"}
    )  # fmt: skip


@pytest.fixture
def shop(actor: Actor) -> Credential:
    return secret(actor, 'the "shop"')


@pytest.fixture
def workflow(actor: Actor, shop: Credential) -> Workflow:
    signature = {"preset": "github", "credential": shop.name}
    hook = {"key": "hook", "type": "webhook", "config": {"signature": signature}}
    return services.workflow_create(actor=actor, document={**DOCUMENT, "triggers": [hook]})


def config() -> dict[str, Any]:
    return Trigger.unscoped.get(key="hook").config


def test_it_is_bound_when_published_and_counted_once(actor: Actor, workflow: Workflow, shop: Credential) -> None:
    def usages() -> list[tuple[str, str, bool, bool]]:
        found = selectors.usages_by_credential(actor.tenant).get(shop.pk, [])
        assert found == selectors.usages_by_credential(actor.tenant, shop).get(shop.pk, [])
        return [(each.step_key, each.field, each.in_draft, each.in_published) for each in found]

    assert usages() == [("hook", "trigger", True, False)]
    version = publish(actor=actor, workflow=workflow).version
    assert version is not None
    assert version.bindings == {shop.name: shop.pk}
    assert usages() == [("hook", "trigger", True, True)]
    assert selectors.workflows_by_credential(actor.tenant) == {shop.pk: 1}
    with pytest.raises(Conflict):
        services.credential_delete_checked(actor=actor, credential=shop)


def test_drafts_follow_its_name(actor: Actor, workflow: Workflow, shop: Credential) -> None:
    credential_update(actor=actor, credential=shop, name="renamed")
    assert config()["signature"] == {"preset": "github", "credential": "renamed"}


def test_another_takes_its_place(actor: Actor, workflow: Workflow, shop: Credential) -> None:
    other = secret(actor, "other")
    credential_create(
        actor=actor, name="token", provider="webhook", auth_type="bearer_token", secret={"token": "a-token"}
    )  # fmt: skip
    assert [row.name for row in credentials.replacements(actor.tenant, shop)] == ["other"]
    assert credentials.credential_replace(actor=actor, credential=shop, by=other).workflows == 1
    assert config()["signature"] == {"preset": "github", "credential": "other"}
    assert selectors.workflows_by_credential(actor.tenant) == {other.pk: 1}


def test_the_credentials_page_leads_to_the_trigger(
    actor: Actor, workflow: Workflow, shop: Credential, client: Client
) -> None:
    assert actor.user
    client.force_login(actor.user)
    text = client.get(reverse("credential", args=["acme", shop.pk])).text
    assert reverse("workflow-trigger", args=["acme", workflow.pk, "hook"]) in text

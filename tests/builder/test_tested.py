"""What the last test of a step says when it is published: that it failed, or that the step was changed since."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from tests.builder.ground import DOCUMENT, address, change, plain, put_attempt


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


@pytest.fixture
def tested(actor: Actor, workflow: Workflow) -> WorkflowVersion:
    """Return what of the draft was tested last: its first step."""
    return services.draft_snapshot(actor=actor, workflow=workflow)


def told(browser: Client, workflow: Workflow) -> list[str]:
    rows = re.findall(r"<li><a href=.*?</a></li>", browser.get(address(workflow)).text)
    return [plain(row) for row in rows if "Say hello" in row]


def test_a_step_that_failed_its_last_test_is_warned_of(
    browser: Client, workflow: Workflow, tested: WorkflowVersion
) -> None:
    put_attempt(tested, "succeeded")
    assert told(browser, workflow) == []
    put_attempt(tested, "failed", error={"message": "<i>no</i> such channel"})
    assert told(browser, workflow) == [
        "Warning 2 Say hello Failed its last test: &lt;i&gt;no&lt;/i&gt; such channel Open it"
    ]
    put_attempt(tested, "succeeded")
    assert told(browser, workflow) == []


def test_a_step_that_was_changed_since_its_last_test_is_warned_of(
    browser: Client, workflow: Workflow, tested: WorkflowVersion, actor: Actor
) -> None:
    put_attempt(tested, "succeeded")
    services.step_update(actor=actor, workflow=workflow, key="greet", changes={"notes": "Only words"})
    assert told(browser, workflow) == []
    change(actor, workflow, "Grace")
    assert told(browser, workflow) == ["Warning 2 Say hello Changed since its last test. Open it"]
    put_attempt(tested, "failed")
    assert told(browser, workflow) == ["Warning 2 Say hello Changed since its last test, which failed. Open it"]

"""With whom a credential is shared: who may publish, test, list, change and connect with it, and who may not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from integrations.registry import registry
from orchestrator.builder import choices
from orchestrator.errors import Forbidden, Invalid
from orchestrator.flow.definition import StepConfig, StepDefinition
from orchestrator.management import trying
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Role, Scope, Tenant
from orchestrator.tenants.services import token_create
from orchestrator.vault import checks, services
from orchestrator.vault.models import Credential
from orchestrator.vault.sharing import usable_of_name
from orchestrator.vault.sign_ins import sign_in_begin
from orchestrator.workflows import services as workflows
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.publishing import check, draft_snapshot, version_publish
from runs.services import run_cancel, run_rerun, run_start_by_actor

TOKEN = "tok-canary-2026"
STEPS: list[dict[str, Any]] = [
    {"key": "first", "action": "data.set", "config": {"inputs": {"values": {"n": 1}}}},
    {
        "key": "call",
        "action": "http.request",
        "credential": "Bank",
        "config": {"inputs": {"method": "GET", "url": "https://bank.invalid"}},
    },
]


@pytest.fixture
def admin(tenant: Tenant, make_member: Callable[..., User]) -> Actor:
    return actor_for_user(make_member(tenant, Role.ADMIN), "acme")


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def bank(admin: Actor) -> Credential:
    return services.credential_create(
        actor=admin,
        name="Bank",
        provider="http",
        auth_type="bearer_token",
        secret={"token": TOKEN},
        settings={"hosts": ["bank.invalid"]},
        shared_with="admin",
    )


@pytest.fixture
def workflow(actor: Actor, bank: Credential) -> Workflow:
    return workflows.workflow_create(actor=actor, document={"name": "Pay", "slug": "pay", "steps": STEPS})


def test_what_is_not_shared_is_said_at_the_step_and_not_published(
    actor: Actor, admin: Actor, workflow: Workflow
) -> None:
    [problem] = [each for each in check(workflow, actor=actor) if each.severity == "error"]
    assert (problem.path, problem.code) == ("steps[1].credential", "credential_unshared")
    assert problem.message.startswith("“Bank” is not shared with you. Choose another, or ask")
    with pytest.raises(Invalid) as refused:
        workflows.publish(actor=actor, workflow=workflow)
    assert [each.code for each in refused.value.problems] == ["credential_unshared"]
    assert [each for each in check(workflow, actor=admin) if each.severity == "error"] == []
    assert workflows.publish(actor=admin, workflow=workflow).version.number == 1


def test_what_is_published_goes_on_and_whoever_starts_runs_starts_it(
    actor: Actor, admin: Actor, operator: User, workflow: Workflow
) -> None:
    first = workflows.publish(actor=admin, workflow=workflow).version
    run = run_start_by_actor(actor=actor_for_user(operator, "acme"), workflow=workflow.refresh(), payload={})
    assert run.version_id == first.pk
    with pytest.raises(Invalid, match="to fix before"):
        version_publish(actor=actor, workflow=workflow, version=first)


def test_a_draft_that_uses_it_is_tested_by_those_alone_whom_it_is_shared_with(
    actor: Actor, admin: Actor, workflow: Workflow
) -> None:
    with pytest.raises(Forbidden, match=r"Not shared with you: 'Bank'\. Ask an owner or admin of Acme"):
        run_start_by_actor(actor=actor, workflow=workflow, payload={}, version="draft")
    draft_snapshot(actor=admin, workflow=workflow)
    with pytest.raises(Forbidden):
        # Nor is a copy that somebody else made of the same draft.
        draft_snapshot(actor=actor, workflow=workflow)
    # What comes before the step that uses it does not need it.
    assert "Bank" not in draft_snapshot(actor=actor, workflow=workflow, until="call").bindings


def test_a_name_that_was_published_before_it_was_anybodys_opens_nothing_that_is_not_shared(
    actor: Actor, admin: Actor
) -> None:
    trap = {
        "key": "call",
        "action": "shop.order",
        "credential": "Bank",
        "config": {"inputs": {"url": "https://elsewhere.invalid"}},
    }
    made = workflows.workflow_create(actor=actor, document={"name": "Trap", "slug": "trap", "steps": [trap]})
    version = workflows.publish(actor=actor, workflow=made).version
    run = run_start_by_actor(actor=actor, workflow=made.refresh(), payload={}, version="draft")
    secret: dict[str, Any] = {"provider": "http", "auth_type": "bearer_token", "secret": {"token": TOKEN}}
    bank = services.credential_create(actor=admin, name="Bank", shared_with="admin", **secret)
    for bound in (None, 0, bank.pk + 1):
        with pytest.raises(services.CredentialUnavailable, match="not shared with everyone who edits") as refused:
            services.resolve_credential(tenant_id=made.tenant_id, credential_id=bound, name="Bank")
        assert TOKEN not in str(refused.value)
    assert (version.bindings, run.version.bindings) == ({}, {})
    # By whom it is shared with it is bound for good, and found by its name.
    assert workflows.publish(actor=admin, workflow=made.refresh()).version.bindings == {"Bank": bank.pk}
    assert usable_of_name(admin, "Bank") == bank.pk
    assert trying._open("Bank", "acme").auth["token"] == TOKEN
    services.credential_update(actor=admin, credential=bank, shared_with="editor")
    assert services.resolve_credential(tenant_id=made.tenant_id, name="Bank").credential_id == bank.pk


def test_what_an_admin_tested_is_not_run_again_by_an_editor(
    actor: Actor, admin: Actor, operator: User, workflow: Workflow, bank: Credential
) -> None:
    run = run_start_by_actor(actor=admin, workflow=workflow, payload={"at": "bank"}, version="draft")
    run_cancel(actor=admin, run=run)
    with pytest.raises(Forbidden, match="Not shared with you: 'Bank'"):
        run_rerun(actor=actor, run=run.refresh(), payload={"at": "elsewhere"})
    assert run_rerun(actor=admin, run=run.refresh()).version_id == run.version_id
    services.credential_update(actor=admin, credential=bank, shared_with="editor")
    for anybody in (actor, actor_for_user(operator, "acme")):
        assert run_rerun(actor=anybody, run=run.refresh()).version_id == run.version_id


def test_an_editor_neither_changes_nor_tries_nor_deletes_nor_connects_it(actor: Actor, bank: Credential) -> None:
    for attempt in (
        lambda: services.credential_update(actor=actor, credential=bank, shared_with="editor"),
        lambda: services.credential_update(actor=actor, credential=bank, secret={"token": "another"}),
        lambda: services.credential_delete(actor=actor, credential=bank),
        lambda: workflows.credential_delete_checked(actor=actor, credential=bank, force=True),
        lambda: checks.credential_check(actor=actor, credential=bank),
        lambda: checks.credential_try(
            actor=actor, provider="http", auth_type="bearer_token", secret=None, settings=bank.settings, credential=bank
        ),
        lambda: sign_in_begin(actor=actor, credential=bank, redirect_uri="http://testserver/oauth/callback/"),
    ):
        with pytest.raises(Forbidden, match="Not shared with you: 'Bank'"):
            attempt()
    assert bank.refresh().shared_with == "admin"


def test_nobody_shares_beyond_themselves(admin: Actor, actor: Actor, owner: User, bank: Credential) -> None:
    with pytest.raises(Invalid, match=r"from one of these roles on: editor, admin\.") as refused:
        services.credential_update(actor=admin, credential=bank, shared_with="owner")
    assert [each.path for each in refused.value.problems] == ["shared_with"]
    with pytest.raises(Invalid):
        services.credential_create(
            actor=actor, name="X", provider="http", auth_type="bearer_token", secret={"token": "t"}, shared_with="admin"
        )
    for nothing in ("viewer", "", "root"):
        with pytest.raises(Invalid):
            services.credential_update(actor=admin, credential=bank, shared_with=nothing)
    of_owner = actor_for_user(owner, "acme")
    assert services.credential_update(actor=of_owner, credential=bank, shared_with="owner").shared_with == "owner"
    with pytest.raises(Forbidden):
        services.credential_update(actor=admin, credential=bank, name="Mine")


def test_a_list_of_choices_is_not_asked_for_with_it(actor: Actor, admin: Actor, bank: Credential) -> None:
    action = registry.get("http.request")
    assert action is not None
    step = StepDefinition(key="call", action="http.request", credential="Bank", config=StepConfig())
    found = choices.choices_of(actor=actor, action=action, step=step, field="url", query="", cursor="")
    assert "Not shared with you: 'Bank'" in found.error
    assert TOKEN not in found.error


def test_a_step_offers_what_is_shared_and_says_of_the_rest_that_it_is_not(
    client: Client, editor: User, admin: Actor, workflow: Workflow
) -> None:
    client.force_login(editor)
    page = client.get(f"/w/acme/workflows/{workflow.pk}/steps/call/").content.decode()
    assert ">Bank (not shared with you)</option>" in page
    client.force_login(admin.user)
    page = client.get(f"/w/acme/workflows/{workflow.pk}/steps/call/").content.decode()
    assert "not shared with you" not in page
    assert ">Bank</option>" in page


def test_its_page_says_with_whom_and_offers_the_choice_to_who_has_one(
    client: Client, editor: User, admin: Actor, bank: Credential
) -> None:
    address = f"/w/acme/credentials/{bank.pk}/"
    client.force_login(editor)
    page = client.get(f"{address}?edit=1").content.decode()
    assert "Admins and owners" in page
    assert 'name="shared_with"' not in page
    assert f'href="{address}?edit=1"' not in page
    sent = client.post(f"{address}edit/", {"name": "Mine", "settings-hosts": "bank.invalid"})
    assert sent.status_code in (403, 422)
    assert bank.refresh().name == "Bank"
    client.force_login(admin.user)
    page = client.get(f"{address}?edit=1").content.decode()
    assert '<option value="admin" selected>Admins and owners</option>' in page
    assert '<option value="owner"' not in page
    form = {"name": "Bank", "settings-hosts": "bank.invalid", "shared_with": "editor"}
    assert client.post(f"{address}edit/", form).status_code == 302
    assert bank.refresh().shared_with == "editor"
    refused = client.post(f"{address}edit/", {**form, "shared_with": "owner"})
    assert refused.status_code == 422
    assert "from one of these roles on" in refused.content.decode()


def test_the_api_reads_and_sets_it(client: Client, editor: User, admin: Actor, bank: Credential) -> None:
    def call(actor: Actor, method: str, path: str, **body: Any) -> tuple[int, Any]:
        scope = Scope.WRITE if actor.role == Role.EDITOR else Scope.ADMIN
        _row, text = token_create(actor=actor, name="t", scopes=[scope])
        sent = client.generic(
            method, f"/api/v1/{path}", json.dumps(body), "application/json", headers={"authorization": f"Bearer {text}"}
        )
        return sent.status_code, sent.json()

    of_editor = actor_for_user(editor, "acme")
    assert call(of_editor, "GET", f"credentials/{bank.pk}/")[1]["shared_with"] == "admin"
    status, answer = call(of_editor, "PATCH", f"credentials/{bank.pk}/", name="Mine")
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    assert call(admin, "PATCH", f"credentials/{bank.pk}/", shared_with="editor")[0] == 200
    assert call(of_editor, "PATCH", f"credentials/{bank.pk}/", name="Mine")[0] == 200

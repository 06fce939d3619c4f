"""What runs, and what is called by its secret address, stays within its tenant: expressions, bindings, webhooks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from integrations.registry import registry
from integrations.sdk import ApiKey, Provider, RunContext, action
from orchestrator.errors import Invalid
from orchestrator.jsongate import dumps
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Membership, Role, Scope, Tenant
from orchestrator.tenants.services import token_create
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.services import publish, workflow_create
from runs.models import Answer, Run, StepRun
from runs.selectors import run_document
from runs.triggers.intake import intake
from tests.runs.ground import drive, make_workflow, rows, start, step
from tests.runs.test_driver import Inputs
from tests.tenants.rights.world import World, make_world

pytestmark = pytest.mark.django_db(transaction=True)
WORD = "quokka"


@pytest.fixture(autouse=True)
def _end_the_intake() -> Iterator[None]:
    """End the thread that inserts, whose connection would outlast the test's database."""
    yield
    intake.close()


@pytest.fixture
def theirs(other_tenant: Tenant) -> World:
    return make_world(other_tenant, WORD)


@pytest.fixture
def only_ours(theirs: World) -> None:
    """Have none of their runs due, so that only ours are driven."""
    Run.unscoped.filter(tenant=theirs.tenant, status="queued").delete()


def told(run: Run) -> str:
    return str(dumps(run_document(run.refresh())))


def told_why(run: Run) -> str:
    return str((run.refresh().error or {})["message"])


@pytest.mark.parametrize(
    "expression",
    [
        "{{ vars.who }}",
        "{{ vars }}",
        "{{ run }}",
        "{{ workflow }}",
        "{{ steps }}",
        "{{ vars['who'] }}",
        "{{ trigger }}",
    ],
)
def test_an_expression_reads_nothing_of_another_tenant(
    tenant: Tenant, theirs: World, only_ours: None, expression: str
) -> None:
    run = start(make_workflow(tenant, step("a", inputs={"values": {"found": expression}})), {"n": 1})
    drive()
    assert run.refresh().status in ("succeeded", "failed")
    assert WORD not in told(run)
    assert theirs.names["run"] not in told(run)


def test_where_they_belong_the_same_names_are_read(theirs: World, only_ours: None) -> None:
    run = start(make_workflow(theirs.tenant, step("a", inputs={"values": {"found": "{{ vars.who }}"}})))
    drive()
    assert f"{WORD} variable" in told(run)


@pytest.mark.parametrize("name", ["run", "ended", "workflow", "credential", "variable", "version"])
def test_an_id_in_an_expression_is_a_number_and_nothing_more(
    tenant: Tenant, theirs: World, only_ours: None, name: str
) -> None:
    value = theirs.names[name]
    values = {"text": value, "number": f"{{{{ {value} }}}}", "of_vars": f"{{{{ default(vars['{value}'], null) }}}}"}
    run = start(make_workflow(tenant, step("a", inputs={"values": values})))
    drive()
    assert WORD not in told(run)


def test_a_call_finds_no_workflow_of_another_tenant(tenant: Tenant, theirs: World, only_ours: None) -> None:
    before = Run.objects.for_tenant(theirs.tenant).count()
    for wanted in (theirs.names["alone"], theirs.names["workflow"], f"{theirs.tenant.slug}/greets"):
        slug = f"calls-{wanted[:20].replace('/', '-')}"
        run = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": wanted}), slug=slug))
        drive()
        assert (run.refresh().status, run.children.count()) == ("failed", 0)
        assert f"{WORD} called" not in told(run)
    assert Run.objects.for_tenant(theirs.tenant).count() == before


def test_a_failure_starts_no_error_workflow_of_another_tenant(tenant: Tenant, theirs: World, only_ours: None) -> None:
    flow = Workflow.objects.for_tenant(theirs.tenant).get(slug="greets")
    Trigger.unscoped.create(tenant=theirs.tenant, workflow=flow, key="fails", type="error", config={}, live_config={})
    before = Run.objects.for_tenant(theirs.tenant).count()
    stop = step("end", "flow.stop", inputs={"status": "failed", "message": "on purpose"})
    failing = make_workflow(tenant, stop, settings={"error_workflow": theirs.names["alone"]})
    run = start(failing)
    drive()
    assert run.refresh().status == "failed"
    assert Run.objects.for_tenant(theirs.tenant).count() == before


def test_a_binding_to_another_tenants_credential_opens_nothing(tenant: Tenant, theirs: World, only_ours: None) -> None:
    seen: list[Any] = []

    @action(provider=Provider(key="spy", name="Spy", auth=[ApiKey()]), key="spy.look", name="Look",
            auth_type="api_key", input_schema=Inputs, http=False)  # fmt: skip
    async def look(ctx: RunContext[Inputs]) -> Any:
        """Keep what it was given."""
        seen.append(dict(ctx.auth))
        return {"auth": dict(ctx.auth)}

    their_key = credential_create(
        actor=actor_for_user(theirs.people[Role.OWNER], theirs.tenant.slug),
        name=f"{WORD} api key", provider="spy", auth_type="api_key", secret={"api_key": f"{WORD}-secret"},
    )  # fmt: skip
    with registry.temporarily(look):
        run, never = (
            start(make_workflow(tenant, step("a", "spy.look", credential=name), slug=f"at-{pk}", bindings={"a": pk}))
            for name, pk in ((their_key.name, their_key.pk), ("never made", their_key.pk + 7))
        )
        drive()
        own = start(make_workflow(
            theirs.tenant, step("a", "spy.look", credential=their_key.name), slug="own", bindings={"a": their_key.pk}
        ))  # fmt: skip
        drive()
    assert (run.refresh().status, run.failure_kind) == ("failed", "auth")
    assert told_why(run).replace(their_key.name, "…") == told_why(never).replace("never made", "…")
    assert own.refresh().status == "succeeded", "the same binding works where the credential is"
    assert len(seen) == 1
    assert f"{WORD}-secret" not in told(run)


def test_a_document_binds_no_credential_of_another_tenant(tenant: Tenant, theirs: World, owner: User) -> None:
    call = {"key": "call", "action": "http.request", "credential": f"{WORD} slack"}
    actor = actor_for_user(owner, tenant.slug)
    made = workflow_create(actor=actor, document={"name": "Mine", "steps": [call]})
    with pytest.raises(Invalid) as refused:
        publish(actor=actor, workflow=made)
    assert ("steps[0].credential", "credential_unknown") in [(each.path, each.code) for each in refused.value.problems]


def test_a_run_started_over_from_ours_takes_no_step_of_theirs(tenant: Tenant, theirs: World, only_ours: None) -> None:
    flow = make_workflow(tenant, step("first"), step("b", inputs={"values": {"a": "{{ steps.first.output }}"}}))
    run = start(flow)
    Run.unscoped.filter(pk=run.pk).update(seed={"from": "b", "run": int(theirs.names["ended"])})
    drive()
    assert WORD not in told(run)
    assert all(row.tenant_id == tenant.pk for row in rows(run))


def test_a_webhook_starts_a_run_of_its_own_tenant_alone(tenant: Tenant, theirs: World) -> None:
    ours = make_world(tenant, "acme")
    counts = {each.pk: Run.objects.for_tenant(each).count() for each in (tenant, theirs.tenant)}
    sent = {"workflow": theirs.names["workflow"], "tenant": theirs.tenant.slug, "run": theirs.names["run"]}
    address = f"/h/{ours.names['live_hook_address']}"
    query = f"?tenant={theirs.tenant.slug}&workflow={theirs.names['workflow']}"
    headers = {"X-Tenant": theirs.tenant.slug, "Idempotency-Key": "once"}
    response = Client().post(address + query, json.dumps(sent), content_type="application/json", headers=headers)
    assert response.status_code == 202
    run = Run.objects.for_tenant(tenant).get(pk=int(response.json()["id"]))
    assert str(run.workflow_id) == ours.names["workflow"]
    assert Run.objects.for_tenant(theirs.tenant).count() == counts[theirs.tenant.pk]
    # The same delivery id at their address is another delivery: nothing of ours is answered there.
    theirs_too = f"/h/{theirs.names['live_hook_address']}"
    response = Client().post(theirs_too, json.dumps(sent), content_type="application/json", headers=headers)
    assert response.status_code == 202
    assert response.json()["id"] != str(run.pk)
    assert Run.objects.for_tenant(tenant).count() == counts[tenant.pk] + 1


def test_an_address_of_ours_answers_no_question_of_theirs(tenant: Tenant, theirs: World) -> None:
    ours = make_world(tenant, "acme")
    for kind, path in (("approval", "a"), ("callback", "c")):
        own = base64.urlsafe_b64decode(ours.names[f"{kind}_address"])
        forged = int(theirs.names["waiting"]).to_bytes(8, "big") + own[8:]
        token = base64.urlsafe_b64encode(forged).decode()
        assert Client().post(f"/{path}/{token}", {"decision": "approved"}).status_code == 404
        # And the right token at the door of another kind.
        for other in "acfh":
            if other != path:
                assert Client().post(f"/{other}/{theirs.names[f'{kind}_address']}").status_code == 404
    assert not Answer.objects.for_tenant(theirs.tenant).exists()
    waiting = StepRun.objects.for_tenant(theirs.tenant).filter(run=theirs.names["waiting"], status="waiting")
    assert waiting.count() == 2


def test_an_invitation_lets_nobody_into_another_tenant(tenant: Tenant, theirs: World) -> None:
    ours, user = make_world(tenant, "acme"), User.objects.create_user("new-here")
    client = Client()
    client.force_login(user)
    sent = {"tenant": theirs.tenant.slug, "role": "owner"}
    client.post(f"/join/{ours.names['join']}/?tenant={theirs.tenant.slug}", sent)
    assert list(Membership.unscoped.filter(user=user).values_list("tenant__slug", "role")) == [(tenant.slug, "viewer")]


def test_an_idempotency_key_of_one_tenant_answers_nothing_to_another(tenant: Tenant, theirs: World) -> None:
    both = theirs.people[Role.OWNER]
    Membership.unscoped.create(tenant=tenant, user=both, role=Role.OWNER)
    made = []
    for slug in (theirs.tenant.slug, tenant.slug):
        _row, text = token_create(actor=actor_for_user(both, slug), name="both", scopes=list(Scope))
        headers = {"Authorization": f"Bearer {text}", "Idempotency-Key": "the same"}
        response = Client().post("/api/v1/workflows/", '{"name": "New"}', "application/json", headers=headers)
        assert response.status_code == 201
        made.append(Workflow.unscoped.get(pk=response.json()["id"]).tenant_id)
    assert made == [theirs.tenant.pk, tenant.pk]

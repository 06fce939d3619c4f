"""Another tenant's ids answer 404 at every address that takes one; an address without a recipe here fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.models import AlertChannel
from orchestrator.alerts.services import channel_create
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.invitations import invitation_create
from orchestrator.tenants.models import Invitation, Membership, Role, Scope, Tenant
from orchestrator.tenants.services import token_create
from orchestrator.vault.models import Credential
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Variable, Workflow
from orchestrator.workflows.services import publish, workflow_create
from orchestrator.workflows.variables import variable_create
from runs.models import Payload, Run, SavedView
from runs.saved import view_save
from runs.services import run_start_by_actor

CHANNEL = {"name": "theirs", "emails": ["theirs@acme.test"]}
METHODS = ("get", "post", "put", "patch", "delete")
# Addresses that belong to nobody, or are found by a secret or a session instead of an id.
WITHOUT_A_TENANT = re.compile(
    r"^([hacf]/<str:token>|healthz|readyz|metrics|api/(schema|docs)/|api/v1/(integrations/(<str:key>/)?|credential-types/)"
    r"|mcp|oauth/callback/(own/)?|sign-in/(code/)?|sign-out/|theme/|join/<str:token>/|account/.*|sso/.*|admin/.*|)$"
)


@dataclass(frozen=True, kw_only=True)
class Theirs:
    """One tenant's objects, by what an address calls them."""

    workflow: Workflow
    run: Run
    credential: Credential
    token: Any
    member: Membership
    ref: int
    view: SavedView
    invitation: Invitation
    variable: Variable
    channel: AlertChannel


@pytest.fixture
def theirs(tenant: Tenant, owner: User) -> Theirs:
    actor = actor_for_user(owner, tenant.slug)
    credential = credential_create(
        actor=actor, name="team-slack", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-1"}
    )
    document = {
        "name": "Theirs",
        "triggers": [{"key": "hook", "type": "webhook", "config": {}}],
        "steps": [{"key": "only", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}],
    }
    workflow = workflow_create(actor=actor, document=document)
    publish(actor=actor, workflow=workflow)
    workflow.refresh_from_db()
    run = run_start_by_actor(actor=actor, workflow=workflow, payload={"large": "x" * 300_000})
    token, _text = token_create(actor=actor, name="theirs", scopes=[Scope.READ])
    ref = Payload.objects.for_tenant(tenant).values_list("pk", flat=True).first()
    assert ref is not None
    member = Membership.objects.for_tenant(tenant).get(user=owner)
    view = view_save(actor=actor, name="Theirs", query="status=failed")
    invitation, _link = invitation_create(actor=actor, role=Role.VIEWER, note="theirs@acme.test")
    return Theirs(
        workflow=workflow, run=run, credential=credential, token=token, member=member, ref=ref, view=view,
        invitation=invitation, variable=variable_create(actor=actor, key="theirs", value=1),
        channel=channel_create(actor=actor, kind=ChannelKind.EMAIL, values=CHANNEL)[0],
    )  # fmt: skip


def routes() -> Iterator[str]:
    """Yield the route of every address of the product."""

    def walk(resolver: URLResolver, front: str) -> Iterator[str]:
        for entry in resolver.url_patterns:
            route = front + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry, route)
            elif isinstance(entry, URLPattern):
                yield route

    yield from dict.fromkeys(walk(get_resolver(), ""))


def filled(route: str, tenant: str, theirs: Theirs) -> str:
    """Return the address of a route with the ids of ``theirs``. Raises AssertionError where there is no recipe."""
    of = {
        "workflows": theirs.workflow,
        "runs": theirs.run,
        "credentials": theirs.credential,
        "tokens": theirs.token,
        "keys": theirs.token,
        "members": theirs.member,
        "invitations": theirs.invitation,
        "views": theirs.view,
        "variables": theirs.variable,
        "alerts": theirs.channel,
        "alert-channels": theirs.channel,
    }

    def value(match: re.Match[str]) -> str:
        name = match.group(1).partition(":")[2] or match.group(1)
        if name == "tenant":
            return tenant
        if name == "pk":
            before = route[: match.start()].rstrip("/").rpartition("/")[2]
            assert before in of, f"no recipe for the id in {route}"
            return str(of[before].pk)
        known = {"provider": "hello", "action": "world"}
        known |= {"key": "hook" if "triggers/" in route else "only", "number": "1", "ref": str(theirs.ref)}
        known |= {"field": "name", "older": "1", "newer": "1", "other": str(theirs.run.pk)}
        assert name in known, f"no recipe for <{name}> in {route}"
        return known[name]

    return "/" + re.sub(r"<([^>]+)>", value, route)


TENANT_ROUTES = [route for route in routes() if not WITHOUT_A_TENANT.match(route)]
PAGES = [route for route in TENANT_ROUTES if route.startswith("w/")]
API = [route for route in TENANT_ROUTES if route.startswith("api/v1/") and "<" in route]


def test_the_walk_sees_every_address() -> None:
    assert len(PAGES) > 30
    assert len(API) > 15
    rest = [route for route in TENANT_ROUTES if route not in PAGES and not route.startswith("api/v1/")]
    assert rest == []


@pytest.mark.django_db
def test_a_strangers_tenant_is_not_there(theirs: Theirs, tenant: Tenant, stranger: User) -> None:
    client = Client()
    client.force_login(stranger)
    for route in PAGES:
        address = filled(route, tenant.slug, theirs)
        for method in ("get", "post"):
            status = getattr(client, method)(address).status_code
            assert status in (404, 405), (method, address, status)
        assert 404 in (client.get(address).status_code, client.post(address).status_code), address


@pytest.mark.django_db
def test_ids_of_another_tenant_are_not_there_within_ones_own(
    theirs: Theirs, other_tenant: Tenant, stranger: User
) -> None:
    client = Client()
    client.force_login(stranger)
    for route in PAGES:
        if "<int:pk>" not in route:
            continue
        address = filled(route, other_tenant.slug, theirs)
        for method in ("get", "post"):
            status = getattr(client, method)(address).status_code
            assert status in (404, 405), (method, address, status)
        assert 404 in (client.get(address).status_code, client.post(address).status_code), address


@pytest.mark.django_db
@pytest.mark.parametrize("as_session", [False, True])
def test_the_api_does_not_know_ids_of_another_tenant(
    theirs: Theirs, other_tenant: Tenant, stranger: User, as_session: bool
) -> None:
    actor = actor_for_user(stranger, other_tenant.slug)
    _token, text = token_create(actor=actor, name="mine", scopes=list(Scope))
    client = Client()
    headers = {"X-Tenant": other_tenant.slug} if as_session else {"Authorization": f"Bearer {text}"}
    if as_session:
        client.force_login(stranger)
    for route in API:
        address = filled(route, other_tenant.slug, theirs)
        seen = set()
        for method in METHODS:
            options = {} if method == "get" else {"data": _body(route), "content_type": "application/json"}
            response = getattr(client, method)(address, headers=headers, **options)
            seen.add(response.status_code)
            assert response.status_code in (404, 405), (method, address, response.status_code, response.content[:300])
        assert 404 in seen, address


@pytest.mark.django_db
def test_lists_of_the_api_hold_nothing_of_another_tenant(theirs: Theirs, other_tenant: Tenant, stranger: User) -> None:
    _token, text = token_create(actor=actor_for_user(stranger, other_tenant.slug), name="mine", scopes=list(Scope))
    rows = (
        theirs.workflow, theirs.run, theirs.credential, theirs.token, theirs.member, theirs.invitation, theirs.variable,
        theirs.channel,
    )  # fmt: skip
    names = [str(each.pk) for each in rows]
    for path in (
        "workflows", "runs", "credentials", "tokens", "members", "invitations", "audit", "triggers", "variables",
        "alert-channels",
    ):  # fmt: skip
        response = Client().get(f"/api/v1/{path}/", headers={"Authorization": f"Bearer {text}"})
        assert response.status_code == 200, path
        assert not [name for name in [*names, "team-slack", "acme"] if name in response.content.decode()], path
    response = Client().get(f"/api/v1/runs/?workflow={theirs.workflow.pk}", headers={"Authorization": f"Bearer {text}"})
    assert response.status_code == 404


@pytest.mark.django_db
def test_a_document_cannot_bind_another_tenants_credential(
    theirs: Theirs, other_tenant: Tenant, stranger: User
) -> None:
    actor = actor_for_user(stranger, other_tenant.slug)
    step = {
        "key": "tell",
        "action": "slack.sendMessage",
        "credential": "team-slack",
        "config": {"inputs": {"channel": "#a", "text": "b"}},
    }
    document = {"name": "Mine", "triggers": [{"key": "m", "type": "manual", "config": {}}], "steps": [step]}
    _token, text = token_create(actor=actor, name="mine", scopes=list(Scope))
    headers = {"Authorization": f"Bearer {text}"}
    made = Client().post("/api/v1/workflows/", json.dumps(document), content_type="application/json", headers=headers)
    assert made.status_code == 201
    address = f"/api/v1/workflows/{made.json()['id']}/publish/"
    answer = Client().post(address, "{}", content_type="application/json", headers=headers)
    assert answer.status_code == 400
    assert "steps[0].credential" in [problem["path"] for problem in answer.json()["error"]["problems"]]


def _body(route: str) -> str:
    """Return a body that would be taken if the object were there."""
    if route.endswith("steps/<str:key>/test/"):
        return json.dumps({"payload": {}})
    if route.endswith("resolve/"):
        return json.dumps({"path": "only", "decision": "approved"})
    if "variables" in route:
        return json.dumps({"value": 2})
    if "members" in route:
        return json.dumps({"role": "viewer"})
    if "credentials" in route:
        return json.dumps({"name": "other", "secret": {"token": "x"}})
    return json.dumps({"name": "Other"} if route.endswith("<str:pk>/") else {})

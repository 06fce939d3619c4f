"""One tenant with an object of each kind, by the names that the table's rows call them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any, Final

from django.contrib.auth.models import User
from django.utils import timezone

from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.services import channel_create
from orchestrator.tenants import services as tenants
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.invitations import invitation_create
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Role, Scope, Tenant
from orchestrator.vault.services import credential_create
from orchestrator.workflows import edits, services
from orchestrator.workflows.addresses import trigger_address
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.variables import variable_create
from runs.links import token_of
from runs.models import Payload, Run, StepRun
from runs.sample_rows import sample_keep
from runs.saved import view_save
from runs.services import run_start_by_actor
from tests.runs.list_ground import run_at

# Too large for a column of its own.
LARGE: Final = 70_000


@dataclass(frozen=True, kw_only=True)
class World:
    """A tenant's people by role, their widest tokens, and its objects: what stands for each in addresses and bodies."""

    tenant: Tenant
    people: Mapping[Role, User]
    tokens: Mapping[Role, str]
    names: Mapping[str, str]

    def fill(self, value: Any) -> Any:
        """Return a body with this world's objects in the place of ``$name``."""
        match value:
            case str():
                return Template(value).safe_substitute(self.names)
            case dict():
                return {key: self.fill(inner) for key, inner in value.items()}
            case list():
                return [self.fill(inner) for inner in value]
            case _:
                return value


def document(word: str, credential: str) -> dict[str, Any]:
    """Return a draft with a step and a trigger of each kind that an address is about."""
    values = {"key": "first", "name": f"{word} first", "action": "data.set"}
    call = {"method": "GET", "url": f"https://{word}.example.com/"}
    return {
        "name": f"{word} greets",
        "slug": "greets",
        "description": f"{word} description",
        "triggers": [
            {"key": "hook", "type": "webhook", "config": {"methods": ["POST"]}},
            {"key": "hand", "type": "manual", "config": {}},
            {"key": "called", "type": "workflow", "config": {}},
            {"key": "asked", "type": "form", "config": {"title": f"{word} form", "schema": {"type": "object"}}},
            {
                "key": "poll",
                "type": "polling",
                "config": {"trigger": "rss.newItem", "inputs": {"url": "https://127.0.0.1:9/feed"}, "interval": 600},
            },
        ],
        "steps": [
            {**values, "config": {"inputs": {"values": {"a": f"{word} value"}}}},
            {"key": "ok", "action": "flow.approve", "config": {"inputs": {"message": f"{word} question"}}},
            {"key": "back", "action": "flow.callback", "config": {"inputs": {}}},
            {"key": "call", "action": "http.request", "credential": credential, "config": {"inputs": call}},
            {"key": "tell", "action": "slack.sendMessage", "credential": f"{word} slack",
             "config": {"inputs": {"channel": "#a", "text": f"{word} text"}}},
            {"key": "several", "action": "flow.parallel", "config": {"inputs": {}},
             "lanes": {"a": [{"key": "in_a", "action": "data.set", "config": {"inputs": {"values": {"b": 1}}}}],
                       "b": [{"key": "in_b", "action": "data.set", "config": {"inputs": {"values": {"c": 1}}}}]}},
        ],
        "output": f"{word} output",
    }  # fmt: skip


def alone_document(word: str) -> dict[str, Any]:
    """Return a workflow that others can call, by a slug that no other tenant has."""
    step = {"key": "give", "action": "data.set", "config": {"inputs": {"values": {"a": f"{word} called"}}}}
    called = {"key": "called", "type": "workflow", "config": {}}
    return {"name": f"{word} alone", "slug": f"{word}-alone", "triggers": [called], "steps": [step]}


def make_world(tenant: Tenant, word: str) -> World:
    """Fill a tenant. Every text of it that a person could read has ``word`` in it."""
    people = {role: _person(tenant, role, f"{word}-{role}") for role in Role}
    actors = {role: actor_for_user(user, tenant.slug) for role, user in people.items()}
    actor = actors[Role.OWNER]
    names: dict[str, Any] = {
        "tenant": tenant.slug,
        "tenant_id": tenant.pk,
        "nobody": f"{word}-nobody",
        "alone": f"{word}-alone",
    }
    User.objects.create_user(names["nobody"])
    for name, role in (("member", Role.VIEWER), ("owning", Role.OWNER)):
        user = _person(tenant, role, f"{word}-{name}")
        names[name] = Membership.objects.for_tenant(tenant).get(user=user).pk
    names |= _vault(actor, word)
    workflow = services.workflow_create(actor=actor, document=document(word, f"{word} key"))
    names |= _flow(actor, workflow, word) | _runs(actor, workflow.refresh(), word)
    tokens: dict[Role, str] = {}
    for role, of_role in actors.items():
        made, tokens[role] = tenants.token_create(actor=of_role, name=f"{word} {role}", scopes=sorted(of_role.scopes))
        view = view_save(actor=of_role, name=f"{word} failures", query="status=failed")
        member = Membership.objects.for_tenant(tenant).get(user=people[role])
        names |= {f"token@{role}": made.pk, f"view@{role}": view.pk, f"member@{role}": member.pk}
    spare_token, _text = tenants.token_create(actor=actor, name=f"{word} spare", scopes=[Scope.READ])
    invitation, link = invitation_create(actor=actor, role=Role.VIEWER, note=f"{word}@example.com")
    names |= {"token": spare_token.pk, "invitation": invitation.pk, "join": link, "view": names["view@owner"]}
    names |= {"event": AuditEvent.objects.for_tenant(tenant).latest("pk").pk, "user": people[Role.VIEWER].pk}
    _of_the_administration(names)
    return World(tenant=tenant, people=people, tokens=tokens, names={name: str(value) for name, value in names.items()})


def _person(tenant: Tenant, role: Role, name: str) -> User:
    user = User.objects.create_user(name, email=f"{name}@example.com", password="a good password")
    Membership.unscoped.create(tenant=tenant, user=user, role=role)
    return user


def _vault(actor: Actor, word: str) -> dict[str, Any]:
    secret = {"token": f"xoxb-{word}-secret"}
    made = {
        name: credential_create(actor=actor, name=f"{word} {of}", provider=provider, auth_type=kind, secret=secret)
        for name, of, provider, kind in (
            ("bearer", "key", "http", "bearer_token"),
            ("credential", "slack", "slack", "bearer_token"),
            ("spare", "spare", "slack", "bearer_token"),
        )
    }
    variable = variable_create(actor=actor, key="who", value=f"{word} variable")
    values = {"name": f"{word} channel", "emails": [f"{word}@example.com"]}
    channel, _secret = channel_create(actor=actor, kind=ChannelKind.EMAIL, values=values)
    return {name: each.pk for name, each in made.items()} | {"variable": variable.pk, "alert_channel": channel.pk}


def _flow(actor: Actor, workflow: Workflow, word: str) -> dict[str, Any]:
    """Publish twice, change the draft since, and keep a sample; beside it a workflow that was never published."""
    first = services.publish(actor=actor, workflow=workflow, note=f"{word} first note").version
    edits.step_update(actor=actor, workflow=workflow.refresh(), key="first", changes={"notes": f"{word} notes"})
    services.publish(actor=actor, workflow=workflow.refresh(), note=f"{word} note")
    edits.step_update(actor=actor, workflow=workflow.refresh(), key="first", changes={"notes": f"{word} other notes"})
    drafted = services.workflow_create(actor=actor, document={
        "name": f"{word} drafted", "slug": "drafted", "triggers": document(word, "")["triggers"],
    })  # fmt: skip
    alone = services.workflow_create(actor=actor, document=alone_document(word))
    services.publish(actor=actor, workflow=alone)
    row = Trigger.objects.for_tenant(actor.tenant)
    sample_keep(row.get(workflow=workflow, key="hook"), {"type": "webhook", "key": "hook", "body": f"{word} sample"})
    return {
        "workflow": workflow.pk,
        "drafted": drafted.pk,
        "version": first.pk,
        "sample": workflow.samples.get().pk,
        "live_hook_address": trigger_address(row.get(workflow=workflow, key="hook")),
        "hook_address": trigger_address(row.get(workflow=drafted, key="hook")),
        "form_address": trigger_address(row.get(workflow=drafted, key="asked")),
    }


def _runs(actor: Actor, workflow: Workflow, word: str) -> dict[str, Any]:
    """Start a run with a large payload; one ended badly, one waits for an approval and a callback."""
    run = run_start_by_actor(actor=actor, workflow=workflow, payload={"large": f"{word} " * (LARGE // len(word))})
    ended = run_at(workflow, None, "failed", body=f"{word} body", error={
        "kind": "permanent", "message": f"{word} broke", "hint": f"{word} hint", "retryable": False, "path": "first",
    })  # fmt: skip
    waiting = run_at(workflow, None, "waiting", body=f"{word} body", waiting_for={"path": "ok", "kind": "approval"})
    inputs = {"message": f"{word} question"}
    _attempt(ended, "first", "data.set", "failed", word, error=ended.error)
    _attempt(waiting, "ok", "flow.approve", "waiting", word, inputs=inputs)
    _attempt(waiting, "back", "flow.callback", "waiting", word, inputs={})
    ref = Payload.objects.for_tenant(actor.tenant).filter(run=run).values_list("pk", flat=True).first()
    return {
        "run": run.pk,
        "ended": ended.pk,
        "waiting": waiting.pk,
        "ref": ref,
        "approval_address": token_of(waiting.pk, "ok"),
        "callback_address": token_of(waiting.pk, "back"),
    }


def _attempt(run: Run, key: str, action: str, status: str, word: str, **more: Any) -> None:
    StepRun.unscoped.create(
        tenant=run.tenant, run=run, path=key, key=key, name=f"{word} {key}", action=action, status=status,
        logs=[{"at": "2026-11-24T00:00:00+00:00", "level": "info", "message": f"{word} log"}],
        started_at=timezone.now(), finished_at=None if status == "waiting" else timezone.now(), **more,
    )  # fmt: skip


def _of_the_administration(names: dict[str, Any]) -> None:
    """Add what models are called in the administration's addresses; of two kinds an editor sees their own alone."""
    names |= {
        "membership": names["member"],
        "auditevent": names["event"],
        "workflowversion": names["version"],
    }
    for role in Role:
        names |= {f"apitoken@{role}": names[f"token@{role}"], f"savedview@{role}": names[f"view@{role}"]}


def scoped_token(world: World, scope: Scope) -> str:
    """Return a token of the owner with one scope."""
    actor = actor_for_user(world.people[Role.OWNER], world.tenant.slug)
    _row, text = tenants.token_create(actor=actor, name=f"{scope} alone", scopes=[scope])
    assert ApiToken.objects.for_tenant(world.tenant).filter(pk=_row.pk).exists()
    return text

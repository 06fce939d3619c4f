"""Small workflow documents for the tests of the check, and what it tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.errors import Problem
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.facts import CredentialFacts, WorkflowFacts
from orchestrator.flow.validation import validate
from orchestrator.workflows.publishing import RegistryCatalog

CREDENTIALS: Final = {
    "team-slack": CredentialFacts(provider="slack", auth_type="bearer_token"),
    "ai": CredentialFacts(provider="openai", auth_type="api_key"),
    "revoked": CredentialFacts(provider="slack", auth_type="bearer_token", health="reconnect"),
    "reader": CredentialFacts(provider="slack", auth_type="oauth2", scopes=frozenset({"channels:read"})),
    "writer": CredentialFacts(provider="slack", auth_type="oauth2", scopes=frozenset({"chat:write"})),
    "ending": CredentialFacts(provider="slack", auth_type="bearer_token", health="expiring"),
    "mail": CredentialFacts(provider="gmail", auth_type="oauth2"),
    "db": CredentialFacts(provider="postgres", auth_type="basic"),
    "any": CredentialFacts(provider="http", auth_type="bearer_token"),
    "hook": CredentialFacts(provider="webhook", auth_type="api_key"),
}
TRIGGERS: Final = [{"key": "hand", "type": "manual", "config": {}}]


def step(key: str, action: str = "data.set", *, credential: str | None = None, **config: Any) -> dict[str, Any]:
    """Return a step; one that only sets a value unless an action is given."""
    if action == "data.set":
        config.setdefault("inputs", {"values": {"a": 1}})
    return {"key": key, "action": action, "credential": credential, "config": config}


def hello(name: Any, key: str = "hello", **config: Any) -> dict[str, Any]:
    return step(key, "hello.world", inputs={"name": name}, **config)


def holder(key: str, action: str, lanes: Mapping[str, list[dict[str, Any]]], **config: Any) -> dict[str, Any]:
    """Return a step that holds lanes."""
    return {**step(key, action, **config), "lanes": dict(lanes)}


def if_(key: str, then: list[dict[str, Any]], otherwise: list[dict[str, Any]] | None = None, **more: Any) -> Any:
    return holder(key, "flow.if", {"then": then, "else": otherwise or []}, inputs={"condition": True}, **more)


def foreach(key: str, *body: dict[str, Any], items: Any = "{{ trigger.body }}", **more: Any) -> dict[str, Any]:
    return holder(key, "flow.foreach", {"body": list(body)}, inputs={"items": items, **more})


def found(*steps: dict[str, Any], workflows: Mapping[str, WorkflowFacts] | None = None, **more: Any) -> list[Problem]:
    """Return what the check tells of a workflow ``test`` of these steps."""
    document = {"name": "Test", "slug": "test", "triggers": TRIGGERS, "steps": list(steps), **more}
    definition = WorkflowDefinition.model_validate(document)
    return validate(
        definition,
        catalog=RegistryCatalog(),
        credentials=CREDENTIALS,
        variables=["region"],
        workflows=workflows or {},
    )


def told(*steps: dict[str, Any], **more: Any) -> list[tuple[str, str, str]]:
    return [(problem.severity, problem.path, problem.code) for problem in found(*steps, **more)]

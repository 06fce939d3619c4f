"""A caller of the API: a token with every scope, or with some."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Scope, Tenant
from orchestrator.tenants.services import token_create


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Calls the API as ``curl`` would; bodies are JSON unless they are text or bytes."""

    token: str

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        sent = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        kind = sent.pop("Content-Type", "application/json")
        data = body if isinstance(body, str | bytes) else b"" if body is None else json.dumps(body)
        response: Any = Client().generic(method, f"/api/v1/{path}", data, content_type=kind, headers=sent)
        assert response.status_code < 500, response.content
        if response.status_code >= 400:
            error = json.loads(response.content)["error"]
            assert set(error) == {"code", "message", "problems"}, error
            assert error["message"], error
        answer: HttpResponse = response
        return answer

    def ok(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Call and return the JSON of an answer that must be a success."""
        response = self(method, path, body, **headers)
        assert response.status_code < 300, (response.status_code, response.content)
        # A download comes in pieces, and has no content as such.
        content = response.getvalue()
        return json.loads(content) if content else None


MakeCaller = Callable[..., Caller]


@pytest.fixture
def caller_for(tenant: Tenant) -> MakeCaller:
    """Return a function that makes a caller of a person, with all scopes or those given."""

    def make(user: User, *scopes: Scope) -> Caller:
        actor = actor_for_user(user, tenant.slug)
        chosen = scopes or tuple(scope for scope in Scope if scope in actor.scopes)
        _row, text = token_create(actor=actor, name="test", scopes=chosen)
        return Caller(token=text)

    return make


@pytest.fixture
def api(caller_for: MakeCaller, owner: User) -> Caller:
    return caller_for(owner)


def document(name: str = "Greet", **more: Any) -> dict[str, Any]:
    """Return a workflow's document that can be published."""
    step = {"key": "greet", "action": "hello.world", "config": {"inputs": {"name": "{{ trigger.body.name }}"}}}
    triggers = [
        {"key": "hook", "type": "webhook", "config": {"methods": ["POST"]}},
        {"key": "hand", "type": "manual", "config": {}},
    ]
    return {"name": name, "triggers": triggers, "steps": [step], "output": "{{ steps.greet.output.message }}", **more}

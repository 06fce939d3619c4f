"""``integrations/``: the registry, as data."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from integrations.registry import registry
from integrations.sdk import Action
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid, NotFound
from orchestrator.types import JSONValue


class IntegrationBody(BaseModel):
    """One action; schemas are JSON schema 2020-12."""

    key: str
    kind: Literal["action"]
    name: str
    provider: str
    auth_type: str
    description: str
    category: str
    icon: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    sample: JSONValue
    idempotent: bool


class IntegrationPage(BaseModel):
    results: list[IntegrationBody]
    next: str | None
    previous: str | None


def integration_document(action: Action) -> dict[str, Any]:
    """Return one action in the API's shape."""
    return {
        "key": action.key,
        "kind": "action",
        "name": action.name,
        "provider": action.provider.key,
        "auth_type": action.auth_type,
        "description": action.description,
        "category": action.category or action.provider.category,
        "icon": action.provider.icon,
        "input_schema": action.input_json_schema(),
        "output_schema": action.output_json_schema(),
        "sample": action.sample,
        "idempotent": action.idempotent,
    }


class IntegrationList(TenantAPIView):
    """Every registered action, by key."""

    @extend_schema(
        operation_id="integrations_list",
        parameters=[OpenApiParameter("kind", enum=["action", "trigger"])],
        responses=IntegrationPage,
    )
    def get(self, request: Request) -> Response:
        kind = request.query_params.get("kind", "action")
        if kind not in ("action", "trigger"):
            raise Invalid(f"kind is {kind!r:.40}; send action or trigger.")
        # No integration offers a trigger of its own yet: the list is empty, and says so truthfully.
        actions = registry.actions() if kind == "action" else ()
        return Response({"results": [integration_document(a) for a in actions], "next": None, "previous": None})


class IntegrationDetail(TenantAPIView):
    @extend_schema(operation_id="integrations_retrieve", responses=IntegrationBody)
    def get(self, request: Request, key: str) -> Response:
        """One action by its key, like `slack.sendMessage`."""
        action = registry.get(key)
        if action is None:
            raise NotFound(f"No integration has the key {key!r:.130}.")
        return Response(integration_document(action))

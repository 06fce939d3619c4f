"""``integrations/``: the registry, as data."""

from __future__ import annotations

from typing import Any, Literal

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from integrations.registry import Trigger, registry
from integrations.sdk import Action, WebhookTrigger
from orchestrator.api.describing import extend_schema
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid, NotFound
from orchestrator.types import JSONValue


class IntegrationBody(BaseModel):
    """One action or trigger; schemas are JSON schema 2020-12, a trigger's output is one item.

    ``trigger_type`` is the type of the workflows' triggers that name it, null for an action.
    """

    key: str
    kind: Literal["action", "trigger"]
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
    trigger_type: Literal["polling", "event"] | None


class IntegrationPage(BaseModel):
    results: list[IntegrationBody]
    next: str | None
    previous: str | None


def integration_document(action: Action | Trigger) -> dict[str, Any]:
    """Return one action or trigger in the API's shape. No trigger acts at the other side, so each is idempotent."""
    return {
        "key": action.key,
        "kind": "action" if isinstance(action, Action) else "trigger",
        "name": action.name,
        "provider": action.provider.key,
        "auth_type": action.auth_type,
        "description": action.description,
        "category": action.category or action.provider.category,
        "icon": action.provider.icon,
        "input_schema": action.input_json_schema(),
        "output_schema": action.output_json_schema(),
        "sample": action.sample,
        "idempotent": action.idempotent if isinstance(action, Action) else True,
        "trigger_type": _trigger_type(action),
    }


def _trigger_type(action: Action | Trigger) -> str | None:
    if isinstance(action, Action):
        return None
    return "event" if isinstance(action, WebhookTrigger) else "polling"


class IntegrationList(TenantAPIView):
    """Every registered action or trigger, by key."""

    @extend_schema(
        operation_id="integrations_list",
        parameters=[OpenApiParameter("kind", enum=["action", "trigger"])],
        responses=IntegrationPage,
    )
    def get(self, request: Request) -> Response:
        kind = request.query_params.get("kind", "action")
        if kind not in ("action", "trigger"):
            raise Invalid(_("kind is %(kind).40r; send action or trigger.") % {"kind": kind})
        found = registry.actions() if kind == "action" else registry.triggers()
        return Response({"results": [integration_document(each) for each in found], "next": None, "previous": None})


class IntegrationDetail(TenantAPIView):
    @extend_schema(operation_id="integrations_retrieve", responses=IntegrationBody)
    def get(self, request: Request, key: str) -> Response:
        """One action or trigger by its key, like `slack.sendMessage`."""
        action = registry.get(key) or registry.trigger(key)
        if action is None:
            raise NotFound(_("No integration has the key %(key).130r.") % {"key": key})
        return Response(integration_document(action))

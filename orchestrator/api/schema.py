"""OpenAPI: every operation documents the errors that every operation can answer.

Loaded by who makes the description alone; what views say of themselves is in ``describing``.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema

from orchestrator.api.describing import ErrorBody, descriptions

_ALWAYS = {
    "400": "The request is not valid.",
    "401": "No valid token or session.",
    "403": "A right is missing.",
    "404": "There is no such object, page or tenant.",
    "406": "What is accepted is not answered here; accept `application/json`.",
}
_WRITES = {
    "409": "The object's status does not allow it, or somebody else changed it first.",
    "413": "Too large.",
    "415": "What was sent is not JSON.",
}


def name_components(result: dict[str, Any], **_more: Any) -> dict[str, Any]:
    """Give each component its own name as its title, and what a PATCH takes no defaults.

    Generators of clients name classes by the title: a model that is both sent and answered is two components, whose
    titles would be the same. And they send defaults: a PATCH would change what its caller says nothing of.
    """
    for name, schema in result.get("components", {}).get("schemas", {}).items():
        if "title" in schema:
            schema["title"] = name
        if name.startswith("Patched"):
            for value in schema.get("properties", {}).values():
                value.pop("default", None)
    return result


class ContractSchema(AutoSchema):
    """Adds the one error shape to every operation that does not document it itself."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if not operation:
            return operation
        component = self.resolve_serializer(ErrorBody, "response")  # type: ignore[arg-type]
        content = {"application/json": {"schema": component.ref}}
        wanted = dict(_ALWAYS)
        if self.method not in ("GET", "HEAD"):
            wanted |= _WRITES
        for status, description in wanted.items():
            operation["responses"].setdefault(status, {"description": description, "content": content})
        return operation


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """``Authorization: Bearer <token>``."""

    target_class = "orchestrator.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token of one tenant, from `POST tokens/`."}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The browser's session; both parts are needed."""

    target_class = "orchestrator.api.authentication.TenantSessionAuthentication"
    name = ["session", "tenant"]  # noqa: RUF012

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "apiKey", "in": "cookie", "name": "sessionid"},
            {"type": "apiKey", "in": "header", "name": "X-Tenant", "description": "The tenant's slug."},
        ]


# drf-spectacular loads this module by its name before it looks at any view, and asks for the class above.
descriptions.make(extend_schema)

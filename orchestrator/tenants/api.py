"""``tokens/``, ``members/`` and ``audit/`` of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.errors import parse_body
from orchestrator.api.views import TenantAPIView
from orchestrator.tenants import services
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Scope
from orchestrator.tenants.permissions import require_operation

ADMIN_ONLY = {"GET": Scope.ADMIN, "POST": Scope.ADMIN, "DELETE": Scope.ADMIN}


class TokenCreate(BaseModel):
    """``scopes`` never reach beyond the role of the user; without ``expires_at`` the token lasts."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    scopes: list[Scope] = [Scope.READ]
    expires_at: datetime | None = None


class TokenBody(BaseModel):
    id: str
    name: str
    prefix: str
    scopes: list[str]
    user: str
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


class TokenCreated(TokenBody):
    """``token`` is answered once, at its making."""

    token: str


class TokenPage(BaseModel):
    results: list[TokenBody]
    next: str | None
    previous: str | None


class MemberBody(BaseModel):
    user: str
    role: str


class MemberPage(BaseModel):
    results: list[MemberBody]
    next: str | None
    previous: str | None


class AuditBody(BaseModel):
    id: str
    at: datetime
    actor: str
    action: str
    target_type: str
    target_id: str | None
    target: str
    detail: dict[str, Any]


class AuditPage(BaseModel):
    results: list[AuditBody]
    next: str | None
    previous: str | None


def _token_document(token: ApiToken) -> dict[str, Any]:
    return {
        "id": str(token.pk),
        "name": token.name,
        "prefix": token.prefix,
        "scopes": token.scopes,
        "user": token.user.get_username(),
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "created_at": token.created_at,
    }


def _audit_document(event: AuditEvent) -> dict[str, Any]:
    return {
        "id": str(event.pk),
        "at": event.at,
        "actor": event.actor_label,
        "action": event.action,
        "target_type": event.target_type,
        "target_id": None if event.target_id is None else str(event.target_id),
        "target": event.target_label,
        "detail": event.detail,
    }


class TokenList(TenantAPIView):
    """Your own tokens; making one needs the scope `admin`, so that a leaked token cannot outlive its revocation."""

    scopes = ADMIN_ONLY

    @extend_schema(operation_id="tokens_list", responses=TokenPage)
    def get(self, request: Request) -> Response:
        rows = ApiToken.objects.for_tenant(self.tenant).filter(user=self.actor.user).select_related("user")
        return self.page(rows, _token_document)

    @extend_schema(operation_id="tokens_create", request=TokenCreate, responses={201: TokenCreated})
    def post(self, request: Request) -> Response:
        body = parse_body(TokenCreate, request.data)

        def make() -> Response:
            token, plain = services.token_create(
                actor=self.actor, name=body.name, scopes=body.scopes, expires_at=body.expires_at
            )
            return Response({**_token_document(token), "token": plain}, status=201)

        return self.create(make)


class TokenDetail(TenantAPIView):
    scopes = ADMIN_ONLY

    @extend_schema(operation_id="tokens_delete", responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        """Revoke a token; it stops at once, and so do queued runs that it started."""
        services.token_revoke(actor=self.actor, token=self.find(ApiToken, pk))
        return Response(status=204)


class MemberList(TenantAPIView):
    @extend_schema(operation_id="members_list", responses=MemberPage)
    def get(self, request: Request) -> Response:
        rows = Membership.objects.for_tenant(self.tenant).select_related("user")
        return self.page(rows, lambda member: {"user": member.user.get_username(), "role": member.role})


class AuditList(TenantAPIView):
    scopes = ADMIN_ONLY

    @extend_schema(operation_id="audit_list", responses=AuditPage)
    def get(self, request: Request) -> Response:
        """Every change by a person or token, newest first."""
        require_operation(self.actor, "audit.read")
        return self.page(AuditEvent.objects.for_tenant(self.tenant), _audit_document)

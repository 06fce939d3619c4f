"""``credentials/`` of the API: secrets go in and never come out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import Moment
from orchestrator.api.describing import ONCE, PAGED, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.views import TenantAPIView
from orchestrator.vault import checks, services
from orchestrator.vault.models import Credential
from orchestrator.vault.oauth_apps import redirect_uri
from orchestrator.vault.provider_settings import credential_types
from orchestrator.vault.revoking import revocation_of, revoke
from orchestrator.vault.sign_ins import sign_in_begin
from orchestrator.workflows import selectors as workflow_selectors
from orchestrator.workflows import services as workflow_services

AuthTypeName = Literal["oauth2", "api_key", "bearer_token", "basic"]
# The least role that may use it in workflows and change it, without ever reading the secret.
SharedWith = Literal["editor", "admin", "owner"]


class CredentialCreate(BaseModel):
    """``secret`` is write-only; its keys depend on ``auth_type`` (see `credential-types/`)."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    provider: str = Field(min_length=1, max_length=63)
    auth_type: AuthTypeName
    secret: dict[str, Any]
    settings: dict[str, Any] = {}
    expires_at: Moment | None = None
    shared_with: SharedWith = "editor"


class CredentialUpdate(BaseModel):
    """Only what is sent changes; ``secret`` replaces the whole secret."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=100)
    secret: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    expires_at: Moment | None = None
    shared_with: SharedWith | None = None


class UsageBody(BaseModel):
    workflow: str
    slug: str
    step: str


class CredentialBody(BaseModel):
    id: str
    name: str
    provider: str
    auth_type: AuthTypeName
    settings: dict[str, Any]
    shared_with: SharedWith
    health: Literal["not_checked", "working", "expiring", "reconnect"]
    health_message: str
    expires_at: datetime | None
    last_used_at: datetime | None
    used_by: list[UsageBody]
    created_at: datetime
    updated_at: datetime


class CredentialPage(BaseModel):
    results: list[CredentialBody]
    next: str | None
    previous: str | None


class CredentialTypeBody(BaseModel):
    """What to fill in for one kind of credential of one provider, as a JSON schema with `secret` marks and help."""

    provider: str
    name: str
    auth_type: AuthTypeName
    secret_schema: dict[str, Any]
    settings_schema: dict[str, Any]


class CredentialTypePage(BaseModel):
    results: list[CredentialTypeBody]
    next: str | None
    previous: str | None


def credential_document(credential: Credential, usages: list[Any]) -> dict[str, Any]:
    """Return what may be read of a credential; there is no secret in it."""
    return {
        "id": str(credential.pk),
        "name": credential.name,
        "provider": credential.provider,
        "auth_type": credential.auth_type,
        "settings": credential.settings,
        "shared_with": credential.shared_with,
        "health": credential.health,
        "health_message": credential.health_message,
        "expires_at": credential.expires_at,
        "last_used_at": credential.last_used_at,
        "used_by": [{"workflow": str(u.workflow_id), "slug": u.workflow_slug, "step": u.step_key} for u in usages],
        "created_at": credential.created_at,
        "updated_at": credential.updated_at,
    }


class _CredentialView(TenantAPIView):
    def document(self, credential: Credential) -> dict[str, Any]:
        usages = workflow_selectors.credential_usages(self.tenant, credential)
        return credential_document(credential, usages)


class CredentialList(_CredentialView):
    @extend_schema(operation_id="credentials_list", parameters=[*PAGED], responses=CredentialPage)
    def get(self, request: Request) -> Response:
        usages = workflow_selectors.usages_by_credential(self.tenant)
        rows = Credential.objects.for_tenant(self.tenant).defer("sealed")
        return self.page(rows, lambda credential: credential_document(credential, usages.get(credential.pk, [])))

    @extend_schema(
        operation_id="credentials_create", parameters=[ONCE], request=CredentialCreate, responses={201: CredentialBody}
    )
    def post(self, request: Request) -> Response:
        body = parse_body(CredentialCreate, request.data)

        def make() -> Response:
            return Response(self.document(services.credential_create(actor=self.actor, **dict(body))), status=201)

        return self.create(make)


class CredentialDetail(_CredentialView):
    @extend_schema(operation_id="credentials_retrieve", responses=CredentialBody)
    def get(self, request: Request, pk: str) -> Response:
        return Response(self.document(self.find(Credential, pk)))

    @extend_schema(operation_id="credentials_update", request=CredentialUpdate, responses=CredentialBody)
    def patch(self, request: Request, pk: str) -> Response:
        body = parse_body(CredentialUpdate, request.data)
        changes = {name: getattr(body, name) for name in body.model_fields_set}
        credential = services.credential_update(actor=self.actor, credential=self.find(Credential, pk), **changes)
        return Response(self.document(credential))

    @extend_schema(
        operation_id="credentials_delete", parameters=[OpenApiParameter("force", bool)], responses={204: None}
    )
    def delete(self, request: Request, pk: str) -> Response:
        """Delete a credential; one in use answers 409 with `used_by` unless `?force=1`."""
        credential = self.find(Credential, pk)
        order = revocation_of(self.actor, credential)
        workflow_services.credential_delete_checked(
            actor=self.actor, credential=credential, force=request.query_params.get("force") in ("1", "true")
        )
        if order is not None:
            revoke(order)
        return Response(status=204)


class CredentialTest(_CredentialView):
    @extend_schema(operation_id="credentials_test", request=None, responses=CredentialBody)
    def post(self, request: Request, pk: str) -> Response:
        """Ask the provider whether the secret works; the answer is the credential with its new health."""
        credential = checks.credential_check(actor=self.actor, credential=self.find(Credential, pk))
        return Response(self.document(credential))


class ConnectBody(BaseModel):
    """Where the person whose token this is signs in, within ten minutes and once."""

    authorize_url: str


class CredentialConnect(_CredentialView):
    @extend_schema(operation_id="credentials_connect", request=None, responses=ConnectBody)
    def post(self, request: Request, pk: str) -> Response:
        """Begin a sign-in (`oauth2`): open `authorize_url` in a browser in which the same person is signed in here."""
        credential = self.find(Credential, pk)
        address = sign_in_begin(
            actor=self.actor,
            credential=credential,
            redirect_uri=redirect_uri(request._request, credential.provider),
            session_key="" if self.actor.token else request._request.session.session_key or "",
        )
        return Response({"authorize_url": address})


class CredentialTypeList(TenantAPIView):
    @extend_schema(operation_id="credential_types_list", responses=CredentialTypePage)
    def get(self, request: Request) -> Response:
        return Response({"results": credential_types(), "next": None, "previous": None})

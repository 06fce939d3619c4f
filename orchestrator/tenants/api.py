"""``tokens/`` and ``members/`` of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import Moment
from orchestrator.api.describing import ONCE, PAGED, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid, Problem
from orchestrator.tenants import services
from orchestrator.tenants.models import ApiToken, Membership, Role, Scope
from orchestrator.tenants.permissions import MINIMUM_ROLE, require_operation

ADMIN_ONLY = dict.fromkeys(("GET", "POST", "PATCH", "DELETE"), Scope.ADMIN)


class TokenCreate(BaseModel):
    """``scopes`` never reach beyond the role of the user; without ``expires_at`` the token lasts."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    scopes: list[Scope] = [Scope.READ]
    expires_at: Moment | None = None


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


class MemberCreate(BaseModel):
    """``user`` is the name that a person signs in with; they have an account already."""

    model_config = ConfigDict(extra="forbid")

    user: str = Field(min_length=1, max_length=150)
    role: Role


class MemberUpdate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Role


class MemberBody(BaseModel):
    id: str
    user: str
    role: Role
    created_at: datetime


class MemberPage(BaseModel):
    results: list[MemberBody]
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


def _member_document(member: Membership) -> dict[str, Any]:
    return {
        "id": str(member.pk),
        "user": member.user.get_username(),
        "role": member.role,
        "created_at": member.created_at,
    }


def _person(name: str) -> User:
    """Return the active user of this name. Raises Invalid, also for a name that no user can have."""
    found = User.objects.filter(username=name, is_active=True).first() if name.isprintable() else None
    if found is None:
        message = _("No user has this name. An operator makes users with `manage.py user create`.")
        raise Invalid(_("The member was not added."), problems=[Problem(path="user", message=message, code="unknown")])
    return found


class TokenList(TenantAPIView):
    """A token needs the scope `admin` here, so that a leaked one cannot make others that outlive its revocation."""

    scopes = ADMIN_ONLY

    @extend_schema(operation_id="tokens_list", parameters=[*PAGED], responses=TokenPage)
    def get(self, request: Request) -> Response:
        """Your own tokens; those of everybody for who may revoke them."""
        rows = ApiToken.objects.for_tenant(self.tenant).select_related("user")
        if not self.actor.may(MINIMUM_ROLE["token.edit"]):
            rows = rows.filter(user=self.actor.user)
        return self.page(rows, _token_document)

    @extend_schema(operation_id="tokens_create", parameters=[ONCE], request=TokenCreate, responses={201: TokenCreated})
    def post(self, request: Request) -> Response:
        """Make a token that acts for you; the answer is the only one that shows it."""
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
    scopes = {"POST": Scope.ADMIN}  # noqa: RUF012

    @extend_schema(operation_id="members_list", parameters=[*PAGED], responses=MemberPage)
    def get(self, request: Request) -> Response:
        """The people of the tenant, the latest first."""
        return self.page(Membership.objects.for_tenant(self.tenant).select_related("user"), _member_document)

    @extend_schema(
        operation_id="members_create",
        parameters=[ONCE],
        request=MemberCreate,
        responses={200: MemberBody, 201: MemberBody},
    )
    def post(self, request: Request) -> Response:
        """Give a person a role: 201 for a new member, 200 for one who was there and has this role now."""
        body = parse_body(MemberCreate, request.data)

        def make() -> Response:
            require_operation(self.actor, "member.edit")
            person = _person(body.user)
            known = Membership.objects.for_tenant(self.tenant).filter(user=person).exists()
            member = services.member_add(actor=self.actor, user=person, role=body.role)
            return Response(_member_document(member), status=200 if known else 201)

        return self.create(make)


class MemberDetail(TenantAPIView):
    # A person may leave whatever their role is; whom else they may remove, and with which token, the service knows.
    scopes = {"PATCH": Scope.ADMIN, "DELETE": Scope.READ}  # noqa: RUF012

    @extend_schema(operation_id="members_retrieve", responses=MemberBody)
    def get(self, request: Request, pk: str) -> Response:
        return Response(_member_document(self.find(Membership, pk)))

    @extend_schema(operation_id="members_update", request=MemberUpdate, responses=MemberBody)
    def patch(self, request: Request, pk: str) -> Response:
        """Change a role; only owners make or change owners, and one owner always stays."""
        member = self.find(Membership, pk)
        role = parse_body(MemberUpdate, request.data).role
        return Response(_member_document(services.member_add(actor=self.actor, user=member.user, role=role)))

    @extend_schema(operation_id="members_delete", responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        """Take a person out of the tenant; their tokens go with them, and their runs stop."""
        services.member_remove(actor=self.actor, membership=self.find(Membership, pk))
        return Response(status=204)

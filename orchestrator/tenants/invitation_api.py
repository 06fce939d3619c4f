"""``invitations/`` of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.describing import ONCE, PAGED, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.pagination import CursorPages
from orchestrator.api.views import TenantAPIView
from orchestrator.tenants.api import ADMIN_ONLY
from orchestrator.tenants.invitations import (
    Found,
    State,
    invitation_create,
    invitation_list,
    invitation_revoke,
    with_states,
)
from orchestrator.tenants.models import Invitation, Role
from orchestrator.tenants.permissions import require_operation


class InvitationCreate(BaseModel):
    """``note`` says whom it is for; nothing is sent there."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    note: str = Field(default="", max_length=254)


class InvitationBody(BaseModel):
    """``status`` is ``void`` while who made it may not give its role."""

    id: str
    role: Role
    note: str
    status: State
    invited_by: str
    accepted_by: str | None
    created_at: datetime
    expires_at: datetime


class InvitationCreated(InvitationBody):
    """``url`` is answered once, at its making."""

    url: str


class InvitationPage(BaseModel):
    results: list[InvitationBody]
    next: str | None
    previous: str | None


def _document(found: Found) -> dict[str, Any]:
    invitation = found.invitation
    return {
        "id": str(invitation.pk),
        "role": invitation.role,
        "note": invitation.note,
        "status": found.state.value,
        "invited_by": invitation.invited_by.get_username(),
        "accepted_by": invitation.accepted_by.get_username() if invitation.accepted_by else None,
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
    }


class InvitationList(TenantAPIView):
    scopes = ADMIN_ONLY

    @extend_schema(operation_id="invitations_list", parameters=[*PAGED], responses=InvitationPage)
    def get(self, request: Request) -> Response:
        """The invitations of the last 90 days and those that are open, newest first."""
        require_operation(self.actor, "invitation.read")
        pages = CursorPages()
        rows = pages.paginate_queryset(invitation_list(self.tenant), request, view=self)
        return pages.get_paginated_response([_document(found) for found in with_states(self.tenant, rows or ())])

    @extend_schema(
        operation_id="invitations_create",
        parameters=[ONCE],
        request=InvitationCreate,
        responses={201: InvitationCreated},
    )
    def post(self, request: Request) -> Response:
        """Make a link that lets one person in within 7 days; only owners invite owners."""
        body = parse_body(InvitationCreate, request.data)

        def make() -> Response:
            invitation, plain = invitation_create(actor=self.actor, role=body.role, note=body.note)
            url = request.build_absolute_uri(reverse("join", args=[plain]))
            return Response({**_document(Found(invitation=invitation, state=State.OPEN)), "url": url}, status=201)

        return self.create(make)


class InvitationDetail(TenantAPIView):
    scopes = ADMIN_ONLY

    @extend_schema(operation_id="invitations_retrieve", responses=InvitationBody)
    def get(self, request: Request, pk: str) -> Response:
        require_operation(self.actor, "invitation.read")
        return Response(_document(with_states(self.tenant, [self.find(Invitation, pk)])[0]))

    @extend_schema(operation_id="invitations_delete", responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        """Revoke an invitation: its link leads nowhere from then on. 409 once it was accepted."""
        invitation_revoke(actor=self.actor, invitation=self.find(Invitation, pk))
        return Response(status=204)

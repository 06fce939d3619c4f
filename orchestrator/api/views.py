"""What every API view shares: the actor, its rights, and idempotent creation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext as _
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator.api.idempotency import answer_once
from orchestrator.api.pagination import CursorPages
from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.models import Scope, Tenant


class TenantAPIView(APIView):
    """A view of one tenant. ``scopes`` maps a method to the scope it needs (reads `read`, others `write`)."""

    scopes: ClassVar[Mapping[str, Scope]] = {}

    @property
    def actor(self) -> Actor:
        actor = self.request.auth
        assert isinstance(actor, Actor), "TenantAccess lets no other caller in"
        return actor

    @property
    def tenant(self) -> Tenant:
        return self.actor.tenant

    def find(self, model: type[models.Model], pk: str) -> Any:
        """Return the tenant's row with this id, or raise NotFound: an id of another tenant looks like none at all."""
        return get_for_tenant_or_404(model, self.tenant, pk=_row_id(pk))

    def page(self, rows: models.QuerySet[Any], as_document: Callable[[Any], Mapping[str, Any]]) -> Response:
        """Return one cursor page of ``rows``, each as its document."""
        pages = CursorPages()
        found = pages.paginate_queryset(rows, self.request, view=self)
        return pages.get_paginated_response([as_document(row) for row in found or ()])

    def create(self, make: Callable[[], Response]) -> Response:
        """Answer a POST that makes something, once for each Idempotency-Key."""
        return answer_once(self.request, self.actor, make)

    def body(self) -> Any:
        """Return the body of a request whose keys may all be left out: none at all is an empty object."""
        return {} if self.request.data is None else self.request.data

    def if_match(self) -> int | None:
        """Return the revision that the caller saw, from ``If-Match``; None without the header."""
        value = self.request.headers.get("If-Match")
        if value is None or value.strip() == "*":
            return None
        try:
            return int(value.strip().removeprefix("W/").strip('"'))
        except ValueError:
            raise Invalid(
                _("If-Match is %(value).40r; send the workflow's `revision`, a whole number.") % {"value": value}
            ) from None


def _row_id(text: str) -> int:
    """Return the id, or -1 for anything that cannot be one, so that the look-up ends as not found."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        return -1
    number = int(text)
    return number if number < 2**63 else -1

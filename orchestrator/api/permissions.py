"""Who may call: a caller with an actor, and a token whose scopes cover the method.

Apart from the views: DRF imports this while it is importing its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from orchestrator.errors import Forbidden
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Scope

if TYPE_CHECKING:
    from rest_framework.views import APIView

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class TenantAccess(BasePermission):
    """A caller with an actor, and a token whose scopes cover the method; roles are the services' to check."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        actor = request.auth
        if not isinstance(actor, Actor):
            return False
        if actor.token is None:
            # A person in their browser has no scopes to choose: their role decides.
            return True
        default = Scope.READ if request.method in _SAFE else Scope.WRITE
        needed: Scope = getattr(view, "scopes", {}).get(request.method, default)
        if needed not in actor.scopes:
            raise Forbidden(
                _("This token lacks the scope `%(scope)s`. Make a token that has it, or ask somebody who may.")
                % {"scope": needed.value}
            )
        return True

"""What the person of a request administers, and as whom they act there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from orchestrator.errors import NotFound
from orchestrator.tenants.access import ROLE_SCOPES, Actor
from orchestrator.tenants.models import Membership, Role, SecondFactor, Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.tenants.sign_on_sessions import Marks, marks_of

STAFF_ROLES: Final = tuple(role for role in Role if role.rank >= Role.EDITOR.rank)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What one person administers: every tenant, or those in ``roles``."""

    user: User | None
    everywhere: bool
    roles: Mapping[int, Role]

    def may(self, operation: str, tenant_id: int | None = None) -> bool:
        """Whether ``operation``, a key of MINIMUM_ROLE, is theirs in the tenant; without one, in any."""
        if self.everywhere:
            return True
        least = MINIMUM_ROLE[operation].rank
        if tenant_id is not None:
            return tenant_id in self.roles and self.roles[tenant_id].rank >= least
        return any(role.rank >= least for role in self.roles.values())

    def ids(self, operation: str) -> list[int]:
        """Return the tenants in which ``operation`` is theirs; of no use to who reaches everywhere."""
        return [tenant_id for tenant_id in self.roles if self.may(operation, tenant_id)]

    def tenants(self, operation: str = "workflow.read") -> models.QuerySet[Tenant]:
        """Return the tenants in which ``operation`` is theirs, by name."""
        rows = Tenant.objects.order_by("name")
        return rows if self.everywhere else rows.filter(pk__in=self.ids(operation))


def reach_of(request: HttpRequest) -> Reach:
    """Return what the person of a request administers; one query a request."""
    known: Reach | None = getattr(request, "_admin_reach", None)
    if known is None:
        known = _reach(request.user, marks_of(request.session))
        request._admin_reach = known  # type: ignore[attr-defined]
    return known


def _reach(user: Any, marks: Marks) -> Reach:
    if not isinstance(user, User) or not user.is_active or not user.is_staff:
        return Reach(user=None, everywhere=False, roles={})
    if user.is_superuser:
        return Reach(user=user, everywhere=True, roles={})
    has_factor = Exists(SecondFactor.objects.filter(user=OuterRef("user"), confirmed_at__isnull=False))
    given = Q(tenant__second_factor_required=False) | has_factor
    by_password = Q(tenant__single_sign_on_required=False) | Q(role=Role.OWNER)
    rows = Membership.unscoped.filter(user=user, role__in=STAFF_ROLES).values_list("tenant_id", "role")
    # What a tenant asks for on its pages it asks for here.
    rows = rows.filter((given & by_password) | Q(tenant_id__in=[each for each in marks.at if marks.opens(each)]))
    roles = {tenant_id: Role(role) for tenant_id, role in rows if marks.admits(tenant_id)}
    return Reach(user=user, everywhere=False, roles=roles)


def actor_of(request: HttpRequest, tenant: Tenant) -> Actor:
    """Return the signed-in person as an actor of ``tenant``. Raises NotFound for one they do not administer."""
    reach = reach_of(request)
    role = Role.OWNER if reach.everywhere else reach.roles.get(tenant.pk)
    if reach.user is None or role is None:
        raise NotFound(_("There is no such tenant."))
    return Actor(tenant=tenant, role=role, scopes=ROLE_SCOPES[role], user=reach.user)

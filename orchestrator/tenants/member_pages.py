"""Settings → Members: who belongs to the tenant and with which role; admins change and remove, everybody may leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.errors import Conflict
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Membership, Role
from orchestrator.tenants.permissions import MINIMUM_ROLE, require_operation
from orchestrator.tenants.role_words import RoleWords, all_roles, role_words, roles_to_give
from orchestrator.tenants.second_factor import may_reset, people_with_factor
from orchestrator.tenants.selectors import member_list
from orchestrator.tenants.services import member_add, member_remove
from orchestrator.tenants.shell import page
from orchestrator.tenants.sign_on_people import people_linked

ROWS: Final = 50


@dataclass(frozen=True, kw_only=True)
class MemberRow:
    """A member as the table shows them; ``offered`` are the roles that the reader may give to them, if any."""

    member: Membership
    role: RoleWords
    offered: list[RoleWords]
    is_self: bool
    may_remove: bool
    has_factor: bool
    is_linked: bool
    may_reset: bool


@require_safe
@tenant_page()
def members(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the members by name, 50 a page."""
    paged = Paginator(member_list(actor.tenant), ROWS).get_page(request.GET.get("page"))
    users = [member.user_id for member in paged]
    with_factor, linked = people_with_factor(users), people_linked(actor.tenant, users)
    context: dict[str, Any] = {
        "rows": [
            _row(actor, member, has_factor=member.user_id in with_factor, is_linked=member.user_id in linked)
            for member in paged
        ],
        "paged": paged,
        "roles": all_roles(),
        "may_edit": actor.may(MINIMUM_ROLE["member.edit"]),
    }
    return page(request, actor, "settings/members.html", context, nav="settings")


def _row(actor: Actor, member: Membership, *, has_factor: bool, is_linked: bool) -> MemberRow:
    is_self = member.user == actor.user
    may = actor.may(MINIMUM_ROLE["owner.edit" if member.role == Role.OWNER else "member.edit"])
    return MemberRow(
        member=member,
        role=role_words(member.role),
        offered=roles_to_give(actor) if may else [],
        is_self=is_self,
        may_remove=may or is_self,
        has_factor=has_factor,
        is_linked=is_linked,
        may_reset=has_factor and may and not is_self and may_reset(actor),
    )


@require_POST
@tenant_page()
def member_role(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Give a member another role."""
    member = get_for_tenant_or_404(Membership, actor.tenant, pk=pk)
    require_operation(actor, "member.edit")
    name, wanted = member.user.get_username(), request.POST.get("role", "")
    if wanted not in Role.values:
        messages.error(request, _("Nothing was changed: choose a role that is offered."))
        return _back(actor)
    try:
        member = member_add(actor=actor, user=member.user, role=Role(wanted))
    except Conflict as error:
        messages.error(request, error.message)
        return _back(actor)
    said = _("%(name)s has the role %(role)s now.") % {"name": name, "role": role_words(member.role).name}
    messages.success(request, said)
    return _back(actor)


@require_POST
@tenant_page()
def member_take_out(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Take a member out of the tenant; who takes themselves out leaves it."""
    member = get_for_tenant_or_404(Membership, actor.tenant, pk=pk)
    name, leaves = member.user.get_username(), member.user == actor.user
    try:
        member_remove(actor=actor, membership=member)
    except Conflict as error:
        messages.error(request, error.message)
        return _back(actor)
    if leaves and not request.user.is_superuser:
        messages.success(request, _("You have left %(tenant)s.") % {"tenant": actor.tenant.name})
        return redirect("root")
    messages.success(request, _("%(name)s is no longer a member. Their API keys are revoked.") % {"name": name})
    return _back(actor)


def _back(actor: Actor) -> HttpResponse:
    return redirect("members", actor.tenant.slug)

"""Settings → Invitations: admins make links that let people in, see what became of each, and take them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_http_methods, require_POST

from orchestrator.errors import Conflict, Invalid, Problem, ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.invitations import (
    Found,
    State,
    invitation_create,
    invitation_list,
    invitation_revoke,
    with_states,
)
from orchestrator.tenants.models import Invitation, Role
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.tenants.role_words import role_words, roles_to_give
from orchestrator.tenants.shell import page

MOST_SHOWN: Final = 100
_FIRST: Final = Role.EDITOR.value
# How each state looks: the pill's class, its icon and its word.
_FACES: Final[Mapping[State, tuple[str, str, str]]] = {
    State.OPEN: ("live", "clock", noop("Open")),
    State.ACCEPTED: ("ok", "check", noop("Accepted")),
    State.REVOKED: ("idle", "minus", noop("Revoked")),
    State.EXPIRED: ("idle", "clock", noop("Expired")),
    State.VOID: ("warn", "alert", noop("Void")),
}


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(MINIMUM_ROLE["invitation.read"])
def invitations(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the invitations; a POST makes one, and its answer is the only page that ever shows the link.

    It is not a redirect for that reason: the link would have to be kept in between.
    """
    if request.method != "POST":
        return _page(request, actor)
    entered = {name: request.POST.get(name, "")[:300] for name in ("role", "note")}
    try:
        if entered["role"] not in Role.values:
            problem = Problem(path="role", message=_("Choose what they may do."), code="choice")
            raise Invalid(_("The invitation was not made."), problems=[problem])
        made, plain = invitation_create(actor=actor, role=Role(entered["role"]), note=entered["note"])
    except (Invalid, Conflict) as error:
        return _page(request, actor, entered=entered, refused=error, status=error.status)
    link = request.build_absolute_uri(reverse("join", args=[plain]))
    return _page(request, actor, made=made, link=link, status=201)


@require_POST
@tenant_page(MINIMUM_ROLE["invitation.edit"])
def invitation_take_back(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Revoke an invitation: its link leads nowhere from then on."""
    invitation = get_for_tenant_or_404(Invitation, actor.tenant, pk=pk)
    try:
        invitation_revoke(actor=actor, invitation=invitation)
    except Conflict as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("The invitation is revoked: its link leads nowhere now."))
    return redirect("invitations", actor.tenant.slug)


def _page(
    request: HttpRequest,
    actor: Actor,
    *,
    entered: Mapping[str, str] | None = None,
    refused: ServiceError | None = None,
    made: Invitation | None = None,
    link: str = "",
    status: int = 200,
) -> HttpResponse:
    rows = invitation_list(actor.tenant)
    context: dict[str, Any] = {
        "rows": [_row(found) for found in with_states(actor.tenant, rows[:MOST_SHOWN])],
        "more": max(0, rows.count() - MOST_SHOWN),
        "roles": roles_to_give(actor),
        "entered": entered or {"role": _FIRST, "note": ""},
        "said": refused.message if refused else "",
        "wrong": {problem.path: problem.message for problem in refused.problems} if refused else {},
        "made": made,
        "link": link,
    }
    return page(request, actor, "settings/invitations.html", context, nav="settings", status=status)


def _row(found: Found) -> dict[str, Any]:
    css, icon, word = _FACES[found.state]
    return {
        "invitation": found.invitation,
        "role": role_words(found.invitation.role).name,
        "css": css,
        "icon": icon,
        "word": _(word),
        "is_open": found.state is State.OPEN,
        "may_revoke": found.state in (State.OPEN, State.VOID),
    }

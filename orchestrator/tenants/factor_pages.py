"""The second factor on the pages: one's own under ``/account/``, a member's reset, and a tenant that asks for it."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from orchestrator.errors import Conflict, Forbidden, Invalid
from orchestrator.tenants import second_factor as factors
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.account_pages import account_page, person_of, require_password
from orchestrator.tenants.models import Membership
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.tenants.sessions import sessions_end


@sensitive_post_parameters()
@require_POST
@login_required
def second_factor(request: HttpRequest) -> HttpResponse:
    """Set up one's own second factor, confirm it, renew the recovery codes, or turn it off: ``do`` says which."""
    user, do = person_of(request), request.POST.get("do", "")
    work = {"begin": _begin, "confirm": _confirm, "cancel": _cancel, "renew": _renew, "off": _turn_off}.get(do)
    try:
        if work is None:
            raise Invalid(_("It is not said what is to be done. Press one of the buttons."))
        return work(request, user)
    except (Invalid, Conflict) as error:
        return account_page(request, {"factor_said": error.message}, status=error.status)


def _begin(request: HttpRequest, user: User) -> HttpResponse:
    # Who finds an open browser must not lock its owner out.
    require_password(request, user, path="password")
    factors.factor_begin(user=user)
    return _again(request)


def _cancel(request: HttpRequest, user: User) -> HttpResponse:
    factors.factor_cancel(user=user)
    return _again(request)


def _again(request: HttpRequest) -> HttpResponse:
    """Lead back to the page, which still knows the tenant that sent the person there."""
    slug = request.POST.get("for", "")[:63]
    query = f"?{urlencode({'for': slug})}" if slug else ""
    return redirect(f"{reverse('account')}{query}#second")


def _confirm(request: HttpRequest, user: User) -> HttpResponse:
    codes = factors.factor_confirm(user=user, **_entered(request))
    # They were begun without it.
    sessions_end(user=user, this=request.session.session_key)
    # Not a redirect: the codes would have to be kept in between.
    return account_page(request, {"codes": codes}, status=201)


def _renew(request: HttpRequest, user: User) -> HttpResponse:
    return account_page(request, {"codes": factors.recovery_renew(user=user, **_entered(request))}, status=201)


def _turn_off(request: HttpRequest, user: User) -> HttpResponse:
    factors.factor_turn_off(user=user, **_entered(request))
    messages.success(request, _("Your second factor is off: your password alone signs you in."))
    return redirect("account")


def _entered(request: HttpRequest) -> dict[str, str]:
    return {"code": request.POST.get("code", "")[:100], "address": str(request.META.get("REMOTE_ADDR", ""))}


@require_POST
@tenant_page(MINIMUM_ROLE["factor.reset"])
def member_factor(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Turn a member's second factor off, for who has lost it; their sessions end."""
    member = get_for_tenant_or_404(Membership, actor.tenant, pk=pk)
    try:
        factors.factor_reset(actor=actor, membership=member)
    except (Conflict, Forbidden) as error:
        messages.error(request, error.message)
    else:
        said = _("The second factor of %(name)s is off. They are signed out and set up another.")
        messages.success(request, said % {"name": member.user.get_username()})
    return redirect("members", actor.tenant.slug)


@require_POST
@tenant_page(MINIMUM_ROLE["factor.require"])
def required(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Ask every member for a second factor, or no longer."""
    wanted = request.POST.get("required") == "yes"
    try:
        factors.tenant_require_factor(actor=actor, required=wanted)
    except Conflict as error:
        messages.error(request, error.message)
    else:
        on, off = _("Members need a second factor from now on."), _("Members need no second factor any more.")
        messages.success(request, on if wanted else off)
    return redirect("settings", actor.tenant.slug)

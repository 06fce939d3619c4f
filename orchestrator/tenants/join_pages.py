"""``/join/<token>/``: what an invitation's link leads to. A GET only shows, so that no scanner of links accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from orchestrator.errorpages import error_response
from orchestrator.errors import Conflict, Invalid, Problem
from orchestrator.tenants.invitations import State, account_create, invitation_accept, invitation_find
from orchestrator.tenants.models import Invitation
from orchestrator.tenants.role_words import role_words
from orchestrator.tenants.selectors import is_member
from orchestrator.tenants.sessions import sign_in
from orchestrator.tenants.shell import private, theme_of
from orchestrator.tenants.sign_on_sessions import marks_of
from orchestrator.tenants.signin import sign_in_failed, sign_in_wait
from orchestrator.tenants.single_sign_on import single_sign_on_at

# Why an invitation cannot be accepted, and what helps.
_OVER: Final[Mapping[State, str]] = {
    State.ACCEPTED: noop("It was used already, and can be used once. Ask for a new one, or sign in if it was you."),
    State.REVOKED: noop("It was taken back. Ask who sent it to you whether you get a new one."),
    State.EXPIRED: noop("Its 7 days are over. Ask who sent it to you for a new one."),
    State.VOID: noop("Who sent it may not invite people any more. Ask an admin of the tenant for a new one."),
}


@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Show what the invitation is for; a POST accepts it, with a new account for who has none."""
    found = invitation_find(token)
    if found is None:
        return _unlisted(error_response(request, 404))
    invitation = found.invitation
    user = request.user if isinstance(request.user, User) else None
    if user is not None and is_member(invitation.tenant, user):
        return _already(request, invitation, user)
    if found.state is not State.OPEN:
        return _over(request, found.state)
    if user is not None and not marks_of(request.session).admits(invitation.tenant_id):
        return _other_way(request, invitation)
    if request.method != "POST":
        return _page(request, invitation, token=token)
    try:
        if user is not None:
            invitation_accept(user=user, plain=token)
        else:
            user = _with_account(request, invitation, token)
    except Conflict:
        # Somebody else was quicker, or it was taken back meanwhile: the page says what it is now.
        return _unlisted(redirect("join", token))
    except Invalid as error:
        said = _("The account was not made.") if error.problems else error.message
        return _page(request, invitation, token=token, said=said, problems=error.problems, status=error.status)
    tenant = invitation.tenant
    messages.success(request, _("Welcome to %(tenant)s.") % {"tenant": tenant.name})
    return _unlisted(redirect("home", tenant.slug))


def _with_account(request: HttpRequest, invitation: Invitation, token: str) -> User:
    """Make an account from the form, accept with it and sign it in. Raises Invalid, naming the fields."""
    name, password = request.POST.get("username", "").strip()[:151], request.POST.get("password", "")[:4096]
    # Counted as sign-ins are: the form tells whether a name is taken.
    counted, address = f"invitation {invitation.pk}", request.META.get("REMOTE_ADDR", "")
    if seconds := sign_in_wait(name=counted, address=address):
        said = _("Too many tries. Wait %(seconds)d s and try again.") % {"seconds": seconds}
        raise Invalid(said)
    if password != request.POST.get("again", ""):
        problem = Problem(path="again", message=_("The two passwords differ. Type both again."), code="differs")
        raise Invalid(problem.message, problems=[problem])
    try:
        user = account_create(plain=token, name=name, password=password)
    except Invalid as error:
        if any(problem.code == "taken" for problem in error.problems):
            sign_in_failed(name=counted, address=address)
        raise
    sign_in(request, user)
    return user


def _page(
    request: HttpRequest,
    invitation: Invitation,
    *,
    token: str,
    said: str = "",
    problems: tuple[Problem, ...] = (),
    status: int = 200,
) -> HttpResponse:
    words = role_words(invitation.role)
    context: dict[str, Any] = {
        "title": _("Join %(tenant)s") % {"tenant": invitation.tenant.name},
        "inviter": invitation.invited_by.get_full_name() or invitation.invited_by.get_username(),
        "role": words.name,
        "meaning": words.meaning,
        "ends": invitation.expires_at,
        "person": request.user.get_username() if isinstance(request.user, User) else "",
        "name": request.POST.get("username", "")[:150],
        "sign_on": _sign_on(invitation, token),
        "said": said,
        "wrong": {problem.path: problem.message for problem in reversed(problems)},
    }
    with timezone.override(invitation.tenant.time_zone):
        return _rendered(request, context, status)


def _sign_on(invitation: Invitation, token: str) -> str:
    """Return the address at which the tenant's provider accepts for a person, or nothing where it has none."""
    slug = invitation.tenant.slug
    if single_sign_on_at(slug) is None:
        return ""
    return f"{reverse('sso-tenant', args=[slug])}?{urlencode({'invitation': token})}"


def _already(request: HttpRequest, invitation: Invitation, user: User) -> HttpResponse:
    tenant = invitation.tenant
    reason = _("You belong to %(tenant)s already, as %(name)s. There is nothing to accept; the link stays unused.")
    context = {
        "title": _("You are a member already"),
        "reason": reason % {"tenant": tenant.name, "name": user.get_username()},
        "home": reverse("home", args=[tenant.slug]),
    }
    return _rendered(request, context, 200)


def _other_way(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    """Say that what another tenant's provider vouched for does not count here."""
    reason = _(
        "The single sign-on of another tenant signed you in, and it opens that tenant alone. Sign out and open the "
        "link again: then sign in with a password, or make another account."
    )
    context = {"title": _("Join %(tenant)s") % {"tenant": invitation.tenant.name}, "reason": reason, "signs_out": True}
    return _rendered(request, context, 403)


def _over(request: HttpRequest, state: State) -> HttpResponse:
    """Say why the link leads nowhere; whose it was is nobody's business any more."""
    return _rendered(request, {"title": _("This invitation is over"), "reason": _(_OVER[state])}, 410)


def _rendered(request: HttpRequest, context: Mapping[str, Any], status: int) -> HttpResponse:
    text = render_to_string("registration/join.html", {**context, "theme": theme_of(request)}, request)
    return _unlisted(HttpResponse(text.encode("utf-8", "backslashreplace"), status=status))


def _unlisted(response: HttpResponse) -> HttpResponse:
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return private(response)

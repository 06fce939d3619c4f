"""``/account/``: a person's own password, second factor and sessions, the same in every tenant."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from orchestrator.errors import Invalid, Problem
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.qr import drawn
from orchestrator.tenants.second_factor import factor_address, factor_of, recovery_codes_left
from orchestrator.tenants.selectors import tenants_for
from orchestrator.tenants.services import own_sessions_end, password_problems, user_update
from orchestrator.tenants.sessions import session_list, sessions_end
from orchestrator.tenants.shell import private, theme_of
from orchestrator.tenants.sign_on_people import linkable, links_of
from orchestrator.tenants.signin import sign_in_failed, sign_in_succeeded, sign_in_wait

_LONGEST = 4096


@require_safe
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Show what a person can change of their own account."""
    return account_page(request)


@sensitive_post_parameters()
@require_POST
@login_required
def password(request: HttpRequest) -> HttpResponse:
    """Set a new password, for who knows the present one; their other sessions end."""
    user = person_of(request)
    new = request.POST.get("new", "")[:_LONGEST]
    try:
        require_password(request, user, path="current")
        if new != request.POST.get("again", "")[:_LONGEST]:
            problem = Problem(path="again", message=_("The two passwords differ. Type both again."), code="differs")
            raise Invalid(problem.message, problems=[problem])
        if weak := password_problems(new, user):
            said = " ".join(weak)
            raise Invalid(said, problems=[Problem(path="new", message=said, code="weak")])
        saved = user_update(by=user, user=user, changes={}, password=new)
    except Invalid as error:
        wrong = {problem.path: problem.message for problem in error.problems}
        return account_page(request, {"wrong": wrong, "password_said": "" if wrong else error.message}, status=400)
    # The session is renewed from this object, which must have the new hash.
    user.password = saved.password
    update_session_auth_hash(request, user)
    sessions_end(user=user, this=request.session.session_key)
    messages.success(request, _("The password is changed, and your other sessions are ended."))
    return redirect("account")


@require_POST
@login_required
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End one other session, or all others."""
    mark = request.POST.get("mark", "")[:64]
    count = own_sessions_end(user=person_of(request), this=request.session.session_key, mark=mark)
    said = ngettext("%(count)d session is ended.", "%(count)d sessions are ended.", count) % {"count": count}
    messages.success(request, said if count else _("There is no such session any more."))
    return redirect("account")


def person_of(request: HttpRequest) -> User:
    """Return the signed-in person of a page that asks for one."""
    assert isinstance(request.user, User)
    return request.user


def require_password(request: HttpRequest, user: User, *, path: str) -> None:
    """Raise Invalid unless the field ``path`` has the person's password; guessing is slowed down as signing in is."""
    counted, address = f"password of {user.pk}", str(request.META.get("REMOTE_ADDR", ""))
    if seconds := sign_in_wait(name=counted, address=address):
        raise Invalid(_("Too many wrong tries. Wait %(seconds)d s and try again.") % {"seconds": seconds})
    if not user.check_password(request.POST.get(path, "")[:_LONGEST]):
        sign_in_failed(name=counted, address=address)
        problem = Problem(path=path, message=_("This is not your password. Type it again."), code="wrong")
        raise Invalid(problem.message, problems=[problem])
    sign_in_succeeded(name=counted, address=address)


def _second(user: User) -> dict[str, Any]:
    """Return what the page tells of the second factor: none, one that waits for its first code, or one that is on."""
    factor = factor_of(user)
    if factor is None:
        return {"factor": "none"}
    if factor.confirmed_at is not None:
        return {"factor": "on", "since": factor.confirmed_at, "left": recovery_codes_left(user)}
    address, secret = factor_address(factor)
    return {"factor": "begun", "qr": drawn(address), "secret": " ".join(wrap(secret, 4)), "address": address}


def _asking(request: HttpRequest, user: User) -> Tenant | None:
    """Return the tenant that sent the person here for a second factor, if it is one of theirs."""
    slug = request.GET.get("for", request.POST.get("for", ""))[:63]
    return next((tenant for tenant in tenants_for(user) if tenant.slug == slug), None) if slug else None


def account_page(request: HttpRequest, more: Mapping[str, Any] | None = None, *, status: int = 200) -> HttpResponse:
    """Return the page, with what went wrong or is shown once in ``more``."""
    user = person_of(request)
    sessions = session_list(user, request.session.session_key)
    context = {
        **_second(user),
        "asking": _asking(request, user),
        "person": user.get_username(),
        "has_password": user.has_usable_password(),
        "links": links_of(user),
        "linkable": linkable(user),
        "to_link": request.GET.get("link", request.POST.get("for", ""))[:63],
        "sessions": sessions,
        "others": sum(not session.is_this for session in sessions),
        "theme": theme_of(request),
        **(more or {}),
    }
    text = render_to_string("account/account.html", context, request)
    return private(HttpResponse(text.encode("utf-8", "backslashreplace"), status=status))

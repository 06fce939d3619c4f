"""Signing in and out, the way to a tenant, and the person's theme."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.errors import Forbidden
from orchestrator.tenants.forms import SignInForm
from orchestrator.tenants.selectors import tenants_for
from orchestrator.tenants.shell import THEME_COOKIE, THEMES, is_fragment, private, theme_of

LAST_TENANT = "tenant"  # the session's key of the slug seen last
_YEAR = 365 * 24 * 3600


class SignIn(LoginView):
    """The sign-in page; what htmx asked for while signed out becomes a visit of this page."""

    template_name = "registration/sign_in.html"
    form_class = SignInForm
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_fragment(request):
            return HttpResponse(status=204, headers={"HX-Redirect": request.path})
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "theme": theme_of(self.request)}


class SignOut(LogoutView):
    """End the session, by POST alone."""

    http_method_names = ["post", "options"]  # noqa: RUF012  (Django's own attribute)


@require_safe
def root(request: HttpRequest) -> HttpResponse:
    """Lead to the tenant seen last, else the first one, else to the sign-in page."""
    if not isinstance(request.user, User):
        return redirect("sign-in")
    slugs = [tenant.slug for tenant in tenants_for(request.user)]
    if not slugs:
        raise Forbidden(
            _("You belong to no tenant yet. Ask an owner or admin of one to add %(name)s as a member.")
            % {"name": request.user.get_username()}
        )
    last = request.session.get(LAST_TENANT)
    return redirect("home", last if last in slugs else slugs[0])


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the person's theme in a cookie and go back to where they were."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        target = "/"
    response = HttpResponseRedirect(target)
    chosen = request.POST.get("theme", "")
    if chosen in THEMES:
        response.set_cookie(
            THEME_COOKIE, chosen, max_age=_YEAR, secure=request.is_secure(), httponly=True, samesite="Lax"
        )
    return private(response)

"""Signing in and out, the way to a tenant, and the person's theme."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from orchestrator.errors import Forbidden, Invalid
from orchestrator.tenants.forms import SignInForm
from orchestrator.tenants.second_factor import factor_check, has_factor
from orchestrator.tenants.sessions import HELD, held, hold, sign_in
from orchestrator.tenants.shell import THEME_COOKIE, THEMES, is_fragment, private, tenants_open, theme_of
from orchestrator.tenants.single_sign_on import note_way_around

LAST_TENANT = "tenant"  # the session's key of the slug seen last
_YEAR = 365 * 24 * 3600


class SignIn(LoginView):
    """The sign-in page; what htmx asked for while signed out becomes a visit of this page."""

    template_name = "registration/sign_in.html"
    form_class = SignInForm
    redirect_authenticated_user = True
    # Django's own takes a PUT as a POST.
    http_method_names = ["get", "head", "post", "options"]  # noqa: RUF012  (Django's own attribute)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if is_fragment(request):
            return HttpResponse(status=204, headers={"HX-Redirect": request.path})
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        assert isinstance(user, User)
        target = self.get_success_url()
        if has_factor(user):
            hold(self.request, user)
            return redirect(f"{reverse('sign-in-code')}?{urlencode({'next': target})}")
        sign_in(self.request, user)
        note_way_around(user)
        return HttpResponseRedirect(target)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "theme": theme_of(self.request)}


class SignOut(LogoutView):
    """End the session, by POST alone."""

    http_method_names = ["post", "options"]  # noqa: RUF012  (Django's own attribute)


@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_code(request: HttpRequest) -> HttpResponse:
    """Ask for the second factor of who has given their password, and begin their session with a right code."""
    user = held(request)
    if user is None:
        return redirect("sign-in")
    target = request.POST.get("next", request.GET.get("next", "/"))
    if not url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure()):
        target = "/"
    said, status = "", 200
    if request.method == "POST":
        try:
            code = request.POST.get("code", "")[:100]
            factor_check(user=user, code=code, address=str(request.META.get("REMOTE_ADDR", "")))
        except Invalid as error:
            said, status = error.message, error.status
        else:
            sign_in(request, user)
            note_way_around(user)
            request.session.pop(HELD, None)
            return HttpResponseRedirect(target)
    context = {"said": said, "next": target, "theme": theme_of(request)}
    text = render_to_string("registration/code.html", context, request)
    return private(HttpResponse(text, status=status))


@require_safe
def root(request: HttpRequest) -> HttpResponse:
    """Lead to the tenant seen last, else the first one, else to the sign-in page."""
    if not isinstance(request.user, User):
        return redirect("sign-in")
    slugs = [tenant.slug for tenant in tenants_open(request, request.user)]
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

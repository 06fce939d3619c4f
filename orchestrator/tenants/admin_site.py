"""The admin site: who may enter it, how they sign in, and what its first page shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView, redirect_to_login
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator.tenants import services
from orchestrator.tenants.admin_reach import Reach, reach_of
from orchestrator.tenants.models import AuditEvent
from orchestrator.tenants.shell import theme_of

RECENT_LINES: Final = 10


class PasswordForm(AdminPasswordChangeForm):
    """One's own new password, which a service sets and writes to the audit log."""

    def save(self, commit: bool = True) -> User:
        saved = services.user_update(
            by=self.user, user=self.user, changes={}, password=self.cleaned_data["new_password1"]
        )
        # The session is renewed from this object: it must have the new hash.
        self.user.password = saved.password
        return saved


class TenantAdminSite(admin.AdminSite):
    """The product's admin: django-q's tables, sessions and auth internals are not in it."""

    site_header = "Orchestrator"
    site_title = "Orchestrator admin"
    index_title = gettext_lazy("Administration")
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        reach = reach_of(request)
        return reach.everywhere or bool(reach.roles)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(_without_nul(view), cacheable)

    def get_urls(self) -> list[Any]:
        # "View on site" looks any row of any table up; nothing here needs it.
        return [pattern for pattern in super().get_urls() if getattr(pattern, "name", "") != "view_on_site"]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().each_context(request), "theme": theme_of(request)}

    def login(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        """Lead to the product's own sign-in page; who is signed in and no staff goes to their tenant."""
        if self.has_permission(request):
            return redirect("admin:index")
        if request.user.is_authenticated:
            messages.error(
                request,
                _(
                    "The administration is for staff who are an editor or above of a tenant. "
                    "Trying again does not help: ask your operator."
                ),
            )
            return redirect("root")
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"), reverse("sign-in"))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        view = PasswordChangeView.as_view(
            form_class=PasswordForm,
            success_url=reverse("admin:password_change_done"),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {"recent": _recent(reach_of(request)), **(extra_context or {})})


def _recent(reach: Reach) -> list[AuditEvent]:
    """Return the latest changes in the tenants whose audit log the person may read."""
    if not reach.may("audit.read"):
        return []
    rows = AuditEvent.unscoped.select_related("tenant").defer("detail").order_by("-id")
    return list((rows if reach.everywhere else rows.filter(tenant_id__in=reach.ids("audit.read")))[:RECENT_LINES])


def _without_nul(view: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a NUL in a query: PostgreSQL takes none in a text, and none is ever meant."""

    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if any("\x00" in value for values in request.GET.lists() for value in (values[0], *values[1])):
            raise BadRequest(_("The address holds a NUL character."))
        return view(request, *args, **kwargs)

    checked.__dict__.update(view.__dict__)
    checked.__name__ = getattr(view, "__name__", "view")
    return checked


site = TenantAdminSite(name="admin")

"""The admin for tenants' staff: every list, choice, search, history and action is scoped to their tenants.

Staff of a tenant (``is_staff`` and a membership of editor or above) need no Django permissions; a superuser
sees every tenant. An object of another tenant looks like one that does not exist.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.http import HttpRequest

from orchestrator.errors import NotFound
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Membership, Role, Tenant
from orchestrator.tenants.scoping import TenantOwned

STAFF_ROLES = tuple(role for role in Role if role.rank >= Role.EDITOR.rank)


def tenants_of(user: User | AnonymousUser) -> models.QuerySet[Tenant]:
    """Return the tenants whose data this person administers."""
    if not user.is_active or not user.is_staff:
        return Tenant.objects.none()
    if user.is_superuser:
        return Tenant.objects.all()
    memberships = Membership.unscoped.filter(user=user, role__in=STAFF_ROLES)
    return Tenant.objects.filter(pk__in=memberships.values("tenant_id"))


def actor_of(request: HttpRequest, tenant: Tenant) -> Actor:
    """Return the signed-in person as an actor of ``tenant``. Raises NotFound when they do not belong to it."""
    if not isinstance(request.user, User):
        raise NotFound("There is no such tenant.")
    return actor_for_user(request.user, tenant.slug)


class TenantAdminSite(admin.AdminSite):
    """The product's admin: django-q's tables, sessions and auth internals are not in it."""

    site_header = "Orchestrator"
    site_title = "Orchestrator admin"
    index_title = "Administration"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_staff) and (
            request.user.is_superuser or tenants_of(request.user).exists()
        )


site = TenantAdminSite(name="admin")


class ScopedMixin:
    """Scopes rows and foreign keys; shared by model admins and inlines."""

    model: type[models.Model]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return rows if request.user.is_superuser else rows.filter(tenant__in=tenants_of(request.user))

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        target = db_field.related_model
        if target is Tenant:
            kwargs["queryset"] = tenants_of(request.user)
        elif isinstance(target, type) and issubclass(target, TenantOwned):
            kwargs["queryset"] = target.unscoped.filter(tenant__in=tenants_of(request.user))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return site.has_permission(request) and _is_theirs(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return site.has_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)


class ReadOnlyMixin:
    """Rows that are looked at, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _is_theirs(request: HttpRequest, obj: Any) -> bool:
    if obj is None or request.user.is_superuser:
        return True
    tenant_id: int = obj.pk if isinstance(obj, Tenant) else obj.tenant_id
    return tenants_of(request.user).filter(pk=tenant_id).exists()

"""Which rows of the admin a person sees and may change: those of the tenants that they reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from orchestrator.tenants.admin_reach import reach_of
from orchestrator.tenants.admin_site import site
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.scoping import TenantOwned

_MAX_ID: Final = 2**63


class ScopedMixin:
    """Scopes rows, choices and permissions; shared by model admins and inlines.

    ``operations`` names for view, add, change and delete the key of MINIMUM_ROLE that it needs; one that is
    missing is nobody's.
    """

    operations: ClassVar[Mapping[str, str]] = {}
    tenant_path: ClassVar[str] = "tenant_id"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows: models.QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        reach = reach_of(request)
        if reach.everywhere:
            return rows
        return rows.filter(**{f"{self.tenant_path}__in": reach.ids(self.operations["view"])})

    def formfield_for_foreignkey(
        self, db_field: models.ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        reach, target = reach_of(request), db_field.related_model
        if target is Tenant:
            kwargs["queryset"] = reach.tenants(self.operations["view"])
        elif isinstance(target, type) and issubclass(target, TenantOwned):
            rows = target.unscoped.all()
            kwargs["queryset"] = rows if reach.everywhere else rows.filter(tenant_id__in=list(reach.roles))
        elif target is User and not reach.everywhere:
            kwargs["queryset"] = User.objects.none()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[misc]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._allowed(request, "view", None)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allowed(request, "view", obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allowed(request, "add", obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allowed(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._allowed(request, "delete", obj)

    def _allowed(self, request: HttpRequest, what: str, obj: Any) -> bool:
        operation = self.operations.get(what)
        if operation is None or not site.has_permission(request):
            return False
        return reach_of(request).may(operation, None if obj is None else self.tenant_id_of(obj))

    def tenant_id_of(self, obj: Any) -> int:
        """Return the tenant that an object, or an inline's parent, belongs to."""
        return int(obj.pk if isinstance(obj, Tenant) else obj.tenant_id)


class TenantFilter(admin.SimpleListFilter):
    """Narrows a list to one tenant; shown to who has several."""

    title = gettext_lazy("tenant")
    parameter_name = "tenant"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        rows = reach_of(request).tenants(model_admin.operations["view"]).values_list("pk", "name")[:200]
        found = [(str(pk), name) for pk, name in rows]
        return found if len(found) > 1 else []

    def queryset(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> models.QuerySet[Any]:
        value = as_id(self.value())
        return queryset if value is None else queryset.filter(tenant_id=value)


def as_id(text: str | None) -> int | None:
    """Return the id that a text is, or None."""
    if not text or not text.isascii() or not text.isdigit() or int(text[:20]) >= _MAX_ID:
        return None
    return int(text)


class ReadOnlyMixin:
    """Rows that are looked at, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

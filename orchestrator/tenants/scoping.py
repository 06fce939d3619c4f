"""Tenant-owned tables: every query starts from a tenant, or says out loud that it does not."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, Self, TypeVar

from django.db import models

from orchestrator.ids import new_id


class UnscopedQuery(RuntimeError):
    """A tenant-owned table was queried without a tenant: a defect of ours, never shown to a person."""


_M = TypeVar("_M", bound=models.Model, covariant=True)


class TenantManager(models.Manager[_M]):
    """A manager that only answers ``for_tenant``; anything else raises UnscopedQuery."""

    def for_tenant(self, tenant: Any) -> models.QuerySet[_M]:
        """Return the rows of one tenant, given as a Tenant or its id. None is refused, not taken as "all"."""
        tenant_id = getattr(tenant, "pk", tenant)
        if not isinstance(tenant_id, int):
            raise UnscopedQuery(f"{self.model.__name__}.objects.for_tenant() needs a tenant, got {tenant!r}")
        return super().get_queryset().filter(tenant_id=tenant_id)

    def get_queryset(self) -> NoReturn:
        raise UnscopedQuery(
            f"{self.model.__name__}.objects was used without a tenant: start from .for_tenant(tenant), "
            f"or from {self.model.__name__}.unscoped where the whole system is meant"
        )


class Row(models.Model):
    """A row with an id that tells nothing of how many there are."""

    id = models.BigIntegerField(primary_key=True, default=new_id, editable=False)

    class Meta:
        abstract = True

    def refresh(self) -> Self:
        """Read the row again and return it."""
        self.refresh_from_db()
        return self


class TenantOwned(Row):
    """A row of exactly one tenant.

    ``objects`` fails closed. ``unscoped`` is for what serves every tenant (the driver's claim, the sweeper,
    the superuser's admin); a test holds the list of modules that may name it.
    """

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")

    objects = TenantManager()
    unscoped: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        abstract = True
        base_manager_name = "unscoped"
        default_manager_name = "unscoped"

"""Reads about people: who belongs where, and whether somebody a run acts for still may."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import QuerySet

from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Tenant

Authority = tuple[int, int | None, int | None]  # tenant id, user id, token id


def tenants_for(user: User) -> QuerySet[Tenant]:
    """Return the tenants a person belongs to, by name; a superuser sees all."""
    if user.is_superuser:
        return Tenant.objects.order_by("name")
    return Tenant.objects.filter(pk__in=Membership.unscoped.filter(user=user).values("tenant_id")).order_by("name")


def member_list(tenant: Tenant) -> QuerySet[Membership]:
    """Return the memberships of a tenant with their users, by user name."""
    return Membership.objects.for_tenant(tenant).select_related("user").order_by("user__username")


def is_member(tenant: Tenant, user: User) -> bool:
    """Whether a person belongs to a tenant."""
    return Membership.objects.for_tenant(tenant).filter(user=user).exists()


def valid_authorities(asked: Iterable[Authority]) -> frozenset[Authority]:
    """Return those of ``asked`` whose member, and token if there is one, still exist: whom runs act for.

    A token that has merely expired still counts: it started the run while it was good, and nobody took it away. At
    most three queries, however many are asked.
    """
    wanted = {(tenant, user, token) for tenant, user, token in asked if user is not None}
    if not wanted:
        return frozenset()
    tenants = {tenant for tenant, _, _ in wanted}
    users = {user for _, user, _ in wanted}
    members = set(
        Membership.unscoped.filter(tenant_id__in=tenants, user_id__in=users, user__is_active=True).values_list(
            "tenant_id", "user_id"
        )
    )
    superusers = set(User.objects.filter(pk__in=users, is_superuser=True, is_active=True).values_list("pk", flat=True))
    tokens = {token for _, _, token in wanted if token is not None}
    live = (
        set(ApiToken.unscoped.filter(pk__in=tokens).values_list("tenant_id", "user_id", "pk"))
        if tokens
        else frozenset()
    )
    return frozenset(
        (tenant, user, token)
        for tenant, user, token in wanted
        if ((tenant, user) in members or user in superusers) and (token is None or (tenant, user, token) in live)
    )


def events_of(tenant: Tenant, *, target_type: str, target_id: int) -> QuerySet[AuditEvent]:
    """Return what people did to one object, newest first."""
    return AuditEvent.objects.for_tenant(tenant).filter(target_type=target_type, target_id=target_id).order_by("-id")

"""Reads about people: who belongs where, and whether somebody a run acts for still may."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from orchestrator.tenants.models import ApiToken, Membership, Tenant

Authority = tuple[int, int | None, int | None]  # tenant id, user id, token id


def tenants_for(user: User) -> QuerySet[Tenant]:
    """Return the tenants a person belongs to, by name; a superuser sees all."""
    if user.is_superuser:
        return Tenant.objects.order_by("name")
    return Tenant.objects.filter(pk__in=Membership.unscoped.filter(user=user).values("tenant_id")).order_by("name")


def authority_is_valid(*, tenant_id: int, user_id: int | None, token_id: int | None) -> bool:
    """Whether the member, and the token if there is one, that a run acts for still exist."""
    return (tenant_id, user_id, token_id) in valid_authorities([(tenant_id, user_id, token_id)])


def valid_authorities(asked: Iterable[Authority]) -> frozenset[Authority]:
    """Return those of ``asked`` that still hold, in at most three queries however many are asked."""
    wanted = set(asked)
    users = {user for _, user, _ in wanted if user is not None}
    tokens = {token for _, _, token in wanted if token is not None}
    members = set(
        Membership.unscoped.filter(user_id__in=users, user__is_active=True).values_list("tenant_id", "user_id")
    )
    superusers = set(User.objects.filter(pk__in=users, is_superuser=True, is_active=True).values_list("pk", flat=True))
    live_tokens: set[int] = set()
    if tokens:
        rows = ApiToken.unscoped.filter(pk__in=tokens).exclude(expires_at__lte=timezone.now())
        live_tokens = set(rows.values_list("pk", flat=True))
    return frozenset(
        (tenant, user, token)
        for tenant, user, token in wanted
        if user is not None
        and ((tenant, user) in members or user in superusers)
        and (token is None or token in live_tokens)
    )

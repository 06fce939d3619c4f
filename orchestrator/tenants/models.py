"""Tenants, their people, their tokens and what was done by whom."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from orchestrator.fields import JSONTextField
from orchestrator.tenants.scoping import Row, TenantOwned


class Role(models.TextChoices):
    """What a member may do, least first; each role may do everything of those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"  # starts and stops runs, edits nothing
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Scope(models.TextChoices):
    """What a token may do, least first; never more than its user's role."""

    READ = "read"
    RUN = "run"
    WRITE = "write"
    ADMIN = "admin"


class Tenant(Row):
    """One customer: everything else belongs to exactly one of these."""

    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=64, default="UTC")
    max_concurrent_runs = models.PositiveIntegerField(null=True, blank=True)
    runs_per_minute = models.PositiveIntegerField(null=True, blank=True)
    retention_days = models.PositiveIntegerField(null=True, blank=True)
    egress_allow = JSONTextField(default=list, blank=True, help_text="Host names; empty means every public host.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("slug",)

    def __str__(self) -> str:
        return self.name


class Membership(TenantOwned):
    """A person's role in a tenant."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=("tenant", "user"), name="membership_once_per_tenant"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="membership_role_known"),
        )

    def __str__(self) -> str:
        return f"{self.user} ({self.role})"


class ApiToken(TenantOwned):
    """A hashed token that acts for one user in one tenant; the token itself is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=12, help_text="The token's first characters, to recognise it by.")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token, hexadecimal.")
    scopes = JSONTextField(default=list)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AuditEvent(TenantOwned):
    """One change by a person or token; never changed afterwards."""

    at = models.DateTimeField(default=timezone.now, editable=False)
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_label = models.CharField(max_length=200)
    action = models.CharField(max_length=64, help_text="Like workflow.published.")
    target_type = models.CharField(max_length=32)
    target_id = models.BigIntegerField(null=True)
    target_label = models.CharField(max_length=200)
    detail = JSONTextField(default=dict)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-id",)
        indexes = (models.Index(fields=("tenant", "-id"), name="audit_by_tenant"),)

    def __str__(self) -> str:
        return f"{self.actor_label} {self.action} {self.target_label}"


class SignInFailure(models.Model):
    """Failed sign-ins of late, counted for a name, an address, or a name at an address; serves every tenant."""

    key = models.CharField(max_length=64, primary_key=True, help_text="SHA-256 of what is counted, hexadecimal.")
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.failures} since {self.last_at:%H:%M}"

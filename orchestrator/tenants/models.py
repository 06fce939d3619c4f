"""Tenants, their people, their tokens and what was done by whom."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.base_session import AbstractBaseSession
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
    second_factor_required = models.BooleanField(default=False)
    single_sign_on_required = models.BooleanField(default=False)
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


class Invitation(TenantOwned):
    """A link that makes whoever opens it a member, once; the link itself is shown once and kept as its hash.

    It stands on the rights of who made it: with their token it goes, and without their role it is void.
    """

    role = models.CharField(max_length=16, choices=Role.choices)
    note = models.CharField(max_length=254, blank=True, help_text="Whom it is for; nothing is sent there.")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the link's token, hexadecimal.")
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    token = models.ForeignKey(ApiToken, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
            models.CheckConstraint(condition=Q(accepted_at=None) | Q(revoked_at=None), name="invitation_ended_one_way"),
        )

    def __str__(self) -> str:
        return self.note or f"{self.role} (…{str(self.pk)[-6:]})"


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


class PersonSession(AbstractBaseSession):
    """A session, of a person once they are signed in; made and read by ``orchestrator.tenants.sessions``."""

    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")

    @classmethod
    def get_session_store_class(cls) -> type[SessionBase]:
        return import_module(settings.SESSION_ENGINE).SessionStore  # type: ignore[no-any-return]


class SecondFactor(Row):
    """A person's second factor by RFC 6238; it counts from its first right code on.

    It is of a person, not of a tenant: its secret is sealed for no tenant, and for this row.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    sealed = models.BinaryField()
    key_id = models.CharField(max_length=16)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=0, help_text="The 30 s of the last code taken: none counts twice.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"second factor of {self.user_id}"


class RecoveryCode(models.Model):
    """One code that takes the place of a second factor once; kept as its hash, gone when it is used."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the person and the code.")

    def __str__(self) -> str:
        return f"recovery code of {self.user_id}"


class SingleSignOn(TenantOwned):
    """The OpenID Connect provider that a tenant's people sign in through; a tenant has one at most.

    ``sealed`` is the client's secret; a public client has none.
    """

    issuer = models.CharField(max_length=500)
    client_id = models.CharField(max_length=200)
    sealed = models.BinaryField(default=b"")
    key_id = models.CharField(max_length=16, blank=True, default="")
    new_role = models.CharField(max_length=16, choices=Role.choices, blank=True, help_text="Empty: nobody new.")
    group_claim = models.CharField(max_length=100, blank=True)
    group_roles = JSONTextField(default=dict, blank=True, help_text="Roles by the name of a group.")
    trusts_email = models.BooleanField(default=False, help_text="Addresses count although nothing says verified.")
    worked_at = models.DateTimeField(null=True, blank=True, help_text="When it last vouched for somebody.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=("tenant",), name="single_sign_on_once_per_tenant"),
            models.CheckConstraint(condition=Q(new_role__in=["", *Role.values]), name="single_sign_on_role_known"),
        )

    def __str__(self) -> str:
        return self.issuer


class SignOnDomain(TenantOwned):
    """A domain of e-mail addresses that a tenant claims for its single sign-on; people are led by confirmed ones."""

    domain = models.CharField(max_length=253, help_text="In lower case and in ASCII.")
    confirmed_at = models.DateTimeField(null=True, default=None, help_text="When an operator said that it is theirs.")

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("domain",)
        constraints = (
            models.UniqueConstraint(fields=("tenant", "domain"), name="sign_on_domain_once_per_tenant"),
            models.UniqueConstraint(
                fields=("domain",), condition=Q(confirmed_at__isnull=False), name="sign_on_domain_leads_to_one"
            ),
        )

    def __str__(self) -> str:
        return self.domain


class SignOnLink(TenantOwned):
    """Who a provider means by a subject, for one tenant: the only thing that a sign-in is looked up by.

    It outlives membership and the tenant's settings, so that who was removed is not taken for somebody new.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    email = models.CharField(max_length=254, blank=True, help_text="As the provider told it last.")
    made_account = models.BooleanField(default=False, help_text="The account was made for it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("tenant", "issuer", "subject"), name="sign_on_link_once_per_subject"),
            models.UniqueConstraint(fields=("tenant", "issuer", "user"), name="sign_on_link_once_per_person"),
        )

    def __str__(self) -> str:
        return self.email or self.subject

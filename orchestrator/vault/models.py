"""Credentials: what is readable about them, and one sealed column that is not."""

from __future__ import annotations

from typing import Final

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from orchestrator.fields import JSONTextField
from orchestrator.tenants.models import Role
from orchestrator.tenants.scoping import TenantOwned

# Whom a credential can be shared with, from a role on: whoever has less builds no workflow.
SHARED_WITH: Final = (Role.EDITOR, Role.ADMIN, Role.OWNER)


class AuthType(models.TextChoices):
    """The kinds of secret a person can enter; ``none`` is an action's, never a credential's."""

    OAUTH2 = "oauth2"
    API_KEY = "api_key"
    BEARER_TOKEN = "bearer_token"
    BASIC = "basic"


class Health(models.TextChoices):
    NOT_CHECKED = "not_checked"
    WORKING = "working"
    EXPIRING = "expiring"
    RECONNECT = "reconnect"


class Credential(TenantOwned):
    """A secret of one tenant for one provider. ``sealed`` is opened by ``resolve_credential()`` alone."""

    name = models.CharField(max_length=100)
    provider = models.CharField(max_length=63)
    auth_type = models.CharField(max_length=16, choices=AuthType.choices)
    settings = JSONTextField(default=dict, blank=True)
    # With a default of the database's own, as the release before writes rows without it.
    shared_with = models.CharField(
        max_length=16,
        choices=[(role.value, role.label) for role in SHARED_WITH],
        default=Role.EDITOR.value,
        db_default=Role.EDITOR.value,
        help_text="The least role that may use it in workflows.",
    )
    sealed = models.BinaryField(editable=False)
    key_id = models.CharField(max_length=16, editable=False, db_index=True)
    secret_set_at = models.DateTimeField(default=timezone.now, editable=False)
    secret_set_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    health = models.CharField(max_length=16, choices=Health.choices, default=Health.NOT_CHECKED)
    health_message = models.CharField(max_length=500, blank=True, default="")
    health_checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    account = models.CharField(max_length=200, blank=True, default="", editable=False, help_text="Whose it is.")
    scopes = JSONTextField(default=list, editable=False, help_text="What the provider says that it may do.")
    # Null where the provider declares no test.
    next_check_at = models.DateTimeField(null=True, default=None, editable=False)
    checking_until = models.DateTimeField(null=True, default=None, editable=False)
    # While somebody asks for new tokens nobody else does.
    renewing_until = models.DateTimeField(null=True, default=None, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("tenant", "name"), name="credential_name_once_per_tenant"),
            models.CheckConstraint(condition=Q(auth_type__in=AuthType.values), name="credential_auth_type_known"),
            models.CheckConstraint(condition=Q(health__in=Health.values), name="credential_health_known"),
            models.CheckConstraint(
                condition=Q(shared_with__in=[role.value for role in SHARED_WITH]), name="credential_shared_with_known"
            ),
        )
        indexes = (
            models.Index(
                fields=("next_check_at",), condition=Q(next_check_at__isnull=False), name="credential_check_due"
            ),
        )

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Credential {self.pk} {self.provider} {self.auth_type}>"


class SignInAttempt(TenantOwned):
    """Somebody who is at a provider's page just now, to come back with the ``state`` whose digest this is, once.

    ``session_digest`` is empty where it was begun by the API: then the same person must be signed in.
    """

    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="sign_ins")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    state_digest = models.CharField(max_length=64, unique=True)
    session_digest = models.CharField(max_length=64, blank=True)
    redirect_uri = models.CharField(max_length=500)
    back = models.CharField(max_length=500, blank=True)
    expires_at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"sign-in of {self.user_id} for {self.credential_id}"

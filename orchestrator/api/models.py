"""Answers kept for clients that send the same request twice."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models
from django.utils import timezone

from orchestrator.tenants.scoping import TenantOwned


class IdempotencyRecord(TenantOwned):
    """The first answer to a person's POST with an ``Idempotency-Key``.

    Sealed, and for that person alone: an answer may show a token once.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    path = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    body_digest = models.CharField(max_length=64, help_text="HMAC-SHA-256 of the body, hexadecimal.")
    status = models.PositiveSmallIntegerField(default=0)
    answer_sealed = models.BinaryField(null=True, editable=False)
    answer_key_id = models.CharField(max_length=16, blank=True, default="", editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (models.UniqueConstraint(fields=("tenant", "user", "path", "key"), name="idempotency_key_once"),)

    def __str__(self) -> str:
        return f"{self.key} at {self.path}"

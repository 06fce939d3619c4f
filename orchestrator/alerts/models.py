"""Where alerts go, what stands at present, what each channel was told, and the messages on their way."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.models import Q
from django.utils import timezone

from orchestrator.alerts.kinds import ChannelKind, Event
from orchestrator.fields import JSONTextField
from orchestrator.tenants.scoping import TenantOwned

LEAST_QUIET: Final = 5
MOST_QUIET: Final = 7 * 24 * 60


def events_there_are() -> int:
    return len(Event)


class AlertChannel(TenantOwned):
    """Who hears of what. A webhook's address and signing secret are sealed, as is the address of a Slack webhook."""

    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in ChannelKind])
    is_on = models.BooleanField(default=True)
    events = JSONTextField(default=list)
    events_known = models.PositiveSmallIntegerField(
        default=events_there_are,
        db_default=5,
        editable=False,
        help_text="How many events there were when these were chosen: who chose all hears of later ones too.",
    )
    workflows = JSONTextField(null=True, default=None, help_text="Ids of workflows; null means all.")
    quiet_minutes = models.PositiveIntegerField(
        default=60, help_text="How long the same alert is not told of again while it lasts."
    )
    emails = JSONTextField(default=list)
    slack_channel = models.CharField(max_length=80, blank=True, default="")
    credential = models.ForeignKey("vault.Credential", null=True, on_delete=models.SET_NULL, related_name="+")
    sealed = models.BinaryField(null=True, editable=False)
    key_id = models.CharField(max_length=16, blank=True, default="", editable=False, db_index=True)
    host = models.CharField(max_length=255, blank=True, default="", help_text="What is shown of a sealed address.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("tenant", "name"), name="alertchannel_name_once_per_tenant"),
            models.CheckConstraint(condition=Q(kind__in=[k.value for k in ChannelKind]), name="alertchannel_kind"),
            models.CheckConstraint(
                condition=Q(quiet_minutes__gte=LEAST_QUIET, quiet_minutes__lte=MOST_QUIET), name="alertchannel_quiet"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def heard(self) -> list[Event]:
        """The events that it hears of."""
        # Of a later release that works beside this one there may be others.
        chosen = [event for event in Event if event.value in self.events]
        return list(Event) if len(chosen) >= self.events_known else chosen


class Alert(TenantOwned):
    """One thing that may be wrong, as it is now: ``firing``, or resolved, or (of what does not last) how often it was.

    ``last_at`` by event: the last failure; the last success or the beginning of the watch (silence); when it last
    happened. ``fired_at`` tells one firing from the next.
    """

    event = models.CharField(max_length=24, choices=[(event.value, event.value) for event in Event])
    subject = models.CharField(max_length=40, help_text="Like workflow:17, trigger:4 or credential:9.")
    workflow = models.ForeignKey("workflows.Workflow", null=True, on_delete=models.CASCADE, related_name="+")
    credential = models.ForeignKey("vault.Credential", null=True, on_delete=models.CASCADE, related_name="+")
    firing = models.BooleanField(default=False)
    fired_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    count = models.PositiveIntegerField(default=0, help_text="How often it happened, of what does not last.")
    settle_minutes = models.PositiveIntegerField(
        default=0, help_text="So long without a failure is well again: longer for what comes and goes."
    )
    after_id = models.BigIntegerField(default=0, help_text="A run with a greater id was made after the last failure.")
    detail = JSONTextField(default=dict)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=("tenant", "event", "subject"), name="alert_once"),
            models.CheckConstraint(condition=Q(event__in=[e.value for e in Event]), name="alert_event_known"),
            models.CheckConstraint(condition=Q(firing=False) | Q(fired_at__isnull=False), name="alert_fired"),
        )
        indexes = (models.Index(fields=("event",), condition=Q(firing=True), name="alert_firing"),)

    def __str__(self) -> str:
        return f"{self.event} of {self.subject}"


class AlertTold(TenantOwned):
    """What a channel was last told of an alert."""

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="told", db_index=False)
    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="told")
    fired_at = models.DateTimeField(null=True)
    firing = models.BooleanField(default=False)
    count = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (models.UniqueConstraint(fields=("channel", "alert"), name="alerttold_once"),)

    def __str__(self) -> str:
        return f"{self.alert_id} to {self.channel_id}"


class AlertDelivery(TenantOwned):
    """One message to one channel: a row before it is sent.

    It is due while ``next_try_at`` is set; whoever sends it holds it until ``claimed_until``.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        SENT = "sent"
        FAILED = "failed"
        SKIPPED = "skipped"  # it was most likely sent before a backup was restored

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    document = JSONTextField(help_text="What orchestrator.alerts.messages turns into text.")
    is_test = models.BooleanField(default=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True, default=None)
    error = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(status="pending", next_try_at__isnull=False)
                | ~Q(status="pending") & Q(next_try_at__isnull=True, finished_at__isnull=False),
                name="alertdelivery_due_while_pending",
            ),
        )
        indexes = (
            models.Index(fields=("channel", "-id"), name="alertdelivery_by_channel"),
            models.Index(fields=("next_try_at",), condition=Q(next_try_at__isnull=False), name="alertdelivery_due"),
        )

    def __str__(self) -> str:
        return f"{self.status} message {self.pk}"


class AlertLook(models.Model):
    """How far the looks have come, over all tenants; one row."""

    due_at = models.DateTimeField(help_text="When to look next; whoever moves it looks.")
    looked_at = models.DateTimeField(help_text="What ended before was looked at.")
    slow_at = models.DateTimeField(help_text="When what changes slowly is looked at next.")

    def __str__(self) -> str:
        return f"looked at {self.looked_at:%H:%M:%S}"

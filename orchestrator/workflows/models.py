"""Workflows: the draft in rows, published versions as immutable documents."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from orchestrator.fields import JSONTextField
from orchestrator.flow.names import KEY_PATTERN, TriggerType
from orchestrator.tenants.scoping import TenantOwned

valid_key = RegexValidator(
    rf"^{KEY_PATTERN}\Z", "Use lower-case letters, digits and _, at most 63 characters, with a letter first."
)


class Workflow(TenantOwned):
    """A workflow: its draft is ``steps`` and ``triggers``, what runs is ``published_version``."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=63)
    description = models.TextField(blank=True, default="")
    settings = JSONTextField(default=dict, blank=True)
    output = JSONTextField(null=True, blank=True, default=None)
    revision = models.PositiveIntegerField(default=1, editable=False, help_text="Grows with every change of the draft.")
    draft_state = models.PositiveIntegerField(default=0, editable=False, help_text="Which DraftState the draft is at.")
    enabled = models.BooleanField(default=False)
    # The published version's, in columns: whoever claims runs asks for them all at once.
    max_concurrent_runs = models.PositiveIntegerField(null=True, default=None, editable=False)
    on_limit = models.CharField(max_length=16, default="queue", editable=False)
    published_version = models.ForeignKey(
        "WorkflowVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("tenant", "slug"), name="workflow_slug_once_per_tenant"),)

    def __str__(self) -> str:
        return self.name


class Step(TenantOwned):
    """A step of a draft. A tree: ``parent`` and ``lane`` say which lane of which step holds it, ``position`` where."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="steps")
    key = models.CharField(max_length=63, validators=[valid_key])
    name = models.CharField(max_length=200, blank=True, default="")
    action = models.CharField(max_length=128)
    config = JSONTextField(default=dict, blank=True)
    credential = models.ForeignKey(
        "vault.Credential", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    credential_name = models.CharField(
        max_length=100, blank=True, default="", help_text="A name that no credential has (yet): a draft may be wrong."
    )
    secrets = JSONTextField(
        null=True,
        default=None,
        editable=False,
        help_text="Names of credentials in its secret inputs, if any.",
    )
    notes = models.TextField(blank=True, default="")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.CASCADE, related_name="children")
    lane = models.CharField(max_length=63, blank=True, default="")
    lanes = JSONTextField(default=list, blank=True, help_text="Names of the lanes it holds, in order, empty ones too.")
    position = models.PositiveIntegerField(default=0)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("position", "id")
        constraints = (
            models.UniqueConstraint(fields=("workflow", "key"), name="step_key_once_per_workflow"),
            models.CheckConstraint(
                condition=Q(parent__isnull=True, lane="") | Q(parent__isnull=False) & ~Q(lane=""),
                name="step_lane_goes_with_parent",
            ),
        )
        indexes = (models.Index(fields=("tenant",), condition=Q(secrets__isnull=False), name="step_with_secrets"),)

    def __str__(self) -> str:
        return self.name or self.key


class Trigger(TenantOwned):
    """What starts a workflow. ``config`` is the draft's, ``live_config`` the published one's (null: not live)."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="triggers")
    key = models.CharField(max_length=63, validators=[valid_key])
    type = models.CharField(max_length=16, choices=[(t.value, t.value) for t in TriggerType])
    config = JSONTextField(default=dict, blank=True)
    in_draft = models.BooleanField(
        default=True, help_text="Off: removed from the draft, live until the next publish, and kept for one more."
    )
    position = models.PositiveIntegerField(default=0)
    live_config = JSONTextField(null=True, blank=True, default=None, editable=False)
    state = JSONTextField(default=dict, editable=False)
    next_fire_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The address a third party calls: found by its hash, shown to editors from the sealed column.
    address_digest = models.CharField(max_length=64, null=True, unique=True, editable=False)  # noqa: DJ001
    address_sealed = models.BinaryField(null=True, editable=False)
    address_key_id = models.CharField(max_length=16, blank=True, default="", editable=False, db_index=True)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("position", "id")
        constraints = (
            models.UniqueConstraint(fields=("workflow", "key"), name="trigger_key_once_per_workflow"),
            models.CheckConstraint(condition=Q(type__in=[t.value for t in TriggerType]), name="trigger_type_known"),
        )
        indexes = (models.Index(fields=("next_fire_at",), condition=Q(next_fire_at__isnull=False), name="trigger_due"),)

    def __str__(self) -> str:
        return f"{self.key} ({self.type})"


class WorkflowVersion(TenantOwned):
    """An immutable document. ``number`` counts what was published; without one it is a draft that was run."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(null=True)
    definition = JSONTextField()
    checksum = models.CharField(max_length=64, help_text="SHA-256 of the canonical definition, hexadecimal.")
    bindings = JSONTextField(default=dict, help_text="Credential name to credential id, as bound when this was made.")
    author = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    note = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # What was live before, and is again when this is undone or goes back by itself.
    replaced = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="+", editable=False)
    return_failures = models.PositiveSmallIntegerField(
        null=True, default=None, editable=False, help_text="Goes back by itself once so many of its first runs failed."
    )
    return_runs = models.PositiveSmallIntegerField(null=True, default=None, editable=False)
    watched = models.BooleanField(default=False, editable=False, help_text="Whether it may still go back by itself.")
    returned_at = models.DateTimeField(null=True, default=None, editable=False)
    return_counts = JSONTextField(null=True, default=None, help_text='{"failed", "runs"} that made it go back.')

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-number", "-id")
        indexes = (
            models.Index(fields=("id",), condition=Q(watched=True), name="version_watched"),
            models.Index(
                fields=("tenant", "returned_at"), condition=Q(returned_at__isnull=False), name="version_returned"
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(watched=False)
                | Q(
                    return_failures__gte=1,
                    return_runs__gte=F("return_failures"),
                    replaced__isnull=False,
                    number__isnull=False,
                    returned_at__isnull=True,
                ),
                name="version_watched_with_a_way_back",
            ),
            models.UniqueConstraint(fields=("workflow", "number"), name="version_number_once_per_workflow"),
            models.UniqueConstraint(
                fields=("workflow", "checksum"), condition=Q(number__isnull=True), name="version_draft_kept_once"
            ),
            models.CheckConstraint(condition=Q(number__isnull=True) | Q(number__gte=1), name="version_number_positive"),
        )

    def __str__(self) -> str:
        return f"{self.workflow} v{self.number}" if self.number else f"{self.workflow} draft"


class DraftState(TenantOwned):
    """What the draft was after one of its last changes, for undo and redo; ``number`` counts on for each workflow."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="draft_states", db_index=False)
    number = models.PositiveIntegerField()
    document = models.BinaryField(help_text="The document as JSON, compressed by zlib.")
    change = JSONTextField(default=dict, help_text="What was changed, as in the audit log.")
    author = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("workflow", "number"), name="draft_state_once"),)

    def __str__(self) -> str:
        return f"{self.workflow} at {self.number}"


class Variable(TenantOwned):
    """A value of the tenant that every workflow reads as ``vars.<key>``; not for secrets."""

    key = models.CharField(max_length=63, validators=[valid_key])
    value = JSONTextField()
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("key",)
        constraints = (models.UniqueConstraint(fields=("tenant", "key"), name="variable_key_once_per_tenant"),)

    def __str__(self) -> str:
        return self.key

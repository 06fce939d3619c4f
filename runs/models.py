"""Runs, one row for each attempt of a step, and large values kept off those rows."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q
from django.utils import timezone

from orchestrator.fields import JSONTextField
from orchestrator.tenants.scoping import TenantOwned
from runs.states import RUN_TERMINAL, FailureKind, RunKind, RunStatus, StepStatus, SubscriptionStatus


def _choices(enum: type[RunStatus] | type[StepStatus] | type[FailureKind] | type[RunKind]) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in enum]


# Sorted: a set's order differs from process to process, and with it the migration that Django would make.
_TERMINAL = sorted(status.value for status in RUN_TERMINAL)
# Steps that are at work, or did not end well.
UNSETTLED = sorted(status.value for status in StepStatus if status not in (StepStatus.SUCCEEDED, StepStatus.SKIPPED))


class Payload(TenantOwned):
    """A value too large for its row: JSON, compressed with zlib. In the database, so that every host reads it.

    Behind the compressed JSON of one beyond a megabyte is an index of where in it what begins: ``orchestrator.large``.
    """

    # Always found through its run: an index of the tenant's own would only slow every insert.
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.ForeignKey("Run", on_delete=models.CASCADE, related_name="payloads")
    size = models.PositiveBigIntegerField(help_text="Bytes of the JSON before compression.")
    data = models.BinaryField()

    class Meta(TenantOwned.Meta):
        abstract = False

    def __str__(self) -> str:
        return f"{self.size} bytes of run {self.run_id}"


class Run(TenantOwned):
    """One run, and the queue's row: a run whose ``wake_at`` has come is work.

    A value is either in its column or, when large, in the Payload row that the ``…_ref`` column names.
    """

    # The composite indexes below begin with these two; one of their own would only slow every insert.
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    workflow = models.ForeignKey("workflows.Workflow", on_delete=models.CASCADE, related_name="runs", db_index=False)
    # Not PROTECT: a version that a run needs stays, and goes together with the run when the workflow is deleted.
    version = models.ForeignKey("workflows.WorkflowVersion", on_delete=models.RESTRICT, related_name="+")
    kind = models.CharField(max_length=8, choices=_choices(RunKind), default=RunKind.LIVE)
    trigger_type = models.CharField(max_length=16)
    trigger_key = models.CharField(max_length=63, blank=True, default="")
    trigger = JSONTextField(null=True, help_text="What expressions read as `trigger`.")
    trigger_ref = models.BigIntegerField(null=True)
    # Where a rerun or a step test starts:
    # {"from": path?, "only": key?, "run": id?, "steps": {key: {"output", "status", "error"}}}
    seed = JSONTextField(null=True, default=None)

    status = models.CharField(max_length=10, choices=_choices(RunStatus), default=RunStatus.QUEUED)
    failure_kind = models.CharField(max_length=16, choices=_choices(FailureKind), blank=True, default="")
    error = JSONTextField(null=True, default=None, help_text='{"kind", "message", "hint", "retryable", "path"}')
    output = JSONTextField(null=True, default=None)
    output_ref = models.BigIntegerField(null=True)

    # The lease: who drives this run, until when, and the number that every later write must still find.
    lease_owner = models.CharField(max_length=64, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    crash_count = models.PositiveSmallIntegerField(default=0)
    wake_at = models.DateTimeField(
        default=timezone.now,
        null=True,
        help_text="When a queued or waiting run is due; null while it is driven or done.",
    )
    active_ms = models.PositiveBigIntegerField(
        default=0, help_text="Time driven so far, which the workflow's time limit counts: waiting is not in it."
    )
    cancel_requested_at = models.DateTimeField(null=True)
    waiting_for = JSONTextField(null=True, default=None, help_text='{"path", "kind"} of what a waiting run waits for.')
    signals = models.PositiveIntegerField(
        default=0, help_text="Grows with every answer from outside, and with every end of a run that this one called."
    )

    dedupe_key = models.CharField(max_length=255, null=True, default=None)  # noqa: DJ001  (null is not unique)
    # Indexed below, without the many rows that have none.
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="children", db_index=False)
    parent_path = models.CharField(
        max_length=255, blank=True, default="", help_text="The step of the parent that called this run."
    )
    depth = models.PositiveSmallIntegerField(default=0, help_text="How many runs called each other down to this one.")
    rerun_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="reruns", db_index=False)
    # Authority: for whom this run acts. Once that member or token is gone, the run stops.
    started_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    by_person = models.BooleanField(default=False, help_text="Started by a person or token, so their authority counts.")
    token_id = models.BigIntegerField(null=True, help_text="The API token it was started with, live or not.")

    revision = models.PositiveIntegerField(default=1, help_text="Grows with every visible change.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=Q(status__in=[s.value for s in RunStatus]), name="run_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=_TERMINAL, finished_at__isnull=False)
                | ~Q(status__in=_TERMINAL) & Q(finished_at__isnull=True),
                name="run_finished_when_terminal",
            ),
            models.CheckConstraint(
                condition=Q(status=RunStatus.RUNNING, lease_expires_at__isnull=False)
                | ~Q(status=RunStatus.RUNNING) & Q(lease_expires_at__isnull=True),
                name="run_lease_while_running",
            ),
            # So the two indexes of the queue need no status: what has a wake_at is to be woken.
            models.CheckConstraint(
                condition=Q(wake_at__isnull=True) | Q(status__in=[RunStatus.QUEUED.value, RunStatus.WAITING.value]),
                name="run_wakes_when_it_can",
            ),
            models.UniqueConstraint(
                fields=("workflow", "dedupe_key"), condition=Q(dedupe_key__isnull=False), name="run_dedupe_key_once"
            ),
        )
        indexes = (
            models.Index(fields=("tenant", "-id"), name="run_by_tenant"),
            models.Index(fields=("workflow", "-id"), name="run_by_workflow"),
            models.Index(fields=("wake_at",), condition=Q(wake_at__isnull=False), name="run_due"),
            models.Index(fields=("tenant", "wake_at"), condition=Q(wake_at__isnull=False), name="run_due_of_tenant"),
            models.Index(
                fields=("lease_expires_at",), condition=Q(lease_expires_at__isnull=False), name="run_lease_expiry"
            ),
            # Queued, and not due: a limit holds it back until another run ends.
            models.Index(
                fields=("workflow", "id"),
                condition=Q(status=RunStatus.QUEUED.value, wake_at__isnull=True),
                name="run_held",
            ),
            models.Index(fields=("workflow",), condition=Q(status=RunStatus.WAITING.value), name="run_waiting"),
            models.Index(fields=("parent",), condition=Q(parent__isnull=False), name="run_children"),
            models.Index(fields=("rerun_of",), condition=Q(rerun_of__isnull=False), name="run_reruns"),
            # What alerts look for: failures of late, which are few among all runs.
            models.Index(
                fields=("finished_at", "workflow"),
                condition=Q(status=RunStatus.FAILED.value, kind=RunKind.LIVE.value),
                name="run_failed",
            ),
            models.Index(fields=("started_by",), condition=Q(started_by__isnull=False), name="run_started_by"),
        )

    def __str__(self) -> str:
        return f"run {self.pk}"


class StepRun(TenantOwned):
    """One attempt of one step of one run. ``path`` is the step's key, with an index for each loop around it."""

    # The unique constraint below begins with the run; the tenant is the run's.
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_index=False)
    path = models.CharField(max_length=255)
    # Of a step inside a loop: the loop's path, and which of its items this is.
    loop = models.CharField(max_length=255, blank=True, default="")
    item = models.PositiveIntegerField(null=True, default=None)
    key = models.CharField(max_length=63)
    name = models.CharField(max_length=200, blank=True, default="")
    action = models.CharField(max_length=128)
    resolved_as = models.CharField(max_length=8, default="registry", help_text="registry, http or sandbox")
    attempt = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=10, choices=_choices(StepStatus))
    failure_kind = models.CharField(max_length=16, choices=_choices(FailureKind), blank=True, default="")
    inputs = JSONTextField(null=True, default=None)
    inputs_ref = models.BigIntegerField(null=True)
    output = JSONTextField(null=True, default=None)
    output_ref = models.BigIntegerField(null=True)
    error = JSONTextField(null=True, default=None, help_text='{"kind", "message", "hint", "retryable"}')
    logs = JSONTextField(null=True, default=None, help_text='[{"at", "level", "message"}], bounded')
    usage = JSONTextField(null=True, default=None, help_text="What a language model took; null where none was asked.")
    idempotency_key = models.CharField(max_length=64, blank=True, default="")
    progress = JSONTextField(
        null=True, default=None, help_text='{"done", "total", "text"} of the last that the action told.'
    )
    retry_at = models.DateTimeField(null=True, help_text="When the next attempt is due, after one that may be retried.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("run", "path", "attempt"), name="steprun_attempt_once"),
            models.CheckConstraint(condition=Q(status__in=[s.value for s in StepStatus]), name="steprun_status_known"),
            models.CheckConstraint(condition=Q(attempt__gte=1), name="steprun_attempt_positive"),
        )
        indexes = (
            models.Index(fields=("run", "loop", "item"), condition=Q(item__isnull=False), name="steprun_in_loop"),
            # In start order, for whoever reads a run of a hundred thousand iterations page by page.
            models.Index(fields=("run", "id"), condition=Q(item__isnull=False), name="steprun_loops_in_order"),
            # Few among many: how far a loop is follows from these.
            models.Index(
                fields=("run", "loop", "item"),
                condition=Q(item__isnull=False, status__in=UNSETTLED),
                name="steprun_loop_unsettled",
            ),
            models.Index(fields=("run",), condition=Q(status=StepStatus.WAITING.value), name="steprun_waiting"),
            models.Index(fields=("run",), condition=Q(usage__isnull=False), name="steprun_usage"),
        )

    def __str__(self) -> str:
        return f"{self.path} #{self.attempt} of run {self.run_id}"


class Answer(TenantOwned):
    """What somebody or something outside answered to a step that waits for it; the first answer counts.

    ``document`` by kind: approval ``{"decision", "form", "comment", "by"}``, callback ``{"body", "headers", "query"}``,
    outcome_unknown ``{"decision", "output", "comment", "by"}``.
    """

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="answers", db_index=False)
    path = models.CharField(max_length=255)
    attempt = models.PositiveSmallIntegerField(default=1)
    kind = models.CharField(max_length=16, help_text="approval, callback or outcome_unknown")
    document = JSONTextField(null=True, default=None)
    document_ref = models.BigIntegerField(null=True)
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("run", "path", "attempt"), name="answer_once"),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.path} in run {self.run_id}"


class Sample(TenantOwned):
    """A request to a webhook that started nothing: an example of what it gets, the last few for each trigger."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    workflow = models.ForeignKey("workflows.Workflow", on_delete=models.CASCADE, related_name="samples")
    trigger = models.ForeignKey("workflows.Trigger", on_delete=models.CASCADE, related_name="samples")
    document = JSONTextField(help_text="What expressions would have read as `trigger`.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"sample {self.pk} of {self.trigger_id}"


class TestData(TenantOwned):
    """What somebody chose for a draft's examples and tests in place of the latest: an earlier run, or a sample.

    Its id says when: tests of steps made after it count more.
    """

    __test__ = False  # no test, whatever a collector of them thinks of the name

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    workflow = models.OneToOneField("workflows.Workflow", on_delete=models.CASCADE, related_name="test_data")
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="+")
    sample = models.ForeignKey(Sample, null=True, on_delete=models.CASCADE, related_name="+")

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (
            models.CheckConstraint(
                condition=Q(run__isnull=True, sample__isnull=False) | Q(run__isnull=False, sample__isnull=True),
                name="testdata_is_one_of_two",
            ),
        )

    def __str__(self) -> str:
        return f"data of {self.workflow_id}"


class StepState(TenantOwned):
    """A value that an action keeps for its run, its workflow or its credential, and that goes with it."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    workflow = models.ForeignKey(
        "workflows.Workflow", null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    credential = models.ForeignKey(
        "vault.Credential", null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    key = models.CharField(max_length=100)
    value = models.TextField(help_text="JSON.")
    revision = models.PositiveIntegerField(default=1)
    mark = models.CharField(max_length=32, help_text="Names the change that gave it this value.")

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=("run", "key"), condition=Q(run__isnull=False), name="stepstate_run_key"),
            models.UniqueConstraint(
                fields=("workflow", "key"), condition=Q(workflow__isnull=False), name="stepstate_workflow_key"
            ),
            models.UniqueConstraint(
                fields=("credential", "key"), condition=Q(credential__isnull=False), name="stepstate_credential_key"
            ),
            models.CheckConstraint(
                condition=Q(run__isnull=False, workflow__isnull=True, credential__isnull=True)
                | Q(run__isnull=True, workflow__isnull=False, credential__isnull=True)
                | Q(run__isnull=True, workflow__isnull=True, credential__isnull=False),
                name="stepstate_of_one",
            ),
        )

    def __str__(self) -> str:
        return self.key


class RateGate(TenantOwned):
    """From when on a request of those that a provider counts together would not have to wait: ``runs.gate_rows``.

    Times are in seconds since 1970: they are counted with in the database.
    """

    # The unique constraint below begins with it.
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=64, help_text="A digest of what is counted.")
    free_at = models.FloatField(db_index=True)
    closed_until = models.FloatField(default=0)

    class Meta(TenantOwned.Meta):
        abstract = False
        constraints = (models.UniqueConstraint(fields=("tenant", "key"), name="rategate_once"),)

    def __str__(self) -> str:
        return self.key[:12]


class Subscription(TenantOwned):
    """That a provider is to call a trigger's address, and what came of telling it.

    It outlives its trigger until the provider has been told that too. ``sealed`` holds the secret that is shared with
    the provider and the address that it calls, as JSON; ``next_at`` is when it is talked to next, which is also the
    lease of who does.
    """

    trigger = models.ForeignKey("workflows.Trigger", null=True, on_delete=models.SET_NULL, related_name="subscriptions")
    declared = models.CharField(max_length=128, help_text="The key of the integration's trigger.")
    inputs = JSONTextField(default=dict)
    credential = models.ForeignKey("vault.Credential", null=True, on_delete=models.SET_NULL, related_name="+")
    credential_name = models.CharField(max_length=100, blank=True, default="")
    of = models.CharField(max_length=64, help_text="What it is for: another one is another subscription.")
    status = models.CharField(
        max_length=8, choices=[(each.value, each.value) for each in SubscriptionStatus], editable=False
    )
    state = JSONTextField(default=dict, help_text='{"id", "state"} as the provider\'s function gave them.')
    sealed = models.BinaryField(null=True, editable=False)
    key_id = models.CharField(max_length=16, blank=True, default="", editable=False, db_index=True)
    expires_at = models.DateTimeField(null=True, default=None)
    told_at = models.DateTimeField(null=True, default=None, help_text="When the provider last agreed.")
    failures = models.PositiveIntegerField(default=0)
    error = JSONTextField(null=True, default=None, help_text='{"kind", "message", "hint"} of the last failure.')
    unread = JSONTextField(
        null=True, default=None, help_text='{"at", "message"}: the last request was genuine, and could not be read.'
    )
    next_at = models.DateTimeField(null=True, default=None)
    since = models.DateTimeField(null=True, default=None, help_text="Since when somebody talks to the provider.")

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("id",)
        indexes = (
            models.Index(fields=("next_at",), condition=Q(next_at__isnull=False), name="subscription_due"),
            models.Index(fields=("status",), condition=Q(trigger__isnull=True), name="subscription_left"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=[each.value for each in SubscriptionStatus]), name="subscription_status_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.declared} of trigger {self.trigger_id}"


class SavedView(TenantOwned):
    """Filters of the list of runs that a person keeps under a name, for themselves, as the query of its address.

    One that names a workflow goes with it: its address would lead nowhere.
    """

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    workflow = models.ForeignKey("workflows.Workflow", null=True, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=2_000)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantOwned.Meta):
        abstract = False
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("owner", "tenant", "name"), name="savedview_name_once"),)

    def __str__(self) -> str:
        return self.name


class WorkerBeat(models.Model):
    """A driver that lives: what /readyz, doctor and the watchdog look at. Serves every tenant."""

    name = models.CharField(max_length=64, primary_key=True)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    beat_at = models.DateTimeField()
    active_runs = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.name

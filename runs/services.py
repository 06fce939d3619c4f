"""Changes to runs that people, tokens and triggers make; what a driver writes is in ``journal`` and ``claims``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.vault.sharing import require_use_of_restricted
from orchestrator.workflows.models import Workflow, WorkflowVersion
from orchestrator.workflows.publishing import draft_snapshot
from runs import doorbell, samples, selectors, traceparents
from runs.endings import end_undriven
from runs.models import Payload, Run
from runs.rates import check_tenant_rate
from runs.reruns import outcomes_before
from runs.states import RunKind, RunStatus, StepStatus
from runs.values import Split, split

VersionChoice = Literal["published", "draft"] | int
_NOT_GIVEN: Final[Any] = object()


def manual_trigger(payload: JSONValue, *, traceparent: str | None = None) -> dict[str, JSONValue]:
    """Return what a run started by hand or by the API sees as ``trigger``: the payload is its ``body``.

    ``traceparent`` is the header of who asked for it; one that is none is left out.
    """
    return {
        "type": "manual",
        "key": "",
        "body": payload,
        "headers": {traceparents.HEADER: traceparent} if traceparents.parsed(traceparent) else {},
        "query": {},
        "method": None,
        "received_at": timezone.now().isoformat(),
    }


@transaction.atomic
def run_start(
    *,
    tenant: Tenant,
    workflow: Workflow,
    version: WorkflowVersion,
    trigger: Mapping[str, JSONValue],
    trigger_type: str,
    trigger_key: str = "",
    kind: RunKind = RunKind.LIVE,
    actor: Actor | None = None,
    dedupe_key: str | None = None,
    seed: Mapping[str, Any] | None = None,
    rerun_of: Run | None = None,
) -> Run:
    """Insert a run, which is then in the queue, and ring the doorbell on commit.

    With a ``dedupe_key`` that the workflow has seen, the first run is returned. Raises Invalid for a trigger that is
    too large or no JSON.
    """
    run = Run(
        tenant_id=tenant.pk,
        workflow_id=workflow.pk,
        version_id=version.pk,
        kind=kind,
        trigger_type=trigger_type,
        trigger_key=trigger_key,
        dedupe_key=dedupe_key,
        rerun_of=rerun_of,
        started_by=actor.user if actor else None,
        by_person=bool(actor and actor.user),
        token_id=actor.token.pk if actor and actor.token else None,
    )
    payloads = fill(run, trigger=trigger, seed=seed)
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        first = find_duplicate(run)
        if first is None:
            raise
        return first
    Payload.unscoped.bulk_create(payloads)
    transaction.on_commit(doorbell.ring)
    return run


def fill(run: Run, *, trigger: Mapping[str, JSONValue], seed: Mapping[str, Any] | None = None) -> list[Payload]:
    """Set a new run's trigger and seed; return the rows to insert after it. Raises Invalid."""
    kept = _split(dict(trigger), run, "trigger")
    run.trigger, run.trigger_ref = kept.inline, kept.ref
    payloads = [kept.payload]
    if seed is not None:
        seed_kept = _split(dict(seed), run, "seed")
        run.seed = seed_kept.inline if seed_kept.ref is None else {"ref": seed_kept.ref}
        payloads.append(seed_kept.payload)
    return [payload for payload in payloads if payload is not None]


def find_duplicate(run: Run) -> Run | None:
    """Return the workflow's earlier run with the same dedupe key, if that is what stops this one."""
    if run.dedupe_key is None:
        return None
    rows = Run.objects.for_tenant(run.tenant_id)
    return rows.filter(workflow_id=run.workflow_id, dedupe_key=run.dedupe_key).first()


@transaction.atomic
def run_start_by_actor(
    *,
    actor: Actor,
    workflow: Workflow,
    payload: JSONValue = None,
    version: VersionChoice = "published",
    kind: RunKind | None = None,
    traceparent: str | None = None,
) -> Run:
    """Start a run for a person or token. Raises Conflict when nothing is published, NotFound for an unknown number.

    A disabled workflow may be started; a run of the draft is a test unless ``kind`` says otherwise. Raises Limited
    where the tenant has started as many within a minute as it may, as do the others that start whole runs.
    """
    pinned = _version(actor, workflow, version)
    check_tenant_rate(actor.tenant)
    if pinned.number is None:
        # Whoever runs the draft as a whole wants to see what that gives.
        samples.data_choose(actor=actor, workflow=workflow)
    run = run_start(
        tenant=actor.tenant,
        workflow=workflow,
        version=pinned,
        trigger=manual_trigger(payload, traceparent=traceparent),
        trigger_type="manual",
        kind=kind or (RunKind.TEST if pinned.number is None else RunKind.LIVE),
        actor=actor,
    )
    audit.record(actor=actor, action="run.started", target=run, detail={"workflow": workflow.slug})
    return run


@transaction.atomic
def draft_test(*, actor: Actor, workflow: Workflow, requests: Sequence[samples.Request]) -> list[Run]:
    """Run the draft as a whole with each of these requests, as tests that see them as a live run would."""
    require_operation(actor, "run.test")
    version = draft_snapshot(actor=actor, workflow=workflow)
    samples.data_choose(actor=actor, workflow=workflow)
    runs = []
    for request in requests:
        check_tenant_rate(actor.tenant)
        run = run_start(
            tenant=actor.tenant,
            workflow=workflow,
            version=version,
            trigger=request.trigger,
            trigger_type=request.trigger_type,
            trigger_key=request.trigger_key,
            kind=RunKind.TEST,
            actor=actor,
        )
        audit.record(actor=actor, action="run.started", target=run, detail={"workflow": workflow.slug})
        runs.append(run)
    return runs


@transaction.atomic
def step_test(
    *,
    actor: Actor,
    workflow: Workflow,
    key: str,
    given: Mapping[str, JSONValue] | None = None,
    payload: JSONValue = _NOT_GIVEN,
    instead: StepDefinition | None = None,
    dedupe_key: str | None = None,
) -> Run:
    """Run one step of the draft, as a run of its own.

    ``given`` maps keys of other steps to outputs; without it the last stored ones are used. Without ``payload`` the
    last run's trigger is. ``instead`` is run in the step's place, and is not in the draft. With a ``dedupe_key`` that
    the workflow has seen, the first run is returned.
    """
    require_operation(actor, "run.test")
    replaced = (key, instead) if instead else None
    version = draft_snapshot(actor=actor, workflow=workflow, instead=replaced)
    only = instead.key if instead else key
    _known_step(WorkflowDefinition.model_validate(version.definition), only)
    chosen = samples.data_chosen(workflow)
    outcomes = (
        samples.last_outputs(workflow, chosen=chosen)
        if given is None
        else {name: {"output": value, "status": StepStatus.SUCCEEDED.value} for name, value in given.items()}
    )
    trigger = (
        samples.last_trigger(workflow, chosen=chosen, packed=True) if payload is _NOT_GIVEN else manual_trigger(payload)
    )
    return run_start(
        tenant=actor.tenant,
        workflow=workflow,
        version=version,
        trigger=trigger or manual_trigger(None),
        trigger_type="manual",
        kind=RunKind.STEP,
        actor=actor,
        dedupe_key=dedupe_key,
        seed={"only": only, "steps": {name: outcome for name, outcome in outcomes.items() if name not in (key, only)}},
    )


@transaction.atomic
def run_start_until(*, actor: Actor, workflow: Workflow, key: str) -> Run:
    """Run the steps of the draft that come before one, with the trigger that the draft is built with.

    Of the lanes around the step only its own are run, as far as to it. Raises NotFound for a step that is not there.
    """
    require_operation(actor, "run.test")
    check_tenant_rate(actor.tenant)
    version = draft_snapshot(actor=actor, workflow=workflow, until=key)
    chosen = samples.data_chosen(workflow)
    return run_start(
        tenant=actor.tenant,
        workflow=workflow,
        version=version,
        trigger=samples.last_trigger(workflow, chosen=chosen, packed=True) or manual_trigger(None),
        trigger_type="manual",
        kind=RunKind.TEST,
        actor=actor,
    )


@transaction.atomic
def run_cancel(*, actor: Actor, run: Run) -> Run:
    """Cancel a run that has not ended: at once where no worker has it, else its driver stops it within a second.

    Raises Conflict when the run has ended.
    """
    require_operation(actor, "run.cancel")
    now = timezone.now()
    rows = Run.objects.for_tenant(actor.tenant).filter(pk=run.pk)
    rows.filter(cancel_requested_at__isnull=True, finished_at__isnull=True).update(cancel_requested_at=now)
    if not end_undriven(rows.values_list("pk", flat=True), RunStatus.CANCELLED, None, now=now):
        driven = rows.filter(status=RunStatus.RUNNING)
        if not driven.update(revision=F("revision") + 1):
            raise Conflict(_("This run has ended, so there is nothing left to cancel."))
    audit.record(actor=actor, action="run.cancelled", target=run)
    # Its caller may go on now, and what a limit held back.
    transaction.on_commit(doorbell.ring)
    return run.refresh()


@transaction.atomic
def run_rerun(
    *,
    actor: Actor,
    run: Run,
    from_: str | None = None,
    payload: JSONValue = _NOT_GIVEN,
    version: Literal["same"] | VersionChoice = "same",
) -> Run:
    """Start the same again as a new run, from the start or from the step ``from_`` with the outputs before it.

    ``from_`` is a key, or a path like ``each[3].send``. Raises Conflict while the run has not ended, Invalid when a
    step before ``from_`` has no outcome to take over, NotFound when there is no such step, Forbidden for a test of a
    draft with a credential that is not shared with the actor.
    """
    require_operation(actor, "run.rerun")
    if not RunStatus(run.status).is_terminal:
        raise Conflict(_("This run has not ended. Wait for its end or cancel it, then run it again."))
    check_tenant_rate(actor.tenant)
    workflow = run.workflow
    pinned = run.version if version == "same" else _version(actor, workflow, version)
    if pinned.number is None:
        # Somebody else may have tested this draft, and with other data it may send a credential elsewhere.
        require_use_of_restricted(actor, pinned.bindings.values())
    again = run_start(
        tenant=actor.tenant,
        workflow=workflow,
        version=pinned,
        trigger=selectors.trigger_of(run) if payload is _NOT_GIVEN else manual_trigger(payload),
        trigger_type=run.trigger_type if payload is _NOT_GIVEN else "manual",
        trigger_key=run.trigger_key if payload is _NOT_GIVEN else "",
        kind=_kind_of_rerun(run, pinned),
        actor=actor,
        seed=_seed_of_rerun(run, pinned, from_),
        rerun_of=run,
    )
    audit.record(actor=actor, action="run.rerun", target=again, detail={"rerun_of": str(run.pk), "from": from_ or ""})
    return again


def _kind_of_rerun(run: Run, version: WorkflowVersion) -> RunKind:
    if run.kind == RunKind.STEP or version.number is not None:
        return RunKind(run.kind)
    return RunKind.TEST


def _seed_of_rerun(run: Run, version: WorkflowVersion, from_: str | None) -> dict[str, Any] | None:
    if run.kind == RunKind.STEP:
        return dict(selectors.seed_of(run))
    if from_ is None:
        return None
    definition = WorkflowDefinition.model_validate(version.definition)
    return {"from": from_, "run": run.pk, "steps": outcomes_before(run, definition, from_)}


def _version(actor: Actor, workflow: Workflow, choice: VersionChoice) -> WorkflowVersion:
    """Return the version to run, checked against what the actor may."""
    if choice == "draft":
        require_operation(actor, "run.test")
        return draft_snapshot(actor=actor, workflow=workflow)
    require_operation(actor, "run.start")
    if choice == "published":
        if workflow.published_version is None:
            raise Conflict(_("This workflow is not published yet: publish it, or run its draft."), code="unpublished")
        return workflow.published_version
    found = WorkflowVersion.objects.for_tenant(actor.tenant).filter(workflow=workflow, number=choice).first()
    if found is None:
        raise NotFound(_("This workflow has no version %(choice)s.") % {"choice": choice})
    return found


def _known_step(definition: WorkflowDefinition, key: str) -> None:
    if all(step.key != key for _path, step in definition.walk()):
        raise NotFound(_("This workflow has no step %(key).80r.") % {"key": key})


def _split(value: JSONValue, run: Run, what: str) -> Split:
    try:
        return split(value, tenant_id=run.tenant_id, run_id=run.pk)
    except jsongate.BadJSON as error:
        raise Invalid(
            _("The run's %(what)s cannot be kept: %(error)s.") % {"what": what, "error": error}, code="too_large"
        ) from error

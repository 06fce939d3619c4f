"""Runs that steps of other runs call: started once for each step, and looked at when they have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from integrations.sdk.errors import InputError
from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.flow.calls import MAX_DEPTH
from orchestrator.flow.json_schemas import value_problems
from orchestrator.flow.names import TriggerType
from orchestrator.large import Large
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Trigger, Workflow
from runs.engine.ports import CallOutcome
from runs.engine.records import Failure
from runs.models import Payload, Run
from runs.states import RUN_TERMINAL, FailureKind, RunKind, RunStatus
from runs.values import Split, split, stored_at

# What is checked against a schema is opened as a whole, while other runs wait for the same thread.
TYPED_BYTES: Final = jsongate.MAX_BYTES


def called_trigger(*, tenant_id: int, path: str, payload: JSONValue) -> Split:
    """Return what a called run sees as its trigger, as it is kept; takes its time for a large one. Raises BadJSON."""
    trigger: dict[str, JSONValue] = {
        "type": TriggerType.WORKFLOW.value,
        "key": path,
        "body": payload,
        "headers": {},
        "query": {},
        "method": None,
        "received_at": timezone.now().isoformat(),
    }
    return split(trigger, tenant_id=tenant_id, run_id=0)


def called_run_start(*, caller: Run, path: str, slug: str, payload: JSONValue, trigger: Split) -> None:
    """Insert the run that a step calls, unless it is there already. Raises InputError when it may not be called.

    Call it inside a transaction that holds the caller's lease.
    """
    if Run.objects.for_tenant(caller.tenant_id).filter(parent=caller.pk, parent_path=path).exists():
        return
    workflow = _callable(caller, slug, payload)
    version = workflow.published_version
    assert version is not None
    run = Run(
        tenant_id=caller.tenant_id,
        workflow_id=workflow.pk,
        version_id=version.pk,
        kind=RunKind.LIVE,
        trigger_type=TriggerType.WORKFLOW.value,
        parent_id=caller.pk,
        parent_path=path,
        depth=caller.depth + 1,
        # Once for each step, whoever asks again after a crash.
        dedupe_key=f"call:{caller.pk}:{path}",
        started_by_id=caller.started_by_id,
        by_person=caller.by_person,
        token_id=caller.token_id,
    )
    run.trigger, run.trigger_ref = trigger.inline, trigger.ref
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError:
        return
    if trigger.payload is not None:
        trigger.payload.run_id = run.pk
        Payload.unscoped.bulk_create([trigger.payload])


def _callable(caller: Run, slug: str, payload: JSONValue) -> Workflow:
    """Return the workflow that a step calls. Raises InputError."""
    found = Workflow.objects.for_tenant(caller.tenant_id).filter(slug=slug).select_related("published_version").first()
    if found is None:
        raise InputError(_("There is no workflow %(slug).80r to call.") % {"slug": slug}, field="workflow")
    if found.published_version is None:
        raise InputError(
            _("The workflow %(slug)r is not published, so it cannot be called.") % {"slug": slug}, field="workflow"
        )
    if not found.enabled:
        raise InputError(
            _("The workflow %(slug)r is switched off.") % {"slug": slug},
            field="workflow",
            hint=_("Switch it on and run again from here."),
        )
    config = _live_config(found)
    callers = config.get("callers")
    if callers is not None and caller.workflow.slug not in callers:
        raise InputError(
            _("The workflow %(slug)r may not be called by %(caller)r.")
            % {"slug": slug, "caller": caller.workflow.slug},
            field="workflow",
            hint=_("Add it to the callers of that workflow's trigger."),
        )
    if caller.depth >= MAX_DEPTH:
        raise InputError(
            _("Workflows call each other %(most)s deep here, which is the most there may be.") % {"most": MAX_DEPTH},
            field="workflow",
            hint=_("Look for workflows that call each other in a circle."),
        )
    schema = config.get("input")
    if schema:
        if isinstance(payload, Large) and payload.size > TYPED_BYTES:
            raise InputError(
                _("The payload has %(size)s bytes, and a workflow that says what it takes checks at most %(most)s.")
                % {"size": f"{payload.size:,}", "most": f"{TYPED_BYTES:,}"},
                field="payload",
                hint=_("Pass only what %(slug)r needs, or take the input's schema out of its trigger.")
                % {"slug": slug},
            )
        problems = value_problems(payload.open() if isinstance(payload, Large) else payload, schema)
        if problems:
            path, message = problems[0]
            raise InputError(
                _("The payload does not fit what %(slug)r takes: %(path)s: %(message)s")
                % {"slug": slug, "path": path or "payload", "message": message},
                field="payload",
            )
    return found


def _live_config(workflow: Workflow) -> Mapping[str, Any]:
    """Return what the workflow's own trigger says of being called; one without it takes every caller."""
    rows = Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, type=TriggerType.WORKFLOW)
    return next((row.live_config for row in rows if row.live_config is not None), {})


def call_outcome(*, caller_id: int, tenant_id: int, path: str) -> CallOutcome | None:
    """Return how the run that a step called has ended, None while it has not, or is not there."""
    run = Run.objects.for_tenant(tenant_id).filter(parent=caller_id, parent_path=path).first()
    if run is None or RunStatus(run.status) not in RUN_TERMINAL:
        return None
    if run.status == RunStatus.SUCCEEDED:
        return CallOutcome(run_id=str(run.pk), output=_output(run))
    return CallOutcome(run_id=str(run.pk), failure=_failure(run))


def _output(run: Run) -> JSONValue:
    if run.output_ref is None:
        return run.output  # type: ignore[no-any-return]
    return stored_at(tenant_id=run.tenant_id, run_id=run.pk, ref=run.output_ref)  # type: ignore[no-any-return]


def _failure(run: Run) -> Failure:
    error = run.error or {}
    failed = run.status == RunStatus.FAILED
    said = (
        _("The called run %(number)s failed: %(why)s")
        if failed
        else _("The called run %(number)s was stopped: %(why)s")
    )
    return Failure(
        kind=FailureKind(error.get("kind") or FailureKind.PERMANENT),
        message=said % {"number": run.pk, "why": error.get("message") or _("it was cancelled")},
        hint=str(error.get("hint") or _("Open that run to see why.")),
    )

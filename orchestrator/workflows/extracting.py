"""A lane of a draft moved into a workflow of its own, which a step in its place calls from then on."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from django.db import transaction

from orchestrator.flow.calls import CALL, MAX_DEPTH
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.extracting import Extracted, extract, put_call
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.drafts import draft_definition, write_steps
from orchestrator.workflows.facts import other_workflows
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.publishing import RegistryCatalog
from orchestrator.workflows.services import workflow_create

MAX_NAME: Final = 200


def lane_extraction(workflow: Workflow, key: str, lane: str) -> Extracted:
    """Return what a lane of the draft would be as a workflow of its own; nothing is changed.

    Raises NotFound for a lane without steps, Invalid with every reason why it cannot be moved.
    """
    definition = draft_definition(workflow)
    return extract(
        definition,
        key=key,
        lane=lane,
        catalog=RegistryCatalog(),
        workflows=other_workflows(workflow.tenant_id, definition),
        calls_above=_calls_above(workflow.tenant_id, definition),
    )


@transaction.atomic
def lane_extract(
    *, actor: Actor, workflow: Workflow, key: str, lane: str, name: str, if_match: int | None = None
) -> Workflow:
    """Make a lane's steps a draft of their own called ``name``, and put a call of it in their place; return it.

    The call has the key of the lane's last step. The new draft has the time limit and the days that runs are kept of
    the one it came from, which alone may call it. One change of the calling draft, which undo takes back; the new
    workflow stays. Raises as ``lane_extraction``, and Conflict on another revision than ``if_match``.
    """
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    definition = draft_definition(workflow)
    found = lane_extraction(workflow, key, lane)
    made = workflow_create(actor=actor, document=_document(definition, found, name[:MAX_NAME]))
    call = found.call(slug=made.slug, name=made.name)
    write_steps(workflow=workflow, steps=put_call(definition.steps, key=key, lane=lane, call=call))
    touch(actor, workflow, detail={"lane_extracted": lane, "step": key, "workflow": made.slug, "call": call.key})
    return made


def _document(definition: WorkflowDefinition, found: Extracted, name: str) -> dict[str, object]:
    callers = {"callers": [definition.slug]}
    settings = definition.settings.model_dump(mode="json", include={"timeout", "retention_days"})
    return {
        "name": name,
        "triggers": [{"key": "workflow", "type": TriggerType.WORKFLOW.value, "config": callers}],
        "steps": [step.model_dump(mode="json") for step in found.moved],
        "output": found.output,
        "settings": settings,
    }


def _calls_above(tenant_id: int, definition: WorkflowDefinition) -> int:
    """Return how many calls lead to a workflow, one after the other, as the tenant's drafts are; one query."""
    callers: defaultdict[str, set[str]] = defaultdict(set)
    rows = Step.objects.for_tenant(tenant_id).filter(action=CALL).exclude(workflow__slug=definition.slug)
    for caller, config in rows.values_list("workflow__slug", "config"):
        called = (config.get("inputs") or {}).get("workflow")
        if isinstance(called, str):
            callers[called].add(caller)
    level, above = {definition.slug}, 0
    while above <= MAX_DEPTH and (level := {caller for slug in level for caller in callers[slug]}):
        above += 1
    return above

"""Undo and redo of a draft, kept with the workflow: the same for everybody who edits it, and after a new sign-in.

1. Every change of a draft keeps what the draft is then; the first one also keeps what it was before.
2. Undo makes the draft what it was one state earlier, redo one later. Neither forgets a state.
3. A change after an undo takes the place of what could be redone.
4. What one person types into one step without a longer pause is one state.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db.models import Max, Min
from django.utils import timezone

from orchestrator import jsongate
from orchestrator.errors import Conflict
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.tenants.access import Actor
from orchestrator.workflows.drafts import draft_document
from orchestrator.workflows.models import DraftState, Workflow

STATES_KEPT: Final = 100
# A pause of this length ends what is undone as one.
PAUSE: Final = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Whether there is something to undo, and to redo."""

    undo: bool
    redo: bool


def begin(workflow: Workflow) -> None:
    """Keep what the draft is before its first change that is kept; call it with the workflow locked."""
    if not workflow.draft_state:
        workflow.draft_state = 1
        _keep(workflow, None, {}, _packed(workflow))
        # At once: not every change that is begun comes to anything.
        workflow.save(update_fields=["draft_state"])


def remember(actor: Actor, workflow: Workflow, change: Mapping[str, Any]) -> None:
    """Keep what the draft is after a change, and set ``draft_state``, which the caller saves."""
    states = DraftState.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    last = states.filter(number=workflow.draft_state).first()
    document = _packed(workflow)
    if last is not None and bytes(last.document) == document:
        # Saved as it was, as a test of a step does.
        return
    undone, _ = states.filter(number__gt=workflow.draft_state).delete()
    if last is not None and not undone and _goes_on(last, actor, change):
        last.document, last.changed_at = document, timezone.now()
        last.save(update_fields=["document", "changed_at"])
        return
    workflow.draft_state += 1
    _keep(workflow, actor, change, document)
    states.filter(number__lte=workflow.draft_state - STATES_KEPT).delete()


def reach(workflow: Workflow) -> Reach:
    """Return what can be undone and redone; one query."""
    states = DraftState.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    ends = states.aggregate(first=Min("number"), last=Max("number"))
    if ends["first"] is None:
        return Reach(undo=False, redo=False)
    return Reach(undo=workflow.draft_state > ends["first"], redo=workflow.draft_state < ends["last"])


def neighbour(workflow: Workflow, by: int) -> tuple[WorkflowDefinition, DraftState]:
    """Return the draft one state earlier (-1) or later (+1), with the state whose change is undone or made again.

    Raises Conflict where there is none.
    """
    states = DraftState.objects.for_tenant(workflow.tenant_id).filter(
        workflow=workflow, number__in=(workflow.draft_state, workflow.draft_state + by)
    )
    found = {state.number: state for state in states}
    wanted = found.get(workflow.draft_state + by)
    if wanted is None:
        what = "undone" if by < 0 else "made again"
        raise Conflict(
            f"Nothing of this draft can be {what}: its last {STATES_KEPT} changes are kept, and a new change takes the "
            "place of those that were undone.",
            code="nothing_to_undo" if by < 0 else "nothing_to_redo",
        )
    document = jsongate.parse(zlib.decompress(bytes(wanted.document)))
    return WorkflowDefinition.model_validate(document), found[max(found)]


def _goes_on(last: DraftState, actor: Actor, change: Mapping[str, Any]) -> bool:
    """Whether a change is more of what the last one did."""
    is_same = "step_changed" in change and last.change == dict(change)
    author_id = actor.user.pk if actor.user else None
    return is_same and last.author_id == author_id and timezone.now() - last.changed_at < PAUSE


def _keep(workflow: Workflow, actor: Actor | None, change: Mapping[str, Any], document: bytes) -> None:
    state = DraftState(
        tenant_id=workflow.tenant_id,
        workflow=workflow,
        number=workflow.draft_state,
        document=document,
        change=dict(change),
        author=actor.user if actor else None,
    )
    state.save(force_insert=True)


def _packed(workflow: Workflow) -> bytes:
    # Read anew: what the caller has of it may have been read before the change.
    found = Workflow.objects.for_tenant(workflow.tenant_id).get(pk=workflow.pk)
    return zlib.compress(jsongate.dump_bytes(draft_document(found)))

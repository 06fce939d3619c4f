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
from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.errors import Conflict
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.tenants.access import Actor
from orchestrator.workflows.drafts import draft_document
from orchestrator.workflows.models import DraftState, Workflow

STATES_KEPT: Final = 100
# A pause of this length ends what is undone as one.
PAUSE: Final = timedelta(seconds=5)
# Who changed a draft so long ago is still taken to be at it.
PRESENT: Final = timedelta(minutes=2)


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


def amend(workflow: Workflow) -> None:
    """Make the draft as it is now what the last change that was remembered left."""
    states = DraftState.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, number=workflow.draft_state)
    states.update(document=_packed(workflow))


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
        what = _("undone") if by < 0 else _("made again")
        raise Conflict(
            _(
                "Nothing of this draft can be %(what)s: its last %(kept)s changes are kept, and a new "
                "change takes the place of those that were undone."
            )
            % {"what": what, "kept": STATES_KEPT},
            code="nothing_to_undo" if by < 0 else "nothing_to_redo",
        )
    return _definition(wanted), found[max(found)]


def draft_as_seen(workflow: Workflow, number: int) -> WorkflowDefinition | None:
    """Return what the draft was when its state was ``number``, None where that is not kept any more."""
    states = DraftState.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, number=max(1, number))
    state = states.first()
    return _definition(state) if state else None


def last_change(workflow: Workflow) -> DraftState | None:
    """Return the state that the draft is at, with who made it by what change."""
    states = DraftState.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, number=workflow.draft_state)
    return states.select_related("author").defer("document").first()


def others(actor: Actor, workflow: Workflow) -> dict[str, list[str]]:
    """Return who else has just edited the draft: names by the key of the step that each touched last.

    One query, and none while nobody has changed the draft of late.
    Who changed something that is no step, like a trigger, is with the step they touched before that.
    """
    since = timezone.now() - PRESENT
    if workflow.updated_at < since:
        return {}
    states = DraftState.objects.for_tenant(workflow.tenant_id).filter(
        workflow=workflow, changed_at__gt=since, author__isnull=False
    )
    if actor.user is not None:
        states = states.exclude(author=actor.user)
    found: dict[int, tuple[str, str]] = {}
    for state in states.select_related("author").defer("document").order_by("changed_at", "number"):
        key = next((value for name, value in state.change.items() if f"{name}_".startswith("step_")), "")
        if key and state.author is not None:
            found[state.author.pk] = (str(key), state.author.get_full_name() or state.author.get_username())
    people: dict[str, list[str]] = {}
    for key, name in found.values():
        people.setdefault(key, []).append(name)
    return people


def _definition(state: DraftState) -> WorkflowDefinition:
    return WorkflowDefinition.model_validate(jsongate.parse(zlib.decompress(bytes(state.document))))


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

"""Single changes of a draft, as the builder makes them: one step at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from django.db import transaction
from django.utils.translation import gettext as _

from integrations.registry import registry
from orchestrator.errors import Invalid
from orchestrator.flow.definition import MAX_DEPTH, MAX_STEPS, StepDefinition
from orchestrator.flow.names import KEY_PATTERN
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.drafts import apply_definition, credential_ids, parsed_part
from orchestrator.workflows.lane_edits import first_lanes, open_lane
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.rows import depth_of, find_step, free_key, renumber, rows_of, siblings_of

STEP_FIELDS: Final = frozenset({"name", "action", "credential", "config", "notes"})
Direction = Literal["up", "down"]


@transaction.atomic
def step_add(
    *,
    actor: Actor,
    workflow: Workflow,
    action: str,
    after: str | None = None,
    parent: str | None = None,
    lane: str = "",
    if_match: int | None = None,
) -> Step:
    """Insert a step behind ``after`` in its lane; without ``after`` as the first of ``parent``'s ``lane``.

    Raises NotFound for a step that is not there, Conflict on another revision than ``if_match``.
    """
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = rows_of(workflow)
    if len(rows) >= MAX_STEPS:
        raise Invalid(
            _("A workflow has at most %(most)s steps. Move some into a workflow of their own.") % {"most": MAX_STEPS}
        )
    previous = find_step(rows, after) if after else None
    holder = previous.parent if previous else (find_step(rows, parent) if parent else None)
    if holder is not None and previous is None:
        open_lane(holder, lane)
    if holder is not None and depth_of(rows, holder) > MAX_DEPTH:
        raise Invalid(
            _("Lanes nest at most %(most)s levels deep. Move some steps into a workflow of their own.")
            % {"most": MAX_DEPTH}
        )
    step = Step(
        tenant=actor.tenant,
        workflow=workflow,
        key=_free_key(rows, action),
        name=_default_name(action),
        action=action[:128],
        parent=holder,
        lane=previous.lane if previous else (lane if holder else ""),
        lanes=list(first_lanes(action)),
    )
    siblings = siblings_of(rows, step)
    place = siblings.index(previous) + 1 if previous else 0
    step.save(force_insert=True)
    renumber([*siblings[:place], step, *siblings[place:]])
    touch(actor, workflow, detail={"step_added": step.key, "action": step.action})
    return step


@transaction.atomic
def step_update(
    *, actor: Actor, workflow: Workflow, key: str, changes: Mapping[str, Any], if_match: int | None = None
) -> Step:
    """Change a step: ``name``, ``action``, ``credential`` (a name or None), ``config`` and ``notes``, each as a whole.

    Raises Invalid for a value of the wrong shape; content may be incomplete or wrong.
    """
    require_operation(actor, "workflow.edit")
    unknown = changes.keys() - STEP_FIELDS
    if unknown:
        raise Invalid(_("%(name).80r of a step cannot be changed here.") % {"name": min(unknown)})
    workflow = lock_draft(actor, workflow, if_match)
    step = find_step(rows_of(workflow), key)
    credential = step.credential.name if step.credential else step.credential_name or None
    given = {
        "key": step.key,
        "name": step.name,
        "action": step.action,
        "credential": credential,
        "config": step.config,
        "notes": step.notes,
        **changes,
    }
    definition = parsed_part(StepDefinition, {**given, "lanes": dict.fromkeys(step.lanes, ())})
    apply_definition(step, definition, credential_ids(actor.tenant, [definition.credential]))
    step.save()
    touch(actor, workflow, detail={"step_changed": key, "fields": sorted(changes)})
    return step


@transaction.atomic
def step_skip(*, actor: Actor, workflow: Workflow, key: str, if_match: int | None = None) -> Step:
    """Leave a step, with what its lanes hold, out of runs; or take it in again if it is left out."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    step = find_step(rows_of(workflow), key)
    step.config = {**step.config, "skip": not step.config.get("skip", False)}
    step.save(update_fields=["config"])
    touch(actor, workflow, detail={"step_skipped" if step.config["skip"] else "step_taken_in": key})
    return step


@transaction.atomic
def step_remove(*, actor: Actor, workflow: Workflow, key: str, if_match: int | None = None) -> None:
    """Remove a step and what its lanes hold."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = rows_of(workflow)
    step = find_step(rows, key)
    siblings = [row for row in siblings_of(rows, step) if row.pk != step.pk]
    step.delete()
    renumber(siblings)
    touch(actor, workflow, detail={"step_removed": key})


@transaction.atomic
def step_move(*, actor: Actor, workflow: Workflow, key: str, direction: Direction, if_match: int | None = None) -> Step:
    """Move a step one place up or down within its lane; at the end of the lane it stays."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = rows_of(workflow)
    step = find_step(rows, key)
    siblings = siblings_of(rows, step)
    place = next(index for index, row in enumerate(siblings) if row.pk == step.pk)
    target = place + (1 if direction == "down" else -1)
    if 0 <= target < len(siblings):
        siblings[place], siblings[target] = siblings[target], siblings[place]
        renumber(siblings)
        touch(actor, workflow, detail={"step_moved": key})
    return step


def _free_key(rows: Sequence[Step], action: str) -> str:
    """Return a key made from the action's last word that no step of the draft has."""
    word = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", action.rpartition(".")[2]).lower()
    word = re.sub(r"[^a-z0-9_]+", "_", word).strip("_")[:50]
    base = word if re.fullmatch(KEY_PATTERN, word) else "step"
    return free_key(base, {row.key for row in rows})


def _default_name(action: str) -> str:
    found = registry.get(action)
    return found.name if found else ""

"""Single changes of a draft, as the builder makes them: one step or trigger at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from django.db import transaction
from pydantic import ValidationError

from integrations.registry import registry
from orchestrator.errors import Invalid, NotFound, Problem
from orchestrator.flow.definition import MAX_STEPS, StepDefinition, TriggerDefinition
from orchestrator.flow.names import KEY_PATTERN, TriggerType
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.addresses import give_address
from orchestrator.workflows.drafts import apply_definition, credential_ids, drop_trigger
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Trigger, Workflow

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
    rows = _rows(workflow)
    if len(rows) >= MAX_STEPS:
        raise Invalid(f"A workflow has at most {MAX_STEPS} steps. Move some into a workflow of their own.")
    previous = _step(rows, after) if after else None
    holder = previous.parent if previous else (_step(rows, parent) if parent else None)
    if holder is not None and previous is None and lane not in holder.lanes:
        raise NotFound(f"{holder.name or holder.key} has no lane {lane!r:.80}.")
    declared = registry.get(action)
    step = Step(
        tenant=actor.tenant,
        workflow=workflow,
        key=_free_key(rows, action),
        name=_default_name(action),
        action=action[:128],
        parent=holder,
        lane=previous.lane if previous else (lane if holder else ""),
        # The lanes an action always has are there from the start, so that steps can be put into them.
        lanes=list(declared.lanes or ()) if declared else [],
    )
    siblings = _siblings(rows, step)
    place = siblings.index(previous) + 1 if previous else 0
    step.save(force_insert=True)
    _renumber([*siblings[:place], step, *siblings[place:]])
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
        raise Invalid(f"{min(unknown)!r:.80} of a step cannot be changed here.")
    workflow = lock_draft(actor, workflow, if_match)
    step = _step(_rows(workflow), key)
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
    definition = _parsed(StepDefinition, {**given, "lanes": dict.fromkeys(step.lanes, ())})
    apply_definition(step, definition, credential_ids(actor.tenant, [definition.credential]))
    step.save()
    touch(actor, workflow, detail={"step_changed": key, "fields": sorted(changes)})
    return step


@transaction.atomic
def step_remove(*, actor: Actor, workflow: Workflow, key: str, if_match: int | None = None) -> None:
    """Remove a step and what its lanes hold."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = _rows(workflow)
    step = _step(rows, key)
    siblings = [row for row in _siblings(rows, step) if row.pk != step.pk]
    step.delete()
    _renumber(siblings)
    touch(actor, workflow, detail={"step_removed": key})


@transaction.atomic
def step_move(*, actor: Actor, workflow: Workflow, key: str, direction: Direction, if_match: int | None = None) -> Step:
    """Move a step one place up or down within its lane; at the end of the lane it stays."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = _rows(workflow)
    step = _step(rows, key)
    siblings = _siblings(rows, step)
    place = next(index for index, row in enumerate(siblings) if row.pk == step.pk)
    target = place + (1 if direction == "down" else -1)
    if 0 <= target < len(siblings):
        siblings[place], siblings[target] = siblings[target], siblings[place]
        _renumber(siblings)
        touch(actor, workflow, detail={"step_moved": key})
    return step


@transaction.atomic
def trigger_add(
    *,
    actor: Actor,
    workflow: Workflow,
    type: TriggerType,  # noqa: A002  (the document calls it type)
    config: Mapping[str, Any] | None = None,
) -> Trigger:
    """Add a trigger; one of a type that is called from outside gets its address now."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, None)
    present = list(Trigger.objects.for_tenant(actor.tenant).filter(workflow=workflow))
    definition = _parsed(
        TriggerDefinition,
        {"key": _free(type.value, {row.key for row in present}), "type": type, "config": dict(config or {})},
    )
    trigger = Trigger(
        tenant=actor.tenant,
        workflow=workflow,
        key=definition.key,
        type=definition.type.value,
        config=definition.config,
        position=len(present),
    )
    give_address(trigger)
    trigger.save(force_insert=True)
    touch(actor, workflow, detail={"trigger_added": trigger.key})
    return trigger


@transaction.atomic
def trigger_update(*, actor: Actor, workflow: Workflow, key: str, config: Mapping[str, Any]) -> Trigger:
    """Replace a trigger's draft config; the live one changes with the next publish."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, None)
    trigger = _trigger(workflow, key)
    trigger.config = _parsed(TriggerDefinition, {"key": key, "type": trigger.type, "config": dict(config)}).config
    trigger.save(update_fields=["config"])
    touch(actor, workflow, detail={"trigger_changed": key})
    return trigger


@transaction.atomic
def trigger_remove(*, actor: Actor, workflow: Workflow, key: str) -> None:
    """Take a trigger out of the draft; a live one starts runs until the next publish."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, None)
    drop_trigger(_trigger(workflow, key))
    touch(actor, workflow, detail={"trigger_removed": key})


def _rows(workflow: Workflow) -> list[Step]:
    rows = Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    return list(rows.select_related("credential", "parent").order_by("position", "id"))


def _step(rows: Sequence[Step], key: str) -> Step:
    found = next((row for row in rows if row.key == key), None)
    if found is None:
        raise NotFound(f"There is no step {key!r:.80} in this draft. Somebody may have removed it.")
    return found


def _trigger(workflow: Workflow, key: str) -> Trigger:
    rows = Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, key=key, in_draft=True)
    found = rows.first()
    if found is None:
        raise NotFound(f"There is no trigger {key!r:.80} in this draft. Somebody may have removed it.")
    return found


def _siblings(rows: Sequence[Step], step: Step) -> list[Step]:
    return [row for row in rows if row.parent_id == step.parent_id and row.lane == step.lane]


def _renumber(steps: Sequence[Step]) -> None:
    """Keep positions dense, so that the order never depends on what was there before."""
    for position, step in enumerate(steps):
        if step.position != position:
            step.position = position
            step.save(update_fields=["position"])


def _free_key(rows: Sequence[Step], action: str) -> str:
    """Return a key made from the action's last word that no step of the draft has."""
    word = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", action.rpartition(".")[2]).lower()
    word = re.sub(r"[^a-z0-9_]+", "_", word).strip("_")[:50]
    base = word if re.fullmatch(KEY_PATTERN, word) else "step"
    return _free(base, {row.key for row in rows})


def _free(base: str, taken: set[str]) -> str:
    number = 1
    while (key := base if number == 1 else f"{base}_{number}") in taken:
        number += 1
    return key


def _default_name(action: str) -> str:
    found = registry.get(action)
    return found.name if found else ""


def _parsed(model: type[Any], values: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            Problem(path=".".join(map(str, found["loc"])), message=found["msg"], code=found["type"])
            for found in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise Invalid("The change has the wrong shape.", problems=problems) from error

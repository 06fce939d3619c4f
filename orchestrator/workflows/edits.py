"""Single changes of a draft, as the builder makes them: one step or trigger at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import TypeAdapter, ValidationError

from integrations import words
from integrations.findings import findings
from integrations.registry import registry
from orchestrator.errors import Conflict, Invalid, NotFound, Problem
from orchestrator.flow.definition import MAX_DEPTH, MAX_STEPS, LaneName, StepDefinition, TriggerDefinition
from orchestrator.flow.names import KEY_PATTERN, TriggerType
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.addresses import give_address
from orchestrator.workflows.drafts import apply_definition, credential_ids, drop_trigger
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Trigger, Workflow

MAX_LANES: Final = 50
SWITCH: Final = "flow.switch"
DEFAULT_LANE: Final = "default"
# With what a step begins whose lanes are whatever people make them.
_FIRST_LANES: Final[Mapping[str, tuple[str, ...]]] = {SWITCH: ("case", DEFAULT_LANE), "flow.parallel": ("one", "two")}
_LANE_NAMES: Final[TypeAdapter[str]] = TypeAdapter(LaneName)
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
    definition = _parsed(StepDefinition, {**given, "lanes": dict.fromkeys(step.lanes, ())})
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


@transaction.atomic
def lane_add(*, actor: Actor, workflow: Workflow, key: str, lane: str, if_match: int | None = None) -> Step:
    """Give a step another, empty lane, before ``default`` if there is one.

    Raises Invalid for a step whose lanes are what they are, for a name that is taken, and for one that is none.
    """
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    step = find_step(rows_of(workflow), key)
    _require_free_lanes(step)
    name = _lane_name(step, lane)
    if len(step.lanes) >= MAX_LANES:
        raise Invalid(_("A step has at most %(most)s lanes.") % {"most": MAX_LANES})
    is_before_last = step.action == SWITCH and step.lanes[-1:] == [DEFAULT_LANE]
    place = len(step.lanes) - is_before_last
    step.lanes = [*step.lanes[:place], name, *step.lanes[place:]]
    step.save(update_fields=["lanes"])
    touch(actor, workflow, detail={"lane_added": name, "step": key})
    return step


@transaction.atomic
def lane_rename(
    *, actor: Actor, workflow: Workflow, key: str, lane: str, name: str, if_match: int | None = None
) -> Step:
    """Call a lane something else; what is in it stays. Raises as ``lane_add``, and NotFound for a lane not there."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    step = find_step(rows_of(workflow), key)
    _require_free_lanes(step)
    _require_lane(step, lane)
    if name.strip() == lane:
        return step
    new = _lane_name(step, name)
    step.lanes = [new if known == lane else known for known in step.lanes]
    step.save(update_fields=["lanes"])
    Step.objects.for_tenant(actor.tenant).filter(parent=step, lane=lane).update(lane=new)
    touch(actor, workflow, detail={"lane_renamed": lane, "to": new, "step": key})
    return step


@transaction.atomic
def lane_remove(
    *,
    actor: Actor,
    workflow: Workflow,
    key: str,
    lane: str,
    with_steps: bool = False,
    if_match: int | None = None,
) -> Step:
    """Remove a lane. Raises Conflict when there are steps in it, unless they go ``with_steps``."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = rows_of(workflow)
    step = find_step(rows, key)
    _require_lane(step, lane)
    found = registry.get(step.action)
    if found is not None and lane in (found.lanes or ()):
        raise Invalid(
            _("The lane %(lane)r is part of what %(name)s is, so it stays.")
            % {"lane": lane, "name": words.declared(found.name)},
            code="fixed_lane",
        )
    held = [row for row in rows if row.parent_id == step.pk and row.lane == lane]
    if held and not with_steps:
        count = sum(1 + _held_count(rows, row) for row in held)
        raise Conflict(
            _(
                "The lane %(lane)r holds %(count)s step(s), which would go with it. Move them out of it "
                "first, or remove it together with them."
            )
            % {"lane": lane, "count": count},
            code="lane_holds_steps",
        )
    for row in held:
        row.delete()
    step.lanes = [known for known in step.lanes if known != lane]
    step.save(update_fields=["lanes"])
    touch(actor, workflow, detail={"lane_removed": lane, "step": key, "steps": len(held)})
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
        {"key": free_key(type.value, {row.key for row in present}), "type": type, "config": dict(config or {})},
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


def rows_of(workflow: Workflow) -> list[Step]:
    """Return the draft's steps in the order of their positions, with what each stands in."""
    rows = Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)
    return list(rows.select_related("credential", "parent").order_by("position", "id"))


def find_step(rows: Sequence[Step], key: str) -> Step:
    """Return the step with a key. Raises NotFound."""
    found = next((row for row in rows if row.key == key), None)
    if found is None:
        raise NotFound(_("There is no step %(key).80r in this draft. Somebody may have removed it.") % {"key": key})
    return found


def first_lanes(action: str) -> tuple[str, ...]:
    """Return the lanes that a new step of an action has: those it always has, else a few to begin with."""
    declared = registry.get(action)
    if declared is None or declared.lanes is None:
        return ()
    return tuple(declared.lanes) or _FIRST_LANES.get(action, ())


def open_lane(holder: Step, lane: str) -> None:
    """Make sure that a step has a lane that its action always has, also where the document left it out."""
    if lane in holder.lanes:
        return
    declared = registry.get(holder.action)
    if declared is None or lane not in (declared.lanes or ()):
        raise NotFound(_("%(name)s has no lane %(lane).80r.") % {"name": holder.name or holder.key, "lane": lane})
    holder.lanes = [*holder.lanes, lane]
    holder.save(update_fields=["lanes"])


def _require_free_lanes(step: Step) -> None:
    declared = registry.get(step.action)
    if declared is None or declared.lanes is None or declared.lanes:
        name = words.declared(declared.name) if declared else step.action
        raise Invalid(_("The lanes of %(name)s cannot be changed.") % {"name": name}, code="fixed_lanes")


def _require_lane(step: Step, lane: str) -> None:
    if lane not in step.lanes:
        raise NotFound(
            _("%(name)s has no lane %(lane).80r. Somebody may have removed it.")
            % {"name": step.name or step.key, "lane": lane}
        )


def _lane_name(step: Step, text: str) -> str:
    """Return the name of a new lane. Raises Invalid."""
    try:
        name = _LANE_NAMES.validate_python(text.strip())
    except ValidationError as error:
        raise Invalid(_("A lane's name has 1 to 63 characters that can be stored."), code="lane_name") from error
    if name in step.lanes:
        raise Invalid(
            _("There is a lane %(name)r already. Give this one another name.") % {"name": name}, code="lane_taken"
        )
    return name


def _held_count(rows: Sequence[Step], step: Step) -> int:
    return sum(1 + _held_count(rows, row) for row in rows if row.parent_id == step.pk)


def depth_of(rows: Sequence[Step], step: Step) -> int:
    """Return in how many lanes a step's own lanes are, these included."""
    by_pk = {row.pk: row for row in rows}
    depth, above = 1, step.parent_id
    while above is not None:
        depth, above = depth + 1, by_pk[above].parent_id
    return depth


def _trigger(workflow: Workflow, key: str) -> Trigger:
    rows = Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, key=key, in_draft=True)
    found = rows.first()
    if found is None:
        raise NotFound(_("There is no trigger %(key).80r in this draft. Somebody may have removed it.") % {"key": key})
    return found


def siblings_of(rows: Sequence[Step], step: Step) -> list[Step]:
    """Return the steps of a step's lane, itself among them, in order."""
    return [row for row in rows if row.parent_id == step.parent_id and row.lane == step.lane]


def renumber(steps: Sequence[Step]) -> None:
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
    return free_key(base, {row.key for row in rows})


def free_key(base: str, taken: set[str]) -> str:
    """Return the base, or the base with the least number that makes it a key nobody has."""
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
            for found in findings(error)
        ]
        raise Invalid(_("The change has the wrong shape."), problems=problems) from error

"""Single changes of a draft's lanes, as the builder makes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import TypeAdapter, ValidationError

from integrations import words
from integrations.registry import registry
from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.flow.definition import LaneName
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.rows import find_step, rows_of

MAX_LANES: Final = 50
SWITCH: Final = "flow.switch"
DEFAULT_LANE: Final = "default"
# With what a step begins whose lanes are whatever people make them.
_FIRST_LANES: Final[Mapping[str, tuple[str, ...]]] = {SWITCH: ("case", DEFAULT_LANE), "flow.parallel": ("one", "two")}
_LANE_NAMES: Final[TypeAdapter[str]] = TypeAdapter(LaneName)


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

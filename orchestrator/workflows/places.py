"""Where a step stands: moved to any place of its draft, or put into a loop that takes its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from orchestrator.errors import Invalid
from orchestrator.flow.definition import MAX_DEPTH, MAX_STEPS
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.lane_edits import open_lane
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.rows import depth_of, find_step, free_key, renumber, rows_of, siblings_of

LOOP: Final = "flow.foreach"
BODY: Final = "body"


@transaction.atomic
def step_place(
    *,
    actor: Actor,
    workflow: Workflow,
    key: str,
    after: str | None = None,
    parent: str | None = None,
    lane: str = "",
    if_match: int | None = None,
) -> Step:
    """Move a step, with what it holds, behind ``after``; without it as the first of ``parent``'s ``lane``, or of all.

    Raises NotFound for a place that is not there, Invalid for one inside the step itself or too deep, Conflict on
    another revision than ``if_match``.
    """
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = rows_of(workflow)
    step = find_step(rows, key)
    previous = find_step(rows, after) if after else None
    holder = previous.parent if previous else (find_step(rows, parent) if parent else None)
    _refuse_inside_itself(rows, step, [each for each in (previous, holder) if each is not None])
    if holder is not None and previous is None:
        open_lane(holder, lane)
    if holder is not None and depth_of(rows, holder) + _height(rows, step) - 1 > MAX_DEPTH:
        raise Invalid(
            _("Lanes nest at most %(most)s levels deep. Move some steps into a workflow of their own.")
            % {"most": MAX_DEPTH}
        )
    left = [row for row in siblings_of(rows, step) if row.pk != step.pk]
    step.parent, step.lane = holder, (previous.lane if previous else lane) if holder else ""
    siblings = [row for row in siblings_of(rows, step) if row.pk != step.pk]
    place = siblings.index(previous) + 1 if previous else 0
    step.save(update_fields=["parent", "lane"])
    renumber(left)
    renumber([*siblings[:place], step, *siblings[place:]])
    touch(actor, workflow, detail={"step_moved": key})
    return step


@transaction.atomic
def step_wrap(*, actor: Actor, workflow: Workflow, key: str, items: str, if_match: int | None = None) -> Step:
    """Put a step into a new loop over ``items``, an expression, that takes its place; return the loop.

    Raises as ``step_place``, and Invalid for more steps than a workflow has.
    """
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = rows_of(workflow)
    step = find_step(rows, key)
    if len(rows) >= MAX_STEPS:
        raise Invalid(
            _("A workflow has at most %(most)s steps. Move some into a workflow of their own.") % {"most": MAX_STEPS}
        )
    around = depth_of(rows, step.parent) if step.parent else 0
    if around + 1 + _height(rows, step) - 1 > MAX_DEPTH:
        raise Invalid(
            _("Lanes nest at most %(most)s levels deep. Move some steps into a workflow of their own.")
            % {"most": MAX_DEPTH}
        )
    siblings = siblings_of(rows, step)
    loop = Step(
        tenant=actor.tenant,
        workflow=workflow,
        key=free_key("each", {row.key for row in rows}),
        action=LOOP,
        config={"inputs": {"items": items}},
        parent=step.parent,
        lane=step.lane,
        lanes=[BODY],
        position=step.position,
    )
    loop.save(force_insert=True)
    step.parent, step.lane, step.position = loop, BODY, 0
    step.save(update_fields=["parent", "lane", "position"])
    renumber([loop if row.pk == step.pk else row for row in siblings])
    touch(actor, workflow, detail={"step_wrapped": key, "loop": loop.key})
    return loop


def _refuse_inside_itself(rows: Sequence[Step], step: Step, places: Sequence[Step]) -> None:
    by_pk = {row.pk: row for row in rows}
    for place in places:
        found: Step | None = place
        while found is not None:
            if found.pk == step.pk:
                raise Invalid(_("A step cannot be moved into itself or behind itself."), code="inside_itself")
            found = by_pk.get(found.parent_id) if found.parent_id else None


def _height(rows: Sequence[Step], step: Step) -> int:
    """Return how many levels a step and what its lanes hold take: 1 for a step without lanes."""
    return 1 + max((_height(rows, row) for row in rows if row.parent_id == step.pk), default=0)

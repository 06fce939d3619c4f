"""A draft's rows in memory: which there are, where each stands, and which keys are free."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from orchestrator.errors import NotFound
from orchestrator.workflows.models import Step, Workflow


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


def siblings_of(rows: Sequence[Step], step: Step) -> list[Step]:
    """Return the steps of a step's lane, itself among them, in order."""
    return [row for row in rows if row.parent_id == step.parent_id and row.lane == step.lane]


def depth_of(rows: Sequence[Step], step: Step) -> int:
    """Return in how many lanes a step's own lanes are, these included."""
    by_pk = {row.pk: row for row in rows}
    depth, above = 1, step.parent_id
    while above is not None:
        depth, above = depth + 1, by_pk[above].parent_id
    return depth


def renumber(steps: Sequence[Step]) -> None:
    """Keep positions dense, so that the order never depends on what was there before."""
    for position, step in enumerate(steps):
        if step.position != position:
            step.position = position
            step.save(update_fields=["position"])


def free_key(base: str, taken: set[str]) -> str:
    """Return the base, or the base with the least number that makes it a key nobody has."""
    number = 1
    while (key := base if number == 1 else f"{base}_{number}") in taken:
        number += 1
    return key

"""A step copied within its draft, with all that its lanes hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import transaction

from orchestrator.errors import Invalid
from orchestrator.flow.definition import MAX_STEPS
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.workflows.edits import find_step, free_key, renumber, rows_of, siblings_of
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Workflow

# Not a field of that name in something else, like trigger.body.steps.
_REFERENCE: Final = re.compile(r"(?<![\w.])steps\.([a-z][a-z0-9_]*)")


@transaction.atomic
def step_duplicate(*, actor: Actor, workflow: Workflow, key: str, if_match: int | None = None) -> Step:
    """Insert a copy behind a step, in its lane; return the copy.

    What its lanes hold is copied too, and what these read of one another reads the copies. Raises NotFound, Conflict
    on another revision than ``if_match``, Invalid for more steps than a workflow has.
    """
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    rows = rows_of(workflow)
    step = find_step(rows, key)
    held = _with_held(rows, step)
    if len(rows) + len(held) > MAX_STEPS:
        raise Invalid(f"A workflow has at most {MAX_STEPS} steps. Move some into a workflow of their own.")
    keys = _new_keys(rows, held)
    siblings = siblings_of(rows, step)
    place = siblings.index(step) + 1
    copies = {row.pk: _copied(row, keys) for row in held}
    for row in held:
        copy = copies[row.pk]
        if row.parent_id in copies:
            copy.parent = copies[row.parent_id]
        copy.save(force_insert=True)
    made = copies[step.pk]
    renumber([*siblings[:place], made, *siblings[place:]])
    touch(actor, workflow, detail={"step_added": made.key, "copy_of": key})
    return made


def _with_held(rows: Sequence[Step], step: Step) -> list[Step]:
    """Return a step and what its lanes hold, each after the one that holds it."""
    return [step, *(inner for row in rows if row.parent_id == step.pk for inner in _with_held(rows, row))]


def _new_keys(rows: Sequence[Step], held: Sequence[Step]) -> dict[str, str]:
    taken = {row.key for row in rows}
    keys: dict[str, str] = {}
    for row in held:
        keys[row.key] = free_key(re.sub(r"_\d+$", "", row.key)[:55], taken)
        taken.add(keys[row.key])
    return keys


def _copied(row: Step, keys: Mapping[str, str]) -> Step:
    values = {
        field.attname: getattr(row, field.attname) for field in Step._meta.concrete_fields if not field.primary_key
    }
    return Step(**{**values, "key": keys[row.key], "config": _reading(row.config, keys)})


def _reading(value: JSONValue, keys: Mapping[str, str]) -> Any:
    """Return a config whose expressions read copied steps where they read their originals."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: f"steps.{keys.get(found[1], found[1])}", value)
    if isinstance(value, dict):
        return {name: _reading(item, keys) for name, item in value.items()}
    if isinstance(value, list):
        return [_reading(item, keys) for item in value]
    return value

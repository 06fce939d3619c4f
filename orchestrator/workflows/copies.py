"""A step copied within its draft, or put in from a copy as JSON, with all that its lanes hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import ValidationError

from integrations.findings import findings
from orchestrator import jsongate
from orchestrator.errors import Invalid
from orchestrator.flow.definition import MAX_DEPTH, MAX_STEPS, StepDefinition, walk_steps
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.workflows import history
from orchestrator.workflows.drafts import apply_definition, credential_ids
from orchestrator.workflows.edits import step_add
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.rows import depth_of, find_step, free_key, renumber, rows_of, siblings_of

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
        raise Invalid(
            _("A workflow has at most %(most)s steps. Move some into a workflow of their own.") % {"most": MAX_STEPS}
        )
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


@transaction.atomic
def step_paste(
    *,
    actor: Actor,
    workflow: Workflow,
    text: str,
    after: str | None = None,
    parent: str | None = None,
    lane: str = "",
    if_match: int | None = None,
) -> Step:
    """Put in a step that was copied as JSON, as ``edits.step_add`` places it; return it.

    Keys that the draft has are made new, and what the pasted steps read of one another follows. Raises Invalid for
    what is no step, too many or too deep, and as ``step_add``.
    """
    definition = _pasted(text)
    held = [step for _path, step in _walk(definition)]
    made = step_add(
        actor=actor, workflow=workflow, action=definition.action, after=after, parent=parent, lane=lane,
        if_match=if_match,
    )  # fmt: skip
    rows = rows_of(made.workflow)
    if len(rows) - 1 + len(held) > MAX_STEPS:
        raise Invalid(
            _("A workflow has at most %(most)s steps. Move some into a workflow of their own.") % {"most": MAX_STEPS}
        )
    if depth_of(rows, made) + max(path.count(".lanes.") for path, _step in _walk(definition)) > MAX_DEPTH + 1:
        raise Invalid(
            _("Lanes nest at most %(most)s levels deep. Move some steps into a workflow of their own.")
            % {"most": MAX_DEPTH}
        )
    taken = {row.key for row in rows if row.pk != made.pk}
    keys: dict[str, str] = {}
    for step in held:
        keys[step.key] = step.key if step.key not in taken else free_key(re.sub(r"_\d+$", "", step.key)[:55], taken)
        taken.add(keys[step.key])
    _fill(made, definition, keys, credential_ids(actor.tenant, [step.credential for step in held]))
    # What was remembered is the step before it was filled in: redo must bring the whole of it.
    history.amend(made.workflow)
    return made


def _pasted(text: str) -> StepDefinition:
    """Return the step of a text. Raises Invalid."""
    try:
        found = StepDefinition.model_validate(jsongate.loads(text.strip().encode("utf-8", "surrogatepass")))
    except jsongate.BadJSON as error:
        raise Invalid(_("This is no step as JSON: %(error)s.") % {"error": error}, code="no_step") from error
    except ValidationError as error:
        first = findings(error)[0]
        where = ".".join(map(str, first["loc"])) or "step"
        raise Invalid(
            _("This is no step: %(where)s: %(message)s.") % {"where": where, "message": first["msg"]}, code="no_step"
        ) from error
    keys = [step.key for _path, step in _walk(found)]
    if len(set(keys)) != len(keys):
        raise Invalid(_("This is no step: two of the steps in it have the same key."), code="no_step")
    return found


def _walk(step: StepDefinition) -> list[tuple[str, StepDefinition]]:
    return list(walk_steps("steps", (step,)))


def _fill(row: Step, definition: StepDefinition, keys: Mapping[str, str], credentials: Mapping[str, int]) -> None:
    """Write a pasted step onto its row, and a row for each step in its lanes."""
    apply_definition(row, definition, credentials)
    row.key, row.config = keys[definition.key], _reading(row.config, keys)
    row.save()
    for lane, inner in definition.lanes.items():
        for position, step in enumerate(inner):
            below = Step(tenant_id=row.tenant_id, workflow_id=row.workflow_id, parent=row, lane=lane, position=position)
            _fill(below, step, keys, credentials)


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

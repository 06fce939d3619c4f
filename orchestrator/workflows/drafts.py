"""The draft, as rows and as a document: the only place that turns one into the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from pydantic import ValidationError

from integrations.findings import findings
from orchestrator.errors import Invalid, Problem
from orchestrator.flow.definition import StepDefinition, TriggerDefinition, WorkflowDefinition
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.workflows.models import Step, Trigger, Workflow
from orchestrator.workflows.secret_inputs import held, kept_config


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a step stands: in which lane of which step, and how far down."""

    parent: str | None
    lane: str
    position: int


def draft_document(workflow: Workflow) -> dict[str, Any]:
    """Return the draft as a workflow's document; two queries unless prefetched."""
    steps = sorted(workflow.steps.all(), key=lambda step: (step.position, step.pk))
    triggers = sorted((t for t in workflow.triggers.all() if t.in_draft), key=lambda t: (t.position, t.pk))
    return {
        "name": workflow.name,
        "slug": workflow.slug,
        "description": workflow.description,
        "triggers": [{"key": t.key, "type": t.type, "config": t.config} for t in triggers],
        "steps": _nested(steps, parent=None, lane=""),
        "output": workflow.output,
        "settings": workflow.settings,
    }


def draft_definition(workflow: Workflow) -> WorkflowDefinition:
    """Return the draft as a definition, defaults filled in.

    Raises pydantic's ValidationError for a draft whose shape is wrong; services keep such a draft out.
    """
    return WorkflowDefinition.model_validate(draft_document(workflow))


def write_steps(*, workflow: Workflow, steps: Sequence[StepDefinition]) -> None:
    """Make the draft's step rows what ``steps`` says; a step that keeps its key keeps its row."""
    rows = {row.key: row for row in Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)}
    credentials = credential_ids(workflow.tenant_id, (step.credential for _, step in _placed(steps)))
    kept: set[str] = set()
    for place, definition in _placed(steps):
        row = rows.get(definition.key) or Step(tenant_id=workflow.tenant_id, workflow=workflow, key=definition.key)
        apply_definition(row, definition, credentials)
        row.parent = rows[place.parent] if place.parent else None
        row.lane, row.position = place.lane, place.position
        row.save()
        rows[row.key] = row
        kept.add(row.key)
    Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).exclude(key__in=kept).delete()


def apply_definition(row: Step, definition: StepDefinition, credentials: Mapping[str, int]) -> None:
    """Copy a step's definition onto its row, its place aside."""
    row.name, row.action, row.notes = definition.name, definition.action, definition.notes
    row.lanes = list(definition.lanes)
    row.config = dict(kept_config(row.action, definition.config.model_dump(mode="json", exclude_defaults=True)))
    row.secrets = sorted(set(held(row.action, definition.config.inputs).values())) or None
    row.credential_id = credentials.get(definition.credential or "")
    # A name that no credential has stays as it is: a draft may be wrong, and publish says so.
    row.credential_name = "" if row.credential_id else definition.credential or ""


def write_triggers(*, workflow: Workflow, triggers: Sequence[TriggerDefinition]) -> list[Trigger]:
    """Make the draft's trigger rows what ``triggers`` says; return those that are new.

    A live trigger that the draft drops stays, out of the draft, until the next publish.
    """
    rows = {row.key: row for row in Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow)}
    new = []
    for position, definition in enumerate(triggers):
        row = rows.pop(definition.key, None)
        if row is not None and row.type != definition.type.value:
            # Another type is another trigger: it gets its own address and state.
            row.delete()
            row = None
        if row is None:
            row = Trigger(
                tenant_id=workflow.tenant_id, workflow=workflow, key=definition.key, type=definition.type.value
            )
            new.append(row)
        row.config, row.position, row.in_draft = definition.config, position, True
        row.save()
    for row in rows.values():
        if row.in_draft:
            drop_trigger(row)
    return new


def drop_trigger(row: Trigger) -> None:
    """Take a trigger out of the draft."""
    if row.live_config is None:
        row.delete()
    else:
        Trigger.objects.for_tenant(row.tenant_id).filter(pk=row.pk).update(in_draft=False)


def credential_ids(tenant: Tenant | int, names: Iterable[str | None]) -> dict[str, int]:
    """Return the ids of this tenant's credentials by name; names that none has are left out."""
    wanted = {name for name in names if name}
    if not wanted:
        return {}
    return dict(Credential.objects.for_tenant(tenant).filter(name__in=wanted).values_list("name", "pk"))


def _nested(steps: Sequence[Step], *, parent: int | None, lane: str) -> list[dict[str, Any]]:
    return [_step_document(step, steps) for step in steps if step.parent_id == parent and step.lane == lane]


def _step_document(step: Step, steps: Sequence[Step]) -> dict[str, Any]:
    """Return one step; what is at its default is left out, as a person would write it."""
    document: dict[str, Any] = {"key": step.key, "name": step.name, "action": step.action}
    credential = step.credential.name if step.credential else step.credential_name
    if credential:
        document["credential"] = credential
    # An input may have become a secret since it was saved.
    document["config"] = kept_config(step.action, step.config)
    if step.notes:
        document["notes"] = step.notes
    if step.lanes:
        document["lanes"] = {lane: _nested(steps, parent=step.pk, lane=lane) for lane in step.lanes}
    return document


def _placed(
    steps: Sequence[StepDefinition], parent: str | None = None, lane: str = ""
) -> Iterator[tuple[_Place, StepDefinition]]:
    """Yield every step with its place, parents first."""
    for position, step in enumerate(steps):
        yield _Place(parent=parent, lane=lane, position=position), step
        for name, inner in step.lanes.items():
            yield from _placed(inner, step.key, name)


def parsed_part(model: type[Any], values: Mapping[str, Any]) -> Any:
    """Return a part of a draft as its model. Raises Invalid naming what has the wrong shape."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            Problem(path=".".join(map(str, found["loc"])), message=found["msg"], code=found["type"])
            for found in findings(error)
        ]
        raise Invalid(_("The change has the wrong shape."), problems=problems) from error

"""Changes to workflows: checked, done and written to the audit log in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from pydantic import ValidationError

from integrations.findings import findings
from orchestrator.errors import Conflict, Invalid, NotFound, Problem
from orchestrator.flow.definition import MAX_DEPTH, MAX_STEPS, StepDefinition, WorkflowDefinition
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential
from orchestrator.workflows import history
from orchestrator.workflows.addresses import give_address, trigger_address
from orchestrator.workflows.arming import arm
from orchestrator.workflows.copies import step_duplicate
from orchestrator.workflows.drafts import draft_document, write_steps, write_triggers
from orchestrator.workflows.edits import step_add, step_move, step_remove, step_update
from orchestrator.workflows.lane_edits import lane_add, lane_remove, lane_rename
from orchestrator.workflows.locking import lock_draft, touch
from orchestrator.workflows.models import Step, Workflow, WorkflowVersion
from orchestrator.workflows.publishing import PublishResult, check, draft_snapshot, publish, version_publish
from orchestrator.workflows.returning import AutoReturn, publish_undo, version_return, watch_end
from orchestrator.workflows.selectors import CredentialUsage, credential_usages
from orchestrator.workflows.trigger_edits import trigger_add, trigger_remove, trigger_update

__all__ = [
    "AutoReturn",
    "PublishResult",
    "check",
    "credential_delete_checked",
    "draft_redo",
    "draft_snapshot",
    "draft_undo",
    "lane_add",
    "lane_remove",
    "lane_rename",
    "parse_document",
    "publish",
    "publish_undo",
    "step_add",
    "step_duplicate",
    "step_move",
    "step_remove",
    "step_update",
    "trigger_add",
    "trigger_address",
    "trigger_remove",
    "trigger_update",
    "version_publish",
    "version_restore",
    "version_return",
    "watch_end",
    "workflow_create",
    "workflow_delete",
    "workflow_patch",
    "workflow_replace",
    "workflow_set_enabled",
]

# What PATCH may replace, each as a whole.
DOCUMENT_KEYS: Final = ("name", "slug", "description", "triggers", "steps", "output", "settings")


@transaction.atomic
def workflow_create(*, actor: Actor, document: Mapping[str, Any] | None = None, name: str = "") -> Workflow:
    """Make a workflow from a document, or an empty one with ``name``. A slug that is left out is made unique.

    Raises Invalid for a document of the wrong shape; content may be incomplete or wrong.
    """
    require_operation(actor, "workflow.edit")
    given = {"name": name or "Untitled workflow", **(document or {})}
    if not given.get("slug"):
        given["slug"] = _free_slug(actor.tenant, str(given["name"]))
    definition = parse_document(given)
    workflow = Workflow(tenant=actor.tenant)
    _write_columns(workflow, definition)
    _save_slug(workflow, insert=True)
    _write_rows(workflow, definition)
    audit.record(actor=actor, action="workflow.created", target=workflow)
    return workflow


@transaction.atomic
def workflow_replace(
    *, actor: Actor, workflow: Workflow, document: Mapping[str, Any], if_match: int | None = None
) -> Workflow:
    """Replace the draft. Raises Conflict when ``if_match`` is not the draft's present revision."""
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    definition = parse_document({"slug": workflow.slug, **document})
    _write_columns(workflow, definition)
    _save_slug(workflow)
    _write_rows(workflow, definition)
    return touch(actor, workflow, detail={"replaced": True})


@transaction.atomic
def workflow_patch(
    *, actor: Actor, workflow: Workflow, changes: Mapping[str, Any], if_match: int | None = None
) -> Workflow:
    """Replace whole top-level keys of the draft. Raises Invalid for a key that is not the document's."""
    require_operation(actor, "workflow.edit")
    unknown = [key for key in changes if key not in DOCUMENT_KEYS]
    if unknown:
        raise Invalid(
            _("%(key).80r cannot be changed here.") % {"key": unknown[0]},
            problems=[
                Problem(path=key[:100], message=_("Not a key of the document."), code="unknown") for key in unknown
            ],
        )
    workflow = lock_draft(actor, workflow, if_match)
    definition = parse_document({**draft_document(workflow), **changes})
    _write_columns(workflow, definition)
    _save_slug(workflow)
    if "steps" in changes:
        write_steps(workflow=workflow, steps=definition.steps)
    if "triggers" in changes:
        _write_triggers(workflow, definition)
    return touch(actor, workflow, detail={"changed": sorted(changes)})


@transaction.atomic
def workflow_delete(*, actor: Actor, workflow: Workflow) -> None:
    """Delete a workflow with its versions and runs."""
    require_operation(actor, "workflow.delete")
    audit.record(actor=actor, action="workflow.deleted", target=workflow)
    # The published version protects itself against deletion; taking it down first is the deletion's own business.
    Workflow.objects.for_tenant(actor.tenant).filter(pk=workflow.pk).update(published_version=None, enabled=False)
    Workflow.objects.for_tenant(actor.tenant).get(pk=workflow.pk).delete()


@transaction.atomic
def workflow_set_enabled(*, actor: Actor, workflow: Workflow, enabled: bool) -> Workflow:
    """Let the triggers start runs, or stop them. Raises Conflict when there is nothing published to enable."""
    require_operation(actor, "workflow.switch")
    workflow = Workflow.objects.for_tenant(actor.tenant).select_for_update(of=("self",)).get(pk=workflow.pk)
    if enabled and workflow.published_version_id is None:
        raise Conflict(_("This workflow has no published version yet. Publish it first."), code="unpublished")
    if workflow.enabled != enabled:
        workflow.enabled = enabled
        workflow.updated_at = timezone.now()
        workflow.save(update_fields=["enabled", "updated_at"])
        arm(workflow, workflow.updated_at)
        audit.record(actor=actor, action="workflow.enabled" if enabled else "workflow.disabled", target=workflow)
    return workflow


@transaction.atomic
def version_restore(
    *, actor: Actor, workflow: Workflow, version: WorkflowVersion, if_match: int | None = None
) -> Workflow:
    """Make the draft what a version is; nothing is published. Raises Conflict on another revision than ``if_match``."""
    require_operation(actor, "workflow.edit")
    if version.workflow_id != workflow.pk or version.tenant_id != actor.tenant.pk:
        raise NotFound(_("This workflow has no such version."))
    workflow = lock_draft(actor, workflow, if_match)
    definition = WorkflowDefinition.model_validate({**version.definition, "slug": workflow.slug})
    _write_columns(workflow, definition)
    _save_slug(workflow)
    _write_rows(workflow, definition)
    return touch(actor, workflow, detail={"restored": version.number})


@transaction.atomic
def credential_delete_checked(*, actor: Actor, credential: Credential, force: bool = False) -> None:
    """Delete a credential that no step uses, or any with ``force``; its steps then fail with ``auth``.

    Raises Conflict with a problem for each step that uses it.
    """
    require_operation(actor, "credential.edit")
    usages = credential_usages(actor.tenant, credential)
    if usages and not force:
        raise Conflict(
            _(
                "%(name)s is used by %(count)s step(s), which would stop. Choose another credential there "
                "first, or delete it with force."
            )
            % {"name": credential.name, "count": len(usages)},
            code="in_use",
            problems=[
                Problem(path=f"used_by[{i}]", message=_used_words(usage), code="in_use")
                for i, usage in enumerate(usages)
            ],
        )
    # The steps keep the name, so that a draft says what is missing and a new credential of that name fits in.
    rows = Step.objects.for_tenant(actor.tenant).filter(credential=credential)
    rows.update(credential=None, credential_name=credential.name)
    vault.credential_delete(actor=actor, credential=credential)


def _used_words(usage: CredentialUsage) -> str:
    return _("%(workflow)s: step %(step)s") % {"workflow": usage.workflow_slug, "step": usage.step_key}


@transaction.atomic
def draft_undo(*, actor: Actor, workflow: Workflow, if_match: int | None = None) -> tuple[Workflow, Mapping[str, Any]]:
    """Make the draft what it was before its last change; return it and what was undone. Raises Conflict."""
    return _travel(actor, workflow, -1, if_match)


@transaction.atomic
def draft_redo(*, actor: Actor, workflow: Workflow, if_match: int | None = None) -> tuple[Workflow, Mapping[str, Any]]:
    """Make the change again that was undone last; return the draft and the change. Raises Conflict."""
    return _travel(actor, workflow, +1, if_match)


def _travel(actor: Actor, workflow: Workflow, by: int, if_match: int | None) -> tuple[Workflow, Mapping[str, Any]]:
    require_operation(actor, "workflow.edit")
    workflow = lock_draft(actor, workflow, if_match)
    definition, state = history.neighbour(workflow, by)
    others = Workflow.objects.for_tenant(actor.tenant).exclude(pk=workflow.pk)
    if others.filter(slug=definition.slug).exists():
        # Taken meanwhile: what else was changed then can still be reached.
        definition = definition.model_copy(update={"slug": workflow.slug})
    _write_columns(workflow, definition)
    workflow.draft_state += by
    _save_slug(workflow)
    _write_rows(workflow, definition)
    told = {"undone" if by < 0 else "redone": state.change}
    return touch(actor, workflow, detail=told, is_new=False), state.change


def parse_document(document: Mapping[str, Any]) -> WorkflowDefinition:
    """Return the definition. Raises Invalid with a problem for everything that has the wrong shape."""
    try:
        definition = WorkflowDefinition.model_validate(dict(document))
    except ValidationError as error:
        raise Invalid(_("This is not a workflow document."), problems=list(_shape_problems(error))) from error
    problems = list(_structure_problems(definition))
    if problems:
        raise Invalid(_("This is not a workflow document."), problems=problems)
    return definition


def _write_columns(workflow: Workflow, definition: WorkflowDefinition) -> None:
    workflow.name, workflow.slug, workflow.description = definition.name, definition.slug, definition.description
    workflow.output = definition.output
    workflow.settings = definition.settings.model_dump(mode="json", exclude_defaults=True)


def _write_rows(workflow: Workflow, definition: WorkflowDefinition) -> None:
    write_steps(workflow=workflow, steps=definition.steps)
    _write_triggers(workflow, definition)


def _write_triggers(workflow: Workflow, definition: WorkflowDefinition) -> None:
    for trigger in write_triggers(workflow=workflow, triggers=definition.triggers):
        give_address(trigger)
        trigger.save(update_fields=["address_digest", "address_sealed", "address_key_id"])


def _save_slug(workflow: Workflow, *, insert: bool = False) -> None:
    try:
        with transaction.atomic():
            workflow.save(force_insert=insert)
    except IntegrityError:
        message = _("Another workflow of this tenant has the slug %(slug)r. Choose a different one.") % {
            "slug": workflow.slug
        }
        raise Invalid(message, problems=[Problem(path="slug", message=message, code="taken")]) from None


def _free_slug(tenant: Tenant, name: str) -> str:
    """Return a slug made from the name that no workflow of the tenant has."""
    base = slugify(name)[:50].strip("-_").replace("_", "-") or "workflow"
    taken = set(Workflow.objects.for_tenant(tenant).filter(slug__startswith=base).values_list("slug", flat=True))
    number = 1
    while (slug := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return slug


def _shape_problems(error: ValidationError) -> Iterator[Problem]:
    for found in findings(error):
        path = ""
        for part in found["loc"]:
            path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
        yield Problem(path=path[:500], message=found["msg"], code=found["type"])


def _structure_problems(definition: WorkflowDefinition) -> Iterator[Problem]:
    """Yield what rows cannot hold: keys used twice, too many steps, lanes too deep."""
    seen: set[str] = set()
    steps: Sequence[tuple[str, StepDefinition]] = list(definition.walk())
    if len(steps) > MAX_STEPS:
        yield Problem(
            path="steps",
            message=_("%(count)s steps; at most %(most)s are taken.") % {"count": len(steps), "most": MAX_STEPS},
            code="too_many",
        )
    for path, step in steps:
        if step.key in seen:
            yield Problem(
                path=f"{path}.key", message=_("Another step has the key %(key)r.") % {"key": step.key}, code="duplicate"
            )
        seen.add(step.key)
        if path.count(".lanes.") > MAX_DEPTH:
            yield Problem(
                path=path,
                message=_("Lanes nest deeper than %(most)s levels.") % {"most": MAX_DEPTH},
                code="too_deep",
            )
    keys = [trigger.key for trigger in definition.triggers]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            yield Problem(
                path=f"triggers[{index}].key",
                message=_("Another trigger has the key %(key)r.") % {"key": key},
                code="duplicate",
            )

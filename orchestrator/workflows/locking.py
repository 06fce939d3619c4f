"""Every change of a draft locks its workflow first, and counts a revision last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, NotFound
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.workflows import history
from orchestrator.workflows.models import Workflow


def lock_draft(actor: Actor, workflow: Workflow, if_match: int | None) -> Workflow:
    """Return the row, locked for this transaction. Raises NotFound, or Conflict on another revision."""
    rows = Workflow.objects.for_tenant(actor.tenant).select_for_update(of=("self",))
    locked = rows.filter(pk=workflow.pk).first()
    if locked is None:
        raise NotFound(_("There is no such workflow in this tenant."))
    if if_match is not None and if_match != locked.revision:
        raise Conflict(
            _(
                "Somebody changed this workflow meanwhile: it is at revision %(revision)s, yours was "
                "%(if_match)s. Read it again, and repeat your change."
            )
            % {"revision": locked.revision, "if_match": if_match},
            code="revision_conflict",
        )
    history.begin(locked)
    return locked


def touch(actor: Actor, workflow: Workflow, *, detail: Mapping[str, Any], is_new: bool = True) -> Workflow:
    """Count a change of the draft and write it to the audit log; one that ``is_new`` can be undone."""
    if is_new:
        history.remember(actor, workflow, detail)
    workflow.revision += 1
    workflow.updated_at = timezone.now()
    workflow.save(update_fields=["revision", "updated_at", "draft_state"])
    audit.record(actor=actor, action="workflow.changed", target=workflow, detail=dict(detail))
    return workflow

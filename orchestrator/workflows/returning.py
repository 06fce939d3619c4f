"""Going back to the version that was live before: by a person just after a publish, or by itself after failures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Invalid, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, system_actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.live import make_live
from orchestrator.workflows.models import Workflow, WorkflowVersion

UNDO_SECONDS: Final = 30
# A press in the last moment is still on its way.
_ON_ITS_WAY: Final = timedelta(seconds=5)
MOST_RUNS: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class AutoReturn:
    """Go back once ``failures`` of the first ``runs`` runs of a version have failed."""

    failures: int = 5
    runs: int = 20


def check_auto_return(wanted: AutoReturn | None, replaced: WorkflowVersion | None) -> None:
    """Raise Invalid for numbers that mean nothing, or where there is nothing to go back to."""
    problems = list(_problems(wanted, replaced)) if wanted else []
    if problems:
        raise Invalid(problems[0].message, problems=problems)


def _problems(wanted: AutoReturn, replaced: WorkflowVersion | None) -> Iterator[Problem]:
    if replaced is None:
        message = _("This is the first version: there is none to go back to. Leave auto_return out.")
        yield Problem(path="auto_return", message=message, code="first_version")
    if not 1 <= wanted.runs <= MOST_RUNS:
        message = _("Between 1 and %(most)s runs can be watched.") % {"most": f"{MOST_RUNS:,}"}
        yield Problem(path="auto_return.runs", message=message, code="out_of_range")
    if not 1 <= wanted.failures <= wanted.runs:
        message = _("At least one failure, and no more than the runs that are watched.")
        yield Problem(path="auto_return.failures", message=message, code="out_of_range")


def may_undo(version: WorkflowVersion) -> bool:
    """Whether it was published so short a time ago that this can be undone."""
    return timezone.now() - version.created_at <= timedelta(seconds=UNDO_SECONDS)


@transaction.atomic
def publish_undo(*, actor: Actor, workflow: Workflow, number: int) -> Workflow:
    """Make live what was before version ``number``, or nothing before the first; its runs in progress go on.

    Raises Conflict when that version is not live any more, or has been for too long.
    """
    require_operation(actor, "workflow.publish")
    workflow = _locked(workflow)
    version = workflow.published_version
    if version is None or version.number != number:
        raise Conflict(
            _("Version %(number)s is not live any more, so there is nothing to undo.") % {"number": number},
            code="not_live",
        )
    if timezone.now() - version.created_at > timedelta(seconds=UNDO_SECONDS) + _ON_ITS_WAY:
        message = _("A publish can be undone for %(seconds)s seconds. Publish the version before it again instead.") % {
            "seconds": UNDO_SECONDS
        }
        raise Conflict(message, code="too_late")
    make_live(workflow, version.replaced)
    detail = {"number": number, "live": version.replaced.number if version.replaced else None}
    audit.record(actor=actor, action="workflow.publish_undone", target=workflow, detail=detail)
    return workflow


@transaction.atomic
def version_return(*, version: WorkflowVersion, failed: int, runs: int) -> bool:
    """Make live what was before a version of whose ``runs`` so many have failed; return whether that was done now.

    Any number of workers may ask at once: it is done once, and not when another version is live by now.
    """
    workflow = _locked(version.workflow)
    rows = WorkflowVersion.objects.for_tenant(version.tenant_id).filter(pk=version.pk, watched=True)
    if workflow.published_version_id != version.pk:
        rows.update(watched=False)
        return False
    counts = {"failed": failed, "runs": runs}
    if not rows.update(watched=False, returned_at=timezone.now(), return_counts=counts):
        return False
    make_live(workflow, version.replaced)
    audit.record(
        actor=system_actor(workflow.tenant),
        action="workflow.returned",
        target=workflow,
        detail={"number": version.number, "live": version.replaced.number if version.replaced else None, **counts},
    )
    return True


def watch_end(version: WorkflowVersion) -> None:
    """Let a version go back by itself no more: enough of its runs went well."""
    WorkflowVersion.objects.for_tenant(version.tenant_id).filter(pk=version.pk).update(watched=False)


def _locked(workflow: Workflow) -> Workflow:
    rows = Workflow.objects.for_tenant(workflow.tenant_id).select_for_update(of=("self",))
    return rows.select_related("tenant", "published_version__replaced").get(pk=workflow.pk)

"""The page that makes a draft the live version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orchestrator.builder.changes import Block, blocks, definition_of, field_label, step_title
from orchestrator.errors import Invalid, Problem
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_definition, next_version_number
from runs.overview import in_progress

MAX_NOTE: Final = 1_000
_NAME: Final = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True, kw_only=True)
class ProblemRow:
    """A problem or a warning: about which step and field, and where to put it right."""

    blocks: bool
    title: str
    field: str
    message: str
    url: str


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def publish(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show what a publish would change and what stands in its way, or publish."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    if request.method != "POST":
        return _page(request, actor, workflow)
    note = request.POST.get("note", "").replace("\x00", "").strip()[:MAX_NOTE]
    try:
        made = services.publish(actor=actor, workflow=workflow, note=note)
    except Invalid:
        return _page(request, actor, workflow, note=note, refused=True)
    messages.success(request, _("Version %(number)d is live.") % {"number": made.version.number})
    return redirect("workflow", actor.tenant.slug, workflow.pk)


def _page(
    request: HttpRequest, actor: Actor, workflow: Workflow, *, note: str = "", refused: bool = False
) -> HttpResponse:
    definition = draft_definition(workflow)
    found = problem_rows(actor.tenant, workflow, definition, services.check(workflow))
    live = workflow.published_version
    context = {
        "workflow": workflow,
        "live": live,
        "number": next_version_number(workflow),
        "problems": found,
        "blocking": sum(row.blocks for row in found),
        "warnings": sum(not row.blocks for row in found),
        "blocks": draft_changes(workflow, definition),
        "in_progress": in_progress(actor.tenant, workflow.pk) if live else 0,
        "note": note,
        "refused": refused,
    }
    status = 400 if refused else 200
    return page(request, actor, "builder/publish.html", context, nav="workflow-list", narrow=True, status=status)


def draft_changes(workflow: Workflow, definition: WorkflowDefinition) -> list[Block]:
    """Return what the draft changes of the live version."""
    live = workflow.published_version
    return blocks(definition_of(live.definition) if live else None, definition)


def problem_rows(
    tenant: Tenant, workflow: Workflow, definition: WorkflowDefinition, problems: Sequence[Problem]
) -> list[ProblemRow]:
    """Return the findings of a check with a link to each one's field, those that block first."""
    steps = dict(definition.walk())
    # Two references in one field can say the same: once is enough.
    rows = dict.fromkeys(_row(tenant, workflow, definition, steps, problem) for problem in problems)
    return sorted(rows, key=lambda row: not row.blocks)


def _row(
    tenant: Tenant,
    workflow: Workflow,
    definition: WorkflowDefinition,
    steps: dict[str, StepDefinition],
    problem: Problem,
) -> ProblemRow:
    path = step_path_of(steps, problem.path)
    blocking = problem.severity == "error"
    if path is None:
        title = _("Output") if problem.path.startswith("output") else _trigger_title(definition, problem.path)
        url = reverse("workflow", args=[tenant.slug, workflow.pk])
        return ProblemRow(blocks=blocking, title=title, field="", message=problem.message, url=url)
    step, field = steps[path], problem.path.removeprefix(path).lstrip(".")
    name = field_name_of(field)
    url = reverse("workflow-step", args=[tenant.slug, workflow.pk, step.key])
    return ProblemRow(
        blocks=blocking,
        title=step_title(step),
        field=field_label(step.action, field) if name else "",
        message=problem.message,
        url=f"{url}#field-{name}" if name else url,
    )


def step_path_of(steps: dict[str, StepDefinition], path: str) -> str | None:
    """Return the path of the innermost step that ``path`` is within."""
    within = [known for known in steps if path == known or path.startswith(f"{known}.")]
    return max(within, key=len, default=None)


def field_name_of(field: str) -> str:
    """Return the name of a step's field, as its form has it: ``config.inputs.to[0]`` is ``to``."""
    for prefix in ("config.inputs.", "config."):
        if field.startswith(prefix):
            field = field.removeprefix(prefix)
            break
    else:
        if field.startswith("lanes"):
            return ""
    found = _NAME.match(field)
    return found.group() if found else ""


def _trigger_title(definition: WorkflowDefinition, path: str) -> str:
    found = re.match(r"triggers\[(\d+)\]", path)
    if found and int(found.group(1)) < len(definition.triggers):
        return _("Trigger %(key)s") % {"key": definition.triggers[int(found.group(1))].key}
    return _("The workflow")

"""The page that makes a draft the live version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orchestrator.builder.changes import (
    Block,
    blocks,
    definition_of,
    field_label,
    step_numbers,
    step_title,
    trigger_title,
)
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
    message: str
    url: str
    number: int = 0
    field: str = ""


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
    at = (tenant.slug, workflow.pk)
    steps, numbers = dict(definition.walk()), step_numbers(definition)
    # Two references in one field can say the same: once is enough.
    rows = dict.fromkeys(
        _step_row(at, steps[path], numbers, path, problem) if path else _other_row(at, definition, problem)
        for problem in problems
        for path in (step_path_of(steps, problem.path),)
    )
    return sorted(rows, key=lambda row: not row.blocks)


def _step_row(
    at: tuple[str, int], step: StepDefinition, numbers: Mapping[str, int], path: str, problem: Problem
) -> ProblemRow:
    field = problem.path.removeprefix(path).lstrip(".")
    name = field_name_of(field)
    url = reverse("workflow-step", args=[*at, step.key])
    return ProblemRow(
        blocks=problem.severity == "error",
        number=numbers[step.key],
        title=step_title(step),
        field=field_label(step.action, field) if name else "",
        message=problem.message,
        url=f"{url}#field-{name}" if name else url,
    )


def _other_row(at: tuple[str, int], definition: WorkflowDefinition, problem: Problem) -> ProblemRow:
    """Return what is wrong with a trigger, with the output or with the workflow as a whole."""
    title, url = _("The workflow"), reverse("workflow", args=at)
    found = re.match(r"triggers\[(\d+)\]", problem.path)
    if found and int(found.group(1)) < len(definition.triggers):
        trigger = definition.triggers[int(found.group(1))]
        title, url = trigger_title(trigger.type.value), reverse("workflow-trigger", args=[*at, trigger.key])
    elif problem.path.startswith("output"):
        title = _("Output")
    return ProblemRow(blocks=problem.severity == "error", title=title, message=problem.message, url=url)


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

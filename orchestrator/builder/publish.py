"""The page that makes a draft the live version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from orchestrator.builder.changes import (
    Blocks,
    Grouped,
    blocks,
    definition_of,
    field_label,
    grouped,
    step_numbers,
    step_title,
    trigger_title,
)
from orchestrator.builder.tested import warnings_of_tests
from orchestrator.builder.travel import change_words
from orchestrator.errors import Conflict, Invalid, Problem, ServiceError
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.shell import page
from orchestrator.workflows import history, services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from orchestrator.workflows.publishing import rebound_credentials
from orchestrator.workflows.returning import AutoReturn
from orchestrator.workflows.selectors import draft_definition, next_version_number
from runs.overview import in_progress

MAX_NOTE: Final = 1_000
# A draft of five hundred steps can have thousands; whoever mended so many sees the next ones.
MAX_PROBLEMS: Final = 60
_VERSIONS_NAMED: Final = 3
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


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the page's form says. ``seen`` and ``state`` tell which draft the person looked at."""

    note: str = ""
    seen: str | None = None
    number: int | None = None
    state: int = 0
    goes_back: bool = False
    failures: str = str(AutoReturn.failures)
    runs: str = str(AutoReturn.runs)
    error: str = ""

    @property
    def auto_return(self) -> AutoReturn | None:
        return AutoReturn(failures=as_number(self.failures), runs=as_number(self.runs)) if self.goes_back else None


@dataclass(frozen=True, kw_only=True)
class Stale:
    """What somebody else did since the page was opened: ``by`` whom last, and ``change`` of the draft in words.

    ``published`` is the number of the version that was published instead.
    """

    by: str
    change: str
    published: int | None
    changes: Blocks


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def publish(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show what a publish would change and what stands in its way, or publish."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    if request.method != "POST":
        return _page(request, actor, workflow, Given())
    given = _given(request.POST)
    try:
        services.publish(
            actor=actor,
            workflow=workflow,
            note=given.note,
            seen=given.seen,
            number=given.number,
            auto_return=given.auto_return,
        )
    except Conflict as error:
        if not (error.code == "published_meanwhile" and _is_theirs(actor, workflow, given)):
            return _page(request, actor, workflow, given, status=409)
    except Invalid as error:
        wrong = any(problem.path.startswith("auto_return") for problem in error.problems)
        given = replace(given, error=error.message if wrong else "")
        return _page(request, actor, workflow, given, status=400)
    # The builder's header says it, beside what undoes it.
    return redirect("workflow", actor.tenant.slug, workflow.pk)


@require_POST
@tenant_page(Role.EDITOR)
def publish_undo(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Make live again what was before a publish of a moment ago."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    try:
        workflow = services.publish_undo(
            actor=actor, workflow=workflow, number=as_number(request.POST.get("number", ""))
        )
    except ServiceError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _undone(workflow.published_version))
    return redirect("workflow", actor.tenant.slug, workflow.pk)


def _is_theirs(actor: Actor, workflow: Workflow, given: Given) -> bool:
    """Whether what the form asks for is done already: it was sent twice."""
    live = get_for_tenant_or_404(Workflow, actor.tenant, pk=workflow.pk).published_version
    return live is not None and live.number == given.number and live.author_id == (actor.user and actor.user.pk)


def _undone(live: WorkflowVersion | None) -> str:
    if live is None:
        return _("Nothing is live any more. The draft is as you left it.")
    return _("Version %(number)d is live again. The draft is as you left it.") % {"number": live.number}


def _given(posted: QueryDict) -> Given:
    return Given(
        note=posted.get("note", "").replace("\x00", "").strip()[:MAX_NOTE],
        seen=posted.get("seen"),
        number=as_number(posted.get("number", "")) or None,
        state=as_number(posted.get("state", "")),
        goes_back="goes_back" in posted,
        failures=posted.get("failures", "")[:10],
        runs=posted.get("runs", "")[:10],
    )


def as_number(text: str) -> int:
    """Return a short number, 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _page(request: HttpRequest, actor: Actor, workflow: Workflow, given: Given, *, status: int = 200) -> HttpResponse:
    # Read anew: a draft that somebody changed meanwhile is not the one that the view began with.
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=workflow.pk)
    definition = draft_definition(workflow)
    problems = [*services.check(workflow, actor=actor), *warnings_of_tests(workflow, definition)]
    found = problem_rows(actor.tenant, workflow, definition, problems)
    live = workflow.published_version
    context = {
        "workflow": workflow,
        "live": live,
        "number": next_version_number(workflow),
        "problems": found[:MAX_PROBLEMS],
        "more_problems": max(0, len(found) - MAX_PROBLEMS),
        "blocking": sum(row.blocks for row in found),
        "warnings": sum(not row.blocks for row in found),
        "changes": blocks(
            _live_definition(workflow), definition, rebound=rebound_credentials(live, definition) if live else ()
        ),
        "in_progress": _in_progress(actor.tenant, workflow) if live else "",
        "given": given,
        "seen": definition.checksum(),
        "stale": _stale(workflow, definition, given) if status == 409 else None,
        "refused": status == 400 and not given.error,
    }
    return page(request, actor, "builder/publish.html", context, nav="workflow-list", narrow=True, status=status)


def _in_progress(tenant: Tenant, workflow: Workflow) -> str:
    """Return in a sentence what becomes of the runs that are under way."""
    counts = in_progress(tenant, workflow.pk)
    total = sum(counts.values())
    if not total:
        return ""
    values = {"count": total, "number": next(iter(counts))}
    if len(counts) == 1:
        return ngettext(
            "The run in progress finishes on version %(number)d.",
            "The %(count)d runs in progress finish on version %(number)d.",
            total,
        ) % values  # fmt: skip
    parts = [_("%(count)d on version %(number)d") % {"count": n, "number": number} for number, n in counts.items()]
    shown = ", ".join(parts[-_VERSIONS_NAMED:])
    said = _("The %(count)d runs in progress finish on the versions they began with: %(parts)s.")
    return said % {"count": total, "parts": f"… {shown}" if len(parts) > _VERSIONS_NAMED else shown}


def _stale(workflow: Workflow, definition: WorkflowDefinition, given: Given) -> Stale:
    if given.seen == definition.checksum():
        live = workflow.published_version
        by = live.author.get_username() if live and live.author else ""
        return Stale(by=by, change="", published=given.number, changes=Blocks())
    before, last = history.draft_as_seen(workflow, given.state), history.last_change(workflow)
    return Stale(
        by=last.author.get_username() if last and last.author else "",
        change=change_words(last.change) if last else "",
        published=None,
        changes=blocks(before, definition) if before else Blocks(),
    )


def draft_changes(workflow: Workflow, definition: WorkflowDefinition) -> Grouped:
    """Return what the draft changes of the live version, by what it is about."""
    return grouped(_live_definition(workflow), definition)


def _live_definition(workflow: Workflow) -> WorkflowDefinition | None:
    live = workflow.published_version
    return definition_of(live.definition) if live else None


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
    elif problem.path.startswith("settings"):
        title, url = _("Settings"), reverse("workflow-settings", args=at)
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

"""The settings of a workflow: what it is called, its limits, on and off, and deleting it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_http_methods

from orchestrator.alerts.selectors import told_of
from orchestrator.errors import Forbidden, Invalid, Problem, ServiceError
from orchestrator.flow.definition import LEAST_SILENT_MINUTES, MOST_SILENT_MINUTES, WorkflowSettings
from orchestrator.flow.summary import MOST_PATHS
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, require, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.publishing import summary_check

_TOP: Final = ("name", "slug", "description")
# The form's name, the document's key within ``settings``, and whether the number is whole.
_LIMITS: Final = (("timeout", False), ("max_concurrent_runs", True), ("retention_days", True))
_ON_LIMIT: Final = (
    ("queue", noop("The new run waits for its turn")),
    ("skip", noop("No new run is made")),
    ("cancel_older", noop("The oldest run is stopped, and the new one starts")),
)
# Minutes of each unit.
_UNITS: Final = ((1, "minutes", noop("Minutes")), (60, "hours", noop("Hours")), (1_440, "days", noop("Days")))
_PATH_CHARACTERS: Final = 200
_WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "name": (noop("Name"), "text", ""),
    "slug": (
        noop("Address name"),
        "text",
        noop("What the API and other workflows call it by: lower-case letters, digits and hyphens."),
    ),
    "description": (noop("Description"), "area", noop("What it is for, for the people who find it later.")),
    "timeout": (
        noop("Time limit, in seconds"),
        "number",
        noop("Of running, not of waiting. Empty means no limit. Takes effect with the next publish."),
    ),
    "max_concurrent_runs": (
        noop("Runs at once"),
        "number",
        noop("How many runs may be under way or waiting. Empty means any number. Takes effect with the next publish."),
    ),
    "on_limit": (
        noop("When so many are under way"),
        "choice",
        noop("What becomes of a new run then. Takes effect with the next publish."),
    ),
    "error_workflow": (
        noop("Workflow for failures"),
        "choice",
        noop("It is started when a run of this one has failed. Takes effect with the next publish."),
    ),
    "silent_after": (
        noop("Silent after"),
        "number",
        noop("So long without a run that succeeded, and alerts tell of it. Empty means never. Takes effect at once."),
    ),
    "silent_unit": (noop("Silent after, counted in"), "choice", ""),
    "retention_days": (
        noop("Days that ended runs are kept"),
        "number",
        noop("Empty means as long as the tenant says. Takes effect at once."),
    ),
    "summary": (
        noop("Data in the list of runs"),
        "area",
        noop(
            "Up to three values, one a line, like trigger.body.email or steps.company.output.name. "
            "Empty means the first that came with the run. Takes effect at once."
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of the form, with what was entered and what is wrong with it."""

    name: str
    label: str
    kind: str
    help: str
    value: str
    error: str = ""
    choices: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """The value as it is read."""
        return dict(self.choices).get(self.value, self.value)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def settings(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the settings, or change them: ``do`` says whether to save, switch on or off, or delete."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    if request.method != "POST":
        return _page(request, actor, workflow)
    require(actor, Role.EDITOR)
    work = {"on": _switch, "off": _switch, "delete": _delete}.get(request.POST.get("do", ""), _save)
    return work(request, actor, workflow)


def _page(
    request: HttpRequest,
    actor: Actor,
    workflow: Workflow,
    *,
    entered: Mapping[str, str] | None = None,
    problems: tuple[Problem, ...] = (),
    said: str = "",
    delete_error: str = "",
    status: int = 200,
) -> HttpResponse:
    fields = _fields(workflow, entered, problems)
    context = {
        "workflow": workflow,
        "fields": fields,
        "invalid": [field for field in fields if field.error],
        "said": said,
        "delete_error": delete_error,
        "told": told_of(actor.tenant, workflow.pk),
    }
    return page(request, actor, "builder/settings.html", context, nav="workflow-list", narrow=True, status=status)


def _fields(workflow: Workflow, entered: Mapping[str, str] | None, problems: tuple[Problem, ...]) -> list[Field]:
    """Return the form: what was entered if something was, else what is kept."""
    errors = {problem.path.removeprefix("settings."): problem.message for problem in reversed(problems)}
    kept = _kept(workflow)
    choices = _choices(workflow)
    return [
        Field(
            name=name,
            label=_(label),
            kind=kind,
            help=_(help_) if help_ else "",
            value=entered.get(name, "")[:10_000] if entered is not None else kept[name],
            error=errors.get(name, ""),
            choices=choices.get(name, ()),
        )
        for name, (label, kind, help_) in _WORDS.items()
    ]


def _kept(workflow: Workflow) -> dict[str, str]:
    limits = WorkflowSettings.model_validate(workflow.settings)
    texts = {name: str(getattr(workflow, name)) for name in _TOP}
    texts |= {"on_limit": limits.on_limit, "error_workflow": limits.error_workflow or ""}
    texts["summary"] = "\n".join(limits.summary)
    minutes = limits.silent_after
    size, unit = next((size, unit) for size, unit, _words in reversed(_UNITS) if not (minutes or 60) % size)
    texts |= {"silent_after": str(minutes // size) if minutes else "", "silent_unit": unit}
    return {**texts, **{name: _number_text(getattr(limits, name)) for name, _whole in _LIMITS}}


def _choices(workflow: Workflow) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return what can be chosen, by field; a workflow that was chosen and is gone stays there to be seen."""
    rows = Workflow.objects.for_tenant(workflow.tenant_id).exclude(pk=workflow.pk).order_by("name", "id")
    others = tuple(rows.values_list("slug", "name"))
    kept = str((workflow.settings or {}).get("error_workflow") or "")
    gone = ((kept, _("%(slug)s (does not exist)") % {"slug": kept}),) if kept not in ("", *dict(others)) else ()
    return {
        "on_limit": tuple((value, _(words)) for value, words in _ON_LIMIT),
        "error_workflow": (("", _("None")), *others, *gone),
        "silent_unit": tuple((unit, _(words)) for _size, unit, words in _UNITS),
    }


def _number_text(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if value < 1_000_000 else str(int(value))


def _save(request: HttpRequest, actor: Actor, workflow: Workflow) -> HttpResponse:
    changes: dict[str, Any] = {name: _text(request.POST.get(name, "")) for name in _TOP if name in request.POST}
    if "name" in changes:
        changes["name"] = changes["name"].strip()
    try:
        changes["settings"] = {**workflow.settings, **_limits(request.POST), **_chosen(workflow, request.POST)}
        changes["settings"] |= {**_summary(workflow, request.POST), **_silence(request.POST)}
        services.workflow_patch(actor=actor, workflow=workflow, changes=changes)
    except Invalid as error:
        fresh = get_for_tenant_or_404(Workflow, actor.tenant, pk=workflow.pk)
        return _page(
            request, actor, fresh, entered=request.POST, problems=error.problems, said=error.message, status=422
        )
    messages.success(request, _("Saved."))
    return redirect("workflow-settings", actor.tenant.slug, workflow.pk)


def _text(value: str) -> str:
    """Return what was entered as the database takes it: line ends as one character, no NUL."""
    return value.replace("\r\n", "\n").replace("\x00", "")


def _chosen(workflow: Workflow, data: Mapping[str, str]) -> dict[str, str | None]:
    """Return what was chosen. Raises Invalid naming the field with something that is not offered."""
    found = {}
    for name, choices in _choices(workflow).items():
        if name not in data or name == "silent_unit":
            continue
        if data[name] not in dict(choices):
            problem = Problem(path=f"settings.{name}", message=_("Choose one that is offered."), code="choice")
            raise Invalid(_("Nothing was saved."), problems=[problem])
        found[name] = data[name] or None
    return found


def _summary(workflow: Workflow, data: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the paths that were entered, one a line, with braces or without. Raises Invalid for what is none."""
    if "summary" not in data:
        return {}
    lines = [line.strip().removeprefix("{{").removesuffix("}}").strip() for line in _text(data["summary"]).splitlines()]
    paths = list(dict.fromkeys(line for line in lines if line))
    if len(paths) > MOST_PATHS:
        message = _("Enter at most %(most)d paths, one a line.") % {"most": MOST_PATHS}
        raise Invalid(_("Nothing was saved."), problems=[_summary_problem(message)])
    if any(len(path) > _PATH_CHARACTERS for path in paths):
        message = _("A path has at most %(most)d characters.") % {"most": _PATH_CHARACTERS}
        raise Invalid(_("Nothing was saved."), problems=[_summary_problem(message)])
    wrong = [problem for problem in summary_check(workflow, paths) if problem.severity == "error"]
    if wrong:
        raise Invalid(_("Nothing was saved."), problems=wrong)
    return {"summary": paths}


def _summary_problem(message: str) -> Problem:
    return Problem(path="settings.summary", message=message, code="summary")


def _silence(data: Mapping[str, str]) -> dict[str, int | None]:
    """Return the minutes that were entered, in whatever unit. Raises Invalid for what is no whole number of them."""
    if "silent_after" not in data:
        return {}
    text = data["silent_after"].strip()
    if not text:
        return {"silent_after": None}
    size = next((size for size, unit, _words in _UNITS if unit == data.get("silent_unit")), None)
    minutes = int(text) * size if size and text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not LEAST_SILENT_MINUTES <= minutes <= MOST_SILENT_MINUTES:
        message = _("Enter a whole number: at least 5 minutes and at most 366 days, or nothing.")
        problem = Problem(path="settings.silent_after", message=message, code="number")
        raise Invalid(_("Nothing was saved."), problems=[problem])
    return {"silent_after": minutes}


def _limits(data: Mapping[str, str]) -> dict[str, float | None]:
    """Return the numbers that were entered. Raises Invalid naming the field that is none."""
    found: dict[str, float | None] = {}
    for name, whole in _LIMITS:
        if name not in data:
            continue
        text = data[name].strip()
        try:
            number = float(text) if text else None
        except ValueError:
            number = math.nan
        if number is not None and (not math.isfinite(number) or (whole and number != int(number))):
            message = _("Enter a whole number, or nothing.") if whole else _("Enter a number, or nothing.")
            raise Invalid(
                _("Nothing was saved."), problems=[Problem(path=f"settings.{name}", message=message, code="number")]
            )
        found[name] = int(number) if whole and number is not None else number
    return found


def _switch(request: HttpRequest, actor: Actor, workflow: Workflow) -> HttpResponse:
    on = request.POST.get("do") == "on"
    try:
        services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=on)
    except Forbidden:
        raise
    except ServiceError as error:
        messages.error(request, error.message)
    else:
        messages.success(
            request, _("It is on: its triggers start runs.") if on else _("It is off: its triggers start nothing.")
        )
    return redirect("workflow-settings", actor.tenant.slug, workflow.pk)


def _delete(request: HttpRequest, actor: Actor, workflow: Workflow) -> HttpResponse:
    """Delete the workflow, if its address name was typed in: nothing brings it back."""
    if request.POST.get("confirm", "").strip() != workflow.slug:
        said = _("It was not deleted. Type %(slug)s to confirm.") % {"slug": workflow.slug}
        return _page(request, actor, workflow, delete_error=said, status=422)
    try:
        services.workflow_delete(actor=actor, workflow=workflow)
    except Forbidden:
        raise
    except ServiceError as error:
        return _page(request, actor, workflow, delete_error=error.message, status=error.status)
    messages.success(request, _("Deleted “%(name)s” with its versions and runs.") % {"name": workflow.name})
    return redirect("workflow-list", actor.tenant.slug)

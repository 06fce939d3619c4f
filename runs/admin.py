"""Runs in the admin, with every attempt of every step and every answer; and "Run now" on the workflows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator.tenants.access import Actor
from orchestrator.tenants.admin_base import (
    Button,
    Done,
    ReadOnlyMixin,
    ScopedAdmin,
    TenantFilter,
    as_id,
    reach_of,
    site,
)
from orchestrator.tenants.admin_forms import shown
from orchestrator.types import JSONValue
from orchestrator.workflows.admin import WorkflowAdmin, WorkflowFilter
from runs import saved, selectors, services
from runs.attempts import attempts_after
from runs.models import Answer, Payload, Run, SavedView, StepRun
from runs.states import RunStatus

ATTEMPTS_A_PAGE: Final = 50
ANSWERS_SHOWN: Final = 50
# All that one page shows of values, in characters: a hundred values of 64 KB would be no page any more.
PAGE_CHARACTERS: Final = 2_000_000
_CUT: Final = 2_000


@dataclass(frozen=True, kw_only=True)
class Value:
    """A value as text, or the address of one that is too large for a page."""

    title: str
    text: str
    url: str = ""
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class LogLine:
    at: str
    level: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of one step, as the page shows it."""

    path: str
    name: str
    action: str
    resolved_as: str
    number: int
    status: str
    started_at: datetime
    finished_at: datetime | None
    took_ms: int | None
    retry_at: datetime | None
    error: str
    hint: str
    values: tuple[Value, ...]
    logs: tuple[LogLine, ...]
    more_logs: int


@dataclass(frozen=True, kw_only=True)
class GivenAnswer:
    """What was answered to a step from outside."""

    path: str
    attempt: int
    kind: str
    by: str
    at: datetime
    value: Value


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """What a run's page shows beside its fields."""

    values: tuple[Value, ...]
    error: str
    hint: str
    attempts: tuple[Attempt, ...]
    more_url: str
    answers: tuple[GivenAnswer, ...]
    more_answers: int


class _Values:
    """Turns a run's values into texts, with one budget for the page."""

    def __init__(self, run: Run, refs: Sequence[int | None]) -> None:
        self._run, self._left = run, PAGE_CHARACTERS
        wanted = [ref for ref in refs if ref is not None]
        rows = Payload.objects.for_tenant(run.tenant_id).filter(run=run, pk__in=wanted)
        self._sizes: dict[int, int] = dict(rows.values_list("pk", "size")) if wanted else {}

    def value(self, title: str, value: JSONValue, ref: int | None) -> Value:
        if ref is not None:
            url = reverse("run-value", args=[self._run.tenant.slug, self._run.pk, ref])
            return Value(title=title, text="", url=url, size=self._sizes.get(ref, 0))
        text = shown(value) if self._left > 0 else shown(value, _CUT)
        self._left -= len(text)
        return Value(title=title, text=text)


LOG_LINES: Final = 200


def run_page(run: Run, *, after: int) -> RunPage:
    """Return a page of a run's attempts; at most four queries."""
    rows = attempts_after(run, cursor=after, limit=ATTEMPTS_A_PAGE + 1)
    steps = rows[:ATTEMPTS_A_PAGE]
    given = Answer.objects.for_tenant(run.tenant_id).filter(run=run).select_related("by")
    answers = list(given[: ANSWERS_SHOWN + 1])
    refs = [run.trigger_ref, run.output_ref, *(ref for step in steps for ref in (step.inputs_ref, step.output_ref))]
    refs += [answer.document_ref for answer in answers]
    values = _Values(run, refs)
    own = (
        values.value(_("Trigger"), run.trigger, run.trigger_ref),
        values.value(_("Output"), run.output, run.output_ref),
    )
    return RunPage(
        values=own,
        error=_words(run.error),
        hint=_hint(run.error),
        attempts=tuple(_attempt(step, values) for step in steps),
        more_url=f"?after={steps[-1].pk}" if len(rows) > len(steps) else "",
        answers=tuple(_answer(answer, values) for answer in answers[:ANSWERS_SHOWN]),
        more_answers=given.count() - ANSWERS_SHOWN if len(answers) > ANSWERS_SHOWN else 0,
    )


def _answer(answer: Answer, values: _Values) -> GivenAnswer:
    return GivenAnswer(
        path=answer.path,
        attempt=answer.attempt,
        kind=answer.kind,
        by=answer.by.get_username() if answer.by else "",
        at=answer.created_at,
        value=values.value(_("Answer"), answer.document, answer.document_ref),
    )


def _attempt(step: StepRun, values: _Values) -> Attempt:
    lines = [line for line in step.logs if isinstance(line, dict)] if isinstance(step.logs, list) else []
    return Attempt(
        path=step.path,
        name=step.name,
        action=step.action,
        resolved_as=step.resolved_as,
        number=step.attempt,
        status=step.status,
        started_at=step.started_at,
        finished_at=step.finished_at,
        took_ms=selectors.duration_ms(step.started_at, step.finished_at),
        retry_at=step.retry_at,
        error=_words(step.error),
        hint=_hint(step.error),
        values=(
            values.value(_("Inputs"), step.inputs, step.inputs_ref),
            values.value(_("Output"), step.output, step.output_ref),
        ),
        logs=tuple(
            LogLine(at=str(line.get("at", "")), level=str(line.get("level", "")), message=str(line.get("text", "")))
            for line in lines[:LOG_LINES]
        ),
        more_logs=max(0, len(lines) - LOG_LINES),
    )


def _words(error: Any) -> str:
    return f"{error.get('kind', '')}: {error.get('message', '')}" if isinstance(error, dict) else ""


def _hint(error: Any) -> str:
    return str(error.get("hint") or "") if isinstance(error, dict) else ""


def _run_url(run: Run) -> str:
    return reverse("admin:runs_run_change", args=[run.pk])


def _run_now(actor: Actor, workflow: Any) -> Done:
    run = services.run_start_by_actor(actor=actor, workflow=workflow)
    return Done(message=_("Started run %(id)d.") % {"id": run.pk}, url=_run_url(run))


def _cancel(actor: Actor, run: Any) -> Done:
    services.run_cancel(actor=actor, run=run)
    return Done(message=_("Cancelled. A run that a worker has stops within a second."))


def _run_again(actor: Actor, run: Any) -> Done:
    again = services.run_rerun(actor=actor, run=run)
    return Done(message=_("Started the same again as run %(id)d.") % {"id": again.pk}, url=_run_url(again))


# Here, as workflows know nothing of runs.
WorkflowAdmin.buttons = (
    *WorkflowAdmin.buttons,
    Button(name="run-now", label=gettext_lazy("Run now"), operation="run.start", act=_run_now),
)


@admin.register(Run, site=site)
class RunAdmin(ReadOnlyMixin, ScopedAdmin):
    """Runs, read-only: the engine writes them; people cancel them and run them again."""

    operations = {"view": "run.read"}  # noqa: RUF012
    buttons = (
        Button(
            name="cancel",
            label=gettext_lazy("Cancel"),
            operation="run.cancel",
            act=_cancel,
            shown=lambda run: not RunStatus(run.status).is_terminal,
        ),
        Button(
            name="rerun",
            label=gettext_lazy("Run again"),
            operation="run.rerun",
            act=_run_again,
            shown=lambda run: RunStatus(run.status).is_terminal,
        ),
    )
    change_form_template = "admin/runs/run/change_form.html"
    list_display = (
        "id",
        "workflow",
        "status",
        "created_at",
        "took",
        "version_number",
        "kind",
        "trigger_type",
        "tenant",
    )
    list_filter = (TenantFilter, "status", "kind", WorkflowFilter)
    search_fields = ("workflow__name", "workflow__slug")
    search_help_text = gettext_lazy("A run's id, or part of a workflow's name.")
    fields = (
        ("workflow", "tenant", "version_number"),
        ("status", "failure_kind", "kind"),
        ("trigger_type", "trigger_key", "started_by_name"),
        ("created_at", "started_at", "finished_at"),
        ("rerun_of", "crash_count", "revision"),
    )
    readonly_fields = ("version_number", "started_by_name")

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows = super().get_queryset(request).select_related("tenant", "workflow", "version", "started_by")
        return rows.defer("seed", "version__definition", "version__bindings", "workflow__settings", "workflow__output")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return _RunList

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        number = as_id(search_term.strip())
        if number is not None:
            return queryset.filter(pk=number), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=gettext_lazy("Version"), ordering="version__number")
    def version_number(self, obj: Run) -> str:
        return f"v{obj.version.number}" if obj.version.number else _("draft")

    @admin.display(description=gettext_lazy("Took"))
    def took(self, obj: Run) -> str:
        took = selectors.duration_ms(obj.started_at, obj.finished_at)
        return "—" if took is None else f"{took / 1_000:.2f} s"

    @admin.display(description=gettext_lazy("Started by"))
    def started_by_name(self, obj: Run) -> str:
        return obj.started_by.get_username() if obj.started_by else "—"

    def links(self, obj: Any) -> Sequence[tuple[str, str]]:
        return [(_("Open in the product"), reverse("run", args=[obj.tenant.slug, obj.pk]))]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        if obj is not None:
            context["run"] = run_page(obj, after=as_id(request.GET.get("after")) or 0)
        return super().render_change_form(request, context, *args, **kwargs)


class _RunList(ChangeList):
    """The list without a run's large columns."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> Any:
        return super().get_queryset(*args, **kwargs).defer("trigger", "output", "seed", "error")


@admin.register(SavedView, site=site)
class SavedViewAdmin(ScopedAdmin):
    """Views of the list of runs: one's own, and for admins everybody's; they are made in the list itself."""

    operations = {"view": "view.own", "delete": "view.own"}  # noqa: RUF012
    list_display = ("name", "owner", "tenant", "created_at")
    list_select_related = ("tenant", "owner")
    list_filter = (TenantFilter, WorkflowFilter)
    search_fields = ("name",)
    fields = ("tenant", "owner", "name", "query", "created_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        rows, reach = super().get_queryset(request), reach_of(request)
        if reach.everywhere:
            return rows
        return rows.filter(models.Q(owner=reach.user) | models.Q(tenant_id__in=reach.ids("view.edit")))

    def links(self, obj: Any) -> Sequence[tuple[str, str]]:
        return [(_("Open in the product"), f"{reverse('run-list', args=[obj.tenant.slug])}?{obj.query}")]

    def remove(self, request: HttpRequest, actor: Actor, obj: Any) -> None:
        saved.view_delete(actor=actor, view=obj)

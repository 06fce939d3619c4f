"""Pages of runs: the list, one run with its timeline, and what changed while somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from orchestrator.errors import Invalid, ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page, private
from orchestrator.words import status_word
from orchestrator.workflows.models import Workflow
from runs import answers, selectors, services
from runs.asked import asked_of
from runs.models import Run
from runs.outline import TRIGGER
from runs.pages.again import FIELD, Typed, edited_input
from runs.pages.approval import Refused, posted_of
from runs.pages.as_text import run_text
from runs.pages.rows import run_rows, with_trigger_head
from runs.pages.run import RunPage, history, run_page
from runs.pages.waiting import answer_given
from runs.states import RunStatus

PAGE_ROWS: Final = 50
WORKFLOWS_OFFERED: Final = 500
_VERSIONS: Final = ("same", "published", "draft")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the list is narrowed to, all of it from the address."""

    workflow: Workflow | None
    status: str
    q: str

    @property
    def any(self) -> bool:
        return bool(self.workflow or self.status or self.q)

    def query(self, **changes: str | int | None) -> str:
        """Return the address's query with some filters changed."""
        values: dict[str, str | int | None] = {
            "workflow": self.workflow.pk if self.workflow else None,
            "status": self.status,
            "q": self.q,
            **changes,
        }
        return urlencode({key: value for key, value in values.items() if value})


@dataclass(frozen=True, kw_only=True)
class Chip:
    """An active filter and the address without it."""

    label: str
    url: str


@require_safe
@tenant_page()
def run_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the tenant's runs, newest first; as a fragment only when something in it changed."""
    filters = _filters(request, actor)
    found = selectors.run_list(
        actor.tenant, workflow=filters.workflow, status=filters.status or None, q=filters.q or None
    )
    before, after = _number(request, "before"), _number(request, "after")
    live = is_fragment(request)
    if live and request.GET.get("mark") == _mark(found):
        return private(HttpResponse(status=204))
    runs, older, newer = _cursor_page(found, before, after)
    url = reverse("run-list", args=[actor.tenant.slug])
    context: dict[str, Any] = {
        "rows": run_rows(actor.tenant, runs),
        "filters": filters,
        "chips": _chips(url, filters),
        "url": url,
        "older_url": f"?{filters.query(before=runs[-1].pk)}" if older else "",
        "newer_url": f"?{filters.query(after=runs[0].pk)}" if newer else "",
        "poll_url": "" if before or after else f"{url}?{filters.query(mark=_mark(found))}",
        "running": found.filter(status=RunStatus.RUNNING).count(),
        "statuses": list(RunStatus),
        "show_workflow": filters.workflow is None,
    }
    if live:
        return fragment(request, actor, "runs/_list.html", context)
    context["workflows"] = list(
        Workflow.objects.for_tenant(actor.tenant).order_by("name").values("pk", "name")[:WORKFLOWS_OFFERED]
    )
    return page(request, actor, "runs/list.html", context, nav="run-list")


def _filters(request: HttpRequest, actor: Actor) -> Filters:
    status, workflow = request.GET.get("status", ""), _number(request, "workflow")
    return Filters(
        workflow=get_for_tenant_or_404(Workflow, actor.tenant, pk=workflow) if workflow else None,
        status=status if status in list(RunStatus) else "",
        q=request.GET.get("q", "").strip()[:200],
    )


def _number(request: HttpRequest, name: str) -> int | None:
    """Return a whole number from the address; anything else is as if it were not there."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _cursor_page(found: QuerySet[Run], before: int | None, after: int | None) -> tuple[list[Run], bool, bool]:
    """Return a page of runs, newest first, and whether there are older and newer ones."""
    rows = with_trigger_head(found)
    if after:
        runs = list(rows.filter(pk__gt=after).order_by("pk")[: PAGE_ROWS + 1])
        return runs[:PAGE_ROWS][::-1], bool(runs), len(runs) > PAGE_ROWS
    runs = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_ROWS + 1])
    return runs[:PAGE_ROWS], len(runs) > PAGE_ROWS, before is not None and bool(runs)


def _mark(found: QuerySet[Run]) -> str:
    """Return a text that changes whenever a line of the first page does."""
    rows = list(found.values_list("pk", "revision")[:PAGE_ROWS])
    return f"{rows[0][0]}-{sum(revision for _, revision in rows)}" if rows else "none"


def _chips(url: str, filters: Filters) -> list[Chip]:
    chips = []
    if filters.workflow:
        chips.append(Chip(label=filters.workflow.name, url=f"{url}?{filters.query(workflow=None)}"))
    if filters.status:
        chips.append(Chip(label=status_word(filters.status), url=f"{url}?{filters.query(status=None)}"))
    if filters.q:
        chips.append(Chip(label=f"“{filters.q}”", url=f"{url}?{filters.query(q=None)}"))
    return chips


@require_safe
@tenant_page()
def run(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show one run; htmx gets the parts that follow from the selected step."""
    found = _find(actor, pk)
    shown = run_page(actor, found, request.GET)
    if is_fragment(request):
        return fragment(request, actor, "runs/_changes.html", {"page": shown, "oob": True, "inspector": True})
    context = {"page": shown, "history": history(actor, found), "inspector": True, **_neighbours(actor, found)}
    return page(request, actor, "runs/run.html", context, nav="run-list", narrow=True)


@require_safe
@tenant_page()
def run_changes(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return the parts of a run's page that changed after ``?after=<revision>``: 204 while nothing did."""
    revision = Run.objects.for_tenant(actor.tenant).filter(pk=pk).values_list("revision", flat=True).first()
    if revision is not None and revision == _number(request, "after"):
        return private(HttpResponse(status=204))
    shown = run_page(actor, _find(actor, pk), request.GET)
    # What shows the same stays as it is: what somebody unfolded must not fold up, nor an answer half written go.
    changed = shown.inspector.mark != request.GET.get("mark")
    waits = shown.waits.mark != request.GET.get("waits")
    context = {"page": shown, "oob": True, "inspector": changed, "waits_changed": waits}
    return fragment(request, actor, "runs/_changes.html", context)


def _find(actor: Actor, pk: int) -> Run:
    found = get_for_tenant_or_404(Run, actor.tenant, pk=pk)
    # One query more, and every part of the page has what it reads.
    found.workflow = (
        Workflow.objects.for_tenant(actor.tenant).select_related("published_version").get(pk=found.workflow_id)
    )
    found.tenant = actor.tenant
    return found


def _neighbours(actor: Actor, found: Run) -> dict[str, str]:
    """Return the addresses of the workflow's run before and after this one."""
    rows = selectors.run_list(actor.tenant, workflow=found.workflow).order_by("pk").values_list("pk", flat=True)
    older, newer = rows.filter(pk__lt=found.pk).last(), rows.filter(pk__gt=found.pk).first()
    return {
        "older_url": reverse("run", args=[actor.tenant.slug, older]) if older else "",
        "newer_url": reverse("run", args=[actor.tenant.slug, newer]) if newer else "",
    }


@require_safe
@tenant_page()
def run_json(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return a run in the API's shape."""
    return private(JsonResponse(selectors.run_document(_find(actor, pk)), json_dumps_params={"indent": 2}))


@require_safe
@tenant_page()
def run_as_text(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return a run as a few lines of text: to read on a telephone, or to paste."""
    text = run_text(_find(actor, pk))
    return private(HttpResponse(text.encode("utf-8", "backslashreplace"), content_type="text/plain; charset=utf-8"))


@require_safe
@tenant_page()
def run_value(request: HttpRequest, actor: Actor, pk: int, ref: int) -> HttpResponseBase:
    """Return a large value of a run as a file: what a third party wrote is never shown as a page."""
    size, pieces = selectors.payload_pieces(get_for_tenant_or_404(Run, actor.tenant, pk=pk), ref)
    response = StreamingHttpResponse(pieces, content_type="application/json")
    response.headers["Content-Length"] = str(size)
    response.headers["Content-Disposition"] = f'attachment; filename="run-{pk}-{ref}.json"'
    return private(response)


@require_POST
@tenant_page(Role.OPERATOR)
def run_rerun(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Start the same again, from the start or from a step, and show the new run."""
    version = request.POST.get("version", "same")
    chosen: Any = version if version in _VERSIONS else "same"
    from_ = request.POST.get("from") or None
    earlier = get_for_tenant_or_404(Run, actor.tenant, pk=pk)
    try:
        given = edited_input(earlier, request.POST)
    except Invalid as error:
        typed = Typed(text=request.POST[FIELD], from_path=from_ or "", message=error.message)
        shown = run_page(actor, _find(actor, pk), {"step": from_ or TRIGGER}, typed=typed)
        if shown.again is None or not shown.again.error:
            messages.error(request, error.message)
        return _refused(request, actor, shown)
    return _after(
        request, actor, pk, lambda: services.run_rerun(actor=actor, run=earlier, from_=from_, version=chosen, **given)
    )


def _refused(request: HttpRequest, actor: Actor, shown: RunPage) -> HttpResponse:
    """Show a run's page with what was typed and not taken."""
    context = {"page": shown, "history": history(actor, shown.run), "inspector": True, **_neighbours(actor, shown.run)}
    return page(request, actor, "runs/run.html", context, nav="run-list", narrow=True, status=422)


@require_POST
@tenant_page(Role.OPERATOR)
def run_cancel(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Stop a run, and show it."""
    found = get_for_tenant_or_404(Run, actor.tenant, pk=pk)
    return _after(request, actor, pk, lambda: services.run_cancel(actor=actor, run=found))


@require_POST
@tenant_page(Role.OPERATOR)
def run_resolve(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Answer what a run waits for, and show it; what is wrong with an answer is shown with it."""
    found = _find(actor, pk)
    posted = posted_of(request.POST)
    asked = asked_of(found, posted.get("path", ""))
    try:
        answers.run_resolve(actor=actor, run=found, path=asked.path, **answer_given(asked, posted))
    except Invalid as error:
        refused = Refused(posted=posted, message=error.message, problems=error.problems)
        return _refused(request, actor, run_page(actor, found, {"step": asked.path}, refused=refused))
    except ServiceError as error:
        messages.error(request, error.message)
    return redirect("run", actor.tenant.slug, pk)


@require_POST
@tenant_page(Role.OPERATOR)
def run_start(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Start a published workflow by hand, and show the run."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    try:
        started = services.run_start_by_actor(actor=actor, workflow=workflow)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect(f"{reverse('run-list', args=[actor.tenant.slug])}?workflow={workflow.pk}")
    return redirect("run", actor.tenant.slug, started.pk)


def _after(request: HttpRequest, actor: Actor, pk: int, act: Callable[[], Run]) -> HttpResponse:
    """Do something to a run and show the run that came of it, or the same run with why it was refused."""
    try:
        result = act()
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("run", actor.tenant.slug, pk)
    return redirect("run", actor.tenant.slug, result.pk)

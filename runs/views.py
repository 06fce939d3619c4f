"""Pages of one run: its timeline, what changed while somebody looks at it, and what is done to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from rest_framework.utils.encoders import JSONEncoder

from orchestrator.errors import Invalid, ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page, private
from orchestrator.workflows.models import Workflow
from runs import answers, selectors, services
from runs.asked import asked_of
from runs.models import Run
from runs.outline import TRIGGER
from runs.pages.again import FIELD, Typed, edited_input
from runs.pages.approval import Refused, posted_of
from runs.pages.as_text import run_text
from runs.pages.finding import find_run
from runs.pages.history import history
from runs.pages.pace import calm_of
from runs.pages.patch import SEEN, from_text, patch_of
from runs.pages.run import RunPage, run_page
from runs.pages.waiting import answer_given
from runs.selectors import RunFilter

_VERSIONS: Final = ("same", "published", "draft")


@require_safe
@tenant_page()
def run(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show one run; htmx gets the parts that follow from the selected step."""
    found = find_run(actor, pk)
    shown = run_page(actor, found, request.GET)
    if is_fragment(request):
        return fragment(request, actor, "runs/_changes.html", {**_since(request, shown), "inspector": True})
    context = {"page": shown, "history": history(actor, found), "inspector": True, **_neighbours(actor, found)}
    return page(request, actor, "runs/run.html", context, nav="run-list", narrow=True)


@require_safe
@tenant_page()
def run_changes(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return the parts of a run's page that changed after ``?after=<revision>``: 204 while nothing did.

    A page that asked quickly for long enough without a change is told once to go on calmly.
    """
    revision = Run.objects.for_tenant(actor.tenant).filter(pk=pk).values_list("revision", flat=True).first()
    if revision is not None and str(revision) == request.GET.get("after"):
        calm = calm_of(request)
        if calm is None:
            return private(HttpResponse(status=204))
        return fragment(request, actor, "runs/_poll.html", {"page": calm, "oob": True})
    shown = run_page(actor, find_run(actor, pk), request.GET)
    # What shows the same stays as it is: what somebody unfolded must not fold up, nor an answer half written go.
    changed = shown.inspector.mark != request.GET.get("mark")
    waits = shown.waits.mark != request.GET.get("waits")
    icon = shown.icon != request.GET.get("icon")
    context = {"inspector": changed, "waits_changed": waits, "icon_changed": icon}
    return fragment(request, actor, "runs/_changes.html", {**_since(request, shown), **context})


def _since(request: HttpRequest, shown: RunPage) -> dict[str, Any]:
    """Return what a page needs to show this: its parts that differ from what it says that it shows."""
    seen = from_text(request.headers.get(SEEN, ""))
    same_head = seen is not None and seen.head == shown.seen.head
    # Of a run that has just ended all is sent: what is there only while it goes on is gone.
    patch = patch_of(seen, shown.timeline) if seen and (shown.live or same_head) else None
    return {"page": shown, "oob": True, "same_head": same_head, "patch": patch}


def _neighbours(actor: Actor, found: Run) -> dict[str, str]:
    """Return the addresses of the workflow's run before and after this one."""
    rows = (
        selectors.run_list(actor.tenant, RunFilter(workflow=found.workflow)).order_by("pk").values_list("pk", flat=True)
    )
    older, newer = rows.filter(pk__lt=found.pk).last(), rows.filter(pk__gt=found.pk).first()
    return {
        "older_url": reverse("run", args=[actor.tenant.slug, older]) if older else "",
        "newer_url": reverse("run", args=[actor.tenant.slug, newer]) if newer else "",
    }


@require_safe
@tenant_page()
def run_json(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return a run in the API's shape."""
    document = selectors.run_document(find_run(actor, pk))
    return private(JsonResponse(document, encoder=JSONEncoder, json_dumps_params={"indent": 2}))


@require_safe
@tenant_page()
def run_as_text(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return a run as a few lines of text: to read on a telephone, or to paste."""
    text = run_text(find_run(actor, pk))
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
        shown = run_page(actor, find_run(actor, pk), {"step": from_ or TRIGGER}, typed=typed)
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
    found = find_run(actor, pk)
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

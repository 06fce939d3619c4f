"""Pages of the list of runs: the list, what is done to many runs at once, and their documents as a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page, private
from orchestrator.words import short_id
from orchestrator.workflows.models import Workflow
from runs import bulk, export
from runs.histogram import histogram
from runs.listing import PAGE_ROWS
from runs.models import Run
from runs.pages.bars import bars
from runs.pages.filters import PRESETS, Filters, choices, typed_time, whole
from runs.pages.listing import ListPage, changes, list_page
from runs.saved_views import views_of

WORKFLOWS_OFFERED: Final = 500
_MOST_BACK: Final = 2_000
_MENUS: Final = ("status", "trigger", "took", "from")


@require_safe
@tenant_page()
def run_list(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the tenant's runs, newest first; as a fragment only when something in it changed."""
    with timezone.override(actor.tenant.time_zone):
        if is_fragment(request):
            changed = changes(actor.tenant, request.GET)
            if changed is None:
                return private(HttpResponse(status=204))
            return fragment(request, actor, "runs/_list.html", {"list": changed, "oob": True})
        found = list_page(actor.tenant, request.GET)
        return page(request, actor, "runs/list.html", _context(actor, found), nav="run-list")


def _context(actor: Actor, found: ListPage) -> dict[str, Any]:
    tenant, filters = actor.tenant, found.filters
    workflows = Workflow.objects.for_tenant(tenant).order_by("name").values("pk", "name")[:WORKFLOWS_OFFERED]
    return {
        "list": found,
        "views": views_of(actor, found.url, filters),
        "may_run": actor.may(Role.OPERATOR),
        "menus": {name: choices(found.url, filters, name) for name in _MENUS},
        "workflows": _offered([dict(each) for each in workflows], filters),
        "typed": {
            "from": typed_time(filters.narrow.since, filters.first("from")),
            "to": typed_time(filters.narrow.until, filters.first("to")),
        },
        "kept": {name: filters.first(name) for name in ("took", "version", "from", "to")},
        "hidden_pairs": [pair for pair in filters.pairs if pair[0] in ("status", "trigger") or pair[1] in PRESETS],
        "bars": bars(found.url, filters, histogram(tenant, filters.narrow)),
    }


def _offered(workflows: list[dict[str, Any]], filters: Filters) -> list[dict[str, Any]]:
    """Return what may be chosen, with what is chosen in any case: the form would drop it else."""
    own = filters.workflow
    if own is None or any(each["pk"] == own.pk for each in workflows):
        return workflows
    return [{"pk": own.pk, "name": own.name}, *workflows]


@require_POST
@tenant_page(Role.OPERATOR)
def run_bulk(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Run the chosen runs again, or stop them, and say of each that was refused why."""
    runs = _chosen(request, actor)
    match request.POST.get("do"), bool(runs):
        case "again", True:
            _tell(request, bulk.runs_rerun(actor=actor, runs=runs), _AGAIN)
        case "stop", True:
            _tell(request, bulk.runs_cancel(actor=actor, runs=runs), _STOPPED)
        case _, True:
            messages.error(request, _("Choose what is to be done: run again, or stop."))
        case _:
            pass
    return _back(request, actor)


@require_POST
@tenant_page()
def run_export(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Return the documents of the chosen runs as the API gives them, one a line."""
    runs = _chosen(request, actor)
    if not runs:
        return _back(request, actor)
    lines = (line for _pk, line in export.lines(actor.tenant, [run.pk for run in runs]))
    response = StreamingHttpResponse(lines, content_type=export.CONTENT_TYPE)
    response.headers["Content-Disposition"] = f'attachment; filename="runs-{timezone.now():%Y%m%d-%H%M%S}.ndjson"'
    return private(response)


def _chosen(request: HttpRequest, actor: Actor) -> list[Run]:
    """Return the runs whose boxes were ticked, oldest first; what is wrong with the choice is told."""
    texts = request.POST.getlist("run")
    if len(texts) > PAGE_ROWS:
        messages.error(request, _("Choose at most %(most)d runs at once.") % {"most": PAGE_ROWS})
        return []
    wanted = {pk for pk in map(whole, texts) if pk}
    rows = Run.objects.for_tenant(actor.tenant).filter(pk__in=wanted).select_related("version", "workflow", "tenant")
    found = list(rows.order_by("pk"))
    if not texts:
        messages.error(request, _("Choose runs first: tick the boxes before them."))
    elif gone := len(set(texts)) - len(found):
        one, more = "%(count)d chosen run is not there any more.", "%(count)d chosen runs are not there any more."
        messages.error(request, ngettext(one, more, gone) % {"count": gone})
    return found


def _again(count: int) -> str:
    return ngettext("%(count)d run was started again.", "%(count)d runs were started again.", count) % {"count": count}


def _stopped(count: int) -> str:
    return ngettext("%(count)d run was stopped.", "%(count)d runs were stopped.", count) % {"count": count}


_AGAIN: Final[Mapping[str, Any]] = {"done": _again, "refused": lambda: _("Not run again: %(runs)s. %(why)s")}
_STOPPED: Final[Mapping[str, Any]] = {"done": _stopped, "refused": lambda: _("Not stopped: %(runs)s. %(why)s")}


def _tell(request: HttpRequest, outcome: bulk.Outcome, words: Mapping[str, Any]) -> None:
    """Say how many were done, and why the others were not; what was refused alike is told at once."""
    if outcome.done:
        messages.success(request, words["done"](len(outcome.done)))
    alike: dict[str, list[str]] = defaultdict(list)
    for run, why in outcome.refused:
        alike[why].append(short_id(run.pk))
    if outcome.limited:
        messages.error(request, outcome.limited.message)
    for why, names in alike.items():
        messages.error(request, words["refused"]() % {"runs": ", ".join(names), "why": why})


def _back(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Return to the list as it was: whatever was sent becomes a query of this very page."""
    query = urlencode(parse_qsl(request.POST.get("back", "")[:_MOST_BACK]), safe=":")
    url = reverse("run-list", args=[actor.tenant.slug])
    return redirect(f"{url}?{query}" if query else url)

"""The draft tested with the last real requests: what would really happen is said first, then a line for each run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from orchestrator.builder.board import Board, board_of
from orchestrator.builder.listening import said
from orchestrator.builder.testing import TEST_SECONDS, really_acts
from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, page, private
from runs import listing, samples, services
from runs.models import Run
from runs.pages.rows import RunRow, run_rows, with_trigger_head
from runs.patience import wait_for_end
from runs.states import RUN_TERMINAL, RunKind

POLL_MS: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A request that the draft can be tested with; ``name`` is what the form sends of it."""

    name: str
    at: datetime
    words: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """What came of the tests, newest request first; ``poll_url`` asks again while one goes on."""

    rows: list[RunRow]
    poll_url: str
    poll_ms: int = POLL_MS


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def requests_test(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the last real requests and what a test with them does, or do it and show how it went."""
    board = board_of(request, actor, pk)
    if request.method == "POST":
        return _start(board)
    results = _results(board, request.GET.get("runs", ""))
    if is_fragment(request):
        if results is None:
            return private(HttpResponse(status=204))
        return fragment(request, actor, "builder/_requests_results.html", {"results": results})
    context = {
        "workflow": board.workflow,
        "results": results,
        "offered": [
            Offered(name=each.name, at=each.at, words=said(each.trigger.get("body")))
            for each in samples.requests(board.workflow)
        ],
        "acts": [board.title(step) for step in board.by_key.values() if really_acts(step)],
        "count": len(board.by_key),
    }
    return page(request, actor, "builder/requests.html", context, nav="workflow-list", narrow=True)


def _start(board: Board) -> HttpResponse:
    url = board.url("workflow-test-requests")
    chosen = samples.requests(board.workflow, names=board.request.POST.getlist("use"))
    if not chosen:
        messages.error(board.request, _("Nothing was run: choose at least one request that is still there."))
        return redirect(url)
    try:
        runs = services.draft_test(actor=board.actor, workflow=board.workflow, requests=chosen)
    except ServiceError as error:
        messages.error(board.request, error.message)
        return redirect(url)
    _wait(runs)
    return redirect(f"{url}?{urlencode({'runs': '.'.join(str(run.pk) for run in runs)})}")


def _wait(runs: Sequence[Run]) -> None:
    """Wait for a moment: most tests are over before a page could ask again."""
    end = time.monotonic() + TEST_SECONDS
    for run in runs:
        wait_for_end(run.tenant_id, run.pk, max(0.0, end - time.monotonic()))


def _results(board: Board, text: str) -> Results | None:
    """Return how the tests fare that the address names; None where it names none of this workflow's."""
    parts = text.split(".")[: samples.REQUESTS_TESTED]
    ids = [int(pk) for pk in parts if pk.isascii() and pk.isdigit() and len(pk) < 19]
    rows = listing.listed(board.tenant, ids).filter(workflow=board.workflow, kind=RunKind.TEST)
    found = {run.pk: run for run in with_trigger_head(rows)} if ids else {}
    runs = [found[pk] for pk in ids if pk in found]
    if not runs:
        return None
    over = all(run.status in RUN_TERMINAL for run in runs)
    url = f"{board.url('workflow-test-requests')}?{urlencode({'runs': text})}"
    return Results(rows=run_rows(board.tenant, runs), poll_url="" if over else url)

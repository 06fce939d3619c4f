"""``runs/bulk/`` and ``runs/export/`` of the API: many runs at once."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.describing import ONCE, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.renderers import NDJSON, AnyTextJSONRenderer, NdjsonRenderer
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid, NotFound
from orchestrator.tenants.models import Scope
from runs.api_filters import FILTERS, RunFilterBody, filter_of_query
from runs.api_rates import with_rate
from runs.bulk import MOST_COUNTED, Batch, BulkAction, Reach, runs_change
from runs.export import MOST_RUNS, PAGE_RUNS, export_page

_REACH: Final = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)
_CURSOR: Final = re.compile(r"\d{1,18}", re.ASCII)


class BulkRequest(BaseModel):
    """``cancel`` takes runs that have not ended, ``rerun`` and ``delete`` those that have.

    ``cursor`` is the ``next`` of the answer before: it goes on there, with the same action and filter, and leaves alone
    what began after the first one.
    """

    model_config = ConfigDict(extra="forbid")

    action: BulkAction
    filter: RunFilterBody
    cursor: str | None = Field(None, max_length=40)


class RefusedBody(BaseModel):
    id: str
    message: str


class BulkBody(BaseModel):
    """``runs`` are the ids of what was done: of a rerun, those of the new runs. ``left`` says how many are still to do,
    counted up to 10,000. ``next`` is null once all were looked at; ``retry_after`` says in how many seconds more runs
    may be started, where the tenant's limit of runs a minute stopped this.
    """

    done: int
    runs: list[str]
    refused: list[RefusedBody]
    left: int
    left_is_more: bool
    next: str | None
    retry_after: int | None


class RunBulk(TenantAPIView):
    scopes = {"POST": Scope.RUN}  # noqa: RUF012

    @extend_schema(operation_id="runs_bulk", parameters=[ONCE], request=BulkRequest, responses=BulkBody)
    def post(self, request: Request) -> Response:
        """Cancel, run again or delete what a filter finds: the oldest 100, and how many are left.

        Each is done by itself, and one that cannot be is told in `refused`. Send `next` as `cursor` to go on.
        """
        body = parse_body(BulkRequest, request.data)
        wanted, reach = body.filter.as_filter(self), _reach(body.cursor)

        def make() -> Response:
            batch = runs_change(actor=self.actor, action=body.action, wanted=wanted, reach=reach)
            return Response(_batch_document(batch))

        answer = self.create(make)
        return with_rate(self.tenant, answer) if body.action is BulkAction.RERUN else answer


class RunExport(TenantAPIView):
    renderer_classes = (AnyTextJSONRenderer, NdjsonRenderer)

    @extend_schema(
        operation_id="runs_export",
        parameters=[
            *FILTERS,
            OpenApiParameter("format", exclude=True),
            OpenApiParameter("cursor", str, description="From the `Link` of the answer before; opaque."),
            OpenApiParameter(
                "limit",
                int,
                description=f"Runs a page: {PAGE_RUNS} unless it says otherwise.",
            ),
            OpenApiParameter(
                "Link",
                str,
                OpenApiParameter.HEADER,
                response=[200],
                description='`<address>; rel="next"` of the next page; not sent with the last one.',
            ),
        ],
        responses={(200, NDJSON): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponse:
        """Runs as a file, newest first: the document of `GET runs/{id}/` for each, one a line.

        In pages, which end at 500 runs or 4 MB: the header `Link` leads on.
        """
        wanted, below, limit = filter_of_query(self), _below(request), _limit(request)
        page = export_page(self.tenant, wanted, below=below, limit=limit)
        response = HttpResponse(page.body, content_type=NDJSON)
        response.headers["Content-Disposition"] = f'attachment; filename="runs-{timezone.now():%Y%m%d-%H%M%S}.ndjson"'
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "private, no-store"
        if page.last is not None:
            kept = [(name, value) for name, value in request.query_params.items() if name != "cursor"]
            query = urlencode([*kept, ("cursor", str(page.last))])
            response.headers["Link"] = f'<{request.build_absolute_uri(request.path)}?{query}>; rel="next"'
        return response


def _batch_document(batch: Batch) -> dict[str, Any]:
    outcome = batch.outcome
    return {
        "done": len(outcome.done),
        "runs": [str(run.pk) for run in outcome.done],
        "refused": [{"id": str(run.pk), "message": why} for run, why in outcome.refused],
        "left": batch.left,
        "left_is_more": batch.left >= MOST_COUNTED,
        "next": str(batch.next) if batch.next else None,
        "retry_after": outcome.limited.retry_after if outcome.limited else None,
    }


def _reach(cursor: str | None) -> Reach | None:
    if cursor is None:
        return None
    match = _REACH.fullmatch(cursor)
    if match is None:
        raise NotFound(_("There is no such page: the cursor is none of ours. Start again without it."))
    return Reach(after=int(match[1]), upto=int(match[2]))


def _below(request: Request) -> int | None:
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    if not _CURSOR.fullmatch(cursor):
        raise NotFound(_("There is no such page: the cursor is none of ours. Start again without it."))
    return int(cursor)


def _limit(request: Request) -> int:
    text = request.query_params.get("limit")
    if text is None:
        return PAGE_RUNS
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
        raise Invalid(
            _("limit is %(text).40r; send a number of runs from 1 to %(most)s.") % {"text": text, "most": MOST_RUNS}
        )
    return min(int(text), MOST_RUNS)

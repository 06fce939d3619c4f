"""``audit/`` of the API: what people and tokens changed, a page or a file at a time."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final

from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import moment_given
from orchestrator.api.describing import PAGED, extend_schema
from orchestrator.api.renderers import NDJSON, AnyTextJSONRenderer, NdjsonRenderer
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid, NotFound
from orchestrator.tenants.audit_log import Narrow, audit_export, day_start, event_document
from orchestrator.tenants.models import Scope
from orchestrator.tenants.permissions import require_operation

MAX_TEXT: Final = 200
ADMIN_ONLY: Final = {"GET": Scope.ADMIN}
_TARGET: Final = re.compile(r"(?:([a-z]{1,32}):)?(\d{1,19})|([a-z]{1,32})", re.ASCII)
_ID: Final = re.compile(r"\d{1,19}", re.ASCII)
_WHEN: Final = "a time like `2026-01-31T09:00:00Z`, or a day of the tenant's time zone like `2026-01-31`"
FILTERS: Final = (
    OpenApiParameter("who", str, description="A person's name; what their tokens did counts too."),
    OpenApiParameter("action", str, description="An action, like `workflow.published`, or all of a kind: `workflow`."),
    OpenApiParameter(
        "target", str, description="A kind of thing, like `workflow`, an id, or both: `workflow:123`, as `target_type` "
        "and `target_id` are answered."
    ),
    OpenApiParameter("from", str, description=f"Done then or later: {_WHEN}."),
    OpenApiParameter("to", str, description=f"Done before: {_WHEN}, which is included whole."),
)  # fmt: skip


class AuditBody(BaseModel):
    id: str
    at: datetime
    actor: str
    action: str
    target_type: str
    target_id: str | None
    target: str
    detail: dict[str, Any]


class AuditPage(BaseModel):
    results: list[AuditBody]
    next: str | None
    previous: str | None


class _AuditView(TenantAPIView):
    scopes = ADMIN_ONLY

    def narrow(self) -> Narrow:
        """Return what the address asks for. Raises Invalid."""
        require_operation(self.actor, "audit.read")
        kind, number = self._target()
        return Narrow(
            who=self._text("who"),
            what=self._text("action"),
            target_type=kind,
            target_id=number,
            since=self._moment("from"),
            until=self._moment("to", days_after=1),
        )

    def _text(self, name: str) -> str:
        text: str = self.request.query_params.get(name, "")
        if len(text) > MAX_TEXT or "\0" in text:
            raise Invalid(
                _("%(name)s is not valid: send at most %(most)s visible characters.") % {"name": name, "most": MAX_TEXT}
            )
        return text

    def _target(self) -> tuple[str, int | None]:
        text = self._text("target")
        if not text:
            return "", None
        found = _TARGET.fullmatch(text)
        if found is None:
            raise Invalid(
                _("target is %(text).40r; send a kind like workflow, an id, or both like workflow:123.")
                % {"text": text}
            )
        kind, number, alone = found.groups()
        return kind or alone or "", None if number is None else int(number)

    def _moment(self, name: str, *, days_after: int = 0) -> datetime | None:
        text = self._text(name)
        if not text:
            return None
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return moment_given(name, text)
        with timezone.override(self.tenant.time_zone):
            return day_start(day, days_after=days_after)


class AuditList(_AuditView):
    @extend_schema(operation_id="audit_list", parameters=[*FILTERS, *PAGED], responses=AuditPage)
    def get(self, request: Request) -> Response:
        """Every change by a person or token, newest first."""
        return self.page(self.narrow().rows(self.tenant), event_document)


class AuditExport(_AuditView):
    renderer_classes = (AnyTextJSONRenderer, NdjsonRenderer)

    @extend_schema(
        operation_id="audit_export",
        parameters=[
            *FILTERS,
            OpenApiParameter("format", exclude=True),
            OpenApiParameter("cursor", str, description="The last line's `id` of a full file: goes on after it."),
        ],
        responses={(200, NDJSON): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """The same as a file, newest first: one event a line, at most 100,000. That it was taken is in the log."""
        cursor = request.query_params.get("cursor")
        if cursor is not None and not _ID.fullmatch(cursor):
            raise NotFound(_("There is no such page: the cursor is none of ours. Start again without it."))
        older = None if cursor is None else int(cursor)
        lines = audit_export(actor=self.actor, narrow=self.narrow(), form="ndjson", older=older)
        response = StreamingHttpResponse(lines, content_type=NDJSON)
        name = f"audit-{self.tenant.slug}-{timezone.now():%Y%m%d-%H%M%S}.ndjson"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "private, no-store"
        return response

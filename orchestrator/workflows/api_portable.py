"""``workflows/{id}/export/`` and ``workflows/import/`` of the API: a workflow as a file, and back into a draft."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.describing import ONCE, ProblemBody, extend_schema
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Problem
from orchestrator.workflows import selectors
from orchestrator.workflows.api import PublishCheck, WorkflowBody, WorkflowDocument
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.portable import Exported, Imported, workflow_export, workflow_import

_TRUE = ("1", "true")


class ImportedBody(BaseModel):
    """``problems`` are what a publish would refuse: a draft may be wrong."""

    workflow: WorkflowBody
    problems: list[ProblemBody]
    warnings: list[ProblemBody]


class WorkflowExport(TenantAPIView):
    @extend_schema(
        operation_id="workflows_export",
        responses={200: OpenApiResponse(WorkflowDocument, "The draft, without what is at its default.")},
    )
    def get(self, request: Request, pk: str) -> HttpResponse:
        """The draft as a file: no secrets, credentials by name, the same bytes for the same workflow."""
        return as_file(workflow_export(self.find(Workflow, pk)))


class WorkflowImport(TenantAPIView):
    @extend_schema(
        operation_id="workflows_import",
        parameters=[
            OpenApiParameter("dry_run", bool, description="Only check: 200, and nothing is written."),
            OpenApiParameter("replace", bool, description="Replace the draft of the workflow that has the slug."),
            ONCE,
        ],
        request=WorkflowDocument,
        responses={200: PublishCheck, 201: ImportedBody},
    )
    def post(self, request: Request) -> Response:
        """Make a workflow of a file; it is off and not published, and nothing is executed or fetched."""
        replace, dry_run = (request.query_params.get(name) in _TRUE for name in ("replace", "dry_run"))

        def take(*, dry_run: bool = False) -> Imported:
            return workflow_import(actor=self.actor, document=request.data, replace=replace, dry_run=dry_run)

        if dry_run:
            found = take(dry_run=True)
            return Response(_told(found))

        def make() -> Response:
            found = take()
            assert found.workflow is not None
            return Response({"workflow": selectors.workflow_document(found.workflow), **_told(found)}, status=201)

        return self.create(make)


def as_file(exported: Exported) -> HttpResponse:
    """Return an exported workflow as a download."""
    response = HttpResponse(exported.text.encode(), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="{exported.slug}.json"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
    return response


def _told(found: Imported) -> dict[str, Any]:
    return {"problems": _bodies(found.problems), "warnings": _bodies(found.warnings)}


def _bodies(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [problem.as_dict() for problem in problems]

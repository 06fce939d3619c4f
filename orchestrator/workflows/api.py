"""``workflows/`` of the API: the document, its publication and its versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from django.db.models import Prefetch
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.describing import IF_MATCH, ONCE, PAGED, ProblemBody, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid, NotFound, Problem
from orchestrator.flow.definition import StepDefinition, Text, TriggerDefinition, WorkflowSettings
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.workflows import selectors, services
from orchestrator.workflows.models import Step, Trigger, Workflow, WorkflowVersion
from orchestrator.workflows.returning import MOST_RUNS
from orchestrator.workflows.secret_inputs import kept_document


class WorkflowDocument(BaseModel):
    """What a client sends: the document. ``slug`` is made from the name when it is left out."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    slug: str | None = None
    description: str = ""
    triggers: list[TriggerDefinition] = []
    steps: list[StepDefinition] = []
    output: JSONValue = None
    settings: WorkflowSettings = WorkflowSettings()


class WorkflowChanges(WorkflowDocument):
    """Whole top-level keys of the document, those that are to be replaced."""

    name: str = Field("", min_length=1, max_length=200)


class WorkflowBody(WorkflowDocument):
    """What the API answers: the document and its state."""

    id: str
    slug: str
    revision: int
    published_version: int | None
    enabled: bool
    created_at: datetime
    updated_at: datetime


class WorkflowPage(BaseModel):
    results: list[WorkflowBody]
    next: str | None
    previous: str | None


class AutoReturnRequest(BaseModel):
    """Go back to the version before once ``failures`` of the first ``runs`` runs have failed."""

    model_config = ConfigDict(extra="forbid")

    failures: int = Field(5, ge=1, le=MOST_RUNS)
    runs: int = Field(20, ge=1, le=MOST_RUNS)


class PublishRequest(BaseModel):
    """``auto_return`` is off unless it is given; the first version has none to go back to."""

    model_config = ConfigDict(extra="forbid")

    note: Text = Field("", max_length=1000)
    auto_return: AutoReturnRequest | None = None


class PublishBody(BaseModel):
    number: int
    warnings: list[ProblemBody]


class PublishCheck(BaseModel):
    """What ``?dry_run=1`` answers."""

    warnings: list[ProblemBody]
    problems: list[ProblemBody]


class AutoReturnBody(BaseModel):
    """``status``: ``watching`` its first runs, ``over`` without going back, or ``returned`` to the version before."""

    failures: int
    runs: int
    status: Literal["watching", "over", "returned"]
    returned_at: datetime | None


class VersionBody(BaseModel):
    """One immutable version; ``definition`` only where one version is asked for."""

    number: int
    checksum: str
    note: str
    author: str | None
    created_at: datetime
    auto_return: AutoReturnBody | None
    definition: dict[str, Any] | None = None


class VersionPage(BaseModel):
    results: list[VersionBody]
    next: str | None
    previous: str | None


class DiffBody(BaseModel):
    changes: list[dict[str, Any]]


class TriggerBody(BaseModel):
    key: str
    type: str
    url: str | None
    enabled: bool
    next_fire_at: datetime | None
    config: dict[str, Any]


class TriggerPage(BaseModel):
    results: list[TriggerBody]
    next: str | None
    previous: str | None


def _version_document(version: WorkflowVersion, *, whole: bool = False) -> dict[str, Any]:
    document = {
        "number": version.number,
        "checksum": version.checksum,
        "note": version.note,
        "author": version.author.get_username() if version.author else None,
        "created_at": version.created_at,
        "auto_return": selectors.auto_return_document(version),
    }
    return {**document, "definition": kept_document(version.definition)} if whole else document


def _as_bodies(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [problem.as_dict() for problem in problems]


class WorkflowList(TenantAPIView):
    @extend_schema(operation_id="workflows_list", parameters=[*PAGED], responses=WorkflowPage)
    def get(self, request: Request) -> Response:
        """The tenant's workflows, newest first."""
        rows = (
            Workflow.objects.for_tenant(self.tenant)
            .select_related("published_version")
            .prefetch_related(
                Prefetch("steps", Step.unscoped.select_related("credential")),
                Prefetch("triggers", Trigger.unscoped.all()),
            )
        )
        return self.page(rows, selectors.workflow_document)

    @extend_schema(
        operation_id="workflows_create", parameters=[ONCE], request=WorkflowDocument, responses={201: WorkflowBody}
    )
    def post(self, request: Request) -> Response:
        """Make a workflow; a draft may be incomplete or wrong, only publish refuses."""

        def make() -> Response:
            workflow = services.workflow_create(actor=self.actor, document=_object(request.data))
            return Response(selectors.workflow_document(workflow), status=201)

        return self.create(make)


class WorkflowDetail(TenantAPIView):
    @extend_schema(operation_id="workflows_retrieve", responses=WorkflowBody)
    def get(self, request: Request, pk: str) -> Response:
        return Response(selectors.workflow_document(self.find(Workflow, pk)))

    @extend_schema(
        operation_id="workflows_replace", parameters=[IF_MATCH], request=WorkflowDocument, responses=WorkflowBody
    )
    def put(self, request: Request, pk: str) -> Response:
        """Replace the draft; with `If-Match: <revision>` a lost race answers 409."""
        workflow = services.workflow_replace(
            actor=self.actor,
            workflow=self.find(Workflow, pk),
            document=_object(request.data),
            if_match=self.if_match(),
        )
        return Response(selectors.workflow_document(workflow))

    @extend_schema(
        operation_id="workflows_update", parameters=[IF_MATCH], request=WorkflowChanges, responses=WorkflowBody
    )
    def patch(self, request: Request, pk: str) -> Response:
        """Replace whole top-level keys of the draft."""
        workflow = services.workflow_patch(
            actor=self.actor,
            workflow=self.find(Workflow, pk),
            changes=_object(request.data),
            if_match=self.if_match(),
        )
        return Response(selectors.workflow_document(workflow))

    @extend_schema(operation_id="workflows_delete", responses={204: None})
    def delete(self, request: Request, pk: str) -> Response:
        services.workflow_delete(actor=self.actor, workflow=self.find(Workflow, pk))
        return Response(status=204)


class WorkflowPublish(TenantAPIView):
    @extend_schema(
        operation_id="workflows_publish",
        parameters=[OpenApiParameter("dry_run", bool), IF_MATCH, ONCE],
        request=PublishRequest,
        responses={200: PublishCheck, 201: PublishBody},
    )
    def post(self, request: Request, pk: str) -> Response:
        """Publish the draft as the next version, or answer every problem found; `?dry_run=1` only checks.

        With `If-Match: <revision>` a draft that somebody changed meanwhile answers 409. `auto_return` lets the version
        before come back by itself when the first runs of this one fail.
        """
        workflow = self.find(Workflow, pk)
        if request.query_params.get("dry_run") in ("1", "true"):
            require_operation(self.actor, "workflow.publish")
            problems = services.check(workflow, actor=self.actor)
            return Response(
                {
                    "warnings": _as_bodies([p for p in problems if p.severity == "warning"]),
                    "problems": _as_bodies([p for p in problems if p.severity == "error"]),
                }
            )
        body, if_match = parse_body(PublishRequest, self.body()), self.if_match()
        wanted = services.AutoReturn(**body.auto_return.model_dump()) if body.auto_return else None

        def make() -> Response:
            result = services.publish(
                actor=self.actor, workflow=workflow, note=body.note, if_match=if_match, auto_return=wanted
            )
            return Response(
                {"number": result.version.number, "warnings": _as_bodies(result.warnings)},
                status=201,
            )

        return self.create(make)


class _WorkflowSwitch(TenantAPIView):
    def switch(self, pk: str, *, enabled: bool) -> Response:
        workflow = services.workflow_set_enabled(actor=self.actor, workflow=self.find(Workflow, pk), enabled=enabled)
        return Response(selectors.workflow_document(workflow))


class WorkflowEnable(_WorkflowSwitch):
    @extend_schema(operation_id="workflows_enable", request=None, responses=WorkflowBody)
    def post(self, request: Request, pk: str) -> Response:
        """Let the workflow's triggers start runs."""
        return self.switch(pk, enabled=True)


class WorkflowDisable(_WorkflowSwitch):
    @extend_schema(operation_id="workflows_disable", request=None, responses=WorkflowBody)
    def post(self, request: Request, pk: str) -> Response:
        """Stop the workflow's triggers; it can still be started by hand or through the API."""
        return self.switch(pk, enabled=False)


class VersionList(TenantAPIView):
    @extend_schema(operation_id="versions_list", parameters=[*PAGED], responses=VersionPage)
    def get(self, request: Request, pk: str) -> Response:
        """Published versions, newest first, without their definitions."""
        rows = (
            WorkflowVersion.objects.for_tenant(self.tenant)
            .filter(workflow=self.find(Workflow, pk), number__isnull=False)
            .select_related("author")
            .defer("definition", "bindings")
        )
        return self.page(rows, _version_document)


class VersionDetail(TenantAPIView):
    @extend_schema(operation_id="versions_retrieve", responses=VersionBody)
    def get(self, request: Request, pk: str, number: int) -> Response:
        return Response(_version_document(_version(self, pk, number), whole=True))


class VersionRestore(TenantAPIView):
    @extend_schema(operation_id="versions_restore", parameters=[IF_MATCH], request=None, responses=WorkflowBody)
    def post(self, request: Request, pk: str, number: int) -> Response:
        """Replace the draft by this version; nothing is published."""
        version = _version(self, pk, number)
        workflow = services.version_restore(
            actor=self.actor, workflow=version.workflow, version=version, if_match=self.if_match()
        )
        return Response(selectors.workflow_document(workflow))


class DraftUndo(TenantAPIView):
    @extend_schema(operation_id="workflows_undo", parameters=[IF_MATCH], request=None, responses=WorkflowBody)
    def post(self, request: Request, pk: str) -> Response:
        """Make the draft what it was before its last change; 409 `nothing_to_undo` where none is kept."""
        workflow, _ = services.draft_undo(actor=self.actor, workflow=self.find(Workflow, pk), if_match=self.if_match())
        return Response(selectors.workflow_document(workflow))


class DraftRedo(TenantAPIView):
    @extend_schema(operation_id="workflows_redo", parameters=[IF_MATCH], request=None, responses=WorkflowBody)
    def post(self, request: Request, pk: str) -> Response:
        """Make the change again that was undone last; 409 `nothing_to_redo` where there is none."""
        workflow, _ = services.draft_redo(actor=self.actor, workflow=self.find(Workflow, pk), if_match=self.if_match())
        return Response(selectors.workflow_document(workflow))


class VersionDiff(TenantAPIView):
    @extend_schema(
        operation_id="versions_diff",
        parameters=[OpenApiParameter("from", int, required=True), OpenApiParameter("to", int, required=True)],
        responses=DiffBody,
    )
    def get(self, request: Request, pk: str) -> Response:
        """What changed between two versions, field by field."""
        self.find(Workflow, pk)
        numbers = [_number(request, name) for name in ("from", "to")]
        old, new = (_version(self, pk, number) for number in numbers)
        return Response({"changes": selectors.version_diff(old, new)})


class TriggerList(TenantAPIView):
    @extend_schema(
        operation_id="triggers_list", parameters=[OpenApiParameter("workflow", str), *PAGED], responses=TriggerPage
    )
    def get(self, request: Request) -> Response:
        """Triggers with their addresses, which only editors and above may read."""
        rows = Trigger.objects.for_tenant(self.tenant).filter(in_draft=True).select_related("workflow")
        if "workflow" in request.query_params:
            rows = rows.filter(workflow=self.find(Workflow, request.query_params["workflow"]))
        return self.page(rows, lambda trigger: selectors.trigger_document(trigger, actor=self.actor))


def _version(view: TenantAPIView, pk: str, number: int) -> WorkflowVersion:
    rows = WorkflowVersion.objects.for_tenant(view.tenant).select_related("workflow", "author")
    found = rows.filter(workflow=view.find(Workflow, pk), number=number).first()
    if found is None:
        raise NotFound(_("This workflow has no version %(number)s.") % {"number": number})
    return found


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(_("%(name)s is %(text).40r; send a version's number.") % {"name": name, "text": text})
    return int(text)


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Invalid(_("The body is not a JSON object; send a workflow document."))
    return data

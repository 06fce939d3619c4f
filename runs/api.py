"""``runs/`` of the API: start, read, wait for, answer, cancel and run again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.describing import ONCE, PAGED, ErrorBody, extend_schema
from orchestrator.api.errors import parse_body
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid
from orchestrator.tenants.models import Scope
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Workflow
from runs import selectors, services, traceparents
from runs.answers import MAX_COMMENT, run_resolve
from runs.api_filters import FILTERS, filter_of_query
from runs.api_rates import RATE_HEADERS, with_rate
from runs.asked import MAX_PATH
from runs.models import Run
from runs.patience import wait_for_end
from runs.states import RunKind, RunStatus

MAX_WAIT_SECONDS: Final = 60.0
STARTS_RUNS: Final = {"POST": Scope.RUN}
PATH: Final = OpenApiParameter(
    "path",
    str,
    description="A step's path, like `each[3].send`. That of a step that holds others, or of one iteration, like "
    "`each[3]`, gives what is inside of it too.",
)
WAIT: Final = OpenApiParameter("wait", float, description="Seconds to wait for the end, at most 60.")


class RunStart(BaseModel):
    """``payload`` is what expressions read as ``trigger.body``."""

    model_config = ConfigDict(extra="forbid")

    payload: JSONValue = None
    version: Literal["published", "draft"] | int = "published"


class RunAgain(BaseModel):
    """``from`` is the key of the step to start from; without ``payload`` the first run's is used again."""

    model_config = ConfigDict(extra="forbid")

    from_: str | None = Field(None, alias="from")
    payload: JSONValue = None
    version: Literal["same", "published", "draft"] | int = "same"


class Resolve(BaseModel):
    """``path`` is the step's, as in ``waiting_for``; ``form`` belongs to approvals, ``output`` to ``succeeded``.

    An approval takes ``approved`` and ``rejected``; a step whose outcome is not known takes ``succeeded``, ``retry``
    (try it once more) and ``failed``.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = Field(max_length=MAX_PATH)
    decision: Literal["approved", "rejected", "succeeded", "retry", "failed"]
    output: JSONValue = None
    form: dict[str, JSONValue] | None = None
    comment: str = Field("", max_length=MAX_COMMENT)


class StepTest(BaseModel):
    """``given`` maps keys of earlier steps to their outputs; without it the stored ones of the last test are used."""

    model_config = ConfigDict(extra="forbid")

    payload: JSONValue = None
    given: dict[str, JSONValue] | None = None


class StartedBody(BaseModel):
    id: str
    status: str
    url: str


class StepErrorBody(BaseModel):
    kind: str
    message: str
    hint: str
    retryable: bool
    field: str | None = None


class ProgressBody(BaseModel):
    """How far a step is, as its action told last; ``total`` is null where that is not known."""

    done: float
    total: float | None
    text: str


class Usage(BaseModel):
    """What an answer of a language model took; ``cost`` in US dollars is null where the model's price is not known."""

    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None
    price_as_of: str | None


class RunUsage(BaseModel):
    """What a run used of language models; ``cost`` is of those answers whose price is known."""

    answers: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None
    price_as_of: str | None
    unpriced: list[str]
    models: list[str]
    complete: bool


class StepBody(BaseModel):
    """One attempt of one step; a value over 64 KB is ``{"truncated": true, "size", "url"}``."""

    path: str
    key: str
    action: str
    resolved_as: Literal["registry", "http", "sandbox"]
    attempt: int
    status: Literal["running", "waiting", "succeeded", "failed", "skipped", "cancelled", "lost"]
    inputs: JSONValue
    output: JSONValue
    error: StepErrorBody | None
    logs: JSONValue
    progress: ProgressBody | None
    usage: Usage | None
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None


class WaitingFor(BaseModel):
    """What a waiting run waits for; where it is several things, one that a person can do something about."""

    path: str
    kind: Literal["approval", "callback", "time", "workflow", "outcome_unknown"]


class RunSummary(BaseModel):
    id: str
    workflow: str
    version: int | None
    status: RunStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    revision: int
    error: JSONValue


class RunBody(RunSummary):
    kind: RunKind
    trigger: JSONValue
    payload: JSONValue
    output: JSONValue
    waiting_for: WaitingFor | None
    usage: RunUsage | None
    rerun_of: str | None
    steps: list[StepBody]
    steps_next: str | None


class RunPage(BaseModel):
    results: list[RunSummary]
    next: str | None
    previous: str | None


class StepPage(BaseModel):
    results: list[StepBody]
    next: str | None
    previous: str | None


def started_document(run: Run) -> dict[str, str]:
    """Return what a start answers: where to look for the run."""
    return {"id": str(run.pk), "status": run.status, "url": f"/api/v1/runs/{run.pk}/"}


def _wait_seconds(request: Request) -> float:
    text = request.query_params.get("wait")
    if text is None:
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise Invalid(
            _("wait is %(text).40r; send a number of seconds from 0 to %(most).0f.")
            % {"text": text, "most": MAX_WAIT_SECONDS}
        )
    return seconds


def _finished_or(view: TenantAPIView, started: Response, seconds: float) -> Response:
    """Return the run that ``started`` names once it ended, or ``started`` when it does not in time."""
    run_id = started.data["id"]
    if seconds > 0 and wait_for_end(view.tenant, int(run_id), seconds):
        return Response(selectors.run_document(view.find(Run, run_id)))
    return started


class WorkflowRunStart(TenantAPIView):
    scopes = STARTS_RUNS

    @extend_schema(
        operation_id="workflows_run",
        parameters=[WAIT, ONCE, *RATE_HEADERS],
        request=RunStart,
        responses={200: RunBody, 202: StartedBody, 429: ErrorBody},
    )
    def post(self, request: Request, pk: str) -> Response:
        """Start a run: 202 at once, or with `?wait=` 200 and the finished run when it ends in time."""
        body = parse_body(RunStart, self.body())
        seconds = _wait_seconds(request)
        workflow = self.find(Workflow, pk)

        def make() -> Response:
            run = services.run_start_by_actor(
                actor=self.actor,
                workflow=workflow,
                payload=body.payload,
                version=body.version,
                traceparent=request.headers.get(traceparents.HEADER),
            )
            return Response(started_document(run), status=202)

        return with_rate(self.tenant, _finished_or(self, self.create(make), seconds))


class StepTestStart(TenantAPIView):
    @extend_schema(
        operation_id="steps_test", parameters=[WAIT, ONCE], request=StepTest, responses={200: RunBody, 202: StartedBody}
    )
    def post(self, request: Request, pk: str, key: str) -> Response:
        """Run one step of the draft with given or stored data, as a run of its own."""
        body = parse_body(StepTest, self.body())
        seconds = _wait_seconds(request)
        workflow = self.find(Workflow, pk)

        def make() -> Response:
            payload: dict[str, Any] = {"payload": body.payload} if "payload" in body.model_fields_set else {}
            run = services.step_test(actor=self.actor, workflow=workflow, key=key, given=body.given, **payload)
            return Response(started_document(run), status=202)

        return _finished_or(self, self.create(make), seconds)


class RunList(TenantAPIView):
    @extend_schema(operation_id="runs_list", parameters=[*FILTERS, *PAGED], responses=RunPage)
    def get(self, request: Request) -> Response:
        """Runs, newest first."""
        return self.page(selectors.run_list(self.tenant, filter_of_query(self)), selectors.run_summary)


class RunDetail(TenantAPIView):
    @extend_schema(
        operation_id="runs_retrieve",
        parameters=[OpenApiParameter("after", int, description="Answers 204 while the run's revision is this one.")],
        responses={200: RunBody, 204: None},
    )
    def get(self, request: Request, pk: str) -> Response:
        run = self.find(Run, pk)
        if request.query_params.get("after") == str(run.revision):
            return Response(status=204)
        return Response(selectors.run_document(run))


class RunSteps(TenantAPIView):
    @extend_schema(
        operation_id="runs_steps",
        parameters=[PATH, OpenApiParameter("cursor", str)],
        responses=StepPage,
    )
    def get(self, request: Request, pk: str) -> Response:
        """Attempts of a run's steps, in the order they began, 200 a page."""
        run = self.find(Run, pk)
        path = request.query_params.get("path", "")
        if "\0" in path:
            raise Invalid(_("path is not valid: send a step's path, like `each[3].send`."))
        return Response(selectors.step_page(run, cursor=request.query_params.get("cursor"), path=path or None))


class RunValue(TenantAPIView):
    @extend_schema(operation_id="runs_value", responses=OpenApiTypes.ANY)
    def get(self, request: Request, pk: str, ref: int) -> StreamingHttpResponse:
        """A large value of a run, whole."""
        size, pieces = selectors.payload_pieces(self.find(Run, pk), ref)
        return StreamingHttpResponse(pieces, content_type="application/json", headers={"Content-Length": str(size)})


class RunCancel(TenantAPIView):
    scopes = STARTS_RUNS

    @extend_schema(operation_id="runs_cancel", request=None, responses=RunBody)
    def post(self, request: Request, pk: str) -> Response:
        """Cancel a run that has not ended; a step under way is stopped within a second."""
        return Response(selectors.run_document(services.run_cancel(actor=self.actor, run=self.find(Run, pk))))


class RunResolve(TenantAPIView):
    scopes = STARTS_RUNS

    @extend_schema(operation_id="runs_resolve", parameters=[ONCE], request=Resolve, responses=RunBody)
    def post(self, request: Request, pk: str) -> Response:
        """Answer an approval, or say what became of a step whose outcome is not known; the first answer counts."""
        body = parse_body(Resolve, self.body())
        run = self.find(Run, pk)

        def make() -> Response:
            answered = run_resolve(
                actor=self.actor,
                run=run,
                path=body.path,
                decision=body.decision,
                output=body.output,
                form=body.form,
                comment=body.comment,
            )
            return Response(selectors.run_document(answered))

        return self.create(make)


class RunRerun(TenantAPIView):
    scopes = STARTS_RUNS

    @extend_schema(
        operation_id="runs_rerun",
        parameters=[WAIT, ONCE, *RATE_HEADERS],
        request=RunAgain,
        responses={200: RunBody, 202: StartedBody, 429: ErrorBody},
    )
    def post(self, request: Request, pk: str) -> Response:
        """Start the same again as a new run: from the start or from a step, with the same or another payload."""
        body = parse_body(RunAgain, self.body())
        seconds = _wait_seconds(request)
        earlier = self.find(Run, pk)

        def make() -> Response:
            run = services.run_rerun(
                actor=self.actor,
                run=earlier,
                from_=body.from_,
                version=body.version,
                **({"payload": body.payload} if "payload" in body.model_fields_set else {}),
            )
            return Response(started_document(run), status=202)

        return with_rate(self.tenant, _finished_or(self, self.create(make), seconds))

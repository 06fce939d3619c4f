"""What the API narrows runs to, in an address and in a body: the same names, the same meaning."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.api.bodies import Moment, moment_given
from orchestrator.api.views import TenantAPIView
from orchestrator.errors import Invalid
from orchestrator.flow.definition import Text
from orchestrator.workflows.models import Workflow
from runs.selectors import RunFilter
from runs.states import RunStatus

MAX_SEARCH: Final = 200
FILTERS: Final = (
    OpenApiParameter("workflow", str, description="A workflow's id."),
    OpenApiParameter("status", enum=[s.value for s in RunStatus]),
    OpenApiParameter("since", datetime, description="Made at this time or later."),
    OpenApiParameter("q", str, description="A run's id, or part of a workflow's name or slug."),
)


class RunFilterBody(BaseModel):
    """As the parameters of ``GET runs/``; an empty object means every run of the tenant."""

    model_config = ConfigDict(extra="forbid")

    workflow: str | None = None
    status: RunStatus | None = None
    since: Moment | None = None
    q: Text = Field("", max_length=MAX_SEARCH)

    def as_filter(self, view: TenantAPIView) -> RunFilter:
        """Return the filter. Raises NotFound for a workflow that is none of the tenant's."""
        return RunFilter(
            workflow=view.find(Workflow, self.workflow) if self.workflow else None,
            status=self.status.value if self.status else None,
            since=self.since,
            q=self.q or None,
        )


def filter_of_query(view: TenantAPIView) -> RunFilter:
    """Return what the address asks for. Raises Invalid, and NotFound for a workflow that is none of the tenant's."""
    params = view.request.query_params
    status = params.get("status")
    if status and status not in list(RunStatus):
        raise Invalid(
            _("status is %(status).40r; send one of %(known)s.") % {"status": status, "known": ", ".join(RunStatus)}
        )
    since = params.get("since")
    moment = moment_given("since", since) if since else None
    q = params.get("q", "")
    if len(q) > MAX_SEARCH or "\0" in q:
        raise Invalid(_("q is not valid: send at most %(most)s visible characters.") % {"most": MAX_SEARCH})
    workflow = view.find(Workflow, params["workflow"]) if params.get("workflow") else None
    return RunFilter(workflow=workflow, status=status or None, since=moment, q=q or None)

"""The run that an address names, with everything that its pages read."""

from __future__ import annotations

from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run


def find_run(actor: Actor, pk: int) -> Run:
    """Return the tenant's run with its workflow and version; three queries. Raises NotFound for another tenant's.

    The version's document is left out, which may be large: who needs it gets it with a query more.
    """
    found = get_for_tenant_or_404(Run, actor.tenant, pk=pk)
    found.workflow = Workflow.objects.for_tenant(actor.tenant).get(pk=found.workflow_id)
    found.version = WorkflowVersion.objects.for_tenant(actor.tenant).defer("definition").get(pk=found.version_id)
    found.tenant = actor.tenant
    return found

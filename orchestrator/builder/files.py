"""A workflow as a file: downloaded from its settings, and taken in from a file or from pasted JSON."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from orchestrator import jsongate
from orchestrator.errors import Invalid, Problem
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.workflows.api_portable import as_file
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.portable import read_document, workflow_export, workflow_import

# Of what is shown again to be corrected; a page is no place for more.
MOST_SHOWN: Final = 200_000
MOST_PROBLEMS: Final = 50


@require_safe
@tenant_page()
def workflow_file(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Return the draft as a file, without secrets."""
    return as_file(workflow_export(get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)))


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def workflow_take_in(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make a workflow of a file or of pasted JSON, and open it; what is wrong is shown with its path."""
    return _take_in(request, actor, None)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def workflow_replace(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Replace a workflow's draft by a file or by pasted JSON; what is live goes on."""
    return _take_in(request, actor, get_for_tenant_or_404(Workflow, actor.tenant, pk=pk))


def _take_in(request: HttpRequest, actor: Actor, into: Workflow | None) -> HttpResponse:
    if request.method != "POST":
        return _page(request, actor, into)
    data = _given(request)
    if not data.strip():
        said = _("Choose a file of at most %(most)d MB, or paste its text.") % {"most": jsongate.MAX_BYTES // 2**20}
        return _page(request, actor, into, said=said, status=422)
    try:
        found = workflow_import(actor=actor, document=read_document(data), into=into)
    except Invalid as error:
        text = data.decode("utf-8", "replace").replace("\0", "")
        return _page(request, actor, into, said=error.message, problems=error.problems, text=text, status=422)
    assert found.workflow is not None
    messages.success(request, _("“%(name)s” was taken in as a draft.") % {"name": found.workflow.name})
    if found.problems:
        one, more = (
            "%(count)d thing to fix before it can be published.",
            "%(count)d things to fix before it can be published.",
        )
        messages.warning(request, ngettext(one, more, len(found.problems)) % {"count": len(found.problems)})
    return redirect("workflow", actor.tenant.slug, found.workflow.pk)


def _given(request: HttpRequest) -> bytes:
    """Return what was chosen or, where nothing was, pasted."""
    file = request.FILES.get("file")
    if file is not None:
        return bytes(file.read())
    return request.POST.get("text", "").encode("utf-8", "surrogatepass")


def _page(
    request: HttpRequest,
    actor: Actor,
    into: Workflow | None,
    *,
    said: str = "",
    problems: tuple[Problem, ...] = (),
    text: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "workflow": into,
        "said": said,
        "problems": [problem for problem in problems if problem.path][:MOST_PROBLEMS],
        "text": text if len(text) <= MOST_SHOWN else "",
    }
    return page(request, actor, "builder/file.html", context, nav="workflow-list", narrow=True, status=status)

"""What makes workflows with one press: a new one with its trigger, one with a step in it, the worked examples."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from integrations.registry import registry
from orchestrator.builder import form_form, schedule_form
from orchestrator.builder.add_step import step_of
from orchestrator.builder.polling_form import chosen_config, kind_of
from orchestrator.errors import ServiceError
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.types import JSONValue
from orchestrator.workflows.examples import examples_create
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.services import workflow_create
from runs.services import run_start_by_actor

# What a person can start from: the key of the trigger by its type.
STARTS: Final = {
    "webhook": "hook", "schedule": "schedule", "form": "form", "polling": "new", "event": "event", "manual": "manual"
}  # fmt: skip


@require_POST
@tenant_page(Role.EDITOR)
def workflow_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make a workflow with the trigger that was pressed, and open the builder: no dialog, no naming.

    With ``action`` it has a step of that, whose form is opened; with ``starts`` that event of an app starts it.
    """
    slug, action, starts = actor.tenant.slug, request.POST.get("action", ""), request.POST.get("starts", "")
    if (action and registry.get(action) is None) or (starts and registry.trigger(starts) is None):
        messages.error(request, _("This is not installed here. Nothing was made."))
        return redirect("integrations", slug)
    try:
        with transaction.atomic():
            workflow = _new(actor, kind_of(starts).value if starts else request.POST.get("trigger", "webhook"), starts)
            step = step_of(actor, workflow, {"action": action}) if action else None
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow-list", slug)
    if step is None:
        return redirect("workflow", slug, workflow.pk)
    return redirect("workflow-step", slug, workflow.pk, step.key)


def _new(actor: Actor, kind: str, starts: str) -> Workflow:
    kind = kind if kind in STARTS else "webhook"
    config = chosen_config(starts) if starts else new_config(TriggerType(kind), actor.tenant)
    trigger = {"key": STARTS[kind], "type": kind, "config": config}
    return workflow_create(actor=actor, document={"name": _("New workflow"), "triggers": [trigger], "steps": []})


def new_config(kind: TriggerType, tenant: Tenant, *, sample: JSONValue = None) -> dict[str, Any]:
    """Return what a new trigger of a type begins with; a form with the fields of a ``sample``, where there is one."""
    if kind is TriggerType.SCHEDULE:
        return schedule_form.new_config(tenant.time_zone)
    return form_form.new_config(sample) if kind is TriggerType.FORM else {}


@require_POST
@tenant_page(Role.EDITOR)
def workflow_examples(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make the worked examples; with ``run``, the slug of one, start that at once and show its run."""
    base_url = settings.BASE_URL or request.build_absolute_uri("/")
    wanted = request.POST.get("run", "")
    try:
        made = examples_create(actor=actor, base_url=base_url)
        example = next((workflow for workflow in made if workflow.slug == wanted), None)
        run = run_start_by_actor(actor=actor, workflow=example) if example else None
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow-list", actor.tenant.slug)
    if run is not None:
        return redirect("run", actor.tenant.slug, run.pk)
    said = ngettext("%(count)d example is ready to run.", "%(count)d examples are ready to run.", len(made))
    messages.success(request, said % {"count": len(made)})
    return redirect("workflow-list", actor.tenant.slug)

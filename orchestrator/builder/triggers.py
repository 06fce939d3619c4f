"""The builder's views of triggers: looked at and listened to, changed, added and removed; a sample sent through one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from orchestrator import jsongate
from orchestrator.builder import (
    entrance_form,
    form_form,
    polling_form,
    polling_sample,
    schedule_form,
    starts,
    webhook_form,
)
from orchestrator.builder.arranging import after
from orchestrator.builder.board import Board, board_of
from orchestrator.builder.editing import builder_page, clean
from orchestrator.builder.panels import TriggerPanel
from orchestrator.builder.sample_text import sample_value
from orchestrator.builder.testing import has_ended
from orchestrator.builder.trigger_panel import APP, trigger_panel
from orchestrator.builder.wrong import Wrong
from orchestrator.errors import NotFound, ServiceError
from orchestrator.flow.definition import TriggerDefinition
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, require, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import fragment, is_fragment, private
from orchestrator.types import JSONValue
from orchestrator.workflows import trigger_edits
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.trigger_types import trigger_swap
from runs import services as run_services
from runs.poll_rows import poll_now
from runs.samples import last_trigger
from runs.subscription_state import subscription_retry

# What a press adds; anything else is a webhook.
ADDED: Final = (
    TriggerType.MANUAL.value,
    TriggerType.WEBHOOK.value,
    TriggerType.SCHEDULE.value,
    TriggerType.FORM.value,
    TriggerType.POLLING.value,
    TriggerType.EVENT.value,
    TriggerType.WORKFLOW.value,
    TriggerType.ERROR.value,
)


# What is read from what was posted, beside what is stored.
_FORMS: Final[Mapping[TriggerType, Callable[[QueryDict, Mapping[str, Any]], dict[str, Any]]]] = {
    TriggerType.WEBHOOK: webhook_form.config_from,
    TriggerType.SCHEDULE: schedule_form.config_from,
    TriggerType.FORM: form_form.config_from,
    TriggerType.POLLING: partial(polling_form.config_from, TriggerType.POLLING),
    TriggerType.EVENT: partial(polling_form.config_from, TriggerType.EVENT),
    TriggerType.WORKFLOW: partial(entrance_form.config_from, TriggerType.WORKFLOW.value),
    TriggerType.ERROR: partial(entrance_form.config_from, TriggerType.ERROR.value),
}


@require_POST
@tenant_page(Role.EDITOR)
def workflow_test(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Run the whole draft with a given body, or the last one, and show the run; a sample is shown at its trigger."""
    board = board_of(request, actor, pk)
    try:
        payload = _payload(board)
        started = run_services.run_start_by_actor(
            actor=actor, workflow=board.workflow, payload=payload, version="draft"
        )
    except jsongate.BadJSON as error:
        key = request.POST.get("trigger", "")
        said = _("This was not taken: %(why)s. It was not sent.") % {"why": error}
        if key and any(trigger.key == key for trigger in board.definition.triggers):
            typed = clean(request.POST.get("payload", ""))
            return builder_page(board, trigger=trigger_panel(board, key, error=said, sample=typed), status=400)
        messages.error(request, said)
        return redirect("workflow", board.tenant.slug, board.workflow.pk)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow", board.tenant.slug, board.workflow.pk)
    if any(trigger.key == request.POST.get("trigger") for trigger in board.definition.triggers):
        has_ended(started)
        return redirect("workflow-trigger", actor.tenant.slug, pk, request.POST["trigger"])
    return redirect("run", actor.tenant.slug, started.pk)


def _payload(board: Board) -> JSONValue:
    """Return the posted body, else that of the last run. Raises BadJSON."""
    text = board.request.POST.get("payload")
    if text is None:
        return (last_trigger(board.workflow, chosen=board.chosen) or {}).get("body")
    return sample_value(clean(text), as_form=board.request.POST.get("as") == "form")


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def trigger(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Show a trigger, or save what its form says."""
    board = board_of(request, actor, pk)
    panel = trigger_panel(board, key)
    if request.method != "POST":
        return _received(board, panel) if is_fragment(request) else builder_page(board, trigger=panel)
    require(actor, Role.EDITOR)
    stored = next(each for each in board.definition.triggers if each.key == key)
    if stored.type not in _FORMS:
        said = _("Nothing was saved: a trigger of this type has no settings here. Change it through the API.")
        return builder_page(board, trigger=trigger_panel(board, key, error=said), status=400)
    try:
        config = _FORMS[stored.type](request.POST, stored.config)
        if (other := _other_type(stored, config)) is not None:
            made = trigger_swap(actor=actor, workflow=board.workflow, key=key, type=other, config=config)
            return redirect("workflow-trigger", actor.tenant.slug, pk, made.key)
        trigger_edits.trigger_update(actor=actor, workflow=board.workflow, key=key, config=config)
    except Wrong as wrong:
        panel = trigger_panel(board, key, posted=request.POST, errors=wrong.errors)
        return builder_page(board, trigger=panel, status=400)
    except polling_form.Wrong as wrong:
        typed = wrong.config or stored.config
        panel = trigger_panel(board, key, errors=wrong.errors, config=typed, texts=wrong.texts)
        return builder_page(board, trigger=panel, status=400)
    except ServiceError as error:
        return builder_page(board, trigger=trigger_panel(board, key, error=error.message), status=400)
    return redirect("workflow-trigger", actor.tenant.slug, pk, key)


def _other_type(stored: TriggerDefinition, config: Mapping[str, Any]) -> TriggerType | None:
    """Return the type that a trigger has to have for what was chosen just now, None where it has it.

    What is asked and what is called are two types of trigger, though one list offers both.
    """
    if stored.type.value not in APP or config["trigger"] == stored.config.get("trigger"):
        return None
    kind = polling_form.kind_of(config["trigger"])
    return None if kind is stored.type else kind


def _received(board: Board, panel: TriggerPanel) -> HttpResponse:
    """Answer who listens: the last requests and who edits which step, nothing while that is what is shown."""
    if board.request.GET.get("mark") == panel.listening.mark:
        return private(HttpResponse(status=204))
    others = [(key, board.others.get(key, [])) for key in board.by_key]
    context = {"workflow": board.workflow, "trigger": panel, "others_by_key": others}
    return fragment(board.request, board.actor, "builder/_received.html", context)


@require_POST
@tenant_page(Role.EDITOR)
def trigger_add(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Add a trigger of a type."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    wanted = request.POST.get("type", "")
    kind = TriggerType(wanted) if wanted in ADDED else TriggerType.WEBHOOK
    config = starts.new_config(kind, actor.tenant, sample=_sample_of(request))
    try:
        made = trigger_edits.trigger_add(actor=actor, workflow=found, type=kind, config=config)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, pk)
    return redirect("workflow-trigger", actor.tenant.slug, pk, made.key)


def _sample_of(request: HttpRequest) -> JSONValue:
    """Return the sample that stands in the form that was sent, None where it is none."""
    try:
        return sample_value(clean(request.POST.get("payload", "")), as_form=request.POST.get("as") == "form")
    except jsongate.BadJSON:
        return None


@require_POST
@tenant_page(Role.EDITOR)
def trigger_poll(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Have a live trigger polled at once, or its provider told of it; with ``what=sample`` only look, as the draft
    says, and keep examples.
    """
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    rows = Trigger.objects.for_tenant(actor.tenant).filter(workflow=workflow, key=key, type__in=APP)
    found = rows.first()
    if found is None:
        raise NotFound(_("There is no trigger %(key)s in this workflow.") % {"key": key[:80]})
    try:
        if found.type == TriggerType.EVENT.value:
            subscription_retry(actor=actor, trigger=found, now=timezone.now())
        elif request.POST.get("what") == "sample":
            count = polling_sample.samples_fetch(actor=actor, trigger=found)
            said = ngettext("%(count)d item was kept as an example.", "%(count)d items were kept as examples.", count)
            messages.success(request, said % {"count": count} if count else _("There is nothing there at this moment."))
        else:
            poll_now(actor=actor, trigger=found, now=timezone.now())
    except ServiceError as error:
        messages.error(request, error.message)
    return redirect("workflow-trigger", actor.tenant.slug, pk, key)


@require_POST
@tenant_page(Role.EDITOR)
def trigger_remove(request: HttpRequest, actor: Actor, pk: int, key: str) -> HttpResponse:
    """Take a trigger out of the draft."""
    found = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    return after(request, actor, found, "", lambda: trigger_edits.trigger_remove(actor=actor, workflow=found, key=key))

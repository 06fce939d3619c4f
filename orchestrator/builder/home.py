"""The tenant's home page and its list of workflows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from orchestrator.errors import ServiceError
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.shell import page
from orchestrator.tenants.views import LAST_TENANT
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.selectors import credentials_needing_a_person
from orchestrator.workflows.examples import examples_create
from orchestrator.workflows.models import Trigger
from orchestrator.workflows.selectors import workflow_list
from orchestrator.workflows.services import workflow_create
from runs import overview
from runs.overview import Activity, Hour, Today
from runs.states import RunStatus

HOME_ROWS: Final = 8
PAGE_ROWS: Final = 50
_BAR_PITCH, _BAR_WIDTH, _BAR_HEIGHT = 6, 4, 22
_TRIGGER_WORDS: Final = {
    "webhook": noop("Request"),
    "manual": noop("By hand"),
    "schedule": noop("Schedule"),
    "form": noop("Form"),
    "polling": noop("App change"),
    "error": noop("Failed run"),
    "workflow": noop("Called by a workflow"),
}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One rectangle of the last day: its place and its class (``o`` good, ``f`` failed, ``n`` nothing)."""

    x: int
    y: float
    height: float
    css: str


@dataclass(frozen=True, kw_only=True)
class Bars:
    label: str
    rects: tuple[Bar, ...]


@dataclass(frozen=True, kw_only=True)
class WorkflowRow:
    """One line of a list of workflows."""

    name: str
    url: str
    runs_url: str
    trigger: str
    trigger_words: str
    status: str
    bars: Bars
    typical_ms: float | None
    last_at: datetime | None
    last_url: str


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that waits for a person, and the one button that does the next thing."""

    status: str
    word: str
    name: str
    url: str
    reason: str
    button: str
    button_url: str


@require_safe
@tenant_page()
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how today went, what needs a person, and the workflows."""
    if request.session.get(LAST_TENANT) != actor.tenant.slug:
        request.session[LAST_TENANT] = actor.tenant.slug
    with timezone.override(actor.tenant.time_zone):
        today = overview.today(actor.tenant)
        greeting = _greeting()
    needs = _needs(actor.tenant)
    found = overview.with_last_run(actor.tenant, workflow_list(actor.tenant))
    rows = workflow_rows(actor.tenant, list(found[:HOME_ROWS]))
    context = {
        "greeting": greeting,
        "first_name": actor.user.first_name or actor.user.get_username() if actor.user else actor.label,
        "sentence": _sentence(today, len(needs), bool(rows)),
        "needs": needs,
        "rows": rows,
        "count": found.count() if len(rows) == HOME_ROWS else len(rows),
    }
    return page(request, actor, "home/home.html", context, nav="home")


@require_safe
@tenant_page()
def workflows(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show every workflow, with its status and how the last day went."""
    query = request.GET.get("q", "").strip()[:200]
    found = overview.with_last_run(actor.tenant, workflow_list(actor.tenant))
    if query:
        found = found.filter(name__icontains=query)
    paged = Paginator(found, PAGE_ROWS).get_page(request.GET.get("page"))
    context = {"rows": workflow_rows(actor.tenant, list(paged)), "paged": paged, "query": query}
    return page(request, actor, "home/workflows.html", context, nav="workflow-list")


@require_POST
@tenant_page(Role.EDITOR)
def workflow_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make a workflow that starts with a request or by hand, and open the builder: no dialog, no naming."""
    kind = request.POST.get("trigger", "webhook")
    key = {"manual": "manual"}.get(kind, "hook")
    document = {
        "name": _("New workflow"),
        "triggers": [{"key": key, "type": "manual" if kind == "manual" else "webhook", "config": {}}],
        "steps": [],
    }
    try:
        workflow = workflow_create(actor=actor, document=document)
    except ServiceError as error:
        messages.error(request, error.message)
        return redirect("workflow-list", actor.tenant.slug)
    return redirect("workflow", actor.tenant.slug, workflow.pk)


@require_POST
@tenant_page(Role.EDITOR)
def workflow_examples(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Make the worked examples, which run at once."""
    base_url = settings.BASE_URL or request.build_absolute_uri("/")
    try:
        made = examples_create(actor=actor, base_url=base_url)
    except ServiceError as error:
        messages.error(request, error.message)
    else:
        said = ngettext("%(count)d example is ready to run.", "%(count)d examples are ready to run.", len(made))
        messages.success(request, said % {"count": len(made)})
    return redirect("workflow-list", actor.tenant.slug)


def workflow_rows(tenant: Tenant, workflows: Sequence[Any]) -> list[WorkflowRow]:
    """Return the lines of a list of workflows annotated by ``overview.with_last_run``; two queries in all."""
    activity = overview.activity(tenant, [workflow.pk for workflow in workflows])
    return [_row(tenant, workflow, activity[workflow.pk]) for workflow in workflows]


def _row(tenant: Tenant, workflow: Any, activity: Activity) -> WorkflowRow:
    triggers: list[Trigger] = list(workflow.triggers.all())
    kind = triggers[0].type if triggers else "manual"
    runs_url = f"{reverse('run-list', args=[tenant.slug])}?workflow={workflow.pk}"
    return WorkflowRow(
        name=workflow.name,
        url=reverse("workflow", args=[tenant.slug, workflow.pk]),
        runs_url=runs_url,
        trigger=kind,
        trigger_words=", ".join(_(_TRIGGER_WORDS.get(trigger.type, trigger.type)) for trigger in triggers[:3])
        or _("No trigger"),
        status=_status(workflow),
        bars=bars(activity.hours),
        typical_ms=activity.typical_ms,
        last_at=workflow.last_run_at,
        last_url=reverse("run", args=[tenant.slug, workflow.last_run_id]) if workflow.last_run_id else "",
    )


def _status(workflow: Any) -> str:
    """Return one word for a workflow; what asks for action comes first."""
    if workflow.published_version_id is None:
        return "draft"
    if workflow.last_outcome == RunStatus.FAILED:
        return "failing"
    if not workflow.enabled:
        return "disabled"
    if workflow.last_run_status in (RunStatus.RUNNING, RunStatus.QUEUED):
        return "running"
    return "healthy" if workflow.last_outcome else "published"


def bars(hours: Sequence[Hour]) -> Bars:
    """Return the last day as bars: as high as busy, red from the ground as far as runs failed."""
    most = max((hour.total for hour in hours), default=0)
    rects = [rect for index, hour in enumerate(hours) for rect in _bar(index * _BAR_PITCH + 1, hour, most)]
    failed = sum(1 for hour in hours if hour.failed)
    label = (
        ngettext("%(count)d of 24 hours had failures", "%(count)d of 24 hours had failures", failed) % {"count": failed}
        if most
        else _("No runs in the last 24 hours")
    )
    return Bars(label=label, rects=tuple(rects))


def _bar(x: int, hour: Hour, most: int) -> list[Bar]:
    if not hour.total:
        return [Bar(x=x, y=_BAR_HEIGHT - 2, height=2, css="n")]
    height = round(6 + (_BAR_HEIGHT - 6) * hour.total / most, 1)
    red = round(max(3.0, height * hour.failed / hour.total), 1) if hour.failed else 0.0
    parts = [Bar(x=x, y=round(_BAR_HEIGHT - height, 1), height=round(height - red, 1), css="o")] if red < height else []
    return parts + ([Bar(x=x, y=round(_BAR_HEIGHT - red, 1), height=red, css="f")] if red else [])


def _needs(tenant: Tenant) -> list[Need]:
    failing = [_failing(tenant, found) for found in overview.failing(tenant)[:10]]
    return failing + [_credential(tenant, found) for found in credentials_needing_a_person(tenant)[:10]]


def _failing(tenant: Tenant, found: overview.Failing) -> Need:
    place = _("at “%(step)s”: %(message)s") if found.step else "%(message)s"
    stopped = ngettext("%(count)d run stopped", "%(count)d runs stopped", found.count) % {"count": found.count}
    return Need(
        status="failed",
        word=_("Failing"),
        name=found.workflow_name,
        url=reverse("workflow", args=[tenant.slug, found.workflow_id]),
        reason=f"{stopped} {place % {'step': found.step, 'message': found.message}}",
        button=_("See the run"),
        button_url=reverse("run", args=[tenant.slug, found.run_id]),
    )


def _credential(tenant: Tenant, credential: Credential) -> Need:
    url = reverse("credential", args=[tenant.slug, credential.pk])
    reason = credential.health_message or (
        _("The provider refuses it.") if credential.health == Health.RECONNECT else _("It ends soon.")
    )
    return Need(
        status=credential.health,
        word="",
        name=credential.name,
        url=url,
        reason=reason,
        button=_("Enter a new one"),
        button_url=f"{url}?edit=1",
    )


def _greeting() -> str:
    hour = timezone.localtime().hour
    parts = ((5, noop("Good evening")), (12, noop("Good morning")), (18, noop("Good afternoon")))
    return _(next((words for limit, words in parts if hour < limit), noop("Good evening")))


def _sentence(today: Today, needs: int, any_workflow: bool) -> str:
    """Return the day in one sentence, and how much waits for a person."""
    if not any_workflow:
        return _("Nothing runs yet. Start with a request, or look at an example.")
    values = {"succeeded": f"{today.succeeded:,}", "total": f"{today.total:,}"}
    said = _("%(succeeded)s of %(total)s runs succeeded today.") % values if today.total else _("No runs yet today.")
    waiting = ngettext("One thing needs you.", "%(count)d things need you.", needs) % {"count": needs}
    return f"{said} {waiting if needs else _('Nothing needs you.')}"

"""The list of workflows: its lines, each with the last day, and the page that searches, narrows and sorts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.shell import page
from orchestrator.words import status_word
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.selectors import workflow_list
from runs import overview
from runs.overview import Activity, Hour

PAGE_ROWS: Final = 50
BY_LAST_RUN: Final = (F("last_run_id").desc(nulls_last=True), "name", "pk")
_BAR_PITCH, _BAR_WIDTH, _BAR_HEIGHT = 6, 4, 22
_TRIGGER_WORDS: Final = {
    "webhook": noop("Request"),
    "manual": noop("By hand"),
    "schedule": noop("Schedule"),
    "form": noop("Form"),
    "polling": noop("App change"),
    "event": noop("App event"),
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
    trigger: str
    trigger_words: str
    status: str
    bars: Bars
    typical_ms: float | None
    last_at: datetime | None
    last_url: str
    next_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """How the list is narrowed and sorted, all of it from the address."""

    query: str
    status: str
    sort: str

    def url(self, **changes: str) -> str:
        """Return the address's query with something changed."""
        return urlencode({key: value for key, value in {**self._values, **changes}.items() if value})

    @property
    def _values(self) -> dict[str, str]:
        return {"q": self.query, "status": self.status, "sort": "" if self.sort == "name" else self.sort}


@require_safe
@tenant_page()
def workflows(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the workflows, with their status and how the last day went; narrowed, sorted and paged by the address."""
    given = request.GET
    listed = Listed(
        query=given.get("q", "").replace("\0", "").strip()[:200],
        status=given.get("status", "") if given.get("status") in overview.STANDINGS else "",
        sort="last" if given.get("sort") == "last" else "name",
    )
    paged = Paginator(_chosen(actor.tenant, listed), PAGE_ROWS).get_page(given.get("page"))
    context = {
        "rows": rows_of(actor.tenant, list(paged)),
        "paged": paged,
        "filters": listed.url(),
        "listed": listed,
        "statuses": [(value, status_word(value)) for value in overview.STANDINGS],
        "sorts": {"name": f"?{listed.url(sort='')}", "last": f"?{listed.url(sort='last')}"},
    }
    return page(request, actor, "home/workflows.html", context, nav="workflow-list")


def _chosen(tenant: Tenant, listed: Listed) -> QuerySet[Workflow, int]:
    """Return the ids of the list; what nothing asks for is not looked up for those on other pages."""
    rows = overview.with_last_run(tenant, Workflow.objects.for_tenant(tenant))
    if listed.query:
        rows = rows.filter(name__icontains=listed.query)
    if listed.status:
        rows = rows.filter(standing=listed.status)
    order = BY_LAST_RUN if listed.sort == "last" else ("name", "pk")
    return rows.order_by(*order).values_list("pk", flat=True)


def rows_of(tenant: Tenant, ids: Sequence[int]) -> list[WorkflowRow]:
    """Return the lines of these workflows, in this order."""
    found = overview.with_last_run(tenant, workflow_list(tenant).filter(pk__in=ids))
    by_id = {workflow.pk: workflow for workflow in found}
    activity = overview.activity(tenant, ids)
    return [_row(tenant, by_id[pk], activity[pk]) for pk in ids if pk in by_id]


def rows_without_runs(tenant: Tenant, most: int) -> list[WorkflowRow]:
    """Return lines that say nothing of runs, for when those cannot be read."""
    rows = workflow_list(tenant)[:most]
    return [_row(tenant, workflow, Activity()) for workflow in rows]


def _row(tenant: Tenant, workflow: Any, activity: Activity) -> WorkflowRow:
    """Return the line of a workflow, with its last run where ``overview.with_last_run`` has looked it up."""
    triggers: list[Trigger] = list(workflow.triggers.all())
    last_id = getattr(workflow, "last_run_id", None)
    next_at = min((trigger.next_fire_at for trigger in triggers if trigger.next_fire_at), default=None)
    words = ", ".join(_(_TRIGGER_WORDS.get(trigger.type, trigger.type)) for trigger in triggers[:3])
    return WorkflowRow(
        name=workflow.name,
        url=reverse("workflow", args=[tenant.slug, workflow.pk]),
        trigger=triggers[0].type if triggers else "manual",
        trigger_words=words or _("No trigger"),
        status=getattr(workflow, "standing", "") or ("published" if workflow.published_version_id else "draft"),
        bars=bars(activity.hours),
        typical_ms=activity.typical_ms,
        last_at=getattr(workflow, "last_run_at", None),
        last_url=reverse("run", args=[tenant.slug, last_id]) if last_id else "",
        next_at=next_at if workflow.enabled else None,
    )


def bars(hours: Sequence[Hour]) -> Bars:
    """Return the last day as bars: as high as busy, red from the ground as far as runs failed."""
    most = max((hour.total for hour in hours), default=0)
    rects = [rect for index, hour in enumerate(hours) for rect in _bar(index * _BAR_PITCH + 1, hour, most)]
    return Bars(label=_bars_label(hours, most), rects=tuple(rects))


def _bars_label(hours: Sequence[Hour], most: int) -> str:
    if not most:
        return _("No runs in the last 24 hours")
    counts = {"count": sum(1 for hour in hours if hour.failed), "known": sum(1 for hour in hours if hour.is_known)}
    said = ngettext(
        "%(count)d of %(known)d hours had failures", "%(count)d of %(known)d hours had failures", counts["known"]
    )
    return (
        said % counts
        if counts["known"] == len(hours)
        else _("%(said)s; those before are not counted") % {"said": said % counts}
    )


def _bar(x: int, hour: Hour, most: int) -> list[Bar]:
    if not hour.is_known:
        return [Bar(x=x, y=_BAR_HEIGHT / 2, height=_BAR_HEIGHT / 2, css="n")]
    if not hour.total:
        return [Bar(x=x, y=_BAR_HEIGHT - 2, height=2, css="n")]
    height = round(6 + (_BAR_HEIGHT - 6) * hour.total / most, 1)
    red = round(max(3.0, height * hour.failed / hour.total), 1) if hour.failed else 0.0
    parts = [Bar(x=x, y=round(_BAR_HEIGHT - height, 1), height=round(height - red, 1), css="o")] if red < height else []
    return parts + ([Bar(x=x, y=round(_BAR_HEIGHT - red, 1), height=red, css="f")] if red else [])

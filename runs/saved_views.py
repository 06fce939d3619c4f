"""What people do with the views of the list of runs that they keep: save the present filters, rename, delete."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from orchestrator.errors import Forbidden, ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from runs import saved
from runs.models import SavedView
from runs.pages.filters import Filters, filters_of


@dataclass(frozen=True, kw_only=True)
class ViewLink:
    """A view above the filters: ``url`` shows its runs, ``edit_url`` takes what is done to it."""

    name: str
    url: str
    edit_url: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class Views:
    """A person's views; ``query`` are the filters that the list shows, empty where there are none."""

    links: tuple[ViewLink, ...]
    save_url: str
    query: str
    most_characters: int = saved.MOST_CHARACTERS

    @property
    def current(self) -> ViewLink | None:
        return next((link for link in self.links if link.current), None)


def views_of(actor: Actor, url: str, filters: Filters) -> Views:
    """Return a person's views beside the filters that the list shows; one query."""
    shown = filters.query()
    return Views(
        links=tuple(_link(actor, url, view, shown) for view in saved.view_list(actor)),
        save_url=reverse("run-view-save", args=[actor.tenant.slug]),
        query=shown,
    )


def _link(actor: Actor, url: str, view: SavedView, shown: str) -> ViewLink:
    return ViewLink(
        name=view.name,
        url=f"{url}?{view.query}",
        edit_url=reverse("run-view", args=[actor.tenant.slug, view.pk]),
        current=view.query == shown,
    )


@require_POST
@tenant_page()
def view_save(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Keep the filters that somebody has before them, and show them under their name."""
    with timezone.override(actor.tenant.time_zone):
        filters = filters_of(actor.tenant, QueryDict(request.POST.get("query", "")[: saved.MOST_QUERY + 1]))
    query = filters.query()
    try:
        view = saved.view_save(actor=actor, name=request.POST.get("name", ""), query=query, workflow=filters.workflow)
    except ServiceError as error:
        return _refused(request, actor, error, query)
    messages.success(request, _("Saved as “%(name)s”.") % {"name": view.name})
    return _shown(actor, query)


@require_POST
@tenant_page()
def view_change(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Rename or delete one of one's own views, as ``do`` says."""
    view = get_for_tenant_or_404(SavedView, actor.tenant, pk=pk, owner=actor.user)
    try:
        if request.POST.get("do") == "delete":
            saved.view_delete(actor=actor, view=view)
            messages.success(request, _("The view “%(name)s” was deleted. Its runs stay.") % {"name": view.name})
        else:
            view = saved.view_rename(actor=actor, view=view, name=request.POST.get("name", ""))
            messages.success(request, _("The view is called “%(name)s” now.") % {"name": view.name})
    except ServiceError as error:
        return _refused(request, actor, error, view.query)
    return _shown(actor, view.query)


def _refused(request: HttpRequest, actor: Actor, error: ServiceError, query: str) -> HttpResponse:
    if isinstance(error, Forbidden):
        raise error
    messages.error(request, error.message)
    return _shown(actor, query)


def _shown(actor: Actor, query: str) -> HttpResponse:
    url = reverse("run-list", args=[actor.tenant.slug])
    return redirect(f"{url}?{query}" if query else url)

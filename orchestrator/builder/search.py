"""Search: one field that finds what the tenant has, what a step can be, and what can be done. A page and a fragment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_safe

from integrations.registry import registry
from integrations.sdk import Provider
from orchestrator.builder import search_rows
from orchestrator.builder.add_search import Piece, pieces, score, terms
from orchestrator.builder.reference import action_url
from orchestrator.builder.spoken import fit, step_title, words_of
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import NAV, fragment, is_fragment, page
from orchestrator.vault.listing import provider_name
from orchestrator.words import ago, short_id

MAX_QUERY: Final = 100
# What can be done, beside going somewhere: words, icon, URL name, the role it needs, and the trigger it posts.
_COMMANDS: Final = (
    (noop("New workflow"), "plus", "workflow-new", Role.EDITOR, "webhook"),
    (noop("New workflow that I start"), "plus", "workflow-new", Role.EDITOR, "manual"),
    (noop("New credential"), "plus", "credential-new", Role.EDITOR, ""),
)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One row: a link or, with ``posts``, a button that sends that as ``trigger``."""

    name: tuple[Piece, ...]
    about: tuple[Piece, ...] = ()
    url: str = ""
    posts: str = ""
    tile: Provider | str = ""
    icon: str = ""
    status: str = ""


@dataclass(frozen=True, kw_only=True)
class Group:
    key: str
    words: str
    hits: tuple[Hit, ...] = field(default=())


@require_safe
@tenant_page()
def search(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show what fits ``?q=``. As a fragment it is the whole menu, or with ``q`` its rows alone."""
    query = request.GET.get("q", "").strip()[:MAX_QUERY]
    groups = found(actor, query)
    context = {
        "tenant": actor.tenant,
        "query": query,
        "groups": groups,
        "count": sum(len(group.hits) for group in groups),
        "may_edit": actor.may(Role.EDITOR),
    }
    if is_fragment(request):
        return fragment(request, actor, "search/_found.html" if "q" in request.GET else "search/_menu.html", context)
    return page(request, actor, "search/search.html", context, nav="search")


def found(actor: Actor, query: str) -> list[Group]:
    """Return the groups that have a row for ``query``, in a fixed order, each with a bounded number of rows."""
    wanted = terms(query)
    # Signs alone, in which there is no word, find nothing; an empty search shows where one can go.
    if query and not wanted:
        return []
    groups = (
        Group(key="workflows", words=_("Workflows"), hits=tuple(_workflows(actor, wanted))),
        Group(key="steps", words=_("Steps"), hits=tuple(_steps(actor, wanted))),
        Group(key="runs", words=_("Runs"), hits=tuple(_runs(actor, query))),
        Group(key="credentials", words=_("Credentials"), hits=tuple(_credentials(actor, wanted))),
        Group(key="actions", words=_("Actions"), hits=tuple(_actions(actor, wanted))),
        Group(key="commands", words=_("Commands"), hits=tuple(_commands(actor, wanted))),
    )
    return [group for group in groups if group.hits]


def _workflows(actor: Actor, wanted: Sequence[str]) -> Iterator[Hit]:
    slug = actor.tenant.slug
    for row in search_rows.workflows(actor.tenant, wanted):
        status = "draft" if row.published_version_id is None else "" if row.enabled else "disabled"
        yield Hit(
            name=pieces(row.name, wanted), url=reverse("workflow", args=[slug, row.pk]), icon="flow", status=status
        )


def _steps(actor: Actor, wanted: Sequence[str]) -> Iterator[Hit]:
    slug = actor.tenant.slug
    for row in search_rows.steps(actor.tenant, wanted):
        yield Hit(
            name=pieces(step_title(row.name, row.action, row.key), wanted),
            about=pieces(f"{row.workflow.name} · {row.action} · {row.key}", wanted),
            url=reverse("workflow-step", args=[slug, row.workflow_id, row.key]),
            tile=row.action,
        )


def _runs(actor: Actor, query: str) -> Iterator[Hit]:
    for row in search_rows.runs(actor.tenant, query):
        yield Hit(
            name=pieces(f"{short_id(row.pk)} {row.workflow.name}", ()),
            about=pieces(f"{row.pk} · {ago(row.created_at)}", (query.removeprefix("#"),)),
            url=reverse("run", args=[actor.tenant.slug, row.pk]),
            icon="runs",
            status=row.status,
        )


def _credentials(actor: Actor, wanted: Sequence[str]) -> Iterator[Hit]:
    for row in search_rows.credentials(actor.tenant, wanted):
        provider = registry.provider(row.provider)
        yield Hit(
            name=pieces(row.name, wanted),
            about=pieces(provider_name(row.provider), wanted),
            url=reverse("credential", args=[actor.tenant.slug, row.pk]),
            tile=provider or row.provider,
            status=row.health,
        )


def _actions(actor: Actor, wanted: Sequence[str]) -> Iterator[Hit]:
    if not wanted:
        return
    known = ((words_of(action), action) for action in registry.actions())
    fits = ((fit(wanted, words), words, action) for words, action in known)
    found = [(rank, words.names[0], words, action) for rank, words, action in fits if rank is not None]
    for _rank, _name, words, action in sorted(found, key=lambda each: each[:2])[: search_rows.MOST]:
        yield Hit(
            name=pieces(words.name, wanted),
            about=pieces(f"{words.provider} · {words.description}", wanted),
            url=action_url(actor.tenant, action),
            tile=action.key,
        )


def _commands(actor: Actor, wanted: Sequence[str]) -> Iterator[Hit]:
    slug = actor.tenant.slug
    for words, icon, name, role, posts in _COMMANDS:
        if actor.may(role) and score(wanted, _(words).lower(), _(words).lower()) is not None:
            url = "" if posts else reverse(name, args=[slug])
            yield Hit(name=pieces(_(words), wanted), url=url, posts=posts, icon=icon)
    for name, icon, label, _key in NAV:
        words = _("Go to %(page)s") % {"page": _(label)}
        if score(wanted, words.lower(), words.lower()) is not None:
            yield Hit(name=pieces(words, wanted), url=reverse(name, args=[slug]), icon=icon)

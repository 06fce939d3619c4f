"""What the table of credentials shows: its rows, how it is searched, filtered and sorted, and its pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.registry import registry
from integrations.words import declared
from orchestrator.tenants.models import Tenant
from orchestrator.vault.faces import HealthFace, face_of
from orchestrator.vault.models import AuthType, Credential, Health
from orchestrator.vault.offers import kind_title
from orchestrator.vault.selectors import NEEDING, SORTS, Census, Wanted, credentials_wanted
from orchestrator.words import status_word
from orchestrator.workflows.selectors import workflows_by_credential

PAGE_ROWS: Final = 50
# With more than so many, searching and sorting are worth their place.
MANY: Final = 8
_COLUMNS: Final = (
    ("name", noop("Name"), ""),
    ("health", noop("Health"), ""),
    ("", noop("Kind"), "hide"),
    ("", noop("Workflows"), "rl"),
    ("used", noop("Last used"), "rl hide"),
)
_QUERY: Final = ("q", "health", "provider", "sort")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    credential: Credential
    url: str
    provider: str
    kind: str
    health: HealthFace
    workflows: int
    selected: bool


@dataclass(frozen=True, kw_only=True)
class Need:
    """A credential that needs a person, and why in a few words."""

    name: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column's head; ``url`` sorts by it."""

    title: str
    css: str
    url: str = ""
    sorted: bool = False


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A filter that can be set, or taken away."""

    title: str
    url: str
    count: int = 0


@dataclass(frozen=True, kw_only=True)
class Filter:
    """One filter: what it is set to and the address without it, or what there is to choose."""

    title: str
    value: str
    clear_url: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A page of the table, with what is searched, filtered and sorted by."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    filters: tuple[Filter, ...]
    wanted: Wanted
    count: int
    is_searchable: bool
    needing_url: str
    pages: str
    previous_url: str
    next_url: str
    close_url: str


def wanted_by(request: HttpRequest) -> Wanted:
    """Return what an address asks for; what it cannot ask for is left out."""
    given = {name: request.GET.get(name, "").replace("\x00", "").strip()[:100] for name in _QUERY}
    health = given["health"] if given["health"] in {NEEDING, *Health.values} else ""
    sort = given["sort"] if given["sort"] in SORTS else "name"
    return Wanted(text=given["q"], health=health, provider=given["provider"][:63], sort=sort)


def _address(base: str, wanted: Wanted, page: int = 1) -> str:
    """Return an address that asks for what is wanted."""
    given = {"q": wanted.text, "health": wanted.health, "provider": wanted.provider}
    given |= {"sort": "" if wanted.sort == "name" else wanted.sort, "page": str(page) if page > 1 else ""}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"{base}?{query}" if query else base


def table(request: HttpRequest, tenant: Tenant, counted: Census, *, selected: int | None) -> Table:
    """Return the page of the table that the address asks for; seven queries, however many rows there are."""
    wanted = wanted_by(request)
    paged = Paginator(credentials_wanted(tenant, wanted), PAGE_ROWS).get_page(request.GET.get("page"))
    used = workflows_by_credential(tenant)
    base = reverse("credential-list", args=[tenant.slug])
    is_searchable = counted.count > MANY or wanted != Wanted()
    return Table(
        rows=tuple(_row(tenant, row, wanted, paged.number, used.get(row.pk, 0), row.pk == selected) for row in paged),
        columns=tuple(
            Column(
                title=_(title),
                css=css,
                url=_address(base, replace(wanted, sort=sort)) if sort and is_searchable else "",
                sorted=bool(sort) and sort == wanted.sort,
            )
            for sort, title, css in _COLUMNS
        ),
        filters=_filters(base, wanted, counted) if is_searchable else (),
        wanted=wanted,
        count=counted.count,
        is_searchable=is_searchable,
        needing_url=_address(base, Wanted(health=NEEDING)),
        pages=_pages(paged) if paged.paginator.num_pages > 1 else "",
        previous_url=_address(base, wanted, paged.previous_page_number()) if paged.has_previous() else "",
        next_url=_address(base, wanted, paged.next_page_number()) if paged.has_next() else "",
        close_url=_address(base, wanted, paged.number),
    )


def _pages(paged: Any) -> str:
    return _("Page %(page)s of %(pages)s, %(count)s in all") % {
        "page": paged.number,
        "pages": paged.paginator.num_pages,
        "count": paged.paginator.count,
    }


def need(row: Credential) -> Need:
    """Return why a credential needs a person."""
    face = face_of(row)
    return Need(name=row.name, words=face.word or row.health_message or status_word(face.status))


def _row(tenant: Tenant, row: Credential, wanted: Wanted, page: int, workflows: int, selected: bool) -> Row:
    return Row(
        credential=row,
        url=_address(reverse("credential", args=[tenant.slug, row.pk]), wanted, page),
        provider=provider_name(row.provider),
        kind=_("Sign-in") if row.auth_type == AuthType.OAUTH2 else kind_title(row.provider, row.auth_type),
        health=face_of(row),
        workflows=workflows,
        selected=selected,
    )


def _filters(base: str, wanted: Wanted, counted: Census) -> tuple[Filter, ...]:
    healths = {NEEDING: counted.needing, **{health: counted.healths.get(health, 0) for health in Health.values}}
    return (
        Filter(
            title=_("Health"),
            value=_health_word(wanted.health) if wanted.health else "",
            clear_url=_address(base, replace(wanted, health="")),
            choices=tuple(
                Choice(title=_health_word(name), url=_address(base, replace(wanted, health=name)), count=count)
                for name, count in healths.items()
                if count
            ),
        ),
        Filter(
            title=_("Provider"),
            value=provider_name(wanted.provider) if wanted.provider else "",
            clear_url=_address(base, replace(wanted, provider="")),
            choices=tuple(
                Choice(title=provider_name(name), url=_address(base, replace(wanted, provider=name)), count=count)
                for name, count in sorted(counted.providers.items())[:100]
            ),
        ),
    )


def _health_word(name: str) -> str:
    return _("Needs you") if name == NEEDING else status_word(name)


def provider_name(key: str) -> str:
    """Return what a provider is called; its key where its integration is not installed."""
    provider = registry.provider(key)
    return declared(provider.name) if provider else key

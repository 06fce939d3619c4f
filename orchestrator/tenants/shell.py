"""What surrounds every page: the rail, the tenant switcher, the person, and one way to render a page inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.selectors import tenants_for
from orchestrator.tenants.sign_on_sessions import marks_of

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "theme"

AnyResponse = TypeVar("AnyResponse", bound=HttpResponseBase)

# URL name, icon, word, and the key after `g` that goes there; in the rail's order.
NAV: Final = (
    ("home", "home", noop("Home"), "h"),
    ("workflow-list", "flow", noop("Workflows"), "w"),
    ("run-list", "runs", noop("Runs"), "r"),
    ("credential-list", "key", noop("Credentials"), "c"),
    ("integrations", "grid", noop("Integrations"), "i"),
    ("developers", "code", noop("Developers"), "d"),
)
SETTINGS: Final = "settings"  # at the rail's end, before the person
# Seven targets of 44 px fit beside each other on the smallest telephone: this one goes to the account's menu there.
SPARE: Final = "developers"


@dataclass(frozen=True, kw_only=True)
class NavItem:
    url: str
    icon: str
    label: str
    key: str
    current: bool
    is_spare: bool


@dataclass(frozen=True, kw_only=True)
class Shell:
    """What ``base.html`` draws around a page. ``may_run`` and the like decide between a control and a text."""

    tenant: Tenant
    tenants: tuple[Tenant, ...]
    nav: tuple[NavItem, ...]
    settings_here: bool
    person: str
    role: str
    staff: bool
    theme: str
    themes: tuple[str, ...]
    narrow: bool
    search_here: bool
    may_run: bool
    may_edit: bool
    may_admin: bool


def theme_of(request: HttpRequest) -> str:
    """Return the person's theme: auto, light or dark."""
    theme = request.COOKIES.get(THEME_COOKIE, "auto")
    return theme if theme in THEMES else "auto"


def tenants_open(request: HttpRequest, user: User) -> list[Tenant]:
    """Return the tenants of a person that their session may reach, by name."""
    marks = marks_of(request.session)
    return [tenant for tenant in tenants_for(user) if marks.admits(tenant.pk)]


def shell_for(request: HttpRequest, actor: Actor, *, nav: str = "", narrow: bool = False) -> Shell:
    """Return the shell of a page; ``nav`` is the URL name of the rail's entry that is current."""
    user = actor.user
    return Shell(
        tenant=actor.tenant,
        tenants=tuple(tenants_open(request, user)) if user else (actor.tenant,),
        nav=tuple(
            NavItem(
                url=reverse(name, args=[actor.tenant.slug]),
                icon=icon,
                label=_(label),
                key=key,
                current=name == nav,
                is_spare=name == SPARE,
            )
            for name, icon, label, key in NAV
        ),
        settings_here=nav == SETTINGS,
        person=(user.get_full_name() or user.get_username()) if user else actor.label,
        role=actor.role.value,
        staff=bool(user and user.is_staff),
        theme=theme_of(request),
        themes=THEMES,
        narrow=narrow,
        search_here=nav == "search",
        may_run=actor.may(Role.OPERATOR),
        may_edit=actor.may(Role.EDITOR),
        may_admin=actor.may(Role.ADMIN),
    )


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page; a history restore asks for the whole."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-History-Restore-Request") != "true"


def page(
    request: HttpRequest,
    actor: Actor,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    nav: str = "",
    narrow: bool = False,
    status: int = 200,
) -> HttpResponse:
    """Render ``template`` inside the shell, with times in the tenant's time zone.

    The template gets ``context`` and ``shell``; pages belong to a person, so no cache keeps them.
    """
    shell = shell_for(request, actor, nav=nav, narrow=narrow)
    with timezone.override(actor.tenant.time_zone):
        response = _rendered(request, template, {**(context or {}), "shell": shell}, status)
    return private(response)


def fragment(
    request: HttpRequest, actor: Actor, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a part of a page, without the shell's queries: it is what polling fetches."""
    values = {
        **context,
        "tenant": actor.tenant,
        "may_run": actor.may(Role.OPERATOR),
        "may_edit": actor.may(Role.EDITOR),
    }
    with timezone.override(actor.tenant.time_zone):
        response = _rendered(request, template, values, status)
    return private(response)


def _rendered(request: HttpRequest, template: str, values: Mapping[str, Any], status: int) -> HttpResponse:
    """Render a template; half a surrogate pair, which JSON may hold and UTF-8 may not, shows as its escape."""
    text = render_to_string(template, dict(values), request)
    return HttpResponse(text.encode("utf-8", "backslashreplace"), status=status)


def private(response: AnyResponse) -> AnyResponse:
    """Mark an answer as one person's own, and as different for htmx."""
    response.headers.setdefault("Cache-Control", "private, no-store")
    patch_vary_headers(response, ("Cookie", "HX-Request"))
    return response

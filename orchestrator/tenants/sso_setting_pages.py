"""Settings → Single sign-on: the tenant's own provider. Admins read it, owners set, require and remove it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from orchestrator.errors import Conflict, Invalid, Problem
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import SingleSignOn
from orchestrator.tenants.permissions import MINIMUM_ROLE, require_operation
from orchestrator.tenants.role_words import role_words
from orchestrator.tenants.shell import page
from orchestrator.tenants.sign_on_domains import claims_of
from orchestrator.tenants.single_sign_on import (
    ROLES,
    Wanted,
    single_sign_on_of,
    single_sign_on_remove,
    single_sign_on_require,
    single_sign_on_set,
)

_LONGEST: Final = 20_000
_LONGEST_LINE: Final = 1100


@sensitive_post_parameters("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(MINIMUM_ROLE["sso.read"])
def single_sign_on(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the tenant's provider, or set it."""
    found = single_sign_on_of(actor.tenant)
    if request.method != "POST":
        return _page(request, actor, found)
    require_operation(actor, "sso.edit")
    try:
        single_sign_on_set(actor=actor, wanted=_wanted(request.POST, found))
    except (Invalid, Conflict) as error:
        return _page(request, actor, found, said=error.message, problems=error.problems, status=error.status)
    messages.success(request, _("Saved: the provider answers. Sign in through it once to see that all is right."))
    return redirect("settings-sso", actor.tenant.slug)


@require_POST
@tenant_page(MINIMUM_ROLE["sso.edit"])
def required(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Let members in by single sign-on alone, or no longer."""
    wanted = request.POST.get("required") == "yes"
    try:
        single_sign_on_require(actor=actor, required=wanted)
    except Conflict as error:
        messages.error(request, error.message)
    else:
        on, off = _("Members come in by single sign-on alone from now on."), _("Members may use passwords again.")
        messages.success(request, on if wanted else off)
    return redirect("settings-sso", actor.tenant.slug)


@require_POST
@tenant_page(MINIMUM_ROLE["sso.edit"])
def removed(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Forget the tenant's provider."""
    single_sign_on_remove(actor=actor)
    messages.success(
        request, _("Single sign-on is removed. Accounts that it made have no password: invite them again.")
    )
    return redirect("settings-sso", actor.tenant.slug)


def _page(
    request: HttpRequest,
    actor: Actor,
    found: SingleSignOn | None,
    *,
    said: str = "",
    problems: tuple[Problem, ...] = (),
    status: int = 200,
) -> HttpResponse:
    slug = actor.tenant.slug
    here = {name: request.POST.get(name, "")[:_LONGEST] for name in _NAMES} if said else _kept(actor, found)
    context: dict[str, Any] = {
        "found": found,
        "entered": here,
        "wrong": {problem.path: problem.message for problem in reversed(problems)},
        "said": said,
        "roles": [role_words(role) for role in ROLES],
        "new_role": role_words(found.new_role) if found and found.new_role else None,
        "may_edit": actor.may(MINIMUM_ROLE["sso.edit"]),
        "may_link": actor.user is not None and not actor.user.is_superuser,
        "waiting": [claim.domain for claim in claims_of(actor.tenant) if claim.confirmed_at is None],
        "callback": request.build_absolute_uri(reverse("sso-callback", args=[slug])),
        "address": request.build_absolute_uri(reverse("sso-tenant", args=[slug])),
    }
    return page(request, actor, "settings/sso.html", context, nav="settings", status=status)


_NAMES: Final = ("issuer", "client_id", "domains", "new_role", "group_claim", "group_roles", "trusts_email", "public")


def _kept(actor: Actor, found: SingleSignOn | None) -> dict[str, str]:
    if found is None:
        return dict.fromkeys(_NAMES, "")
    return {
        "issuer": found.issuer,
        "client_id": found.client_id,
        "domains": "\n".join(claim.domain for claim in claims_of(actor.tenant)),
        "new_role": found.new_role,
        "group_claim": found.group_claim,
        "group_roles": "\n".join(f"{group} = {role}" for group, role in found.group_roles.items()),
        "trusts_email": "yes" if found.trusts_email else "",
        "public": "" if found.key_id else "yes",
    }


def _wanted(data: Mapping[str, str], found: SingleSignOn | None) -> Wanted:
    """Return what was entered. An empty secret keeps the one that is there; without one it is a public client's."""
    secret = data.get("secret", "").strip()[:_LONGEST_LINE]
    keeps = not secret and found is not None and data.get("public") != "yes"
    return Wanted(
        issuer=data.get("issuer", "").strip()[:_LONGEST_LINE],
        client_id=data.get("client_id", "").strip()[:_LONGEST_LINE],
        secret=None if keeps else secret,
        domains=tuple(_lines(data.get("domains", ""))),
        new_role=data.get("new_role", "")[:20],
        group_claim=data.get("group_claim", "").strip()[:_LONGEST_LINE],
        group_roles=dict(_pair(line) for line in _lines(data.get("group_roles", ""))),
        trusts_email=data.get("trusts_email") == "yes",
    )


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in text[:_LONGEST].splitlines())
    return list(dict.fromkeys(line for line in lines if line))


def _pair(line: str) -> tuple[str, str]:
    """Return a group and its role; a line without a role gives one that is refused."""
    group, _equals, role = line.rpartition("=")
    return group.strip(), role.strip().lower()

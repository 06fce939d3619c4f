"""The page of API keys: those of this person, and for admins everybody's; made here, shown once, revoked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from orchestrator.errors import Forbidden, Invalid, Problem
from orchestrator.tenants.access import SCOPE_REACH, Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import ApiToken, Scope
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.tenants.services import token_create, token_revoke
from orchestrator.tenants.shell import page

MOST_SHOWN: Final = 100
_SCOPES: Final[Mapping[Scope, str]] = {
    Scope.READ: noop("Read: workflows, runs and their data"),
    Scope.RUN: noop("Run: start, stop and answer runs too"),
    Scope.WRITE: noop("Write: change and publish workflows and credentials too"),
    Scope.ADMIN: noop("Admin: people, tokens and the audit log too"),
}
# Days until a token ends, and their words; no end is offered last, as a token that ends is the safer habit.
_LASTS: Final[Mapping[str, str]] = {
    "30": noop("30 days"),
    "90": noop("90 days"),
    "365": noop("A year"),
    "": noop("No end"),
}
_LASTS_FIRST: Final = "90"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A token as the table shows it; ``ends`` says when it ends in words."""

    token: ApiToken
    scopes: str
    ends: str
    over: bool
    revoke_url: str


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def api_keys(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the tokens; a POST makes one, and its answer is the only page that ever shows it.

    It is not a redirect for that reason: the plain token would have to be kept in between.
    """
    if request.method != "POST":
        return _page(request, actor)
    entered = {name: request.POST.get(name, "")[:300] for name in ("name", "scope", "lasts")}
    try:
        token, plain = token_create(
            actor=actor,
            name=entered["name"],
            scopes=_scopes(entered["scope"]),
            expires_at=_end(entered["lasts"]),
        )
    except (Invalid, Forbidden) as error:
        problems = error.problems if isinstance(error, Invalid) else ()
        wrong = {problem.path: problem.message for problem in problems}
        return _page(request, actor, entered=entered, said=error.message, wrong=wrong, status=error.status)
    return _page(request, actor, made=token, plain=plain, status=201)


@require_POST
@tenant_page()
def api_key_revoke(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Revoke a token: what uses it is refused from the next request on."""
    token = get_for_tenant_or_404(ApiToken, actor.tenant, pk=pk)
    token_revoke(actor=actor, token=token)
    messages.success(request, _("“%(name)s” is revoked: requests with it are refused.") % {"name": token.name})
    return HttpResponseRedirect(reverse("api-keys", args=[actor.tenant.slug]))


def _scopes(value: str) -> list[Scope]:
    """Return the scopes that a choice of the form stands for: it and those that come along."""
    if value not in Scope.values:
        raise Invalid(
            _("The key needs to know what it may do."),
            problems=[_problem("scopes", _("Choose what it may do."))],
        )
    return sorted(SCOPE_REACH[Scope(value)])


def _end(value: str) -> datetime | None:
    if value not in _LASTS:
        raise Invalid(
            _("How long the key lasts is not one of the choices."),
            problems=[_problem("expires_at", _("Choose how long it lasts."))],
        )
    return timezone.now() + timedelta(days=int(value)) if value else None


def _page(
    request: HttpRequest,
    actor: Actor,
    *,
    entered: Mapping[str, str] | None = None,
    said: str = "",
    wrong: Mapping[str, str] | None = None,
    made: ApiToken | None = None,
    plain: str = "",
    status: int = 200,
) -> HttpResponse:
    of_all = actor.may(MINIMUM_ROLE["token.edit"])
    tokens = _tokens(actor, of_all)
    context: dict[str, Any] = {
        "rows": [_row(actor, token) for token in tokens[:MOST_SHOWN]],
        "more": max(0, tokens.count() - MOST_SHOWN),
        "of_all": of_all,
        "scopes": [(scope.value, _(_SCOPES[scope])) for scope in Scope if scope in actor.scopes],
        "lasts": [(value, _(words)) for value, words in _LASTS.items()],
        "entered": entered or {"name": "", "scope": Scope.READ.value, "lasts": _LASTS_FIRST},
        "said": said,
        "wrong": wrong or {},
        "made": made,
        "plain": plain,
        "address": request.build_absolute_uri("/api/v1/"),
    }
    return page(request, actor, "developers/keys.html", context, nav="developers", status=status)


def _tokens(actor: Actor, of_all: bool) -> QuerySet[ApiToken]:
    tokens = ApiToken.objects.for_tenant(actor.tenant).select_related("user").order_by("-id")
    return tokens if of_all else tokens.filter(user=actor.user)


def _row(actor: Actor, token: ApiToken) -> Row:
    over = token.expires_at is not None and token.expires_at <= timezone.now()
    return Row(
        token=token,
        scopes=", ".join(scope.value for scope in Scope if scope.value in token.scopes),
        ends=_ends(token.expires_at),
        over=over,
        revoke_url=reverse("api-key-revoke", args=[actor.tenant.slug, token.pk]),
    )


def _ends(moment: datetime | None) -> str:
    if moment is None:
        return _("No end")
    left = moment - timezone.now()
    if left <= timedelta():
        return _("Ended")
    days = left.days + 1
    return ngettext("In %(count)d day", "In %(count)d days", days) % {"count": days}


def _problem(path: str, message: str) -> Problem:
    return Problem(path=path, message=message, code="invalid")

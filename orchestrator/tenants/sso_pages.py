"""``/sso/``: to a tenant's provider and back.

A person goes to the provider by a link on a page of ours that names both: a form that led to another site would be
stopped by the content security policy, and nobody is to be signed in to a tenant that they have not seen named.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from orchestrator.errors import ServiceError
from orchestrator.tenants import sign_on_sessions as kept
from orchestrator.tenants.invitations import State, invitation_find
from orchestrator.tenants.models import Membership, SingleSignOn
from orchestrator.tenants.oidc import SignOnFailed, authorization_url, discover, vouched
from orchestrator.tenants.sessions import sign_in
from orchestrator.tenants.shell import private, theme_of
from orchestrator.tenants.sign_on_people import Person, claims_needed, person_in, sign_on
from orchestrator.tenants.signin import sign_in_failed, sign_in_succeeded, sign_in_wait
from orchestrator.tenants.single_sign_on import (
    client_of,
    note_refused,
    single_sign_on_at,
    single_sign_on_for,
    single_sign_on_worked,
)

log = logging.getLogger(__name__)

_LONGEST: Final = 254
_LONGEST_CODE: Final = 4096
_ANONYMOUS_SECONDS: Final = int(kept.ASKED_FOR)
# What a provider's own words of a refusal mean for a person (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6).
_REMEDIES: Final[Mapping[str, str]] = {
    "access_denied": noop("You, or the provider, said no. Begin once more, or ask who runs the provider for access."),
    "login_required": noop("Sign in at the provider first, and begin once more."),
    "interaction_required": noop("Sign in at the provider first, and begin once more."),
    "consent_required": noop("Agree at the provider that you sign in here, and begin once more."),
    "account_selection_required": noop("Choose an account at the provider, and begin once more."),
    "temporarily_unavailable": noop("The provider is busy. Wait a minute and begin once more."),
    "server_error": noop("The provider has an error of its own. Wait a minute and begin once more."),
}
_ASK_AN_OWNER: Final = noop(
    "Trying again does not help: an owner of the tenant has to look at the provider's settings."
)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A button of the page: where it leads and what it says."""

    url: str
    words: str


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sso(request: HttpRequest) -> HttpResponse:
    """Ask for a tenant's name or an e-mail address, and lead to the tenant's page. The sign-in page posts here too."""
    target = local_target(request, request.POST.get("next", request.GET.get("next", "")))
    who = request.POST.get("who", request.POST.get("username", "")).strip()[:_LONGEST]
    if request.method != "POST" or not who:
        return _rendered(request, "registration/sso.html", {"who": who, "next": target})
    if seconds := _wait(request, _asked_name(who)):
        return _asks_again(request, who, target, _too_many(seconds), 429)
    found = single_sign_on_for(who)
    if found is None:
        _count(request, _asked_name(who))
        said = _(
            "There is no single sign-on for this name or address. Check it, or sign in with your user name and "
            "password."
        )
        return _asks_again(request, who, target, said, 404)
    return redirect(tenant_address(found.tenant.slug, target))


@require_safe
def sso_tenant(request: HttpRequest, tenant: str) -> HttpResponse:
    """Name the tenant and its provider, with the link that leads there."""
    if seconds := _wait(request, _asked_name(tenant)):
        return _said(request, _("Too many tries"), _too_many(seconds), status=429)
    found = single_sign_on_at(tenant)
    if found is None:
        return _no_provider(request, tenant)
    user = request.user if isinstance(request.user, User) else None
    links = user is not None and "link" in request.GET
    if links and not kept.is_proven(request.session, tenant_id=found.tenant_id, user_id=user.pk if user else 0):
        return redirect(f"{reverse('account')}?{urlencode({'link': tenant})}#sso")
    try:
        metadata, client = discover(found.issuer), client_of(found, _callback(request, tenant))
    except SignOnFailed as error:
        return _failed(request, found, error)
    secrets = kept.ask(
        request.session,
        tenant_id=found.tenant_id,
        issuer=found.issuer,
        purpose="link" if links else "sign_in",
        target=local_target(request, request.GET.get("next", "")),
        user_id=user.pk if user and links else 0,
        invitation_id=_invitation(found, request.GET.get("invitation", "")),
    )
    if user is None:
        # Of somebody who never comes back nothing is to stay.
        request.session.set_expiry(_ANONYMOUS_SECONDS)
    context = {
        "tenant": found.tenant,
        "host": metadata.host,
        "url": authorization_url(metadata, client, secrets),
        "links": links,
        "person": user.get_username() if user else "",
        "is_needed": bool(user) and not kept.marks_of(request.session).opens(found.tenant_id) and not links,
    }
    return _rendered(request, "registration/sso_go.html", context)


@sensitive_variables("code")
@require_safe
def sso_callback(request: HttpRequest, tenant: str) -> HttpResponse:
    """Take a provider's answer: sign the person in, or ask them whether it is they who is to be linked."""
    found = single_sign_on_at(tenant)
    if found is None:
        return _no_provider(request, tenant)
    asked = kept.take(request.session, request.GET.get("state", "")[:200], found.tenant_id)
    if seconds := _wait(request, _browser(request)):
        return _said(request, _("Too many tries"), _too_many(seconds), status=429)
    if asked is None or asked.issuer != found.issuer:
        said = _(
            "This answer belongs to no sign-in that was begun in this browser of late, or it was used already. "
            "Begin once more, and keep cookies allowed."
        )
        return _said(request, _("Begin once more"), said, found=found)
    if "error" in request.GET:
        return _said_no(request, found)
    code = request.GET.get("code", "")[:_LONGEST_CODE]
    try:
        person = _person(request, found, asked, code)
        sign_in_succeeded(name=_browser(request), address=_address(request))
        if asked.purpose == "link":
            return _asks_who(request, found, asked, person)
        return _let_in(request, found, asked, person)
    except SignOnFailed as error:
        _count(request, _browser(request))
        return _failed(request, found, error)


def _person(request: HttpRequest, found: SingleSignOn, asked: kept.Asked, code: str) -> Person:
    """Return for whom the provider vouches. Raises SignOnFailed."""
    metadata = discover(found.issuer)
    named = request.GET.get("iss")
    if (named is not None or metadata.names_itself) and named != found.issuer:
        # RFC 9207: the answer of one provider must not pass for another's.
        raise SignOnFailed(_("This answer is another provider's. Begin once more."), code="iss")
    client = client_of(found, _callback(request, found.tenant.slug))
    claims = vouched(
        metadata, client, code=code, nonce=asked.nonce, verifier=asked.verifier, needed=claims_needed(found)
    )
    single_sign_on_worked(found)
    return person_in(claims, found)


def _let_in(request: HttpRequest, found: SingleSignOn, asked: kept.Asked, person: Person) -> HttpResponse:
    present = request.user if isinstance(request.user, User) else None
    try:
        link = sign_on(found=found, person=person, present=present, invitation_id=asked.invitation)
    except ServiceError as error:
        note_refused(found, why=error.code, who=person.label)
        log.info("single sign-on let nobody in", extra={"tenant": found.tenant.slug, "why": error.code})
        return _not_let_in(request, found, error)
    goes_on = present == link.user
    if goes_on:
        request.session.cycle_key()
    else:
        sign_in(request, link.user, through=found.tenant.name)
    kept.mark(request.session, link, begins=not goes_on)
    if present is not None and not goes_on:
        messages.info(request, _("You are signed in as %(name)s now.") % {"name": link.user.get_username()})
    return redirect(asked.target or reverse("home", args=[found.tenant.slug]))


def _asks_who(request: HttpRequest, found: SingleSignOn, asked: kept.Asked, person: Person) -> HttpResponse:
    """Show for whom the provider vouched: in a browser that is signed in there as somebody else, that is not they."""
    user = request.user
    if not isinstance(user, User) or user.pk != asked.user:
        said = _("You are signed in as somebody else than when you began. Begin once more.")
        return _said(request, _("Begin once more"), said, found=found)
    request.session[kept.ANSWERED] = {
        "tenant": found.tenant_id, "user": user.pk, "issuer": person.issuer, "subject": person.subject,
        "email": person.email, "name": person.label,
    }  # fmt: skip
    context = {"tenant": found.tenant, "person": user.get_username(), "who": person.label}
    return _rendered(request, "registration/sso_link.html", context)


def _not_let_in(request: HttpRequest, found: SingleSignOn, error: ServiceError) -> HttpResponse:
    account = f"{reverse('account')}?{urlencode({'link': found.tenant.slug})}#sso"
    ways = {
        "unlinked": Way(url=account, words=_("Link your account")),
        "account_exists": Way(
            url=f"{reverse('sign-in')}?{urlencode({'next': account})}", words=_("Sign in with your password")
        ),
    }
    way = ways.get(error.code)
    title = _("You are not signed in to %(tenant)s") % {"tenant": found.tenant.name}
    return _said(request, title, error.message, found=found, ways=[way] if way else [], status=error.status)


def _said_no(request: HttpRequest, found: SingleSignOn) -> HttpResponse:
    """Show a provider's refusal as the text that it is, with what helps."""
    word, text = _plain(request.GET.get("error", ""), 60), _plain(request.GET.get("error_description", ""), 300)
    log.info("a provider refused a sign-in", extra={"tenant": found.tenant.slug, "why": word})
    words = _("It says: %(word)s (%(text)s).") if text else _("It says: %(word)s.")
    context = {"quoted": words % {"word": word, "text": text}}
    title = _("The provider did not sign you in")
    return _said(request, title, _(_REMEDIES.get(word, _ASK_AN_OWNER)), found=found, more=context)


def _failed(request: HttpRequest, found: SingleSignOn, error: SignOnFailed) -> HttpResponse:
    told = {"tenant": found.tenant.slug, "why": error.code, "detail": error.detail}
    log.warning("single sign-on failed", extra=told)
    return _said(request, _("Single sign-on did not work"), error.message, found=found, status=error.status)


def _no_provider(request: HttpRequest, slug: str) -> HttpResponse:
    """Say that nobody is signed in this way, alike for a tenant that is not there and one without a provider."""
    user = request.user if isinstance(request.user, User) else None
    mine = Membership.unscoped.filter(user=user, tenant__slug=slug).select_related("tenant").first() if user else None
    if user is not None and mine is not None and kept.marks_of(request.session).begun_by is not None:
        said = _(
            "Another tenant's single sign-on signed you in, and it opens that tenant alone. Sign out, and sign in "
            "with a password."
        )
        title = _("You are not signed in to %(tenant)s") % {"tenant": mine.tenant.name}
        return _said(request, title, said, status=403, signs_out=True)
    _count(request, _asked_name(slug))
    said = _("There is no single sign-on under this address. Check it, or sign in with your user name and password.")
    return _said(request, _("No single sign-on here"), said, status=404)


def _said(
    request: HttpRequest,
    title: str,
    text: str,
    *,
    found: SingleSignOn | None = None,
    ways: list[Way] | None = None,
    more: Mapping[str, Any] | None = None,
    status: int = 400,
    signs_out: bool = False,
) -> HttpResponse:
    """Return a page that says what is and what to do; ``found`` offers to begin once more."""
    offered = list(ways or [])
    if found is not None:
        offered.append(Way(url=tenant_address(found.tenant.slug, ""), words=_("Begin once more")))
    if not request.user.is_authenticated:
        offered.append(Way(url=reverse("sign-in"), words=_("Sign in with a password")))
    context = {"title": title, "text": text, "ways": offered, "signs_out": signs_out, **(more or {})}
    return _rendered(request, "registration/sso_said.html", context, status=status)


def _asks_again(request: HttpRequest, who: str, target: str, said: str, status: int) -> HttpResponse:
    return _rendered(request, "registration/sso.html", {"who": who, "next": target, "said": said}, status=status)


def tenant_address(slug: str, target: str) -> str:
    """Return the address of a tenant's single sign-on, from which one comes to ``target``."""
    query = f"?{urlencode({'next': target})}" if target else ""
    return f"{reverse('sso-tenant', args=[slug])}{query}"


def local_target(request: HttpRequest, target: str) -> str:
    """Return an address of this product's own, or nothing for any other."""
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if is_ours and target.startswith("/") and target.isprintable() and len(target) <= 2000 else ""


def _invitation(found: SingleSignOn, plain: str) -> int:
    """Return the id of the tenant's open invitation behind a link's token, or 0."""
    known = invitation_find(plain[:100]) if plain else None
    is_fit = known is not None and known.state is State.OPEN and known.invitation.tenant_id == found.tenant_id
    return known.invitation.pk if known is not None and is_fit else 0


def _callback(request: HttpRequest, slug: str) -> str:
    """Return where the tenant's provider answers to: an address of its own, so that no other provider's passes."""
    return request.build_absolute_uri(reverse("sso-callback", args=[slug]))


def _rendered(request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    text = render_to_string(template, {**context, "theme": theme_of(request)}, request)
    response = HttpResponse(text.encode("utf-8", "backslashreplace"), status=status)
    response.headers["X-Robots-Tag"] = "noindex, nofollow"
    return private(response)


def _plain(text: str, longest: int) -> str:
    return "".join(letter for letter in text[: longest * 2] if letter.isprintable()).strip()[:longest]


def _too_many(seconds: int) -> str:
    return _("Too many tries from here have failed. Wait %(seconds)d s and try again.") % {"seconds": seconds}


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", ""))


def _browser(request: HttpRequest) -> str:
    """Return what failures at a provider are counted by besides the address: a tenant's people share no lock."""
    return f"single sign-on in {request.session.session_key}"


def _asked_name(who: str) -> str:
    return f"single sign-on of {who}"


def _wait(request: HttpRequest, counted: str) -> int:
    return sign_in_wait(name=counted, address=_address(request))


def _count(request: HttpRequest, counted: str) -> None:
    sign_in_failed(name=counted, address=_address(request))

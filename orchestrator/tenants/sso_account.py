"""Linking one's own account with a tenant's provider, under ``/account/``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from orchestrator.errors import Conflict, Invalid, ServiceError
from orchestrator.tenants import sign_on_sessions as kept
from orchestrator.tenants.account_pages import account_page, person_of, require_password
from orchestrator.tenants.sign_on_people import Person, link_make, link_remove, linkable
from orchestrator.tenants.single_sign_on import single_sign_on_of


@dataclass(frozen=True, kw_only=True)
class _Answered:
    """For whom a provider vouched, until the person says that it is they."""

    tenant: int
    user: int
    issuer: str
    subject: str
    email: str
    name: str


@sensitive_post_parameters("password")
@require_POST
@login_required
def account_sso(request: HttpRequest) -> HttpResponse:
    """Begin to link one's own account, say that the provider meant it, or unlink it: ``do`` says which."""
    user, do = person_of(request), request.POST.get("do", "")
    work = {"begin": _begin, "confirm": _confirm, "unlink": _unlink}.get(do)
    try:
        if work is None:
            raise Invalid(_("It is not said what is to be done. Press one of the buttons."))
        return work(request, user)
    except ServiceError as error:
        return account_page(request, {"sso_said": error.message}, status=error.status)


def _begin(request: HttpRequest, user: User) -> HttpResponse:
    slug = request.POST.get("for", "")[:63]
    tenant = next((each for each in linkable(user) if each.slug == slug), None)
    if tenant is None:
        raise Conflict(_("This tenant has no single sign-on that your account could be linked with."))
    _prove(request, user)
    kept.prove(request.session, tenant_id=tenant.pk, user_id=user.pk)
    return redirect(f"{reverse('sso-tenant', args=[tenant.slug])}?{urlencode({'link': 1, 'next': reverse('account')})}")


def _confirm(request: HttpRequest, user: User) -> HttpResponse:
    found = request.session.pop(kept.ANSWERED, None)
    answered = _Answered(**found) if found else None
    if (
        answered is None
        or answered.user != user.pk
        or not kept.is_proven(request.session, tenant_id=answered.tenant, user_id=user.pk)
    ):
        raise Conflict(_("That took too long. Begin to link your account once more."))
    request.session.pop(kept.PROVEN, None)
    tenant = next((each for each in linkable(user) if each.pk == answered.tenant), None)
    provider = single_sign_on_of(tenant) if tenant else None
    if provider is None or provider.issuer != answered.issuer:
        raise Conflict(_("The tenant has changed its single sign-on meanwhile. Begin once more."))
    person = Person(
        issuer=answered.issuer,
        subject=answered.subject,
        email=answered.email,
        name=answered.name,
        first_name="",
        last_name="",
        wanted_name="",
        has_unverified_email=False,
        groups=frozenset(),
    )
    link = link_make(user=user, found=provider, person=person)
    # The provider has just vouched for this very person, in this very browser.
    kept.mark(request.session, link, begins=False)
    said = _("Your account is linked: the single sign-on of %(tenant)s opens it there.")
    messages.success(request, said % {"tenant": provider.tenant.name})
    return redirect(f"{reverse('account')}#sso")


def _unlink(request: HttpRequest, user: User) -> HttpResponse:
    text = request.POST.get("link", "")
    _prove(request, user)
    link = link_remove(user=user, link_id=int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0)
    messages.success(request, _("Your account is not linked with %(tenant)s any more.") % {"tenant": link.tenant.name})
    return redirect(f"{reverse('account')}#sso")


def _prove(request: HttpRequest, user: User) -> None:
    """Raise Invalid unless it is the account's own person, by their password."""
    if not user.has_usable_password():
        raise Invalid(_("Your account has no password: it is of the single sign-on that made it, and of no other."))
    require_password(request, user, path="password")

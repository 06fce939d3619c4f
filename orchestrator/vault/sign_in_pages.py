"""Pages of connecting: the step to the provider, and the way back.

Where a script can, the provider is shown in a window of its own, and the page that it was opened from stays. What comes
back passes ``/oauth/done/``, which shows nothing that is shown once: in a window of its own it tells the other page
where to go on and closes, else it goes on by itself.
"""

from __future__ import annotations

from typing import Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.errors import NotFound, ServiceError
from orchestrator.tenants.access import Actor, actor_for_session, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.vault import connecting
from orchestrator.vault.models import Credential
from orchestrator.vault.oauth_apps import redirect_uri
from orchestrator.vault.saved import say_saved
from orchestrator.vault.sign_ins import Taken, sign_in_begin, sign_in_finish, sign_in_take

MAX_SHOWN: Final = 300


@require_POST
@tenant_page(Role.EDITOR)
def credential_connect(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Begin a sign-in, and show the way to the provider."""
    found = get_for_tenant_or_404(Credential, actor.tenant, pk=pk)
    back = connecting.local_page(actor.tenant, request.POST.get("next", ""))
    return to_provider(request, actor, found, back=back)


def to_provider(request: HttpRequest, actor: Actor, found: Credential, *, back: str) -> HttpResponse:
    """Return a page that goes on to the provider by itself: a form's answer may not redirect to a foreign address."""
    try:
        address = sign_in_begin(
            actor=actor,
            credential=found,
            redirect_uri=redirect_uri(request, found.provider),
            session_key=request.session.session_key or "",
            back=back,
        )
    except ServiceError as error:
        messages.warning(request, error.message)
        return _done(f"{reverse('credential', args=[actor.tenant.slug, found.pk])}?edit=1")
    context = {"address": address, "credential": found}
    return page(request, actor, "vault/going.html", context, nav="credential-list")


@require_safe
@login_required
def callback(request: HttpRequest) -> HttpResponse:
    """Take in who comes back from a provider; what counts is the state, once."""
    assert isinstance(request.user, User)
    taken = sign_in_take(
        state=request.GET.get("state", ""),
        user=request.user,
        session_key=request.session.session_key or "",
        path=request.path,
    )
    slug = taken.credential.tenant.slug
    actor = actor_for_session(request.user, slug, request.session)
    own = reverse("credential", args=[slug, taken.credential.pk])
    if "error" in request.GET:
        messages.warning(request, _declined(request))
        return _done(own)
    try:
        connected = sign_in_finish(actor=actor, taken=taken, code=request.GET.get("code", ""))
    except ServiceError as error:
        messages.warning(request, error.message)
        return _done(own)
    say_saved(request, actor, connected)
    return _done(_after(request, actor, taken, connected) or own)


def _done(address: str) -> HttpResponse:
    return redirect(f"{reverse('oauth-done')}?{urlencode({'to': address})}")


@require_safe
@login_required
def done(request: HttpRequest) -> HttpResponse:
    """Go on to a page of a tenant, in the window that a sign-in was begun from."""
    address = request.GET.get("to", "")
    if not address.startswith("/w/") or not url_has_allowed_host_and_scheme(address, allowed_hosts=None):
        raise NotFound(_("This address leads nowhere."))
    return render(request, "vault/done.html", {"address": address})


def _declined(request: HttpRequest) -> str:
    """Return what the provider said instead of giving a code; a third party's text, so nothing but text."""
    code = "".join(filter(str.isprintable, request.GET["error"]))[:MAX_SHOWN]
    if code == "access_denied":
        return _("Not connected: the access was declined at the provider. Press Connect to try once more.")
    more = "".join(filter(str.isprintable, request.GET.get("error_description", "")))[:MAX_SHOWN]
    said = f"{more} ({code})" if more else code
    return _("Not connected. The provider said: %(said)s. Press Connect to try once more.") % {"said": said}


def _after(request: HttpRequest, actor: Actor, taken: Taken, connected: Credential) -> str:
    """Return the page that the sign-in was begun from; a step's has the credential chosen now."""
    if not taken.back:
        return ""
    try:
        return connecting.chosen_in_step(actor=actor, address=taken.back, credential=connected)
    except ServiceError as error:
        messages.warning(request, error.message)
        return taken.back

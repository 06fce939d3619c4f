"""Pages of credentials: what there is and how it fares; making, trying, changing, replacing and deleting one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from orchestrator.errors import Conflict, Invalid, ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.shell import fragment, is_fragment, page
from orchestrator.vault import checks, connecting, listing, pages, services
from orchestrator.vault.account import declared_test
from orchestrator.vault.checks import Verdict
from orchestrator.vault.forms import CredentialForm, credential_form, entered, refused, tried
from orchestrator.vault.models import Credential
from orchestrator.vault.oauth_apps import redirect_uri
from orchestrator.vault.offers import Kind, offers, offers_for_nobody_yet
from orchestrator.vault.revoking import revocation_of, revoke
from orchestrator.vault.saved import WORKS, say_saved
from orchestrator.vault.selectors import census, credentials_needing_a_person
from orchestrator.vault.sharing import may_use
from orchestrator.vault.sign_in_pages import to_provider
from orchestrator.vault.sign_ins import sign_in_ready
from orchestrator.workflows.credentials import credential_replace
from orchestrator.workflows.services import credential_delete_checked


@require_safe
@tenant_page()
def credentials(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the tenant's credentials."""
    return _vault(request, actor)


@require_safe
@tenant_page()
def credential(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show one credential beside the others; with ``?edit=1`` its form, with ``?delete=1`` what a deletion means."""
    found = _find(actor, pk)
    may_edit = actor.may(Role.EDITOR) and may_use(actor, found)
    editing, leaving = may_edit and "edit" in request.GET, may_edit and "delete" in request.GET
    form = credential_form(found.provider, found.auth_type, actor=actor, credential=found) if editing else None
    return _vault(request, actor, drawer=pages.drawer(actor, found, form=form, leaves=leaving and not editing))


def _find(actor: Actor, pk: int) -> Credential:
    return get_for_tenant_or_404(Credential, actor.tenant, pk=pk)


def _vault(
    request: HttpRequest, actor: Actor, *, drawer: pages.Drawer | None = None, status: int = 200
) -> HttpResponse:
    counted = census(actor.tenant)
    needing = credentials_needing_a_person(actor.tenant, limit=3) if counted.needing else ()
    context = {
        "table": listing.table(request, actor.tenant, counted, selected=drawer.credential.pk if drawer else None),
        "drawer": drawer,
        "redirect_uri": redirect_uri(request, drawer.credential.provider) if drawer else "",
        "needing": [listing.need(row) for row in needing],
        "needing_count": counted.needing,
        "unreadable": counted.unreadable,
        "unreadable_words": pages.unreadable_words(),
        "offers": offers_for_nobody_yet(actor.tenant) if not counted.count else (),
    }
    return page(request, actor, "vault/vault.html", context, nav="credential-list", status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def credential_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Choose a provider and kind, then fill in the form, try it and save it."""
    given = request.POST if request.method == "POST" else request.GET
    provider, auth_type = given.get("provider", ""), given.get("auth_type", "")
    choices = [offer for offer in offers() if not provider or offer.provider == provider]
    kinds = choices[0].kinds if provider and choices else ()
    if kinds and auth_type not in {kind.auth_type for kind in kinds}:
        auth_type = kinds[0].auth_type
    if not kinds:
        context = {"offers": choices or offers(), "unknown": provider, "back": _back(request, actor)}
        return page(request, actor, "vault/new.html", context, nav="credential-list")
    form = credential_form(provider, auth_type, actor=actor, next_name=services.free_name(actor.tenant, provider))
    if request.method != "POST":
        return _new_page(request, actor, form, kinds)
    if "try" in request.POST:
        return _tried(request, actor, form, kinds=kinds)
    try:
        made = _create(actor, form, request.POST)
    except ServiceError as error:
        return _new_page(request, actor, refused(form, request.POST, error), kinds, status=422)
    if sign_in_ready(made) and "connect" in request.POST:
        return to_provider(request, actor, made, back=_back(request, actor))
    say_saved(request, actor, made)
    return redirect(_after(request, actor, made))


def _new_page(request: HttpRequest, actor: Actor, form: CredentialForm, kinds: tuple[Kind, ...],
              verdict: Verdict | None = None, status: int = 200) -> HttpResponse:  # fmt: skip
    context = {
        "form": form,
        "redirect_uri": redirect_uri(request, form.provider),
        "kinds": kinds,
        "back": _back(request, actor),
        "verdict": verdict,
        "abilities": pages.abilities(form.provider, form.auth_type),
        "can_test": declared_test(form.provider, form.auth_type) is not None,
    }
    return page(request, actor, "vault/new.html", context, nav="credential-list", status=status)


def _tried(request: HttpRequest, actor: Actor, form: CredentialForm, *, kinds: tuple[Kind, ...] = (),
           found: Credential | None = None) -> HttpResponse:  # fmt: skip
    """Ask the provider about what was filled in, and show the form again: nothing is saved."""
    verdict: Verdict | None = None
    try:
        given = entered(form, request.POST, time_zone=actor.tenant.time_zone)
        verdict = checks.credential_try(
            actor=actor,
            provider=form.provider,
            auth_type=form.auth_type,
            secret=given.secret,
            settings=given.settings,
            credential=found,
        )
        taken = services.free_name(actor.tenant, verdict.account) if verdict.account and found is None else ""
        form = tried(form, request.POST, name=taken)
    except ServiceError as error:
        form = refused(form, request.POST, error)
    status = 200 if verdict else 422
    if is_fragment(request):
        # The fields stay as they are in the browser, secrets too: nothing that was typed is ever sent back.
        context = {"form": form, "verdict": verdict, "is_part": True, "is_new": found is None}
        return fragment(request, actor, "vault/_tried.html", context)
    if found is None:
        return _new_page(request, actor, form, kinds, verdict, status)
    return _vault(request, actor, drawer=pages.drawer(actor, found, form=form, verdict=verdict), status=status)


def _create(actor: Actor, form: CredentialForm, data: Mapping[str, str]) -> Credential:
    given = entered(form, data, time_zone=actor.tenant.time_zone)
    return services.credential_create(
        actor=actor,
        name=given.name,
        provider=form.provider,
        auth_type=form.auth_type,
        secret=given.secret or {},
        settings=given.settings,
        expires_at=given.expires_at,
        shared_with=given.shared_with or Role.EDITOR,
    )


def _back(request: HttpRequest, actor: Actor) -> str:
    """Return the page to go back to, if it is one of the tenant's."""
    return connecting.local_page(actor.tenant, request.POST.get("next") or request.GET.get("next", ""))


def _after(request: HttpRequest, actor: Actor, made: Credential) -> str:
    """Return where to go with a new credential: back to the step that it was made for, where it is chosen now."""
    back = _back(request, actor)
    if not back:
        return reverse("credential", args=[actor.tenant.slug, made.pk])
    try:
        return connecting.chosen_in_step(actor=actor, address=back, credential=made)
    except ServiceError as error:
        messages.warning(request, error.message)
        return back


@require_POST
@tenant_page(Role.EDITOR)
def credential_edit(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Change a credential; a secret that is left empty stays as it is."""
    found = _find(actor, pk)
    form = credential_form(found.provider, found.auth_type, actor=actor, credential=found)
    if "try" in request.POST:
        return _tried(request, actor, form, found=found)
    try:
        changes = _changes(actor.tenant, form, request.POST)
        found = services.credential_update(actor=actor, credential=found, **changes)
    except ServiceError as error:
        drawer = pages.drawer(actor, found, form=refused(form, request.POST, error))
        return _vault(request, actor, drawer=drawer, status=422)
    if "secret" in changes:
        say_saved(request, actor, found)
    else:
        messages.success(request, _("Saved “%(name)s”.") % {"name": found.name})
    return redirect("credential", actor.tenant.slug, pk)


def _changes(tenant: Tenant, form: CredentialForm, data: Mapping[str, str]) -> dict[str, Any]:
    given = entered(form, data, time_zone=tenant.time_zone)
    changes: dict[str, Any] = {"name": given.name, "settings": given.settings}
    if given.shared_with is not None:
        changes["shared_with"] = given.shared_with
    if given.secret is not None:
        changes["secret"] = given.secret
    if data.get("expires", "") != form.expires.value:
        changes["expires_at"] = given.expires_at
    return changes


@require_POST
@tenant_page(Role.EDITOR)
def credential_test(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Ask the provider whether the secret works."""
    try:
        checked = checks.credential_check(actor=actor, credential=_find(actor, pk))
    except Invalid as error:
        messages.warning(request, error.message)
        return redirect("credential", actor.tenant.slug, pk)
    if checked.health in WORKS:
        messages.success(request, checked.health_message or _("It works."))
    else:
        messages.warning(request, checked.health_message or _("The provider gave no clear answer."))
    return redirect("credential", actor.tenant.slug, pk)


@require_POST
@tenant_page(Role.EDITOR)
def credential_replace_everywhere(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Let every draft that uses a credential use another one instead."""
    found, chosen = _find(actor, pk), request.POST.get("by", "")
    try:
        by = get_for_tenant_or_404(Credential, actor.tenant, pk=chosen) if chosen.isascii() else None
        if by is None or not chosen:
            raise Invalid(_("Choose the credential that takes its place."))
        done = credential_replace(actor=actor, credential=found, by=by)
    except ServiceError as error:
        drawer = pages.drawer(actor, found, leaves=True, refused=error.message, chosen=chosen[:20])
        return _vault(request, actor, drawer=drawer, status=422)
    words = {"count": done.workflows, "name": by.name, "old": found.name}
    said = ngettext(
        "Replaced by “%(name)s” in %(count)d workflow.",
        "Replaced by “%(name)s” in %(count)d workflows.",
        done.workflows,
    )
    messages.success(request, said % words)
    if done.live:
        names = ", ".join(workflow.name for workflow in done.live[:5])
        said = _("What is published still uses “%(old)s” until the next publish: %(names)s.")
        messages.warning(request, said % {"old": found.name, "names": names + (", …" if len(done.live) > 5 else "")})
    return redirect(f"{reverse('credential', args=[actor.tenant.slug, pk])}?delete=1")


@require_POST
@tenant_page(Role.EDITOR)
def credential_delete(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Delete a credential; one in use is refused, with what uses it, unless ``force`` is sent."""
    found = _find(actor, pk)
    order = revocation_of(actor, found)
    try:
        credential_delete_checked(actor=actor, credential=found, force="force" in request.POST)
    except Conflict as error:
        drawer = pages.drawer(actor, found, leaves=True, refused=error.message)
        return _vault(request, actor, drawer=drawer, status=409)
    messages.success(request, _("Deleted “%(name)s”.") % {"name": found.name})
    if order is not None and not revoke(order):
        said = _("%(provider)s could not be told: take the access back there too, in the account's settings.")
        messages.warning(request, said % {"provider": order.sign_in.name})
    return redirect("credential-list", actor.tenant.slug)

"""Pages of credentials: what there is and how it fares, making, changing, testing and deleting one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from integrations.registry import registry
from orchestrator.errors import Conflict, Invalid, ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.selectors import events_of
from orchestrator.tenants.shell import page
from orchestrator.vault import services
from orchestrator.vault.account import declared_test
from orchestrator.vault.forms import CredentialForm, credential_form, entered, kind_title, offers, refused
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.selectors import credential_list, credentials_needing_a_person
from orchestrator.workflows.selectors import CredentialUsage, credential_usages, usages_by_credential
from orchestrator.workflows.services import credential_delete_checked

HISTORY_LINES: Final = 8
_EVENTS: Final[Mapping[str, str]] = {
    "credential.created": noop("Created by %(who)s"),
    "credential.changed": noop("Changed by %(who)s"),
    "credential.checked": noop("Tested by %(who)s"),
}


@dataclass(frozen=True, kw_only=True)
class CredentialRow:
    """One line of the table."""

    credential: Credential
    url: str
    provider: str
    kind: str
    workflows: int
    selected: bool


@dataclass(frozen=True, kw_only=True)
class UsedBy:
    """A workflow that uses a credential, and in which steps."""

    name: str
    url: str
    steps: str


@dataclass(frozen=True, kw_only=True)
class Event:
    at: datetime
    words: str


@dataclass(frozen=True, kw_only=True)
class Drawer:
    """One credential in full: health first, then settings, who uses it, and its history."""

    credential: Credential
    provider: str
    kind: str
    settings: tuple[tuple[str, str], ...]
    secret_label: str
    used_by: tuple[UsedBy, ...]
    events: tuple[Event, ...]
    can_test: bool
    form: CredentialForm | None
    in_use: str


@require_safe
@tenant_page()
def credentials(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the tenant's credentials."""
    return _vault(request, actor)


@require_safe
@tenant_page()
def credential(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show one credential beside the others; with ``?edit=1`` its form."""
    found = _find(actor, pk)
    editing = "edit" in request.GET and actor.may(Role.EDITOR)
    form = credential_form(found.provider, found.auth_type, credential=found) if editing else None
    return _vault(request, actor, drawer=_drawer(actor, found, form=form))


def _find(actor: Actor, pk: int) -> Credential:
    return get_for_tenant_or_404(Credential, actor.tenant, pk=pk)


def _vault(request: HttpRequest, actor: Actor, *, drawer: Drawer | None = None, status: int = 200) -> HttpResponse:
    query = request.GET.get("q", "").strip()[:100]
    found = credential_list(actor.tenant)
    rows = list(found.filter(name__icontains=query) if query else found)
    usages = usages_by_credential(actor.tenant)
    selected = drawer.credential.pk if drawer else None
    context = {
        "rows": [_row(actor.tenant, row, usages.get(row.pk, []), row.pk == selected) for row in rows],
        "query": query,
        "drawer": drawer,
        "needing": credentials_needing_a_person(actor.tenant),
        "offers": offers() if not rows else [],
    }
    return page(request, actor, "vault/vault.html", context, nav="credential-list", status=status)


def _row(tenant: Tenant, row: Credential, usages: Sequence[CredentialUsage], selected: bool) -> CredentialRow:
    return CredentialRow(
        credential=row,
        url=reverse("credential", args=[tenant.slug, row.pk]),
        provider=_provider_name(row.provider),
        kind=kind_title(row.provider, row.auth_type),
        workflows=len({usage.workflow_id for usage in usages}),
        selected=selected,
    )


def _provider_name(key: str) -> str:
    provider = registry.provider(key)
    return provider.name if provider else key


def _drawer(actor: Actor, found: Credential, *, form: CredentialForm | None = None, in_use: str = "") -> Drawer:
    shown = form or credential_form(found.provider, found.auth_type, credential=found)
    return Drawer(
        credential=found,
        provider=_provider_name(found.provider),
        kind=kind_title(found.provider, found.auth_type),
        settings=tuple((field.label, field.value) for field in shown.settings if field.value),
        secret_label=", ".join(field.label for field in shown.secret if field.kind == "password" and field.label)
        or _("Secret"),
        used_by=_used_by(actor.tenant, credential_usages(actor.tenant, found)),
        events=_events(actor.tenant, found),
        can_test=declared_test(found.provider, found.auth_type) is not None,
        form=form,
        in_use=in_use,
    )


def _used_by(tenant: Tenant, usages: Sequence[CredentialUsage]) -> tuple[UsedBy, ...]:
    steps: dict[tuple[int, str], list[str]] = {}
    for usage in usages:
        steps.setdefault((usage.workflow_id, usage.workflow_name), []).append(usage.step_key)
    return tuple(
        UsedBy(name=name, url=reverse("workflow", args=[tenant.slug, pk]), steps=", ".join(keys))
        for (pk, name), keys in steps.items()
    )


def _events(tenant: Tenant, found: Credential) -> tuple[Event, ...]:
    rows = events_of(tenant, target_type="credential", target_id=found.pk)[:HISTORY_LINES]
    return tuple(
        Event(at=row.at, words=_(_EVENTS.get(row.action, "%(who)s")) % {"who": row.actor_label}) for row in rows
    )


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def credential_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Choose a provider and kind, then fill in the form; a saved one is tested where the provider has a test."""
    given = request.POST if request.method == "POST" else request.GET
    provider, auth_type, back = given.get("provider", ""), given.get("auth_type", ""), _back(request)
    choices = [offer for offer in offers() if not provider or offer.provider == provider]
    if provider and not auth_type and len(choices) == 1:
        auth_type = choices[0].kinds[0].auth_type
    if not provider or not auth_type:
        return _new_page(request, actor, {"offers": choices, "back": back})
    form = credential_form(provider, auth_type, next_name=_free_name(actor.tenant, provider))
    if request.method != "POST":
        return _new_page(request, actor, {"form": form, "kinds": choices[0].kinds if choices else (), "back": back})
    try:
        made = _create(actor, form, request.POST)
    except Invalid as error:
        again = refused(form, request.POST, error)
        return _new_page(request, actor, {"form": again, "kinds": choices[0].kinds, "back": back}, status=422)
    messages.success(request, _("Saved “%(name)s”. Its secret is encrypted and not shown again.") % {"name": made.name})
    if "test" in request.POST:
        _test(request, actor, made)
    return redirect(back or reverse("credential", args=[actor.tenant.slug, made.pk]))


def _new_page(request: HttpRequest, actor: Actor, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    form = context.get("form")
    context["can_test"] = form is not None and declared_test(form.provider, form.auth_type) is not None
    return page(request, actor, "vault/new.html", context, nav="credential-list", status=status)


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
    )


def _back(request: HttpRequest) -> str:
    """Return the page to go back to, if it is one of ours."""
    target = request.POST.get("next") or request.GET.get("next", "")
    return target if target and url_has_allowed_host_and_scheme(target, allowed_hosts=None) else ""


def _free_name(tenant: Tenant, provider: str) -> str:
    """Return a name that no credential of the tenant has yet, like ``slack`` or ``slack-2``."""
    base = provider.replace("_", "-")[:90]
    taken = set(Credential.objects.for_tenant(tenant).filter(name__startswith=base).values_list("name", flat=True))
    names = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


@require_POST
@tenant_page(Role.EDITOR)
def credential_edit(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Change a credential; a secret that is left empty stays as it is."""
    found = _find(actor, pk)
    form = credential_form(found.provider, found.auth_type, credential=found)
    try:
        given = entered(form, request.POST, time_zone=actor.tenant.time_zone)
        changes: dict[str, Any] = {"name": given.name, "settings": given.settings}
        if given.secret is not None:
            changes["secret"] = given.secret
        if request.POST.get("expires", "") != form.expires.value:
            changes["expires_at"] = given.expires_at
        found = services.credential_update(actor=actor, credential=found, **changes)
    except Invalid as error:
        return _vault(request, actor, drawer=_drawer(actor, found, form=refused(form, request.POST, error)), status=422)
    messages.success(request, _("Saved “%(name)s”.") % {"name": found.name})
    if "test" in request.POST:
        _test(request, actor, found)
    return redirect("credential", actor.tenant.slug, pk)


@require_POST
@tenant_page(Role.EDITOR)
def credential_test(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Ask the provider whether the secret works."""
    _test(request, actor, _find(actor, pk))
    return redirect("credential", actor.tenant.slug, pk)


def _test(request: HttpRequest, actor: Actor, found: Credential) -> None:
    try:
        checked = services.credential_check(actor=actor, credential=found)
    except ServiceError as error:
        messages.warning(request, error.message)
        return
    if checked.health == Health.WORKING:
        messages.success(request, checked.health_message or _("It works."))
    else:
        messages.warning(request, checked.health_message or _("The provider gave no clear answer."))


@require_POST
@tenant_page(Role.EDITOR)
def credential_delete(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Delete a credential; one in use is refused, with what uses it, unless ``force`` is sent."""
    found = _find(actor, pk)
    try:
        credential_delete_checked(actor=actor, credential=found, force="force" in request.POST)
    except Conflict as error:
        return _vault(request, actor, drawer=_drawer(actor, found, in_use=error.message), status=409)
    messages.success(request, _("Deleted “%(name)s”.") % {"name": found.name})
    return redirect("credential-list", actor.tenant.slug)

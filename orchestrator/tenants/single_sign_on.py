"""A tenant's own OpenID Connect provider: set by its owners, for its own people alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Invalid, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, system_actor
from orchestrator.tenants.models import Membership, PersonSession, Role, SignOnDomain, SignOnLink, SingleSignOn, Tenant
from orchestrator.tenants.oidc import Client, SignOnFailed, issuer_checked, rediscover
from orchestrator.tenants.permissions import require_operation
from orchestrator.tenants.sign_on_domains import domain_kept, domain_of, domains_set, tenant_led_to
from orchestrator.vault import crypto

MOST_DOMAINS: Final = 50
MOST_GROUPS: Final = 100
# Owners are made by owners alone, never by what a provider says.
ROLES: Final = tuple(role for role in Role if role != Role.OWNER)
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_CLAIM: Final = re.compile(r"[!-~]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an owner enters. ``secret`` is None to keep the one that is there, empty for a public client."""

    issuer: str
    client_id: str
    secret: str | None
    domains: tuple[str, ...] = ()
    new_role: str = ""
    group_claim: str = ""
    group_roles: Mapping[str, str]
    trusts_email: bool = False


def single_sign_on_of(tenant: Tenant) -> SingleSignOn | None:
    """Return the tenant's provider, or None."""
    return SingleSignOn.objects.for_tenant(tenant).select_related("tenant").filter(tenant=tenant).first()


def single_sign_on_at(slug: str) -> SingleSignOn | None:
    """Return the provider of the tenant with this slug, or None, whether there is no tenant or none of its own."""
    return SingleSignOn.unscoped.select_related("tenant").filter(tenant__slug=slug).first()


def single_sign_on_for(text: str) -> SingleSignOn | None:
    """Return the provider that a person means by a tenant's slug or by their e-mail address, or None."""
    asked = text.strip().lower()
    if not asked.isprintable():
        return None
    if "@" not in asked:
        return single_sign_on_at(asked)
    tenant_id = tenant_led_to(domain_of(asked))
    return SingleSignOn.unscoped.select_related("tenant").filter(tenant=tenant_id).first() if tenant_id else None


def client_of(found: SingleSignOn, redirect_uri: str) -> Client:
    """Return what the tenant is to its provider, with the secret opened. Raises SignOnFailed where that fails."""
    secret = b""
    if found.key_id:
        try:
            secret = crypto.unseal(found.sealed, tenant_id=found.tenant_id, context=_place(found))
        except crypto.VaultError as error:
            message = _(
                "The provider's client secret cannot be read. Trying again does not help: an owner of the tenant "
                "enters it again, or the operator sets VAULT_KEYS as it was."
            )
            raise SignOnFailed(message, code="unreadable", detail=type(error).__name__) from None
    return Client(issuer=found.issuer, client_id=found.client_id, secret=secret.decode(), redirect_uri=redirect_uri)


def single_sign_on_set(*, actor: Actor, wanted: Wanted) -> SingleSignOn:
    """Keep the tenant's provider, once it has answered. Raises Invalid with a problem for each wrong field."""
    require_operation(actor, "sso.edit")
    _check(wanted)
    try:
        # Before anything is locked: it asks the provider.
        rediscover(wanted.issuer.strip())
    except SignOnFailed as error:
        raise _invalid("issuer", error.message) from None
    try:
        return _kept(actor, wanted)
    except IntegrityError:
        raise _invalid("domains", _("Another tenant got one of these domains just now. Save once more.")) from None


@transaction.atomic
def _kept(actor: Actor, wanted: Wanted) -> SingleSignOn:
    tenant = Tenant.objects.select_for_update().get(pk=actor.tenant.pk)
    before = single_sign_on_of(tenant)
    found = before or SingleSignOn(tenant=tenant)
    moves = before is None or (before.issuer, before.client_id) != (wanted.issuer.strip(), wanted.client_id.strip())
    if before is not None and before.key_id and before.issuer != wanted.issuer.strip() and wanted.secret is None:
        # Else it would be sent to whoever the new address belongs to.
        raise _invalid("secret", _("To send the secret to another issuer, enter it again."))
    changed = [name for name in _PLAIN if before is None or getattr(before, name) != getattr(wanted, name)]
    issuer = found.issuer
    for name in _PLAIN:
        setattr(found, name, getattr(wanted, name))
    found.issuer, found.client_id = wanted.issuer.strip(), wanted.client_id.strip()
    found.group_roles = dict(wanted.group_roles)
    if wanted.secret is not None:
        _seal(found, wanted.secret)
        changed.append("secret")
    if moves:
        found.worked_at = None
    if before is not None and issuer != found.issuer:
        _sign_out(tenant, issuer, but=actor.user)
    found.save()
    if domains_set(actor=actor, tenant=tenant, wanted={domain_kept(domain) for domain in wanted.domains}):
        changed.append("domains")
    if changed:
        audit.record(
            actor=actor,
            action="sso.changed" if before else "sso.set",
            target=found,
            detail={"changed": [*sorted(changed)], "issuer": found.issuer},
        )
    return found


_PLAIN: Final = ("issuer", "client_id", "new_role", "group_claim", "group_roles", "trusts_email")


@transaction.atomic
def single_sign_on_remove(*, actor: Actor) -> None:
    """Forget the tenant's provider and its domains; people keep their accounts, and who was linked stays known."""
    require_operation(actor, "sso.edit")
    tenant = Tenant.objects.select_for_update().get(pk=actor.tenant.pk)
    found = single_sign_on_of(tenant)
    if found is None:
        return
    audit.record(actor=actor, action="sso.removed", target=found, detail={"issuer": found.issuer})
    _sign_out(tenant, found.issuer, but=actor.user)
    SignOnDomain.objects.for_tenant(tenant).delete()
    SingleSignOn.objects.for_tenant(tenant).filter(pk=found.pk).delete()
    tenant.single_sign_on_required = False
    tenant.save(update_fields=["single_sign_on_required"])


@transaction.atomic
def single_sign_on_require(*, actor: Actor, required: bool) -> None:
    """Let members in by single sign-on alone, or no longer. Raises Conflict before it has worked once."""
    require_operation(actor, "sso.edit")
    tenant = Tenant.objects.select_for_update().get(pk=actor.tenant.pk)
    found = single_sign_on_of(tenant)
    if tenant.single_sign_on_required == required:
        return
    if required and (found is None or found.worked_at is None):
        raise Conflict(_("Sign in through it once before you require it: else nobody might get in."), code="untried")
    tenant.single_sign_on_required = required
    tenant.save(update_fields=["single_sign_on_required"])
    audit.record(actor=actor, action="tenant.changed", target=tenant, detail={"changed": ["single_sign_on_required"]})


def single_sign_on_worked(found: SingleSignOn) -> None:
    """Note that the provider vouched for somebody, whoever that was."""
    rows = SingleSignOn.objects.for_tenant(found.tenant_id)
    rows.filter(pk=found.pk, issuer=found.issuer, client_id=found.client_id).update(worked_at=timezone.now())


def note_way_around(user: User) -> None:
    """Write down that an owner came in by password where single sign-on is required of everybody else."""
    rows = Membership.unscoped.filter(user=user, role=Role.OWNER, tenant__single_sign_on_required=True)
    for membership in rows.select_related("tenant"):
        actor = Actor(tenant=membership.tenant, role=Role.OWNER, scopes=frozenset(), user=user)
        audit.record(actor=actor, action="sso.passed_by", target=user)


def note_refused(found: SingleSignOn, *, why: str, who: str) -> None:
    """Write down that somebody for whom the provider vouched was not let in; ``why`` is a stable word."""
    actor = system_actor(found.tenant)
    audit.record(actor=actor, action="sso.refused", target=found, detail={"why": why, "who": who[:254]})


def _check(wanted: Wanted) -> None:
    """Raise Invalid with a problem for each field that is wrong in itself."""
    problems = []
    try:
        issuer_checked(wanted.issuer)
    except Invalid as error:
        problems.append(_problem("issuer", error.message))
    if not 0 < len(wanted.client_id.strip()) <= 200 or not wanted.client_id.isprintable():
        problems.append(_problem("client_id", _("Enter the ID that the provider gave you, 1 to 200 characters.")))
    if wanted.secret is not None and (len(wanted.secret) > 1000 or not wanted.secret.isprintable()):
        problems.append(_problem("secret", _("Enter the secret that the provider gave you, at most 1000 characters.")))
    if wrong := next((domain for domain in wanted.domains if not _DOMAIN.fullmatch(domain_kept(domain))), ""):
        words = _("“%(domain)s” is no domain. Write one a line, like example.com.") % {"domain": wrong[:80]}
        problems.append(_problem("domains", words))
    if len(wanted.domains) > MOST_DOMAINS:
        problems.append(_problem("domains", _("Write at most %(count)d domains.") % {"count": MOST_DOMAINS}))
    if wanted.new_role not in ("", *ROLES):
        problems.append(_problem("new_role", _("Choose a role that is offered.")))
    if wanted.group_claim and not _CLAIM.fullmatch(wanted.group_claim):
        problems.append(_problem("group_claim", _("Write the claim's name, like groups.")))
    if not wanted.group_claim and wanted.group_roles:
        problems.append(_problem("group_claim", _("Say which claim the groups stand in, like groups.")))
    if any(not group or role not in ROLES for group, role in wanted.group_roles.items()):
        names = ", ".join(ROLES)
        words = _("Write one a line, like staff = editor. The roles are %(names)s; owners are made by owners.")
        problems.append(_problem("group_roles", words % {"names": names}))
    is_long = any(len(name) > 200 or not name.isprintable() for name in wanted.group_roles)
    if len(wanted.group_roles) > MOST_GROUPS or is_long:
        words = _("Write at most %(count)d groups, with names of at most 200 visible characters.")
        words %= {"count": MOST_GROUPS}
        problems.append(_problem("group_roles", words))
    if problems:
        raise Invalid(_("Nothing was saved."), problems=problems)


def _sign_out(tenant: Tenant, issuer: str, *, but: User | None) -> None:
    """End the sessions of the people whom a provider knows: it is perhaps left because it cannot be trusted."""
    users = SignOnLink.objects.for_tenant(tenant).filter(issuer=issuer).values("user_id")
    PersonSession.objects.filter(user__in=users).exclude(user=but).delete()


def _seal(found: SingleSignOn, secret: str) -> None:
    if not secret:
        found.sealed, found.key_id = b"", ""
        return
    try:
        sealed = crypto.seal(secret.encode(), tenant_id=found.tenant_id, context=_place(found))
    except crypto.UnknownKey:
        message = _("It cannot be saved right now: the vault has no key. An operator has to set VAULT_KEYS.")
        raise Conflict(message, code="no_key") from None
    found.sealed, found.key_id = sealed.blob, sealed.key_id


def _place(found: SingleSignOn) -> str:
    return f"single_sign_on:{found.pk}"


def _problem(path: str, message: str) -> Problem:
    return Problem(path=path, message=message, code="invalid")


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(_("Nothing was saved."), problems=[_problem(path, message)])

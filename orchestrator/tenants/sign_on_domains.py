"""Domains of e-mail addresses that tenants claim for their single sign-on.

Anybody who owns a tenant may claim any domain. A claim alone only narrows whom that tenant's own provider lets in. Only
one that an operator confirmed leads people from the sign-in page to a tenant: else whoever claims somebody else's
domain would have their people sent to a provider, and a page that asks for their password, of his choice, and would
keep the rightful tenant from it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, NotFound
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, system_actor
from orchestrator.tenants.models import SignOnDomain, Tenant


def claims_of(tenant: Tenant) -> list[SignOnDomain]:
    """Return what a tenant claims, confirmed or not; one query."""
    return list(SignOnDomain.objects.for_tenant(tenant))


def domains_of(tenant: Tenant) -> list[str]:
    """Return the domains of e-mail addresses that the tenant's provider is for."""
    return [claim.domain for claim in claims_of(tenant)]


def claims_of_all(*, waiting: bool) -> Sequence[SignOnDomain]:
    """Return the claims of all tenants, or those alone that wait for an operator; one query."""
    rows = SignOnDomain.unscoped.select_related("tenant").order_by("domain", "tenant__slug")
    return list(rows.filter(confirmed_at__isnull=True) if waiting else rows)


def tenant_led_to(domain: str) -> int | None:
    """Return the id of the tenant whose people have addresses of this domain, as an operator confirmed."""
    found = SignOnDomain.unscoped.filter(domain=domain, confirmed_at__isnull=False).values_list("tenant_id", flat=True)
    return found.first()


def domain_of(email: str) -> str:
    """Return the domain of an e-mail address as domains are kept; empty for one that is none."""
    return domain_kept(email.rpartition("@")[2])


def domain_kept(text: str) -> str:
    """Return a domain in lower case and in ASCII; empty for what cannot be one."""
    try:
        return text.strip().rstrip(".").lower().encode("idna").decode()
    except UnicodeError:
        return ""


def domains_set(*, actor: Actor, tenant: Tenant, wanted: Collection[str]) -> bool:
    """Claim exactly these domains; return whether that changed something. Call it in the tenant's transaction.

    What an operator enters is confirmed by that, unless another tenant is led to by it already.
    """
    rows = SignOnDomain.objects.for_tenant(tenant)
    present = set(rows.values_list("domain", flat=True))
    new = sorted(set(wanted) - present)
    rows.exclude(domain__in=wanted).delete()
    is_operator = actor.user is not None and actor.user.is_superuser
    taken = set(
        SignOnDomain.unscoped.filter(domain__in=new, confirmed_at__isnull=False).values_list("domain", flat=True)
    )
    SignOnDomain.unscoped.bulk_create(
        SignOnDomain(
            tenant=tenant, domain=each, confirmed_at=timezone.now() if is_operator and each not in taken else None
        )
        for each in new
    )
    return present != set(wanted)


def domain_confirm(*, tenant: Tenant, domain: str) -> SignOnDomain:
    """Let people with addresses of a domain be led to the tenant that claims it; an operator's alone. Safe to repeat.

    Raises NotFound where the tenant does not claim it, and Conflict where another one has it.
    """
    claim = _claim(tenant, domain)
    if claim.confirmed_at is not None:
        return claim
    try:
        with transaction.atomic():
            claim.confirmed_at = timezone.now()
            claim.save(update_fields=["confirmed_at"])
            audit.record(actor=system_actor(tenant), action="sso.domain_confirmed", target=claim)
    except IntegrityError:
        other = SignOnDomain.unscoped.select_related("tenant").get(domain=claim.domain, confirmed_at__isnull=False)
        raise Conflict(
            _("People of %(domain)s are led to the tenant %(tenant)s. Release it there first, if it is not theirs.")
            % {"domain": claim.domain, "tenant": other.tenant.slug},
            code="taken",
        ) from None
    return claim


@transaction.atomic
def domain_release(*, tenant: Tenant, domain: str) -> SignOnDomain:
    """Let nobody be led to a tenant by a domain any more; its claim waits anew. Raises NotFound. Safe to repeat."""
    claim = _claim(tenant, domain)
    if claim.confirmed_at is not None:
        claim.confirmed_at = None
        claim.save(update_fields=["confirmed_at"])
        audit.record(actor=system_actor(tenant), action="sso.domain_released", target=claim)
    return claim


def _claim(tenant: Tenant, domain: str) -> SignOnDomain:
    found = SignOnDomain.objects.for_tenant(tenant).filter(domain=domain_kept(domain)).first()
    if found is None:
        raise NotFound(
            _("%(tenant)s does not claim %(domain)s. An owner enters it under Settings → Single sign-on first.")
            % {"tenant": tenant.slug, "domain": domain}
        )
    return found

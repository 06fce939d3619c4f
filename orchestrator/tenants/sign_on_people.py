"""Who somebody is for whom a tenant's provider vouches: an account that is linked, a new one, or nobody here.

Looked up by tenant, issuer and subject alone. An e-mail address finds no account: whoever may write one into a
provider would else be whom they please.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Invalid, NotFound, ServiceError
from orchestrator.tenants import audit
from orchestrator.tenants.access import ROLE_SCOPES, Actor, system_actor
from orchestrator.tenants.invitations import invitation_open_for, invitation_use
from orchestrator.tenants.models import Membership, Role, SignOnLink, SingleSignOn, Tenant
from orchestrator.tenants.services import member_add
from orchestrator.tenants.sign_on_domains import domain_of, domains_of

_MOST_GROUPS: Final = 1000
_NAME_TRIES: Final = 50


class NotLetIn(ServiceError):
    """The provider vouched for somebody who may not come in, or not this way; ``code`` says why."""

    status = 403


@dataclass(frozen=True, kw_only=True)
class Person:
    """What a provider says of somebody, cut and cleaned; ``email`` is empty unless it counts as verified."""

    issuer: str
    subject: str
    email: str
    name: str
    first_name: str
    last_name: str
    wanted_name: str
    has_unverified_email: bool
    groups: frozenset[str]

    @property
    def label(self) -> str:
        """Return what a person would recognise them by."""
        return self.email or self.name or self.wanted_name or self.subject


def person_in(claims: Mapping[str, Any], found: SingleSignOn) -> Person:
    """Return whom checked claims are about."""
    email = _email(claims.get("email"))
    is_verified = claims.get("email_verified")
    counts = is_verified in (True, "true") or (is_verified is None and found.trusts_email)
    groups = claims.get(found.group_claim) if found.group_claim else None
    listed = groups[:_MOST_GROUPS] if isinstance(groups, list) else [groups]
    return Person(
        issuer=found.issuer,
        subject=str(claims["sub"]),
        email=email if counts else "",
        name=_text(claims.get("name"), 200),
        first_name=_text(claims.get("given_name"), 150),
        last_name=_text(claims.get("family_name"), 150),
        wanted_name=_text(claims.get("preferred_username"), 150),
        has_unverified_email=bool(email) and not counts,
        groups=frozenset(group for group in listed if isinstance(group, str)),
    )


def claims_needed(found: SingleSignOn) -> frozenset[str]:
    """Return the claims for which the userinfo is asked where the ID token lacks them."""
    return frozenset({"email", found.group_claim} - {""})


@transaction.atomic
def sign_on(*, found: SingleSignOn, person: Person, present: User | None, invitation_id: int = 0) -> SignOnLink:
    """Return the link of the account that the person signs in to, made now where the tenant lets somebody new in.

    ``present`` is who is signed in already. Raises NotLetIn with what to do.
    """
    # One change of people at a time: two first sign-ins at once must not make two accounts, nor race a removal.
    tenant = Tenant.objects.select_for_update().get(pk=found.tenant_id)
    link = _link_of(tenant, person)
    if link is None:
        link = _first_time(tenant, found, person, present, invitation_id)
    else:
        _check_account(link.user)
        _check_member(tenant, link.user, person, invitation_id)
    _follow_groups(tenant, found, person, link.user)
    link.email, link.last_used_at = person.email, timezone.now()
    link.save(update_fields=["email", "last_used_at"])
    audit.record(actor=_as(link.user, tenant), action="sso.signed_in", target=link.user, detail={"who": person.label})
    return link


@transaction.atomic
def link_make(*, user: User, found: SingleSignOn, person: Person) -> SignOnLink:
    """Link a person's own account, once they have proven that it is theirs. Raises Conflict or NotLetIn."""
    tenant = Tenant.objects.select_for_update().get(pk=found.tenant_id)
    _check_account(user)
    if not Membership.objects.for_tenant(tenant).filter(user=user).exists():
        raise Conflict(_("You are no member of %(tenant)s any more.") % {"tenant": tenant.name}, code="removed")
    other = _link_of(tenant, person)
    if other is not None and other.user_id == user.pk:
        return other
    if other is not None:
        message = _("%(who)s is linked with another account already. Sign in to that one, and unlink it there.")
        raise Conflict(message % {"who": person.label}, code="taken")
    if SignOnLink.objects.for_tenant(tenant).filter(user=user, issuer=person.issuer).exists():
        raise Conflict(_("Your account is linked with somebody there already. Unlink that first."), code="linked")
    link = _insert(tenant, user, person, made_account=False)
    audit.record(actor=_as(user, tenant), action="sso.linked", target=user, detail={"who": person.label})
    return link


@transaction.atomic
def link_remove(*, user: User, link_id: int) -> SignOnLink:
    """Unlink a person's own account. Raises NotFound, or Conflict where it has no password to sign in with."""
    link = SignOnLink.unscoped.select_related("tenant").filter(pk=link_id, user=user).first()
    if link is None:
        raise NotFound(_("There is no such link any more."))
    if not user.has_usable_password():
        raise Conflict(_("Your account has no password: without this link nobody could sign in to it."))
    audit.record(actor=_as(user, link.tenant), action="sso.unlinked", target=user, detail={"who": str(link)})
    SignOnLink.objects.for_tenant(link.tenant_id).filter(pk=link.pk).delete()
    return link


def links_of(user: User) -> list[SignOnLink]:
    """Return a person's links with their tenants, newest first; one query."""
    return list(SignOnLink.unscoped.select_related("tenant").filter(user=user))


def people_linked(tenant: Tenant, users: list[int]) -> set[int]:
    """Return which of the people, by id, a provider of the tenant knows; one query."""
    return set(SignOnLink.objects.for_tenant(tenant).filter(user_id__in=users).values_list("user_id", flat=True))


def linkable(user: User) -> list[Tenant]:
    """Return the person's tenants whose provider their account is not linked with yet; one query.

    An operator's account is linked with none.
    """
    if user.is_superuser:
        return []
    linked = SignOnLink.unscoped.filter(user=user).values("tenant_id")
    with_one = SingleSignOn.unscoped.exclude(tenant__in=linked).values("tenant_id")
    rows = Membership.unscoped.select_related("tenant").filter(user=user, tenant__in=with_one)
    return [each.tenant for each in rows.order_by("tenant__name")]


def _link_of(tenant: Tenant, person: Person) -> SignOnLink | None:
    rows = SignOnLink.objects.for_tenant(tenant).select_related("user")
    return rows.filter(issuer=person.issuer, subject=person.subject).first()


def _check_account(user: User) -> None:
    if not user.is_active:
        raise NotLetIn(
            _("Your account here is disabled. Trying again does not help: ask your operator."), code="disabled"
        )
    if user.is_superuser:
        # Else whoever runs one tenant's provider could become the operator of them all.
        raise NotLetIn(_("An operator's account signs in with its password alone."), code="operator")


def _check_member(tenant: Tenant, user: User, person: Person, invitation_id: int) -> None:
    """Raise NotLetIn for who was removed, unless they have been invited since."""
    if Membership.objects.for_tenant(tenant).filter(user=user).exists():
        return
    if not _invited(tenant, user, person, invitation_id):
        message = _("You were a member of %(tenant)s and are no longer. Ask one of its admins for an invitation.")
        raise NotLetIn(message % {"tenant": tenant.name}, code="removed")


def _first_time(
    tenant: Tenant, found: SingleSignOn, person: Person, present: User | None, invitation_id: int
) -> SignOnLink:
    """Return the link of an account that is made now. Raises NotLetIn."""
    members = Membership.objects.for_tenant(tenant).select_related("user")
    if present is not None and members.filter(user=present).exists():
        message = _(
            "Your account %(name)s is not linked with %(who)s yet. Link it under Your account, with your password; "
            "then single sign-on opens it."
        )
        raise NotLetIn(message % {"name": present.get_username(), "who": person.label}, code="unlinked")
    if person.email and (same := members.filter(user__email__iexact=person.email).first()) is not None:
        return _moved(tenant, same.user, person)
    invitation = invitation_open_for(tenant, invitation_id=invitation_id, email=person.email)
    role = _role_by_groups(found, person) or (Role(found.new_role) if found.new_role else None)
    if invitation is None:
        _check_domain(tenant, person)
        if role is None:
            message = _("%(tenant)s lets nobody new in by itself. Ask one of its admins for an invitation.")
            raise NotLetIn(message % {"tenant": tenant.name}, code="nobody_new")
    user = _account_made(person)
    if invitation is not None:
        invitation_use(user=user, invitation=invitation)
    else:
        assert role is not None
        member_add(actor=system_actor(tenant), user=user, role=role)
    audit.record(actor=_as(user, tenant), action="sso.account_made", target=user, detail={"who": person.label})
    return _insert(tenant, user, person, made_account=True)


def _moved(tenant: Tenant, user: User, person: Person) -> SignOnLink:
    """Return the link of an account that the tenant's former provider made, for the present one.

    Its verified address is enough for that: the account has no password, and is of this tenant's single sign-on alone.
    Raises NotLetIn for the account of anybody else with that address.
    """
    rows = SignOnLink.objects.for_tenant(tenant).filter(user=user)
    said = {"tenant": tenant.name, "email": person.email}
    if user.has_usable_password():
        message = _(
            "%(tenant)s has a member with the address %(email)s already. If that is you, sign in with your password "
            "and link the account under Your account: an address alone opens no account."
        )
        raise NotLetIn(message % said, code="account_exists")
    if rows.filter(issuer=person.issuer).exists() or not rows.filter(made_account=True).exists():
        message = _(
            "%(tenant)s has a member with the address %(email)s already, and the provider says that you are somebody "
            "else. Ask one of its admins to remove that member, and begin once more."
        )
        raise NotLetIn(message % said, code="address_taken")
    _check_account(user)
    audit.record(actor=_as(user, tenant), action="sso.linked", target=user, detail={"who": person.label})
    return _insert(tenant, user, person, made_account=True)


def _check_domain(tenant: Tenant, person: Person) -> None:
    domains = domains_of(tenant)
    if not domains or (person.email and domain_of(person.email) in domains):
        return
    if person.has_unverified_email:
        message = _(
            "The provider does not say that your e-mail address is verified, and %(tenant)s lets in verified ones "
            "alone. Verify it there and begin once more, or ask an owner of the tenant."
        )
        raise NotLetIn(message % {"tenant": tenant.name}, code="unverified")
    message = _("%(tenant)s lets in addresses of its own domains alone. Ask one of its admins for an invitation.")
    raise NotLetIn(message % {"tenant": tenant.name}, code="domain")


def _invited(tenant: Tenant, user: User, person: Person, invitation_id: int) -> bool:
    invitation = invitation_open_for(tenant, invitation_id=invitation_id, email=person.email)
    if invitation is None:
        return False
    invitation_use(user=user, invitation=invitation)
    return True


def _role_by_groups(found: SingleSignOn, person: Person) -> Role | None:
    roles = [Role(role) for group, role in found.group_roles.items() if group in person.groups]
    return max(roles, key=lambda role: role.rank, default=None)


def _follow_groups(tenant: Tenant, found: SingleSignOn, person: Person, user: User) -> None:
    """Give the member the role of their groups; without any of them that of new people. Owners stay what they are."""
    if not found.group_roles:
        return
    role = _role_by_groups(found, person) or (Role(found.new_role) if found.new_role else None)
    membership = Membership.objects.for_tenant(tenant).get(user=user)
    if role is not None and membership.role not in (Role.OWNER, role):
        member_add(actor=system_actor(tenant), user=user, role=role)


def _account_made(person: Person) -> User:
    """Make an account without a password, with a name that nobody has."""
    first, last = person.first_name, person.last_name
    if not first and not last:
        first, _space, last = person.name.partition(" ")
    for name in _names(person):
        if User.objects.filter(username__iexact=name).exists():
            continue
        user = User(username=name, email=person.email, first_name=first[:150], last_name=last[:150])
        user.set_unusable_password()
        try:
            user.clean_fields(exclude=["password"])
            with transaction.atomic():
                user.save(force_insert=True)
        except (ValidationError, IntegrityError):
            # Refused, or taken by somebody meanwhile.
            continue
        return user
    raise Invalid(_("No name for your account is free. Try again, or ask an admin of the tenant for an invitation."))


def _names(person: Person) -> list[str]:
    """Return user names to try: what the provider suggests, then the same with a number."""
    suggested = person.wanted_name or person.email or person.name
    text = unicodedata.normalize("NFKC", suggested).strip()
    base = re.sub(r"[^\w.@+-]+", "-", text)[:140].strip("-") or "person"
    return [base, *(f"{base}-{number}" for number in range(2, _NAME_TRIES))]


def _insert(tenant: Tenant, user: User, person: Person, *, made_account: bool) -> SignOnLink:
    return SignOnLink.unscoped.create(
        tenant=tenant,
        user=user,
        issuer=person.issuer,
        subject=person.subject,
        email=person.email,
        made_account=made_account,
    )


def _as(user: User, tenant: Tenant) -> Actor:
    """Return the person as whom something is written to the audit log."""
    return replace(system_actor(tenant), role=Role.VIEWER, scopes=ROLE_SCOPES[Role.VIEWER], user=user)


def _email(value: object) -> str:
    text = _text(value, 254)
    try:
        validate_email(text)
    except ValidationError:
        return ""
    return text


def _text(value: object, longest: int) -> str:
    """Return a provider's text in one line; what is none, or cannot be shown, is left out."""
    if not isinstance(value, str):
        return ""
    return "".join(letter for letter in value[: longest * 2] if letter.isprintable()).strip()[:longest]

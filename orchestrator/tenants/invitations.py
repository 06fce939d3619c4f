"""Invitations by link: made by admins, opened by anybody who has the link, accepted once.

An invitation lends its maker's rights: whether they still may give the role is asked when it is accepted, so that one
who is removed, or was made less, lets nobody in afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Invalid, NotFound, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import (
    ROLE_SCOPES,
    Actor,
    actor_for_user,
    get_for_tenant_or_404,
    token_digest,
)
from orchestrator.tenants.models import Invitation, Membership, Role, Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE, require_operation
from orchestrator.tenants.services import member_add, user_create

LASTS: Final = timedelta(days=7)
# Ended ones are kept as long, for the list; the audit log keeps what happened.
_KEPT: Final = timedelta(days=90)
MOST_OPEN: Final = 200


class State(StrEnum):
    """What an invitation is now; OPEN alone can be accepted."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    EXPIRED = "expired"
    VOID = "void"  # who made it may not give its role any more


@dataclass(frozen=True, kw_only=True)
class Found:
    """An invitation with what it is now."""

    invitation: Invitation
    state: State


@transaction.atomic
def invitation_create(*, actor: Actor, role: Role, note: str = "") -> tuple[Invitation, str]:
    """Make an invitation that ends after 7 days; return its row and the link's token, which is shown once.

    Raises Forbidden without the right to give the role, Invalid for a note that is refused, Conflict with too many.
    """
    _require_right(actor, role)
    if actor.user is None:
        raise Invalid(_("An invitation is made by a person: sign in as one."))
    note = note.strip()
    if len(note) > 254 or not (note.isprintable() or not note):
        message = _("Use at most 254 visible characters.")
        raise Invalid(_("The note is not valid."), problems=[Problem(path="note", message=message, code="invalid")])
    now = timezone.now()
    rows = Invitation.objects.for_tenant(actor.tenant)
    rows.filter(created_at__lt=now - _KEPT).delete()
    if rows.filter(_open_at(now)).count() >= MOST_OPEN:
        raise Conflict(
            _("There are %(most)s open invitations. Revoke some of them first.") % {"most": MOST_OPEN},
            code="too_many",
        )
    plain = secrets.token_urlsafe(32)
    invitation = Invitation.unscoped.create(
        tenant=actor.tenant,
        role=role,
        note=note,
        digest=token_digest(plain),
        invited_by=actor.user,
        token=actor.token,
        expires_at=now + LASTS,
    )
    audit.record(actor=actor, action="invitation.created", target=invitation, detail={"role": role.value})
    return invitation, plain


@transaction.atomic
def invitation_revoke(*, actor: Actor, invitation: Invitation) -> Invitation:
    """End an invitation that nobody has accepted; one that has ended stays as it is. Raises Conflict once accepted."""
    require_operation(actor, "invitation.edit")
    now = timezone.now()
    rows = Invitation.objects.for_tenant(actor.tenant).filter(pk=invitation.pk)
    revoked = rows.filter(accepted_at=None, revoked_at=None).update(revoked_at=now)
    invitation = get_for_tenant_or_404(Invitation, actor.tenant, pk=invitation.pk)
    if invitation.accepted_at is not None:
        raise Conflict(_("This invitation was accepted already. Remove the member instead."), code="accepted")
    if revoked:
        audit.record(actor=actor, action="invitation.revoked", target=invitation, detail={"role": invitation.role})
    return invitation


def invitation_find(plain: str) -> Found | None:
    """Return the invitation of a link with what it is now, or None for a link that was never made."""
    rows = Invitation.unscoped.select_related("tenant", "invited_by")
    invitation = rows.filter(digest=token_digest(plain)).first()
    if invitation is None:
        return None
    return Found(invitation=invitation, state=_state(invitation, _may_still(invitation)))


@transaction.atomic
def invitation_accept(*, user: User, plain: str) -> Membership:
    """Make the person a member with the invitation's role; it is used up by that.

    Raises NotFound for an unknown link, Conflict (codes ``accepted``, ``revoked``, ``expired``, ``void``,
    ``member``) for one that cannot be accepted now.
    """
    known = Invitation.unscoped.filter(digest=token_digest(plain)).first()
    if known is None:
        raise NotFound(_("There is no such invitation."))
    # One change of people at a time: two who open the link at once must not both get in, nor race a removal.
    Tenant.objects.select_for_update().get(pk=known.tenant_id)
    found = invitation_find(plain)
    if found is None:
        raise NotFound(_("There is no such invitation."))
    invitation = found.invitation
    if Membership.objects.for_tenant(invitation.tenant_id).filter(user=user).exists():
        raise Conflict(_("You are a member of this tenant already."), code="member")
    if found.state is not State.OPEN:
        raise Conflict(_("This invitation cannot be accepted any more."), code=found.state.value)
    return invitation_use(user=user, invitation=invitation)


def invitation_open_for(tenant: Tenant, *, invitation_id: int, email: str) -> Invitation | None:
    """Return the tenant's open invitation with this id, else one whose note is this verified address, or None."""
    rows = Invitation.objects.for_tenant(tenant).select_related("tenant", "invited_by").filter(_open_at(timezone.now()))
    asked = rows.filter(pk=invitation_id).first() if invitation_id else None
    fitting = [asked] if asked else rows.filter(note__iexact=email).order_by("id") if email else []
    return next((each for each in fitting if _state(each, _may_still(each)) is State.OPEN), None)


@transaction.atomic
def invitation_use(*, user: User, invitation: Invitation) -> Membership:
    """Use up an invitation that was found open while changes of the tenant's people wait. Raises Conflict."""
    inviter = actor_for_user(invitation.invited_by, invitation.tenant.slug)
    membership = member_add(actor=inviter, user=user, role=Role(invitation.role))
    # It may have been taken back since it was looked at, which needs no lock of the tenant.
    rows = Invitation.objects.for_tenant(invitation.tenant_id).filter(pk=invitation.pk)
    if not rows.filter(accepted_at=None, revoked_at=None).update(accepted_at=timezone.now(), accepted_by=user):
        raise Conflict(_("This invitation cannot be accepted any more."), code=State.REVOKED.value)
    role = Role(invitation.role)
    newcomer = Actor(tenant=invitation.tenant, role=role, scopes=ROLE_SCOPES[role], user=user)
    audit.record(actor=newcomer, action="invitation.accepted", target=invitation, detail={"role": role.value})
    return membership


@transaction.atomic
def account_create(*, plain: str, name: str, password: str) -> User:
    """Make an account for who has an open invitation, and accept it: a link makes one account at most.

    Raises Invalid for a name or password that is refused, and what ``invitation_accept`` raises.
    """
    if not name.isprintable():
        # No database looks such a name up.
        message = _("Use letters, digits and @ . + - _ for the user name.")
        raise Invalid(_("The user was not made."), problems=[Problem(path="username", message=message, code="invalid")])
    user, made = user_create(name=name, password=password)
    if not made:
        message = _("Somebody has this name already. Choose another, or sign in if it is you.")
        raise Invalid(message, problems=[Problem(path="username", message=message, code="taken")])
    invitation_accept(user=user, plain=plain)
    return user


def invitation_list(tenant: Tenant) -> QuerySet[Invitation]:
    """Return the invitations of a tenant, newest first, with the people they name."""
    return Invitation.objects.for_tenant(tenant).select_related("invited_by", "accepted_by").order_by("-id")


def with_states(tenant: Tenant, invitations: Iterable[Invitation]) -> list[Found]:
    """Return invitations of one tenant with what each is now; one query however many they are."""
    listed = list(invitations)
    makers = {invitation.invited_by_id for invitation in listed}
    rows = Membership.objects.for_tenant(tenant).filter(user_id__in=makers).values_list("user_id", "role")
    roles: Mapping[int, str] = dict(rows)
    return [
        Found(invitation=each, state=_state(each, _reaches(each, roles.get(each.invited_by_id)))) for each in listed
    ]


def _require_right(actor: Actor, role: Role) -> None:
    require_operation(actor, "invitation.edit")
    if role == Role.OWNER:
        require_operation(actor, "owner.edit")


def _may_still(invitation: Invitation) -> bool:
    membership = Membership.objects.for_tenant(invitation.tenant_id).filter(user=invitation.invited_by_id).first()
    return _reaches(invitation, membership.role if membership else None)


def _reaches(invitation: Invitation, role: str | None) -> bool:
    """Whether who made it may give its role, with the role that they have now."""
    maker = invitation.invited_by
    held = Role(role) if role else Role.OWNER if maker.is_superuser else None
    if held is None or not maker.is_active:
        return False
    needed = MINIMUM_ROLE["owner.edit" if invitation.role == Role.OWNER else "invitation.edit"]
    return held.rank >= needed.rank


def _state(invitation: Invitation, may_still: bool) -> State:
    if invitation.accepted_at is not None:
        return State.ACCEPTED
    if invitation.revoked_at is not None:
        return State.REVOKED
    if invitation.expires_at <= timezone.now():
        return State.EXPIRED
    return State.OPEN if may_still else State.VOID


def _open_at(now: datetime) -> models.Q:
    return models.Q(accepted_at=None, revoked_at=None, expires_at__gt=now)

"""A second factor by time (RFC 6238: SHA-1, six digits, 30 s), and recovery codes for who has lost theirs.

A code counts once: the 30 s it stands for are noted by compare-and-set, and no earlier one is taken afterwards. Codes
of the 30 s before and after are taken too, since clocks differ. Guessing is slowed down as guessing passwords is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pyotp
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Forbidden, Invalid, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, system_actor
from orchestrator.tenants.models import Membership, RecoveryCode, Role, SecondFactor, Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE, require_operation
from orchestrator.tenants.sessions import sessions_end
from orchestrator.tenants.signin import sign_in_failed, sign_in_succeeded, sign_in_wait
from orchestrator.types import JSONValue
from orchestrator.vault import crypto
from orchestrator.vault.sealed import NO_TENANT

ISSUER: Final = "Orchestrator"
RECOVERY_CODES: Final = 10
_SECONDS: Final = 30
_DIGITS: Final = 6
# Without letters and digits that are taken for one another; 16 of them are 79 bits, which nobody tries out.
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH: Final = 16


def factor_of(user: User) -> SecondFactor | None:
    """Return a person's second factor, which counts once it is confirmed, or None."""
    return SecondFactor.objects.select_related("user").filter(user=user).first()


def has_factor(user: User) -> bool:
    """Whether a person has a second factor that counts."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).exists()


def recovery_codes_left(user: User) -> int:
    """Return how many recovery codes a person has not used."""
    return RecoveryCode.objects.filter(user=user).count()


def factor_address(factor: SecondFactor) -> tuple[str, str]:
    """Return what an authenticator takes in, for its owner's eyes: the ``otpauth:`` address and the secret.

    Raises Conflict for one that is confirmed: it is not shown again.
    """
    if factor.confirmed_at is not None:
        raise Conflict(_("The second factor is set up already; its secret is not shown again."))
    secret = _secret(factor)
    name = factor.user.get_username()
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER), secret


@transaction.atomic
def factor_begin(*, user: User) -> SecondFactor:
    """Make a fresh secret, in place of one that was never confirmed. Raises Conflict when a confirmed one is there."""
    User.objects.select_for_update().get(pk=user.pk)
    present = factor_of(user)
    if present is not None and present.confirmed_at is not None:
        raise Conflict(_("Your second factor is on already. Turn it off first to set up another."))
    SecondFactor.objects.filter(user=user).delete()
    factor = SecondFactor(user=user)
    sealed = crypto.seal(pyotp.random_base32().encode(), tenant_id=NO_TENANT, context=_place(factor))
    factor.sealed, factor.key_id = sealed.blob, sealed.key_id
    factor.save(force_insert=True)
    _tell(user, by=user, action="factor.begun")
    return factor


@transaction.atomic
def factor_cancel(*, user: User) -> None:
    """Forget a secret that was never confirmed."""
    if SecondFactor.objects.filter(user=user, confirmed_at=None).delete()[0]:
        _tell(user, by=user, action="factor.cancelled")


def factor_confirm(*, user: User, code: str, address: str) -> list[str]:
    """Turn the second factor on with its first code; return the recovery codes, which are shown once.

    Raises Invalid for a wrong code, Conflict when there is nothing to confirm.
    """
    factor = factor_of(user)
    if factor is None or factor.confirmed_at is not None:
        raise Conflict(_("There is nothing to confirm. Begin again."))
    # Not within the transaction: a wrong try must stay counted.
    _counted(user, address, lambda: _takes(factor, code))
    with transaction.atomic():
        rows = SecondFactor.objects.filter(pk=factor.pk, confirmed_at=None)
        if not rows.update(confirmed_at=timezone.now()):
            raise Conflict(_("There is nothing to confirm. Begin again."))
        _tell(user, by=user, action="factor.turned_on")
        return _fresh_codes(user)


def factor_check(*, user: User, code: str, address: str) -> None:
    """Take a code of the second factor, or a recovery code, which is used up. Raises Invalid for a wrong one.

    Who has no second factor has no right code.
    """
    factor = factor_of(user)
    if factor is None or factor.confirmed_at is None:
        raise _wrong()
    if _plain(code).isdigit() and len(_plain(code)) == _DIGITS:
        _counted(user, address, lambda: _takes(factor, code))
        return
    _counted(user, address, lambda: _use_recovery(user, code))
    _tell(user, by=user, action="factor.recovery_used", detail={"left": recovery_codes_left(user)})


def recovery_renew(*, user: User, code: str, address: str) -> list[str]:
    """Return new recovery codes, in place of all there were; a right code must come first."""
    factor_check(user=user, code=code, address=address)
    with transaction.atomic():
        _tell(user, by=user, action="factor.recovery_renewed")
        return _fresh_codes(user)


def factor_turn_off(*, user: User, code: str, address: str) -> None:
    """Turn one's own second factor off, with a right code."""
    factor_check(user=user, code=code, address=address)
    with transaction.atomic():
        _forget(user)
        _tell(user, by=user, action="factor.turned_off")


@transaction.atomic
def factor_reset(*, actor: Actor, membership: Membership) -> None:
    """Turn a member's second factor off, as an admin, when they have lost it.

    It is the person's in every tenant: an admin resets it only of who belongs to no other, and of no staff.
    Raises Forbidden else, Conflict when there is none.
    """
    membership = get_for_tenant_or_404(Membership, actor.tenant, pk=membership.pk)
    user = membership.user
    require_operation(actor, "factor.reset")
    if membership.role == Role.OWNER:
        require_operation(actor, "owner.edit")
    if user == actor.user:
        raise Conflict(_("Turn your own second factor off under Your account."))
    everywhere = actor.user is not None and actor.user.is_superuser and actor.token is None
    elsewhere = Membership.unscoped.filter(user=user).exclude(tenant=actor.tenant).exists()
    if (elsewhere or user.is_staff or user.is_superuser) and not everywhere:
        raise Forbidden(_("Only your operator resets the second factor of %(name)s.") % {"name": user.get_username()})
    if not _forget(user):
        raise Conflict(_("%(name)s has no second factor.") % {"name": user.get_username()})
    sessions_end(user=user)
    if actor.user is not None:
        _tell(user, by=actor.user, action="factor.reset")


@transaction.atomic
def factor_reset_on_terminal(*, user: User) -> bool:
    """Turn anybody's second factor off, for the operator; return whether there was one. Their sessions end."""
    sessions_end(user=user)
    if not _forget(user):
        return False
    for tenant in tenants_of(user):
        audit.record(actor=system_actor(tenant), action="factor.reset", target=user)
    return True


@transaction.atomic
def tenant_require_factor(*, actor: Actor, required: bool) -> None:
    """Ask every member for a second factor, or no longer. Raises Conflict for an owner who has none of their own."""
    require_operation(actor, "factor.require")
    tenant = Tenant.objects.select_for_update().get(pk=actor.tenant.pk)
    if tenant.second_factor_required == required:
        return
    if required and (actor.user is None or not has_factor(actor.user)):
        raise Conflict(_("Set up your own second factor first, under Your account: you would be locked out else."))
    tenant.second_factor_required = required
    tenant.save(update_fields=["second_factor_required"])
    audit.record(actor=actor, action="tenant.changed", target=tenant, detail={"changed": ["second_factor_required"]})


def may_reset(actor: Actor) -> bool:
    """Whether the actor resets anybody's second factor at all."""
    return actor.may(MINIMUM_ROLE["factor.reset"])


def people_with_factor(users: list[int]) -> set[int]:
    """Return which of the people, by id, have a confirmed second factor; one query."""
    rows = SecondFactor.objects.filter(user_id__in=users, confirmed_at__isnull=False)
    return set(rows.values_list("user_id", flat=True))


def _counted(user: User, address: str, takes: Callable[[], bool]) -> None:
    """Take a code unless too many were wrong of late, and count a wrong one. Raises Invalid."""
    counted = f"second factor of {user.pk}"
    # One after the other: many tries at once would all be looked at before the first is counted. What is wrong is told
    # after the transaction, which would take the count along.
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        seconds = sign_in_wait(name=counted, address=address)
        is_right = not seconds and takes()
        if is_right:
            sign_in_succeeded(name=counted, address=address)
        elif not seconds:
            sign_in_failed(name=counted, address=address)
    if seconds:
        raise Invalid(_("Too many wrong codes. Wait %(seconds)d s and try again.") % {"seconds": seconds})
    if not is_right:
        raise _wrong()


def _wrong() -> Invalid:
    message = _("This code is wrong, or was used already. Wait for the next one and type it.")
    return Invalid(message, problems=[Problem(path="code", message=message, code="wrong")])


def _takes(factor: SecondFactor, code: str) -> bool:
    """Whether a code is one of now, and is taken here for the first time."""
    totp, now, typed = pyotp.TOTP(_secret(factor)), int(time.time()) // _SECONDS, _plain(code).encode()
    steps = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(totp.generate_otp(step).encode(), typed)]
    if not steps:
        return False
    rows = SecondFactor.objects.filter(pk=factor.pk, last_step__lt=steps[0])
    return rows.update(last_step=steps[0]) == 1


def _use_recovery(user: User, code: str) -> bool:
    return RecoveryCode.objects.filter(user=user, digest=_digest(user, code)).delete()[0] == 1


def _fresh_codes(user: User) -> list[str]:
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create([RecoveryCode(user=user, digest=_digest(user, code)) for code in codes])
    return ["-".join(code[at : at + 4] for at in range(0, _LENGTH, 4)) for code in codes]


def _forget(user: User) -> bool:
    RecoveryCode.objects.filter(user=user).delete()
    return SecondFactor.objects.filter(user=user).delete()[0] > 0


def _secret(factor: SecondFactor) -> str:
    try:
        return crypto.unseal(factor.sealed, tenant_id=NO_TENANT, context=_place(factor)).decode()
    except crypto.VaultError as error:
        message = _("Your second factor cannot be read. Trying again does not help: your operator can reset it.")
        raise Conflict(message, code="unreadable") from error


def _place(factor: SecondFactor) -> str:
    return f"second_factor:{factor.pk}"


def _plain(code: str) -> str:
    """Return a code as it was meant: people type spaces and hyphens, and capital letters."""
    return "".join(letter for letter in code.lower() if letter.isascii() and letter.isalnum())


def _digest(user: User, code: str) -> str:
    return hashlib.sha256(f"recovery {user.pk} {_plain(code)}".encode()).hexdigest()


def _tell(user: User, *, by: User, action: str, detail: Mapping[str, JSONValue] | None = None) -> None:
    """Write to the audit log of each tenant that the person belongs to."""
    for tenant in tenants_of(user):
        audit.record(actor=replace(system_actor(tenant), user=by), action=action, target=user, detail=detail)


def tenants_of(user: User) -> list[Tenant]:
    """Return the tenants that a person is a member of."""
    return [each.tenant for each in Membership.unscoped.filter(user=user).select_related("tenant")]

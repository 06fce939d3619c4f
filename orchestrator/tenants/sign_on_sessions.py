"""What a session knows of single sign-on: which tenants it opens, and what is under way at a provider.

A tenant's provider answers for that tenant alone: a session that it begins opens no other one, whoever it is of. Else
who runs one tenant's provider could walk into another tenant.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from orchestrator.tenants.models import SignOnLink

MARKS: Final = "sign_on"  # the session's key of the tenants that it opens through their providers
ASKED: Final = "sign_on_asked"  # what is under way at providers, by state
PROVEN: Final = "sign_on_proven"  # a tenant whose provider is about to be linked, with the proof of whose account
ANSWERED: Final = "sign_on_answered"  # whom a provider vouched for, until the person says that it is they
# Providers tell nobody when somebody is taken out of them, so what they said counts for a working day.
COUNTS_FOR: Final = 12 * 3600.0
ASKED_FOR: Final = 900.0
PROVEN_FOR: Final = 600.0
_MOST_ASKED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What binds a provider's answer to the browser that asked, all three random."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What single sign-on has opened: ``at`` is when, by tenant. ``begun_by`` is None where a password began it."""

    begun_by: int | None = None
    at: Mapping[int, float] = field(default_factory=dict)

    def opens(self, tenant_id: int) -> bool:
        """Whether the tenant's own provider vouched for the person within the last 12 hours."""
        return timezone.now().timestamp() - self.at.get(tenant_id, 0.0) < COUNTS_FOR

    def admits(self, tenant_id: int) -> bool:
        """Whether the session may reach the tenant at all, whatever that asks for besides."""
        return self.begun_by is None or self.opens(tenant_id)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One way to a provider and back. ``purpose`` is ``sign_in`` or ``link``; ``user`` who links, 0 else."""

    tenant: int
    issuer: str
    nonce: str
    verifier: str
    purpose: str
    target: str
    user: int = 0
    invitation: int = 0
    at: float = 0.0


def marks_of(session: Mapping[str, Any] | SessionBase) -> Marks:
    """Return what a session opens through providers."""
    kept = session.get(MARKS) or {}
    at = {int(tenant): float(moment) for tenant, moment in (kept.get("at") or {}).items()}
    return Marks(begun_by=kept.get("by"), at=at)


def mark(session: SessionBase, link: SignOnLink, *, begins: bool) -> None:
    """Note that the tenant's provider vouched for the person; ``begins``: nothing else has signed them in."""
    kept = marks_of(session)
    if begins:
        kept = Marks(begun_by=link.tenant_id)
    at = {str(tenant): moment for tenant, moment in kept.at.items()}
    at[str(link.tenant_id)] = timezone.now().timestamp()
    session[MARKS] = {"by": kept.begun_by, "at": at}


def ask(
    session: SessionBase, *, tenant_id: int, issuer: str, purpose: str, target: str, user_id: int, invitation_id: int
) -> Secrets:
    """Begin a way to a provider; return what binds its answer to this session."""
    made = Secrets(state=secrets.token_urlsafe(32), nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48))
    asked = Asked(
        tenant=tenant_id, issuer=issuer, nonce=made.nonce, verifier=made.verifier, purpose=purpose, target=target,
        user=user_id, invitation=invitation_id, at=timezone.now().timestamp(),
    )  # fmt: skip
    kept = dict(session.get(ASKED) or {})
    # The latest few: each tab of a browser may have one.
    newest = sorted(kept.items(), key=lambda item: item[1]["at"])[-(_MOST_ASKED - 1) :]
    session[ASKED] = {**dict(newest), made.state: asdict(asked)}
    return made


def take(session: SessionBase, state: str, tenant_id: int) -> Asked | None:
    """Return what was asked with this state, and forget it: an answer counts once, in its time, for its tenant."""
    kept = dict(session.get(ASKED) or {})
    found = next((key for key in kept if constant_time_compare(key, state)), None)
    if found is None:
        return None
    asked = Asked(**kept.pop(found))
    session[ASKED] = kept
    is_late = timezone.now().timestamp() - asked.at > ASKED_FOR
    return None if is_late or asked.tenant != tenant_id else asked


def prove(session: SessionBase, *, tenant_id: int, user_id: int) -> None:
    """Note that a person has proven whose account is to be linked with the tenant's provider."""
    session[PROVEN] = {"tenant": tenant_id, "user": user_id, "at": timezone.now().timestamp()}


def is_proven(session: SessionBase, *, tenant_id: int, user_id: int) -> bool:
    """Whether that was proven within the last 10 minutes."""
    kept = session.get(PROVEN) or {}
    is_fresh = timezone.now().timestamp() - float(kept.get("at", 0.0)) < PROVEN_FOR
    return is_fresh and (kept.get("tenant"), kept.get("user")) == (tenant_id, user_id)

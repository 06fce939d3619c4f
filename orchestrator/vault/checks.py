"""Whether credentials still work: asked of their provider when saved, by people and every few hours, told by runs.

1. ``credential_check`` and ``credential_try`` ask at once, for a person: what is saved, and what is not saved yet.
2. ``checks_claim`` hands out what is due: each credential to one process, few at once over all of them, one a tenant.
3. Whoever claimed asks outside of any transaction, and ``check_note`` keeps what it heard. A claim that comes to
   nothing, as its process ended, is due again a little later.
4. ``use_noted`` takes what a step's provider said; ``credentials_mark_expiring`` what the calendar says.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.sdk.auth import Account
from integrations.sdk.errors import AuthError, IntegrationError, PermissionMissing
from orchestrator.errors import Invalid, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault import account, provider_settings
from orchestrator.vault.models import AuthType, Credential, Health
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.renewal import fresh_credential
from orchestrator.vault.secret_schemas import check_secret
from orchestrator.vault.services import (
    CredentialUnavailable,
    ResolvedCredential,
    SecretsUnreadable,
    aware,
    opened,
    resolve_credential,
)
from orchestrator.vault.sharing import usable_or_404

EXPIRES_SOON: Final = timedelta(days=7)
CHECK_EVERY: Final = timedelta(hours=6)
# Over all processes: providers, and the machine's way out, have other things to do.
AT_ONCE: Final = 3
# Longer than a check can take.
_CLAIM: Final = timedelta(minutes=2)
_AGAIN: Final = timedelta(minutes=5)
_DUE_LOOKED_AT: Final = 200


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of asking a provider; ``health`` is None where it could not be asked just now."""

    health: Health | None
    message: str = ""
    account: str = ""
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A credential that this process is to check."""

    tenant_id: int
    credential_id: int


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A claimed credential, ready to be asked about."""

    resolved: ResolvedCredential
    egress_allow: tuple[str, ...]


def credential_check(*, actor: Actor, credential: Credential) -> Credential:
    """Ask the provider whether the secret works, note its health and return the credential.

    Raises Invalid where the provider declares no test. A provider that cannot be reached just now leaves the health
    as it was, with a message that says so.
    """
    require_operation(actor, "credential.check")
    credential = usable_or_404(actor, credential.pk)
    _declared(credential.provider, credential.auth_type)
    # Renewed on the way, it is another secret that the answer is about.
    secret_set_at = credential.secret_set_at
    try:
        resolved = fresh_credential(tenant=actor.tenant, credential_id=credential.pk, is_use=False)
        secret_set_at = resolved.secret_set_at
        verdict = _asked(actor.tenant, resolved)
    except CredentialUnavailable as error:
        verdict = unavailable(error)
    _note_check(actor, credential, secret_set_at, verdict)
    return credential.refresh()


def credential_try(
    *,
    actor: Actor,
    provider: str,
    auth_type: str,
    secret: Mapping[str, Any] | None,
    settings: Mapping[str, Any],
    credential: Credential | None = None,
) -> Verdict:
    """Ask the provider about what is not saved yet, and keep nothing of it.

    Without a ``secret`` the one of ``credential`` is tried with the new settings, which may not send it further than
    its own let it go. Raises Invalid as a save would, and where the provider declares no test.
    """
    require_operation(actor, "credential.check")
    provider_settings.check_provider(provider)
    checked = provider_settings.check_settings(provider, auth_type, settings)
    if credential is not None and secret is None:
        credential = usable_or_404(actor, credential.pk)
        if provider_settings.reaches_further(credential.settings, checked):
            message = _("To let the credential go to further hosts, enter its secret again.")
            raise Invalid(message, problems=[Problem(path="secret", message=message, code="invalid")])
        _declared(provider, auth_type)
        try:
            kept = fresh_credential(tenant=actor.tenant, credential_id=credential.pk, is_use=False)
        except CredentialUnavailable as error:
            return unavailable(error)
        return _asked(actor.tenant, replace(kept, settings=checked))
    values = check_secret(secret or {}, provider=provider, auth_type=auth_type)
    _declared(provider, auth_type)
    if auth_type == AuthType.OAUTH2 and not values.get("access_token"):
        return Verdict(health=None, message=_("There is no token to test yet: save it, then press Connect."))
    unsaved = Credential(tenant=actor.tenant, provider=provider, auth_type=auth_type, settings=checked)
    return _asked(actor.tenant, opened(unsaved, values))


def _declared(provider: str, auth_type: str) -> None:
    """Raise Invalid where the provider declares no test for this kind of credential."""
    if account.declared_test(provider, auth_type) is None:
        raise Invalid(
            _("Credentials of %(provider)s cannot be tested by themselves: test a step that uses this one.")
            % {"provider": provider}
        )


def _asked(tenant: Tenant, resolved: ResolvedCredential) -> Verdict:
    """Ask, and return what came of it whatever that was."""
    found = account.declared_test(resolved.provider, resolved.auth_type)
    assert found is not None
    try:
        answer = account.ask_account(
            resolved, provider=found[0], test=found[1], egress_allow=tuple(tenant.egress_allow or ())
        )
    except Exception as error:
        return refusal(error, resolved)
    return acceptance(answer, resolved)


async def ask(claimed: Opened) -> Verdict:
    """Ask in the loop that runs, and return what came of it whatever that was."""
    resolved = claimed.resolved
    found = account.declared_test(resolved.provider, resolved.auth_type)
    if found is None:
        return Verdict(health=None)
    try:
        answer = await account.ask(resolved, provider=found[0], test=found[1], egress_allow=claimed.egress_allow)
    except Exception as error:
        return refusal(error, resolved)
    return acceptance(answer, resolved)


def acceptance(answer: Account, resolved: ResolvedCredential) -> Verdict:
    """Return what a provider's answer means."""
    clean = Redactor(resolved.secrets)
    label = clean.text(str(answer.label or "")).replace("\x00", "").strip()[:200]
    return Verdict(
        health=Health.WORKING,
        message=_("Signed in as %(account)s.") % {"account": label} if label else "",
        account=label,
        scopes=tuple(clean.text(str(scope))[:100] for scope in answer.scopes[:50]),
        expires_at=aware(answer.expires_at),
    )


def refusal(error: Exception, resolved: ResolvedCredential) -> Verdict:
    """Return what it means that a provider's test raised; a third party's text is redacted like any other."""
    clean = Redactor(resolved.secrets).text
    if isinstance(error, AuthError | PermissionMissing):
        return Verdict(health=Health.RECONNECT, message=clean(_explained(error))[:500])
    found = account.declared_test(resolved.provider, resolved.auth_type)
    provider = found[0].name if found else resolved.provider
    if isinstance(error, TimeoutError):
        why = _("%(provider)s gave no answer in time. Try again later.") % {"provider": provider}
    elif isinstance(error, IntegrationError):
        why = _explained(error)
    else:
        # Its text may hold anything, and tells a person nothing.
        why = _("the test of %(provider)s has a defect (%(error)s).") % {
            "provider": provider,
            "error": type(error).__name__,
        }
    return Verdict(health=None, message=clean(_("The check could not be made: %(why)s") % {"why": why})[:500])


def unavailable(error: CredentialUnavailable) -> Verdict:
    """Return what it means that a credential cannot be opened: only for want of a key does nobody know."""
    health = None if isinstance(error, SecretsUnreadable) else Health.RECONNECT
    return Verdict(health=health, message=str(error)[:500])


def _explained(error: Exception) -> str:
    """Return an error's message and hint."""
    return " ".join(part for part in (str(error), getattr(error, "hint", "")) if part).replace("\x00", "")


@transaction.atomic
def _note_check(actor: Actor, credential: Credential, secret_set_at: datetime, verdict: Verdict) -> None:
    _keep(credential.tenant_id, credential.pk, secret_set_at, verdict)
    health = verdict.health.value if verdict.health else Health(credential.health).value
    audit.record(actor=actor, action="credential.checked", target=credential, detail={"health": health})


def _keep(tenant_id: int, credential_id: int, secret_set_at: datetime, verdict: Verdict) -> bool:
    """Write a verdict down; return whether it was about the secret that is there."""
    now = timezone.now()
    changes: dict[str, Any] = {
        "health_message": verdict.message[:500],
        "health_checked_at": now,
        "next_check_at": now + CHECK_EVERY * random.uniform(0.9, 1.1),  # noqa: S311  (spreads checks)
        "checking_until": None,
    }
    if verdict.health is not None:
        changes["health"] = verdict.health
    if verdict.health == Health.WORKING:
        changes["account"] = verdict.account
        if verdict.scopes:
            # Where the test does not tell them, what the sign-in told stays.
            changes["scopes"] = list(verdict.scopes)
        if verdict.expires_at is not None:
            changes["expires_at"] = verdict.expires_at
    # Guarded by the secret that was tried: one that was replaced meanwhile is not known by this answer.
    rows = Credential.objects.for_tenant(tenant_id).filter(pk=credential_id, secret_set_at=secret_set_at)
    is_kept = bool(rows.update(**changes))
    # It works, and is about to end all the same.
    rows.filter(health=Health.WORKING, expires_at__range=(now, now + EXPIRES_SOON)).exclude(
        auth_type=AuthType.OAUTH2
    ).update(health=Health.EXPIRING)
    return is_kept


def checks_are_due(*, now: datetime) -> bool:
    """Whether any tenant has a credential to check."""
    return Credential.unscoped.filter(next_check_at__lte=now).exists()


@transaction.atomic
def checks_claim(*, now: datetime) -> list[Claim]:
    """Take credentials to check: at most AT_ONCE are under way at any time, and one of a tenant at a time.

    Tenants are drawn by lot, so that one with thousands of credentials does not keep the others waiting.
    """
    rows = Credential.unscoped
    room = AT_ONCE - rows.filter(checking_until__gt=now).count()
    if room <= 0:
        return []
    due = rows.filter(_is_due(now))
    tenants = list(due.order_by().values_list("tenant_id", flat=True).distinct()[:_DUE_LOOKED_AT])
    drawn = random.sample(tenants, min(room, len(tenants)))
    found = (due.filter(tenant_id=tenant_id).order_by("next_check_at", "pk").first() for tenant_id in drawn)
    return [claim for row in found if row is not None and (claim := _claimed(row, now))]


def _is_due(now: datetime) -> Q:
    return Q(next_check_at__lte=now) & (Q(checking_until=None) | Q(checking_until__lte=now))


def _claimed(row: Credential, now: datetime) -> Claim | None:
    """Take one, unless another process was faster."""
    # Not by the moment that was read: SQLite keeps one of its own making with fewer digits than it is asked for.
    taken = Credential.objects.for_tenant(row.tenant_id).filter(_is_due(now), pk=row.pk)
    # Kept before anything is asked: a process that dies over it must not be followed at once by the next.
    if not taken.update(checking_until=now + _CLAIM, next_check_at=now + _AGAIN):
        return None
    return Claim(tenant_id=row.tenant_id, credential_id=row.pk)


def check_open(claim: Claim) -> Opened | Verdict:
    """Open what was claimed, to be asked about; a Verdict where nothing is to be asked."""
    tenant = Tenant.objects.get(pk=claim.tenant_id)
    try:
        resolved = resolve_credential(tenant_id=tenant.pk, credential_id=claim.credential_id, is_use=False)
    except CredentialUnavailable as error:
        return unavailable(error)
    return Opened(resolved=resolved, egress_allow=tuple(tenant.egress_allow or ()))


@transaction.atomic
def check_note(*, claim: Claim, verdict: Verdict, secret_set_at: datetime | None = None) -> None:
    """Keep what a claimed check came to; without ``secret_set_at`` it is about the secret that is there."""
    row = Credential.objects.for_tenant(claim.tenant_id).filter(pk=claim.credential_id).defer("sealed").first()
    if row is None:
        return
    if account.declared_test(row.provider, row.auth_type) is None:
        # Its integration was removed: there is nobody to ask.
        Credential.objects.for_tenant(claim.tenant_id).filter(pk=row.pk).update(next_check_at=None, checking_until=None)
        return
    is_news = verdict.health == Health.RECONNECT and row.health != Health.RECONNECT
    if _keep(claim.tenant_id, row.pk, secret_set_at or row.secret_set_at, verdict) and is_news:
        _record_rejection(row)


@transaction.atomic
def use_noted(
    *, tenant_id: int, credential_id: int, secret_set_at: datetime, refused: str | None, run_id: int | None = None
) -> None:
    """Keep what a provider said to a step, or to a list of choices, which no run asked for.

    It took the secret, or refused it with a message (redacted before).
    """
    rows = Credential.objects.for_tenant(tenant_id).filter(pk=credential_id, secret_set_at=secret_set_at)
    now = timezone.now()
    if refused is None:
        rows.filter(health__in=(Health.NOT_CHECKED, Health.RECONNECT)).update(
            health=Health.WORKING, health_message="", health_checked_at=now
        )
    elif rows.exclude(health=Health.RECONNECT).update(
        health=Health.RECONNECT, health_message=refused.replace("\x00", "")[:500], health_checked_at=now
    ):
        asked = {} if run_id is None else {"run": str(run_id)}
        _record_rejection(rows.defer("sealed").get(), **asked)


def _record_rejection(credential: Credential, **detail: str) -> None:
    """Write down when a credential stopped working: nobody did that, but its history is told from the audit log."""
    actor = system_actor(Tenant.objects.get(pk=credential.tenant_id))
    audit.record(actor=actor, action="credential.rejected", target=credential, detail=detail)


def credentials_mark_expiring(*, now: datetime) -> int:
    """Mark every tenant's credentials that end within a week, and those that have ended; return how many changed."""
    soon = Credential.unscoped.filter(expires_at__lte=now + EXPIRES_SOON).exclude(auth_type=AuthType.OAUTH2)
    ended = soon.filter(expires_at__lte=now).exclude(health=Health.RECONNECT)
    ending = soon.filter(expires_at__gt=now, health__in=(Health.NOT_CHECKED, Health.WORKING))
    return ended.update(health=Health.RECONNECT, health_message=_("It has expired.")) + ending.update(
        health=Health.EXPIRING, health_message=_("It expires within a week.")
    )

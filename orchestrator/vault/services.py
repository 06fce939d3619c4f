"""Credentials: made and changed by people, opened by ``resolve_credential()`` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from integrations.sdk.errors import AuthError, IntegrationError, PermissionMissing
from orchestrator.errors import Invalid, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault import account, crypto, provider_settings
from orchestrator.vault.models import AuthType, Credential, Health
from orchestrator.vault.secret_schemas import check_secret, normalised, secret_values

EXPIRES_SOON: Final = timedelta(days=7)
_UNCHANGED: Final[Any] = object()
# A credential's last use is noted at most this often: every step of every run would write it otherwise.
USE_NOTED_EVERY: Final = timedelta(minutes=1)


def credential_context(credential_id: int) -> str:
    """Return the place that a credential's secret is sealed for."""
    return f"credential:{credential_id}"


class CredentialUnavailable(Exception):
    """A step's credential cannot be used; the message says why and what to do, and holds no secret."""


@dataclass(frozen=True, kw_only=True)
class ResolvedCredential:
    """An opened credential, for one attempt. ``auth`` is the action's ``ctx.auth``; nothing of it is in ``repr``."""

    credential_id: int
    name: str
    provider: str
    auth_type: str
    settings: Mapping[str, Any]
    auth: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@transaction.atomic
def credential_create(
    *,
    actor: Actor,
    name: str,
    provider: str,
    auth_type: str,
    secret: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
) -> Credential:
    """Save a credential. Raises Invalid with a problem for each wrong field."""
    require_operation(actor, "credential.edit")
    if auth_type not in AuthType.values:
        raise _invalid("auth_type", f"Choose one of {', '.join(AuthType.values)}.")
    provider_settings.check_provider(provider)
    values = check_secret(secret, provider=provider, auth_type=auth_type)
    credential = Credential(
        tenant=actor.tenant,
        name=_checked_name(actor, name),
        provider=provider,
        auth_type=auth_type,
        settings=provider_settings.check_settings(provider, auth_type, settings or {}),
        expires_at=_aware(expires_at) or _expiry(values),
        created_by=actor.user,
    )
    _seal(credential, values)
    _save(credential, insert=True)
    audit.record(
        actor=actor,
        action="credential.created",
        target=credential,
        detail={"provider": provider, "auth_type": auth_type},
    )
    return credential


@transaction.atomic
def credential_update(
    *,
    actor: Actor,
    credential: Credential,
    name: str | None = None,
    secret: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    expires_at: datetime | None = _UNCHANGED,
) -> Credential:
    """Change what is given; a new secret replaces the whole old one and makes the health unknown again."""
    require_operation(actor, "credential.edit")
    # Locked: two people who change the secret at once must not mix one's sealed value with the other's key id.
    get_for_tenant_or_404(Credential, actor.tenant, pk=credential.pk)
    credential = Credential.objects.for_tenant(actor.tenant).select_for_update().get(pk=credential.pk)
    changed = []
    if name is not None and name != credential.name:
        credential.name = _checked_name(actor, name, but=credential.pk)
        changed.append("name")
    if settings is not None:
        checked = provider_settings.check_settings(credential.provider, credential.auth_type, settings)
        if secret is None and provider_settings.reaches_further(credential.settings, checked):
            # Else an editor could have a secret that they may not read sent to a server of their own.
            raise _invalid("secret", "To let the credential go to further hosts, enter its secret again.")
        credential.settings = checked
        changed.append("settings")
    if expires_at is not _UNCHANGED:
        credential.expires_at = _aware(expires_at)
        changed.append("expires_at")
    if secret is not None:
        values = check_secret(secret, provider=credential.provider, auth_type=credential.auth_type)
        _seal(credential, values)
        if expires_at is _UNCHANGED:
            # The old time belonged to the old secret.
            credential.expires_at = _expiry(values)
        credential.secret_set_at = timezone.now()
        credential.health, credential.health_message = Health.NOT_CHECKED, ""
        changed.append("secret")
    _save(credential)
    audit.record(actor=actor, action="credential.changed", target=credential, detail={"changed": list(changed)})
    return credential


@transaction.atomic
def credential_delete(*, actor: Actor, credential: Credential) -> None:
    """Delete a credential whatever uses it; ``workflows.services.credential_delete_checked`` asks first."""
    require_operation(actor, "credential.edit")
    credential = get_for_tenant_or_404(Credential, actor.tenant, pk=credential.pk)
    audit.record(actor=actor, action="credential.deleted", target=credential)
    Credential.objects.for_tenant(actor.tenant).filter(pk=credential.pk).delete()


@transaction.atomic
def credential_set_health(*, credential: Credential, health: Health, message: str = "") -> None:
    """Note what a check or a run found out; written by the product, so not in the audit log."""
    Credential.objects.for_tenant(credential.tenant_id).filter(pk=credential.pk).update(
        health=health, health_message=message[:500], health_checked_at=timezone.now()
    )


def credential_check(*, actor: Actor, credential: Credential) -> Credential:
    """Ask the provider whether the secret works, note its health and return the credential.

    Raises Invalid where the provider declares no test. A provider that cannot be reached just now leaves the health
    as it was, with a message that says so.
    """
    require_operation(actor, "credential.check")
    credential = get_for_tenant_or_404(Credential, actor.tenant, pk=credential.pk)
    found = account.declared_test(credential.provider, credential.auth_type)
    if found is None:
        raise Invalid(
            f"Credentials of {credential.provider} cannot be tested by themselves: test a step that uses this one."
        )
    provider, test = found
    health, message, expires_at = Health(credential.health), "", credential.expires_at
    try:
        resolved = resolve_credential(tenant_id=actor.tenant.pk, credential_id=credential.pk)
        answer = account.ask_account(
            resolved, provider=provider, test=test, egress_allow=tuple(actor.tenant.egress_allow or ())
        )
        health, message = Health.WORKING, f"Signed in as {answer.label}." if answer.label else ""
        expires_at = answer.expires_at or expires_at
    except (CredentialUnavailable, AuthError, PermissionMissing) as error:
        health, message = Health.RECONNECT, _explained(error)
    except IntegrationError as error:
        message = f"The check could not be made: {_explained(error)}"
    except TimeoutError:
        message = f"The check could not be made: {provider.name} gave no answer in time. Try again later."
    _note_check(actor, credential, health=health, message=message, expires_at=expires_at)
    return credential.refresh()


@transaction.atomic
def _note_check(
    actor: Actor, credential: Credential, *, health: Health, message: str, expires_at: datetime | None
) -> None:
    # Guarded by the secret that was tried: one that was replaced meanwhile is not known by this answer.
    Credential.objects.for_tenant(actor.tenant).filter(pk=credential.pk, secret_set_at=credential.secret_set_at).update(
        health=health, health_message=message[:500], health_checked_at=timezone.now(), expires_at=_aware(expires_at)
    )
    audit.record(actor=actor, action="credential.checked", target=credential, detail={"health": health.value})


def _explained(error: Exception) -> str:
    """Return an error's message and hint, which never hold the secret."""
    return " ".join(part for part in (str(error), getattr(error, "hint", "")) if part)


def credentials_mark_expiring(*, now: datetime) -> int:
    """Mark every tenant's credentials that end within a week, and those that have ended; return how many changed."""
    soon = Credential.unscoped.filter(expires_at__lte=now + EXPIRES_SOON).exclude(auth_type=AuthType.OAUTH2)
    ended = soon.filter(expires_at__lte=now).exclude(health=Health.RECONNECT)
    ending = soon.filter(expires_at__gt=now, health__in=(Health.NOT_CHECKED, Health.WORKING))
    return ended.update(health=Health.RECONNECT, health_message="It has expired.") + ending.update(
        health=Health.EXPIRING, health_message="It expires within a week."
    )


def resolve_credential(*, tenant_id: int, credential_id: int | None = None, name: str = "") -> ResolvedCredential:
    """Open a credential of this tenant, by id or by name: the only place where a secret becomes readable.

    Raises CredentialUnavailable when it is gone, expired, or cannot be opened.
    """
    credential = _found(tenant_id, credential_id, name)
    if _has_ended(credential):
        raise CredentialUnavailable(
            f"The credential {credential.name!r} has expired. Trying again does not help: enter a new secret."
        )
    provider, auth_type = credential.provider, credential.auth_type
    try:
        plain = crypto.unseal(credential.sealed, tenant_id=tenant_id, context=credential_context(credential.pk))
        values = check_secret(json.loads(plain), provider=provider, auth_type=auth_type)
    except (crypto.VaultError, Invalid) as error:
        raise CredentialUnavailable(
            f"The credential {credential.name!r} cannot be opened ({type(error).__name__}). "
            "An operator can tell more with `manage.py vault status`; entering the secret again repairs it."
        ) from None
    _note_use(credential)
    return ResolvedCredential(
        credential_id=credential.pk,
        name=credential.name,
        provider=provider,
        auth_type=auth_type,
        settings=MappingProxyType(dict(credential.settings)),
        auth=normalised(values, provider=provider, auth_type=auth_type),
        secrets=secret_values(values),
    )


def _found(tenant_id: int, credential_id: int | None, name: str) -> Credential:
    rows = Credential.objects.for_tenant(tenant_id)
    credential = rows.filter(pk=credential_id).first() if credential_id else None
    if credential is None and name:
        # Bound by name as well: one that was deleted and made again under its name serves the same steps.
        credential = rows.filter(name=name).first()
    if credential is None:
        which = f"The credential {name!r}" if name else "The step's credential"
        raise CredentialUnavailable(
            f"{which} no longer exists. Trying again does not help: choose another one in the step."
        )
    return credential


def _has_ended(credential: Credential) -> bool:
    """Whether a credential is past its time; a sign-in can be renewed, so only the provider knows of that one."""
    ends = credential.expires_at
    return ends is not None and ends <= timezone.now() and credential.auth_type != AuthType.OAUTH2


def _expiry(values: Mapping[str, Any]) -> datetime | None:
    """Return until when a checked secret says it is good."""
    text = values.get("expires_at")
    return _aware(parse_datetime(text)) if text else None


def _aware(moment: datetime | None) -> datetime | None:
    """Return the time with a zone: one without is taken for UTC."""
    return moment if moment is None or timezone.is_aware(moment) else moment.replace(tzinfo=UTC)


def _note_use(credential: Credential) -> None:
    now = timezone.now()
    if credential.last_used_at is None or now - credential.last_used_at > USE_NOTED_EVERY:
        Credential.objects.for_tenant(credential.tenant_id).filter(pk=credential.pk).update(last_used_at=now)


def _seal(credential: Credential, values: Mapping[str, Any]) -> None:
    sealed = crypto.seal(
        json.dumps(values).encode(), tenant_id=credential.tenant_id, context=credential_context(credential.pk)
    )
    credential.sealed, credential.key_id = sealed.blob, sealed.key_id


def _checked_name(actor: Actor, name: str, but: int | None = None) -> str:
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise _invalid("name", "Use 1 to 100 visible characters.")
    if Credential.objects.for_tenant(actor.tenant).filter(name=name).exclude(pk=but or 0).exists():
        raise _invalid("name", "Another credential has this name; choose a different one.")
    return name


def _save(credential: Credential, *, insert: bool = False) -> None:
    try:
        with transaction.atomic():
            credential.save(force_insert=insert)
    except IntegrityError:
        raise _invalid("name", "Another credential has this name; choose a different one.") from None


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(f"{path} is not valid: {message}", problems=[Problem(path=path, message=message, code="invalid")])

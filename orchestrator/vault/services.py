"""Credentials: made and changed by people, opened by ``resolve_credential()`` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from orchestrator.errors import Invalid, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault import crypto, provider_settings
from orchestrator.vault.models import AuthType, Credential, Health
from orchestrator.vault.secret_schemas import check_secret, normalised, secret_values

_UNCHANGED: Final[Any] = object()
# A credential's last use is noted at most this often: every step of every run would write it otherwise.
USE_NOTED_EVERY: Final = timedelta(minutes=1)


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
    provider_settings.check_provider(provider, auth_type)
    values = check_secret(secret, provider=provider, auth_type=auth_type)
    credential = Credential(
        tenant=actor.tenant,
        name=_checked_name(actor, name),
        provider=provider,
        auth_type=auth_type,
        settings=provider_settings.check_settings(provider, auth_type, settings or {}),
        expires_at=expires_at,
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
    credential = Credential.objects.for_tenant(actor.tenant).select_for_update().get(pk=credential.pk)
    changed = []
    if name is not None and name != credential.name:
        credential.name = _checked_name(actor, name, but=credential.pk)
        changed.append("name")
    if settings is not None:
        credential.settings = provider_settings.check_settings(credential.provider, credential.auth_type, settings)
        changed.append("settings")
    if expires_at is not _UNCHANGED:
        credential.expires_at = expires_at
        changed.append("expires_at")
    if secret is not None:
        _seal(credential, check_secret(secret, provider=credential.provider, auth_type=credential.auth_type))
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
    audit.record(actor=actor, action="credential.deleted", target=credential)
    Credential.objects.for_tenant(actor.tenant).filter(pk=credential.pk).delete()


@transaction.atomic
def credential_set_health(*, credential: Credential, health: Health, message: str = "") -> None:
    """Note what a check or a run found out; written by the product, so not in the audit log."""
    Credential.objects.for_tenant(credential.tenant_id).filter(pk=credential.pk).update(
        health=health, health_message=message[:500], health_checked_at=timezone.now()
    )


def resolve_credential(*, tenant_id: int, credential_id: int | None = None, name: str = "") -> ResolvedCredential:
    """Open a credential of this tenant, by id or by name: the only place where a secret becomes readable.

    Raises CredentialUnavailable when it is gone, expired, or cannot be opened.
    """
    rows = Credential.objects.for_tenant(tenant_id)
    credential = rows.filter(pk=credential_id).first() if credential_id else None
    if credential is None and name:
        credential = rows.filter(name=name).first()
    if credential is None:
        raise CredentialUnavailable(
            f"The credential {name!r} no longer exists. Trying again does not help: choose another one in the step."
        )
    if credential.expires_at is not None and credential.expires_at <= timezone.now():
        raise CredentialUnavailable(
            f"The credential {credential.name!r} has expired. Trying again does not help: enter a new secret."
        )
    try:
        plain = crypto.unseal(bytes(credential.sealed), tenant_id=tenant_id, context=f"credential:{credential.pk}")
        auth = normalised(json.loads(plain), provider=credential.provider, auth_type=credential.auth_type)
    except (crypto.VaultError, Invalid) as error:
        raise CredentialUnavailable(
            f"The credential {credential.name!r} cannot be opened ({type(error).__name__}). "
            "An operator can tell more with `manage.py vault status`; entering the secret again repairs it."
        ) from None
    _note_use(credential)
    return ResolvedCredential(
        credential_id=credential.pk,
        name=credential.name,
        provider=credential.provider,
        auth_type=credential.auth_type,
        settings=dict(credential.settings),
        auth=auth,
        secrets=secret_values(auth),
    )


def _note_use(credential: Credential) -> None:
    now = timezone.now()
    if credential.last_used_at is None or now - credential.last_used_at > USE_NOTED_EVERY:
        Credential.objects.for_tenant(credential.tenant_id).filter(pk=credential.pk).update(last_used_at=now)


def _seal(credential: Credential, values: Mapping[str, Any]) -> None:
    sealed = crypto.seal(
        json.dumps(values).encode(), tenant_id=credential.tenant_id, context=f"credential:{credential.pk}"
    )
    credential.sealed, credential.key_id = sealed.blob, sealed.key_id


def _checked_name(actor: Actor, name: str, but: int | None = None) -> str:
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise _invalid("name", "Use 1 to 100 visible characters.")
    if Credential.objects.for_tenant(actor.tenant).filter(name=name).exclude(pk=but).exists():
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

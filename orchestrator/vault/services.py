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
from django.utils.translation import gettext as _

from integrations.sdk.oauth import Tokens
from orchestrator.errors import Conflict, Invalid, Problem
from orchestrator.flow.secret_inputs import PROVIDER
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault import crypto, provider_settings, sharing
from orchestrator.vault.account import declared_test
from orchestrator.vault.models import AuthType, Credential, Health
from orchestrator.vault.oauth_apps import Renewable, renewable_of, sign_in_of
from orchestrator.vault.secret_schemas import check_secret, normalised, secret_values
from orchestrator.workflows import secret_inputs, trigger_credentials

_UNCHANGED: Final[Any] = object()
# A credential's last use is noted at most this often: every step of every run would write it otherwise.
USE_NOTED_EVERY: Final = timedelta(minutes=1)


def credential_context(credential_id: int) -> str:
    """Return the place that a credential's secret is sealed for."""
    return f"credential:{credential_id}"


class CredentialUnavailable(Exception):
    """A step's credential cannot be used; the message says why and what to do, and holds no secret."""


class SecretsUnreadable(CredentialUnavailable):
    """The key that the secret is sealed with is not here now. Whoever can wait should: nothing is lost."""


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
    secret_set_at: datetime
    renewable: Renewable | None = field(default=None, repr=False)

    def is_due(self, now: datetime) -> bool:
        """Whether new tokens are to be asked for before it is used."""
        return self.renewable is not None and self.renewable.due_at <= now


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
    shared_with: str = Role.EDITOR,
) -> Credential:
    """Save a credential, shared from a role on. Raises Invalid with a problem for each wrong field."""
    require_operation(actor, "credential.edit")
    if auth_type not in AuthType.values:
        raise _invalid("auth_type", _("Choose one of %(values)s.") % {"values": ", ".join(AuthType.values)})
    provider_settings.check_provider(provider)
    values = check_secret(secret, provider=provider, auth_type=auth_type)
    checked = provider_settings.check_settings(provider, auth_type, settings or {})
    credential = Credential(
        tenant=actor.tenant,
        name=_checked_name(actor, name),
        provider=provider,
        auth_type=auth_type,
        settings=checked,
        shared_with=sharing.checked_role(actor, shared_with),
        expires_at=aware(expires_at) or _expiry(values),
        created_by=actor.user,
        secret_set_by=actor.user,
    )
    _begin_health(credential, values)
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
    shared_with: str | None = None,
) -> Credential:
    """Change what is given; a new secret replaces the whole old one and makes the health unknown again."""
    require_operation(actor, "credential.edit")
    found = sharing.usable_or_404(actor, credential.pk)
    if found.provider == PROVIDER and name not in (None, found.name):
        secret_inputs.lock_holding(actor.tenant, found.name)
    if name not in (None, found.name):
        trigger_credentials.lock_naming(actor.tenant, found.name)
    # Locked: two people who change the secret at once must not mix one's sealed value with the other's key id.
    credential = Credential.objects.for_tenant(actor.tenant).select_for_update().get(pk=credential.pk)
    sharing.require_use(actor, (credential,))
    changed = []
    if shared_with is not None and shared_with != credential.shared_with:
        credential.shared_with = sharing.checked_role(actor, shared_with)
        changed.append("shared_with")
    if name is not None and name != credential.name:
        before, credential.name = credential.name, _checked_name(actor, name, but=credential.pk)
        if credential.provider == PROVIDER:
            secret_inputs.renamed(actor.tenant, before, credential.name)
        trigger_credentials.renamed(actor.tenant, before, credential.name)
        changed.append("name")
    if settings is not None:
        checked = provider_settings.check_settings(credential.provider, credential.auth_type, settings)
        if secret is None and provider_settings.reaches_further(credential.settings, checked):
            # Else an editor could have a secret that they may not read sent to a server of their own.
            raise _invalid("secret", _("To let the credential go to further hosts, enter its secret again."))
        credential.settings = checked
        changed.append("settings")
    if expires_at is not _UNCHANGED:
        _end_at(credential, aware(expires_at))
        changed.append("expires_at")
    if secret is not None:
        values = check_secret(secret, provider=credential.provider, auth_type=credential.auth_type)
        _seal(credential, values)
        if expires_at is _UNCHANGED:
            # The old time belonged to the old secret.
            credential.expires_at = _expiry(values)
        credential.secret_set_at, credential.secret_set_by = timezone.now(), actor.user
        credential.health_checked_at, credential.account, credential.scopes = None, "", []
        _begin_health(credential, values)
        changed.append("secret")
    _save(credential)
    audit.record(actor=actor, action="credential.changed", target=credential, detail={"changed": list(changed)})
    return credential


@transaction.atomic
def credential_delete(*, actor: Actor, credential: Credential) -> None:
    """Delete a credential whatever uses it; ``workflows.services.credential_delete_checked`` asks first."""
    require_operation(actor, "credential.edit")
    credential = sharing.usable_or_404(actor, credential.pk)
    audit.record(actor=actor, action="credential.deleted", target=credential)
    Credential.objects.for_tenant(actor.tenant).filter(pk=credential.pk).delete()


def resolve_credential(
    *, tenant_id: int, credential_id: int | None = None, name: str = "", is_use: bool = True
) -> ResolvedCredential:
    """Open a credential of this tenant, by id or by name: the only place where a secret becomes readable.

    By name alone only one that every editor may use. A test of it is no use of it. Raises CredentialUnavailable when it
    is gone, expired, or cannot be opened, SecretsUnreadable when that is for want of a key.
    """
    credential = _found(tenant_id, credential_id, name)
    if _has_ended(credential):
        raise CredentialUnavailable(
            _("The credential %(name)r has expired. Trying again does not help: enter a new secret.")
            % {"name": credential.name}
        )
    values = opened_values(credential)
    found = opened(credential, values)
    if credential.auth_type == AuthType.OAUTH2 and not values.get("access_token") and found.renewable is None:
        raise CredentialUnavailable(
            _("The credential %(name)r is not connected yet. Open it under Credentials and press Connect.")
            % {"name": credential.name}
        )
    if is_use:
        _note_use(credential)
    return found


def opened_values(credential: Credential) -> dict[str, Any]:
    """Return the values of a credential's secret. Raises CredentialUnavailable, SecretsUnreadable."""
    try:
        plain = crypto.unseal(
            credential.sealed, tenant_id=credential.tenant_id, context=credential_context(credential.pk)
        )
        return check_secret(json.loads(plain), provider=credential.provider, auth_type=credential.auth_type)
    except (crypto.VaultError, Invalid) as error:
        unavailable = SecretsUnreadable if isinstance(error, crypto.UnknownKey) else CredentialUnavailable
        raise unavailable(
            _(
                "The credential %(name)r cannot be opened (%(kind)s). An operator can tell more with "
                "`manage.py vault status`; entering the secret again repairs it."
            )
            % {"name": credential.name, "kind": type(error).__name__}
        ) from None


def opened(credential: Credential, values: Mapping[str, Any]) -> ResolvedCredential:
    """Return a credential with the values of a checked secret, as a step reads it."""
    provider, auth_type = credential.provider, credential.auth_type
    return ResolvedCredential(
        credential_id=credential.pk,
        name=credential.name,
        provider=provider,
        auth_type=auth_type,
        settings=MappingProxyType(dict(credential.settings)),
        auth=normalised(values, provider=provider, auth_type=auth_type),
        secrets=secret_values(values),
        secret_set_at=credential.secret_set_at,
        renewable=renewable_of(credential, values, ends_at=_expiry(values)),
    )


@transaction.atomic
def tokens_keep(
    *, tenant_id: int, credential_id: int, seen: datetime, tokens: Tokens, is_new_sign_in: bool = False
) -> bool:
    """Take new tokens into the credential whose secret was set at ``seen``; return whether it still is that one.

    A new sign-in may be another person's, so no refresh token of the one before is kept. Raises CredentialUnavailable,
    and Conflict where there is no key to seal with.
    """
    rows = Credential.objects.for_tenant(tenant_id).select_for_update().filter(pk=credential_id, secret_set_at=seen)
    credential = rows.first()
    if credential is None:
        return False
    values = opened_values(credential)
    values |= {"access_token": tokens.access_token, "expires_at": tokens.expires_at}
    if tokens.refresh_token or is_new_sign_in:
        values["refresh_token"] = tokens.refresh_token
    kept = check_secret(
        {name: value for name, value in values.items() if value is not None},
        provider=credential.provider,
        auth_type=credential.auth_type,
    )
    _seal(credential, kept)
    credential.secret_set_at = timezone.now()
    credential.expires_at = tokens.expires_at
    credential.renewing_until = None
    fields = ["sealed", "key_id", "secret_set_at", "expires_at", "renewing_until"]
    if tokens.scopes is not None:
        credential.scopes = list(tokens.scopes)
        fields.append("scopes")
    credential.save(update_fields=fields)
    return True


def _found(tenant_id: int, credential_id: int | None, name: str) -> Credential:
    rows = Credential.objects.for_tenant(tenant_id)
    credential = rows.filter(pk=credential_id).first() if credential_id else None
    if credential is None and name:
        # Bound by name as well: one that was deleted and made again under its name serves the same steps.
        credential = rows.filter(name=name).first()
        if credential is not None and credential.shared_with != Role.EDITOR:
            # Else an editor could publish a name that is to be had, and wait for its secret.
            raise CredentialUnavailable(
                _(
                    "The credential %(name)r is another one than this was made with, and is not shared with everyone "
                    "who edits. Trying again does not help: who it is shared with has to publish or test this anew."
                )
                % {"name": name}
            )
    if credential is None:
        which = _("The credential %(name)r") % {"name": name} if name else _("The step's credential")
        raise CredentialUnavailable(
            _("%(which)s no longer exists. Trying again does not help: choose another one in the step.")
            % {"which": which}
        )
    return credential


def _end_at(credential: Credential, moment: datetime | None) -> None:
    """Set when a credential ends; what was only said of it for its old end is not known any more."""
    had_ended = credential.expires_at is not None and credential.expires_at <= timezone.now()
    if credential.health == Health.EXPIRING or (credential.health == Health.RECONNECT and had_ended):
        credential.health, credential.health_message = Health.NOT_CHECKED, ""
        credential.next_check_at = _first_check(credential.provider, credential.auth_type)
    credential.expires_at = moment


def _begin_health(credential: Credential, values: Mapping[str, Any]) -> None:
    """Set what is known of a secret that was just entered. Raises Invalid for a sign-in that nothing can come of."""
    credential.health, credential.health_message = Health.NOT_CHECKED, ""
    credential.next_check_at = _first_check(credential.provider, credential.auth_type)
    if credential.auth_type != AuthType.OAUTH2 or values.get("access_token"):
        return
    sign_in = sign_in_of(credential.provider, credential.settings, values)
    if sign_in is None:
        raise _secret_needed("access_token", _("Enter a token: there is nothing here that could sign in for one."))
    if sign_in.app is None:
        message = _("Enter the client id and secret of an app at %(provider)s: your operator has set none up.")
        raise _secret_needed("client_id", message % {"provider": sign_in.name})
    if sign_in.asks_a_person and not values.get("refresh_token"):
        credential.next_check_at = None
        credential.health = Health.RECONNECT
        credential.health_message = _("Not connected yet: press Connect to sign in at %(provider)s.") % {
            "provider": sign_in.name
        }


def _secret_needed(name: str, message: str) -> Invalid:
    return Invalid(message, problems=[Problem(path=f"secret.{name}", message=message, code="missing")])


def _first_check(provider: str, auth_type: str) -> datetime | None:
    """Return when a new secret is checked for the first time: as soon as may be, where that is possible at all."""
    return timezone.now() if declared_test(provider, auth_type) else None


def _has_ended(credential: Credential) -> bool:
    """Whether a credential is past its time; a sign-in can be renewed, so only the provider knows of that one."""
    ends = credential.expires_at
    return ends is not None and ends <= timezone.now() and credential.auth_type != AuthType.OAUTH2


def _expiry(values: Mapping[str, Any]) -> datetime | None:
    """Return until when a checked secret says it is good."""
    text = values.get("expires_at")
    return aware(parse_datetime(text)) if text else None


def aware(moment: datetime | None) -> datetime | None:
    """Return the time with a zone: one without is taken for UTC."""
    return moment if moment is None or timezone.is_aware(moment) else moment.replace(tzinfo=UTC)


def _note_use(credential: Credential) -> None:
    now = timezone.now()
    if credential.last_used_at is None or now - credential.last_used_at > USE_NOTED_EVERY:
        Credential.objects.for_tenant(credential.tenant_id).filter(pk=credential.pk).update(last_used_at=now)


def _seal(credential: Credential, values: Mapping[str, Any]) -> None:
    try:
        sealed = crypto.seal(
            json.dumps(values).encode(), tenant_id=credential.tenant_id, context=credential_context(credential.pk)
        )
    except crypto.UnknownKey:
        raise Conflict(
            _("It cannot be saved right now: the vault has no key. An operator has to set VAULT_KEYS; then try again."),
            code="no_key",
        ) from None
    credential.sealed, credential.key_id = sealed.blob, sealed.key_id


def free_name(tenant: Tenant, wanted: str) -> str:
    """Return a name like ``wanted`` that no credential of the tenant has yet: ``slack``, or ``slack-2``."""
    base = "".join(letter if letter.isprintable() else " " for letter in wanted).strip().replace("_", "-")[:90] or "key"
    taken = set(Credential.objects.for_tenant(tenant).filter(name__startswith=base).values_list("name", flat=True))
    names = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _checked_name(actor: Actor, name: str, but: int | None = None) -> str:
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise _invalid("name", _("Use 1 to 100 visible characters."))
    if Credential.objects.for_tenant(actor.tenant).filter(name=name).exclude(pk=but or 0).exists():
        raise _invalid("name", _("Another credential has this name; choose a different one."))
    return name


def _save(credential: Credential, *, insert: bool = False) -> None:
    try:
        with transaction.atomic():
            credential.save(force_insert=insert)
    except IntegrityError:
        raise _invalid("name", _("Another credential has this name; choose a different one.")) from None


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(
        _("%(path)s is not valid: %(message)s") % {"path": path, "message": message},
        problems=[Problem(path=path, message=message, code="invalid")],
    )

"""What a channel keeps sealed: the address that messages are posted to, and the secret that signs them."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass, field
from typing import Final

from orchestrator.alerts.models import AlertChannel
from orchestrator.vault import crypto

CONTEXT: Final = "alert_channel"
SECRET_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class Target:
    """An address and, of a webhook, the signing secret as Standard Webhooks writes it."""

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)

    @property
    def key(self) -> bytes:
        return base64.b64decode(self.secret.removeprefix(SECRET_PREFIX))


def new_secret() -> str:
    """Return a fresh signing secret: ``whsec_`` and 32 bytes as base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def target_seal(channel: AlertChannel, target: Target) -> None:
    """Set the sealed columns; the caller saves the row. Raises UnknownKey where the vault has no key."""
    plain = json.dumps({"url": target.url, "secret": target.secret}).encode()
    sealed = crypto.seal(plain, tenant_id=channel.tenant_id, context=f"{CONTEXT}:{channel.pk}")
    channel.sealed, channel.key_id = sealed.blob, sealed.key_id


def target_open(channel: AlertChannel) -> Target:
    """Return what is sealed. Raises VaultError when it does not open."""
    plain = crypto.unseal(bytes(channel.sealed or b""), tenant_id=channel.tenant_id, context=f"{CONTEXT}:{channel.pk}")
    return Target(**json.loads(plain))

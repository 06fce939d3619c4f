"""What a subscription's row keeps sealed: the secret that the provider shares, and the address that it calls."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Final

from orchestrator.vault import crypto
from runs.models import Subscription

SECRET_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class Shared:
    """``secret`` is ours or the provider's own; ``path`` is the address below the product's root."""

    secret: str = field(repr=False)
    path: str = field(repr=False)


def new_secret() -> str:
    """Return a secret that nobody guesses, of characters that every provider's form takes."""
    return secrets.token_urlsafe(SECRET_BYTES)


def seal(row: Subscription, shared: Shared) -> None:
    """Put what is shared into a row, sealed for its place; the caller saves it."""
    text = json.dumps({"secret": shared.secret, "path": shared.path})
    sealed = crypto.seal(text.encode(), tenant_id=row.tenant_id, context=f"subscription:{row.pk}")
    row.sealed, row.key_id = sealed.blob, sealed.key_id


def opened(row: Subscription) -> Shared:
    """Return what a row keeps sealed. Raises VaultError when it does not open."""
    blob = bytes(row.sealed or b"")
    found = json.loads(crypto.unseal(blob, tenant_id=row.tenant_id, context=f"subscription:{row.pk}"))
    return Shared(secret=found["secret"], path=found["path"])

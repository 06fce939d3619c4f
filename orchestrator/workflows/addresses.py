"""Addresses that a third party calls: found by their hash, readable to editors from a sealed column."""

from __future__ import annotations

import secrets
from typing import Final

from orchestrator.flow.names import TriggerType
from orchestrator.vault import crypto
from orchestrator.workflows.digests import address_digest
from orchestrator.workflows.models import Trigger

TOKEN_BYTES: Final = 24
PATHS: Final = {TriggerType.WEBHOOK: "/h/", TriggerType.EVENT: "/h/", TriggerType.FORM: "/f/"}


def give_address(trigger: Trigger) -> None:
    """Set a fresh, unguessable address on a trigger of a type that has one; the caller saves the row."""
    if trigger.type not in PATHS or trigger.address_digest:
        return
    token = secrets.token_urlsafe(TOKEN_BYTES)
    sealed = crypto.seal(token.encode(), tenant_id=trigger.tenant_id, context=f"trigger:{trigger.pk}")
    trigger.address_digest = address_digest(token)
    trigger.address_sealed, trigger.address_key_id = sealed.blob, sealed.key_id


def trigger_address(trigger: Trigger) -> str:
    """Return the token of a trigger's address, for those who may read it. Raises VaultError when it does not open."""
    blob = bytes(trigger.address_sealed or b"")
    return crypto.unseal(blob, tenant_id=trigger.tenant_id, context=f"trigger:{trigger.pk}").decode()


def trigger_path(trigger: Trigger, token: str) -> str:
    """Return the path below the product's root, like ``/h/<token>``."""
    return PATHS[TriggerType(trigger.type)] + token

"""Addresses of a run: its page, and those at which others answer a step, ``/a/<token>`` and ``/c/<token>``.

A token is the run's id and a signature over run and path, so it is known before the step runs and needs no row of its
own; nobody can guess it, and no dump of the database holds it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from typing import Final

from django.conf import settings

from orchestrator.vault import crypto

PATHS: Final = {"flow.approve": "/a/", "flow.callback": "/c/"}
_PURPOSE: Final = "answer links"
_ID_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 16


def link_url(action: str, run_id: int, path: str) -> str:
    """Return the address of a step of an action that others answer, whole where BASE_URL is set."""
    return f"{settings.BASE_URL or ''}{PATHS[action]}{token_of(run_id, path)}"


def run_url(tenant_slug: str, run_id: int) -> str:
    """Return the address of a run's page, whole where BASE_URL is set."""
    return f"{settings.BASE_URL or ''}/w/{tenant_slug}/runs/{run_id}/"


def token_of(run_id: int, path: str) -> str:
    """Return the token of a step: 32 characters of A-Z a-z 0-9 - _."""
    signature = _signature(crypto.signing_keys(_PURPOSE)[0], run_id, path)
    return base64.urlsafe_b64encode(run_id.to_bytes(_ID_BYTES, "big") + signature).decode()


def run_id_of(token: str) -> int | None:
    """Return the run that a token names, without saying that the token is right; None for what is no token."""
    raw = _bytes(token)
    return None if raw is None else int.from_bytes(raw[:_ID_BYTES], "big")


def path_of(token: str, paths: Iterable[str]) -> str | None:
    """Return the first of its run's paths that the token is for, signed with any of the vault's keys."""
    raw = _bytes(token)
    if raw is None:
        return None
    run_id, signature = int.from_bytes(raw[:_ID_BYTES], "big"), raw[_ID_BYTES:]
    keys = crypto.signing_keys(_PURPOSE)
    for path in paths:
        if any(hmac.compare_digest(signature, _signature(key, run_id, path)) for key in keys):
            return path
    return None


def _signature(key: bytes, run_id: int, path: str) -> bytes:
    return hmac.digest(key, f"{run_id}/{path}".encode(), "sha256")[:_SIGNATURE_BYTES]


def _bytes(token: str) -> bytes | None:
    if len(token) != 32 or not token.isascii():
        return None
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    # Ids are positive and have 63 bits.
    return raw if raw[0] < 0x80 else None

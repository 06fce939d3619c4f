"""What an address is found by. Apart from ``addresses``, which opens sealed ones and needs the vault for it."""

from __future__ import annotations

import hashlib


def address_digest(token: str) -> str:
    """Return what a look-up by address asks for."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()

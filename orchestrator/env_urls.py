"""What addresses and networks in settings may be."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_web_address(value: str) -> bool:
    """Whether it is an http or https URL with a host, and without a user name."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None


def is_network(word: str) -> bool:
    """Whether it is an IP address or a network of them, like ``10.0.0.0/8``."""
    try:
        ipaddress.ip_network(word, strict=False)
    except ValueError:
        return False
    return True

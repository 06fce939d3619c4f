"""What the settings of mail may be."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Final
from urllib.parse import parse_qsl, urlsplit

_TRUE: Final = frozenset({"1", "true", "yes", "on"})


def uses_tls(url: str) -> bool:
    """Whether a connection to the mail server of ``smtp://…?tls=1`` is to be secured by STARTTLS."""
    return dict(parse_qsl(urlsplit(url).query)).get("tls", "").strip().lower() in _TRUE


def is_sender(text: str) -> bool:
    """Whether mail can come from it: ``Name <a@example.com>``, or the address alone."""
    name, address = parseaddr(text)
    local, _at, domain = address.rpartition("@")
    return bool(local and domain) and text.isprintable() and bool(name or text.strip(" <>") == address)

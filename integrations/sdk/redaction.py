"""Taking known secrets out of a text that goes into an error or a log, in the spellings that servers echo."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "••••"
_SHORTEST: Final = 4


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` without the secrets, raw, base64, URL- and JSON-escaped; the longest go first."""
    for spelling in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(spelling, MASK)
    return text


def _spellings(secrets: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for secret in secrets:
        if len(secret) < _SHORTEST:
            continue
        encoded = secret.encode("utf-8", "surrogatepass")
        found |= {
            secret,
            quote(encoded, safe=""),
            quote(encoded, safe=":"),
            quote_plus(encoded),
            json.dumps(secret)[1:-1],
        }
        found |= {base64.b64encode(encoded).decode(), base64.urlsafe_b64encode(encoded).decode()}
        found |= {
            base64.b64encode(encoded).decode().rstrip("="),
            base64.urlsafe_b64encode(encoded).decode().rstrip("="),
        }
    return found

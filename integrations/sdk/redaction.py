"""Taking known secrets out of a text that goes into an error or a log, in the spellings that servers echo."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    import httpx

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


def redact_added(bare: httpx.Request, wired: httpx.Request, secrets: Sequence[str], text: str) -> str:
    """Take out of ``text`` the known secrets and whatever the credential added to the request."""
    before = {*bare.headers.values(), *bare.url.params.values(), *_segments(bare)}
    after = (*wired.headers.values(), *wired.url.params.values(), *_segments(wired))
    added = [value for value in after if value not in before]
    return redact(text, (*secrets, *added, *(value.partition(" ")[2] for value in added)))


def _segments(request: httpx.Request) -> list[str]:
    return request.url.raw_path.partition(b"?")[0].decode("ascii").split("/")

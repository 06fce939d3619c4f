"""What may stand in a header that a workflow or an action sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import httpx

from integrations.sdk.errors import InputError
from integrations.words import gettext as _

HeaderItems: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]] | httpx.Headers

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
CONTROL_BYTE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# The client writes these itself: a second one, or a wrong one, lets a request be read as two.
DENIED: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# All that goes along to another origin: any other header may be a secret under a name we cannot know.
HARMLESS: Final = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})


def checked(headers: HeaderItems | None) -> list[tuple[str, str]]:
    """Return the headers as pairs. Raises InputError on a name or value that HTTP cannot carry or may not be set."""
    pairs: Iterable[tuple[str, str]]
    if headers is None:
        return []
    if isinstance(headers, httpx.Headers):
        pairs = headers.multi_items()
    else:
        pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [_checked_pair(name, value) for name, value in pairs]


def _checked_pair(name: str, value: str) -> tuple[str, str]:
    name, value = str(name), str(value)
    if not _TOKEN.fullmatch(name):
        raise InputError(_("%(name)r is not the name of an HTTP header.") % {"name": name[:80]}, field="headers")
    if name.lower() in DENIED:
        raise InputError(
            _("The header %(name)s is written by the client and cannot be set.") % {"name": name},
            field="headers",
            hint=_("Leave it out."),
        )
    if _CONTROL.search(value):
        raise InputError(
            _("The header %(name)s has a line break or control character in its value.") % {"name": name},
            field="headers",
        )
    if not value.isascii():
        raise InputError(
            _("The header %(name)s has characters outside ASCII, which HTTP headers cannot carry.") % {"name": name},
            field="headers",
        )
    return name, value.strip(" \t")

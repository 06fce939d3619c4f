"""Redirects, hop by hop: what goes along, and what never does."""

from __future__ import annotations

import re
from typing import Final

import httpx

from integrations.sdk.egress import origin
from integrations.sdk.errors import InputError, Permanent
from integrations.sdk.headers import HARMLESS
from integrations.words import gettext as _

MAX_REDIRECTS: Final = 10
REPEATING: Final = frozenset({307, 308})
_FOLLOWED: Final = frozenset({301, 302, 303}) | REPEATING
_HOST: Final = re.compile(rb"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_OF_THE_BODY: Final = frozenset({"content-encoding", "content-language", "content-length", "content-type", "host"})


def check_url(url: httpx.URL) -> None:
    """Raise InputError unless the URL is http or https, names a host and carries no user name or password."""
    if url.scheme not in {"http", "https"} or not _HOST.fullmatch(url.raw_host):
        raise InputError(_("The address must start with http:// or https:// and name a host."), field="url")
    if url.userinfo:
        raise InputError(
            _("The address holds a user name or password."), field="url", hint=_("Use a credential in its place.")
        )


def target(response: httpx.Response) -> httpx.URL | None:
    """Return where an answer leads, or None if it leads nowhere. Raises Permanent for a place that is none."""
    location = response.headers.get("location") if response.status_code in _FOLLOWED else None
    if not location:
        return None
    try:
        url = response.request.url.join(location).copy_with(fragment=None)
        check_url(url)
    except (httpx.InvalidURL, InputError, ValueError):
        raise Permanent(
            _("%(host)s led to an address that cannot be followed.") % {"host": response.request.url.host}
        ) from None
    return url


def next_request(request: httpx.Request, status: int, url: httpx.URL) -> tuple[bool, httpx.Request]:
    """Return whether the next hop is the same origin, and the request for it, credential not included.

    To another origin go no body and only harmless headers: any other may be a secret under a name of its own.
    """
    same_origin = origin(url) == origin(request.url)
    method = _method(request.method, status)
    keeps_body = same_origin and method == request.method and status in REPEATING
    dropped = frozenset() if keeps_body else _OF_THE_BODY
    headers = [
        (name, value)
        for name, value in request.headers.multi_items()
        if name not in dropped and name != "host" and (same_origin or name in HARMLESS)
    ]
    return same_origin, httpx.Request(method, url, headers=headers, content=request.content if keeps_body else None)


def _method(method: str, status: int) -> str:
    if status == 303 and method != "HEAD":
        return "GET"
    if status in {301, 302} and method not in {"GET", "HEAD"}:
        return "GET"
    return method

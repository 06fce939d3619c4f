"""A wire that sends nothing: it keeps the first request of a call, and the call ends there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

import httpx

from integrations.sdk.client import Flight


class Held(BaseException):
    """Ends a call at its first request. No Exception: an action that tries something else after one must not go on."""


@dataclass(frozen=True, kw_only=True)
class HeldRequest:
    """A request that was not sent, as it is before the client puts the credential on it; nothing of it is in ``repr``.

    ``added_headers`` and ``added_query`` name what the credential would add or replace, ``in_path`` says that it goes
    into the path.
    """

    method: str
    url: httpx.URL = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    added_headers: tuple[str, ...] = ()
    added_query: tuple[str, ...] = ()
    in_path: bool = False

    @property
    def is_signed(self) -> bool:
        """Whether the credential would go along."""
        return bool(self.added_headers or self.added_query or self.in_path)


@dataclass(kw_only=True)
class HoldingWire:
    """Keeps the first request as ``held`` and refuses each one; ``keeping`` goes around what signs requests."""

    held: HeldRequest | None = None
    _unsigned: tuple[httpx.Request, httpx.URL, httpx.Headers] | None = field(default=None, repr=False)

    def keeping(self, authorize: Callable[[httpx.Request], None] | None) -> Callable[[httpx.Request], None] | None:
        """Return what signs a request as ``authorize`` does, after it was looked at as it is without that."""
        if authorize is None:
            return None

        def sign(request: httpx.Request) -> None:
            self._unsigned = (request, request.url, request.headers.copy())
            authorize(request)

        return sign

    async def exchange(self, request: httpx.Request, flight: Flight, max_bytes: int) -> NoReturn:
        """Keep the request and end the call. Raises Held."""
        if self.held is None:
            self.held = self._as_held(request)
        raise Held

    def _as_held(self, request: httpx.Request) -> HeldRequest:
        url, headers = request.url, request.headers
        if self._unsigned is not None and self._unsigned[0] is request:
            _request, url, headers = self._unsigned
        before, after = headers.multi_items(), request.headers.multi_items()
        known = url.params.multi_items()
        added = [name for name, value in request.url.params.multi_items() if (name, value) not in known]
        return HeldRequest(
            method=request.method,
            url=url,
            headers=tuple((name.decode("ascii"), value.decode(headers.encoding)) for name, value in headers.raw),
            body=request.content,
            added_headers=tuple(dict.fromkeys(name for name, value in after if (name, value) not in before)),
            added_query=tuple(dict.fromkeys(added)),
            in_path=request.url.raw_path.partition(b"?")[0] != url.raw_path.partition(b"?")[0],
        )

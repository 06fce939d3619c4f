"""The one HTTP client: aiohttp's connections under httpx's requests, each address checked as its socket is made.

httpx's own pool costs several times the CPU (PERFORMANCE.md). The package httpx-aiohttp is not between them: it
reports a connection that broke after sending as one that was never made, which would send a payment twice, and its
``aclose`` waits without limit for a body that the other side does not read.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from typing import Any, Final

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from yarl import URL

from integrations.sdk.client import MAX_BYTES, Answer, Flight, Renew, Response, StepHttp, WireError
from integrations.sdk.decoding import LARGE_BODY, BodyTooLarge, Room, read_decoded
from integrations.sdk.egress import AddressRefused, EgressPolicy, origin
from integrations.sdk.errors import InputError
from integrations.words import gettext as _
from integrations.words import gettext_noop

__all__ = ["AddressRefused", "EgressPolicy", "HttpPool", "Response", "StepHttp"]

CONNECT_SECONDS: Final = 10.0
# Shorter than the five seconds of common servers: a POST must not meet a connection that is just being closed,
# for then nobody can tell whether it was taken.
KEEPALIVE_SECONDS: Final = 4.0
CONNECTIONS: Final = 1000
CONNECTIONS_A_HOST: Final = 250
CHUNK: Final = 64 * 1024
ROUTES_KEPT: Final = 1024
_WRITTEN_BY_AIOHTTP: Final = frozenset({b"host", b"content-length"})

_flight: ContextVar[Flight] = ContextVar("flight")


class _Connector(aiohttp.TCPConnector):
    """Marks the moment after which a request may have been taken: it has a connection to be written to."""

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        _flight.get().sent = True
        return connection


class _Refused(OSError):
    """Stops a connection before its first packet."""


@cache
def _default_tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


class HttpPool:
    """Connections of one asyncio loop, shared by every tenant and step: it keeps no cookies and no credentials.

    Requests that the operator exempted go over connections of their own, so that no other request finds one of these
    open. ``resolver`` and ``tls`` replace name lookup and trust; ``room`` is waited for before a large body is read.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        room: Room | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._tls = tls
        self._room = room
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._routes: dict[tuple[str, str], tuple[bool, URL]] = {}

    def client(
        self,
        *,
        base_url: str = "",
        authorize: Callable[[httpx.Request], None] | None = None,
        auth_hosts: Sequence[str] | None = None,
        egress_allow: Sequence[str] = (),
        deadline: datetime,
        idempotency_key: str = "",
        max_bytes: int = MAX_BYTES,
        secrets: Sequence[str] = (),
        renew: Renew | None = None,
        traceparent: str = "",
    ) -> StepHttp:
        """Return the client of one attempt; StepHttp says what the arguments mean, and costs nothing to make."""
        return StepHttp(
            wire=self,
            base_url=base_url,
            authorize=authorize,
            auth_hosts=auth_hosts,
            egress_allow=egress_allow,
            deadline=deadline,
            idempotency_key=idempotency_key,
            max_bytes=max_bytes,
            secrets=secrets,
            renew=renew,
            traceparent=traceparent,
        )

    async def aclose(self) -> None:
        """Close every connection; the pool may be used again afterwards."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def exchange(self, request: httpx.Request, flight: Flight, max_bytes: int) -> Answer:
        """Send one request and read its answer. Raises WireError, AddressRefused, BodyTooLarge."""
        flight.refused = ""
        token = _flight.set(flight)
        try:
            response = await self._open(request)
            try:
                body = await _body(response, max_bytes, self._room)
            except BaseException:
                response.close()
                raise
            response.release()
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise _explained(request, flight, error) from None
        finally:
            _flight.reset(token)
        return Answer(response.status, response.raw_headers, body, response.reason or "")

    async def _open(self, request: httpx.Request) -> aiohttp.ClientResponse:
        headers = [
            (name.decode("ascii"), value.decode("ascii"))
            for name, value in request.headers.raw
            if name.lower() not in _WRITTEN_BY_AIOHTTP
        ]
        trusted, url = self._route(request)
        return await self._session(trusted=trusted).request(
            request.method,
            url,
            headers=headers,
            data=request.content or None,
            allow_redirects=False,
        )

    def _route(self, request: httpx.Request) -> tuple[bool, URL]:
        """Return whether the operator exempted the request, and the URL for aiohttp. Raises InputError."""
        key = (request.method, str(request.url))
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) >= ROUTES_KEPT:
                self._routes.clear()
            found = self._routes[key] = self._policy.trusts(request), _checked_url(key[1])
        return found

    def _session(self, *, trusted: bool) -> aiohttp.ClientSession:
        session = self._sessions.get(trusted)
        if session is None:
            session = self._sessions[trusted] = self._new_session(trusted=trusted)
        return session

    def _new_session(self, *, trusted: bool) -> aiohttp.ClientSession:
        connector = _Connector(
            ssl=self._tls or _default_tls(),
            resolver=self._resolver or aiohttp.ThreadedResolver(),
            socket_factory=None if trusted else self._guarded_socket,
            limit=CONNECTIONS,
            limit_per_host=CONNECTIONS_A_HOST,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            skip_auto_headers=("Content-Type", "User-Agent"),
            auto_decompress=False,
            trust_env=False,
        )

    def _guarded_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make the socket for an address that is about to be connected to, or refuse: nothing resolves it again."""
        family, kind, protocol, _, sockaddr = address
        reason = self._policy.refusal(str(sockaddr[0]), int(sockaddr[1]))
        if reason is not None:
            _flight.get().refused = reason
            raise _Refused("refused")
        return socket.socket(family=family, type=kind, proto=protocol)


async def _body(response: aiohttp.ClientResponse, max_bytes: int, room: Room | None) -> bytes:
    """Return the decoded body. Raises what ``read_decoded`` does."""
    encoding, length = response.headers.get("Content-Encoding"), response.content_length
    if encoding or length is None or response.method == "HEAD":
        return await read_decoded(_chunks(response), encoding or "", max_bytes, room)
    if length > max_bytes:
        raise BodyTooLarge(max_bytes, length)
    if room is not None and length >= LARGE_BODY:
        await room(length)
    # As long as it said, which the connection sees to.
    return await response.read()


async def _chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in response.content.iter_chunked(CHUNK):
        yield chunk


def _checked_url(url: str) -> URL:
    """Return the URL for aiohttp. Raises InputError if the two readings name different hosts."""
    try:
        parsed = URL(url, encoded=True)
        same = (parsed.scheme, (parsed.raw_host or "").lower().rstrip("."), parsed.port) == origin(httpx.URL(url))
    except ValueError:
        same = False
    if not same:
        raise InputError(_("The address cannot be read as a URL."), field="url")
    return parsed


_REASONS: Final[Mapping[type[BaseException], str]] = {
    aiohttp.ClientConnectorDNSError: gettext_noop("its name is not known"),
    aiohttp.ClientConnectorCertificateError: gettext_noop("its certificate is not valid"),
    aiohttp.ClientConnectorSSLError: gettext_noop("no secure connection could be agreed on"),
    aiohttp.ConnectionTimeoutError: gettext_noop("no connection within %(seconds).0f s"),
    aiohttp.ServerDisconnectedError: gettext_noop("the server closed it"),
    aiohttp.ClientPayloadError: gettext_noop("the answer is incomplete"),
    aiohttp.ClientResponseError: gettext_noop("the answer is not HTTP"),
    ConnectionRefusedError: gettext_noop("nothing listens there"),
    ConnectionResetError: gettext_noop("it was reset"),
}


def _explained(request: httpx.Request, flight: Flight, error: BaseException) -> Exception:
    """Return the error for a person. The resolved address stays out of it: a tenant must not map our network."""
    if flight.refused and isinstance(error, aiohttp.ClientConnectorError):
        return AddressRefused(
            _("%(host)s leads to an address that steps may not reach (%(why)s).")
            % {"host": request.url.host, "why": _(flight.refused)},
            hint=_("Steps reach public addresses only; an operator can allow others with EGRESS_ALLOW."),
        )
    if isinstance(error, aiohttp.InvalidURL):
        return InputError(_("The address cannot be read as a URL."), field="url")
    causes = (error, getattr(error, "os_error", error))
    reasons = [text for kind, text in _REASONS.items() for cause in causes if isinstance(cause, kind)]
    connected = not isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    return WireError(
        _(reasons[0]) % {"seconds": CONNECT_SECONDS} if reasons else _("it broke off"), connected=connected
    )

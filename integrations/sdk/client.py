"""``ctx.http``: httpx's shape, with the credential, the guard, the deadline and the caps of one attempt.

It builds ``httpx.Request`` objects and hands them to a wire: the pool's (``http.py``) or a test's (``testing.py``).
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final, Protocol, TypedDict, Unpack

import httpx

from integrations.sdk import redirects, unanswered
from integrations.sdk.decoding import ACCEPT_ENCODING
from integrations.sdk.egress import AddressRefused, host_is_listed
from integrations.sdk.errors import AuthError, InputError, Permanent
from integrations.sdk.headers import CONTROL_BYTE, HeaderItems, checked
from integrations.sdk.limits import Gate
from integrations.sdk.paging import NORMAL_LIMITS, ItemsOf, Page, PageLimits, Paging, paged
from integrations.sdk.redaction import redact_added
from integrations.sdk.response import Answer as Answer
from integrations.sdk.response import Response as Response
from integrations.words import gettext as _
from integrations.words import gettext_noop

USER_AGENT: Final = "Orchestrator/0.1"
# Of an answer, where whoever makes the client says nothing else.
MAX_BYTES: Final = 10 * 1024 * 1024
# What only asks (RFC 9110, 9.2.1).
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
KEYED_METHODS: Final = frozenset({"POST", "PATCH"})
METHODS: Final = IDEMPOTENT_METHODS | KEYED_METHODS

_UNFIT: Final = gettext_noop("The credential has characters that a request cannot carry.")

Authorize = Callable[[httpx.Request], None]
Renew = Callable[[], Awaitable[Authorize | None]]


class WireError(Exception):
    """A request without an answer; ``reason`` is for a person and names no address and no secret."""

    def __init__(self, reason: str, *, connected: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.connected = connected


@dataclass(slots=True)
class Flight:
    """How far a request came: a wire sets ``sent`` as soon as it may have its effect."""

    sent: bool = False
    refused: str = ""


class Wire(Protocol):
    """Sends one request, follows nothing. Raises WireError without an answer, AddressRefused without a connection."""

    async def exchange(self, request: httpx.Request, flight: Flight, max_bytes: int) -> Answer: ...


class RequestOptions(TypedDict, total=False):
    """What every method of StepHttp takes, as in httpx; ``timeout`` is in seconds and only shortens the deadline.

    ``max_bytes`` only lowers what the answer may have; ``with_credential=False`` sends a request without it.
    """

    params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None
    headers: HeaderItems | None
    json: Any
    data: Mapping[str, Any] | None
    files: Any
    content: bytes | str | None
    timeout: float | None
    idempotent: bool | None
    follow_redirects: bool
    max_bytes: int | None
    with_credential: bool


@dataclass(kw_only=True, repr=False)
class StepHttp:
    """The client of one attempt.

    Relative paths join ``base_url``. ``authorize`` puts the credential on requests to ``auth_hosts`` (None: every
    host) and on no other; ``egress_allow`` narrows the hosts that may be reached, empty for every public one.
    ``withheld`` lists hosts that were asked without the credential because it does not belong to them. ``renew`` is
    asked once for another credential where this one is refused (401), and the request is sent again with it: a request
    that is refused so was not taken. ``traceparent`` goes with every request that has no such header of its own.
    Requests to ``auth_hosts`` pass ``gate``.
    """

    wire: Wire
    base_url: str = ""
    authorize: Authorize | None = None
    auth_hosts: Sequence[str] | None = None
    egress_allow: Sequence[str] = ()
    deadline: datetime
    idempotency_key: str = ""
    max_bytes: int = MAX_BYTES
    secrets: Sequence[str] = ()
    withheld: list[str] = field(default_factory=list)
    renew: Renew | None = None
    traceparent: str = ""
    gate: Gate | None = None
    idempotency_header: str = "Idempotency-Key"
    _keyed: int = 0

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        return await self.request("GET", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        return await self.request("HEAD", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        return await self.request("DELETE", url, **options)

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request and return its answer, whatever the status, redirects followed.

        Raises InputError for a request that cannot be made, AddressRefused for a forbidden address, Transient when it
        was not sent, and, when the answer was lost, Transient or Timeout if repeating is safe, else OutcomeUnknown.
        What the gate raises comes before anything is sent.
        """
        request = await self._build(method, url, options)
        idempotent = options.get("idempotent")
        repeatable = request.method in IDEMPOTENT_METHODS if idempotent is None else idempotent
        if self.gate is not None and (self.auth_hosts is None or host_is_listed(request.url, self.auth_hosts)):
            await self.gate.enter(self._seconds(None))
        seconds = self._seconds(options.get("timeout"))
        flight = Flight()
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(request, flight, options)
        except TimeoutError:
            raise unanswered.late(request, sent=flight.sent, repeatable=repeatable, seconds=seconds) from None
        except WireError as error:
            raise unanswered.broken(
                request, error.reason, connected=error.connected, sent=flight.sent, repeatable=repeatable
            ) from None

    def _seconds(self, timeout: float | None) -> float:
        remaining = (self.deadline - datetime.now(UTC)).total_seconds()
        return max(0.0, remaining if timeout is None else min(remaining, timeout))

    def pages(
        self,
        url: str,
        *,
        paging: Paging,
        items: str | ItemsOf = "",
        method: str = "GET",
        limits: PageLimits = NORMAL_LIMITS,
        check: Callable[[Response], Response] | None = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncIterator[Page]:
        """Yield an answer's pages, one at a time: ``async for page in ctx.http.pages("users", paging=LinkPaging())``.

        ``items`` is where a page's list lies (``data.items``), or a function that finds it; ``check`` raises the error
        that an answer stands for, if not ``raise_for_status``. An address of another origin is asked without the
        credential, and a page in the middle that is answered with 429 is waited for, as long as it says and the
        deadline lets. The last page's ``more`` says whether a limit ended the reading. Raises what ``request`` does,
        and Permanent for pages that lead round in a circle.
        """
        return paged(self, method, url, paging, items, limits, check or Response.raise_for_status, options)

    async def _follow(self, request: httpx.Request, flight: Flight, options: RequestOptions) -> Response:
        confidential, follow = options.get("with_credential", True), options.get("follow_redirects", True)
        most = min(self.max_bytes, options.get("max_bytes") or self.max_bytes)
        for _turn in range(redirects.MAX_REDIRECTS + 1):
            response = await self._send(request, flight, most, confidential=confidential)
            target = redirects.target(response) if follow else None
            if target is None:
                return response
            # A 307 or 308 asks for the same request elsewhere; any other answer means that this one was taken.
            flight.sent = response.status_code not in redirects.REPEATING
            same_origin, request = redirects.next_request(request, response.status_code, target)
            confidential = confidential and same_origin
        raise Permanent(
            _("%(host)s led from one address to the next more than %(most)s times.")
            % {"host": request.url.host, "most": redirects.MAX_REDIRECTS}
        )

    async def _send(self, request: httpx.Request, flight: Flight, most: int, *, confidential: bool) -> Response:
        if self.egress_allow and not host_is_listed(request.url, self.egress_allow):
            raise AddressRefused(
                _("%(host)s is not among the hosts that this workspace may reach.") % {"host": request.url.host},
                hint=_("An administrator of the workspace can add it to its list."),
            )
        wired = self._authorized(request) if confidential else request
        answer = await self.wire.exchange(wired, flight, most)
        if answer.status == httpx.codes.UNAUTHORIZED and wired is not request and self.renew is not None:
            renew, self.renew = self.renew, None
            flight.sent = False
            if (authorize := await renew()) is not None:
                self.authorize = authorize
                wired = self._authorized(request)
                answer = await self.wire.exchange(wired, flight, most)
        response = Response.of(answer, request)
        response._hide = partial(redact_added, request, wired, self.secrets)
        return response

    def _authorized(self, request: httpx.Request) -> httpx.Request:
        """Return a copy of the request with the credential, or the request itself where none goes along."""
        if self.authorize is None:
            return request
        if self.auth_hosts is not None and not host_is_listed(request.url, self.auth_hosts):
            self.withheld.append(request.url.host)
            return request
        wired = copy.copy(request)
        wired.headers = request.headers.copy()
        try:
            self.authorize(wired)
        except UnicodeError:
            # Not passed on: it would show the secret.
            raise AuthError(_(_UNFIT), hint=_("Enter it again.")) from None
        if any(CONTROL_BYTE.search(value) for _, value in wired.headers.raw):
            raise AuthError(_(_UNFIT), hint=_("Enter it again."))
        return wired

    async def _build(self, method: str, url: str, options: RequestOptions) -> httpx.Request:
        method = method.upper()
        if method not in METHODS:
            raise InputError(
                _("%(method)r is not a method that can be sent.") % {"method": method[:20]}, field="method"
            )
        headers = self._headers(method, options.get("headers"))
        try:
            target = self.resolved(url, options.get("params"))
            request = httpx.Request(
                method,
                target,
                headers=headers,
                json=options.get("json"),
                data=options.get("data"),
                files=options.get("files"),
                content=options.get("content"),
            )
            await request.aread()
        except httpx.InvalidURL:
            raise InputError(_("The address cannot be read as a URL."), field="url") from None
        except (ValueError, TypeError) as error:
            raise InputError(
                _("The request's body or parameters cannot be written: %(kind)s.") % {"kind": type(error).__name__}
            ) from None
        return request

    def _headers(self, method: str, given: HeaderItems | None) -> list[tuple[str, str]]:
        pairs = [(name, value) for name, value in checked(given) if name.lower() != "accept-encoding"]
        names = {name.lower() for name, _ in pairs}
        defaults = [("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Accept-Encoding", ACCEPT_ENCODING)]
        if self.idempotency_key and self.idempotency_header and method in KEYED_METHODS:
            defaults.append((self.idempotency_header, self._next_key()))
        if self.traceparent:
            defaults.append(("traceparent", self.traceparent))
        return [(name, value) for name, value in defaults if name.lower() not in names] + pairs

    def _next_key(self) -> str:
        """Return the attempt's key for the first request, and one derived by place for each further one.

        The same request gets the same key on every attempt, and two different requests of a step never share one.
        """
        self._keyed += 1
        return self.idempotency_key if self._keyed == 1 else f"{self.idempotency_key}-{self._keyed}"

    def resolved(self, url: str, params: Any = None) -> httpx.URL:
        """Return the whole address that a request to ``url`` goes to. Raises InputError, and httpx.InvalidURL."""
        absolute = "://" in url.partition("?")[0].partition("#")[0]
        if not absolute and not self.base_url:
            raise InputError(_("The address must start with http:// or https://."), field="url")
        parsed = _parse_url(url if absolute else f"{self.base_url.rstrip('/')}/{url.lstrip('/')}")
        return parsed.copy_merge_params(params) if params else parsed

    def __repr__(self) -> str:
        return f"<StepHttp {httpx.URL(self.base_url).host if self.base_url else 'any host'}>"


@lru_cache(maxsize=1024)
def _parse_url(url: str) -> httpx.URL:
    parsed = httpx.URL(url)
    redirects.check_url(parsed)
    return parsed.copy_with(fragment=None) if parsed.fragment else parsed

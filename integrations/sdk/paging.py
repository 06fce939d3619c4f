"""Answers that come in pages: four ways to go on, and the bounds that every reading of them has.

===============  ===================================================================================
LinkPaging       the next page's address is in the Link header (RFC 8288), or in the answer
CursorPaging     the answer names a cursor, which goes into the next request
PagePaging       pages are numbered
OffsetPaging     the next request says how many items to leave out
===============  ===================================================================================

``ctx.http.pages(…)`` yields pages, of which never more than one is held. ``collected`` and ``first_found`` are for a
provider whose requests and answers are read by functions of its own.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import httpx

from integrations.sdk import redirects, status
from integrations.sdk.egress import origin
from integrations.sdk.errors import InputError, Permanent, RateLimited
from integrations.sdk.headers import HARMLESS, checked
from integrations.sdk.options import Option, Options
from integrations.sdk.paths import MISSING, found_at, parsed, put_at
from integrations.sdk.types import JSONValue
from integrations.words import gettext as _

if TYPE_CHECKING:
    from integrations.sdk.client import RequestOptions, Response, StepHttp

ItemT = TypeVar("ItemT")
ItemsOf: TypeAlias = "Callable[[Response], Sequence[JSONValue]]"
# A page of a provider: from a cursor and how many rows are still wanted, to rows and the next cursor.
Fetch: TypeAlias = Callable[[str | None, int], Awaitable[tuple[Sequence[ItemT], str | None]]]

MAX_PAGES: Final = 1_000
PAGES_SEARCHED: Final = 3
# How often one page is waited for, where the server says how long.
MAX_WAITS: Final = 3
MAX_CURSOR: Final = 8_000
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LINK: Final = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:"[^"]*"|[^\s;,"]*))?)*)')
_REL: Final = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.I)


@dataclass(frozen=True, kw_only=True)
class PageLimits:
    """How much is read: so many pages and items at most, and no further page after so many bytes of answers.

    A single page has at most ``page_bytes``.
    """

    pages: int = 100
    items: int = 10_000
    total_bytes: int = 64 * 1024 * 1024
    page_bytes: int = 10 * 1024 * 1024


NORMAL_LIMITS: Final = PageLimits()


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page: its answer, its items as far as the limits take them, and whether there is ``more`` behind them."""

    response: Response
    items: Sequence[JSONValue]
    more: bool


@dataclass(frozen=True, kw_only=True)
class Paging(ABC):
    """How a list goes on. ``into`` is where the parameter goes: the query, or a JSON or form ``body``."""

    parameter: str = ""
    into: Literal["query", "body"] = "query"

    def first(self) -> str | None:
        """Return what the first request says, None where it says nothing."""
        return None

    @abstractmethod
    def following(self, response: Response, body: JSONValue, count: int, at: str | None) -> str | None:
        """Return where the next page is, None after the last; this one was at ``at`` and had ``count`` items."""

    def put(self, url: str, at: str, options: RequestOptions) -> tuple[str, RequestOptions]:
        """Return the address and options of the request for the page at ``at``."""
        value: JSONValue = int(at) if self.is_number else at
        if self.into == "query":
            given: Any = options.get("params") or {}
            return url, {**options, "params": httpx.QueryParams(given).set(self.parameter, at)}
        if options.get("data") is not None:
            return url, {**options, "data": {**(options["data"] or {}), self.parameter: at}}
        return url, {**options, "json": put_at(options.get("json"), parsed(self.parameter), value)}

    @property
    def is_number(self) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class LinkPaging(Paging):
    """The next page's address: in the answer at the path ``at``, else in the Link header under ``rel="next"``."""

    at: str = ""

    def following(self, response: Response, body: JSONValue, count: int, at: str | None) -> str | None:
        found = _text(found_at(body, self.at)) if self.at else link(response.headers.get_list("link"))
        if not found:
            return None
        try:
            url = response.request.url.join(found).copy_with(fragment=None)
            redirects.check_url(url)
        except (httpx.InvalidURL, InputError, ValueError):
            raise response.error(
                _("%(host)s names a next page whose address cannot be asked.") % {"host": status.host_of(response)},
                kind=Permanent,
            ) from None
        return str(url)

    def put(self, url: str, at: str, options: RequestOptions) -> tuple[str, RequestOptions]:
        return at, {**options, "params": None}


@dataclass(frozen=True, kw_only=True)
class CursorPaging(Paging):
    """The cursor lies in the answer at the path ``at``; false or nothing at ``more``, where named, ends the list."""

    parameter: str = "cursor"
    at: str
    more: str = ""

    def following(self, response: Response, body: JSONValue, count: int, at: str | None) -> str | None:
        if self.more and found_at(body, self.more) in (False, None, MISSING):
            return None
        return _text(found_at(body, self.at))


@dataclass(frozen=True, kw_only=True)
class _Counted(Paging):
    """Pages that are told by a number; ``size`` is how many items a full page has, where that is known."""

    start: int = 0
    size: int | None = None
    more: str = ""

    @property
    def is_number(self) -> bool:
        return True

    def first(self) -> str | None:
        return str(self.start)

    def following(self, response: Response, body: JSONValue, count: int, at: str | None) -> str | None:
        if self.more and found_at(body, self.more) in (False, None, MISSING):
            return None
        if not count or (self.size is not None and count < self.size):
            return None
        return str(int(at or self.start) + self._step(count))

    @abstractmethod
    def _step(self, count: int) -> int: ...


@dataclass(frozen=True, kw_only=True)
class PagePaging(_Counted):
    """Pages have numbers, from ``start`` on; an empty one, or one with less than ``size`` items, is the last."""

    parameter: str = "page"
    start: int = 1

    def _step(self, count: int) -> int:
        return 1


@dataclass(frozen=True, kw_only=True)
class OffsetPaging(_Counted):
    """A request says how many items to leave out; an empty page, or one with less than ``size`` items, is the last."""

    parameter: str = "offset"

    def _step(self, count: int) -> int:
        return count


def link(headers: Sequence[str], relation: str = "next") -> str | None:
    """Return the address that Link headers (RFC 8288) give for a relation."""
    for target, parameters in _LINK.findall(", ".join(headers)[:MAX_CURSOR]):
        named = _REL.search(parameters)
        if named and relation in (named[1] or named[2]).lower().split():
            return str(target)
    return None


async def paged(
    http: StepHttp,
    method: str,
    url: str,
    paging: Paging,
    items: str | ItemsOf,
    limits: PageLimits,
    check: Callable[[Response], Response],
    options: RequestOptions,
) -> AsyncIterator[Page]:
    """Yield pages as ``StepHttp.pages`` says."""
    home, at = ("", "", 0), paging.first()
    options = {**options, "max_bytes": limits.page_bytes}
    count = size = 0
    seen = {at}
    before = b""
    for number in range(1, limits.pages + 1):
        address, sent = (url, options) if at is None else paging.put(url, at, options)
        if isinstance(paging, LinkPaging) and at is not None and origin(httpx.URL(at)) != home:
            # Once elsewhere, nothing that is said there leads to the credential again.
            home, options = ("", "", 0), _bare(method, at, options)
            sent = {**options, "params": None}
        response = await _asked(http, check, method, address, sent, waits=0 if number == 1 else MAX_WAITS)
        if number == 1:
            home = origin(http.resolved(url))
        if not response.is_success:
            # What the caller takes for an answer all the same is the end.
            yield Page(response=response, items=(), more=False)
            return
        body = response.json() if response.content else None
        found = items(response) if callable(items) else _listed(response, body, items, is_first=number == 1)
        following = paging.following(response, body, len(found), at)
        if following is not None and following in seen:
            raise _circle(response)
        digest = blake2b(response.content, digest_size=16).digest() if paging.is_number and found else b""
        if digest and digest == before:
            raise _same_page(response, paging.parameter)
        before, size = digest, size + len(response.content)
        room = limits.items - count
        count += len(found[:room])
        yield Page(response=response, items=found[:room], more=following is not None or len(found) > room)
        if following is None or count >= limits.items or size >= limits.total_bytes:
            return
        seen.add(following)
        at = following
        # Never two pages at once.
        del response, body, found


async def _asked(
    http: StepHttp,
    check: Callable[[Response], Response],
    method: str,
    url: str,
    options: RequestOptions,
    *,
    waits: int,
) -> Response:
    """Return a page's answer; one that was asked for too soon is waited for: another attempt would begin anew."""
    while True:
        response = await http.request(method, url, **options)
        try:
            return check(response)
        except RateLimited as limited:
            pause, left = limited.retry_after, (http.deadline - datetime.now(UTC)).total_seconds()
            if pause is None or pause >= left or waits == 0:
                raise
        waits -= 1
        await asyncio.sleep(pause)


async def collected(
    fetch: Fetch[ItemT], *, most: int, cursor: str | None = None, pages: int = MAX_PAGES
) -> tuple[list[ItemT], str | None]:
    """Return rows, page by page until there are ``most``, and the cursor behind them, None after the last.

    ``fetch`` is called with a cursor and how many rows are still wanted. Raises Permanent where a cursor comes twice.
    """
    rows: list[ItemT] = []
    seen = {cursor}
    for _page in range(pages):
        found, cursor = await fetch(cursor, most - len(rows))
        rows += found
        if not cursor or len(rows) >= most:
            break
        if cursor in seen:
            raise Permanent(_("The same cursor came twice: the pages lead round in a circle."), hint=_circle_hint())
        seen.add(cursor)
    return rows, cursor or None


async def first_found(
    fetch: Callable[[str | None], Awaitable[tuple[Sequence[Option], str | None]]],
    cursor: str | None,
    *,
    pages: int = PAGES_SEARCHED,
) -> Options:
    """Return the first page of choices that is not empty, looking through some pages at most."""
    items: Sequence[Option] = ()
    for _page in range(pages):
        items, cursor = await fetch(cursor)
        if items or cursor is None:
            break
    return Options(items=items, next_cursor=cursor)


def _bare(method: str, url: str, options: RequestOptions) -> RequestOptions:
    """Return options for another origin: no credential, no body, and harmless headers only. Raises Permanent."""
    if method.upper() not in _SAFE:
        raise Permanent(
            _("The next page is at another host, %(host)s, and only a GET goes there.") % {"host": httpx.URL(url).host}
        )
    headers = [(name, value) for name, value in checked(options.get("headers")) if name.lower() in HARMLESS]
    kept: RequestOptions = {**options, "headers": headers, "with_credential": False}
    for name in ("json", "data", "files", "content"):
        kept.pop(name, None)  # type: ignore[misc]
    return kept


def _listed(response: Response, body: JSONValue, path: str, *, is_first: bool) -> list[JSONValue]:
    """Return the list at a path; where none is, an answer without any list there is an empty page."""
    found = found_at(body, path)
    if isinstance(found, list):
        return found
    lists = _lists_in(body)
    if found in (None, MISSING) and (not is_first or not lists):
        return []
    where = ", ".join(lists) or _("nowhere")
    raise InputError(
        _("%(path)s is no list in the answer of %(host)s.")
        % {"path": path or _("The whole"), "host": status.host_of(response)},
        hint=_("Say where the items are. There are lists at: %(where)s.") % {"where": where},
    )


def _lists_in(body: JSONValue, prefix: str = "", depth: int = 3) -> list[str]:
    """Return the paths of the first lists in an answer, outermost first."""
    if not isinstance(body, Mapping) or not depth:
        return []
    names = [name for name in list(body)[:100] if re.fullmatch(r"[\w@-]{1,60}", name)]
    here = [f"{prefix}{name}" for name in names if isinstance(body[name], list)]
    for name in names:
        here += _lists_in(body[name], f"{prefix}{name}.", depth - 1)
    return here[:10]


def _text(value: Any) -> str | None:
    """Return a cursor as a text, None for what ends a list."""
    if value in (None, MISSING, "", False) or isinstance(value, (dict, list, bool)):
        return None
    text = str(value)
    if len(text) > MAX_CURSOR:
        raise Permanent(
            _("The cursor of the next page has more than %(most)s characters.") % {"most": f"{MAX_CURSOR:,}"}
        )
    return text


def _circle(response: Response) -> Exception:
    return response.error(
        _("%(host)s named the same next page twice: its pages lead round in a circle.")
        % {"host": status.host_of(response)},
        hint=_circle_hint(),
        kind=Permanent,
    )


def _circle_hint() -> str:
    return _("Look where the next page is named, and how the request says it.")


def _same_page(response: Response, parameter: str) -> Exception:
    return response.error(
        _("%(host)s answered with the same page twice: it seems not to know the parameter %(parameter).60s.")
        % {"host": status.host_of(response), "parameter": parameter},
        hint=_(
            "Look up what the parameter is called. Where the last page comes again and again, say how many items a "
            "full page has."
        ),
        kind=Permanent,
    )

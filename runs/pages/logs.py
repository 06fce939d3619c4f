"""The log of a whole run: every step's lines in time order, page by page, with a search over all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.shell import fragment, is_fragment, page, private
from runs.logs import LogLine, count_lines, log_lines
from runs.models import Run
from runs.overview import milliseconds
from runs.pages.finding import find_run
from runs.paths import is_path
from runs.states import RunStatus

LINES_A_PAGE: Final = 1_000
# Characters of a line that the page shows: all of them are in the text to download.
_SHOWN: Final = 400
# So many lines are searched at the most.
SEARCHED: Final = 1_000_000
_RANKS: Final[Mapping[str, int]] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
LEVELS: Final = ("warning", "error")
_PIECE: Final = 500


@dataclass(frozen=True, kw_only=True)
class Query:
    """What of a log is asked for; ``match`` counts the lines that are found from 1, ``number`` pages likewise."""

    base: str
    find: str = ""
    level: str = ""
    step: str = ""
    match: int | None = None
    number: int | None = None

    @classmethod
    def read(cls, base: str, query: Mapping[str, str]) -> Query:
        """Return what an address asks for; what makes no sense is as if it were not there."""
        step = query.get("step", "")
        return cls(
            base=base,
            find=query.get("find", "").strip()[:200],
            level=query["level"] if query.get("level") in LEVELS else "",
            step=step if is_path(step) else "",
            match=_number(query.get("match", "")),
            number=_number(query.get("page", "")),
        )

    @property
    def narrows(self) -> bool:
        """Whether every line has to be looked at."""
        return bool(self.find or self.level)

    def url(self, *, match: int | None = None, number: int | None = None) -> str:
        """Return the address of another page or match."""
        given = {"find": self.find, "level": self.level, "step": self.step, "match": match, "page": number}
        asked = urlencode({name: value for name, value in given.items() if value})
        return f"{self.base}?{asked}" if asked else self.base


@dataclass(frozen=True, slots=True)
class Shown:
    """One line as the page shows it; ``css`` is its level, ``mark`` what was found: ``found``, or ``here``."""

    css: str
    front: str
    place: str
    url: str
    text: str
    mark: str


@dataclass(kw_only=True)
class Seen:
    """What was seen on the way through a log: ``lines`` in all, those that were found, and the page's own.

    ``wanted`` is the match whose page is shown, counted from 1, and 0 where it is page ``number``; ``here`` is that
    match once it is found, ``before`` how many come before the page. Until then the first page is kept.
    """

    number: int
    wanted: int
    lines: int = 0
    matches: int = 0
    here: int = 0
    before: int = 0
    more: bool = False
    page: list[tuple[LogLine, str]] = field(default_factory=list)
    _passing: list[tuple[LogLine, str]] = field(default_factory=list)
    _passed: int = 0

    def add(self, line: LogLine, *, is_match: bool) -> None:
        """Count a line, and keep it where it belongs to the page."""
        place, offset = divmod(self.lines, LINES_A_PAGE)
        self.lines += 1
        if not offset:
            self._passing, self._passed = [], self.matches
        self.matches += is_match
        is_here = is_match and self.matches == self.wanted
        if is_here:
            self.number, self.here = place + 1, self.wanted
        self._passing.append((line, "here" if is_here else "found" if is_match else ""))
        if self.number == place + 1:
            self.page, self.before = self._passing, self._passed


@dataclass(frozen=True, kw_only=True)
class LogPage:
    """A page of a run's log; ``total`` lines are counted with the level that is asked for."""

    lines: tuple[Shown, ...]
    total: int
    first: int
    number: int
    pages: int
    matches: int
    match: int
    more: bool
    previous_match: str
    next_match: str
    previous: str
    next: str
    last: str
    poll_url: str

    @property
    def total_text(self) -> str:
        return f"{self.total:,}"


@require_safe
@tenant_page()
def run_log(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show a run's log, or what became of it since: 204 while nothing did."""
    run = find_run(actor, pk)
    if is_fragment(request) and request.GET.get("after") == str(run.revision):
        return private(HttpResponse(status=204))
    query = Query.read(reverse("run-log", args=[actor.tenant.slug, pk]), request.GET)
    context: dict[str, Any] = {"run": run, "query": query, "log": log_page(run, query)}
    if is_fragment(request):
        return fragment(request, actor, "runs/_log.html", context)
    return page(request, actor, "runs/log.html", context, nav="run-list", narrow=True)


@require_safe
@tenant_page()
def run_log_text(request: HttpRequest, actor: Actor, pk: int) -> HttpResponseBase:
    """Return every line of a run's log as a file, written while it is read."""
    run = find_run(actor, pk)
    query = Query.read("", request.GET)
    response = StreamingHttpResponse(_pieces(log_lines(run, path=query.step or None)), content_type=_TEXT)
    response.headers["Content-Disposition"] = f'attachment; filename="run-{pk}-log.txt"'
    return private(response)


_TEXT: Final = "text/plain; charset=utf-8"


def _pieces(lines: Iterable[LogLine]) -> Iterator[bytes]:
    """Yield the text of the lines, some hundred at a time."""
    piece: list[str] = []
    for line in lines:
        at = line.at.astimezone(UTC)
        text = line.text.replace("\n", "\n    ")
        piece.append(f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z {line.level} {_place(line)} {text}\n")
        if len(piece) >= _PIECE:
            yield "".join(piece).encode("utf-8", "backslashreplace")
            piece = []
    yield "".join(piece).encode("utf-8", "backslashreplace")


def log_page(run: Run, query: Query) -> LogPage:
    """Return a page of a run's log: the one asked for, or that of the match asked for, or of the first match.

    Without a search it reads no further than the page; with one it counts to the end.
    """
    path = query.step or None
    seen = _seen(log_lines(run, path=path), query)
    total = seen.lines if query.narrows else count_lines(run, path=path)
    pages = max(1, -(-total // LINES_A_PAGE))
    if query.match and seen.matches and not seen.here:
        seen = _seen(log_lines(run, path=path), replace(query, match=seen.matches))
    elif total and not seen.page:
        seen = _seen(log_lines(run, path=path), replace(query, number=pages))
    earlier, following = (seen.here - 1, seen.here + 1) if seen.here else (seen.before, seen.before + 1)
    return LogPage(
        lines=tuple(_shown(run, line, mark) for line, mark in seen.page),
        total=total,
        first=(seen.number - 1) * LINES_A_PAGE + 1,
        number=seen.number,
        pages=pages,
        matches=seen.matches,
        match=seen.here,
        more=seen.more,
        previous_match=query.url(match=earlier) if earlier else "",
        next_match=query.url(match=following) if following <= seen.matches else "",
        previous=query.url(number=seen.number - 1) if seen.number > 1 else "",
        next=query.url(number=seen.number + 1) if seen.number < pages else "",
        last=query.url(number=pages) if seen.number + 1 < pages else "",
        # A search goes through every line: it is made again when somebody asks for it.
        poll_url="" if query.narrows or RunStatus(run.status).is_terminal else _poll_url(run, query),
    )


def _seen(lines: Iterable[LogLine], query: Query) -> Seen:
    """Go through the lines, to the end of the page or, with something to look for, to the end."""
    wanted = (query.match or 1) if query.find and not query.number else 0
    seen, needle, least = Seen(number=query.number or 1, wanted=wanted), query.find.casefold(), _RANKS.get(query.level)
    for line in lines:
        if least is not None and _RANKS.get(line.level, 1) < least:
            continue
        seen.add(line, is_match=bool(needle) and needle in line.text.casefold())
        if seen.lines >= SEARCHED or (not query.narrows and seen.lines >= seen.number * LINES_A_PAGE):
            seen.more = query.narrows
            break
    return seen


def _shown(run: Run, line: LogLine, mark: str) -> Shown:
    seconds = milliseconds(run.started_at or run.created_at, line.at) / 1_000
    text = line.text if len(line.text) <= _SHOWN else f"{line.text[:_SHOWN]}…"
    return Shown(
        css=line.level if line.level in LEVELS else "",
        front=f"{int(seconds // 60):02}:{seconds % 60:05.2f} {line.level[:12]:<7}",
        place=_place(line),
        url=urlencode({"step": line.path, "attempt": line.attempt, "tab": "log"}),
        text=text,
        mark=mark,
    )


def _place(line: LogLine) -> str:
    return f"{line.path} #{line.attempt}" if line.attempt > 1 else line.path


def _poll_url(run: Run, query: Query) -> str:
    url = query.url(match=query.match, number=query.number)
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'after': run.revision})}"


def _number(text: str) -> int | None:
    return int(text) or None if text.isascii() and text.isdigit() and len(text) < 10 else None

"""Which parts of the outline are folded: what a person chose for this workflow, else what lies deep.

1. ``?lanes=folded`` and ``?lanes=open`` are kept in a cookie of the workflow's own pages, and lead back.
2. A script writes what is folded one by one into the same cookie: ``0`` and the names, with dashes between.
3. Whatever was chosen, what holds the selected step is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

COOKIE: Final = "lanes"
ALL: Final = "*"
NONE: Final = "0"
_ASKED: Final = {"folded": ALL, "open": NONE}
_LONGEST: Final = 4_000
# Lanes in more lanes than this are folded until somebody opens them.
DEEPEST_OPEN: Final = 3


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A lane, or all lanes of a step: whether it is open, how many steps it holds, and so many with a problem.

    ``held`` is open whatever was chosen, as the selected step is in it.
    """

    name: str
    is_open: bool
    held: bool
    count: int
    problems: int

    @property
    def words(self) -> str:
        """Return what stands in the place of what is folded."""
        said = ngettext("%d step", "%d steps", self.count) % self.count
        if not self.problems:
            return said
        return _("%(steps)s, %(count)d with a problem") % {"steps": said, "count": self.problems}


class Folding:
    """What was chosen for one workflow, read from a request."""

    def __init__(self, request: HttpRequest) -> None:
        text = request.COOKIES.get(COOKIE, "")[:_LONGEST]
        self.is_all = text == ALL
        # A choice that names nothing, or nothing at all: then depth decides.
        self.names = frozenset(text.split("-")) if text.split("-")[0] == NONE else None

    def fold(self, name: str, *, depth: int, held: bool, count: int, problems: int) -> Fold:
        """Return how something is drawn that lies in ``depth`` lanes, itself counted."""
        if self.is_all:
            is_folded = True
        elif self.names is not None:
            is_folded = name in self.names
        else:
            is_folded = depth > DEEPEST_OPEN and not problems
        return Fold(name=name, is_open=held or not is_folded, held=held, count=count, problems=problems)


@dataclass(frozen=True, kw_only=True)
class Ways:
    """Addresses that fold and open everything, empty where nothing would change."""

    fold: str
    unfold: str


def ways(request: HttpRequest, folds: Iterator[Fold]) -> Ways:
    """Return what there is to fold and to open; the addresses keep what else the page was asked for."""
    found = list(folds)
    may_fold, may_unfold = (
        any(each.is_open and not each.held for each in found),
        any(not each.is_open for each in found),
    )
    return Ways(
        fold=_address(request, "folded") if may_fold else "", unfold=_address(request, "open") if may_unfold else ""
    )


def _address(request: HttpRequest, wanted: str) -> str:
    query = request.GET.copy()
    query["lanes"] = wanted
    return f"?{query.urlencode()}"


def chosen(request: HttpRequest, home: str) -> HttpResponse | None:
    """Keep what the address asks for, and lead back to it without that; None where it asks for nothing.

    ``home`` is the workflow's own address: the choice is of this workflow alone.
    """
    wanted = _ASKED.get(request.GET.get("lanes", ""))
    if wanted is None or request.method not in ("GET", "HEAD"):
        return None
    query = request.GET.copy()
    del query["lanes"]
    response = redirect(f"{request.path}?{query.urlencode()}" if query else request.path)
    # A script writes it too, so it is none of those that only the server sees.
    response.set_cookie(COOKIE, wanted, path=home, secure=request.is_secure(), samesite="Lax")
    return response
